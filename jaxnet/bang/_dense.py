"""Recognize fully connected networks inside a cost, and find the inputs, sums and derivatives of every layer."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnet.core import network
from jaxnet.core.losses import Average
from jaxnet.core.network import Activation, Layer
from jaxnet.core.types import Batch, Loss


class Dense(NamedTuple):
    """The parts of a cost that is the mean loss of `network.apply`: two activations and the loss of one image."""

    activation: Activation
    output: Activation
    loss: Loss


class Reading(NamedTuple):
    """What every layer computes for one image. Each field is a list with one entry for each layer.

    Attributes:
        inputs: The inputs of each layer: the pixels for the first layer, then activations.
        sums: The weighted sums of each layer, before the activation.
    """

    inputs: list[Array]
    sums: list[Array]


def dense_form(cost: Any, params: Any, batch: Any) -> Dense | None:
    """Return the parts of a cost that is `losses.average` of `network.apply` for these parameters.

    For any other cost, the result is None.
    """
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
    """Return the loss of one image, with `offsets` (one vector for each layer) added to the weighted sums.

    Also return the inputs and the sums of every layer. The offsets are zeros. They serve only to differentiate the loss
    with respect to the sums.
    """
    inputs, sums = [network.intensities(image, params[0].weights.dtype).reshape(-1)], []
    for layer, offset in zip(params, offsets, strict=True):
        sums.append(layer.weights @ inputs[-1] + layer.biases + offset)
        squash = form.output if len(sums) == len(params) else form.activation
        inputs.append(squash(sums[-1]))
    return form.loss(inputs.pop(), label), Reading(inputs, sums)


def offsets(params: Any) -> list[Array]:
    """Zeros to add to the weighted sums, one vector for each layer.

    The loss is differentiated with respect to these zeros.
    """
    return [jnp.zeros_like(layer.biases) for layer in params]


def passed_back(form: Dense, params: Any, batch: Batch) -> tuple[list[Array], Reading]:
    """Each image's derivatives with respect to the weighted sums, and the inputs of all layers.

    Each array has the shape (batch, neuron). In every layer, the gradient of one image is an outer product: the
    image's derivatives times the image's inputs. This makes per-example gradients cheap.
    """
    one = jax.grad(lambda *arguments: read(form, *arguments), argnums=1, has_aux=True)
    return jax.vmap(one, in_axes=(None, None, 0, 0))(params, offsets(params), batch.images, batch.labels)


def by_neuron(squash: Activation, sums: Any) -> bool:
    """Whether an activation treats every neuron independently, tested on some (batch, neuron) sums.

    A softmax does not treat neurons independently.
    """
    alone = jax.vmap(jax.vmap(lambda number: squash(number[None])[0]))
    return bool(jnp.allclose(jax.vmap(squash)(sums), alone(sums)))
