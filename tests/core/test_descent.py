"""Steps go downhill, and by as much as the gradient predicts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnet import losses, network
from jaxnet.core.descent import Info, State, gradient_descent
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
floats = st.floats(-2, 2, allow_nan=False).map(lambda x: float(np.float32(x)))


def test_the_gradient_of_the_slope_is_3_and_1():
    state, info = gradient_descent(problems.slope, 1.0).update(
        State(jnp.zeros(2), optax.sgd(1.0).init(0), jnp.int32(0)), None
    )
    np.testing.assert_array_equal(state.params, [-3, -1])
    assert info.gradient_norm == pytest.approx(10**0.5)


@given(floats, floats)
def test_a_small_step_goes_downhill(x, y):
    descent = gradient_descent(problems.rosenbrock, 1e-6)
    start = {"x": jnp.float32(x), "y": jnp.float32(y)}
    state, info = descent.update(descent.init(start), None)
    if info.gradient_norm > 1e-2:
        assert problems.rosenbrock(state.params, None) <= info.cost


def test_gradient_descent_finds_the_bottom_of_the_bowl_and_of_the_bent_valley():
    descent = gradient_descent(problems.bowl, 0.15)
    state = descent.init({"x": jnp.float32(3), "y": jnp.float32(-2)})
    state, info = jax.lax.scan(descent.update, state, None, length=200)
    assert problems.bowl(state.params, None) < 1e-10
    assert info.cost.shape == (200,)
    adam = gradient_descent(problems.rosenbrock, optax.adam(0.05))
    state, _ = jax.lax.scan(adam.update, adam.init({"x": jnp.float32(-1), "y": jnp.float32(1)}), None, length=3000)
    assert state.params["x"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("start", "end"), [(0.1, 1), (-0.1, -1)])
def test_which_minimum_is_found_depends_on_the_start(start, end):
    descent = gradient_descent(problems.quartic_saddle, 0.3)
    state, _ = jax.lax.scan(
        descent.update, descent.init({"x": jnp.float32(start), "y": jnp.float32(1)}), None, length=100
    )
    assert state.params["x"] == pytest.approx(end, abs=1e-5)


def test_too_long_steps_overshoot_and_diverge():
    descent = gradient_descent(problems.bowl, 0.21)  # beyond 2 / 10, the stability edge along y
    _, info = jax.lax.scan(descent.update, descent.init({"x": jnp.float32(0), "y": jnp.float32(1)}), None, length=50)
    assert info.cost[-1] > 100 * info.cost[0]


@pytest.mark.parametrize(
    "optimizer", [optax.sgd(1e-4), pytest.param(optax.adam(1e-6), marks=pytest.mark.slow)], ids=["sgd", "adam"]
)
def test_the_measured_decrease_of_a_small_step_is_the_predicted_one(optimizer, mnist):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), dtype=jnp.float64)
        some = Batch(jnp.asarray(mnist.train.images[:1000]), jnp.asarray(mnist.train.labels[:1000]))
        descent = gradient_descent(film_cost, optimizer)
        state, info = jax.jit(descent.update)(descent.init(params), some)
        grads = jax.grad(film_cost)(params, some)
        steps = jax.tree.map(lambda after, before: after - before, state.params, params)
        predicted = -sum(jnp.sum(g * u) for g, u in zip(jax.tree.leaves(grads), jax.tree.leaves(steps), strict=True))
        measured = info.cost - film_cost(state.params, some)
        assert measured / predicted == pytest.approx(1, abs=0.01)
        flipped = film_cost(jax.tree.map(lambda p, u: p - u, params, steps), some)
        assert (info.cost - flipped) / predicted == pytest.approx(-1, abs=0.01)
        without_last = [*jax.tree.leaves(grads)[:4], *(0 * g for g in jax.tree.leaves(grads)[4:])]
        partial = -sum(jnp.sum(g * u) for g, u in zip(without_last, jax.tree.leaves(steps), strict=True))
        assert abs(measured / partial - 1) > 0.01


def test_update_traces_once(hundred):
    traces = []

    def cost(params, batch):
        traces.append(1)
        return film_cost(params, batch)

    descent = gradient_descent(cost, optax.adam(1e-3))
    update = jax.jit(descent.update)
    state = descent.init(network.init(jax.random.key(0)))
    for _ in range(3):
        state, info = update(state, hundred)
    assert len(traces) == 1
    assert isinstance(info, Info)
    assert int(state.step) == 3


def test_a_schedule_decides_each_steps_length():
    schedule = optax.schedules.piecewise_constant_schedule(1.0, {1: 0.5})
    descent = gradient_descent(problems.slope, optax.sgd(schedule))
    state = descent.init(jnp.zeros(2))
    state, _ = descent.update(state, None)
    state, _ = descent.update(state, None)
    np.testing.assert_allclose(state.params, [-4.5, -1.5])


def test_jit_vmap_and_grad_of_an_update_work():
    descent = gradient_descent(problems.bowl, 0.1)
    starts = {"x": jnp.arange(3.0), "y": jnp.ones(3)}
    states, infos = jax.jit(jax.vmap(lambda p: descent.update(descent.init(p), None)))(starts)
    assert infos.cost.shape == (3,)
    after = lambda rate: problems.bowl(
        gradient_descent(problems.bowl, optax.sgd(rate)).update(descent.init({"x": 1.0, "y": 0.0}), None)[0].params,
        None,
    )
    assert jax.grad(after)(0.1) == pytest.approx(-0.9)  # d/dr (1 - r)^2 / 2
    np.testing.assert_allclose(states.params["x"], [0, 0.9, 1.8], rtol=1e-6)
