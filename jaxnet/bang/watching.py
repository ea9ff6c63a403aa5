"""Watching a descent: what every array of parameters is doing, step by step, from inside the compiled program."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxnet._types import Params
from jaxnet.descent import Descent

Signal = Literal["gradient", "ratio", "share", "clarity", "dead", "never_lit"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)

REMEMBERED = 100
"""A parameter is dead after so many watched steps without a gradient."""

DECAY = 0.98
"""Clarity averages over about the last 50 watched steps."""


class Signals(NamedTuple):
    """What is seen of each array of parameters, in the order of `bang.named_leaves`; NaN at steps that were not watched.

    Attributes:
        gradient: The gradient's Euclidean length.
        ratio: The update's length over that of the parameters after it.
        share: The part of the step's predicted decrease that this array earns; negative where its update works against
            the gradient.
        clarity: Signal to noise of the mini-batch gradients: the length of their running mean over that of their
            scatter around it. 1 is as much signal as noise.
        dead: Parameters that once had a gradient and have had none for the last 100 watched steps.
        never_lit: Parameters that have had no gradient since the watch began.
    """

    gradient: Float[Array, "*steps leaf"] | None
    ratio: Float[Array, "*steps leaf"] | None
    share: Float[Array, "*steps leaf"] | None
    clarity: Float[Array, "*steps leaf"] | None
    dead: Float[Array, "*steps leaf"] | None
    never_lit: Float[Array, "*steps leaf"] | None


class WatchedInfo(NamedTuple):
    """What a person wants to see of one watched step: as `Info`, and the signals."""

    cost: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]
    signals: Signals


class Memory(NamedTuple):
    """What the signals need from one step to the next.

    Attributes:
        looked: How many steps were watched.
        last: By parameter, the watched step at which it last had a gradient; -1 if never.
        mean: The running mean of the gradient.
        square: The running mean of its square.
    """

    looked: Array
    last: Params | None
    mean: Params | None
    square: Params | None


class Watched(NamedTuple):
    """The state of a watched descent: the state it is about, and the watch's own memory."""

    inner: Any
    memory: Memory

    @property
    def params(self) -> Params:
        """Where on the cost surface we stand."""
        return self.inner.params

    @property
    def opt_state(self) -> Any:
        """The optimizer's memory."""
        return self.inner.opt_state

    @property
    def step(self) -> Array:
        """How many steps were taken."""
        return self.inner.step


def watch(descent: Descent, *, every: int = 1, signals: Sequence[str] = SIGNALS) -> Descent:
    """The same descent, with what its gradient does to every array of parameters in its info.

    The steps themselves are the same. What the watch remembers travels in the state, beside what the descent needs.

    Args:
        descent: From `gradient_descent`, or any other that fills `Descent.slope` and `.move`.
        every: Watch one step in so many; the others cost little and show NaN. (Not so inside
            `descent.side_by_side`: there every step is looked at, and the skipped ones are thrown away.)
        signals: Which ones; the others are None.

    Returns:
        A `Descent` whose info is a `WatchedInfo` and whose state is a `Watched`.

    Raises:
        ValueError: If the descent does not show its gradient, `every` is below 1, or a signal is unknown.

    Examples:
        >>> from jaxnet.descent import gradient_descent
        >>> watched = watch(gradient_descent(lambda p, _: 3 * p["x"] + p["y"], 0.5))
        >>> _, info = watched.update(watched.init({"x": jnp.array(1.0), "y": jnp.array(1.0)}), None)
        >>> [round(float(part), 3) for part in info.signals.share], info.signals.ratio.tolist()
        ([0.9, 0.1], [3.0, 1.0])
    """
    slope, move = descent.slope, descent.move
    if slope is None or move is None:
        raise ValueError(
            "this descent does not show its gradient; fill Descent.slope and .move, as gradient_descent does"
        )
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if unknown := [name for name in signals if name not in SIGNALS]:
        raise ValueError(f"signals are {', '.join(SIGNALS)}; got {', '.join(unknown)}")
    wanted = set(signals)

    def init(params: Params) -> Watched:
        zeros = lambda tree: jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), jnp.float32), tree)
        last = jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), -1, jnp.int32), params)
        counting, averaging = wanted & {"dead", "never_lit"}, "clarity" in wanted
        memory = Memory(
            jnp.zeros((), jnp.int32), last if counting else None, zeros(params) if averaging else None,
            zeros(params) if averaging else None,
        )  # fmt: skip
        return Watched(descent.init(params), memory)

    def update(state: Watched, batch: Any) -> tuple[Watched, WatchedInfo]:
        value, grads = slope(state.inner, batch)
        inner, updates = move(state.inner, grads)
        if every == 1:
            memory, seen = _look(wanted, state.memory, inner.params, grads, updates)
        else:

            def look(memory: Memory) -> tuple[Memory, Signals]:
                # The updates are worked out again: kept at hand, they would slow down every step that is not watched.
                return _look(wanted, memory, inner.params, grads, move(state.inner, grads)[1])

            nothing = lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype)
            skipped = jax.tree.map(nothing, jax.eval_shape(look, state.memory)[1])
            due = state.step % every == 0
            memory, seen = jax.lax.cond(due, look, lambda memory: (memory, skipped), state.memory)
        return Watched(inner, memory), WatchedInfo(value, optax.tree.norm(grads), seen)

    return Descent(init, update)


def _look(wanted: set[str], memory: Memory, params: Params, grads: Params, updates: Params) -> tuple[Memory, Signals]:
    params, grads, updates = (
        [jnp.asarray(leaf, jnp.promote_types(leaf.dtype, jnp.float32)).ravel() for leaf in jax.tree.leaves(tree)]
        for tree in (params, grads, updates)
    )
    squared = lambda leaves: jnp.stack([jnp.vdot(leaf, leaf) for leaf in leaves])
    found: dict[str, Array] = {}
    if "gradient" in wanted:
        found["gradient"] = jnp.sqrt(squared(grads))
    if "ratio" in wanted:
        own, moved = jnp.sqrt(squared(params)), jnp.sqrt(squared(updates))
        found["ratio"] = jnp.where(moved > 0, moved / jnp.where(own > 0, own, jnp.nan), 0.0)
    if "share" in wanted:
        gains = jnp.stack([-jnp.vdot(g, u) for g, u in zip(grads, updates, strict=True)])
        total = jnp.sum(gains)
        found["share"] = gains / jnp.where(total == 0, 1, total)
    looked = memory.looked + 1
    last, mean, square = (None if tree is None else jax.tree.leaves(tree) for tree in memory[1:])
    if mean is not None and square is not None:
        mean = [DECAY * m + (1 - DECAY) * g.reshape(m.shape).astype(m.dtype) for m, g in zip(mean, grads, strict=True)]
        square = [
            DECAY * s + (1 - DECAY) * g.reshape(s.shape).astype(s.dtype) ** 2
            for s, g in zip(square, grads, strict=True)
        ]
        debias = 1 - DECAY ** looked.astype(jnp.float32)
        signal = squared([m.ravel() for m in mean]) / debias**2
        power = jnp.stack([jnp.vdot(jnp.ones(s.size, s.dtype), s.ravel()) for s in square]) / debias
        found["clarity"] = jnp.sqrt(signal / jnp.where(power > signal, power - signal, jnp.nan))
    if last is not None:
        last = [jnp.where(g.reshape(old.shape) != 0, memory.looked, old) for g, old in zip(grads, last, strict=True)]
        tally = lambda leaves: jnp.stack([jnp.sum(leaf, dtype=jnp.float32) for leaf in leaves])
        if "dead" in wanted:
            found["dead"] = tally([(old >= 0) & (old <= memory.looked - REMEMBERED) for old in last])
        if "never_lit" in wanted:
            found["never_lit"] = tally([old < 0 for old in last])
    kept = [
        old if new is None else jax.tree.unflatten(jax.tree.structure(old), new)
        for old, new in zip(memory[1:], (last, mean, square), strict=True)
    ]
    return Memory(looked, *kept), Signals(**{name: found.get(name) for name in SIGNALS})


@runtime_checkable
class Log(Protocol):
    """Where numbers go: `wandb.log` and `mlflow.log_metrics` are such functions as they stand.

    For TensorBoard: `lambda values, step: [writer.add_scalar(name, value, step) for name, value in values.items()]`.
    """

    def __call__(self, values: dict[str, float], *, step: int) -> Any:
        """Take the values of one step, by name."""


def rows(info: WatchedInfo, names: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """The watched steps of a chunk, as flat numbers by name.

    Args:
        info: As `train` yields it, with a leading axis of steps.
        names: The arrays' names, from `bang.named_leaves`.

    Yields:
        The position in the chunk, and values named `cost`, `gradient_norm`, and `ratio/0/weights` and the like.
    """
    seen = {name: np.asarray(values) for name, values in info.signals._asdict().items() if values is not None}
    costs, norms = np.asarray(info.cost), np.asarray(info.gradient_norm)
    looked = [~np.isnan(values).all(axis=-1) for values in seen.values()]
    watched = np.any(looked, axis=0) if looked else np.ones(len(costs), bool)
    for i in np.flatnonzero(watched):
        values = {"cost": float(costs[i]), "gradient_norm": float(norms[i])}
        for signal, array in seen.items():
            values |= {f"{signal}/{name}": float(value) for name, value in zip(names, array[i], strict=True)}
        yield int(i), values


def emit(info: WatchedInfo, names: Sequence[str], log: Log, *, step: int) -> None:
    """Send the watched steps of a chunk to a logger.

    Args:
        info: As `train` yields it, with a leading axis of steps.
        names: The arrays' names, from `bang.named_leaves`.
        log: Called once a watched step.
        step: Number of the chunk's first step.
    """
    for offset, values in rows(info, names):
        log(values, step=step + offset)
