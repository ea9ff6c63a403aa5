"""Train many networks: one program for all networks of the same shape; on a CPU every core runs a copy of it."""

import concurrent.futures
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxnet import data
from jaxnet.core import metrics
from jaxnet.core.descent import Descent, gradient_descent, vmapped, with_hyperparams
from jaxnet.core.devices import arithmetic, cores, current, resident
from jaxnet.core.types import Batch, Dataset, Params
from jaxnet.training import planning
from jaxnet.training.config import TrainConfig
from jaxnet.training.ensemble.members import alike, check, follow, starts
from jaxnet.training.ensemble.results import Group, Results, Unjudged
from jaxnet.training.fitting import evaluate, fit
from jaxnet.training.functions import build_optimizer
from jaxnet.training.planning import Plan
from jaxnet.training.progress import Progress


def train_together(
    members: Sequence[TrainConfig],
    dataset: Dataset,
    *,
    shared: bool = True,
    at_once: int = 64,
    evaluate_every: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda seen: None,
) -> Results:
    """Train many networks; networks of the same shape are trained together.

    On shared batches, the first layers of all networks of a program are one large matrix product. On a CPU, each core
    runs a program with some of the networks. If each network has its own order, an accelerator still runs them in one
    program, but each core of a CPU runs one network at a time, all with the same program. If there are several devices,
    the networks of a program are divided among them.

    Args:
        members: The settings of each network, from `grid`. Data, epochs, validation, dtype, precision and device must
            be equal. The first member's seed decides which images are held out.
        dataset: The data set to learn from. The test images are not used.
        shared: Whether all members see the same batches, in the order of the first member's seed. Otherwise each member
            shuffles by its own seed. Without validation, a member then gets the same result as from
            `jaxnet.training.fit` with its settings.
        at_once: The largest number of networks trained at the same time (but at least one for each device). It limits
            the memory.
        evaluate_every: How many epochs lie between two evaluations. They use the held-out images, or 10,000 training
            images if none are held out. 0 evaluates only after the last epoch. None evaluates at most 25 times.
        stopped: A function that is called after every chunk of steps, on a CPU by each core's thread. Once it returns
            true, the training ends and the results up to then are returned.
        on_progress: A function that receives the progress, from one thread at a time. Its step and num_steps count the
            images of all networks.

    Returns:
        The results. A member that diverges does not stop the others.

    Raises:
        ValueError: If there are no members, if they differ in a setting that must be equal, or if a setting is invalid.
        Unjudged: If an evaluation raised an exception. Its `results` hold all parameters up to then.
    """
    check(members)
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1 network, got {at_once}")
    begun, first = time.perf_counter(), members[0]
    with arithmetic(device=first.device, dtype=first.dtype, precision=first.precision):
        base = planning.plan(first, dataset, drawn=False)
        every = math.ceil(first.epochs / 25) if evaluate_every is None else evaluate_every
        notes = Notes(members, base, every or first.epochs, stopped, on_progress)
        groups = []
        for group in alike(members):
            plans = [follow(base, members[i], dataset, shared=shared) for i in group]
            if not shared and not resident():
                trained = _on_every_core(notes, group, plans, at_once=at_once)
            else:
                trained = _in_programs(notes, group, plans, shared=shared, at_once=at_once)
            groups.append(Group(tuple(group), trained))
    judged_by = f"{len(base.judged.labels):,} {'held-out' if base.held_out else 'training'} images"
    results = Results(
        tuple(members), np.asarray(notes.judged_after, int), notes.costs, notes.accuracies, notes.train_costs, notes.diverged,
        tuple(groups), judged_by, time.perf_counter() - begun,
    )  # fmt: skip
    if notes.failed is not None:
        raise Unjudged(notes.failed, results) from notes.failed
    return results


class Notes:
    """The results of all members up to now; several threads write to them."""

    def __init__(
        self,
        members: Sequence[TrainConfig],
        base: Plan,
        evaluate_every: int,
        stopped: Callable[[], bool],
        on_progress: Callable[[Progress], None],
    ):
        """Start with empty results."""
        count, epochs = len(members), base.settings.epochs
        self.stopped, self.evaluate_every, self._show = stopped, evaluate_every, on_progress
        self.judged_after = [e for e in range(1, epochs + 1) if e % evaluate_every == 0 or e == epochs]
        self.costs, self.accuracies = np.full((2, count, len(self.judged_after)), np.nan)
        self.train_costs = np.full((count, epochs), np.nan)
        self.diverged = np.full(count, -1)
        self._judged = len(base.judged.labels)
        self._images, self._done, self._cost = count * epochs * len(base.train.labels), 0, math.nan
        self._first: tuple[float, int] | None = None
        self._lock, self.ended = threading.Lock(), threading.Event()
        self.failed: Exception | None = None
        on_progress(Progress("compiling", 0, self._images))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """End all threads if one ends with an error, or if Ctrl-C reaches the thread that waits for them."""
        try:
            yield
        except BaseException:
            self.ended.set()
            raise

    @contextlib.contextmanager
    def judging(self) -> Iterator[None]:
        """Save the error of an evaluation and end the training, so that the parameters up to then are not lost."""
        try:
            yield
        except Exception as error:  # if a device has too little memory, its driver can raise anything
            self.failed = self.failed or error
            self.ended.set()

    def took(self, images: int) -> None:
        """Report that `images` more images were used; an image counts once for every network."""
        with self._lock:
            self._done += images
            self._first = self._first or (time.perf_counter(), self._done)
            seconds = time.perf_counter() - self._first[0]
            rate = (self._done - self._first[1]) / seconds if seconds > 0 else 0.0
            self._show(Progress("training", self._done, self._images, self._cost, None, rate))

    def epoch(self, group: Sequence[int], epoch: int, costs: np.ndarray, judged: metrics.Evaluation | None) -> None:
        """Save an epoch of some members: its costs, of shape (steps, members), and the evaluation after it."""
        with self._lock:
            which, costs = np.asarray(group), costs[:, : len(group)]
            self.train_costs[which, epoch - 1] = means = costs.mean(axis=0)
            self._cost = float(np.min(means[np.isfinite(means)], initial=math.inf))
            bad = ~np.isfinite(costs)
            new = bad.any(axis=0) & (self.diverged[which] < 0)
            self.diverged[which[new]] = (epoch - 1) * len(costs) + bad.argmax(axis=0)[new]
            if judged is not None:
                column = self.judged_after.index(epoch)
                cost, right = (np.asarray(part).reshape(-1)[: len(group)] for part in (judged.cost, judged.accuracy))
                self.costs[which, column] = cost
                self.accuracies[which, column] = np.where(
                    np.isfinite(cost), metrics.exact_accuracy(right, self._judged), np.nan
                )


def _train(
    notes: Notes,
    group: Sequence[int],
    plan: Plan,
    descent: Descent,
    state: Any,
    batches: Any,
    evaluator: Callable[[Params], metrics.Evaluation],
) -> Params:
    """Train some members and return their parameters.

    Several members have one state with a leading axis; a single member has a state without it.
    """
    per_epoch = plan.num_steps // plan.settings.epochs
    costs, params, before = [], state.params, None

    def note(epoch: int, costs: list[Any], evaluation: metrics.Evaluation | None) -> None:
        columns = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in costs])
        notes.epoch(group, epoch, columns, evaluation)

    def judged(params: Params) -> metrics.Evaluation | None:
        with notes.judging():
            return evaluator(params)
        return None  # the notes hold the error of the evaluation

    for snapshot in fit(
        plan, evaluate_every=notes.evaluate_every, stopped=lambda: notes.ended.is_set() or notes.stopped(), descent=descent,
        state=state, batches=batches, evaluator=judged, guarded=False, in_place=resident(),
    ):  # fmt: skip
        costs.append(snapshot.info.cost)
        params = snapshot.state.params
        notes.took(len(snapshot.info.cost) * plan.settings.batch_size * len(group))
        if snapshot.step % per_epoch == 0:
            if before is not None:  # noted one epoch later, so that the device already works on the next one
                with notes.judging():
                    note(*before)
            before, costs = (snapshot.step // per_epoch, costs, snapshot.evaluation), []
    if before is not None:
        with notes.judging():
            note(*before)
    return jax.tree.map(np.asarray, params)


def _in_programs(notes: Notes, group: Sequence[int], plans: Sequence[Plan], *, shared: bool, at_once: int) -> Params:
    """Train networks of one shape, at most `at_once` at a time, all with the same program.

    If there is only a CPU, each core runs its own program.
    """
    plan, mesh = plans[0], _mesh()
    abreast = min(cores(), at_once) if mesh.size == 1 and not resident() else 1
    rounds = math.ceil(len(group) / (at_once // abreast * abreast))
    programs = min(len(group), rounds * abreast)
    width = math.ceil(math.ceil(len(group) / programs) / mesh.size) * mesh.size
    descent = vmapped(_numbered(plan), shared=shared)
    everywhere = NamedSharding(mesh, PartitionSpec())
    judged = jax.device_put(plan.judged, everywhere) if resident() else plan.judged
    evaluator = lambda params: evaluate(plan.functions.apply, plan.functions.loss, params, judged, stacked=True)
    params, numbers = starts(plans), _numbers(plans)

    def program(first: int) -> Params:
        chosen = np.arange(first, first + width).clip(max=len(group) - 1)  # repeat the last network to fill a program
        state = jax.device_put(
            descent.init(jax.tree.map(lambda leaf: leaf[chosen], (params, numbers))),
            NamedSharding(mesh, PartitionSpec("member")),
        )
        if resident():
            batches = _epochs(plans, None if shared else chosen, mesh)
        elif mesh.size > 1:
            batches = (jax.device_put(chunk, everywhere) for chunk in _batches(plan))
        else:
            batches = _batches(plan)
        return _train(notes, group[first : first + width], plan, descent, state, batches, evaluator)

    trained = _in_threads(notes, program, range(0, len(group), width), plan.settings, workers=abreast)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(group)], *trained)


def _on_every_core(notes: Notes, group: Sequence[int], plans: Sequence[Plan], *, at_once: int) -> Params:
    """Train networks of one shape, each in its own order, as many at a time as there are cores."""
    plan, params, numbers = plans[0], starts(plans), _numbers(plans)
    descent = _numbered(plan)
    evaluator = lambda params: evaluate(plan.functions.apply, plan.functions.loss, params, plan.judged)

    def one(i: int) -> Params:
        state = descent.init(jax.tree.map(lambda leaf: leaf[i], (params, numbers)))
        return _train(notes, group[i : i + 1], plan, descent, state, _batches(plans[i]), evaluator)

    trained = _in_threads(notes, one, range(len(group)), plan.settings, workers=min(cores(), at_once))
    return jax.tree.map(lambda *parts: np.stack(parts), *trained)


def _in_threads(
    notes: Notes, work: Callable[[int], Params], items: Sequence[int], settings: TrainConfig, *, workers: int
) -> list[Params]:
    """Run `work` for all items, each in its own thread, a limited number at a time.

    XLA releases Python's lock while it computes.
    """
    if workers == 1:
        return [work(item) for item in items]
    here = current()

    def one(item: int) -> Params:
        inside = arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision)
        with notes.all_or_none(), jax.default_device(here), inside:  # a new thread does not inherit jax's settings
            return work(item)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool, notes.all_or_none():
        return list(pool.map(one, items))


def _numbered(plan: Plan) -> Descent:
    """The plan's descent, with its learning rate and weight decay as hyperparameters."""
    make = lambda numbers: gradient_descent(
        plan.functions.augmented_cost, build_optimizer(plan.settings, plan.num_steps, **numbers)
    )
    return with_hyperparams(make)


def _numbers(plans: Sequence[Plan]) -> dict[str, Array]:
    dtype = jnp.promote_types(plans[0].settings.dtype, jnp.float32)
    names = ("learning_rate", "weight_decay")
    return {name: jnp.asarray([getattr(plan.settings, name) for plan in plans], dtype) for name in names}


def _batches(plan: Plan) -> Iterator[Batch]:
    settings = plan.settings
    return data.shuffled(
        plan.order_key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.functions.keyed,
        steps=plan.functions.steps_per_chunk,
    )  # fmt: skip


def _epochs(plans: Sequence[Plan], chosen: np.ndarray | None, mesh: Mesh) -> Iterator[data.Epoch]:
    """The epochs of the first network, shared by all; or the chosen networks' own epochs.

    Then the axis of networks comes after the axis of steps.
    """
    plan, settings = plans[0], plans[0].settings
    key = plan.order_key if chosen is None else _stacked([plans[i].order_key for i in chosen])
    spec = PartitionSpec() if chosen is None else PartitionSpec(None, "member")
    for epoch in data.resident_epochs(
        key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.functions.keyed,
        sharding=NamedSharding(mesh, PartitionSpec()),
    ):  # fmt: skip
        yield epoch._replace(order=jax.device_put(epoch.order, NamedSharding(mesh, spec)))


def _stacked(keys: Sequence[Array]) -> Array:
    """Stack keys along a leading axis on the host. In a program, thousands of arguments would take minutes to compile."""
    return jax.random.wrap_key_data(jnp.asarray(np.stack([jax.random.key_data(key) for key in keys])))


def _mesh() -> Mesh:
    """All devices of the current platform, in one row."""
    return Mesh(np.asarray(jax.devices(current().platform)), ("member",))
