"""Functions of gradients, from whatever library: what each component says about its own parameter."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.bang.names import first_largest, place
from jaxnet.leaves import LeftOut, leaves_with_paths, named_leaves, names, require_real, with_gradient
from jaxnet.network import Layer


def magnitude(grads: Any) -> Any:
    """How much the cost changes per unit of each parameter: the film's "bang for your buck", sign set aside.

    Args:
        grads: A pytree of gradients; None leaves (frozen parameters) are skipped.

    Returns:
        |dC/dp| for every parameter, in units of cost per unit of parameter; half precision is raised to float32. A leaf
        without a gradient (float0) becomes None.
    """
    return jax.tree.map(lambda g: jnp.abs(_widened(g)), with_gradient(grads))


def share(grads: Any) -> Any:
    """The fraction that each parameter contributes to the decrease of a small step of plain gradient descent: g^2 / |g|^2.

    It holds for that step alone; another optimizer earns by other parameters, see `earned`.

    Args:
        grads: A pytree of gradients.

    Returns:
        Fractions that sum to 1, or all 0 where the whole gradient is zero; all NaN where the gradient holds a NaN or an
        infinity. Of a complex gradient |g|^2 counts.

    Examples:
        >>> [round(float(part), 3) for part in share((jnp.array(3.0), jnp.array(1.0)))]
        [0.9, 0.1]
    """
    sizes = magnitude(grads)
    leaves = jax.tree.leaves(sizes)
    largest = jnp.max(jnp.stack([jnp.max(size, initial=0) for size in leaves])) if leaves else 0.0
    unit = jnp.where(largest == 0, 1, largest)
    squares = jax.tree.map(lambda size: (size / unit) ** 2, sizes)
    total = sum((jnp.sum(square) for square in jax.tree.leaves(squares)), start=jnp.zeros(()))
    return jax.tree.map(lambda square: square / jnp.where(total == 0, 1, total), squares)


def earned(grads: Any, updates: Any) -> Any:
    """What the optimizer's real step buys through each parameter, to first order: -g * u; a decrease is positive.

    Args:
        grads: The cost's gradient as `jax.grad` gives it (without weight decay or clipping: those belong to the updates).
        updates: What the optimizer adds to the parameters, same structure.

    Returns:
        The predicted decrease of the cost by parameter; its sum is that of the whole step. Real numbers: for complex
        parameters the real part of the product.
    """
    absent = lambda leaf: leaf is None or isinstance(leaf, LeftOut)
    gain = lambda g, u: g if absent(g) else -jnp.real(_widened(g) * _widened(u))
    return jax.tree.map(gain, with_gradient(grads), updates, is_leaf=absent)


def by_leaf(values: Any) -> dict[str, float]:
    """The sum of each array of a pytree, under the array's name such as `0/weights`: of shares, the part of each leaf.

    Raises:
        ValueError: If an array is complex, or two have the same name.
    """
    require_real(values, "a sum by array")
    return {name: float(np.sum(np.asarray(leaf, np.float64))) for name, leaf in named_leaves(values)}


def by_neuron(values: Any, *, axis: int = 0) -> Any:
    """The sum over everything that belongs to one neuron.

    Args:
        values: A pytree, for example of magnitudes or shares.
        axis: Which axis of an array counts neurons: 0 for jaxnet's (out, in), -1 for flax's (in, out).

    Returns:
        The pytree with one vector in place of each array; a `Layer` becomes one vector, weights and bias together.
    """

    def total(leaf: Any) -> Any:
        if isinstance(leaf, Layer) and len(jax.tree.leaves(leaf)) < 2:
            return jax.tree.map(total, leaf)
        if isinstance(leaf, Layer):
            return total(leaf.weights) + _widened(leaf.biases)
        leaf = _widened(leaf)
        return jnp.sum(leaf, axis=tuple(i for i in range(leaf.ndim) if i != axis % leaf.ndim)) if leaf.ndim else leaf

    return jax.tree.map(total, with_gradient(values), is_leaf=lambda leaf: isinstance(leaf, Layer))


class Nudge(NamedTuple):
    """One component of the gradient, read on its own.

    Attributes:
        leaf: The name of the array it belongs to.
        position: Where in that array.
        gradient: dC/dp there.
        up: Whether the parameter should grow to lower the cost.
        ratio: How many times larger its magnitude is than the next one's in the ranking; infinite if that is zero or
            there is none.
        text: The same in words.
    """

    leaf: str
    position: tuple[int, ...]
    gradient: float
    up: bool
    ratio: float
    text: str


def top(grads: Any, k: int = 10, *, image_shape: Sequence[int] = (28, 28)) -> tuple[Nudge, ...]:
    """The k components with the most bang for the buck, the largest first.

    Args:
        grads: A pytree of gradients from any library; None leaves are skipped. Layers are counted from 1 in words,
            neurons and pixels from 0, so that "layer 2, neuron 7, weight from neuron 3" is `grads[1].weights[7, 3]`.
            Layers of others whose biases fit the second axis of the weights only are read as (in, out).
        image_shape: Names the weights from pixels where a first layer has as many inputs.
        k: How many; fewer come back where there are fewer parameters.

    Returns:
        Nudges ordered by magnitude; equal ones in the order of the pytree.

    Raises:
        ValueError: If k is below 1, or a gradient is NaN, infinite or complex, which goes neither up nor down.

    Examples:
        >>> [nudge.text for nudge in top({"x": jnp.array(3.0), "y": jnp.array(-1.0)})]
        ['nudge x down; gradient 3 times the next', 'nudge y up']

    Source: the film's "More on the gradient vector".
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    require_real(grads, "a ranking by direction")
    found: list[tuple[float, int, int, str, Any, Any, float]] = []
    biases = {path[:-1]: np.shape(leaf) for path, leaf in leaves_with_paths(grads) if _field(path) == "biases"}
    kept = with_gradient(grads)
    for order, ((path, leaf), name) in enumerate(zip(leaves_with_paths(kept), names(kept), strict=True)):
        flat = np.asarray(_widened(leaf)).ravel()
        if not np.isfinite(flat).all():
            raise ValueError(f"the gradient of {name!r} holds NaN or infinity; ranking needs finite numbers")
        size = np.abs(flat)
        found += [
            (-float(size[i]), order, int(i), name, path, leaf, float(flat[i])) for i in first_largest(size, k + 1)
        ]
    found.sort(key=lambda entry: entry[:3])
    nudges = []
    for rank, (_, _, flat_position, name, path, leaf, gradient) in enumerate(found[:k]):
        following = abs(found[rank + 1][-1]) if rank + 1 < len(found) else 0.0
        ratio = abs(gradient) / following if following else math.inf
        shape = np.shape(leaf)
        position = tuple(int(i) for i in np.unravel_index(flat_position, shape))
        turned = len(shape) == 2 and biases.get(path[:-1]) == shape[1:] != shape[:1]
        where = place(name, path, position, shape, image_shape, inputs_first=turned)
        text = _words(where, gradient, ratio)
        nudges.append(Nudge(name, position, gradient, gradient < 0, ratio, text))
    return tuple(nudges)


def _field(path: Any) -> str | None:
    """Which part of a numbered layer a path leads to; None for any other array."""
    field = getattr(path[-1], "name", None) if len(path) == 2 else None
    return field if field in ("weights", "biases") else None


def _widened(leaf: Any) -> Any:
    """At least float32, so that sums and squares of half precision keep their digits."""
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def _words(where: str, gradient: float, ratio: float) -> str:
    if gradient == 0:
        return f"leave {where}: its gradient is zero"
    direction = "up" if gradient < 0 else "down"
    return f"nudge {where} {direction}" + (f"; gradient {ratio:.3g} times the next" if math.isfinite(ratio) else "")
