"""What train and sweep share: they begin in a folder from which a later command continues."""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from jaxnet.core import folders
from jaxnet.training import resume
from jaxnet.training.resume import Begun, BegunSweep


def require_new(folder: Path, *, overwrite: bool, written: Collection[str]) -> None:
    """Check that a command may write a folder. A training that is not finished is not replaced by mistake."""
    if not overwrite and resume.exists(folder) and folders.contents(folder) == {resume.FOLDER}:
        raise FileExistsError(
            f"{folder} has a training that is not finished; continue it with --resume {folder}, replace it with --overwrite, or "
            "choose another --out"
        )
    folders.require_free(folder, overwrite=overwrite, written=written)


def require_cadence(checkpoint_every: int | float) -> None:
    """Refuse a negative number of seconds between checkpoints."""
    if not checkpoint_every >= 0:
        raise ValueError(f"checkpoint_every must be 0 or more seconds, got {checkpoint_every}")


def note_begin(folder: Path, begun: Begun | BegunSweep) -> None:
    """Write how the training was begun. On a full disk, the training goes on without checkpoints."""
    try:
        resume.write(folder, begun)
    except OSError as error:
        logging.getLogger("jaxnet").warning(
            f"no checkpoints can be written into {folder} ({folders.reason(error)}); if the training is killed, it is lost"
        )


def keep_for_later(folder: Path, to: Path, begun: Begun | BegunSweep) -> None:
    """Copy the checkpoints from one folder to another folder, and write there how the training was begun."""
    if resume.checkpoints_of(folder).is_dir():
        shutil.copytree(resume.checkpoints_of(folder), resume.checkpoints_of(to))
    resume.write(to, begun)


def folder_of(run: str | Path, command: str, cadence: int | float) -> Path:
    """Check the arguments of a command that continues, and follow the links of its folder.

    Args:
        run: The folder as the user named it.
        command: "train" or "sweep".
        cadence: The number of seconds between checkpoints.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the number of seconds is negative.
    """
    require_cadence(cadence)
    if not Path(run).is_dir():
        raise FileNotFoundError(f"no folder {run}; `jaxnet {command} --out {run}` writes one")
    return Path(run).resolve()


def require_same_data(equal: bool, data: str, run: str | Path, remedy: str) -> None:
    """Refuse to continue with other data than those of the beginning.

    Args:
        equal: Whether the data are those of the beginning.
        data: The data set, as the settings name it.
        run: The folder as the user named it.
        remedy: What else the user can do.

    Raises:
        ValueError: If the data are not equal.
    """
    if not equal:
        raise ValueError(
            f"the data set {data} is not the one that {run} began with, so {run} cannot continue; bring back the old data, or "
            f"{remedy}"
        )
