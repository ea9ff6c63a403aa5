"""How wrong: losses of one example, their average as a cost, and what the average is made of."""

import dataclasses
import functools
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from jaxnet._types import Apply, Batch, Cost, Loss, Params

Output: TypeAlias = Float[Array, "classes"] | Float[np.ndarray, "classes"]
Outputs: TypeAlias = Float[Array, "batch classes"] | Float[np.ndarray, "batch classes"]


def squared_errors(output: Output, label: Any) -> Float[Array, "classes"]:
    """The squared difference of every output from what it should be: 1 for the right one, 0 elsewhere."""
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
    """Minus the log of the softmax probability of the right answer, in nats; outputs are logits."""
    return optax.losses.softmax_cross_entropy_with_integer_labels(output, label)


@dataclasses.dataclass(frozen=True, eq=False)
class Average:
    """A cost made of a network and a loss, both of one example; see `average`.

    Attributes:
        apply: The network.
        loss: The loss.
        chunk_size: How many images are read at a time; None reads all at once.
    """

    apply: Apply
    loss: Loss
    chunk_size: int | None = None

    def of_one(self, params: Params, image: Any, label: Any) -> Float[Array, ""]:
        """The loss of one example: the mathematics, before any batching."""
        return self.loss(self.apply(params, image), label)

    def each(self, params: Params, batch: Batch) -> Float[Array, "batch"]:
        """The loss of every example of a batch."""
        return jax.vmap(self.of_one, in_axes=(None, 0, 0))(params, batch.images, batch.labels)

    def __call__(self, params: Params, batch: Batch) -> Float[Array, ""]:
        """The mean loss over a batch."""
        if len(batch.labels) == 0:
            raise ValueError("the average over an empty batch is undefined; pass at least one example")
        if self.chunk_size is None or len(batch.labels) <= self.chunk_size:
            return jnp.mean(self.each(params, batch))
        one = jax.checkpoint(lambda example: self.of_one(params, *example))
        return jnp.mean(jax.lax.map(one, (batch.images, batch.labels), batch_size=self.chunk_size))


def average(apply: Apply, loss: Loss, *, chunk_size: int | None = None) -> Average:
    """Turn a network and a loss, both of one example, into a cost of a batch: the mean over its examples.

    Args:
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        chunk_size: Read at most so many images at a time, for cost and gradient; None reads all at once.

    Returns:
        A pure function `cost(params, batch) -> number` for any number of images, 60,000 included, which remembers what
        it was made of.

    Raises:
        ValueError: From the cost, if a batch is empty.

    Source: the film's "Cost functions": the average over tens of thousands of training examples.
    """
    return Average(apply, loss, chunk_size)


def of_vector(cost: Cost, params: Params) -> Cost:
    """The same cost as a function of one long column vector: the film's 13,002 numbers.

    Args:
        cost: `cost(params, batch)`.
        params: Any parameters of the right shapes; their values do not matter.

    Returns:
        `cost(vector, batch)`; `jax.flatten_util.ravel_pytree(params)` gives the vector and the way back.
    """
    unravel = ravel_pytree(params)[1]
    return lambda vector, batch: cost(unravel(vector), batch)


def outputs(apply: Apply, params: Params, images: Any, *, chunk_size: int = 1000) -> Float[Array, "batch classes"]:
    """What the network answers to every image, at most `chunk_size` images in memory at a time; none is dropped."""
    return _outputs(apply, min(chunk_size, len(images)), params, images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _outputs(apply: Apply, chunk_size: int, params: Params, images: Any) -> Array:
    """By position: jit would compile again for a default that is left out here and given there."""
    return jax.lax.map(lambda image: apply(params, image), images, batch_size=chunk_size)


def accuracy(outputs: Outputs, labels: Any) -> Float[Array, ""]:
    """The fraction of images whose brightest output is the right one; an output that is NaN answers nothing."""
    outputs = jnp.asarray(outputs)
    right = jnp.argmax(outputs, axis=-1) == jnp.asarray(labels)
    return jnp.mean(right & ~jnp.isnan(outputs).any(axis=-1), dtype=jnp.float32)


class Evaluation(NamedTuple):
    """How lousy the network is, and where.

    Attributes:
        cost: The mean loss.
        accuracy: The fraction read correctly, 0..1.
        cost_by_class: The mean loss of each true label's images; NaN for a label without images.
        accuracy_by_class: The same for accuracy.
        count_by_class: Images of each true label.
        confusion: Images with true label (row) read as (column).
    """

    cost: Float[Array, ""]
    accuracy: Float[Array, ""]
    cost_by_class: Float[Array, "classes"]
    accuracy_by_class: Float[Array, "classes"]
    count_by_class: Int[Array, "classes"]
    confusion: Int[Array, "classes classes"]


@functools.partial(jax.jit, static_argnames="loss")
def evaluate(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    """Judge outputs by their labels: one number, and what it is made of.

    Args:
        loss: The loss of one example.
        outputs: What the network answered, from `outputs`.
        labels: (batch,), integers.

    Returns:
        Cost and accuracy, split by class.
    """
    labels = jnp.asarray(labels).astype(jnp.int32)
    classes = outputs.shape[-1]
    lost = jax.vmap(loss)(jnp.asarray(outputs), labels)
    lost = lost.astype(jnp.promote_types(lost.dtype, jnp.float32))  # half precision stops counting at 256
    answers = jnp.argmax(jnp.asarray(outputs), axis=-1)
    right = (answers == labels).astype(lost.dtype)
    total = functools.partial(jax.ops.segment_sum, segment_ids=labels, num_segments=classes)
    count = total(jnp.ones_like(labels))
    confusion = jnp.zeros((classes, classes), jnp.int32).at[labels, answers].add(1)
    return Evaluation(jnp.mean(lost), jnp.mean(right), total(lost) / count, total(right) / count, count, confusion)


def by_output(outputs: Outputs, labels: Any) -> Float[Array, "classes"]:
    """The film's average cost split over the outputs that cause it; it sums to the mean `squared_error`."""
    return jnp.mean(jax.vmap(squared_errors)(outputs, jnp.asarray(labels)), axis=0)


def mistakes(outputs: Outputs, labels: Any) -> Int[np.ndarray, "mistakes"]:
    """The positions of the misread images, the most confident mistake first.

    Confidence is the gap between the brightest output and the right one.
    """
    scores, labels = np.asarray(outputs), np.asarray(labels)
    gap = scores.max(-1) - scores[np.arange(len(labels)), labels]
    wrong = np.flatnonzero(scores.argmax(-1) != labels)
    return wrong[np.argsort(-gap[wrong], kind="stable")]
