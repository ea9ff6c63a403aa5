"""How well a network reads: its outputs for many images, their accuracy and cost, and its mistakes."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet.core.losses import Outputs, require_answers, squared_errors
from jaxnet.core.types import Apply, Loss, Params


def predict(apply: Apply, params: Params, images: Any, *, chunk_size: int = 1000) -> Float[Array, "batch classes"]:
    """The network's outputs for all images; at most `chunk_size` images are in memory at a time, and no image is dropped."""
    return _outputs(apply, min(chunk_size, len(images)), params, images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _outputs(apply: Apply, chunk_size: int, params: Params, images: Any) -> Array:
    """Arguments are positional, because jit compiles again if a default is sometimes passed and sometimes left out."""
    return jax.lax.map(lambda image: apply(params, image), images, batch_size=chunk_size)


def accuracy(outputs: Outputs, labels: Any) -> Float[Array, ""]:
    """The fraction of images whose largest output is the right one; an image with a NaN output counts as wrong."""
    require_answers(outputs, labels)
    outputs = jnp.asarray(outputs)
    right = jnp.argmax(outputs, axis=-1) == jnp.asarray(labels)
    return jnp.mean(right & ~jnp.isnan(outputs).any(axis=-1), dtype=jnp.float32)


class Evaluation(NamedTuple):
    """How wrong the network is, and for which classes.

    Attributes:
        cost: The mean loss.
        accuracy: The fraction read correctly, 0..1.
        cost_by_class: The mean loss over the images of each true label; NaN for a label without images.
        accuracy_by_class: The fraction read correctly, for each true label.
        count_by_class: The number of images of each true label.
        confusion: The number of images with true label (row) that were read as (column). Images with NaN outputs are in
            no column.
    """

    cost: Float[Array, ""]
    accuracy: Float[Array, ""]
    cost_by_class: Float[Array, "classes"]
    accuracy_by_class: Float[Array, "classes"]
    count_by_class: Int[Array, "classes"]
    confusion: Int[Array, "classes classes"]


def exact_accuracy(accuracy: Any, count: int) -> Any:
    """A fraction of `count` images in double precision: 9,820 of 10,000 are 0.982, not 0.9819999933."""
    return np.rint(np.asarray(accuracy, np.float64) * count) / count


def evaluation(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    """Evaluate outputs against their labels: cost and accuracy, in total and by class.

    Args:
        loss: The loss of one example.
        outputs: The network's outputs, from `predict`.
        labels: (batch,), integers.

    Returns:
        Cost and accuracy, in total and by class. An image with a NaN output counts as wrong and as read as no class.

    Raises:
        ValueError: If the outputs are not real numbers (batch, classes), or the labels are not one whole number from 0
            to classes - 1 for each row.
    """
    require_answers(outputs, labels)
    return _evaluated(loss, outputs, labels)


@functools.partial(jax.jit, static_argnames="loss")
def _evaluated(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    labels = jnp.asarray(labels).astype(jnp.int32)
    classes = outputs.shape[-1]
    lost = jax.vmap(loss)(jnp.asarray(outputs), labels)
    lost = lost.astype(jnp.promote_types(lost.dtype, jnp.float32))  # half precision cannot count beyond 256
    answers = jnp.argmax(jnp.asarray(outputs), axis=-1)
    answered = ~jnp.isnan(jnp.asarray(outputs)).any(axis=-1)
    right = ((answers == labels) & answered).astype(lost.dtype)
    total = functools.partial(jax.ops.segment_sum, segment_ids=labels, num_segments=classes)
    count = total(jnp.ones_like(labels))
    confusion = jnp.zeros((classes, classes), jnp.int32).at[labels, answers].add(answered.astype(jnp.int32))
    return Evaluation(jnp.mean(lost), jnp.mean(right), total(lost) / count, total(right) / count, count, confusion)


def cost_by_output(outputs: Outputs, labels: Any) -> Float[Array, "classes"]:
    """The film's average cost, split by the output that causes it. The parts sum to the mean `squared_error`."""
    require_answers(outputs, labels)
    return jnp.mean(jax.vmap(squared_errors)(outputs, jnp.asarray(labels)), axis=0)


def mistakes(outputs: Outputs, labels: Any) -> Int[np.ndarray, "mistakes"]:
    """The positions of the misread images, the most confident mistake first and images with a NaN output last.

    Confidence is the difference between the largest output and the output of the right class.
    """
    require_answers(outputs, labels)
    scores, labels = np.asarray(outputs), np.asarray(labels)
    gap = scores.max(-1) - scores[np.arange(len(labels)), labels]
    wrong = np.flatnonzero((scores.argmax(-1) != labels) | np.isnan(scores).any(-1))
    return wrong[np.argsort(-gap[wrong], kind="stable")]
