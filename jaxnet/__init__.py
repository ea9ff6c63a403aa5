"""Gradient descent you can see through: networks as pure functions of pytrees, and what each gradient is worth."""

from jaxnet import augment, bang, data, descent, devices, ensemble, loop, losses, network, recipes, record, training
from jaxnet._types import Apply, Batch, Cost, Dataset, Loss, Params
from jaxnet._version import __version__
from jaxnet.descent import Descent, Info, State, gradient_descent
from jaxnet.loop import Diverged, train
from jaxnet.losses import average
from jaxnet.network import Layer

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
    "augment",
    "average",
    "bang",
    "data",
    "descent",
    "devices",
    "ensemble",
    "gradient_descent",
    "loop",
    "losses",
    "network",
    "recipes",
    "record",
    "train",
    "training",
]
