"""The gradient through training is that of difference quotients, and no part of the way back may be left out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import losses, network
from jaxnet.analysis.unrolling import cost_after, finite_differences, loss_sensitivity
from jaxnet.core.types import Batch

apply = functools.partial(network.apply, activation=network.tanh, output=network.identity)
cost = losses.average(apply, losses.cross_entropy)
ORDER = np.arange(12).reshape(2, 3, 2) % 6
RATE = 0.3


def problem(dtype=jnp.float64):
    images = np.random.default_rng(0).random((6, 2, 2))
    params = jax.jit(functools.partial(network.init, sizes=(4, 3, 2), dtype=dtype))(jax.random.key(1))
    return params, Batch(jnp.asarray(images, dtype), jnp.arange(6) % 2)


def trained(numbers, forget=None):
    """The cost after training as a function of 24 pixels and the learning rate, in one row."""
    params, examples = problem()
    optimizer = numbers[-1] if forget is None else forgetful(optax.sgd(numbers[-1]), forget)
    return cost_after(cost, optimizer)(params, examples._replace(images=numbers[:-1].reshape(6, 2, 2)), ORDER)


def forgetful(optimizer, forget):
    """The same steps, but where `forget` holds the gradient knows nothing of how that step's updates came about."""

    def update(updates, state, params=None):
        moved, step = state
        found, moved = optimizer.update(updates, moved, params)
        cut = lambda u: jnp.where(forget[step], jax.lax.stop_gradient(u), u)
        return jax.tree.map(cut, found), (moved, step + 1)

    return optax.GradientTransformation(lambda params: (optimizer.init(params), jnp.zeros((), jnp.int32)), update)


@pytest.fixture(scope="module")
def quotients():
    """Where, and the slopes there by 20 pixels and by the learning rate, from the values of plain descent."""
    with jax.enable_x64(True):
        numbers = jnp.append(problem()[1].images.reshape(-1), RATE)
        return np.asarray(numbers), finite_differences(trained, numbers, [*range(20), 24])


@pytest.mark.slow
def test_the_gradient_through_training_is_that_of_finite_differences_and_none_that_forgets_a_step(quotients):
    numbers, slopes = quotients
    with jax.enable_x64(True):
        gradient = jax.jit(jax.grad(trained))

        def errors(steps):
            """The relative errors of the gradient by pixels and rate that forgets these steps."""
            grads = np.asarray(gradient(jnp.asarray(numbers), jnp.isin(jnp.arange(6), jnp.asarray(steps))))
            return np.abs(grads[[*range(20), 24]] - slopes) / np.abs(slopes)

        assert errors([9]).max() < 1e-6
        assert errors(range(6))[:-1].max() > 0.1  # only how the last cost sees the pixels
        assert errors([3])[:-1].max() > 0.01


def test_quotients_in_single_precision_are_refused_for_they_would_be_wrong(quotients):
    _, slopes = quotients
    params, examples = problem(jnp.float32)
    single = jax.jit(lambda images: cost_after(cost, RATE)(params, examples._replace(images=images), ORDER))
    with pytest.raises(ValueError, match="needs float64"):
        finite_differences(single, examples.images, [0])
    with jax.enable_x64(True):
        double = jnp.asarray(examples.images, jnp.float64)
    with pytest.raises(ValueError, match="got a float64 array outside of it"):
        finite_differences(single, double, [0])
    up, down = (examples.images.at[0, 1, 1].add(by) for by in (1e-5, -1e-5))
    rough = float(single(up) - single(down)) / 2e-5
    assert abs(rough - slopes[3]) > 1e-4 * abs(slopes[3])


def by_hand(images, segments):
    """The same run, step by step in Python."""
    params, examples = problem(jnp.float32)
    examples = examples._replace(images=images)
    for chosen in ORDER[:segments].reshape(-1, 2):
        grads = jax.grad(cost)(params, Batch(images[chosen], examples.labels[chosen]))
        params = jax.tree.map(lambda p, g: p - RATE * g, params, grads)
    return cost(params, examples)


@pytest.mark.slow
def test_cost_and_sensitivity_after_each_segment_are_those_of_the_run_by_hand():
    params, examples = problem(jnp.float32)
    after = jax.jit(cost_after(cost, RATE))
    found = jax.jit(loss_sensitivity(cost, RATE))(params, examples, ORDER)
    for segments in (1, 2):
        value, slopes = jax.jit(jax.value_and_grad(by_hand), static_argnums=1)(examples.images, segments)
        assert float(after(params, examples, ORDER, segments)) == pytest.approx(float(value), rel=1e-5)
        np.testing.assert_allclose(found[segments - 1], np.abs(slopes).sum((1, 2)), rtol=1e-4)
    slopes = np.asarray(slopes)
    assert not np.allclose(
        found[1], np.abs(slopes.sum((1, 2))), rtol=0.01
    )  # the length of a sum is not the sum of lengths


def test_whole_numbers_as_pixels_and_an_order_without_segments_are_refused():
    params, examples = problem(jnp.float32)
    with pytest.raises(ValueError, match="must be floats"):
        loss_sensitivity(cost, RATE)(params, Batch(np.zeros((6, 2, 2), np.uint8), examples.labels), ORDER)
    with pytest.raises(ValueError, match="axes of segments"):
        cost_after(cost, RATE)(params, examples, ORDER[0])
