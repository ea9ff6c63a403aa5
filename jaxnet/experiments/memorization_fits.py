"""Networks that fit labels, right or wrong: many at once on the same images in the same order, each with labels of its own."""

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet import data, recipes, training
from jaxnet._types import Batch, Params
from jaxnet.descent import Descent, gradient_descent, numbered, side_by_side
from jaxnet.loop import train
from jaxnet.walking import Seen

FITTED = 99.5
"""Percent of its labels from which on a network counts as having fitted them."""

CLOSER = 1.15
"""From one look at all images to the next the number of steps grows by so much."""

BLOCK = 500
"""Images judged in one call."""


class Fits(NamedTuple):
    """What became of networks that fit labels.

    Attributes:
        steps: After how many steps all images were looked at, 0 first.
        right: How many of its labels each network had then, in percent.
        costs: The mean loss over all images then.
        params: The networks, along a leading axis.
        start: A digest of each network's start, as it went into the first step.
        order: After each whole epoch a digest of all images since the first, as they went into the steps.
    """

    steps: Int[np.ndarray, "look"]
    right: Float[np.ndarray, "look network"]
    costs: Float[np.ndarray, "look network"]
    params: Params
    start: tuple[str, ...]
    order: tuple[str, ...]


class Learner(NamedTuple):
    """Settings as functions of many networks, each reading its own column of the labels."""

    init: Callable[[Array], Params]
    descent: Descent
    judge: Callable[[Params, Any, Any], tuple[Array, Array]]


@functools.lru_cache(maxsize=32)
def _learner(settings: recipes.Settings, image_shape: tuple[int, ...], steps: int, networks: int, kind: str) -> Learner:
    """One for each program, so that none is traced again: `networks` and `kind` tell them apart."""
    recipe = recipes.build(settings, image_shape=image_shape, classes=10, steps=steps)

    def to_column(column: Array) -> Descent:
        cost = lambda params, batch: recipe.cost(params, Batch(batch.images, batch.labels[:, column]))
        return gradient_descent(cost, recipe.optimizer)

    def judge_one(params: Params, column: Array, images: Array, labels: Array) -> tuple[Array, Array]:
        outputs, own = jax.vmap(recipe.apply, (None, 0))(params, images), labels[:, column]
        return jnp.sum(jnp.argmax(outputs, -1) == own), jnp.sum(jax.vmap(recipe.loss)(outputs, own))

    @jax.jit
    def judge(params: Params, images: Any, labels: Any) -> tuple[Array, Array]:
        return jax.vmap(judge_one, (0, 0, None, None))(params, jnp.arange(labels.shape[1]), images, labels)

    return Learner(jax.jit(jax.vmap(recipe.init)), side_by_side(numbered(to_column)), judge)


def _prepared(settings: recipes.Settings, images: Any, steps: int, networks: int) -> Learner:
    """One learner, and so one program, for all that differs only in how long it goes on."""
    lasting = steps if settings.schedule != "constant" else 1
    settings = settings._replace(epochs=1, seed=0)
    return _learner(settings, tuple(np.shape(images)[1:]), lasting, networks, str(images.dtype))


def fit(
    settings: recipes.Settings,
    images: Any,
    labels: Int[np.ndarray, "image network"],
    seeds: Sequence[int],
    *,
    enough: float | int = 100,
    show: Callable[[Seen], None] = lambda seen: None,
) -> Fits:
    """Train until the labels are fitted, or as long as the settings say.

    Args:
        settings: Of one network; its seed decides the order, which all share.
        images: What all networks read.
        labels: A column of labels for each network.
        seeds: Decide the start of each network, as `jaxnet train --seed K` does.
        enough: Stop when every network has so many of its labels, in percent.
        show: Called with what there is to see.

    Returns:
        The networks and how they came there.

    Raises:
        ValueError: If there is not one seed for each column of labels, or nothing to train.
    """
    if len(seeds) != labels.shape[1]:
        raise ValueError(f"{labels.shape[1]} columns of labels need as many seeds, got {len(seeds)}")
    per_epoch = len(labels) // settings.batch_size
    if settings.epochs < 1 or per_epoch < 1:
        raise ValueError(
            f"{settings.epochs} epochs of {len(labels)} images by {settings.batch_size} make no step; take more epochs or images"
        )
    total = settings.epochs * per_epoch
    learner = _prepared(settings, images, total, len(seeds))
    params = learner.init(training.many_keys(seeds).init)
    begun = learner.descent.init((params, jnp.arange(len(seeds))))
    most = 5 if settings.batch_size >= 100 else 32  # small steps are soon taken, starting a program is not
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
    for state, info in train(learner.descent, begun, noted(), guarded=False):  # one that diverges stops no other
        step += len(info.cost)
        if step % per_epoch == 0:
            order.append(met.hexdigest())
        if step >= due or step == total:
            due = math.ceil(CLOSER * step)
            steps.append(step)
            looks.append(judge(settings, state.params, images, labels))
            right = looks[-1][0]
            show(Seen("training", step, total, float(looks[-1][1].mean()), float(right.min()) / 100))
            if right.min() >= enough:
                break
    right, costs = (np.stack(part) for part in zip(*looks, strict=True))
    return Fits(np.array(steps), right, costs, state.params, digests(params), tuple(order))


def judge(
    settings: recipes.Settings, params: Params, images: Any, labels: Int[np.ndarray, "image network"]
) -> tuple[Float[np.ndarray, "network"], Float[np.ndarray, "network"]]:
    """How many of its labels each network has, in percent, and its mean loss."""
    learner, size = _prepared(settings, images, 1, labels.shape[1]), len(labels)
    blocks = [
        learner.judge(params, images[first : first + BLOCK], labels[first : first + BLOCK])
        for first in range(0, size, BLOCK)
    ]
    right, lost = (np.sum([np.asarray(part, np.float64) for part in parts], 0) for parts in zip(*blocks, strict=True))
    return 100 * right / size, lost / size


def digests(params: Params) -> tuple[str, ...]:
    """A digest of each network's parameters, along the leading axis: the same only for the same bits.

    Examples:
        >>> one, same, other = digests({"x": np.array([[1.0], [1.0], [1.0000001]])})
        >>> one == same, one == other
        (True, False)
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    whole = lambda i: b"".join(np.ascontiguousarray(leaf[i]).tobytes() for leaf in leaves)
    return tuple(hashlib.blake2b(whole(i), digest_size=8).hexdigest() for i in range(len(leaves[0])))


def steps_to(steps: Any, right: Any, enough: float | int) -> Float[np.ndarray, "network"]:
    """The first look at which each network had enough of its labels, in steps; NaN where none came.

    Args:
        steps: (look,).
        right: (look, network), in percent.
        enough: In percent.
    """
    there = np.asarray(right) >= enough
    first = np.asarray(steps, np.float64)[there.argmax(0)]
    return np.where(there.any(0), first, np.nan)


def straightness(steps: Any, values: Any, until: float | int) -> float:
    """How well a straight line from step 0 to `until` describes a curve: R squared at a hundred equal distances.

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
    """The number of images of which a network still fits enough, between the counts tried on a logarithmic scale.

    Args:
        counts: Images, growing.
        right: The percent of them fitted, for one network.
        enough: In percent.

    Returns:
        NaN where even the fewest were too many; infinity where the most were not.

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
