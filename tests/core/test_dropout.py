"""A thinned network is the network with neurons switched off, and its mean is the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import dropout, losses, network, presets
from jaxnet.training.functions import build

SQUASH = {"activation": network.tanh, "output": network.identity}
params = network.init(jax.random.key(0), (9, 40, 4))
image = jnp.linspace(0.0, 1.0, 9)


def test_without_dropout_it_is_the_network():
    found = dropout.apply_with_dropout(jax.random.key(1), params, image, rate=0.0, **SQUASH)
    np.testing.assert_array_equal(found, network.apply(params, image, **SQUASH))


def test_the_mean_over_keys_is_the_network_and_without_the_scaling_it_is_not():
    keys = jax.random.split(jax.random.key(2), 4000)
    each = jax.vmap(lambda key: dropout.apply_with_dropout(key, params, image, rate=0.25, **SQUASH))(keys)
    wanted = network.apply(params, image, **SQUASH)
    error = 5 * each.std(0) / np.sqrt(4000)
    assert (jnp.abs(each.mean(0) - wanted) < error).all()  # one hidden layer: exact in the mean
    assert not (jnp.abs(0.75 * each.mean(0) - wanted) < error).all()


def test_the_share_of_neurons_that_are_off_is_the_rate():
    ones = (network.Layer(jnp.zeros((10_000, 1)), jnp.ones(10_000)), network.Layer(jnp.ones((1, 10_000)), jnp.zeros(1)))
    lit = dropout.apply_with_dropout(
        jax.random.key(3), ones, jnp.ones(1), rate=0.3, activation=network.relu, output=network.identity
    )
    assert 0.7 * float(lit[0]) / 10_000 == pytest.approx(0.7, abs=0.02)


def test_neurons_that_are_off_get_no_gradient():
    key = jax.random.key(4)
    answer = lambda params: dropout.apply_with_dropout(key, params, image, rate=0.5, **SQUASH).sum()
    slopes = jax.jit(jax.grad(answer))(params)
    off = ~jax.random.bernoulli(jax.random.fold_in(key, 0), 0.5, (40,))
    assert 5 < int(off.sum()) < 35
    np.testing.assert_array_equal((slopes[0].biases == 0), off)


def test_every_image_has_its_own_neurons_and_a_key_is_needed(hundred):
    whole = network.init(jax.random.key(0))
    cost = dropout.dropout_cost(losses.squared_error, 0.5, activation=network.sigmoid, output=network.sigmoid)
    same = hundred._replace(images=jnp.stack([hundred.images[0]] * 100), labels=jnp.zeros(100, jnp.int32))
    one = same._replace(images=same.images[:1], labels=same.labels[:1])
    assert cost(whole, same._replace(key=jax.random.key(0))) != cost(whole, one._replace(key=jax.random.key(0)))
    with pytest.raises(ValueError, match="needs a batch with a key, got key=None"):
        cost(whole, hundred)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"dropout": 0.3}, marks=pytest.mark.slow),
        pytest.param({"distortion": "affine"}, marks=pytest.mark.slow),
        {"shift": 1, "dropout": 0.3},
    ],
)
def test_settings_that_harden_the_cost_take_keyed_batches_and_judge_without(changes, hundred):
    made = build(presets.film._replace(**changes), image_shape=(28, 28), classes=10, steps=10)
    begun = made.init(jax.random.key(0))
    assert made.keyed
    first, second = (made.augmented_cost(begun, hundred._replace(key=jax.random.key(k))) for k in (0, 1))
    assert first != second
    assert made.cost(begun, hundred) == losses.average(network.apply, losses.squared_error)(begun, hundred)


@pytest.mark.parametrize("rate", [1, -0.5, 1.5])
def test_a_rate_that_is_no_probability_of_going_on_is_refused(rate, hundred):
    params = network.init(jax.random.key(0), (784, 4, 10))
    with pytest.raises(ValueError, match=f"below 1, got rate={rate}"):
        dropout.apply_with_dropout(
            jax.random.key(1), params, hundred.images[0], rate=rate, activation=network.relu, output=network.identity
        )
