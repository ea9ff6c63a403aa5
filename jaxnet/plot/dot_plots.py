"""Dot plots for many networks: one dot for each network, and the mean with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxnet.core.stats import spread
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, quiet


def dots(axes: Axes, values: Any, place: float | int, color: str, theme: Theme, *, height: float | int = 0.3) -> None:
    """Draw numbers as dots along a horizontal line, with mean and interval. Dots with close values get different heights.

    Args:
        axes: The axes to draw on.
        values: (network,), the numbers.
        place: The height of the line.
        color: The color of the dots.
        theme: DARK or LIGHT.
        height: The largest distance of a dot from the line.
    """
    values = np.sort(np.asarray(values, np.float64))
    values = values[np.isfinite(values)]
    if not len(values):
        axes.text(0.5, place, "none", color=theme.ink, transform=axes.get_yaxis_transform(), ha="center", va="center")
        return
    # With Van der Corput's sequence, dots with close values get very different heights. The heights are the same
    # in every call.
    turns = np.array([int(f"{i:010b}"[::-1], 2) / 1024 for i in range(1, len(values) + 1)]) - 0.5
    spaced = height * turns if len(values) > 1 else [0.0]
    size, few = 5 if len(values) <= 40 else 3.5, len(values) <= 10  # up to ten dots are drawn on top of the interval
    look: Any = {"alpha": 1.0, "zorder": 4} if few else {"alpha": 0.65}
    axes.plot(values, place + np.asarray(spaced), "o", color=color, markersize=size, markeredgewidth=0, **look)
    found = spread(values)
    if len(values) > 2:  # the interval of two numbers is wider than any picture
        axes.plot([found.low, found.high], [place, place], color=theme.ink, linewidth=4, solid_capstyle="butt")
    axes.plot([found.mean], [place], "|", color=theme.ink, markersize=22, markeredgewidth=2)


def seeds(
    groups: Mapping[str, Any],
    *,
    marks: Sequence[float | int] = (),
    unit: str = "",
    title: str = "",
    theme: Theme = DARK,
) -> Figure:
    """Draw numbers of many networks, with one line for each group.

    Args:
        groups: For each group: its name, and the numbers of its networks, (network,).
        marks: Numbers to compare with, one for each group, drawn as dashed lines. Without numbers, no line is drawn.
        unit: The label of the axis.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Each dot is a network. The short vertical line is the mean, and the thick bar is its 95 % interval.

    Raises:
        ValueError: If there are no groups.
    """
    if not groups:
        raise ValueError("there are no numbers to draw; pass at least one group")
    figure = canvas(9.5, 1.4 + 0.75 * len(groups), theme)
    axes = quiet(figure.subplots(), theme)
    for i, values in enumerate(groups.values()):
        dots(axes, values, -i, theme.series[i % len(theme.series)], theme, height=0.55)
    axes.set_yticks(-np.arange(len(groups)), list(groups), fontsize=10)
    axes.set_ylim(0.6 - len(groups), 0.6)
    for i, mark in enumerate(marks):
        axes.plot([mark, mark], [-i - 0.5, 0.5 - i], color=theme.ink, linewidth=1.5, linestyle="--", alpha=0.8)
    grid(axes, theme, unit, "")
    headline(figure, title, theme)
    return figure


def ladder(
    names: Sequence[str], values: Any, lost: Any, *, mark: float | int | None = None, unit: str = "", title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the effect of a growing list of improvements, and the effect of leaving out one of these improvements.

    Args:
        names: The names of the rungs. The first rung has no improvement, and each later rung adds one.
        values: (rung, network), the number of each network.
        lost: (improvement, network), how much smaller the number is if only this improvement is left out.
        mark: A number to compare with, drawn as a dashed line. If it is None, no line is drawn.
        unit: The unit of the values.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the rungs from the top down, with one dot for each network. Right: for each improvement, what is lost
        if only this improvement is left out.

    Raises:
        ValueError: If the numbers of names, rungs and improvements do not fit together.
    """
    values, lost = np.asarray(values, np.float64), np.asarray(lost, np.float64)
    if not len(names) == len(values) == len(lost) + 1:
        raise ValueError(
            f"{len(names)} names need {len(names)} rows of values and {len(names) - 1} rows of lost points, "
            f"got {len(values)} and {len(lost)}"
        )
    figure = canvas(12.5, 1.3 + 0.6 * len(names), theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1]))
    for i, rung in enumerate(values):
        dots(left, rung, -i, theme.series[0], theme)
    left.plot(values.mean(1), -np.arange(len(values)), color=theme.series[0], alpha=0.5, linewidth=1.5)
    for i, loss in enumerate(lost, start=1):
        right.barh(-i, loss.mean(), 0.5, color=theme.negative, alpha=0.55)
        dots(right, loss, -i, theme.negative, theme)
    right.axvline(0, color=theme.ink, linewidth=1)
    left.set_yticks(-np.arange(len(names)), list(names), fontsize=10)
    if mark is not None:
        left.axvline(mark, color=theme.ink, linewidth=1.2, linestyle="--", alpha=0.7)
    grid(left, theme, unit, "")
    grid(right, theme, "points lost if only this improvement is left out", "")
    headline(figure, title, theme)
    return figure


def sizes(
    parameters: Any, values: Any, names: Sequence[str], *, unit: str = "", title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw one value for each network, such as its accuracy, against the number of parameters of the network.

    Args:
        parameters: (size,), the number of parameters.
        values: (size, network), the number of each network.
        names: The hidden layers of each size, such as 64-64. Networks with the same number of hidden layers share a color and a
            line.
        unit: The unit of the values.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one dot for each network. A line connects the means of the networks with the same number of hidden layers.

    Raises:
        ValueError: If there is not one name and one row of values for each size.
    """
    parameters, values = np.asarray(parameters, np.float64), np.asarray(values, np.float64)
    if not len(parameters) == len(values) == len(names):
        raise ValueError(f"got {len(parameters)} sizes, {len(values)} rows of values and {len(names)} names")
    figure = canvas(10.0, 5.0, theme)
    axes = quiet(figure.subplots(), theme)
    depths = [name.count("-") + 1 for name in names]
    for i, depth in enumerate(sorted(set(depths))):
        which = np.flatnonzero(np.asarray(depths) == depth)
        which = which[np.argsort(parameters[which], kind="stable")]
        color = theme.series[i % len(theme.series)]
        label = f"{depth} hidden layer{'s' if depth > 1 else ''}"
        axes.plot(parameters[which], values[which].mean(1), color=color, linewidth=1.5, label=label)
        for one in which:
            places, beside = np.full(values.shape[1], parameters[one]), ((7, -13), (7, 9), (-52, 7), (9, -26))[i % 4]
            axes.plot(places, values[one], "o", color=color, markersize=5, alpha=0.65)
            axes.annotate(
                str(names[one]), (parameters[one], values[one].mean()), xytext=beside, textcoords="offset points",
                color=theme.ink, fontsize=8,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9)
    grid(axes, theme, "parameters", unit)
    headline(figure, title, theme)
    return figure
