"""Decode picture files of many formats and depths safely, turn them upright, and shrink large ones during decoding."""

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from jaxnet.data.idx import DENSEST, CorruptFile

COMMON = ("JPEG", "PNG", "GIF", "BMP", "PPM")
RARE = ("TIFF", "WEBP", "AVIF", "JPEG2000", "TGA", "ICO", "PCX")
"""The accepted picture formats. Pillow's other formats run other programs, or are not pictures."""

MEMORY = 400_000_000
"""The largest number of bytes that the decoded pixels of a file may need."""

JPEG_PIXELS = 400_000_000
"""A JPEG may have more pixels than other formats, because it can be shrunk before it is fully decoded."""

UNCHECKED = 64_000_000
"""If the decoded size is smaller than this, the size in the header is not checked."""

IN_MEMORY = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""How many bytes Pillow needs for a pixel in each mode. In other modes it needs 4."""

IN_A_FILE = {"1": 1 / 8, "L": 1 / 8, "P": 1 / 8, "LA": 2, "I;16": 2, "I;16B": 2, "I;16L": 2, "RGB": 3}
"""The smallest number of bytes of a pixel before compression, in each mode. In other modes it is 4.

Palettes and grays may have one bit.
"""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a picture by its content, not by its name, and check its header. Nothing is decoded yet.

    Any error of a decoder becomes one error with the file's name, even if it is raised inside the `with` block.

    Args:
        path: The file.

    Yields:
        The file as Pillow opens it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file may not be read, or needs too much memory.
        CorruptFile: If the file is not a picture, is damaged, or has a header that claims more than the file can hold.
    """
    from PIL import UnidentifiedImageError

    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; check its name")
    if not path.is_file():
        raise ValueError(f"{path}: this is a folder or a device, not a file; pass the names of picture files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _Bounded(path) as raw, _identified(path, raw) as file:
                _require_sane(path, file)
                yield file
    except _Refused as error:
        raise CorruptFile(str(error)) from error
    except PermissionError as error:
        raise ValueError(f"{path}: you may not read this file; change its permissions") from error
    except UnidentifiedImageError as error:
        raise CorruptFile(
            f"{path} is not a picture that Pillow can read; save it as PNG or JPEG, or leave it out"
        ) from error
    except MemoryError as error:
        raise ValueError(f"{path}: the picture is too large for this machine's memory; save it smaller") from error
    except Exception as error:  # Pillow's decoders raise many kinds of errors: struct.error, SyntaxError, ...
        said = " ".join(str(error).split()) or type(error).__name__
        raise CorruptFile(
            f"{path}: the picture is damaged ({said[:120]}); save it again as PNG or JPEG, or leave it out"
        ) from error


def upright_size(path: Path) -> tuple[int, int]:
    """Read the width and height of the upright picture from the header. The errors are those of `opened`."""
    with opened(path) as file:
        width, height = file.size
        return (height, width) if _noted_turn(file) >= 5 else (width, height)


def decode(path: Path, *, longest: int | None = None) -> Shaped[np.ndarray, "height width *channels"]:
    """Decode a picture and turn it upright.

    Args:
        path: The file.
        longest: A number of pixels. If the longer side has at least twice as many, the picture is shrunk by a whole
            factor. The picture is shrunk part by part during decoding, so this needs little time and memory. If
            `longest` is None, the picture is not shrunk.

    Returns:
        One of four arrays:

        - gray levels as uint8
        - for files with more than 8 bits for each pixel: gray levels as float32, not scaled
        - red, green and blue as uint8
        - for files with transparency: red, green and blue multiplied by the opacity, and the opacity as a fourth
          channel, as uint8

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file may not be read, or needs too much memory.
        CorruptFile: If the file is not a picture, is damaged, or has a header that claims more than the file can hold.
    """
    with opened(path) as file:
        if longest is not None and file.format in ("JPEG", "MPO"):
            whole = max(file.size)
            file.draft(None, tuple(max(1, longest * side // whole) for side in file.size))
        file.load()
        factor = 1 if longest is None else max(1, max(file.size) // longest)
        keyed = "transparency" in file.info
        if file.mode in ("L", "RGB") and not keyed:  # nothing to convert, so no strips are needed
            return _upright(np.array(file.reduce(factor) if factor > 1 else file), _turn(file))
        rows = max(1, 4_000_000 // (file.width * factor)) * factor
        strips = [(top, min(file.height, top + rows)) for top in range(0, file.height, rows)]
        planes = None
        for top, bottom in strips:  # one strip at a time, so that only the shrunk picture is in memory twice
            strip = _planes(file.crop((0, top, file.width, bottom)), factor, keyed)
            if planes is None:
                planes = np.empty((-(-file.height // factor), *strip.shape[1:]), strip.dtype)
            planes[top // factor : top // factor + len(strip)] = strip
        assert planes is not None
        return _upright(planes, _turn(file))


class _Refused(Exception):
    """A file that must not be decoded, with the reason."""


class _Bounded(io.BufferedReader):
    """A file that reserves memory for no more bytes than it has, even if a damaged header asks for more."""

    def __init__(self, path: Path):
        super().__init__(io.FileIO(path))
        self.end = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _identified(path: Path, raw: Any) -> Any:
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
        if jpeg:  # a JPEG is shrunk before it is fully decoded, so Pillow's limit does not apply
            return JpegImagePlugin.JpegImageFile(raw)
        raise _Refused(f"{path}: its header claims too many pixels to decode; save it smaller, or as JPEG") from error


def _require_sane(path: Path, file: Any) -> None:
    jpeg, size, count = file.format in ("JPEG", "MPO"), path.stat().st_size, math.prod(file.size)
    decoded = count * (1 if jpeg else IN_MEMORY.get(file.mode, 4))
    packed = count * (1 if jpeg else IN_A_FILE.get(file.mode, 4))
    claim = f"{path}: its header claims {file.width}x{file.height} pixels"
    if decoded > (JPEG_PIXELS if jpeg else MEMORY):
        raise _Refused(f"{claim}, too many to decode; save it smaller, or as JPEG")
    if decoded > UNCHECKED and packed > DENSEST * size:
        raise _Refused(f"{claim}, which {size:,} bytes cannot hold; save it again as PNG or JPEG")


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


def _noted_turn(file: Any) -> int:
    """The orientation that the camera saved, a number from 1 to 8 in EXIF.

    1 means upright. From 5 to 8, width and height are exchanged.
    """
    from PIL import Image

    exif = Image.Exif()  # not `file.getexif`, which decodes a whole PNG, even one with a false header
    try:
        exif.load(file.info.get("exif", b""))
        turn = int(exif.get(0x0112, 1))
    except Exception:  # the camera's data may be damaged even if the picture is not
        return 1
    return turn if 1 <= turn <= 8 else 1


def _turn(file: Any) -> int:
    """The saved orientation of a decoded file. In some files the orientation comes after the pixels."""
    try:
        return file.getexif().get(0x0112, 1)
    except Exception:  # the camera's data may be damaged even if the picture is not
        return 1


def _upright(planes: np.ndarray, turn: int) -> np.ndarray:
    """Turn a picture upright. EXIF numbers the orientations 1 to 8."""
    if turn in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    if turn in (3, 4, 7, 8):
        planes = planes[::-1]
    return planes
