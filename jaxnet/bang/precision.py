"""Compare a gradient with the same gradient in another precision: signs, ranks and direction."""

from typing import NamedTuple

import jax
import numpy as np

from jaxnet.core.leaves import named_leaves
from jaxnet.core.types import Params


class Agreement(NamedTuple):
    """How well two gradients of the same parameters agree.

    Attributes:
        flipped: The fraction of the parameters whose derivatives have different signs. Zero is a sign of its own.
            Parameters whose derivative is zero in both
            gradients do not count.
        rank: Spearman's rank correlation of the magnitudes, from -1 to 1. The rank is
            NaN if all magnitudes of a gradient are equal.
        cosine: The cosine of the angle between the gradients, from -1 to 1. The cosine is NaN if a
            gradient is zero.
    """

    flipped: float
    rank: float
    cosine: float


def agreement(grads: Params, others: Params) -> dict[str, Agreement]:
    """Compare two gradients, array by array and as a whole. The comparison computes in float64.

    Args:
        grads: A gradient.
        others: Another gradient of the same parameters, such as the gradient in a narrow type.

    Returns:
        A dictionary with an agreement for each array, under the array's name, and one under "all parameters".

    Raises:
        ValueError: If the gradients do not have the same arrays.

    Examples:
        >>> found = agreement({"w": np.array([3.0, -1.0, 0.5])}, {"w": np.array([2.0, 1.0, 0.4])})["w"]
        >>> round(found.flipped, 2), round(found.rank, 2), round(found.cosine, 2)
        (0.33, 1.0, 0.72)
    """
    one, other = (
        {name: np.asarray(leaf, np.float64).ravel() for name, leaf in named_leaves(jax.device_get(tree))}
        for tree in (grads, others)
    )
    if {name: len(part) for name, part in one.items()} != {name: len(part) for name, part in other.items()}:
        raise ValueError(
            f"both gradients must have the same arrays, got {', '.join(one)} and {', '.join(other)}, or other lengths"
        )
    found = {name: _agreement(one[name], other[name]) for name in one}
    whole = (np.concatenate(list(part.values())) for part in (one, other))
    return found | {"all parameters": _agreement(*whole)}


def _agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    from scipy import stats  # imported here, because it takes a second

    counted = (one != 0) | (other != 0)
    flipped = float(np.mean(np.sign(one[counted]) != np.sign(other[counted]))) if counted.any() else 0.0
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    cosine = float(one @ other / lengths) if lengths else float("nan")
    varied = len(set(np.abs(one))) > 1 and len(set(np.abs(other))) > 1
    rank = (
        float(np.corrcoef(stats.rankdata(np.abs(one)), stats.rankdata(np.abs(other)))[0, 1]) if varied else float("nan")
    )
    return Agreement(flipped, rank, cosine)
