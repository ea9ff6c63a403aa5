"""Distortions that keep an image's meaning: pure and keyed, of one image, and the cost that trains on them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, Shaped

from jaxnet._types import Cost

Distortion = Callable[[Key[Array, ""], Any], Array]


Pixels = Shaped[Array, "height width *channels"] | Shaped[np.ndarray, "height width *channels"]


def shift(key: Key[Array, ""], image: Pixels, *, pixels: int = 1) -> Shaped[Array, "height width *channels"]:
    """Move one image by a random whole number of pixels along both axes; zeros come in at the edges.

    Args:
        key: A typed random key.
        image: One image, of any dtype.
        pixels: The farthest move in each direction; all (2 * pixels + 1)^2 moves are equally likely.

    Returns:
        The moved image, same shape and dtype.
    """
    move = jax.random.randint(key, (2,), -pixels, pixels + 1, dtype=jnp.int32)
    rows, columns = (jnp.arange(size) + part for size, part in zip(image.shape[:2], move, strict=True))
    outside = {"mode": "fill", "fill_value": 0, "wrap_negative_indices": False}
    # Two gathers: under vmap on a CPU they take half the time of one dynamic_slice.
    return jnp.asarray(image).at[rows].get(**outside).at[:, columns].get(**outside)


def augmented(cost: Cost, distortion: Distortion) -> Cost:
    """The same cost on distorted images, each distorted by its own part of the batch's key.

    Args:
        cost: `cost(params, batch)` on a `Batch`.
        distortion: `distortion(key, image) -> image`, of one image.

    Returns:
        A cost of batches that carry a key; the cost below sees the batch without it.

    Raises:
        ValueError: From the new cost, if the batch carries no key.
    """

    def cost_of_distorted(params, batch):
        if batch.key is None:
            raise ValueError(
                "an augmented cost needs a batch with a key, got key=None; pass batch._replace(key=jax.random.key(0)), "
                "or data.shuffled(..., keyed=True) while training"
            )
        keys = jax.random.split(batch.key, len(batch.labels))
        return cost(params, batch._replace(images=jax.vmap(distortion)(keys, batch.images), key=None))

    return cost_of_distorted
