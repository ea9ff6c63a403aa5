"""Differentiate through training, to measure how the final cost depends on every training pixel and on the learning rate."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxnet.core.descent import Optimizer, gradient_descent, transformation
from jaxnet.core.types import Batch, Cost, Params


def cost_after(cost: Cost, optimizer: Optimizer) -> Callable[..., Array]:
    """Make a function that trains and returns the cost of all examples. `jax.grad` can differentiate this whole run.

    The steps are divided into segments, which are groups of consecutive steps. The gradient with respect to the start,
    the examples or the learning rate goes back through all steps. On the way back, each segment is computed again, so
    memory holds only the states between segments and the steps of one segment.

    Some optimizers, such as Adam, divide by a root of squared gradients. The root has an infinite slope where a
    gradient is exactly zero. At such places the root counts as constant, so the parameter contributes 0 instead of NaN.
    (Inside loops of the optimizer, roots are not treated in this way.)

    Args:
        cost: `cost(params, batch)`.
        optimizer: An optimizer or learning rate, as in `gradient_descent`. A learning rate may be traced.

    Returns:
        `after(params, examples, order, segments=None) -> number`. `order` has shape (segments, steps, batch), and holds
        the positions of the examples that each step uses. If `segments` is given, the training ends after this number
        of segments. The number may be traced.

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
        # The examples of a whole segment are gathered at once. If each step gathered only its own examples, every step
        # of the backward pass would add an array as large as the data set, with mostly zeros.
        batches = jax.tree.map(lambda leaf: leaf[order], examples)
        return jax.lax.scan(descent.update, state, batches)[0]

    def after(params: Params, examples: Any, order: Any, segments: Any = None) -> Float[Array, ""]:
        order = jnp.asarray(order)
        if order.ndim != 3:
            raise ValueError(
                f"order must have axes of segments, steps and examples of a batch, got shape {order.shape}"
            )

        def walk(state: Any, each: tuple[Array, Array]) -> tuple[Any, None]:
            if segments is None:
                return segment(state, examples, each[1]), None
            stay = lambda state, examples, order: state
            return jax.lax.cond(each[0] < segments, segment, stay, state, examples, each[1]), None

        state, _ = jax.lax.scan(walk, descent.init(params), (jnp.arange(len(order)), order))
        return cost(state.params, examples)

    return after


def _guarded(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Change an optimizer so that its roots count as constant where they are zero."""
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
    """Evaluate a function from jax's list of its operations. Roots count as constant where they are zero."""
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
    """Turn a cost into a function that measures how the trained network's cost depends on each training example.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        optimizer: An optimizer or learning rate, as in `cost_after`.

    Returns:
        `measure(params, examples, order)` gives the sum of |dL/dx| over an example's pixels, for each segment and each
        example. L is the cost of all examples after the segment. The gradient goes back through all steps before. The
        unit is cost for each unit of intensity. The mean over the segments is the sensitivity in the paper.

    Raises:
        ValueError: The returned function raises this error if the images are not floats, because integers have no
            gradient.

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


def finite_differences(
    function: Callable[[Array], Array], point: Any, entries: Sequence[int] | np.ndarray, *, nudge: float = 1e-5
) -> Float[np.ndarray, "entry"]:
    """Measure slopes of a function, to check a gradient. Each input is moved slightly up and down, one after the other.

    Args:
        function: A function from one array to a number.
        point: The array where the slope is measured, in double precision.
        entries: Positions in the flattened array.
        nudge: How far an input is moved. The error falls with the square of this number, until rounding errors are
            larger than this error.

    Returns:
        (f(x + nudge) - f(x - nudge)) / (2 nudge) for each entry.

    Raises:
        ValueError: If the point is not in double precision, or if jax would not compute in double precision. Rounding
            errors would hide the difference.

    Examples:
        >>> with jax.enable_x64(True):
        ...     slopes = finite_differences(lambda x: 3 * x[0] + x[1], jnp.array([2.0, 1.0]), [0, 1])
        >>> slopes.round(6).tolist()
        [3.0, 1.0]
    """
    point = jnp.asarray(point)
    if point.dtype != jnp.float64 or jnp.result_type(float) != jnp.float64:
        came = point.dtype if point.dtype != jnp.float64 else "a float64 array outside of it"
        raise ValueError(f"finite_differences needs float64 (inside `with jax.enable_x64(True):`), got {came}")
    flat = point.reshape(-1)

    @jax.jit
    def quotient(entry: Array) -> Array:
        value = lambda by: function(flat.at[entry].add(by).reshape(point.shape))
        return (value(nudge) - value(-nudge)) / (2 * nudge)

    return np.array([quotient(jnp.asarray(entry)) for entry in entries])
