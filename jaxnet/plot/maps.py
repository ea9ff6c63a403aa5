"""The values into each neuron of the first layer, drawn at their pixels."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnet.plot.network import legend
from jaxnet.plot.style import DARK, Theme, canvas, headline, quiet, signed, signed_power


def pixel_maps(
    weights: Any,
    *,
    image_shape: tuple[int, ...] = (28, 28),
    title: str = "",
    unit: str = "weight",
    most: int = 36,
    theme: Theme = DARK,
) -> Figure:
    """Draw each neuron's weights (or their gradients) as an image: blue positive, orange negative, dark zero.

    All maps share one scale, so a faint map is a weak neuron.

    Args:
        weights: (neurons, pixels), such as `params[0].weights` or `grads[0].weights`.
        image_shape: (height, width) of one image; with a channel axis the channels are summed.
        title: The headline.
        unit: What the color stands for.
        most: Draw at most so many neurons, the first ones; the title of each is its number.
        theme: DARK or LIGHT.

    Returns:
        The figure; each axes holds one image with the values as its array.

    Raises:
        ValueError: If the number of pixels does not fit the shape.

    Source: the film's "Analyzing the network".
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or weights.shape[1] != math.prod(image_shape):
        raise ValueError(f"maps of shape {image_shape} need weights (neurons, {math.prod(image_shape)}), got {weights.shape}")
    maps = weights[:most].reshape(-1, *image_shape)
    maps = maps.sum(-1) if maps.ndim == 4 else maps
    columns = min(8, len(maps))
    rows = math.ceil(len(maps) / columns)
    figure = canvas(1.45 * columns, 1.6 * rows + 1.1, theme)
    grid = figure.subplots(rows, columns, squeeze=False)
    largest = float(np.abs(maps).max()) or 1.0
    norm = signed_power(largest, 0.75)
    for i, axes in enumerate(grid.flat):
        quiet(axes, theme, frame=False)
        if i < len(maps):
            axes.imshow(maps[i], cmap=signed(theme), norm=norm)
            axes.set_title(f"neuron {i}", fontsize=8, color=theme.ink, pad=2)
    headline(figure, title, theme)
    legend(figure, grid, unit, norm, theme)
    return figure
