"""However a command ends, by a signal, a full disk or another process, what was trained is on disk and nothing hidden is left."""

import contextlib
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from problems import as_npz

from jaxnet import __main__ as door
from jaxnet import commands, devices, ensemble, metrics, presets, training
from jaxnet.commands import _reproduce, _sweep, _train
from jaxnet.core import folders, locks
from jaxnet.experiments import cache
from jaxnet.reports import html, publishing
from jaxnet.reports.bang_report import BangResults
from jaxnet.training import config, fitting, records, run_folder, storage
from jaxnet.training.ensemble import together
from jaxnet.training.signals import stoppable
from jaxnet.training.tables import OPTIMIZERS

QUICK = presets.film._replace(epochs=1, sizes=(4,), seed=3)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_SIGNAL = [
    signal.SIGTERM,
    *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGHUP)),
]


@pytest.fixture(scope="module")
def npz(small, tmp_path_factory):
    return str(as_npz(tmp_path_factory.mktemp("data") / "digits.npz", small, 640, 200))


@pytest.fixture(scope="module")
def trained(npz, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    commands.train(QUICK._replace(data=npz), out=folder, pictures=False)
    return folder


@pytest.fixture
def refuge(monkeypatch, tmp_path):
    """The only other place there is."""
    place = tmp_path / "refuge"
    monkeypatch.setattr(folders, "refuges", lambda: iter([place]))
    return place


@pytest.fixture
def _as_the_command(monkeypatch):
    """SIGTERM and SIGHUP as the command line handles them."""
    before = [signal.signal(number, door._end) for number in SIGNALS[1:]]
    yield
    for number, handler in zip(SIGNALS[1:], before, strict=True):
        signal.signal(number, handler)


def hidden(folder):
    return list(Path(folder).rglob(".*"))


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def train(npz, out, **options):
    return commands.train(QUICK._replace(data=npz), out=out, **{"pictures": False} | options)


# Two processes, one folder.


def test_a_name_is_taken_by_one_process_at_a_time(tmp_path):
    with locks.locked(tmp_path / "run") as temporary:
        assert temporary.is_dir()
        with pytest.raises(locks.Locked, match=rf"run is being written by another process \(process {os.getpid()}\)"):
            locks.locked(tmp_path / "run").__enter__()
        assert folders.first_free(tmp_path, "run") == tmp_path / "run-1"
        with locks.locked(tmp_path / "run-1"):
            assert folders.first_free(tmp_path, "run") == tmp_path / "run-2"
    assert not list(tmp_path.iterdir())


def test_a_name_that_another_process_takes_first_gives_way_to_the_next(npz, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen, place = [], folders.place

    def late(out, name):
        chosen.append(place(out, name))
        if len(chosen) == 2:  # another process locks this name after it was chosen
            others.enter_context(locks.locked(chosen[-1]))
        if len(chosen) == 3:  # and one finishes in this name
            chosen[-1].mkdir()
        return chosen[-1]

    with contextlib.ExitStack() as others:
        monkeypatch.setattr(folders, "place", late)
        result = train(npz, None)
    assert [folder.name for folder in chosen] == ["film-1", "film-1", "film-2", "film-3"]
    assert result["out"].endswith("film-3")


def test_what_a_killed_process_left_is_cleared_and_what_it_was_replacing_comes_back(tmp_path):
    for name in (".run.0123abcd.unfinished", ".run.0123abcd.old", ".other.0123abcd.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in (".run.claim", ".other.claim", ".mine"):
        (tmp_path / name).write_text("process 1")
    (tmp_path / "run").mkdir()
    with locks.locked(tmp_path / "third"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"run", "other", ".mine"}
    assert (tmp_path / "other" / "file").read_text() == ".other.0123abcd.old"


def test_what_a_living_process_writes_is_not_cleared(tmp_path):
    with locks.locked(tmp_path / "run") as temporary, locks.locked(tmp_path / "other"):
        assert temporary.is_dir()


def test_a_second_training_in_the_same_folder_is_refused_before_it_begins(npz, tmp_path):
    with locks.locked(tmp_path / "run"), pytest.raises(locks.Locked, match="choose another --out"):
        train(npz, tmp_path / "run")
    with locks.locked(tmp_path / "sweep"), pytest.raises(locks.Locked, match="choose another --out"):
        _sweep.sweep(QUICK._replace(data=npz), out=tmp_path / "sweep")


def test_a_run_that_appears_meanwhile_is_kept_and_the_finished_one_too(tmp_path, monkeypatch):
    mine = folders.temporary_folder(tmp_path / "run")
    (mine / "result").write_text("mine")
    real = folders.require_free

    def check(folder, **options):
        real(folder, **options)
        folder.mkdir()
        (folder / "result").write_text("another's")

    monkeypatch.setattr(folders, "require_free", check)
    with pytest.raises(FileExistsError, match=r"exists now; the finished folder is kept in .*run-1"):
        folders.settle(mine, tmp_path / "run", written=run_folder.WRITTEN)
    assert (tmp_path / "run" / "result").read_text() == "another's"
    assert (tmp_path / "run-1" / "result").read_text() == "mine"
    assert not hidden(tmp_path)


# A full disk.


@pytest.mark.parametrize(
    ("module", "name"), [(records, "write_csv"), (np, "savez"), (storage, "_require_room"), (folders, "settle")]
)
def test_a_run_that_cannot_be_written_is_kept_elsewhere(module, name, trained, tmp_path, refuge, monkeypatch):
    run, real, calls = run_folder.load(trained), getattr(module, name), []

    def once(*arguments, **options):
        calls.append(name)
        return full() if len(calls) < 3 else real(*arguments, **options)

    with locks.locked(tmp_path / "out" / "run") as temporary:
        monkeypatch.setattr(module, name, once)
        with pytest.raises(
            OSError, match=r"out/run could not be written \(no space left on the device\).*kept in"
        ) as told:
            folders.save(
                functools.partial(_train._write, run), temporary, tmp_path / "out" / "run", written=run_folder.WRITTEN
            )
    kept = Path(str(told.value).partition("is kept in ")[2].partition(":")[0])
    again = run_folder.load(kept)
    assert run_folder.params_sha256(again.params) == run_folder.params_sha256(run.params)
    assert again.result["out"] == str(kept)
    assert not hidden(tmp_path)


def test_where_there_is_room_for_little_the_network_is_kept_without_its_record(npz, tmp_path, refuge, monkeypatch):
    real = records.write_csv
    monkeypatch.setattr(records, "write_csv", lambda path, table: full() if table else real(path, table))
    with pytest.raises(OSError, match=r"kept in .*, without its record of steps: move it"):
        train(npz, tmp_path / "run")
    (kept,) = tmp_path.glob("jaxnet-run-*")
    assert run_folder.load(kept).result["parameters"] == 784 * 4 + 4 + 50
    assert not hidden(tmp_path)


def test_where_nothing_can_be_written_the_message_says_what_was_tried(npz, tmp_path, refuge, monkeypatch):
    monkeypatch.setattr(run_folder, "write", full)
    with pytest.raises(OSError, match=r"nor could .*refuge, so the trained network is not saved; make room") as told:
        train(npz, tmp_path / "run", checkpoint_every=0)
    assert not hasattr(told.value, "__notes__")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_where_nothing_can_be_written_the_last_checkpoint_stays(npz, tmp_path, refuge, monkeypatch):
    with monkeypatch.context() as full_disk:
        full_disk.setattr(run_folder, "write", full)
        with pytest.raises(OSError, match="is not saved; make room") as told:
            train(npz, tmp_path / "run", checkpoint_every=1e-9)
    assert told.value.__notes__ == [
        f"its last checkpoint is kept: `jaxnet train --resume {tmp_path / 'run'}` continues from it"
    ]
    result = commands.resume(tmp_path / "run")
    assert result["params_sha256"] == train(npz, tmp_path / "other")["params_sha256"]


def test_a_disk_that_fills_while_drawing_costs_only_pictures(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "publish", full)
    with pytest.raises(OSError, match="No space left") as told:
        train(npz, tmp_path / "run", pictures=True)
    assert told.value.__notes__ == [f"the trained network is kept in {tmp_path / 'run'}"]
    run_folder.load(tmp_path / "run")
    assert not hidden(tmp_path)


# Scoring and drawing that fail after training.


def fails(*arguments, **options):
    raise MemoryError("no room for the outputs")


@pytest.mark.parametrize(
    ("settings", "module", "name"),
    [
        ({}, metrics, "predict"),
        ({"candidates": 2}, fitting, "_evaluate_stack"),
        pytest.param({}, metrics, "evaluation", marks=pytest.mark.slow),
    ],
)
def test_scoring_that_fails_loses_no_network(settings, module, name, npz, trained, tmp_path, monkeypatch):
    plain = run_folder.load(trained)
    monkeypatch.setattr(module, name, fails)
    with pytest.raises(MemoryError, match="no room for the outputs") as told:
        commands.train(QUICK._replace(data=npz, **settings), out=tmp_path / "run", evaluate_every=int(not settings))
    assert told.value.__notes__ == [f"the trained network is kept, without scores, in {tmp_path / 'run'}"]
    run = run_folder.load(tmp_path / "run")
    assert run.result["test_accuracy"] is run.result["cost"] is run.result["learned"] is None
    assert run.result["failed"] == "MemoryError: no room for the outputs"
    assert run.result["steps"] == run.result["num_steps"]
    if not settings:
        assert run.result["params_sha256"] == plain.result["params_sha256"]
    else:  # one of the candidates
        assert [leaf.shape for leaf in jax.tree.leaves(run.params)] == [
            leaf.shape for leaf in jax.tree.leaves(plain.params)
        ]
    assert not hidden(tmp_path)


def test_what_the_screen_cannot_show_loses_no_network(npz, tmp_path):
    def on_progress(seen):
        if seen.phase == "training":
            raise RuntimeError("no such color")

    with pytest.raises(RuntimeError, match="no such color"):
        train(npz, tmp_path / "run", on_progress=on_progress)
    run = run_folder.load(tmp_path / "run")
    assert 0 < run.result["steps"] == len(run.history["step"])


def test_the_command_says_in_one_line_where_an_unscored_network_is(npz, monkeypatch, command):
    monkeypatch.setattr(metrics, "predict", fails)
    done = command("train", "--data", npz, "--epochs", "1", "--sizes", "4", "--evaluate-every", "0")
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "jaxnet: this takes more memory than there is; no room for the outputs; "
        "the trained network is kept, without scores, in runs/film-1"
    )


@pytest.mark.parametrize("own_order", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_sweep_that_cannot_judge_keeps_what_it_trained(own_order, npz, tmp_path, monkeypatch):
    axes = {"learning_rate": [1.0, 2.0]}
    plain = _sweep.sweep(
        QUICK._replace(data=npz), axes, seeds=1, own_order=own_order, evaluate_every=0, out=tmp_path / "plain"
    )
    monkeypatch.setattr(together, "evaluate", fails)
    with pytest.raises(MemoryError, match="no room for the outputs") as told:
        _sweep.sweep(QUICK._replace(data=npz), axes, seeds=1, own_order=own_order, out=tmp_path / "sweep")
    assert told.value.__notes__ == [f"the numbers and the trained networks are kept in {tmp_path / 'sweep'}"]
    with np.load(tmp_path / "sweep" / "sweep.npz") as arrays:
        np.testing.assert_array_equal(arrays["group0/0/weights"][1], plain.results.params(1)[0].weights)
        assert np.isnan(arrays["costs"]).all()
        assert np.isfinite(arrays["train_costs"]).all()
    assert not hidden(tmp_path)


def test_a_sweep_whose_picture_cannot_be_drawn_keeps_its_numbers(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "png", fails)
    with pytest.raises(MemoryError) as told:
        _sweep.sweep(QUICK._replace(data=npz), {"learning_rate": [1.0]}, seeds=1, out=tmp_path / "sweep")
    assert "are kept in" in told.value.__notes__[0]
    written = {path.name for path in (tmp_path / "sweep").iterdir()}
    assert written == _sweep.WRITTEN - {"sweep.png", "sweep.html", "resume"}
    assert not hidden(tmp_path)


def test_a_look_whose_pictures_cannot_be_drawn_keeps_its_numbers(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "png", fails)
    found = BangResults({"lost": (Figure(), "a picture")}, {"dC/dp": [0.5]}, {}, {}, {"worth": np.ones(3)})
    with pytest.raises(MemoryError):
        publishing.publish_bang(tmp_path, run_folder.load(trained), found, title="", lead="")
    assert {path.name for path in (tmp_path / "bang").iterdir()} == {"arrays.npz", "parameters.csv"}


@pytest.mark.slow
def test_a_disk_that_fills_at_the_first_picture_leaves_nothing_hidden(npz, tmp_path, monkeypatch):
    real, begun = Path.write_bytes, []
    monkeypatch.setattr(html, "png", lambda figure: begun.append(figure) or b"picture")
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: full() if begun else real(path, content))
    with pytest.raises(OSError, match=r"No space left on device: .*pictures/\w+\.png"):
        train(npz, tmp_path / "run", pictures=True)
    run_folder.load(tmp_path / "run")
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_a_sweep_that_cannot_be_written_is_kept_elsewhere(npz, tmp_path, refuge, monkeypatch):
    write = lambda to, *rest: full() if to.name.startswith(".") else (to / "sweep.json").write_text("{}")
    monkeypatch.setattr(_sweep, "_write", write)
    with pytest.raises(OSError, match=r"what the sweep found is kept in .*jaxnet-sweep-1"):
        _sweep.sweep(QUICK._replace(data=npz), {"learning_rate": [1.0]}, seeds=1, out=tmp_path / "sweep")
    assert (tmp_path / "jaxnet-sweep-1" / "sweep.json").exists()
    assert not hidden(tmp_path)


def test_an_error_of_writing_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*page\.html"):
        folders.write_file(tmp_path / "page.html", b"")
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_through_a_link(tmp_path):
    (tmp_path / "link.png").symlink_to("real.png")
    folders.write_file(tmp_path / "link.png", b"picture")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"picture"


@pytest.mark.slow
def test_output_that_nobody_reads_loses_no_training(npz, tmp_path):
    def gone(seen):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError) as told:
        train(npz, tmp_path / "run", on_result=gone, on_progress=gone)
    assert "is kept in" in told.value.__notes__[0]
    run_folder.load(tmp_path / "run")


# Signals.


@pytest.mark.usefixtures("_as_the_command")
@pytest.mark.parametrize("number", ONE_SIGNAL)
def test_a_signal_while_loading_ends_at_once_and_the_training_can_be_continued(number, npz, tmp_path):
    with pytest.raises((KeyboardInterrupt, door.Ended)):
        train(npz, tmp_path / "run", on_progress=lambda seen: signal.raise_signal(number))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "resume", "run.json"]
    with pytest.raises(ValueError, match=r"has no network yet.* continue with `jaxnet train --resume"):
        run_folder.load(tmp_path / "run")
    result = commands.resume(tmp_path / "run")
    assert result["params_sha256"] == train(npz, tmp_path / "other")["params_sha256"]


@pytest.mark.usefixtures("_as_the_command")
@pytest.mark.parametrize(
    ("number", "phase"),
    [
        pytest.param(signal.SIGINT, "compiling", marks=pytest.mark.slow),
        (signal.SIGTERM, "training"),
        (signal.SIGHUP, "scoring"),
        pytest.param(signal.SIGTERM, "saving", marks=pytest.mark.slow),
    ],
)
def test_a_signal_while_training_or_saving_is_noted_and_the_network_saved(number, phase, npz, tmp_path, monkeypatch):
    if phase == "scoring":
        real_score = _train._scored
        monkeypatch.setattr(_train, "_scored", lambda *a: (signal.raise_signal(number), real_score(*a))[1])
    if phase == "saving":
        real_write = run_folder.write
        monkeypatch.setattr(run_folder, "write", lambda *a: (signal.raise_signal(number), real_write(*a))[1])
    real_walk = _train.fit_and_record

    def walk(*arguments, **options):
        if phase == "compiling":
            signal.raise_signal(number)
        return real_walk(*arguments, **options)

    monkeypatch.setattr(_train, "fit_and_record", walk)
    on_progress = lambda seen: signal.raise_signal(number) if seen.phase == phase == "training" else None
    result = train(npz, tmp_path / "run", on_progress=on_progress, pictures=True)
    assert result["signal"] == number
    assert not (tmp_path / "run" / "report.html").exists()
    assert run_folder.params_sha256(run_folder.load(tmp_path / "run").params) == result["params_sha256"]
    assert not hidden(tmp_path)


@pytest.mark.usefixtures("_as_the_command")
@pytest.mark.parametrize("number", ONE_SIGNAL)
def test_a_signal_while_drawing_ends_the_drawing_alone(number, npz, tmp_path):
    on_progress = lambda seen: signal.raise_signal(number) if seen.phase == "drawing" else None
    with pytest.raises((KeyboardInterrupt, door.Ended)) as told:
        train(npz, tmp_path / "run", on_progress=on_progress, pictures=True)
    assert told.value.__notes__ == [f"the trained network is kept in {tmp_path / 'run'}"]
    run_folder.load(tmp_path / "run")


def test_only_a_second_ctrl_c_half_a_second_later_insists(monkeypatch):
    with stoppable() as asked:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.raise_signal(number)
        assert asked == [15, 15, 1, 2]
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 2)
        with stoppable(insist=False):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable() as asked:
            signal.raise_signal(signal.SIGHUP)
        assert not asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", ONE_SIGNAL)
def test_the_command_ends_with_128_plus_the_signal(number, npz, tmp_path, monkeypatch, command):
    real = run_folder.write
    monkeypatch.setattr(run_folder, "write", lambda *a: (signal.raise_signal(number), real(*a))[1])
    done = command("train", "--data", npz, "--epochs", "1", "--sizes", "4")
    assert done.code == 128 + number
    assert (tmp_path / done.out.splitlines()[-1]).exists()


# Names, links, permissions, environments.


@pytest.mark.parametrize("overwrite", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_link_is_written_through(overwrite, npz, tmp_path, trained):
    if overwrite:
        shutil.copytree(trained, tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    train(npz, tmp_path / "link", overwrite=overwrite)
    assert (tmp_path / "link").is_symlink()
    run_folder.load(tmp_path / "real")
    assert {path.name for path in tmp_path.iterdir()} == {"link", "real"}


def test_a_link_in_a_circle_and_names_that_are_not_utf8_are_refused_before_training(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(FileExistsError, match=r"link that leads nowhere|circle exists"):
        commands.train(QUICK, out=tmp_path / "circle")
    with pytest.raises(ValueError, match=r"udcff.* is not a UTF-8 name; choose another --out"):
        commands.train(QUICK, out=tmp_path / os.fsdecode(b"\xff"))
    with pytest.raises(ValueError, match=r"udcff.* is not a UTF-8 name; rename the file"):
        commands.train(QUICK._replace(data=os.fsdecode(b"\xff.npz")))


@pytest.mark.parametrize(("umask", "folder_mode", "file_mode"), [(0o077, 0o700, 0o600), (0o002, 0o775, 0o664)])
def test_the_umask_decides_who_may_read(umask, folder_mode, file_mode, trained, tmp_path):
    run, before = run_folder.load(trained), os.umask(umask)
    try:
        with locks.locked(tmp_path / "run") as temporary:
            folders.save(functools.partial(_train._write, run), temporary, tmp_path / "run", written=run_folder.WRITTEN)
        folders.write_file(tmp_path / "run" / "report.html", b"")
    finally:
        os.umask(before)
    mode = lambda path: path.stat().st_mode & 0o777
    assert mode(tmp_path / "run") == folder_mode
    assert {mode(path) for path in (tmp_path / "run").rglob("*") if path.is_file()} == {file_mode}


def test_without_a_home_nothing_is_kept_for_the_next_process(monkeypatch, tmp_path):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv(devices.NO_CACHE, raising=False)
    (tmp_path / "file").touch()
    assert devices.keep_compilations(tmp_path / "file" / "below") is None
    monkeypatch.setattr(Path, "home", nobody)
    assert list(folders.refuges())
    kept = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        assert devices.keep_compilations() is None
    finally:
        jax.config.update("jax_compilation_cache_dir", kept)


@pytest.mark.parametrize("error", [RuntimeError("Unable to initialize backend 'cuda'"), AssertionError()])
def test_a_platform_that_is_not_there_is_named_with_the_remedy(error, monkeypatch):
    def none(*arguments):
        raise error

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    for look in (lambda: devices.find("gpu"), lambda: devices.arithmetic().__enter__()):
        with pytest.raises(ValueError, match=r"JAX_PLATFORMS=cuda asks for a device .* set JAX_PLATFORMS=cpu"):
            look()


def test_strict_promotion_ends_where_jaxnet_computes():
    with jax.numpy_dtype_promotion("strict"), devices.arithmetic():
        assert (jnp.zeros(2, jnp.int32) + jnp.zeros(2)).dtype == jnp.float32


def test_options_need_no_docstrings(monkeypatch):
    monkeypatch.setattr(config.TrainConfig, "__doc__", None)
    assert set(config.meanings()) == set(config.TrainConfig._fields)


# What was learned.


def test_a_training_that_fails_says_so(npz, tmp_path):
    settings = QUICK._replace(data=npz, optimizer="adam", learning_rate=500.0)
    result = commands.train(settings, out=tmp_path / "run", pictures=False)
    assert not result["learned"]
    assert result["test_accuracy"] < 0.2
    run = run_folder.load(tmp_path / "run")
    publishing._write(tmp_path / "run", run, {}, [])
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"The training failed: a network that always answers {result['most_frequent']} is right for" in page
    assert commands.train(QUICK._replace(data=npz, epochs=0), out=tmp_path / "start", pictures=False)["learned"]


@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_every_optimizer_has_its_learning_rate(preset):
    settings = presets.PRESETS[preset]
    assert set(presets.RATES[preset]) == set(OPTIMIZERS)
    assert presets.RATES[preset][settings.optimizer] == settings.learning_rate
    for optimizer, rate in presets.RATES[preset].items():
        told = presets.note_on_rate(settings, {"optimizer": optimizer})
        assert presets.with_changes(settings, optimizer=optimizer).learning_rate == rate
        assert [f"learning rate {rate:g} for {optimizer}" in line for line in told] == [True] * (
            rate != settings.learning_rate
        )
    assert (
        presets.RATES[preset]["adam"] == presets.RATES[preset]["adamw"]
    )  # without weight decay they take the same steps
    own = settings._replace(learning_rate=0.123)
    assert presets.with_changes(own, optimizer="momentum").learning_rate == 0.123
    assert presets.with_changes(settings, optimizer="momentum", learning_rate=0.2).learning_rate == 0.2


def test_a_sweep_over_optimizers_gives_each_its_rate(npz, tmp_path, monkeypatch):
    rates = []
    monkeypatch.setattr(ensemble, "check", lambda members: rates.extend(m.learning_rate for m in members) or full())
    with pytest.raises(OSError, match="No space left"):
        _sweep.sweep(QUICK._replace(data=npz), {"optimizer": ["sgd", "adam"]}, seeds=1, out=tmp_path / "sweep")
    assert rates == [1.5, presets.RATES["film"]["adam"]]


@pytest.mark.parametrize("seed", [-3, 2**32, 5 + 2**64, True])
def test_a_seed_that_stands_for_another_is_refused(seed):
    for look in (config.require_seed, training.keys, lambda seed: config.check(QUICK._replace(seed=seed))):
        with pytest.raises(ValueError, match="seed must be"):
            look(seed)


@pytest.mark.parametrize("sizes", [(64, 16, 4), (64, 4), (16, 5), (63, 16, 5)])
def test_sizes_that_may_name_all_layers_are_asked_about(sizes):
    with pytest.raises(
        ValueError, match=f"give all layers: 64 {' '.join(map(str, sizes))} 5 for these hidden layers, or 64 "
    ):
        config.require_sizes(sizes, 64, 5)
    config.require_sizes((64, *sizes, 5), 64, 5)


@pytest.mark.parametrize("sizes", [(), (64,), (5,), (64, 64), (5, 5, 5), (16, 16), (64, 16, 5)])
def test_sizes_that_mean_one_thing_are_taken(sizes):
    config.require_sizes(sizes, 64, 5)
    whole = config.all_sizes(sizes, 64, 5)
    assert whole == (sizes if sizes == (64, 16, 5) else (64, *sizes, 5))


def test_a_network_larger_than_the_memory_is_refused(small):
    with pytest.raises(ValueError, match=r"sizes 100000000000 give .* parameters, which need .* GB; this machine has"):
        training.plan(QUICK._replace(sizes=(10**11,)), small)


# Run folders with a damaged or changed file.


def flip(folder):
    largest = max((folder / "checkpoint").rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 64
    largest.write_bytes(bytes(content))


def changed(name, **values):
    def spoil(folder):
        there = json.loads((folder / name).read_text())
        for field, value in values.items():
            inside = there["settings"] if field in config.TrainConfig._fields else there
            if value is None:
                del inside[field]
            else:
                inside[field] = value
        (folder / name).write_text(json.dumps(there))

    return spoil


def other_numbers(folder):
    there = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(there | {"params_sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (flip, "it is damaged, because its sha256 is not the recorded one"),
        (other_numbers, "its parameters do not have the sha256 in result.json"),
        (lambda f: (f / "checkpoint" / "ocdbt.process_0" / "manifest.ocdbt").unlink(), "there is no checkpoint/ocdbt"),
        (lambda f: shutil.rmtree(f / "checkpoint"), "there is no checkpoint/"),
        (
            lambda f: shutil.rmtree(f / "checkpoint") or changed("settings.json", checkpoint={})(f),
            "there is no checkpoint",
        ),
        (lambda f: (f / "record.npz").write_bytes(b""), "record.npz"),
        (lambda f: (f / "record.npz").unlink(), "there is no record.npz"),
        (lambda f: (f / "result.json").write_text("[" * 100_000), "result.json"),
        (lambda f: (f / "result.json").write_bytes(b"\xff\xfe"), "result.json"),
        (lambda f: (f / "settings.json").write_text("[]"), "expected names with values, got a list"),
        (changed("settings.json", versions=None), "settings.json: there is no field versions"),
        (changed("settings.json", optimizer=None), "settings.json: there is no field optimizer"),
        (changed("settings.json", classes="abc"), "field classes must be a list, each a text, got 'abc'"),
        (changed("settings.json", epochs="three"), "field epochs must be a whole number, got 'three'"),
        (changed("settings.json", sizes=[16, 10**400]), "settings.json"),
        (changed("settings.json", dropout=2), "settings.json: dropout must be a fraction"),
    ],
)
def test_a_damaged_run_is_refused_with_the_files_name(spoil, found, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    spoil(tmp_path / "run")
    with pytest.raises(ValueError, match="restore the folder from a copy, or train again") as told:
        run_folder.load(tmp_path / "run")
    assert found in str(told.value)
    assert "\n" not in str(told.value)


# experiment.json, changed by hand.


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("noise", {"taught": None}, "s.json: taught must be a list, each a text"),
        ("noise", {"seeds": [{}]}, "s.json: seeds must be a whole number"),
        ("noise", {"seeds": -2}, "s.json: seeds must not be negative, got -2"),
        ("minima", {"widths": 5}, "s.json: widths must be a list, each a whole number"),
        ("minima", {"learning_rate": float("nan")}, "s.json: learning_rate must be finite"),
        ("minima", {"widths": []}, "s.json: widths must not be empty"),
        ("downhill", {"side": 0}, "s.json: side must be more than 0, got 0"),
        (
            "nielsen",
            {"more": 1},
            "s.json holds no settings of nielsen: the file has the fields networks, seeds, choose, more",
        ),
    ],
)
def test_settings_changed_by_hand_are_refused_with_file_field_and_remedy(name, change, found, tmp_path):
    settings = _reproduce.entry_of(name).experiment.quick._asdict() | change
    (tmp_path / "s.json").write_text(json.dumps({"experiment": name, "settings": settings}))
    with pytest.raises(ValueError, match=r"the quick settings use|such as|needs the fields") as told:
        _reproduce.settings_from(name, tmp_path / "s.json")
    assert found in str(told.value)


@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, "\udcff", '{"settings": 3}'])
def test_settings_that_are_none_are_refused(content, tmp_path):
    (tmp_path / "s.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"s\.json holds no settings of noise: .*needs the fields seeds"):
        _reproduce.settings_from("noise", tmp_path / "s.json")


def test_a_name_that_an_experiment_does_not_know_is_one_line():
    settings = _reproduce.entry_of("lecun").experiment.quick._replace(networks=("784-20-10",))
    with pytest.raises(
        ValueError, match="cannot be done with these settings: there is no '784-20-10'; its quick settings"
    ):
        _reproduce.plan("lecun", settings=settings)


def test_a_folder_of_parts_that_says_nothing_readable_is_refused(tmp_path):
    (tmp_path / "experiment.json").write_text("[")
    with pytest.raises(ValueError, match=r"experiment\.json cannot be read .*--again"):
        cache.shelf(tmp_path, {})


def test_a_part_that_does_not_fit_on_the_disk_is_kept_elsewhere(tmp_path, monkeypatch):
    real = Path.write_bytes
    monkeypatch.setattr(cache, "refuges", lambda: iter([tmp_path / "refuge"]))
    shelf = cache.shelf(tmp_path / "out", {})
    monkeypatch.setattr(
        Path, "write_bytes", lambda path, content: full() if "parts" in path.parts else real(path, content)
    )
    with pytest.raises(OSError, match=r"the computed part is kept in .*refuge/jaxnet-one\.npz: make room"):
        shelf.keep("one", lambda: {"values": np.ones(2)})
    monkeypatch.undo()
    shutil.move(tmp_path / "refuge" / "jaxnet-one.npz", tmp_path / "out" / "parts" / "one.npz")
    assert cache.shelf(tmp_path / "out", {}).keep("one", full)["values"].tolist() == [1, 1]
    assert not hidden(tmp_path)


# The same from outside, as a user meets it.

SPOILED = """
import os, signal, sys
from jaxnet import __main__, training
from jaxnet.commands import _train
from jaxnet.core import folders
from jaxnet.reports import html
from jaxnet.training import run_folder
number, phase = int(sys.argv[1]), sys.argv[2]
def kill(function):
    def killed(*arguments, **options):
        os.kill(os.getpid(), number)
        return function(*arguments, **options)
    return killed
where = {"loading": (training, "dataset"), "planning": (training, "plan"), "compiling": (_train, "fit_and_record"),
         "scoring": (_train, "_scored"), "saving": (run_folder, "write"), "settling": (folders, "settle"), "drawing": (html, "png")}
module, name = where[phase]
setattr(module, name, kill(getattr(module, name)))
sys.argv = ["jaxnet", *sys.argv[3:]]
__main__.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("phase", ["loading", "planning", "compiling", "scoring", "saving", "settling", "drawing"])
def test_a_signal_in_any_phase_has_its_exit_code_and_loses_nothing(number, phase, npz, tmp_path):
    words = ["train", "--data", npz, "--epochs", "2"]
    done = subprocess.run(
        [sys.executable, "-c", SPOILED, str(int(number)), phase, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert not hidden(tmp_path)
    if phase not in ("loading", "planning"):
        run_folder.load(tmp_path / "runs" / "film-1")
        assert "runs/film-1" in done.stdout + done.stderr
        assert all((tmp_path / line).exists() for line in done.stdout.splitlines() if line.startswith("runs/"))


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_sweep_with_its_exit_code_and_saves_it(number, npz, tmp_path):
    words = ["sweep", "--data", npz, "--epochs", "100000", "--seeds", "2", "--learning-rate", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxnet", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(12)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert (tmp_path / out.splitlines()[-1]).exists()
    assert not hidden(tmp_path)


@pytest.mark.slow
def test_after_a_kill_the_next_run_leaves_nothing_hidden(npz, tmp_path):
    words = [sys.executable, "-m", "jaxnet", "train", "--data", npz, "--no-pictures", "--epochs"]
    process = subprocess.Popen([*words, "100000"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(10)
    process.kill()
    process.wait()
    assert hidden(tmp_path)
    subprocess.run([*words, "1"], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["film-1", "film-2"]
    assert [path.name for path in (tmp_path / "runs" / "film-1").iterdir()] == ["resume"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["train", "--epochs", "1", "--no-pictures", "--data"]])
def test_output_to_a_full_device_is_one_line(words, npz, tmp_path):
    words = [*words, npz] if words[-1] == "--data" else words
    with Path("/dev/full").open("w") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "jaxnet", *words], cwd=tmp_path, stdout=stdout, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr.splitlines()[-1]
    if words[0] == "train":
        assert "kept in runs/film-1" in done.stderr
        run_folder.load(tmp_path / "runs" / "film-1")


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"JAX_PLATFORMS": "cuda"}, {"PYTHONOPTIMIZE": "2"}, {"HOME": "/nonexistent/home"}])
def test_an_odd_environment_is_one_line_or_none(change, npz, tmp_path):
    words = ["train", "--data", npz, "--epochs", "1", "--no-pictures"]
    done = subprocess.run(
        [sys.executable, "-m", "jaxnet", *words], cwd=tmp_path, env=os.environ | change, capture_output=True, text=True
    )
    assert done.returncode == (1 if "JAX_PLATFORMS" in change else 0), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [40, 90, 400])
def test_files_of_limited_length_lose_nothing_silently(blocks, npz, tmp_path):
    words = [sys.executable, "-m", "jaxnet", "train", "--data", npz, "--epochs", "200", "--out", "run"]
    limited = ["bash", "-c", f'ulimit -f {blocks}; exec "$@"', "bash", *words]
    environment = os.environ | {"JAXNET_NO_COMPILATION_CACHE": "1"}
    done = subprocess.run(limited, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    found = done.stderr.partition(" is kept in ")[2].partition(":")[0].partition(",")[0]
    if found:
        run_folder.load(tmp_path / found.strip())
        if not (tmp_path / found.strip()).is_relative_to(tmp_path):
            shutil.rmtree(found)
    else:
        assert "so the trained network is not saved; make room" in done.stderr
    assert not hidden(tmp_path)
