"""A training that was ended and continued, again and again, equals a training that was never ended, bit for bit."""

import itertools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import bang, devices, gradient_descent, training
from jaxnet.training import checkpoints, fitting, storage
from jaxnet.training.checkpoints import Checkpoints
from jaxnet.training.presets import film

TINY = film._replace(sizes=(4,), epochs=3, batch_size=50)
MOMENTUM = TINY._replace(optimizer="momentum", learning_rate=0.2, schedule="cosine")
KEYED = TINY._replace(dropout=0.3, activation="relu")
CASES = {
    "film": (TINY, 0),
    "momentum and cosine": (MOMENTUM, 0),
    "keys": (KEYED, 0),
    "candidates": (TINY._replace(candidates=3), 0),
    "double precision": (TINY._replace(dtype="float64", optimizer="momentum", learning_rate=0.2), 0),
    "watched": (TINY._replace(epochs=2), 7),
}


def ended_and_continued(plan, folder, *, chunks, watch_every=0, last=False):
    """Train, but end after every `chunks` chunks of steps and continue with a new object, as a new process would."""
    for starts in itertools.count(1):
        asked, seen = [], itertools.count(1)
        result = training.fit_and_record(
            plan, watch_every=watch_every, asked=asked, checkpoints=Checkpoints(folder, every=0, last=last),
            on_progress=lambda progress, asked=asked, seen=seen: asked.append(15) if next(seen) == chunks else None,
        )  # fmt: skip
        if result.signal is None:
            return result, starts
    raise AssertionError


def differences(one, other):
    """What differs between two results."""
    tables = ("history", "evaluations", "signals")
    same = lambda a, b: set(a) == set(b) and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
    found = [table for table in tables if not same(getattr(one, table), getattr(other, table))]
    leaves = zip(jax.tree.leaves(one.state), jax.tree.leaves(other.state), strict=True)
    return found + ["state"] * (not all(np.array_equal(a, b, equal_nan=True) for a, b in leaves))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "momentum and cosine" else pytest.mark.slow) for name in CASES],
)
@pytest.mark.parametrize("resident", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_continued_training_is_the_training_never_ended(name, resident, small, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_forced", resident)
    settings, watch_every = CASES[name]
    with devices.arithmetic(dtype=settings.dtype):
        plan = training.plan(settings, small)
        whole = training.fit_and_record(plan, watch_every=watch_every)
        result, starts = ended_and_continued(plan, tmp_path, chunks=1, watch_every=watch_every)
    assert {leaf.dtype for leaf in jax.tree.leaves(result.state.params)} == {np.dtype(settings.dtype)}
    assert starts > 1
    assert differences(result, whole) == []
    assert result.chosen == whole.chosen


class ForgetsTheMemory(Checkpoints):
    def restore(self, state, info):
        found = super().restore(state, info)
        return found._replace(state=found.state._replace(opt_state=state.opt_state))


def test_a_version_that_forgets_anything_is_noticed(small, tmp_path, monkeypatch):
    plan = training.plan(MOMENTUM, small)
    whole = training.fit_and_record(plan)
    monkeypatch.setitem(globals(), "Checkpoints", ForgetsTheMemory)
    assert "state" in differences(ended_and_continued(plan, tmp_path / "memory", chunks=1)[0], whole)
    monkeypatch.undo()

    real = fitting._batches
    monkeypatch.setattr(fitting, "_batches", lambda plan, *, first=0: itertools.islice(real(plan), 3 - first // 40))
    assert "state" in differences(ended_and_continued(plan, tmp_path / "order", chunks=1)[0], whole)

    plan = training.plan(KEYED, small)
    monkeypatch.undo()
    whole = training.fit_and_record(plan)

    def same_keys(plan, *, first=0):
        return (chunk._replace(key=next(real(plan)).key) if first else chunk for chunk in real(plan, first=first))

    monkeypatch.setattr(fitting, "_batches", same_keys)
    assert "state" in differences(ended_and_continued(plan, tmp_path / "keys", chunks=1)[0], whole)


def saved(folder, small, settings=MOMENTUM):
    """A folder with the checkpoints of the steps 40 and 80 of 120."""
    plan = training.plan(settings, small)
    for _ in range(2):
        asked, seen = [], itertools.count(1)
        training.fit_and_record(
            plan, asked=asked, checkpoints=Checkpoints(folder, every=0),
            on_progress=lambda progress, asked=asked, seen=seen: asked.append(15) if next(seen) == 1 else None,
        )  # fmt: skip
    return plan, Checkpoints(folder).steps()


def test_every_changed_byte_of_the_record_is_noticed(tmp_path):
    path = tmp_path / "record.json"
    told = {"steps": [1, 25], "seconds": 1.5, "name": "a", "none": None}
    storage.write_json(path, told)
    assert storage.read_json(path) == told
    content = path.read_bytes()
    for i in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:i] + bytes([content[i] ^ (1 << bit)]) + content[i + 1 :])
            try:
                found = storage.read_json(path)
            except ValueError:
                continue
            assert found == told, "another kind of white space"


def damages(path):
    content = path.read_bytes()
    middle = len(content) // 2
    yield "cut short", lambda: path.write_bytes(content[:middle])
    yield "removed", path.unlink
    yield (
        "changed",
        lambda: path.write_bytes(
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"more"
        ),
    )


def test_a_damaged_checkpoint_gives_way_to_the_one_before(small, tmp_path, caplog):
    plan, steps = saved(tmp_path / "good", small)
    assert len(steps) == 2
    state = jax.jit(plan.functions.descent.init)(plan.params)
    info = next(training.fit(plan)).info
    last = tmp_path / "good" / str(steps[1])
    files = [last.with_suffix(".json"), *(path for path in last.rglob("*") if path.is_file())]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        for how, damage in damages(path):
            damage()
            caplog.clear()
            found = Checkpoints(tmp_path / "good").restore(state, info)
            # without its list of files, a folder is the unfinished work of a killed process
            assert found.step == steps[0], (path, how)
            assert (str(tmp_path / "good" / str(steps[1])) in caplog.text) or path.suffix == ".json", (path, how)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    assert Checkpoints(tmp_path / "good").restore(state, info).step == steps[1]
    for step in steps:
        (tmp_path / "good" / f"{step}.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is damaged .*restore the folder from a copy, or train again"):
        Checkpoints(tmp_path / "good").restore(state, info)


def test_checkpoints_of_another_training_or_a_newer_version_are_refused(small, tmp_path):
    _, steps = saved(tmp_path / "run", small)
    other = training.plan(MOMENTUM._replace(sizes=(5,)), small)
    with pytest.raises(
        ValueError,
        match=r"belongs to another training: its params/0/weights is float32\[4, 784\], this training has float32\[5, 784\]",
    ):
        next(training.fit(other, checkpoints=Checkpoints(tmp_path / "run")))
    path = tmp_path / "run" / f"{steps[1]}.json"
    storage.write_json(path, storage.read_json(path) | {"format": checkpoints.FORMAT + 1})
    with pytest.raises(ValueError, match="written by a newer version"):
        next(training.fit(other, checkpoints=Checkpoints(tmp_path / "run")))
    with pytest.raises(ValueError, match="every must be 0 or more seconds"):
        Checkpoints(tmp_path, every=-1)


def test_a_full_disk_ends_no_training_and_leaves_the_checkpoints_before(small, tmp_path, monkeypatch, caplog):
    plan = training.plan(MOMENTUM, small)
    whole = training.fit_and_record(plan)
    real, count = storage.save_tree, itertools.count(1)

    def full(folder, tree):
        if next(count) > 1:
            raise OSError(28, "No space left on device", str(folder))
        return real(folder, tree)

    monkeypatch.setattr(storage, "save_tree", full)
    kept = Checkpoints(tmp_path, every=1e-9)
    result = training.fit_and_record(plan, checkpoints=kept, on_progress=lambda progress: kept.wait())
    assert differences(result, whole) == []
    assert kept.steps() == [40]
    assert caplog.text.count("a checkpoint could not be written") == 1
    assert "no space left on the device" in caplog.text
    assert kept.failed == "no space left on the device"


def test_what_a_killed_process_left_is_ignored_and_removed(small, tmp_path):
    plan, _ = saved(tmp_path, small)
    (tmp_path / "100.orbax-checkpoint-tmp-7").mkdir()
    (tmp_path / "100").mkdir()
    (tmp_path / ".unfinished-1.json").write_text("{")
    assert Checkpoints(tmp_path).steps() == [40, 80]
    whole, _ = ended_and_continued(plan, tmp_path, chunks=9, last=True)
    assert {path.name for path in tmp_path.iterdir()} == {"80", "80.json", "120", "120.json"}
    assert differences(whole, training.fit_and_record(plan)) == []


def test_a_state_that_is_not_finite_is_never_saved(small, tmp_path):
    wild = TINY._replace(activation="relu", output="identity", learning_rate=1e9)
    plan = training.plan(wild, small)
    kept = Checkpoints(tmp_path, every=1e-9)
    result = training.fit_and_record(plan, checkpoints=kept)
    assert result.diverged is not None
    assert kept.steps() == []


@pytest.mark.slow
@pytest.mark.parametrize("endless", [False, True])
def test_any_cost_pytree_and_batches_continue(endless, small, tmp_path):
    cost = lambda p, batch: jnp.mean((batch["x"] @ p["w"] + p["shift"][0][None] - batch["y"]) ** 2)
    descent = bang.watch(gradient_descent(cost, optax.adam(1e-2)), every=2)
    start = jax.jit(descent.init)({"w": jnp.ones((3, 2)), "shift": [jnp.zeros(2)]})
    rng = np.random.default_rng(0)
    batches = [{"x": rng.normal(size=(8, 3)).astype("f4"), "y": rng.normal(size=(8, 2)).astype("f4")} for _ in range(9)]
    plan = training.plan(TINY, small)
    walk = lambda count, folder: list(
        itertools.islice(
            training.fit(
                plan, descent=descent, state=start, batches=iter(batches) if endless else batches, evaluate_every=0,
                checkpoints=Checkpoints(folder, every=1e-9),
            ),
            count,
        )
    )  # fmt: skip
    whole = walk(9, tmp_path / "whole")
    for _ in range(30):  # the thread may not have finished a checkpoint when the process ends
        *_, last = walk(4, tmp_path / "parts")
        if last.step == 9:
            break
    assert last.step == 9
    jax.tree.map(np.testing.assert_array_equal, last.state, whole[-1].state)


def test_batches_cut_in_another_way_are_refused(small, tmp_path):
    plan, _ = saved(tmp_path, small)
    longer = [jax.tree.map(lambda leaf: np.stack([leaf[:50]] * 60), small.train._replace(key=None))] * 2
    with pytest.raises(ValueError, match="pass the batches in the same chunks as before"):
        list(training.fit(plan, batches=longer, checkpoints=Checkpoints(tmp_path)))


def test_nothing_is_told_twice(small, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    saved(tmp_path, small)
    assert "absl" not in {record.name for record in caplog.records}


def test_random_keys_and_narrow_types_in_the_state_continue(tmp_path):
    state = {
        "key": jax.random.key(3),
        "half": jnp.arange(3, dtype=jnp.bfloat16),
        "on": jnp.array([True, False]),
        "n": jnp.int32(7),
    }
    kept = Checkpoints(tmp_path)
    kept.save(checkpoints.Checkpoint(5, state, {"cost": np.arange(5.0)}, (), 1.5))
    found = Checkpoints(tmp_path).restore(state)
    assert found.step == 5
    assert found.seconds == 1.5
    np.testing.assert_array_equal(found.info["cost"], np.arange(5.0))
    assert jax.random.uniform(found.state["key"]) == jax.random.uniform(state["key"])
    for name in ("half", "on", "n"):
        assert found.state[name].dtype == state[name].dtype
        np.testing.assert_array_equal(found.state[name], state[name])
