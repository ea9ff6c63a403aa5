"""Make random maps that are as smooth as given maps but have no direction. Edges are compared with these random maps."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet.analysis.spatial.measures import Maps, Mask, check, moran

CLOSE = 0.01
"""The search for a blur ends if the mean Moran's I of the blobs and of the maps differ by at most this number."""

TRIES = 8
"""The largest number of blurs that are tried, including no blur."""


def equally_smooth(
    maps: Maps, mask: Mask, count: int, *, seed: int | tuple[int, ...] = 0
) -> Float[np.ndarray, "set neuron height width"]:
    """Make random maps that have no direction, but the smoothness and the strength of the given maps.

    The random maps are as smooth as the given maps at every distance, and as strong at every pixel. Such maps are a
    fair comparison for edges, because a smooth map fits some edge well by chance alone.

    Args:
        maps: One picture for each neuron.
        mask: The pixels that count. All other pixels of the result are 0.
        count: How many sets of random maps to make.
        seed: The seed of the random maps.

    Returns:
        Normal random fields. Each field has the correlations of its own map at every distance. It is multiplied by the
        root mean square of all maps at each pixel. The fields are slightly blurred or sharpened, until their mean
        Moran's I differs from the maps' mean Moran's I by at most 0.01, but at most 8 blurs are tried.
    """
    from scipy import fft, ndimage

    check(maps, mask)
    neurons, (height, width) = len(maps), mask.shape
    values = np.where(mask, np.asarray(maps, np.float64), 0.0)
    values = values / np.maximum(np.sqrt((values**2).sum((1, 2), keepdims=True) / mask.sum()), 1e-30)
    # The mean square of a few neurons is noisy. Averaging it over a pixel and its neighbors makes it less noisy.
    square = np.maximum(ndimage.uniform_filter((values**2).mean(0), 3, mode="constant"), 0)
    strength = np.sqrt(square / np.maximum(ndimage.uniform_filter(mask * 1.0, 3, mode="constant"), 1 / 9)) * mask
    frequency, strengths = _spectrum(values, strength)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((-(-count // 2), neurons, *frequency.shape, 2), np.float32).view(np.complex64)[..., 0]

    def drawn(blur: float) -> np.ndarray:
        waves = np.sqrt(strengths * np.exp(-blur * (2 * math.pi * frequency) ** 2)).astype(np.float32)
        whole: Any = fft.ifft2(noise * waves)  # the real and the imaginary part are two independent fields
        pairs = whole[:, :, :height, :width]
        return np.concatenate([pairs.real, pairs.imag])[:count] * strength.astype(np.float32)

    wanted = float(jnp.mean(moran(maps, mask)))
    smoothness = lambda fields: float(jnp.mean(moran(fields.reshape(-1, height, width), mask)))
    blurs, fields = [0.0], drawn(0.0)
    errors = [smoothness(fields) - wanted]
    # Subtracting the mean makes small pictures less smooth. A slight blur or a slight sharpening corrects this.
    while abs(errors[-1]) > CLOSE and len(blurs) < TRIES:
        steep = (errors[-1] - errors[-2]) / (blurs[-1] - blurs[-2]) if len(blurs) > 1 else 1.0
        blurs.append(float(np.clip(blurs[-1] - errors[-1] / (steep or 1.0), -0.25, 8)))
        if blurs[-1] == blurs[-2]:
            break
        fields = drawn(blurs[-1])
        errors.append(smoothness(fields) - wanted)
    return fields


def _spectrum(values: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the power of each frequency on a torus to each neuron's correlations at every distance.

    The power does not depend on the direction of the frequency.
    """
    from scipy import optimize

    torus = _torus(*strength.shape)
    products = lambda images: np.fft.ifft2(np.abs(np.fft.fft2(images, torus)) ** 2).real
    square, frequency, ring, waves, near = _rings(*strength.shape)
    at_distance = lambda images: np.bincount(square.ravel(), products(images).ravel())
    pairs = np.maximum(at_distance(strength), 0)
    measured = np.stack([at_distance(one) for one in values]) / np.maximum(pairs, 1e-9)
    # Strengths must be 0 or more, because a covariance has no negative power.
    weights = np.sqrt(pairs[near]) / np.maximum(np.sqrt(near), 1)
    design = waves[:, near].T * weights[:, None]
    strengths = np.stack([optimize.nnls(design, one[near] * weights)[0] for one in measured])
    return frequency, (strengths / np.bincount(ring.ravel()))[:, ring]


def _torus(height: int, width: int) -> tuple[int, int]:
    """The size of a torus for a picture.

    On a torus of this size, opposite sides of the picture are not neighbors, and there are enough frequencies.
    """
    return max(2 * height, 16), max(2 * width, 16)


@functools.lru_cache(maxsize=8)
def _rings(height: int, width: int) -> tuple[np.ndarray, ...]:
    """Make five tables for a torus.

    They hold the squared distances, the frequencies, the ring of each frequency, each ring's correlation at each
    distance, and the distances that are used.
    """
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
