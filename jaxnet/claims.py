"""Names of folders that a process is writing: one process at a time takes each, and it is free again when that process ends."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a claim that a killed process left is then removed by hand
    fcntl = None

SUFFIX = ".claim"
"""The claim of NAME is the hidden file .NAME.claim beside it, locked for as long as its process lives."""


class Taken(FileExistsError):
    """Another process is writing the folder."""


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Take a folder's name, and make a hidden folder beside it to write into.

    What killed processes left in the same place is cleared first. Folders are made with the permissions that the umask allows.

    Args:
        folder: Its future place; its parents are made.

    Yields:
        The hidden folder, empty; if it is still there at the end, it is removed.

    Raises:
        Taken: If another process is writing the same folder.
        OSError: If the place cannot be written to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear(folder.parent)
    path = folder.parent / f".{folder.name}{SUFFIX}"
    handle = _lock(path)
    if handle is None:
        raise Taken(
            f"{folder} is being written by another process ({_owner(path)}); wait for it, or choose another --out"
        )
    try:
        os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):  # on a full disk: the name of the owner is only for the message
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
    """An empty hidden folder beside the one to be written, so that a place that cannot be written to is noticed early."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden(folder, "unfinished")
    temporary.mkdir()
    return temporary


def hidden(folder: Path, kind: str) -> Path:
    """A hidden name beside a folder that nothing has yet: kind is "unfinished", or "old" for what is about to be replaced."""
    return folder.parent / f".{folder.name}.{secrets.token_hex(4)}.{kind}"


def clear(parent: Path) -> None:
    """Remove what killed processes left in a folder: hidden folders whose name nobody claims any more.

    A folder that was being replaced, and whose replacement did not get its name, gets its own name back.
    """
    for path in parent.glob(f".*{SUFFIX}"):
        try:
            handle = _lock(path)
        except OSError:
            continue  # somebody else's
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
    """Whether a folder does not exist and nobody claims its name."""
    if os.path.lexists(folder):
        return False
    path = folder.parent / f".{folder.name}{SUFFIX}"
    if not path.exists():
        return True
    handle = _lock(path)
    if handle is None:
        return False
    os.close(handle)  # its process is gone; `claimed` clears it
    return True


def refuges() -> Iterator[Path]:
    """Places to try where the one that was asked for is full: working folder, home, temporary folders, memory."""
    from jaxnet.devices import cache_folder

    with contextlib.suppress(OSError):  # somebody deleted it
        yield Path.cwd()
    with contextlib.suppress(RuntimeError):  # nobody's home
        yield cache_folder()
    with contextlib.suppress(OSError):  # no temporary folder can be written to
        yield Path(tempfile.gettempdir())
    for place in ("/var/tmp", "/dev/shm"):
        if Path(place).is_dir():
            yield Path(place)


def _lock(path: Path) -> int | None:
    """Make a claim's file and lock it; None if another process holds it."""
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
        os.close(handle)  # between opening and locking its owner had ended and removed it


def _held(handle: int) -> bool:
    if fcntl is None:
        return os.fstat(handle).st_size > 0
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: the process that is named decides
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
