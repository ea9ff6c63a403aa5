"""The training loop. It trains a network to the end, or until a signal or NaN stops it, and records the training."""

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnet import bang, data
from jaxnet.core import devices, mesh, metrics
from jaxnet.core.descent import Descent, vmapped
from jaxnet.core.loop import Diverged, info_like, retraced, train
from jaxnet.core.types import Apply, Batch, Loss, Params
from jaxnet.training import records
from jaxnet.training.checkpoints import Checkpoint, Checkpoints, Saver
from jaxnet.training.planning import Plan
from jaxnet.training.progress import OnProgress, Progress, no_progress


class Snapshot(NamedTuple):
    """The state of a run after a chunk of steps.

    Attributes:
        step: How many steps have been taken.
        state: The state after these steps. If there are several networks, all arrays of the state and of `evaluation`
            have a leading axis of networks.
        info: The chunk's infos, stacked along an axis of steps. If there are several networks, an axis of networks
            comes after the axis of steps.
        evaluation: Cost and accuracy on the images `plan.judged`. If no evaluation was due, it is None.
        restored: Everything up to this step, if this snapshot is the checkpoint that the training continues from. `info`
            then has all steps so far. In all other snapshots it is None.
    """

    step: int
    state: Any
    info: Any
    evaluation: metrics.Evaluation | None
    restored: Checkpoint | None = None


class TrainResult(NamedTuple):
    """A trained network, and the record of its training.

    Attributes:
        chosen: The index of the candidate that was kept. If there was only one network, it is None.
        state: The last state. If the training diverged, the last finite state.
        history: Columns step, cost, gradient_norm, with one row for each step.
        evaluations: Columns step, epoch, cost, accuracy, with one row for each evaluation.
        signals: Columns step and SIGNAL/ARRAY, with one row for each watched step. If the run was not watched, there
            are no columns.
        retraced: Why the step was compiled again. Each further compilation has one line, as in `loop.retraced`.
        seconds: The time in seconds from the first step's compilation to the last step, including evaluations and the
            choice of a candidate.
        signal: The number of the signal that ended the training early, or None.
        diverged: Why the training diverged, or None.
        failed: Any other error after the first chunk of steps, such as an evaluation without enough memory, or None.
    """

    chosen: int | None
    state: Any
    history: records.Columns
    evaluations: records.Columns
    signals: records.Columns
    retraced: tuple[str, ...]
    seconds: float
    signal: int | None
    diverged: Diverged | None
    failed: Exception | None = None


def fit(
    plan: Plan,
    *,
    evaluate_every: int = 1,
    stopped: Callable[[], bool] = lambda: False,
    descent: Descent | None = None,
    state: Any = None,
    batches: Iterable[Any] | None = None,
    evaluator: Callable[[Params], metrics.Evaluation | None] | None = None,
    guarded: bool = True,
    in_place: bool = False,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Snapshot]:
    """Train, and yield a snapshot after every chunk of steps. On an accelerator a chunk is an epoch.

    With `checkpoints`, the training is saved every few seconds. If the folder already has a checkpoint, the training
    continues from it: the first snapshot is this checkpoint, and all later snapshots are equal to those of a training
    that was never interrupted, bit for bit.

    Args:
        plan: The plan from `training.plan`.
        evaluate_every: How many epochs lie between two evaluations. The network is also evaluated after the last epoch.
            0 means no evaluation at all.
        stopped: A function that is called before every chunk. Once it returns true, no further chunk begins. The last
            chunk is still checked for NaN and infinity.
        descent: The descent to use. If it is None, the plan's descent is used.
        state: The state to start from. If it is None, the training starts at the plan's parameters.
        batches: The batches that the steps read, from the first step on. If it is None, the steps read the plan's images
            in the plan's order. If the training continues from a checkpoint, the batches of earlier steps are left out.
        evaluator: `evaluator(params) -> Evaluation`. If it is None, the network is evaluated on the plan's `judged`
            images.
        guarded: Whether to stop at NaN and infinity, as in `jaxnet.train`.
        in_place: Whether a chunk may overwrite the previous state with the new state, as in `jaxnet.train`.
        checkpoints: Where to save the training. If it is None, nothing is saved.

    Yields:
        A `Snapshot` after every chunk. You can also stop early with `break`, but then the last chunk is not checked.

    Raises:
        Diverged: If the cost or a parameter is not finite, and the training is guarded.
        ValueError: If all checkpoints are damaged, or the last good one belongs to another training.
        Exception: If an evaluation fails. The snapshot without this evaluation is yielded first.

    Examples:
        >>> from jaxnet import training
        >>> images = np.random.default_rng(0).random((64, 4, 4))
        >>> batch = data.arrays(images, np.arange(64) % 2)
        >>> dataset = data.Dataset(batch, batch, ("even", "odd"))
        >>> two_epochs = training.plan(training.TrainConfig(epochs=2, sizes=(3,)), dataset)
        >>> [(snapshot.step, snapshot.evaluation is not None) for snapshot in fit(two_epochs)]
        [(2, True), (4, True)]
    """
    settings, step, first = plan.settings, 0, 0
    per_epoch = plan.num_steps // max(1, settings.epochs)
    descent = _descent(plan) if descent is None else descent
    state = jax.jit(descent.init)(plan.params) if state is None else state
    over = _mesh(plan)
    if over is not None:
        state = mesh.place_state(state, over, stacked=settings.candidates > 1)
    if evaluator is None and evaluate_every:
        judged = jax.tree.map(jnp.asarray, plan.judged) if devices.resident() else plan.judged
        evaluator = functools.partial(_evaluate, plan, judged)
    saver = None if checkpoints is None else Saver(checkpoints, guarded)
    if saver is not None and saver.checkpoints.steps():
        element, batches = _first(_batches(plan) if batches is None else batches, given=batches is not None)
        restored = saver.restore(state, None if element is None else info_like(descent, state, element))
        step, state = restored.step, restored.state
        yield Snapshot(step, state, restored.info, None, restored)
        first = 0 if batches is None else step
    batches = _batches(plan, first=step) if batches is None else batches
    wanted = itertools.takewhile(lambda chunk: not stopped(), batches)
    if over is not None:
        wanted = (mesh.place_chunk(chunk, over) for chunk in wanted)
    with contextlib.nullcontext() if saver is None else contextlib.closing(saver):
        for after, info in train(descent, state, wanted, guarded=guarded, in_place=in_place, first=first):
            step += len(info.cost)
            epoch, within = divmod(step, per_epoch)
            due = evaluate_every and not within and (epoch % evaluate_every == 0 or epoch == settings.epochs)
            evaluation, failed = None, None
            if due and evaluator is not None:
                try:
                    evaluation = evaluator(after.params)
                except Exception as error:  # raised only after the state was yielded, so that the caller has the state
                    failed = error
            if saver is not None and failed is None:
                saver.took(step, after, info, evaluation)
            yield Snapshot(step, after, info, evaluation)
            if failed is not None:
                if saver is not None:
                    saver.save()  # the state before this chunk, so that the evaluation is repeated
                raise failed
        if saver is not None and (saver.checkpoints.last or step < plan.num_steps or saver.checkpoints.due()):
            saver.save()


def _first(batches: Iterable[Any], *, given: bool) -> tuple[Any, Iterable[Any] | None]:
    """The first element of the batches, and all batches. If the batches are the plan's own, they can be made again."""
    if not given:
        return next(iter(batches), None), None
    iterator = iter(batches)
    element = next(iterator, None)
    return element, iterator if element is None else itertools.chain([element], iterator)


def _mesh(plan: Plan) -> Mesh | None:
    """The mesh of the plan's devices. If the training has one device and nothing is divided, it is None."""
    settings = plan.settings
    several = settings.devices > 1 or settings.reproducible
    return mesh.mesh_of(settings.devices, settings.layer_devices) if several else None


def _descent(plan: Plan) -> Descent:
    """The plan's descent of one network, or of all candidates in one compiled program."""
    return vmapped(plan.functions.descent) if plan.settings.candidates > 1 else plan.functions.descent


def _batches(plan: Plan, *, first: int = 0) -> Iterator[Any]:
    """The plan's images in the plan's order: as epochs on an accelerator, as chunks from the host on a CPU."""
    settings, functions = plan.settings, plan.functions
    shown = {"epochs": settings.epochs, "keyed": functions.keyed, "first": first}
    if devices.resident():
        over = _mesh(plan)
        everywhere = None if over is None else NamedSharding(over, PartitionSpec())  # the images are copied once
        return data.resident_epochs(plan.order_key, plan.train, settings.batch_size, sharding=everywhere, **shown)
    return data.shuffled(plan.order_key, plan.train, settings.batch_size, steps=functions.steps_per_chunk, **shown)


def fit_and_record(
    plan: Plan,
    *,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    on_progress: OnProgress = no_progress,
    asked: Sequence[int] = (),
    checkpoints: Checkpoints | None = None,
) -> TrainResult:
    """Train to the end, or until a signal or NaN stops the training, and record the training.

    Args:
        plan: The plan from `training.plan`.
        evaluate_every: How many epochs lie between two evaluations. 0 means no evaluation. If it is None, there are at
            most 25 evaluations.
        watch_every: Every `watch_every`-th step is watched with `bang.watch`. 0 means that no step is watched. Watching
            does not change the steps.
        on_progress: A function that is called after every chunk of steps.
        asked: The numbers of the signals received so far, from `stoppable`. If a signal comes during a chunk, the
            training ends after this chunk.
        checkpoints: Where to save the training, and to continue it from, as in `fit`.

    Returns:
        The trained network and its record. If there is an exception after the first chunk of steps, the training ends,
        and `failed` holds the exception.

    Raises:
        ValueError: If evaluate_every or watch_every is negative.
        Exception: If there is any other error before the first chunk of steps is finished.
    """
    if evaluate_every is not None and evaluate_every < 0:
        raise ValueError(f"evaluate_every must be 0 or more epochs, got {evaluate_every}")
    if watch_every < 0:
        raise ValueError(f"watch_every must be 0 or more steps, got {watch_every}")
    if watch_every:
        watched = bang.watch(plan.functions.descent, every=watch_every)
        plan = plan._replace(functions=plan.functions._replace(descent=watched))
    names = [name for name, _ in bang.named_leaves(plan.params)]
    if evaluate_every is None:
        evaluate_every = math.ceil(plan.settings.epochs / 25)
    state, infos, rows, accuracy, diverged, failed = None, [], [], None, None, None
    per_epoch = plan.num_steps / max(1, plan.settings.epochs)
    begun, known, earlier = time.perf_counter(), len(retraced()), 0.0
    first: tuple[float, int] | None = None
    waiting, seen = None, Progress("training")
    latest: dict[str, dict[str, float]] | None = None
    try:
        for snapshot in fit(plan, evaluate_every=evaluate_every, stopped=lambda: bool(asked), checkpoints=checkpoints):
            state = snapshot.state
            infos.append(snapshot.info)
            if snapshot.restored is not None:
                earlier = snapshot.restored.seconds
                rows = [(step, step / per_epoch, cost, right) for step, cost, right in snapshot.restored.evaluations]
                accuracy = float(np.max(rows[-1][3])) if rows else None
                continue
            # All chunks before this one are finished, so reading their results does not wait for the device.
            accuracy = accuracy if waiting is None else float(np.asarray(waiting).max())
            waiting = None
            if snapshot.evaluation is not None:
                judged = snapshot.evaluation
                waiting = judged.accuracy
                rows.append((snapshot.step, snapshot.step / per_epoch, judged.cost, judged.accuracy))
            if first is None:
                first = (time.perf_counter(), snapshot.step)
            elapsed = time.perf_counter() - first[0]
            rate = (snapshot.step - first[1]) * plan.settings.batch_size / elapsed if elapsed > 0 else 0.0
            done = infos[max(0, len(infos) - 2)]
            means = np.asarray(done.cost).mean(axis=0)
            best = int(np.argmin(np.nan_to_num(means, nan=np.inf))) if np.ndim(means) else None
            if watch_every and (rows_now := list(bang.signal_rows(_of(done, best), names))):
                latest = _by_array(rows_now[-1][1], names)
            seen = Progress("training", snapshot.step, plan.num_steps, float(np.min(means)), accuracy, rate, latest)
            on_progress(seen)
        if waiting is not None:
            on_progress(seen._replace(accuracy=float(np.asarray(waiting).max())))
    except Diverged as error:
        diverged, state = error, error.state
    except Exception as error:
        if state is None:
            raise
        failed, rows = error, rows[: len(rows) - (waiting is not None)]  # drop the unread chunk, which may have failed
    if state is None:  # no chunk of steps was finished
        state = _descent(plan).init(plan.params)
    chosen = None
    if plan.settings.candidates > 1:
        try:
            if failed is None:
                chosen = choose(plan, state.params)
        except Exception as error:
            failed = error
        if chosen is None:  # choose by the costs of the last steps, because this choice needs no more memory
            chosen = int(np.nan_to_num(np.asarray(infos[-1].cost).mean(axis=0), nan=np.inf).argmin()) if infos else 0
    jax.block_until_ready(state)
    seconds = earlier + time.perf_counter() - begun
    state = member(state.inner if isinstance(state, bang.Watched) else state, chosen)
    steps, of_chosen = int(state.step), (..., chosen) if chosen is not None else ...
    info = jax.tree.map(lambda column: column[:steps], _of(records.stack(infos), chosen)) if infos else None
    columns = {} if info is None else {name: getattr(info, name) for name in ("cost", "gradient_norm")}
    looks = list(bang.signal_rows(info, names)) if watch_every and info is not None else []
    signals = records.columns({"step": step + 1, **values} for step, values in looks)
    history = {"step": np.arange(1, len(next(iter(columns.values()), ())) + 1), **columns}
    evaluations = records.columns(
        {"step": step, "epoch": epoch, "cost": float(cost[of_chosen]), "accuracy": right[of_chosen].item()}
        for step, epoch, cost, right in rows
        if step <= steps
    )
    number = asked[0] if asked and steps < plan.num_steps else None
    return TrainResult(
        chosen, state, history, evaluations, signals, retraced()[known:], seconds, number, diverged, failed
    )


def _of(info: Any, chosen: int | None) -> Any:
    """One candidate's part of a history. In the history, the axis of candidates comes after the axis of steps."""
    return info if chosen is None else jax.tree.map(lambda column: column[:, chosen], info)


def _by_array(values: dict[str, float], names: Sequence[str]) -> dict[str, dict[str, float]]:
    split = [(name.partition("/"), value) for name, value in values.items() if "/" in name]
    return {array: {signal: value for (signal, _, of), value in split if of == array} for array in names}


def replay(plan: Plan, chosen: int | None = None) -> Iterator[tuple[int, Params]]:
    """Train a network again, step by step. On one machine, equal settings give equal bits.

    Args:
        plan: The plan from `training.plan`.
        chosen: The index of the candidate to follow, if there are several candidates.

    Yields:
        The number of steps taken, from 0 to `num_steps`, and the parameters after these steps.
    """
    settings = plan.settings
    one_by_one = data.shuffled(
        plan.order_key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.functions.keyed, steps=1
    )
    yield 0, member(plan.params, chosen)
    for snapshot in fit(plan, evaluate_every=0, batches=one_by_one):
        yield snapshot.step, member(snapshot.state.params, chosen)


def evaluate(apply: Apply, loss: Loss, params: Params, batch: Batch, *, stacked: bool = False) -> metrics.Evaluation:
    """Measure cost and accuracy on all images of a batch. The batch may have any size.

    Args:
        apply: `apply(params, image) -> output`.
        loss: `loss(output, label) -> number`.
        params: The parameters of one network. If `stacked` is true, the parameters of many networks along a leading
            axis.
        batch: The images and labels to evaluate on.
        stacked: Whether there are many networks. If so, the results have a leading axis of networks.
    """
    if stacked:
        return _evaluate_stack(apply, loss, params, batch)
    return _evaluate_one(apply, loss, min(1000, math.ceil(len(batch.labels) / 2)), params, batch)


def _evaluate_one(apply: Apply, loss: Loss, chunk_size: int, params: Params, batch: Batch) -> metrics.Evaluation:
    return metrics.evaluation(loss, metrics.predict(apply, params, batch.images, chunk_size=chunk_size), batch.labels)


def learned(accuracy: float, guessing: float) -> bool:
    """Whether a network is noticeably better than guessing. Guessing always gives the most frequent class as the answer.

    Guessing is right as often as the most frequent class occurs. A network has learned if it is right at least twice as
    often as guessing, or if it makes at most 95 % of the mistakes that guessing makes.

    Args:
        accuracy: The fraction of images that the network recognizes correctly.
        guessing: The fraction of these images that belong to the most frequent class.

    Examples:
        >>> learned(0.9533, 0.1135), learned(0.103, 0.1135), learned(0.03, 0.01)
        (True, False, True)
    """
    return accuracy >= 2 * guessing or accuracy >= guessing + 0.05 * (1 - guessing)


@functools.partial(jax.jit, static_argnames=("apply", "loss"))
def _evaluate_stack(apply: Apply, loss: Loss, params: Params, batch: Batch) -> metrics.Evaluation:
    return jax.vmap(lambda one: _evaluate_one(apply, loss, 100, one, batch))(params)


def _evaluate(plan: Plan, batch: Batch, params: Params) -> metrics.Evaluation:
    """Cost and accuracy of the plan's network, or of each candidate."""
    functions, stacked = plan.functions, plan.settings.candidates > 1
    if plan.settings.devices > 1 and plan.settings.layer_devices == 1:  # one device computes the same bits as always
        params = jax.device_put(params, devices.current())
    return evaluate(functions.apply, functions.loss, params, batch, stacked=stacked)


def choose(plan: Plan, params: Params) -> int | None:
    """The index of the candidate with the lowest cost over all training images. If there is one network, it is None."""
    return None if plan.settings.candidates == 1 else int(jnp.nanargmin(_evaluate(plan, plan.train, params).cost))


def member(tree: Any, chosen: int | None) -> Any:
    """One candidate's part of a pytree with a leading axis of candidates. If `chosen` is None, the whole pytree."""
    return tree if chosen is None else jax.tree.map(lambda leaf: leaf[chosen], tree)
