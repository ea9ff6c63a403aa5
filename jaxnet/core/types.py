"""Types used throughout jaxnet: parameters, batches, data sets, costs."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Array, Float

Params: TypeAlias = Any
"""A pytree of arrays. Costs are differentiated with respect to these arrays."""

Cost: TypeAlias = Callable[[Any, Any], Float[Array, ""]]
"""`cost(params, batch)`: one number, the mean over the examples of the batch."""

Loss: TypeAlias = Callable[[Array, Any], Float[Array, ""]]
"""`loss(output, label)`: how wrong the network is on one example."""

Apply: TypeAlias = Callable[[Any, Any], Array]
"""`apply(params, image)`: the network's output for one image."""


class Batch(NamedTuple):
    """Images and their labels. The first axis of both arrays counts examples.

    Attributes:
        images: The images, of shape (batch, height, width) or (batch, height, width, channels). They are uint8 in
            0..255, or floats that are used unchanged.
        labels: The labels, integers of shape (batch,).
        key: A typed random key for the whole batch. It is None if the cost needs no randomness.
    """

    images: Array | np.ndarray
    labels: Array | np.ndarray
    key: Array | None = None


class Dataset(NamedTuple):
    """Training images, test images, and the names of the labels.

    Attributes:
        train: The training images, in their original order.
        test: The test images. Evaluate a network on them only once.
        classes: The name of every label, in the order of the labels' numbers.
    """

    train: Batch
    test: Batch
    classes: tuple[str, ...]
