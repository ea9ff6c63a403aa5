"""The run folder: settings, record, checkpoint and result of one run, written whole or not at all, and read back."""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import re
import reprlib
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import claims, record
from jaxnet._types import Params
from jaxnet._version import __version__
from jaxnet.data.appearance import Appearance, Likeness
from jaxnet.data.files import archive
from jaxnet.descent import State
from jaxnet.devices import arithmetic, describe
from jaxnet.json_types import as_tuples, fits, in_words
from jaxnet.recipes import Recipe, Settings, build

WRITTEN = frozenset(
    (
        "settings.json",
        "result.json",
        "history.csv",
        "evaluations.csv",
        "record.npz",
        "checkpoint",
        "pictures",
        "report.html",
        "bang",
        "bang.html",
        "signals.csv",
    )
)
"""All that a run folder holds; a folder with anything else in it is never replaced."""


class Run(NamedTuple):
    """A finished run.

    Attributes:
        settings: What was asked for.
        params: The trained parameters.
        state: The last state, optimizer's memory included.
        history: Columns step, cost, gradient_norm: one row a step.
        evaluations: Columns step, epoch, cost, accuracy: one row an evaluation on the way.
        result: What came out: numbers and words.
        image_shape: Shape of one image.
        classes: The labels' names.
        versions: Of what the run depended on, and its device.
        recipe: The functions the settings stand for; `recipe.apply(params, image)` reads an image.
        signals: Of a watched run, columns step and SIGNAL/ARRAY such as `ratio/0/weights`; else empty.
        look: How the training images look; None for a run written before this was kept.
        likeness: What tells images unlike the training images; None where it was not kept, or there are few images.
    """

    settings: Settings
    params: Params
    state: State
    history: record.Columns
    evaluations: record.Columns
    result: dict[str, Any]
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    versions: dict[str, str]
    recipe: Recipe
    signals: record.Columns
    look: Appearance | None = None
    likeness: Likeness | None = None


def write(folder: Path, run: Run) -> None:
    """Write a run into an existing folder.

    Args:
            folder: Where to; `save` makes it appear whole, or finds another place.
            run: The run.
    """
    import orbax.checkpoint as ocp

    told = {
        "settings": run.settings._asdict(),
        "image_shape": run.image_shape,
        "classes": run.classes,
        "num_steps": run.result["num_steps"],
        "versions": run.versions,
        "look": None if run.look is None else run.look._asdict(),
    }
    (folder / "result.json").write_text(json.dumps(run.result, indent=1, allow_nan=False) + "\n")
    record.write_csv(folder / "history.csv", run.history)
    record.write_csv(folder / "evaluations.csv", run.evaluations)
    tables = {"history": run.history, "evaluations": run.evaluations, "signals": run.signals}
    if run.signals:
        record.write_csv(folder / "signals.csv", run.signals)
    flat: dict[str, Any] = {
        f"{table}/{name}": column for table, columns in tables.items() for name, column in columns.items()
    }
    if run.likeness is not None:
        flat |= {f"likeness/{name}": np.asarray(part) for name, part in run.likeness._asdict().items()}
    np.savez(folder / "record.npz", **flat)
    _require_room(folder, [leaf.nbytes for leaf in jax.tree.leaves(run.state)])
    with _muted(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "checkpoint").resolve(), run.state)
    told["checkpoint"] = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "checkpoint").rglob("*"))
        if path.is_file()
    }
    (folder / "settings.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")


def _require_room(folder: Path, sizes: Sequence[int]) -> None:
    """Find out by ordinary files whether a checkpoint fits: orbax's threads report a full disk at great length."""
    probe, total = folder / f"{UNFINISHED}room", sum(sizes) + sum(sizes) // 5 + 120_000
    largest = max(1 << 16, *sizes)
    try:
        probe.mkdir()
        for i in range(math.ceil(total / largest)):
            (probe / str(i)).write_bytes(bytes(largest))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder / "checkpoint")) from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Let orbax's threads say nothing of an error that the caller gets anyway."""
    logger, hooks = logging.getLogger("absl"), (threading.excepthook, sys.unraisablehook)
    disabled, logger.disabled = logger.disabled, True
    threading.excepthook, sys.unraisablehook = (lambda told: None), (lambda told: None)
    try:
        yield
    finally:
        logger.disabled = disabled
        threading.excepthook, sys.unraisablehook = hooks


def load(folder: str | Path) -> Run:
    """Read a run folder back.

    Args:
        folder: What `jaxnet train` wrote.

    Returns:
        The run, with the same parameters bit for bit.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder holds no run, one that this version cannot read, or one with a damaged or changed file, with
            file, finding and remedy.
    """
    import orbax.checkpoint as ocp

    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run folder {folder}; `jaxnet train --out {folder}` writes one")
    told, result = _read(folder, "settings.json"), _read(folder, "result.json")
    settings, image_shape, classes = _settings(folder, told)
    expected = _field(folder, "result.json", result, "params_sha256", str)
    for name in ("steps", "num_steps", "test_images", "train_images"):
        _field(folder, "result.json", result, name, int)
    try:
        columns = archive(folder / "record.npz")
    except Exception as error:  # of a damaged archive numpy, zipfile and zlib raise anything
        raise _unreadable(folder, "record.npz", error) from error
    try:
        look = _look(told.get("look"))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _unreadable(folder, "settings.json", ValueError(f"field look: {error}")) from error
    try:
        likeness = _likeness(columns)
    except (TypeError, KeyError, ValueError) as error:
        raise _unreadable(folder, "record.npz", error) from error
    try:
        with arithmetic(dtype=settings.dtype):
            recipe = build(settings, image_shape=image_shape, classes=len(classes), steps=told["num_steps"])
            like = jax.eval_shape(lambda key: recipe.descent.init(recipe.init(key)), jax.random.key(0))
    except Exception as error:  # whatever sizes or types that were changed by hand lead to
        raise _unreadable(folder, "settings.json", error) from error
    listed = _field(folder, "settings.json", told, "checkpoint", dict) if "checkpoint" in told else {}
    for name, digest in listed.items():
        try:
            damaged = hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
        except OSError as error:
            raise _unreadable(folder, name, error) from error
        if damaged:
            raise _unreadable(folder, name, ValueError("it is damaged, as its sha256 in settings.json is another"))
    try:
        with arithmetic(dtype=settings.dtype), _muted():
            like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=_here()), like)
            with ocp.StandardCheckpointer() as checkpointer:
                state = checkpointer.restore((folder / "checkpoint").resolve(), like)
    except Exception as error:  # of a damaged checkpoint orbax raises anything
        raise _unreadable(folder, "checkpoint", error) from error
    if params_sha256(state.params) != expected:
        raise _unreadable(
            folder, "checkpoint", ValueError("its parameters are not those whose sha256 is in result.json")
        )
    history, evaluations, signals = (
        {name.partition("/")[2]: column for name, column in columns.items() if name.startswith(table)}
        for table in ("history/", "evaluations/", "signals/")
    )
    return Run(
        settings,
        state.params,
        state,
        history,
        evaluations,
        result,
        image_shape,
        classes,
        told["versions"],
        recipe,
        signals,
        look,
        likeness,
    )


def _look(told: dict[str, Any] | None) -> Appearance | None:
    if told is None:
        return None
    parts: dict[str, Any] = {name: tuple(part) if isinstance(part, list) else part for name, part in told.items()}
    return Appearance(**parts)


def _likeness(columns: dict[str, Any]) -> Likeness | None:
    if "likeness/mean" not in columns:
        return None
    parts = (columns[f"likeness/{name}"] for name in Likeness._fields)
    mean, components, rest, limit = parts
    return Likeness(mean, components, float(rest), float(limit))


REMEDY = "take the folder from a copy, or train again"


def _unreadable(folder: Path, name: str, error: BaseException) -> ValueError:
    """The one line about a damaged run folder."""
    said = " ".join(str(error).split())
    said = said if len(said) < 160 else f"{said[:150]} ..."
    if not (folder / name).exists():
        said = f"there is no {name}"
    return ValueError(
        f"{folder} holds no run of jaxnet that version {__version__} can read: {folder / name}: "
        f"{said or type(error).__name__}; {REMEDY}"
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    """One of the folder's JSON files."""
    try:
        there = json.loads((folder / name).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder, name, error) from error
    if not isinstance(there, dict):
        raise _unreadable(folder, name, TypeError(f"expected names with values, got a {type(there).__name__}"))
    return there


def _field(folder: Path, name: str, there: dict[str, Any], field: str, kind: Any) -> Any:
    """A field of one of the folder's JSON files, of the type that it must have."""
    if field not in there:
        raise _unreadable(folder, name, ValueError(f"there is no field {field}"))
    if not fits(there[field], kind):
        raise _unreadable(
            folder, name, TypeError(f"field {field} must be {in_words(kind)}, got {reprlib.repr(there[field])}")
        )
    return there[field]


def _settings(folder: Path, told: dict[str, Any]) -> tuple[Settings, tuple[int, ...], tuple[str, ...]]:
    """Settings, shape of an image and classes from the folder's settings.json, each field checked."""
    name = "settings.json"
    there = {"test_fraction": 0.0} | _field(folder, name, told, "settings", dict)  # runs of before know none
    if unknown := [field for field in there if field not in Settings._fields]:
        raise _unreadable(folder, name, ValueError(f"there is no setting {', '.join(unknown)}"))
    values = {
        field: as_tuples(_field(folder, name, there, field, kind)) for field, kind in Settings.__annotations__.items()
    }
    shape = as_tuples(_field(folder, name, told, "image_shape", tuple[int, ...]))
    classes = as_tuples(_field(folder, name, told, "classes", tuple[str, ...]))
    _field(folder, name, told, "num_steps", int)
    _field(folder, name, told, "versions", dict)
    return Settings(**values), shape, classes


def _here() -> jax.sharding.Sharding:
    from jaxnet.devices import current

    return jax.sharding.SingleDeviceSharding(current())


def params_sha256(params: Params) -> str:
    """The sha256 of all parameters' bytes, leaf after leaf."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what a run depends on, and the device it ran on."""
    names = ("jax", "jaxlib", "optax", "flax", "numpy", "orbax-checkpoint")
    return {
        "jaxnet": __version__,
        **{name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "device": describe(),
    }


UNFINISHED = ".unfinished-"
"""How the names of files begin that are still being written; a kill leaves them behind."""


def contents(folder: Path) -> set[str]:
    """The names of what a folder holds, unfinished files left out."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(UNFINISHED)}


def place(out: str | Path | None, name: str) -> Path:
    """Where a command writes: the folder that was asked for, through links, or the first free of runs/NAME-1, runs/NAME-2, ...

    Args:
        out: What was asked for.
        name: Of the folders where nothing was.

    Raises:
        ValueError: If the path is not UTF-8, which the checkpoint's library cannot write.
        FileExistsError: If it is a link that leads in a circle.
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
    """Refuse a path that is not UTF-8: it could be written neither into a page nor by the checkpoint's library.

    Raises:
        ValueError: With the path, its bytes escaped.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{str(path)!a} is no UTF-8 name; {remedy}") from None


def require_free(folder: Path, *, overwrite: bool, written: Collection[str] = WRITTEN) -> None:
    """Make sure that a folder may be written, before hours are spent on what it is to hold.

    Args:
        folder: Its future place.
        overwrite: Whether it may be replaced.
        written: What may be in the folder that is replaced.

    Raises:
        FileExistsError: If it exists and may not be replaced, or holds anything else.
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
    """Write a file whole or not at all.

    Raises:
        FileNotFoundError: If its folder does not exist.
        OSError: If it cannot be written, with its name.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} into")
    with unfinished(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A hidden name beside a file to write it under; at the end it gets the file's own name, or is removed.

    Raises:
        OSError: What went wrong, with the file's name where there was none.
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
    """The first of NAME-1, NAME-2, ... that does not exist and that no process is writing."""
    return next(folder for i in range(1, 10**6) if claims.is_free(folder := parent / f"{name}-{i}"))


temporary_folder = claims.temporary_folder


def settle(temporary: Path, folder: Path, *, overwrite: bool = False, written: Collection[str] = WRITTEN) -> None:
    """Give a complete folder its name.

    Args:
        temporary: The folder, beside its future place.
        folder: The name; a run folder of that name stays until this moment.
        overwrite: Whether it may be replaced.
        written: As `require_free` takes it.

    Raises:
        FileExistsError: As `require_free`; the complete folder then gets the next free name, and the message says which.
    """
    old = None
    try:
        require_free(folder, overwrite=overwrite, written=written)
        if overwrite and folder.exists():
            old = claims.hidden(folder, "old")
            folder.rename(old)
        temporary.rename(folder)  # onto what appeared meanwhile this fails, unless that is empty
    except OSError as error:
        if old is not None and not folder.exists():
            old.rename(folder)
        taken = error if isinstance(error, FileExistsError) and not error.errno else f"{folder} exists by now"
        if not os.path.lexists(folder):
            raise
        kept = _beside(temporary, folder)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        raise FileExistsError(f"{taken}; what was finished is kept in {kept}") from error
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _beside(temporary: Path, folder: Path) -> Path:
    """Give a folder the first free name beside the one that is taken."""
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
    written: Collection[str] = WRITTEN,
    what: str = "the trained network",
    less: Callable[[Path, Path], None] | None = None,
) -> None:
    """Write what was finished where it was asked for or, where that fails, wherever there is room.

    Args:
        write: `write(to, out)` writes into an existing folder what will be known by the name `out`.
        temporary: From `claims.claimed`.
        folder: Its name.
        overwrite: As `settle` takes it.
        written: Likewise.
        what: What is kept, for the message.
        less: Writes the same without its record of steps, tried where there is little room; None if there is no less.

    Raises:
        FileExistsError: As `settle`.
        OSError: If it could not be written there; the message says where it is kept instead.
    """
    try:
        write(temporary, folder)
        settle(temporary, folder, overwrite=overwrite, written=written)
    except FileExistsError:
        raise
    except Exception as error:  # orbax and matplotlib raise anything when a disk is full
        failed = f"{folder} could not be written ({reason(error)})"
        tried = list(dict.fromkeys((folder.parent, *claims.refuges())))
        shutil.rmtree(temporary, ignore_errors=True)  # what is there of it takes room that less may need
        for attempt in (write,) if less is None else (write, less):
            for refuge in tried:
                if (kept := _written(attempt, refuge, folder.name)) is not None:
                    without = ", without its record of steps" if attempt is less else ""
                    raise OSError(
                        f"{failed}; {what} is kept in {kept}{without}: move it where there is room"
                    ) from error
        raise OSError(f"{failed}, nor could {', '.join(map(str, tried))}, so {what} is lost; make room") from error


def _written(write: Callable[[Path, Path], None], refuge: Path, name: str) -> Path | None:
    """Write into a new folder of another place; None if that cannot be written to either."""
    kept = None
    try:
        refuge.mkdir(parents=True, exist_ok=True)
        kept = first_free(refuge, f"jaxnet-{name}")
        kept.mkdir()
        write(kept, kept)
    except Exception:  # whatever a full disk makes of it, the next place is tried
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)
        return None
    return kept


def reason(error: BaseException) -> str:
    """Why something could not be written, in a few words whatever library says it."""
    words = " ".join(str(error).split())
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or re.search(
        "RESOURCE_EXHAUSTED|No space left", words
    ):
        return "no space left on the device"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return words[:200] or type(error).__name__
