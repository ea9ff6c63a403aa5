"""Find dead parameters, and say why they are dead.

A dead parameter has no gradient, or almost no gradient, or its gradient always equals the gradient of a twin.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxnet.bang._dense import Dense, by_neuron, dense_form, passed_back
from jaxnet.bang.per_example import IMAGES, gradient_moments
from jaxnet.bang.streaming import examples, pieces
from jaxnet.core import network
from jaxnet.core.leaves import named_leaves, require_floats
from jaxnet.core.types import Batch, Cost, Params

ALIVE, NEVER_LIT, DEAD, UNHEARD, SATURATED, TWIN, SILENT, LOST = range(8)

REASONS = (
    "alive",
    "its input is zero in every example",
    "its neuron is off in every example: the activation is flat there",
    "no later neuron uses the output of its neuron",
    "its neuron is saturated: the activation is almost flat",
    "its neuron has a twin with the same weights, and both always change alike",
    "no example gives it a gradient",
    "its value or its gradient is NaN or infinite",
)
"""The reasons in words. The code of a reason is its index in this list."""


class DeadParameters(NamedTuple):
    """The reasons why parameters do not learn.

    Attributes:
        reason: For every parameter a code, an index into `jaxnet.bang.dead.REASONS`. Code 0 means that the parameter
            learns.
        twins: Pairs of neurons of one layer with equal incoming and equal outgoing weights, as (layer, neuron, neuron).
            Layers are counted from 1, and neurons from 0. The two neurons always stay equal.
        flat: For each layer and neuron, the fraction of examples for which its activation is flat or almost flat.
    """

    reason: Params
    twins: tuple[tuple[int, int, int], ...]
    flat: tuple[np.ndarray, ...]


def dead_parameters(cost: Cost, *, slope: float = 1e-3) -> Callable[[Params, Any], DeadParameters]:
    """Turn a cost into a function that finds parameters without a gradient, and says why they have none.

    In a fully connected network (`losses.average` of `network.apply`) the function finds every reason. In any other
    model it finds only the parameters that get no gradient.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        slope: A neuron is saturated if, for every example, the slope of its activation is at most this fraction of the
            activation's steepest slope.

    Returns:
        `look(params, batch) -> DeadParameters`.

    Raises:
        ValueError: The returned function raises this error if the cost is not a mean over examples.
    """
    scatter, gradient = gradient_moments(cost), jax.jit(jax.grad(cost))

    def look(params: Params, batch: Any) -> DeadParameters:
        form = dense_form(cost, params, batch)
        if form is not None:
            return _of_dense(form, params, batch, slope)
        require_floats(params, "dead_parameters")
        if examples(batch) == 1:
            sizes = jax.tree.map(jnp.abs, gradient(params, batch))
        else:
            found = scatter(params, batch)
            sizes = jax.tree.map(lambda mean, variance: jnp.abs(mean) + variance, found.mean, found.variance)
        return DeadParameters(
            jax.tree.map(lambda p, size: _lost(p, size, np.where(np.asarray(size) == 0, SILENT, ALIVE)), params, sizes),
            (),
            (),
        )

    return look


def _lost(params: Any, gradient: Any, reason: np.ndarray) -> np.ndarray:
    """The reasons, replaced by LOST where a parameter or its gradient is not finite."""
    return np.where(np.isfinite(np.asarray(params)) & np.isfinite(np.asarray(gradient)), reason, LOST)


def count_dead(knobs: DeadParameters) -> dict[str, dict[str, int]]:
    """How many parameters of each array learn badly or not at all, by reason.

    Arrays and reasons without such parameters are left out.
    """
    counted = {}
    for name, codes in named_leaves(knobs.reason):
        numbers = np.bincount(np.asarray(codes).ravel(), minlength=len(REASONS))
        counted[name] = {REASONS[code]: int(number) for code, number in enumerate(numbers) if code and number}
    return {name: reasons for name, reasons in counted.items() if reasons}


def _of_dense(form: Dense, params: Any, batch: Batch, slope: float) -> DeadParameters:
    _, reading = passed_back(form, params, next(pieces(batch, 8)))
    squashes = [form.activation] * (len(params) - 1) + [form.output]
    alone = tuple(by_neuron(squash, sums) for squash, sums in zip(squashes, reading.sums, strict=True))
    parts = [_piece(form, params, piece, slope, alone) for piece in pieces(batch, IMAGES)]
    lit, heard, steepest, flat, met = (
        [np.stack(rows) for rows in zip(*(part[i] for part in parts), strict=True)] for i in range(5)
    )
    count = len(batch.labels)
    twins = tuple((layer + 1, *pair) for layer in range(len(params) - 1) for pair in _alike(params, layer))
    reasons = []
    for i, layer in enumerate(params):
        neurons = np.full(len(layer.biases), ALIVE)
        for _, *pair in (twin for twin in twins if twin[0] == i + 1):
            neurons[pair] = TWIN
        neurons[flat[i].sum(0) == count] = SATURATED
        neurons[~heard[i].any(0)] = UNHEARD
        neurons[steepest[i].max(0) == 0] = DEAD
        weights = np.repeat(neurons[:, None], layer.weights.shape[1], axis=1)
        weights[(weights == ALIVE) & ~met[i].any(0)] = SILENT
        weights[:, ~lit[i].any(0)] = NEVER_LIT
        # A neuron whose sum or slope is NaN also gives NaN gradients to all parameters that feed it.
        broken = ~np.isfinite(steepest[i]).all(0) | ~np.isfinite(np.asarray(layer.biases))
        weights, neurons = (
            _lost(layer.weights, np.where(broken[:, None], np.nan, 0.0), weights),
            np.where(broken, LOST, neurons),
        )
        reasons.append(network.Layer(weights, neurons))  # pyright: ignore[reportArgumentType]
    return DeadParameters(type(params)(reasons), twins, tuple(rows.sum(0) / count for rows in flat))


@functools.partial(jax.jit, static_argnames=("form", "alone"))
def _piece(form: Dense, params: Any, batch: Batch, slope: Any, alone: tuple[bool, ...]) -> tuple[list[Array], ...]:
    """Collect five results about each layer from some examples.

    Every result is a list with one entry for each layer:

    1. Whether an input is nonzero in any example.
    2. Whether a neuron gets a gradient in any example.
    3. The steepest slope of each neuron.
    4. The number of examples in which a neuron's activation is almost flat.
    5. Whether any single example has both a nonzero input and a nonzero gradient, for each pair of input and neuron.
    """
    backs, reading = passed_back(form, params, batch)
    squashes = [form.activation] * (len(params) - 1) + [form.output]
    # An activation of the whole layer, such as a softmax, has no slope for one neuron. It never counts as flat.
    slopes = [
        jnp.abs(jax.vmap(jax.grad(lambda sums, squash=squash: jnp.sum(squash(sums))))(sums))
        if single
        else jnp.ones_like(sums)
        for squash, sums, single in zip(squashes, reading.sums, alone, strict=True)
    ]
    steepest = [
        jnp.max(jnp.abs(jax.vmap(jax.grad(lambda z, f=f: f(z[None])[0]))(jnp.linspace(-4, 4, 81)))) if single else 1.0
        for f, single in zip(squashes, alone, strict=True)
    ]
    return (
        [jnp.any(lit != 0, axis=0) for lit in reading.inputs],
        [jnp.any(back != 0, axis=0) for back in backs],
        [jnp.max(slopes, axis=0) for slopes in slopes],
        [jnp.sum(slopes <= slope * most, axis=0) for slopes, most in zip(slopes, steepest, strict=True)],
        [(back != 0).astype(lit.dtype).T @ (lit != 0) > 0 for back, lit in zip(backs, reading.inputs, strict=True)],
    )


def _alike(params: Any, layer: int) -> list[tuple[int, int]]:
    """Pairs of neurons of one hidden layer with equal incoming weights, equal biases and equal outgoing weights."""
    whole = np.concatenate(
        [params[layer].weights, np.asarray(params[layer].biases)[:, None], np.asarray(params[layer + 1].weights).T],
        axis=1,
    )
    _, kind = np.unique(whole, axis=0, return_inverse=True)
    return [(i, j) for i in range(len(kind)) for j in range(i + 1, len(kind)) if kind.ravel()[i] == kind.ravel()[j]]
