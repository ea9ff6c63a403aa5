"""Find the ink on a page: remove uneven light and ruled lines, and list each connected piece of ink."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

WINDOWS = (0.12, 0.4)
"""The sides of two windows that measure the background, as fractions of the page's shorter side.

The small window is for thin strokes under shadows. The large window is for thick strokes.
"""

FAINTEST = 0.09
"""The smallest contrast of ink. A contrast is the fraction of the paper's light that the ink takes away."""


class Piece(NamedTuple):
    """A connected piece of ink.

    Attributes:
        box: The place of the piece: top, left, bottom, right. The rows before bottom and the columns before right
            belong to the box.
        mask: Which pixels of the box are ink.
        level: How much darker (or lighter) than the background the ink is, 0..1.
        sharp: The fraction of the piece's outline where the gray really changes, 0..1. Shadows and folds have a small
            fraction.
        alone: The fraction of the piece's surroundings whose gray is closer to the background than to the ink, 0..1.
            The fraction is small for the inside of a 0.
        lined: The fraction of a thin ring around the piece whose gray is closer to the background than to the ink,
            0..1. The fraction is about half for the edge of a table or the step at a fold.
        steep: The median slope of the gray levels on the outline: the change for each pixel, divided by the difference
            between ink and background. The slope is small for shadows and for things that are out of focus.
        touches: Whether the piece touches the page's edge.
    """

    box: tuple[int, int, int, int]
    mask: Bool[np.ndarray, "height width"]
    level: float
    sharp: float
    alone: float
    lined: float
    steep: float
    touches: bool

    @property
    def height(self) -> int:
        """The number of rows of the box."""
        return self.box[2] - self.box[0]

    @property
    def width(self) -> int:
        """The number of columns of the box."""
        return self.box[3] - self.box[1]

    @property
    def size(self) -> int:
        """The longer side of the box."""
        return max(self.height, self.width)


class Layer(NamedTuple):
    """The ink that was found on a page with one window: either all dark ink or all light ink.

    Attributes:
        dark: Whether the ink is darker than the background.
        contrast: The difference between each pixel and its background, as a fraction of the brighter of the two.
        pieces: The pieces of ink.
    """

    dark: bool
    contrast: Float[np.ndarray, "height width"]
    pieces: list[Piece]


def layers(page: UInt8[np.ndarray, "height width"]) -> list[Layer]:
    """Search a page four times: for dark ink and for light ink, each with a small and a large window.

    The background of dark ink is a grayscale closing of the page. The background of light ink is a grayscale opening.
    Both backgrounds follow the edge of a shadow that is wider than the window, so the shadow disappears.
    """
    from scipy import ndimage

    gray = page.astype(np.float32)
    grain = 1.48 * float(np.median(np.abs(gray[1:, 1:] - gray[:-1, :-1]))) / 1.41
    smooth = ndimage.gaussian_filter(gray, min(1.0, max(page.shape) / 800) if grain < 6 else 1.2)
    slope = ndimage.gaussian_gradient_magnitude(gray, 1.0)
    found = []
    for part in WINDOWS:
        side = max(3, round(part * min(page.shape)))
        for dark in (True, False):
            ground = (ndimage.grey_closing if dark else ndimage.grey_opening)(smooth, (side, side), mode="nearest")
            difference = ground - smooth if dark else smooth - ground
            contrast = difference / (np.maximum(ground, smooth) + (8 if dark else 40))
            found.append(Layer(dark, contrast, _pieces(contrast, difference, slope, smooth if dark else 255 - smooth)))
    return found


def _pieces(contrast: np.ndarray, difference: np.ndarray, slope: np.ndarray, gray: np.ndarray) -> list[Piece]:
    middle = float(np.median(contrast))
    noise = 1.48 * float(np.median(np.abs(contrast - middle)))
    faint = contrast > max(FAINTEST, min(0.4, middle + 7 * noise))
    smallest = max(6, round(0.01 * max(contrast.shape)))
    ink = np.zeros(faint.shape, bool)
    for window, mask in _components(faint, smallest):
        levels = contrast[window][mask]
        ink[window] |= mask & (contrast[window] > 0.45 * np.percentile(levels, 97))
    ink = unruled(ink)
    pieces = []
    for window, mask in _components(ink, smallest):
        top, left = window[0].start, window[1].start
        box = (top, left, window[0].stop, window[1].stop)
        level = float(np.percentile(contrast[window][mask], 75))
        touches = top <= 1 or left <= 1 or box[2] >= ink.shape[0] - 1 or box[3] >= ink.shape[1] - 1
        sharp, steep = _sharp(box, mask, difference, slope)
        alone, lined = _surroundings(box, mask, difference, gray) if sharp > 0.5 else (0.0, 0.0)
        pieces.append(Piece(box, mask, level, sharp, alone, lined, steep, touches))
    return pieces


def _components(ink: np.ndarray, smallest: int) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    from scipy import ndimage

    numbered = np.zeros(ink.shape, np.int32)
    ndimage.label(ink, structure=np.ones((3, 3)), output=numbered)
    return [
        (window, numbered[window] == number)
        for number, window in enumerate(ndimage.find_objects(numbered), start=1)
        if window is not None and max(side.stop - side.start for side in window) >= smallest
    ]


def _sharp(
    box: tuple[int, int, int, int], mask: np.ndarray, difference: np.ndarray, slope: np.ndarray
) -> tuple[float, float]:
    """Measure a piece's outline: the fraction of it where the gray changes quickly, and how steeply the gray changes.

    A change is quick if it needs at most ten pixels, or at most a fifth of the piece's size. The larger limit counts.
    """
    from scipy import ndimage

    outline = mask & ~np.asarray(ndimage.binary_erosion(mask), bool)
    window = np.s_[box[0] : box[2], box[1] : box[3]]
    level = max(float(np.percentile(difference[window][mask], 75)), 1e-6)
    near = slope[window]
    # The middle of a thin line is flat, so the pixels beside it count too.
    if outline.sum() > 0.8 * mask.sum():
        near = np.asarray(ndimage.maximum_filter(near, 3))
    slopes = near[outline] / level
    if not slopes.size:
        return 0.0, 0.0
    return float((slopes > min(0.1, 5 / max(mask.shape))).mean()), float(np.median(slopes))


def _surroundings(
    box: tuple[int, int, int, int], mask: np.ndarray, difference: np.ndarray, gray: np.ndarray
) -> tuple[float, float]:
    from scipy import ndimage

    reach = max(mask.shape) // 3 + 3
    top, left = max(0, box[0] - reach), max(0, box[1] - reach)
    around = gray[top : box[2] + reach, left : box[3] + reach]
    ink = np.zeros(around.shape, bool)
    ink[box[0] - top : box[2] - top, box[1] - left : box[3] - left] = mask
    window = np.s_[box[0] : box[2], box[1] : box[3]]
    ground = around > np.median(gray[window][mask]) + 0.4 * np.median(difference[window][mask])
    near = max(2, round(0.03 * max(mask.shape)))
    inner = np.asarray(ndimage.binary_dilation(ink, np.ones((3, 3), bool), iterations=near), bool)
    outline = np.asarray(ndimage.binary_dilation(inner, np.ones((3, 3), bool), iterations=2), bool) & ~inner
    return float(ground[~ink].mean()) if not ink.all() else 0.0, float(ground[outline].mean()) if outline.any() else 0.0


def unruled(ink: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Remove the lines of ruled and squared paper. Such lines are straight, thin and nearly as long as the page.

    A single line stays. The mask is sheared by small angles, so that tilted lines become horizontal. A line is then a
    narrow peak in the number of ink pixels of a row. A straight or slanted stroke that crosses a line stays,
    because its length across the line is larger than the thickness of the line.
    """
    return _without_rows(_without_rows(ink).T).T


TILTS = np.arange(-0.096, 0.097, 0.008)
"""The slopes at which lines are searched."""


def _without_rows(ink: np.ndarray) -> np.ndarray:
    found = _lines(ink)
    if found is None:
        return ink
    band, long = found
    return ink & (~band | _crossing(ink, long))


def _lines(ink: np.ndarray) -> tuple[np.ndarray, int] | None:
    """The pixels of lines, and a length that is larger than the thickness of any line.

    Without lines, the result is None.
    """
    from scipy import ndimage

    factor = max(1, max(ink.shape) // 400)
    padded = np.pad(ink, [(0, -side % factor) for side in ink.shape])
    small = np.asarray(padded.reshape(padded.shape[0] // factor, factor, -1, factor).any((1, 3)))
    small[1:] |= small[:-1]
    height, width = small.shape
    rows, columns = np.nonzero(small)
    if not rows.size:
        return None
    thick = max(2, round(0.012 * max(height, width)))
    best, lines = 0.0, None
    for tilt in TILTS:
        at = np.round(rows + tilt * (columns - width / 2)).astype(int)
        inside = (at >= 0) & (at < height)
        counts = np.bincount(at[inside], minlength=height) / width
        peak = counts - np.maximum(np.roll(counts, thick + 2), np.roll(counts, -thick - 2))
        # A line fills its own row, but not the rows a little above and below.
        strong = (counts > 0.55) & (peak > 0.3)
        energy = float((counts[strong] ** 2).sum())
        if strong.any() and energy > best:
            best, lines = energy, (tilt, strong, (counts > 0.3) & (peak > 0.2))
    if lines is None:
        return None
    tilt, strong, likely = lines
    starts = np.flatnonzero(strong & ~np.roll(strong, 1))
    if len(starts) < 2:
        return None
    strong |= likely  # there are at least two lines, so shorter lines with the same tilt count too
    near = np.asarray(ndimage.binary_dilation(strong, iterations=1), bool)
    at = np.round(np.arange(height)[:, None] + tilt * (np.arange(width) - width / 2)).astype(int)
    band = near[at.clip(0, height - 1)] & (at >= 0) & (at < height)
    band = band.repeat(factor, 0).repeat(factor, 1)[: ink.shape[0], : ink.shape[1]]
    return band, (thick + 1) * factor


SLANTS = np.arange(-1.2, 1.3, 0.3)
"""The slants of strokes that cross a line: how many pixels a stroke moves sideways for each pixel down."""


def _crossing(ink: np.ndarray, long: int) -> np.ndarray:
    """The ink in straight or slanted strokes that go down by `long` pixels. Every line is thinner than `long` pixels.

    First, all ink is widened to the left and right, because no slant fits a thin stroke exactly. Horizontal lines do
    not become thicker when they are widened to the left and right.
    """
    padded = np.pad(ink, 2 * long)
    wide = padded.copy()
    for shift in (1, 2):
        wide |= np.roll(padded, shift, 1) | np.roll(padded, -shift, 1)
    found = np.zeros_like(wide)
    for slant in SLANTS:
        steps = [(down, round(slant * down)) for down in range(long)]
        whole = wide.copy()
        for down, aside in steps:
            whole &= np.roll(wide, (-down, -aside), (0, 1))
        if whole.any():
            for down, aside in steps:
                found |= np.roll(whole, (down, aside), (0, 1))
    found &= np.roll(found, 1, 1) & np.roll(found, -1, 1)  # remove the line's pixels beside the stroke
    return ink & found[2 * long : -2 * long, 2 * long : -2 * long]
