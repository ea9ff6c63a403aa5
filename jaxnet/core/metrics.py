"""How well a network recognizes images: its outputs for many images, its accuracy and cost, and its mistakes."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet.core.losses import Outputs, require_answers, squared_errors
from jaxnet.core.types import Apply, Loss, Params


def predict(apply: Apply, params: Params, images: Any, *, chunk_size: int = 1000) -> Float[Array, "batch classes"]:
    """Compute the network's outputs for all images, at most `chunk_size` images at a time. No image is left out."""
    return _outputs(apply, min(chunk_size, len(images)), params, images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _outputs(apply: Apply, chunk_size: int, params: Params, images: Any) -> Array:
    """All arguments are positional, because jit compiles again if a caller leaves out a default that another caller passes."""
    return jax.lax.map(lambda image: apply(params, image), images, batch_size=chunk_size)


def accuracy(outputs: Outputs, labels: Any) -> Float[Array, ""]:
    """The fraction of images for which the output of the right class is the largest output.

    An image with a NaN output counts as wrong.
    """
    require_answers(outputs, labels)
    outputs = jnp.asarray(outputs)
    right = jnp.argmax(outputs, axis=-1) == jnp.asarray(labels)
    return jnp.mean(right & ~jnp.isnan(outputs).any(axis=-1), dtype=jnp.float32)


class Evaluation(NamedTuple):
    """How wrong the network is, and for which classes.

    Attributes:
        cost: The mean loss.
        accuracy: The fraction of the images that the network recognizes correctly, 0..1.
        cost_by_class: The mean loss over the images of each true label. It is NaN for a label without images.
        accuracy_by_class: For each true label, the fraction of its images that the network recognizes correctly.
        count_by_class: The number of images of each true label.
        confusion: A matrix of counts. Each row is a true label, and each column is an answer of the network.
            Images with NaN outputs are in no column.
    """

    cost: Float[Array, ""]
    accuracy: Float[Array, ""]
    cost_by_class: Float[Array, "classes"]
    accuracy_by_class: Float[Array, "classes"]
    count_by_class: Int[Array, "classes"]
    confusion: Int[Array, "classes classes"]


def exact_accuracy(accuracy: Any, count: int) -> Any:
    """Convert a fraction of `count` images to double precision: 9,820 of 10,000 images give 0.982, not 0.9819999933."""
    return np.rint(np.asarray(accuracy, np.float64) * count) / count


def evaluation(loss: Loss, outputs: Outputs, labels: Any) -> Evaluation:
    """Evaluate outputs against their labels: cost and accuracy, in total and by class.

    Args:
        loss: The loss of one example.
        outputs: The network's outputs, from `predict`.
        labels: The right classes, integers of shape (batch,).

    Returns:
        Cost and accuracy, in total and by class. An image with a NaN output counts as wrong, and it is in no column of
        `confusion`.

    Raises:
        ValueError: If the outputs are not real numbers of shape (batch, classes). The function also raises it if there
            is not one label for each row, or if a label is not a whole number from 0 to classes - 1.
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
    """The film's average cost, split into one part for each output. The parts sum to the mean `squared_error`."""
    require_answers(outputs, labels)
    return jnp.mean(jax.vmap(squared_errors)(outputs, jnp.asarray(labels)), axis=0)


def mistakes(outputs: Outputs, labels: Any) -> Int[np.ndarray, "mistakes"]:
    """The positions of the images that the network recognizes wrongly.

    The most confident mistake comes first, and images with a NaN output come last. Confidence is the difference between
    the largest output and the output of the right class.
    """
    require_answers(outputs, labels)
    scores, labels = np.asarray(outputs), np.asarray(labels)
    gap = scores.max(-1) - scores[np.arange(len(labels)), labels]
    wrong = np.flatnonzero((scores.argmax(-1) != labels) | np.isnan(scores).any(-1))
    return wrong[np.argsort(-gap[wrong], kind="stable")]
