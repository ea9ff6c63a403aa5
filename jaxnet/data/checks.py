"""Turn your own arrays into a batch, with helpful checks, and hold out examples for validation."""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxnet.core.types import Batch, Dataset

FEW_LEVELS = 31
"""If the largest integer pixel is at most this number, white is not 255.

White is 1 for two levels, and 15 or 16 for 4 bits.
"""
FARTHEST_PIXEL = 16.0
"""Larger floats are probably pixels in 0..255 that were not scaled. Standardized pixels stay close to 0."""


def arrays(images: Any, labels: Any, *, num_classes: int | None = None) -> Batch:
    """Turn your own images and labels into a batch, or say what is wrong with them.

    Args:
        images: (batch, height, width), or (batch, height, width, channels) with 1, 3 or 4 channels, or (batch, pixels)
            with a square number of pixels. The values are integers in 0..255, booleans or floats. The network uses
            floats unchanged. They are usually 0..1.
        labels: (batch,) or (batch, 1), whole numbers from 0.
        num_classes: Labels must be less than this number. If it is None, every label is accepted.

    Returns:
        A `Batch` of numpy arrays. The images are uint8 or float32, the labels are int32.

    Raises:
        ValueError: If shapes, lengths, ranges or values are wrong. The message says how to correct them.

    Examples:
        >>> batch = arrays(np.zeros((5, 64)), [0, 1, 2, 3, 4])
        >>> batch.images.shape, batch.labels.dtype
        ((5, 8, 8), dtype('int32'))
    """
    pictures, meanings = _images(np.asarray(images)), _labels(np.asarray(labels), num_classes)
    if len(pictures) != len(meanings):
        raise ValueError(f"every image needs one label, got {len(pictures):,} images and {len(meanings):,} labels")
    return Batch(pictures, meanings)


def _images(images: np.ndarray) -> np.ndarray:
    if images.ndim == 2 and math.isqrt(images.shape[1]) ** 2 == images.shape[1]:
        side = math.isqrt(images.shape[1])
        images = images.reshape(-1, side, side)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (3, 4)):
        raise ValueError(
            "images must have shape (batch, height, width), or a channel axis of 1, 3 or 4 at the end, "
            f"got {images.shape}; "
            "for one image use image[None], for rows of pixels reshape them"
        )
    if images.size == 0:
        raise ValueError(f"there is no image in an array of shape {images.shape}")
    if images.dtype == np.bool_:
        return images.astype(np.float32)
    if np.issubdtype(images.dtype, np.integer):
        return _of_integers(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be integers, booleans or floats, got dtype {images.dtype}")
    finite = np.isfinite(images)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"images hold {np.size(finite) - finite.sum():,} values that are NaN or infinite, "
            f"the first at position {where}; replace them, for example with np.nan_to_num"
        )
    least, most = float(images.min()), float(images.max())
    if max(-least, most) > FARTHEST_PIXEL:
        if least < 0:
            remedy = "standardized pixels that are rarely lit can have large values; clip them, "
            remedy += f"np.clip(images, -{FARTHEST_PIXEL:g}, {FARTHEST_PIXEL:g})"
        else:
            remedy = "divide by 255, or pass them as uint8" if most <= 255 else f"divide by {most:g}"
        raise ValueError(
            "float images are used unchanged, and their pixels usually lie in 0..1, but these reach "
            f"{most if most >= -least else least:g}; {remedy}"
        )
    if least >= 0 and 0 < most <= 1.001 / 255:
        raise ValueError(
            f"float images usually lie in 0..1, but the largest pixel here is {most:.2g}; "
            "if the images were divided by 255 twice, multiply by 255"
        )
    return images.astype(np.float32)


def _of_integers(images: np.ndarray) -> np.ndarray:
    least, most = int(images.min()), int(images.max())
    if least < 0 or most > 255:
        remedy = f"pass images / {most} as floats" if least >= 0 else "subtract the smallest pixel"
        raise ValueError(f"integer pixels must lie in 0..255, got {least}..{most}; {remedy}")
    if 0 < most <= FEW_LEVELS:
        way = "pass zeros and ones as booleans, or " if most == 1 else ""
        raise ValueError(f"integer pixels reach only {most} of 255; {way}multiply by {255 // most}")
    return images.astype(np.uint8, copy=False)


def _labels(labels: np.ndarray, num_classes: int | None) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:  # a column, as in Keras and MedMNIST
        labels = labels[:, 0]
    if labels.ndim != 1:
        one_hot = (
            labels.ndim == 2
            and labels.dtype.kind in "biuf"
            and bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())
        )
        remedy = "; for one-hot rows pass labels.argmax(-1)" if one_hot else "; every image needs one label"
        raise ValueError(f"labels must have shape (batch,), got {labels.shape}{remedy}")
    if labels.size == 0:
        raise ValueError("there is no label in an empty array")
    if not np.issubdtype(labels.dtype, np.integer):
        whole = labels.dtype.kind == "b" or (labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all()))
        words = labels.dtype.kind in "USO"
        remedy = (
            "use labels.astype(int)"
            if whole
            else "number the classes: classes, labels = np.unique(labels, return_inverse=True)"
        )
        found = f"dtype {labels.dtype}" if whole or words else f"dtype {labels.dtype}, such as {labels[0]}"
        raise ValueError(f"labels must be whole numbers, got {found}; {remedy}")
    if labels.min() < 0:
        raise ValueError(f"labels must count from 0, got {labels.min()} at position {labels.argmin()}")
    if labels.max() > np.iinfo(np.int32).max:
        require_dense(labels)
    if num_classes is not None and labels.max() >= num_classes:
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1} for {num_classes} classes, "
            f"got {labels.max()} at position {labels.argmax()}"
        )
    return labels.astype(np.int32)


def require_dense(labels: Any) -> None:
    """Refuse labels such as identification numbers, because every number up to the largest would become a class.

    Raises:
        ValueError: If more than 100 classes have no example, and their number is more than nine times the number of
            classes with examples.
    """
    ids = np.unique(labels)
    absent = int(ids[-1]) + 1 - len(ids)
    if absent > max(100, 9 * len(ids)):
        raise ValueError(
            f"labels are positions of classes, counted from 0, but these reach {ids[-1]:,} and only {len(ids):,} are different; "
            "if they are identification numbers, use ids = np.unique(labels), labels = np.searchsorted(ids, labels), "
            "test_labels = np.searchsorted(ids, test_labels), and classes = ids"
        )


def suspicious(data: Dataset) -> Iterator[str]:
    """Warnings about data that is possible but usually a mistake. Each warning is one line."""
    train = np.bincount(data.train.labels, minlength=len(data.classes))
    if (train > 0).sum() == 1:
        yield f"all training images have one label, {data.classes[int(train.argmax())]}"
    elif absent := [data.classes[i] for i in np.flatnonzero(train == 0)]:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        hint = "; labels that count from 1 need labels - 1" if absent == [data.classes[0]] else ""
        yield f"no training image has the label {', '.join(absent[:5])}{more}{hint}"
    for name, part in (("training", data.train), ("test", data.test)):
        flat = part.images.reshape(len(part.images), -1)
        if (blank := int((flat.min(1) == flat.max(1)).sum())) and 100 * blank > len(flat):
            yield f"{blank:,} of {len(flat):,} {name} images have no contrast: all their pixels are equal"
    spread = [
        float(part.images[:1000].std()) / (255 if part.images.dtype == np.uint8 else 1)
        for part in (data.train, data.test)
    ]
    if data.train.images.dtype != data.test.images.dtype or max(spread) > 8 * min(spread):
        kinds = [f"{part.images.dtype} up to {part.images.max():g}" for part in (data.train, data.test)]
        yield f"training images ({kinds[0]}) and test images ({kinds[1]}) are not on the same scale"
    elif max(spread) < 0.02:
        yield f"images have little contrast: the standard deviation of pixels is {max(spread):.2g}, where black is 0 and white is 1"
    mark = lambda image: hashlib.blake2b(image.tobytes(), digest_size=16).digest()
    seen = set(map(mark, data.train.images))
    if 20 * (both := sum(mark(image) in seen for image in data.test.images)) > len(data.test.images):
        yield f"{both:,} of {len(data.test.images):,} test images are also training images, so the test accuracy means little"


def digest(data: Dataset) -> str:
    """The sha256 of all images, labels and class names. Data sets with equal sums are equal."""
    found = hashlib.sha256()
    for array in (*data.train[:2], *data.test[:2]):
        found.update(f"{array.dtype}{array.shape}".encode())
        for start in range(0, len(array), 10_000):
            found.update(array[start : start + 10_000].tobytes())
    found.update("\0".join(data.classes).encode())
    return found.hexdigest()


def split(key: Key[Array, ""], data: Batch, validation: int) -> tuple[Batch, Batch]:
    """Hold out random examples for validation. With such examples you can, for instance, choose settings.

    Args:
        key: The key that decides which examples are held out.
        data: The training examples.
        validation: How many examples to hold out.

    Returns:
        The remaining examples and the examples that were held out. Both are in the original order.

    Raises:
        ValueError: If no example would remain, or none would be held out.
    """
    size = len(data.labels)
    if not 0 < validation < size:
        raise ValueError(f"validation must be between 1 and {size - 1:,} of the {size:,} examples, got {validation}")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    held_out = np.zeros(size, bool)
    held_out[generator.permutation(size)[:validation]] = True
    images, labels = np.asarray(data.images), np.asarray(data.labels)
    return Batch(images[~held_out], labels[~held_out]), Batch(images[held_out], labels[held_out])
