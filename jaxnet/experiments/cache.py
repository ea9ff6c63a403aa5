"""Parts of an experiment on disk. After a stop, finished parts are used again. A part is complete, or it has no file."""

import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxnet.core.folders import contents, reason, refuges, write_file
from jaxnet.data.readers import archive
from jaxnet.experiments.findings import Arrays, Keep

TOLD = "experiment.json"


class Shelf(NamedTuple):
    """The folder with the parts of one experiment.

    Attributes:
        keep: Computes a part, or reads it from the folder.
        seconds: The computing time of each part in seconds, by name. Each call of `keep` adds an entry.
        found: The parts that were read from the folder.
    """

    keep: Keep
    seconds: dict[str, float]
    found: list[str]


def shelf(folder: Path, identity: Mapping[str, Any], *, tell: Callable[[str], None] = lambda part: None) -> Shelf:
    """Open a folder for the parts of an experiment.

    Args:
        folder: The folder; it is created if it does not exist.
        identity: Everything that determines the numbers: experiment, settings and versions. All values must fit into
            JSON.
        tell: Called with the name of a part before the part is computed.

    Raises:
        FileExistsError: If the folder holds parts of another identity, or is not the folder of an experiment.
        ValueError: If the identity in the folder cannot be read.
    """
    wanted = json.loads(json.dumps(identity))
    if (folder / TOLD).exists():
        try:
            there = dict(json.loads((folder / TOLD).read_text()))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{folder / TOLD} cannot be read ({error}); compute everything again with --again, or choose another --out"
            ) from error
        if there != wanted:
            differs = [name for name in there | wanted if there.get(name) != wanted.get(name)]
            raise FileExistsError(
                f"{folder} holds parts made with other {', '.join(differs)}; compute them again with --again, or choose another "
                "--out"
            )
    elif folder.exists() and contents(folder):
        raise FileExistsError(f"{folder} exists and is not the folder of an experiment; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / TOLD, (json.dumps(wanted, indent=1) + "\n").encode())
    (folder / "parts").mkdir(exist_ok=True)
    seconds: dict[str, float] = {}
    found: list[str] = []

    def keep(part: str, compute: Callable[[], Arrays]) -> Arrays:
        path = folder / "parts" / f"{quote(part, safe=' ,+')}.npz"
        if path.exists():
            try:
                arrays = archive(path)
                seconds[part] = float(arrays.pop("seconds"))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} cannot be read ({error}); delete the file, and the part is computed again"
                ) from error
            found.append(part)
            return arrays
        tell(part)
        begun = time.perf_counter()
        arrays = {name: np.asarray(array) for name, array in compute().items()}
        seconds[part] = time.perf_counter() - begun
        packed = io.BytesIO()
        np.savez_compressed(packed, seconds=seconds[part], **arrays)  # pyright: ignore[reportArgumentType]
        _keep(path, packed.getvalue())
        return arrays

    return Shelf(keep, seconds, found)


def _keep(path: Path, content: bytes) -> None:
    """Write a part to its place; if that fails, write it to another folder with free space."""
    try:
        write_file(path, content)
    except OSError as error:
        for refuge in refuges():
            kept = refuge / f"jaxnet-{path.name}"
            try:
                refuge.mkdir(parents=True, exist_ok=True)
                write_file(kept, content)
            except OSError:
                continue
            raise OSError(
                f"{path} could not be written ({reason(error)}); the computed part is kept in {kept}: make room, move the file to "
                f"{path}, and run the same command again to continue"
            ) from error
        raise
