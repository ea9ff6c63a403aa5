"""The part of a run folder that continues a training: the settings, the facts about the data, and the checkpoints."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from jaxnet._version import __version__
from jaxnet.core.json_types import as_tuples, fits, in_words
from jaxnet.training.config import TrainConfig
from jaxnet.training.storage import read_json, write_json

FOLDER = "resume"
"""The name of this part. A run folder with this part and without `result.json` belongs to a training that is not finished."""

FORMAT = 1
"""The number of the layout. A folder with a larger number was written by a newer version."""


class Begun(NamedTuple):
    """How a training was begun, and the facts about its data.

    Attributes:
        settings: The settings.
        evaluate_every: As in `commands.train`.
        watch_every: As in `commands.train`.
        pictures: As in `commands.train`.
        files: The folder with downloaded files, or None.
        start_from: The run folder that the first parameters came from, or None.
        finished: Whether the training is finished.
        image_shape: The shape of an image. Before the data are loaded, it is None.
        classes: The names of the labels. Before the data are loaded, it is None.
        num_steps: The number of steps of the whole training. Before the data are loaded, it is None.
        data_sha256: The sha256 of the data set, as in `result.json`.
        look: What the training images look like, as in `run_folder.Run`.
        versions: The versions of the packages that the training began with.
    """

    settings: TrainConfig
    evaluate_every: int | None = None
    watch_every: int = 0
    pictures: bool = True
    files: str | None = None
    start_from: str | None = None
    finished: bool = False
    image_shape: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None
    num_steps: int | None = None
    data_sha256: str | None = None
    look: dict[str, Any] | None = None
    versions: dict[str, str] | None = None


class BegunSweep(NamedTuple):
    """How a sweep was begun.

    Attributes:
        settings: The settings that all networks share.
        axes: As in `commands.sweep`: pairs of a name and its values.
        seeds: As in `commands.sweep`.
        own_order: As in `commands.sweep`.
        at_once: As in `commands.sweep`.
        evaluate_every: As in `commands.sweep`.
        files: The folder with downloaded files, or None.
        data_sha256: The sha256 of the data set, as in `result.json`. Before the data are loaded, it is None.
    """

    settings: TrainConfig
    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    seeds: int
    own_order: bool
    at_once: int
    evaluate_every: int | None
    files: str | None
    data_sha256: str | None = None


COMMANDS = {"train": Begun, "sweep": BegunSweep}


def checkpoints_of(run: Path) -> Path:
    """The folder of a run's checkpoints."""
    return run / FOLDER / "checkpoints"


def exists(run: Path) -> bool:
    """Whether a run folder has this part."""
    return (run / FOLDER / "run.json").is_file()


def write(run: Path, begun: Begun | BegunSweep) -> None:
    """Write how a training or a sweep was begun. The run folder is made if it does not exist.

    Raises:
        OSError: If the file cannot be written.
    """
    (run / FOLDER).mkdir(parents=True, exist_ok=True)
    command = next(name for name, kind in COMMANDS.items() if isinstance(begun, kind))
    told = {"format": FORMAT, "jaxnet": __version__, "command": command, **begun._asdict()}
    told["settings"] = begun.settings._asdict()
    write_json(run / FOLDER / "run.json", told)


def remove(run: Path) -> None:
    """Remove this part from a run folder. If the folder is then empty, remove the folder too."""
    shutil.rmtree(run / FOLDER, ignore_errors=True)
    if run.is_dir() and not any(run.iterdir()):
        run.rmdir()


def read(run: Path, command: str = "train") -> Any:
    """Read how a training or a sweep was begun.

    Args:
        run: The folder.
        command: "train" or "sweep".

    Returns:
        A `Begun` or a `BegunSweep`.

    Raises:
        ValueError: If the file was damaged or changed, belongs to the other command, or was written by a newer version. The message
            names the file.
    """
    path = run / FOLDER / "run.json"
    remedy = "restore the folder from a copy, or train again"
    try:
        told = read_json(path)
        version = told.pop("format")
        if not isinstance(version, int):
            raise TypeError(f"field format must be a whole number, got {version!r}")
        if version > FORMAT:
            raise ValueError(f"a newer version of jaxnet wrote it ({told.get('jaxnet')}, layout {version})")
        told.pop("jaxnet")
        there = told.pop("command")
        if there == command:
            settings = _fitting(told.pop("settings"), TrainConfig)
            return _fitting({**told, "settings": settings}, COMMANDS[command])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        newer = "install the newer version" if "newer version" in said else remedy
        raise ValueError(f"{path}: {said}; {newer}") from error
    raise ValueError(f"{run} was begun by `jaxnet {there}`; continue it with `jaxnet {there} --resume {run}`")


def _fitting(told: dict[str, Any], kind: Any) -> Any:
    """Make a named tuple of a dictionary, if every field has the right type."""
    if unknown := set(told) - set(kind._fields):
        raise ValueError(f"there is no field {', '.join(sorted(unknown))}")
    for name, value in told.items():
        if not fits(value, kind.__annotations__[name]):
            raise TypeError(f"field {name} must be {in_words(kind.__annotations__[name])}, got {value!r}")
    return kind(**{name: as_tuples(value) for name, value in told.items()})
