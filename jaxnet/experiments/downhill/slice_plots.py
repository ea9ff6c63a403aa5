"""Pictures of a real cost: along its gradient, on straight lines and on planes, and with steeper activations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet
from jaxnet.plot.surface import contours, relief


def down_the_gradient(
    rates: Any, costs: Any, norms: Any, names: Sequence[str], *, steps: Sequence[float | int] = (), title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the cost along minus its gradient: the cost after one step, for every learning rate.

    Args:
        rates: The learning rates, (place, point). Negative rates go uphill.
        costs: The cost after each step, (place, point).
        norms: The gradient's length at each place, (place,).
        names: The names of the places.
        steps: The learning rates to mark.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one panel for each place, with the cost after one step for every learning rate. The ring is the start
        of the step. The dashed line is the prediction of the gradient. Dots are steps with the marked rates, and the cross is
        the lowest point.
    """
    figure = canvas(5.9 * len(names), 4.6, theme)
    for i, (axes, name) in enumerate(zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True)):
        quiet(axes, theme)
        own, cost = np.asarray(rates[i], np.float64), np.asarray(costs[i], np.float64)
        here = float(np.interp(0, own, cost))
        axes.plot(own, cost, color=theme.positive, linewidth=2.5)
        axes.plot(own, here - own * float(norms[i]) ** 2, color=theme.faint, linestyle="--", linewidth=1.5)
        axes.plot([0], [here], "o", markersize=11, markerfacecolor="none", markeredgecolor=theme.ink, markeredgewidth=2)
        best = int(cost.argmin())
        axes.plot([own[best]], [cost[best]], "X", color=theme.series[2], markersize=11)
        axes.annotate(
            f"best step: {own[best]:.3g}", (own[best], cost[best]), xytext=(0, -16), textcoords="offset points", ha="center",
            va="top", color=theme.series[2], fontsize=10,
        )  # fmt: skip
        for step in [step for step in steps if own[0] <= step <= own[-1]]:
            value = float(np.interp(step, own, cost))
            axes.plot([step], [value], "o", color=theme.negative, markersize=7)
            axes.annotate(f"{step:g}", (step, value), xytext=(7, 6), textcoords="offset points", color=theme.negative)
        room = 0.22 * np.ptp(cost)
        axes.set_ylim(cost.min() - room, cost.max() + 0.4 * room)
        axes.set_title(f"{name}: gradient of length {float(norms[i]):.3g}", color=theme.ink, fontsize=11)
        grid(axes, theme, "learning rate of one step down the gradient", "cost after the step" if i == 0 else "")
    headline(figure, title, theme)
    return figure


def plane_of_a_path(
    x: Any, y: Any, z: Any, places: Any, costs: Any, explained: Any, *, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw the cost on the plane of a path's two main directions, with the path.

    Args:
        x: Distances from the path's end along the first direction, in units of the parameters, (column,).
        y: Distances from the path's end along the second direction, (row,).
        z: The cost on the plane, (row, column).
        places: The path projected onto the plane, (place, 2).
        costs: The cost at the path's true places, (place,).
        explained: The fractions of the path's variance along its directions.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The surface is on the left, and its map is on the right (low is dark). The path goes from the dot to the
        cross. The true path is not on the plane. On the left, the dashed line is at the true cost, and the solid line is at
        the plane's cost.
    """
    places = np.asarray(places)
    figure = canvas(12.4, 5.0, theme)
    first, second = (f"direction {i + 1} ({100 * explained[i]:.0f} %)" for i in range(2))
    left = relief(figure.add_subplot(1, 2, 1, projection="3d"), x, y, z, theme, names=(first, second, ""))
    left.set_title("height: the cost", color=theme.ink, fontsize=10)
    nearest = [np.abs(np.asarray(axis)[:, None] - places[None, :, i]).argmin(0) for i, axis in enumerate((x, y))]
    left.plot(*places.T, costs, color=theme.ink, linewidth=1.2, linestyle="--", zorder=5)
    left.plot(
        *places.T,
        np.asarray(z)[nearest[1], nearest[0]],
        ".-",
        color=theme.negative,
        linewidth=2,
        markersize=4,
        zorder=6,
    )
    left.view_init(32, -50)
    right = quiet(figure.add_subplot(1, 2, 2), theme)
    drawn = contours(right, x, y, z, theme, levels=np.geomspace(np.min(z), np.max(z), 19))
    right.plot(*places.T, ".-", color=theme.negative, linewidth=1.8, markersize=5)
    right.plot(*places[0], "o", color=theme.ink, markersize=9)
    right.plot(*places[-1], "X", color=theme.ink, markersize=11)
    right.set_aspect("equal")
    bar = figure.colorbar(drawn, ax=right, shrink=0.8)
    bar.set_label("cost", color=theme.ink)
    bar.ax.tick_params(colors=theme.ink, labelsize=8)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
    grid(right, theme, first, second)
    right.grid(False)
    headline(figure, title, theme)
    return figure


def random_planes(axis: Any, z: Any, names: Sequence[str], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the cost on planes of random directions around several places, all with one scale of height.

    Args:
        axis: The distances in both directions, (point,). At distance 1, the change of a neuron's weights is as long
            as these weights.
        z: The cost, (place, y, x).
        names: The names of the places.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one surface for each place. A dot in the middle marks the place.
    """
    z = np.asarray(z, np.float64)
    figure = canvas(6.0 * len(names), 5.0, theme)
    middle = z.shape[-1] // 2
    for i, name in enumerate(names):
        axes: Any = figure.add_subplot(1, len(names), i + 1, projection="3d")
        relief(axes, axis, axis, z[i], theme, names=("random direction 1", "random direction 2", "cost"))
        axes.contour(axis, axis, z[i], levels=14, zdir="z", offset=0, colors=theme.positive, linewidths=0.7, alpha=0.8)
        axes.plot([0], [0], [z[i, middle, middle]], "o", color=theme.negative, markersize=9, zorder=6)
        axes.set_zlim(0, float(z.max()))
        for ticks in (axes.set_xticks, axes.set_yticks):
            ticks([float(np.min(axis)), 0, float(np.max(axis))])
        axes.set_title(name, color=theme.ink, fontsize=12)
        axes.view_init(28, -58)
        axes.set_box_aspect((1, 1, 0.72), zoom=0.95)
    headline(figure, title, theme)
    return figure


def straight_lines(fractions: Any, costs: Any, *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the cost on the straight lines from random starts through their solutions.

    Args:
        fractions: The places on the line, (place,): 0 is the start and 1 is the solution.
        costs: The cost at each place, (network, place).
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one line for each network. Between start and solution a line is blue where the cost falls and orange where
        the cost climbs. The axis of the cost is logarithmic.
    """
    fractions, costs = np.asarray(fractions, np.float64), np.asarray(costs, np.float64)
    figure = canvas(9.5, 5.0, theme)
    axes = quiet(figure.subplots(), theme)
    inside = (fractions >= -1e-9) & (fractions <= 1 + 1e-9)
    for line in costs:
        axes.plot(fractions, line, color=theme.faint, linewidth=1.2)
        axes.plot(fractions[inside], line[inside], color=theme.positive, linewidth=1.5, alpha=0.7)
        climbs = np.flatnonzero(inside[1:] & inside[:-1] & (np.diff(line) > 0))
        for i in climbs:
            axes.plot(fractions[i : i + 2], line[i : i + 2], color=theme.negative, linewidth=2.5)
    for place, name in ((0, "random start"), (1, "solution")):
        axes.axvline(place, color=theme.ink, linewidth=1, linestyle="--", alpha=0.6)
        axes.text(place, 1.01, name, color=theme.ink, ha="center", va="bottom", transform=axes.get_xaxis_transform())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid(axes, theme, "place on the straight line", "cost (logarithmic)")
    headline(figure, title, theme)
    return figure


def on_or_off(
    sharpness: Any, curves: Any, z: Any, norms: Any, right: Any, rates: Sequence[float | int], *, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw what happens to learning when a smooth activation becomes a step.

    Args:
        sharpness: The values of k in sigmoid(k z), (kind,). Infinity means the step.
        curves: The values of the activations, (kind, point).
        z: The arguments of the activations, (point,).
        norms: The length of each layer's gradient at the start, (kind, network, layer).
        right: The percentage of images that are read correctly after training, (rate, kind, network).
        rates: The learning rates.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the activations; the step is orange. Middle: the gradient of every layer at the start. Every dot is a
        network, and exact zeros are in the bottom row. Right: the percentage of images that are read correctly after training,
        with one line for each learning rate.
    """
    sharpness, norms, right = (np.asarray(part, np.float64) for part in (sharpness, norms, right))
    figure = canvas(14.0, 4.8, theme)
    left, middle, last = (quiet(axes, theme) for axes in figure.subplots(1, 3))
    places, names = np.arange(len(sharpness)), [f"{k:g}" if np.isfinite(k) else "step" for k in sharpness]
    for k, curve in zip(sharpness, np.asarray(curves), strict=True):
        fade = 0.25 + 0.75 * np.log2(min(k, 64.0)) / 6
        step = not np.isfinite(k)
        left.plot(z, curve, color=theme.negative if step else theme.positive, alpha=1 if step else fade, linewidth=2)
    alive = norms[norms > 0]
    floor = float(alive.min()) / 10 if alive.size else 0.1
    for layer in range(norms.shape[-1]):
        color = theme.series[(0, 3, 2, 4)[layer % 4]]
        shown = np.where(norms[..., layer] > 0, norms[..., layer], floor)
        middle.plot(places, shown, ".", color=color, markersize=7, alpha=0.7)
        living = (norms[..., layer] > 0).all(1)
        means = np.exp(np.log(shown).mean(1))
        middle.plot(places[living], means[living], color=color, linewidth=2, label=f"layer {layer + 1}")
    middle.axhline(floor, color=theme.faint, linewidth=1, linestyle="--")
    middle.text(0, floor * 1.15, "exactly zero", color=theme.ink, fontsize=9, va="bottom")
    middle.set_yscale("log")
    for i, rate in enumerate(rates):
        color = theme.series[(0, 2, 3)[i % 3]]
        for network in right[i].T:
            last.plot(places, network, ".", color=color, markersize=7, alpha=0.6)
        last.plot(places, right[i].mean(1), color=color, linewidth=2, label=f"learning rate {rate:g}")
    for axes in (middle, last):
        axes.set_xticks(places, names)
        axes.axvline(len(places) - 1.5, color=theme.faint, linewidth=1)
    last.set_ylim(0, 100)
    grid(left, theme, "weighted sum z", "activation sigmoid(k z)")
    grid(middle, theme, "steepness k", "length of the gradient at the start")
    grid(last, theme, "steepness k", "% of the test images read after training")
    key(middle, theme, loc="best")
    key(last, theme, loc="best")
    headline(figure, title, theme)
    return figure
