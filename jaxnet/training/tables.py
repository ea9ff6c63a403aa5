"""Tables of names: the activations, losses, initializers, optimizers, distortions and schedules that a config can name.

Each table exists once. The types in `jaxnet.training.config`, the checks and the `--help` texts are derived from the tables.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxnet.core import augment, losses, network


def _onecycle(rate: Any, steps: int, warm: int) -> optax.Schedule:
    """Make a schedule as `optax.schedules.warmup_cosine_decay_schedule` does. That function accepts no traced rate."""
    up = optax.schedules.linear_schedule(rate / 25, rate, warm)
    return optax.schedules.join_schedules(
        [up, optax.schedules.cosine_decay_schedule(rate, max(2, steps) - warm)], [warm]
    )


ACTIVATIONS: dict[str, Callable[..., jax.Array]] = {
    "sigmoid": network.sigmoid,
    "relu": network.relu,
    "tanh": network.tanh,
    "gelu": network.gelu,
    "step": network.step,
    "identity": network.identity,
}
"""Functions of a neuron's weighted sum, by name."""

LOSSES = {
    "squared_error": losses.squared_error,
    "half_squared_error": losses.half_squared_error,
    "cross_entropy": losses.cross_entropy,
}
"""Functions `loss(output, label)` of one example, by name."""

INITIALIZERS = {
    "standard_normal": lambda gain: network.standard_normal,
    "scaled": network.scaled,
    "glorot": lambda gain: network.glorot,
    "he": lambda gain: network.he,
}
"""Functions `initializer(gain)`, by name. Each function returns an initializer of jax for the weights of a layer."""

OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": optax.adam,
    "adamw": optax.adamw,
}
"""Functions `optimizer(schedule)`, by name. Each function returns an optax transformation.

`presets.RATES` holds the default learning rates.
"""

DISTORTIONS = {"affine": augment.affine, "elastic": augment.elastic}
"""Functions that distort one image, by name."""

SCHEDULES = {
    "constant": lambda rate, steps: optax.schedules.constant_schedule(rate),
    "linear": lambda rate, steps: optax.schedules.linear_schedule(rate, 0.0, steps),
    "cosine": lambda rate, steps: optax.schedules.cosine_decay_schedule(rate, steps),
    "onecycle": lambda rate, steps: _onecycle(rate, steps, warm=max(1, steps // 10)),
}
"""Functions `schedule(rate, steps)`, by name. Each function returns a function from the step to the learning rate."""
