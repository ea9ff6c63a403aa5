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


class Step(NamedTuple):
    """What a step was made of, for instruments.

    Attributes:
        grads: The gradient of the cost.
        updates: What the optimizer added to the parameters.
    """

    grads: Params
    updates: Params


class Descent(NamedTuple):
    """A way downhill: `init(params) -> state` and `update(state, batch) -> (state, info)`.

    `update` is what `jax.lax.scan` takes: `jax.lax.scan(descent.update, state, batches)` is a whole epoch in one program.
    `explain` takes the same step and returns `(state, info, step)`, for instruments such as `bang.watch`; None if a descent
    does not show what its steps are made of.
    """

    init: Callable[[Params], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    explain: Callable[[Any, Any], tuple[Any, Any, Step]] | None = None


def side_by_side(descent: Descent) -> Descent:
    """Many descents in one program, each from its own start, all on the same batches.

    Args:
        descent: The descent of one network.

    Returns:
        The same for states and infos with a leading axis of networks: `init` takes parameters stacked along it.

    Examples:
        >>> both = side_by_side(gradient_descent(lambda x, _: x**2, 0.25))
        >>> state, info = both.update(both.init(jnp.array([2.0, -4.0])), None)
        >>> state.params.tolist(), info.cost.tolist()
        ([1.0, -2.0], [4.0, 16.0])
    """
    over = lambda step: jax.vmap(step, in_axes=(0, None))
    return Descent(jax.vmap(descent.init), over(descent.update), descent.explain and over(descent.explain))


def gradient_descent(cost: Cost, optimizer: optax.GradientTransformation | float) -> Descent:
    """Repeatedly nudge every parameter by a multiple of the negative gradient.

    Full batch, mini-batch or one example at a time: that is only a matter of the batches.

    Args:
        cost: `cost(params, batch) -> number`, for any pytree of parameters.
        optimizer: Any optax transformation with any schedule, or a number, the learning rate of plain gradient descent.

    Returns:
        A `Descent` whose info is an `Info`. Wrap its `update` in `jax.jit`, or hand it to `jaxnet.train`.

    Examples:
        >>> descent = gradient_descent(lambda x, _: x**2, 0.25)
        >>> state, info = descent.update(descent.init(jnp.array(2.0)), None)
        >>> float(state.params), float(info.cost)
        (1.0, 4.0)

    Source: the film's "Gradient descent".
    """
    transform = optax.sgd(optimizer) if isinstance(optimizer, int | float) else optimizer

    def init(params: Params) -> State:
        return State(params, transform.init(params), jnp.zeros((), jnp.int32))

    def explain(state: State, batch: Any) -> tuple[State, Info, Step]:
        value, grads = jax.value_and_grad(cost)(state.params, batch)
        updates, opt_state = transform.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        info = Info(value, optax.tree.norm(grads))
        return State(params, opt_state, state.step + 1), info, Step(grads, updates)

    def update(state: State, batch: Any) -> tuple[State, Info]:
        return explain(state, batch)[:2]

    return Descent(init, update, explain)
