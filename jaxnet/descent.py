"""One step downhill: gradient descent on any cost, with any optax optimizer, as a pair of pure functions."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxnet._types import Cost, Params
from jaxnet.leaves import require_kind


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: Where on the cost surface we stand.
        opt_state: The optimizer's memory.
        step: How many steps were taken, a scalar int32.
    """

    params: Params
    opt_state: optax.OptState
    step: Int[Array, "..."]


class Info(NamedTuple):
    """What a person wants to see of one step.

    Attributes:
        cost: The cost of this step's batch before the step.
        gradient_norm: The Euclidean length of the gradient: how steep it is here.
    """

    cost: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]


class Descent(NamedTuple):
    """A way downhill: `init(params) -> state` and `update(state, batch) -> (state, info)`.

    `update` is what `jax.lax.scan` takes: `jax.lax.scan(descent.update, state, batches)` is a whole epoch in one program.

    Attributes:
        init: The state at some parameters.
        update: One step.
        slope: The first half of a step, `(state, batch) -> (cost, grads)`, for instruments such as `bang.watch`; None if the
            descent does not show it.
        move: The second half, `(state, grads, cost, batch) -> (state, updates)`: what the optimizer makes of the gradient, as
            `jax.grad` gives it.
    """

    init: Callable[[Params], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    slope: Callable[[Any, Any], tuple[Any, Params]] | None = None
    move: Callable[[Any, Params, Any, Any], tuple[Any, Params]] | None = None


class Numbered(NamedTuple):
    """The state of a descent that carries the numbers it is made with; see `numbered`.

    Attributes:
        inner: The descent's own state.
        numbers: The numbers.
    """

    inner: State
    numbers: Any

    @property
    def params(self) -> Params:
        """Where on the cost surface we stand."""
        return self.inner.params

    @property
    def step(self) -> Int[Array, "..."]:
        """How many steps were taken."""
        return self.inner.step


def numbered(make: Callable[[Any], Descent]) -> Descent:
    """A descent with numbers, such as a learning rate, that travel in its state: one program for all their values.

    Args:
        make: `make(numbers) -> Descent`, for any pytree of scalars; called while tracing.

    Returns:
        A descent whose `init` takes a pair `(params, numbers)`.

    Examples:
        >>> many = side_by_side(numbered(lambda rate: gradient_descent(lambda x, _: x**2, rate)))
        >>> state, _ = many.update(many.init((jnp.array([2.0, 2.0]), jnp.array([0.25, 0.5]))), None)
        >>> state.params.tolist()
        [1.0, 0.0]
    """

    def update(state: Numbered, batch: Any) -> tuple[Numbered, Any]:
        inner, info = make(state.numbers).update(state.inner, batch)
        return Numbered(inner, state.numbers), info

    def init(start: tuple[Params, Any]) -> Numbered:
        params, numbers = start
        return Numbered(make(numbers).init(params), numbers)

    return Descent(init, update)


def side_by_side(descent: Descent, *, shared: bool = True) -> Descent:
    """Many descents in one program, each from its own start.

    Args:
        descent: The descent of one network.
        shared: Whether all see the same batches; else each has its own, and every batch a leading axis of networks.

    Returns:
        The same for states and infos with a leading axis of networks: `init` takes parameters stacked along it. It shows no
        gradient to instruments, which would take all networks for one: watch one network, `side_by_side(bang.watch(descent))`.

    Examples:
        >>> both = side_by_side(gradient_descent(lambda x, _: x**2, 0.25))
        >>> state, info = both.update(both.init(jnp.array([2.0, -4.0])), None)
        >>> state.params.tolist(), info.cost.tolist()
        ([1.0, -2.0], [4.0, 16.0])
    """
    return Descent(jax.vmap(descent.init), jax.vmap(descent.update, in_axes=(0, None if shared else 0)))


Optimizer = optax.GradientTransformation | optax.MultiSteps | optax.ScalarOrSchedule
"""What `gradient_descent` takes: any optax transformation, or the learning rate of plain gradient descent."""


EXTRA = {"value", "grad", "value_fn"}
"""What a transformation of optax that takes any extra argument is given."""


def gradient_descent(cost: Cost, optimizer: Optimizer) -> Descent:
    """Repeatedly nudge every parameter by a multiple of the negative gradient.

    Full batch, mini-batch or one example at a time: that is only a matter of the batches.

    Args:
        cost: `cost(params, batch) -> number`, for any pytree of parameters.
        optimizer: Any optax transformation with any schedule, `optax.MultiSteps` and `optax.lookahead` included; what the
            outermost one asks for beside the gradient (`value`, `grad`, `value_fn`, `grad_fn`) it gets. A number or a
            schedule alone is the learning rate of plain gradient descent.

    Returns:
        A `Descent` whose info is an `Info`. Wrap its `update` in `jax.jit`, or hand it to `jaxnet.train`. Of complex
        parameters it follows the conjugate of what `jax.grad` gives, which is the way down.

    Raises:
        TypeError: If the optimizer is none.
        ValueError: From `init`, if a parameter is an integer or a truth value.

    Examples:
        >>> descent = gradient_descent(lambda x, _: x**2, 0.25)
        >>> state, info = descent.update(descent.init(jnp.array(2.0)), None)
        >>> float(state.params), float(info.cost)
        (1.0, 4.0)

    Source: the film's "Gradient descent".
    """
    transform = optax.with_extra_args_support(transformation(optimizer))
    known = inspect.signature(transform.update).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())

    def init(params: Params) -> State:
        require_kind(params, "gradient descent", jnp.inexact)
        opt_state = transform.init(params)
        ahead = lambda node: isinstance(node, optax.LookaheadState | Synced)
        held = jax.tree.leaves(opt_state, is_leaf=ahead)
        if any(isinstance(node, optax.LookaheadState) for node in held):
            raise TypeError(
                "optax.lookahead must be outermost: optax.lookahead(optax.chain(...), sync_period, slow_step_size)"
            )
        return State(params, opt_state, jnp.zeros((), jnp.int32))

    def slope(state: State, batch: Any) -> tuple[Any, Params]:
        return jax.value_and_grad(cost)(state.params, batch)

    def move(state: State, grads: Params, value: Any = None, batch: Any = None) -> tuple[State, Params]:
        downhill = jax.tree.map(_conjugate, grads)
        slope_at = lambda params, _=None: jax.tree.map(_conjugate, jax.grad(cost)(params, batch))
        asked = {"value": value, "grad": downhill, "value_fn": lambda params: cost(params, batch), "grad_fn": slope_at}
        wanted = known.keys() | (EXTRA if takes_all else set())
        asked = {name: argument for name, argument in asked.items() if name in wanted}
        updates, opt_state = transform.update(downhill, state.opt_state, state.params, **asked)
        return State(optax.apply_updates(state.params, updates), opt_state, state.step + 1), updates

    def update(state: State, batch: Any) -> tuple[State, Info]:
        value, grads = slope(state, batch)
        return move(state, grads, value, batch)[0], Info(value, gradient_norm(grads))

    return Descent(init, update, slope, move)


def gradient_norm(grads: Params) -> Float[Array, ""]:
    """The Euclidean length of a gradient, added up in at least single precision."""
    return optax.tree.norm(jax.tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, jnp.float32)), grads))


def transformation(optimizer: Any) -> optax.GradientTransformation:
    """An optimizer, a learning rate or a schedule as an optax transformation of plain parameters.

    Raises:
        TypeError: If it is none of them, such as a name, or a function of optax that was not called.
    """
    if isinstance(optimizer, optax.MultiSteps):
        return optimizer.gradient_transformation()
    if isinstance(optimizer, optax.GradientTransformation):
        return _synced(optimizer) if _looks_ahead(optimizer) else optimizer
    if isinstance(optimizer, str):
        raise TypeError(
            f"an optimizer is an optax transformation, such as optax.adam(0.001), got the name {optimizer!r}"
        )
    if callable(optimizer):
        made = optimizer(0)
        if isinstance(made, optax.GradientTransformation | optax.MultiSteps):
            inner = optimizer.func if isinstance(optimizer, functools.partial) else optimizer
            name = getattr(inner, "__name__", type(inner).__name__)
            raise TypeError(
                f"{name} was not called; pass what it returns with a learning rate: optax.{name}(0.001) and the like"
            )
        return optax.sgd(optimizer)  # pyright: ignore[reportArgumentType]
    if isinstance(optimizer, bool) or (not hasattr(optimizer, "__float__") and not hasattr(optimizer, "dtype")):
        raise TypeError(
            "an optimizer is an optax transformation, such as optax.adam(0.001), or a learning rate, got "
            f"{type(optimizer).__name__}"
        )
    return optax.sgd(optimizer)


def _looks_ahead(optimizer: Any) -> bool:
    """Whether it is `optax.lookahead`, which takes two copies of the parameters in place of one."""
    init = getattr(optimizer, "init", None)
    return getattr(init, "__qualname__", "").startswith("lookahead.")


class Synced(NamedTuple):
    """The memory of `optax.lookahead`, and its slow parameters."""

    memory: Any
    slow: Params


def _synced(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optax.lookahead` on the fast parameters alone; the slow ones are part of its memory."""

    def init(params: Params) -> Synced:
        return Synced(optimizer.init(optax.LookaheadParams(params, params)), params)

    def update(grads: Params, state: Synced, params: Params = None) -> tuple[Params, Synced]:
        memory, slow = state
        pair, memory = optimizer.update(grads, memory, optax.LookaheadParams(params, slow))
        updates: Any = pair
        return updates.fast, Synced(memory, optax.apply_updates(slow, updates.slow))

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _conjugate(leaf: Any) -> Any:
    return jnp.conj(leaf) if jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating) else leaf
