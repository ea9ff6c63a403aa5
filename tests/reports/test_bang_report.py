"""What `jaxnet bang` writes of a run is complete, agrees with the instruments, and can be sorted and searched."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from jaxnet import bang, commands, presets, training
from jaxnet.core.types import Batch, Dataset
from jaxnet.reports import bang_report, glossary, replaying
from jaxnet.reports import html as report
from jaxnet.reports.page import Frames
from jaxnet.training import config, run_folder

EVERYTHING = ("worth", "budget", "credit", "examples")


def save(path, images):
    np.savez(
        path, images=images.train.images, labels=images.train.labels, test_images=images.test.images,
        test_labels=images.test.labels,
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory, small):
    path = tmp_path_factory.mktemp("data") / "small.npz"
    save(path, small)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, archive):
    folder = tmp_path_factory.mktemp("runs") / "a"
    commands.train(presets.film._replace(data=str(archive), epochs=2, sizes=(8,)), out=folder, pictures=False)
    return folder


@pytest.mark.slow
def test_everything_that_was_asked_for_is_there_and_the_table_holds_the_instruments_numbers(finished):
    seen = []
    found = commands.bang(
        finished, k=5, images=1500, points=20, frames=3, on_progress=seen.append, instruments=EVERYTHING, animate=True
    )
    for phase in ("worth", "budget"):
        steps = [(one.step, one.num_steps) for one in seen if one.phase == phase]
        total = steps[-1][1]
        assert steps == [(0, 0), *((step, total) for step in range(1, total + 1))], "a bar can show how far it is"
    assert found.report == finished / "bang.html"
    page = found.report.read_text()
    names = {
        "gradient",
        "parameters",
        "ranking",
        "readings",
        "predicted",
        "worth",
        "budget",
        "tug_of_war",
        "hardest",
        "credit",
    }
    names |= {"credit_by_pixel"}  # no update: the learning rate has fallen to nothing
    assert {path.stem for path in (finished / "bang").glob("*.png")} == names
    for name in names:
        assert f'<figure id="{name}">' in page
    assert not re.search(r'(?:src|href)="(?!data:)', page), "the page loads nothing"
    assert len(page) < 8e6, "short enough to be mailed"
    for fact in ("Gini", "radius of trust", "twin neurons", "signal to noise", "not accounted for", "dC/dp"):
        assert glossary.MEANINGS[fact] in html.unescape(page)
    assert found.animation == finished / "bang" / "animation.gif"
    with Image.open(found.animation) as film:
        assert film.n_frames >= 3
    assert set(found.facts) >= {
        "parameters",
        "Gini",
        "median radius of trust",
        "fall of the cost",
        "gradient noise scale",
    }
    assert not list(finished.glob("bang/tmp*"))
    loaded = run_folder.load(finished)
    with (finished / "bang" / "parameters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 784 * 8 + 8 + 80 + 10 == sum(leaf.size for leaf in jax.tree.leaves(loaded.params))
    of = bang_report.subject(loaded, training.dataset(loaded.settings), count=1500)
    worth = bang.worth(loaded.functions.cost)(of.params, of.batch)
    np.testing.assert_allclose([float(row["dC/dp"]) for row in rows], worth.gradient, atol=1e-7)
    np.testing.assert_allclose([float(row["best step alone"]) for row in rows], worth.best_step, atol=1e-6)
    sizes = np.abs(worth.gradient)
    assert [nudge.gradient for nudge in found.nudges] == pytest.approx(worth.gradient[np.argsort(-sizes)[:5]], rel=1e-3)
    assert rows[784 * 8 + 3]["parameter"] == "layer 1, neuron 3, bias"
    with np.load(finished / "bang" / "arrays.npz") as arrays:
        fall = arrays["credit"].sum()
        assert fall == pytest.approx(arrays["credit.by_leaf"].sum())
        assert arrays["credit.steps"][0] == 0
        assert arrays["credit.steps"][-1] == loaded.result["steps"]
    assert float(found.facts["fall of the cost"]) == pytest.approx(fall, rel=0.02)


def test_a_run_walked_again_ends_where_it_ended(finished):
    loaded = run_folder.load(finished)
    plan = training.plan(loaded.settings, training.dataset(loaded.settings))
    *_, (step, params) = training.replay(plan)
    assert step == loaded.result["steps"]
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(loaded.params), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("total", "points"), [(5, 10), (1000, 20), (46_875, 400), (3, 1)])
def test_a_path_is_followed_from_end_to_end_finest_at_the_start(total, points):
    steps = replaying._chosen_steps(total, points)
    assert steps[0] == 0
    assert steps[-1] == total
    assert len(steps) <= max(points, 2) + 1
    assert (np.diff(np.diff(steps)) >= -2).all()


@pytest.mark.slow
def test_before_training_is_another_picture(finished):
    start = commands.bang(finished, k=1, images=200, at="start", instruments=["budget"])
    assert f"{784 * 8 + 8 + 80 + 10:,}" == start.facts["parameters"]
    assert (finished / "bang" / "budget.png").is_file()
    end = bang_report.subject(
        run_folder.load(finished), training.dataset(run_folder.load(finished).settings), count=200
    )
    assert abs(start.nudges[0].gradient) > 2 * max(float(abs(g).max()) for g in jax.tree.leaves(end.grads))
    assert "before training" in start.report.read_text()


@pytest.mark.slow
def test_other_models_are_looked_at_too(tmp_path, small):
    cut = lambda part: Batch(part.images[:96], part.labels[:96])
    save(tmp_path / "tiny.npz", Dataset(cut(small.train), cut(small.test), small.classes))
    settings = presets.convnet._replace(data=str(tmp_path / "tiny.npz"), epochs=1, batch_size=32)
    commands.train(settings, out=tmp_path / "run", pictures=False)
    found = commands.bang(tmp_path / "run", k=3, images=32, instruments=["budget"])
    assert len(found.nudges) == 3
    page = found.report.read_text()
    assert "dense/kernel" in page
    count = sum(leaf.size for leaf in jax.tree.leaves(run_folder.load(tmp_path / "run").params))
    assert f"of {count:,} parameters" in page
    with pytest.raises(ValueError, match="only fully connected networks of up to 100,000 weights can be animated"):
        commands.bang(tmp_path / "run", animate=True)


def test_nonsense_is_refused_before_anything_is_computed(finished, monkeypatch):
    for name, value in (("k", 0), ("points", 0), ("frames", 0)):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            commands.bang(finished, **{name: value})
    with pytest.raises(
        ValueError, match="there is no instrument 'wroth', only worth, budget, examples, precision, credit"
    ):
        commands.bang(finished, ["wroth"])
    with pytest.raises(ValueError, match="at must be 'start' or 'end', got 'middle'"):
        commands.bang(finished, at="middle")
    with pytest.raises(ValueError, match="images must be at least 2"):
        commands.bang(finished, images=1)
    with pytest.raises(ValueError, match="gif, mp4 or html, got 'avi'"):
        commands.bang(finished, animate=True, animate_as="avi")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="needs ffmpeg, which is not on the PATH"):
        commands.bang(finished, animate=True, animate_as="mp4")


@pytest.mark.slow
def test_a_film_with_its_own_player_is_one_file(finished):
    found = commands.bang(finished, images=200, frames=2, animate=True, animate_as="html")
    assert found.animation.stat().st_size > 100_000
    for page in (found.animation.read_text(), found.report.read_text()):
        assert page.count("data:image/webp;base64") >= 3
        assert "jaxnetPlayer(document.currentScript.parentElement)" in page
        assert not re.search(r"https?://", page), "nothing comes from elsewhere"


@pytest.mark.slow
def test_the_command_prints_the_ranking_and_the_facts(finished):
    code = [sys.executable, "-m", "jaxnet", "bang", str(finished), "--k", "3", "--images", "200", "--json"]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["nudges"]) == 3
    assert told["facts"]["parameters"] == "6,370"
    assert "with zero gradient" in done.stdout


def opened(page, folder):
    """The title of a page after its scripts have run, in a browser without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    done = subprocess.run(
        [chromium, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S).group(1))


@pytest.mark.browser
def test_a_search_means_what_a_person_means(tmp_path):
    names = [
        f"layer 1, neuron {n}, weight from pixel (row {r}, column {c})"
        for n in range(16)
        for r in (1, 14)
        for c in range(28)
    ]
    names += [f"layer 2, neuron {n}, weight from neuron {m}" for n in range(16) for m in range(16)]
    names += [f"layer {layer}, neuron {n}, bias" for layer in (1, 2, 3) for n in range(16)]
    names += ["dense/kernel[7, 1]", "dense/kernel[1, 7]"]
    reasons = [
        "no later neuron uses the output of its neuron" if "neuron 3, bias" in name else "alive" for name in names
    ]
    wanted = {
        "layer 2 neuron 7": 17, "neuron 7, layer 2": 17, "row 14 column 14": 16, "layer 2 from neuron 7": 16, "layer 3": 16,
        "LAYER 1,  neuron 1, weight from pixel (row 1, column 1)": 1, "layer 2, neuron 1, bias": 1, "dense/kernel[1, 7]": 1,
        "uses layer 2": 1, "layer 2 neuron 7 bias": 1, "neuron 77": 0, "kern": 2, "": len(names), "layer 4": 0,
    }  # fmt: skip
    act = f"""<script>
      const rows = {json.dumps(list(zip(names, reasons, range(len(names)), strict=True)))}, prepared = jaxnetSearch.prepare(rows);
      document.title = JSON.stringify({json.dumps(list(wanted))}.map(words => jaxnetSearch.find(prepared, words).length));
    </script>"""
    table = report.sortable(["parameter"], [["a"]])
    title = opened(report.page("t", "l", {}, {}, {"table": table}).replace("</body>", act + "</body>"), tmp_path)
    assert dict(zip(wanted, json.loads(title), strict=True)) == wanted


@pytest.mark.browser
def test_the_table_sorts_and_searches_in_a_browser(tmp_path):
    names = ["layer 1, neuron 7, bias", "layer 2, neuron 7, bias", "layer 2, neuron 17, bias"]
    table = report.sortable(["parameter", "radius"], [names, [0.5, float("inf"), float("nan")]])
    act = """<script>
      const rows = () => [...document.querySelectorAll("tbody tr")].map(row => row.textContent).join("|");
      const button = document.querySelectorAll("th button")[1], search = document.querySelector("input");
      const log = [rows()];
      button.click(); log.push(rows());
      button.click(); log.push(rows());
      search.value = "layer 2 neuron 7"; search.dispatchEvent(new Event("input")); log.push(rows());
      document.title = JSON.stringify(log) + document.querySelector(".told").textContent;
    </script>"""
    title = opened(report.page("t", "l", {}, {}, {"table": table}).replace("</body>", act + "</body>"), tmp_path)
    log, told = json.JSONDecoder().raw_decode(title)
    first, second, third = "layer 1, neuron 7, bias0.5000", "layer 2, neuron 7, bias∞", "layer 2, neuron 17, bias"
    assert log == [
        "|".join((first, second, third)),
        "|".join((second, first, third)),
        "|".join((first, second, third)),
        second,
    ]
    assert title[told:] == "1 of 3 parameters"


@pytest.mark.browser
def test_several_films_and_tables_live_on_one_page(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP")
    film = (Frames((file.getvalue(),) * 3, 8), "a film")
    tables = {name: report.sortable(["parameter"], [["a", "b"]]) for name in ("one", "two")}
    act = """<script>
      const ends = [...document.querySelectorAll(".player")].map(box => {
        const slider = box.querySelector("input");
        slider.value = 2; slider.dispatchEvent(new Event("input"));
        return box.querySelector("output").textContent + " " + box.querySelector("button").textContent;
      });
      document.title = JSON.stringify([ends, document.querySelectorAll("tbody tr").length]);
    </script>"""
    page = report.page("t", "l", {}, {"first": film, "second": film}, tables)
    assert json.loads(opened(page.replace("</body>", act + "</body>"), tmp_path)) == [["3 of 3 play"] * 2, 4]


def test_a_word_of_the_field_is_explained_once_where_it_first_stands():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    pictures = {
        name: (file.getvalue(), "Every weight and every bias, at the gradient noise scale") for name in ("a", "b")
    }
    page = html.unescape(report.page("t", "A network with 3 parameters", {"steps": "3"}, pictures))
    for word in ("parameter", "weight", "bias"):
        assert page.count(glossary.BASICS[word]) == 1
    assert page.index(glossary.BASICS["parameter"]) < page.index('class="facts"')
    assert page.index('id="a"') < page.index(glossary.BASICS["weight"]) < page.index('id="b"')
    assert glossary.MEANINGS["gradient noise scale"] in page
    assert glossary.BASICS["gradient"] not in page, "a part of a longer word is no word"
    chapter = lambda name: report.Chapter(name, "?", "said", "A weight, and the Gini", {}, {})
    book = html.unescape(report.book("t", "l", [chapter("one"), chapter("two")]))
    assert book.count(glossary.BASICS["weight"]) == 1
    assert book.count(glossary.MEANINGS["Gini"]) == 2, "a reader may start at any chapter"


def test_every_setting_on_a_page_has_its_meaning():
    table = html.unescape(report.settings_table(presets.film, without=("seed",)))
    for name, meaning in config.meanings().items():
        assert meaning
        assert (f"<td>{name}</td>" in table) == (name != "seed")
        assert (meaning in table) == (name != "seed")
    assert "<td>16 16</td>" in table


def test_the_head_of_a_column_of_numbers_stands_above_its_numbers():
    table = report.table(("name", "of", "mixed"), [("a", 1.5, "x"), ("b", 2, 3)])
    assert re.findall(r'<th scope="col"( class=number)?>', table) == ["", " class=number", ""]


@pytest.fixture(scope="module")
def looked_at(finished):
    loaded = run_folder.load(finished)
    return bang_report.subject(loaded, training.dataset(loaded.settings), count=1500)


def test_an_update_that_the_parameters_cannot_hold_is_not_drawn(looked_at):
    with_rate = lambda rate: looked_at._replace(
        moment="before training",
        run=looked_at.run._replace(functions=looked_at.run.functions._replace(optimizer=optax.sgd(rate))),
    )
    assert bang_report._next_update(with_rate(0.1)) is not None
    assert bang_report._next_update(with_rate(1e-12)) is None


@pytest.mark.slow
def test_parameters_without_gradient_are_counted_once_for_all(looked_at):
    facts, worth = bang_report.of_gradient(looked_at).facts, bang.worth(bang_report._double(looked_at))
    found = worth(looked_at.params, looked_at.batch)
    assert facts["with zero gradient"] == f"{(found.gradient == 0).sum():,}"


@pytest.mark.slow
def test_a_noise_scale_without_an_upper_end_is_not_shown_as_a_number(looked_at, monkeypatch):
    unbounded = bang.NoiseScale(127_346.0, 11_880.0, np.inf, 1.0, 1e-5)
    bounded = bang.NoiseScale(300.0, 200.0, 500.0, 1.0, 1e-5)
    for noise, told in ((unbounded, "at least 11,880 images"), (bounded, "300 images")):
        monkeypatch.setattr(bang, "noise_scale", lambda cost, method, noise=noise: lambda params, batch: noise)
        found = bang_report.of_examples(looked_at)
        assert found.facts["gradient noise scale"] == told
        ((_, rows),) = found.tables.values()
        assert "127346" not in str(rows)
