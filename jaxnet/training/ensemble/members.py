"""The members of an ensemble: combinations of settings, which members share a compiled program, and plans of members."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.core.types import Dataset, Params
from jaxnet.training import config, planning
from jaxnet.training.config import TrainConfig
from jaxnet.training.functions import build

FREE = ("seed", "learning_rate", "weight_decay", "initializer", "gain", "random_biases", "preset")
"""Settings that can differ between networks of one compiled program.

Networks that differ in other settings need different compiled programs.
"""

COMMON = ("data", "epochs", "validation", "dtype", "precision", "device")
"""Settings that must be equal for all members."""


def grid(settings: TrainConfig, **axes: Iterable[Any]) -> tuple[TrainConfig, ...]:
    """Make all combinations of the values of some settings. The last setting changes fastest.

    Examples:
        >>> from jaxnet.training.presets import film
        >>> members = grid(film, learning_rate=[0.5, 1.0], seed=range(2))
        >>> [(member.learning_rate, member.seed) for member in members]
        [(0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)]
    """
    return tuple(
        settings._replace(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())
    )


def check(members: Sequence[TrainConfig]) -> None:
    """Refuse members that cannot be trained together.

    Raises:
        ValueError: If there are no members, if the members differ in a setting that must be equal, or if a setting is
            invalid.
    """
    if not members:
        raise ValueError("there are no members to train; grid(settings, seed=range(8)) makes eight members")
    for member in members:
        config.check(member)
    for field in COMMON:
        if len(values := {getattr(member, field) for member in members}) > 1:
            raise ValueError(f"all members must have the same {field}, got {', '.join(sorted(map(str, values)))}")
    if members[0].epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {members[0].epochs}")
    if several := {member.candidates for member in members} - {1}:
        raise ValueError(f"a member is one network, so candidates must be 1, got {several.pop()}")
    for field in ("devices", "layer_devices", "reproducible"):
        if members[0]._replace(**{field: TrainConfig._field_defaults[field]}) != members[0]:
            raise ValueError(f"many networks are divided among all devices anyway; leave {field} out")


def alike(members: Sequence[TrainConfig]) -> list[list[int]]:
    """The members' indices, in groups. The members of a group can be trained in one compiled program."""
    groups: dict[tuple[TrainConfig, bool], list[int]] = defaultdict(list)
    for i, member in enumerate(members):
        # With weight decay, an optimizer other than adamw has one more part.
        shrinking = member.weight_decay > 0 and member.optimizer != "adamw"
        groups[member._replace(**{name: getattr(members[0], name) for name in FREE}), shrinking].append(i)
    return list(groups.values())


def follow(base: planning.Plan, settings: TrainConfig, dataset: Dataset, *, shared: bool) -> planning.Plan:
    """Make a member's own plan, with the training and held-out images of the first member's plan.

    The plan has no random start.

    Raises:
        ValueError: If the member's batches are larger than the training set.
    """
    if settings.batch_size > len(base.train.labels):
        raise ValueError(
            f"batch_size must be at most the {len(base.train.labels):,} training images, got {settings.batch_size}"
        )
    num_steps = settings.epochs * (len(base.train.labels) // settings.batch_size)
    shape, classes = tuple(base.train.images.shape[1:]), len(dataset.classes)
    config.require_sizes(settings.sizes, math.prod(shape), classes)
    functions = build(settings, image_shape=shape, classes=classes, steps=num_steps)
    order_key = base.order_key if shared else planning.keys(settings.seed).order
    return base._replace(settings=settings, functions=functions, num_steps=num_steps, order_key=order_key)


def starts(plans: Sequence[planning.Plan]) -> Params:
    """Sample the random starts of networks with equal sizes, along a leading axis.

    Networks with equal initializer, gain and random_biases are sampled by one compiled program.
    """
    kinds: dict[Any, list[int]] = defaultdict(list)
    for i, plan in enumerate(plans):
        kinds[plan.settings.initializer, plan.settings.gain, plan.settings.random_biases].append(i)
    drawn, order = [], []
    for which in kinds.values():
        keys = planning.many_keys([plans[i].settings.seed for i in which]).init
        drawn.append(jax.jit(jax.vmap(plans[which[0]].functions.init))(keys))
        order += which
    back = np.argsort(order)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[back], *drawn)


def alone(members: Sequence[TrainConfig], member: int, dataset: Dataset, *, shared: bool = True) -> planning.Plan:
    """Make the plan that trains one member alone with `training.fit`. The results are those of the member in the ensemble.

    Args:
        members: All members.
        member: The index of the member.
        dataset: The data set that the members learn from.
        shared: As in `train_together`.
    """
    plan = follow(planning.plan(members[0], dataset, drawn=False), members[member], dataset, shared=shared)
    return plan._replace(params=planning.start(plan.settings, plan.functions))
