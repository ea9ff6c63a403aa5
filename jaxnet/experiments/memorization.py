"""Does it understand or memorize: labels true, shuffled and in between, pixels without sense, and how much fits in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxnet import recipes
from jaxnet._types import Dataset
from jaxnet.experiments import memorization_controls as controls
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Keep, at_once
from jaxnet.experiments.memorization_fits import FITTED, fit, judge, steps_to
from jaxnet.experiments.memorization_verdict import judge_all
from jaxnet.experiments.scoring import parameters
from jaxnet.walking import Seen

MODERN = recipes.film._replace(
    activation="relu", output="identity", loss="cross_entropy", initializer="he", optimizer="adam", schedule="constant"
)
"""The film's network by today's means; the sizes and the rate follow."""


class Settings(NamedTuple):
    """What decides the numbers. Rates were chosen by how well labels of training images are fitted.

    Attributes:
        images: Training images with true and with shuffled labels.
        hidden: Hidden layers of the wide network.
        seeds: Wide networks, each with a start and a shuffle of its own.
        learning_rate: Of Adam for the wide network.
        schedule: Its course over the epochs.
        epochs: The most that it gets; the film's network gets them all.
        capacity_images: How many shuffled labels are to be fitted.
        capacity_hidden: Hidden layers of the networks that try.
        capacity_seeds: Networks of each.
        capacity_steps: Steps of each, of 100 images.
        control_images: Training images for partly shuffled labels and senseless pixels.
        control_hidden: Neurons of the hidden layer there.
        control_seeds: Networks of each kind.
        control_epochs: The most that they get.
        shares: Of the labels that are shuffled.
    """

    images: int
    hidden: tuple[int, ...]
    seeds: int
    learning_rate: float
    schedule: str
    epochs: int
    capacity_images: tuple[int, ...]
    capacity_hidden: tuple[tuple[int, ...], ...]
    capacity_seeds: int
    capacity_steps: int
    control_images: int
    control_hidden: int
    control_seeds: int
    control_epochs: int
    shares: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


Show = Callable[[Seen], None]


def measure(settings: Settings, dataset: Dataset, *, keep: Keep = at_once, show: Show = lambda seen: None) -> Arrays:
    """Fit labels of all kinds.

    Returns:
        For KIND true and shuffled: `KIND_steps` (look,), `KIND_right` (look, seed), `KIND_test` (seed,) in percent, `KIND_start`
        (seed,), `KIND_order` (epoch,), digests. `unchanged`, `doubt` (seed,) of the shuffles. `film_right`, `shape_right`
        (seed,): the film's network on them by its own and by today's means. `capacity` (shape, count, seed) in percent, with
        `counts`, `hidden`, `parameters`. `noise_train`, `noise_test` (share, seed). `control_steps` (control, look), padded
        with NaN, `control_right` (control, look, seed), `control_test`, `control_to_fit` (control, seed). `shares` as set.
    """
    arrays: Arrays = {}
    for name, compute in (("curves", _curves), ("film", _film), ("noise", _noise), ("controls", _controls)):
        arrays |= keep(name, lambda compute=compute: compute(settings, dataset, show))
    shapes = []
    for i, hidden in enumerate(settings.capacity_hidden):
        one = lambda hidden=hidden: {"right": _capacity(settings, dataset, hidden, show)}
        shapes.append(keep(f"capacity-{i}", one)["right"])
    return {
        **arrays,
        "capacity": np.stack(shapes),
        "shares": np.array(settings.shares),
        "counts": np.array(settings.capacity_images),
        "hidden": np.array(["-".join(map(str, hidden)) for hidden in settings.capacity_hidden]),
        "parameters": np.array([parameters(hidden) for hidden in settings.capacity_hidden]),
    }


def digits(dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first so many training images and labels.

    Raises:
        ValueError: If there are not so many.
    """
    if count > len(dataset.train.labels):
        raise ValueError(f"there are {len(dataset.train.labels):,} training images, asked for {count:,}")
    return np.asarray(dataset.train.images)[:count], np.asarray(dataset.train.labels)[:count].astype(np.int32)


def columns(labels: np.ndarray, seeds: int, part: float | int) -> np.ndarray:
    """A column a seed: the labels with a part of them shuffled, in a way of its own."""
    return np.stack([controls.shuffled(labels, seed, part) for seed in range(seeds)], axis=1)


def _wide(settings: Settings) -> recipes.Settings:
    return MODERN._replace(
        sizes=settings.hidden, learning_rate=settings.learning_rate, batch_size=250, epochs=settings.epochs,
        schedule=settings.schedule,
    )  # fmt: skip


def _tested(network: recipes.Settings, params: Any, images: Any, dataset: Dataset) -> np.ndarray:
    """Percent of the test labels that each network has, reading the images given."""
    count = len(params[-1].biases)
    labels = np.repeat(np.asarray(dataset.test.labels).astype(np.int32)[:, None], count, axis=1)
    return judge(network, params, images, labels)[0]


def _curves(settings: Settings, dataset: Dataset, show: Show) -> Arrays:
    images, labels = digits(dataset, settings.images)
    network, found = _wide(settings), {}
    for kind, part in (("true", 0), ("shuffled", 1)):
        own = columns(labels, settings.seeds, part)
        fits = fit(network, images, own, range(settings.seeds), enough=FITTED, show=show)
        test = _tested(network, fits.params, np.asarray(dataset.test.images), dataset)
        kept = {"steps": fits.steps, "right": fits.right, "test": test}
        kept |= {"start": np.array(fits.start), "order": np.array(fits.order)}
        found |= {f"{kind}_{name}": value for name, value in kept.items()}
    shuffles = [controls.judge_shuffle(labels, own[:, seed]) for seed in range(settings.seeds)]
    return found | {
        "unchanged": np.array([shuffle.unchanged for shuffle in shuffles]),
        "doubt": np.array([shuffle.doubt for shuffle in shuffles]),
    }


def _film(settings: Settings, dataset: Dataset, show: Show) -> Arrays:
    """The film's network on the same shuffled labels, as long as the wide one may take."""
    images, labels = digits(dataset, settings.images)
    own = columns(labels, settings.seeds, 1)
    means = {"film": recipes.film, "shape": MODERN._replace(sizes=(16, 16), learning_rate=0.003, batch_size=100)}
    found = {}
    for name, network in means.items():
        network = network._replace(epochs=settings.epochs)
        found[f"{name}_right"] = fit(network, images, own, range(settings.seeds), show=show).right[-1]
    return found


def _capacity(settings: Settings, dataset: Dataset, hidden: tuple[int, ...], show: Show) -> np.ndarray:
    """Percent of shuffled labels fitted, (count, seed)."""
    found = []
    for count in settings.capacity_images:
        images, labels = digits(dataset, count)
        epochs = max(1, settings.capacity_steps * 100 // count)
        network = MODERN._replace(sizes=hidden, learning_rate=0.003, batch_size=100, epochs=epochs)
        own = columns(labels, settings.capacity_seeds, 1)
        fits = fit(network, images, own, range(settings.capacity_seeds), enough=99.9, show=show)
        found.append(fits.right[-1])
    return np.stack(found)


def _control_network(settings: Settings) -> recipes.Settings:
    sizes, epochs = (settings.control_hidden,), settings.control_epochs
    return MODERN._replace(sizes=sizes, learning_rate=0.002, batch_size=100, epochs=epochs)


def _noise(settings: Settings, dataset: Dataset, show: Show) -> Arrays:
    """All shares of shuffled labels in one program."""
    images, labels = digits(dataset, settings.control_images)
    network, seeds, shares = _control_network(settings), settings.control_seeds, len(settings.shares)
    own = np.concatenate([columns(labels, seeds, part) for part in settings.shares], axis=1)
    fits = fit(network, images, own, list(range(seeds)) * shares, enough=FITTED, show=show)
    by_share = lambda values: np.asarray(values).reshape(shares, seeds)
    test = _tested(network, fits.params, np.asarray(dataset.test.images), dataset)
    return {"noise_train": by_share(fits.right[-1]), "noise_test": by_share(test)}


def _controls(settings: Settings, dataset: Dataset, show: Show) -> Arrays:
    """Zhang's five kinds of data by the same program."""
    images, labels = digits(dataset, settings.control_images)
    network, seeds = _control_network(settings), settings.control_seeds
    real, seen = (np.asarray(part / 255, np.float32) for part in (images, np.asarray(dataset.test.images)))
    senseless = [controls.same_pixels_moved, controls.own_pixels_moved, controls.noise]
    draws = (
        0,
        1,
        1,
    )  # the test images' draw: only a rearrangement that is the same for all may be that of the training images
    kinds = [(real, seen, 0), (real, seen, 1)]
    kinds += [(change(real, 0), change(seen, draw), 0) for change, draw in zip(senseless, draws, strict=True)]
    found = []
    for learned, tested, part in kinds:
        fits = fit(network, learned, columns(labels, seeds, part), range(seeds), enough=FITTED, show=show)
        found.append((fits, _tested(network, fits.params, tested, dataset)))
    looks = max(len(fits.steps) for fits, _ in found)
    padded = lambda values: np.concatenate([values, np.full((looks - len(values), *values.shape[1:]), np.nan)])
    return {
        "control_steps": np.stack([padded(fits.steps.astype(np.float64)) for fits, _ in found]),
        "control_right": np.stack([padded(fits.right) for fits, _ in found]),
        "control_to_fit": np.stack([steps_to(fits.steps, fits.right, FITTED) for fits, _ in found]),
        "control_test": np.stack([test for _, test in found]),
    }


def answer(settings: Settings, arrays: Arrays) -> Answer:
    """Judge: are shuffled labels memorized, how slowly, how many, and what is left for new images."""
    return judge_all(settings, arrays)


def plan(settings: Settings) -> str:
    """What is about to happen."""
    hidden = " + ".join(map(str, settings.hidden))
    return (
        f"{settings.seeds} networks of {hidden} hidden neurons on {settings.images:,} true and shuffled labels, "
        f"{settings.capacity_seeds} of each of {len(settings.capacity_hidden)} shapes on {settings.capacity_images[0]:,} to "
        f"{settings.capacity_images[-1]:,}, and {settings.control_seeds} on each of {len(settings.shares)} shares of noise and "
        f"five controls"
    )


QUICK = Settings(
    images=3000, hidden=(512,), seeds=3, learning_rate=0.002, schedule="constant", epochs=150,
    capacity_images=(500, 1000, 2000, 4000), capacity_hidden=((8,), (16,), (32,), (16, 16)), capacity_seeds=3,
    capacity_steps=2500, control_images=1000, control_hidden=128, control_seeds=3, control_epochs=100,
)  # fmt: skip
FULL = Settings(
    images=60_000, hidden=(512, 512), seeds=3, learning_rate=0.001, schedule="linear", epochs=100,
    capacity_images=(500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000),
    capacity_hidden=((8,), (16,), (32,), (64,), (128,), (16, 16)), capacity_seeds=5, capacity_steps=12_000,
    control_images=5000, control_hidden=256, control_seeds=5, control_epochs=150,
)  # fmt: skip

experiment = Experiment(QUICK, FULL, measure, answer, plan, (50, 1800))
