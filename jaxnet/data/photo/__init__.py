"""Turn a photo or scan of one digit into an image like those in the network's training set."""

import numpy as np
from jaxtyping import UInt8

from jaxnet.data.photo.decoding import read
from jaxnet.data.photo.digits import Drawn, find
from jaxnet.data.photo.fitting import Cutout, cut, values

__all__ = ["Cutout", "Drawn", "as_text", "cut", "find", "read", "values"]


def as_text(image: UInt8[np.ndarray, "height width *channels"]) -> str:
    """Draw an image with characters, for a terminal. Each character shows two pixels, one above the other.

    Examples:
        >>> print(as_text(np.array([[0, 255, 0], [255, 255, 0]], np.uint8)))
        ▄█
    """
    gray = image if image.ndim == 2 else image[..., :3].mean(-1)
    lit = np.vstack([gray, np.zeros((len(gray) % 2, gray.shape[1]), np.uint8)]) >= 96
    signs = np.array([" ", "▄", "▀", "█"])[2 * lit[::2].astype(int) + lit[1::2]]
    return "\n".join("".join(row).rstrip() for row in signs)
