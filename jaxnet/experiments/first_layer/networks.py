"""The networks of the experiment: the film's network, its variations, and a convolutional network with small filters."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from jaxnet import data, training
from jaxnet.core import losses, network
from jaxnet.core.descent import gradient_descent, vmapped
from jaxnet.core.loop import train
from jaxnet.core.network import Layer
from jaxnet.core.types import Dataset
from jaxnet.training import config, ensemble
from jaxnet.training.progress import OnProgress

FILTER, STRIDE, FILTERS = 5, 2, 16
"""The filters of the convolutional network: their side in pixels, their distance in pixels, and their number."""


def first_weights(
    which: Sequence[config.TrainConfig], seeds: int, dataset: Dataset, on_progress: OnProgress
) -> tuple[np.ndarray, np.ndarray]:
    """Train networks with different seeds. `jaxnet train --seed K` with these settings trains the network of seed K.

    Returns:
        The weights into the first hidden layer before and after training, (settings, seed, neuron, height, width).
    """
    members = [member for settings in which for member in ensemble.grid(settings, seed=range(seeds))]
    results = ensemble.train_together(members, dataset, shared=False, evaluate_every=0, on_progress=on_progress)
    keys = training.many_keys(range(seeds)).init
    starts = [jax.jit(jax.vmap(training.plan(settings, dataset).functions.init))(keys)[0].weights for settings in which]
    trained = np.stack([results.params(i)[0].weights for i in range(len(members))])
    before = as_maps(np.stack(starts), dataset)
    return before, as_maps(trained, dataset).reshape(before.shape)


def as_maps(weights: Any, dataset: Dataset) -> np.ndarray:
    """Turn weights (..., pixels) into images (..., height, width)."""
    weights = np.asarray(weights, np.float32)
    return weights.reshape(*weights.shape[:-1], *dataset.train.images.shape[1:3])


def _places(image_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the pixels of every patch that a filter covers, (patch, pixel)."""
    corners = [np.arange(0, size - FILTER + 1, STRIDE) for size in image_shape]
    inside = np.indices((FILTER, FILTER)).reshape(2, -1)
    top, left = (part.reshape(-1, 1) for part in np.meshgrid(*corners, indexing="ij"))
    return top + inside[0], left + inside[1]


def init_sliding(
    key: Key[Array, ""], *, image_shape: tuple[int, ...] = (28, 28), classes: int = 10
) -> tuple[Layer, ...]:
    """Draw the random start of a convolutional network with 16 filters of 5 x 5 pixels and one dense layer."""
    first, second = jax.random.split(key)
    patches = len(_places(image_shape)[0])
    return (
        network.init(first, (FILTER**2, FILTERS), weights=network.he)[0],
        network.init(second, (patches * FILTERS, classes), weights=network.glorot)[0],
    )


def apply_sliding(params: Sequence[Layer], image: Any) -> Float[Array, "classes"]:
    """Compute the outputs for one image: every filter at every second pixel (one matrix product), ReLU, and a dense layer."""
    rows, columns = _places(image.shape)
    filters, last = params
    patches = network.intensities(image, filters.weights.dtype)[rows, columns]
    lit = jax.nn.relu(patches @ filters.weights.T + filters.biases[None, :])
    return last.weights @ lit.reshape(-1) + last.biases


def sliding_filters(
    seeds: int, steps: int, dataset: Dataset, *, learning_rate: float = 0.01, batch_size: int = 50
) -> tuple[np.ndarray, Any]:
    """Train convolutional networks with Adam and cross-entropy. All networks see the same batches.

    Returns:
        The filters, (seed, filter, 5, 5), and all parameters. Every array of parameters has one more axis at the front, for
        the seeds.
    """
    cost = losses.average(apply_sliding, losses.cross_entropy)
    rate = optax.schedules.linear_schedule(learning_rate, 0.0, steps)
    descent = vmapped(gradient_descent(cost, optax.adam(rate)))
    start = functools.partial(init_sliding, image_shape=dataset.train.images.shape[1:3], classes=len(dataset.classes))
    params = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(5), seeds))
    per_chunk = min(25, steps)
    epochs = 1 + steps * batch_size // len(dataset.train.labels)
    batches = data.shuffled(jax.random.key(6), dataset.train, batch_size, epochs=epochs, steps=per_chunk)
    for after, _ in train(descent, descent.init(params), batches):
        params = after.params
        if after.step[0] >= steps:
            break
    filters = np.asarray(params[0].weights, np.float32)
    return filters.reshape(seeds, FILTERS, FILTER, FILTER), params
