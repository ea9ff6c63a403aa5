"""Two bar charts of gradients: one compares the layers, and one shows the largest components in order."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxnet.bang import Nudge
from jaxnet.bang.selection import in_words
from jaxnet.plot.style import DARK, Theme, canvas, headline, quiet


def by_layer(columns: Mapping[str, Mapping[str, float]], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw bars of one or more quantities for every array of parameters.

    Args:
        columns: For each quantity: the value of every array, as `bang.by_leaf` returns it. The legend shows the names
            of the quantities, and the rows show the names of the arrays. The values are fractions. The figure shows
            percentages.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one group of bars for each array, with one bar for each quantity.
    """
    names = list(next(iter(columns.values())))
    figure = canvas(9.0, 1.2 + 0.36 * len(names) * max(1, len(columns)), theme)
    axes = quiet(figure.add_subplot(), theme)
    colors = (theme.positive, theme.negative, theme.ink)
    height = 0.8 / len(columns)
    for i, (quantity, values) in enumerate(columns.items()):
        shares = np.array([100 * values[name] for name in names])
        bars = axes.barh(np.arange(len(names)) + i * height, shares, height * 0.9, color=colors[i % 3], label=quantity)
        axes.bar_label(bars, fmt="%.1f %%", padding=4, color=theme.ink, fontsize=9)
    axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [in_words(name) for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("part of the predicted decrease (%)", color=theme.ink)
    axes.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink)
    headline(figure, title, theme)
    return figure


def ranking(nudges: Sequence[Nudge], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the largest components of the gradient in order, each with the direction of the nudge that lowers the cost.

    Args:
        nudges: From `bang.top`.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one bar for each component, with the length |dC/dp|. Blue: nudge the parameter up. Orange: nudge it
        down. The number at the end of a bar is its ratio to the next bar.
    """
    figure = canvas(11.0, 1.3 + 0.32 * len(nudges), theme)
    axes = quiet(figure.add_subplot(), theme)
    sizes = [abs(nudge.gradient) for nudge in nudges]
    bars = axes.barh(range(len(nudges)), sizes, 0.7, color=[theme.positive if n.up else theme.negative for n in nudges])
    ratios = [f"×{nudge.ratio:.3g}" if nudge.ratio < float("inf") else "" for nudge in nudges]
    axes.bar_label(bars, ratios, padding=4, color=theme.ink, fontsize=8)
    axes.set_yticks(range(len(nudges)), [nudge.text.partition(";")[0] for nudge in nudges])
    axes.invert_yaxis()
    axes.set_xlabel("|dC/dp|: change of the cost per unit of the parameter", color=theme.ink)
    headline(figure, title, theme)
    return figure
