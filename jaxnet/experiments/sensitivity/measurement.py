"""Are some real digits easier than others, and is noise different? Learning in one epoch, and loss-sensitivity."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet import bang
from jaxnet.analysis.unrolling import cost_after, finite_differences, loss_sensitivity
from jaxnet.core import losses, network
from jaxnet.core.descent import gradient_descent
from jaxnet.core.types import Batch, Dataset
from jaxnet.experiments.findings import Arrays, Experiment, Keep, at_once
from jaxnet.experiments.memorization.controls import noise, shuffled
from jaxnet.experiments.sensitivity.verdict import CHECKED, KINDS, answer
from jaxnet.training.progress import OnProgress, Progress, no_progress

SIZES = (196, 16, 16, 10)
"""The layers of the network of Arpit et al., for digits of 14x14 pixels: two hidden layers of 16 neurons."""

apply = functools.partial(network.apply, activation=network.relu, output=network.identity)
cost = losses.average(apply, losses.cross_entropy)
start = functools.partial(network.init, sizes=SIZES, weights=network.he)


class SensitivitySettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        examples: The number of training images. Every digit has an equal number of images.
        repetitions: The number of repetitions of the first part. Each repetition has its own digits, noise and starts.
        networks: The number of networks (random starts and orders) for each repetition and kind.
        easy_batch: The batch size of the first part.
        seeds: The number of networks of each kind in the second part. Each network has its own examples.
        epochs: The epochs of the second part. The sensitivity is measured after each epoch.
        batch_size: The batch size of the second part.
        learning_rate: The learning rate of plain gradient descent in both parts.
        pixels: The number of pixels at which the gradient through training is compared with finite differences.
    """

    examples: int = 1000
    repetitions: int = 20
    networks: int = 100
    easy_batch: int = 10
    seeds: int = 20
    epochs: int = 5
    batch_size: int = 20
    learning_rate: float = 0.1
    pixels: int = 20


def shrunk(images: Any) -> Float[np.ndarray, "image height width"]:
    """Shrink images to half their side. Every new pixel is the mean of four pixels, in 0..1."""
    values = np.asarray(network.intensities(np.asarray(images)))
    count, height, width = values.shape
    return values.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))


def balanced(labels: Any, examples: int, seed: int) -> Int[np.ndarray, "chosen"]:
    """Choose the positions of random examples, equally many of each label. Otherwise a network first learns frequent labels.

    Raises:
        ValueError: If a label has too few examples.
    """
    labels, generator = np.asarray(labels), np.random.default_rng((seed, 2))
    digits = np.unique(labels)
    each = examples // len(digits)
    if (least := min(int((labels == digit).sum()) for digit in digits)) < each:
        raise ValueError(
            f"{examples} balanced examples need {each} of every label, but one label has only {least}; use fewer examples"
        )
    return np.concatenate([generator.choice(np.flatnonzero(labels == digit), each, replace=False) for digit in digits])


def worlds(dataset: Dataset, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (kind, example, height, width) and labels (kind, example) of the three kinds of training data."""
    chosen = balanced(dataset.train.labels, examples, seed)
    images = shrunk(np.asarray(dataset.train.images)[chosen])
    labels = np.asarray(dataset.train.labels)[chosen].astype(np.int32)
    return np.stack([images, noise(images, seed), images]), np.stack([labels, labels, shuffled(labels, seed)])


def measure(
    settings: SensitivitySettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train on digits and on noise, and measure the role of single examples.

    Returns:
        The arrays by name:

        - `networks`: the number of networks.
        - `learned` (repetition, kind, example): the share of networks that recognize the example after one epoch.
        - `sensitivity` (kind, seed, example): |dL/dx|_1, averaged over the ends of the epochs.
        - `gini` (kind, seed): the Gini coefficient of `sensitivity`.
        - `gini_after` (kind, seed, epoch): the Gini coefficient after each epoch.
        - `images` and `labels`: the digits of the first seed.
        - `gradients` and `quotients` (entry,): the gradients and difference quotients of the checked pixels. The last
          entry is for the learning rate.

    Raises:
        ValueError: If the examples cannot be divided equally among the labels or the steps.
    """
    for what, parts in (("{} labels", len(dataset.classes)), ("steps of {} examples", settings.easy_batch)):
        if settings.examples % parts:
            raise ValueError(
                f"{settings.examples} examples cannot be divided equally into {what.format(parts)}; "
                f"take a multiple of {parts}"
            )
    computed = {
        "easy": lambda: _easy(settings, dataset, on_progress),
        "gini": lambda: _sensitivities(settings, dataset, on_progress),
        "differences": lambda: _differences(settings, dataset),
    }
    arrays: Arrays = {"networks": np.array(settings.networks)}
    for name, compute in computed.items():
        arrays |= keep(name, compute)
    return arrays


def _easy(settings: SensitivitySettings, dataset: Dataset, on_progress: OnProgress) -> Arrays:
    """Train networks for one epoch, and return the share of networks that recognize each example."""

    def one(key: Array, images: Array, labels: Array) -> Array:
        draw, mix = jax.random.split(key)
        descent = gradient_descent(cost, settings.learning_rate)
        order = jax.random.permutation(mix, len(labels)).reshape(-1, settings.easy_batch)
        step = lambda state, chosen: descent.update(state, Batch(images[chosen], labels[chosen]))
        state, _ = jax.lax.scan(step, descent.init(start(draw)), order)
        return jnp.argmax(jax.vmap(apply, (None, 0))(state.params, images), axis=-1) == labels

    @jax.jit
    def of_all(keys: Array, images: Array, labels: Array) -> Array:
        often = lambda keys, images, labels: jnp.mean(jax.vmap(one, (0, None, None))(keys, images, labels), axis=0)
        return jax.vmap(often)(keys, images, labels)

    learned = []
    for seed in range(settings.repetitions):
        on_progress(Progress("training", seed, settings.repetitions))
        keys = jax.random.split(jax.random.key(seed), (len(KINDS), settings.networks))
        learned.append(np.asarray(of_all(keys, *worlds(dataset, settings.examples, seed))))
    return {"learned": np.stack(learned)}


def orders(examples: int, batch_size: int, epochs: int, seed: int) -> Int[np.ndarray, "epoch step batch"]:
    """Return the order of the examples. Every epoch has all examples once, in a new order."""
    generator = np.random.default_rng((seed, 1))  # its random numbers differ from the random numbers of the labels
    steps = examples // batch_size
    mixed = [generator.permutation(examples)[: steps * batch_size] for _ in range(epochs)]
    return np.stack(mixed).reshape(epochs, steps, batch_size)


def _sensitivities(settings: SensitivitySettings, dataset: Dataset, on_progress: OnProgress) -> Arrays:
    measured = loss_sensitivity(cost, settings.learning_rate)
    together = jax.jit(jax.vmap(lambda key, images, labels, order: measured(start(key), Batch(images, labels), order)))
    keys = jax.random.split(jax.random.key(0), settings.seeds)
    drawn = [worlds(dataset, settings.examples, seed) for seed in range(settings.seeds)]
    images, labels = (np.stack(part, axis=1) for part in zip(*drawn, strict=True))
    order = np.stack(
        [orders(settings.examples, settings.batch_size, settings.epochs, seed) for seed in range(settings.seeds)]
    )
    found = []
    for kind in range(len(KINDS)):
        on_progress(Progress("training", kind, len(KINDS)))
        found.append(np.asarray(together(keys, images[kind], labels[kind], order)))
    slopes = np.stack(found)  # (kind, seed, epoch, example)
    ginis = lambda values: np.apply_along_axis(lambda one: bang.lorenz(one).gini, -1, values)
    return {
        "sensitivity": slopes.mean(2),
        "gini": ginis(slopes.mean(2)),
        "gini_after": ginis(slopes),
        "images": images[0, 0],
        "labels": labels[0, 0],
    }


def _differences(settings: SensitivitySettings, dataset: Dataset) -> Arrays:
    """Return the gradient through training and finite differences, for some pixels and for the learning rate."""
    images, labels = (part[0] for part in worlds(dataset, CHECKED[0], 0))
    order = orders(*CHECKED, 0)
    with jax.enable_x64(True):
        params = start(jax.random.key(0), dtype=jnp.float64)

        def trained(numbers: Array) -> Array:
            pixels = numbers[:-1].reshape(images.shape)
            return cost_after(cost, numbers[-1])(params, Batch(pixels, jnp.asarray(labels)), order)

        numbers = jnp.append(jnp.asarray(images.ravel(), jnp.float64), settings.learning_rate)
        lit = np.flatnonzero(images.ravel() > 0)
        chosen = np.append(np.random.default_rng(0).choice(lit, settings.pixels, replace=False), images.size)
        gradients = np.asarray(jax.jit(jax.grad(trained))(numbers))[chosen]
        return {"gradients": gradients, "quotients": finite_differences(trained, numbers, chosen)}


def plan(settings: SensitivitySettings) -> str:
    """Write the plan of the experiment in words."""
    return (
        f"{settings.repetitions} x {len(KINDS)} x {settings.networks} networks with 16 + 16 hidden neurons for one "
        f"epoch on {settings.examples:,} digits of 14x14 pixels, and {len(KINDS)} x {settings.seeds} networks for the "
        f"gradient through {settings.epochs} epochs"
    )


QUICK = SensitivitySettings(repetitions=20, epochs=5)
FULL = SensitivitySettings(repetitions=60, epochs=20, seeds=40)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (30, 150))
