"""The command `jaxnet train` as a function: train a network, score it once, and write a run folder."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnet import training
from jaxnet.core import folders, metrics
from jaxnet.core.devices import arithmetic, describe
from jaxnet.core.json_types import without_nan
from jaxnet.core.types import Dataset
from jaxnet.data.appearance import appearance_of, likeness
from jaxnet.data.checks import digest
from jaxnet.training import config, presets, run_folder
from jaxnet.training.config import TrainConfig
from jaxnet.training.fitting import TrainResult, fit_and_record
from jaxnet.training.progress import OnProgress, Progress, no_progress
from jaxnet.training.signals import stoppable, unheeded


def train(
    settings: TrainConfig = presets.film,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    pictures: bool = True,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    files: str | Path | None = None,
    on_progress: OnProgress = no_progress,
    on_result: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Train a network, score the test images once, and write a run folder.

    Ctrl-C, SIGTERM and SIGHUP end the training early, and the network is scored and saved as it is. If the signal comes
    while images are loaded, the command ends at once and writes nothing. If the signal comes while pictures are drawn, the
    drawing ends. The network is already saved. If an evaluation or the scoring fails, the network is saved without scores:
    the scores are None in `result.json`.

    Args:
        settings: The settings of the training. For example, `presets.film._replace(epochs=5)` changes a preset.
        out: The run folder. If it is None, it is the first free of runs/PRESET-1, runs/PRESET-2, ...
        overwrite: Whether an existing run folder may be replaced.
        pictures: Whether to draw the pictures and compose `report.html`.
        evaluate_every: The number of epochs between evaluations on held-out images. Without held-out images, training images
            are used. If it is 0, there is no evaluation. If it is None, there are at most 25 evaluations.
        watch_every: After this number of steps, measure again what the gradient does to every array of parameters, and write
            `signals.csv`. If it is 0, nothing is measured. The training itself does not change.
        files: If the data set is given by name: a folder with its original files, so that nothing is downloaded.
        on_progress: Called with the progress after every group of steps. If it raises an OSError, the error is ignored.
        on_result: Called with the result when the run is saved, before any picture is drawn.

    Returns:
        The numbers in `result.json`: parameters, test_accuracy (a fraction), test_cost, cost (over all training
        images), seconds (of training, with compilation), out, params_sha256 and more. `signal` is the signal that came
        before the run was saved, also if the training was already finished.

    Raises:
        ValueError: If settings and data do not fit together.
        FileExistsError: If the folder exists, or another process is writing to it.
        Diverged: If the cost becomes NaN or infinite. The last good state is saved before.
        OSError: If the run could not be written to the folder. The message names the place where the run is kept.
        Exception: If an evaluation or the scoring fails. A note names the place of the network.
    """
    folders.require_utf8(settings.data, "rename the file")
    settings = training.with_whole_path(settings)
    folders.require_utf8(settings.data, "rename the folder that the file is in")
    config.check(settings)
    folders.require_free(folders.place(out, settings.preset), overwrite=overwrite, written=run_folder.WRITTEN)
    on_progress = unheeded(on_progress)
    with (
        arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision),
        folders.reserved(out, settings.preset, overwrite=overwrite, written=run_folder.WRITTEN) as (folder, temporary),
    ):
        on_progress(Progress("loading"))
        with ThreadPoolExecutor(1) as pool:
            waking = pool.submit(training.keys, settings.seed)  # jax starts while the images are unpacked
            images = training.dataset(settings, files=files)
        waking.result()
        plan = training.plan(settings, images)
        on_progress(Progress("compiling", 0, plan.num_steps))
        with stoppable() as asked:
            trained = fit_and_record(
                plan, evaluate_every=evaluate_every, watch_every=watch_every, on_progress=on_progress, asked=asked
            )
            with stoppable(insist=False) as later:
                run, failed = _unscored(plan, images, trained, str(folder if out is None else out)), trained.failed
                if failed is None:
                    try:
                        run = _scored(plan, images, run)
                    except Exception as error:  # if a device has no free memory, it may raise any exception
                        failed = error
                if failed is not None:
                    why = f"{type(failed).__name__}: {folders.reason(failed)}"
                    run = run._replace(result=run.result | {"failed": why})
                bare = run._replace(history={}, evaluations={}, signals={})
                write, less = functools.partial(_write, run), functools.partial(_write, bare)
                folders.save(write, temporary, folder, overwrite=overwrite, written=run_folder.WRITTEN, less=less)
        asked += later
    if failed is not None:
        failed.add_note(f"the trained network is kept, without scores, in {run.result['out']}")
        raise failed
    result = run.result | ({"signal": asked[0]} if asked else {})
    with (
        _kept(str(folder if out is None else out)),
        arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision),
    ):
        unread = None
        try:
            on_result(result)
        except OSError as error:  # the output is closed, but the pictures are still drawn
            unread = error
        if trained.diverged is not None:
            raise trained.diverged
        if pictures and not asked:
            on_progress(Progress("drawing", result["steps"], plan.num_steps))
            # The import stands here because matplotlib takes a quarter of a second to load, and the accuracy is printed before.
            from jaxnet.reports.publishing import publish

            publish(folder, run, training.member(plan.params, trained.chosen), plan.train, images)
        if unread is not None:
            raise unread
    return result


def _write(run: run_folder.Run, to: Path, out: Path) -> None:
    """Write a run into a folder. If it is not the requested folder, record the real folder in the result."""
    elsewhere = {"out": str(out)} if to == out else {}
    run_folder.write(to, run._replace(result=run.result | elsewhere))


@contextlib.contextmanager
def _kept(out: str) -> Iterator[None]:
    """Add the place of the saved run to any later error."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the trained network is kept in {out}")
        raise


def _unscored(plan: training.Plan, images: Dataset, trained: TrainResult, out: str) -> run_folder.Run:
    """Collect the facts of a run that need no evaluation of the trained network."""
    settings, params = plan.settings, trained.state.params
    counts = np.bincount(np.asarray(images.test.labels))
    result = {
        "preset": settings.preset,
        "data": settings.data,
        "data_sha256": None if settings.data == "mnist" else digest(images),
        "seed": settings.seed,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "steps": int(trained.state.step),
        "num_steps": plan.num_steps,
        "test_accuracy": None,
        "test_images": len(images.test.labels),
        "test_cost": None,
        "cost": None,
        "train_accuracy": None,
        "chosen": trained.chosen,
        "train_images": len(plan.train.labels),
        "judged_by": f"{len(plan.judged.labels):,} {'held-out' if plan.held_out else 'training'} images",
        "seconds": trained.seconds,
        "retraced": list(trained.retraced),
        "interrupted": trained.signal is not None,
        "signal": trained.signal,
        "most_frequent": images.classes[int(counts.argmax())],
        "most_frequent_share": int(counts.max()) / len(images.test.labels),
        "learned": None,
        "diverged": None if trained.diverged is None else str(trained.diverged),
        "failed": None,
        "device": describe(),
        "params_sha256": run_folder.params_sha256(params),
        "out": out,
    }
    return run_folder.Run(
        settings, params, trained.state, trained.history, trained.evaluations, result, tuple(plan.train.images.shape[1:]),
        images.classes, run_folder.versions(), plan.functions, trained.signals,
    )  # fmt: skip


def _scored(plan: training.Plan, images: Dataset, run: run_folder.Run) -> run_folder.Run:
    """Score the network on the test images (once) and on the training images, and add the look of the training images."""
    test = metrics.evaluation(
        run.functions.loss, metrics.predict(run.functions.apply, run.params, images.test.images), images.test.labels
    )
    on_training = training.evaluate(run.functions.apply, run.functions.loss, run.params, plan.train)
    right = float(metrics.exact_accuracy(test.accuracy, len(images.test.labels)))
    scores = {
        "test_accuracy": right,
        "test_cost": float(test.cost),
        "cost": float(on_training.cost),
        "train_accuracy": float(metrics.exact_accuracy(on_training.accuracy, len(plan.train.labels))),
        "learned": training.learned(right, run.result["most_frequent_share"]) or not run.result["steps"],
    }
    look = appearance_of(plan.train.images)
    return run._replace(result=run.result | without_nan(scores), look=look, likeness=likeness(plan.train.images, look))
