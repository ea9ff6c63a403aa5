"""What became of many networks: arrays with a leading axis of members, and how their numbers lie."""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxnet._types import Params
from jaxnet.recipes import Settings


class Unjudged(RuntimeError):
    """The networks could not be judged, such as for lack of memory; the training ended there.

    Attributes:
        results: What there was by then: all trained parameters; NaN for every evaluation that there was not.
    """

    def __init__(self, error: Exception, results: "Results"):
        """Compose the message from what the evaluation raised."""
        super().__init__(
            f"judging the networks failed ({type(error).__name__}: {error}); the trained parameters are in `.results`"
        )
        self.results = results


class Group(NamedTuple):
    """Networks of one shape.

    Attributes:
        members: Their numbers.
        params: Their trained parameters, with a leading axis of networks.
    """

    members: tuple[int, ...]
    params: Params


class Results(NamedTuple):
    """What became of the members, in their order; NaN where a network diverged, or was not begun before it was stopped.

    Attributes:
        members: What each was to do.
        epochs: The epochs after which they were judged.
        costs: The mean cost over the judged images.
        accuracies: The fraction of them read correctly.
        train_costs: The mean cost of each epoch's batches, as they were met.
        diverged: The first step whose cost was not finite, counted from 0; -1 where there was none.
        groups: The trained parameters, of each shape together.
        judged_by: Which images judged.
        seconds: What the training took, compilation and judging included.
    """

    members: tuple[Settings, ...]
    epochs: Int[np.ndarray, "evaluations"]
    costs: Float[np.ndarray, "member evaluations"]
    accuracies: Float[np.ndarray, "member evaluations"]
    train_costs: Float[np.ndarray, "member epochs"]
    diverged: Int[np.ndarray, "member"]
    groups: tuple[Group, ...]
    judged_by: str
    seconds: float

    def params(self, member: int) -> Params:
        """One member's trained parameters."""
        group = next(group for group in self.groups if member in group.members)
        return jax.tree.map(lambda leaf: leaf[group.members.index(member)], group.params)


class Spread(NamedTuple):
    """How numbers of several members lie.

    Attributes:
        mean: Their mean; NaN where one of them is.
        low: The lower end of the mean's interval by Student's distribution; NaN for fewer than two members.
        high: The upper end.
        quantiles: The 0th, 25th, 50th, 75th and 100th percentile along a leading axis; a diverged member's NaN counts as
            infinity.
    """

    mean: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]
    quantiles: Float[np.ndarray, "5 ..."]


def spread(values: Float[np.ndarray, "member ..."], *, level: float = 0.95) -> Spread:
    """Mean, interval and quantiles over the leading axis of members.

    Args:
        values: As `Results` has them.
        level: The probability with which the interval holds the true mean, for normal scatter.

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
    huge = 1e300  # infinity, but what lies between two of them is a number
    quantiles = np.quantile(np.where(np.isfinite(values), values, huge), [0, 0.25, 0.5, 0.75, 1], axis=0)
    quantiles = np.where(quantiles > huge / 1e9, np.inf, quantiles)
    return Spread(np.asarray(mean), np.asarray(mean - half), np.asarray(mean + half), quantiles)
