"""What the images of a data set have in common, so that a picture from elsewhere can be made to look like them."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

SAMPLED, PIXELS = 6000, 20_000_000
"""Images that are looked at, and how many pixels they may have together."""

COMPONENTS = 60
"""Directions of variance that the likeness keeps."""

FALSE_ALARMS = 0.005
"""The part of the training images, left out of the fit, that count as unlike the others."""


class Appearance(NamedTuple):
    """How the images of a data set look.

    Attributes:
        shape: Of one image.
        integer: Whether pixels are 0..255, else floats.
        low: The darkest pixel, to which black corresponds.
        high: The brightest pixel, to which white corresponds.
        mean: The mean of all pixels, 0..1 between `low` and `high`.
        ground: Median gray of the outermost pixels, 0..1: 0 for light things on black.
        ink: Gray of the things, 0..1: the 95th percentile of how far pixels are from the ground, taken from there.
        isolated: Whether every image shows one thing on an even ground; photos are not isolated.
        drawn: Whether the things are drawn with strokes: thin in proportion to their size.
        extent: Median of the longer side of a thing, as a part of the image's shorter side.
        center: Mean place of the center of mass, row and column, as parts of height and width.
        thickness: The 5th and 95th percentile of the width of the strokes, as parts of the longer side.
    """

    shape: tuple[int, ...]
    integer: bool
    low: float
    high: float
    mean: float
    ground: float
    ink: float
    isolated: bool
    drawn: bool
    extent: float
    center: tuple[float, float]
    thickness: tuple[float, float]


MNIST = Appearance((28, 28), True, 0.0, 255.0, 0.1307, 0.0, 1.0, True, True, 20 / 28, (0.5, 0.5), (0.085, 0.215))
"""The look of MNIST's training images, for runs that did not keep it."""


class Likeness(NamedTuple):
    """A normal distribution over small gray versions of the images: probabilistic principal components.

    Attributes:
        mean: Of the pixels.
        components: Directions of the largest variance, each divided by the standard deviation along it.
        rest: The variance along every other direction.
        limit: The squared distance that one in 200 of the training images left out of the fit exceeds.
    """

    mean: Float[np.ndarray, "pixel"]
    components: Float[np.ndarray, "component pixel"]
    rest: float
    limit: float


def sample(images: Any) -> Shaped[np.ndarray, "batch height width *channels"]:
    """Some of the images, drawn by chance, the same at every call: data sets often come in an order of their labels."""
    count = min(SAMPLED, max(200, PIXELS // int(np.prod(images.shape[1:]))))
    if len(images) <= count:
        return np.asarray(images)
    return np.asarray(images)[np.sort(np.random.default_rng(0).permutation(len(images))[:count])]


def look_of(images: Any) -> Appearance:
    """Measure how images look.

    Args:
        images: (batch, height, width), perhaps with channels behind them, as a `Batch` holds them.

    Examples:
        >>> from jaxnet import data
        >>> look = look_of(data.mnist().train.images)
        >>> look.isolated, look.drawn, look.ground, round(look.ink, 2), round(look.mean, 2)
        (True, True, 0.0, 0.99, 0.13)
    """
    from scipy import ndimage

    few = sample(images)
    integer = few.dtype == np.uint8
    low, high = (0.0, 255.0) if integer else (float(few.min()), float(few.max()))
    if not integer and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    gray = (few.astype(np.float32) - low) / max(high - low, 1e-9)
    mean = float(gray.mean())
    gray = gray if gray.ndim == 3 else gray[..., :3].mean(-1)
    border = np.concatenate([gray[:, 0], gray[:, -1], gray[:, :, 0], gray[:, :, -1]], axis=1)
    ground = float(np.median(border))
    away = gray - ground
    sign = 1.0 if float((away**3).mean()) >= 0 else -1.0
    away = np.clip(sign * away, 0, None)
    strong = np.percentile(away.reshape(len(away), -1), 99, axis=1)
    full = float(np.median(strong))
    ink = ground + sign * min(max(full, 1e-6), 1 - ground if sign > 0 else ground)
    isolated = full > 0.2 and float((np.abs(border - ground) < 0.15).mean()) > 0.8
    extents, centers, widths = [], [], []
    for thing in away[::12] if isolated else ():
        mask = thing > 0.5 * full
        if not mask.any():
            continue
        rows, columns = np.flatnonzero((thing > 0.1 * full).any(1)), np.flatnonzero((thing > 0.1 * full).any(0))
        size = max(np.ptp(rows), np.ptp(columns)) + 1
        extents.append(size / min(thing.shape))
        centers.append([(c + 0.5) / n for c, n in zip(ndimage.center_of_mass(thing), thing.shape, strict=True)])
        large = np.asarray(ndimage.zoom(thing, 4, order=1)) > 0.5 * full
        distance = np.asarray(ndimage.distance_transform_edt(np.pad(large, 1)))[1:-1, 1:-1]
        widths.append((4 * float(distance[large].mean()) - 1) / (4 * size))
    thin, wide = (float(width) for width in np.percentile(widths, (5, 95))) if widths else (0.0, 1.0)
    row, column = np.mean(centers, axis=0) if centers else (0.5, 0.5)
    return Appearance(
        tuple(int(side) for side in few.shape[1:]), bool(integer), low, high, mean, ground, float(ink), bool(isolated),
        bool(isolated and wide < 0.35), float(np.median(extents)) if extents else 1.0, (float(row), float(column)),
        (thin, wide),
    )  # fmt: skip


def shrunk(images: Any, look: Appearance) -> Float[np.ndarray, "batch pixel"]:
    """Small gray versions of images, at most 28 pixels a side, 0..1, blurred a little so that strokes need not match exactly."""
    from scipy import ndimage

    gray = (np.asarray(images, np.float32) - look.low) / max(look.high - look.low, 1e-9)
    gray = gray if gray.ndim == 3 else gray[..., :3].mean(-1)
    factor = -(-max(gray.shape[1:]) // 28)
    padded = np.pad(gray, [(0, 0), (0, -gray.shape[1] % factor), (0, -gray.shape[2] % factor)], mode="edge")
    small = padded.reshape(len(gray), padded.shape[1] // factor, factor, -1, factor).mean((2, 4))
    return ndimage.gaussian_filter(small, (0, 0.7, 0.7)).reshape(len(gray), -1)


def likeness(images: Any, look: Appearance) -> Likeness | None:
    """Fit what `unlike` judges by, to five in six of a sample of the images; None for fewer than 200 images."""
    small = shrunk(sample(images), look)
    held = np.arange(len(small)) % 6 == 5
    fitted, left_out = small[~held], small[held]
    if len(small) < 200:
        return None
    mean = fitted.mean(0)
    variances, directions = np.linalg.eigh(np.cov(fitted - mean, rowvar=False))
    kept = min(COMPONENTS, len(variances) - 1)
    rest = max(float(variances[:-kept].mean()), 1e-6)
    scales = np.sqrt(np.maximum(variances[-kept:], rest))
    found = Likeness(mean, (directions[:, -kept:] / scales).T.astype(np.float32), rest, 0.0)
    return found._replace(limit=float(np.quantile(distances(found, left_out), 1 - FALSE_ALARMS)))


def distances(known: Likeness, small: Float[np.ndarray, "batch pixel"]) -> Float[np.ndarray, "batch"]:
    """Squared distances from the mean, each direction in units of its standard deviation."""
    centered = small - known.mean
    along = centered @ known.components.T
    # A component was divided by its deviation: multiplied by its own length it projects.
    lengths = (known.components**2).sum(1)
    left = (centered**2).sum(1) - (along**2 / lengths).sum(1)
    return (along**2).sum(1) + np.maximum(left, 0) / known.rest
