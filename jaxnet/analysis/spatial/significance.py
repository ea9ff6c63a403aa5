"""Test whether chance explains measured structure. The maps are compared to shuffled maps and to blobs.

Every network gets a p-value for each comparison.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnet.analysis.spatial.measures import Mask, check, edge_bank, statistics
from jaxnet.analysis.spatial.surrogates import equally_smooth


class Structure(NamedTuple):
    """The structure in the maps of networks. All statistics are means over the neurons of a network.

    The first five fields have one number for each network. The last four fields have three numbers for each network:
    the 5th, 50th and 95th percentile over the random draws.

    Attributes:
        moran: Moran's I, the correlation of neighboring pixels. It is near 0 for random maps, and 1 for the smoothest.
        fit: The share of a map's variance that its best edge explains, 0 to 1.
        moran_p: The probability that Moran's I is at least this large if the maps' pixels have no order.
        fit_p: The probability that the fit of edges is at least this large if the maps' pixels have no order.
        edges_p: The probability that edges fit blobs at least as well as they fit the maps. Blobs are as smooth
            as the maps at every distance, but have no direction. If no blobs were sampled, it is NaN.
        shuffled_moran: The percentiles of Moran's I for the maps with shuffled pixels.
        shuffled_fit: The percentiles of the edges' fit for the maps with shuffled pixels.
        blobs_moran: The percentiles of Moran's I for the blobs. If no blobs were sampled, they are NaN.
        blobs_fit: The percentiles of the edges' fit for the blobs. If no blobs were sampled, they are NaN.
    """

    moran: Float[np.ndarray, "network"]
    fit: Float[np.ndarray, "network"]
    moran_p: Float[np.ndarray, "network"]
    fit_p: Float[np.ndarray, "network"]
    edges_p: Float[np.ndarray, "network"]
    shuffled_moran: Float[np.ndarray, "network 3"]
    shuffled_fit: Float[np.ndarray, "network 3"]
    blobs_moran: Float[np.ndarray, "network 3"]
    blobs_fit: Float[np.ndarray, "network 3"]


def p_value(observed: float | int | np.floating, chance: Any) -> float:
    """Estimate the probability that chance alone gives at least the observed number.

    The estimate compares the observed number with random draws. The observed number counts as one of the draws, so the
    probability is never zero.

    Examples:
        >>> p_value(3.0, np.arange(19) / 19)
        0.05

    Source: Phipson and Smyth 2010, "Permutation p-values should never be zero".
    """
    chance = np.asarray(chance)
    return (1 + int((chance >= observed).sum())) / (1 + len(chance))


def assess_structure(
    maps: Float[Array, "..."] | Float[np.ndarray, "..."],
    mask: Mask,
    *,
    draws: int = 199,
    against_blobs: bool = True,
    seed: int = 0,
) -> Structure:
    """Test every network's maps for spatial order, for edges, and for more edges than blobs have.

    Pixels are shuffled within the mask. All neurons of a network share one shuffled order in each draw. So a pattern
    that neurons share does not count as order.

    Args:
        maps: (network, neuron, height, width), one picture for each neuron.
        mask: The pixels that count.
        draws: How many sets of shuffled maps, and how many sets of blobs, to compare each network with.
        against_blobs: Whether to compare the maps with blobs too.
        seed: The seed of the shuffled maps and the blobs.

    Returns:
        Statistics, p-values and percentiles for each network.

    Raises:
        ValueError: If the maps and the mask do not fit together.
    """
    maps = np.asarray(maps, np.float32)
    if maps.ndim != 4:
        raise ValueError(f"assess_structure takes maps (network, neuron, height, width), got shape {maps.shape}")
    check(maps[0], mask)
    bases = jnp.asarray(edge_bank(mask).bases.reshape(-1, mask.size))
    measured = lambda sets: np.asarray(statistics(sets, jnp.asarray(mask), bases))
    inside, rows = np.flatnonzero(mask), []
    for i, network in enumerate(maps):
        orders = np.tile(np.arange(mask.size), (draws + 1, 1))
        orders[1:, inside] = np.random.default_rng((seed, i)).permuted(orders[1:, inside], axis=1)
        pixels = np.ascontiguousarray(network.reshape(len(network), -1).T)
        observed, *shuffled = measured(pixels[orders].reshape(draws + 1, *mask.shape, -1))
        shuffled = np.stack(shuffled)
        p = [p_value(observed[j], shuffled[:, j]) for j in (0, 1)]
        chance, edges_p = np.full((draws, 2), np.nan), math.nan
        if against_blobs:
            drawn = np.concatenate([network[None], equally_smooth(network, mask, draws, seed=(seed, i, 1))])
            chance = measured(np.ascontiguousarray(np.moveaxis(drawn, 1, -1)))[1:]
            edges_p = p_value(observed[1], chance[:, 1])
        bands = [np.percentile(part[:, j], (5, 50, 95)) for part in (shuffled, chance) for j in (0, 1)]
        rows.append((*observed.astype(np.float64), *p, edges_p, *bands))
    return Structure(*(np.asarray(column, np.float64) for column in zip(*rows, strict=True)))
