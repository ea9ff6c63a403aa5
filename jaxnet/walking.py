"""A training run from start to end, or until somebody or NaN stops it, with what happened kept."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import bang, record, training
from jaxnet.descent import side_by_side
from jaxnet.loop import Diverged, retraced


class Seen(NamedTuple):
    """What `train` tells while it works.

    Attributes:
        phase: "loading", "compiling", "training", "drawing".
        step: Steps taken.
        num_steps: Steps of the whole run.
        cost: Mean cost of the latest chunk's batches.
        accuracy: At the last evaluation that is known to be done, None before the first.
        examples_per_second: Since the first chunk was done.
        signals: Of a watched run the latest values: by array of parameters, by signal; else None.
        left: Of several walks, the seconds that all still take, by what was measured of the finished ones; else None.
    """

    phase: str
    step: int = 0
    num_steps: int = 0
    cost: float = math.nan
    accuracy: float | None = None
    examples_per_second: float = 0.0
    signals: dict[str, dict[str, float]] | None = None
    left: float | None = None


class Walked(NamedTuple):
    """What a walk leaves.

    Attributes:
        chosen: Which candidate was kept; None where there was only one network.
        state: The last state, or the last good one before NaN or infinity.
        history: Columns step, cost, gradient_norm: one row a step.
        evaluations: Columns step, epoch, cost, accuracy: one row an evaluation.
        signals: Of a watched run, columns step and SIGNAL/ARRAY: one row a watched step; else empty.
        retraced: Why the step was compiled again, a line for each time; see `loop.retraced`.
        seconds: From the first step's compilation to the last step, evaluations and the choice among candidates included.
        signal: The number of the signal that ended it early, or None.
        diverged: What made it stop, or None.
        failed: What else went wrong after the first chunk of steps, such as an evaluation without enough memory, or None.
    """

    chosen: int | None
    state: Any
    history: record.Columns
    evaluations: record.Columns
    signals: record.Columns
    retraced: tuple[str, ...]
    seconds: float
    signal: int | None
    diverged: Diverged | None
    failed: Exception | None = None


def walk(
    plan: training.Plan,
    *,
    evaluate_every: int | None = None,
    watch_every: int = 0,
    show: Callable[[Seen], None] = lambda seen: None,
    asked: Sequence[int] = (),
) -> Walked:
    """Train to the end, or until a signal or NaN stops it, and keep what happened.

    Args:
        plan: From `training.plan`.
        evaluate_every: Epochs between evaluations; 0 for none, None for at most 25 of them.
        watch_every: Watch one step in so many with `bang.watch`; 0 does not watch. The steps are the same.
        show: Called with what there is to see, after every chunk of steps.
        asked: Signals that came so far, from `stoppable`; the walk ends after the chunk in which there is one.

    Returns:
        What the walk leaves. An exception after the first chunk of steps ends the walk too; it is in `failed`.

    Raises:
        ValueError: If evaluate_every or watch_every is negative.
        Exception: What went wrong before the first chunk of steps was done.
    """
    if evaluate_every is not None and evaluate_every < 0:
        raise ValueError(f"evaluate_every must be 0 or more epochs, got {evaluate_every}")
    if watch_every < 0:
        raise ValueError(f"watch_every must be 0 or more steps, got {watch_every}")
    if watch_every:
        watched = bang.watch(plan.recipe.descent, every=watch_every)
        plan = plan._replace(recipe=plan.recipe._replace(descent=watched))
    names = [name for name, _ in bang.named_leaves(plan.params)]
    if evaluate_every is None:
        evaluate_every = math.ceil(plan.settings.epochs / 25)
    descent = side_by_side(plan.recipe.descent) if plan.settings.candidates > 1 else plan.recipe.descent
    state, infos, rows, accuracy, diverged, failed = None, [], [], None, None, None
    per_epoch = plan.num_steps / max(1, plan.settings.epochs)
    begun, known = time.perf_counter(), len(retraced())
    first: tuple[float, int] | None = None
    waiting, seen = None, Seen("training")
    latest: dict[str, dict[str, float]] | None = None
    try:
        for progress in training.fit(plan, evaluate_every=evaluate_every, stopped=lambda: bool(asked)):
            state = progress.state
            infos.append(progress.info)
            # What came before this chunk is done for certain: looking at it does not wait for the device.
            accuracy = accuracy if waiting is None else float(np.asarray(waiting).max())
            waiting = None
            if progress.evaluation is not None:
                judged = progress.evaluation
                waiting = judged.accuracy
                rows.append((progress.step, progress.step / per_epoch, judged.cost, judged.accuracy))
            if first is None:
                first = (time.perf_counter(), progress.step)
            elapsed = time.perf_counter() - first[0]
            rate = (progress.step - first[1]) * plan.settings.batch_size / elapsed if elapsed > 0 else 0.0
            done = infos[max(0, len(infos) - 2)]
            means = np.asarray(done.cost).mean(axis=0)
            best = int(np.argmin(np.nan_to_num(means, nan=np.inf))) if np.ndim(means) else None
            if watch_every and (rows_now := list(bang.rows(_of(done, best), names))):
                latest = _by_array(rows_now[-1][1], names)
            seen = Seen("training", progress.step, plan.num_steps, float(np.min(means)), accuracy, rate, latest)
            show(seen)
        if waiting is not None:
            show(seen._replace(accuracy=float(np.asarray(waiting).max())))
    except Diverged as error:
        diverged, state = error, error.state
    except Exception as error:
        if state is None:
            raise
        failed, rows = error, rows[: len(rows) - (waiting is not None)]  # what was not read yet may be what failed
    if state is None:  # not one chunk was walked
        state = descent.init(plan.params)
    chosen = None
    if plan.settings.candidates > 1:
        try:
            if failed is None:
                chosen = training.choose(plan, state.params)
        except Exception as error:
            failed = error
        if chosen is None:  # by the costs of the last steps, which need nothing more
            chosen = int(np.nan_to_num(np.asarray(infos[-1].cost).mean(axis=0), nan=np.inf).argmin()) if infos else 0
    jax.block_until_ready(state)
    seconds = time.perf_counter() - begun
    state = training.member(state.inner if isinstance(state, bang.Watched) else state, chosen)
    steps, of_chosen = int(state.step), (..., chosen) if chosen is not None else ...
    info = jax.tree.map(lambda column: column[:steps], _of(record.stack(infos), chosen)) if infos else None
    columns = {} if info is None else {name: getattr(info, name) for name in ("cost", "gradient_norm")}
    looks = list(bang.rows(info, names)) if watch_every and info is not None else []
    signals = record.columns({"step": step + 1, **values} for step, values in looks)
    history = {"step": np.arange(1, len(next(iter(columns.values()), ())) + 1), **columns}
    evaluations = record.columns(
        {"step": step, "epoch": epoch, "cost": float(cost[of_chosen]), "accuracy": right[of_chosen].item()}
        for step, epoch, cost, right in rows
        if step <= steps
    )
    number = asked[0] if asked and steps < plan.num_steps else None
    return Walked(chosen, state, history, evaluations, signals, retraced()[known:], seconds, number, diverged, failed)


def _of(info: Any, chosen: int | None) -> Any:
    """One candidate's part of a history, whose axis of candidates is behind that of the steps."""
    return info if chosen is None else jax.tree.map(lambda column: column[:, chosen], info)


def _by_array(values: dict[str, float], names: Sequence[str]) -> dict[str, dict[str, float]]:
    split = [(name.partition("/"), value) for name, value in values.items() if "/" in name]
    return {array: {signal: value for (signal, _, of), value in split if of == array} for array in names}


def unheeded(show: Callable[[Seen], None]) -> Callable[[Seen], None]:
    """The same function, but a terminal that is gone, or a log on a full disk, ends no training."""

    def told(seen: Seen) -> None:
        with contextlib.suppress(OSError):
            show(seen)

    return told


@contextlib.contextmanager
def stoppable(*, insist: bool = True) -> Iterator[list[int]]:
    """Note Ctrl-C, SIGTERM and SIGHUP in a list, so that neither a step nor a file is cut in two.

    A second Ctrl-C, half a second or more after the first, ends at once. Terminals and job managers send SIGTERM and SIGHUP
    twice, so those are only noted. A SIGHUP that is ignored, as `nohup` has it, stays ignored.

    Args:
        insist: Whether a second Ctrl-C ends at once; while something finished is saved it must not.
    """
    asked: list[int] = []
    before: dict[int, Any] = {}
    first = 0.0

    def ask(number: int, frame: Any) -> None:
        nonlocal first
        asked.append(number)
        first = first or time.monotonic()
        if insist and number == signal.SIGINT and time.monotonic() - first > 0.5:
            raise KeyboardInterrupt

    try:
        for number in signals():
            before[number] = signal.signal(number, ask)
    except ValueError:
        before.clear()  # not in the main thread: signals are somebody else's business
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signals() -> tuple[int, ...]:
    """The signals that ask a command to end; SIGHUP only where the system has it and nobody ignores it."""
    hangup = getattr(signal, "SIGHUP", None)
    hears = hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((hangup,) if hears and hangup is not None else ()))
