"""Random distortions that keep the meaning of one image, and a cost that trains on distorted images."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Key, Shaped

from jaxnet.core.types import Cost

Distortion = Callable[[Key[Array, ""], Any], Array]


Pixels = Shaped[Array, "height width *channels"] | Shaped[np.ndarray, "height width *channels"]


def shift(key: Key[Array, ""], image: Pixels, *, pixels: int = 1) -> Shaped[Array, "height width *channels"]:
    """Move one image by a random whole number of pixels along each axis. Zeros come in at the edges.

    Args:
        key: A typed random key.
        image: One image, of any dtype.
        pixels: The farthest move in each direction, in pixels. All (2 * pixels + 1)^2 moves are equally likely.

    Returns:
        The moved image. Its shape and its dtype are unchanged.
    """
    move = jax.random.randint(key, (2,), -pixels, pixels + 1, dtype=jnp.int32)
    rows, columns = (jnp.arange(size) + part for size, part in zip(image.shape[:2], move, strict=True))
    outside = {"mode": "fill", "fill_value": 0, "wrap_negative_indices": False}
    # Two gathers: under vmap on a CPU they take half the time of one dynamic_slice.
    return jnp.asarray(image).at[rows].get(**outside).at[:, columns].get(**outside)


def affine(
    key: Key[Array, ""],
    image: Pixels,
    *,
    turn: float | int = 15.0,
    scale: float | int = 0.15,
    slant: float | int = 0.2,
    move: float | int = 1.5,
) -> Shaped[Array, "height width *channels"]:
    """Turn, scale, slant and move one image at random, about its middle. Zeros come in at the edges.

    Args:
        key: A typed random key.
        image: One image, of any dtype.
        turn: The largest turn in either direction, in degrees.
        scale: The largest relative change of the size. Each axis is scaled independently.
        slant: The largest shear: each row moves sideways by at most this many pixels relative to the next row.
        move: The farthest move in each direction, in pixels.

    Returns:
        The distorted image. Its shape and its dtype are unchanged. The turn, the scales, the slant and the moves are
        sampled uniformly.

    Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks" (2003).
    """
    return _sampled(image, _straight(key, image.shape, turn, scale, slant, move))


def elastic(
    key: Key[Array, ""],
    image: Pixels,
    *,
    strength: float | int = 34.0,
    smoothness: float | int = 4.0,
    turn: float | int = 10.0,
    scale: float | int = 0.1,
    slant: float | int = 0.1,
    move: float | int = 1.0,
) -> Shaped[Array, "height width *channels"]:
    """Bend one image as if it were drawn on rubber, and apply a small `affine` map.

    Every pixel moves at random, but neighboring pixels move almost equally.

    Args:
        key: A typed random key.
        image: One image, of any dtype.
        strength: The moves are sampled uniformly from -1..1, then smoothed, and then multiplied by this factor, in
            pixels.
        smoothness: The standard deviation of the Gaussian that smooths the moves, in pixels.
        turn: The largest turn, as in `affine`.
        scale: The largest change of the size, as in `affine`.
        slant: The largest shear, as in `affine`.
        move: The farthest move, as in `affine`.

    Returns:
        The distorted image. Its shape and its dtype are unchanged.

    Raises:
        ValueError: If smoothness is not above 0.

    Source: Simard, Steinkraus and Platt (2003), who use strength 34 and smoothness 4.
    """
    if not smoothness > 0:
        raise ValueError(f"the moves are smoothed over a distance above 0 pixels, got smoothness={smoothness}")
    bend, straighten = jax.random.split(key)
    height, width = image.shape[:2]
    count = 2 * height * width
    # Each random word gives four moves. The random draws take the most time. One byte for each move is exact enough,
    # because the moves are smoothed afterwards.
    words = jax.random.bits(bend, (-(-count // 4),), jnp.uint32)
    bytes_ = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:count]
    raw = (bytes_.astype(jnp.float32) / 127.5 - 1).reshape(2 * height, width)
    across = (raw @ _smoother(width, smoothness)).reshape(2, height, width).transpose(1, 0, 2).reshape(height, -1)
    bent = (strength * _smoother(height, smoothness) @ across).reshape(height, 2, width).transpose(1, 0, 2)
    return _sampled(image, bent + _straight(straighten, image.shape, turn, scale, slant, move))


def _straight(
    key: Array, shape: tuple[int, ...], turn: float | int, scale: float | int, slant: float | int, move: float | int
) -> Array:
    """For each pixel, the offset to its source under a random affine map: (2, height, width), in pixels."""
    height, width = shape[:2]
    angle, *amounts = jax.random.uniform(key, (6,), jnp.float32, -1.0, 1.0)
    angle, (tall, broad, sheared, down, right) = angle * jnp.deg2rad(turn), amounts
    turned = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    stretched = jnp.array([[1 + scale * tall, 0.0], [slant * sheared, 1 + scale * broad]])
    places = jnp.stack(
        jnp.meshgrid(jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij")
    )
    middle = jnp.array([(height - 1) / 2, (width - 1) / 2])
    from_where = (
        jnp.einsum("ij,jhw->ihw", turned @ stretched, places)
        + (middle + move * jnp.stack([down, right]))[:, None, None]
    )
    return from_where - jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))


def _smoother(size: int, deviation: float | int) -> Array:
    """A matrix that smooths `size` numbers with a Gaussian. Numbers beyond the ends count as zero."""
    apart = jnp.arange(size)[:, None] - jnp.arange(size)[None, :]
    return jnp.exp(-0.5 * (apart / deviation) ** 2) / (deviation * jnp.sqrt(2 * jnp.pi))


def _sampled(image: Any, moves: Array) -> Array:
    """For every pixel, read the image at the pixel's place plus its offset in `moves`. Between pixels, interpolate linearly."""
    image = jnp.asarray(image)
    height, width = image.shape[:2]
    rows, columns = jnp.indices((height, width)) + moves
    read = lambda channel: map_coordinates(channel, [rows, columns], order=1, mode="constant")
    values = image.astype(jnp.float32)
    values = read(values) if image.ndim == 2 else jax.vmap(read, in_axes=-1, out_axes=-1)(values)
    if image.dtype == bool:
        return values >= 0.5
    if jnp.issubdtype(image.dtype, jnp.integer):  # a mean of values in the type's range is in this range too
        return jnp.round(values).astype(image.dtype)
    return values.astype(image.dtype)


def augmented(cost: Cost, distortion: Distortion, *, keyed: bool = False) -> Cost:
    """Make a cost of distorted images. Every image gets its own random key, made from the batch's key.

    Args:
        cost: `cost(params, batch)` on a `Batch`.
        distortion: `distortion(key, image) -> image`, of one image.
        keyed: Whether the given cost needs a key in its batch.

    Returns:
        A cost of batches that carry a key. If `keyed` is true, the given cost gets a new key in its batch. If
        `keyed` is false, the given cost gets a batch without a key.

    Raises:
        ValueError: The new cost raises it if the batch carries no key.
    """

    def cost_of_distorted(params, batch):
        if batch.key is None:
            raise ValueError(
                "an augmented cost needs a batch with a key, got key=None; pass batch._replace(key=jax.random.key(0)), "
                "or data.shuffled(..., keyed=True) while training"
            )
        keys = jax.random.split(batch.key, len(batch.labels))
        below = jax.random.fold_in(batch.key, len(batch.labels)) if keyed else None
        return cost(params, batch._replace(images=jax.vmap(distortion)(keys, batch.images), key=below))

    return cost_of_distorted
