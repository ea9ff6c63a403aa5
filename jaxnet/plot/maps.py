"""The weights (or gradients) of each neuron of the first layer, drawn at their pixels."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxnet.plot.style import DARK, Theme, headline, legend, sheet, signed, signed_power


def pixel_maps(
    weights: Any,
    *,
    image_shape: tuple[int, ...] = (28, 28),
    title: str = "",
    unit: str = "weight",
    most: int = 36,
    theme: Theme = DARK,
) -> Figure:
    """Draw each neuron's weights (or their gradients) as an image.

    Positive values are blue, negative values are orange, and zero has the color of the background. All maps share one scale,
    so a faint map belongs to a neuron with small weights.

    Args:
        weights: (neurons, pixels), such as `params[0].weights` or `grads[0].weights`.
        image_shape: (height, width) of one image. If the images have a channel axis too, the channels are added.
        title: The headline.
        unit: The meaning of the color.
        most: Draw at most this many neurons, from the first neuron on. The title of each map is the number of its neuron.
        theme: DARK or LIGHT.

    Returns:
        The figure: one image for each neuron. The array of this image has the values.

    Raises:
        ValueError: If the number of pixels does not fit the shape.

    Source: the film's "Analyzing the network".
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or weights.shape[1] != math.prod(image_shape):
        raise ValueError(
            f"maps of shape {image_shape} need weights (neurons, {math.prod(image_shape)}), got {weights.shape}"
        )
    maps = weights[:most].reshape(-1, *image_shape)
    maps = maps.sum(-1) if maps.ndim == 4 else maps
    columns = min(8, len(maps))
    rows = math.ceil(len(maps) / columns)
    height, width = image_shape[:2]
    figure, axes = sheet(1.45 * columns + 0.2, 1.65 * rows + 1.3, theme, below=0.8)
    norm = signed_power(float(np.abs(maps).max()) or 1.0, 0.75)
    for i, values in enumerate(maps):
        left, top = (i % columns) * width * 1.08, (i // columns) * height * 1.2
        axes.imshow(values, cmap=signed(theme), norm=norm, extent=(left, left + width, top + height, top))
        axes.text(left + width / 2, top - 1, f"neuron {i}", color=theme.ink, fontsize=8, ha="center")
    axes.set(xlim=(-1, columns * width * 1.08), ylim=(rows * height * 1.2, -0.15 * height))
    headline(figure, title, theme)
    legend(figure, unit, norm, theme)
    return figure
