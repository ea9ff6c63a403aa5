"""A sweep that was ended or killed continues, and ends with the numbers of a sweep that was never ended."""

import json
import signal
import threading

import numpy as np
import pytest
from problems import as_npz

from jaxnet import commands, devices, presets
from jaxnet.training import resume
from jaxnet.training.progress import Progress

QUICK = presets.film._replace(epochs=3, sizes=(4,), batch_size=50, validation=100)


@pytest.fixture(scope="module")
def npz(small, tmp_path_factory):
    return as_npz(tmp_path_factory.mktemp("data") / "digits.npz", small, 600, 100)


def swept(npz, out, *, after=None, own_order=False, **options):
    """A sweep, which a signal ends after a share of the images, if `after` says so."""
    main = threading.main_thread()

    def seen(progress: Progress) -> None:
        if after is not None and progress.phase == "training" and progress.step > after * progress.num_steps:
            signal.pthread_kill(main.ident, signal.SIGTERM)

    return commands.sweep(
        QUICK._replace(data=str(npz)), {"learning_rate": [0.5, 1.5], "sizes": [(4,), (5,)]}, seeds=2, own_order=own_order,
        out=out, on_progress=seen, checkpoint_every=1e-9, **options,
    )  # fmt: skip


def numbers(folder):
    with np.load(folder / "sweep.npz") as arrays:
        return dict(arrays)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own_order", "resident"),
    [
        (False, False),
        pytest.param(True, False, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
    ],
)
def test_a_continued_sweep_is_the_sweep_never_ended(own_order, resident, npz, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_forced", resident)
    whole = swept(npz, tmp_path / "whole", own_order=own_order)
    first = swept(npz, tmp_path / "run", after=0.4, own_order=own_order)
    assert first.interrupted
    assert resume.exists(tmp_path / "run")
    found = commands.resume_sweep(tmp_path / "run")
    assert not found.interrupted
    assert found.rows == whole.rows
    one, other = numbers(tmp_path / "run"), numbers(tmp_path / "whole")
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert not resume.exists(tmp_path / "run")
    assert (tmp_path / "run" / "sweep.html").exists()


def test_a_sweep_is_continued_by_its_own_command(npz, tmp_path):
    first = swept(npz, tmp_path / "run", after=0.4)
    names = sorted(path.name for path in resume.checkpoints_of(tmp_path / "run").iterdir())
    assert names
    told = json.loads((tmp_path / "run" / "resume" / "run.json").read_text())
    assert told["command"] == "sweep"
    assert told["axes"] == [["learning_rate", [0.5, 1.5]], ["sizes", [[4], [5]]]]
    assert np.isnan(first.results.costs[:, -1]).any()
    with pytest.raises(ValueError, match=r"begun by `jaxnet sweep`; continue it with `jaxnet sweep --resume"):
        commands.resume(tmp_path / "run")


def test_numbers_of_numpy_are_settings_too(npz, tmp_path):
    settings = QUICK._replace(data=str(npz), seed=np.int64(3), sizes=[np.int32(4)], epochs=1)
    found = commands.sweep(settings, {"learning_rate": np.array([0.5, 1.0], np.float32)}, seeds=1, out=tmp_path / "out")
    assert [row["learning_rate"] for row in found.rows] == [0.5, 1.0]
    settings = settings._replace(learning_rate=np.float64(1.5))
    result = commands.train(settings, out=tmp_path / "run", pictures=False)
    assert result["seed"] == 3
    assert commands.resume(tmp_path / "run")["params_sha256"] == result["params_sha256"]


def test_what_cannot_be_continued_is_said(npz, tmp_path, command):
    (tmp_path / "empty").mkdir()
    assert "has no sweep to continue" in command("sweep", "--resume", tmp_path / "empty").err
    assert "got --seeds; leave --seeds out" in command("sweep", "--resume", tmp_path / "empty", "--seeds", 3).err
    assert "no folder" in command("sweep", "--resume", tmp_path / "none").err
