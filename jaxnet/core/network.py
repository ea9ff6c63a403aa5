"""A fully connected network: a pytree of layers, and the function that computes the network's outputs for one image."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Num

Activation: TypeAlias = Callable[[Array], Array]
Initializer: TypeAlias = Callable[..., Array]
Numbers: TypeAlias = Array | np.ndarray
Image: TypeAlias = Num[Array, "..."] | Num[np.ndarray, "..."]


class Layer(NamedTuple):
    """The parameters of one layer: the weights of its inputs, of shape (out, in), and its biases, of shape (out,)."""

    weights: Float[Array, "out in"]
    biases: Float[Array, "out"]


def sigmoid(z: Numbers) -> Array:
    """Squash every number into 0..1. This is the film's first choice. The slope of the sigmoid is never zero."""
    return jax.nn.sigmoid(z)


def relu(z: Numbers) -> Array:
    """The rectified linear unit: numbers below zero become zero, and numbers above zero stay unchanged."""
    return jax.nn.relu(z)


def tanh(z: Numbers) -> Array:
    """Squash every number into -1..1."""
    return jnp.tanh(z)


def gelu(z: Numbers) -> Array:
    """A smooth relative of ReLU: z times the normal distribution function of z (Hendrycks and Gimpel, 2016)."""
    return jax.nn.gelu(z, approximate=False)


def step(z: Numbers) -> Array:
    """Turn numbers above zero into 1 and all other numbers into 0, like a biological neuron.

    The gradient is zero, so the layers before this activation cannot learn.
    """
    return jnp.heaviside(z, jnp.zeros_like(z))


def identity(z: Numbers) -> Array:
    """Leave the numbers unchanged, for losses that take logits."""
    return jnp.asarray(z)


standard_normal = jax.nn.initializers.normal(1.0)
"""Every weight is sampled from N(0, 1).

The film calls such weights "totally random". Such weights are also Nielsen's first choice.
"""

glorot = jax.nn.initializers.glorot_normal(in_axis=-1, out_axis=-2)
"""Every weight is sampled with the variance 2 / (in + out) (Glorot and Bengio, 2010)."""

he = jax.nn.initializers.he_normal(in_axis=-1, out_axis=-2)
"""Every weight is sampled with the variance 2 / in (He et al., 2015)."""


def scaled(gain: float | int = 1.0) -> Initializer:
    """Make an initializer that samples weights from a normal distribution with standard deviation gain / sqrt(inputs).

    Args:
        gain: The standard deviation of a neuron's weighted sum, if the neuron's inputs have a mean square of 1.

    Returns:
        An initializer `(key, shape, dtype) -> weights` for weights stored (out, in).
    """
    return jax.nn.initializers.variance_scaling(gain**2, "fan_in", "normal", in_axis=-1, out_axis=-2)


def init(
    key: Key[Array, ""],
    sizes: Sequence[int] = (784, 16, 16, 10),
    *,
    weights: Initializer = scaled(),
    biases: Initializer = jax.nn.initializers.zeros,
    dtype: jax.typing.DTypeLike = jnp.float32,
) -> tuple[Layer, ...]:
    """Sample the parameters of a fully connected network at random.

    Args:
        key: A typed random key, `jax.random.key(seed)`.
        sizes: The number of neurons in each layer. The first size counts the inputs, and the last size counts the
            outputs.
        weights: The initializer of the weights: `standard_normal`, `scaled(gain)`, `glorot`, `he` or any of
            `jax.nn.initializers`.
        biases: The initializer of the biases.
        dtype: The type of the parameters. float64 needs `jax.enable_x64`.

    Returns:
        One `Layer` for each size after the first. With the default sizes there are 13,002 parameters.

    Raises:
        ValueError: If there are fewer than two sizes, or if a size is not positive.

    Examples:
        >>> params = init(jax.random.key(0))
        >>> [layer.weights.shape for layer in params]
        [(16, 784), (16, 16), (10, 16)]
        >>> sum(leaf.size for leaf in jax.tree.leaves(params))
        13002

    Source: the film's "Recap" and "Using training data".
    """
    sizes = list(sizes)
    if len(sizes) < 2:
        raise ValueError(f"a network needs at least 2 sizes (input, output), got {sizes}")
    if any(size < 1 for size in sizes):
        raise ValueError(f"every layer needs at least 1 neuron, got sizes {sizes}")
    keys = jax.random.split(key, (len(sizes) - 1, 2))
    return tuple(
        Layer(weights(keys[i, 0], (fan_out, fan_in), dtype), biases(keys[i, 1], (fan_out,), dtype))
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes))
    )


def intensities(image: Image, dtype: jax.typing.DTypeLike = jnp.float32) -> Float[Array, "..."]:
    """Turn pixels into activations: uint8 is scaled to 0..1, and floats stay unchanged. The shape is kept."""
    values = jnp.asarray(image)
    return values.astype(dtype) / 255 if values.dtype == jnp.uint8 else values.astype(dtype)


def forward(
    params: Sequence[Layer], image: Image, *, activation: Activation = sigmoid, output: Activation | None = None
) -> tuple[Float[Array, "neuron"], ...]:
    """Compute the activations of every layer for one image. The pixels come first.

    Args:
        params: The layers, as `init` returns them.
        image: One image of any shape. It must have as many pixels as the first layer has inputs.
        activation: The function that squashes the weighted sums of every layer.
        output: The function that replaces `activation` in the last layer. If it is None, the last layer uses
            `activation` too. If it is `identity`, the outputs are logits.

    Returns:
        One array for each layer. The length of an array is the number of neurons in its layer.

    Raises:
        ValueError: If the image has the wrong number of pixels, or two layers do not fit together.

    Source: the film's "Recap": a weighted sum of the previous layer plus a bias, then a sigmoid or a ReLU.
    """
    for i, layer in enumerate(params, start=1):
        before = np.shape(params[i - 2].weights)[0] if i > 1 else np.shape(layer.weights)[-1]
        if np.shape(layer.weights) != (*np.shape(layer.biases), before):
            raise ValueError(
                f"layer {i} gets {before} inputs, but has weights of shape {np.shape(layer.weights)} "
                f"and biases of shape {np.shape(layer.biases)}; "
                "weights need the shape (out, in), and biases need the shape (out,)"
            )
    inputs = params[0].weights.shape[-1]
    if math.prod(np.shape(image)) != inputs:
        raise ValueError(
            f"this network reads {inputs} pixels, got one image of shape {tuple(np.shape(image))}; "
            "for many images use jax.vmap(apply, in_axes=(None, 0))"
        )
    lit = [intensities(image, params[0].weights.dtype).reshape(-1)]
    for layer in params[:-1]:
        lit.append(activation(layer.weights @ lit[-1] + layer.biases))
    last = params[-1].weights @ lit[-1] + params[-1].biases
    lit.append((activation if output is None else output)(last))
    return tuple(lit)


def apply(
    params: Sequence[Layer], image: Image, *, activation: Activation = sigmoid, output: Activation | None = None
) -> Float[Array, "classes"]:
    """Compute the outputs for one image: the activations of the last layer. `forward` returns the activations of all layers.

    Examples:
        >>> apply(init(jax.random.key(0), [4, 3, 2]), jnp.ones(4)).shape
        (2,)
    """
    return forward(params, image, activation=activation, output=output)[-1]


def require_intensities(images: Any) -> None:
    """Refuse float images that hold whole numbers up to 255, because for a network they are 255 times too bright.

    Raises:
        ValueError: If the images look like bytes. The message says what to do.
    """
    some = np.asarray(images[:100])
    most = 16 if some.ndim > 2 else 200  # an example that is a row of numbers may hold counts
    if (
        some.dtype.kind == "f"
        and some.size
        and most < some.max() <= 255
        and some.min() >= 0
        and (some == np.rint(some)).all()
    ):
        raise ValueError(
            f"these float images hold whole numbers up to {some.max():g}, and floats are used as they are; "
            "pass them as uint8, or divide by 255"
        )
