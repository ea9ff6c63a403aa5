"""Turn the digit that was found on a page into an image like those that a network was trained on."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from jaxnet.data.appearance import MNIST, Appearance
from jaxnet.data.photo.digits import Drawn, cropped, find, thickness


class Cutout(NamedTuple):
    """An image for the network, and what is unusual about the picture.

    Attributes:
        image: The image, 0..255, in the shape of the training images. The image is also suitable for display.
        remarks: What is unusual about the picture, in words.
    """

    image: UInt8[np.ndarray, "height width *channels"]
    remarks: tuple[str, ...]


def cut(page: UInt8[np.ndarray, "height width *channels"], look: Appearance = MNIST, *, as_is: bool = False) -> Cutout:
    """Make a picture look like the images that a network was trained on.

    If the training images are drawn digits or letters, the digit on the page is found. Its strokes get a width as in
    the training images. The digit also gets the size, the center of mass and the gray levels of the training images. If
    the training images show one object on an even background, the object is cut out with its own gray levels. If the
    training images are photos, the picture is only resized. A picture that already has the training images' size and
    background is not changed.

    Args:
        page: Gray levels, or red, green and blue.
        look: The appearance of the training images.
        as_is: Whether to resize the picture only.

    Raises:
        ValueError: If nothing is drawn on the page.

    Source: LeCun et al., 1998, section III.A, for size and centering.
    """
    height, width = look.shape[:2]
    gray = page if page.ndim == 2 else _gray(page)
    same_size = gray.shape == (height, width)
    if as_is or not look.isolated or (same_size and _same_ground(gray, look)):
        if not as_is and float(np.ptp(gray)) < 8:
            raise ValueError("there is nothing to be seen: all pixels have the same gray; pass a picture with a digit")
        return Cutout(_with_channels(_resized(page, (height, width)), look), ())
    if look.drawn:
        drawn = find(gray)
        return Cutout(_with_channels(_shaded(_placed(drawn, look), look), look), drawn.remarks)
    return Cutout(_with_channels(_thing(gray, look), look), ())


def values(images: Shaped[np.ndarray, "batch height width *channels"], look: Appearance) -> Any:
    """Convert images of 0..255 to the units of the training images."""
    if look.integer:
        return images
    return (look.low + (look.high - look.low) * images.astype(np.float32) / 255).astype(np.float32)


def _gray(page: np.ndarray) -> np.ndarray:
    from jaxnet.data.photo.decoding import WEIGHTS

    return np.round(page.astype(np.float32) @ WEIGHTS).clip(0, 255).astype(np.uint8)


def _same_ground(gray: np.ndarray, look: Appearance) -> bool:
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]) / 255
    return float((np.abs(border - look.ground) < 0.25).mean()) > 0.5 and float(np.ptp(gray)) >= 8


def _resized(page: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    if page.shape[:2] == size:
        return page
    larger = page.shape[0] >= size[0] and page.shape[1] >= size[1]
    filtered = Image.Resampling.BOX if larger else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(page).resize((size[1], size[0]), filtered))


def _with_channels(image: np.ndarray, look: Appearance) -> np.ndarray:
    if len(look.shape) == 2:
        return np.ascontiguousarray(image if image.ndim == 2 else _gray(image))
    channels = look.shape[2]
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], min(channels, 3), axis=2)
    if channels == 4:
        image = np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], axis=2)
    return np.ascontiguousarray(image)


def _shaded(shade: Float[np.ndarray, "height width"], look: Appearance) -> UInt8[np.ndarray, "height width"]:
    levels = look.ground + (look.ink - look.ground) * shade
    return np.round(255 * levels.clip(0, 1)).astype(np.uint8)


def _placed(drawn: Drawn, look: Appearance) -> Float[np.ndarray, "height width"]:
    """Place the digit in an image, 0..1, with the longer side and the center of mass of the training images."""
    from PIL import Image

    height, width = look.shape[:2]
    mask = even(drawn.mask, look)
    box = max(1, round(look.extent * min(height, width)))
    scale = box / max(mask.shape)
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    filtered = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size, filtered)).clip(0, 1)
    total = max(float(small.sum()), 1e-9)
    out = np.zeros((height, width), np.float32)
    corner = []
    for axis, (side, center) in enumerate(zip((height, width), look.center, strict=True)):
        mass = float((small.sum(1 - axis) * (np.arange(small.shape[axis]) + 0.5)).sum()) / total
        corner.append(min(max(math.floor(center * side - mass + 0.5), 0), side - small.shape[axis]))
    out[corner[0] : corner[0] + small.shape[0], corner[1] : corner[1] + small.shape[1]] = small
    return out


def even(mask: np.ndarray, look: Appearance) -> np.ndarray:
    """Make a digit's strokes wider if they are thinner than in nearly all training images.

    Make the strokes thinner if they are wider than in nearly all training images. Other strokes stay unchanged.
    """
    from scipy import ndimage

    thin, wide = look.thickness
    for _ in range(3):
        size, stroke = max(mask.shape), thickness(mask)
        if stroke < thin * size:
            grow = (thin * size - stroke) / 2 / max(0.3, 1 - thin)
            padded = np.pad(mask, int(grow) + 2)
            mask = cropped(np.asarray(ndimage.distance_transform_edt(~padded)) <= max(grow, 1.0))
        elif stroke > 1.15 * wide * size:
            thinner = (
                np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1] > (stroke - wide * size) / 2
            )
            if not thinner.any() or _count(thinner) != _count(mask):
                return mask
            mask = cropped(thinner)
        else:
            return mask
    return mask


def _count(mask: np.ndarray) -> int:
    from scipy import ndimage

    numbered = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, structure=np.ones((3, 3)), output=numbered)
    return int(numbered.max())


def _thing(gray: np.ndarray, look: Appearance) -> np.ndarray:
    """Cut an object out of an even background, and place the object in an image.

    The object keeps its gray levels, but gets the size of the objects in the training images.
    """
    from PIL import Image

    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]).astype(np.float32)
    ground = float(np.median(border))
    away = np.abs(gray.astype(np.float32) - ground)
    clear = away > max(20.0, 4 * 1.48 * float(np.median(np.abs(border - ground))), 0.15 * float(away.max()))
    if clear.mean() < 0.002:
        raise ValueError("there is nothing to be seen: nothing stands out from the background")
    levels = gray.astype(np.float32) / 255
    if abs(ground / 255 - look.ground) > 0.5:
        levels, ground = 1 - levels, 255 - ground
    levels = np.where(clear, levels, look.ground)
    rows, columns = np.flatnonzero(clear.mean(1) > 0.002), np.flatnonzero(clear.mean(0) > 0.002)
    if not rows.size or not columns.size:
        raise ValueError("there is nothing to be seen: nothing stands out from the background")
    thing = levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = look.shape[:2]
    box = look.extent * min(height, width)
    scale = box / max(thing.shape)
    size = min(width, max(1, round(thing.shape[1] * scale))), min(height, max(1, round(thing.shape[0] * scale)))
    filtered = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(thing.astype(np.float32)).resize(size, filtered)).clip(0, 1)
    out = np.full((height, width), look.ground, np.float32)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return np.round(255 * out).astype(np.uint8)
