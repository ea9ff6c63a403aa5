"""Read photos and scans as gray levels or colors, without transparency and with enough contrast."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxnet.data import pictures

LONGEST = 2400
"""A number of pixels. If the longer side of a page has at least twice as many, the page is shrunk by a whole factor."""


def read(path: str | Path, *, color: bool = False) -> UInt8[np.ndarray, "height width *channels"]:
    """Read a picture file and turn it upright, according to the orientation that the camera saved.

    A large picture is shrunk while it is decoded, so that 200 megapixels need little time and memory. Transparent parts
    become white if the visible parts are dark, and black if the visible parts are light. Some pictures have a depth
    other than 8 bits, or only a few similar gray levels. Their gray levels are stretched to 0..255.

    Args:
        path: The file.
        color: Whether to keep three channels.

    Returns:
        Gray levels. If `color` is true, red, green and blue instead.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a picture, is damaged, or has a header that claims more than the file can hold.
    """
    planes = pictures.decode(Path(path), longest=LONGEST)
    return _colored(planes) if color else _gray(planes)


WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""The weights of red, green and blue in the brightness that the eye sees (ITU-R BT.601)."""


def _colored(planes: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    if planes.ndim == 2:
        return np.repeat(_stretched(planes)[:, :, None], 3, axis=2)
    return np.ascontiguousarray(_laid(planes) if planes.shape[2] == 4 else planes)


def _gray(planes: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    if planes.ndim == 3:
        planes = _laid(planes) if planes.shape[2] == 4 else planes
        rows = max(1, 1_000_000 // planes.shape[1])  # a part at a time, because floats need four times the memory
        parts = (planes[top : top + rows] @ WEIGHTS for top in range(0, len(planes), rows))
        planes = np.concatenate([np.round(part).clip(0, 255).astype(np.uint8) for part in parts])
    return _stretched(planes)


def _laid(planes: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Replace transparency by black or white, so that there is contrast. Around a whole page, use the page's gray."""
    colors, alpha = planes[..., :3], planes[..., 3:].astype(np.float32) / 255
    if alpha.min() >= 1:
        return colors
    visible = alpha[..., 0] > 0.5 * alpha.max()
    if not alpha.max():
        return np.full(colors.shape, 255, np.uint8)
    grays = (colors[visible] / alpha[visible]) @ WEIGHTS
    low, middle, high = np.percentile(grays, (1, 50, 99))
    ground = middle if visible.mean() > 0.5 and high - low > 64 else 255 if middle < 128 else 0
    return np.round(colors + (1 - alpha) * ground).clip(0, 255).astype(np.uint8)


def _stretched(planes: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    low, high = float(planes.min()), float(planes.max())
    if planes.dtype == np.uint8 and (high - low >= 64 or len(np.unique(planes)) > 4):
        return np.ascontiguousarray(planes)
    if high == low:
        return np.full(planes.shape, 255, np.uint8)
    return np.round((planes.astype(np.float32) - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
