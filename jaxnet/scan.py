"""From a photo or scan of one digit to the 28x28 pixels that MNIST would have made of it."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

SIDE, BOX = 28, 20
CENTER = 14.0
"""Where the center of mass of MNIST digits lies, counted in pixels from 0: measured, the middle 90 % within half a pixel."""


def read(path: str | Path) -> UInt8[np.ndarray, "height width"]:
    """Read a picture file as gray levels, turned as the camera meant it, transparent parts white.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith("I"):  # 16 bits a pixel
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            upright = upright.convert("RGBA")
            paper = Image.new("RGBA", upright.size, "white")
            return np.asarray(Image.alpha_composite(paper, upright).convert("L"))
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is not a picture that Pillow can read ({error}); save it as PNG or JPEG") from error


def as_mnist(page: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "28 28"]:
    """Find the digit on a page and size, center and shade it as MNIST's were.

    Ink may be darker or lighter than the paper. It is told from the paper by Otsu's threshold after a light blur,
    specks are dropped, the rest is scaled to fit 20x20 with its proportions kept and put with its center of mass at
    the place where MNIST has it in 28x28.

    Args:
        page: Gray levels of a picture with one digit.

    Returns:
        White on black, as the network reads it.

    Raises:
        ValueError: If there is no ink, or the picture is smaller than 8 pixels.

    Source: LeCun et al., 1998, section III.A, for size and centering.
    """
    from PIL import Image
    from scipy import ndimage

    if min(page.shape) < 8:
        raise ValueError(f"a picture of a digit needs at least 8x8 pixels, got {page.shape[1]}x{page.shape[0]}")
    ink = _ink(page.astype(np.float64))
    blurred = ndimage.gaussian_filter(ink, max(page.shape) / 150)
    dark = blurred > otsu(blurred)
    pieces = np.zeros(dark.shape, np.int32)
    ndimage.label(dark, structure=np.ones((3, 3)), output=pieces)
    count = int(pieces.max())
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    areas[0] = 0
    if not count or areas.max() < 4 or dark.mean() > 0.8:
        raise ValueError("there is no digit to be seen: the picture has no ink that stands out from the paper")
    stroke = np.isin(pieces, np.flatnonzero(areas >= 0.05 * areas.max()))
    near = np.asarray(ndimage.binary_dilation(stroke, iterations=max(1, round(max(page.shape) / 100))), bool)
    full = np.percentile(ink[stroke], 75)
    floor = np.percentile(ink[~near], 95) if (~near).any() else 0.0
    shade = np.where(near, np.clip((ink - floor) / max(full - floor, 1e-9), 0, 1), 0)
    rows, columns = np.flatnonzero(stroke.any(1)), np.flatnonzero(stroke.any(0))
    cut = shade[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cut.shape)
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    filtered = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(cut.astype(np.float32)).resize(size, filtered))
    return _centered(np.clip(small, 0, 1))


def as_text(image: UInt8[np.ndarray, "height width"]) -> str:
    """Draw an image with characters, two pixels above each other in one: what a terminal can show.

    Examples:
        >>> print(as_text(np.array([[0, 255, 0], [255, 255, 0]], np.uint8)))
        ▄█
    """
    lit = np.vstack([image, np.zeros((len(image) % 2, image.shape[1]), np.uint8)]) >= 96
    signs = np.array([" ", "▄", "▀", "█"])[2 * lit[::2].astype(int) + lit[1::2]]
    return "\n".join("".join(row).rstrip() for row in signs)


def _ink(page: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """How far every pixel is from the paper, towards whichever side, dark or light, the ink lies."""
    paper = np.median(page)
    darker, lighter = paper - np.percentile(page, 1), np.percentile(page, 99) - paper
    return np.clip(paper - page if darker >= lighter else page - paper, 0, None)


def otsu(values: Float[np.ndarray, "height width"]) -> float:
    """The threshold that parts values into two classes with the largest variance between them (Otsu, 1979)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    weighted = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (weighted / below - (weighted[-1] - weighted) / above) ** 2
    return float(middles[np.nanargmax(np.where(np.isfinite(between), between, -1))])


def _centered(small: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "28 28"]:
    total = max(small.sum(), 1e-9)
    mass = [(small.sum(1 - axis) * np.arange(small.shape[axis])).sum() / total for axis in (0, 1)]
    top, left = (
        min(max(math.floor(CENTER - center + 0.5), 0), SIDE - length)
        for center, length in zip(mass, small.shape, strict=True)
    )
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[top : top + small.shape[0], left : left + small.shape[1]] = np.round(small * 255)
    return out
