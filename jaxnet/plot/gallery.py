"""Pictures of a network's answers: digits before and after training, mistakes, the cost of one image, and the inputs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxnet.plot.style import (
    DARK,
    MOST_CLASSES,
    Theme,
    canvas,
    headline,
    key,
    largest_classes,
    legible,
    lettering,
    quiet,
    sheet,
)


def _picture(axes: Axes, image: Any, theme: Theme) -> None:
    quiet(axes, theme, frame=False)
    axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=brightest(image))


def _bars(axes: Axes, values: Any, label: int | None, classes: Sequence[str], theme: Theme) -> None:
    shown = largest_classes(values, *(() if label is None else (label,)))
    values, names = np.asarray(values, np.float64)[shown], [classes[int(i)] for i in shown]
    best = int(values.argmax())
    colors = [theme.faint] * len(values)
    colors[best] = theme.positive if label in (None, shown[best]) else theme.negative
    quiet(axes, theme)
    axes.bar(range(len(values)), values, color=colors)
    axes.set_xticks(
        range(len(values)), names, fontsize=7, rotation=0 if max(map(len, names)) < 3 else 90, **lettering(names)
    )
    axes.set_ylim(0, max(1.0, float(values.max())))
    axes.set_yticks([0, 1])


def digits_read(
    images: Any, labels: Any, before: Any, after: Any, *, classes: Sequence[str], title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw a few digits with the outputs of the untrained and of the trained network.

    Args:
        images: A few images.
        labels: The labels of the images.
        before: (images, classes), outputs of the untrained network in 0..1.
        after: (images, classes), outputs of the trained network in 0..1.
        classes: The names of the labels.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. The images are at the top, the outputs of the untrained network in the middle, and the outputs of the trained
        network at the bottom. The strongest output is blue if it is right and orange if it is wrong.
    """
    classes = legible(classes)
    figure, axes = sheet(1.25 * (1.15 * len(images) + 0.2), 1.25 * 3.8 + 0.45, theme)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = 1.15 * i
        axes.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=brightest(image), extent=(left, left + 1, 2.5, 3.5))
        for bottom, outputs in ((1.25, before[i]), (0, after[i])):
            which = largest_classes(outputs, int(label))
            values = np.asarray(outputs, np.float64)[which]
            width = 1 / len(values)
            places = left + width * np.arange(len(values)) + width / 2
            colors = [theme.faint] * len(values)
            best = int(values.argmax())
            colors[best] = theme.positive if which[best] == label else theme.negative
            axes.bar(places, values, 0.8 * width, bottom=bottom, color=colors)
            axes.plot([left, left + 1], [bottom, bottom], color=theme.ink, linewidth=0.8)
            if len(values) <= 10 and max(map(len, classes)) < 3:
                for place, name in zip(places, classes, strict=True):
                    axes.text(
                        place,
                        bottom - 0.04,
                        name,
                        color=theme.ink,
                        fontsize=7,
                        ha="center",
                        va="top",
                        **lettering([name]),
                    )
    for middle, name in ((1.75, "untrained"), (0.5, "trained")):
        axes.text(-0.08, middle, name, color=theme.ink, rotation=90, ha="center", va="center")
    axes.set(xlim=(-0.2, 1.15 * len(images)), ylim=(-0.2, 3.6))
    headline(figure, title, theme)
    return figure


def cost_of_one(
    image: Any, label: int, output: Any, *, classes: Sequence[str], loss: float | None = None, title: str = "",
    theme: Theme = DARK,
) -> Figure:  # fmt: skip
    """Draw the cost of one image as a sum over the outputs: each output, the wanted output, and the square of their difference.

    Args:
        image: The image.
        label: The label of the image.
        output: The network's outputs, in 0..1.
        classes: The names of the labels.
        loss: The training loss of this image, if the network is trained with another loss than the film's. The title shows it.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure. Left: the image. Middle: bars for the outputs, with rings at the wanted outputs. Right: the squared
        differences. The sum of the squared differences is the film's cost.

    Source: the film's "Cost functions".
    """
    output = np.asarray(output, np.float64)
    wanted = np.eye(len(output))[label]
    squares = (output - wanted) ** 2
    total, shown = squares.sum(), largest_classes(squares, label)
    output, wanted, squares, classes = (
        output[shown],
        wanted[shown],
        squares[shown],
        [legible(classes)[int(i)] for i in shown],
    )
    figure = canvas(11.0, 3.6, theme)
    axes = figure.subplots(1, 3, width_ratios=[1, 1.6, 1.6])
    _picture(axes[0], image, theme)
    positions = np.arange(len(output))
    for part in axes[1:]:
        rotation = 0 if max(map(len, classes)) < 3 else 90
        quiet(part, theme).set_xticks(positions, classes, rotation=rotation, **lettering(classes))
    axes[1].bar(positions, output, color=theme.positive, label="output")
    axes[1].scatter(
        positions, wanted, facecolors="none", edgecolors=theme.ink, s=50, label="wanted", zorder=3, clip_on=False
    )
    axes[1].set_ylim(0, 1.25)  # room for the names above the ring at 1
    key(axes[1], theme, loc="upper center", ncols=2)
    axes[1].set_title("the outputs", color=theme.ink, fontsize=10)
    for part, name in zip(axes[1:], ("output", "squared difference"), strict=True):
        part.set_xlabel("class", color=theme.ink)
        part.set_ylabel(name, color=theme.ink)
    axes[2].bar(positions, squares, color=theme.negative)
    extra = "" if loss is None else f" (training loss {loss:.3g})"
    axes[2].set_title(f"squared differences, sum {total:.3g}{extra}", color=theme.ink, fontsize=10)
    headline(figure, title, theme)
    return figure


def mistakes_gallery(
    images: Any,
    labels: Any,
    answers: Any,
    confidences: Any,
    *,
    classes: Sequence[str],
    title: str = "",
    theme: Theme = DARK,
) -> Figure:
    """Draw images that the network recognized wrongly, with label, answer and confidence.

    Args:
        images: The wrongly recognized images, in the order of the picture.
        labels: The labels of the images.
        answers: The answers of the network.
        confidences: The largest output for each image, 0..1.
        classes: The names of the labels.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: a grid of images. The text above each image is "label → answer" and the confidence in percent.
    """
    classes = legible(classes)
    space, size = ("  ", 8) if max(map(len, classes)) < 4 else ("\n", 6)
    captions = [
        f"{classes[label]} → {classes[answer]}{space}{100 * sure:.0f} %"
        for label, answer, sure in zip(labels, answers, confidences, strict=True)
    ]
    return captioned(images, captions, size=size, title=title, theme=theme)


def captioned(
    images: Any, captions: Sequence[str], *, size: float | int = 8, title: str = "", theme: Theme = DARK
) -> Figure:
    """Draw a grid of images, each with a caption above.

    Args:
        images: The images, in the order of the picture.
        captions: One caption for each image.
        size: The size of the letters, in points.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure.
    """
    columns = max(1, min(8, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    figure, axes = sheet(1.35 * columns, 1.7 * rows + 0.8, theme)
    height, width = np.shape(images)[1:3] if len(images) else (28, 28)
    for i, (image, text) in enumerate(zip(images, captions, strict=True)):
        left, top = (i % columns) * width * 1.08, (i // columns) * height * 1.3
        axes.imshow(image, cmap="gray", vmin=0, vmax=brightest(image), extent=(left, left + width, top + height, top))
        axes.text(
            left + width / 2, top - 1, text, color=theme.ink, fontsize=size, ha="center", va="bottom", **lettering([text])
        )  # fmt: skip
    axes.set(xlim=(-1, columns * width * 1.08), ylim=(rows * height * 1.3, -0.3 * height))
    headline(figure, title, theme)
    return figure


def brightest(image: Any) -> float:
    """The value to show as white. For uint8 it is 255. For floats it is 1, or the largest value if this value is above 1."""
    image = np.asarray(image)
    return 255.0 if image.dtype == np.uint8 else max(1.0, float(image.max()))


def confusion(counts: Any, *, classes: Sequence[str], title: str = "", theme: Theme = DARK) -> Figure:
    """Draw the confusion matrix: how many images of each label got each answer.

    Args:
        counts: (label, answer), numbers of images.
        classes: The names of the labels.
        title: The headline.
        theme: DARK or LIGHT.

    Returns:
        The figure: the numbers of images. The brightness shows only mistakes, because the diagonal would be much brighter.
        If there are more than 40 classes, the figure shows the 40 classes with the most mistakes.
    """
    counts, classes = np.asarray(counts), legible(classes)
    if len(counts) > MOST_CLASSES:
        mixed = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
        shown, every = largest_classes(mixed), len(counts)
        counts, classes = counts[np.ix_(shown, shown)], [classes[int(i)] for i in shown]
        title = f"{title}\nthe {len(shown)} of {every:,} classes with the most mistakes"
    off = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    size = max(5.5, 0.42 * len(counts) + 1.4)
    figure = canvas(size, size, theme)
    axes = quiet(figure.add_subplot(), theme)
    axes.imshow(off, cmap=theme.gray, vmin=0, vmax=max(1, off.max()) * 1.15)
    if len(counts) <= 20:
        for label, answer in np.ndindex(counts.shape):
            if counts[label, answer]:
                bright = off[label, answer] > off.max() / 2
                color = theme.positive if label == answer else theme.ground if bright else theme.ink
                axes.text(answer, label, counts[label, answer], ha="center", va="center", fontsize=8, color=color)
    rotation = 0 if max(map(len, classes)) < 3 else 90
    axes.set_xticks(range(len(classes)), classes, rotation=rotation, **lettering(classes))
    axes.set_yticks(range(len(classes)), classes, **lettering(classes))
    axes.set(xlabel="answer", ylabel="label")
    headline(figure, title, theme)
    return figure


def network_inputs(
    pages: Any,
    images: Any,
    outputs: Any,
    names: Sequence[str],
    *,
    classes: Sequence[str],
    theme: Theme = DARK,
) -> Figure:
    """Draw each picture of `jaxnet predict`, the image that the network got, and the outputs.

    Args:
        pages: The original pictures.
        images: The images that the network got.
        outputs: (pictures, classes), in 0..1. If a picture shows nothing to recognize, all its outputs are 0.
        names: The names of the pictures.
        classes: The names of the labels.
        theme: DARK or LIGHT.

    Returns:
        The figure: one row for each picture.
    """
    classes, names = legible(classes), legible(names)
    figure = canvas(8.0, 1.7 * len(pages) + 0.3, theme)
    grid = figure.subplots(len(pages), 3, squeeze=False, width_ratios=[1, 1, 2])
    for axes, page, image, output, name in zip(grid, pages, images, outputs, names, strict=True):
        _picture(axes[0], page, theme)
        axes[0].set_title(name[-28:], color=theme.ink, fontsize=8, **lettering([name]))
        _picture(axes[1], image, theme)
        axes[1].set_title("network's input", color=theme.ink, fontsize=8)
        _bars(axes[2], output, None, classes, theme)
        best = int(np.argmax(output))
        told = f"{classes[best]}, {100 * float(output[best]):.0f} %" if np.any(output) else "nothing to read"
        axes[2].set_title(told, color=theme.ink, fontsize=10, **lettering([told]))
    return figure
