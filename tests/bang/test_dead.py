"""Every dead parameter is found, with its reason, and none that lives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxnet import bang, losses, network
from jaxnet.bang import dead
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
WITHOUT = (dead.NEVER_LIT, dead.DEAD, dead.UNHEARD, dead.SILENT)
relu_cost = losses.average(
    functools.partial(network.apply, activation=network.relu, output=network.identity), losses.cross_entropy
)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (40, 3, 3), dtype=np.uint8)
    images[:, 1, 2] = 0
    return Batch(images, np.arange(40) % 4)


def broken(activation):
    """A network 9-6-5-4 with one neuron of every kind."""
    params = [*network.init(jax.random.key(0), [9, 6, 5, 4])]
    weights, biases = params[0]
    if activation == "relu":
        biases = biases.at[1].set(-100.0)
    else:
        weights, biases = weights.at[1].set(0.01), biases.at[1].set(12.0)
    weights, biases = weights.at[3].set(weights[2]), biases.at[3].set(biases[2])
    out = params[1].weights.at[:, 3].set(params[1].weights[:, 2]).at[:, 4].set(0.0)
    return (network.Layer(weights, biases), params[1]._replace(weights=out), params[2])


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "cost"), [("relu", relu_cost), ("sigmoid", film_cost)])
def test_every_reason_is_told_apart(activation, cost, batch):
    params = broken(activation)
    found = bang.dead_parameters(cost)(params, batch)
    first = found.reason[0]
    assert (first.weights[:, 5] == dead.NEVER_LIT).all()
    assert first.biases[1] == (dead.DEAD if activation == "relu" else dead.SATURATED)
    assert first.biases[4] == dead.UNHEARD
    assert first.biases[2] == first.biases[3] == dead.TWIN
    assert found.twins == ((1, 2, 3),)
    assert first.biases[0] == first.biases[5] == dead.ALIVE
    assert first.weights[1, 0] == first.biases[1]
    assert found.flat[0][1] == 1
    if activation == "relu":
        assert (found.reason[1].weights[:, 1] == dead.NEVER_LIT).all(), "what a dead neuron feeds is never lit"
    counted = bang.count_dead(found)
    assert counted["0/weights"][dead.REASONS[dead.NEVER_LIT]] == 6
    assert counted["0/biases"][dead.REASONS[dead.TWIN]] == 2


@pytest.mark.slow
@pytest.mark.parametrize("cost", [relu_cost, film_cost])
def test_exactly_those_without_any_gradient_are_called_so(cost, batch):
    params = broken("relu")
    grads = [jax.grad(cost)(params, Batch(batch.images[i : i + 1], batch.labels[i : i + 1])) for i in range(40)]
    ever = np.any([np.asarray(ravel_pytree(g)[0]) != 0 for g in grads], axis=0)
    codes = np.concatenate(
        [np.ravel(leaf) for leaf in jax.tree.leaves(bang.dead_parameters(cost)(params, batch).reason)]
    )
    np.testing.assert_array_equal(np.isin(codes, WITHOUT), ~ever)
    transposed = np.concatenate(
        [np.ravel(leaf.T) for leaf in jax.tree.leaves(bang.dead_parameters(cost)(params, batch).reason)]
    )
    assert (np.isin(transposed, WITHOUT) != ~ever).any()


@pytest.mark.slow
def test_any_other_model_is_said_to_be_silent(batch):
    found = bang.dead_parameters(lambda p, b: relu_cost(p, b))(broken("relu"), batch)
    assert (found.reason[0].weights[:, 5] == dead.SILENT).all()
    assert found.reason[0].biases[1] == dead.SILENT
    assert found.reason[0].biases[0] == dead.ALIVE
    assert found.twins == ()


@pytest.mark.slow
def test_neurons_that_start_alike_stay_alike(batch):
    params, grad = broken("sigmoid"), jax.jit(jax.grad(film_cost))
    for _ in range(5):
        params = jax.tree.map(lambda p, g: p - g, params, grad(params, batch))
    np.testing.assert_allclose(params[0].weights[2], params[0].weights[3], rtol=1e-5)
    apart = params[0]._replace(weights=params[0].weights.at[3, 0].add(0.1))
    assert bang.dead_parameters(film_cost)((apart, *params[1:]), batch).twins == ()


def test_the_films_network_has_its_dark_pixels(mnist):
    batch = Batch(mnist.train.images[:10_000], mnist.train.labels[:10_000])
    found = bang.dead_parameters(film_cost)(network.init(jax.random.key(0)), batch)
    assert bang.count_dead(found) == {"0/weights": {dead.REASONS[dead.NEVER_LIT]: 1776}}
    assert jnp.shape(found.flat[0]) == (16,)


def test_a_softmax_has_no_dead_outputs(batch):
    cost = losses.average(functools.partial(network.apply, output=jax.nn.softmax), losses.squared_error)
    found = bang.dead_parameters(cost)(network.init(jax.random.key(2), [9, 5, 4]), batch)
    assert (found.reason[1].biases == dead.ALIVE).all()
    assert (found.flat[1] == 0).all()
