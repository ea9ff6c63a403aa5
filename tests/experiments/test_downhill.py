"""The verdicts on walking downhill follow from the numbers, and the step's gradient is what it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import losses, network
from jaxnet.analysis import landscape
from jaxnet.experiments.downhill import figures, film_network, measurement, toy_functions

TINY = measurement.DownhillSettings(
    balls=13, side=8, seeds=2, epochs=3, images=100, points=5, step_seeds=2, step_epochs=1
)


def numbers(**changes):
    """Arrays as `measure` returns them, made up."""
    scaled = np.linspace(0.02, 4.2, 210)
    below = lambda edge: np.where(scaled < edge - 1e-9, 10.0, np.nan)
    norms, alive = np.ones((8, 2, 3)), np.full((8, 2, 3), 5)
    alive[-1, :, :-1] = 0
    halves = 0.5 ** np.arange(15)
    right = np.full((2, 8, 2), 90.0) + np.array([0.0, 1.0])
    moved = np.full((2, 8, 2), 100)
    moved[:, -1] = 0
    return {
        "basin_reached": np.array([[0, 0, 1, 1], [0, -1, -1, -1]]), "step_positions": np.stack([halves] * 4),
        "compass": np.full(9, 0.02), "scaled": scaled,
        "arrival": np.stack([[below(2.0), below(3.8), below(9.0)]] * 3),
        "straight_fractions": np.linspace(-0.5, 1.5, 5), "straight_costs": np.array([[9.0, 3, 2, 1, 5], [9.0, 4, 3, 2, 5]]),
        "explained": np.array([0.8, 0.1]), "wandered": np.array([0.6, 0.16]), "random_z": np.ones((2, 3, 3)),
        "gradient_best": np.ones(2), "gradient_bends": np.ones(2), "sharp_alive": alive, "sharp_norms": norms,
        "sharp_right": right, "sharp_moved": moved,
    } | changes  # fmt: skip


def verdict(arrays, words):
    return next(found for found in measurement.answer(TINY, arrays).findings if words in found.what)


def test_the_verdict_on_the_straight_line_turns_with_one_climb():
    assert verdict(numbers(), "straight line").verdict == "reproduced"
    climbing = numbers(straight_costs=np.array([[9.0, 3, 3.5, 1, 5], [9.0, 4, 3, 2, 5]]))
    found = verdict(climbing, "straight line")
    assert (found.verdict, found.value, found.seeds) == ("missed", 50.0, 2)
    assert verdict(climbing, "largest rise of the cost, divided").value == pytest.approx(100 * 0.5 / 2 / 2)
    assert "1 of 2 seeds" in measurement.answer(TINY, climbing).words
    assert "never rises for 2 of 2 seeds." in measurement.answer(TINY, numbers()).words


def test_the_verdict_on_the_edge_turns_when_it_is_off_by_a_factor_of_two():
    assert verdict(numbers(), "times the curvature: bowl").verdict == "reproduced"
    assert verdict(numbers(), "momentum 0.9 on the bowl").verdict == "reproduced"
    wrong = numbers(scaled=numbers()["scaled"] / 2)
    assert verdict(wrong, "times the curvature: bowl").verdict == "missed"
    assert verdict(wrong, "momentum 0.9 on the bowl").verdict == "missed"


def test_the_verdict_on_the_step_turns_with_one_living_entry():
    assert verdict(numbers(), "not exactly zero").verdict == "reproduced"
    arrays = numbers()
    arrays["sharp_alive"][-1, 0, 0] = 1
    assert verdict(arrays, "not exactly zero").verdict == "missed"
    assert "no gradient at all" not in measurement.answer(TINY, arrays).words


def test_the_verdict_on_shrinking_steps_turns_with_a_fixed_length():
    assert verdict(numbers(), "proportional").verdict == "reproduced"
    assert verdict(numbers(step_positions=np.stack([np.arange(15.0)] * 4)), "proportional").verdict == "missed"


def test_arrival_is_the_step_after_which_it_stays():
    values = np.array([
        [1.0, 0.5, 0.05, 0.5, 0.05, 0.01],  # away again once
        [1.0, 0.9, 0.8, 0.7, 0.6, 0.5],
        [1.0, 5.0, 50.0, 5e9, np.inf, np.nan],
        [1.0, 0.5, -9.0, -9.0, -9.0, -9.0],  # another, deeper valley
    ])  # fmt: skip
    found = toy_functions.arrival(values, 0.0, fraction=0.1)
    np.testing.assert_array_equal(found, [4, np.nan, np.inf, np.nan])


def test_the_edge_is_the_last_rate_before_walks_no_longer_arrive():
    scaled, nan = np.array([0.1, 0.5, 1.0, 1.9, 2.1, 3.0]), np.nan
    assert toy_functions.edge(scaled, np.array([nan, 50, 20, 90, nan, 40])) == 1.9
    assert toy_functions.edge(scaled, np.array([1, 1, 1, 1, 1, 1.0])) == 3.0
    assert np.isnan(toy_functions.edge(scaled, np.full(6, np.inf)))


def test_minus_the_gradient_is_the_steepest_way_and_the_gradient_the_worst():
    places = np.random.default_rng(0).uniform(-4, 4, (30, 2))
    assert toy_functions.off_course(landscape.himmelblau, places).max() < 0.1
    wrong = toy_functions.off_course(landscape.himmelblau, places, length=-1e-4)  # the steepest way up
    assert wrong.min() > 179.9


def test_a_step_has_no_slope_and_a_steep_sigmoid_has():
    z = jnp.linspace(-1, 1, 41)
    slope = lambda k: jax.vmap(jax.grad(lambda one: film_network.sharpened(k, one)))(z)
    assert (slope(jnp.inf) == 0).all()
    assert float(slope(jnp.float32(64.0)).max()) == pytest.approx(16, rel=1e-5)
    np.testing.assert_array_equal(film_network.sharpened(jnp.inf, z), network.step(z))
    np.testing.assert_allclose(film_network.sharpened(jnp.float32(1.0), z), network.sigmoid(z))


def test_the_step_starves_all_layers_but_the_last(hundred):
    params = jax.jit(network.init)(jax.random.key(0))
    alive = lambda k: [
        sum(int(jnp.count_nonzero(leaf)) for leaf in layer)
        for layer in jax.jit(jax.grad(film_network.sharp_cost(k)))(params, hundred)
    ]
    step, smooth = alive(jnp.inf), alive(jnp.float32(4.0))
    assert step[:2] == [0, 0]
    assert step[2] > 0
    assert min(smooth) > 0


def test_the_smoothest_of_the_sharpened_networks_is_the_film_s(hundred):
    params = jax.jit(network.init)(jax.random.key(0))
    film = losses.average(network.apply, losses.squared_error)(params, hundred)
    assert float(film_network.sharp_cost(jnp.float32(1.0))(params, hundred)) == pytest.approx(float(film), rel=1e-6)
    assert float(film_network.film_cost()(params, hundred)) == pytest.approx(float(film), rel=1e-6)


def test_layers_come_back_from_one_long_vector():
    vector = np.arange(13_002, dtype=np.float32)
    first, _, last = film_network.as_layers(vector)
    sizes = {first.biases.size: first.biases, first.weights.size: first.weights}
    assert sorted(np.concatenate([part.ravel() for part in sizes.values()]).tolist()) == list(range(12_560))
    assert float(jnp.max(jnp.concatenate([last.weights.ravel(), last.biases]))) == 13_001


@pytest.mark.slow
def test_the_experiment_runs_whole_and_draws_itself(small):
    arrays = measurement.measure(TINY, small)
    answer = measurement.answer(TINY, arrays)
    assert verdict(arrays, "not exactly zero").verdict == "reproduced"
    assert verdict(arrays, "times the curvature: bowl").verdict == "reproduced"
    assert "valleys" in answer.words
    assert arrays["path_costs"][-1] == pytest.approx(
        arrays["straight_costs"][0][np.isclose(arrays["straight_fractions"], 1)].item(), rel=1e-4
    )
    drawn = figures.pictures(arrays)
    assert {"ball", "race", "path", "on-or-off"} <= drawn.keys()
    for name in ("ball", "race"):
        moving = drawn[name].animation
        moving._func(5)
        moving._draw_was_started = True  # matplotlib warns of animations that nobody saw
