"""The animation of a run: one value for every parameter, from the random start to the trained network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.collections import EllipseCollection, LineCollection

from jaxnet.core.network import Layer
from jaxnet.plot.network import edge_width, edges, fineness, ring_width
from jaxnet.plot.style import DARK, Theme, grid, quiet, signed_power


def animate(
    frames: Sequence[Sequence[Layer]],
    steps: Sequence[int],
    costs: Sequence[float],
    *,
    title: str = "",
    unit: str = "",
    image: Any = None,
    image_shape: Sequence[int] = (28, 28),
    classes: Sequence[str] | None = None,
    fps: int = 8,
    theme: Theme = DARK,
) -> FuncAnimation:
    """Animate one value for every parameter, drawn as in `plot.edges`.

    Every frame has its own scale and shows *where* the values are large. The largest value stands in the headline. The curve
    at the bottom shows the cost at every step. A dot on the curve marks the step of the frame.

    Args:
        frames: For each frame: one value for every parameter, layer by layer, such as the negative gradient.
        steps: The step of each frame, increasing from 0.
        costs: The cost at each step.
        title: The headline. The step and the largest value are written after it.
        unit: The unit of the values.
        image: The image on the input plane.
        image_shape: The shape of the input plane.
        classes: The names of the outputs.
        fps: The number of frames in a second.
        theme: DARK or LIGHT.

    Returns:
        A matplotlib animation: `.save("bang.gif")`, or `.save("bang.mp4")` if ffmpeg is installed.

    Raises:
        ValueError: If there is no frame, or the numbers of frames, steps and costs differ.
    """
    if not len(frames) or not len(frames) == len(steps) == len(costs):
        raise ValueError(
            f"{len(frames)} frames need as many steps and costs, got {len(steps)} steps and {len(costs)} costs"
        )
    frames = [[Layer(*(np.asarray(part, np.float64) for part in layer)) for layer in layers] for layers in frames]  # pyright: ignore[reportArgumentType]
    look = {"unit": unit, "image": image, "image_shape": image_shape, "classes": classes, "theme": theme}
    figure = edges(frames[0], title=title, **look)
    axes = figure.axes[0]
    lines = axes.findobj(LineCollection)[0]
    rings = axes.findobj(EllipseCollection)[-1]
    legend = figure.axes[1]
    legend.set_xticks([])
    legend.set_xlabel(f"{unit}; every frame has its own scale", color=theme.ink, fontsize=10)
    curve = quiet(figure.add_axes((0.80, 0.035, 0.17, 0.06)), theme)
    places = np.maximum(steps, 0.5)
    curve.plot(places, costs, color=theme.negative, linewidth=1.5)
    (dot,) = curve.plot(places[:1], costs[:1], "o", color=theme.ink, markersize=7, clip_on=False)
    curve.set(xscale="log", yscale="log")
    curve.minorticks_off()
    grid(curve, theme, "", "cost")
    curve.tick_params(labelsize=7)

    first = [np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*frames[0], strict=True)]
    order = [np.argsort(np.abs(values), kind="stable") for values in first]
    back = [np.argsort(positions) for positions in order]
    segments = np.array(lines.get_segments())[back[0]]
    spots = np.asarray(rings.get_offsets())[back[1]]
    fine = fineness(frames[0])

    def draw(i: int) -> list[Any]:
        weights, biases = (np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*frames[i], strict=True))
        largest = float(max(np.abs(weights).max(), np.abs(biases).max())) or 1.0
        for artist, values in ((lines, weights), (rings, biases)):
            artist.set_norm(signed_power(largest, 0.5))
            artist.set_array(values[np.argsort(np.abs(values), kind="stable")])
        order = np.argsort(np.abs(weights), kind="stable")
        strength = (np.abs(weights[order]) / largest) ** 0.5
        lines.set(segments=list(segments[order]), linewidths=fine[order] * edge_width(strength))
        order = np.argsort(np.abs(biases), kind="stable")
        rings.set(offsets=spots[order], linewidths=ring_width((np.abs(biases[order]) / largest) ** 0.5))
        dot.set_data(places[i : i + 1], costs[i : i + 1])
        figure.suptitle(
            f"{title}   step {steps[i]:,}, largest {largest:.2g}", color=theme.ink, fontsize=14, fontweight="bold",
            y=1 - 0.1 / figure.get_figheight(),
        )  # fmt: skip
        return [lines, rings, dot]

    return FuncAnimation(figure, draw, frames=len(frames), interval=1000 / fps, repeat=True)  # pyright: ignore[reportArgumentType]
