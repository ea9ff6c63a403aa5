"""`jaxnet train --resume`: a run folder whose training was killed, ended or finished, and what cannot be continued."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from problems import as_npz

from jaxnet import commands, presets
from jaxnet.core import locks
from jaxnet.training import resume, run_folder, storage

QUICK = presets.film._replace(epochs=3, sizes=(4,), seed=3)
CONSTANT = QUICK._replace(schedule="constant", optimizer="momentum", learning_rate=0.2)


@pytest.fixture(scope="module")
def npz(small, tmp_path_factory):
    return as_npz(tmp_path_factory.mktemp("data") / "digits.npz", small, 640, 200)


@pytest.fixture(scope="module")
def whole(npz, tmp_path_factory):
    """A run that was never ended."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    commands.train(QUICK._replace(data=str(npz)), out=folder, pictures=False)
    return folder


def ended(npz, folder, settings=QUICK, *, steps=20, **options):
    """A run that a signal ended after some steps."""
    signals = lambda seen: signal.raise_signal(signal.SIGTERM) if seen.step >= steps else None
    return commands.train(settings._replace(data=str(npz)), out=folder, pictures=False, on_progress=signals, **options)


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("history.csv", "evaluations.csv")}


def test_a_run_that_a_signal_ended_is_scored_and_continues(npz, whole, tmp_path):
    first = ended(npz, tmp_path / "run")
    assert first["interrupted"]
    assert 0 < first["steps"] < first["num_steps"]
    assert run_folder.load(tmp_path / "run").result["test_accuracy"] is not None
    result = commands.resume(tmp_path / "run")
    assert not result["interrupted"]
    assert result["params_sha256"] == run_folder.load(whole).result["params_sha256"]
    assert files(tmp_path / "run") == files(whole)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in whole.iterdir()}


def test_a_killed_process_loses_nothing(npz, whole, tmp_path):
    arguments = [sys.executable, "-m", "jaxnet", "train", "--data", npz, "--sizes", "4", "--seed", "3", "--epochs", "3",
                 "--no-pictures", "--out", "run", "--checkpoint-every", "1e-9"]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, arguments)), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    folder = resume.checkpoints_of(tmp_path / "run")
    for _ in range(6000):
        if list(folder.glob("*.json")) or process.poll() is not None:
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    result = commands.resume(tmp_path / "run")
    assert result["params_sha256"] == run_folder.load(whole).result["params_sha256"]
    assert files(tmp_path / "run") == files(whole)
    assert not list(tmp_path.glob(".run*"))


def unfinished(npz, folder, settings=QUICK, **options):
    """A run whose process was killed after its second checkpoint: only the part for `resume` is there."""
    result = ended(npz, folder, settings, **options)
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != resume.FOLDER:
            shutil.rmtree(path)
    return result


@pytest.mark.parametrize(
    ("changes", "watch_every"), [({}, 0), pytest.param({"candidates": 2}, 5, marks=pytest.mark.slow)]
)
def test_a_run_that_is_not_finished_is_read_at_its_last_checkpoint(changes, watch_every, npz, tmp_path, caplog):
    first = unfinished(npz, tmp_path / "run", QUICK._replace(**changes), watch_every=watch_every)
    run = run_folder.load(tmp_path / "run")
    assert "is not finished; this is its checkpoint after 20 of 60 steps" in caplog.text
    assert run.result["steps"] == first["steps"] == int(run.state.step) == len(run.history["cost"])
    if not changes:
        assert run.result["params_sha256"] == first["params_sha256"]
    assert run.result["test_accuracy"] is None
    assert run.evaluations["step"].tolist() == [20]
    digit = run_folder.load(tmp_path / "run").functions.apply(run.params, np.zeros((28, 28), np.uint8))
    assert digit.shape == (10,)
    assert commands.resume(tmp_path / "run")["steps"] == 60


@pytest.mark.slow
def test_more_epochs_are_those_of_a_training_that_had_them_from_the_start(npz, tmp_path):
    short, long = (CONSTANT._replace(data=str(npz), epochs=epochs) for epochs in (1, 3))
    commands.train(short, out=tmp_path / "run", pictures=False)
    result = commands.resume(tmp_path / "run", epochs=3)
    other = commands.train(long, out=tmp_path / "other", pictures=False)
    assert result["params_sha256"] == other["params_sha256"]
    assert files(tmp_path / "run") == files(tmp_path / "other")
    assert run_folder.load(tmp_path / "run").settings.epochs == 3


@pytest.mark.slow
def test_a_finished_run_gives_its_result_again_and_draws_missing_pictures(npz, whole, tmp_path):
    told = []
    result = commands.resume(whole, on_result=told.append)
    assert told == [result]
    assert result["params_sha256"] == run_folder.load(whole).result["params_sha256"]
    assert (whole / "report.html").exists()


@pytest.mark.slow
def test_a_new_training_begins_with_old_parameters(npz, whole, tmp_path):
    settings = QUICK._replace(data=str(npz), learning_rate=1e-12, epochs=1, optimizer="momentum")
    commands.train(settings, out=tmp_path / "new", pictures=False, start_from=whole)
    old, new = run_folder.load(whole), run_folder.load(tmp_path / "new")
    for one, other in zip(old.params, new.params, strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-8)
    with pytest.raises(
        ValueError, match=r"do not fit the settings: 0/weights is .*\(4, 784\).* there and .*\(5, 784\)"
    ):
        commands.train(settings._replace(sizes=(5,)), out=tmp_path / "wider", start_from=whole)
    assert not (tmp_path / "wider").exists()
    first = ended(npz, tmp_path / "ended", settings._replace(learning_rate=0.1, epochs=3), start_from=whole)
    assert first["interrupted"]
    again = commands.resume(tmp_path / "ended")
    other = commands.train(
        settings._replace(learning_rate=0.1, epochs=3), out=tmp_path / "other", pictures=False, start_from=whole
    )
    assert again["params_sha256"] == other["params_sha256"]


def test_other_data_are_noticed(npz, tmp_path):
    own = tmp_path / "own.npz"
    own.write_bytes(npz.read_bytes())
    ended(own, tmp_path / "run")
    with np.load(own) as arrays:
        np.savez(own, **{**arrays, "labels": arrays["labels"][::-1]})
    with pytest.raises(ValueError, match=r"is not the one that .*run began with.*--start-from"):
        commands.resume(tmp_path / "run")
    own.write_bytes(npz.read_bytes())
    assert commands.resume(tmp_path / "run")["steps"] == 60


def test_without_new_checkpoints_the_old_ones_still_count(npz, whole, tmp_path):
    unfinished(npz, tmp_path / "run")
    seen = []
    result = commands.resume(
        tmp_path / "run", checkpoint_every=0, on_progress=lambda progress: seen.append(progress.step)
    )
    assert result["params_sha256"] == run_folder.load(whole).result["params_sha256"]
    assert min(step for step in seen if step) > 20


def test_two_processes_never_continue_one_run(npz, tmp_path):
    ended(npz, tmp_path / "run")
    with locks.locked(tmp_path / "run"), pytest.raises(FileExistsError, match="is being written by another process"):
        commands.resume(tmp_path / "run")


def test_an_unfinished_run_is_not_replaced_in_silence(npz, tmp_path):
    unfinished(npz, tmp_path / "run")
    with pytest.raises(
        FileExistsError, match=r"not finished; continue it with --resume .*, replace it with --overwrite"
    ):
        commands.train(QUICK._replace(data=str(npz)), out=tmp_path / "run")
    commands.train(QUICK._replace(data=str(npz)), out=tmp_path / "run", overwrite=True, pictures=False)
    assert not resume.exists(tmp_path / "run")
    with pytest.raises(FileExistsError, match=r"run exists; choose another --out, or --overwrite to replace it"):
        commands.train(QUICK._replace(data=str(npz)), out=tmp_path / "run")


def test_an_old_run_stays_until_the_new_one_is_finished(npz, whole, tmp_path):
    settings = QUICK._replace(data=str(npz), epochs=1)
    old = commands.train(settings, out=tmp_path / "run", pictures=False)

    def killed(seen):
        if seen.step >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.train(
            QUICK._replace(data=str(npz)), out=tmp_path / "run", overwrite=True, pictures=False, on_progress=killed
        )
    assert run_folder.load(tmp_path / "run").result["params_sha256"] == old["params_sha256"]
    result = commands.resume(tmp_path / "run")
    assert result["params_sha256"] == run_folder.load(whole).result["params_sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--resume", "run", "--learning-rate", "3"],
            r"--resume continues run with its own settings, got --learning-rate",
        ),
        (
            ["--resume", "run", "--out", "x", "--watch-every", "2"],
            "got --out, --watch-every; leave --out, --watch-every out",
        ),
        (["--resume", "nothing"], "no folder nothing"),
        (["--resume", "run", "--epochs", "2"], "epochs must be more than the 3 epochs of run"),
        (["--resume", "run", "--epochs", "9"], r"schedule linear, .*`jaxnet train --start-from run`"),
        (["--checkpoint-every", "-1"], "checkpoint_every must be 0 or more seconds, got -1"),
    ],
)
def test_what_cannot_be_continued_is_one_line(arguments, message, whole, tmp_path, command):
    (tmp_path / "run").symlink_to(whole)
    found = command("train", *arguments)
    assert found.code == 1
    assert re.search(message, found.err), found.err
    assert found.err.count("\n") <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told: told | {"format": 99}, "a newer version of jaxnet wrote it .*install the newer version"),
        (lambda told: told | {"watch_every": "often"}, "field watch_every must be a whole number, got 'often'"),
        (lambda told: told | {"wish": 1}, "run.json: there is no field wish; restore the folder from a copy"),
    ],
)
def test_a_changed_record_of_the_beginning_is_named(change, message, npz, tmp_path):
    unfinished(npz, tmp_path / "run")
    path = tmp_path / "run" / "resume" / "run.json"
    told = storage.read_json(path)
    storage.write_json(path, change(told))
    with pytest.raises(ValueError, match=message):
        commands.resume(tmp_path / "run")
    for damaged in ("[]", path.read_text()[:100], json.dumps(told | {"settings": told["settings"] | {"seed": 4}})):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r"run.json: .*restore the folder from a copy, or train again"):
            commands.resume(tmp_path / "run")


def test_the_command_continues_and_gives_the_result(npz, tmp_path, command):
    ended(npz, tmp_path / "run")
    found = command("train", "--resume", str(tmp_path / "run"), "--json")
    assert found.code == 0
    assert "test images right" in found.out
    assert json.loads(found.out.splitlines()[-1])["steps"] == 60
