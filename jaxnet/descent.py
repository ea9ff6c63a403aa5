"""One step downhill: gradient descent on any cost, with any optax optimizer, as a pair of pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxnet._types import Cost, Params


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
        move: The second half, `(state, grads) -> (state, updates)`: what the optimizer makes of the gradient.
    """

    init: Callable[[Params], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    slope: Callable[[Any, Any], tuple[Any, Params]] | None = None
    move: Callable[[Any, Params], tuple[Any, Params]] | None = None


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
        The same for states and infos with a leading axis of networks: `init` takes parameters stacked along it.

    Examples:
        >>> both = side_by_side(gradient_descent(lambda x, _: x**2, 0.25))
        >>> state, info = both.update(both.init(jnp.array([2.0, -4.0])), None)
        >>> state.params.tolist(), info.cost.tolist()
        ([1.0, -2.0], [4.0, 16.0])
    """
    over = lambda step: jax.vmap(step, in_axes=(0, None if shared else 0))
    move = descent.move and jax.vmap(descent.move)
    return Descent(jax.vmap(descent.init), over(descent.update), descent.slope and over(descent.slope), move)


def gradient_descent(cost: Cost, optimizer: optax.GradientTransformation | optax.ScalarOrSchedule) -> Descent:
    """Repeatedly nudge every parameter by a multiple of the negative gradient.

    Full batch, mini-batch or one example at a time: that is only a matter of the batches.

    Args:
        cost: `cost(params, batch) -> number`, for any pytree of parameters.
        optimizer: Any optax transformation with any schedule; a number or a schedule alone is the learning rate of
            plain gradient descent.

    Returns:
        A `Descent` whose info is an `Info`. Wrap its `update` in `jax.jit`, or hand it to `jaxnet.train`.

    Examples:
        >>> descent = gradient_descent(lambda x, _: x**2, 0.25)
        >>> state, info = descent.update(descent.init(jnp.array(2.0)), None)
        >>> float(state.params), float(info.cost)
        (1.0, 4.0)

    Source: the film's "Gradient descent".
    """
    transform = optimizer if isinstance(optimizer, optax.GradientTransformation) else optax.sgd(optimizer)

    def init(params: Params) -> State:
        return State(params, transform.init(params), jnp.zeros((), jnp.int32))

    def slope(state: State, batch: Any) -> tuple[Any, Params]:
        return jax.value_and_grad(cost)(state.params, batch)

    def move(state: State, grads: Params) -> tuple[State, Params]:
        updates, opt_state = transform.update(grads, state.opt_state, state.params)
        return State(optax.apply_updates(state.params, updates), opt_state, state.step + 1), updates

    def update(state: State, batch: Any) -> tuple[State, Info]:
        value, grads = slope(state, batch)
        return move(state, grads)[0], Info(value, optax.tree.norm(grads))

    return Descent(init, update, slope, move)
