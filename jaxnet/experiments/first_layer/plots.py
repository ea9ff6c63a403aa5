"""Pictures of maps, of the edges that fit best, and of the comparison with chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnet.plot.dot_plots import dots
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet, sheet, signed, signed_power


def map_rows(
    rows: Mapping[str, Any], *, masks: Mapping[str, Any] | None = None, most: int = 8, title: str = "", theme: Theme = DARK
) -> Figure:  # fmt: skip
    """Draw rows of maps. Each row has its own scale, which depends on its largest weight.

    Args:
        rows: The maps of each row by its name, (neuron, height, width).
        masks: The pixels that count, by the name of a row. All other pixels are gray.
        most: The largest number of neurons in a row. A row shows the first neurons.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one image for each neuron. Blue is positive, orange is negative, and dark is zero.

    Raises:
        ValueError: If there are no rows.
    """
    if not rows:
        raise ValueError("there are no maps to draw; pass at least one row")
    figure, axes = sheet(1.2 * (most + 2), 1.2 * (len(rows) + 0.05) + 0.45, theme)
    for i, (name, maps) in enumerate(rows.items()):
        maps = np.asarray(maps, np.float64)[:most]
        norm = signed_power(float(np.abs(maps).max()) or 1.0, 0.75)
        for j, values in enumerate(maps):
            place = (j, j + 0.94, i + 0.94, i)
            axes.imshow(values, cmap=signed(theme), norm=norm, extent=place, interpolation="nearest")
            if masks and name in masks:
                hidden = np.where(masks[name], np.nan, 1.0)
                axes.imshow(hidden, cmap="gray", vmin=0, vmax=3, extent=place, interpolation="nearest")
        axes.text(-0.12, i + 0.47, name, color=theme.ink, fontsize=10.5, ha="right", va="center")
    axes.set(xlim=(-2.0, most), ylim=(len(rows), -0.05))
    headline(figure, title, theme)
    return figure


def against_chance(
    names: Sequence[str], values: Mapping[str, Sequence[Any]], bands: Mapping[str, Mapping[str, Sequence[Any]]], *,
    title: str = "", theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw numbers of several groups of networks beside their values by chance, with one panel for each number.

    Args:
        names: The names of the groups.
        values: One array (network,) for each group, by the name of the number.
        bands: One array (network, 3) for each group, by the name of the number and by the kind of chance. The array has
            the 5th, 50th and 95th percentile.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one dot for each network, with mean and interval. The bars below the dots go from the 5th to the 95th
        percentile of chance, averaged over the networks of the group.

    Raises:
        ValueError: If a number does not have one array for each group.
    """
    for part in (*values.values(), *(groups for kinds in bands.values() for groups in kinds.values())):
        if len(part) != len(names):
            raise ValueError(f"{len(names)} groups need as many arrays, got {len(part)}")
    figure = canvas(13.0, 1.5 + 0.78 * len(names), theme)
    panels = np.atleast_1d(figure.subplots(1, len(values), sharey=True))
    colors = (theme.series[5], theme.series[1])
    for axes, (unit, groups) in zip(panels, values.items(), strict=True):
        quiet(axes, theme)
        for i, numbers in enumerate(groups):
            dots(axes, numbers, -i, theme.series[0], theme, height=0.28)
        for j, (name, chance) in enumerate(bands.get(unit, {}).items()):
            for i, found in enumerate(chance):
                low, middle, high = np.asarray(found, np.float64).mean(0)
                below = -i - 0.28 - 0.13 * j
                axes.plot(
                    [low, high], [below, below], color=colors[j % 2], linewidth=5, solid_capstyle="butt", alpha=0.85,
                    label=name if i == 0 else None,
                )  # fmt: skip
                axes.plot([middle], [below], "|", color=theme.ground, markersize=5, markeredgewidth=1.2)
        grid(axes, theme, unit, "")
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    panels[0].set_yticks(-np.arange(len(names)), list(names), fontsize=10.5)
    panels[0].set_ylim(0.5 - len(names), 0.5)
    key(panels[0], theme, loc="upper center")
    headline(figure, title, theme)
    return figure


def qualified(
    p_values: Mapping[str, Any], amplitudes: Sequence[float], found: Mapping[str, Any], *, level: float = 0.05,
    title: str = "", theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the false alarms of tests, and the amplitude from which the tests detect planted edges.

    Args:
        p_values: The p-values (network,) of networks without structure, by the name of the test.
        amplitudes: The amplitudes of the planted edges, in standard deviations of the pixels.
        found: The percentage (amplitude,) of networks with a detection, by the name of the test.
        level: The largest p-value that counts as a detection.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The left part has the share of networks up to each p-value. A valid test lies on the dashed diagonal. The
        right part has the share of networks with a detection, for each amplitude. The level and 95 % are dashed lines.
    """
    figure = canvas(12.0, 4.6, theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2))
    colors = dict(zip([*found], theme.series, strict=False))
    for name, values in p_values.items():
        ordered = np.sort(np.asarray(values, np.float64))
        shares = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        left.step(ordered, shares, where="post", color=colors.get(name, theme.ink), label=name, linewidth=2)
    left.plot([0, 1], [0, 100], color=theme.ink, linestyle="--", linewidth=1)
    left.axvline(level, color=theme.faint, linewidth=1.2)
    left.set(xlim=(0, 1), ylim=(0, 100))
    for name, shares in found.items():
        right.plot(amplitudes, shares, "o-", color=colors[name], label=name, linewidth=2)
    for mark in (100 * level, 95):
        right.axhline(mark, color=theme.ink, linewidth=1, linestyle="--", alpha=0.7)
    right.set_xscale("log", base=2)
    right.set_xticks(list(amplitudes), [f"{amplitude:g}" for amplitude in amplitudes])
    right.set_ylim(0, 103)
    grid(left, theme, "p-value of a random network", "% of networks up to this p-value")
    grid(right, theme, "amplitude of the planted edges, standard deviations", "% of networks with a detection")
    key(left, theme, loc="lower right")
    key(right, theme, loc="lower right")
    headline(figure, title, theme)
    return figure
