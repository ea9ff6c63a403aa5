"""The run folder: settings, record, checkpoint and result of one run, written whole or not at all, and read back."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import record
from jaxnet._types import Params
from jaxnet._version import __version__
from jaxnet.data.appearance import Appearance, Likeness
from jaxnet.descent import State
from jaxnet.devices import arithmetic, describe
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
        folder: Where to; use `fresh` so that it appears whole.
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
    (folder / "settings.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
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
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / "checkpoint").resolve(), run.state)


def load(folder: str | Path) -> Run:
    """Read a run folder back.

    Args:
        folder: What `jaxnet train` wrote.

    Returns:
        The run, with the same parameters bit for bit.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder holds no run, or one that this version cannot read.
    """
    import orbax.checkpoint as ocp

    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run folder {folder}; `jaxnet train --out {folder}` writes one")
    try:
        told = json.loads((folder / "settings.json").read_text())
        settings = Settings(**told["settings"] | {"sizes": tuple(told["settings"]["sizes"])})
        image_shape, classes = tuple(told["image_shape"]), tuple(told["classes"])
        result = json.loads((folder / "result.json").read_text())
        with np.load(folder / "record.npz") as file:
            columns = dict(file)
        look, likeness = _look(told.get("look")), _likeness(columns)
        with arithmetic(dtype=settings.dtype):
            recipe = build(settings, image_shape=image_shape, classes=len(classes), steps=told["num_steps"])
            like = jax.eval_shape(lambda key: recipe.descent.init(recipe.init(key)), jax.random.key(0))
            like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=_here()), like)
            with ocp.StandardCheckpointer() as checkpointer:
                state = checkpointer.restore((folder / "checkpoint").resolve(), like)
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{folder} holds no run of jaxnet that version {__version__} can read: {error}") from error
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


def require_free(folder: Path, *, overwrite: bool, written: Collection[str] = WRITTEN) -> None:
    """Make sure that a folder may be written, before hours are spent on what it is to hold.

    Args:
        folder: Its future place.
        overwrite: Whether it may be replaced.
        written: What may be in the folder that is replaced.

    Raises:
        FileExistsError: If it exists and may not be replaced, or holds anything else.
    """
    if not folder.exists():
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
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} into")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def first_free(parent: Path, name: str) -> Path:
    """The first of NAME-1, NAME-2, ... that does not exist."""
    return next(folder for i in range(1, 10**6) if not (folder := parent / f"{name}-{i}").exists())


def temporary_folder(folder: Path) -> Path:
    """An empty folder beside the one to be written, so that a place that cannot be written to is noticed before training."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))


def settle(temporary: Path, folder: Path, *, overwrite: bool = False, written: Collection[str] = WRITTEN) -> None:
    """Give a complete folder its name.

    Args:
        temporary: The folder, beside its future place.
        folder: The name; a run folder of that name stays until this moment.
        overwrite: Whether it may be replaced.
        written: As `require_free` takes it.

    Raises:
        FileExistsError: As `require_free`; the complete folder then stays where it is, and the message says where.
    """
    temporary.chmod(0o755)
    try:
        require_free(folder, overwrite=overwrite, written=written)
    except FileExistsError as error:
        raise FileExistsError(f"{error}; what was finished is kept in {temporary}") from error
    if folder.exists():
        old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
        folder.replace(old)
        temporary.replace(folder)
        shutil.rmtree(old)
    else:
        temporary.replace(folder)
