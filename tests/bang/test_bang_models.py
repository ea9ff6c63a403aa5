"""The instruments on models that are not ours: five families, two published MNIST networks, and a small transformer."""

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxnet import bang, losses
from jaxnet.core.network import intensities
from jaxnet.core.types import Batch
from jaxnet.models.flax_nnx import functional

GENERATOR = np.random.default_rng(0)
FIRST, SECOND = GENERATOR.normal(size=(5, 4)), GENERATOR.normal(size=(3, 5))
BIASES, LAST = GENERATOR.normal(size=5), GENERATOR.normal(size=3)
BATCH = Batch(GENERATOR.integers(0, 256, (8, 2, 2), dtype=np.uint8), np.arange(8) % 3)


def by_hand():
    """Every image's gradient by the weights (out, in) and biases of 4-5-3, sigmoid and cross-entropy, in numpy."""
    rows = []
    for image, label in zip(BATCH.images, BATCH.labels, strict=True):
        x = image.reshape(-1) / 255
        lit = 1 / (1 + np.exp(-(FIRST @ x + BIASES)))
        logits = SECOND @ lit + LAST
        wrong = np.exp(logits) / np.exp(logits).sum() - np.eye(3)[label]
        back = SECOND.T @ wrong * lit * (1 - lit)
        rows.append((np.outer(back, x), back, np.outer(wrong, lit), wrong))
    return [np.stack(column) for column in zip(*rows, strict=True)]


def read(image):
    return intensities(image).reshape(-1)


def in_linen():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, image):
            lit = jax.nn.sigmoid(linen.Dense(5)(read(image)))
            return linen.Dense(3)(lit)

    layers = {"Dense_0": {"kernel": FIRST.T, "bias": BIASES}, "Dense_1": {"kernel": SECOND.T, "bias": LAST}}
    return Net().apply, {"params": layers}, ("params/Dense_0/kernel", "params/Dense_1/bias"), True


def in_nnx():
    class Net(nnx.Module):
        def __init__(self):
            self.hidden = nnx.Linear(4, 5, rngs=nnx.Rngs(0))
            self.out = nnx.Linear(5, 3, rngs=nnx.Rngs(0))

        def __call__(self, image):
            return self.out(jax.nn.sigmoid(self.hidden(read(image))))

    net = Net()
    for layer, weights, biases in ((net.hidden, FIRST, BIASES), (net.out, SECOND, LAST)):
        layer.kernel[...] = jnp.asarray(weights.T, jnp.float32)
        layer.bias[...] = jnp.asarray(biases, jnp.float32)
    return (*functional(net), ("hidden/kernel", "out/bias"), True)


def in_equinox():
    net = eqx.nn.MLP(4, 3, 5, 1, activation=jax.nn.sigmoid, key=jax.random.key(0))
    where = lambda net: [array for layer in net.layers for array in (layer.weight, layer.bias)]
    net = eqx.tree_at(where, net, [jnp.asarray(array, jnp.float32) for array in (FIRST, BIASES, SECOND, LAST)])
    params, static = eqx.partition(net, eqx.is_inexact_array)
    apply = lambda params, image: eqx.combine(params, static)(read(image))
    return apply, params, ("layers/0/weight", "layers/1/bias"), False


def in_haiku():
    net = hk.without_apply_rng(hk.transform(lambda image: hk.nets.MLP([5, 3], activation=jax.nn.sigmoid)(read(image))))
    layers = {"mlp/~/linear_0": {"w": FIRST.T, "b": BIASES}, "mlp/~/linear_1": {"w": SECOND.T, "b": LAST}}
    return net.apply, layers, ("mlp/~/linear_0/w", "mlp/~/linear_1/b"), True


def in_plain_arrays():
    apply = lambda p, image: p["out"] @ jax.nn.sigmoid(p["hidden"] @ read(image) + p["shift"]) + p["last"]
    return apply, {"hidden": FIRST, "shift": BIASES, "out": SECOND, "last": LAST}, ("hidden", "last"), False


FAMILIES = {f.__name__[3:]: f for f in (in_linen, in_nnx, in_equinox, in_haiku, in_plain_arrays)}


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name == "nnx" else pytest.mark.slow) for name in FAMILIES],
)
def test_every_instrument_gives_a_hand_written_gradients_numbers(family):
    apply, params, (first, last), flax_way = FAMILIES[family]()
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    cost = losses.average(apply, losses.cross_entropy)
    rows = by_hand()
    wanted = rows[0].transpose(0, 2, 1) if flax_way else rows[0]
    grads = dict(bang.named_leaves(jax.grad(cost)(params, BATCH)))
    np.testing.assert_allclose(grads[first], wanted.mean(0), atol=1e-6)
    np.testing.assert_allclose(grads[last], rows[3].mean(0), atol=1e-6)

    found = bang.gradient_moments(cost)(params, BATCH)
    np.testing.assert_allclose(dict(bang.named_leaves(found.variance))[first], wanted.var(0, ddof=1), atol=1e-6)
    worth = bang.worth(cost, sizes=[1e-3], entries=bang.positions(params, first))(params, BATCH)
    np.testing.assert_allclose(worth.gradient, wanted.mean(0).ravel(), atol=1e-6)
    np.testing.assert_allclose(worth.measured[0], worth.predicted[0], atol=1e-6)
    lengths = bang.per_example_norms(cost)(params, BATCH)
    np.testing.assert_allclose(lengths**2, sum((row.reshape(8, -1) ** 2).sum(1) for row in rows), rtol=1e-4)
    pulled = bang.gradient_by_label(cost, 3)(params, BATCH)
    np.testing.assert_allclose(
        dict(bang.named_leaves(pulled))[last][2], rows[3][BATCH.labels == 2].sum(0) / 8, atol=1e-6
    )
    assert set(bang.by_leaf(bang.share(bang.select(params, first)))) == {first}


class FlaxCNN(nnx.Module):
    """The architecture of flax's MNIST tutorial: two 3x3 convolutions with average pooling, 256 hidden neurons."""

    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 32, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), rngs=rngs)
        self.linear1 = nnx.Linear(3136, 256, rngs=rngs)
        self.linear2 = nnx.Linear(256, 10, rngs=rngs)

    def __call__(self, image):
        x = intensities(image).reshape(1, 28, 28, 1)
        for conv in (self.conv1, self.conv2):
            x = nnx.avg_pool(nnx.relu(conv(x)), window_shape=(2, 2), strides=(2, 2))
        return self.linear2(nnx.relu(self.linear1(x.reshape(-1))))


def flax_cnn():
    return (*functional(FlaxCNN(nnx.Rngs(0))), "conv2/kernel")


def equinox_cnn():
    """The architecture of equinox's MNIST example: one 4x4 convolution, max pooling, three dense layers."""
    keys = jax.random.split(jax.random.key(0), 4)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(1, 3, kernel_size=4, key=keys[0]), eqx.nn.MaxPool2d(kernel_size=2), eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(1728, 512, key=keys[1]), eqx.nn.Lambda(jax.nn.sigmoid),
            eqx.nn.Linear(512, 64, key=keys[2]), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Linear(64, 10, key=keys[3]),
        ]
    )  # fmt: skip
    params, static = eqx.partition(net, eqx.is_inexact_array)
    return lambda params, image: eqx.combine(params, static)(jnp.asarray(image)[None]), params, "layers/0/weight"


def transformer():
    """One block of attention over the 28 rows of an image, in linen."""

    class Transformer(linen.Module):
        @linen.compact
        def __call__(self, image):
            x = linen.Dense(16)(intensities(image)) + self.param("place", linen.initializers.normal(), (28, 16))
            x = x + linen.MultiHeadDotProductAttention(num_heads=2)(linen.LayerNorm()(x))
            x = x + linen.Dense(16)(linen.gelu(linen.Dense(32)(linen.LayerNorm()(x))))
            return linen.Dense(10)(x.mean(0))

    net = Transformer()
    return (
        net.apply,
        net.init(jax.random.key(0), jnp.zeros((28, 28))),
        "params/MultiHeadDotProductAttention_0/query/kernel",
    )


@pytest.mark.slow
@pytest.mark.parametrize("build", [flax_cnn, equinox_cnn, transformer])
def test_something_real_that_is_not_ours(build, mnist):
    apply, params, leaf = build()
    cost = losses.average(apply, losses.cross_entropy)
    batch = Batch(mnist.train.images[:4] / np.float32(255), mnist.train.labels[:4])
    grads = jax.jit(jax.grad(cost))(params, batch)
    best = bang.top(bang.select(grads, leaf), 1)[0]
    assert best.leaf == leaf
    entries = np.concatenate([bang.largest(grads, 2), bang.sample(jax.random.key(0), params, 2, leaves=leaf)])
    worth = bang.worth(cost, sizes=[1e-5], entries=entries)(params, batch)
    np.testing.assert_allclose(worth.measured, worth.predicted, rtol=0.05, atol=1e-12)
    assert np.abs(worth.gradient[0]) == pytest.approx(abs(bang.top(grads, 1)[0].gradient), rel=1e-4)
    pulled = bang.per_example_derivative(cost, leaf, best.position)(params, batch)
    assert pulled.mean() == pytest.approx(best.gradient, rel=1e-3)
    lengths = bang.per_example_norms(cost)(params, batch)
    alone = Batch(batch.images[2:3], batch.labels[2:3])
    assert lengths[2] ** 2 == pytest.approx(
        sum(float(jnp.vdot(g, g)) for g in jax.tree.leaves(jax.jit(jax.grad(cost))(params, alone))), rel=1e-3
    )
