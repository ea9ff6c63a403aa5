"""The networks of the noise experiment. They are trained from many seeds, with and without nonsense."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxnet import data, training
from jaxnet.analysis import out_of_distribution
from jaxnet.core import augment, losses, network
from jaxnet.core.descent import gradient_descent, vmapped
from jaxnet.core.loop import train
from jaxnet.core.types import Apply, Batch, Dataset, Params
from jaxnet.training import config, ensemble, presets
from jaxnet.training.functions import Functions, build
from jaxnet.training.progress import OnProgress, Progress
from jaxnet.training.tables import ACTIVATIONS

HELD_OUT = 5600
"""Training images that are held out to fit the temperature. The other images make exactly 1,700 batches of 32."""

NETWORKS = {
    "film": presets.film,
    "softmax": presets.film._replace(loss="cross_entropy", output="identity", learning_rate=0.8),
    "wide": presets.wide._replace(learning_rate=0.011),
}
"""The kinds of networks. `film` is the film's network. `softmax` is the film's network with softmax; its learning rate is
the best of five on held-out training images. `wide` has one wide layer; its learning rate is the best of three for four epochs."""

PAPER = presets.wide._replace(
    sizes=(256, 256, 256), activation="gelu", initializer="scaled", gain=1.0, learning_rate=0.001, schedule="constant",
    batch_size=128, shift=0, validation=HELD_OUT,
)  # fmt: skip
"""The network of Hendrycks and Gimpel's notebook, without their tiny weight decay and their lower rate in the last third."""

DOUBTING = {"squared_error": losses.squared_error, "cross_entropy": out_of_distribution.cross_entropy_or_doubt}
"""The losses that accept a label for images without a digit."""


class Kind(NamedTuple):
    """One kind of network, ready to train.

    Attributes:
        settings: The settings of the first seed.
        functions: The functions of the network.
        train: The training images.
        held: The held-out training images.
        starts: The random starts of all seeds. Every array has one more axis at the front, for the seeds.
        apply: The network up to its last weighted sums (logits), before sigmoid or softmax.
    """

    settings: config.TrainConfig
    functions: Functions
    train: Batch
    held: Batch
    starts: Params
    apply: Apply


def kind(settings: config.TrainConfig, seeds: int, dataset: Dataset) -> Kind:
    """Prepare one kind of network, with the held-out images and the random starts of `ensemble.train_together`."""
    train_images, held = data.split(training.keys(settings.seed).split, dataset.train, settings.validation)
    shape, classes = tuple(train_images.images.shape[1:]), len(dataset.classes)
    steps = settings.epochs * (len(train_images.labels) // settings.batch_size)
    functions = build(settings, image_shape=shape, classes=classes, steps=steps)
    keys = training.many_keys(range(seeds)).init
    names = ("sizes", "initializer", "gain", "random_biases")
    # With these settings, jax compiles one program for each kind of random start.
    alike = presets.film._replace(**{name: getattr(settings, name) for name in names})
    drawn = jax.tree.map(np.asarray, _starts(alike, shape, classes, keys))
    return Kind(settings, functions, train_images, held, drawn, _sums(settings.activation))


@functools.partial(jax.jit, static_argnames=("settings", "shape", "classes"))
def _starts(settings: config.TrainConfig, shape: tuple[int, ...], classes: int, keys: Any) -> Params:
    return jax.vmap(build(settings, image_shape=shape, classes=classes, steps=1).init)(keys)


@functools.cache
def _sums(activation: str) -> Apply:
    return functools.partial(network.apply, activation=ACTIVATIONS[activation], output=network.identity)


def plain(settings: config.TrainConfig, seeds: int, dataset: Dataset, on_progress: OnProgress) -> Params:
    """Train the network from many seeds, all on the same batches. The arrays have one more axis at the front, for the seeds."""
    members = ensemble.grid(settings, seed=range(seeds))
    return (
        ensemble.train_together(members, dataset, shared=True, evaluate_every=0, on_progress=on_progress)
        .groups[0]
        .params
    )


def taught(which: Kind, family: str, on_progress: OnProgress) -> Params:
    """Train the networks with the same starts and batches as `plain`, and one image of nonsense for every four digits.

    The nonsense is new at every step. For nonsense, the networks learn an output of 0 from every sigmoid, or equal
    probabilities from softmax.
    """
    settings = which.settings
    cost = losses.average(which.functions.apply, DOUBTING[settings.loss])
    if settings.shift:
        cost = augment.augmented(cost, functools.partial(augment.shift, pixels=settings.shift))
    cost = out_of_distribution.with_outliers(cost, out_of_distribution.FAMILIES[family])
    descent = vmapped(gradient_descent(cost, which.functions.optimizer))
    start, order = descent.init(which.starts), training.keys(settings.seed).order
    params = which.starts
    batches = data.shuffled(order, which.train, settings.batch_size, epochs=settings.epochs, keyed=True)
    step, num_steps = 0, settings.epochs * (len(which.train.labels) // settings.batch_size)
    for state, info in train(descent, start, batches):
        step, params = step + len(info.cost), state.params
        on_progress(Progress("training", step, num_steps, float(info.cost.mean())))
    return jax.tree.map(np.asarray, params)


BLOCK = 400
"""The number of images in one call, so that one compiled program serves sets of any size."""


def read(which: Kind, params: Params, images: Any) -> Float[np.ndarray, "seed image classes"]:
    """Compute the last weighted sums (logits) of every network for every image."""
    told = []
    for start in range(0, len(images), BLOCK):
        block = np.asarray(network.intensities(images[start : start + BLOCK]))
        filled = np.concatenate([block, np.zeros((BLOCK - len(block), *block.shape[1:]), block.dtype)])
        told.append(np.asarray(_read(which.apply, params, filled))[:, : len(block)])
    return np.concatenate(told, axis=1)


@functools.partial(jax.jit, static_argnames="apply")
def _read(apply: Apply, params: Params, images: Any) -> Any:
    return jax.vmap(jax.vmap(apply, in_axes=(None, 0)), in_axes=(0, None))(params, images)


def image_sets(settings: Any, dataset: Dataset) -> dict[str, np.ndarray]:
    """Return test digits, and an equal number of images of each family of nonsense, by name.

    Args:
        settings: The settings of the experiment, with the number of images and the name of the other set.
        dataset: The data set. Its test digits are also the source of distorted digits.

    Raises:
        ValueError: If the images of the other set and the digits have different sizes.
    """
    digits = np.asarray(dataset.test.images)[: settings.images]
    sets = {"digits": digits}
    for seed, (name, family) in enumerate(out_of_distribution.FAMILIES.items()):
        sets[name] = np.asarray(out_of_distribution.draw_many(family, jax.random.key(seed), digits))
    if settings.other == "letters":
        other = out_of_distribution.letters(len(sets), len(digits))
    else:
        other = np.asarray(data.load(settings.other).test.images)[: len(digits)]
    if other[0].size != digits[0].size:
        raise ValueError(
            f"{settings.other} has images of shape {other.shape[1:]}, but the digits have shape {digits.shape[1:]}; choose a set "
            "of the same size"
        )
    return sets | {settings.other: other.reshape(-1, *digits.shape[1:])}


def masks(share: Any, rare: float | int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of rarely lit pixels, and of equally many other pixels.

    A pixel is rarely lit if it is lit in at most a share of `rare` of the training images.

    Returns:
        Two masks (seed, pixel). The first mask is equal for all seeds. The second mask has random pixels for each seed.
    """
    dark = np.ravel(share) <= rare
    others = np.zeros((seeds, dark.size), bool)
    for seed in range(seeds):
        generator = np.random.default_rng([seed, 28])
        chosen = generator.choice(np.flatnonzero(~dark), min(dark.sum(), (~dark).sum()), replace=False)
        others[seed, chosen] = True
    return np.tile(dark, (seeds, 1)), others
