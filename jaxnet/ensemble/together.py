"""Training many networks: those of one shape by one program, on a CPU a copy of it on every core."""

import concurrent.futures
import contextlib
import functools
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

from jaxnet import data, losses, recipes, training
from jaxnet._types import Apply, Batch, Dataset, Loss, Params
from jaxnet.descent import Descent, gradient_descent, numbered, side_by_side
from jaxnet.devices import arithmetic, cores, current, resident
from jaxnet.ensemble.members import alike, check, follow, starts
from jaxnet.ensemble.results import Group, Results, Unjudged
from jaxnet.loop import train
from jaxnet.recipes import Settings
from jaxnet.walking import Seen


def train_together(
    members: Sequence[Settings],
    dataset: Dataset,
    *,
    shared: bool = True,
    at_once: int = 64,
    evaluate_every: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    show: Callable[[Seen], None] = lambda seen: None,
) -> Results:
    """Train many networks, those of one shape together.

    On the same batches, the first layers of all networks of a program are one large matrix product; on a CPU each core runs
    a program with its share of them. Where each has its own order, an accelerator runs them in one program too; on a CPU
    each core runs one network at a time, all by the same program. Where there are several devices, the networks of a
    program are divided among them.

    Args:
        members: Settings of each network, as `combinations` makes them. They agree in data, epochs, validation, dtype,
            precision and device; which images are held out is decided by the first one's seed.
        dataset: What to learn from; the test images are not looked at.
        shared: Whether all see the same batches, in the order of the first member's seed. Otherwise each shuffles by its
            own seed: without validation, a member then does what `jaxnet.training.fit` does with its settings.
        at_once: Networks trained at the same time, at most (but at least one a device), which bounds the memory.
        evaluate_every: Epochs between evaluations on the held-out images (without any, on 10,000 training images); 0 for
            the last epoch alone, None for at most 25 evaluations.
        stopped: Asked after every chunk of steps, on a CPU by each core's thread; once it is true, what there is by then is
            returned.
        show: Called with what there is to see, by one thread at a time; step and num_steps count the images of all networks.

    Returns:
        The results. A member that diverges stops none of the others.

    Raises:
        ValueError: If there are no members, they do not agree where they must, or settings make no sense.
        Unjudged: If an evaluation raised an exception; all parameters by then are in its `results`.
    """
    check(members)
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1 network, got {at_once}")
    begun, first = time.perf_counter(), members[0]
    with arithmetic(device=first.device, dtype=first.dtype, precision=first.precision):
        base = training.plan(first, dataset, drawn=False)
        every = math.ceil(first.epochs / 25) if evaluate_every is None else evaluate_every
        judged_after = [e for e in range(1, first.epochs + 1) if (every and e % every == 0) or e == first.epochs]
        notes = Notes(members, base, judged_after, stopped, show)
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
        tuple(members), np.asarray(judged_after, int), notes.costs, notes.accuracies, notes.train_costs, notes.diverged,
        tuple(groups), judged_by, time.perf_counter() - begun,
    )  # fmt: skip
    if notes.failed is not None:
        raise Unjudged(notes.failed, results) from notes.failed
    return results


class Notes:
    """What was seen so far of all members, kept by many threads."""

    def __init__(
        self,
        members: Sequence[Settings],
        base: training.Plan,
        judged_after: Sequence[int],
        stopped: Callable[[], bool],
        show: Callable[[Seen], None],
    ):
        """Nothing seen yet."""
        count, epochs = len(members), base.settings.epochs
        self.stopped, self.judged_after, self._show = stopped, list(judged_after), show
        self.costs, self.accuracies = np.full((2, count, len(self.judged_after)), np.nan)
        self.train_costs = np.full((count, epochs), np.nan)
        self.diverged = np.full(count, -1)
        self._judged = len(base.judged.labels)
        self._images, self._done, self._cost = count * epochs * len(base.train.labels), 0, math.nan
        self._first: tuple[float, int] | None = None
        self._lock, self.ended = threading.Lock(), threading.Event()
        self.failed: Exception | None = None
        show(Seen("compiling", 0, self._images))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Whatever ends one thread ends them all: an error here, or Ctrl-C where they are waited for."""
        try:
            yield
        except BaseException:
            self.ended.set()
            raise

    @contextlib.contextmanager
    def judging(self) -> Iterator[None]:
        """Keep what an evaluation raises and end the training, so that the parameters by then are not lost."""
        try:
            yield
        except Exception as error:  # of a device without memory, whatever its driver raises
            self.failed = self.failed or error
            self.ended.set()

    def took(self, images: int) -> None:
        """Show that so many more images were learned from, counted anew for every network."""
        with self._lock:
            self._done += images
            self._first = self._first or (time.perf_counter(), self._done)
            seconds = time.perf_counter() - self._first[0]
            rate = (self._done - self._first[1]) / seconds if seconds > 0 else 0.0
            self._show(Seen("training", self._done, self._images, self._cost, None, rate))

    def epoch(self, group: Sequence[int], epoch: int, costs: np.ndarray, judged: losses.Evaluation | None) -> None:
        """Keep what an epoch of some members brought: costs of shape (steps, members), and how they were judged after it."""
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
                    np.isfinite(cost), losses.exactly(right, self._judged), np.nan
                )


def _walk(
    notes: Notes,
    group: Sequence[int],
    plan: training.Plan,
    descent: Descent,
    state: Any,
    batches: Any,
    judge: Callable[[Params], losses.Evaluation],
) -> Params:
    """Train some members, all in one state with a leading axis or a single one without, and give back their parameters."""
    per_epoch = plan.num_steps // plan.settings.epochs
    step, costs, params, before = 0, [], state.params, None

    def note(epoch: int, costs: list[Any], judged: losses.Evaluation | None) -> None:
        columns = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in costs])
        notes.epoch(group, epoch, columns, judged)

    for after, info in train(descent, state, batches, guarded=False, in_place=resident()):
        costs.append(info.cost)
        step, params = step + len(info.cost), after.params
        notes.took(len(info.cost) * plan.settings.batch_size * len(group))
        if step % per_epoch == 0:
            epoch = step // per_epoch
            judged = None
            if epoch in notes.judged_after:
                with notes.judging():
                    judged = judge(params)
            if before is not None:  # noted an epoch late, while the device works on the next one
                with notes.judging():
                    note(*before)
            before, costs = (epoch, costs, judged), []
        if notes.ended.is_set() or notes.stopped():
            break
    if before is not None:
        with notes.judging():
            note(*before)
    return jax.tree.map(np.asarray, params)


def _in_programs(
    notes: Notes, group: Sequence[int], plans: Sequence[training.Plan], *, shared: bool, at_once: int
) -> Params:
    """Networks of one shape, so many at once, each program the same; where all devices are one CPU, a program a core."""
    plan, mesh = plans[0], _mesh()
    abreast = min(cores(), at_once) if mesh.size == 1 and not resident() else 1
    rounds = math.ceil(len(group) / (at_once // abreast * abreast))
    programs = min(len(group), rounds * abreast)
    width = math.ceil(math.ceil(len(group) / programs) / mesh.size) * mesh.size
    descent = side_by_side(_numbered(plan), shared=shared)
    everywhere = NamedSharding(mesh, PartitionSpec())
    judged = jax.device_put(plan.judged, everywhere) if resident() else plan.judged
    judge = lambda params: _judge_each(plan.recipe.apply, plan.recipe.loss, params, judged)
    params, numbers = starts(plans), _numbers(plans)

    def program(first: int) -> Params:
        chosen = np.arange(first, first + width).clip(max=len(group) - 1)  # the last one fills up the last program
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
        return _walk(notes, group[first : first + width], plan, descent, state, batches, judge)

    trained = _side_by_side(notes, program, range(0, len(group), width), plan.settings, workers=abreast)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(group)], *trained)


def _on_every_core(notes: Notes, group: Sequence[int], plans: Sequence[training.Plan], *, at_once: int) -> Params:
    """Networks of one shape, each in its own order, as many at a time as there are cores."""
    plan, params, numbers = plans[0], starts(plans), _numbers(plans)
    descent = _numbered(plan)
    judge = lambda params: training.judge(plan.recipe, params, plan.judged)

    def one(i: int) -> Params:
        state = descent.init(jax.tree.map(lambda leaf: leaf[i], (params, numbers)))
        return _walk(notes, group[i : i + 1], plan, descent, state, _batches(plans[i]), judge)

    trained = _side_by_side(notes, one, range(len(group)), plan.settings, workers=min(cores(), at_once))
    return jax.tree.map(lambda *parts: np.stack(parts), *trained)


def _side_by_side(
    notes: Notes, work: Callable[[int], Params], items: Sequence[int], settings: Settings, *, workers: int
) -> list[Params]:
    """So many items at a time, each in a thread of its own; XLA leaves Python's lock free while it computes."""
    if workers == 1:
        return [work(item) for item in items]
    here = current()

    def one(item: int) -> Params:
        inside = arithmetic(device=settings.device, dtype=settings.dtype, precision=settings.precision)
        with notes.all_or_none(), jax.default_device(here), inside:  # of jax's settings a thread inherits nothing
            return work(item)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool, notes.all_or_none():
        return list(pool.map(one, items))


def _numbered(plan: training.Plan) -> Descent:
    """The plan's descent, its learning rate and weight decay left open."""
    make = lambda numbers: gradient_descent(
        plan.recipe.augmented_cost, recipes.transform(plan.settings, plan.num_steps, **numbers)
    )
    return numbered(make)


def _numbers(plans: Sequence[training.Plan]) -> dict[str, Array]:
    dtype = jnp.promote_types(plans[0].settings.dtype, jnp.float32)
    names = ("learning_rate", "weight_decay")
    return {name: jnp.asarray([getattr(plan.settings, name) for plan in plans], dtype) for name in names}


def _batches(plan: training.Plan) -> Iterator[Batch]:
    settings = plan.settings
    return data.shuffled(
        plan.order_key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.recipe.keyed,
        steps=plan.recipe.steps_per_chunk,
    )  # fmt: skip


def _epochs(plans: Sequence[training.Plan], chosen: np.ndarray | None, mesh: Mesh) -> Iterator[data.Epoch]:
    """The epochs of the first network for all, or with an axis of networks behind that of the steps the chosen ones' own."""
    plan, settings = plans[0], plans[0].settings
    key = plan.order_key if chosen is None else _stacked([plans[i].order_key for i in chosen])
    spec = PartitionSpec() if chosen is None else PartitionSpec(None, "member")
    for epoch in data.resident_epochs(
        key, plan.train, settings.batch_size, epochs=settings.epochs, keyed=plan.recipe.keyed,
        sharding=NamedSharding(mesh, PartitionSpec()),
    ):  # fmt: skip
        yield epoch._replace(order=jax.device_put(epoch.order, NamedSharding(mesh, spec)))


def _stacked(keys: Sequence[Array]) -> Array:
    """Keys along a leading axis, joined on the host: as a program, thousands of arguments take minutes to compile."""
    return jax.random.wrap_key_data(jnp.asarray(np.stack([jax.random.key_data(key) for key in keys])))


@functools.partial(jax.jit, static_argnames=("apply", "loss"))
def _judge_each(apply: Apply, loss: Loss, params: Params, batch: Batch) -> losses.Evaluation:
    """Judge every network of a stack."""

    def judge(params: Params) -> losses.Evaluation:
        return losses.evaluate(loss, losses.outputs(apply, params, batch.images, chunk_size=100), batch.labels)

    return jax.vmap(judge)(params)


def _mesh() -> Mesh:
    """All devices of the kind that computations go to, in a line."""
    return Mesh(np.asarray(jax.devices(current().platform)), ("member",))
