"""Aligning changes no output, finds a hidden order again, and refuses networks that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import network
from jaxnet.analysis.alignment import match_neurons
from jaxnet.core.network import Layer


def mixed(params, seed=0):
    """The same network with its hidden neurons in a random order."""
    generator, layers = np.random.default_rng(seed), list(params)
    for i in range(len(layers) - 1):
        order = generator.permutation(len(layers[i].biases))
        layers[i] = Layer(layers[i].weights[order], layers[i].biases[order])
        layers[i + 1] = Layer(layers[i + 1].weights[:, order], layers[i + 1].biases)
    return tuple(layers)


@pytest.mark.parametrize("sizes", [(6, 12, 4), (6, 9, 7, 4)])
def test_a_hidden_order_is_found_again(sizes):
    params = network.init(jax.random.key(0), sizes)
    other = mixed(params)
    assert not np.array_equal(other[0].weights, params[0].weights)
    back = match_neurons(other, params)
    for found, wanted in zip(back, params, strict=True):
        np.testing.assert_array_equal(found.weights, wanted.weights)


def test_aligning_changes_no_output():
    params, like = (network.init(jax.random.key(seed), (6, 12, 4)) for seed in (0, 1))
    image, found = jnp.arange(6.0), match_neurons(params, like)
    np.testing.assert_allclose(network.apply(found, image), network.apply(params, image), rtol=1e-6)
    distance = lambda layers: sum(
        float(((a.weights - b.weights) ** 2).sum()) for a, b in zip(layers, like, strict=True)
    )
    assert distance(found) < distance(params)


def test_the_rows_alone_would_change_the_output():
    params, like = (network.init(jax.random.key(seed), (6, 12, 4)) for seed in (0, 1))
    found = match_neurons(params, like)
    wrong = (found[0], params[1])  # the layer above left as it was
    image = jnp.arange(6.0)
    assert not np.allclose(network.apply(wrong, image), network.apply(params, image), rtol=1e-6)


def test_networks_of_other_sizes_are_refused():
    params, like = network.init(jax.random.key(0), (6, 12, 4)), network.init(jax.random.key(0), (6, 11, 4))
    with pytest.raises(ValueError, match="only networks of the same sizes"):
        match_neurons(params, like)
