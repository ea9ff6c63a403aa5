"""The command `jaxnet train` as functions: train a network or continue a training, score once, and write a run folder."""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang, training
from jaxnet.commands._begin import (
    folder_of,
    keep_for_later,
    note_begin,
    require_cadence,
    require_new,
    require_same_data,
)
from jaxnet.core import folders, locks, metrics
from jaxnet.core.devices import arithmetic, describe
from jaxnet.core.json_types import as_plain, without_nan
from jaxnet.core.types import Dataset, Params
from jaxnet.data.appearance import appearance_of, likeness
from jaxnet.data.checks import digest
from jaxnet.training import config, presets, run_folder
from jaxnet.training import resume as resume_
from jaxnet.training.checkpoints import Checkpoints
from jaxnet.training.config import TrainConfig
from jaxnet.training.fitting import TrainResult, fit_and_record
from jaxnet.training.progress import OnProgress, Progress, no_progress
from jaxnet.training.resume import Begun
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
    checkpoint_every: int | float = 30,
    start_from: str | Path | None = None,
    on_progress: OnProgress = no_progress,
    on_result: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Train a network, score the test images once, and write a run folder.

    Ctrl-C, SIGTERM and SIGHUP end the training early, and the network is scored and saved as it is. If the signal comes
    while pictures are drawn, the drawing ends. The network is already saved. If an evaluation or the scoring fails, the
    network is saved without scores: the scores are None in `result.json`.

    While it trains, the function saves checkpoints in the run folder. `resume` continues a training that was ended early or
    killed. The result is then the same as without the interruption, bit for bit.

    Args:
        settings: The settings of the training. For example, `presets.film._replace(epochs=5)` changes a preset.
        out: The run folder. If it is None, the first free name of runs/PRESET-1, runs/PRESET-2, ... is used.
        overwrite: Whether an existing run folder may be replaced. It is replaced when the training ends.
        pictures: Whether to draw the pictures and compose `report.html`.
        evaluate_every: The number of epochs between evaluations on held-out images. Without held-out images, training images
            are used. If it is 0, there is no evaluation. If it is None, there are at most 25 evaluations.
        watch_every: After this number of steps, measure again what the gradient does to every array of parameters, and write
            `signals.csv`. If it is 0, nothing is measured. The training itself does not change.
        files: A folder with the original files of a data set that is given by name. With it, nothing is downloaded.
        checkpoint_every: The number of seconds between checkpoints. If it is 0, there are no checkpoints.
        start_from: A run folder. The training begins with the parameters of this run instead of random parameters.
        on_progress: Called with the progress after every group of steps. If it raises an OSError, the error is ignored.
        on_result: Called with the result when the run is saved, before any picture is drawn.

    Returns:
        The numbers in `result.json`: parameters, test_accuracy (a fraction), test_cost, cost (over all training
        images), seconds (of training, with compilation), out, params_sha256 and more. `signal` is the signal that came
        before the run was saved, also if the training was already finished.

    Raises:
        ValueError: If settings and data do not fit together, or the parameters of `start_from` do not fit the settings.
        FileExistsError: If the folder exists, or another process is writing to it.
        Diverged: If the cost becomes NaN or infinite. The last good state is saved before.
        OSError: If the run could not be written to the folder. The message names the place where the run is kept.
        Exception: If an evaluation or the scoring fails. A note names the place of the network.
    """
    require_cadence(checkpoint_every)
    settings = TrainConfig(*as_plain(settings))
    folders.require_utf8(settings.data, "rename the file")
    settings = training.with_whole_path(settings)
    folders.require_utf8(settings.data, "rename the folder that the file is in")
    config.check(settings)
    require_new(folders.place(out, settings.preset), overwrite=overwrite, written=run_folder.WRITTEN)
    whole = lambda path: None if path is None else str(Path(path).expanduser().absolute())
    begun = Begun(settings, evaluate_every, watch_every, pictures, whole(files), whole(start_from))
    with (
        _arithmetic(settings),
        folders.reserved(out, settings.preset, overwrite=overwrite, written=run_folder.WRITTEN) as (folder, temporary),
    ):
        resume_.remove(folder)
        if checkpoint_every:
            note_begin(folder, begun)
        told = str(folder if out is None else out)
        try:
            ready = _prepared(
                begun, folder, temporary, told, checkpoint_every, unheeded(on_progress), overwrite=overwrite
            )
            with stoppable() as asked:
                trained = fit_and_record(ready.plan, asked=asked, **ready.options)
                ended = _saved(ready, trained, asked)
        except Exception:
            if not Checkpoints(resume_.checkpoints_of(folder)).steps():
                resume_.remove(folder)
            raise
    return _report(begun, folder, ended, told, unheeded(on_progress), on_result)


def resume(
    run: str | Path,
    *,
    epochs: int | None = None,
    checkpoint_every: int | float = 30,
    on_progress: OnProgress = no_progress,
    on_result: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Continue a training that was ended early or killed.

    On one machine, the result is equal, bit for bit, to the result of a training without interruption: the parameters, the
    optimizer's state, the history and the evaluations. If the training is finished and its pictures are not, the pictures
    are drawn.

    Args:
        run: The run folder.
        epochs: The number of epochs in all, if the training should have more epochs than it began with. This needs a
            constant learning rate.
        checkpoint_every: As in `train`.
        on_progress: As in `train`.
        on_result: As in `train`.

    Returns:
        As in `train`.

    Raises:
        FileNotFoundError: If there is no such folder.
        FileExistsError: If another process is writing to the folder.
        ValueError: If the folder holds nothing to continue, the data set changed, a newer version wrote the folder, all
            checkpoints are damaged, or more epochs are not possible.
        Exception: As in `train`.
    """
    folder = folder_of(run, "train", checkpoint_every)
    with locks.locked(folder) as temporary:
        begun = resume_.read(folder) if resume_.exists(folder) else _finished(folder)
        if epochs is not None and epochs != begun.settings.epochs:
            _require_more(begun.settings, epochs, run)
            if not Checkpoints(resume_.checkpoints_of(folder)).steps():
                raise ValueError(
                    f"{run} has no checkpoint to continue from; begin a new training with its parameters: "
                    f"`jaxnet train --start-from {run}`"
                )
            begun = begun._replace(settings=begun.settings._replace(epochs=epochs), finished=False)
        if begun.finished:
            ended = Ended(run_folder.load(folder), None, None, [])
        else:
            with _arithmetic(begun.settings):
                ready = _prepared(
                    begun, folder, temporary, str(run), checkpoint_every, unheeded(on_progress), overwrite=True
                )
                with stoppable() as asked:
                    trained = fit_and_record(ready.plan, asked=asked, **ready.options)
                    ended = _saved(ready, trained, asked)
    return _report(begun, folder, ended, str(run), unheeded(on_progress), on_result)


def _finished(folder: Path) -> Begun:
    """The beginning of a training that is finished and cannot get more epochs."""
    return Begun(run_folder.load(folder).settings, finished=True)


def _require_more(settings: TrainConfig, epochs: int, run: str | Path) -> None:
    """Refuse more epochs if a training with this number of epochs from the start would give another result."""
    if epochs <= settings.epochs:
        raise ValueError(
            f"epochs must be more than the {settings.epochs} epochs of {run}, because it is the number of epochs in all, got "
            f"{epochs}"
        )
    if settings.schedule != "constant":
        raise ValueError(
            f"the learning rate of {run} has the schedule {settings.schedule}, which depends on the number of epochs, so more "
            f"epochs would not continue it; begin a new training with its parameters: `jaxnet train --start-from {run}`"
        )


def _arithmetic(settings: TrainConfig) -> contextlib.AbstractContextManager[None]:
    return arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision)


class Prepared(NamedTuple):
    """A training before its first step.

    Attributes:
        begun: How the training was begun, with the facts about its data.
        images: The data set.
        plan: The plan.
        options: Further arguments of `fit_and_record`.
        folder: The run folder.
        temporary: The hidden folder to write into.
        out: The run folder as the user named it.
        kept: Whether the run folder has checkpoints.
        overwrite: Whether an existing run folder may be replaced.
    """

    begun: Begun
    images: Dataset
    plan: training.Plan
    options: dict[str, Any]
    folder: Path
    temporary: Path
    out: str
    kept: bool
    overwrite: bool


class Ended(NamedTuple):
    """The end of a training.

    Attributes:
        run: The run, as it was saved.
        plan: The plan of the training. If this process did not train, it is None.
        images: The data set. If this process did not train, it is None.
        asked: The signals that came before the run was saved.
        trained: The training's own result. If this process did not train, it is None.
    """

    run: run_folder.Run
    plan: training.Plan | None
    images: Dataset | None
    asked: list[int]
    trained: TrainResult | None = None


def _prepared(
    begun: Begun,
    folder: Path,
    temporary: Path,
    out: str,
    checkpoint_every: int | float,
    on_progress: OnProgress,
    *,
    overwrite: bool,
) -> Prepared:
    """Load the data, make the plan, and write how the training was begun."""
    settings, kept = begun.settings, bool(checkpoint_every) or resume_.exists(folder)
    on_progress(Progress("loading"))
    with ThreadPoolExecutor(1) as pool:
        waking = pool.submit(training.keys, settings.seed)  # jax starts while the images are unpacked
        images = training.dataset(settings, files=begun.files)
    waking.result()
    plan = training.plan(settings, images)
    facts = _facts(plan, images)
    if begun.image_shape is not None:
        _compare(begun, facts, out)
    if begun.start_from is not None:
        plan = plan._replace(params=_old_params(plan, begun.start_from))
    begun = begun._replace(**facts)
    if kept:
        note_begin(folder, begun)
    look = lambda: resume_.write(folder, begun._replace(look=appearance_of(plan.train.images)._asdict()))
    last = settings.schedule == "constant"  # such a training can get more epochs
    place = resume_.checkpoints_of(folder)
    checkpoints = Checkpoints(place, every=checkpoint_every, last=last, before_first=look) if kept else None
    on_progress(Progress("compiling", 0, plan.num_steps))
    options = {"evaluate_every": begun.evaluate_every, "watch_every": begun.watch_every}
    options |= {"on_progress": on_progress, "checkpoints": checkpoints}
    return Prepared(begun, images, plan, options, folder, temporary, out, kept, overwrite)


def _saved(ready: Prepared, trained: TrainResult, asked: list[int]) -> Ended:
    """Score a trained network, and save the run. Later signals are added to `asked`."""
    settings, folder, checkpoints = ready.begun.settings, ready.folder, ready.options["checkpoints"]
    with stoppable(insist=False) as later:
        run, failed = _unscored(ready, trained), trained.failed
        if failed is None:
            try:
                run = _scored(ready.plan, ready.images, run)
            except Exception as error:  # if a device has no free memory, it may raise any exception
                failed = error
        if failed is not None:
            why = f"{type(failed).__name__}: {folders.reason(failed)}"
            run = run._replace(result=run.result | {"failed": why})
        finished = trained.signal is None and failed is None
        continued = (
            not finished or settings.schedule == "constant"
        )  # a finished training can continue only with --epochs
        begun = ready.begun._replace(finished=finished, look=run.look and run.look._asdict()) if continued else None
        bare = run._replace(history={}, evaluations={}, signals={})
        write, less = (
            functools.partial(_write, one, folder=folder if ready.kept else None, begun=begun) for one in (run, bare)
        )
        written = run_folder.WRITTEN if ready.overwrite else {resume_.FOLDER}
        replaced = ready.overwrite or resume_.exists(folder)
        try:
            folders.save(write, ready.temporary, folder, overwrite=replaced, written=written, less=less)
        except OSError as error:
            if not isinstance(error, FileExistsError) and checkpoints is not None and checkpoints.steps():
                error.add_note(f"its last checkpoint is kept: `jaxnet train --resume {ready.out}` continues from it")
            raise
    asked += later
    if failed is not None:
        failed.add_note(f"the trained network is kept, without scores, in {run.result['out']}")
        raise failed
    return Ended(run, ready.plan, ready.images, asked, trained)


def _report(
    begun: Begun,
    folder: Path,
    ended: Ended,
    told: str,
    on_progress: OnProgress,
    on_result: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Report the result of a saved run, and draw its pictures."""
    settings, run, asked = begun.settings, ended.run, ended.asked
    result = run.result | ({"signal": asked[0]} if asked else {})
    with _kept(told), _arithmetic(settings):
        unread = None
        try:
            on_result(result)
        except OSError as error:  # the output is closed, but the pictures are still drawn
            unread = error
        if ended.trained is not None and ended.trained.diverged is not None:
            raise ended.trained.diverged
        if begun.pictures and not asked and not (folder / "report.html").exists():
            on_progress(Progress("drawing", result["steps"], result["num_steps"]))
            # The import stands here because matplotlib takes a quarter of a second to load, and the accuracy is printed before.
            from jaxnet.reports.publishing import publish

            images = training.dataset(settings, files=begun.files) if ended.images is None else ended.images
            plan = training.plan(settings, images) if ended.plan is None else ended.plan
            publish(folder, run, training.member(plan.params, result["chosen"]), plan.train, images)
        if unread is not None:
            raise unread
    return result


def _facts(plan: training.Plan, images: Dataset) -> dict[str, Any]:
    """The facts about the data and the packages. When a training continues, they are compared with the new facts."""
    return {
        "image_shape": tuple(plan.train.images.shape[1:]),
        "classes": images.classes,
        "num_steps": plan.num_steps,
        "data_sha256": None if plan.settings.data == "mnist" else digest(images),
        "versions": run_folder.versions(),
    }


def _compare(begun: Begun, facts: dict[str, Any], run: str) -> None:
    """Refuse other data than those of the beginning, and warn about other versions of packages."""
    equal = all(getattr(begun, name) == facts[name] for name in ("image_shape", "classes", "data_sha256"))
    remedy = f"begin a new training with its parameters: `jaxnet train --start-from {run}`"
    require_same_data(equal, begun.settings.data, run, remedy)
    different = {name: old for name, old in (begun.versions or {}).items() if facts["versions"].get(name) != old}
    if different:
        words = ", ".join(f"{name} {old} (now {facts['versions'].get(name)})" for name, old in different.items())
        logging.getLogger("jaxnet").warning(
            f"{run} began with {words}; the last bits of the result may differ from those of the old versions"
        )


def _old_params(plan: training.Plan, run: str) -> Params:
    """The parameters of another run, as the start of this one."""
    old = run_folder.load(run).params
    like = jax.eval_shape(plan.functions.init, jax.random.key(0))
    shapes = lambda tree: {name: (leaf.shape, str(leaf.dtype)) for name, leaf in bang.named_leaves(tree)}
    if shapes(old) != shapes(like):
        there, here = shapes(old), shapes(like)
        name = next(name for name in here | there if here.get(name) != there.get(name))
        raise ValueError(
            f"the parameters of {run} do not fit the settings: {name} is {there.get(name, 'absent')} there and "
            f"{here.get(name, 'absent')} here; give the settings of that run, such as --sizes"
        )
    if plan.settings.candidates == 1:
        return old
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (plan.settings.candidates, *leaf.shape)).copy(), old)


def _write(run: run_folder.Run, to: Path, out: Path, *, folder: Path | None = None, begun: Begun | None = None) -> None:
    """Write a run into a folder. If it is not the requested folder, record the real folder in the result.

    Args:
        run: The run.
        to: The folder to write into.
        out: The final name of that folder.
        folder: The run folder with the checkpoints, if the training may be continued later.
        begun: How the training was begun, if it may be continued later.
    """
    elsewhere = {"out": str(out)} if to == out else {}
    run_folder.write(to, run._replace(result=run.result | elsewhere))
    if folder is not None and begun is not None:
        keep_for_later(folder, to, begun)


@contextlib.contextmanager
def _kept(out: str) -> Iterator[None]:
    """Add the place of the saved run to any later error."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the trained network is kept in {out}")
        raise


def _unscored(ready: Prepared, trained: TrainResult) -> run_folder.Run:
    """Collect the facts of a run that need no evaluation of the trained network."""
    plan, images = ready.plan, ready.images
    settings, params = plan.settings, trained.state.params
    counts = np.bincount(np.asarray(images.test.labels))
    result = {
        "preset": settings.preset,
        "data": settings.data,
        "data_sha256": ready.begun.data_sha256,
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
        "out": ready.out,
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
