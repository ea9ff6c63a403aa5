"""Differentiate through training: what the cost after many steps owes to every pixel it was trained on, and to the rate."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxnet._types import Batch, Cost, Params
from jaxnet.descent import Optimizer, gradient_descent, transformation


def cost_after(cost: Cost, optimizer: Optimizer) -> Callable[..., Array]:
    """The cost of all examples after training on them: a whole run as one function with a gradient.

    Every step stays in the graph, so `jax.grad` of it by the start, by the examples or by the learning rate goes back
    through all of them. Memory holds the states between segments and the steps of one segment, which is walked again.
    Optimizers that divide by a root of squared gradients, as Adam does, have an infinite slope where a gradient is exactly
    zero; there the root counts as constant, so that the parameter's own share of the gradient is 0 instead of NaN (not
    inside loops of the optimizer's own).

    Args:
        cost: `cost(params, batch)`.
        optimizer: As `gradient_descent` takes it; a learning rate may be traced.

    Returns:
        `after(params, examples, order, segments=None) -> number`. `order`, of shape (segments, steps, batch), says which
        examples each step sees; with `segments`, which may be traced, only the first so many are walked.

    Examples:
        >>> bowl = lambda x, batch: jnp.mean((x - batch.images) ** 2)
        >>> one = Batch(jnp.array([1.0]), jnp.zeros(1, int))
        >>> after = cost_after(bowl, 0.25)  # each step halves the way from x to 1
        >>> order = jnp.zeros((1, 2, 1), int)
        >>> float(after(jnp.array(5.0), one, order)), float(jax.grad(after)(jnp.array(5.0), one, order))
        (1.0, 0.5)

    Source: Maclaurin, Duvenaud and Adams 2015; Arpit et al. 2017, section 3.2.
    """
    descent = gradient_descent(cost, _guarded(transformation(optimizer)))

    @jax.checkpoint
    def segment(state: Any, examples: Any, order: Array) -> Any:
        # Gathered here, not at each step: on the way back every step would add a whole data set of mostly zeros.
        batches = jax.tree.map(lambda leaf: leaf[order], examples)
        return jax.lax.scan(descent.update, state, batches)[0]

    def after(params: Params, examples: Any, order: Any, segments: Any = None) -> Float[Array, ""]:
        order = jnp.asarray(order)
        if order.ndim != 3:
            raise ValueError(f"the order has axes of segments, steps and examples of a batch, got shape {order.shape}")

        def walk(state: Any, each: tuple[Array, Array]) -> tuple[Any, None]:
            if segments is None:
                return segment(state, examples, each[1]), None
            stay = lambda state, examples, order: state
            return jax.lax.cond(each[0] < segments, segment, stay, state, examples, each[1]), None

        state, _ = jax.lax.scan(walk, descent.init(params), (jnp.arange(len(order)), order))
        return cost(state.params, examples)

    return after


def _guarded(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same optimizer, its roots constant where they are zero."""
    inner = optax.with_extra_args_support(optimizer)

    def update(grads: Params, state: Any, params: Params | None = None, **extra: Any) -> tuple[Params, Any]:
        more = {name: extra[name] for name in ("value", "grad") if name in extra}
        call = lambda *given: inner.update(*given[:3], **given[3], **{k: v for k, v in extra.items() if k not in more})
        given = (grads, state, params, more)
        program, shape = jax.make_jaxpr(call, return_shape=True)(*given)
        found = _evaluated(program.jaxpr, program.consts, jax.tree.leaves(given))
        return jax.tree.structure(shape).unflatten(found)

    return optax.GradientTransformationExtraArgs(inner.init, update)  # pyright: ignore[reportArgumentType]


def _evaluated(jaxpr: Any, constants: Any, given: Any) -> list[Any]:
    """What a program computes, with guarded roots."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *given], strict=True))
    read = lambda variable: variable.val if hasattr(variable, "val") else known[variable]
    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        name = equation.primitive.name
        if name in ("sqrt", "rsqrt"):
            positive = inputs[0] > 0
            root = equation.primitive.bind(jnp.where(positive, inputs[0], 1), **equation.params)
            found = [
                jnp.where(positive, root, jax.lax.stop_gradient(equation.primitive.bind(*inputs, **equation.params)))
            ]
        elif name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            found = _evaluated(inner.jaxpr, inner.consts, inputs)
        elif name == "cond":
            ways = [functools.partial(_evaluated, part.jaxpr, part.consts) for part in equation.params["branches"]]
            found = jax.lax.switch(inputs[0], [lambda *given, way=way: way(given) for way in ways], *inputs[1:])
        else:
            params = equation.primitive.get_bind_params(equation.params)
            inner, params = params if isinstance(params, tuple) else ((), params)  # a pair in older versions of jax
            found = equation.primitive.bind(*inner, *inputs, **params)
            found = found if equation.primitive.multiple_results else [found]
        known |= dict(zip(equation.outvars, found, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def loss_sensitivity(
    cost: Cost, optimizer: Optimizer
) -> Callable[[Params, Batch, Any], Float[Array, "segment example"]]:
    """How much the trained network's cost depends on each example it was trained on.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        optimizer: As `cost_after` takes it.

    Returns:
        `measure(params, examples, order)`: by segment and example, the sum over the example's pixels of |dL/dx|, where L is
        the cost of all examples after that segment and the gradient goes back through all steps until then. In cost per
        unit of intensity. The mean over segments is the paper's, at as many times as there are segments.

    Raises:
        ValueError: From the function, if the images are not floats: whole numbers have no gradient.

    Source: Arpit et al. 2017, section 3.2.
    """
    after = cost_after(cost, optimizer)

    def measure(params: Params, examples: Batch, order: Any) -> Float[Array, "segment example"]:
        kind = jnp.asarray(examples.images).dtype
        if not jnp.issubdtype(kind, jnp.inexact):
            raise ValueError(f"pixels must be floats to have a gradient, got {kind}; pass network.intensities(images)")
        by_images = jax.grad(lambda images, count: after(params, examples._replace(images=images), order, count))

        def at(count: Array) -> Array:
            slopes = by_images(examples.images, count)
            return jnp.sum(jnp.abs(slopes.reshape(len(slopes), -1)), axis=1)

        return jax.lax.map(at, 1 + jnp.arange(len(order)))

    return measure


def difference_quotients(
    function: Callable[[Array], Array], point: Any, entries: Sequence[int] | np.ndarray, *, nudge: float = 1e-5
) -> Float[np.ndarray, "entry"]:
    """The slope of a function by some of its numbers, by nudging each up and down: the test of any gradient.

    Args:
        function: From one array to a number.
        point: Where, an array in double precision.
        entries: Positions in the flattened array.
        nudge: How far; the error falls with its square until rounding takes over.

    Returns:
        (f(x + nudge) - f(x - nudge)) / (2 nudge) for each entry.

    Raises:
        ValueError: If the point is not in double precision, or jax would not compute in it: rounding would drown the
            difference.

    Examples:
        >>> with jax.enable_x64(True):
        ...     slopes = difference_quotients(lambda x: 3 * x[0] + x[1], jnp.array([2.0, 1.0]), [0, 1])
        >>> slopes.round(6).tolist()
        [3.0, 1.0]
    """
    point = jnp.asarray(point)
    if point.dtype != jnp.float64 or jnp.result_type(float) != jnp.float64:
        came = point.dtype if point.dtype != jnp.float64 else "a float64 array outside of it"
        raise ValueError(f"difference quotients need float64 (inside `with jax.enable_x64(True):`), got {came}")
    flat = point.reshape(-1)

    @jax.jit
    def quotient(entry: Array) -> Array:
        value = lambda by: function(flat.at[entry].add(by).reshape(point.shape))
        return (value(nudge) - value(-nudge)) / (2 * nudge)

    return np.array([quotient(jnp.asarray(entry)) for entry in entries])
