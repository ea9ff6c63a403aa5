"""One step downhill: gradient descent on any cost, with any optax optimizer, as a pair of pure functions."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxnet.core.leaves import require_kind
from jaxnet.core.types import Cost, Params


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: The position on the cost surface.
        opt_state: The optimizer's state.
        step: The number of steps taken so far, a scalar int32.
    """

    params: Params
    opt_state: optax.OptState
    step: Int[Array, "..."]


class Info(NamedTuple):
    """What a person wants to see about one step.

    Attributes:
        cost: The cost of this step's batch, before the step.
        gradient_norm: The Euclidean length of the gradient: how steep the cost surface is.
    """

    cost: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]


class Descent(NamedTuple):
    """Two functions that go downhill: `init(params) -> state` and `update(state, batch) -> (state, info)`.

    `update` has the form that `jax.lax.scan` takes: `jax.lax.scan(descent.update, state, batches)` is a whole epoch in
    one compiled program.

    Attributes:
        init: Makes the state for given parameters.
        update: Takes one step.
        value_and_grad: The first half of a step, `(state, batch) -> (cost, grads)`. Instruments such as `bang.watch`
            need it. It is None if the descent does not show its gradient.
        apply_gradients: The second half, `(state, grads, cost, batch) -> (state, updates)`. The optimizer turns the
            gradient, as `jax.grad` gives it, into updates.
    """

    init: Callable[[Params], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    value_and_grad: Callable[[Any, Any], tuple[Any, Params]] | None = None
    apply_gradients: Callable[[Any, Params, Any, Any], tuple[Any, Params]] | None = None


class WithHyperparams(NamedTuple):
    """The state of a descent, together with its hyperparameters. See `with_hyperparams`.

    Attributes:
        inner: The descent's own state.
        numbers: The hyperparameters, a pytree of scalars.
    """

    inner: State
    numbers: Any

    @property
    def params(self) -> Params:
        """The position on the cost surface."""
        return self.inner.params

    @property
    def step(self) -> Int[Array, "..."]:
        """How many steps have been taken."""
        return self.inner.step


def with_hyperparams(make: Callable[[Any], Descent]) -> Descent:
    """Make a descent that carries its hyperparameters, such as the learning rate, in its state.

    One compiled program then works for all values of the hyperparameters.

    Args:
        make: `make(numbers) -> Descent`, for any pytree of scalars. The function is called while jax traces.

    Returns:
        A descent whose `init` takes a pair `(params, numbers)`.

    Examples:
        >>> many = vmapped(with_hyperparams(lambda rate: gradient_descent(lambda x, _: x**2, rate)))
        >>> state, _ = many.update(many.init((jnp.array([2.0, 2.0]), jnp.array([0.25, 0.5]))), None)
        >>> state.params.tolist()
        [1.0, 0.0]
    """

    def update(state: WithHyperparams, batch: Any) -> tuple[WithHyperparams, Any]:
        inner, info = make(state.numbers).update(state.inner, batch)
        return WithHyperparams(inner, state.numbers), info

    def init(start: tuple[Params, Any]) -> WithHyperparams:
        params, numbers = start
        return WithHyperparams(make(numbers).init(params), numbers)

    return Descent(init, update)


def vmapped(descent: Descent, *, shared: bool = True) -> Descent:
    """Run many descents in one compiled program, each from its own start.

    Args:
        descent: The descent of one network.
        shared: Whether all networks see the same batches. If it is false, the first axis of every batch counts
            networks.

    Returns:
        A descent of many networks. The first axis of its states and infos counts networks. Its `init` takes parameters
        that are stacked along a first axis of networks. This descent has no `value_and_grad`, because an instrument
        would see all networks as one. To watch each network, use `vmapped(bang.watch(descent))`.

    Examples:
        >>> both = vmapped(gradient_descent(lambda x, _: x**2, 0.25))
        >>> state, info = both.update(both.init(jnp.array([2.0, -4.0])), None)
        >>> state.params.tolist(), info.cost.tolist()
        ([1.0, -2.0], [4.0, 16.0])
    """
    return Descent(jax.vmap(descent.init), jax.vmap(descent.update, in_axes=(0, None if shared else 0)))


Optimizer = optax.GradientTransformation | optax.MultiSteps | optax.ScalarOrSchedule
"""What `gradient_descent` takes: any optax transformation, or the learning rate of plain gradient descent."""


EXTRA = {"value", "grad", "value_fn"}
"""The extra arguments passed to an optax transformation that accepts any extra argument."""


def gradient_descent(cost: Cost, optimizer: Optimizer) -> Descent:
    """Repeatedly nudge every parameter by a multiple of the negative gradient.

    Full-batch, mini-batch and single-example descent differ only in the batches.

    Args:
        cost: `cost(params, batch) -> number`, for any pytree of parameters.
        optimizer: Any optax transformation with any schedule, including `optax.MultiSteps` and `optax.lookahead`. The
            outermost transformation gets the extra arguments that it accepts: `value`, `grad`, `value_fn`, `grad_fn`. A
            number or a schedule is the learning rate of plain gradient descent.

    Returns:
        A `Descent` whose info is an `Info`. Wrap its `update` in `jax.jit`, or pass the descent to `jaxnet.train`. For
        complex parameters the descent uses the conjugate of the result of `jax.grad`, because the negative conjugate
        points downhill.

    Raises:
        TypeError: If `optimizer` is no optimizer, learning rate or schedule. `init` raises it if `optax.lookahead` is
            not the outermost transformation.
        ValueError: `init` raises it if a parameter is an integer or a boolean.

    Examples:
        >>> descent = gradient_descent(lambda x, _: x**2, 0.25)
        >>> state, info = descent.update(descent.init(jnp.array(2.0)), None)
        >>> float(state.params), float(info.cost)
        (1.0, 4.0)

    Source: the film's "Gradient descent".
    """
    of_params = jax.value_and_grad(cost)
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

    def apply_gradients(state: State, grads: Params, value: Any = None, batch: Any = None) -> tuple[State, Params]:
        downhill = jax.tree.map(_conjugate, grads)
        slope_at = lambda params, _=None: jax.tree.map(_conjugate, jax.grad(cost)(params, batch))
        asked = {"value": value, "grad": downhill, "value_fn": lambda params: cost(params, batch), "grad_fn": slope_at}
        wanted = known.keys() | (EXTRA if takes_all else set())
        asked = {name: argument for name, argument in asked.items() if name in wanted}
        updates, opt_state = transform.update(downhill, state.opt_state, state.params, **asked)
        return State(optax.apply_updates(state.params, updates), opt_state, state.step + 1), updates

    def update(state: State, batch: Any) -> tuple[State, Info]:
        value, grads = of_params(state.params, batch)
        return apply_gradients(state, grads, value, batch)[0], Info(value, gradient_norm(grads))

    return Descent(init, update, lambda state, batch: of_params(state.params, batch), apply_gradients)


def gradient_norm(grads: Params) -> Float[Array, ""]:
    """The Euclidean length of a gradient, summed in at least single precision."""
    return optax.tree.norm(jax.tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, jnp.float32)), grads))


def transformation(optimizer: Any) -> optax.GradientTransformation:
    """Turn an optimizer, a learning rate or a schedule into an optax transformation of plain parameters.

    Raises:
        TypeError: If `optimizer` is something else, such as a name or an optax function that was not called.
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
                f"{name} was not called; call it with a learning rate, such as optax.{name}(0.001), and pass the result"
            )
        return optax.sgd(optimizer)  # pyright: ignore[reportArgumentType]
    if isinstance(optimizer, bool) or (not hasattr(optimizer, "__float__") and not hasattr(optimizer, "dtype")):
        raise TypeError(
            "an optimizer is an optax transformation, such as optax.adam(0.001), or a learning rate, got "
            f"{type(optimizer).__name__}"
        )
    return optax.sgd(optimizer)


def _looks_ahead(optimizer: Any) -> bool:
    """Whether the optimizer is `optax.lookahead`. It takes two copies of the parameters instead of one."""
    init = getattr(optimizer, "init", None)
    return getattr(init, "__qualname__", "").startswith("lookahead.")


class Synced(NamedTuple):
    """The state of `optax.lookahead`, together with its slow parameters."""

    memory: Any
    slow: Params


def _synced(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Make `optax.lookahead` take the fast parameters alone, and keep the slow parameters in its state."""

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
