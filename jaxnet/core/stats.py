"""Statistics of a few runs: the mean with its confidence interval, and the quantiles."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Spread(NamedTuple):
    """The mean, its confidence interval and the quantiles of the values of several members, such as trained networks.

    Attributes:
        mean: The mean of the values. It is NaN if one value is NaN.
        low: The lower end of the mean's confidence interval (Student's distribution). It is NaN if there are fewer than
            two members.
        high: The upper end of this confidence interval.
        quantiles: The 0th, 25th, 50th, 75th and 100th percentiles, along a first axis of length 5. The NaN of a
            diverged member counts as infinity.
    """

    mean: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]
    quantiles: Float[np.ndarray, "5 ..."]


def spread(values: Float[np.ndarray, "member ..."], *, level: float = 0.95) -> Spread:
    """Compute the mean, the confidence interval and the quantiles of the values of all members.

    Args:
        values: One value, or one array, for each member. The first axis counts members.
        level: The probability that the interval holds the true mean, if the values are normally distributed.

    Raises:
        ValueError: If there are no members.

    Examples:
        >>> found = spread(np.array([1.0, 2.0, 3.0]))
        >>> round(float(found.mean), 3), round(float(found.low), 3), found.quantiles.tolist()
        (2.0, -0.484, [1.0, 1.5, 2.0, 2.5, 3.0])
    """
    from scipy import stats

    if len(values) == 0:
        raise ValueError("the spread of no members is undefined; pass at least one value")
    count, mean = len(values), values.mean(axis=0)
    half = np.full_like(mean, np.nan)
    if count > 1:
        half = stats.t.ppf((1 + level) / 2, count - 1) * values.std(axis=0, ddof=1) / math.sqrt(count)
    huge = 1e300  # stands for infinity, because the interpolation between two infinities would be NaN
    quantiles = np.quantile(np.where(np.isfinite(values), values, huge), [0, 0.25, 0.5, 0.75, 1], axis=0)
    quantiles = np.where(quantiles > huge / 1e9, np.inf, quantiles)
    return Spread(np.asarray(mean), np.asarray(mean - half), np.asarray(mean + half), quantiles)
