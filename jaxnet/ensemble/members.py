"""Who takes part: settings in every combination, which of them fit one program, and what each would do alone."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet import recipes, training
from jaxnet._types import Dataset, Params
from jaxnet.recipes import Settings

FREE = ("seed", "learning_rate", "weight_decay", "initializer", "gain", "random_biases", "preset")
"""Settings that may differ between networks of one program; the others decide which program that is."""

COMMON = ("data", "epochs", "validation", "dtype", "precision", "device")
"""Settings in which all members agree."""


def combinations(settings: Settings, **axes: Iterable[Any]) -> tuple[Settings, ...]:
    """Every combination of the values given for some settings; the last one named changes fastest.

    Examples:
        >>> members = combinations(recipes.film, learning_rate=[0.5, 1.0], seed=range(2))
        >>> [(member.learning_rate, member.seed) for member in members]
        [(0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)]
    """
    return tuple(
        settings._replace(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())
    )


def check(members: Sequence[Settings]) -> None:
    """Refuse members that cannot be trained together.

    Raises:
        ValueError: If there are none, they do not agree where they must, or settings make no sense.
    """
    if not members:
        raise ValueError("there is nothing to train; combinations(settings, seed=range(8)) makes eight members")
    for member in members:
        recipes.check(member)
    for field in COMMON:
        if len(values := {getattr(member, field) for member in members}) > 1:
            raise ValueError(f"all members must have the same {field}, got {', '.join(sorted(map(str, values)))}")
    if members[0].epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {members[0].epochs}")
    if several := {member.candidates for member in members} - {1}:
        raise ValueError(f"a member is one network, so candidates must be 1, got {several.pop()}")


def alike(members: Sequence[Settings]) -> list[list[int]]:
    """The members' numbers, those together that differ only in what one program leaves open."""
    groups: dict[tuple[Settings, bool], list[int]] = defaultdict(list)
    for i, member in enumerate(members):
        shrinking = member.weight_decay > 0 and member.optimizer != "adamw"  # one more part of the optimizer
        groups[member._replace(**{name: getattr(members[0], name) for name in FREE}), shrinking].append(i)
    return list(groups.values())


def follow(base: training.Plan, settings: Settings, dataset: Dataset, *, shared: bool) -> training.Plan:
    """A member's own plan, on the images that the first member's plan holds out and learns from; its start is not drawn.

    Raises:
        ValueError: If its batches are larger than the data set.
    """
    if settings.batch_size > len(base.train.labels):
        raise ValueError(
            f"batch_size must be at most the {len(base.train.labels):,} training images, got {settings.batch_size}"
        )
    num_steps = settings.epochs * (len(base.train.labels) // settings.batch_size)
    shape, classes = tuple(base.train.images.shape[1:]), len(dataset.classes)
    recipes.require_sizes(settings.sizes, math.prod(shape), classes)
    recipe = recipes.build(settings, image_shape=shape, classes=classes, steps=num_steps)
    order_key = base.order_key if shared else training.keys(settings.seed).order
    return base._replace(settings=settings, recipe=recipe, num_steps=num_steps, order_key=order_key)


def starts(plans: Sequence[training.Plan]) -> Params:
    """The random starts of networks of one shape, along a leading axis: one program for each way of drawing them."""
    kinds: dict[Any, list[int]] = defaultdict(list)
    for i, plan in enumerate(plans):
        kinds[plan.settings.initializer, plan.settings.gain, plan.settings.random_biases].append(i)
    drawn, order = [], []
    for which in kinds.values():
        keys = training.many_keys([plans[i].settings.seed for i in which]).init
        drawn.append(jax.jit(jax.vmap(plans[which[0]].recipe.init))(keys))
        order += which
    back = np.argsort(order)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[back], *drawn)


def alone(members: Sequence[Settings], member: int, dataset: Dataset, *, shared: bool = True) -> training.Plan:
    """The plan by which one member trains by itself, with `training.fit`, to the same numbers as among the others.

    Args:
        members: All of them.
        member: Which.
        dataset: What they learn from.
        shared: As `train_together` takes it.
    """
    plan = follow(training.plan(members[0], dataset, drawn=False), members[member], dataset, shared=shared)
    return plan._replace(params=training.start(plan.settings, plan.recipe))
