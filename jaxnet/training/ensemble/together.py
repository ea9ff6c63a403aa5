"""Train many networks. One compiled program trains many networks with equal sizes. Every core of a CPU runs a copy of it."""

import concurrent.futures
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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
from jaxnet.training.checkpoints import Checkpoints, Judged
from jaxnet.training.config import TrainConfig, params_dtype
from jaxnet.training.ensemble.members import alike, check, follow, starts
from jaxnet.training.ensemble.results import Group, Results, Unjudged
from jaxnet.training.fitting import evaluate, fit
from jaxnet.training.functions import build_optimizer
from jaxnet.training.planning import Plan
from jaxnet.training.progress import OnProgress, Progress, no_progress


def train_together(
    members: Sequence[TrainConfig],
    dataset: Dataset,
    *,
    shared: bool = True,
    at_once: int = 64,
    evaluate_every: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = no_progress,
    checkpoints: str | Path | None = None,
    checkpoint_every: int | float = 30,
) -> Results:
    """Train many networks. Networks that differ only in settings such as seed and learning rate are trained together.

    If the batches are shared, one compiled program trains many networks, and their first layers are one large matrix
    product. On a CPU, each core runs a copy of the program with some of the networks. If each network has its own order
    of the images, an accelerator still trains many networks in one compiled program, but each core of a CPU trains one
    network at a time. If there are several devices, the networks of a compiled program are divided among the devices.

    Args:
        members: The settings of each network, from `grid`. Data, epochs, validation, dtype, precision and device must
            be equal. The first member's seed decides which images are held out.
        dataset: The data set to learn from. The test images are not used.
        shared: Whether all members read shared batches, in the order of the first member's seed. If not, each member
            shuffles by its own seed. If `shared` is false and no images are held out, each member gets the same
            result as with `jaxnet.training.fit` and the member's settings.
        at_once: The largest number of networks that are trained at a time, but at least one for each device. A small
            number saves memory.
        evaluate_every: How many epochs lie between two evaluations. The evaluations use the held-out images, or the
            first 10,000 training images if no images are held out. 0 means one evaluation, after the last epoch. If it
            is None, there are at most 25 evaluations.
        stopped: A function that is called before every chunk of steps. On a CPU, each core's thread calls it. Once it
            returns true, the training ends, and the results so far are returned.
        on_progress: A function that receives the progress, from one thread at a time. The fields step and num_steps
            count the images of all networks.
        checkpoints: A folder for checkpoints. If the folder has checkpoints of an earlier call with the same members,
            the training continues from them, and the results are equal, bit for bit. If it is None, nothing is saved.
        checkpoint_every: The number of seconds between two checkpoints of a network.

    Returns:
        The results. A member that diverges does not stop the other members.

    Raises:
        ValueError: If there are no members, if the members differ in a setting that must be equal, or if a setting is
            invalid. It is also raised if the checkpoints belong to other members, or if all checkpoints of a network are
            damaged.
        Unjudged: If an evaluation raised an exception. The error's `results` hold all parameters trained so far.
    """
    check(members)
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1 network, got {at_once}")
    begun, first = time.perf_counter(), members[0]
    with arithmetic(device=first.device, dtype=first.dtype, precision=first.precision):
        base = planning.plan(first, dataset, drawn=False)
        every = math.ceil(first.epochs / 25) if evaluate_every is None else evaluate_every
        saver = lambda name: None
        if checkpoints is not None:
            saver = lambda name: Checkpoints(Path(checkpoints) / name, every=checkpoint_every, last=True)
        notes = Notes(members, base, every or first.epochs, stopped, on_progress, saver)
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
        tuple(groups), judged_by, notes.earlier + time.perf_counter() - begun,
    )  # fmt: skip
    if notes.failed is not None:
        raise Unjudged(notes.failed, results) from notes.failed
    return results


class Notes:
    """The results of all members so far. Several threads write to this object."""

    def __init__(
        self,
        members: Sequence[TrainConfig],
        base: Plan,
        evaluate_every: int,
        stopped: Callable[[], bool],
        on_progress: OnProgress,
        saver: Callable[[str], Checkpoints | None],
    ):
        """Start with empty results. `saver` gives the checkpoints of a program by its name."""
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
        self.saver, self.earlier = saver, 0.0
        on_progress(Progress("compiling", 0, self._images))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """End all threads if one thread ends with an error, or if Ctrl-C reaches the thread that waits for the others."""
        try:
            yield
        except BaseException:
            self.ended.set()
            raise

    @contextlib.contextmanager
    def judging(self) -> Iterator[None]:
        """Save the error of an evaluation and end the training, so that the trained parameters are not lost."""
        try:
            yield
        except Exception as error:  # if a device has too little memory, its driver can raise anything
            self.failed = self.failed or error
            self.ended.set()

    def took(self, images: int, *, seconds: float = 0.0) -> None:
        """Report that the steps used `images` more images. An image counts once for every network that used it.

        If an earlier process took the steps, `seconds` says for how long that process trained.
        """
        with self._lock:
            self._done += images
            self.earlier = max(self.earlier, seconds)
            if seconds:
                return
            self._first = self._first or (time.perf_counter(), self._done)
            seconds = time.perf_counter() - self._first[0]
            rate = (self._done - self._first[1]) / seconds if seconds > 0 else 0.0
            self._show(Progress("training", self._done, self._images, self._cost, None, rate))

    def epoch(
        self, group: Sequence[int], epoch: int, costs: np.ndarray, judged: metrics.Evaluation | Judged | None
    ) -> None:
        """Save the results of an epoch of some members: the costs, of shape (steps, members), and the evaluation."""
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
    """Train some members and return their parameters. If there are checkpoints, continue from the last good one.

    The state of several members has a leading axis. The state of a single member has no such axis.
    """
    per_epoch = plan.num_steps // plan.settings.epochs
    costs, params, before = [], state.params, None

    def note(epoch: int, costs: list[Any], evaluation: metrics.Evaluation | Judged | None) -> None:
        columns = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in costs])
        notes.epoch(group, epoch, columns, evaluation)

    def judged(params: Params) -> metrics.Evaluation | None:
        with notes.judging():
            return evaluator(params)
        return None  # the notes hold the error of the evaluation

    for snapshot in fit(
        plan, evaluate_every=notes.evaluate_every, stopped=lambda: notes.ended.is_set() or notes.stopped(), descent=descent,
        state=state, batches=batches, evaluator=judged, guarded=False, in_place=resident(),
        checkpoints=notes.saver(f"{group[0]}-{len(group)}"),
    ):  # fmt: skip
        if snapshot.restored is not None:
            params = snapshot.state.params
            done, whole = snapshot.info.cost, snapshot.step // per_epoch
            evaluated = {of.step // per_epoch: of for of in snapshot.restored.evaluations}
            for epoch in range(1, whole + 1):
                note(epoch, [done[(epoch - 1) * per_epoch : epoch * per_epoch]], evaluated.get(epoch))
            costs = [done[whole * per_epoch :]] if snapshot.step % per_epoch else []
            notes.took(snapshot.step * plan.settings.batch_size * len(group), seconds=snapshot.restored.seconds)
            continue
        costs.append(snapshot.info.cost)
        params = snapshot.state.params
        notes.took(len(snapshot.info.cost) * plan.settings.batch_size * len(group))
        if snapshot.step % per_epoch == 0:
            if before is not None:  # saved during the next epoch, so that the device does not wait
                with notes.judging():
                    note(*before)
            before, costs = (snapshot.step // per_epoch, costs, snapshot.evaluation), []
    if before is not None:
        with notes.judging():
            note(*before)
    return jax.tree.map(np.asarray, params)


def _in_programs(notes: Notes, group: Sequence[int], plans: Sequence[Plan], *, shared: bool, at_once: int) -> Params:
    """Train the networks of a group with one compiled program, at most `at_once` networks at a time.

    If there is only a CPU, each core runs a copy of the compiled program with some of the networks.
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
        chosen = np.arange(first, first + width).clip(
            max=len(group) - 1
        )  # the last network is repeated, so that every state holds `width` networks
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
    """Train the networks of a group, each in its own order of the images. Each core trains one network at a time."""
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
    """Run `work` for all items in threads. Each of the `workers` threads works on one item at a time.

    The threads really run in parallel, because XLA releases Python's lock while it computes.
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
    dtype = jnp.promote_types(params_dtype(plans[0].settings.dtype), jnp.float32)
    names = ("learning_rate", "weight_decay")
    return {name: jnp.asarray([getattr(plan.settings, name) for plan in plans], dtype) for name in names}


def _batches(plan: Plan) -> Iterator[Batch]:
    settings = plan.settings
    return data.shuffled(
        plan.order_key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.functions.keyed,
        steps=plan.functions.steps_per_chunk,
    )  # fmt: skip


def _epochs(plans: Sequence[Plan], chosen: np.ndarray | None, mesh: Mesh) -> Iterator[data.Epoch]:
    """Yield the epochs of the first network, shared by all networks. If `chosen` is given, yield the networks' own epochs.

    In the networks' own epochs, the axis of networks comes after the axis of steps.
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
    """Stack keys along a leading axis on the host. Compiling a program with thousands of arguments would take minutes."""
    return jax.random.wrap_key_data(jnp.asarray(np.stack([jax.random.key_data(key) for key in keys])))


def _mesh() -> Mesh:
    """All devices of the current platform, in one row."""
    return Mesh(np.asarray(jax.devices(current().platform)), ("member",))
