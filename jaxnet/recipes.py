"""From plain settings to functions: a network, a cost, an optimizer, a descent."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnet import _types, augment, bang, devices, dropout, losses, network
from jaxnet.descent import Descent, gradient_descent
from jaxnet.settings import (
    PRESETS,
    RATES,
    Preset,
    Settings,
    all_sizes,
    changed,
    check,
    chosen_rate,
    convnet,
    film,
    modern,
    nielsen,
    require_seed,
    require_sizes,
    wide,
)

__all__ = [
    "ACTIVATIONS",
    "DISTORTIONS",
    "INITIALIZERS",
    "LOSSES",
    "OPTIMIZERS",
    "PRESETS",
    "RATES",
    "SCHEDULES",
    "Preset",
    "Recipe",
    "Settings",
    "all_sizes",
    "build",
    "changed",
    "check",
    "chosen_rate",
    "convnet",
    "film",
    "modern",
    "nielsen",
    "require_seed",
    "require_sizes",
    "transform",
    "wide",
]

ACTIVATIONS = {
    f.__name__: f for f in (network.sigmoid, network.relu, network.tanh, network.gelu, network.step, network.identity)
}
LOSSES = {f.__name__: f for f in (losses.squared_error, losses.half_squared_error, losses.cross_entropy)}
INITIALIZERS = {
    "standard_normal": lambda gain: network.standard_normal,
    "scaled": network.scaled,
    "glorot": lambda gain: network.glorot,
    "he": lambda gain: network.he,
}
OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
}
DISTORTIONS = {"affine": augment.affine, "elastic": augment.elastic}
SCHEDULES = {
    "constant": lambda rate, steps: optax.schedules.constant_schedule(rate),
    "linear": lambda rate, steps: optax.schedules.linear_schedule(rate, 0.0, steps),
    "cosine": lambda rate, steps: optax.schedules.cosine_decay_schedule(rate, steps),
    "onecycle": lambda rate, steps: _onecycle(rate, steps, warm=max(1, steps // 10)),
}


def _onecycle(rate: Any, steps: int, warm: int) -> optax.Schedule:
    """As `optax.schedules.warmup_cosine_decay_schedule`, which does not take a traced rate."""
    up = optax.schedules.linear_schedule(rate / 25, rate, warm)
    return optax.schedules.join_schedules(
        [up, optax.schedules.cosine_decay_schedule(rate, max(2, steps) - warm)], [warm]
    )


class Recipe(NamedTuple):
    """What settings mean: pure functions, ready to train.

    Attributes:
        init: `init(key) -> params`.
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        cost: `cost(params, batch) -> number`, on images as they are.
        optimizer: What turns gradients into updates.
        augmented_cost: The cost that the steps go down: on distorted images, with neurons switched off, where the settings say so.
        descent: The steps.
        keyed: Whether its batches need a key.
        steps_per_chunk: Steps to put into one program; None leaves it to `data.shuffled`.
    """

    init: Callable[[Any], _types.Params]
    apply: _types.Apply
    loss: _types.Loss
    cost: _types.Cost
    optimizer: optax.GradientTransformation
    augmented_cost: _types.Cost
    descent: Descent
    keyed: bool
    steps_per_chunk: int | None


def transform(
    settings: Settings, steps: int, *, learning_rate: Any = None, weight_decay: Any = None
) -> optax.GradientTransformation:
    """What turns gradients into updates.

    Args:
        settings: Optimizer, schedule and budget.
        steps: Steps of the whole run, which the schedule spans.
        learning_rate: Instead of the settings'; may be traced.
        weight_decay: Likewise.
    """
    rate = settings.learning_rate if learning_rate is None else learning_rate
    decay = settings.weight_decay if weight_decay is None else weight_decay
    scheduled, real = SCHEDULES[settings.schedule](rate, max(1, steps)), jnp.promote_types(settings.dtype, jnp.float32)
    schedule = lambda count: scheduled(
        jnp.asarray(count, real)
    )  # of a whole number optax makes a single-precision rate
    more = {"weight_decay": decay} if settings.optimizer == "adamw" else {}
    optimizer = OPTIMIZERS[settings.optimizer](schedule, **more)
    if settings.weight_decay and settings.optimizer != "adamw":
        optimizer = optax.chain(optax.add_decayed_weights(decay), optimizer)
    return bang.on_a_budget(optimizer, settings.budget)


def build(settings: Settings, *, image_shape: tuple[int, ...], classes: int, steps: int) -> Recipe:
    """Turn settings into functions.

    Args:
        settings: What to do.
        image_shape: Shape of one image.
        classes: How many labels there are.
        steps: Steps of the whole run, which the schedule spans.

    Returns:
        The functions.

    Raises:
        ValueError: As `check`.
    """
    check(settings)
    dtype, sizes = jnp.dtype(settings.dtype), all_sizes(settings.sizes, math.prod(image_shape), classes)
    if settings.model == "convnet":
        from jaxnet import models  # brings flax

        init, apply = models.convnet(image_shape=image_shape, classes=classes, dtype=dtype)
    else:
        weights = INITIALIZERS[settings.initializer](settings.gain)
        biases = network.standard_normal if settings.random_biases else jax.nn.initializers.zeros
        init = functools.partial(network.init, sizes=sizes, weights=weights, biases=biases, dtype=dtype)
        apply = functools.partial(
            network.apply, activation=ACTIVATIONS[settings.activation], output=ACTIVATIONS[settings.output]
        )
    cost = losses.average(apply, LOSSES[settings.loss])
    optimizer = transform(settings, steps)
    augmented_cost, keyed = _hardened(settings, cost)
    # XLA runs convolutions inside a loop ten to twenty times slower on a CPU: there one step is one program.
    alone = settings.model == "convnet" and devices.current().platform == "cpu"
    descent = gradient_descent(augmented_cost, optimizer)
    return Recipe(
        init,
        apply,
        LOSSES[settings.loss],
        cost,
        optimizer,
        augmented_cost,
        descent,
        keyed,
        1 if alone else None,
    )


def _hardened(settings: Settings, cost: losses.Average) -> tuple[_types.Cost, bool]:
    """The cost to train by, which may be harder than the cost to judge by, and whether its batches need a key."""
    harder: _types.Cost = cost
    if settings.dropout:
        squash = {"activation": ACTIVATIONS[settings.activation], "output": ACTIVATIONS[settings.output]}
        harder = dropout.dropped(cost.loss, settings.dropout, **squash)
    distortions = [functools.partial(augment.shift, pixels=settings.shift)] if settings.shift else []
    distortions += [DISTORTIONS[settings.distortion]] if settings.distortion != "none" else []
    for distortion in distortions:
        harder = augment.augmented(harder, distortion, keyed=harder is not cost)
    return harder, harder is not cost
