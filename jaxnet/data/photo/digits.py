"""Find one drawn digit on a page, cut it out, and describe what is unusual about it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from jaxnet.data.photo.ink import Layer, Piece, layers

DETECTED = 800
"""Before the search, the page is shrunk by a whole factor, so that its longer side has at most this many pixels."""

CLOSE = 80
"""If the longer side of a digit has fewer pixels than this on the shrunk page, it is searched again on the full page."""

SMALLEST = 8
"""The smallest side of a page, in pixels."""

NOTHING = "there is no digit to be seen: nothing stands out from the background"
SEVERAL = "there is more than one digit; only the largest was recognized"
EDGE = "the digit touches the edge of the picture; part of it may be missing"
FAINT = "the digit that was found is faint and small; it may be a trace of a ruled line, a fold or a shadow"

FAINTEST_SCORE, FAINT_LEVEL = 0.1, 0.4
"""If a digit has a smaller score and a smaller level of ink than these numbers, it gets the remark `FAINT`.

On 105 pages with a digit, only one digit has a smaller score. On 7 blank pages a digit was found by mistake, and all
these 7 digits have a smaller score.
"""


class Drawn(NamedTuple):
    """A digit that was found on a page.

    Attributes:
        mask: The digit's ink, cut out without margins.
        remarks: What is unusual about the digit, in words.
        box: The digit's place on the page: top, left, bottom, right, in pixels.
    """

    mask: Bool[np.ndarray, "height width"]
    remarks: tuple[str, ...]
    box: tuple[int, int, int, int]


def find(page: UInt8[np.ndarray, "height width"]) -> Drawn:
    """Find the one digit on a page, in any light, on any paper and with any pen.

    Shadows, folds, the desk, ruled lines, a box around the digit and things at the edge are recognized by their
    outlines, and are left out.

    Args:
        page: Gray levels. The ink may be darker or lighter than the background.

    Returns:
        The digit as a mask, with remarks. The remarks say if there are several digits, if the digit touches the edge,
        or if the mask may show no digit.

    Raises:
        ValueError: If nothing is drawn on the page, or a side of the page has fewer than 8 pixels.
    """
    if min(page.shape) < SMALLEST:
        raise ValueError(
            f"a picture of a digit needs at least {SMALLEST}x{SMALLEST} pixels, got {page.shape[1]}x{page.shape[0]}"
        )
    factor = max(1, -(-max(page.shape) // DETECTED))
    found = _find(_reduced(page, factor))
    if found is None:
        raise ValueError(NOTHING)
    mask, remarks, small = found
    top, left, bottom, right = (factor * side for side in small)
    if factor > 1 and max(small[2] - small[0], small[3] - small[1]) < CLOSE:
        margin = max(bottom - top, right - left)
        above, before = max(0, top - margin), max(0, left - margin)
        closer = _find(page[above : bottom + margin, before : right + margin])
        if closer is not None:
            box = closer[2]
            if 0.6 < max(box[2] - box[0], box[3] - box[1]) / margin < 1.5:
                mask = closer[0]
                top, left, bottom, right = box[0] + above, box[1] + before, box[2] + above, box[3] + before
    return Drawn(mask, remarks, (top, left, bottom, right))


def _reduced(page: np.ndarray, factor: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(page).reduce(factor)) if factor > 1 else page


def _find(page: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], tuple[int, int, int, int]] | None:
    readings = _without_frames(layers(page), page.shape)
    ranked = sorted(
        (
            (_score(piece, page.shape), piece, layer)
            for layer in readings
            for piece in layer.pieces
            if _like_a_digit(piece, page.shape)
        ),
        key=lambda scored: -scored[0],
    )
    if not ranked or ranked[0][0] <= 0:
        return None
    score, main, layer = ranked[0]
    parts, others = _beside(main, layer, page.shape)
    remarks = (EDGE,) * any(part.touches for part in parts) + (SEVERAL,) * (len(others) > 0 or _wide(parts))
    remarks += (FAINT,) * (score < FAINTEST_SCORE and main.level < FAINT_LEVEL)
    top, left = min(p.box[0] for p in parts), min(p.box[1] for p in parts)
    bottom, right = max(p.box[2] for p in parts), max(p.box[3] for p in parts)
    mask = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        mask[part.box[0] - top : part.box[2] - top, part.box[1] - left : part.box[3] - left] |= part.mask
    if max(mask.shape) < CLOSE:
        mask = _smoothly_enlarged(layer.contrast, mask, (top, left))
    return mask, remarks, (top, left, bottom, right)


def _smoothly_enlarged(contrast: np.ndarray, mask: np.ndarray, at: tuple[int, int]) -> np.ndarray:
    """Make the mask of a small digit again, from its gray levels and at a higher resolution."""
    from PIL import Image
    from scipy import ndimage

    pad = 2
    rows, columns = mask.shape
    top, left = at
    part = np.pad(contrast, pad)[top : top + rows + 2 * pad, left : left + columns + 2 * pad]
    wide = np.pad(mask, pad)
    level = np.percentile(part[wide], 80)
    near = np.asarray(ndimage.binary_dilation(wide, np.ones((3, 3), bool)), bool)
    shade = np.where(near, part / level, 0).astype(np.float32)
    times = -(-2 * CLOSE // max(mask.shape))
    size = shade.shape[1] * times, shade.shape[0] * times
    large = np.asarray(Image.fromarray(shade).resize(size, Image.Resampling.BICUBIC)) > 0.5
    return cropped(large) if large.any() else mask


def cropped(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "rows columns"]:
    """Remove empty rows and columns around the mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def thickness(mask: Bool[np.ndarray, "height width"]) -> float:
    """The mean width of the strokes of a mask, in pixels: four times the mean distance to the background."""
    from scipy import ndimage

    return 4 * float(np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1][mask].mean()) - 1


def _like_a_digit(piece: Piece, page: tuple[int, ...]) -> bool:
    if (
        piece.size < max(8, 0.012 * max(page))
        or min(piece.sharp, piece.lined) < 0.7
        or piece.alone < 0.4
        or piece.width > 2.6 * piece.height
    ):
        return False
    if piece.touches and (piece.size > 0.9 * max(page) or _sides_touched(piece, page) > 1):
        return False
    stroke = thickness(piece.mask)
    if stroke > 0.5 * piece.size:
        return False
    if piece.height > 25 * piece.width:  # the edge of a ruler, or a fold
        return False
    return float(piece.mask.mean()) < 0.85 or piece.height > 2 * piece.width


def _without_frames(readings: list[Layer], page: tuple[int, ...]) -> list[Layer]:
    """Remove drawn frames from the layers, and also parts of frames that another layer shows completely."""
    frames = np.zeros(page, bool)
    for piece in (piece for layer in readings for piece in layer.pieces if _is_box(piece)):
        frames[piece.box[0] : piece.box[2], piece.box[1] : piece.box[3]] |= piece.mask
    if not frames.any():
        return readings
    part = lambda piece: float(frames[piece.box[0] : piece.box[2], piece.box[1] : piece.box[3]][piece.mask].mean())
    return [layer._replace(pieces=[piece for piece in layer.pieces if part(piece) < 0.7]) for layer in readings]


def _sides_touched(piece: Piece, page: tuple[int, ...]) -> int:
    top, left, bottom, right = piece.box
    return (top <= 1) + (left <= 1) + (bottom >= page[0] - 1) + (right >= page[1] - 1)


def _is_box(piece: Piece) -> bool:
    """Whether the piece is a drawn frame, with ink in all four corners and along all four sides."""
    rows, columns = max(1, round(0.12 * piece.height)), max(1, round(0.12 * piece.width))
    mask = piece.mask
    corners = (mask[:rows, :columns], mask[:rows, -columns:], mask[-rows:, :columns], mask[-rows:, -columns:])
    sides = (mask[:rows].any(0), mask[-rows:].any(0), mask[:, :columns].any(1), mask[:, -columns:].any(1))
    hollow = float(mask.mean()) < 0.5
    return hollow and all(corner.any() for corner in corners) and min(float(side.mean()) for side in sides) > 0.85


def _score(piece: Piece, page: tuple[int, ...]) -> float:
    in_focus = min(1.0, piece.steep / 0.1)
    return (
        piece.sharp**2 * piece.level**0.5 * in_focus * (piece.size / max(page)) ** 0.7 * (0.3 if piece.touches else 1)
    )


def _beside(main: Piece, layer: Layer, page: tuple[int, ...]) -> tuple[list[Piece], list[Piece]]:
    """The pieces that belong to the digit of the main piece, and the pieces that are other digits."""
    parts, others = [main], []
    for piece in layer.pieces:
        if piece is main or piece.sharp < 0.6 or piece.level < 0.5 * main.level:
            continue
        gap_y = max(piece.box[0] - main.box[2], main.box[0] - piece.box[2])
        gap_x = max(piece.box[1] - main.box[3], main.box[1] - piece.box[3])
        gap = max(gap_y, gap_x, 0)
        narrower = min(piece.width, main.width)
        together = -gap_x >= 0.3 * narrower
        tall = piece.height >= 0.45 * main.height
        apart = gap_y > 0.12 * main.height and tall
        reach = 0.15 * main.size
        inside = piece.box[1] > main.box[1] - reach and piece.box[3] < main.box[3] + reach
        broken = gap <= max(3, 0.03 * main.size)  # a thin stroke with gaps, such as the two halves of a 0
        near = gap <= 0.2 * main.size and (together or not tall) and not apart and inside
        if not piece.touches and (broken or near):
            parts.append(piece)
        elif tall and _like_a_digit(piece, page) and not piece.touches and piece.steep > 0.3 * main.steep:
            # A second digit is about as sharp as the first; a finger's shadow is less sharp.
            others.append(piece)
    return parts, others


def _wide(parts: list[Piece]) -> bool:
    height = max(p.box[2] for p in parts) - min(p.box[0] for p in parts)
    return max(p.box[3] for p in parts) - min(p.box[1] for p in parts) > 1.5 * height
