"""Pictures of confidence on nonsense and on digits, of remedies, and of calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from jaxnet.plot.dot_plots import dots
from jaxnet.plot.style import DARK, Theme, canvas, grid, headline, key, quiet, sheet

FEW = 30
"""A bin with fewer images is not drawn, because it says little. The bin still counts in the calibration error."""


def nonsense_read(
    images: Any, answers: Any, confidences: Any, names: Sequence[str], *, sure: float | int = 0.9, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw one row of images for each kind, with the network's answers.

    Args:
        images: The images in 0..1, (kind, image, height, width). The first kind is the real digits.
        answers: The digit of the strongest output, (kind, image).
        confidences: The strongest output in 0..1, (kind, image).
        names: The names of the kinds.
        sure: The smallest confidence that is drawn in color.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The text above each image gives the answer and its confidence in percent. A sure answer is blue for
        digits and orange for nonsense.

    Raises:
        ValueError: If there is not one name for each kind.
    """
    images, answers, confidences = np.asarray(images), np.asarray(answers), np.asarray(confidences, np.float64)
    if len(names) != len(images):
        raise ValueError(f"{len(images)} kinds of images need as many names, got {len(names)}")
    rows, columns, height, width = images.shape
    figure, axes = sheet(1.1 * columns + 1.6, 1.32 * rows + 0.6, theme)
    for row, name in enumerate(names):
        top = 1.3 * height * row
        axes.text(-0.15 * width, top + height / 2, name, color=theme.ink, fontsize=10, ha="right", va="center")
        for column in range(columns):
            left = 1.08 * width * column
            axes.imshow(
                images[row, column], cmap="gray", vmin=0, vmax=1, extent=(left, left + width, top + height, top)
            )
            confident = confidences[row, column] >= sure
            axes.text(
                left + width / 2, top - 1, f"{answers[row, column]}   {100 * confidences[row, column]:.0f} %",
                color=(theme.negative if row else theme.positive) if confident else theme.ink,
                fontweight="bold" if confident else "normal",
                fontsize=9, ha="center", va="bottom",
            )  # fmt: skip
    axes.set(xlim=(-1.35 * width, 1.08 * width * columns + 2), ylim=(1.3 * height * rows - 4, -0.3 * height))
    headline(figure, title, theme)
    return figure


def confidences(
    counts: Any, edges: Any, means: Any, names: Sequence[str], networks: Sequence[str], *, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the distribution of confidence on real digits and on each kind of nonsense.

    Args:
        counts: The number of images in each bin of confidence, (network, kind, bin). The first kind is the real digits.
        edges: The edges of the bins, in 0..1.
        means: The mean confidence in percent, (network, kind).
        names: The names of the kinds.
        networks: The names of the networks. Each network has a column.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one histogram for each kind, scaled to its highest bin. Digits are blue, nonsense is orange. The tick and
        the number beside the tick are the mean.
    """
    counts, edges = np.asarray(counts, np.float64), 100 * np.asarray(edges, np.float64)
    figure = canvas(12.5, 1.4 + 0.62 * len(names), theme)
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network, of_network, of_means in zip(panels, networks, counts, np.asarray(means), strict=True):
        quiet(axes, theme).set_title(network, color=theme.ink, fontsize=11)
        for i, (values, mean) in enumerate(zip(of_network, of_means, strict=True)):
            color = theme.positive if i == 0 else theme.negative
            heights = 0.8 * np.concatenate([values, values[-1:]]) / max(1.0, values.max())
            axes.fill_between(edges, -i, heights - i, step="post", color=color, alpha=0.75, linewidth=0)
            axes.plot([mean, mean], [-i, 0.8 - i], color=theme.ink, linewidth=2)
            side = -1 if mean > 85 else 1
            axes.text(
                mean + 1.5 * side, 0.42 - i, f"{mean:.0f}", color=theme.ink, fontsize=9, ha="right" if side < 0 else "left"
            )  # fmt: skip
        grid(axes, theme, "strongest output (%)", "")
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, 100), ylim=(0.85 - len(names), 1.0))
    panels[0].set_yticks(0.3 - np.arange(len(names)), list(names), fontsize=10)
    headline(figure, title, theme)
    return figure


def remedies(
    values: Any, right: Any, treatments: Sequence[str], families: Sequence[str], networks: Sequence[str], *,
    title: str = "", theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw how well confidence separates digits from each kind of nonsense, for each treatment of the networks.

    Args:
        values: AUROC in 0..1, (network, treatment, family).
        right: The percentage of real digits that are read correctly, (network, treatment).
        treatments: The names of the treatments. The first name stands for no treatment.
        families: The names of the kinds of nonsense.
        networks: The names of the networks. Each network has a panel.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one row for each family, with one mark for each treatment (a dot for no treatment). The dotted line is
        guessing. The key below each panel gives the accuracy on real digits for each treatment.
    """
    values, right = 100 * np.asarray(values, np.float64), np.asarray(right, np.float64)
    figure = canvas(13.0, 2.4 + 0.62 * len(families) + 0.22 * len(treatments), theme)
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    marks, dodge, middle = "osD^vPX", 0.55 / len(treatments), (len(treatments) - 1) / 2
    least = np.floor(values.min() / 10) * 10
    for n, axes in enumerate(panels):
        quiet(axes, theme).set_title(networks[n], color=theme.ink, fontsize=11)
        for row in range(1, len(families)):
            axes.axhline(0.5 - row, color=theme.faint, linewidth=1, alpha=0.6)
        for i, treatment in enumerate(treatments):
            color = theme.ink if i == 0 else theme.series[(i - 1) % len(theme.series)]
            axes.plot(
                values[n, i], dodge * (middle - i) - np.arange(len(families)), marks[i % len(marks)], color=color, markersize=6.5,
                markeredgecolor=theme.ground, label=f"{treatment}: {right[n, i]:.2f} % right", linestyle="none",
            )  # fmt: skip
        axes.axvline(50, color=theme.faint, linewidth=1, linestyle=":")
        grid(axes, theme, "pairs where the digit gets more confidence (%)", "")
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(min(least, 50) - 1, 101), ylim=(0.6 - len(families), 0.6))
        axes.legend(
            facecolor=theme.ground, edgecolor=theme.ground, labelcolor=theme.ink, fontsize=8.5, loc="upper center",
            bbox_to_anchor=(0.5, -0.15), title="real digits read", title_fontproperties={"size": 8.5},
        ).get_title().set_color(theme.ink)  # fmt: skip
    panels[0].set_yticks(-np.arange(len(families)), list(families), fontsize=10)
    headline(figure, title, theme)
    return figure


def reliability(diagrams: Any, networks: Sequence[str], *, title: str = "", theme: Theme = DARK) -> Figure:
    """Draw reliability diagrams on real digits, before and after the temperature.

    Args:
        diagrams: The number of images, the mean confidence and the accuracy, (network, before or after, 3, bin).
        networks: The names of the networks. Each network has a panel.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure has one dot for each bin with at least 30 images. A larger dot has more images. On the dotted diagonal
        confidence and accuracy are equal. Above the diagonal the confidence is too low, and below the diagonal it is too high.
        The key gives the mean distance from the diagonal; every image counts the same.
    """
    diagrams = np.asarray(diagrams, np.float64)
    figure = canvas(4.3 * len(networks), 5.0, theme)
    panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
    for axes, network, pair in zip(panels, networks, diagrams, strict=True):
        quiet(axes, theme).set_title(network, color=theme.ink, fontsize=11)
        axes.plot([0, 100], [0, 100], color=theme.ink, linewidth=1, linestyle=":")
        for (images, sure, right), name, color in zip(
            pair, ("as trained", "with temperature"), (theme.negative, theme.positive), strict=True
        ):
            some = images >= FEW
            error = 100 * np.sum(images * np.abs(sure - right)) / images.sum()
            axes.plot(
                100 * sure[some],
                100 * right[some],
                color=color,
                linewidth=1.5,
                alpha=0.8,
                label=f"{name}: {error:.2f} % off",
            )
            axes.scatter(100 * sure[some], 100 * right[some], s=12 + 230 * np.sqrt(images[some] / images.sum()),
                         color=color, alpha=0.8, linewidths=0)  # fmt: skip
        grid(axes, theme, "confidence (%)", "")
        axes.set(xlim=(0, 103), ylim=(0, 103))
        key(axes, theme, loc="upper left")
    panels[0].set_ylabel("right (%)", color=theme.ink)
    headline(figure, title, theme)
    return figure


def erased(
    dark: Any, changes: Mapping[str, Any], names: Sequence[str], doses: Any, sure: Any, right: Any, *, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the causal test: the change of confidence when the weights from some pixels are set to zero.

    Args:
        dark: The pixels that are never lit in training, (height, width).
        changes: The change of the mean confidence in points, (kind, network), by the name of the erased pixels: first the
            never-lit pixels, then the control.
        names: The names of the kinds of images.
        doses: The numbers of erased pixels, (dose,). The first number is 0.
        sure: The mean confidence on noise in percent, (never-lit or control, dose).
        right: The percentage of digits that are read correctly, (never-lit or control, dose).
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the never-lit pixels in orange. Middle: every dot is a network, the tick is the mean, and the thick
        bar is its 95 % interval. Right: more and more pixels are erased. Solid lines are for rarely lit pixels, and dashed
        lines are for the control.
    """
    figure = canvas(14.0, 1.6 + 0.5 * len(names), theme)
    left, middle, last = figure.subplots(1, 3, width_ratios=[0.8, 1.5, 1.1])
    shades = ListedColormap([theme.faint, theme.negative])
    quiet(left, theme, frame=False).imshow(np.asarray(dark, bool), cmap=shades, interpolation="nearest", vmin=0, vmax=1)
    left.set_title(f"{int(np.sum(dark))} never-lit pixels", color=theme.ink, fontsize=11)
    colors = (theme.negative, theme.series[5])
    quiet(middle, theme)
    for i, (name, values) in enumerate(changes.items()):
        for row, value in enumerate(values):
            dots(middle, value, 0.18 - 0.36 * i - row, colors[i], theme, height=0.2)
        middle.plot([], [], "o", color=colors[i], label=name)
    middle.axvline(0, color=theme.ink, linewidth=1, alpha=0.6)
    middle.set_yticks(-np.arange(len(names)), list(names), fontsize=10)
    grid(middle, theme, "change of confidence (points)", "")
    key(middle, theme, loc="lower left")
    quiet(last, theme)
    for i, (name, style) in enumerate(zip(changes, ("-", "--"), strict=True)):
        for what, values, color in (
            ("digits read", right, theme.positive),
            ("confidence on noise", sure, theme.negative),
        ):
            last.plot(doses, np.asarray(values)[i], style, marker="o", color=color, label=f"{what}, {name}")
    grid(last, theme, "pixels erased", "percent")
    last.set_ylim(0, 103)
    key(last, theme, loc="lower left")
    headline(figure, title, theme)
    return figure
