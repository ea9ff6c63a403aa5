"""Measure the cost of many parameters on lines and planes: along a direction, through a path, around a network."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnet.core.devices import double_precision, require_double
from jaxnet.core.leaves import leaves_with_paths, require_alike, require_real
from jaxnet.core.types import Cost, Params


def line(cost: Cost, *, at_once: int = 16) -> Callable[[Params, Params, Any, Any], Float[np.ndarray, "distance"]]:
    """Turn a cost into a function that measures the cost along a straight line through parameter space, in float64.

    Args:
        cost: `cost(params, batch)`.
        at_once: How many points to compute in parallel. A larger number is faster and needs more memory.

    Returns:
        `measure(params, direction, distances, batch)` gives the cost at params + distance * direction. If the direction
        is (solution - params), distance 1 is the solution. If the direction is minus the gradient, distances are
        learning rates.

    Raises:
        ValueError: The returned function raises this error if the direction does not have the shapes of the parameters.
            It also raises it if the cost computes in less than float64, because rounding errors would hide small bumps.

    Examples:
        >>> line(lambda x, batch: jnp.sum(x**2))(np.array([1.0, 2.0]), np.array([1.0, 0.0]), [-1.0, 0.0, 1.0], None).tolist()
        [4.0, 5.0, 8.0]

    Source: Goodfellow, Vinyals and Saxe, 2015, "Qualitatively characterizing neural network optimization problems".
    """

    def measure(params: Params, direction: Params, distances: Any, batch: Any) -> Float[np.ndarray, "distance"]:
        return _measured(cost, params, (direction,), np.asarray(distances, np.float64)[:, None], batch, at_once)

    return measure


def plane(cost: Cost, *, at_once: int = 16) -> Callable[..., Float[np.ndarray, "y x"]]:
    """Turn a cost into a function that measures the cost on a plane through parameter space, in float64.

    Args:
        cost: `cost(params, batch)`.
        at_once: How many points to compute in parallel.

    Returns:
        `measure(params, u, v, xs, ys, batch)` gives the cost at params + x * u + y * v. The result has a row for every
        y and a column for every x, as image and contour plots need it.

    Raises:
        ValueError: The returned function raises this error for the reasons given in `line`.

    Examples:
        >>> u, v = np.array([1.0, 0.0]), np.array([0.0, 1.0])
        >>> plane(lambda x, batch: x[0] + 10 * x[1])(np.zeros(2), u, v, [0, 1, 2], [0, 1], None).tolist()
        [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]
    """

    def measure(params: Params, u: Params, v: Params, xs: Any, ys: Any, batch: Any) -> Float[np.ndarray, "y x"]:
        across, up = np.meshgrid(np.asarray(xs, np.float64), np.asarray(ys, np.float64))
        places = np.stack([across.ravel(), up.ravel()], axis=1)
        return _measured(cost, params, (u, v), places, batch, at_once).reshape(across.shape)

    return measure


def _measured(cost: Cost, params: Any, directions: tuple[Any, ...], places: Any, batch: Any, at_once: int) -> Any:
    for direction in directions:
        require_alike(direction, params, "a direction")
    require_real(params, "a slice")
    if not len(places) or at_once < 1:
        raise ValueError(
            f"there must be at least one point, and at_once must be at least 1, got {len(places)} points and at_once {at_once}"
        )
    with double_precision(cost):
        wide = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), tree)
        params, directions = wide(params), wide(directions)
        require_double(cost, params, batch)
        values = []
        for first in range(0, len(places), at_once):
            # The last point is repeated, so that one compiled program fits all parts.
            chosen = np.arange(first, first + at_once).clip(max=len(places) - 1)
            values.append(np.asarray(_values(cost, params, directions, jnp.asarray(places[chosen]), batch)))
        return np.concatenate(values)[: len(places)]


@functools.partial(jax.jit, static_argnames="cost")
def _values(cost: Cost, params: Any, directions: tuple[Any, ...], places: Any, batch: Any) -> Array:
    def value(place: Any) -> Any:
        moved = lambda leaf, *ways: leaf + sum(place[i] * way for i, way in enumerate(ways))
        return cost(jax.tree.map(moved, params, *directions), batch)

    return jax.vmap(value)(places)


def filter_normalized(key: Array, params: Params, *, neuron_axis: int = 0) -> Params:
    """Sample a random direction in which each neuron's weight vector is as long as in the network. Biases do not move.

    Without this normalization, large weights make a plane look flat, and small weights make it look steep.

    Networks or layers can be stacked along leading axes, as `jax.vmap` and flax's `nn.scan` stack them. Each network or
    layer is normalized separately. The function finds the number of stacked axes from an array called bias, biases or
    scale beside the weights. Such an array has one axis of neurons, and all its other axes are stacked axes.

    Args:
        key: A typed random key.
        params: The network. Leaves with two or more axes are weights. Stacked axes do not count here.
        neuron_axis: The axis of neurons in the weights of one network: 0 for (out, in), -1 for (in, out).

    Returns:
        A pytree with the structure and the shapes of `params`.

    Raises:
        ValueError: If a leaf is complex.

    Source: Li et al. 2018, "Visualizing the loss landscape of neural nets", filter normalization.
    """
    require_real(params, "a direction by filter normalization")
    leaves, form = jax.tree.flatten(params)
    stacked: dict[Any, int] = {}
    for path, leaf in leaves_with_paths(params):
        if _called(path) in ("bias", "biases", "scale"):
            stacked[_parent(path)] = max(stacked.get(_parent(path), 0), np.ndim(leaf) - 1)

    def direction(key: Array, path: Any, leaf: Any) -> Array:
        first, axes = stacked.get(_parent(path), 0), np.ndim(leaf)
        if axes - first < 2:
            return jnp.zeros_like(leaf)
        drawn = jax.random.normal(key, np.shape(leaf), jnp.asarray(leaf).dtype)
        others = tuple(axis for axis in range(first, axes) if axis != first + neuron_axis % (axes - first))
        length = lambda weights: jnp.sqrt(jnp.sum(weights**2, axis=others, keepdims=True))
        drawn_length = length(drawn)
        return drawn * (length(leaf) / jnp.where(drawn_length > 0, drawn_length, 1))

    paths = [path for path, _ in leaves_with_paths(params)]
    return form.unflatten(map(direction, jax.random.split(key, len(leaves)), paths, leaves))


def _steps(path: Any) -> list[str]:
    """The keys of a path as strings. The array inside a flax.nnx variable has the variable's name."""
    words = [jax.tree_util.keystr((step,), simple=True) for step in path]
    return words[:-1] if len(words) > 1 and words[-1] == "value" else words


def _called(path: Any) -> str:
    return _steps(path)[-1] if path else ""


def _parent(path: Any) -> tuple[str, ...]:
    return tuple(_steps(path)[:-1])


class PrincipalComponents(NamedTuple):
    """The directions along which a path varies most, in float64.

    Attributes:
        origin: The path's last parameters.
        directions: Pytrees with the structure of the parameters. Each has length 1, and they are orthogonal to each
            other. The direction with the largest variance comes first.
        explained: The fraction of the path's variance along each principal direction, also along those not returned.
        coordinates: The position of each point of the path relative to the origin, along the returned directions.
    """

    origin: Params
    directions: tuple[Params, ...]
    explained: Float[np.ndarray, "component"]
    coordinates: Float[np.ndarray, "step direction"]


def pca(path: Params, *, directions: int = 2) -> PrincipalComponents:
    """Find the principal components of a path: the plane through its last point that contains most of its variance.

    The first two components contain much of any path's variance. Even for a random walk they contain about 76 %
    (Antognini and Sohl-Dickstein, 2018).

    Args:
        path: Parameters with a leading axis of steps.
        directions: How many directions to return.

    Raises:
        ValueError: If the path does not have more points than `directions`, or if it moves in fewer directions.

    Source: Li et al. 2018, section 7.
    """
    require_real(path, "a principal plane")
    leaves, form = jax.tree.flatten(path)
    shapes = [np.shape(leaf)[1:] for leaf in leaves]
    places = np.concatenate([np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in leaves], axis=1)
    if len(places) <= directions:
        raise ValueError(f"a path needs more than {directions} points, got {len(places)}")
    off = places - places.mean(0)
    # There are far fewer points than parameters, so the matrix of the points' inner products is small.
    variances, mixtures = np.linalg.eigh(off @ off.T)
    variances = variances[::-1][: min(places.shape)].clip(min=0)
    moved = int((variances > 1e-12 * variances[0]).sum())
    if moved < directions:
        raise ValueError(
            f"the path moves in only {moved} of {directions} directions; ask for fewer directions, or use random directions"
        )
    ways = mixtures[:, ::-1][:, :directions].T @ off
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    seen = (places - places[-1]) @ ways.T
    # The sign of a component is arbitrary. This sign makes every path begin at the lower left.
    signs = np.where(seen[0] > 0, -1.0, 1.0)
    cuts = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    unflatten = lambda flat: form.unflatten(
        [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes, strict=True)]
    )
    chosen = tuple(unflatten(sign * way) for sign, way in zip(signs, ways, strict=False))
    return PrincipalComponents(unflatten(places[-1]), chosen, variances / variances.sum(), seen * signs)


def largest_rise(values: Any) -> float:
    """The largest increase from one value of a sequence to a later value. If the sequence only falls, the result is 0.

    Examples:
        >>> largest_rise([5.0, 3.0, 4.5, 1.0, 2.0])
        1.5
    """
    values = np.asarray(values, np.float64)
    return float((values - np.minimum.accumulate(values)).max())
