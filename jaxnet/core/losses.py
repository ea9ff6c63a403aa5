"""Losses of one example, and a cost that averages a loss over a batch. The cost keeps its network and its loss as fields."""

import dataclasses
import functools
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxnet.core import network
from jaxnet.core.network import require_intensities
from jaxnet.core.types import Apply, Batch, Cost, Loss, Params

Output: TypeAlias = Float[Array, "classes"] | Float[np.ndarray, "classes"]
Outputs: TypeAlias = Float[Array, "batch classes"] | Float[np.ndarray, "batch classes"]


def squared_errors(output: Output, label: Any) -> Float[Array, "classes"]:
    """The squared difference between every output and its target.

    The target is 1 for the right class and 0 for every other class.

    Raises:
        ValueError: If there is not exactly one whole-number label for each row of outputs. All losses of this module
            check their labels.
    """
    _require_whole(jnp.shape(output), label)
    return (jnp.asarray(output) - jax.nn.one_hot(label, output.shape[-1], dtype=output.dtype)) ** 2


def squared_error(output: Output, label: Any) -> Float[Array, ""]:
    """The film's cost of one example: the sum of the squared differences over all outputs.

    Examples:
        >>> float(squared_error(jnp.array([0.5, 0.5]), 0))
        0.5

    Source: the film's "Cost functions".
    """
    return jnp.sum(squared_errors(output, label))


def half_squared_error(output: Output, label: Any) -> Float[Array, ""]:
    """Half the film's cost of one example (Nielsen, "Neural Networks and Deep Learning", chapter 1, equation 6)."""
    return squared_error(output, label) / 2


def cross_entropy(output: Output, label: Any) -> Float[Array, ""]:
    """Minus the natural logarithm of the softmax probability of the right class, in nats.

    The outputs must be logits.
    """
    _require_whole(jnp.shape(output), label)
    return optax.losses.softmax_cross_entropy_with_integer_labels(output, label)


def _require_whole(outputs: tuple[int, ...], label: Any) -> None:
    """Refuse labels that are not one whole number for each row of outputs, because jax would broadcast them silently."""
    if np.shape(label) != outputs[:-1] or not jnp.issubdtype(jnp.result_type(label), jnp.integer):
        raise ValueError(
            f"each row of outputs needs one label, a whole number; got outputs of shape {outputs}, and labels of type "
            f"{jnp.result_type(label)} and shape {np.shape(label)}. For one-hot rows pass labels.argmax(axis=-1). "
            "For a column pass labels[:, 0]"
        )


def require_labels(labels: Any, classes: int) -> None:
    """Refuse labels that are not classes.

    Inside `jax.jit` the values of the labels are unknown, so they are not checked.

    Raises:
        ValueError: If the labels are not whole numbers from 0 to classes - 1 along one axis.
    """
    if np.ndim(labels) != 1 or not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise ValueError(
            f"labels are whole numbers along one axis, got {np.result_type(labels)} of shape {np.shape(labels)}; "
            "for one-hot rows pass labels.argmax(axis=-1), and for a column pass labels[:, 0]"
        )
    if _traced(labels) or not len(labels):
        return
    known = np.asarray(labels)
    if (bad := (known < 0) | (known >= classes)).any():
        first = int(np.argmax(bad))
        hint = "; labels that count from 1 need labels - 1" if known.min() == 1 and known.max() == classes else ""
        raise ValueError(
            f"labels must lie in 0..{classes - 1} for {classes} outputs, got {known[first]} at position {first}{hint}"
        )


def require_answers(outputs: Any, labels: Any) -> None:
    """Refuse outputs that are not one row of real numbers for each label."""
    kind = getattr(outputs, "dtype", None)
    if kind is None or jnp.issubdtype(kind, jnp.complexfloating) or np.ndim(outputs) != 2:
        got = type(outputs).__name__ if kind is None else f"{kind} of shape {np.shape(outputs)}"
        raise ValueError(f"outputs must be an array of real numbers (batch, classes), got {got}")
    require_labels(labels, outputs.shape[-1])
    if len(outputs) != len(labels):
        raise ValueError(
            f"there must be one label for each row of outputs, got {len(labels):,} for {len(outputs):,} rows"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
    """A cost made of a network and a loss. The network and the loss work on one example. See `average`.

    Attributes:
        apply: The network, `apply(params, image) -> output`.
        loss: The loss, `loss(output, label) -> number`.
        chunk_size: How many images the network computes at a time. If it is None, the network computes all images at
            once.
    """

    apply: Apply
    loss: Loss
    chunk_size: int | None = None

    def of_one(self, params: Params, image: Any, label: Any) -> Float[Array, ""]:
        """The loss of one example, without any batching."""
        return self.loss(self.apply(params, image), label)

    def each(self, params: Params, batch: Batch) -> Float[Array, "batch"]:
        """The loss of every example of a batch."""
        return jax.vmap(self.of_one, in_axes=(None, 0, 0))(params, batch.images, batch.labels)

    def __call__(self, params: Params, batch: Batch) -> Float[Array, ""]:
        """The mean loss over a batch."""
        if len(batch.labels) == 0:
            raise ValueError("the average over an empty batch is undefined; pass at least one example")
        if self.loss in (squared_error, half_squared_error, cross_entropy):
            _require_fitting(self.apply, params, batch)
        if self.chunk_size is None or len(batch.labels) <= self.chunk_size:
            return jnp.mean(self.each(params, batch))
        one = jax.checkpoint(lambda example: self.of_one(params, *example))
        return jnp.mean(jax.lax.map(one, (batch.images, batch.labels), batch_size=self.chunk_size))


def average(apply: Apply, loss: Loss, *, chunk_size: int | None = None) -> Average:
    """Make a cost of a batch from a network and a loss of one example: the mean over the batch's examples.

    Args:
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        chunk_size: The largest number of images that the network computes at a time, for the cost and for its gradient.
            If it is None, the network computes all images at once.

    Returns:
        A pure function `cost(params, batch) -> number` for any number of images, for example all 60,000. The fields of
        the function hold the network and the loss.

    Raises:
        ValueError: If the loss is cross-entropy and the last layer of `network.apply` has an activation, because
            cross-entropy takes logits. The cost raises it if the batch is empty, or if a label is not a class of the
            network's outputs.

    Source: the film's "Cost functions": the average over tens of thousands of training examples.
    """
    squashed = _squashing(apply)
    if loss is cross_entropy and squashed is not None:
        raise ValueError(
            f"cross_entropy takes logits, but network.apply ends with {squashed} here; "
            "pass functools.partial(network.apply, output=network.identity)"
        )
    return Average(apply, loss, chunk_size)


def _squashing(apply: Any) -> str | None:
    """The name of the output activation of `network.apply`.

    The result is None if the outputs are logits, or if `apply` is another function.
    """
    given: dict[str, Any] = {}
    while isinstance(apply, functools.partial):
        apply, given = apply.func, {**apply.keywords, **given}
    if (getattr(apply, "__module__", ""), getattr(apply, "__name__", "")) != (network.__name__, "apply"):
        return None
    last = given.get("output") or given.get("activation")
    name = "sigmoid" if last is None else getattr(last, "__name__", "")
    known = last is None or getattr(last, "__module__", "") == network.__name__
    return name if known and name != "identity" else None


def _traced(tree: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))  # pyright: ignore[reportAttributeAccessIssue]


def _require_fitting(apply: Apply, params: Params, batch: Batch) -> None:
    """Outside of `jax.jit`, refuse labels that are not classes, and float images in 0..255."""
    images, labels = batch.images, batch.labels
    if _traced((params, images, labels)):
        return
    if not hasattr(images, "shape"):
        return
    if len(images) != len(labels):
        raise ValueError(f"every image needs one label, got {len(images):,} images and {len(labels):,} labels")
    require_labels(labels, jax.eval_shape(apply, params, images[0]).shape[-1])
    require_intensities(images)


def of_vector(cost: Cost, params: Params) -> Cost:
    """Turn a cost into a function of one long vector: the film's column of 13,002 numbers.

    Args:
        cost: `cost(params, batch)`.
        params: Parameters with the right shapes. Their values do not matter.

    Returns:
        `cost(vector, batch)`. `jax.flatten_util.ravel_pytree(params)` gives the vector, and a function that turns a
        vector back into parameters.
    """
    unravel = ravel_pytree(params)[1]
    return lambda vector, batch: cost(unravel(vector), batch)
