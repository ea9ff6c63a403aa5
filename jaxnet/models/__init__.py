"""Modules of flax as pure functions of pytrees."""

from jaxnet.models.flax_nnx import ConvNet, Functional, convnet, functional

__all__ = ["ConvNet", "Functional", "convnet", "functional"]
