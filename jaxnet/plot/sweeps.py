"""The picture of a sweep: the cost of many networks for each value of a setting, and its scatter over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from jaxnet.core.stats import spread
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet


def sweep(
    values: Any, series: Sequence[str], costs: Any, curves: Any, *, setting: str, cost: str, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the cost against a setting, and the cost at every epoch.

    Args:
        values: (member,), the values of the setting. If all values are positive, the scale is logarithmic.
        series: (member,), the other settings in words. Each combination of settings has a line.
        costs: (member,), the final cost of each network. If a network diverged, its cost is NaN.
        curves: (member, epoch), the cost of each epoch.
        setting: The name of the setting.
        cost: The name of the cost.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: each dot is a network, and crosses at the upper edge are networks that diverged. The line goes
        through the medians, and the band goes from the lower to the upper quartile. Right: the median and the band at every
        epoch, for the combinations with the lowest final median (at most seven combinations).

    Raises:
        ValueError: If the arrays do not have one entry for each network.
    """
    values, costs, curves = (np.asarray(part, np.float64) for part in (values, costs, curves))
    if not len(values) == len(series) == len(costs) == len(curves):
        raise ValueError(
            f"there must be one entry for each network, got {len(values)}, {len(series)}, {len(costs)} and {len(curves)}"
        )
    figure = canvas(12.0, 5.0, theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2))
    names = list(dict.fromkeys(series))
    ends: list[tuple[float, str, np.ndarray]] = []
    for i, name in enumerate(names):
        color, mine = theme.series[i % len(theme.series)], np.array([other == name for other in series])
        points = np.unique(values[mine])
        picked = [np.flatnonzero(mine & (values == point)) for point in points]
        shown = mine & np.isfinite(costs)
        left.plot(values[shown], costs[shown], "o", color=color, markersize=4.5, alpha=0.6, markeredgewidth=0)
        low, middle, high = np.array([_quartiles(costs[which]) for which in picked]).T
        left.plot(points, middle, color=color, linewidth=2, label=name or "median")
        left.fill_between(points, low, high, color=color, alpha=0.18, linewidth=0)
        lost = mine & ~np.isfinite(costs)
        left.plot(
            values[lost], np.ones(lost.sum()), "x", color=color, transform=left.get_xaxis_transform(), clip_on=False
        )
        told = [", ".join(filter(None, (f"{setting} {point:g}", name))) for point in points]
        ends += list(zip(middle, told, picked, strict=True))
    ends = [end for end in sorted(ends, key=lambda end: end[0]) if np.isfinite(end[0])][: len(theme.series)]
    epochs = np.arange(1, curves.shape[1] + 1)
    for color, (_, told, which) in zip(theme.series, ends, strict=False):
        low, middle, high = np.array([_quartiles(column) for column in curves[which].T]).T
        right.plot(epochs, middle, color=color, linewidth=2, marker="" if len(epochs) > 1 else "o", label=told)
        right.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    if (values > 0).all():
        left.set_xscale("log")
    if len(np.unique(values)) <= 12:
        left.set_xticks(np.unique(values), [f"{value:g}" for value in np.unique(values)])
        left.xaxis.set_minor_locator(NullLocator())
    for axes, shown in ((left, costs), (right, curves)):
        if not (shown > 0).any():  # all networks diverged, or no epoch was finished
            axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=theme.ink)
            continue
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), numticks=20))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:
        right.set(xticks=[1], xlim=(0.5, 1.5))
    grid(left, theme, setting, cost)
    grid(right, theme, "epoch", "cost of the epoch's batches")
    key(left, theme)
    if ends:
        key(right, theme)
    headline(figure, title, theme)
    return figure


def _quartiles(values: np.ndarray) -> np.ndarray:
    """The quartiles of the costs. A diverged network counts as infinite cost. NaN (not drawn) replaces an infinite quartile."""
    found = spread(values).quantiles[1:4]
    return np.where(np.isfinite(found), found, np.nan)
