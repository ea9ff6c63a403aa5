"""Pictures of many solutions of one problem: their costs, the agreement of two costs, and the cost between solutions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet


def by_width(
    widths: Sequence[int], costs: Any, *, cost: str = "test cost", title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw the costs of many networks of each width.

    Args:
        widths: The numbers of neurons in the hidden layer, in increasing order.
        costs: The cost of each network, (width, network).
        cost: The name of the costs, with their unit.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: every dot is a network. Each width has a histogram beside its dots, and the line goes through the
        means. Right: the standard deviation of the costs for each width, with an interval from resampling. The scale is
        logarithmic.

    Raises:
        ValueError: If there is not one row of costs for each width.
    """
    costs = np.asarray(costs, np.float64)
    if len(widths) != len(costs):
        raise ValueError(f"{len(widths)} widths need as many rows of costs, got {len(costs)}")
    figure = canvas(12.0, 4.8, theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2, width_ratios=[1.6, 1]))
    generator, edges = np.random.default_rng(0), np.linspace(costs.min(), costs.max(), 60)
    tallest = max(np.histogram(row, edges)[0].max() for row in costs)
    for i, row in enumerate(costs):
        color = theme.series[i % len(theme.series)]
        left.plot(i - generator.uniform(0.04, 0.36, len(row)), row, "o", color=color, markersize=2.5, alpha=0.5)
        counts = np.histogram(row, edges)[0]
        left.stairs(
            i + 0.42 * counts / tallest, edges, baseline=i, orientation="horizontal", fill=True, color=color, alpha=0.7
        )
    left.plot(
        range(len(widths)), costs.mean(1), color=theme.ink, linewidth=1.5, marker="_", markersize=14, label="mean"
    )
    left.set_xticks(range(len(widths)), [str(width) for width in widths])
    grid(left, theme, "hidden neurons", cost)
    key(left, theme)
    spreads = costs.std(1, ddof=1)
    again = [generator.choice(row, (500, len(row))).std(1, ddof=1) for row in costs]
    low, high = np.quantile(again, [0.025, 0.975], axis=1)
    right.fill_between(range(len(widths)), low, high, color=theme.series[0], alpha=0.25, linewidth=0)
    right.plot(range(len(widths)), spreads, "o-", color=theme.series[0])
    right.set_yscale("log")
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    right.yaxis.set_minor_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    right.set_xticks(range(len(widths)), [str(width) for width in widths])
    grid(right, theme, "hidden neurons", f"spread of the {cost}")
    headline(figure, title, theme)
    return figure


def agreement(
    names: Sequence[str], first: Any, second: Any, *, x: str, y: str, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw two numbers of every network against each other, with one panel for each group.

    Args:
        names: The names of the groups.
        first: The numbers on the x-axis, (group, network).
        second: The numbers on the y-axis, (group, network).
        x: The name of the first number.
        y: The name of the second number.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Every dot is a network, and the correlation stands above each panel.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    figure = canvas(2.7 * len(names) + 0.4, 3.4, theme)
    panels = np.atleast_1d(figure.subplots(1, len(names)))
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        quiet(axes, theme)
        axes.plot(first[i], second[i], "o", color=theme.series[i % len(theme.series)], markersize=2.5, alpha=0.6)
        found = np.corrcoef(first[i], second[i])[0, 1]
        axes.set_title(f"{name}: correlation {found:.2f}", color=theme.ink, fontsize=10)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=4)
        grid(axes, theme, x, y if i == 0 else "")
    headline(figure, title, theme)
    return figure


def walls(
    names: Sequence[str],
    straight: Any,
    ordered: Any,
    *,
    cost: str = "training cost",
    title: str = "",
    theme: Theme = DARK,
) -> Figure:
    """Draw the cost on the straight lines between pairs of solutions, without and with aligned neurons.

    Args:
        names: The names of the groups of pairs.
        straight: The cost between two networks as they are, (group, pair, point).
        ordered: The cost after the neurons are aligned, (group, pair, point).
        cost: The name of the costs, with their unit.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one panel for each group. Thin lines are pairs, and thick lines are means. Orange lines are for the
        networks as they are, and blue lines for aligned neurons.
    """
    straight, ordered = np.asarray(straight, np.float64), np.asarray(ordered, np.float64)
    figure = canvas(2.7 * len(names) + 0.4, 3.6, theme)
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    places = np.linspace(0, 1, straight.shape[-1])
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        quiet(axes, theme)
        for lines, color, told in (
            (straight[i], theme.negative, "as they are"),
            (ordered[i], theme.positive, "aligned"),
        ):
            axes.plot(places, lines.T, color=color, linewidth=0.6, alpha=0.3)
            axes.plot(places, lines.mean(0), color=color, linewidth=2.5, label=told)
        axes.set_title(name, color=theme.ink, fontsize=10)
        axes.set_xticks([0, 0.5, 1], ["one", "between", "other"])
        axes.xaxis.set_minor_locator(NullLocator())
        grid(axes, theme, "", cost if i == 0 else "")
    key(panels[-1], theme)  # the later panels have the lower walls
    headline(figure, title, theme)
    return figure
