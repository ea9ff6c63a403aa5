"""Functions of gradients from any library. They show what each component means for its own parameter."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from jaxnet.bang.selection import first_largest, place
from jaxnet.core.leaves import LeftOut, leaves_with_paths, named_leaves, names, require_real, with_gradient
from jaxnet.core.network import Layer


def magnitude(grads: Any) -> Any:
    """How much the cost changes per unit of each parameter: the film's "bang for your buck", without the sign.

    Args:
        grads: A pytree of gradients. None leaves (frozen parameters) are skipped.

    Returns:
        |dC/dp| for every parameter, in units of cost per unit of parameter. Half precision becomes float32. A leaf
        without a gradient (float0) becomes None.
    """
    return jax.tree.map(lambda g: jnp.abs(_widened(g)), with_gradient(grads))


def share(grads: Any) -> Any:
    """Each parameter's fraction of the decrease of the cost in a small gradient descent step: g^2 / |g|^2.

    The fractions hold for plain gradient descent only. For another optimizer use `earned`.

    Args:
        grads: A pytree of gradients.

    Returns:
        Fractions that sum to 1. All fractions are 0 if the whole gradient is zero. All are NaN if the gradient holds a
        NaN or an infinity. For complex gradients, |g|^2 takes the place of g^2.

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
    """How much the optimizer's real step decreases the cost through each parameter, to first order: -g * u.

    A decrease is positive.

    Args:
        grads: The cost's gradient, as `jax.grad` gives it. Only the updates contain weight decay and clipping.
        updates: The numbers that the optimizer adds to the parameters. The pytree has the structure of the gradient.

    Returns:
        The predicted decrease of the cost for each parameter. The sum of these numbers is the decrease of the whole
        step. The numbers are real: for complex parameters they are the real parts of the products.
    """
    absent = lambda leaf: leaf is None or isinstance(leaf, LeftOut)
    gain = lambda g, u: g if absent(g) else -jnp.real(_widened(g) * _widened(u))
    return jax.tree.map(gain, with_gradient(grads), updates, is_leaf=absent)


def by_leaf(values: Any) -> dict[str, float]:
    """The sum of each array of a pytree, by the array's name, such as `0/weights`.

    If the values are shares of parameters, each sum is the share of the whole array.

    Raises:
        ValueError: If an array is complex, or two arrays have the same name.
    """
    require_real(values, "a sum by array")
    return {name: float(np.sum(np.asarray(leaf, np.float64))) for name, leaf in named_leaves(values)}


def by_neuron(values: Any, *, axis: int = 0) -> Any:
    """For each neuron, the sum of the values of its parameters.

    Args:
        values: A pytree, for example of magnitudes or shares.
        axis: The axis of an array that counts neurons: 0 for jaxnet's (out, in), -1 for flax's (in, out).

    Returns:
        The pytree with one vector instead of each array. A `Layer` becomes one vector, with weights and bias added.
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
    """One component of the gradient.

    Attributes:
        leaf: The name of the array that holds the component.
        position: The index in this array.
        gradient: dC/dp, the component itself.
        up: Whether the parameter must grow to lower the cost.
        ratio: The magnitude of the component, divided by the magnitude of the next component in the ranking. It is
            infinite if the next magnitude is zero, or if there is no next component.
        text: This nudge in words.
    """

    leaf: str
    position: tuple[int, ...]
    gradient: float
    up: bool
    ratio: float
    text: str


def top(grads: Any, k: int = 10, *, image_shape: Sequence[int] = (28, 28)) -> tuple[Nudge, ...]:
    """The k components with the largest magnitude, the largest first.

    Args:
        grads: A pytree of gradients from any library. None leaves are skipped. In the text, layers are counted from 1,
            neurons and pixels from 0: "layer 2, neuron 7, weight from neuron 3" is `grads[1].weights[7, 3]`. In layers
            of other libraries, the number of biases may equal the length of only the second axis of the weights. The
            text then reads these weights as weights of shape (in, out).
        image_shape: The shape of an image. It is used to name pixels, if the first layer has as many inputs as an image
            has numbers.
        k: How many components to return. If there are fewer parameters, all their components are returned.

    Returns:
        Nudges in order of magnitude. Components with equal magnitudes keep the order of the pytree.

    Raises:
        ValueError: If k is below 1, or if a gradient is NaN, infinite or complex, because such a gradient points
            neither up nor down.

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
    """Return "weights" or "biases" if a path leads to this field of a numbered layer. If not, return None."""
    field = getattr(path[-1], "name", None) if len(path) == 2 else None
    return field if field in ("weights", "biases") else None


def _widened(leaf: Any) -> Any:
    """Convert to at least float32, so that sums and squares of half precision keep their digits."""
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def _words(where: str, gradient: float, ratio: float) -> str:
    if gradient == 0:
        return f"leave {where}: its gradient is zero"
    direction = "up" if gradient < 0 else "down"
    return f"nudge {where} {direction}" + (f"; gradient {ratio:.3g} times the next" if math.isfinite(ratio) else "")


class Lorenz(NamedTuple):
    """The budget curve: the fraction of the decrease that comes from the best parameters together.

    Attributes:
        kept: The fractions of the parameters, from none to all. The best parameters come first.
        bought: The fractions of the whole decrease that these parameters give.
        gini: The Gini coefficient, twice the area between the curve and the diagonal. It is 0 if all parameters
            contribute equally, and near 1 if a few parameters contribute everything.
    """

    kept: Float[np.ndarray, "rank"]
    bought: Float[np.ndarray, "rank"]
    gini: float


def lorenz(values: Any) -> Lorenz:
    """Rank parameters by their contributions, and add up their contributions, starting with the best.

    Args:
        values: Contributions, such as `bang.share(grads)` or `bang.earned(grads, updates)`. Negative contributions come
            last.

    Returns:
        The curve. If some updates raise the cost, the curve rises above 1 and then falls back to 1.

    Raises:
        ValueError: If the contributions do not sum to a positive number.

    Examples:
        >>> curve = lorenz({"x": np.array([0.9, 0.0]), "y": np.array([0.1, 0.0])})
        >>> curve.bought.tolist(), round(curve.gini, 3)
        ([0.0, 0.9, 1.0, 1.0, 1.0], 0.7)
    """
    require_real(values, "a budget curve")
    flat = np.concatenate([np.asarray(leaf, np.float64).ravel() for _, leaf in named_leaves(values)])
    total = flat.sum()
    if not total > 0:
        raise ValueError(f"the contributions must sum to a positive number, got {total:.6g}; is the gradient zero?")
    bought = np.concatenate([[0.0], np.cumsum(np.sort(flat)[::-1]) / total])
    kept = np.linspace(0, 1, len(bought))
    return Lorenz(kept, bought, float(2 * np.trapezoid(bought, kept) - 1))


def top_mask(values: Any, fraction: float | int) -> Any:
    """A mask of the largest entries of a pytree: ones for the best `fraction` of all entries, zeros elsewhere.

    The number of ones is rounded up. Equal entries do not change this number: the first of the equal entries are kept.
    An entry that is NaN is not counted among the best, and is NaN in the mask. The function works inside `jax.jit`.

    Raises:
        ValueError: If the fraction is outside the range 0 < fraction <= 1, or if a value is complex.
    """
    require_real(values, "a ranking by size")
    flat, unravel = ravel_pytree(values)
    missing = jnp.isnan(flat)
    chosen = jax.lax.top_k(jnp.where(missing, -jnp.inf, flat), affordable(fraction, flat.size))[1]
    return unravel(jnp.where(missing, jnp.nan, jnp.zeros_like(flat).at[chosen].set(1)))


def affordable(fraction: float | int, count: int) -> int:
    """The number of parameters that a fraction of `count` allows: rounded up, at least one.

    Raises:
        ValueError: If the fraction is outside the range 0 < fraction <= 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"the fraction of the parameters must be above 0 and at most 1, got {fraction}")
    return max(1, math.ceil(round(fraction * count, 6)))
