"""The style of all pictures: two themes, and the colors of positive and negative values."""

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font


class Theme(NamedTuple):
    """Colors of a picture.

    Attributes:
        ground: The background.
        ink: Text and outlines.
        faint: Grid lines and other less important marks.
        positive: Values above zero: blue. Color-blind readers can tell this blue from the orange of `negative`.
        negative: Values below zero: orange.
        gray: The colormap of pixels, from 0 to 1.
        series: The colors of lines with different meanings. Color-blind readers can tell these colors apart.
    """

    ground: str
    ink: str
    faint: str
    positive: str
    negative: str
    gray: str
    series: tuple[str, ...]


DARK = Theme(
    "#0d1117", "#e6edf3", "#484f58", "#58c4dd", "#ff8c42", "gray",
    ("#58c4dd", "#ff8c42", "#f0e442", "#2fbf8f", "#d98ac4", "#b8c0cc", "#7d9cff"),
)  # fmt: skip
"""The theme for screens, with the film's colors."""

LIGHT = Theme(
    "#ffffff", "#1f2328", "#c9d1d9", "#0969a8", "#c4500b", "gray_r",
    ("#0969a8", "#c4500b", "#8a7a00", "#00765a", "#9b3f82", "#5a6270", "#3a4fc4"),
)  # fmt: skip
"""The theme for print."""


FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
    "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil",
    "Noto Sans Thai", "Arial", "Segoe UI", "Nirmala UI", "Leelawadee UI", "Arial Unicode MS", "Symbola",
)  # fmt: skip
"""Font families for letters that matplotlib's own font lacks. The first family that has the letters is used."""

SHAPES_TEXT = matplotlib.__version_info__ >= (3, 11)
"""Whether matplotlib joins Arabic letters and writes from right to left."""


def legible(names: Iterable[str]) -> list[str]:
    r"""Prepare names for a picture: escape dollar signs, and replace names that no font can draw.

    Draw the names with `lettering(names)`, which chooses the fonts.

    Args:
        names: The names of the classes, in their order.

    Returns:
        Names to draw. `$` is escaped, so that matplotlib does not read mathematics. If no font
        has the letters of a name, the number of the class replaces the name, for example `#3`.

    Examples:
        >>> legible(["a", "$5", "\uffff"])
        ['a', '\\$5', '#2']
    """
    shown = [_kept_apart(name) if _can_draw(name) else f"#{i}" for i, name in enumerate(names)]
    return [re.sub(r"(?<!\\)\$", r"\\$", name) for name in shown]


MOST_CLASSES = 40
"""A picture shows at most this many classes: the classes with the largest values."""


def largest_classes(values: Any, *always: int) -> np.ndarray:
    """The positions of the classes to show, in order. If there are more than 40, `always` and the largest values are shown."""
    values = np.asarray(values)
    if len(values) <= MOST_CLASSES:
        return np.arange(len(values))
    first = [*dict.fromkeys([*always, *np.argsort(-values, kind="stable").tolist()])]
    return np.sort(np.array(first[:MOST_CLASSES]))


def lettering(texts: Iterable[str]) -> dict[str, Any]:
    """Find the argument `family` for texts with letters that matplotlib's own font lacks.

    For other texts the result is empty.

    Args:
        texts: The texts to draw.

    Returns:
        Keyword arguments for `axes.text`, `axes.set_xticks` and other functions that draw text.
    """
    lacking = _lacking("".join(texts))
    fonts = [family for family in FALLBACKS if lacking & _letters_of(family)] if lacking else []
    return {"family": [*matplotlib.rcParams["font.family"], *fonts]} if fonts else {}


LEFT_TO_RIGHT = "\u200e"
"""An invisible mark. The text beside this mark is written from left to right."""


def _from_the_right(name: str) -> bool:
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)


def _kept_apart(name: str) -> str:
    """Put marks around a right-to-left name, so that the words around the name keep their order."""
    return f"{LEFT_TO_RIGHT}{name}{LEFT_TO_RIGHT}" if _from_the_right(name) else name


def _can_draw(name: str) -> bool:
    if not SHAPES_TEXT and _from_the_right(name):
        return False
    lacking = _lacking(name)
    return not lacking or lacking <= frozenset().union(*map(_letters_of, FALLBACKS))


def _lacking(text: str) -> set[int]:
    """The letters of a text that are missing in matplotlib's own font. Line breaks do not count as letters."""
    return {ord(letter) for letter in text if letter not in ("\n", LEFT_TO_RIGHT)} - _letters_in(
        findfont(FontProperties())
    )


def _letters_of(family: str) -> frozenset[int]:
    """The letters of a font family. If this machine does not have the family, the set is empty."""
    if family not in _families():
        return frozenset()
    return _letters_in(findfont(FontProperties(family=[family])))


@cache
def _letters_in(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())


@cache
def _families() -> frozenset[str]:
    """The font families that matplotlib can use."""
    known = {font.fname for font in fontManager.ttflist}
    # Matplotlib caches its list of fonts. Fonts that were installed later are not on the list.
    for path in sorted(set(findSystemFonts()) - known):
        with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError):  # skip a font that cannot be read
            fontManager.addfont(path)
    return frozenset(font.name for font in fontManager.ttflist)


def canvas(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure with this width and height in inches, on the theme's background. Its layout makes room for labels."""
    return Figure(figsize=(width, height), facecolor=theme.ground, layout="constrained")


def sheet(width: float, height: float, theme: Theme, *, below: float = 0.0) -> tuple[Figure, Axes]:
    """A figure with one picture without a frame. It has a headline, and `below` inches for a legend."""
    figure = Figure(figsize=(width, height), facecolor=theme.ground)
    top = 0.45 / height
    return figure, quiet(figure.add_axes((0, below / height, 1, 1 - top - below / height)), theme, frame=False)


def quiet(axes: Axes, theme: Theme, *, frame: bool = True) -> Axes:
    """Give axes the theme's colors. If `frame` is False, everything except the picture is hidden."""
    axes.set_facecolor(theme.ground)
    axes.tick_params(colors=theme.ink, which="both", labelsize=9)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.ink)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    axes.spines[["top", "right"]].set_visible(False)
    if not frame:
        axes.set_axis_off()
    return axes


def headline(figure: Figure, text: str, theme: Theme) -> None:
    """Write the headline above the picture. It tells the main idea of the picture."""
    # A canvas makes room for the headline only if no place is given.
    place = {} if figure.get_layout_engine() else {"y": 1 - 0.1 / figure.get_figheight()}
    figure.suptitle(text, color=theme.ink, fontsize=14, fontweight="bold", **place, **lettering([text]))


def signed(theme: Theme, *, floor: float = 0.0) -> LinearSegmentedColormap:
    """A colormap from the negative color to the positive color. Both ends are opaque, and zero has the opacity `floor`."""
    minus, plus = to_rgb(theme.negative), to_rgb(theme.positive)
    stops = [(0, (*minus, 1)), (0.5, (*minus, floor)), (0.5, (*plus, floor)), (1, (*plus, 1))]
    return LinearSegmentedColormap.from_list("minus-plus", stops, N=1024)


def signed_power(largest: float, exponent: float | int) -> FuncNorm:
    """Map -largest..largest to 0..1 with zero in the middle, by sign * (magnitude / largest) ** exponent."""
    return FuncNorm(
        (
            lambda v: np.sign(v) * (np.abs(v) / largest) ** exponent,
            lambda u: np.sign(u) * np.abs(u) ** (1 / exponent) * largest,
        ),
        vmin=-largest,
        vmax=largest,
    )


def legend(figure: Figure, unit: str, norm: FuncNorm, theme: Theme) -> None:
    """Draw a color bar at the bottom of a `sheet`."""
    width, height = figure.get_size_inches()
    room = figure.add_axes((0.5 - 2.4 / width, 0.48 / height, 4.8 / width, 0.13 / height))
    bar = figure.colorbar(ScalarMappable(norm, signed(theme)), cax=room, orientation="horizontal")
    largest = float(norm.vmax or 0)
    bar.set_ticks([-largest, -largest / 4, 0, largest / 4, largest])
    bar.ax.set_xticklabels([f"{tick:.2g}" for tick in bar.get_ticks()], color=theme.ink, fontsize=9)
    bar.ax.set_facecolor(theme.ground)
    bar.ax.tick_params(color=theme.faint)
    bar.set_label(unit, color=theme.ink, fontsize=10)
    bar.outline.set_edgecolor(theme.faint)  # pyright: ignore[reportCallIssue]


def grid(axes: Axes, theme: Theme, x: str, y: str) -> None:
    """Write the names and units of both axes, and draw faint grid lines."""
    axes.set_xlabel(x, color=theme.ink)
    axes.set_ylabel(y, color=theme.ink)
    axes.grid(color=theme.faint, alpha=0.3)
    axes.set_axisbelow(True)


def key(axes: Axes, theme: Theme, **where: Any) -> None:
    """Draw a legend in the theme's colors."""
    axes.legend(facecolor=theme.ground, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9, **where)


class Picture(NamedTuple):
    """A figure and its caption."""

    figure: Figure
    caption: str
