"""Parts of an experiment on disk: what was computed before a kill is found again, whole or not at all."""

import io
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from jaxnet.claims import refuges
from jaxnet.data.files import archive
from jaxnet.experiments.findings import Arrays, Keep
from jaxnet.run import contents, reason, write_file

TOLD = "experiment.json"


class Shelf(NamedTuple):
    """Where the parts of one experiment stand.

    Attributes:
        keep: Computes a part, or finds it.
        seconds: What the parts took when they were computed, by name; grows as parts are asked for.
        found: The parts that were found.
    """

    keep: Keep
    seconds: dict[str, float]
    found: list[str]


def shelf(folder: Path, identity: Mapping[str, Any], *, tell: Callable[[str], None] = lambda part: None) -> Shelf:
    """Open a folder for the parts of an experiment.

    Args:
        folder: Made if it is not there.
        identity: What decides the numbers: experiment, settings, versions. As JSON.
        tell: Called with the name of a part before it is computed.

    Raises:
        FileExistsError: If the folder holds parts of another identity.
        ValueError: If what the folder says of its parts cannot be read.
    """
    wanted = json.loads(json.dumps(identity))
    if (folder / TOLD).exists():
        try:
            there = dict(json.loads((folder / TOLD).read_text()))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{folder / TOLD} cannot be read ({error}); --again computes everything anew, or choose another --out"
            ) from error
        if there != wanted:
            differs = [name for name in there | wanted if there.get(name) != wanted.get(name)]
            raise FileExistsError(
                f"{folder} holds parts made with other {', '.join(differs)}; --again computes them anew, or choose another --out"
            )
    elif folder.exists() and contents(folder):
        raise FileExistsError(f"{folder} exists and is no experiment's folder; choose another --out")
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
                    f"{path} cannot be read ({error}); delete it, and the part is computed anew"
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
    """Write a part where it belongs or, where that fails, wherever there is room."""
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
                f"{path} could not be written ({reason(error)}); what was computed is kept in {kept}: make room, move it to "
                f"{path}, and the same command goes on from there"
            ) from error
        raise
