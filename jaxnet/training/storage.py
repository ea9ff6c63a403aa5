"""Write arrays and records to disk completely or not at all, and notice every changed byte when they are read."""

import contextlib
import hashlib
import json
import logging
import math
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxnet.core.devices import current
from jaxnet.core.folders import UNFINISHED, write_file


def write_json(path: Path, told: dict[str, Any]) -> None:
    """Write a dictionary as JSON, with the sha256 of its content, completely or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    signed = {**told, "sha256": _signature(told)}
    write_file(path, (json.dumps(signed, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a dictionary that `write_json` wrote.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is no JSON, or its content does not have the sha256 in the file.
    """
    try:
        told = json.loads(path.read_text())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(told, dict):
        raise ValueError(f"expected names with values, got a {type(told).__name__}")
    if told.pop("sha256", None) != _signature(told):
        raise ValueError("it was damaged or changed, because its sha256 is not the sha256 written in the file")
    return told


def _signature(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def save_tree(folder: Path, tree: Any) -> dict[str, str]:
    """Write a pytree of arrays with orbax, completely or not at all.

    Args:
        folder: The folder to write. If it exists, it is replaced.
        tree: A pytree of arrays.

    Returns:
        The sha256 of every file, by its path from the parent folder.

    Raises:
        OSError: If there is no room.
    """
    import orbax.checkpoint as ocp

    _require_room(folder, [leaf.nbytes for leaf in jax.tree.leaves(tree)])
    with _one_at_a_time, muted(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.resolve(), tree, force=True)
    return {
        str(path.relative_to(folder.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def require_unchanged(parent: Path, files: dict[str, str]) -> None:
    """Check the sha256 of every file of a checkpoint.

    Args:
        parent: The parent folder of the checkpoint.
        files: The sha256 of every file, from `save_tree`.

    Raises:
        Changed: If a file is missing, or has other bytes. The error has the name of the file.
    """
    for name, digest in files.items():
        try:
            content = (parent / name).read_bytes()
        except OSError as error:
            raise Changed(name, f"there is no {name}" if not (parent / name).exists() else str(error)) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise Changed(name, "it is damaged, because its sha256 is not the recorded one")


class Changed(ValueError):
    """A file of a checkpoint is missing or has other bytes.

    Attributes:
        name: The path of the file.
    """

    def __init__(self, name: str, why: str):
        """Write the message."""
        super().__init__(why)
        self.name = name


def restore_tree(folder: Path, like: Any) -> Any:
    """Read a pytree that `save_tree` wrote.

    Args:
        folder: The folder of the checkpoint.
        like: Arrays, or their shapes. If an array lies on a device, the result lies there too. Shapes without a device
            give arrays on the current device.

    Raises:
        Exception: If the checkpoint is damaged, or holds a pytree of another structure. orbax raises many kinds of errors.
    """
    import orbax.checkpoint as ocp

    here = jax.sharding.SingleDeviceSharding(current())
    placed = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here)
    with _one_at_a_time, muted(), ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder.resolve(), jax.tree.map(placed, like))


def _require_room(folder: Path, sizes: Sequence[int]) -> None:
    """Test with ordinary files whether there is room, because orbax's threads print very long errors on a full disk."""
    probe, total = folder.parent / f"{UNFINISHED}room", sum(sizes) + sum(sizes) // 5 + 120_000
    largest = max(1 << 16, *sizes)
    try:
        probe.mkdir(exist_ok=True)
        for i in range(math.ceil(total / largest)):
            (probe / str(i)).write_bytes(bytes(largest))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Let orbax's threads print nothing about errors, because the caller gets these errors anyway."""
    logger, hooks = logging.getLogger("absl"), (threading.excepthook, sys.unraisablehook)
    disabled, logger.disabled = logger.disabled, True
    threading.excepthook, sys.unraisablehook = (lambda told: None), (lambda told: None)
    try:
        yield
    finally:
        logger.disabled = disabled
        threading.excepthook, sys.unraisablehook = hooks


_one_at_a_time = threading.Lock()
"""orbax numbers its operations for the whole process: if two threads save at once, both wait for five minutes and fail."""
