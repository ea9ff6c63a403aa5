"""The measured worth is what plain nudging gives, its terms are what they are called, and wrong versions are caught."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.flatten_util import ravel_pytree

from jaxnet import bang, losses, network
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
relu = functools.partial(network.apply, activation=network.relu, output=network.identity)
COSTS = {
    "film": film_cost,
    "relu": losses.average(relu, losses.cross_entropy),
    "softmax": losses.average(functools.partial(network.apply, activation=jax.nn.softmax), losses.squared_error),
}


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0))


@pytest.fixture(scope="module")
def some(mnist):
    return Batch(mnist.train.images[:60], mnist.train.labels[:60])


@pytest.fixture(scope="module")
def found(params, some):
    return bang.worth(film_cost)(params, some)


@pytest.fixture(scope="module")
def tiny():
    """A network and images small enough to nudge every parameter by hand, with pixels that no image lights."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (12, 3, 3), dtype=np.uint8)
    images[:, 0, 0] = 0
    images[images < 100] = 0
    return network.init(jax.random.key(1), [9, 5, 4, 3]), Batch(images, generator.integers(0, 3, 12))


def nudged_by_hand(params, batch, entries, sizes):
    """Falls of the film's cost in numpy, float64: the whole network again for every nudge."""
    flat, unravel = ravel_pytree(params)
    flat = np.asarray(flat, np.float64)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))

    def cost(vector):
        lit = np.asarray(batch.images, np.float64).reshape(len(batch.labels), -1) / 255
        start = 0
        for weights, biases in unravel(np.zeros(len(flat), np.float32)):
            w = vector[start : start + weights.size].reshape(weights.shape)
            b = vector[start + weights.size : start + weights.size + biases.size]
            start += weights.size + biases.size
            lit = sigmoid(lit @ w.T + b)
        return np.mean(np.sum((lit - np.eye(lit.shape[1])[np.asarray(batch.labels)]) ** 2, axis=1))

    found = np.zeros((len(sizes), len(entries)))
    for row, size in enumerate(sizes):
        for column, (entry, step) in enumerate(zip(entries, size, strict=True)):
            moved = flat.copy()
            moved[entry] += step
            found[row, column] = cost(flat) - cost(moved)
    return found


def test_two_hundred_random_nudges_equal_plain_nudging_in_numpy(params, some, found):
    entries = bang.sample(jax.random.key(5), params, 200)
    way = np.where(found.gradient[entries] > 0, -1.0, 1.0)
    by_hand = nudged_by_hand(params, some, entries, found.sizes[:, None] * way)
    assert np.abs(found.measured[:, entries] - by_hand).max() < 1e-10
    flipped = nudged_by_hand(params, some, entries, -found.sizes[:, None] * way)
    assert np.abs(found.measured[:, entries] - flipped).max() > 1e-3, "a flipped sign is caught"
    transposed = np.asarray(found.measured[:, : 16 * 784].reshape(-1, 16, 784).transpose(0, 2, 1).reshape(4, -1))
    inner = entries[entries < 16 * 784]
    assert np.abs(transposed[:, inner] - by_hand[:, : len(inner)]).max() > 1e-4, "a transposed layer is caught"


def test_single_precision_would_not_do(params, some, found):
    entries = bang.sample(jax.random.key(5), params, 50)
    cost, (flat, unravel) = jax.jit(film_cost), ravel_pytree(params)
    way = np.where(found.gradient[entries] > 0, -1.0, 1.0)
    base = float(cost(params, some))
    in_single = [
        base - float(cost(unravel(flat.at[e].add(0.001 * w)), some)) for e, w in zip(entries, way, strict=True)
    ]
    assert np.abs(np.array(in_single) - found.measured[0, entries]).max() > 1e-8


def test_what_the_prediction_leaves_out_is_curvature_and_then_shrinks_with_the_third_power(params, some, found):
    sizes = [0.04, 0.02, 0.01]
    worth = bang.worth(film_cost, sizes=sizes)(params, some)
    rest = worth.measured - worth.predicted + worth.curvature * worth.sizes[:, None] ** 2 / 2
    zero = worth.gradient == 0
    assert 3000 < zero.sum() < 10_000, "few images light few pixels"
    assert np.abs(rest[:, zero]).max() < 1e-15
    largest = np.abs(rest).max(1)
    np.testing.assert_allclose(largest[:-1] / largest[1:], 8, rtol=0.05)
    without_curvature = np.abs(worth.measured - worth.predicted).max(1)
    np.testing.assert_allclose(without_curvature[:-1] / without_curvature[1:], 4, rtol=0.1)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "film" else pytest.mark.slow) for name in COSTS],
)
def test_gradient_and_curvature_are_those_of_the_cost_for_every_parameter(name, tiny):
    params, batch = tiny
    worth = bang.worth(COSTS[name], sizes=[0.1])(params, batch)
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params))
        of_vector = jax.jit(lambda vector: COSTS[name](unravel(vector), batch))
        hessian = np.diag(np.asarray(jax.jit(jax.hessian(of_vector))(flat)))
        gradient = np.asarray(jax.jit(jax.grad(of_vector))(flat))
        moved = np.array([float(of_vector(flat.at[i].add(-0.1 if g > 0 else 0.1))) for i, g in enumerate(gradient)])
        start = float(of_vector(flat))
    assert np.abs(worth.curvature - hessian).max() < 1e-6 * np.abs(hessian).max()
    np.testing.assert_allclose(worth.gradient, gradient, atol=1e-12)
    np.testing.assert_allclose(worth.measured[0], start - moved, atol=1e-12)
    assert worth.cost == pytest.approx(start)


def test_the_dense_sweep_is_only_for_what_it_understands(tiny):
    from jaxnet.bang._dense import dense_form
    from jaxnet.bang.nudging import _one_neuron_changes

    params, batch = tiny
    form = dense_form(COSTS["softmax"], params, batch)
    assert not _one_neuron_changes(form, params, batch)
    assert _one_neuron_changes(dense_form(COSTS["film"], params, batch), params, batch)
    assert dense_form(lambda p, b: COSTS["film"](p, b), params, batch) is None
    positional = losses.average(functools.partial(network.apply, params), losses.squared_error)
    assert dense_form(positional, params, batch) is None


def test_the_plain_sweep_says_the_same(tiny):
    params, batch = tiny
    fast = bang.worth(film_cost)(params, batch)
    slow = bang.worth(lambda p, b: film_cost(p, b))(params, batch)
    for name in ("measured", "predicted", "curvature", "best_fall"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=1e-6, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(fast.radius, slow.radius, rtol=1e-4)


def test_the_radius_is_where_the_prediction_is_off_by_a_tenth(tiny):
    params, batch = tiny
    worth = bang.worth(film_cost)(params, batch)
    finite = np.flatnonzero(np.isfinite(worth.radius))
    assert len(finite) > 60
    way = np.where(worth.gradient > 0, -1.0, 1.0)[finite]
    fall = nudged_by_hand(params, batch, finite, (worth.radius[finite] * way)[None])[0]
    off = np.abs(fall / (worth.radius * np.abs(worth.gradient))[finite] - 1)
    assert np.quantile(np.abs(off - 0.1), 0.95) < 1e-3
    np.testing.assert_allclose(off, 0.1, atol=0.02)
    assert np.isnan(worth.radius[worth.gradient == 0]).all()


def test_the_radius_and_best_step_of_a_bowl_are_known():
    worth = bang.worth(lambda p, b: jnp.mean(b) * problems.bowl(p, None))({"x": 2.0, "y": -1.0}, np.ones(3))
    np.testing.assert_allclose(worth.curvature, [1, 10])
    np.testing.assert_allclose(worth.radius, 0.2 * np.array([2, 1]), rtol=1e-6)
    np.testing.assert_allclose(worth.best_step, [-2, 1], rtol=1e-6)
    np.testing.assert_allclose(worth.best_fall, [2, 5], rtol=1e-6)
    np.testing.assert_array_equal(bang.wrong_signs(worth), False)
    far = bang.worth(lambda p, b: jnp.mean(b) * problems.bowl(p, None), sizes=[3.0])({"x": 2.0, "y": -1.0}, np.ones(3))
    assert bang.wrong_signs(far).tolist() == [[False, True]]


def test_a_measurement_says_how_far_it_is():
    seen = []
    cost = lambda p, b: jnp.mean(b) * problems.bowl(p, None)
    worth = bang.worth(cost, sizes=[0.1, 1.0], on_progress=lambda done, total: seen.append((done, total)))
    worth({"x": 2.0, "y": -1.0}, np.ones(3))
    total = seen[0][1]
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert total > 2, "the sizes, and the searches after them"


@pytest.mark.slow
def test_no_step_on_a_fine_grid_buys_more_than_the_best(tiny):
    params, batch = tiny
    worth = bang.worth(film_cost)(params, batch)
    way = np.where(worth.gradient > 0, -1.0, 1.0)
    grid = np.geomspace(1e-3, 10, 400)
    entries = np.flatnonzero(worth.gradient)[::4]
    falls = nudged_by_hand(params, batch, entries, grid[:, None] * way[entries])
    assert (worth.best_fall[entries] >= falls.max(0) * 0.99).all()
    at_best = nudged_by_hand(params, batch, entries, worth.best_step[entries][None])[0]
    np.testing.assert_allclose(worth.best_fall[entries], at_best, atol=1e-12)


@pytest.mark.slow
def test_a_large_model_is_measured_in_part(params, some, found):
    grads = jax.grad(film_cost)(params, jax.tree.map(jnp.asarray, some))
    best = bang.largest(grads, 5)
    np.testing.assert_allclose([nudge.gradient for nudge in bang.top(grads, 5)], found.gradient[best], rtol=1e-4)
    part = bang.worth(film_cost, entries=best)(params, some)
    np.testing.assert_allclose(part.measured, found.measured[:, best], atol=1e-13)
    outputs = bang.positions(params, "2/*")
    most = bang.worth(film_cost, entries=np.concatenate([outputs, np.arange(4000)]))(params, some)
    np.testing.assert_array_equal(most.measured[:, : len(outputs)], found.measured[:, outputs])
    tree = bang.scatter(part.gradient, params, best)
    assert np.isfinite(np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])).sum() == 5


def test_nudges_can_mislead_when_they_are_long(found):
    wrong = bang.wrong_signs(found)
    assert wrong[0].sum() == 0
    assert wrong[-1].sum() > 10
    assert (found.measured[wrong] < 0).all()


def test_nonsense_is_refused(tiny):
    params, batch = tiny
    with pytest.raises(ValueError, match=r"sizes must be positive numbers up to farthest, 10.0; got \[-1\]"):
        bang.worth(film_cost, sizes=[-1])
    with pytest.raises(ValueError, match=r"tolerance must lie between 0 and 1, got 2\.0"):
        bang.worth(film_cost, tolerance=2.0)
    with pytest.raises(ValueError, match=r"positions between 0 and 88"):
        bang.worth(film_cost, entries=np.array([89]))(params, batch)
    with pytest.raises(ValueError, match="still computes in float32"):
        bang.worth(lambda p, b: film_cost(p, b).astype(jnp.float32))(params, batch)
    with pytest.raises(ValueError, match="not a mean over examples: 12 examples"):
        bang.worth(lambda p, b: film_cost(p, b) * len(b.labels))(params, batch)
    with pytest.raises(ValueError, match="at least one example"):
        bang.worth(film_cost)(params, Batch(batch.images[:0], batch.labels[:0]))
    broken = jax.tree.map(lambda leaf: leaf * np.nan, params)
    with pytest.raises(ValueError, match="the cost is nan at these parameters"):
        bang.worth(film_cost)(broken, batch)


def test_parameters_are_found_by_name_by_size_and_by_chance(tiny):
    params, _ = tiny
    assert bang.positions(params, "0/biases").tolist() == list(range(45, 50))
    assert bang.positions(params).tolist() == list(range(89))
    picked = bang.select(params, "1/*")
    assert jax.tree.leaves(picked[0]) == []
    assert picked[1].biases is params[1].biases
    assert [name for name, _ in bang.named_leaves(picked)] == ["1/weights", "1/biases"]
    with pytest.raises(ValueError, match=r"no array's name matches '7/\*'; the arrays are 0/weights, 0/biases"):
        bang.select(params, "7/*")
    sizes = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    there = bang.positions(params, "1/*")
    strongest = bang.largest(picked, 3)  # positions count what select left out
    assert set(strongest) <= set(there)
    assert np.abs(sizes[strongest]).min() == np.sort(np.abs(sizes[there]))[-3]
    assert bang.positions(picked, "1/biases").tolist() == bang.positions(params, "1/biases").tolist()
    assert bang.largest({"a": np.array([1.0, -3.0]), "b": np.array([3.0, 0.5])}, 3).tolist() == [1, 2, 0]
    drawn = bang.sample(jax.random.key(0), params, 10, leaves="2/*")
    assert len(set(drawn)) == 10
    assert drawn.min() >= bang.positions(params, "2/*").min()
    with pytest.raises(ValueError, match="between 1 and 15, the number of parameters, got 16"):
        bang.sample(jax.random.key(0), params, 16, leaves="2/*")
    with pytest.raises(ValueError, match="k must be at least 1"):
        bang.largest(params, 0)


@pytest.mark.slow
def test_a_cost_that_wraps_an_average_is_not_mistaken_for_it(tiny):
    params, batch = tiny

    @functools.wraps(film_cost)
    def decayed(params, batch):
        return film_cost(params, batch) + 10 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))

    grads = ravel_pytree(jax.grad(decayed)(params, batch))[0]
    np.testing.assert_allclose(bang.worth(decayed, entries=np.arange(5))(params, batch).gradient, grads[:5], rtol=1e-4)
    np.testing.assert_allclose(
        ravel_pytree(bang.gradient_moments(decayed)(params, batch).mean)[0], grads, rtol=1e-4, atol=1e-6
    )


def test_the_radius_agrees_with_every_measurement():
    wavy = lambda p, batch: jnp.mean(batch) * (p["x"] + jnp.sin(jnp.pi * p["x"]) ** 3)
    worth = bang.worth(wavy)({"x": 0}, np.ones(2))
    off = np.abs(worth.measured[:, 0] / worth.predicted[:, 0] - 1) > 0.1
    assert off[2]
    assert worth.sizes[1] < worth.radius[0] < worth.sizes[2]
    assert bang.worth(lambda p, batch: 3 * p["x"] + p["y"])({"x": 1, "y": 2}, None).gradient.tolist() == [3, 1]
