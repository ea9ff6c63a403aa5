"""Checkpoints: save a training every few seconds in the background, and continue from the last good checkpoint."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet.core.devices import current
from jaxnet.core.folders import reason
from jaxnet.core.leaves import first_not_finite, is_key
from jaxnet.core.metrics import Evaluation
from jaxnet.training import storage

KEPT = 2
"""How many checkpoints stay in the folder. If the last one is damaged, the one before it is used."""

FORMAT = 1
"""The number of the layout of checkpoints. A folder with a larger number was written by a newer version."""


class Judged(NamedTuple):
    """The result of an evaluation during the training.

    Attributes:
        step: How many steps had been taken.
        cost: The cost. If there are several networks, it has an axis of networks.
        accuracy: The fraction of the images that the network recognized correctly, with the same axes.
    """

    step: int
    cost: Any
    accuracy: Any


class Checkpoint(NamedTuple):
    """A training as it was after a chunk of steps.

    Attributes:
        step: How many steps have been taken.
        state: The state after these steps.
        info: The infos of all steps so far, stacked along an axis of steps. It has the structure of a chunk's info.
        evaluations: The evaluations so far.
        seconds: The time of training in seconds, over all processes that worked on it.
    """

    step: int
    state: Any
    info: Any
    evaluations: tuple[Judged, ...]
    seconds: float


class Checkpoints:
    """The checkpoints of one training, in one folder.

    A thread writes the checkpoints while the training goes on. `restore` ignores incomplete checkpoints. If a
    checkpoint cannot be written, the training goes on, and the checkpoints before it stay.

    Attributes:
        folder: The folder. It is made with the first checkpoint.
        every: The number of seconds between two checkpoints. 0 means that only `save` writes checkpoints.
        last: Whether `training.fit` saves the last state even if the training is complete.
        restored: The step that `restore` returned to, or None.
        failed: Why the last checkpoint could not be written, or None.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every: int | float = 30,
        last: bool = False,
        before_first: Callable[[], None] = lambda: None,
    ):
        """Use a folder. Nothing is read or written yet.

        Args:
            folder: The folder.
            every: The number of seconds between two checkpoints. 0 means that only `save` writes checkpoints.
            last: Whether `training.fit` saves the last state even if the training is complete. A training that is
                stopped early always saves its last state.
            before_first: Called in the thread that writes, before this object writes its first checkpoint.

        Raises:
            ValueError: If the number of seconds is negative.
        """
        if not every >= 0:
            raise ValueError(f"every must be 0 or more seconds, got {every}")
        self.folder, self.every, self.last, self._before_first = Path(folder), every, last, before_first
        self.restored: int | None = None
        self.failed: str | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._last = time.monotonic()

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints in the folder, in increasing order."""
        names = (path.stem for path in self.folder.glob("*.json"))
        return sorted(int(name) for name in names if name.isdigit() and (self.folder / name).is_dir())

    def restore(self, state: Any, info: Any = None) -> Checkpoint | None:
        """Read the last good checkpoint. Damaged checkpoints are skipped, and a warning names them.

        Args:
            state: A state of the training, or its shapes. It gives the structure, the types and the devices.
            info: The info of a chunk of steps, or its shapes. It gives the structure. If it is None, the checkpoint's
                info is a dictionary of arrays by name.

        Returns:
            The checkpoint, equal to what was saved, bit for bit. If the folder has no checkpoint, it is None.

        Raises:
            ValueError: If all checkpoints are damaged, or if the last good checkpoint belongs to another training or was
                written by a newer version.
        """
        damaged = []
        for step in reversed(self.steps()):
            try:
                told = storage.read_json(self.folder / f"{step}.json")
                version = int(told["format"])
                if version <= FORMAT:
                    storage.require_unchanged(self.folder, told["files"])
            except (OSError, ValueError, TypeError, KeyError) as error:
                damaged.append(f"{self.folder / str(step)} is damaged ({' '.join(str(error).split())[:150]})")
                continue
            if version > FORMAT:
                raise ValueError(
                    f"{self.folder / str(step)} was written by a newer version of jaxnet (layout {version}, this version "
                    f"reads {FORMAT}); install the newer version"
                )
            found = self._read(step, told, state, info)
            for line in damaged:
                logging.getLogger("jaxnet").warning(f"{line}; the training continues from step {step:,} instead")
            self.restored, self._last = step, time.monotonic()
            return found
        if damaged:
            raise ValueError(f"{'; '.join(damaged)}; restore the folder from a copy, or train again")
        return None

    def _read(self, step: int, told: dict[str, Any], state: Any, info: Any) -> Checkpoint:
        shapes = told["arrays"]
        self._require_alike(step, shapes["state"], _described(_named(state)))
        size = sum(_bytes(*array) for part in shapes.values() for array in part.values())
        try:
            content = storage.restore_tree(self.folder / str(step), {"bytes": jax.ShapeDtypeStruct((size,), np.uint8)})[
                "bytes"
            ]
        except Exception as error:  # orbax raises many kinds of errors
            raise ValueError(
                f"{self.folder / str(step)} cannot be read, although it is not damaged ({' '.join(str(error).split())[:150]}); "
                "continue with the version of orbax that wrote it"
            ) from error
        found = _split(np.asarray(content), shapes)
        leaves, structure = jax.tree.flatten(state)
        restored = [_like(leaf, array) for leaf, array in zip(leaves, found["state"].values(), strict=True)]
        stacked: Any = found["info"]
        if info is not None:
            stacked = jax.tree.structure(info).unflatten(stacked.values()) if stacked else None
        evaluations = tuple(map(Judged, told["evaluated"], *found["evaluations"].values())) if told["evaluated"] else ()
        return Checkpoint(step, structure.unflatten(restored), stacked, evaluations, float(told["seconds"]))

    def _require_alike(self, step: int, there: dict[str, Any], here: dict[str, Any]) -> None:
        different = next((name for name in there | here if there.get(name) != here.get(name)), None)
        if different is not None:
            named = lambda known: "{1}{0}".format(*known[different]) if different in known else "absent"
            raise ValueError(
                f"{self.folder / str(step)} belongs to another training: its {different} is {named(there)}, this training has "
                f"{named(here)}; continue it with its own settings, or choose another folder"
            )

    def due(self) -> bool:
        """Whether it is time for a checkpoint, and no other checkpoint is being written."""
        busy = self._writing is not None and not self._writing.done()
        return bool(self.every) and not busy and time.monotonic() - self._last >= self.every

    def offer(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint, and return before it is written. The arrays are copied first."""
        self._last = time.monotonic()
        named = _named(checkpoint.state)
        arrays, evaluations = jax.device_get((list(named.values()), checkpoint.evaluations))
        here = checkpoint._replace(state=dict(zip(named, arrays, strict=True)), evaluations=evaluations)
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing = self._pool.submit(self._write, here)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and wait until it is written."""
        self.offer(checkpoint)
        self.wait()

    def wait(self) -> None:
        """Wait until no checkpoint is being written."""
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        """Wait, and end the thread that writes."""
        self.wait()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _write(self, checkpoint: Checkpoint) -> None:
        try:
            self._before_first()
            self._before_first = lambda: None
            self._write_files(checkpoint)
            self.failed = None
        except Exception as error:  # on a full disk orbax can raise anything
            if self.failed is None:
                logging.getLogger("jaxnet").warning(
                    f"a checkpoint could not be written into {self.folder} ({reason(error)}); the training goes on, and the "
                    "checkpoints before it stay"
                )
            self.failed = reason(error)

    def _write_files(self, checkpoint: Checkpoint) -> None:
        steps, *judged = zip(*checkpoint.evaluations, strict=True) if checkpoint.evaluations else ((), (), ())
        parts: dict[str, dict[str, np.ndarray]] = {
            "state": checkpoint.state,
            "info": _named(checkpoint.info),
            "evaluations": {
                name: np.stack(part) for name, part in zip(Judged._fields[1:], judged, strict=True) if part
            },
        }
        # orbax takes a few milliseconds for each array, so it gets the bytes of all arrays as one array.
        content = np.concatenate([_as_bytes(array) for part in parts.values() for array in part.values()])
        folder = self.folder / str(checkpoint.step)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove(keep=self.steps()[-KEPT:])
        folder.with_suffix(".json").unlink(missing_ok=True)
        told = {"format": FORMAT, "seconds": checkpoint.seconds, "evaluated": steps}
        told["arrays"] = {part: _described(arrays) for part, arrays in parts.items()}
        told["files"] = storage.save_tree(folder, {"bytes": content})
        storage.write_json(folder.with_suffix(".json"), told)
        self._remove(keep=self.steps()[-KEPT:])

    def _remove(self, keep: Sequence[int]) -> None:
        """Remove older checkpoints, and parts of checkpoints that a killed process did not finish."""
        stay = {str(step) for step in keep}
        # The JSON files come first, because a folder without its JSON file does not count.
        for path in (*self.folder.glob("*.json"), *self.folder.iterdir()):
            if path.stem in stay or not path.exists():
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


class Saver:
    """Collects the record of a training, and saves it with the state when a checkpoint is due."""

    def __init__(self, checkpoints: Checkpoints, guarded: bool):
        """Begin an empty record."""
        self.checkpoints, self._guarded = checkpoints, guarded
        self._infos: list[Any] = []
        self._evaluations: list[Judged] = []
        self._latest: tuple[int, Any] | None = None
        self._begun = time.perf_counter()

    def restore(self, state: Any, info: Any) -> Checkpoint:
        """Continue the record of the last good checkpoint."""
        restored = self.checkpoints.restore(state, info)
        assert restored is not None
        self._infos = [] if restored.info is None else [restored.info]
        self._evaluations = list(restored.evaluations)
        self._begun = time.perf_counter() - restored.seconds
        return restored

    def took(self, step: int, state: Any, info: Any, evaluation: Evaluation | None) -> None:
        """Add a chunk of steps to the record, and begin to save a checkpoint if one is due."""
        self._infos.append(info)
        self._latest = (step, state)
        if evaluation is not None:
            self._evaluations.append(Judged(step, evaluation.cost, evaluation.accuracy))
        if self.checkpoints.due() and self._is_good():
            self.checkpoints.offer(self._checkpoint(step, state))

    def save(self) -> None:
        """Save the last state, and wait until it is saved."""
        if self._latest is not None and self._is_good():
            self.checkpoints.save(self._checkpoint(*self._latest))

    def close(self) -> None:
        """Wait until the checkpoint that is being written is complete."""
        self.checkpoints.close()

    def _checkpoint(self, step: int, state: Any) -> Checkpoint:
        # The record is joined each time, so that the next checkpoint fetches only new infos from the device.
        self._infos = [jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(self._infos))]
        return Checkpoint(step, state, self._infos[0], tuple(self._evaluations), time.perf_counter() - self._begun)

    def _is_good(self) -> bool:
        """Whether the state is finite. A guarded training goes back behind a state that is not."""
        if not self._guarded or self._latest is None:
            return True
        costs = np.asarray(self._infos[-1].cost, np.float64)
        return bool(np.isfinite(costs).all()) and first_not_finite(self._latest[1].params) is None


def _named(tree: Any) -> dict[str, Any]:
    """The arrays of a pytree by name. The random keys are given as integers."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    plain = lambda leaf: jax.random.key_data(leaf) if is_key(leaf) and isinstance(leaf, jax.Array) else leaf
    return {jax.tree_util.keystr(path, simple=True, separator="/"): plain(leaf) for path, leaf in paths}


def _described(arrays: dict[str, Any]) -> dict[str, Any]:
    """The shape and the type of every array, by name."""
    return {name: [list(array.shape), str(array.dtype)] for name, array in arrays.items()}


def _bytes(shape: Sequence[int], dtype: str) -> int:
    return math.prod(shape) * jax.numpy.dtype(dtype).itemsize


def _as_bytes(array: Any) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _split(content: np.ndarray, shapes: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Cut bytes into the arrays that they hold."""
    found: dict[str, dict[str, np.ndarray]] = {}
    begin = 0
    for part, arrays in shapes.items():
        found[part] = {}
        for name, (shape, dtype) in arrays.items():
            end = begin + _bytes(shape, dtype)
            found[part][name] = content[begin:end].copy().view(jax.numpy.dtype(dtype)).reshape(shape)
            begin = end
    return found


def _like(leaf: Any, array: np.ndarray) -> Any:
    """Put an array on the devices of a leaf of the state. If the leaf is a random key, the array becomes a random key."""
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(current())
    if is_key(leaf):
        return jax.device_put(
            jax.random.wrap_key_data(jax.numpy.asarray(array), impl=jax.random.key_impl(leaf)), sharding
        )
    return jax.device_put(array, sharding)
