"""Line searches for all parameters at once: how far a prediction holds, and which step lowers the cost most."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Lengths = Float[np.ndarray, "entry"]
Tried = list[tuple[Lengths, Lengths]]
"""Pairs of arrays: the step lengths that were tried, and the measured decreases of the cost for these lengths."""

Downhill = Callable[[Any], np.ndarray]
"""`downhill(lengths)` measures the decrease of the cost for each step length. The lengths have shape (size, entry)."""


def radii(
    downhill: Downhill,
    slope: Lengths,
    curvature: Lengths,
    cost: float,
    known: Tried,
    *,
    tolerance: float,
    farthest: float,
    rounds: int,
) -> tuple[Lengths, Tried]:
    """Find the step length up to which each prediction `length * slope` holds within the tolerance.

    The first guess comes from the curvature alone. Then the search brackets the length and interpolates.

    Args:
        downhill: Measures the decreases.
        slope: The magnitudes of the gradient.
        curvature: The second derivatives.
        cost: The cost. Differences smaller than 1e-12 of the cost count as rounding errors.
        known: Earlier measurements, in increasing order of length. The radius is smaller than the first length at
            which the prediction is wrong.
        tolerance: The relative error of the prediction at the radius.
        farthest: The largest length to try.
        rounds: How many measurements to make for each parameter.

    Returns:
        The radii, and the lengths that were tried with their measured decreases.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.nan_to_num(2 * tolerance * slope / np.abs(curvature), nan=farthest)
    length = np.clip(length, 1e-9, farthest)
    low, high = np.zeros_like(slope), np.full_like(slope, np.inf)
    below, above = np.full_like(slope, -np.inf), np.full_like(slope, np.inf)
    for tested, fall in known:
        with np.errstate(divide="ignore", invalid="ignore"):
            over = np.log(np.abs(fall / (tested * slope) - 1) / tolerance)
        further, broken = np.isinf(high) & (over < 0), np.isinf(high) & ~(over < 0)
        low, below = np.where(further, tested, low), np.where(further, over, below)
        high, above = np.where(broken, tested, high), np.where(broken, over, above)
    inside = (length > low) & (length < high)
    middle = np.where(np.isinf(high), farthest, np.where(low > 0, np.sqrt(low * np.minimum(high, farthest)), high / 2))
    length = np.clip(np.where(inside, length, middle), 1e-9, farthest)
    held, tried = None, []
    for _ in range(rounds):
        fall = downhill(length[None])[0]
        tried.append((length, fall))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            over = np.log(np.abs(fall / (length * slope) - 1) / tolerance)  # below 0 the prediction holds
            holds = over < 0
            # Illinois method: if one end of the bracket stays twice in a row, its weight is halved.
            below = np.where(holds, over, np.where(held == holds, below / 2, below))
            above = np.where(holds, np.where(held == holds, above / 2, above), over)
            low, high, held = np.where(holds, length, low), np.where(holds, high, length), holds
            part = np.clip(np.nan_to_num(below / (below - above), nan=0.5), 0.02, 0.98)
            between = low * (high / low) ** part
            alone = length * np.clip(np.exp(-over), 0.01, 10) * np.where(holds, 1.05, 0.95)
        following = np.where(np.isfinite(high) & (low > 0), between, alone)
        length = np.clip(np.nan_to_num(following, nan=farthest), 1e-9, farthest)
    radius = np.where(np.isfinite(high), length, np.where(low >= farthest, np.inf, low))
    unknown = (slope == 0) | (np.minimum(radius, farthest) * slope < 1e-12 * abs(cost))
    return np.where(unknown, np.nan, radius), tried


def best_steps(
    downhill: Downhill, slope: Lengths, curvature: Lengths, tried: Sequence[tuple[Lengths, Lengths]], *,
    farthest: float, rounds: int,
) -> tuple[Lengths, Lengths]:  # fmt: skip
    """Find the step length with the largest decrease for each parameter.

    The first guess is Newton's step. Every next guess comes from a parabola through the best point and its two neighbors.

    Args:
        downhill: Measures the decreases.
        slope: The magnitudes of the gradient. Where the magnitude is zero, the best length is 0.
        curvature: The second derivatives.
        tried: Lengths and decreases that were measured before.
        farthest: The largest length to try.
        rounds: How many measurements to make for each parameter.

    Returns:
        The best lengths, and the decreases that were measured for these lengths.
    """
    zero = np.zeros_like(slope)
    lengths = [zero, *(length for length, _ in tried)]
    falls = [zero, *(fall for _, fall in tried)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        following = np.where(curvature > 0, slope / curvature, farthest)
    for _ in range(rounds):
        following = np.clip(np.nan_to_num(following, nan=farthest), 0, farthest)
        lengths.append(following)
        falls.append(downhill(following[None])[0])
        following = _vertex(np.stack(lengths), np.stack(falls), farthest)
    best = np.argmax(falls, axis=0)
    pick = lambda rows: np.take_along_axis(np.stack(rows), best[None], axis=0)[0]
    alive = slope > 0
    return np.where(alive, pick(lengths), 0), np.where(alive, pick(falls), 0)


def _vertex(lengths: np.ndarray, falls: np.ndarray, farthest: float) -> Lengths:
    """The next length to try: the vertex of the parabola through the best point and its neighbors, or a larger length."""
    order = np.argsort(lengths, axis=0, kind="stable")
    lengths, falls = np.take_along_axis(lengths, order, 0), np.take_along_axis(falls, order, 0)
    best = np.argmax(falls, axis=0)
    at = lambda rows, shift: np.take_along_axis(rows, np.clip(best + shift, 0, len(rows) - 1)[None], 0)[0]
    a, b, c = (at(lengths, shift) for shift in (-1, 0, 1))
    left, top, right = (at(falls, shift) for shift in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        over = (b - a) ** 2 * (top - right) - (b - c) ** 2 * (top - left)
        under = (b - a) * (top - right) - (b - c) * (top - left)
        vertex = b - over / (2 * under)
    middle = np.where(b - a > c - b, (a + b) / 2, (b + c) / 2)
    margin = 0.02 * (c - a)
    good = np.isfinite(vertex) & (vertex > a + margin) & (vertex < c - margin) & (np.abs(vertex - b) > 1e-4 * b)
    inside = np.where(good, vertex, middle)
    return np.where(best == len(lengths) - 1, np.minimum(4 * b, farthest), inside)
