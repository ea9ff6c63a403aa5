"""Descents go down and settle where they should; lines, planes and directions are the ones asked for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import losses, network
from jaxnet.analysis import landscape
from jaxnet.core.types import Batch

start = jax.jit(functools.partial(network.init, sizes=(784, 3, 10)))


def test_every_ball_goes_down_and_one_that_goes_up_does_not():
    starts = np.linspace(-6, 6, 50)
    down = landscape.descend(landscape.hills, starts, 0.02, 60)
    up = landscape.descend(landscape.hills, starts, -0.02, 60)
    assert max(map(landscape.largest_rise, down.values)) < 1e-12
    assert max(map(landscape.largest_rise, up.values)) > 0.1


def test_steps_on_a_parabola_are_the_known_ones_in_double_precision():
    walk = landscape.descend(landscape.parabola, [4.0, -3.0], optax.sgd, 40, rates=[0.3, 1.9])
    powers = np.stack([4.0 * 0.7 ** np.arange(41), -3.0 * (-0.9) ** np.arange(41)])
    known = lambda walked: np.allclose(walked, powers, rtol=1e-13, atol=0)
    assert known(walk.positions)
    assert np.allclose(walk.slopes, walk.positions)
    assert not known(np.asarray(powers, np.float32).astype(np.float64))
    assert not known(walk.positions[::-1])  # each start has its own rate


def test_momentum_is_what_it_is_by_hand():
    make = functools.partial(optax.sgd, momentum=0.9)
    walk = landscape.descend(landscape.bowl, [[4.0, 1.0]], make, 30, rates=[0.02])
    place, speed = np.array([4.0, 1.0]), np.zeros(2)
    for _ in range(30):
        speed = 0.9 * speed + place * [1.0, 10.0]
        place = place - 0.02 * speed
    np.testing.assert_allclose(walk.positions[0, -1], place, rtol=1e-12)


def test_only_each_so_manieth_place_is_remembered():
    all_of_them = landscape.descend(landscape.himmelblau, [[0.0, 0.0], [1.0, 4.0]], 0.01, 12)
    some = landscape.descend(landscape.himmelblau, [[0.0, 0.0], [1.0, 4.0]], 0.01, 12, every=4)
    np.testing.assert_allclose(some.positions, all_of_them.positions[:, ::4], rtol=1e-12)
    np.testing.assert_allclose(some.values, all_of_them.values[:, ::4], rtol=1e-10)


def test_starts_fall_into_the_valley_on_their_side_and_the_deepest_comes_first():
    starts = [[-1.8, 0.5], [1.5, -1.0], [0.5, 0.2], [-0.3, 1.0], [40.0, 0.0]]
    found = landscape.basins(landscape.descend(landscape.two_wells, starts, 0.1, 600))
    assert found.reached.tolist() == [0, 1, 1, 0, -1]  # the last one leaves for infinity
    assert found.values[0] < found.values[1]
    moving = landscape.basins(landscape.descend(landscape.two_wells, starts[:4], 0.1, 3))
    assert moving.reached.tolist() == [-1] * 4


def test_curvatures_are_those_of_differences():
    place, step = np.array([0.4, -0.7]), 1e-4
    value = lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2
    ways = np.eye(2) * step
    second = lambda a, b: (
        value(*(place + a + b)) - value(*(place + a - b)) - value(*(place - a + b)) + value(*(place - a - b))
    )
    by_hand = np.linalg.eigvalsh([[second(a, b) / (4 * step**2) for b in ways] for a in ways])
    np.testing.assert_allclose(landscape.curvatures(landscape.rosenbrock, place), by_hand, rtol=1e-5)


def test_two_over_the_curvature_parts_settling_from_not_settling():
    curvature = landscape.curvatures(landscape.bowl, [0.0, 0.0])[-1]
    settles = lambda edge: [
        abs(landscape.descend(landscape.bowl, [[1.0, 1.0]], factor * edge, 500).values[0, -1]) < 1e-3 for factor in (0.98, 1.02)
    ]  # fmt: skip
    assert settles(2 / curvature) == [True, False]
    assert settles(1 / curvature) == [True, True]  # half the edge parts nothing
    assert settles(4 / curvature) == [False, False]


def test_wrong_starts_and_functions_are_refused():
    with pytest.raises(ValueError, match="must give one number"):
        landscape.descend(lambda x: jnp.stack([x, x]), [1.0], 0.1, 3)
    with pytest.raises(ValueError, match=r"got shape \(0,\)"):
        landscape.descend(landscape.hills, [], 0.1, 3)
    with pytest.raises(ValueError, match="pass rates, with one rate for each start"):
        landscape.descend(landscape.hills, [1.0], optax.adam, 3)
    with pytest.raises(ValueError, match="one rate for each of the 1 starts"):
        landscape.descend(landscape.hills, [1.0], optax.adam, 3, rates=[0.1, 0.2])
    with pytest.raises(ValueError, match="must divide"):
        landscape.descend(landscape.hills, [1.0], 0.1, 5, every=2)


def nearly_flat(params, batch):
    """Falls so slowly that single precision sees nothing."""
    return 1 + 1e-9 * jnp.sum((params["x"] - 1.0) ** 2)


def test_a_line_is_measured_in_double_precision():
    params, ahead = {"x": np.zeros(2, np.float32)}, {"x": np.ones(2, np.float32)}
    falls = lambda values: bool((np.diff(values) < 0).all())
    places = np.linspace(0, 0.9, 20)
    assert falls(landscape.line(nearly_flat)(params, ahead, places, None))
    single = [float(nearly_flat({"x": jnp.full(2, np.float32(place))}, None)) for place in places]
    assert not falls(single)
    with pytest.raises(ValueError, match="computes in float32"):
        landscape.line(lambda p, _: jnp.sum(p["x"]).astype(jnp.float32))(params, ahead, places, None)


def test_a_line_through_a_network_is_its_cost_there(hundred):
    cost = losses.average(network.apply, losses.squared_error)
    here, there = (start(jax.random.key(i)) for i in range(2))
    ahead = jax.tree.map(jnp.subtract, there, here)
    found = landscape.line(cost, at_once=2)(here, ahead, [0.0, 0.5, 1.0], hundred)
    middle = jax.tree.map(lambda a, b: (a + b) / 2, here, there)
    known = [float(jax.jit(cost)(params, hundred)) for params in (here, middle, there)]
    np.testing.assert_allclose(found, known, rtol=1e-5)
    with pytest.raises(ValueError, match="a direction must have the structure of the parameters"):
        landscape.line(cost)(here, ahead[:1], [0.0], hundred)
    with pytest.raises(ValueError, match="at least one point"):
        landscape.line(cost)(here, ahead, [], hundred)


def test_a_plane_has_a_row_for_every_y_and_a_column_for_every_x():
    params, u, v = np.zeros(2), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    xs, ys = np.linspace(0, 1, 3), np.linspace(0, 1, 20)
    found = landscape.plane(lambda x, _: 3 * x[0] + 100 * x[1])(params, u, v, xs, ys, None)
    right = lambda plane: plane.shape == (20, 3) and np.allclose(plane, 3 * xs[None] + 100 * ys[:, None])
    assert right(found)
    assert not right(found.T)
    assert not right(landscape.plane(lambda x, _: 3 * x[0] + 100 * x[1])(params, v, u, xs, ys, None))


def test_a_rescaled_direction_is_as_long_as_the_weights_neuron_by_neuron():
    draw = np.random.default_rng(0).standard_normal
    params = tuple(network.Layer(*map(jnp.asarray, (draw(shape), draw(shape[0])))) for shape in ((4, 30), (2, 4)))
    params = (params[0]._replace(weights=params[0].weights * jnp.array([1.0, 10.0, 0.0, 3.0])[:, None]), params[1])
    lengths = lambda layer: np.linalg.norm(layer.weights, axis=1)
    fits = lambda found: all(np.allclose(lengths(a), lengths(b), rtol=1e-5) for a, b in zip(found, params, strict=True))
    drawn = jax.jit(landscape.filter_normalized)(jax.random.key(1), params)
    assert fits(drawn)
    assert all((layer.biases == 0).all() for layer in drawn)
    other = jax.jit(landscape.filter_normalized)(jax.random.key(2), params)
    assert not np.allclose(other[0].weights, drawn[0].weights, atol=0.1)
    by_layer = tuple(
        layer._replace(weights=way * np.linalg.norm(layer.weights) / np.linalg.norm(way))
        for layer in params
        for way in [draw(layer.weights.shape)]
    )
    assert not fits(by_layer)
    columns = landscape.filter_normalized(jax.random.key(1), params[0].weights, neuron_axis=1)
    np.testing.assert_allclose(np.linalg.norm(columns, axis=0), np.linalg.norm(params[0].weights, axis=0), rtol=1e-5)


def test_the_plane_of_a_flat_path_holds_it_whole():
    turns = np.linspace(0, 3, 25)
    ways = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 2)))[0].T
    flat = 5 * np.cos(turns)[:, None] * ways[:1] + np.sin(turns)[:, None] * ways[1:] + 70
    found = landscape.pca({"a": flat[:, :8].reshape(25, 4, 2), "b": flat[:, 8:]})
    whole = lambda directions: np.stack([np.concatenate([d["a"].ravel(), d["b"]]) for d in directions])
    back = flat[-1] + found.coordinates @ whole(found.directions)
    np.testing.assert_allclose(back, flat, atol=1e-7)
    np.testing.assert_allclose(whole(found.directions) @ whole(found.directions).T, np.eye(2), atol=1e-9)
    assert found.explained[:2].sum() == pytest.approx(1)
    assert found.explained[0] > found.explained[1]
    np.testing.assert_allclose(found.coordinates[-1], 0, atol=1e-12)
    variances = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.explained, variances / variances.sum(), atol=1e-9)
    uncentered = np.linalg.svd(flat, compute_uv=False) ** 2  # measured from the origin, nearly all is the mean
    assert not np.allclose(found.explained, (uncentered / uncentered.sum())[: len(found.explained)], atol=1e-3)


def test_a_random_walk_too_lies_mostly_in_a_plane():
    walk = np.random.default_rng(1).standard_normal((150, 4000)).cumsum(0)
    assert landscape.pca(walk).explained[:2].sum() == pytest.approx(0.76, abs=0.02)


def test_a_path_that_does_not_move_is_refused():
    with pytest.raises(ValueError, match="moves in only 0 of 2 directions"):
        landscape.pca(np.ones((5, 3)))
    with pytest.raises(ValueError, match="got 2"):
        landscape.pca(np.eye(2))
    straight = np.arange(5.0)[:, None] * np.ones(3)
    with pytest.raises(ValueError, match="moves in only 1 of 2 directions"):
        landscape.pca(straight)
    only = landscape.pca(straight, directions=1).directions[0]
    np.testing.assert_allclose(np.abs(only), np.full(3, 1 / np.sqrt(3)))


def test_a_batch_of_whole_images_is_understood(hundred):
    cost = losses.average(network.apply, losses.squared_error)
    params = start(jax.random.key(0))
    zero = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params)
    floats = Batch(np.asarray(hundred.images) / 255, hundred.labels)
    bytes_and_floats = [landscape.line(cost)(params, zero, [0.0], batch) for batch in (hundred, floats)]
    np.testing.assert_allclose(*bytes_and_floats, rtol=1e-6)
