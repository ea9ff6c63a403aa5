"""Fully connected networks, recognized inside a cost: what every layer reads, sums up, and passes back, image by image."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet import network
from jaxnet._types import Batch, Loss
from jaxnet.losses import Average
from jaxnet.network import Activation, Layer


class Dense(NamedTuple):
    """A cost that is the mean loss of `network.apply`: its activation, its output's, and the loss of one image."""

    activation: Activation
    output: Activation
    loss: Loss


class Reading(NamedTuple):
    """One image on its way through a network, a list of layers each.

    Attributes:
        inputs: What a layer reads: the pixels, then activations.
        sums: Its weighted sums, before the activation.
    """

    inputs: list[Array]
    sums: list[Array]


def dense_form(cost: Any, params: Any, batch: Any) -> Dense | None:
    """What `cost` computes, if it is `losses.average` of `network.apply` for these parameters; otherwise None."""
    if not isinstance(cost, Average):
        return None
    apply, given = cost.apply, {}
    while isinstance(apply, functools.partial) and not apply.args:
        apply, given = apply.func, {**apply.keywords, **given}
    layers = isinstance(params, list | tuple) and params and all(isinstance(layer, Layer) for layer in params)
    if (
        apply is not network.apply
        or not layers
        or not isinstance(batch, Batch)
        or given.keys() - {"activation", "output"}
    ):
        return None
    activation = given.get("activation", network.sigmoid)
    output = given.get("output")
    return Dense(activation, activation if output is None else output, cost.loss)


def read(form: Dense, params: Any, offsets: Any, image: Any, label: Any) -> tuple[Array, Reading]:
    """The loss of one image, with `offsets` (zeros, one vector a layer) added to the weighted sums, and what was on its way."""
    inputs, sums = [network.intensities(image, params[0].weights.dtype).reshape(-1)], []
    for layer, offset in zip(params, offsets, strict=True):
        sums.append(layer.weights @ inputs[-1] + layer.biases + offset)
        squash = form.output if len(sums) == len(params) else form.activation
        inputs.append(squash(sums[-1]))
    return form.loss(inputs.pop(), label), Reading(inputs, sums)


def offsets(params: Any) -> list[Array]:
    """The zeros by which the loss is differentiated to get what a layer passes back."""
    return [jnp.zeros_like(layer.biases) for layer in params]


def passed_back(form: Dense, params: Any, batch: Batch) -> tuple[list[Array], Reading]:
    """The derivative of every image's loss by every weighted sum, and what the layers read: (batch, neuron) each.

    The gradient of one image is their outer product: that is what makes gradients example by example cheap.
    """
    one = jax.grad(lambda *arguments: read(form, *arguments), argnums=1, has_aux=True)
    return jax.vmap(one, in_axes=(None, None, 0, 0))(params, offsets(params), batch.images, batch.labels)


def by_neuron(squash: Activation, sums: Any) -> bool:
    """Whether an activation treats every neuron alone, tried on some (batch, neuron) sums; a softmax does not."""
    alone = jax.vmap(jax.vmap(lambda number: squash(number[None])[0]))
    return bool(jnp.allclose(jax.vmap(squash)(sums), alone(sums)))
