"""Nudge every parameter alone. There is a plain way for any cost, and a fast way for fully connected networks."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxnet.bang._dense import Dense, Reading, offsets, read
from jaxnet.bang.streaming import examples, pieces
from jaxnet.core.devices import holds_primitive
from jaxnet.core.types import Batch, Cost, Params

IMAGES = 10_000
"""How many images are prepared at a time."""

NUMBERS = 2**19
"""How many intermediate numbers are computed at a time. They take 4 MB in float64, and fit into a core's cache."""

CHUNKS = 64
"""The largest number of chunks of nudges in one compiled program."""

Falls = Callable[[Any], np.ndarray]
"""`falls(steps)`: the decrease of the cost for each displacement in `steps`, which has shape (size, entry).

Each displacement is applied alone.
"""


class Sweep(NamedTuple):
    """The cost, its derivatives, and a function that measures nudges.

    The arrays are float64 and have one number for each entry.

    Attributes:
        cost: The cost at the parameters.
        gradient: The first derivatives.
        curvature: The second derivatives with respect to each parameter: the diagonal of the Hessian.
        falls: Measures the decreases of the cost for displacements.
    """

    cost: float
    gradient: Float[np.ndarray, "entry"]
    curvature: Float[np.ndarray, "entry"]
    falls: Falls


def plain(cost: Cost, params: Params, batch: Any, entries: Int[np.ndarray, "entry"], *, size: int = 1000) -> Sweep:
    """Measure nudges for any model: the whole cost is computed again for every nudge.

    Args:
        cost: `cost(params, batch)`.
        params: Parameters in float64.
        batch: The examples.
        entries: Positions in the flat vector of all parameters.
        size: How many examples are computed at a time.
    """
    flat, unravel = ravel_pytree(params)
    count = examples(batch)
    parts = [(piece, examples(piece) / count) for piece in pieces(batch, size)]
    at_once = max(1, min(len(entries), 16, 2**24 // flat.size))
    of_vector = lambda vector, piece: cost(unravel(vector), piece)

    def along(vector: Array, piece: Any, entry: Array) -> tuple[Array, Array]:
        unit = jnp.zeros_like(vector).at[entry].set(1.0)
        slope = lambda x: jax.jvp(lambda y: of_vector(y, piece), (x,), (unit,))[1]
        return jax.jvp(slope, (vector,), (unit,))

    def backward(vector: Array, piece: Any, entry: Array) -> tuple[Array, Array]:
        slope, bends = jax.value_and_grad(lambda x: jax.grad(of_vector)(x, piece)[entry])(vector)
        return slope, bends[entry]

    moved = jax.jit(
        jax.vmap(lambda v, piece, at, step: of_vector(v.at[at].add(step), piece), in_axes=(None, None, 0, 0))
    )
    # jax has no forward derivative of a function with a custom backward rule.
    way = backward if holds_primitive("custom_vjp", of_vector, flat, parts[0][0]) else along
    derivatives = jax.jit(jax.vmap(way, in_axes=(None, None, 0)))
    base = sum(float(jax.jit(of_vector)(flat, piece)) * part for piece, part in parts)

    def chunks(values: Any) -> Any:
        for start in range(0, len(entries), at_once):
            chosen = np.resize(entries[start : start + at_once], at_once)
            taken = np.resize(values[start : start + at_once], at_once)
            yield slice(start, start + at_once), min(at_once, len(entries) - start), chosen, taken

    def falls(steps: Any) -> np.ndarray:
        steps = np.asarray(steps, np.float64)
        found = np.full(steps.shape, base)
        for row, target in zip(steps, found, strict=True):
            for where, filled, chosen, taken in chunks(row):
                for piece, part in parts:
                    target[where] -= part * np.asarray(moved(flat, piece, chosen, taken))[:filled]
        return found

    gradient, curvature = np.zeros(len(entries)), np.zeros(len(entries))
    for where, filled, chosen, _ in chunks(entries):
        for piece, part in parts:
            first, second = derivatives(flat, piece, chosen)
            gradient[where] += part * np.asarray(first)[:filled]
            curvature[where] += part * np.asarray(second)[:filled]
    return Sweep(base, gradient, curvature, falls)


class _Laid(NamedTuple):
    """Some images, prepared for the fast way: the inputs and sums of every layer, and for each layer the nonzero inputs."""

    reading: Reading
    losses: Array
    labels: Array
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def dense(form: Dense, params: Any, batch: Batch) -> Sweep:
    """Measure nudges of all parameters of a fully connected network.

    A nudge of a weight changes one neuron of its layer, and only for images in which the weight's input is not zero. So
    this function goes over the pairs (input, image) with a nonzero input. For each pair, it changes one neuron's sum,
    and recomputes only the layers after this neuron's layer.

    Args:
        form: The network, from `dense_form`.
        params: Layers in float64.
        batch: The images. The nonzero inputs of every layer stay in memory, at 16 bytes each (about 2 kB an image for
            the film's network). Everything else is computed in chunks.
    """
    count = examples(batch)
    unravel = ravel_pytree(params)[1]
    ravel = lambda layers: np.concatenate([np.ravel(array) for layer in layers for array in layer])
    gradient, curvature, cost = 0.0, 0.0, 0.0
    laid = []
    for piece in pieces(batch, IMAGES):
        losses, reading, first, second = _derivatives(
            form, params, jnp.asarray(piece.images), jnp.asarray(piece.labels)
        )
        pairs = [_lit_pairs(np.asarray(inputs)) for inputs in reading.inputs]
        laid.append(_Laid(reading, losses, jnp.asarray(piece.labels), pairs))
        gradient, curvature = gradient + ravel(first) / count, curvature + ravel(second) / count
        cost += float(jnp.sum(losses)) / count

    def falls(steps: Any) -> np.ndarray:
        return np.stack([_falls(form, params, laid, unravel(jnp.asarray(row))) for row in steps]) / count

    return Sweep(cost, np.asarray(gradient), np.asarray(curvature), falls)


@functools.partial(jax.jit, static_argnames="form")
def _derivatives(form: Dense, params: Any, images: Array, labels: Array) -> tuple[Array, Reading, Any, Any]:
    """The losses and readings of every image, and the first and second derivatives for every parameter.

    The derivatives are summed over images.
    """

    def of_one(image, label):
        zeros = offsets(params)
        loss, reading = read(form, params, zeros, image, label)
        cost = lambda offsets: read(form, params, offsets, image, label)[0]
        second = []
        for layer, zero in enumerate(zeros):
            slope = lambda x, unit, layer=layer: jax.jvp(
                lambda y: cost([*zeros[:layer], y, *zeros[layer + 1 :]]), (x,), (unit,)
            )[1]
            bend = lambda unit, slope=slope, zero=zero: jax.jvp(lambda x: slope(x, unit), (zero,), (unit,))[1]
            second.append(jax.vmap(bend)(jnp.eye(len(zero))))
        return loss, reading, jax.grad(cost)(zeros), second

    at_once = max(1, NUMBERS // max(len(layer.biases) for layer in params) ** 2)
    found = jax.lax.map(lambda example: of_one(*example), (images, labels), batch_size=min(at_once, len(labels)))
    losses, reading, first, second = found
    joined = lambda backs, power: tuple(
        type(layer)(back.T @ inputs**power, back.sum(0))
        for layer, back, inputs in zip(params, backs, reading.inputs, strict=True)
    )
    return losses, reading, joined(first, 1), joined(second, 2)


def _lit_pairs(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All triples (input, image, value) with a nonzero value, in order of inputs.

    The bias counts as the weight of one more input at the end. This input is always 1.
    """
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    which, image = np.nonzero(inputs.T)
    return which.astype(np.int32), image.astype(np.int32), inputs[image, which]


def _falls(form: Dense, params: Any, laid: list[_Laid], steps: Any) -> np.ndarray:
    """The decreases of the summed losses for each displacement in `steps`.

    `steps` has the structure of the parameters.
    """
    found = []
    for layer in range(len(params)):
        moves = np.concatenate([steps[layer].weights.T, steps[layer].biases[None]])
        total = np.sum([_fall(form, params, layer, part, moves) for part in laid], axis=0)
        found += [total[:-1].T.ravel(), total[-1]]
    return np.concatenate(found)


def _fall(form: Dense, params: Any, layer: int, part: _Laid, moves: np.ndarray) -> Array:
    """The decreases of the summed losses of some images, for each displacement in one layer.

    The displacements have shape (input, neuron).
    """
    which, image, value = part.pairs[layer]
    wide = max(len(later.biases) for later in params[layer:])
    length = int(np.clip(NUMBERS // (moves.shape[1] * wide), 1, min(4096, len(which))))
    chunks = min(CHUNKS, -(-len(which) // length))
    block = length * chunks
    total = jnp.zeros(moves.shape)
    sums = part.reading.sums[layer : layer + 2]
    for start in range(0, len(which), block):
        cut = [np.zeros(block, array.dtype) for array in (which, image, value)]  # padding: a value of 0 changes nothing
        for array, source in zip(cut, (which, image, value), strict=True):
            array[: min(block, len(source) - start)] = source[start : start + block]
        pairs = [array.reshape(chunks, length) for array in cut]
        total = _block(form, layer, params, sums, part.losses, part.labels, pairs, moves, total)
    return total


@functools.partial(jax.jit, static_argnames=("form", "layer"), donate_argnames="total")
def _block(form, layer, params, sums, losses, labels, pairs, moves, total):
    """Add the decreases for some chunks of nonzero (input, image) pairs to the total."""
    last = layer == len(params) - 1

    def onward(later, label):
        """The loss, computed from the weighted sums of a later layer.

        If the last layer is nudged, these are the sums of the last layer. If not, these are the sums of the layer after
        the nudged layer.
        """
        for after in params[layer + 2 :]:
            later = form.activation(later) @ after.weights.T + after.biases
        return form.loss(form.output(later), label)

    def of_pair(image, value, move):
        """The decreases for one pair (input, image). There is one decrease for each neuron.

        For each neuron, only the weight from the input to this neuron is displaced.
        """
        here, label = sums[0][image], labels[image]

        def of_neuron(neuron, step):
            if last:
                return onward(here.at[neuron].add(value * step), label)
            change = form.activation(here[neuron] + value * step) - form.activation(here[neuron])
            return onward(sums[1][image] + params[layer + 1].weights[:, neuron] * change, label)

        after = jax.vmap(of_neuron)(jnp.arange(len(here)), move)
        return jnp.where(value == 0, 0.0, losses[image] - after)

    def of_chunk(total, chunk):
        which, image, value = chunk
        return total.at[which].add(jax.vmap(of_pair)(image, value, moves[which])), None

    return jax.lax.scan(of_chunk, total, tuple(pairs))[0]
