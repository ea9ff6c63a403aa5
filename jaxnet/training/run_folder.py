"""The run folder: write a run's settings, record, checkpoint and result, and read them back."""

import hashlib
import importlib.metadata
import json
import logging
import platform
import reprlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang
from jaxnet._version import __version__
from jaxnet.core.descent import State, vmapped
from jaxnet.core.devices import arithmetic, describe
from jaxnet.core.json_types import as_tuples, fits, in_words
from jaxnet.core.types import Params
from jaxnet.data.appearance import Appearance, Likeness
from jaxnet.data.readers import archive
from jaxnet.training import checkpoints, records, resume, storage
from jaxnet.training.config import TrainConfig
from jaxnet.training.functions import Functions, build

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
        resume.FOLDER,
    )
)
"""The names of everything in a run folder. A folder with any other file is never replaced."""


class Run(NamedTuple):
    """A run: finished, ended early, or the last checkpoint of a training that is not finished.

    Attributes:
        settings: The settings of the run.
        params: The trained parameters.
        state: The last state, including the optimizer's state.
        history: Columns step, cost, gradient_norm, with one row for each step.
        evaluations: Columns step, epoch, cost, accuracy, with one row for each evaluation during training.
        result: The results of the run: numbers and words.
        image_shape: The shape of one image.
        classes: The names of the labels.
        versions: The versions of the packages that the run used, and its device.
        functions: The functions that the settings describe. `run.functions.apply(params, image)` computes the outputs
            for an image.
        signals: Columns step and SIGNAL/ARRAY, such as `ratio/0/weights`. If the run was not watched, there are no
            columns.
        look: What the training images look like. If an older version wrote the run without saving this, it is None.
        likeness: A distribution of the training images. It shows which images are different from them. If it was not
            saved, or if there are few training images, it is None.
    """

    settings: TrainConfig
    params: Params
    state: State
    history: records.Columns
    evaluations: records.Columns
    result: dict[str, Any]
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    versions: dict[str, str]
    functions: Functions
    signals: records.Columns
    look: Appearance | None = None
    likeness: Likeness | None = None


def write(folder: Path, run: Run) -> None:
    """Write a run into an existing folder.

    Args:
        folder: The folder.
        run: The run to write.
    """
    told = {
        "settings": run.settings._asdict(),
        "image_shape": run.image_shape,
        "classes": run.classes,
        "num_steps": run.result["num_steps"],
        "versions": run.versions,
        "look": None if run.look is None else run.look._asdict(),
    }
    (folder / "result.json").write_text(json.dumps(run.result, indent=1, allow_nan=False) + "\n")
    records.write_csv(folder / "history.csv", run.history)
    records.write_csv(folder / "evaluations.csv", run.evaluations)
    tables = {"history": run.history, "evaluations": run.evaluations, "signals": run.signals}
    if run.signals:
        records.write_csv(folder / "signals.csv", run.signals)
    flat: dict[str, Any] = {
        f"{table}/{name}": column for table, columns in tables.items() for name, column in columns.items()
    }
    if run.likeness is not None:
        flat |= {f"likeness/{name}": np.asarray(part) for name, part in run.likeness._asdict().items()}
    np.savez(folder / "record.npz", **flat)
    told["checkpoint"] = storage.save_tree(folder / "checkpoint", run.state)
    (folder / "settings.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")


def load(folder: str | Path) -> Run:
    """Read a run folder back.

    If the process was killed or still works, the training is not finished. Then the last checkpoint is read, and a
    warning says so.

    Args:
        folder: The folder that `jaxnet train` wrote.

    Returns:
        The run. Its parameters are equal to the trained parameters, bit for bit. If the training is not finished, the
        scores in `result` are None.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder holds no run, a run that this version cannot read, or a file that was damaged or
            changed. The message names the file, the fault and the remedy.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run folder {folder}; `jaxnet train --out {folder}` writes one")
    if resume.exists(folder) and not (folder / "result.json").exists():
        return _unfinished(folder)
    told, result = _read(folder, "settings.json"), _read(folder, "result.json")
    settings, image_shape, classes = _settings(folder, told)
    expected = _field(folder, "result.json", result, "params_sha256", str)
    for name in ("steps", "num_steps", "test_images", "train_images"):
        _field(folder, "result.json", result, name, int)
    try:
        columns = archive(folder / "record.npz")
    except Exception as error:  # numpy, zipfile and zlib can raise anything if the archive is damaged
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
            functions = build(settings, image_shape=image_shape, classes=len(classes), steps=told["num_steps"])
            like = jax.eval_shape(lambda key: functions.descent.init(functions.init(key)), jax.random.key(0))
    except Exception as error:  # sizes or types that a person changed can cause any error
        raise _unreadable(folder, "settings.json", error) from error
    listed = _field(folder, "settings.json", told, "checkpoint", dict) if "checkpoint" in told else {}
    try:
        storage.require_unchanged(folder, listed)
    except storage.Changed as error:
        raise _unreadable(folder, error.name, error) from error
    try:
        with arithmetic(dtype=settings.dtype):
            state = storage.restore_tree(folder / "checkpoint", like)
    except Exception as error:  # orbax can raise anything if the checkpoint is damaged
        raise _unreadable(folder, "checkpoint", error) from error
    if params_sha256(state.params) != expected:
        raise _unreadable(folder, "checkpoint", ValueError("its parameters do not have the sha256 in result.json"))
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
        functions,
        signals,
        look,
        likeness,
    )


def _unfinished(folder: Path) -> Run:
    """The last checkpoint of a training that is not finished."""
    begun = resume.read(folder)
    settings, saved = begun.settings, checkpoints.Checkpoints(resume.checkpoints_of(folder))
    if begun.image_shape is None or begun.classes is None or begun.num_steps is None or not saved.steps():
        raise ValueError(
            f"{folder} has no network yet, because its training ended before the first checkpoint; continue with "
            f"`jaxnet train --resume {folder}`"
        )
    with arithmetic(dtype=settings.dtype):
        functions = build(settings, image_shape=begun.image_shape, classes=len(begun.classes), steps=begun.num_steps)
        descent = functions.descent
        if begun.watch_every:
            descent = bang.watch(descent, every=begun.watch_every)
        descent = vmapped(descent) if settings.candidates > 1 else descent
        stacked = lambda key: jax.vmap(functions.init)(jax.random.split(key, settings.candidates))
        init = functions.init if settings.candidates == 1 else stacked
        last = saved.restore(jax.eval_shape(lambda key: descent.init(init(key)), jax.random.key(0)))
    assert last is not None
    logging.getLogger("jaxnet").warning(
        f"the training in {folder} is not finished; this is its checkpoint after {last.step:,} of {begun.num_steps:,} "
        f"steps. `jaxnet train --resume {folder}` continues it"
    )
    state, chosen, of_chosen = last.state.inner if begun.watch_every else last.state, None, ...
    if settings.candidates > 1:
        chosen = int(np.nan_to_num(last.info["cost"][-1], nan=np.inf).argmin())
        state, of_chosen = jax.tree.map(lambda leaf: leaf[chosen], state), (..., chosen)
    history = {"step": np.arange(1, last.step + 1)}
    history |= {name: last.info[name][of_chosen] for name in ("cost", "gradient_norm")}
    per_epoch = begun.num_steps / max(1, settings.epochs)
    evaluations = records.columns(
        {"step": step, "epoch": step / per_epoch, "cost": float(cost[of_chosen]), "accuracy": right[of_chosen].item()}
        for step, cost, right in last.evaluations
    )
    unscored = ("test_accuracy", "test_cost", "cost", "train_accuracy", "learned", "test_images", "train_images")
    result = {
        "preset": settings.preset,
        "data": settings.data,
        "data_sha256": begun.data_sha256,
        "seed": settings.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "steps": last.step,
        "num_steps": begun.num_steps,
        "chosen": chosen,
        "seconds": last.seconds,
        "interrupted": True,
        "params_sha256": params_sha256(state.params),
        "out": str(folder),
    }
    return Run(
        settings, state.params, state, history, evaluations, result | dict.fromkeys(unscored), begun.image_shape,
        begun.classes, begun.versions or {}, functions, {}, _look(begun.look),
    )  # fmt: skip


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


REMEDY = "restore the folder from a copy, or train again"


def _unreadable(folder: Path, name: str, error: BaseException) -> ValueError:
    """Make an error about a damaged run folder, with a message of one line."""
    said = " ".join(str(error).split())
    said = said if len(said) < 160 else f"{said[:150]} ..."
    if not (folder / name).exists():
        said = f"there is no {name}"
    return ValueError(
        f"{folder} holds no run of jaxnet that version {__version__} can read: {folder / name}: "
        f"{said or type(error).__name__}; {REMEDY}"
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the folder's JSON files."""
    try:
        there = json.loads((folder / name).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder, name, error) from error
    if not isinstance(there, dict):
        raise _unreadable(folder, name, TypeError(f"expected names with values, got a {type(there).__name__}"))
    return there


def _field(folder: Path, name: str, there: dict[str, Any], field: str, kind: Any) -> Any:
    """Get a field of one of the folder's JSON files, and check that it has the right type."""
    if field not in there:
        raise _unreadable(folder, name, ValueError(f"there is no field {field}"))
    if not fits(there[field], kind):
        raise _unreadable(
            folder, name, TypeError(f"field {field} must be {in_words(kind)}, got {reprlib.repr(there[field])}")
        )
    return there[field]


def _settings(folder: Path, told: dict[str, Any]) -> tuple[TrainConfig, tuple[int, ...], tuple[str, ...]]:
    """Get the settings, the shape of an image and the classes from the folder's settings.json, and check every field."""
    name = "settings.json"
    younger = (
        "test_fraction",
        "frozen",
        "devices",
        "layer_devices",
        "reproducible",
    )  # settings that older runs do not have
    defaults = {field: TrainConfig._field_defaults[field] for field in younger}
    there = defaults | _field(folder, name, told, "settings", dict)
    if unknown := [field for field in there if field not in TrainConfig._fields]:
        raise _unreadable(folder, name, ValueError(f"there is no setting {', '.join(unknown)}"))
    values = {
        field: as_tuples(_field(folder, name, there, field, kind))
        for field, kind in TrainConfig.__annotations__.items()
    }
    shape = as_tuples(_field(folder, name, told, "image_shape", tuple[int, ...]))
    classes = as_tuples(_field(folder, name, told, "classes", tuple[str, ...]))
    _field(folder, name, told, "num_steps", int)
    _field(folder, name, told, "versions", dict)
    return TrainConfig(**values), shape, classes


def params_sha256(params: Params) -> str:
    """The sha256 of the bytes of all parameters, leaf by leaf."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """The versions of the packages that a run uses, and its device."""
    return {**package_versions(), "device": describe()}


def package_versions() -> dict[str, str]:
    """The versions of the packages that a run uses, of Python and of the platform."""
    names = ("jax", "jaxlib", "optax", "flax", "numpy", "orbax-checkpoint")
    return {
        "jaxnet": __version__,
        **{name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }
