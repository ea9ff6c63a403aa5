"""Dropout: a network whose hidden neurons are switched off at random, one image at a time, and the cost that trains it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnet._types import Batch, Cost, Loss
from jaxnet.network import Activation, Image, Layer, intensities


def thinned(
    key: Key[Array, ""],
    params: Sequence[Layer],
    image: Image,
    *,
    rate: float | int,
    activation: Activation,
    output: Activation,
) -> Float[Array, "classes"]:
    """Read one image with some of the hidden neurons switched off, the others brighter in proportion.

    Args:
        key: A typed random key: which neurons.
        params: The layers, as `network.init` returns them.
        image: One image.
        rate: The probability that a hidden neuron is off.
        activation: Of the hidden layers.
        output: Of the last layer.

    Returns:
        The outputs; averaged over keys they are, to first order, those of `network.apply`.

    Raises:
        ValueError: If the rate is not at least 0 and below 1.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a hidden neuron is off with a probability of at least 0 and below 1, got rate={rate}")
    lit = intensities(image, params[0].weights.dtype).reshape(-1)
    for i, layer in enumerate(params[:-1]):
        lit = activation(layer.weights @ lit + layer.biases)
        on = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate, lit.shape)
        lit = jnp.where(on, lit / (1 - rate), jnp.zeros_like(lit))
    return output(params[-1].weights @ lit + params[-1].biases)


def dropped(loss: Loss, rate: float | int, *, activation: Activation, output: Activation) -> Cost:
    """The mean loss over a batch, every image read by its own thinned network.

    Args:
        loss: `loss(output, label) -> number`.
        rate: The probability that a hidden neuron is off.
        activation: Of the hidden layers.
        output: Of the last layer.

    Returns:
        `cost(params, batch)` for batches that carry a key.

    Raises:
        ValueError: From the cost, if the batch carries no key.
    """

    def cost(params: Sequence[Layer], batch: Batch) -> Float[Array, ""]:
        if batch.key is None:
            raise ValueError(
                "dropout needs a batch with a key, got key=None; pass batch._replace(key=jax.random.key(0))"
            )

        def of_one(key: Array, image: Image, label: Any) -> Float[Array, ""]:
            answers = thinned(key, params, image, rate=rate, activation=activation, output=output)
            return loss(answers, label)

        keys = jax.random.split(batch.key, len(batch.labels))
        return jnp.mean(jax.vmap(of_one)(keys, batch.images, batch.labels))

    return cost
