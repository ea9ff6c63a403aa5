"""Select parameters by name, by size or at random, as positions in the flat vector of all parameters."""

import fnmatch
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxnet.core.leaves import LeftOut, is_float0, names
from jaxnet.core.types import Params

Positions = Int[np.ndarray, "entry"]


def select(tree: Any, leaves: str) -> Any:
    """Keep only the arrays whose names match. Every other array is replaced by a `LeftOut`.

    The functions that measure parameters skip a `LeftOut`.

    Positions in the flat vector of all parameters, such as the positions from `largest`, still count the arrays that
    are left out.

    Args:
        tree: The parameters, the gradients, or another pytree with the structure of the parameters.
        leaves: A pattern, as for file names, such as `0/*` or `*/kernel`.

    Raises:
        ValueError: If no name matches. The message lists the names.

    Examples:
        >>> select({"dense": {"kernel": 1.0, "bias": 2.0}}, "*/bias")
        {'dense': {'bias': 2.0, 'kernel': LeftOut(size=1)}}
    """
    arrays, form = jax.tree.flatten(tree)
    matching = [fnmatch.fnmatchcase(name, leaves) for name in names(tree)]
    if not any(matching):
        raise ValueError(f"no array's name matches {leaves!r}; the arrays are {', '.join(names(tree))}")
    kept = (leaf if match else LeftOut(np.size(leaf)) for leaf, match in zip(arrays, matching, strict=True))
    return form.unflatten(kept)


def positions(params: Params, leaves: str = "*") -> Positions:
    """The positions of the matching arrays' parameters in the flat vector of all parameters.

    Raises:
        ValueError: If no name matches.

    Examples:
        >>> positions({"a": np.zeros(3), "b": np.zeros((2, 2))}, "b").tolist()
        [3, 4, 5, 6]
    """
    kept = [not isinstance(leaf, LeftOut) for leaf in _with_left_out(select(params, leaves))]
    sizes = [leaf.size if isinstance(leaf, LeftOut) else np.size(leaf) for leaf in _with_left_out(params)]
    starts = np.cumsum([0, *sizes])
    return np.concatenate(
        [np.arange(start, start + size) for start, size, match in zip(starts, sizes, kept, strict=False) if match]
    )


def _with_left_out(tree: Any) -> list[Any]:
    """The leaves of a pytree, including the `LeftOut` placeholders."""
    return jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, LeftOut))


def largest(grads: Any, k: int) -> Positions:
    """The positions of the k components with the largest magnitude, in decreasing order of magnitude.

    Components with equal magnitudes keep the order of the pytree.

    Args:
        grads: A pytree of gradients. Arrays that `select` left out are not ranked, but their positions are counted.
        k: How many positions to return. If there are fewer components, all their positions are returned.

    Returns:
        Positions in the flat vector of all parameters.

    Raises:
        ValueError: If k is below 1, or a component is NaN or infinite.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    known, parts = iter(names(grads)), []
    for leaf in _with_left_out(grads):
        name = None if isinstance(leaf, LeftOut) else next(known)
        if name is None or is_float0(leaf):
            parts.append(np.full(leaf.size, -1.0))
            continue
        parts.append(np.abs(np.asarray(leaf)).astype(np.float64).ravel())
        if not np.isfinite(parts[-1]).all():
            raise ValueError(f"the gradient of {name!r} holds NaN or infinity; ranking needs finite numbers")
    sizes = np.concatenate(parts)
    some = np.sort(first_largest(sizes, min(k, int((sizes >= 0).sum()))))
    return some[np.argsort(-sizes[some], kind="stable")]


def sample(key: Key[Array, ""], params: Params, k: int, *, leaves: str = "*") -> Positions:
    """Sample k different parameters at random from the matching arrays. The positions are in increasing order.

    Raises:
        ValueError: If k is below 1, if there are fewer than k parameters in the matching arrays, or if no name matches.
    """
    candidates = positions(params, leaves)
    if not 1 <= k <= len(candidates):
        raise ValueError(f"k must be between 1 and {len(candidates):,}, the number of parameters, got {k}")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    return np.sort(generator.choice(candidates, k, replace=False))


def scatter(values: Float[np.ndarray, "entry"], params: Params, entries: Positions | None = None) -> Params:
    """Put values into numpy arrays with the shapes of the parameters. Parameters without a value get NaN.

    Args:
        values: One number for each entry.
        params: Parameters with the wanted shapes.
        entries: The positions of the values. If it is None, there is one value for every parameter, in order.
    """
    whole = _with_left_out(params)
    sizes = [leaf.size if isinstance(leaf, LeftOut) else np.size(leaf) for leaf in whole]
    flat = np.full(sum(sizes), np.nan)
    flat[slice(None) if entries is None else entries] = values
    cuts = np.split(flat, np.cumsum(sizes)[:-1])
    kept = [(cut, leaf) for cut, leaf in zip(cuts, whole, strict=True) if not isinstance(leaf, LeftOut)]
    return jax.tree.structure(params).unflatten([cut.reshape(np.shape(leaf)) for cut, leaf in kept])


def place(
    name: str,
    path: Any,
    position: tuple[int, ...],
    shape: tuple[int, ...],
    image: Sequence[int],
    *,
    inputs_first: bool = False,
) -> str:
    """Describe one parameter: in jaxnet's own layers by layer and neuron, elsewhere by array name and position.

    Args:
        name: The name of the array.
        path: The path of the array in its pytree.
        position: The index in the array.
        shape: The shape of the array.
        image: The shape of an image. It is used to name pixels.
        inputs_first: Whether weights are stored (in, out) instead of (out, in).
    """
    field = getattr(path[-1], "name", None) if len(path) == 2 else None
    axes = {"weights": 2, "biases": 1}.get(field or "")
    layer = getattr(path[0], "idx", None) if axes == len(shape) else None
    if layer is None:
        return name + (f"[{', '.join(map(str, position))}]" if position else "")
    if field == "biases":
        return f"layer {layer + 1}, neuron {position[0]}, bias"
    (neuron, source), inputs = (position[::-1], shape[0]) if inputs_first else (position, shape[1])
    if layer == 0 and math.prod(image) == inputs:
        spot = [int(i) for i in np.unravel_index(source, tuple(image))]
        channel = f", channel {spot[2]}" if len(spot) > 2 else ""
        return f"layer 1, neuron {neuron}, weight from pixel (row {spot[0]}, column {spot[1]}{channel})"
    if layer == 0:
        return f"layer 1, neuron {neuron}, weight from input {source}"
    return f"layer {layer + 1}, neuron {neuron}, weight from neuron {source}"


def in_words(name: str) -> str:
    """Describe an array of parameters: by layer, counted from 1, in jaxnet's own layers, or else by its name.

    Examples:
        >>> in_words("0/weights"), in_words("dense/kernel")
        ('layer 1, weights', 'dense/kernel')
    """
    layer, _, field = name.partition("/")
    return f"layer {int(layer) + 1}, {field}" if layer.isdigit() and field in ("weights", "biases") else name


def first_largest(sizes: np.ndarray, k: int) -> np.ndarray:
    """The positions of the k largest values, without a full sort. Of equal values, the first ones are chosen."""
    if len(sizes) <= k:
        return np.arange(len(sizes))
    least = np.partition(sizes, -k)[-k]
    above = np.flatnonzero(sizes > least)
    return np.concatenate([above, np.flatnonzero(sizes == least)[: k - len(above)]])
