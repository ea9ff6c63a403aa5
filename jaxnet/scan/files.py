"""Picture files as arrays: any format and depth, upright, shrunk while they are decoded, within limits."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

LONGEST = 2400
"""Pages are shrunk by a whole number while their longer side has at least twice as many pixels."""

COMMON = ("JPEG", "PNG", "GIF", "BMP", "PPM")
RARE = ("TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "ICO", "PCX")
"""Formats of pictures; Pillow's others run other programs, or are no pictures."""

MEMORY = 400_000_000
"""Bytes that the decoded pixels of a file may take."""

JPEG_PIXELS = 400_000_000
"""A JPEG may have more pixels, as it is shrunk before its pixels exist."""

DENSEST = 1100
"""Decoded bytes for a byte of a file: deflate packs 1032 to one at best, JPEG fewer."""

UNCHECKED = 64_000_000
"""Below so many decoded bytes it does not matter what a header claims."""


def read(path: str | Path, *, color: bool = False) -> UInt8[np.ndarray, "height width *channels"]:
    """Read a picture file, turned as the camera meant it.

    A large picture is shrunk while it is decoded, so that 200 megapixels take little time and memory. Transparent parts
    become white where what is visible is dark, and black where it is light. Depths other than 8 bits, and pictures of a
    few close levels, are stretched to 0..255.

    Args:
        path: The file.
        color: Whether to keep three channels.

    Returns:
        Gray levels, or with `color` red, green and blue.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no picture, a damaged one, or one whose header claims more than it can hold.
    """
    from PIL import UnidentifiedImageError

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; check its name")
    if not path.is_file():
        raise ValueError(f"{path}: this is a folder or a device, not a file; name picture files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _Bounded(path) as raw, _opened(path, raw) as file:
                _require_sane(path, file)
                planes = _decoded(file)
    except _Refused as error:
        raise ValueError(str(error)) from error
    except PermissionError as error:
        raise ValueError(f"{path}: this file may not be read; change its permissions") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: this is not a picture that Pillow can read; save it as PNG or JPEG") from error
    except MemoryError as error:
        raise ValueError(f"{path}: the picture is too large for this machine's memory; save it smaller") from error
    except Exception as error:  # Pillow's decoders raise whatever goes wrong in them: struct.error, SyntaxError, ...
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: the picture is damaged ({said[:120]}); save it anew as PNG or JPEG") from error
    return _colored(planes) if color else _gray(planes)


class _Refused(Exception):
    """A file that is not decoded, with the reason."""


class _Bounded(io.BufferedReader):
    """A file that makes no room for more bytes than it has, whatever a damaged header asks for."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.end = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _opened(path: Path, raw: Any) -> Any:
    from PIL import Image, JpegImagePlugin, UnidentifiedImageError

    try:
        try:
            return Image.open(raw, formats=COMMON)
        except UnidentifiedImageError:
            Image.init()
            raw.seek(0)
            return Image.open(raw, formats=[name for name in RARE if name in Image.OPEN])
    except Image.DecompressionBombError as error:
        raw.seek(0)
        jpeg = raw.read(3) == b"\xff\xd8\xff"
        raw.seek(0)
        if jpeg:  # it is shrunk before its pixels exist, so Pillow's limit does not apply
            return JpegImagePlugin.JpegImageFile(raw)
        raise _Refused(f"{path}: its header claims too many pixels to decode; save it smaller, or as JPEG") from error


def _require_sane(path: Path, file: Any) -> None:
    width, height = file.size
    jpeg, size = file.format in ("JPEG", "MPO"), path.stat().st_size
    narrow = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
    decoded = width * height * (1 if jpeg else narrow.get(file.mode, 4))
    claim = f"{path}: its header claims {width}x{height} pixels"
    if decoded > (JPEG_PIXELS if jpeg else MEMORY):
        raise _Refused(f"{claim}, too many to decode; save it smaller, or as JPEG")
    if decoded > UNCHECKED and decoded > DENSEST * size:
        raise _Refused(f"{claim}, which {size:,} bytes cannot hold; save it anew as PNG or JPEG")


def _decoded(file: Any) -> Shaped[np.ndarray, "height width *channels"]:
    """The file's planes as they are, shrunk and upright: gray levels of any type, RGB, or RGB times alpha and alpha."""
    longest = max(file.size)
    if file.format in ("JPEG", "MPO"):
        file.draft(None, tuple(max(1, LONGEST * side // longest) for side in file.size))
    file.load()
    factor = max(1, max(file.size) // LONGEST)
    rows = max(1, 4_000_000 // (file.width * factor)) * factor
    tops = range(0, file.height, rows)
    strips = (file.crop((0, top, file.width, min(file.height, top + rows))) for top in tops)  # one at a time in memory
    planes = np.concatenate([_planes(strip, factor, "transparency" in file.info) for strip in strips])
    try:
        turn = file.getexif().get(0x0112, 1)
    except Exception:  # a camera's notes may be damaged where the picture is not
        turn = 1
    return _upright(planes, turn)


def _planes(strip: Any, factor: int, keyed: bool) -> Shaped[np.ndarray, "height width *channels"]:
    if strip.mode in ("I", "F") or strip.mode.startswith("I;16"):
        deep = np.nan_to_num(np.asarray(strip).astype(np.float32))
        padded = np.pad(deep, [(0, -side % factor) for side in deep.shape], mode="edge")
        return padded.reshape(padded.shape[0] // factor, factor, -1, factor).mean((1, 3))
    if strip.mode in ("RGBA", "LA", "PA", "La", "RGBa") or keyed:
        strip = strip.convert("RGBA").convert("RGBa")
    else:
        strip = strip.convert("L" if strip.mode in ("1", "L") else "RGB")
    return np.asarray(strip.reduce(factor) if factor > 1 else strip)


def _upright(planes: np.ndarray, turn: int) -> np.ndarray:
    """Undo the turn that the camera notes, 1 to 8 as EXIF numbers them."""
    if turn in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    if turn in (3, 4, 7, 8):
        planes = planes[::-1]
    return planes


WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue are to the eye (ITU-R BT.601)."""


def _colored(planes: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    if planes.ndim == 2:
        return np.repeat(_stretched(planes)[:, :, None], 3, axis=2)
    return np.ascontiguousarray(_laid(planes) if planes.shape[2] == 4 else planes)


def _gray(planes: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    if planes.ndim == 3:
        planes = _laid(planes) if planes.shape[2] == 4 else planes
        planes = np.round(planes @ WEIGHTS).clip(0, 255).astype(np.uint8)
    return _stretched(planes)


def _laid(planes: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Lay transparency over the side that contrasts; around a whole page, over the page's own gray."""
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
