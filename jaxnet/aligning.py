"""Neurons of a hidden layer have no order: putting one network's neurons in the order that fits another's."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnet.leaves import first_not_finite, require_real
from jaxnet.network import Layer


def aligned(params: Sequence[Layer], like: Sequence[Layer]) -> tuple[Layer, ...]:
    """The same network with its hidden neurons in another order, the one closest to another network's weights.

    Permuting the neurons of a hidden layer changes no output. Of one hidden layer the order is the best there is; of more,
    layers are matched in turn until nothing changes, which finds a good one.

    Args:
        params: The network to put in order.
        like: The network to come close to, of the same sizes.

    Returns:
        The layers of `params`, permuted.

    Raises:
        ValueError: If the two have different sizes, or weights are complex.

    Source: Ainsworth, Hayase and Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries" (2023), weight
    matching.
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
