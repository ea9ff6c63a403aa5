"""The commands as a user meets them: run folders, exit codes, signals, and what can go wrong."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import matplotlib.image
import numpy as np
import pytest
import rich.console
from photo_generator import on_paper
from PIL import Image

from jaxnet import Diverged, bang, commands, presets
from jaxnet.cli.progress import signals_table
from jaxnet.commands import _predict
from jaxnet.reports import run_report
from jaxnet.training import run_folder

QUICK = presets.film._replace(epochs=2, seed=3)


@pytest.fixture(scope="module")
def npz(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        images=small.train.images,
        labels=small.train.labels,
        test_images=small.test.images,
        test_labels=small.test.labels,
    )
    return str(path)


@pytest.fixture(scope="module")
def finished(npz, tmp_path_factory):
    """A run folder with everything in it, and the result that was returned."""
    folder = tmp_path_factory.mktemp("runs") / "quick"
    return folder, commands.train(QUICK._replace(data=npz), out=folder)


def jaxnet(*arguments, cwd, check=True, **options):
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        **options,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def test_a_run_folder_holds_everything(finished):
    folder, result = finished
    assert {path.name for path in folder.iterdir()} == {
        "settings.json", "result.json", "history.csv", "evaluations.csv", "record.npz", "checkpoint", "pictures", "report.html",
    }  # fmt: skip
    assert {path.stem for path in (folder / "pictures").iterdir()} == {
        "bang", "bang_trained", "bang_print", "weights", "gradient_maps", "layers", "ranking", "history", "before_after",
        "cost_of_one", "lit", "mistakes", "confusion",
    }  # fmt: skip
    assert json.loads((folder / "result.json").read_text()) == result
    assert result["parameters"] == 13_002
    assert result["test_images"] == 500
    assert re.fullmatch("[0-9a-f]{64}", result["params_sha256"])
    with (folder / "history.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + result["steps"] == 1 + 2 * (2000 // 32)


def test_pictures_are_pictures(finished):
    for path in (finished[0] / "pictures").iterdir():
        picture = matplotlib.image.imread(path)
        assert min(picture.shape[:2]) > 200
        assert picture[..., :3].std() > 0.02, path


def test_the_report_is_one_file_that_loads_nothing(finished):
    page = (finished[0] / "report.html").read_text()
    assert page.count("<img") == 12
    assert page.count("data:image/webp;base64,") == 12
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    assert "of 500 test images" in page
    assert "learning_rate" in page


def test_save_then_load_is_the_identity(finished):
    folder, result = finished
    run = run_folder.load(folder)
    assert run_folder.params_sha256(run.params) == result["params_sha256"]
    assert run.settings._replace(data="") == QUICK._replace(data="")
    assert run.result == result
    assert list(run.history) == ["step", "cost", "gradient_norm"]
    assert run.history["cost"].dtype == np.float32
    assert len(run.evaluations["accuracy"]) == 2
    assert int(run.state.step) == result["steps"]
    told = []
    again = commands.train(run.settings, out=folder.parent / "again", pictures=False, on_result=told.append)
    assert told == [again]
    assert again["params_sha256"] == result["params_sha256"]
    assert again["cost"] == result["cost"]
    wrong = jax.tree.map(lambda leaf: leaf.T if leaf.shape == (16, 16) else leaf, run.params)
    assert run_folder.params_sha256(wrong) != result["params_sha256"]


def test_an_existing_folder_is_never_overwritten_without_being_told_to(finished, npz, tmp_path):
    folder, _ = finished
    with pytest.raises(FileExistsError, match="exists; choose another --out, or --overwrite"):
        commands.train(QUICK, out=folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "settings.json").write_text("{}")
    with pytest.raises(FileExistsError, match="holds more than jaxnet writes there, so it is not replaced"):
        commands.train(QUICK, out=tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    for seed in (1, 2):
        settings = QUICK._replace(data=npz, seed=seed, epochs=1)
        commands.train(settings, out=tmp_path / "run", overwrite=True, pictures=False)
    assert run_folder.load(tmp_path / "run").settings.seed == 2
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "run"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_types_train_and_load_and_draw(dtype, npz, tmp_path):
    settings = QUICK._replace(data=npz, dtype=dtype, epochs=1, candidates=2, validation=200)
    result = commands.train(settings, out=tmp_path / "run")
    run = run_folder.load(tmp_path / "run")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(run.params)} == {dtype}
    assert run_folder.params_sha256(run.params) == result["params_sha256"]
    assert run.history["cost"].dtype == (np.float32 if dtype == "bfloat16" else np.float64)
    assert (tmp_path / "run" / "pictures" / "history.png").is_file()


@pytest.mark.slow
def test_small_colored_images_with_long_names_go_all_the_way(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(60, 6, 8, 3)), np.arange(60) % 12
    classes = np.array([f"kind of thing {i}" for i in range(12)])
    np.savez(
        tmp_path / "own.npz",
        images=images,
        labels=labels,
        test_images=images[:5],
        test_labels=labels[:5],
        classes=classes,
    )
    settings = QUICK._replace(data=str(tmp_path / "own.npz"), sizes=(5,), batch_size=7)
    result = commands.train(settings, out=tmp_path / "run")
    assert result["parameters"] == 144 * 5 + 5 + 5 * 12 + 12
    assert "pixel (row " in (tmp_path / "run" / "report.html").read_text()
    Image.fromarray(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    answer = commands.predict(tmp_path / "run", [tmp_path / "a.png"], out=tmp_path / "seen.png")[0]
    assert answer.answer in classes
    assert answer.image.shape == (6, 8, 3)


def test_what_is_no_run_is_refused(tmp_path, finished):
    with pytest.raises(FileNotFoundError, match="no run folder"):
        run_folder.load(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no run of jaxnet"):
        run_folder.load(tmp_path)


def test_divergence_is_told_and_the_last_good_state_saved(npz, tmp_path):
    settings = QUICK._replace(
        data=npz, activation="relu", output="identity", learning_rate=1e6, schedule="constant", initializer="he"
    )
    with pytest.raises(Diverged, match=r"step \d+ made .* NaN or infinite"):
        commands.train(settings, out=tmp_path / "run")
    run = run_folder.load(tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params))
    assert len(run.history["step"]) == int(run.state.step)
    assert "NaN or infinite" in run.result["diverged"]


def test_no_epochs_leave_the_random_start(npz, tmp_path):
    result = commands.train(QUICK._replace(data=npz, epochs=0), out=tmp_path / "run", pictures=False)
    assert result["steps"] == 0
    assert result["test_accuracy"] < 0.3
    assert not result["interrupted"]


@pytest.mark.slow
def test_a_watched_run_walks_the_same_and_keeps_its_signals(finished, npz, tmp_path):
    _, plain = finished
    told = []
    result = commands.train(
        QUICK._replace(data=npz), out=tmp_path / "run", watch_every=10, on_progress=told.append, pictures=False
    )
    assert result["params_sha256"] == plain["params_sha256"]
    loaded = run_folder.load(tmp_path / "run")
    assert loaded.signals["step"].tolist() == list(range(1, result["steps"] + 1, 10))
    np.testing.assert_allclose(
        loaded.signals["gradient_norm"] ** 2,
        sum(loaded.signals[f"gradient/{name}"] ** 2 for name, _ in bang.named_leaves(loaded.params)),
        rtol=1e-3,
    )
    with (tmp_path / "run" / "signals.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + len(loaded.signals["step"])
    assert len(run_report.of_signals(loaded.signals, loaded.params).figure.axes) == 4
    latest = next(seen.signals for seen in reversed(told) if seen.signals)
    assert list(latest) == [name for name, _ in bang.named_leaves(loaded.params)]
    text = rich.console.Console(width=140, record=True, file=io.StringIO())
    text.print(signals_table(latest))
    assert "layer 1, weights" in text.export_text()
    assert not run_folder.load(finished[0]).signals


@pytest.mark.slow
def test_several_candidates_are_watched_too(npz, tmp_path):
    settings = QUICK._replace(data=npz, candidates=2, epochs=1)
    commands.train(settings, out=tmp_path / "run", watch_every=20, pictures=False)
    signals = run_folder.load(tmp_path / "run").signals
    assert len(signals["step"]) == len(signals["ratio/0/weights"]) == 4
    with pytest.raises(ValueError, match="watch_every must be 0 or more steps, got -1"):
        commands.train(settings, out=tmp_path / "no", watch_every=-1)


def test_predict_reads_pictures(finished, mnist, tmp_path):
    folder, _ = finished
    rng = np.random.default_rng(0)
    files = []
    for i in range(3):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(on_paper(mnist.test.images[i], rng)).save(files[-1])
    answers = commands.predict(folder, files, out=tmp_path / "seen.png")
    assert [answer.file for answer in answers] == [str(file) for file in files]
    assert all(answer.answer in "0123456789" and 0 <= answer.confidence <= 1 for answer in answers)
    assert (tmp_path / "seen.png").is_file()
    with pytest.raises(ValueError, match="no picture to read"):
        commands.predict(folder, [])
    with pytest.raises(FileNotFoundError, match="no folder"):
        commands.predict(folder, files, out=tmp_path / "none" / "seen.png")


def test_an_image_of_the_data_set_is_read_like_the_array(finished, mnist, tmp_path):
    folder, _ = finished
    files = [tmp_path / f"{i}.png" for i in range(30)]
    for file, image in zip(files, mnist.test.images, strict=False):
        Image.fromarray(image).save(file)
    run = run_folder.load(folder)
    originals = jax.vmap(run.functions.apply, (None, 0))(run.params, mnist.test.images[:30]).argmax(-1)
    answers = commands.predict(folder, files)
    assert [answer.answer for answer in answers] == [run.classes[int(best)] for best in originals]
    assert sum(bool(answer.remarks) for answer in answers) <= 1


def test_a_blank_sheet_gets_no_answer_and_noise_a_remark(finished, tmp_path):
    folder, _ = finished
    Image.new("L", (90, 70), 240).save(tmp_path / "blank.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)).save(tmp_path / "noise.png")
    blank, noise = commands.predict(folder, [tmp_path / "blank.png", tmp_path / "noise.png"], as_is=True)
    assert _predict.UNLIKE in noise.remarks
    blank = commands.predict(folder, [tmp_path / "blank.png"])[0]
    assert blank.answer is None
    assert blank.outputs == ()
    assert "no digit to be seen" in blank.remarks[0]


def test_a_run_that_does_not_know_its_images_look_still_reads(finished, mnist, tmp_path):
    folder, _ = finished
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    told = json.loads((old / "settings.json").read_text())
    del told["look"]
    (old / "settings.json").write_text(json.dumps(told))
    with np.load(old / "record.npz") as file:
        columns = {name: column for name, column in file.items() if not name.startswith("likeness/")}
    np.savez(old / "record.npz", **columns)
    Image.fromarray(on_paper(mnist.test.images[0], np.random.default_rng(0))).save(tmp_path / "a.png")
    new, before = commands.predict(folder, [tmp_path / "a.png"])[0], commands.predict(old, [tmp_path / "a.png"])[0]
    assert new.answer == before.answer
    assert before.image.shape == (28, 28)
    assert not before.remarks


@pytest.mark.slow
def test_wide_reads_hand_drawn_like_digits_as_it_reads_the_originals(mnist, tmp_path):
    commands.train(presets.wide, out=tmp_path / "wide", pictures=False)
    rng = np.random.default_rng(1)
    files = []
    for i in range(20):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(on_paper(mnist.test.images[100 + i], rng, invert=i % 4 != 0)).save(files[-1])
    answers = commands.predict(tmp_path / "wide", files)
    run = run_folder.load(tmp_path / "wide")
    originals = jax.vmap(run.functions.apply, (None, 0))(run.params, mnist.test.images[100:120]).argmax(-1)
    assert sum(answer.answer == str(original) for answer, original in zip(answers, originals, strict=True)) >= 18


@pytest.mark.slow
def test_a_convnet_goes_all_the_way(npz, tmp_path):
    settings = presets.convnet._replace(data=npz, epochs=1, learning_rate=2e-3)
    result = commands.train(settings, out=tmp_path / "run", evaluate_every=0)
    assert result["test_accuracy"] > 0.5
    assert (tmp_path / "run" / "pictures" / "layers.png").is_file()
    assert not (tmp_path / "run" / "pictures" / "bang.png").exists()


@pytest.mark.slow
def test_the_command_line_trains_ranks_and_predicts(npz, tmp_path, mnist):
    done = jaxnet(
        "train", "--data", npz, "--epochs", 1, "--sizes", 8, "--seed", 4, "--no-pictures", "--json", cwd=tmp_path
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["out"] == "runs/film-1"
    assert result["parameters"] == 784 * 8 + 8 + 8 * 10 + 10
    assert {"test_accuracy", "cost", "seconds", "params_sha256"} <= set(result)
    assert "\r" not in done.stderr
    assert done.stderr.startswith("jaxnet 0")
    ranked = jaxnet("bang", "runs/film-1", "--k", 3, cwd=tmp_path).stdout
    assert len(re.findall(r"^ +\d  [+-]\d\.\d+e-\d+  nudge layer", ranked, re.M)) == 3
    Image.fromarray(on_paper(mnist.test.images[0], np.random.default_rng(0))).save(tmp_path / "digit.png")
    told = jaxnet("predict", "runs/film-1", "digit.png", cwd=tmp_path).stdout
    assert re.search(r"^digit\.png: \d \(\d+ %\)$", told, re.M)
    assert "▀" in told
    Image.new("L", (90, 70), 240).save(tmp_path / "blank.png")
    (tmp_path / "notes.png").write_text("no picture")
    files = ["blank.png", "notes.png", "none.png", "digit.png"]
    done = jaxnet("predict", "runs/film-1", *files, "--json", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert re.findall(r"^jaxnet: (\w+\.png):? ", done.stderr, re.M)[:3] == ["notes.png", "none.png", "blank.png"]
    assert "Traceback" not in done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert [answer["answer"] is None for answer in answers] == [True, False]
    assert answers[0]["remarks"]


def test_help_shows_what_each_preset_has(command):
    told = " ".join(command("train", "--help").out.replace("│", " ").split())
    assert "unset by default" not in told
    assert "(film: 1.5; nielsen: 3.0; modern: 0.01; wide: 0.016; convnet: 0.003)" in told
    assert "(film, modern: 16 16; nielsen: 30; wide: 256; convnet: none)" in told
    assert "(all presets: mnist)" in told
    assert "unset by default" not in command("sweep", "--help").out


@pytest.mark.slow
@pytest.mark.parametrize("command", ["", "train", "sweep", "bang", "predict", "film", "reproduce"])
def test_help_fits_on_80_columns_and_names_what_to_write(command, tmp_path):
    told = jaxnet(*command.split(), "--help", cwd=tmp_path, env=os.environ | {"COLUMNS": "80"}).stdout
    usage, _, rest = told.partition("\n\n")
    assert [line for line in rest.splitlines() if len(line) > 80] == []
    for riddle in ("{None}|PATH", "{None}|INT", "[[PATH", "(default: None)", "(default: )"):
        assert riddle not in told
    if command in ("bang", "predict"):
        assert "RUN" in usage


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "cp437"))]
)
def test_an_answer_comes_in_any_encoding(encoding, finished, mnist, tmp_path):
    Image.fromarray(on_paper(mnist.test.images[0], np.random.default_rng(0))).save(tmp_path / "ü.png")
    done = jaxnet(
        "predict", finished[0], "ü.png", "--json", cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding},
        encoding=encoding,
    )  # fmt: skip
    assert re.search(r"^.\.png: \d \(\d+ %\)$", done.stdout.replace("u?", "u"), re.M)
    assert json.loads(done.stdout.splitlines()[-1])[0]["answer"] in "0123456789"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--data", "nothing.npz"], 1, "nothing.npz; expected an .npz,"),
        (["train", "--out", "taken"], 1, "jaxnet: taken exists"),
        (["train", "--activation", "relo"], 2, "relu"),
        (["train", "--learning-rate", "-1"], 1, "jaxnet: learning_rate must be a positive number, got -1"),
        (["predict", "runs/none", "a.png"], 1, "jaxnet: no run folder runs/none"),
        (["bang", "taken"], 1, "jaxnet: taken holds no run"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line_and_an_exit_code(arguments, code, message, command, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = command(*arguments)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert code == 2 or len([line for line in done.err.splitlines() if line.startswith("jaxnet: ")]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_training_cleanly_with_what_there_is_saved(number, npz, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxnet", "train", "--data", npz, "--epochs", "100000", "--no-pictures", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(12)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    result = json.loads(out.splitlines()[-1])
    assert result["interrupted"]
    assert 0 < result["steps"] < result["num_steps"]
    run = run_folder.load(tmp_path / result["out"])
    assert int(run.state.step) == result["steps"] == len(run.history["step"])
    assert run_folder.params_sha256(run.params) == result["params_sha256"]
    assert [path.name for path in Path(tmp_path / "runs").iterdir()] == ["film-1"]
