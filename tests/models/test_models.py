"""Models of flax, haiku and equinox give the gradient that numpy gives."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxnet import bang, losses
from jaxnet.core.descent import gradient_descent
from jaxnet.core.network import intensities
from jaxnet.core.types import Batch
from jaxnet.models import flax_nnx
from jaxnet.models.flax_nnx import ConvNet, functional

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
BIASES = np.array([0.1, -0.2, 0.3], np.float32)
BATCH = Batch(
    np.random.default_rng(1).integers(0, 256, (6, 2, 2), dtype=np.uint8), np.array([0, 1, 2, 0, 1, 2], np.int32)
)


def by_hand():
    """Cost and gradient of softmax regression on BATCH, in numpy."""
    x = BATCH.images.reshape(6, 4) / 255
    logits = x @ WEIGHTS.T + BIASES
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wrong = (p - np.eye(3)[BATCH.labels]) / 6
    return -np.mean(np.log(p[np.arange(6), BATCH.labels])), wrong.T @ x, wrong.sum(0)


def from_nnx():
    class Regression(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
            self.layer.kernel[...] = jnp.asarray(WEIGHTS.T)
            self.layer.bias[...] = jnp.asarray(BIASES)

        def __call__(self, image):
            return self.layer(intensities(image).reshape(-1))

    return (*functional(Regression()), True)


def from_linen():
    class Regression(linen.Module):
        @linen.compact
        def __call__(self, image):
            return linen.Dense(3)(intensities(image).reshape(-1))

    params = {"params": {"Dense_0": {"kernel": jnp.asarray(WEIGHTS.T), "bias": jnp.asarray(BIASES)}}}
    return Regression().apply, params, True


def from_haiku():
    net = hk.without_apply_rng(hk.transform(lambda image: hk.Linear(3)(intensities(image).reshape(-1))))
    return net.apply, {"linear": {"w": jnp.asarray(WEIGHTS.T), "b": jnp.asarray(BIASES)}}, True


def from_equinox():
    linear = eqx.nn.Linear(4, 3, key=jax.random.key(0))
    linear = eqx.tree_at(lambda m: (m.weight, m.bias), linear, (jnp.asarray(WEIGHTS), jnp.asarray(BIASES)))
    params, static = eqx.partition(linear, eqx.is_array)
    return lambda params, image: eqx.combine(params, static)(intensities(image).reshape(-1)), params, False


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("family", [from_nnx, from_linen, from_haiku, from_equinox])
def test_models_of_other_libraries_work_through_the_contract(family):
    apply, params, transposed = family()
    cost = losses.average(apply, losses.cross_entropy)
    expected_cost, expected_weights, expected_biases = by_hand()
    assert cost(params, BATCH) == pytest.approx(expected_cost, rel=1e-5)
    grads = jax.grad(cost)(params, BATCH)
    arrays = {np.ndim(leaf): np.asarray(leaf) for leaf in jax.tree.leaves(grads)}
    np.testing.assert_allclose(arrays[2].T if transposed else arrays[2], expected_weights, atol=1e-6)
    np.testing.assert_allclose(arrays[1], expected_biases, atol=1e-6)
    descent = gradient_descent(cost, 0.5)
    state, info = jax.jit(descent.update)(descent.init(params), BATCH)
    assert cost(state.params, BATCH) < info.cost
    assert sum(bang.by_leaf(bang.share(grads)).values()) == pytest.approx(1, rel=1e-5)
    assert bang.top(grads, 1)[0].text.startswith("nudge ")


@pytest.mark.slow
def test_a_functional_module_answers_as_the_module_does():
    net = ConvNet(rngs=nnx.Rngs(0))
    apply, params = functional(net)
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_allclose(apply(params, image), net(image), atol=1e-5)
    moved = jax.tree.map(lambda leaf: leaf + 0.01, params)
    assert not np.allclose(apply(moved, image), net(image), atol=1e-3)


def test_a_module_that_insists_on_batches_gets_one():
    class Batched(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(4, 2, rngs=nnx.Rngs(0))

        def __call__(self, images):
            return self.layer(images.reshape(images.shape[0], -1))

    module = Batched()
    apply, params = functional(module, batched=True)
    image = jnp.arange(4.0).reshape(2, 2)
    np.testing.assert_allclose(apply(params, image), module(image[None])[0], rtol=1e-6)


class Normalized(nnx.Module):
    def __init__(self):
        self.norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.norm(x)


class Dropped(nnx.Module):
    def __init__(self):
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.drop(x)


@pytest.mark.parametrize(("module", "name"), [(Normalized, "norm"), (Dropped, "drop")])
def test_what_changes_while_it_reads_is_refused_with_the_remedy(module, name):
    with pytest.raises(ValueError, match=rf"{name} would change when.*module\.eval\(\)"):
        functional(module())
    still = module()
    still.eval()
    apply, params = functional(still, batched=True)
    assert apply(params, jnp.ones(4)).shape == (4,)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3), (9, 7)])
def test_the_convnet_reads_any_images(shape):
    init, apply = flax_nnx.convnet(image_shape=shape, classes=4)
    params = init(jax.random.key(0))
    assert apply(params, np.zeros(shape, np.uint8)).shape == (4,)
    other = init(jax.random.key(1))
    assert not np.array_equal(jax.tree.leaves(params)[-1], jax.tree.leaves(other)[-1])


def test_halving_takes_the_largest_of_each_block_as_max_pooling_does():
    image = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5, 2)), jnp.float32)
    pooled = nnx.max_pool(image[None], (2, 2), strides=(2, 2))[0]
    np.testing.assert_array_equal(flax_nnx.halved(image), pooled)
    assert not np.array_equal(-flax_nnx.halved(-image), pooled)
