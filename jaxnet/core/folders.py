"""Write files and folders completely or not at all, find free names, and use another place if the disk is full."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from jaxnet.core import locks

UNFINISHED = ".unfinished-"
"""The prefix of the names of files that are still being written. If the process is killed, such files stay."""


def contents(folder: Path) -> set[str]:
    """The names of the files and folders in a folder, without unfinished files."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(UNFINISHED)}


def place(out: str | Path | None, name: str) -> Path:
    """The folder that a command writes into: `out`, or else the first free name among runs/NAME-1, runs/NAME-2, ...

    Links are followed.

    Args:
        out: The folder that the user gave, if any.
        name: The NAME to use if the user gave no folder.

    Raises:
        ValueError: If the path is not UTF-8, because orbax cannot write a checkpoint there.
        FileExistsError: If the path is a link that leads to itself.
    """
    folder = Path(out) if out is not None else first_free(Path("runs"), name)
    if folder.is_symlink() or folder.name in ("", ".."):
        try:
            folder = folder.resolve()
        except (OSError, RuntimeError) as error:
            raise FileExistsError(f"{folder} is a link that leads nowhere; choose another --out") from error
    require_utf8(folder.absolute(), "choose another --out, or another working folder")
    return folder


def require_utf8(path: str | Path, remedy: str) -> None:
    """Refuse a path that is not UTF-8, because neither a page nor orbax can hold it.

    Raises:
        ValueError: If the path is not UTF-8. The message contains the path, and shows bytes that are not UTF-8 as
            escapes.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{str(path)!a} is not a UTF-8 name; {remedy}") from None


def require_free(folder: Path, *, overwrite: bool, written: Collection[str] = ()) -> None:
    """Check that a folder may be written, before a command spends hours on computing its content.

    Args:
        folder: The folder that will be written.
        overwrite: Whether an existing folder may be replaced.
        written: The names that a replaced folder may contain.

    Raises:
        FileExistsError: If the folder exists and may not be replaced, or if it contains names that are not in
            `written`.
    """
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists; choose another --out, or --overwrite to replace it")
    if not folder.is_dir() or contents(folder) - set(written):
        raise FileExistsError(
            f"{folder} exists and holds more than jaxnet writes there, so it is not replaced; choose another --out"
        )


def write_file(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        FileNotFoundError: If the parent folder does not exist.
        OSError: If the file cannot be written. The error contains the file's name.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} into")
    with unfinished(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside a file. The content is first written under this name.

    At the end the hidden file gets the file's own name. After an error the hidden file is removed.

    Raises:
        OSError: If the file cannot be written. An error without a file name gets the name of the file.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = path.parent / f"{UNFINISHED}{secrets.token_hex(4)}{path.suffix}"
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def first_free(parent: Path, name: str) -> Path:
    """The first folder of NAME-1, NAME-2, ... that does not exist and that no process is writing to."""
    return next(folder for i in range(1, 10**6) if locks.is_free(folder := parent / f"{name}-{i}"))


temporary_folder = locks.temporary_folder


@contextlib.contextmanager
def reserved(
    out: str | Path | None, name: str, *, overwrite: bool, written: Collection[str]
) -> Iterator[tuple[Path, Path]]:
    """Lock the folder that a command writes.

    If `out` is None and another process takes the name first, the function tries the next name.

    Args:
        out: As in `place`.
        name: As in `place`.
        overwrite: As in `require_free`.
        written: As in `require_free`.

    Yields:
        The folder, and the hidden folder beside it to write into.

    Raises:
        FileExistsError: If the folder exists and may not be replaced, or another process is writing it.
    """
    while True:
        folder = place(out, name)
        with contextlib.ExitStack() as attempt:
            try:
                temporary = attempt.enter_context(locks.locked(folder))
                require_free(folder, overwrite=overwrite, written=written)
            except FileExistsError:
                if out is not None:
                    raise
                continue
            lock = attempt.pop_all()
        with lock:
            yield folder, temporary
        return


def settle(temporary: Path, folder: Path, *, overwrite: bool = False, written: Collection[str] = ()) -> None:
    """Rename a complete temporary folder to its final name.

    Args:
        temporary: The complete folder. It has the same parent folder as `folder`.
        folder: The final name. An existing run folder of this name stays until the new folder is complete.
        overwrite: Whether an existing folder may be replaced.
        written: The names that a replaced folder may contain; see `require_free`.

    Raises:
        FileExistsError: As in `require_free`. The complete folder then gets the next free name. The message contains
            this name.
    """
    old = None
    try:
        require_free(folder, overwrite=overwrite, written=written)
        if overwrite and folder.exists():
            old = locks.hidden(folder, "old")
            folder.rename(old)
        temporary.rename(folder)  # fails if a folder of this name was made in the meantime, unless it is empty
    except OSError as error:
        if old is not None and not folder.exists():
            old.rename(folder)
        taken = error if isinstance(error, FileExistsError) and not error.errno else f"{folder} exists now"
        if not os.path.lexists(folder):
            raise
        kept = _beside(temporary, folder)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        raise FileExistsError(f"{taken}; the finished folder is kept in {kept}") from error
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _beside(temporary: Path, folder: Path) -> Path:
    """Rename a folder to the first free name beside a name that is taken."""
    while True:
        kept = first_free(folder.parent, folder.name)
        try:
            temporary.rename(kept)
        except OSError:
            if not os.path.lexists(kept):
                raise
        else:
            return kept


def save(
    write: Callable[[Path, Path], None],
    temporary: Path,
    folder: Path,
    *,
    overwrite: bool = False,
    written: Collection[str] = (),
    what: str = "the trained network",
    less: Callable[[Path, Path], None] | None = None,
) -> None:
    """Write finished results to their folder. If this fails, write the results to another place that has room.

    Args:
        write: `write(to, out)` writes the results into the existing folder `to`, whose final name is `out`.
        temporary: The temporary folder from `locks.locked`.
        folder: The final name.
        overwrite: Whether an existing folder may be replaced.
        written: The names that a replaced folder may contain; see `require_free`.
        what: What the results are, for the message.
        less: Like `write`, but without the record of steps. It is used if `write` fails in every place. It is None if
            there is no smaller form of the results.

    Raises:
        FileExistsError: As in `settle`.
        OSError: If the folder cannot be written. The message says where the results are instead, or that they are not saved.
    """
    try:
        write(temporary, folder)
        settle(temporary, folder, overwrite=overwrite, written=written)
    except FileExistsError:
        raise
    except Exception as error:  # orbax and matplotlib raise anything when a disk is full
        failed = f"{folder} could not be written ({reason(error)})"
        tried = list(dict.fromkeys((folder.parent, *refuges())))
        shutil.rmtree(temporary, ignore_errors=True)  # partial results would take the room that `less` may need
        for attempt in (write,) if less is None else (write, less):
            for refuge in tried:
                if (kept := _written(attempt, refuge, folder.name)) is not None:
                    without = ", without its record of steps" if attempt is less else ""
                    raise OSError(
                        f"{failed}; {what} is kept in {kept}{without}: move it where there is room"
                    ) from error
        raise OSError(f"{failed}, nor could {', '.join(map(str, tried))}, so {what} is not saved; make room") from error


def _written(write: Callable[[Path, Path], None], refuge: Path, name: str) -> Path | None:
    """Write the results into a new folder in another place. Return None if this fails too."""
    kept = None
    try:
        refuge.mkdir(parents=True, exist_ok=True)
        kept = first_free(refuge, f"jaxnet-{name}")
        kept.mkdir()
        write(kept, kept)
    except Exception:  # a full disk can cause any error; the caller then tries the next place
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)
        return None
    return kept


def reason(error: BaseException) -> str:
    """Say in a few words why something could not be written. The error may come from any library."""
    words = " ".join(str(error).split())
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or re.search(
        "RESOURCE_EXHAUSTED|No space left", words
    ):
        return "no space left on the device"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return words[:200] or type(error).__name__


def refuges() -> Iterator[Path]:
    """Places to try if the folder that the user gave is full: working folder, cache, temporary folders, memory."""
    from jaxnet.core.devices import cache_folder

    with contextlib.suppress(OSError):  # the working folder was deleted
        yield Path.cwd()
    with contextlib.suppress(RuntimeError):  # the user has no home directory
        yield cache_folder()
    with contextlib.suppress(OSError):  # no temporary folder can be written to
        yield Path(tempfile.gettempdir())
    for place in ("/var/tmp", "/dev/shm"):
        if Path(place).is_dir():
            yield Path(place)
