"""Pictures that show which parameters and labels change the cost.

They show the loss change allocation, the gradient by label, and the measurements that `--watch-every` makes during a run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from jaxnet.bang import LossChangeAllocation
from jaxnet.bang.selection import in_words
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, largest_classes, legible, lettering, quiet

MOST_NAMED = 20
"""At most this many lines get a name. If there are more labels, only the labels with the largest part get a name."""


def loss_change_allocation(
    ledger: LossChangeAllocation,
    *,
    steps: Any = None,
    classes: Sequence[str] | None = None,
    title: str = "",
    theme: Theme = DARK,
) -> Figure:
    """Draw how much each array contributes to the fall of the cost over a run.

    Args:
        ledger: From `bang.loss_change_allocation`.
        steps: The step at the end of each segment of the run. If it is None, the segments are numbered 1, 2, 3, ...
        classes: The names of the labels. If it is None, the labels are numbered 0, 1, 2, ...
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the thick line is the fall of the cost. Each thin line is the part of this fall that comes from one
        array, in units of the cost. Right: each line is the part of the fall that comes from the examples of one label. Where a
        line falls, the array or the label raises the cost. The scale of the steps is logarithmic. Every line has its name at its
        end.
    """
    figure = canvas(13.0, 5.2, theme)
    axes = [quiet(part, theme) for part in figure.subplots(1, 2)]
    steps = np.arange(1, len(ledger.by_leaf) + 1) if steps is None else np.asarray(steps)
    if len(steps) != len(ledger.by_leaf):
        raise ValueError(f"there must be a step for each of the {len(ledger.by_leaf)} segments, got {len(steps)}")
    earned, fell = np.cumsum(ledger.by_leaf, axis=0), ledger.cost[0] - ledger.cost[1:]
    axes[0].plot(steps, fell, color=theme.ink, linewidth=3, label="the fall of the cost")
    beside = [(f"fall of the cost {fell[-1]:.3g}", float(fell[-1]), theme.ink)]
    for i in np.argsort(-earned[-1]):
        line, color = "-" if i < len(theme.series) else "--", theme.series[i % len(theme.series)]
        told = f"{in_words(ledger.leaves[i])}  {earned[-1, i]:+.3g}"
        axes[0].plot(steps, earned[:, i], line, color=color, linewidth=1.8, label=told)
        beside.append((told, float(earned[-1, i]), color))
    _beside(axes[0], float(steps[-1]), beside)
    by_label, names = np.cumsum(ledger.by_label, axis=0), legible(classes or map(str, range(ledger.by_label.shape[1])))
    shades = colormaps["viridis"](np.linspace(0.25, 1, len(names)))
    for label, shade in enumerate(shades):
        axes[1].plot(steps, by_label[:, label], color=shade, linewidth=1.6)
    most = np.argsort(-np.abs(by_label[-1]), kind="stable")[:MOST_NAMED]
    _beside(axes[1], float(steps[-1]), [(names[i], float(by_label[-1, i]), shades[i]) for i in most])
    for part, name in zip(axes, ("part of each array", "part of each label's examples"), strict=True):
        part.set_xscale("log")
        grid(part, theme, "step (logarithmic scale)", f"{name} in the fall of the cost")
        part.axhline(0, color=theme.faint, linewidth=1)
    headline(figure, title, theme)
    return figure


def _beside(axes: Any, x: float, lines: Sequence[tuple[str, float, Any]]) -> None:
    """Write each name beside the end of its line. Names that would overlap move apart, and a thin line connects name and line."""
    low, high = axes.get_ylim()
    heights = np.array([height for _, height, _ in lines])
    places = apart(heights, 0.048 * (high - low))
    for (name, height, color), place in zip(lines, places, strict=True):
        axes.annotate(
            name, (x, height), xytext=(x * 1.0, place), textcoords=offset_copy(axes.transData, axes.figure, x=0.28),
            color=color, va="center", fontsize=9, annotation_clip=False, **lettering([name]),
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def apart(heights: Any, room: float) -> np.ndarray:
    """Find a place near each height, so that no two places are closer than `room`. If two heights are too close, both move.

    Args:
        heights: For each name: its preferred place.
        room: The smallest distance between two places.

    Examples:
        >>> apart([0.0, 0.2, 5.0], 1.0).tolist()
        [-0.4, 0.6, 5.0]
    """
    heights = np.asarray(heights, np.float64)
    order = np.argsort(heights, kind="stable")
    groups: list[
        list[float]
    ] = []  # groups of touching names: the place of a group's first name, and the number of its names
    for height in heights[order]:
        start, count = float(height), 1
        while groups and groups[-1][0] + groups[-1][1] * room > start:
            below, others = groups.pop()
            start = (below * others + (start - others * room) * count) / (others + count)
            count += int(others)
        groups.append([start, count])
    places = np.empty(len(heights))
    places[order] = [start + i * room for start, count in groups for i in range(int(count))]
    return places


def gradient_by_label(
    pulls: Any, names: Sequence[str], *, classes: Sequence[str], unit: str = "", title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw which labels pull a parameter up and which labels pull it down. The film describes this competition of the labels.

    Args:
        pulls: (parameter, label), the part of the *negative* gradient that comes from each label. A positive value means up.
        names: The names of the parameters.
        classes: The names of the labels.
        unit: The unit of a pull.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one row for each parameter. Each block with a name is the pull of one label. Blocks on the right pull the
        parameter up, and blocks on the left pull it down. The strongest block is nearest to the middle. If there are more than
        40 labels, the 40 labels with the strongest pull have a block of their own, and all other labels share a gray block on
        each side. The small triangle marks the sum of the pulls.
    """
    pulls = np.asarray(pulls, np.float64)
    if pulls.shape != (len(names), len(classes)):
        raise ValueError(f"pulls must be ({len(names)} parameters, {len(classes)} labels), got {pulls.shape}")
    figure = canvas(12.0, 1.6 + 0.5 * len(names), theme)
    axes = quiet(figure.add_subplot(), theme)
    classes = legible(classes)
    shades = colormaps["viridis"](np.linspace(0.2, 1, len(classes)))
    up, down = np.clip(pulls, 0, None).sum(1).max(), np.clip(-pulls, 0, None).sum(1).max()
    reach = max(up, down) or 1.0
    named = largest_classes(np.abs(pulls).sum(0))
    for row, values in enumerate(pulls):
        ends = {True: 0.0, False: 0.0}
        for label in named[np.argsort(-np.abs(values[named]))]:
            value, upward = values[label], bool(values[label] > 0)
            axes.barh(row, value, 0.66, left=ends[upward], color=shades[label], edgecolor=theme.ground, linewidth=0.8)
            if abs(value) > 0.016 * reach * max(1, len(classes[label])):
                middle = ends[upward] + value / 2
                axes.text(
                    middle, row, classes[label], ha="center", va="center", fontsize=9, color="black",
                    **lettering([classes[label]]),
                )  # fmt: skip
            ends[upward] += value
        others = np.delete(values, named)
        for upward, value in ((True, others[others > 0].sum()), (False, others[others < 0].sum())):
            if value:
                axes.barh(row, value, 0.66, left=ends[upward], color=theme.faint)
    sums = pulls.sum(1)
    axes.scatter(
        sums, np.arange(len(names)) - 0.4, marker="v", s=60, color=theme.ink, edgecolors=theme.ground, zorder=3
    )
    axes.axvline(0, color=theme.ink, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-1.06 * max(down, 0.1 * reach), 1.06 * max(up, 0.1 * reach))
    grid(axes, theme, f"pulls down   ←   {unit}   →   pulls up", "")
    headline(figure, title, theme)
    return figure


def signals(columns: Mapping[str, Any], leaves: Sequence[str], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw what `--watch-every` measured for every array of parameters, step by step.

    Args:
        columns: The columns of a run folder's `signals.csv`: `step`, and for each measurement and each array a column such as
            `ratio/0/weights`.
        leaves: The names of the arrays.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: one panel for each measurement, with one line for each array. Logarithmic scales show the length of the
        gradient, the ratio of update to parameters, and signal to noise.
    """
    told = {
        "gradient": "length of the gradient (cost per unit)",
        "ratio": "length of the update / length of the parameters",
        "share": "part of the fall of the cost in this step (%)",
        "clarity": "signal to noise of mini-batches",
    }
    shown = [name for name in told if f"{name}/{leaves[0]}" in columns]
    if not shown:
        raise ValueError(
            f"there is no measurement to draw; expected columns such as gradient/{leaves[0]}, got {', '.join(columns)}"
        )
    rows = -(-len(shown) // 2)
    figure = canvas(12.0, 3.4 * rows + 0.8, theme)
    panels = np.atleast_1d(figure.subplots(rows, min(2, len(shown)), squeeze=False)).ravel()
    steps = np.asarray(columns["step"])
    width = max(1, len(steps) // 200)
    for axes, name in zip(panels, shown, strict=False):
        quiet(axes, theme)
        for i, leaf in enumerate(leaves):
            values = np.asarray(columns[f"{name}/{leaf}"], np.float64) * (100 if name == "share" else 1)
            blocks = len(values) // width * width
            means = values[:blocks].reshape(-1, width).mean(1)
            color = theme.series[i % len(theme.series)]
            axes.plot(steps[width - 1 : blocks : width], means, color=color, linewidth=1.4, label=in_words(leaf))
        if name != "share":
            axes.set_yscale("log")
        grid(axes, theme, "step", told[name])
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    key(panels[0], theme, ncols=2)
    headline(figure, title, theme)
    return figure
