"""The film's 13,002-dimensional cost: the path of the training, lines and planes, and neurons that are on or off."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from jaxnet import data, training
from jaxnet.analysis import landscape
from jaxnet.core import losses, metrics, network
from jaxnet.core.descent import Descent, gradient_descent, vmapped, with_hyperparams
from jaxnet.core.loop import train
from jaxnet.core.types import Batch, Cost, Dataset
from jaxnet.experiments.findings import Arrays
from jaxnet.training import presets
from jaxnet.training.functions import build
from jaxnet.training.progress import OnProgress, Progress

SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, math.inf)
"""The values of k in the activation sigmoid(k z) between the layers. Infinity means the step function."""

SHARP_RATES = (1.5, 0.1)
"""The film's learning rate, and the best rate for k = 32 and 64. The best rate was chosen from 0.1, 0.3, 0.75, 1.5, 3 and 6
(3 epochs, accuracy on 10,000 held-out training images)."""

FRACTIONS = np.linspace(-0.25, 1.5, 71)
"""Places on the straight line: 0 is the start, 1 is the solution."""


@functools.cache
def film_cost() -> Cost:
    """Return the film's cost. All parts of the experiment use the same object, so jax compiles the cost only once."""
    return build(presets.film, image_shape=(28, 28), classes=10, steps=1).cost


def some(dataset: Dataset, images: int) -> Batch:
    """Return the first training images and their labels."""
    return Batch(np.asarray(dataset.train.images[:images]), np.asarray(dataset.train.labels[:images]))


def walk(seeds: int, epochs: int, dataset: Dataset, on_progress: OnProgress) -> Arrays:
    """Train the film's network from several random starts on the same batches.

    Returns:
        `starts` and `ends` (seed, parameter), the parameters before and after training. `path` (place, parameter), the path of
        seed 0 in about 200 equal parts.
    """
    settings = presets.film._replace(epochs=epochs)
    num_steps = epochs * (len(dataset.train.labels) // settings.batch_size)
    functions = build(settings, image_shape=(28, 28), classes=10, steps=num_steps)
    starts = jax.jit(jax.vmap(functions.init))(training.many_keys(range(seeds)).init)
    flat = jax.jit(jax.vmap(lambda params: ravel_pytree(params)[0]))
    descent, path = vmapped(functions.descent), [np.asarray(flat(starts)[0])]
    batches = data.shuffled(training.keys(0).order, dataset.train, settings.batch_size, epochs=epochs)
    every, last, step = max(1, num_steps // 200), starts, 0
    for state, info in train(descent, descent.init(starts), batches):
        last, step = state.params, step + len(info.cost)
        on_progress(Progress("training", step, num_steps, float(info.cost.mean())))
        if step >= len(path) * every or step == num_steps:
            path.append(np.asarray(flat(last)[0]))
    return {"starts": np.asarray(flat(starts)), "ends": np.asarray(flat(last)), "path": np.stack(path)}


@functools.cache
def _like() -> Any:
    return jax.eval_shape(lambda: network.init(jax.random.key(0)))


def as_layers(vector: Any) -> Any:
    """Turn one vector of the film's 13,002 numbers into layers. This is the inverse of `ravel_pytree`."""
    leaves, form = jax.tree.flatten(_like())
    ends = np.cumsum([leaf.size for leaf in leaves])
    return form.unflatten(
        [vector[end - leaf.size : end].reshape(leaf.shape) for leaf, end in zip(leaves, ends, strict=True)]
    )


def along_the_gradient(start: np.ndarray, end: np.ndarray, batch: Batch) -> Arrays:
    """Compute the cost along minus its gradient, at the start and after training. Each distance is a learning rate.

    Returns:
        The arrays by name:

        - `gradient_rates` (place, point): from minus the best rate to three times the best rate.
        - `gradient_costs` (place, point): the cost after one step.
        - `gradient_best` (place,): the rate with the lowest cost.
        - `gradient_norms` (place,): the length of the gradient.
        - `gradient_bends` (place,): the curvature along the gradient.
    """
    cost, found = film_cost(), []
    for vector in (start, end):
        params = as_layers(vector)
        grads, bend = _slope(cost, params, batch)
        down = jax.tree.map(jnp.negative, grads)
        far = np.geomspace(0.01, 1000, 64)
        best = float(far[np.argmin(landscape.line(cost)(params, down, far, batch))])
        rates = np.linspace(-best, 3 * best, 96)
        costs = landscape.line(cost)(params, down, rates, batch)
        found.append((rates, costs, rates[costs.argmin()], float(optax.tree.norm(grads)), float(bend)))
    names = ("rates", "costs", "best", "norms", "bends")
    return {
        f"gradient_{name}": np.asarray(values) for name, values in zip(names, zip(*found, strict=True), strict=True)
    }


@functools.partial(jax.jit, static_argnames="cost")
def _slope(cost: Cost, params: Any, batch: Batch) -> tuple[Any, Any]:
    """Compute the gradient, and the second derivative along the gradient for a direction of length 1."""
    slope = lambda params: jax.grad(cost)(params, batch)
    grads, bent = jax.jvp(slope, (params,), (slope(params),))
    return grads, optax.tree.vdot(grads, bent) / optax.tree.vdot(grads, grads)


def planes(start: np.ndarray, end: np.ndarray, path: np.ndarray, batch: Batch, points: int) -> Arrays:
    """Compute the cost on the plane of the path, and on random planes (filter-normalized) around start and solution.

    Returns:
        The arrays by name:

        - `path_x`, `path_y`, `path_z`: the plane of the path and its cost.
        - `path_places` (place, 2), `path_costs` (place,): the path on this plane, and its true cost.
        - `explained`: the share of the path's variance that each component explains.
        - `wandered`: the explained shares of a random walk with the path's number of steps.
        - `random_axis`, `random_z` (place, y, x): the random planes and their cost.
    """
    cost, layers = film_cost(), as_layers(end)
    found = landscape.pca(path)
    low, high = found.coordinates.min(0), found.coordinates.max(0)
    room = 0.25 * (high - low).max()
    x, y = (np.linspace(low[i] - room, high[i] + room, points) for i in range(2))
    u, v = (as_layers(direction) for direction in found.directions)
    steps = np.random.default_rng(0).standard_normal((len(path) - 1, path.shape[1]), np.float32)
    wandered = landscape.pca(np.concatenate([0 * steps[:1], steps.cumsum(0)]))
    axis, around, direction = np.linspace(-1, 1, points), [], jax.jit(landscape.filter_normalized)
    for vector in (start, end):
        params = as_layers(vector)
        ways = [direction(jax.random.key(seed), params) for seed in (1, 2)]
        around.append(landscape.plane(cost)(params, *ways, axis, axis, batch))
    return {
        "path_x": x, "path_y": y, "path_z": landscape.plane(cost)(layers, u, v, x, y, batch),
        "path_places": found.coordinates, "explained": found.explained[:5], "wandered": wandered.explained[:5],
        "path_costs": np.asarray(_costs(cost, path, batch)),
        "random_axis": axis, "random_z": np.stack(around),
    }  # fmt: skip


@functools.partial(jax.jit, static_argnames="cost")
def _costs(cost: Cost, path: Any, batch: Batch) -> Any:
    return jax.lax.map(lambda vector: cost(as_layers(vector), batch), path)


def straight(starts: np.ndarray, ends: np.ndarray, batch: Batch) -> Arrays:
    """Compute the cost on the straight line from every start through its solution.

    Returns:
        `straight_fractions` (place,), which are 0 at the start and 1 at the solution. `straight_costs` (seed, place), the cost
        at these places.
    """
    measure = landscape.line(film_cost())
    costs = [
        measure(as_layers(start), as_layers(end - start), FRACTIONS, batch)
        for start, end in zip(starts, ends, strict=True)
    ]
    return {"straight_fractions": FRACTIONS, "straight_costs": np.stack(costs)}


def sharpened(sharpness: Any, z: Any) -> Any:
    """Compute sigmoid(k z). It is steeper for larger k. If k is infinite, it is the step function (on or off)."""
    on_off = jnp.isinf(sharpness)
    return jnp.where(on_off, network.step(z), network.sigmoid(jnp.where(on_off, 1.0, sharpness) * z))


def sharp_apply(sharpness: Any) -> Callable[..., Any]:
    """Return the film's network with a steeper sigmoid between its layers. The outputs keep the film's sigmoid."""
    return functools.partial(
        network.apply, activation=functools.partial(sharpened, sharpness), output=network.sigmoid
    )  # fmt: skip


def sharp_cost(sharpness: Any) -> Cost:
    """Return the film's cost with a steeper sigmoid between the layers."""
    return losses.average(sharp_apply(sharpness), losses.squared_error)


def on_or_off(seeds: int, epochs: int, dataset: Dataset, batch: Batch, on_progress: OnProgress) -> Arrays:
    """Train networks with steeper and steeper activations, and with the step, in one compiled program.

    Returns:
        The arrays by name:

        - `sharp_norms` (k, seed, layer): the length of each layer's gradient at the start.
        - `sharp_alive` (k, seed, layer): the number of the gradient's components that are not exactly zero.
        - `sharp_right` (rate, k, seed): the percentage of the test images that are read correctly.
        - `sharp_moved` (rate, k, seed): the number of parameters below the last layer that changed.
    """
    kinds, film = len(SHARPNESS), presets.film
    num_steps = epochs * (len(dataset.train.labels) // film.batch_size)
    many = np.meshgrid(SHARP_RATES, SHARPNESS, np.arange(seeds), indexing="ij")
    numbers = {"rate": jnp.asarray(many[0].ravel(), jnp.float32), "k": jnp.asarray(many[1].ravel(), jnp.float32)}
    keys = training.many_keys(range(seeds)).init[many[2].ravel()]
    starts = jax.jit(jax.vmap(lambda key: network.init(key, weights=network.scaled(film.gain))))(keys)
    descent = vmapped(with_hyperparams(functools.partial(_sharp_descent, num_steps)))
    batches = data.shuffled(training.keys(0).order, dataset.train, film.batch_size, epochs=epochs)
    last, step = starts, 0
    for state, info in train(descent, descent.init((starts, numbers)), batches, guarded=False):
        last, step = state.params, step + len(info.cost)
        on_progress(Progress("training", step, num_steps, float(info.cost.min())))
    first = jax.tree.map(lambda leaf: leaf[: kinds * seeds], (starts, numbers["k"]))
    norms, alive = (np.asarray(part).reshape(kinds, seeds, -1) for part in _sharp_slopes(*first, batch))
    shape = (len(SHARP_RATES), kinds, seeds)
    moved = sum(
        np.count_nonzero(np.asarray(a != b).reshape(len(a), -1), axis=1)
        for a, b in zip(jax.tree.leaves(starts[:-1]), jax.tree.leaves(last[:-1]), strict=True)
    )
    right = _sharp_right(last, numbers["k"], jnp.asarray(dataset.test.images), jnp.asarray(dataset.test.labels))
    return {
        "sharp_norms": norms, "sharp_alive": alive, "sharp_right": 100 * np.asarray(right, np.float64).reshape(shape),
        "sharp_moved": np.asarray(moved).reshape(shape),
    }  # fmt: skip


def _sharp_descent(num_steps: int, numbers: Any) -> Descent:
    rate = optax.schedules.linear_schedule(numbers["rate"], 0.0, num_steps)
    return gradient_descent(sharp_cost(numbers["k"]), optax.sgd(rate))


@jax.jit
def _sharp_slopes(starts: Any, sharpness: Any, batch: Batch) -> tuple[Any, Any]:
    """Compute the length of every layer's gradient and its number of nonzero components, one network after the other."""

    def one(network_and_k: Any) -> tuple[Any, Any]:
        params, k = network_and_k
        grads = jax.grad(sharp_cost(k))(params, batch)
        alive = [sum(jnp.count_nonzero(leaf) for leaf in layer) for layer in grads]
        return jnp.stack([optax.tree.norm(layer) for layer in grads]), jnp.stack(alive)

    return jax.lax.map(one, (starts, sharpness))


@jax.jit
def _sharp_right(params: Any, sharpness: Any, images: Any, labels: Any) -> Any:
    def one(network_and_k: Any) -> Any:
        params, k = network_and_k
        return metrics.accuracy(jax.vmap(lambda image: sharp_apply(k)(params, image))(images), labels)

    return jax.lax.map(one, (params, sharpness))
