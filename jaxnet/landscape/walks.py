"""Descents of functions of one and two numbers, many starts at once, and the valleys they fall into."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxnet.descent import gradient_descent, numbered, side_by_side
from jaxnet.devices import double_precision, holds_primitive


class Walk(NamedTuple):
    """Descents of one function, side by side; numpy, float64.

    Attributes:
        positions: Where each was, the start first; with a last axis of variables unless the function is of one number.
        values: The function there.
        slopes: Its gradient there, shaped as positions.
    """

    positions: Float[np.ndarray, "start step ..."]
    values: Float[np.ndarray, "start step"]
    slopes: Float[np.ndarray, "start step ..."]


def descend(
    function: Callable[[Any], Any], starts: Any, optimizer: Any, num_steps: int, *, rates: Any = None, every: int = 1
) -> Walk:
    """Walk down any function from many starts at once.

    Args:
        function: Of one number, or of a vector of them; gives one number.
        starts: (start,) for a function of one number, (start, variable) for one of several.
        optimizer: The learning rate of plain gradient descent; or any optax transformation; or, with `rates`, what makes
            a transformation of a rate, such as `optax.adam`.
        num_steps: How many steps to take.
        rates: (start,), a learning rate of its own for every start.
        every: Remember only each so-manieth place; it divides the number of steps.

    Returns:
        The path of every start, computed in float64. One that diverges ends in infinity or NaN and stops none of the others.

    Raises:
        ValueError: If starts, rates or numbers of steps do not fit, or the function does not give one number.

    Examples:
        >>> descend(lambda x: x**2, [4.0, -2.0], 0.25, 3).positions.tolist()
        [[4.0, 2.0, 1.0, 0.5], [-2.0, -1.0, -0.5, -0.25]]

    Source: the film's "Gradient descent": a function of one number, then of two.
    """
    places = np.asarray(starts, np.float64)
    if places.ndim not in (1, 2) or not len(places):
        raise ValueError(f"starts must be (start,) or (start, variable) with at least one, got shape {places.shape}")
    if num_steps < 1 or every < 1 or num_steps % every:
        raise ValueError(f"every must divide the number of steps, got {num_steps} steps and every {every}")
    make, own = _maker(optimizer, rates, len(places))
    with double_precision(function):
        found = jax.eval_shape(function, jax.ShapeDtypeStruct(places.shape[1:], np.float64))
        if found.shape != ():
            raise ValueError(f"the function must give one number at a place, got an array of shape {found.shape}")
        walked = _walk(function, make, jnp.asarray(places), jnp.asarray(own), num_steps, every)
        return Walk(*map(np.asarray, walked))


def _maker(optimizer: Any, rates: Any, count: int) -> tuple[Callable[[Any], Any], np.ndarray]:
    """The optimizer as a function of a learning rate, and the rates."""
    if rates is None:
        if isinstance(optimizer, optax.GradientTransformation):
            return lambda rate: optimizer, np.zeros(count)
        if callable(optimizer):
            raise ValueError(f"{optimizer} needs rates, one for every start, or to be called with one: optax.adam(0.1)")
        return optax.sgd, np.full(count, optimizer, np.float64)
    own = np.asarray(rates, np.float64)
    if own.shape != (count,) or not callable(optimizer):
        raise ValueError(
            f"rates must be one for each of the {count} starts, with an optimizer such as optax.sgd; got shape {own.shape}"
        )
    return optimizer, own


@functools.partial(jax.jit, static_argnames=("function", "make", "num_steps", "every"))
def _walk(function: Any, make: Any, starts: Any, rates: Any, num_steps: int, every: int) -> tuple[Array, Array, Array]:
    descent = side_by_side(numbered(lambda rate: gradient_descent(lambda place, _: function(place), make(rate))))

    def leg(state: Any, _: Any) -> tuple[Any, Any]:
        after = jax.lax.fori_loop(0, every, lambda _, state: descent.update(state, None)[0], state)
        return after, after.params

    _, places = jax.lax.scan(leg, descent.init((starts, rates)), None, length=num_steps // every)
    path = jnp.moveaxis(jnp.concatenate([starts[None], places]), 0, 1)
    return path, *jax.vmap(jax.vmap(jax.value_and_grad(function)))(path)


def curvatures(function: Callable[[Any], Any], place: Any) -> Float[np.ndarray, "direction"]:
    """How strongly a function bends at a place: the eigenvalues of its second derivative, the least first, in float64.

    Near a minimum plain gradient descent settles only with a learning rate below 2 / the largest of them.

    Examples:
        >>> from jaxnet.landscape import bowl
        >>> curvatures(bowl, [0.0, 0.0]).tolist()
        [1.0, 10.0]
    """
    with double_precision(function):
        second = np.asarray(_second(function, jnp.asarray(np.asarray(place, np.float64))))
        return np.linalg.eigvalsh(second.reshape(second.shape or (1, 1)))


@functools.partial(jax.jit, static_argnames="function")
def _second(function: Any, place: Any) -> Array:
    # A function with a backward rule of its own has no forward one.
    backward = holds_primitive("custom_vjp", function, place)
    return jax.jacrev(jax.grad(function))(place) if backward else jax.hessian(function)(place)


class Basins(NamedTuple):
    """Where descents came to rest.

    Attributes:
        bottoms: The places, the one with the lowest value first: minima, or a saddle that a start sat upon exactly.
        values: The function there.
        reached: Which of them each start reached; -1 if it was still moving, or had left for infinity.
    """

    bottoms: Float[np.ndarray, "bottom ..."]
    values: Float[np.ndarray, "bottom"]
    reached: Int[np.ndarray, "start"]


def basins(walk: Walk, *, flat: float = 1e-4, apart: float = 0.05) -> Basins:
    """Which valley every start fell into.

    Args:
        walk: From `descend`, long enough to come to rest.
        flat: It came to rest where the gradient is at most so long.
        apart: Ends farther apart than this are different places.

    Returns:
        The valleys, the deepest first.

    Examples:
        >>> from jaxnet.landscape import two_wells
        >>> found = basins(descend(two_wells, [[-2.0, 1.0], [2.0, 1.0], [0.5, -1.0]], 0.1, 500))
        >>> found.bottoms.round(2).tolist(), found.reached.tolist()
        ([[-1.02, 0.0], [0.97, 0.0]], [0, 1, 1])

    Source: the film's "Gradient descent": which valley you land in depends on where you start.
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
