"""Your own arrays as a batch, with the checks a stranger needs, and a validation split."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from jaxnet._types import Batch, Dataset

FARTHEST_PIXEL = 16.0
"""Floats beyond this are taken for unscaled 0..255 pixels; standardized images stay within a few units of 0."""


def arrays(images: Any, labels: Any, *, num_classes: int | None = None) -> Batch:
    """Turn your own images and labels into a batch, or say what is wrong with them.

    Args:
        images: (batch, height, width), the same with a channel axis of 1, 3 or 4 behind it, or (batch, pixels) with a
            square number of pixels; integers in 0..255, booleans, or floats that the network takes as they are (usually 0..1).
        labels: (batch,), whole numbers from 0.
        num_classes: Labels must be below it; None accepts any.

    Returns:
        A `Batch` of numpy arrays, images uint8 or float32, labels int32.

    Raises:
        ValueError: If shapes, lengths, ranges or values are not of this form; the message says how to mend it.

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
            "images must have shape (batch, height, width), or a channel axis of 1, 3 or 4 behind it, "
            f"got {images.shape}; "
            "for one image use image[None], for rows of pixels reshape them"
        )
    if images.size == 0:
        raise ValueError(f"there is no image in an array of shape {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.bool_:
        return images.astype(np.float32)
    if np.issubdtype(images.dtype, np.integer):
        if images.min() < 0 or images.max() > 255:
            raise ValueError(f"integer pixels must lie in 0..255, got {images.min()}..{images.max()}; scale them")
        if images.max() == 1:
            raise ValueError("integer pixels reach 1 only, of 255: pass zeros and ones as booleans or floats")
        return images.astype(np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be integers, booleans or floats, got dtype {images.dtype}")
    finite = np.isfinite(images)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"images hold {np.size(finite) - finite.sum():,} values that are NaN or infinite, "
            f"the first at position {where}; replace them, for example with np.nan_to_num"
        )
    if np.abs(images).max() > FARTHEST_PIXEL:
        raise ValueError(
            f"float images are used as they are, usually 0..1, but these reach {images.flat[np.abs(images).argmax()]:g}; "
            "divide by 255, or pass them as uint8"
        )
    return images.astype(np.float32)


def _labels(labels: np.ndarray, num_classes: int | None) -> np.ndarray:
    if labels.ndim != 1:
        remedy = "; for one-hot rows pass labels.argmax(-1)" if labels.ndim == 2 else ""
        raise ValueError(f"labels must have shape (batch,), got {labels.shape}{remedy}")
    if labels.size == 0:
        raise ValueError("there is no label in an empty array")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be whole numbers, got dtype {labels.dtype}; use labels.astype(int)")
    if labels.min() < 0:
        raise ValueError(f"labels count from 0, got {labels.min()} at position {labels.argmin()}")
    if num_classes is not None and labels.max() >= num_classes:
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1} for {num_classes} classes, "
            f"got {labels.max()} at position {labels.argmax()}"
        )
    return labels.astype(np.int32)


def from_file(path: str | Path) -> Dataset:
    """Read your own images and labels from a NumPy archive.

    Args:
        path: An .npz file with the arrays images, labels, test_images and test_labels (or x_train, y_train, x_test
            and y_test), each as `arrays` takes them, and perhaps classes, the labels' names.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If arrays are missing or not of this form.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; expected an .npz with images, labels, test_images and test_labels")
    with np.load(path, allow_pickle=False) as file:
        columns = dict(file)
    for names in (("images", "labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")):
        if all(name in columns for name in names):
            break
    else:
        raise ValueError(
            f"{path} must hold images, labels, test_images and test_labels (or x_train, y_train, x_test, y_test), "
            f"got {sorted(columns) or 'nothing'}"
        )
    named = len(columns["classes"]) if "classes" in columns else None
    try:
        train = arrays(columns[names[0]], columns[names[1]], num_classes=named)
        count = named or int(train.labels.max()) + 1
        test = arrays(columns[names[2]], columns[names[3]], num_classes=count)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"training images are {train.images.shape[1:]}, test images {test.images.shape[1:]}; make them equal"
        )
    return Dataset(train, test, tuple(str(name) for name in columns.get("classes", range(count))))


def split(key: Key[Array, ""], data: Batch, validation: int) -> tuple[Batch, Batch]:
    """Hold out some examples, chosen at random, to choose settings by.

    Args:
        key: Decides who is held out.
        data: The training examples.
        validation: How many to hold out.

    Returns:
        The rest, and the examples held out, each in the original order.

    Raises:
        ValueError: If not at least one example would be left on each side.
    """
    size = len(data.labels)
    if not 0 < validation < size:
        raise ValueError(f"validation must be between 1 and {size - 1:,} of the {size:,} examples, got {validation}")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    held_out = np.zeros(size, bool)
    held_out[generator.permutation(size)[:validation]] = True
    images, labels = np.asarray(data.images), np.asarray(data.labels)
    return Batch(images[~held_out], labels[~held_out]), Batch(images[held_out], labels[held_out])


def require_intensities(images: Any) -> None:
    """Refuse float images that hold the whole numbers of bytes, up to 255: a network would read them as 255 times too bright.

    Raises:
        ValueError: With the remedy.
    """
    some = np.asarray(images[:100])
    most = 16 if some.ndim > 2 else 200  # a row of numbers may be counts
    if (
        some.dtype.kind == "f"
        and some.size
        and most < some.max() <= 255
        and some.min() >= 0
        and (some == np.rint(some)).all()
    ):
        raise ValueError(
            f"these float images hold whole numbers up to {some.max():g}, and floats are used as they are; "
            "pass them as uint8, or divide by 255"
        )
