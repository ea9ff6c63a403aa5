"""Types used throughout jaxnet: parameters, batches, data sets, costs."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Array, Float

Params: TypeAlias = Any
"""A pytree of arrays. Costs are differentiated with respect to them."""

Cost: TypeAlias = Callable[[Any, Any], Float[Array, ""]]
"""`cost(params, batch)`: the mean over the batch's leading axis, one number."""

Loss: TypeAlias = Callable[[Array, Any], Float[Array, ""]]
"""`loss(output, label)`: how wrong the network is on one example."""

Apply: TypeAlias = Callable[[Any, Any], Array]
"""`apply(params, image)`: the network's output for one image."""


class Batch(NamedTuple):
    """Images and their labels; every array has the same leading axis.

    Attributes:
        images: (batch, height, width), or the same with a channel axis at the end. Either uint8 in 0..255, or floats
            that are used unchanged.
        labels: (batch,), integers.
        key: A typed random key for the whole batch, if the cost needs randomness; otherwise None.
    """

    images: Array | np.ndarray
    labels: Array | np.ndarray
    key: Array | None = None


class Dataset(NamedTuple):
    """Training images, test images, and the names of the labels.

    Attributes:
        train: The training images, in their original order.
        test: The test images. Evaluate them only once.
        classes: The name of every label, by number.
    """

    train: Batch
    test: Batch
    classes: tuple[str, ...]
