"""Watch a descent: signals about every array of parameters at each step, computed inside the compiled program."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxnet.core.descent import Descent, gradient_norm
from jaxnet.core.types import Params

Signal = Literal["gradient", "ratio", "share", "clarity", "dead", "never_lit"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)

REMEMBERED = 100
"""A parameter is dead after this many watched steps without a gradient."""

NEVER_LIT = 255
"""This number marks a parameter that has never had a gradient. For any other parameter, the largest count is 254."""

DECAY = 0.98
"""The weight of the old average in each running average. The clarity is computed from two such averages.

An average covers about the last 50 watched steps.
"""


class Signals(NamedTuple):
    """Signals about each array of parameters, in the order of `bang.named_leaves`.

    At steps that were not watched, every signal is NaN. Signals that `watch` does not compute are None.

    Attributes:
        gradient: The gradient's Euclidean length.
        ratio: The length of the update, divided by the length of the parameters after the update.
        share: The array's part of the predicted change of the cost. It is negative if the array's update is predicted
            to raise the cost. The shares sum to 1 if the whole step is predicted to lower the cost, and to -1 if the
            step is predicted to raise the cost.
        clarity: The signal-to-noise ratio of the mini-batch gradients: the length of their running mean, divided by the
            length of their scatter around this mean. If it is 1, signal and noise are equal.
        dead: How many parameters once had a gradient but had none in the last 100 watched steps.
        never_lit: How many parameters have had no gradient since watching began.
    """

    gradient: Float[Array, "*steps leaf"] | None
    ratio: Float[Array, "*steps leaf"] | None
    share: Float[Array, "*steps leaf"] | None
    clarity: Float[Array, "*steps leaf"] | None
    dead: Float[Array, "*steps leaf"] | None
    never_lit: Float[Array, "*steps leaf"] | None


class WatchedInfo(NamedTuple):
    """The numbers that a person wants to see about one step of a watched descent: an `Info` and the signals.

    Attributes:
        cost: The cost of this step's batch, as in `Info`.
        gradient_norm: The Euclidean length of the gradient, as in `Info`.
        signals: The signals. At steps that were not watched, all signals are NaN. At a watched step, a signal is NaN
            only if its formula gives NaN.
        watched: Whether the step was watched.
    """

    cost: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]
    signals: Signals
    watched: Bool[Array, "..."]


class Memory(NamedTuple):
    """The running values that the signals need from one step to the next.

    Attributes:
        looked: How many steps were watched.
        dark: For each parameter, the number of watched steps since its last gradient, counted up to 254. The number is
            255 if the parameter has never had a gradient.
        mean: The running mean of the gradient.
        power: For each array, the running mean of the gradient's squared length.
    """

    looked: Array
    dark: Params | None
    mean: Params | None
    power: Float[Array, " leaf"] | None


class Watched(NamedTuple):
    """The state of a watched descent: the descent's own state, and the memory of the signals."""

    inner: Any
    memory: Memory

    @property
    def params(self) -> Params:
        """The position on the cost surface."""
        return self.inner.params

    @property
    def opt_state(self) -> Any:
        """The optimizer's state."""
        return self.inner.opt_state

    @property
    def step(self) -> Array:
        """How many steps have been taken."""
        return self.inner.step


def watch(descent: Descent, *, every: int = 1, signals: Sequence[str] = SIGNALS) -> Descent:
    """Add signals about every array of parameters to the info of a descent.

    The steps are unchanged. The state also holds the memory that the signals need.

    Args:
        descent: From `gradient_descent`, or any other descent with `value_and_grad` and `apply_gradients`.
        every: Only every `every`-th step is watched. The other steps cost little and their signals are NaN. (Inside
            `descent.vmapped`, all steps compute the signals, and the signals of the other steps are discarded.)
        signals: The names of the signals to compute. The other signals are None.

    Returns:
        A `Descent` whose info is a `WatchedInfo` and whose state is a `Watched`.

    Raises:
        ValueError: If the descent does not show its gradient, `every` is below 1, or a signal is unknown.

    Examples:
        >>> from jaxnet.core.descent import gradient_descent
        >>> watched = watch(gradient_descent(lambda p, _: 3 * p["x"] + p["y"], 0.5))
        >>> _, info = watched.update(watched.init({"x": jnp.array(1.0), "y": jnp.array(1.0)}), None)
        >>> [round(float(part), 3) for part in info.signals.share], info.signals.ratio.tolist()
        ([0.9, 0.1], [3.0, 1.0])
    """
    value_and_grad, apply_gradients = descent.value_and_grad, descent.apply_gradients
    if value_and_grad is None or apply_gradients is None:
        raise ValueError(
            "this descent does not show its gradient; set Descent.value_and_grad and Descent.apply_gradients, as "
            "gradient_descent does, and call bang.watch before vmapped: vmapped(bang.watch(descent))"
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
        value, grads = value_and_grad(state.inner, batch)
        inner, updates = apply_gradients(state.inner, grads, value, batch)
        due = jnp.asarray(state.step % every == 0)
        if every == 1:
            memory, seen = _look(wanted, state.memory, inner.params, grads, updates)
        else:

            def look(memory: Memory) -> tuple[Memory, Signals]:
                # The updates are computed again here. Keeping them would slow down every step that is not watched.
                return _look(wanted, memory, inner.params, grads, apply_gradients(state.inner, grads, value, batch)[1])

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
        # For complex numbers jax's gradient is the conjugate of the uphill direction, so the plain product is the
        # cost's change.
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
    """A function that receives numbers. `wandb.log` and `mlflow.log_metrics` can be passed directly.

    For TensorBoard, pass
    `lambda values, step: [writer.add_scalar(name, value, step) for name, value in values.items()]`.
    """

    def __call__(self, values: dict[str, float], *, step: int) -> Any:
        """Receive the values of one step, by name."""


def signal_rows(info: WatchedInfo, names: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the numbers of each watched step of a chunk, by name.

    Args:
        info: The info that `train` yields, with a leading axis of steps.
        names: The arrays' names, from `bang.named_leaves`.

    Yields:
        The position in the chunk, and values with names such as `cost`, `gradient_norm` and `ratio/0/weights`.
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
        info: The info that `train` yields, with a leading axis of steps.
        names: The arrays' names, from `bang.named_leaves`.
        log: Called once for each watched step.
        step: The number of the chunk's first step.
    """
    for offset, values in signal_rows(info, names):
        log(values, step=step + offset)
