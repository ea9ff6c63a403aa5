"""Pictures of learning and memorizing: errors by step, capacity, and the importance of single examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxnet.core.stats import spread
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet

FEW = 5
"""With fewer networks, Student's interval is too wide for a picture. So each network is drawn, but no interval."""


def _band(
    axes: Axes, places: Any, values: Any, color: str, *, label: str, marker: str = "", dashed: bool = False
) -> None:
    """Draw the mean over networks as a line, with its 95 % interval as a band. If there are few networks, draw thin lines."""
    places, values = np.asarray(places, np.float64), np.asarray(values, np.float64)
    style = "--" if dashed else "-"
    axes.plot(places, values.mean(1), style, color=color, linewidth=2, marker=marker, markersize=5, label=label)
    if values.shape[1] >= FEW:
        found = spread(values.T)
        low, high = (np.clip(end, 0, 100) for end in (found.low, found.high))
        axes.fill_between(places, low, high, color=color, alpha=0.25, linewidth=0)
    elif values.shape[1] > 1:
        axes.plot(places, values, color=color, linewidth=0.8, alpha=0.6)


def falls(
    curves: Mapping[str, tuple[Any, Any]], *, chance: float | int = 90, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw the error on the training images by step, for several kinds of labels or images.

    Args:
        curves: By name, a pair of arrays: the steps, (look,), and the percentage of labels that each network had right,
            (look, network).
        chance: The error of guessing in percent. It is drawn as a dashed line.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. A line is the mean error by step, and a band is its 95 % interval. If there are fewer than five networks,
        each network is a thin line, and there is no band. The scale of steps is linear on the left. On the right the scale is
        logarithmic, without step 0. Every second curve from the third on is dashed, so the curve under it is visible.

    Raises:
        ValueError: If there are no curves.
    """
    if not curves:
        raise ValueError("there are no curves to draw; pass at least one curve")
    figure = canvas(12.0, 5.0, theme)
    plain, stretched = (quiet(axes, theme) for axes in figure.subplots(1, 2, sharey=True))
    for i, (name, (steps, right)) in enumerate(curves.items()):
        steps, right = np.asarray(steps, np.float64), np.asarray(right, np.float64)
        seen = np.isfinite(steps)
        steps, wrong = steps[seen], 100 - right[seen]
        color = theme.series[i % len(theme.series)]
        for axes, first in ((plain, 0), (stretched, 1)):
            _band(axes, steps[first:], wrong[first:], color, label=name, dashed=i > 0 and i % 2 == 0)
            axes.plot(steps[-1], wrong[-1].mean(), "o", color=color, markersize=6)
    for axes in (plain, stretched):
        axes.axhline(chance, color=theme.ink, linewidth=1.2, linestyle="--", alpha=0.7)
        axes.set_ylim(-2, 102)
    stretched.set_xscale("log")
    plain.annotate(
        "guessing", (1, chance), xycoords=("axes fraction", "data"), xytext=(-4, 4), textcoords="offset points",
        color=theme.ink, fontsize=9, ha="right",
    )  # fmt: skip
    grid(plain, theme, "steps", "training labels still wrong (%)")
    grid(stretched, theme, "steps, logarithmic scale", "")
    key(plain, theme, loc="center right")
    headline(figure, title, theme)
    return figure


def capacity(
    counts: Any, fitted: Any, names: Sequence[str], *, mark: float | int = 99, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw the percentage of shuffled labels that networks of several sizes fit.

    Args:
        counts: The numbers of images, (count,).
        fitted: The percentage of labels that are fitted, (shape, count, network).
        names: The names of the networks' shapes (their layers).
        mark: The percentage that counts as fitted. It is drawn as a dashed line.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. A line is the mean share of fitted labels for each number of images, and a band is its 95 %
        interval. If there are fewer than five networks, each network is a thin line, and there is no band. The dotted
        line at the bottom is guessing.

    Raises:
        ValueError: If there is not one name and one row for each shape.
    """
    counts, fitted = np.asarray(counts, np.float64), np.asarray(fitted, np.float64)
    if fitted.shape[:2] != (len(names), len(counts)):
        raise ValueError(
            f"{len(names)} names and {len(counts)} counts need values of shape ({len(names)}, {len(counts)}, networks), "
            f"got {fitted.shape}"
        )
    figure = canvas(10.0, 5.4, theme)
    axes = quiet(figure.subplots(), theme)
    for i, (name, values) in enumerate(zip(names, fitted, strict=True)):
        _band(axes, counts, values, theme.series[i % len(theme.series)], label=name, marker="o")
    axes.axhline(mark, color=theme.ink, linewidth=1.2, linestyle="--", alpha=0.7)
    axes.axhline(10, color=theme.ink, linewidth=1.2, linestyle=":", alpha=0.7)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,.0f}" for count in counts], fontsize=9)
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    grid(axes, theme, "images with shuffled labels", "labels fitted (%)")
    # The curves fall, so the upper right corner is free.
    key(axes, theme, loc="upper right", bbox_to_anchor=(1, 0.93))
    headline(figure, title, theme)
    return figure


def corruption(shares: Any, train: Any, test: Any, *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the fitted training labels and the correctly read test images against the share of shuffled labels.

    Args:
        shares: The percentages of shuffled labels, (share,).
        train: The percentage of training labels that are fitted, (share, network).
        test: The percentage of test images that are read correctly, (share, network).
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Two lines are the means, and bands are their 95 % intervals. If there are fewer than five networks, each
        network is a thin line, and there are no bands. The dashed line is the share of true labels. A network that learns only
        the true labels would fit this share.
    """
    figure = canvas(9.0, 5.0, theme)
    axes = quiet(figure.subplots(), theme)
    shares = np.asarray(shares, np.float64)
    _band(axes, shares, train, theme.series[1], label="training labels fitted: remembered", marker="o")
    _band(axes, shares, test, theme.series[0], label="test images read: known", marker="o")
    axes.plot(shares, 100 - 0.9 * shares, "--", color=theme.ink, alpha=0.7, linewidth=1.2, label="labels that are true")
    axes.set_ylim(0, 104)
    grid(axes, theme, "training labels shuffled (%)", "%")
    key(axes, theme, loc="lower left")
    headline(figure, title, theme)
    return figure


def difficulty(
    groups: Mapping[str, Any], networks: int, *, chosen: int = 0, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw how often each example is learned, sorted from hard to easy, in comparison with coin flips.

    Args:
        groups: By the name of the group, the share of networks that learned each example in 0..1, (example,).
        networks: The number of networks.
        chosen: The seed of the coin flips.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one line for each group. The dashed line of the group's color is a binomial sample with the mean of the
        group. It is the expected line if all examples are equally hard.
    """
    figure = canvas(10.0, 5.4, theme)
    axes = quiet(figure.subplots(), theme)
    generator = np.random.default_rng(chosen)
    for i, (name, learned) in enumerate(groups.items()):
        learned, color = np.sort(np.asarray(learned, np.float64)), theme.series[i % len(theme.series)]
        flips = np.sort(generator.binomial(networks, learned.mean(), len(learned))) / networks
        axes.plot(100 * learned, color=color, linewidth=2.2, label=name)
        axes.plot(100 * flips, "--", color=color, linewidth=1.2, alpha=0.8, label="equally hard examples")
    grid(axes, theme, "examples, hardest first", f"share of {networks} networks that learned the example (%)")
    axes.set_ylim(0, 102)
    key(axes, theme, loc="upper left")
    headline(figure, title, theme)
    return figure


def inequality(groups: Mapping[str, Any], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the inequality of the examples' loss-sensitivities, epoch by epoch.

    Args:
        groups: By the name of the group, its Gini coefficients, (network, epoch).
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The mean is a line, its 95 % interval is a band, and every network is a thin line.
    """
    figure = canvas(9.0, 5.0, theme)
    axes = quiet(figure.subplots(), theme)
    for i, (name, values) in enumerate(groups.items()):
        values, color = np.asarray(values, np.float64), theme.series[i % len(theme.series)]
        epochs = 1 + np.arange(values.shape[1])
        axes.plot(epochs, values.T, color=color, linewidth=0.6, alpha=0.25)
        _band(axes, epochs, values.T, color, label=name, marker="o")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes, theme, "epochs of training that the gradient goes back through", "Gini of |dL/dx| over examples")
    key(axes, theme, loc="upper left")
    headline(figure, title, theme)
    return figure
