"""Watching a descent: what every array of parameters is doing, step by step, from inside the compiled program."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxnet._types import Params
from jaxnet.descent import Descent, gradient_norm

Signal = Literal["gradient", "ratio", "share", "clarity", "dead", "never_lit"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)

REMEMBERED = 100
"""A parameter is dead after so many watched steps without a gradient."""

NEVER_LIT = 255
"""In the count of watched steps without a gradient: a parameter that has had none so far."""

DECAY = 0.98
"""Clarity averages over about the last 50 watched steps."""


class Signals(NamedTuple):
    """What is seen of each array of parameters, in the order of `bang.named_leaves`; NaN at steps that were not watched.

    Attributes:
        gradient: The gradient's Euclidean length.
        ratio: The update's length over that of the parameters after it.
        share: What this array earns, as a part of the size of the step's predicted change: negative where its update works
            against the gradient. The shares sum to 1 where the step is predicted to lower the cost, to -1 where it is not.
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
    """What a person wants to see of one step of a watched walk: as `Info`, and the signals.

    Attributes:
        cost: As `Info` has it.
        gradient_norm: As `Info` has it.
        signals: NaN at steps that were not watched, and where the step itself gives NaN.
        watched: Whether the step was watched.
    """

    cost: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]
    signals: Signals
    watched: Bool[Array, "..."]


class Memory(NamedTuple):
    """What the signals need from one step to the next.

    Attributes:
        looked: How many steps were watched.
        dark: By parameter, for how many watched steps it has had no gradient, counted up to 254; 255 if it never had one.
        mean: The running mean of the gradient.
        power: By array, the running mean of the gradient's squared length.
    """

    looked: Array
    dark: Params | None
    mean: Params | None
    power: Float[Array, " leaf"] | None


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
            "this descent does not show its gradient; fill Descent.slope and .move, as gradient_descent does, and watch "
            "before side_by_side: side_by_side(bang.watch(descent))"
        )
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if unknown := [name for name in signals if name not in SIGNALS]:
        raise ValueError(f"signals are {', '.join(SIGNALS)}; got {', '.join(unknown)}")
    wanted = set(signals)

    def init(params: Params) -> Watched:
        like = lambda value, dtype: jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), value, dtype), params)
        dark = like(NEVER_LIT, jnp.uint8) if wanted & {"dead", "never_lit"} else None
        mean, power = None, None
        if "clarity" in wanted:
            kind = lambda leaf: jnp.complex64 if jnp.iscomplexobj(leaf) else jnp.float32
            mean = jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), kind(leaf)), params)
            power = jnp.zeros(len(jax.tree.leaves(params)), jnp.float32)
        return Watched(descent.init(params), Memory(jnp.zeros((), jnp.int32), dark, mean, power))

    def update(state: Watched, batch: Any) -> tuple[Watched, WatchedInfo]:
        value, grads = slope(state.inner, batch)
        inner, updates = move(state.inner, grads, value, batch)
        due = jnp.asarray(state.step % every == 0)
        if every == 1:
            memory, seen = _look(wanted, state.memory, inner.params, grads, updates)
        else:

            def look(memory: Memory) -> tuple[Memory, Signals]:
                # The updates are worked out again: kept at hand, they would slow down every step that is not watched.
                return _look(wanted, memory, inner.params, grads, move(state.inner, grads, value, batch)[1])

            nothing = lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype)
            skipped = jax.tree.map(nothing, jax.eval_shape(look, state.memory)[1])
            memory, seen = jax.lax.cond(due, look, lambda memory: (memory, skipped), state.memory)
        return Watched(inner, memory), WatchedInfo(value, gradient_norm(grads), seen, due)

    return Descent(init, update)


def _look(wanted: set[str], memory: Memory, params: Params, grads: Params, updates: Params) -> tuple[Memory, Signals]:
    params, grads, updates = (
        [jnp.asarray(leaf, jnp.promote_types(leaf.dtype, jnp.float32)).ravel() for leaf in jax.tree.leaves(tree)]
        for tree in (params, grads, updates)
    )
    squared = lambda leaves: jnp.stack([jnp.real(jnp.vdot(leaf, leaf)) for leaf in leaves])
    found: dict[str, Array] = {}
    if "gradient" in wanted:
        found["gradient"] = jnp.sqrt(squared(grads))
    if "ratio" in wanted:
        own, moved = jnp.sqrt(squared(params)), jnp.sqrt(squared(updates))
        found["ratio"] = jnp.where(moved > 0, moved / jnp.where(own > 0, own, jnp.nan), 0.0)
    if "share" in wanted:
        # Of complex numbers jax's gradient is the conjugate of the way up: the plain product is the change of the cost.
        gains = jnp.stack([-jnp.real(jnp.dot(g, u)) for g, u in zip(grads, updates, strict=True)])
        total = jnp.abs(jnp.sum(gains))
        found["share"] = gains / jnp.where(total == 0, 1, total)
    looked, (dark, mean, power) = memory.looked + 1, memory[1:]
    if power is not None:
        mixed = [
            DECAY * old + (1 - DECAY) * g.reshape(old.shape).astype(old.dtype)
            for old, g in zip(jax.tree.leaves(mean), grads, strict=True)
        ]
        mean = jax.tree.unflatten(jax.tree.structure(mean), mixed)
        power = DECAY * power + (1 - DECAY) * squared(grads).astype(power.dtype)
        debias = 1 - DECAY ** looked.astype(jnp.float32)
        signal, whole = squared([m.ravel() for m in mixed]) / debias**2, power / debias
        found["clarity"] = jnp.sqrt(signal / jnp.where(whole > signal, whole - signal, jnp.nan))
    if dark is not None:
        older = lambda age: jnp.where(age < NEVER_LIT - 1, age + 1, age)
        ages = [
            jnp.where(g.reshape(age.shape) != 0, 0, older(age))
            for g, age in zip(grads, jax.tree.leaves(dark), strict=True)
        ]
        dark = jax.tree.unflatten(jax.tree.structure(dark), ages)
        tally = lambda leaves: jnp.stack([jnp.sum(leaf, dtype=jnp.float32) for leaf in leaves])
        if "dead" in wanted:
            found["dead"] = tally([(age >= REMEMBERED) & (age < NEVER_LIT) for age in ages])
        if "never_lit" in wanted:
            found["never_lit"] = tally([age == NEVER_LIT for age in ages])
    return Memory(looked, dark, mean, power), Signals(**{name: found.get(name) for name in SIGNALS})


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
    for i in np.flatnonzero(np.asarray(info.watched)):
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
