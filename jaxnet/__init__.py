"""Gradient descent you can see through: networks as pure functions of pytrees, and what each gradient is worth.

A cost is a function of parameters and a batch, `jax.grad` supplies the gradient, and a compiled step goes downhill:

    >>> import jax
    >>> import jaxnet
    >>> digits = jaxnet.data.mnist()
    >>> params = jaxnet.network.init(jax.random.key(0), (784, 16, 16, 10))
    >>> cost = jaxnet.average(jaxnet.network.apply, jaxnet.losses.squared_error)
    >>> descent = jaxnet.gradient_descent(cost, 1.5)
    >>> batches = jaxnet.data.shuffled(jax.random.key(1), digits.train, batch_size=32)
    >>> for state, info in jaxnet.train(descent, descent.init(params), batches):
    ...     pass
    >>> bool(cost(state.params, digits.test) < cost(params, digits.test) / 2)
    True

The packages, a sentence each:
    jaxnet.bang: what gradients say: the largest, their share, what nudging one parameter really buys.
    jaxnet.analysis: other instruments of a cost or a network: landscape, calibration, structure of weights.
    jaxnet.data: images and mini-batches: MNIST, sets by name, your own files, your own photos.
    jaxnet.models: modules of flax as pure functions.
    jaxnet.training: from a config to a trained network: presets, ensembles, run folders.
    jaxnet.plot: figures of all of these.
    jaxnet.experiments: the questions of the film, each measured and judged.
    jaxnet.exercises: checked questions for the notebooks.
    jaxnet.commands: what the command line does, as functions.
    jaxnet.network, losses, metrics, augment, dropout, descent, loop, devices: the mathematics of one image, one step and one loop.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxnet import bang, data, training
from jaxnet._version import __version__
from jaxnet.core import augment, descent, devices, dropout, loop, losses, metrics, network
from jaxnet.core.descent import Descent, Info, State, gradient_descent
from jaxnet.core.loop import Diverged, train
from jaxnet.core.losses import average
from jaxnet.core.network import Layer
from jaxnet.core.types import Apply, Batch, Cost, Dataset, Loss, Params
from jaxnet.training import ensemble, presets

if TYPE_CHECKING:
    from jaxnet import analysis, commands, exercises, experiments, models, plot

_LAZY = ("analysis", "commands", "exercises", "experiments", "models", "plot")
"""Packages that are imported when they are first used, as they bring flax, matplotlib or scipy."""

__all__ = [
    "Apply",
    "Batch",
    "Cost",
    "Dataset",
    "Descent",
    "Diverged",
    "Info",
    "Layer",
    "Loss",
    "Params",
    "State",
    "__version__",
    "analysis",
    "augment",
    "average",
    "bang",
    "commands",
    "data",
    "descent",
    "devices",
    "dropout",
    "ensemble",
    "exercises",
    "experiments",
    "gradient_descent",
    "loop",
    "losses",
    "metrics",
    "models",
    "network",
    "plot",
    "presets",
    "train",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"jaxnet.{name}")
    raise AttributeError(f"module 'jaxnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
