"""Random maps that are as smooth as given ones but have no direction: what edges must be compared with."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet.structure.measures import Maps, Mask, check, moran

CLOSE = 0.01
"""How near the blobs' mean Moran's I comes to that of the maps."""


def equally_smooth(
    maps: Maps, mask: Mask, count: int, *, seed: int | tuple[int, ...] = 0
) -> Float[np.ndarray, "set neuron height width"]:
    """Random maps as smooth as the given ones at every distance and as strong at every pixel, but with no direction.

    They are the fair comparison for edges: a smooth map fits some edge well by chance alone.

    Args:
        maps: One picture a neuron.
        mask: The pixels that count; the others of the result are 0.
        count: Sets of maps to draw.
        seed: Decides them.

    Returns:
        Normal random fields, each with its own map's correlation at every distance, times the root mean square of all maps
        at each pixel. Slightly blurred or sharpened until their mean Moran's I is that of the maps.
    """
    from scipy import fft, ndimage

    check(maps, mask)
    neurons, (height, width) = len(maps), mask.shape
    values = np.where(mask, np.asarray(maps, np.float64), 0.0)
    values = values / np.maximum(np.sqrt((values**2).sum((1, 2), keepdims=True) / mask.sum()), 1e-30)
    # The mean square of a few neurons is noisy; that of a pixel with its neighbors is less so.
    square = np.maximum(ndimage.uniform_filter((values**2).mean(0), 3, mode="constant"), 0)
    strength = np.sqrt(square / np.maximum(ndimage.uniform_filter(mask * 1.0, 3, mode="constant"), 1 / 9)) * mask
    frequency, strengths = _spectrum(values, strength)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((-(-count // 2), neurons, *frequency.shape, 2), np.float32).view(np.complex64)[..., 0]

    def drawn(blur: float) -> np.ndarray:
        waves = np.sqrt(strengths * np.exp(-blur * (2 * math.pi * frequency) ** 2)).astype(np.float32)
        whole: Any = fft.ifft2(noise * waves)  # two fields in one: the real and the imaginary part
        pairs = whole[:, :, :height, :width]
        return np.concatenate([pairs.real, pairs.imag])[:count] * strength.astype(np.float32)

    wanted = float(jnp.mean(moran(maps, mask)))
    smoothness = lambda fields: float(jnp.mean(moran(fields.reshape(-1, height, width), mask)))
    blurs, fields = [0.0], drawn(0.0)
    errors = [smoothness(fields) - wanted]
    # Small pictures lose some of their smoothness with their mean, so a slight blur, or its reverse, makes up for it.
    while abs(errors[-1]) > CLOSE and len(blurs) < 8:
        steep = (errors[-1] - errors[-2]) / (blurs[-1] - blurs[-2]) if len(blurs) > 1 else 1.0
        blurs.append(float(np.clip(blurs[-1] - errors[-1] / (steep or 1.0), -0.25, 8)))
        if blurs[-1] == blurs[-2]:
            break
        fields = drawn(blurs[-1])
        errors.append(smoothness(fields) - wanted)
    return fields


def _spectrum(values: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The waves, by frequency on a torus, of each neuron's directionless field whose correlation at every distance fits best."""
    from scipy import optimize

    torus = _torus(*strength.shape)
    products = lambda images: np.fft.ifft2(np.abs(np.fft.fft2(images, torus)) ** 2).real
    square, frequency, ring, waves, near = _rings(*strength.shape)
    at_distance = lambda images: np.bincount(square.ravel(), products(images).ravel())
    pairs = np.maximum(at_distance(strength), 0)
    measured = np.stack([at_distance(one) for one in values]) / np.maximum(pairs, 1e-9)
    # Rings of waves with strengths of 0 or more: anything else is the covariance of no field.
    weights = np.sqrt(pairs[near]) / np.maximum(np.sqrt(near), 1)
    design = waves[:, near].T * weights[:, None]
    strengths = np.stack([optimize.nnls(design, one[near] * weights)[0] for one in measured])
    return frequency, (strengths / np.bincount(ring.ravel()))[:, ring]


def _torus(height: int, width: int) -> tuple[int, int]:
    """Large enough that no pixel of the picture meets another one around the back, and that rings of waves are fine."""
    return max(2 * height, 16), max(2 * width, 16)


@functools.lru_cache(maxsize=8)
def _rings(height: int, width: int) -> tuple[np.ndarray, ...]:
    """Of a torus: squared distances, rings of waves, what those correlate to at each distance, the distances to rely on."""
    down, right = (np.minimum(np.arange(n), n - np.arange(n)) for n in _torus(height, width))
    square = down[:, None] ** 2 + right[None, :] ** 2
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, _torus(height, width)), indexing="ij"))
    ring = np.round(frequency * min(_torus(height, width))).astype(int)
    pairs = np.bincount(square.ravel())
    waves = [
        np.bincount(square.ravel(), np.fft.fft2((ring == r) / (ring == r).sum()).real.ravel()) / np.maximum(pairs, 1)
        for r in range(ring.max() + 1)
    ]
    near = np.flatnonzero((pairs > 0) & (np.arange(len(pairs)) <= (0.75 * min(height, width)) ** 2))
    return square, frequency, ring, np.stack(waves), near
