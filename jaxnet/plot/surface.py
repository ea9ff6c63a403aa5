"""Surfaces in three dimensions and as contour maps, in the theme's colors."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap

from jaxnet.plot.style import DARK, Theme


def heights(theme: Theme) -> LinearSegmentedColormap:
    """The colormap of heights: from dark blue (low) to the theme's ink (high)."""
    low = "#0b1f3a" if theme.ground == DARK.ground else "#dcebf7"
    return LinearSegmentedColormap.from_list("heights", [low, theme.positive, theme.ink])


def relief(axes: Any, x: Any, y: Any, z: Any, theme: Theme, *, names: tuple[str, str, str] = ("x", "y", "")) -> Any:
    """Draw a surface on 3-D axes, all in the theme's colors.

    Args:
        axes: Axes made with `projection="3d"`.
        x: (column,), the places along the first axis.
        y: (row,), the places along the second axis.
        z: (row, column), the heights.
        theme: DARK or LIGHT.
        names: The names of the three axes.
    """
    across, up = np.meshgrid(x, y)
    axes.plot_surface(
        across, up, z, cmap=heights(theme), alpha=0.75, linewidth=0, antialiased=True, rcount=50, ccount=50, zorder=1
    )  # fmt: skip
    axes.set_facecolor(theme.ground)
    for axis, name in zip((axes.xaxis, axes.yaxis, axes.zaxis), names, strict=True):
        axis.set_pane_color((0, 0, 0, 0))
        axis._axinfo["grid"].update(color=theme.faint, linewidth=0.4)
        axis.line.set_color(theme.faint)
        axis.label.set_color(theme.ink)
        axis.set_tick_params(colors=theme.ink, labelsize=8)
        axis.set_label_text(name)
    return axes


def contours(axes: Axes, x: Any, y: Any, z: Any, theme: Theme, *, levels: Any = None) -> Any:
    """Draw a surface as filled contours with fine lines. Low levels are dark, and every level has its own color."""
    levels = np.linspace(np.min(z), np.max(z), 19) if levels is None else np.asarray(levels)
    colors = heights(theme)
    drawn = axes.contourf(x, y, z, levels=levels, cmap=colors, norm=BoundaryNorm(levels, colors.N), alpha=0.85)
    axes.contour(x, y, z, levels=levels, colors=theme.ground, linewidths=0.5, alpha=0.7)
    return drawn


def deep_levels(z: Any, number: int = 18) -> np.ndarray:
    """Choose levels that are closer together near the bottom, so that the bottom of a steep valley is visible."""
    z = np.asarray(z, np.float64)
    return z.min() + (z.max() - z.min()) * np.linspace(0, 1, number + 1) ** 3
