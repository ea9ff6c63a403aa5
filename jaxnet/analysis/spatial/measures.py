"""Two numbers that describe a picture of weights: how smooth it is, and how well a straight edge fits it."""

import functools
import math
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

WAVELENGTHS = (6, 12, 24)
"""The wavelengths of the edges: the distance in pixels from one bright side to the next."""

ORIENTATIONS = 6
"""The number of directions of the edges, which are 30 degrees apart."""

Maps: TypeAlias = Float[Array, "neuron height width"] | Float[np.ndarray, "neuron height width"]
Mask: TypeAlias = Bool[np.ndarray, "rows columns"]


class Bank(NamedTuple):
    """Edges to compare maps with.

    Each edge has one place, one direction and one size. It can have every phase, from a step to a line.

    Attributes:
        bases: Two orthonormal pictures for each edge, one even and one odd. Their linear combinations are the edge in
            all phases. Both pictures are zero where pixels do not count, and the pixels of each picture sum to zero.
        orientation: The edge's direction in degrees, counterclockwise: 0 is horizontal, 90 is vertical.
        wavelength: The size of the edge: its wavelength in pixels.
        center: The row and column of the edge's center.
    """

    bases: Float[np.ndarray, "edge 2 height width"]
    orientation: Float[np.ndarray, "edge"]
    wavelength: Float[np.ndarray, "edge"]
    center: Float[np.ndarray, "edge 2"]


def moran(maps: Maps, mask: Mask) -> Float[Array, "neuron"]:
    """Moran's I of each map: the correlation of pixels with their neighbors above, below, left and right.

    Args:
        maps: One picture for each neuron. If all pixels of a picture are equal, its Moran's I is 0.
        mask: The pixels that count.

    Examples:
        >>> board = np.indices((4, 4)).sum(0) % 2 * 1.0
        >>> round(float(moran(board[None], np.ones((4, 4), bool))[0]), 3)
        -1.0

    Source: Moran 1950, "Notes on continuous stochastic phenomena".
    """
    check(maps, mask)
    return _each(jnp.asarray(maps), jnp.asarray(mask))


@functools.lru_cache(maxsize=8)
def _bank(pixels: bytes, height: int, width: int) -> Bank:
    mask = np.frombuffer(pixels, bool).reshape(height, width)
    rows, columns = np.indices(mask.shape).astype(np.float64)
    bases, about = [], []
    for wavelength in WAVELENGTHS:
        if wavelength > 2.5 * min(mask.shape):  # the picture holds less than half a wave, so there is no edge
            continue
        stride = wavelength / 2  # so every point is at most a quarter of a wave from a place, along each axis
        places = [stride * np.arange(-(half := (n - 1) / 2 // stride), half + 1) + (n - 1) / 2 for n in mask.shape]
        for row in places[0]:
            for column in places[1]:
                if not mask[round(row), round(column)]:
                    continue
                for orientation in np.arange(ORIENTATIONS) * 180 / ORIENTATIONS:
                    angle, x, y = math.radians(orientation), columns - column, rows - row
                    along, across = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
                    window = np.exp(-((across / (0.4 * wavelength)) ** 2) / 2 - (along / (0.6 * wavelength)) ** 2 / 2)
                    wave = 2 * math.pi * across / wavelength
                    pair = np.stack([window * np.cos(wave), window * np.sin(wave)])[:, mask]
                    basis = np.zeros((2, *mask.shape), np.float32)
                    basis[:, mask] = np.linalg.qr((pair - pair.mean(1, keepdims=True)).T)[0].T
                    bases.append(basis)
                    about.append((orientation, wavelength, row, column))
    table = np.asarray(about, np.float64)
    return Bank(np.stack(bases), table[:, 0], table[:, 1], table[:, 2:])


def edge_bank(mask: Mask) -> Bank:
    """Make edges all over a picture: Gabor functions with an elongated Gaussian window, half a wavelength apart.

    Args:
        mask: The pixels that count. The waves are cut to these pixels, and are shifted so that these pixels sum to
            zero. So the fit of an edge to a map is a correlation.

    Raises:
        ValueError: If the mask has fewer than 3 rows or columns, or if fewer than 9 pixels count.

    Source: Gabor 1946, "Theory of communication"; Adelson and Bergen 1985, who detect edges of every phase with pairs
    of even and odd waves.
    """
    if min(mask.shape) < 3 or mask.sum() < 9:
        raise ValueError(
            f"edges need at least 3 x 3 pixels that count, got {int(mask.sum())} pixels in a mask of shape {mask.shape}"
        )
    return _bank(np.ascontiguousarray(mask).tobytes(), *mask.shape)


def best_edges(maps: Maps, mask: Mask) -> tuple[Float[np.ndarray, "neuron height width"], Any, Any]:
    """Find the edge that explains most of each map's variance.

    Args:
        maps: One picture for each neuron.
        mask: The pixels that count.

    Returns:
        Three arrays. The first array holds the edges as pictures, with the strength and phase that fit best. The second
        array holds the share of each map's variance that its edge explains. The third array holds the edges' indices in
        `edge_bank(mask)`.
    """
    check(maps, mask)
    bank, values = edge_bank(mask), np.where(mask, np.asarray(maps, np.float64), 0.0)
    bases = bank.bases.astype(np.float64)
    weights = np.einsum("epij,nij->nep", bases, values)
    energy = (weights**2).sum(-1)
    which = energy.argmax(1)
    drawn = np.einsum("np,npij->nij", weights[np.arange(len(which)), which], bases[which])
    centered = values[:, mask] - values[:, mask].mean(1, keepdims=True)
    total = (centered**2).sum(1)
    return drawn, energy.max(1) / np.where(total > 0, total, 1.0), which


@jax.jit
def _each(maps: Array, mask: Array) -> Array:
    return _moran(_standard(jnp.moveaxis(maps, 0, -1), mask), mask)


@jax.jit
def statistics(sets: Array, mask: Array, bases: Array) -> Array:
    """The mean Moran's I and the mean fit of edges of each set of maps (set, height, width, neuron)."""

    def one(maps: Array) -> Array:
        standard = _standard(maps, mask)
        weights = bases @ standard.reshape(mask.size, -1)
        fits = jnp.sum(weights.reshape(-1, 2, weights.shape[-1]) ** 2, axis=1).max(axis=0)
        return jnp.stack([_moran(standard, mask).mean(), fits.mean()])

    return jax.lax.map(one, sets)


def _standard(maps: Array, mask: Array) -> Array:
    """Scale maps (height, width, neuron) to mean 0 and length 1 over the pixels that count. Other pixels become 0."""
    counts = mask[:, :, None]
    inside = jnp.where(counts, maps, 0)
    inside = jnp.where(counts, inside - jnp.sum(inside, (0, 1), keepdims=True) / mask.sum(), 0)
    length = jnp.sqrt(jnp.sum(inside**2, (0, 1), keepdims=True))
    return inside / jnp.where(length > 0, length, 1)


def _moran(standard: Array, mask: Array) -> Array:
    products = jnp.sum(standard[1:] * standard[:-1], (0, 1)) + jnp.sum(standard[:, 1:] * standard[:, :-1], (0, 1))
    pairs = jnp.sum(mask[1:] & mask[:-1]) + jnp.sum(mask[:, 1:] & mask[:, :-1])
    return products * (mask.sum() / pairs)


def check(maps: Any, mask: np.ndarray) -> None:
    """Refuse maps and masks that do not fit together, or that leave nothing to compare.

    Raises:
        ValueError: If they do not fit together, or if no two neighboring pixels count along an axis. The message says
            what was given and what was expected.
    """
    if np.ndim(maps) != 3 or np.shape(maps)[1:] != mask.shape or np.shape(maps)[0] < 1:
        raise ValueError(
            f"a mask of shape {mask.shape} needs maps of shape (neuron, {mask.shape[0]}, {mask.shape[1]}), got {np.shape(maps)}"
        )
    if not ((mask[1:] & mask[:-1]).any() and (mask[:, 1:] & mask[:, :-1]).any()):
        raise ValueError(
            "the mask must include at least two neighboring pixels along each axis; include more pixels in the mask"
        )
