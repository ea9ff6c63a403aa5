"""Gradient descent on jax: networks are pure functions of pytrees, and you can examine every gradient.

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

The packages:
    jaxnet.bang: the largest derivatives, their share, and how much a nudge of one parameter changes the cost.
    jaxnet.analysis: other measurements of a cost or a network: cost surface, calibration, structure of weights.
    jaxnet.data: images and mini-batches: MNIST, image sets of tensorflow-datasets, your own files, your own photos.
    jaxnet.models: modules of flax as pure functions.
    jaxnet.training: from a config to a trained network: presets, ensembles, run folders.
    jaxnet.plot: functions that draw figures.
    jaxnet.experiments: experiments that answer questions of 3Blue1Brown's film and of papers.
    jaxnet.exercises: questions for the notebooks, and functions that check your answers.
    jaxnet.commands: one function for each command of the command line.
    jaxnet.network, losses, metrics, augment, dropout: one network: its outputs, its losses and its accuracy.
    jaxnet.descent, loop, devices: one step of gradient descent, the training loop, and the device that computes.
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
"""Packages that are imported at their first use, because they import flax, matplotlib or scipy."""

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
