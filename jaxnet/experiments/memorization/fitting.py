"""Fit true or wrong labels. Many networks see the same images in the same order, but each network has its own labels."""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet import data, training
from jaxnet.core.descent import Descent, gradient_descent, vmapped, with_hyperparams
from jaxnet.core.loop import train
from jaxnet.core.types import Batch, Params
from jaxnet.training import config
from jaxnet.training.functions import build
from jaxnet.training.progress import OnProgress, Progress, no_progress

FITTED = 99.5
"""A network has fitted its labels if it has at least this percentage right."""

CLOSER = 1.15
"""The factor by which the number of steps grows from one evaluation to the next."""

BLOCK = 500
"""The number of images that are evaluated in one call."""


class Fits(NamedTuple):
    """Networks that were fitted to labels.

    Attributes:
        steps: The steps of the evaluations, from 0 on.
        right: The percentage of labels that each network had right at each evaluation.
        costs: The mean loss over all images at each evaluation.
        params: The parameters of the networks. Every array has one more axis at the front, for the networks.
        start: A digest of the start of each network.
        order: One digest for each epoch. It covers all images up to the end of this epoch, in the training's order.
    """

    steps: Int[np.ndarray, "look"]
    right: Float[np.ndarray, "look network"]
    costs: Float[np.ndarray, "look network"]
    params: Params
    start: tuple[str, ...]
    order: tuple[str, ...]


class Learner(NamedTuple):
    """The functions for many networks. Each network has its own column of the labels."""

    init: Callable[[Array], Params]
    descent: Descent
    judge: Callable[[Params, Any, Any], tuple[Array, Array]]


@functools.lru_cache(maxsize=32)
def _learner(
    settings: config.TrainConfig, image_shape: tuple[int, ...], steps: int, networks: int, kind: str
) -> Learner:
    """Make one learner for each compiled program, so jax traces no program twice. The cache compares all arguments."""
    functions = build(settings, image_shape=image_shape, classes=10, steps=steps)

    def to_column(column: Array) -> Descent:
        cost = lambda params, batch: functions.cost(params, Batch(batch.images, batch.labels[:, column]))
        return gradient_descent(cost, functions.optimizer)

    def judge_one(params: Params, column: Array, images: Array, labels: Array) -> tuple[Array, Array]:
        outputs, own = jax.vmap(functions.apply, (None, 0))(params, images), labels[:, column]
        return jnp.sum(jnp.argmax(outputs, -1) == own), jnp.sum(jax.vmap(functions.loss)(outputs, own))

    @jax.jit
    def judge(params: Params, images: Any, labels: Any) -> tuple[Array, Array]:
        return jax.vmap(judge_one, (0, 0, None, None))(params, jnp.arange(labels.shape[1]), images, labels)

    return Learner(jax.jit(jax.vmap(functions.init)), vmapped(with_hyperparams(to_column)), judge)


def _prepared(settings: config.TrainConfig, images: Any, steps: int, networks: int) -> Learner:
    """Return one learner, with one compiled program, for all settings that differ only in the number of epochs."""
    lasting = steps if settings.schedule != "constant" else 1
    settings = settings._replace(epochs=1, seed=0)
    return _learner(settings, tuple(np.shape(images)[1:]), lasting, networks, str(images.dtype))


def fit(
    settings: config.TrainConfig,
    images: Any,
    labels: Int[np.ndarray, "image network"],
    seeds: Sequence[int],
    *,
    enough: float | int = 100,
    on_progress: OnProgress = no_progress,
) -> Fits:
    """Train until the labels are fitted, or until the epochs of the settings end.

    Args:
        settings: The settings of one network. The seed determines the order of the images, which all networks share.
        images: The images for all networks.
        labels: The labels. Every network has its own column.
        seeds: One seed for each network. It determines the start, as in `jaxnet train --seed K`.
        enough: The training stops when every network has at least this percentage of its labels right.
        on_progress: Called with the progress.

    Returns:
        The networks and their evaluations.

    Raises:
        ValueError: If there is not one seed for each column of labels, or there is no step to take.
    """
    if len(seeds) != labels.shape[1]:
        raise ValueError(f"{labels.shape[1]} columns of labels need as many seeds, got {len(seeds)}")
    per_epoch = len(labels) // settings.batch_size
    if settings.epochs < 1 or per_epoch < 1:
        raise ValueError(
            f"{settings.epochs} epochs of {len(labels)} images in batches of {settings.batch_size} make no step; take more epochs "
            "or images"
        )
    total = settings.epochs * per_epoch
    learner = _prepared(settings, images, total, len(seeds))
    params = learner.init(training.many_keys(seeds).init)
    begun = learner.descent.init((params, jnp.arange(len(seeds))))
    most = 5 if settings.batch_size >= 100 else 32  # for small batches, starting a program takes longer than a step
    together = max(steps for steps in range(1, most + 1) if per_epoch % steps == 0)
    batches = data.shuffled(
        training.keys(settings.seed).order, Batch(images, labels), settings.batch_size, epochs=settings.epochs,
        steps=together,
    )  # fmt: skip
    met, order = hashlib.blake2b(digest_size=8), []

    def noted() -> Iterator[Batch]:
        for chunk in batches:
            met.update(np.asarray(chunk.images).tobytes())
            yield chunk

    steps, looks, step, due = [0], [judge(settings, params, images, labels)], 0, 1
    # guarded=False: a network that diverges must not stop the others.
    for state, info in train(learner.descent, begun, noted(), guarded=False):
        step += len(info.cost)
        if step % per_epoch == 0:
            order.append(met.hexdigest())
        if step >= due or step == total:
            due = math.ceil(CLOSER * step)
            steps.append(step)
            looks.append(judge(settings, state.params, images, labels))
            right = looks[-1][0]
            on_progress(Progress("training", step, total, float(looks[-1][1].mean()), float(right.min()) / 100))
            if right.min() >= enough:
                break
    right, costs = (np.stack(part) for part in zip(*looks, strict=True))
    return Fits(np.array(steps), right, costs, state.params, digests(params), tuple(order))


def judge(
    settings: config.TrainConfig, params: Params, images: Any, labels: Int[np.ndarray, "image network"]
) -> tuple[Float[np.ndarray, "network"], Float[np.ndarray, "network"]]:
    """Return the percentage of labels that each network has right, and the mean loss of each network."""
    learner, size = _prepared(settings, images, 1, labels.shape[1]), len(labels)
    blocks = [
        learner.judge(params, images[first : first + BLOCK], labels[first : first + BLOCK])
        for first in range(0, size, BLOCK)
    ]
    right, lost = (np.sum([np.asarray(part, np.float64) for part in parts], 0) for parts in zip(*blocks, strict=True))
    return 100 * right / size, lost / size


def digests(params: Params) -> tuple[str, ...]:
    """Return a digest of the parameters of each network. Two digests are equal only if all bits are equal.

    Examples:
        >>> one, same, other = digests({"x": np.array([[1.0], [1.0], [1.0000001]])})
        >>> one == same, one == other
        (True, False)
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    whole = lambda i: b"".join(np.ascontiguousarray(leaf[i]).tobytes() for leaf in leaves)
    return tuple(hashlib.blake2b(whole(i), digest_size=8).hexdigest() for i in range(len(leaves[0])))


def steps_to(steps: Any, right: Any, enough: float | int) -> Float[np.ndarray, "network"]:
    """Return the step of the first evaluation at which each network had enough labels right.

    The result is NaN if a network never had enough labels right.

    Args:
        steps: The steps of the evaluations, (look,).
        right: The percentage of labels that each network had right, (look, network).
        enough: The limit, in percent.
    """
    there = np.asarray(right) >= enough
    first = np.asarray(steps, np.float64)[there.argmax(0)]
    return np.where(there.any(0), first, np.nan)


def straightness(steps: Any, values: Any, until: float | int) -> float:
    """Return R squared of a straight line through a curve from step 0 to `until`, at 101 evenly spaced places.

    Examples:
        >>> straightness([0, 5, 10], [90.0, 45.0, 0.0], 10), straightness([0, 1, 10], [90.0, 0.0, 0.0], 10) < 0.5
        (1.0, True)
    """
    places = np.linspace(0, until, 101)
    curve = np.interp(places, steps, values)
    slope, height = np.polyfit(places, curve, 1)
    left = ((curve - (slope * places + height)) ** 2).sum()
    return float(1 - left / ((curve - curve.mean()) ** 2).sum())


def fitted_up_to(counts: Any, right: Any, enough: float | int) -> float:
    """Return the largest number of images that a network still fits, interpolated on a logarithmic scale of the counts.

    Args:
        counts: Increasing numbers of images.
        right: The percentage of labels that one network fitted, for each count.
        enough: The limit, in percent.

    Returns:
        The number of images. NaN if even the smallest count is too large; infinity if the largest count is still fitted.

    Examples:
        >>> fitted_up_to([100, 10_000], [100.0, 50.0], 75), fitted_up_to([100, 10_000], [100.0, 80.0], 75)
        (1000.0, inf)
    """
    counts, right = np.log(np.asarray(counts, np.float64)), np.asarray(right, np.float64)
    if right[0] < enough:
        return math.nan
    below = np.flatnonzero(right < enough)
    if not len(below):
        return math.inf
    i = below[0]
    part = (right[i - 1] - enough) / (right[i - 1] - right[i])
    return round(float(np.exp(counts[i - 1] + part * (counts[i] - counts[i - 1]))), 6)
