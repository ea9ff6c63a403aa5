"""Watching changes nothing, says what is so, and speaks to any logger."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import bang, data, gradient_descent, losses, network, train
from jaxnet.core.descent import Descent, vmapped
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
NAMES = ["0/weights", "0/biases", "1/weights", "1/biases", "2/weights", "2/biases"]


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0))


@pytest.fixture(scope="module")
def descent():
    return gradient_descent(film_cost, optax.adam(0.01))


def walked(descent, params, small, steps=10, chunks=2):
    infos = []
    for state, info in train(
        descent, descent.init(params), data.shuffled(jax.random.key(1), small.train, 20, steps=steps)
    ):
        infos.append(info)
        if len(infos) == chunks:
            return state, jax.tree.map(lambda *parts: np.concatenate(parts), *infos)
    raise AssertionError


def by_hand(descent, params, small, steps):
    """Every step's gradient, update and the parameters after it, one by one, without the watch."""
    state, rows = descent.init(params), []
    for batch in data.shuffled(jax.random.key(1), small.train, 20, steps=1):
        batch = jax.tree.map(lambda leaf: leaf[0], batch)
        grads = jax.grad(film_cost)(state.params, batch)
        after, _ = descent.update(state, batch)
        updates = jax.tree.map(lambda new, old: new - old, after.params, state.params)
        rows.append([jax.tree.leaves(tree) for tree in (grads, updates, after.params)])
        state = after
        if len(rows) == steps:
            return rows
    raise AssertionError


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_the_walk_is_the_same_bit_for_bit(every, descent, params, small):
    plain, _ = walked(descent, params, small)
    watched, info = walked(bang.watch(descent, every=every), params, small)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(watched.inner), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(watched.step) == 20
    looked = ~np.isnan(info.signals.gradient).all(1)
    np.testing.assert_array_equal(looked, np.arange(20) % every == 0)
    assert int(watched.memory.looked) == looked.sum()


def test_the_signals_are_what_numpy_makes_of_every_step(descent, params, small):
    rows = by_hand(descent, params, small, 20)
    _, info = walked(bang.watch(descent), params, small)
    norm = lambda leaf: np.linalg.norm(np.asarray(leaf, np.float64))
    for i, (grads, updates, own) in enumerate(rows):
        gains = np.array([-np.vdot(np.float64(g), np.float64(u)) for g, u in zip(grads, updates, strict=True)])
        np.testing.assert_allclose(info.signals.gradient[i], [norm(g) for g in grads], rtol=1e-4)
        ratio = [norm(u) / norm(p) if norm(p) else np.nan for u, p in zip(updates, own, strict=True)]
        np.testing.assert_allclose(info.signals.ratio[i], ratio, rtol=1e-3)
        np.testing.assert_allclose(info.signals.share[i], gains / gains.sum(), rtol=1e-3, atol=1e-4)
        flipped = gains[::-1] / gains.sum()
        assert not np.allclose(info.signals.share[i], flipped, atol=1e-2)
    lit = [np.any([np.asarray(grads[leaf]) != 0 for grads, _, _ in rows], axis=0) for leaf in range(6)]
    np.testing.assert_array_equal(info.signals.never_lit[-1], [np.sum(~seen) for seen in lit])
    assert info.signals.never_lit[-1][0] > 1000
    mean, square = np.zeros(16), np.zeros(16)
    for grads, _, _ in rows:
        g = np.asarray(grads[1], np.float64)
        mean, square = 0.98 * mean + 0.02 * g, 0.98 * square + 0.02 * g**2
    mean, square = mean / (1 - 0.98**20), square / (1 - 0.98**20)
    clarity = np.sqrt(np.sum(mean**2) / np.sum(square - mean**2))
    assert info.signals.clarity[-1][1] == pytest.approx(clarity, rel=1e-3)


def test_a_parameter_that_falls_silent_is_dead_and_one_that_never_spoke_was_never_lit(monkeypatch):
    from jaxnet.bang import monitor

    monkeypatch.setattr(monitor, "REMEMBERED", 3)
    cost = lambda p, weight: jnp.sum(p * weight)
    descent = bang.watch(gradient_descent(cost, 0.1))
    weights = jnp.array([[1.0, 1, 0]] + [[1.0, 0, 0]] * 5)
    _, info = jax.lax.scan(descent.update, descent.init(jnp.ones(3)), weights)
    assert info.signals.never_lit[:, 0].tolist() == [1] * 6
    assert info.signals.dead[:, 0].tolist() == [0, 0, 0, 1, 1, 1]


def test_only_what_is_asked_for_is_computed(descent, params):
    watched = bang.watch(descent, signals=["gradient"])
    state = watched.init(params)
    assert state.memory.dark is None
    assert state.memory.mean is None
    _, info = jax.eval_shape(watched.update, state, Batch(np.zeros((4, 28, 28), np.uint8), np.zeros(4, int)))
    assert [name for name, value in info.signals._asdict().items() if value is not None] == ["gradient"]


@pytest.mark.slow
def test_many_networks_are_watched_at_once(params, small):
    both = vmapped(bang.watch(gradient_descent(film_cost, 0.5), every=2))
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf * 0.5]), params)
    _, info = walked(both, pair, small, steps=4, chunks=1)
    assert info.signals.gradient.shape == (4, 2, 6)
    _, single = walked(bang.watch(gradient_descent(film_cost, 0.5), every=2), params, small, steps=4, chunks=1)
    np.testing.assert_allclose(info.signals.gradient[:, 0], single.signals.gradient, rtol=1e-5)


@pytest.mark.slow
def test_half_precision_is_measured_in_single(small):
    params = network.init(jax.random.key(0), dtype=jnp.bfloat16)
    _, info = walked(bang.watch(gradient_descent(film_cost, 0.5)), params, small)
    assert info.signals.gradient.dtype == np.float32
    assert np.isfinite(info.signals.clarity[1:]).all()


def test_loggers_get_the_watched_steps_by_name(descent, params, small):
    _, info = walked(bang.watch(descent, every=5), params, small)
    names = [name for name, _ in bang.named_leaves(params)]
    assert names == NAMES
    calls = []

    class Run:  # speaks as wandb.log and mlflow.log_metrics do
        def log(self, values, step=None):
            calls.append((step, values))

    bang.emit(info, names, Run().log, step=100)
    assert [step for step, _ in calls] == [100, 105, 110, 115]
    assert calls[1][1]["ratio/2/biases"] == pytest.approx(float(info.signals.ratio[5, 5]))
    assert calls[0][1]["cost"] == pytest.approx(float(info.cost[0]))
    assert len(calls[0][1]) == 2 + 6 * 6


def test_tensorboard_reads_what_was_logged(descent, params, small, tmp_path):
    board = pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    _, info = walked(bang.watch(descent, every=10), params, small)
    with board.SummaryWriter(str(tmp_path)) as writer:
        bang.emit(info, NAMES, lambda values, step: [writer.add_scalar(k, v, step) for k, v in values.items()], step=0)
    (file,) = tmp_path.iterdir()
    assert b"gradient/0/weights" in file.read_bytes()


def test_nonsense_is_refused(descent):
    with pytest.raises(ValueError, match="does not show its gradient"):
        bang.watch(Descent(descent.init, descent.update))
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        bang.watch(descent, every=0)
    with pytest.raises(ValueError, match=r"signals are gradient, ratio, .*; got norm"):
        bang.watch(descent, signals=["norm"])  # pyright: ignore[reportArgumentType]


def test_the_first_watched_step_counts_even_where_its_clarity_is_unknown(descent, params, small):
    _, info = walked(bang.watch(descent, every=5, signals=["clarity", "gradient"]), params, small)
    assert [offset for offset, _ in bang.signal_rows(info, NAMES)] == [0, 5, 10, 15]
