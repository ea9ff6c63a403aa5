"""Descents on functions of one or two numbers, from many starts at once, and the minima that they reach."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxnet.core.descent import gradient_descent, vmapped, with_hyperparams
from jaxnet.core.devices import double_precision, holds_primitive


class Walk(NamedTuple):
    """Descents on one function from many starts. The arrays are numpy arrays, in float64.

    Attributes:
        positions: The start, and the positions after each step that was kept. If the function takes several variables,
            the last axis has one entry for each variable.
        values: The values of the function at these positions.
        slopes: The gradients of the function at these positions, in the shape of `positions`.
    """

    positions: Float[np.ndarray, "start step ..."]
    values: Float[np.ndarray, "start step"]
    slopes: Float[np.ndarray, "start step ..."]


def descend(
    function: Callable[[Any], Any], starts: Any, optimizer: Any, num_steps: int, *, rates: Any = None, every: int = 1
) -> Walk:
    """Run gradient descent on any function from many starts at once.

    Args:
        function: A function of one number, or of a vector of numbers. Its result is one number.
        starts: (start,) for a function of one number, (start, variable) for a function of several numbers.
        optimizer: The learning rate of plain gradient descent, or any optax transformation. If `rates` is given, this
            argument is a function that makes a transformation from a learning rate, such as `optax.adam`.
        num_steps: How many steps to take.
        rates: (start,), one learning rate for each start.
        every: The position is kept only after every `every`-th step. This number must divide the number of steps.

    Returns:
        The path from every start, computed in float64. A path that diverges ends in infinity or NaN, and does not stop
        the other paths.

    Raises:
        ValueError: If starts, rates or numbers of steps do not fit together, or if the function's result is not one
            number.

    Examples:
        >>> descend(lambda x: x**2, [4.0, -2.0], 0.25, 3).positions.tolist()
        [[4.0, 2.0, 1.0, 0.5], [-2.0, -1.0, -0.5, -0.25]]

    Source: the film's "Gradient descent": a function of one number, then of two.
    """
    places = np.asarray(starts, np.float64)
    if places.ndim not in (1, 2) or not len(places):
        raise ValueError(
            f"starts must be (start,) or (start, variable), with at least one start, got shape {places.shape}"
        )
    if num_steps < 1 or every < 1 or num_steps % every:
        raise ValueError(f"every must divide the number of steps, got {num_steps} steps and every={every}")
    make, own = _maker(optimizer, rates, len(places))
    with double_precision(function):
        found = jax.eval_shape(function, jax.ShapeDtypeStruct(places.shape[1:], np.float64))
        if found.shape != ():
            raise ValueError(f"the function must give one number at one position, got an array of shape {found.shape}")
        walked = _walk(function, make, jnp.asarray(places), jnp.asarray(own), num_steps, every)
        return Walk(*map(np.asarray, walked))


def _maker(optimizer: Any, rates: Any, count: int) -> tuple[Callable[[Any], Any], np.ndarray]:
    """The optimizer as a function of a learning rate, and the learning rate of each start."""
    if rates is None:
        if isinstance(optimizer, optax.GradientTransformation):
            return lambda rate: optimizer, np.zeros(count)
        if callable(optimizer):
            raise ValueError(
                f"{optimizer} needs a learning rate; pass rates, with one rate for each start, or call the function, "
                "for example optax.adam(0.1)"
            )
        return optax.sgd, np.full(count, optimizer, np.float64)
    own = np.asarray(rates, np.float64)
    if own.shape != (count,) or not callable(optimizer):
        raise ValueError(
            f"rates must hold one rate for each of the {count} starts, and the optimizer must be a function such as optax.sgd; "
            f"got rates of shape {own.shape} and {optimizer}"
        )
    return optimizer, own


@functools.partial(jax.jit, static_argnames=("function", "make", "num_steps", "every"))
def _walk(function: Any, make: Any, starts: Any, rates: Any, num_steps: int, every: int) -> tuple[Array, Array, Array]:
    descent = vmapped(with_hyperparams(lambda rate: gradient_descent(lambda place, _: function(place), make(rate))))

    def leg(state: Any, _: Any) -> tuple[Any, Any]:
        after = jax.lax.fori_loop(0, every, lambda _, state: descent.update(state, None)[0], state)
        return after, after.params

    _, places = jax.lax.scan(leg, descent.init((starts, rates)), None, length=num_steps // every)
    path = jnp.moveaxis(jnp.concatenate([starts[None], places]), 0, 1)
    return path, *jax.vmap(jax.vmap(jax.value_and_grad(function)))(path)


def curvatures(function: Callable[[Any], Any], place: Any) -> Float[np.ndarray, "direction"]:
    """The curvatures of a function at a position, the smallest first, in float64: the eigenvalues of its Hessian.

    Near a minimum, plain gradient descent converges only if the learning rate is below 2 / (largest curvature).

    Examples:
        >>> from jaxnet.analysis.landscape import bowl
        >>> curvatures(bowl, [0.0, 0.0]).tolist()
        [1.0, 10.0]
    """
    with double_precision(function):
        second = np.asarray(_second(function, jnp.asarray(np.asarray(place, np.float64))))
        return np.linalg.eigvalsh(second.reshape(second.shape or (1, 1)))


@functools.partial(jax.jit, static_argnames="function")
def _second(function: Any, place: Any) -> Array:
    # jax has no forward derivative of a function with a custom backward rule.
    backward = holds_primitive("custom_vjp", function, place)
    return jax.jacrev(jax.grad(function))(place) if backward else jax.hessian(function)(place)


class Basins(NamedTuple):
    """The places where descents came to rest.

    Attributes:
        bottoms: The places, in the order of their values, the lowest value first. Nearly all places are minima. A
            descent that starts exactly at a saddle point or another flat place rests there.
        values: The values of the function at these places.
        reached: The index of the place that each start reached. The index is -1 if a descent still moved or went to
            infinity.
    """

    bottoms: Float[np.ndarray, "bottom ..."]
    values: Float[np.ndarray, "bottom"]
    reached: Int[np.ndarray, "start"]


def basins(walk: Walk, *, flat: float = 1e-4, apart: float = 0.05) -> Basins:
    """Find the minimum that every start reached.

    Args:
        walk: The result of `descend`, with enough steps for the descents to come to rest.
        flat: A descent is at rest if the length of the gradient at its end is at most this number.
        apart: The ends of two descents are different places if the distance between them is larger than this number.

    Returns:
        The minima, in the order of their values, the lowest value first.

    Examples:
        >>> from jaxnet.analysis.landscape import two_wells
        >>> found = basins(descend(two_wells, [[-2.0, 1.0], [2.0, 1.0], [0.5, -1.0]], 0.1, 500))
        >>> found.bottoms.round(2).tolist(), found.reached.tolist()
        ([[-1.02, 0.0], [0.97, 0.0]], [0, 1, 1])

    Source: the film's "Gradient descent": the start decides which valley you land in.
    """
    count = len(walk.values)
    ends, slopes = (part[:, -1].reshape(count, -1) for part in (walk.positions, walk.slopes))
    steep = np.linalg.norm(np.where(np.isfinite(slopes), slopes, np.inf), axis=1)
    rests = np.flatnonzero((steep <= flat) & np.isfinite(ends).all(axis=1))
    reached, firsts = np.full(count, -1), []
    for i in rests[np.argsort(walk.values[rests, -1], kind="stable")]:
        if reached[i] < 0:
            near = rests[np.linalg.norm(ends[rests] - ends[i], axis=1) <= apart]
            reached[near[reached[near] < 0]] = len(firsts)
            firsts.append(i)
    return Basins(walk.positions[firsts, -1], walk.values[firsts, -1], reached)
