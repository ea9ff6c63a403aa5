"""Gradients of single examples: their mean and variance, signal to noise, and their split by label."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnet.bang._dense import Dense, dense_form, passed_back
from jaxnet.bang.streaming import each, examples, labels_of, labels_within, over_examples, pieces, require_mean
from jaxnet.core import devices
from jaxnet.core.leaves import named_leaves, names, require_floats
from jaxnet.core.network import Layer
from jaxnet.core.types import Batch, Cost, Params

IMAGES = 1000
"""How many examples are computed at a time if a gradient is an outer product."""

RESIDENT = 256_000_000
"""The largest number of bytes of images that are on the device at a time."""


class Moments(NamedTuple):
    """The mean and the variance of the gradients of single examples.

    Attributes:
        mean: The gradient of the cost over all examples.
        variance: For every parameter, the variance of one example's gradient around the mean. The divisor is the number
            of examples minus 1.
        examples: The number of examples.
    """

    mean: Params
    variance: Params
    examples: int


def gradient_moments(cost: Cost, *, size: int | None = None) -> Callable[[Params, Any], Moments]:
    """Turn a cost into a function that gives the mean and the variance of its gradient over all examples, in bounded memory.

    For `losses.average` of `network.apply`, the gradients of single examples are never formed. The gradient of a weight
    is the weight's input times the derivative of the loss with respect to the neuron's weighted sum. The squared
    gradient is the product of the squares of these two numbers. For any other cost, the gradients of a few examples are
    formed at a time. The sums have the parameters' type, but at least float32. If the scatter of the gradients is a
    thousand times smaller than their mean, use float64 parameters.

    Args:
        cost: `cost(params, batch)`, a mean over examples, with any model.
        size: How many examples are computed at a time. If it is None, the number depends on the model's size.

    Returns:
        `measure(params, batch) -> Moments`.

    Raises:
        ValueError: If size is below 1. The returned function raises this error if there are fewer than two examples, or
            if the cost is not a mean over examples.

    Examples:
        >>> distance = lambda x, batch: jnp.mean((x - batch) ** 2) / 2
        >>> found = gradient_moments(distance)(jnp.array(1.0), jnp.array([0.0, 1.0, 5.0]))
        >>> float(found.mean), float(found.variance)
        (-1.0, 7.0)
    """
    gradients, center, check = _gradients(each(cost)), jax.jit(jax.grad(cost)), require_mean(cost)
    plain = jax.jit(lambda params, middle, batch: _deviations(gradients(params, batch), middle))
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 example at a time, got {size}")

    def measure(params: Params, batch: Any) -> Moments:
        if (count := examples(batch)) < 2:
            raise ValueError(f"a variance needs at least 2 examples, got {count}")
        require_floats(params, "gradient_moments")
        check(params, batch)
        params, form = _at_least_single(params), dense_form(cost, params, batch)
        middle = jax.tree.map(jnp.zeros_like, params)
        if form is None:
            middle = center(params, next(pieces(batch, 100)))
            sums = (plain(params, middle, piece) for piece in pieces(batch, size or at_once(params)))
        else:
            resident = max(1, RESIDENT * count // np.asarray(batch.images).nbytes)
            sums = (_outer_sums(form, params, piece, size or IMAGES) for piece in pieces(batch, resident))
        first, second = functools.reduce(_added, sums)
        mean, variance = _finished(middle, first, second, count)
        return Moments(mean, variance, count)

    return measure


def signal_to_noise(found: Moments) -> Params:
    """How clearly the examples agree on each parameter: |mean| / standard deviation of one example's gradient.

    If the value is 1, a single example gives the right direction in about five of six cases. If the value is 0.1, this
    certainty needs a hundred examples. If the mean is 0, the value is 0.
    """
    return jax.tree.map(lambda m, v: jnp.where(m == 0, 0.0, jnp.abs(m) / jnp.sqrt(v)), found.mean, found.variance)


def gradient_by_label(cost: Cost, labels: int) -> Callable[[Params, Any], Params]:
    """Turn a cost into a function that splits its gradient by label: which labels push a parameter up, and which down.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        labels: The number of labels. The batch's `labels` (a field, or an entry of a dictionary) are whole numbers from
            0 to labels - 1.

    Returns:
        `pull(params, batch)`. It returns a pytree with the structure of the parameters. Every array has one more axis
        at the front, for the labels. The sum over the labels is the gradient.

    Raises:
        ValueError: The returned function raises this error if a label is out of range, or if the cost is not a mean
            over examples.

    Source: the film's "Gradient descent": the gradient is an average over all examples.
    """
    losses, check = each(cost), require_mean(cost)

    @jax.jit
    def by_label(params: Params, batch: Any) -> Params:
        # One forward pass, and one backward pass for each label.
        marks = jnp.asarray(labels_of(batch))
        return jax.jacrev(lambda p: jax.ops.segment_sum(losses(p, batch), marks, labels))(params)

    def pull(params: Params, batch: Any) -> Params:
        labels_within(batch, labels)
        require_floats(params, "gradient_by_label")
        check(params, batch)
        total = functools.reduce(_added, (by_label(params, piece) for piece in pieces(batch, IMAGES)))
        return jax.tree.map(lambda leaf: leaf / examples(batch), total)

    return pull


def per_example_norms(cost: Cost, *, size: int | None = None) -> Callable[[Params, Any], Float[np.ndarray, "example"]]:
    """Turn a cost into a function that gives the Euclidean length of every example's own gradient.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        size: How many examples are computed at a time. If it is None, the number depends on the model's size.

    Returns:
        `measure(params, batch) -> (example,)`, in units of cost per unit of parameter.

    Raises:
        ValueError: If size is below 1. The returned function raises this error if there is no example, or if the cost
            is not a mean over examples.
    """
    gradients, check = _gradients(each(cost)), require_mean(cost)
    squares = lambda g: jnp.sum(g**2, axis=tuple(range(1, g.ndim)))
    plain = jax.jit(lambda params, batch: jnp.sqrt(sum(map(squares, jax.tree.leaves(gradients(params, batch))))))
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 example at a time, got {size}")

    def measure(params: Params, batch: Any) -> Float[np.ndarray, "example"]:
        if not examples(batch):
            raise ValueError("a batch needs at least one example, got none")
        require_floats(params, "per_example_norms")
        check(params, batch)
        params, form = _at_least_single(params), dense_form(cost, params, batch)
        if form is None:
            found = [plain(params, piece) for piece in pieces(batch, size or at_once(params))]
        else:
            found = [_outer_lengths(form, params, piece) for piece in pieces(batch, size or IMAGES)]
        return np.concatenate([np.asarray(part) for part in found])

    return measure


def per_example_derivative(
    cost: Cost, leaf: str, position: tuple[int, ...]
) -> Callable[[Params, Any], Float[np.ndarray, "example"]]:
    """Turn a cost into a function that differentiates every example's own loss with respect to one parameter.

    If the derivative is positive, the example's loss falls when the parameter is lowered.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        leaf: The name of an array, such as `0/weights`; see `bang.named_leaves`.
        position: The index in this array, such as the `position` of a nudge from `bang.top`.

    Returns:
        `measure(params, batch) -> (example,)`.

    Raises:
        ValueError: The returned function raises this error if the parameter does not exist, or if the cost is not a
            mean over examples.
    """
    losses, check = each(cost), require_mean(cost)

    @jax.jit
    def derivative(params: Params, along: Params, batch: Any) -> Array:
        def moved(step: Any, example: Any) -> Array:
            return losses(jax.tree.map(lambda p, a: p + step * a, params, along), example)[0]

        # The derivative is the gradient with respect to one number, the step. It is computed in backward mode, because
        # functions with a custom backward rule refuse forward mode.
        step = jnp.zeros((), jnp.result_type(*jax.tree.leaves(params)))
        return over_examples(lambda example: jax.grad(moved)(step, example), batch)

    def measure(params: Params, batch: Any) -> Float[np.ndarray, "example"]:
        shapes = {name: np.shape(array) for name, array in named_leaves(params)}
        shape = shapes.get(leaf, ())
        if (
            leaf not in shapes
            or len(position) != len(shape)
            or any(not 0 <= p < s for p, s in zip(position, shape, strict=True))
        ):
            told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"there is no parameter {leaf}{list(position)}; the arrays are {told}")
        require_floats(params, "per_example_derivative")
        check(params, batch)
        params = jax.tree.map(jnp.asarray, params)
        units = (
            jnp.zeros_like(array).at[position].set(1) if name == leaf else jnp.zeros_like(array)
            for name, array in zip(names(params), jax.tree.leaves(params), strict=True)
        )
        along = jax.tree.structure(params).unflatten(units)
        return np.concatenate([np.asarray(derivative(params, along, piece)) for piece in pieces(batch, IMAGES)])

    return measure


def at_once(params: Params) -> int:
    """How many whole gradients to form at a time.

    On a CPU, the gradients fit into a cache. On an accelerator, they take about 200 MB. There are at most 256
    gradients.
    """
    numbers = 150_000 if devices.current().platform == "cpu" else 50_000_000
    return max(1, min(256, math.ceil(numbers / sum(np.size(leaf) for leaf in jax.tree.leaves(params)))))


@jax.jit
def _added(total: Any, part: Any) -> Any:
    return jax.tree.map(jnp.add, total, part)


def _at_least_single(params: Params) -> Params:
    """Convert half precision to float32, because sums over thousands of examples need more digits."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.promote_types(jnp.asarray(leaf).dtype, jnp.float32)), params)


def _gradients(losses: Any) -> Any:
    """Make a function `(params, batch)` that gives every example's gradient, along a leading axis."""
    alone = lambda params: lambda example: jax.grad(lambda p: losses(p, example)[0])(params)
    return lambda params, batch: over_examples(alone(params), batch)


def _deviations(grads: Params, middle: Params) -> tuple[Params, Params]:
    """Two sums over examples: the gradient's deviations from `middle`, and the squares of these deviations."""
    apart = jax.tree.map(lambda g, m: g - m[None], grads, middle)
    return jax.tree.map(lambda d: jnp.sum(d, 0), apart), jax.tree.map(lambda d: jnp.sum(d**2, 0), apart)


@functools.partial(jax.jit, static_argnames=("form", "size"))
def _outer_sums(form: Dense, params: Any, batch: Batch, size: int) -> tuple[Params, Params]:
    """Sums of the gradients and of their squares, if a gradient is an outer product.

    The square of an outer product is the outer product of the squares.
    """

    def of_some(images: Array, labels: Array) -> tuple[Params, Params]:
        backs, reading = passed_back(form, params, Batch(images, labels))
        layers = list(zip(backs, reading.inputs, strict=True))
        summed = lambda power: type(params)(
            Layer((back**power).T @ lit**power, (back**power).sum(0)) for back, lit in layers
        )
        return summed(1), summed(2)

    whole = len(batch.labels) // size
    cut = lambda leaf: leaf[: whole * size].reshape(whole, size, *leaf.shape[1:])
    add = lambda total, some: (jax.tree.map(jnp.add, total, of_some(*some)), None)
    zeros = jax.tree.map(jnp.zeros_like, (params, params))
    total, _ = jax.lax.scan(add, zeros, (cut(batch.images), cut(batch.labels)))
    rest = (batch.images[whole * size :], batch.labels[whole * size :])
    return add(total, rest)[0] if len(rest[1]) else total


@functools.partial(jax.jit, static_argnames="count")
def _finished(middle: Params, first: Params, second: Params, count: int) -> tuple[Params, Params]:
    mean = jax.tree.map(lambda m, one: m + one / count, middle, first)
    variance = jax.tree.map(lambda one, two: jnp.maximum(two - one**2 / count, 0) / (count - 1), first, second)
    return mean, variance


@functools.partial(jax.jit, static_argnames="form")
def _outer_lengths(form: Dense, params: Any, batch: Batch) -> Array:
    backs, reading = passed_back(form, params, batch)
    squares = [jnp.sum(back**2, 1) * (1 + jnp.sum(lit**2, 1)) for back, lit in zip(backs, reading.inputs, strict=True)]
    return jnp.sqrt(sum(squares))
