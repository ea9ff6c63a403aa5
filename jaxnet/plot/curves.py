"""The training curve: the cost and the error of a run at every step."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from jaxnet.plot.style import DARK, Theme, canvas, headline, quiet
from jaxnet.training.records import Columns


def history(
    steps: Columns, evaluations: Columns, *, judged_by: str = "", title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw a run: the cost of every step's batch, and the error at every evaluation.

    Args:
        steps: Columns step and cost. The thin line shows every step. The thick line shows means over equal blocks of steps.
        evaluations: Columns step, cost and accuracy.
        judged_by: The name of the images that the network was evaluated on.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the cost. Right: the percentage of wrong answers. Both scales are logarithmic.
    """
    figure = canvas(11.0, 4.4, theme)
    left, right = (quiet(axes, theme) for axes in figure.subplots(1, 2))
    if len(steps.get("step", ())):
        left.plot(steps["step"], steps["cost"], color=theme.faint, linewidth=0.4, rasterized=True, label="each batch")
        width = max(1, len(steps["cost"]) // 100)
        blocks = len(steps["cost"]) // width * width
        means = steps["cost"][:blocks].astype(np.float64).reshape(-1, width).mean(1)
        left.plot(
            steps["step"][width - 1 : blocks : width],
            means,
            color=theme.negative,
            linewidth=2,
            label=f"mean of {width} steps",
        )
    if len(evaluations.get("step", ())):
        wrong = 100 * (1 - evaluations["accuracy"])
        left.plot(
            evaluations["step"], evaluations["cost"], color=theme.positive, marker="o", markersize=3, label=judged_by
        )
        told = f"{judged_by}: {wrong[-1]:.2f} % in the end"
        right.plot(evaluations["step"], wrong, color=theme.positive, marker="o", markersize=3, label=told)
        right.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink)
    for axes, name in ((left, "cost"), (right, "misread (%)")):
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel=name)
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.grid(color=theme.faint, alpha=0.3)
    if left.get_legend_handles_labels()[0]:
        left.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink)
    headline(figure, title, theme)
    return figure
