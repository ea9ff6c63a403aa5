"""Picture files as arrays: any format and depth, upright, perhaps shrunk while they are decoded, within limits."""

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
"""Formats of pictures; Pillow's others run other programs, or are no pictures."""

MEMORY = 400_000_000
"""Bytes that the decoded pixels of a file may take."""

JPEG_PIXELS = 400_000_000
"""A JPEG may have more pixels, as it can be shrunk before its pixels exist."""

UNCHECKED = 64_000_000
"""Below so many decoded bytes it does not matter what a header claims."""

IN_MEMORY = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes that Pillow takes for a pixel; 4 in other modes."""

IN_A_FILE = {"1": 1 / 8, "L": 1 / 8, "P": 1 / 8, "LA": 2, "I;16": 2, "I;16B": 2, "I;16L": 2, "RGB": 3}
"""Bytes of a pixel that a file may compress, at least; 4 in other modes. Palettes and grays may have one bit."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a picture, by its content and not by its name, and check its header; nothing is decoded yet.

    Whatever a decoder says of damage, also inside the `with` block, becomes one error with the file's name.

    Args:
        path: The file.

    Yields:
        The file as Pillow opens it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file may not be read, or takes too much memory.
        CorruptFile: If it is no picture, a damaged one, or one whose header claims more than it can hold.
    """
    from PIL import UnidentifiedImageError

    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; check its name")
    if not path.is_file():
        raise ValueError(f"{path}: this is a folder or a device, not a file; name picture files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _Bounded(path) as raw, _identified(path, raw) as file:
                _require_sane(path, file)
                yield file
    except _Refused as error:
        raise CorruptFile(str(error)) from error
    except PermissionError as error:
        raise ValueError(f"{path}: this file may not be read; change its permissions") from error
    except UnidentifiedImageError as error:
        raise CorruptFile(
            f"{path} is not a picture that Pillow can read; save it as PNG or JPEG, or leave it out"
        ) from error
    except MemoryError as error:
        raise ValueError(f"{path}: the picture is too large for this machine's memory; save it smaller") from error
    except Exception as error:  # Pillow's decoders raise whatever goes wrong in them: struct.error, SyntaxError, ...
        said = " ".join(str(error).split()) or type(error).__name__
        raise CorruptFile(
            f"{path}: the picture is damaged ({said[:120]}); save it anew as PNG or JPEG, or leave it out"
        ) from error


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture after it is turned upright, from its header. Raises what `opened` raises."""
    with opened(path) as file:
        width, height = file.size
        return (height, width) if _noted_turn(file) >= 5 else (width, height)


def decode(path: Path, *, longest: int | None = None) -> Shaped[np.ndarray, "height width *channels"]:
    """Decode a picture and turn it upright.

    Args:
        path: The file.
        longest: If the longer side has at least twice as many pixels, shrink the picture by a whole number while it is
            decoded, part by part, so that it takes little time and memory. None does not shrink.

    Returns:
        Gray levels as uint8; or as float32, not scaled, for files of more than 8 bits; or red, green and blue as uint8;
        or those multiplied by their opacity, with the opacity (0..255) as a fourth channel.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file may not be read, or takes too much memory.
        CorruptFile: If it is no picture, a damaged one, or one whose header claims more than it can hold.
    """
    with opened(path) as file:
        if longest is not None and file.format in ("JPEG", "MPO"):
            whole = max(file.size)
            file.draft(None, tuple(max(1, longest * side // whole) for side in file.size))
        file.load()
        factor = 1 if longest is None else max(1, max(file.size) // longest)
        rows = max(1, 4_000_000 // (file.width * factor)) * factor
        strips = [(top, min(file.height, top + rows)) for top in range(0, file.height, rows)]
        keyed = "transparency" in file.info
        planes = None
        for top, bottom in strips:  # one at a time, so that only the shrunk picture is in memory twice
            strip = _planes(file.crop((0, top, file.width, bottom)), factor, keyed)
            if planes is None:
                planes = np.empty((-(-file.height // factor), *strip.shape[1:]), strip.dtype)
            planes[top // factor : top // factor + len(strip)] = strip
        assert planes is not None
        return _upright(planes, _turn(file))


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
        if jpeg:  # it is shrunk before its pixels exist, so Pillow's limit does not apply
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
        raise _Refused(f"{claim}, which {size:,} bytes cannot hold; save it anew as PNG or JPEG")


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
    """How the camera was held, as EXIF counts it: 1 is upright, from 5 on width and height are exchanged."""
    from PIL import Image

    exif = Image.Exif()  # `file.getexif` would decode a PNG, whatever its chunks announce
    try:
        exif.load(file.info.get("exif", b""))
        turn = int(exif.get(0x0112, 1))
    except Exception:  # a camera's notes may be damaged where the picture is not
        return 1
    return turn if 1 <= turn <= 8 else 1


def _turn(file: Any) -> int:
    """The same of a decoded file, whose notes may also stand behind its pixels."""
    try:
        return file.getexif().get(0x0112, 1)
    except Exception:  # a camera's notes may be damaged where the picture is not
        return 1


def _upright(planes: np.ndarray, turn: int) -> np.ndarray:
    """Undo the turn that the camera notes, 1 to 8 as EXIF numbers them."""
    if turn in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    if turn in (3, 4, 7, 8):
        planes = planes[::-1]
    return planes
