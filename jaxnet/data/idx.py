"""Reading IDX files, the format of MNIST and its relatives."""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


class CorruptFile(ValueError):
    """A data file is not what it should be; the message names the file and the remedy."""


def parse(raw: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """Read uncompressed IDX bytes of unsigned bytes.

    Args:
        raw: Two zero bytes, the type code 8, the number of axes, their lengths as big-endian uint32, then the values.
        name: What to call the file in an error.

    Returns:
        A read-only array.

    Raises:
        CorruptFile: If the header is not IDX of unsigned bytes, or the length does not fit it.
    """
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise CorruptFile(f"{name} is not an IDX file of unsigned bytes: it starts with {raw[:4].hex() or 'nothing'}")
    header = 4 + 4 * raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw[4:header], ">u4"))
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        raise CorruptFile(f"{name} announces shape {shape}, so {expected:,} bytes, but holds {len(raw):,}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def unpack(packed: bytes, name: str) -> bytes:
    """Undo gzip, whose own checksum finds damaged content.

    Args:
        packed: The compressed bytes.
        name: What to call the file in an error.

    Raises:
        CorruptFile: If they are damaged or cut short.
    """
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"{name} is not a complete gzip file ({error}): fetch it again") from error


def read(path: Path, sha256: str | None = None) -> UInt8[np.ndarray, "..."]:
    """Read a gzip-compressed IDX file.

    Args:
        path: The file.
        sha256: The sum of the compressed bytes that the file must have; None trusts it.

    Returns:
        A read-only array.

    Raises:
        CorruptFile: If the sum differs, or the content is no IDX file.
    """
    packed = path.read_bytes()
    if sha256 is not None and (found := hashlib.sha256(packed).hexdigest()) != sha256:
        raise CorruptFile(f"{path} has the sha256 {found}, expected {sha256}: fetch it again, or reinstall jaxnet")
    return parse(unpack(packed, str(path)), str(path))
