"""What a reader calls an array of parameters and a single one in it."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np


def leaf_name(path: Any) -> str:
    """An array's name by its path in a pytree: `0/weights`; "parameter" for a bare array."""
    if len(path) > 1 and path[-1] == jax.tree_util.GetAttrKey("value"):
        path = path[:-1]  # the array inside an nnx variable
    return jax.tree_util.keystr(path, simple=True, separator="/") or "parameter"


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Every array of a pytree with its name; None leaves and those without a gradient (float0) are left out."""
    return [(leaf_name(path), leaf) for path, leaf in leaves_with_paths(tree)]


def leaves_with_paths(tree: Any) -> list[tuple[Any, Any]]:
    """Every array of a pytree with its path; None leaves and those without a gradient (float0) are left out."""
    return [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if getattr(leaf, "dtype", None) != jax.dtypes.float0
    ]


def place(path: Any, position: tuple[int, ...], shape: tuple[int, ...], image: Sequence[int]) -> str:
    """What a reader calls one entry: by layer and neuron in jaxnet's own layers, else by name and position."""
    field = getattr(path[-1], "name", None) if len(path) == 2 else None
    axes = {"weights": 2, "biases": 1}.get(field or "")
    layer = getattr(path[0], "idx", None) if axes == len(shape) else None
    if layer is None:
        return leaf_name(path) + (f"[{', '.join(map(str, position))}]" if position else "")
    if field == "biases":
        return f"layer {layer + 1}, neuron {position[0]}, bias"
    if layer == 0 and math.prod(image) == shape[1]:
        spot = [int(i) for i in np.unravel_index(position[1], tuple(image))]
        channel = f", channel {spot[2]}" if len(spot) > 2 else ""
        return f"layer 1, neuron {position[0]}, weight from pixel (row {spot[0]}, column {spot[1]}{channel})"
    if layer == 0:
        return f"layer 1, neuron {position[0]}, weight from input {position[1]}"
    return f"layer {layer + 1}, neuron {position[0]}, weight from neuron {position[1]}"


def first_largest(sizes: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k largest, of equal ones the first, without sorting the rest."""
    if len(sizes) <= k:
        return np.arange(len(sizes))
    least = np.partition(sizes, -k)[-k]
    above = np.flatnonzero(sizes > least)
    return np.concatenate([above, np.flatnonzero(sizes == least)[: k - len(above)]])
