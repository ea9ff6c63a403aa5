"""Match neurons: reorder the hidden neurons of one network so that its weights are close to another network's weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnet.core.leaves import first_not_finite, require_real
from jaxnet.core.network import Layer


def match_neurons(params: Sequence[Layer], like: Sequence[Layer]) -> tuple[Layer, ...]:
    """Reorder the hidden neurons of a network so that its weights are as close as possible to another network's weights.

    Permuting the neurons of a hidden layer changes no output. With one hidden layer the result is the best order. With
    more hidden layers, one layer after the other is matched until nothing changes. The result is a good order, but
    perhaps not the best.

    Args:
        params: The network to reorder.
        like: The network to match. Its layers must have the sizes of the layers of `params`.

    Returns:
        The layers of `params`, permuted.

    Raises:
        ValueError: If the two networks have different sizes, or if weights are complex, NaN or infinite.
        TypeError: If a network does not consist of layers.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries" (2023),
    section on weight matching.
    """
    from scipy.optimize import linear_sum_assignment

    for network in (params, like):
        if not isinstance(network, Sequence) or not network or not all(isinstance(layer, Layer) for layer in network):
            raise TypeError(
                f"alignment takes networks made of layers, as network.init makes them, got {type(network).__name__}"
            )
    require_real((params, like), "alignment")
    for network in (params, like):
        if (leaf := first_not_finite(network)) is not None:
            raise ValueError(f"alignment needs finite weights, {leaf} holds NaN or infinity")
    shapes, others = ([np.shape(layer.weights) for layer in layers] for layers in (params, like))
    if shapes != others:
        raise ValueError(f"only networks of the same sizes can be aligned, got weights of {shapes} and {others}")
    layers: list[Any] = [Layer(*(np.asarray(part, np.float64) for part in layer)) for layer in params]  # pyright: ignore[reportArgumentType]
    goal: list[Any] = [Layer(*(np.asarray(part, np.float64) for part in layer)) for layer in like]  # pyright: ignore[reportArgumentType]
    for _ in range(100):
        changed = False
        for i in range(len(layers) - 1):
            below, above = layers[i], layers[i + 1]
            gain = goal[i].weights @ below.weights.T + np.outer(goal[i].biases, below.biases)
            gain += goal[i + 1].weights.T @ above.weights
            rounding = 1e-12 * np.abs(gain).sum()
            order = linear_sum_assignment(gain, maximize=True)[1]
            if (order != np.arange(len(order))).any() and gain[
                np.arange(len(order)), order
            ].sum() > gain.trace() + rounding:
                layers[i] = Layer(below.weights[order], below.biases[order])
                layers[i + 1] = Layer(above.weights[:, order], above.biases)
                changed = True
        if not changed:
            break
    kinds = [np.asarray(layer.weights).dtype for layer in params]
    return tuple(
        Layer(layer.weights.astype(kind), layer.biases.astype(kind)) for layer, kind in zip(layers, kinds, strict=True)
    )
