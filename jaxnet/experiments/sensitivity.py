"""Do real digits come in easy and hard, and noise not: what one epoch teaches, and what the cost owes to each example."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxnet import bang, losses, network
from jaxnet._types import Batch, Dataset
from jaxnet.descent import gradient_descent
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, mean, number, share
from jaxnet.experiments.memorization_controls import noise, shuffled
from jaxnet.unrolled import cost_after, difference_quotients, loss_sensitivity
from jaxnet.walking import Seen

KINDS = ("real digits", "random inputs", "random labels")
"""What is learned from: the same images and labels, images of normal noise, the digits with their labels shuffled."""

SIZES = (196, 16, 16, 10)
"""Arpit's network: digits of 14x14, two hidden layers of 16."""

SURE = 1e-4
"""The largest relative error that the gradient through training may have against difference quotients."""

CHECKED = (100, 5, 2)
"""Examples, examples a step and epochs of the run through which that gradient is taken."""

apply = functools.partial(network.apply, activation=network.relu, output=network.identity)
cost = losses.average(apply, losses.cross_entropy)
start = functools.partial(network.init, sizes=SIZES, weights=network.he)


class Settings(NamedTuple):
    """What decides the numbers.

    Attributes:
        examples: Digits to learn from, as many of each of the ten.
        repetitions: Of the first part, each with digits, noise and starts of its own.
        networks: Random starts and orders of each repetition and kind.
        easy_batch: Examples a step there.
        seeds: Networks of each kind in the second part, each with examples of its own.
        epochs: Of those; the sensitivity is taken after each.
        batch_size: Examples a step there.
        learning_rate: Of plain gradient descent, in both parts.
        pixels: To hold the gradient through training against difference quotients at.
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
    """Images of half the side, every pixel the mean of four; intensities in 0..1."""
    values = np.asarray(network.intensities(np.asarray(images)))
    count, height, width = values.shape
    return values.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))


def balanced(labels: Any, examples: int, seed: int) -> Int[np.ndarray, "chosen"]:
    """Positions of random examples, as many of each label: else a network learns first which label is frequent.

    Raises:
        ValueError: If there are not enough of a label.
    """
    labels, generator = np.asarray(labels), np.random.default_rng((seed, 2))
    digits = np.unique(labels)
    each = examples // len(digits)
    if (least := min(int((labels == digit).sum()) for digit in digits)) < each:
        raise ValueError(f"{examples} balanced examples need {each} of every label, but of one there are only {least}")
    return np.concatenate([generator.choice(np.flatnonzero(labels == digit), each, replace=False) for digit in digits])


def worlds(dataset: Dataset, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (kind, example, height, width) and labels (kind, example) of the three kinds."""
    chosen = balanced(dataset.train.labels, examples, seed)
    images = shrunk(np.asarray(dataset.train.images)[chosen])
    labels = np.asarray(dataset.train.labels)[chosen].astype(np.int32)
    return np.stack([images, noise(images, seed), images]), np.stack([labels, labels, shuffled(labels, seed)])


def measure(
    settings: Settings, dataset: Dataset, *, keep: Keep = at_once, show: Callable[[Seen], None] = lambda seen: None
) -> Arrays:
    """Train on digits and on noise, and look at single examples.

    Returns:
        `learned` (repetition, kind, example), the share of so many `networks` that read it after one epoch;
        `sensitivity` (kind, seed,
        example), the mean over the ends of epochs of |dL/dx|_1; `gini` (kind, seed), of those; `gini_after` (kind, seed,
        epoch); `images` and `labels` of the first seed's digits; `gradients`, `quotients` (pixel and last the rate,).

    Raises:
        ValueError: If the examples cannot be dealt out evenly to the labels or the steps.
    """
    for what, parts in (("labels", len(dataset.classes)), ("examples a step", settings.easy_batch)):
        if settings.examples % parts:
            raise ValueError(
                f"{settings.examples} examples cannot be dealt out to {parts} {what}; take a multiple of it"
            )
    computed = {
        "easy": lambda: _easy(settings, dataset, show),
        "gini": lambda: _sensitivities(settings, dataset, show),
        "differences": lambda: _differences(settings, dataset),
    }
    arrays: Arrays = {"networks": np.array(settings.networks)}
    for name, compute in computed.items():
        arrays |= keep(name, compute)
    return arrays


def _easy(settings: Settings, dataset: Dataset, show: Callable[[Seen], None]) -> Arrays:
    """How often each example is read after one epoch."""

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
        show(Seen("training", seed, settings.repetitions))
        keys = jax.random.split(jax.random.key(seed), (len(KINDS), settings.networks))
        learned.append(np.asarray(of_all(keys, *worlds(dataset, settings.examples, seed))))
    return {"learned": np.stack(learned)}


def orders(examples: int, batch_size: int, epochs: int, seed: int) -> Int[np.ndarray, "epoch step batch"]:
    """Every epoch all examples once, in a new order."""
    generator, steps = (
        np.random.default_rng((seed, 1)),
        examples // batch_size,
    )  # other numbers than those of the labels
    mixed = [generator.permutation(examples)[: steps * batch_size] for _ in range(epochs)]
    return np.stack(mixed).reshape(epochs, steps, batch_size)


def _sensitivities(settings: Settings, dataset: Dataset, show: Callable[[Seen], None]) -> Arrays:
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
        show(Seen("training", kind, len(KINDS)))
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


def _differences(settings: Settings, dataset: Dataset) -> Arrays:
    """The gradient through training and difference quotients, by some pixels and by the learning rate."""
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
        return {"gradients": gradients, "quotients": difference_quotients(trained, numbers, chosen)}


def uneven(learned: Any, networks: int) -> Float[np.ndarray, "..."]:
    """How much more the learned shares vary over examples than if all were equally hard: 1 for a binomial scatter.

    That holds for networks that are equally good; unequal ones bring it somewhat below 1.

    Args:
        learned: (..., example), the share of networks that learned each, in 0..1.
        networks: How many there were.
    """
    learned = np.asarray(learned, np.float64)
    chance = learned.mean(-1)
    return np.asarray(learned.var(-1) / (chance * (1 - chance) / networks))


def errors(arrays: Arrays) -> Float[np.ndarray, "entry"]:
    """The relative error of every checked gradient."""
    return np.abs(arrays["gradients"] - arrays["quotients"]) / np.abs(arrays["quotients"])


def answer(settings: Settings, arrays: Arrays) -> Answer:
    """Judge: are real examples less alike than random ones, in both senses, and is the gradient right."""
    paper = "Arpit et al. 2017"
    spreads, times = 100 * arrays["learned"].std(-1), uneven(arrays["learned"], settings.networks)
    wider = (spreads[:, :1] > spreads[:, 1:]).all(1)
    gini = arrays["gini"]
    above = gini[0] > gini[1:]
    findings = [
        share(
            "easy examples: repetitions in which how often an example is learned varies most over real digits",
            int(wider.sum()), len(wider), published="far more over real than over random", source=paper, least=95.0,
        ),
        *(
            mean(f"easy examples, {kind}: standard deviation over examples", spreads[:, i], source=paper, unit="points")
            for i, kind in enumerate(KINDS)
        ),
        *(
            mean(
                f"easy examples, {kind}: variance over examples, as a multiple of the binomial's", times[:, i],
                published="1, as the binomial [from memory]" if i == 1 else "", equal=1.0 if i == 1 else None, within=0.1,
                source=paper,
            )
            for i, kind in enumerate(KINDS)
        ),
        *(
            share(
                f"loss-sensitivity: seeds in which the Gini of real digits is above that of {kind}", int(higher.sum()),
                len(higher), published="real above random", source=paper, least=95.0,
            )
            for kind, higher in zip(KINDS[1:], above, strict=True)
        ),
        *(mean(f"loss-sensitivity, {kind}: Gini over examples", gini[i], source=paper) for i, kind in enumerate(KINDS)),
    ]  # fmt: skip
    first_epoch = arrays["gini_after"][:, :, 0]
    findings.append(
        share(
            "loss-sensitivity after the first epoch alone: seeds in which the Gini of real digits is above both",
            int((first_epoch[0] > first_epoch[1:]).all(0).sum()), first_epoch.shape[1], source=paper,
        )
    )  # fmt: skip
    off, examples_a_step = errors(arrays), CHECKED[1]
    through = f"gradient through {CHECKED[0] // examples_a_step * CHECKED[2]} steps of training by"
    for what, value in (
        (f"{through} {len(off) - 1} pixels", float(off[:-1].max())),
        (f"{through} the learning rate", float(off[-1])),
    ):
        findings.append(
            Finding(
                f"{what}: largest relative error against difference quotients in float64", f"at most {SURE:g}",
                "this package's own limit", value, float("nan"), float("nan"), 1,
                "reproduced" if value <= SURE else "missed",
            )
        )  # fmt: skip
    random = f"{number(times[:, 1].mean())} and {number(times[:, 2].mean())}"
    first = (
        f"How often an example is learned in one epoch varies over real digits {number(times[:, 0].mean())} times as much "
        f"as coin flips would, over random inputs and random labels {random} times; real digits vary most in "
        f"{int(wider.sum())} of {len(wider)} repetitions, so "
        f"{'they come in easy and hard, as the paper says' if wider.mean() >= 0.95 else 'the paper is not confirmed'}."
    )
    both = above.all(0)
    second = (
        f"What the cost owes to single examples, back through all of training, is more unequal over real digits (Gini "
        f"{number(gini[0].mean())}) than over random inputs ({number(gini[1].mean())}) and random labels "
        f"({number(gini[2].mean())}) in {int(both.sum())} of {len(both)} seeds: "
        f"{'the paper’s ordering' if both.mean() >= 0.95 else 'not reliably the paper’s ordering'}."
    )
    if (early := (first_epoch[0] > first_epoch[1:]).all(0).mean()) < 0.5 <= both.mean():
        second += f" That takes a while: after the first epoch alone it holds in {100 * early:.0f} % of the seeds."
    right = off.max() <= SURE
    third = f"The gradient through training {'agrees' if right else 'does not agree'} with difference quotients"
    return Answer(f"{first} {second} {third}, to {number(float(off.max()))}.", tuple(findings))


def plan(settings: Settings) -> str:
    """What is about to happen."""
    return (
        f"{settings.repetitions} x {len(KINDS)} x {settings.networks} networks of 16 + 16 for one epoch on {settings.examples:,} "
        f"digits of 14x14, and {len(KINDS)} x {settings.seeds} differentiated through {settings.epochs} epochs"
    )


QUICK = Settings(repetitions=20, epochs=5)
FULL = Settings(repetitions=60, epochs=20, seeds=40)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (30, 150))
