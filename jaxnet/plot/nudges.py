"""Pictures that test the gradient: predicted against measured falls of the cost, and the budget curve with measured steps."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from jaxnet.bang import Lorenz, PartialStep, Worth
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet


def predicted_measured(worth: Worth, *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw every nudge as a dot: its measured fall of the cost against the fall that the gradient predicts.

    Args:
        worth: From `bang.worth`.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one panel for each nudge size. Both axes are logarithmic, in units of the cost. On the line the prediction
        is exact. For blue dots the prediction is off by at most 10 %, and for orange dots by more. Crosses at the bottom are
        nudges that raised the cost although the gradient predicted a fall. Parameters with zero gradient are not drawn. The
        label of the axis tells how many they are.

    Raises:
        ValueError: If all gradients are zero.
    """
    alive = worth.gradient != 0
    if not alive.any():
        raise ValueError("all gradients are zero, so there is no prediction to draw; choose parameters with a gradient")
    columns = len(worth.sizes)
    figure = canvas(3.6 * columns + 0.4, 4.6, theme)
    panels = np.atleast_1d(figure.subplots(1, columns))
    for axes, size, predicted, measured in zip(panels, worth.sizes, worth.predicted, worth.measured, strict=True):
        quiet(axes, theme)
        predicted, measured = predicted[alive], measured[alive]
        off = np.abs(measured - predicted) > 0.1 * predicted
        wrong = measured <= 0
        floor = measured[~wrong].min(initial=predicted.min())
        for chosen, color, name in (
            (off & ~wrong, theme.negative, "off by more than 10 %"),
            (~off, theme.positive, "true"),
        ):
            axes.scatter(
                predicted[chosen], measured[chosen], s=3, color=color, linewidths=0, rasterized=True, label=name
            )
        axes.scatter(
            predicted[wrong], np.full(wrong.sum(), floor), s=14, marker="x", color=theme.ink, linewidths=0.8,
            label="the cost rose", rasterized=True,
        )  # fmt: skip
        ends = [predicted.min(), predicted.max()]
        axes.plot(ends, ends, color=theme.ink, linewidth=0.8)
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.set_title(
            f"nudge of {size:g}\npredictions off: {100 * off.mean():.1f} %, wrong signs: {wrong.sum()}",
            color=theme.ink,
            fontsize=10,
        )
        grid(axes, theme, "predicted fall of the cost", "")
    panels[0].set_ylabel(
        f"measured fall of the cost\n({(~alive).sum():,} parameters without gradient left out)", color=theme.ink
    )
    key(panels[0], theme, loc="upper left", markerscale=2)
    headline(figure, title, theme)
    return figure


def partial_step(curve: Lorenz, spent: PartialStep | None = None, *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the budget curve: the part of a step's fall of the cost that remains if only the best parameters move.

    Args:
        curve: From `bang.lorenz`.
        spent: The measured steps, from `bang.take_partial_step`. If it is None, only the curve is drawn.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The horizontal axis is the percentage of parameters that move, the best parameters first, on a logarithmic
        scale. The vertical axis is the percentage of the fall that the gradient predicts for the whole step. The faint curve
        is the case that all parameters lower the cost equally. Rings are measured steps in which only the best parameters
        move.
    """
    figure = canvas(8.2, 4.8, theme)
    axes = quiet(figure.add_subplot(), theme)
    count = len(curve.kept) - 1
    axes.plot(
        100 * curve.kept[1:],
        100 * curve.bought[1:],
        color=theme.positive,
        linewidth=2.5,
        label="predicted for the best parameters",
    )
    axes.plot(
        100 * curve.kept[1:],
        100 * curve.kept[1:],
        color=theme.faint,
        linewidth=1.5,
        label="if all parameters lowered the cost equally",
    )
    if spent is not None:
        bought = 100 * spent.measured / (spent.predicted[-1] / np.interp(spent.fractions[-1], curve.kept, curve.bought))
        axes.scatter(
            100 * spent.fractions, bought, s=70, facecolors="none", edgecolors=theme.negative, linewidths=2, zorder=3,
            label="measured: a step with only the best parameters",
        )  # fmt: skip
        for fraction, kept, part in zip(spent.fractions, spent.kept, bought, strict=True):
            axes.annotate(
                f"{part:.1f} %\nby {kept:,}", (100 * fraction, part), color=theme.ink, fontsize=9, va="top",
                ha="left" if part < 90 else "center", xytext=(6 if part < 90 else 0, -9), textcoords="offset points",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(100 / count, 140)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid(
        axes,
        theme,
        f"parameters that move (% of {count:,}, the best first)",
        "fall of the cost (% of the fall that the\ngradient predicts for the whole step)",
    )
    key(axes, theme, loc="upper left")
    axes.set_ylim(0, max(108.0, 104 * float(curve.bought.max())))
    headline(figure, title or f"Gini {curve.gini:.2f}", theme)
    return figure


def two_readings(
    gradient: Any = (3.0, 1.0), *, names: tuple[str, str] = ("x", "y"), title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw the two readings of the gradient of two variables: as a direction, and as the importance of each variable.

    Args:
        gradient: The two components of the gradient. In the film they are 3 and 1.
        names: The names of the variables.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: lines of equal cost, the gradient as an arrow in the steepest uphill direction, and the two
        components of the gradient. Right: a bar for the magnitude of each component, with
        the component's share of a small step's fall of the cost.

    Source: the film's "More on the gradient vector".
    """
    g = np.asarray(gradient, np.float64).ravel()
    if g.shape != (2,) or not np.any(g):
        raise ValueError(
            f"the gradient must have two components, and one of them must differ from zero; got {gradient!r}"
        )
    figure = canvas(10.0, 4.8, theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2, width_ratios=(1.1, 1)))
    reach = 1.35 * np.abs(g).max()
    across, up = np.meshgrid(np.linspace(-0.4 * reach, reach, 60), np.linspace(-0.7 * reach, 0.7 * reach, 60))
    left.contour(
        across, up, g[0] * across + g[1] * up, levels=14, colors=theme.faint, linewidths=0.8, linestyles="solid"
    )
    dress = {"arrowstyle": "-|>", "mutation_scale": 18, "shrinkA": 0, "shrinkB": 0}
    left.annotate("", (g[0], g[1]), (0, 0), arrowprops={**dress, "color": theme.ink, "linewidth": 2.5})
    left.annotate("", (g[0], 0), (0, 0), arrowprops={**dress, "color": theme.series[0], "linewidth": 2})
    left.annotate("", (g[0], g[1]), (g[0], 0), arrowprops={**dress, "color": theme.series[1], "linewidth": 2})
    left.text(
        g[0] / 2,
        -0.04 * reach * np.sign(g[1] or 1),
        f"{g[0]:g}",
        color=theme.series[0],
        ha="center",
        va="top",
        fontsize=13,
    )
    left.text(g[0] + 0.04 * reach, g[1] / 2, f"{g[1]:g}", color=theme.series[1], va="center", fontsize=13)
    left.set_aspect("equal")
    left.set_title("as a direction: the cost falls fastest against the arrow", color=theme.ink, fontsize=11)
    left.set(xlabel=names[0], ylabel=names[1])
    shares = 100 * g**2 / (g @ g)
    bars = right.bar(names, np.abs(g), 0.6, color=theme.series[:2])
    right.bar_label(
        bars, [f"{abs(part):g}\n{share:.0f} % of the fall in a small step" for part, share in zip(g, shares, strict=True)],
        color=theme.ink, padding=4,
    )  # fmt: skip
    right.set_ylim(0, 1.3 * np.abs(g).max())
    right.set_ylabel("change of the cost per unit nudge", color=theme.ink)
    ratio = np.abs(g).max() / np.abs(g).min() if np.all(g) else np.inf
    right.set_title(f"as importance: the nudges differ by a factor of {ratio:.3g}", color=theme.ink, fontsize=11)
    headline(figure, title, theme)
    return figure
