"""Maps with known content, to test the measure of structure: random maps, planted edges, blobs only."""

import math

import jax
import numpy as np

from jaxnet.analysis import spatial
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.first_layer.networks import FILTER
from jaxnet.training import presets
from jaxnet.training.functions import build

AMPLITUDES = (0.125, 0.25, 0.5, 1.0)
"""The amplitudes of planted edges, in standard deviations of the random map."""

RADIUS = 5.5
"""The radius in pixels of the round window of a planted edge."""


def random_networks(count: int, draws: int) -> Arrays:
    """Return the p-values of two measures for untrained first layers: Moran's I, and the fit of the best edge."""
    init = build(presets.film, image_shape=(28, 28), classes=10, steps=1).init
    first = jax.jit(jax.vmap(lambda key: init(key)[0].weights))
    keys, p = jax.random.split(jax.random.key(1), count), []
    for start in range(0, count, 100):
        maps = np.asarray(first(keys[start : start + 100])).reshape(-1, 16, 28, 28)
        found = spatial.assess_structure(
            maps, np.ones((28, 28), bool), draws=draws, against_blobs=False, seed=1000 + start
        )
        p.append([found.moran_p, found.fit_p])
    return {"random_p": np.concatenate(p, axis=1)}


def planted_edges(
    count: int, amplitude: float | int, *, neurons: int = 16, size: int = 28, seed: int = 0
) -> np.ndarray:
    """Make random maps with one straight edge in each map.

    The edge is a line in a round window. The pixels on one side of the line are lighter, and the pixels on the other
    side are darker.

    Args:
        count: The number of networks.
        amplitude: How much one side of the line is lighter and the other side darker, in standard deviations of the pixels.
        neurons: The number of maps of each network.
        size: The side of a map in pixels.
        seed: The seed for pixels, places and directions.
    """
    rng = np.random.default_rng((seed, 7))
    noise, rows = rng.standard_normal((count, neurons, size, size)), np.arange(size)
    center = rng.uniform(RADIUS, size - 1 - RADIUS, (2, count, neurons, 1, 1))
    angle = rng.uniform(0, 2 * math.pi, (count, neurons, 1, 1))
    down, right = rows[:, None] - center[0], rows[None, :] - center[1]
    inside = np.hypot(down, right) <= RADIUS
    return (noise + amplitude * inside * np.sign(down * np.cos(angle) + right * np.sin(angle))).astype(np.float32)


def found_planted(count: int, draws: int) -> Arrays:
    """Return the p-values of all three tests on planted edges, and the first network of each amplitude."""
    mask, p, maps = np.ones((28, 28), bool), [], []
    for i, amplitude in enumerate(AMPLITUDES):
        maps.append(planted_edges(count, amplitude, seed=i))
        found = spatial.assess_structure(maps[-1], mask, draws=draws, seed=2000 + i)
        p.append([found.moran_p, found.fit_p, found.edges_p])
    return {"planted_p": np.asarray(p), "planted_maps": np.stack([networks[0] for networks in maps])}


def nothing_but_blobs(count: int, *, neurons: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make maps without edges that look like trained maps.

    Args:
        count: The number of networks.
        neurons: The number of maps of each network.
        seed: The seed of the maps.

    Returns:
        Maps of 28 x 28 pixels, and maps of 5 x 5 pixels. The large maps are blurred noise, strongest in the middle, plus a weak
        random start. The small maps are noise that is blurred over 0.5, 1, 1.5 or 2 pixels, depending on the neuron.
    """
    from scipy import ndimage

    noise = np.random.default_rng((seed, 3)).standard_normal((2, count, neurons, 28, 28)).astype(np.float32)
    smooth = lambda images, blur: ndimage.gaussian_filter(images, (0, blur, blur), mode="wrap")
    middle = np.exp(-((np.indices((28, 28)) - 13.5) ** 2).sum(0) / (2 * 6**2)).astype(np.float32)
    large = 16 * middle * np.stack([smooth(maps, 1.5) for maps in noise[0]]) + 0.3 * noise[1]
    small = np.stack([smooth(noise[1][:, i], (0.5, 1, 1.5, 2)[i % 4])[:, :FILTER, :FILTER] for i in range(neurons)], 1)
    return large, small


def found_in_blobs(count: int, draws: int) -> Arrays:
    """Return the p-values of the test for edges on maps that contain only blobs."""
    large, small = (
        spatial.assess_structure(maps, np.ones(maps.shape[2:], bool), draws=draws, seed=3000)
        for maps in nothing_but_blobs(count)
    )
    return {"blobs_p": large.edges_p, "small_blobs_p": small.edges_p}
