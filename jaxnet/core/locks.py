"""Locks on the names of folders. Only one process can write a folder. When this process ends, the name is free again."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows, a user must delete the lock file of a killed process by hand
    fcntl = None

SUFFIX = ".claim"
"""The lock file of folder NAME is the hidden file .NAME.claim beside it. It is locked while the writing process lives."""


class Locked(FileExistsError):
    """Another process is writing to the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Lock a folder's name, and make a hidden folder beside it to write into.

    First, files that killed processes left in the same parent folder are removed. New folders have the permissions that
    the umask allows.

    Args:
        folder: The folder that will be written. Its parents are made if they do not exist.

    Yields:
        The hidden folder. It is empty. If it still exists at the end, it is removed.

    Raises:
        Locked: If another process is writing to the same folder.
        OSError: If the parent folder cannot be written to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear(folder.parent)
    path = folder.parent / f".{folder.name}{SUFFIX}"
    handle = _lock(path)
    if handle is None:
        raise Locked(
            f"{folder} is being written by another process ({_owner(path)}); wait for it, or choose another --out"
        )
    try:
        os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):  # the disk is full; the owner's name is needed only for the message
            os.write(handle, f"process {os.getpid()}".encode())
        temporary = temporary_folder(folder)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def temporary_folder(folder: Path) -> Path:
    """Make an empty hidden folder beside the final folder. If the place cannot be written to, the error comes early."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden(folder, "unfinished")
    temporary.mkdir()
    return temporary


def hidden(folder: Path, kind: str) -> Path:
    """A hidden name beside a folder that does not exist yet.

    Args:
        folder: The folder.
        kind: "unfinished", or "old" for a folder that will be replaced.
    """
    return folder.parent / f".{folder.name}.{secrets.token_hex(4)}.{kind}"


def clear(parent: Path) -> None:
    """Remove hidden folders that killed processes left in a folder.

    If a killed process was replacing a folder and had not finished, the old folder gets its own name back.
    """
    for path in parent.glob(f".*{SUFFIX}"):
        try:
            handle = _lock(path)
        except OSError:
            continue  # the file belongs to another user
        if handle is None:
            continue
        try:
            name = path.name.removesuffix(SUFFIX)[1:]
            left = re.compile(re.escape(f".{name}.") + r"[0-9a-f]{8}\.(unfinished|old)")
            for folder in parent.iterdir():
                if not left.fullmatch(folder.name):
                    continue
                if folder.suffix == ".old" and not (parent / name).exists():
                    folder.rename(parent / name)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def is_free(folder: Path) -> bool:
    """Whether a folder does not exist and no process has locked its name."""
    if os.path.lexists(folder):
        return False
    path = folder.parent / f".{folder.name}{SUFFIX}"
    if not path.exists():
        return True
    handle = _lock(path)
    if handle is None:
        return False
    os.close(handle)  # the process that locked it has ended; `locked` removes the lock file
    return True


def _lock(path: Path) -> int | None:
    """Make a lock file and lock it. Return None if another process holds the lock."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if _held(handle):
                os.close(handle)
                return None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the owner ended and removed the file after we opened it and before we locked it


def _held(handle: int) -> bool:
    if fcntl is None:
        return os.fstat(handle).st_size > 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system has no locks, so check whether the process named in the file still runs
        name = os.pread(handle, 100, 0).decode(errors="replace").rpartition(" ")[2]
        if not name.isdigit() or int(name) == os.getpid():
            return False
        try:
            os.kill(int(name), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return False


def _owner(path: Path) -> str:
    try:
        return path.read_text(errors="replace") or "not named"
    except OSError:
        return "not named"
