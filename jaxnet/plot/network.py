"""Pictures of the network: every weight as an edge and every bias as a ring, or the activations of one image."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure

from jaxnet.core.network import Layer
from jaxnet.plot.style import DARK, Theme, headline, legend, legible, lettering, sheet, signed, signed_power

MOST_EDGES = 100_000
"""A picture has at most this many edges. With more edges, drawing takes minutes, and single edges are not visible."""

TALLEST = 32
"""At most this many neurons stand in one column."""

SHEAR, DEPTH, HEIGHT = 0.12, 0.55, 1.7
"""The input plane, seen from the side: its slant, its visible depth and its height."""


def edges(
    values: Sequence[Layer],
    *,
    title: str = "",
    unit: str = "",
    image: Any = None,
    image_shape: Sequence[int] = (28, 28),
    classes: Sequence[str] | None = None,
    exponent: float | int = 0.5,
    theme: Theme = DARK,
) -> Figure:
    """Draw one value for every parameter of a fully connected network. No parameter is left out.

    Each edge is a weight. It starts at a pixel of the plane on the left, or at a neuron, and ends at a neuron of the next
    layer. Each ring is the bias of a neuron. Blue is positive, orange is negative. The brightness grows with the magnitude,
    as (|value| / largest) ** exponent, with one scale for all layers. The thickness grows by the same formula, but edges are
    thinner in a layer with many edges. The largest values are drawn last, on top. Zeros are invisible.

    Args:
        values: Layers of gradients, weights, updates or other values, with the shapes of the parameters.
        title: The headline.
        unit: The unit of the values, for the legend.
        image: The image on the input plane. If it is None, the plane stays empty.
        image_shape: The shape of the input plane. The channels of a pixel share one place. If the number of inputs
            does not fit, the inputs form a column.
        classes: The names of the outputs.
        exponent: The exponent of the brightness. If it is 1, only few edges are visible. If it is 0.5, small values are visible
            too.
        theme: DARK or LIGHT.

    Returns:
        The figure. Its axes hold one `LineCollection` (edges) and, last, an `EllipseCollection` (rings). Their arrays
        (`get_array`) hold the values, the smallest magnitude first.

    Raises:
        ValueError: If a value is not finite, or there are more than 100,000 edges.
    """
    layers = [_Arrays(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in values]
    count = sum(layer.weights.size for layer in layers)
    if count > MOST_EDGES:
        raise ValueError(f"{count:,} edges are more than the {MOST_EDGES:,} that a picture can show; see plot.by_layer")
    if not all(np.isfinite(array).all() for layer in layers for array in layer):
        raise ValueError("some values are NaN or infinite, but a picture needs finite numbers")
    figure, axes = sheet(13.0, 7.6, theme, below=0.75)
    places = _places([layers[0].weights.shape[1], *(len(layer.biases) for layer in layers)], image_shape)
    largest = max((np.abs(array).max(initial=0) for layer in layers for array in layer), default=0) or 1.0
    if image is not None:
        _plane(axes, image, places[0], theme)
    _edges(axes, layers, places, largest, exponent, theme)
    _rings(axes, layers, places, largest, exponent, theme)
    _names(axes, places, classes, theme)
    headline(figure, title, theme)
    legend(figure, unit, signed_power(largest, exponent), theme)
    return figure


class _Arrays(NamedTuple):
    """The values of one layer, in float64."""

    weights: np.ndarray
    biases: np.ndarray


def _places(sizes: Sequence[int], image_shape: Sequence[int]) -> list[Float[np.ndarray, "neuron 2"]]:
    """Find the place of every neuron. The inputs lie on a slanted plane, and all other layers stand in columns."""
    height, width = image_shape[:2] if math.prod(image_shape) == sizes[0] else (1, sizes[0])
    row, column = np.divmod(np.arange(sizes[0]) // max(1, sizes[0] // (height * width)), width)
    across, down = (column + 0.5) / width, (row + 0.5) / height
    plane = np.column_stack([DEPTH * across, HEIGHT * (0.5 - down) + SHEAR * (0.5 - across)])
    if height == 1:
        plane = np.column_stack(
            [np.full(sizes[0], DEPTH), np.linspace(0.9, -0.9, sizes[0]) if sizes[0] > 1 else np.zeros(1)]
        )
    return [plane, *(_column(size, 1.25 + 0.75 * i) for i, size in enumerate(sizes[1:]))]


def _column(size: int, x: float) -> Float[np.ndarray, "neuron 2"]:
    """Find the places of a layer's neurons. If they would overlap in one column, they stand in several columns."""
    high = min(size, TALLEST)
    wide = math.ceil(size / high)
    across, down = np.divmod(np.arange(size), high)
    heights = np.linspace(0.85, -0.85, high) if high > 1 else np.zeros(1)
    return np.column_stack([x + 0.035 * (across - (wide - 1) / 2), heights[down]])


def _plane(axes: Axes, image: Any, places: Float[np.ndarray, "pixel 2"], theme: Theme) -> None:
    """Draw the image as small squares at the places of the inputs."""
    pixels = np.asarray(image, np.float64).ravel()
    pixels = pixels - min(0.0, pixels.min())
    pixels = pixels / (pixels.max() or 1)
    squares = axes.scatter(
        *places.T, c=pixels, cmap=theme.gray, vmin=0, vmax=1, s=11, marker="s", linewidths=0, zorder=4
    )
    squares.set_alpha(pixels.tolist())


def _edges(
    axes: Axes, layers: Sequence[_Arrays], places: list[Any], largest: float, exponent: float, theme: Theme
) -> None:
    values = np.concatenate([layer.weights.ravel() for layer in layers])
    segments = np.concatenate(
        [
            np.stack([np.tile(start, (len(stop), 1)), np.repeat(stop, len(start), axis=0)], axis=1)
            for start, stop in itertools.pairwise(places)
        ]
    )
    fine = fineness(layers)
    order = np.argsort(np.abs(values), kind="stable")
    strength = (np.abs(values[order]) / largest) ** exponent
    lines = LineCollection(list(segments[order]), cmap=signed(theme), norm=signed_power(largest, exponent), zorder=1)
    lines.set(array=values[order], linewidths=fine[order] * edge_width(strength))
    axes.add_collection(lines)


def fineness(layers: Sequence[Any]) -> np.ndarray:
    """The factor for the width of every edge: 1 in a small layer, less in a layer with many edges."""
    sizes = [np.size(weights) for weights, _ in layers]
    return np.concatenate([np.full(size, min(1.0, 25 / size**0.5)) for size in sizes])


def edge_width(strength: np.ndarray) -> np.ndarray:
    """The width of an edge in points, for a strength of 0 to 1."""
    return 0.4 + 2.6 * strength**1.5


def ring_width(strength: np.ndarray) -> np.ndarray:
    """The width of a ring in points, for a strength of 0 to 1."""
    return 0.8 + 2.8 * strength


def _rings(
    axes: Axes, layers: Sequence[_Arrays], places: list[Any], largest: float, exponent: float, theme: Theme
) -> None:
    values = np.concatenate([layer.biases for layer in layers])
    order = np.argsort(np.abs(values), kind="stable")
    strength = (np.abs(values[order]) / largest) ** exponent
    size = np.full(len(values), min(0.075, 1.4 / min(TALLEST, max(len(layer.biases) for layer in layers))))
    disk = {"units": "y", "offsets": np.concatenate(places[1:])[order], "offset_transform": axes.transData}
    axes.add_collection(
        EllipseCollection(size, size, 0 * size, facecolors=theme.ground, linewidths=0, zorder=2, **disk)
    )
    rings = EllipseCollection(
        size, size, 0 * size, **disk, facecolors="none", cmap=signed(theme, floor=0.3),
        norm=signed_power(largest, exponent), zorder=3,
    )  # fmt: skip
    rings.set(array=values[order], linewidths=ring_width(strength))
    axes.add_collection(rings)


def _names(axes: Axes, places: list[Any], classes: Sequence[str] | None, theme: Theme) -> None:
    # If the outputs need several columns, they get no names, because a name could not stand beside its output.
    names = legible(classes or []) if len(places[-1]) <= TALLEST else []
    for name, (x, y) in zip(names, places[-1], strict=False):
        axes.text(x + 0.08, y, name, color=theme.ink, va="center", fontsize=12, **lettering([name]))
    for i, column in enumerate(places[1:], start=1):
        label = f"layer {i}, output" if i == len(places) - 1 else f"layer {i}"
        axes.text(
            column[:, 0].mean(), -0.98, f"{label}\n{len(column)}", color=theme.ink, ha="center", va="top", fontsize=9
        )
    axes.text(DEPTH / 2, -0.98, f"input\n{len(places[0])}", color=theme.ink, ha="center", va="top", fontsize=9)
    right = places[-1][0, 0]
    room = 0.2 + 0.035 * max((len(name) for name in names), default=0)
    axes.set(xlim=(-0.15, right + room), ylim=(-1.12, 1.0))


def activations(
    lit: Sequence[Any],
    *,
    title: str = "",
    image_shape: Sequence[int] = (28, 28),
    classes: Sequence[str] | None = None,
    theme: Theme = DARK,
) -> Figure:
    """Draw the activations of all neurons for one image. The brightness of a neuron is its activation.

    Args:
        lit: The activations of each layer, from the pixels to the outputs, as `network.forward` returns them. If a layer has
            values above 1, the brightness is relative to the largest value of the layer. The value of each output is
            written beside the output.
        title: The headline.
        image_shape: The shape of the input plane, as in `edges`.
        classes: The names of the outputs.
        theme: DARK or LIGHT.

    Returns:
        The figure: one column of disks for each layer. A brighter disk has a higher activation. A ring marks the largest output.
    """
    layers = [np.asarray(layer, np.float64).ravel() for layer in lit]
    places = _places([len(layer) for layer in layers], image_shape)
    figure, axes = sheet(10.0, 6.0, theme)
    _plane(axes, layers[0], places[0], theme)
    for values, spots in zip(layers[1:], places[1:], strict=True):
        scale = max(1.0, np.abs(values).max(initial=0))
        axes.scatter(
            *spots.T, c=np.clip(values / scale, 0, 1), cmap=theme.gray, vmin=0, vmax=1, s=150 if len(spots) <= 20 else 40,
            edgecolors=theme.faint, linewidths=1 if len(spots) <= 20 else 0.4,
        )  # fmt: skip
    best = int(layers[-1].argmax())
    axes.scatter(*places[-1][best], s=420, facecolors="none", edgecolors=theme.positive, linewidths=2.5)
    names = legible(classes) if classes else [""] * len(layers[-1])
    _names(axes, places, [f"{value:.2f}  {name}" for value, name in zip(layers[-1], names, strict=True)], theme)
    headline(figure, title, theme)
    return figure
