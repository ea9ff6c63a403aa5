"""Animations of descents: balls on a curve, and a race down a surface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from jaxnet.plot.style import DARK, Theme, grid, headline, quiet
from jaxnet.plot.surface import contours, relief


def rolling(
    x: Any,
    y: Any,
    positions: Any,
    values: Any,
    names: Sequence[str],
    *,
    title: str = "",
    fps: int = 8,
    theme: Theme = DARK,
) -> FuncAnimation:
    """Animate balls that go down one curve with different step sizes. Each frame is one step.

    Args:
        x: The places of the curve, (place,).
        y: The heights of the curve, (place,).
        positions: The place of each ball, (ball, step).
        values: The height of each ball, (ball, step).
        names: The names of the balls.
        title: The headline.
        fps: Frames a second.
        theme: DARK or LIGHT.

    Returns:
        A matplotlib animation with one panel for each ball. The earlier places of the ball are a trail.
    """
    positions, values = np.asarray(positions), np.asarray(values)
    figure = Figure(figsize=(10, 5.6), facecolor=theme.ground, layout="constrained")
    columns = 2 if len(names) > 1 else 1
    panels = np.atleast_1d(figure.subplots(-(-len(names) // columns), columns, sharex=True, sharey=True)).ravel()
    moving = []
    for i, (axes, name) in enumerate(zip(panels, names, strict=False)):
        quiet(axes, theme).plot(x, y, color=theme.faint, linewidth=2)
        color = theme.series[i % len(theme.series)]
        (trail,) = axes.plot([], [], "o-", color=color, markersize=3, linewidth=0.7, alpha=0.55)
        (ball,) = axes.plot([], [], "o", color=color, markersize=12, markeredgecolor=theme.ink)
        axes.set_title(name, color=theme.ink, fontsize=11)
        grid(axes, theme, "x" if i >= len(names) - columns else "", "height" if i % columns == 0 else "")
        moving.append((trail, ball))
    headline(figure, title, theme)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # compute the layout once, not for every frame

    def draw(step: int) -> list[Any]:
        for i, (trail, ball) in enumerate(moving):
            trail.set_data(positions[i, : step + 1], values[i, : step + 1])
            ball.set_data(positions[i, step : step + 1], values[i, step : step + 1])
        return [artist for pair in moving for artist in pair]

    return FuncAnimation(figure, draw, frames=positions.shape[1], interval=1000 / fps, repeat=True)  # pyright: ignore[reportArgumentType]


def race(
    x: Any, y: Any, z: Any, paths: Any, values: Any, names: Sequence[str], *, title: str = "", fps: int = 8, every: int = 1,
    theme: Theme = DARK,
) -> FuncAnimation:  # fmt: skip
    """Animate several methods that go down one surface from one start.

    Args:
        x: The places on the x-axis, (column,).
        y: The places on the y-axis, (row,).
        z: The heights of the surface, (row, column).
        paths: The places of each method, (method, step, 2).
        values: The heights of the paths, (method, step).
        names: The names of the methods.
        title: The headline.
        fps: Frames a second.
        every: The number of steps from one frame to the next.
        theme: DARK or LIGHT.

    Returns:
        A matplotlib animation. The surface is on the left, and its map is on the right (low is dark). Both show the path of
        every method.
    """
    paths, values = np.asarray(paths), np.asarray(values)
    figure = Figure(figsize=(9.6, 4.4), facecolor=theme.ground)
    left: Any = figure.add_axes((0.0, 0.02, 0.5, 0.86), projection="3d")
    relief(left, x, y, z, theme, names=("x", "y", "height")).view_init(48, -62)
    right = quiet(figure.add_axes((0.58, 0.12, 0.4, 0.74)), theme)
    contours(right, x, y, z, theme)
    grid(right, theme, "x", "y")
    right.grid(False)
    colors, lines, moving = (theme.negative, *theme.series[2:]), [], []
    for name, color in zip(names, colors, strict=False):
        (solid,) = left.plot([], [], [], "-", color=color, linewidth=2, zorder=5)
        (head,) = left.plot([], [], [], "o", color=color, markersize=8, zorder=6)
        (line,) = right.plot([], [], ".-", color=color, linewidth=1.6, markersize=4, label=name)
        (dot,) = right.plot([], [], "o", color=color, markersize=10, markeredgecolor=theme.ground)
        lines += [(solid, slice(None)), (head, slice(-1, None))]
        moving += [(line, slice(None)), (dot, slice(-1, None))]
    right.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9, loc="lower left")

    def draw(frame: int) -> list[Any]:
        end = min(frame * every, paths.shape[1] - 1) + 1
        for i, (artist, part) in enumerate(lines):
            artist.set_data_3d(*paths[i // 2, :end].T[:, part], values[i // 2, :end][part])
        for i, (artist, part) in enumerate(moving):
            artist.set_data(*paths[i // 2, :end].T[:, part])
        headline(figure, f"{title}   step {end - 1}", theme)
        return [artist for artist, _ in lines + moving]

    frames = -(-(paths.shape[1] - 1) // every) + 1
    return FuncAnimation(figure, draw, frames=frames, interval=1000 / fps, repeat=True)  # pyright: ignore[reportArgumentType]
