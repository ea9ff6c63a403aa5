"""`jaxnet sweep`: what it writes, what it refuses, and that its picture shows the numbers."""

import contextlib
import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from jaxnet import ensemble, plot, presets
from jaxnet.commands import _sweep
from jaxnet.commands._sweep import sweep
from jaxnet.core import folders
from jaxnet.core.json_types import without_nan
from jaxnet.reports import html

QUICK = presets.film._replace(epochs=2, batch_size=100)


@pytest.fixture(scope="module")
def npz(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "small.npz"
    arrays = {"x_train": small.train.images, "y_train": small.train.labels}
    np.savez(path, **arrays, x_test=small.test.images, y_test=small.test.labels)
    return str(path)


def test_a_sweep_writes_what_it_found(npz, tmp_path):
    found = sweep(QUICK._replace(data=npz), {"learning_rate": [0.5, 4.0]}, seeds=3, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == _sweep.WRITTEN - {"resume"}
    with (tmp_path / "out" / "members.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(float(row["learning_rate"]), int(row["seed"])) for row in rows] == [
        (r, s) for r in (0.5, 4.0) for s in range(3)
    ]
    costs = np.array([float(row["cost"]) for row in rows])
    np.testing.assert_array_equal(costs, found.results.costs[:, -1])
    assert found.rows[0]["cost"] == pytest.approx(costs[:3].mean())
    assert found.rows[1]["cost_median"] == np.median(costs[3:])
    page = (tmp_path / "out" / "sweep.html").read_text()
    assert "6 networks compared by learning rate" in page
    assert f'<td class="number">{found.rows[0]["cost_median"]:.4g}</td>' in page
    told = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert told["rows"] == without_nan(list(found.rows)) == list(found.rows)
    assert told["judged_by"] == "333 held-out images"
    with np.load(tmp_path / "out" / "sweep.npz") as arrays:
        assert arrays["group0/0/weights"].shape == (6, 16, 784)
        np.testing.assert_array_equal(arrays["group0/0/weights"][4], found.results.params(4)[0].weights)
        np.testing.assert_array_equal(arrays["train_costs"], found.results.train_costs)


def test_json_knows_no_infinity():
    row = {"sizes": (8,), "cost": np.inf, "mean": np.nan, "low": 0.5, "networks": 3}
    assert without_nan([row]) == [{"sizes": (8,), "cost": None, "mean": None, "low": 0.5, "networks": 3}]


@pytest.mark.parametrize(
    ("rates", "which", "lowest"),
    [(("0.1", "1e30"), "1 of 2", "0.1"), pytest.param(("1e30", "2e30"), "all 2", "1e+30", marks=pytest.mark.slow)],
)
def test_networks_that_failed_are_counted_and_a_remedy_named(rates, which, lowest, npz, tmp_path, command):
    words = ["--data", npz, "--activation", "relu", "--output", "identity", "--epochs", "3", "--batch-size", "20"]
    done = command("sweep", *words, "--seeds", "1", "--learning-rate", *rates)
    assert done.code == 0
    assert done.out.splitlines()[-2:] == [
        f"{which} networks failed: they diverged, or they are hardly better than a network that always gives the most frequent "
        f"answer; try lower values of --learning-rate (the lowest here is {lowest})",
        "runs/sweep-1/sweep.html",
    ]
    assert json.loads((tmp_path / "runs" / "sweep-1" / "sweep.json").read_text())["failed"] == which.count(
        "1"
    ) + 2 * which.count("all")


def test_networks_at_chance_failed_and_those_never_judged_did_not():
    accuracies, labels = np.array([[0.9], [0.11], [np.nan], [np.nan]]), np.repeat(np.arange(10), 10)
    diverged = np.array([-1, -1, 7, -1])
    results = ensemble.Results((), np.ones(1, int), accuracies, accuracies, accuracies, diverged, (), "", 0.0)
    assert _sweep._failed(results, labels, ended=False) == 3
    assert _sweep._failed(results, labels, ended=True) == 2


@pytest.mark.slow
def test_half_precision_is_written_so_that_numpy_can_read_it(npz, tmp_path):
    settings = QUICK._replace(data=npz, dtype="bfloat16", epochs=1)
    found = sweep(settings, {"learning_rate": [0.5]}, seeds=1, out=tmp_path / "out")
    with np.load(tmp_path / "out" / "sweep.npz") as arrays:
        np.testing.assert_array_equal(arrays["group0/1/weights"][0], np.float32(found.results.params(0)[1].weights))


def test_an_existing_folder_is_kept(npz, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds more than jaxnet writes there"):
        sweep(QUICK._replace(data=npz), out=tmp_path / "mine", overwrite=True)


@pytest.mark.parametrize(
    ("axes", "seeds", "message"),
    [
        ({"momentum": [0.9]}, 2, "'momentum' is not a setting that can vary"),
        ({"seed": [1]}, 2, "'seed' is not a setting that can vary"),
        ({"learning_rate": []}, 2, "learning_rate has no values to try"),
        ({"learning_rate": [1.0]}, 0, "seeds must be at least 1, got 0"),
        ({"epochs": [1, 2]}, 1, "all members must have the same epochs"),
    ],
)
def test_what_makes_no_sense_is_refused(axes, seeds, message, npz, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweep(QUICK._replace(data=npz), axes, seeds=seeds, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_picture_shows_every_network_and_the_medians():
    values = [1.0, 1.0, 1.0, 3.0, 3.0, 3.0]
    costs = [0.4, 0.2, 0.3, 0.1, np.nan, np.nan]
    figure = plot.sweep(values, [""] * 6, costs, np.outer(costs, [2, 1]), setting="rate", cost="cost")
    left, right = figure.axes
    dots, line, crosses = left.lines
    assert sorted(dots.get_ydata()) == [0.1, 0.2, 0.3, 0.4]
    assert line.get_xydata()[0].tolist() == [1.0, 0.3]
    assert np.isnan(line.get_ydata()[1])  # two of three diverged
    assert crosses.get_xdata().tolist() == [3.0, 3.0]
    assert right.lines[0].get_ydata().tolist() == [0.6, 0.3]
    assert len(right.lines) == 1


def test_a_sweep_without_a_single_finite_cost_is_drawn():
    lost = np.full(2, np.nan)
    figure = plot.sweep([1.0, 2.0], ["", ""], lost, np.full((2, 3), np.nan), setting="rate", cost="cost")
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["nothing to show"] * 2
    html.png(figure)


@pytest.mark.slow
def test_a_stopped_sweep_is_saved(npz, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def already(insist=True):
        yield [signal.SIGINT]

    monkeypatch.setattr(_sweep, "stoppable", already)
    found = sweep(QUICK._replace(data=npz), {"learning_rate": [0.5]}, seeds=2, out=tmp_path / "out")
    assert found.interrupted
    assert {path.name for path in (tmp_path / "out").iterdir()} == _sweep.WRITTEN
    assert json.loads((tmp_path / "out" / "sweep.json").read_text())["rows"][0]["cost"] is None


def test_entries_must_match_the_networks():
    with pytest.raises(ValueError, match="one entry for each network, got 2, 1, 2 and 2"):
        plot.sweep([1, 2], [""], [1, 2], np.ones((2, 3)), setting="rate", cost="cost")


@pytest.mark.slow
def test_the_command_compares_and_names_the_lowest(npz, tmp_path):
    words = f"sweep --data {npz} --epochs 2 --learning-rate 0.5 4 --widths 8 --seeds 2 --own-order --json".split()
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert sum("<- lowest" in line for line in lines) == 1
    assert lines[-2] == "runs/sweep-1/sweep.html"
    rows = json.loads(lines[-1])
    assert [row["sizes"] for row in rows] == [[8, 8]] * 2
    assert folders.first_free(tmp_path / "runs", "sweep").name == "sweep-2"
