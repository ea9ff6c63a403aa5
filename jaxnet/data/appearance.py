"""Measure what the images of a data set have in common, so that other pictures can be made to look like them."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

SAMPLED, PIXELS = 6000, 20_000_000
"""The largest number of images to measure, and the largest number of their pixels. At least 200 images are measured."""

COMPONENTS = 60
"""The number of principal components in a `Likeness`."""

FALSE_ALARMS = 0.005
"""The fraction of the training images that counts as unlike the others.

`likeness` measures this fraction on images that the fit does not use.
"""


class Appearance(NamedTuple):
    """How the images of a data set look.

    Attributes:
        shape: The shape of one image.
        integer: Whether the pixels are whole numbers in 0..255. Otherwise they are floats.
        low: The darkest pixel, which corresponds to black.
        high: The brightest pixel, which corresponds to white.
        mean: The mean of all pixels, 0..1 between `low` and `high`.
        ground: The gray of the background, 0..1. It is the median of the outermost pixels. If light objects are on
            black, it is 0.
        ink: The gray of the objects, 0..1. For each image, the 99th percentile of the pixels' distances from the
            background is taken. The median of these percentiles is the distance of the objects from the background.
        isolated: Whether every image shows one object on an even background. Photos are not isolated.
        drawn: Whether the objects are drawn with strokes, which are thin in proportion to the object's size.
        extent: The median of the longer side of an object, as a fraction of the image's shorter side.
        center: The mean center of mass, row and column, as fractions of height and width.
        thickness: The 5th and 95th percentile of the width of the strokes, as fractions of the object's longer side.
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
"""The appearance of MNIST's training images, for runs that did not save one."""


class Likeness(NamedTuple):
    """A normal distribution of small gray versions of the images: probabilistic principal component analysis.

    Attributes:
        mean: The mean of each pixel.
        components: The directions of the largest variance, each divided by the standard deviation along it.
        rest: The variance along every other direction.
        limit: The limit of the squared distance from the mean. One in 200 of the training images left out of the fit
            has a larger distance.
    """

    mean: Float[np.ndarray, "pixel"]
    components: Float[np.ndarray, "component pixel"]
    rest: float
    limit: float


def sample(images: Any) -> Shaped[np.ndarray, "batch height width *channels"]:
    """Take a random sample of the images. Every call with these images gives the same sample.

    The sample is random because data sets are often sorted by label.
    """
    count = min(SAMPLED, max(200, PIXELS // int(np.prod(images.shape[1:]))))
    if len(images) <= count:
        return np.asarray(images)
    return np.asarray(images)[np.sort(np.random.default_rng(0).permutation(len(images))[:count])]


def appearance_of(images: Any) -> Appearance:
    """Measure what the images look like.

    Args:
        images: (batch, height, width) or (batch, height, width, channels), as in a `Batch`.

    Examples:
        >>> from jaxnet import data
        >>> look = appearance_of(data.mnist().train.images)
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
    """Make small gray versions of images, 0..1, with at most 28 pixels on each side.

    The versions are slightly blurred, so that strokes need not match exactly.
    """
    from scipy import ndimage

    gray = (np.asarray(images, np.float32) - look.low) / max(look.high - look.low, 1e-9)
    gray = gray if gray.ndim == 3 else gray[..., :3].mean(-1)
    factor = -(-max(gray.shape[1:]) // 28)
    padded = np.pad(gray, [(0, 0), (0, -gray.shape[1] % factor), (0, -gray.shape[2] % factor)], mode="edge")
    small = padded.reshape(len(gray), padded.shape[1] // factor, factor, -1, factor).mean((2, 4))
    return ndimage.gaussian_filter(small, (0, 0.7, 0.7)).reshape(len(gray), -1)


def likeness(images: Any, look: Appearance) -> Likeness | None:
    """Fit a normal distribution to five sixths of a sample of the images. The rest of the sample decides the limit.

    If there are fewer than 200 images, the result is None.
    """
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
    """Squared distances from the mean. The unit in each direction is the standard deviation in this direction."""
    centered = small - known.mean
    along = centered @ known.components.T
    # Each component is a unit direction divided by its standard deviation. Dividing by its squared length gives the
    # squared projection.
    lengths = (known.components**2).sum(1)
    left = (centered**2).sum(1) - (along**2 / lengths).sum(1)
    return (along**2).sum(1) + np.maximum(left, 0) / known.rest
