"""The film's network: its size, its arithmetic, its random start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jax.test_util import check_grads

from jaxnet import losses, network
from jaxnet.core.network import Layer, apply, forward, init
from jaxnet.training.tables import ACTIVATIONS


def test_the_films_network_has_exactly_13002_parameters():
    params = init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 13_002 == 784 * 16 + 16 * 16 + 16 * 10 + 42
    assert [layer.weights.shape for layer in params] == [(16, 784), (16, 16), (10, 16)]


def test_leaves_have_readable_names():
    paths = jax.tree_util.tree_leaves_with_path(init(jax.random.key(0)))
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
    assert names == ["0/weights", "0/biases", "1/weights", "1/biases", "2/weights", "2/biases"]


def test_the_pytree_and_the_long_column_vector_are_each_others_inverse(hundred):
    params = init(jax.random.key(1))
    vector, unravel = ravel_pytree(params)
    assert vector.shape == (13_002,)
    jax.tree.map(np.testing.assert_array_equal, unravel(vector), params)
    cost = losses.average(apply, losses.squared_error)
    assert losses.of_vector(cost, params)(vector, hundred) == cost(params, hundred)


def test_apply_is_a_weighted_sum_plus_a_bias_squashed():
    params = (
        Layer(jnp.array([[1.0, -2.0]]), jnp.array([0.5])),
        Layer(jnp.array([[3.0], [-1.0]]), jnp.array([0.0, 1.0])),
    )
    image = np.array([0.2, 0.4])
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    hidden = sigmoid(0.2 - 0.8 + 0.5)
    np.testing.assert_allclose(apply(params, image), sigmoid(np.array([3 * hidden, 1 - hidden])), rtol=1e-6)
    logits = apply(params, image, output=network.identity)
    np.testing.assert_allclose(logits, [3 * hidden, 1 - hidden], rtol=1e-6)
    assert [len(layer) for layer in forward(params, image)] == [2, 1, 2]


def test_bytes_are_scaled_and_floats_are_taken_as_they_are():
    params = init(jax.random.key(0), [4, 3])
    levels = np.array([0, 51, 102, 255], np.uint8)
    np.testing.assert_allclose(apply(params, levels), apply(params, levels.astype(np.float32) / 255), rtol=1e-6)
    assert not np.allclose(apply(params, levels), apply(params, levels.astype(np.float32)))


def test_a_batch_in_the_place_of_an_image_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"reads 784 pixels, got one image of shape \(5, 28, 28\).*jax\.vmap"):
        apply(init(jax.random.key(0)), np.zeros((5, 28, 28)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([784], r"at least 2 sizes \(input, output\), got \[784\]"), ([4, 0, 2], "at least 1 neuron")],
)
def test_a_network_that_cannot_be_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        init(jax.random.key(0), sizes)


@pytest.mark.parametrize(
    ("weights", "deviation"),
    [
        (network.standard_normal, 1.0),
        (network.scaled(), 1 / 20),
        (network.scaled(3.0), 3 / 20),
        (network.glorot, (2 / 600) ** 0.5),
        (network.he, (2 / 400) ** 0.5),
    ],
)
def test_initializers_have_the_deviation_they_promise(weights, deviation):
    (layer,) = init(jax.random.key(0), [400, 200], weights=weights, biases=network.standard_normal)
    assert np.std(layer.weights) == pytest.approx(deviation, rel=0.02)
    assert abs(np.mean(layer.weights)) < 4 * deviation / 80_000**0.5
    assert np.std(layer.biases) == pytest.approx(1, rel=0.15)


def test_the_same_key_draws_the_same_and_another_key_another_network():
    one, same, other = init(jax.random.key(3)), init(jax.random.key(3)), init(jax.random.key(4))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.array_equal(one[0].weights, other[0].weights)
    assert not np.array_equal(one[0].weights[:10, :16], one[2].weights)


@pytest.mark.parametrize(
    "activation",
    [
        pytest.param(activation, id=name, marks=() if name in ("sigmoid", "relu") else pytest.mark.slow)
        for name, activation in ACTIVATIONS.items()
    ],
)
def test_activations_have_right_gradients(activation):
    with jax.enable_x64(True):
        check_grads(activation, (jnp.linspace(-3.0, 3.1, 12),), order=2)


def test_relu_passes_positive_slopes_only():
    np.testing.assert_array_equal(jax.vmap(jax.grad(network.relu))(jnp.array([-2.0, 3.0])), [0, 1])


def test_a_step_activation_is_on_or_off_and_has_no_gradient_below_it(hundred):
    np.testing.assert_array_equal(network.step(jnp.array([-0.1, 0.1])), [0, 1])
    params = init(jax.random.key(0))
    cost = losses.average(
        functools.partial(apply, activation=network.step, output=network.sigmoid), losses.squared_error
    )
    grads = jax.grad(cost)(params, hundred)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(grads[:2]))
    assert np.any(grads[2].weights)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtype_is_an_argument(dtype):
    params = init(jax.random.key(0), [4, 3], dtype=dtype)
    assert apply(params, np.zeros(4, np.uint8)).dtype == dtype
