"""What a reader calls a single parameter, and the largest of many."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def place(
    name: str,
    path: Any,
    position: tuple[int, ...],
    shape: tuple[int, ...],
    image: Sequence[int],
    *,
    inputs_first: bool = False,
) -> str:
    """What a reader calls one entry: by layer and neuron in jaxnet's own layers, else by name and position.

    Args:
        name: Of the array.
        path: Of the array, in its pytree.
        position: In the array.
        shape: Of the array.
        image: Shape of an image, to name pixels.
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
    """What a reader calls an array of parameters: in jaxnet's own layers by layer, counted from 1, else its name.

    Examples:
        >>> in_words("0/weights"), in_words("dense/kernel")
        ('layer 1, weights', 'dense/kernel')
    """
    layer, _, field = name.partition("/")
    return f"layer {int(layer) + 1}, {field}" if layer.isdigit() and field in ("weights", "biases") else name


def first_largest(sizes: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k largest, of equal ones the first, without sorting the rest."""
    if len(sizes) <= k:
        return np.arange(len(sizes))
    least = np.partition(sizes, -k)[-k]
    above = np.flatnonzero(sizes > least)
    return np.concatenate([above, np.flatnonzero(sizes == least)[: k - len(above)]])
