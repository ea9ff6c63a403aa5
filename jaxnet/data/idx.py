"""Read IDX files, the format of MNIST and similar data sets."""

import gzip
import hashlib
import io
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

DENSEST = 1100
"""A limit above gzip's largest compression factor, which is about 1,030.

If a header announces more bytes than this limit allows, the file is damaged.
"""


class CorruptFile(ValueError):
    """A data file is damaged or has the wrong content. The message names the file and the remedy."""


def parse(raw: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """Read uncompressed IDX data with unsigned bytes.

    Args:
        raw: Two zero bytes, the type code 8, the number of axes, the lengths of the axes as big-endian uint32, then the
            values.
        name: The file's name, for error messages.

    Returns:
        A read-only array.

    Raises:
        CorruptFile: If the header is not an IDX header for unsigned bytes, or the length does not match the header.
    """
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise CorruptFile(f"{name} is not an IDX file of unsigned bytes: it starts with {raw[:4].hex() or 'nothing'}")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise CorruptFile(
            f"{name} announces {raw[3]} axes, which need a header of {header} bytes, but holds {len(raw)} bytes"
        )
    shape = tuple(int(n) for n in np.frombuffer(raw[4:header], ">u4"))
    expected = header + math.prod(shape)
    if len(raw) != expected:
        raise CorruptFile(
            f"{name} announces shape {shape}, which needs {expected:,} bytes, but holds {len(raw):,} bytes"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def unpack(packed: bytes, name: str) -> bytes:
    """Decompress gzip, whose checksum finds damage. An IDX file is refused if it has more bytes than its header announces.

    Args:
        packed: The compressed bytes.
        name: The file's name, for error messages.

    Raises:
        CorruptFile: If the bytes are damaged or incomplete, or are more than an IDX header announces.
    """
    try:
        with gzip.open(io.BytesIO(packed)) as file:
            head = file.read(4)
            if head[:3] != b"\x00\x00\x08":
                return head + file.read(2**20)  # enough bytes to recognize another format
            head += file.read(4 * head[3]) if len(head) == 4 else b""
            announced = math.prod(int(n) for n in np.frombuffer(head[4 : len(head) // 4 * 4], ">u4"))
            body = file.read(min(announced, DENSEST * len(packed)) + 1)
            if file.read(1):
                raise CorruptFile(f"{name} holds more than the {announced:,} bytes that its header announces")
            return head + body
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"{name} is not a complete gzip file ({error}): fetch it again") from error


def read(path: Path, sha256: str | None = None) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file. The file may be compressed by gzip.

    Args:
        path: The file.
        sha256: The sha256 that the file's bytes must have. If it is None, any bytes are accepted.

    Returns:
        A read-only array.

    Raises:
        CorruptFile: If the sha256 differs, or the content is not an IDX file.
    """
    packed = path.read_bytes()
    if sha256 is not None and (found := hashlib.sha256(packed).hexdigest()) != sha256:
        raise CorruptFile(f"{path} has the sha256 {found}, expected {sha256}: fetch it again, or reinstall jaxnet")
    if sha256 is not None:  # the content is known and needs no limits, so reading takes only half the time
        return parse(gzip.decompress(packed), str(path))
    return parse(unpack(packed, str(path)) if packed.startswith(b"\x1f\x8b") else packed, str(path))
