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
from jaxnet.data.own import require_intensities

Output: TypeAlias = Float[Array, "classes"] | Float[np.ndarray, "classes"]
Outputs: TypeAlias = Float[Array, "batch classes"] | Float[np.ndarray, "batch classes"]


def squared_errors(output: Output, label: Any) -> Float[Array, "classes"]:
    """The squared difference of every output from what it should be: 1 for the right one, 0 elsewhere.

    Raises:
        ValueError: If the label is not one whole number for each row of outputs, as every loss here.
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
    """Minus the log of the softmax probability of the right answer, in nats; outputs are logits."""
    _require_whole(jnp.shape(output), label)
    return optax.losses.softmax_cross_entropy_with_integer_labels(output, label)


def _require_whole(outputs: tuple[int, ...], label: Any) -> None:
    """Refuse what is no whole number for each row of outputs: it would be spread over them without a word."""
    if np.shape(label) != outputs[:-1] or not jnp.issubdtype(jnp.result_type(label), jnp.integer):
        raise ValueError(
            f"a label is one whole number, the class, for each row of outputs {outputs}; got {jnp.result_type(label)} of shape "
            f"{np.shape(label)}. For one-hot rows pass labels.argmax(axis=-1), for a column labels[:, 0]"
        )


def require_labels(labels: Any, classes: int) -> None:
    """Refuse labels that are no classes, where they are known: inside `jax.jit` they are not, and nothing is looked at.

    Raises:
        ValueError: If they are not whole numbers from 0 to classes - 1 along one axis.
    """
    if np.ndim(labels) != 1 or not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise ValueError(
            f"labels are whole numbers along one axis, got {np.result_type(labels)} of shape {np.shape(labels)}; "
            "for one-hot rows pass labels.argmax(axis=-1), for a column labels[:, 0]"
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


def _require_answers(outputs: Any, labels: Any) -> None:
    """Refuse what is no row of real outputs for each label."""
    kind = getattr(outputs, "dtype", None)
    if kind is None or jnp.issubdtype(kind, jnp.complexfloating) or np.ndim(outputs) != 2:
        got = type(outputs).__name__ if kind is None else f"{kind} of shape {np.shape(outputs)}"
        raise ValueError(f"outputs are an array of real numbers (batch, classes), got {got}")
    require_labels(labels, outputs.shape[-1])
    if len(outputs) != len(labels):
        raise ValueError(
            f"there must be one label for each row of outputs, got {len(labels):,} for {len(outputs):,} rows"
        )


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
        if self.loss in (squared_error, half_squared_error, cross_entropy):
            _require_fitting(self.apply, params, batch)
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
        ValueError: If cross-entropy, which takes logits, is asked for behind a squashing output of `network.apply`. From the
            cost, if a batch is empty, or its labels are no classes of the network's outputs.

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
    """The name of the function that squashes the outputs of `network.apply`; None for logits and for any other network."""
    given: dict[str, Any] = {}
    while isinstance(apply, functools.partial):
        apply, given = apply.func, {**apply.keywords, **given}
    if (getattr(apply, "__module__", ""), getattr(apply, "__name__", "")) != ("jaxnet.network", "apply"):
        return None
    last = given.get("output") or given.get("activation")
    name = "sigmoid" if last is None else getattr(last, "__name__", "")
    known = last is None or getattr(last, "__module__", "") == "jaxnet.network"
    return name if known and name != "identity" else None


def _traced(tree: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))  # pyright: ignore[reportAttributeAccessIssue]


def _require_fitting(apply: Apply, params: Params, batch: Batch) -> None:
    """Refuse, outside of `jax.jit`, labels that are no classes, and float images of 0..255."""
    images, labels = batch.images, batch.labels
    if _traced((params, images, labels)):
        return
    if not hasattr(images, "shape"):
        return
    if len(images) != len(labels):
        raise ValueError(f"every image has a label, got {len(images):,} images and {len(labels):,} labels")
    require_labels(labels, jax.eval_shape(apply, params, images[0]).shape[-1])
    require_intensities(images)


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
    _require_answers(outputs, labels)
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
        confusion: Images with true label (row) read as (column); those whose outputs are NaN are read as nothing.
    """

    cost: Float[Array, ""]
    accuracy: Float[Array, ""]
    cost_by_class: Float[Array, "classes"]
    accuracy_by_class: Float[Array, "classes"]
    count_by_class: Int[Array, "classes"]
    confusion: Int[Array, "classes classes"]


def exactly(accuracy: Any, count: int) -> Any:
    """A fraction of so many images in double precision: 9,820 of 10,000 are 0.982, not 0.9819999933."""
    return np.rint(np.asarray(accuracy, np.float64) * count) / count


def evaluate(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    """Judge outputs by their labels: one number, and what it is made of.

    Args:
        loss: The loss of one example.
        outputs: What the network answered, from `outputs`.
        labels: (batch,), integers.

    Returns:
        Cost and accuracy, split by class. An image with an output that is NaN is read wrongly, as nothing.

    Raises:
        ValueError: If outputs are no real numbers (batch, classes), or labels not as many whole numbers from 0 to classes - 1.
    """
    _require_answers(outputs, labels)
    return _evaluated(loss, outputs, labels)


@functools.partial(jax.jit, static_argnames="loss")
def _evaluated(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    labels = jnp.asarray(labels).astype(jnp.int32)
    classes = outputs.shape[-1]
    lost = jax.vmap(loss)(jnp.asarray(outputs), labels)
    lost = lost.astype(jnp.promote_types(lost.dtype, jnp.float32))  # half precision stops counting at 256
    answers = jnp.argmax(jnp.asarray(outputs), axis=-1)
    answered = ~jnp.isnan(jnp.asarray(outputs)).any(axis=-1)
    right = ((answers == labels) & answered).astype(lost.dtype)
    total = functools.partial(jax.ops.segment_sum, segment_ids=labels, num_segments=classes)
    count = total(jnp.ones_like(labels))
    confusion = jnp.zeros((classes, classes), jnp.int32).at[labels, answers].add(answered.astype(jnp.int32))
    return Evaluation(jnp.mean(lost), jnp.mean(right), total(lost) / count, total(right) / count, count, confusion)


def by_output(outputs: Outputs, labels: Any) -> Float[Array, "classes"]:
    """The film's average cost split over the outputs that cause it; it sums to the mean `squared_error`."""
    _require_answers(outputs, labels)
    return jnp.mean(jax.vmap(squared_errors)(outputs, jnp.asarray(labels)), axis=0)


def mistakes(outputs: Outputs, labels: Any) -> Int[np.ndarray, "mistakes"]:
    """The positions of the misread images, the most confident mistake first; those with an output that is NaN come last.

    Confidence is the gap between the brightest output and the right one.
    """
    _require_answers(outputs, labels)
    scores, labels = np.asarray(outputs), np.asarray(labels)
    gap = scores.max(-1) - scores[np.arange(len(labels)), labels]
    wrong = np.flatnonzero((scores.argmax(-1) != labels) | np.isnan(scores).any(-1))
    return wrong[np.argsort(-gap[wrong], kind="stable")]
