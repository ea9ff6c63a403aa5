"""Pictures of descents on functions of one and two numbers: steps, valleys, paths, and the largest stable steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet
from jaxnet.plot.surface import contours, deep_levels, relief


def kinds_of_steps(
    x: Any, values: Any, names: Sequence[str], *, height: Any, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw several ways down one curve, with the length of every step.

    Args:
        x: The places, (way, step).
        values: The values of the function at these places, (way, step).
        names: The names of the ways.
        height: The function `height(x) -> values`, which draws the curve.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Above: the curve with a dot for every place. Later dots are brighter. Below: a bar for the length of every
        step. A bar is blue if the step is shorter than the step before, otherwise orange.
    """
    x, values = np.asarray(x, np.float64), np.asarray(values, np.float64)
    figure = canvas(3.3 * len(names), 5.2, theme)
    panels = figure.subplots(2, len(names), height_ratios=[2, 1], squeeze=False)
    for way, name in enumerate(names):
        above, below = (quiet(axes, theme) for axes in panels[:, way])
        reach = 1.15 * np.abs(x[way]).max()
        across = np.linspace(-reach, reach, 300)
        above.plot(across, height(across), color=theme.faint, linewidth=2)
        above.plot(x[way], values[way], color=theme.series[0], linewidth=0.8, alpha=0.6)
        strength: Any = np.linspace(0.35, 1, x.shape[1])
        above.scatter(x[way], values[way], s=38, color=theme.series[0], alpha=strength, zorder=3, linewidths=0)
        above.scatter(x[way, -1], values[way, -1], s=70, color=theme.series[2], zorder=4)
        above.set_title(name, color=theme.ink, fontsize=11)
        lengths = np.abs(np.diff(x[way]))
        shrinks = np.append(True, np.diff(lengths) < -1e-9)
        below.bar(
            1 + np.arange(len(lengths)), lengths, color=[theme.positive if yes else theme.negative for yes in shrinks]
        )
        grid(above, theme, "x", "height" if way == 0 else "")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid(below, theme, "step", "length of the step" if way == 0 else "")
    headline(figure, title, theme)
    return figure


def valleys_on_a_curve(
    x: Any, y: Any, bottoms: Any, starts: Any, rates: Any, reached: Any, *, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw which valley of a curve is reached from every start, for small to large learning rates.

    Args:
        x: The places of the curve, (place,).
        y: The heights of the curve, (place,).
        bottoms: The places of the bottoms, (valley,). The deepest bottom is first.
        starts: The evenly spaced starts, (start,).
        rates: The learning rates, (rate,). They grow by a constant factor.
        reached: The number of the valley, (rate, start); -1 if the ball did not come to rest.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Above: the curve. Each place has the color of the valley that a ball from this place reaches with the
        smallest rate. Each valley has the percentage of the starts that reach it. Below: one dot for every start and learning
        rate. The dot has the color of the valley, and is dark if the ball never came to rest.
    """
    reached, bottoms = np.asarray(reached), np.asarray(bottoms, np.float64)
    colors = [theme.ground, *(theme.series[i % len(theme.series)] for i in range(len(bottoms)))]
    figure = canvas(11.0, 6.6, theme)
    above, below = (quiet(axes, theme) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[1.25, 1]))
    nearest = np.abs(np.asarray(x)[:, None] - np.asarray(starts)[None]).argmin(1)
    above.scatter(x, y, c=[colors[1 + reached[0, i]] for i in nearest], s=14, linewidths=0)
    for i, bottom in enumerate(bottoms):
        height = float(np.interp(bottom, x, y))
        above.plot([bottom], [height], "o", color=colors[1 + i], markeredgecolor=theme.ink, markersize=11)
        part = 100 * float((reached[0] == i).mean())
        above.annotate(
            f"{part:.0f} %" + ("\nlowest" if i == 0 else ""), (max(bottom, np.min(starts) + 0.3), height), xytext=(0, -12),
            va="top", ha="center",
            textcoords="offset points", color=theme.ink, fontsize=10,
        )  # fmt: skip
    above.set_ylim(np.min(y) - 0.28 * np.ptp(y), np.max(y[np.abs(x) <= np.abs(starts).max()]) + 0.3)
    below.pcolormesh(
        starts, rates, 1 + reached, cmap=ListedColormap(colors), vmin=-0.5, vmax=len(bottoms) + 0.5, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    below.set_yscale("log")
    below.set_yticks(
        ticks := [t for t in (0.02, 0.05, 0.1, 0.2, 0.5) if min(rates) <= t <= max(rates) * 1.01], map(str, ticks)
    )
    below.minorticks_off()
    grid(above, theme, "", "height")
    grid(below, theme, "where the ball starts", "learning rate")
    below.set_xlim(np.min(starts), np.max(starts))
    headline(figure, title, theme)
    return figure


def valleys_on_a_plane(
    axis: Any, z: Any, reached: Any, bottoms: Any, names: Sequence[str], *, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw which valley of a surface is reached from every start, with one panel for each way.

    Args:
        axis: The places on both axes, (place,).
        z: The heights of the surface, (y, x).
        reached: The number of the valley, (way, y, x); -1 if the descent did not come to rest.
        bottoms: The places of the bottoms, (valley, 2).
        names: The names of the ways.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Every point has the color of the valley that a descent from this point reaches. The point is dark if the
        descent reaches no valley. Rings are the bottoms, and fine lines are contours of height.
    """
    reached, bottoms = np.asarray(reached), np.asarray(bottoms, np.float64)
    colors = [theme.ground, *(theme.series[i % len(theme.series)] for i in range(len(bottoms)))]
    figure = canvas(4.3 * len(names), 4.9, theme)
    for i, (axes, name) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True)):
        quiet(axes, theme)
        axes.pcolormesh(
            axis, axis, 1 + reached[i], cmap=ListedColormap(colors), vmin=-0.5, vmax=len(bottoms) + 0.5, rasterized=True,
            shading="nearest",
        )  # fmt: skip
        axes.contour(axis, axis, z, levels=deep_levels(z, 14), colors=theme.ground, linewidths=0.5, alpha=0.6)
        axes.scatter(*bottoms.T, s=90, facecolors=theme.ground, edgecolors=theme.ink, linewidths=2, zorder=3)
        axes.set_aspect("equal")
        axes.set_title(name, color=theme.ink, fontsize=11)
        grid(axes, theme, "x", "y" if i == 0 else "")
        axes.grid(False)
    headline(figure, title, theme)
    return figure


def steepest(x: Any, y: Any, z: Any, path: Any, values: Any, *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw a surface with a descent, and beside it the map of the surface with the gradient.

    Args:
        x: The places on the x-axis, (column,).
        y: The places on the y-axis, (row,).
        z: The heights of the surface, (row, column).
        path: The places of the descent, (step, 2).
        values: The height at every step, (step,).
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The surface is on the left, and its map is on the right (low is dark). Arrows point along minus the
        gradient, and steeper places have longer arrows. Dots are the steps.
    """
    path, across, up = np.asarray(path), *np.gradient(np.asarray(z), x, y, axis=(1, 0))
    figure = canvas(12.0, 5.4, theme)
    left = relief(figure.add_subplot(1, 2, 1, projection="3d"), x, y, z, theme, names=("x", "y", "height"))
    left.plot(*path.T, values, "o-", color=theme.negative, markersize=4, linewidth=1.5, zorder=5)
    left.view_init(48, -62)
    right = quiet(figure.add_subplot(1, 2, 2), theme)
    contours(right, x, y, z, theme)
    thin = slice(3, None, max(1, len(x) // 14))
    right.quiver(
        np.asarray(x)[thin], np.asarray(y)[thin], -across[thin, thin], -up[thin, thin], color=theme.ink, alpha=0.75,
        width=0.0035, angles="xy",
    )  # fmt: skip
    right.plot(*path.T, "o-", color=theme.negative, markersize=5, linewidth=1.8)
    grid(right, theme, "x", "y")
    right.grid(False)
    headline(figure, title, theme)
    return figure


def paths_down(
    surfaces: Sequence[tuple[str, Any, Any, Any, Any, Any]],
    methods: Sequence[str],
    *,
    title: str = "",
    theme: Theme = DARK,
) -> Figure:
    """Draw the paths of several methods on maps of several surfaces.

    Args:
        surfaces: For each surface: name, x (column,), y (row,), z (row, column), paths (method, step, 2), and the bottom (2,).
        methods: The names of the methods.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one map for each surface (low is dark), with one line for each method. The dot is the start, crosses
        are the ends, and the star is the bottom.
    """
    figure = canvas(5.6 * len(surfaces), 5.0, theme)
    for axes, (name, x, y, z, paths, bottom) in zip(
        np.atleast_1d(figure.subplots(1, len(surfaces))), surfaces, strict=True
    ):
        quiet(axes, theme)
        contours(axes, x, y, z, theme, levels=deep_levels(z))
        for method, path, color in zip(methods, paths, (theme.negative, *theme.series[2:]), strict=False):
            axes.plot(*path.T, ".-", color=color, markersize=3, linewidth=1.2, label=method)
            axes.plot(*path[-1], "X", color=color, markersize=9, markeredgecolor=theme.ground)
        axes.plot(*bottom, "*", color=theme.ink, markersize=14, markeredgecolor=theme.ground)
        axes.plot(*paths[0][0], "o", color=theme.ink, markersize=9)
        axes.set_title(name, color=theme.ink, fontsize=11)
        grid(axes, theme, "x", "y")
        axes.grid(False)
    key(figure.axes[0], theme, loc="best")
    headline(figure, title, theme)
    return figure


def steps_by_rate(
    scaled: Any, arrival: Any, names: Sequence[str], methods: Sequence[str], edges: Sequence[float | int], *, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the number of steps to the bottom for every learning rate.

    Args:
        scaled: The learning rate times the largest curvature at the bottom, (rate,).
        arrival: The number of steps, (function, method, rate). It is NaN if the method did not come to rest at the bottom,
            and infinity if the method diverged.
        names: The names of the functions.
        methods: The names of the methods.
        edges: The largest stable rate of each method on a quadratic; infinity if every rate is stable.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one panel for each function, with one line for each method. Both axes are logarithmic. Dashed
        lines are the largest stable rates. In the rows at the top, a dot is a rate whose steps do not reach the bottom,
        and a cross is a rate whose steps diverge.
    """
    arrival = np.asarray(arrival, np.float64)
    figure = canvas(4.4 * len(names), 4.8, theme)
    colors = (theme.negative, *theme.series[2:])
    for i, (axes, name) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True)):
        quiet(axes, theme)
        top = 2.2 * float(np.max(arrival[i][np.isfinite(arrival[i])], initial=1.0))
        for j, (method, edge) in enumerate(zip(methods, edges, strict=True)):
            steps, row = arrival[i, j], top * 1.7**j
            axes.plot(scaled, np.where(np.isfinite(steps), steps, np.nan), color=colors[j], linewidth=2, label=method)
            for lost, mark in ((np.isnan(steps), "."), (np.isinf(steps), "x")):
                axes.plot(scaled[lost], np.full(lost.sum(), row), mark, color=colors[j], markersize=4)
            if np.isfinite(edge):
                axes.axvline(edge, color=colors[j], linestyle="--", linewidth=1.2, alpha=0.8)
        low = 0.5 * float(np.min(arrival[i][np.isfinite(arrival[i])], initial=top))
        axes.set(xscale="log", yscale="log", ylim=(low, top * 1.7 ** len(methods)))
        axes.set_xticks([0.02, 0.1, 0.5, 2, 3.8], ["0.02", "0.1", "0.5", "2", "3.8"])
        axes.minorticks_off()
        axes.set_title(name, color=theme.ink, fontsize=11)
        grid(axes, theme, "learning rate x curvature", "steps to the bottom" if i == 0 else "")
    key(figure.axes[0], theme, loc="lower left")
    headline(figure, title, theme)
    return figure
