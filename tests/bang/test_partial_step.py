"""The budget curve is proven by really taking the steps, and descent on a budget moves exactly what it may."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxnet import bang, data, gradient_descent, losses, network, train
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
FRACTIONS = (0.01, 0.05, 0.2, 1.0)


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0))


@pytest.fixture(scope="module")
def batch(mnist):
    return Batch(mnist.train.images[:1500], mnist.train.labels[:1500])


@pytest.fixture(scope="module")
def grads(params, batch):
    return jax.grad(film_cost)(params, batch)


@given(arrays.arrays(np.float64, 12, elements=st.floats(0, 1e6)).filter(lambda values: values.sum() > 1e-3))
def test_the_curve_rises_from_nothing_to_everything_and_bends_down(values):
    curve = bang.lorenz({"a": values[:5], "b": values[5:]})
    assert curve.bought[0] == 0
    assert curve.bought[-1] == pytest.approx(1)
    steps = np.diff(curve.bought)
    assert (steps >= 0).all()
    assert (np.diff(steps) <= 1e-12).all()
    assert -1e-9 <= curve.gini <= 1


def test_gini_is_zero_for_equals_and_nearly_one_for_a_single_earner():
    assert bang.lorenz(np.ones(100)).gini == pytest.approx(0, abs=1e-9)
    assert bang.lorenz(np.eye(1, 100)).gini == pytest.approx(0.99)
    pairs = np.array([1.0, 2.0, 4.0, 9.0])
    by_definition = np.abs(pairs[:, None] - pairs[None]).sum() / (2 * 4**2 * pairs.mean())
    assert bang.lorenz(pairs).gini == pytest.approx(by_definition)


@pytest.mark.slow
def test_the_curve_predicts_what_the_steps_really_buy(params, batch, grads):
    updates = jax.tree.map(lambda g: -1e-2 * g, grads)
    spent = bang.take_partial_step(film_cost, FRACTIONS)(params, batch, updates)
    assert spent.kept.tolist() == [131, 651, 2601, 13_002]
    np.testing.assert_allclose(spent.measured, spent.predicted, rtol=0.02)
    curve = bang.lorenz(bang.earned(grads, updates))
    np.testing.assert_allclose(spent.predicted / spent.predicted[-1], curve.bought[spent.kept], rtol=1e-4)
    worst = jax.tree.map(lambda u, keep: u * (1 - keep), updates, bang.top_mask(bang.earned(grads, updates), 0.99))
    wrong = film_cost(params, batch) - film_cost(jax.tree.map(jnp.add, params, worst), batch)
    assert not np.isclose(float(wrong), spent.predicted[0], rtol=0.5), (
        "the worst hundredth instead of the best is caught"
    )


def test_a_proof_says_how_far_it_is():
    seen = []
    prove = bang.take_partial_step(
        lambda p, b: jnp.mean((p["x"][None] - b) ** 2),
        [0.5, 1.0],
        on_progress=lambda done, total: seen.append((done, total)),
    )
    prove({"x": np.ones(3, np.float32)}, np.ones((2001, 3), np.float32) / 2, {"x": np.full(3, -0.1, np.float32)})
    # The cost before the step and after each of the two steps, over three pieces of at most 1,000 examples.
    assert seen == [(done, 9) for done in range(1, 10)]


@pytest.mark.slow
def test_a_long_step_does_not_keep_the_promise(params, batch, grads):
    spent = bang.take_partial_step(film_cost, [1.0])(params, batch, jax.tree.map(lambda g: -3.0 * g, grads))
    assert not np.isclose(spent.measured, spent.predicted, rtol=0.02)


@pytest.mark.parametrize("fraction", [0.001, 0.05, 0.5])
def test_exactly_so_many_are_kept_even_where_all_are_equal(fraction):
    tree = {"a": jnp.ones(700), "b": jnp.zeros((3, 100))}
    kept = sum(int(leaf.sum()) for leaf in jax.tree.leaves(bang.top_mask(tree, fraction)))
    assert kept == int(1000 * fraction)
    assert float(bang.top_mask(tree, fraction)["b"].sum()) == 0


@pytest.mark.parametrize("optimizer", [optax.sgd(0.5), optax.adamw(1e-3)], ids=["sgd", "adamw"])
def test_only_the_best_move_and_they_move_as_the_optimizer_says(optimizer, params, grads):
    frugal = bang.keep_top(optimizer, 0.05)
    updates, _ = jax.jit(frugal.update)(grads, frugal.init(params), params)
    usual, _ = optimizer.update(grads, optimizer.init(params), params)
    new, old = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (updates, usual))
    moved = np.flatnonzero(new)
    gains = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(bang.earned(grads, usual))])
    assert len(moved) == 651
    np.testing.assert_allclose(new[moved], old[moved], rtol=1e-6)
    assert gains[moved].min() >= np.delete(gains, moved).max()


def test_a_full_budget_is_the_optimizer_itself_and_a_small_one_still_learns(mnist, small):
    params = network.init(jax.random.key(0))

    def walked(optimizer):
        descent = gradient_descent(film_cost, optimizer)
        batches = data.shuffled(jax.random.key(1), small.train, 20, epochs=2)
        *_, (state, info) = train(descent, descent.init(params), batches)
        return state.params, float(jnp.mean(info.cost))

    usual, full, frugal = (
        walked(bang.keep_top(optax.sgd(1.0), part) if part else optax.sgd(1.0)) for part in (0, 1, 0.05)
    )
    for a, b in zip(jax.tree.leaves(usual[0]), jax.tree.leaves(full[0]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert frugal[1] < 0.95
    assert frugal[1] > usual[1]


def test_nonsense_is_refused(params, batch, grads):
    for fraction in (0, 1.5, -0.1):
        with pytest.raises(ValueError, match=f"above 0 and at most 1, got {fraction}"):
            bang.keep_top(optax.sgd(1.0), fraction)
    with pytest.raises(ValueError, match="sum to a positive number, got 0"):
        bang.lorenz(np.zeros(3))
    with pytest.raises(
        ValueError,
        match=r"the updates must have the shapes of the parameters; '0/weights' is",
    ):
        bang.take_partial_step(film_cost)(params, batch, jax.tree.map(lambda g: g[..., :1], grads))
    summed = lambda p, b: film_cost(p, b) * len(b.labels)
    with pytest.raises(ValueError, match="not a mean over examples"):
        bang.take_partial_step(summed)(params, batch, grads)
    with pytest.raises(ValueError, match="still computes in float32"):
        bang.take_partial_step(lambda p, b: film_cost(p, b).astype(jnp.float32))(params, batch, grads)
