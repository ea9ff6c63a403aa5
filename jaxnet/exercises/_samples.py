"""Inputs for testing answers: real digits, and random numbers from seeds."""

import functools

import numpy as np
from jaxtyping import Float, Int

from jaxnet import data
from jaxnet.core.types import Batch


@functools.cache
def digits(number: int = 12) -> Batch:
    """The first training images, as floats in 0..1, and their labels."""
    train = data.mnist().train
    parts = np.asarray(train.images[:number]) / np.float32(255), np.asarray(train.labels[:number], np.int32)
    for part in parts:
        part.setflags(write=False)  # all callers share the cached arrays
    return Batch(*parts)


def normal(seed: int, *shape: int) -> Float[np.ndarray, "..."]:
    """Numbers from N(0, 1)."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def uniform(seed: int, *shape: int) -> Float[np.ndarray, "..."]:
    """Numbers between 0 and 1."""
    return np.random.default_rng(seed).random(shape, np.float32)


def labels(seed: int, number: int, classes: int = 10) -> Int[np.ndarray, "number"]:
    """Random labels."""
    return np.random.default_rng(seed).integers(0, classes, number, np.int32)
