"""The networks of the noise experiment: many seeds as they are, many that also learned from nonsense, and how they read."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxnet import augment, data, ensemble, losses, network, nonsense, recipes, training
from jaxnet._types import Apply, Batch, Dataset, Params
from jaxnet.descent import gradient_descent, side_by_side
from jaxnet.loop import train
from jaxnet.walking import Seen

HELD_OUT = 5600
"""Training images that nobody learns from: the temperature is found on them. What is left makes 1,700 whole batches of 32."""

NETWORKS = {
    "film": recipes.film,
    "softmax": recipes.film._replace(loss="cross_entropy", output="identity", learning_rate=0.8),
    "wide": recipes.wide._replace(learning_rate=0.011),
}
"""The film's network; the same with softmax, its rate the best of five on held-out training images; one wide layer, its rate
the best of three for four epochs."""

PAPER = recipes.wide._replace(
    sizes=(256, 256, 256), activation="gelu", initializer="scaled", gain=1.0, learning_rate=0.001, schedule="constant",
    batch_size=128, shift=0, validation=HELD_OUT,
)  # fmt: skip
"""The network of Hendrycks and Gimpel's notebook, but for a tiny weight decay and a lower rate in the last third."""

DOUBTING = {"squared_error": losses.squared_error, "cross_entropy": nonsense.cross_entropy_or_doubt}
"""Losses that know the label of an image that shows nothing."""


class Kind(NamedTuple):
    """One kind of network, ready to train.

    Attributes:
        settings: The first seed's.
        recipe: The functions.
        train: The images to learn from.
        held: The training images held out.
        starts: The random starts of all seeds, along a leading axis.
        apply: The network up to its last weighted sums, before sigmoid or softmax.
    """

    settings: recipes.Settings
    recipe: recipes.Recipe
    train: Batch
    held: Batch
    starts: Params
    apply: Apply


def kind(settings: recipes.Settings, seeds: int, dataset: Dataset) -> Kind:
    """Hold out what `ensemble.train_together` holds out, and draw the starts that it draws."""
    train_images, held = data.split(training.keys(settings.seed).split, dataset.train, settings.validation)
    shape, classes = tuple(train_images.images.shape[1:]), len(dataset.classes)
    steps = settings.epochs * (len(train_images.labels) // settings.batch_size)
    recipe = recipes.build(settings, image_shape=shape, classes=classes, steps=steps)
    keys = training.many_keys(range(seeds)).init
    names = ("sizes", "initializer", "gain", "random_biases")
    alike = recipes.film._replace(
        **{name: getattr(settings, name) for name in names}
    )  # one program for one way to draw
    drawn = jax.tree.map(np.asarray, _starts(alike, shape, classes, keys))
    return Kind(settings, recipe, train_images, held, drawn, _sums(settings.activation))


@functools.partial(jax.jit, static_argnames=("settings", "shape", "classes"))
def _starts(settings: recipes.Settings, shape: tuple[int, ...], classes: int, keys: Any) -> Params:
    return jax.vmap(recipes.build(settings, image_shape=shape, classes=classes, steps=1).init)(keys)


@functools.cache
def _sums(activation: str) -> Apply:
    return functools.partial(network.apply, activation=recipes.ACTIVATIONS[activation], output=network.identity)


def plain(settings: recipes.Settings, seeds: int, dataset: Dataset, show: Callable[[Seen], None]) -> Params:
    """Train the network from many seeds, all on the same batches; parameters with a leading axis of seeds."""
    members = ensemble.combinations(settings, seed=range(seeds))
    return ensemble.train_together(members, dataset, shared=True, evaluate_every=0, show=show).groups[0].params


def taught(which: Kind, family: str, show: Callable[[Seen], None]) -> Params:
    """The same networks from the same starts on the same batches, with one image of nonsense added to every four digits.

    The nonsense is new at every step; it should leave all sigmoids dark, and softmax undecided.
    """
    settings = which.settings
    cost = losses.average(which.recipe.apply, DOUBTING[settings.loss])
    if settings.shift:
        cost = augment.augmented(cost, functools.partial(augment.shift, pixels=settings.shift))
    cost = nonsense.added(cost, nonsense.FAMILIES[family])
    descent = side_by_side(gradient_descent(cost, which.recipe.optimizer))
    start, order = descent.init(which.starts), training.keys(settings.seed).order
    params = which.starts
    batches = data.shuffled(order, which.train, settings.batch_size, epochs=settings.epochs, keyed=True)
    step, num_steps = 0, settings.epochs * (len(which.train.labels) // settings.batch_size)
    for state, info in train(descent, start, batches):
        step, params = step + len(info.cost), state.params
        show(Seen("training", step, num_steps, float(info.cost.mean())))
    return jax.tree.map(np.asarray, params)


BLOCK = 400
"""Images read at a time: one program for sets of any size."""


def read(which: Kind, params: Params, images: Any) -> Float[np.ndarray, "seed image classes"]:
    """The last weighted sums of every network of a stack for every image, none dropped."""
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
    """Test digits and as many images of each family of nonsense, by name.

    Args:
        settings: Of the experiment: how many images, and which other set.
        dataset: Whose test digits are distorted.

    Raises:
        ValueError: If the other set's images are not of the digits' size.
    """
    digits = np.asarray(dataset.test.images)[: settings.images]
    sets = {"digits": digits}
    for seed, (name, family) in enumerate(nonsense.FAMILIES.items()):
        sets[name] = np.asarray(nonsense.many(family, jax.random.key(seed), digits))
    if settings.other == "letters":
        other = nonsense.letters(len(sets), len(digits))
    else:
        other = np.asarray(data.load(settings.other).test.images)[: len(digits)]
    if other[0].size != digits[0].size:
        raise ValueError(
            f"{settings.other} has images of shape {other.shape[1:]}, the digits {digits.shape[1:]}; choose a set of the same size"
        )
    return sets | {settings.other: other.reshape(-1, *digits.shape[1:])}


def masks(share: Any, rare: float | int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that are lit in at most a share of the training images, and for each seed as many of the others at random.

    Returns:
        (seed, pixel) twice; the first is the same for every seed.
    """
    dark = np.ravel(share) <= rare
    others = np.zeros((seeds, dark.size), bool)
    for seed in range(seeds):
        generator = np.random.default_rng([seed, 28])
        chosen = generator.choice(np.flatnonzero(~dark), min(dark.sum(), (~dark).sum()), replace=False)
        others[seed, chosen] = True
    return np.tile(dark, (seeds, 1)), others
