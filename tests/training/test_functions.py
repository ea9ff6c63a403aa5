"""Presets are what they promise, and settings that make no sense are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import bang, losses, network, presets, training
from jaxnet.training import config
from jaxnet.training.config import TrainConfig
from jaxnet.training.functions import build
from jaxnet.training.presets import PRESETS
from jaxnet.training.tables import ACTIVATIONS, OPTIMIZERS, SCHEDULES


def recipe(settings, **changes):
    return build(settings._replace(**changes), image_shape=(28, 28), classes=10, steps=100)


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("name", "parameters"), [("film", 13_002), ("modern", 13_002), ("nielsen", 23_860), ("wide", 203_530)]
)
def test_presets_have_the_networks_they_promise(name, parameters):
    assert count(recipe(PRESETS[name]).init(jax.random.key(0))) == parameters


def test_the_film_preset_is_the_films():
    film = recipe(presets.film)
    assert film.loss is losses.squared_error
    params = film.init(jax.random.key(0))
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(film.apply(params, image), network.apply(params, image))
    assert presets.film.optimizer == "sgd"
    assert presets.film.shift == presets.film.weight_decay == 0


def test_nielsens_learning_rate_of_3_on_half_the_cost_is_one_and_a_half_on_the_films(hundred):
    nielsen = recipe(presets.nielsen)
    doubled = recipe(presets.nielsen, loss="squared_error", learning_rate=1.5)
    params = nielsen.init(jax.random.key(0))
    one, _ = nielsen.descent.update(nielsen.descent.init(params), hundred)
    other, _ = doubled.descent.update(doubled.descent.init(params), hundred)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), one.params, other.params)
    assert np.std(params[0].biases) > 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_start_positive_peak_at_the_learning_rate_and_end_low(schedule):
    rates = [float(SCHEDULES[schedule](0.3, 100)(step)) for step in range(101)]
    assert rates[0] > 0
    assert max(rates) == pytest.approx(0.3)
    assert rates[100] == pytest.approx(0.3 if schedule == "constant" else 0, abs=1e-6)
    traced = jax.jit(lambda rate, step: SCHEDULES[schedule](rate, 100)(step))
    assert float(traced(0.3, 50.0)) == pytest.approx(rates[50], rel=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_downhill(optimizer, hundred):
    made = recipe(presets.film, optimizer=optimizer, learning_rate=1e-3, schedule="constant")
    state = made.descent.init(made.init(jax.random.key(0)))
    before = made.cost(state.params, hundred)
    for _ in range(3):
        state, _ = made.descent.update(state, hundred)
    assert made.cost(state.params, hundred) < before


@pytest.mark.parametrize(("optimizer", "push"), [("adamw", 1.0), ("sgd", 1.0), ("momentum", 1.9)])
def test_weight_decay_shrinks_what_no_gradient_holds(optimizer, push, hundred):
    made = recipe(presets.film, optimizer=optimizer, learning_rate=0.01, schedule="constant", weight_decay=0.5)
    params = made.init(jax.random.key(0))
    state, _ = made.descent.update(made.descent.init(params), hundred)
    expected = params[0].weights[:, 0] * (1 - 0.01 * 0.5 * push)
    np.testing.assert_allclose(state.params[0].weights[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "relo"}, f"activation must be one of {', '.join(ACTIVATIONS)}, got 'relo'"),
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, got nan"),
        ({"sizes": (16, 0)}, r"at least 1 each, got \(16, 0\)"),
        ({"weight_decay": 0.1, "optimizer": "adam"}, "weight_decay needs optimizer sgd, momentum or adamw, got adam"),
        ({"loss": "cross_entropy"}, "output must be identity, got sigmoid"),
        ({**presets.convnet._asdict(), "sizes": (64,)}, r"sizes can be set only for dense networks, .* got \(64,\)"),
        ({"dtype": "float8"}, "dtype must be one of float32, float64, bfloat16, mixed, got 'float8'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config.check(TrainConfig(**changes))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_dtype_reaches_the_parameters(dtype, hundred):
    made = recipe(presets.film, dtype=dtype)
    params = made.init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    state, _ = made.descent.update(made.descent.init(params), hundred)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype(dtype)}


@pytest.mark.slow
def test_float64_trains_in_float64(hundred):
    with jax.enable_x64(True):
        made = recipe(presets.film, dtype="float64")
        state, info = made.descent.update(made.descent.init(made.init(jax.random.key(0))), hundred)
        assert info.cost.dtype == jnp.float64
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float64")}


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
def test_frozen_layers_stay_and_the_others_learn(optimizer, small):
    settings = presets.film._replace(
        sizes=(4, 5), epochs=1, optimizer=optimizer, learning_rate=0.01, weight_decay=0.1, frozen=("0", "2/biases")
    )
    plan = training.plan(settings, small)
    *_, last = training.fit(plan, evaluate_every=0)
    changed = {
        name: not np.array_equal(before, after)
        for (name, before), (_, after) in zip(
            bang.named_leaves(plan.params), bang.named_leaves(last.state.params), strict=True
        )
    }
    assert changed == {"0/weights": False, "0/biases": False, "1/weights": True, "1/biases": True, "2/weights": True,
                       "2/biases": False}  # fmt: skip


def test_a_frozen_name_that_no_array_has_is_refused(small):
    with pytest.raises(ValueError, match=r"frozen names 'hidden', but the arrays are 0/weights, 0/biases, 1/weights"):
        training.plan(presets.film._replace(frozen=("0", "hidden")), small)
