"""Switch off hidden neurons at random for each image (dropout), and make a cost that trains a network with dropout."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnet.core.network import Activation, Image, Layer, intensities
from jaxnet.core.types import Batch, Cost, Loss


def apply_with_dropout(
    key: Key[Array, ""],
    params: Sequence[Layer],
    image: Image,
    *,
    rate: float | int,
    activation: Activation,
    output: Activation,
) -> Float[Array, "classes"]:
    """Compute the outputs for one image with some hidden neurons switched off.

    The other hidden neurons are scaled up to compensate.

    Args:
        key: A typed random key that decides which neurons are off.
        params: The layers, as `network.init` returns them.
        image: One image.
        rate: The probability that a hidden neuron is off.
        activation: The activation of the hidden layers.
        output: The activation of the last layer.

    Returns:
        The outputs. Their average over many keys is, to first order, the output of `network.apply`.

    Raises:
        ValueError: If the rate is outside the range 0 <= rate < 1.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"the dropout rate must be at least 0 and below 1, got rate={rate}")
    lit = intensities(image, params[0].weights.dtype).reshape(-1)
    for i, layer in enumerate(params[:-1]):
        lit = activation(layer.weights @ lit + layer.biases)
        on = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate, lit.shape)
        lit = jnp.where(on, lit / (1 - rate), jnp.zeros_like(lit))
    return output(params[-1].weights @ lit + params[-1].biases)


def dropout_cost(loss: Loss, rate: float | int, *, activation: Activation, output: Activation) -> Cost:
    """Make a cost: the mean loss over a batch. Dropout switches off different neurons for every image.

    Args:
        loss: `loss(output, label) -> number`.
        rate: The probability that a hidden neuron is off.
        activation: The activation of the hidden layers.
        output: The activation of the last layer.

    Returns:
        `cost(params, batch)` for batches that carry a key.

    Raises:
        ValueError: If the cost is called with a batch that carries no key.
    """

    def cost(params: Sequence[Layer], batch: Batch) -> Float[Array, ""]:
        if batch.key is None:
            raise ValueError(
                "dropout needs a batch with a key, got key=None; pass batch._replace(key=jax.random.key(0))"
            )

        def of_one(key: Array, image: Image, label: Any) -> Float[Array, ""]:
            answers = apply_with_dropout(key, params, image, rate=rate, activation=activation, output=output)
            return loss(answers, label)

        keys = jax.random.split(batch.key, len(batch.labels))
        return jnp.mean(jax.vmap(of_one)(keys, batch.images, batch.labels))

    return cost
