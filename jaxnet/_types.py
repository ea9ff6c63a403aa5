"""Names for what travels through jaxnet: parameters, batches, costs."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Array, Float

Params: TypeAlias = Any
"""A pytree of arrays that a cost is differentiated by."""

Cost: TypeAlias = Callable[[Any, Any], Float[Array, ""]]
"""`cost(params, batch)`: the mean over the batch's leading axis, one number."""

Loss: TypeAlias = Callable[[Array, Any], Float[Array, ""]]
"""`loss(output, label)`: how wrong the network is on one example."""

Apply: TypeAlias = Callable[[Any, Any], Array]
"""`apply(params, image)`: the network's output for one image."""


class Batch(NamedTuple):
    """Images with what they mean; every array has the same leading axis.

    Attributes:
        images: (batch, height, width), or with a channel axis behind; uint8 in 0..255, or floats that are used as they are.
        labels: (batch,), integers.
        key: A typed random key for costs that need randomness, one for the whole batch; None otherwise.
    """

    images: Array | np.ndarray
    labels: Array | np.ndarray
    key: Array | None = None


class Dataset(NamedTuple):
    """Images to learn from, images to be judged by, and what the labels are called.

    Attributes:
        train: The training images, in their original order.
        test: The test images; score them once.
        classes: The name of every label, by number.
    """

    train: Batch
    test: Batch
    classes: tuple[str, ...]
