"""The commands as functions: each takes plain arguments, does the work, writes what it is told to, and returns what it found."""

import contextlib
import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang as bang_for_buck
from jaxnet import data, losses, portraits, recipes, record, report, scan, training
from jaxnet import run as folders
from jaxnet._types import Dataset
from jaxnet.devices import arithmetic, describe
from jaxnet.loop import Diverged
from jaxnet.recipes import Settings
from jaxnet.report import Picture

RESULT = "result.json"


class Seen(NamedTuple):
    """What `train` tells while it works.

    Attributes:
        phase: "loading", "compiling", "training", "drawing".
        step: Steps taken.
        num_steps: Steps of the whole run.
        cost: Mean cost of the latest chunk's batches.
        accuracy: At the last evaluation, None before the first.
        examples_per_second: Since the first chunk was done.
    """

    phase: str
    step: int = 0
    num_steps: int = 0
    cost: float = math.nan
    accuracy: float | None = None
    examples_per_second: float = 0.0


class Answer(NamedTuple):
    """What the network made of one picture.

    Attributes:
        file: The picture.
        answer: The class it answers.
        confidence: The strongest output, 0..1: the softmax of logits, a sigmoid as it is.
        outputs: All outputs, 0..1.
    """

    file: str
    answer: str
    confidence: float
    outputs: tuple[float, ...]


def dataset(name: str) -> Dataset:
    """A data set by its name, or from an .npz file by its path."""
    return data.from_file(name) if name.endswith(".npz") else data.load(name)


def train(
    settings: Settings = recipes.film,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: int = 1,
    show: Callable[[Seen], None] = lambda seen: None,
) -> dict[str, Any]:
    """Train a network, score the test images once, and write a run folder.

    Ctrl-C and SIGTERM end the training early; what there is by then is judged and saved.

    Args:
        settings: What to do; `recipes.film._replace(epochs=5)` changes a preset.
        out: The run folder; None takes the first free of runs/PRESET-1, runs/PRESET-2, ...
        overwrite: Whether an existing run folder may be replaced.
        pictures: Whether to draw the pictures and compose `report.html`.
        evaluate_every: Epochs between evaluations on held-out images (or on training images where none are held out).
        show: Called with what there is to see, after every chunk of steps.

    Returns:
        The numbers in `result.json`: parameters, test_accuracy (a fraction), test_cost, cost (over all training
        images), seconds (of training, compilation included), out, params_sha256 and more.

    Raises:
        ValueError: If settings and data do not go together.
        FileExistsError: If the folder exists.
        Diverged: If the cost becomes NaN or infinite; the last good state is saved before.
    """
    recipes.check(settings)
    folder = Path(out) if out is not None else _free(Path("runs"), settings.preset)
    folders.require_free(folder, overwrite=overwrite)
    with arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision):
        show(Seen("loading"))
        images = dataset(settings.data)
        plan = training.plan(settings, images)
        show(Seen("compiling", 0, plan.num_steps))
        walked = _walk(plan, evaluate_every, show)
        run, outputs = _finish(plan, images, walked, folder)
        with folders.fresh(folder, overwrite=overwrite) as temporary:
            folders.write(temporary, run)
        if walked.diverged is not None:
            raise walked.diverged
        if pictures:
            show(Seen("drawing", run.result["steps"], plan.num_steps))
            found = portraits.gradients(run.recipe, plan.params, run.params, plan.train)
            drawn = {
                **dict(portraits.of_gradients(settings, run.params, found, plan.train, images.classes)),
                "history": portraits.of_history(run.history, run.evaluations, run.result["judged_by"]),
                **dict(portraits.of_reading(settings, run.recipe, plan.params, run.params, images, outputs)),
            }
            _publish(folder, run, drawn, bang_for_buck.top(found.start, 50))
    return run.result


class _Walked(NamedTuple):
    params: Any
    state: Any
    history: record.Columns
    evaluations: record.Columns
    seconds: float
    signal: int | None
    diverged: Diverged | None


def _walk(plan: training.Plan, evaluate_every: int, show: Callable[[Seen], None]) -> _Walked:
    """Train to the end, or until somebody or NaN stops it, and keep what happened."""
    state, infos, rows, accuracy, diverged = plan.recipe.descent.init(plan.params), [], [], None, None
    per_epoch = plan.num_steps / max(1, plan.settings.epochs)
    begun = time.perf_counter()
    first: tuple[float, int] | None = None
    with _stoppable() as asked:
        try:
            for progress in training.fit(plan, evaluate_every=evaluate_every):
                state = progress.state
                infos.append(progress.info)
                if progress.evaluation is not None:
                    accuracy = float(progress.evaluation.accuracy)
                    rows.append(
                        {
                            "step": progress.step,
                            "epoch": progress.step / per_epoch,
                            "cost": float(progress.evaluation.cost),
                            "accuracy": accuracy,
                        }
                    )
                if first is None:
                    first = (time.perf_counter(), progress.step)
                elapsed = time.perf_counter() - first[0]
                rate = (progress.step - first[1]) * plan.settings.batch_size / elapsed if elapsed > 0 else 0.0
                # The chunk before this one is done for certain: looking at its cost does not wait for the device.
                cost = float(np.mean(infos[max(0, len(infos) - 2)].cost))
                show(Seen("training", progress.step, plan.num_steps, cost, accuracy, rate))
                if asked:
                    break
        except Diverged as error:
            diverged, state = error, error.state
        jax.block_until_ready(state)
    seconds = time.perf_counter() - begun
    steps = int(state.step)
    info = record.stack(infos) if infos else None
    columns = {} if info is None else {name: column[:steps] for name, column in info._asdict().items()}
    history = {"step": np.arange(1, len(next(iter(columns.values()), ())) + 1), **columns}
    number = asked[0] if asked and steps < plan.num_steps else None
    return _Walked(state.params, state, history, record.columns(rows), seconds, number, diverged)


def _finish(plan: training.Plan, images: Dataset, walked: _Walked, folder: Path) -> tuple[folders.Run, Any]:
    """Score the test images, once, and put together what there is to keep."""
    recipe, params = plan.recipe, walked.params
    outputs = losses.outputs(recipe.apply, params, images.test.images)
    test = losses.evaluate(recipe.loss, outputs, images.test.labels)
    trained_on = training.judge(recipe, params, plan.train)
    settings = plan.settings
    result = {
        "preset": settings.preset,
        "data": settings.data,
        "seed": settings.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "steps": int(walked.state.step),
        "num_steps": plan.num_steps,
        "test_accuracy": float(test.accuracy),
        "test_images": len(images.test.labels),
        "test_cost": float(test.cost),
        "cost": float(trained_on.cost),
        "train_accuracy": float(trained_on.accuracy),
        "train_images": len(plan.train.labels),
        "judged_by": f"{len(plan.judged.labels):,} {'held-out' if plan.held_out else 'training'} images",
        "seconds": walked.seconds,
        "interrupted": walked.signal is not None,
        "signal": walked.signal,
        "diverged": None if walked.diverged is None else str(walked.diverged),
        "device": describe(),
        "out": str(folder),
        "params_sha256": folders.params_sha256(params),
    }
    run = folders.Run(
        settings, params, walked.state, walked.history, walked.evaluations, result,
        tuple(plan.train.images.shape[1:]), images.classes, recipe,
    )  # fmt: skip
    return run, outputs


def _free(parent: Path, name: str) -> Path:
    """The first of NAME-1, NAME-2, ... that does not exist."""
    return next(folder for i in range(1, 10**6) if not (folder := parent / f"{name}-{i}").exists())


@contextlib.contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Note the first Ctrl-C or SIGTERM in a list, so that a step is never cut in two; a second one ends at once."""
    asked: list[int] = []
    before = {}

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    except ValueError:
        before.clear()  # not in the main thread: signals are somebody else's business
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _publish(
    folder: Path, run: folders.Run, pictures: Mapping[str, Picture], nudges: Sequence[bang_for_buck.Nudge]
) -> None:
    """Draw the pictures into the run folder and compose its report."""
    (folder / "pictures").mkdir(exist_ok=True)
    drawn = {}
    for name, (figure, caption) in pictures.items():
        image = report.png(figure)
        _write(folder / "pictures" / f"{name}.png", image)
        drawn[name] = (image, caption)
    shown = {name: picture for name, picture in drawn.items() if name != "bang_print"}
    result, settings = run.result, run.settings
    right = 100 * result["test_accuracy"]
    facts = {
        "right on test images": f"{right:.2f} %",
        "parameters": f"{result['parameters']:,}",
        "steps": f"{result['steps']:,}",
        "average cost": f"{result['cost']:.4g}",
        "seconds of training": f"{result['seconds']:.1f}",
        "seed": str(settings.seed),
    }
    ended = " It was stopped early." if result["interrupted"] else ""
    lead = (
        f"A network with {result['parameters']:,} parameters, started at random, walked {result['steps']:,} steps downhill "
        f"on {result['train_images']:,} images and now reads {right:.2f} % of {result['test_images']:,} "
        f"test images it has never seen.{ended}"
    )
    ranking = [(i, *_told(nudge)) for i, nudge in enumerate(nudges, start=1)]
    tables = {
        "The fifty largest components of the gradient, before training": report.table(
            ("rank", "what to do", "array", "position", "dC/dp", "times the next"), ranking
        ),
        "Settings, enough to repeat the run": report.table(("setting", "value"), settings._asdict().items()),
        "Versions": report.table(("package", "version"), folders.versions().items()),
    }
    page = report.page(f"jaxnet: {settings.preset} on {settings.data}", lead, facts, shown, tables)
    _write(folder / "report.html", page.encode())


def _told(nudge: bang_for_buck.Nudge) -> tuple[str, str, str, float, float]:
    words = nudge.text.partition(";")[0]
    return words, nudge.leaf, ", ".join(map(str, nudge.position)), nudge.gradient, nudge.ratio


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def bang(run: str | Path, *, k: int = 20) -> tuple[bang_for_buck.Nudge, ...]:
    """Rank the gradient's components at a finished run's parameters, and draw its bang-for-buck pictures again.

    Args:
        run: The run folder; its pictures and report are renewed.
        k: How many components to return.

    Returns:
        The components of the trained network's gradient with the largest magnitude, in order.

    Raises:
        FileNotFoundError, ValueError: If there is no such run, or k is below 1.
    """
    folder = Path(run)
    loaded = folders.load(folder)
    settings = loaded.settings
    with arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision):
        images = dataset(settings.data)
        plan = training.plan(settings, images)
        found = portraits.gradients(loaded.recipe, plan.params, loaded.params, plan.train)
        nudges = bang_for_buck.top(found.end, k)
        outputs = losses.outputs(loaded.recipe.apply, loaded.params, images.test.images)
        drawn = {
            **dict(portraits.of_gradients(settings, loaded.params, found, plan.train, images.classes)),
            "history": portraits.of_history(loaded.history, loaded.evaluations, loaded.result["judged_by"]),
            **dict(portraits.of_reading(settings, loaded.recipe, plan.params, loaded.params, images, outputs)),
        }
        _publish(folder, loaded, drawn, bang_for_buck.top(found.start, 50))
    return nudges


def predict(run: str | Path, files: Iterable[str | Path], *, out: str | Path | None = None) -> tuple[Answer, ...]:
    """Read photos or scans of single digits with a trained network.

    Args:
        run: The run folder.
        files: Pictures; ink may be dark on light or light on dark, anywhere, of any size.
        out: Where to save a picture of what was seen and answered; None does not.

    Returns:
        An answer for each file.

    Raises:
        FileNotFoundError: If a file or the run is missing.
        ValueError: If a file is no picture, shows no digit, or the network does not read 28x28 images.
    """
    files = [Path(file) for file in files]
    if not files:
        raise ValueError("there is no picture to read; name at least one file")
    loaded = folders.load(run)
    if loaded.image_shape != (scan.SIDE, scan.SIDE):
        raise ValueError(f"pictures are read as 28x28 gray images, but this network reads {loaded.image_shape}")
    pages = [scan.read(file) for file in files]
    images = []
    for file, page in zip(files, pages, strict=True):
        try:
            images.append(scan.as_mnist(page))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    with arithmetic(device=loaded.settings.device, dtype=loaded.settings.dtype, precision=loaded.settings.precision):
        outputs = losses.outputs(loaded.recipe.apply, loaded.params, np.stack(images), chunk_size=len(images))
        sure = portraits.certainty(loaded.recipe, outputs)
    if out is not None:
        from jaxnet import plot

        figure = plot.seen(pages, images, sure, [file.name for file in files], classes=loaded.classes)
        _write(Path(out), report.png(figure))
    return tuple(
        Answer(str(file), loaded.classes[int(row.argmax())], float(row.max()), tuple(map(float, row)))
        for file, row in zip(files, sure, strict=True)
    )
