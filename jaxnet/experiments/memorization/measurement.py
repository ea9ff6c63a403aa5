"""Does a network understand or memorize? It learns true labels, shuffled labels and meaningless pixels."""

from typing import Any, NamedTuple

import numpy as np

from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Keep, at_once
from jaxnet.experiments.memorization import controls
from jaxnet.experiments.memorization.fitting import FITTED, fit, judge, steps_to
from jaxnet.experiments.memorization.verdict import judge_all
from jaxnet.experiments.scoring import parameters
from jaxnet.training import config, presets
from jaxnet.training.progress import OnProgress

MODERN = presets.film._replace(
    activation="relu", output="identity", loss="cross_entropy", initializer="he", optimizer="adam", schedule="constant"
)
"""Settings with today's methods. Each part of the experiment sets the sizes and the learning rate."""


class MemorizationSettings(NamedTuple):
    """The settings of the experiment. The learning rates were chosen for the best fit of training labels.

    Attributes:
        images: The number of training images with true and with shuffled labels.
        hidden: The hidden layers of the wide network.
        seeds: The number of wide networks. Each network has its own start and its own shuffle.
        learning_rate: The learning rate of Adam for the wide network.
        schedule: The schedule of this learning rate.
        epochs: The largest number of epochs. The film's network always takes all epochs.
        capacity_images: The numbers of shuffled labels to fit, in increasing order.
        capacity_hidden: The hidden layers of the networks for the capacity.
        capacity_seeds: The number of networks for each entry of `capacity_hidden`.
        capacity_steps: The number of steps of each network. A step takes 100 images.
        control_images: The number of training images for partly shuffled labels and meaningless pixels.
        control_hidden: The number of neurons in the hidden layer of these networks.
        control_seeds: The number of networks of each kind.
        control_epochs: The largest number of epochs of these networks.
        shares: The shares of labels that are shuffled.
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


Show = OnProgress


def measure(
    settings: MemorizationSettings, dataset: Dataset, *, keep: Keep = at_once, on_progress: Show = lambda seen: None
) -> Arrays:
    """Fit true and shuffled labels, and meaningless images.

    Returns:
        The arrays by name. KIND is `true` or `shuffled`.

        - `KIND_steps` (look,): the steps of the evaluations.
        - `KIND_right` (look, seed), `KIND_test` (seed,): the accuracy on training and on test images, in percent.
        - `KIND_start` (seed,), `KIND_order` (epoch,): digests of the start and of the order of the images.
        - `unchanged`, `doubt` (seed,): see `Shuffle`.
        - `film_right` (seed,): the film's network on shuffled labels, with the film's settings.
        - `shape_right` (seed,): the film's network on shuffled labels, with today's methods.
        - `capacity` (shape, count, seed): in percent, with `counts`, `hidden` and `parameters`.
        - `noise_train`, `noise_test` (share, seed): the accuracy with partly shuffled labels, in percent.
        - `control_steps` (control, look), `control_right` (control, look, seed): NaN after the last evaluation.
        - `control_test`, `control_to_fit` (control, seed): the accuracy on test images, and the steps to fit the labels.
        - `shares`: the shares from the settings.
    """
    arrays: Arrays = {}
    for name, compute in (("curves", _curves), ("film", _film), ("noise", _noise), ("controls", _controls)):
        arrays |= keep(name, lambda compute=compute: compute(settings, dataset, on_progress))
    shapes = []
    for i, hidden in enumerate(settings.capacity_hidden):
        one = lambda hidden=hidden: {"right": _capacity(settings, dataset, hidden, on_progress)}
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
    """Return the first `count` training images and labels.

    Raises:
        ValueError: If there are fewer than `count` images.
    """
    if count > len(dataset.train.labels):
        raise ValueError(
            f"there are {len(dataset.train.labels):,} training images, but the settings need {count:,}; use fewer images"
        )
    return np.asarray(dataset.train.images)[:count], np.asarray(dataset.train.labels)[:count].astype(np.int32)


def columns(labels: np.ndarray, seeds: int, part: float | int) -> np.ndarray:
    """Shuffle a part of the labels. There is one column for each seed, and each column has its own shuffle."""
    return np.stack([controls.shuffled(labels, seed, part) for seed in range(seeds)], axis=1)


def _wide(settings: MemorizationSettings) -> config.TrainConfig:
    return MODERN._replace(
        sizes=settings.hidden, learning_rate=settings.learning_rate, batch_size=250, epochs=settings.epochs,
        schedule=settings.schedule,
    )  # fmt: skip


def _tested(network: config.TrainConfig, params: Any, images: Any, dataset: Dataset) -> np.ndarray:
    """Return the percentage of the given test images that each network reads correctly."""
    count = len(params[-1].biases)
    labels = np.repeat(np.asarray(dataset.test.labels).astype(np.int32)[:, None], count, axis=1)
    return judge(network, params, images, labels)[0]


def _curves(settings: MemorizationSettings, dataset: Dataset, on_progress: Show) -> Arrays:
    images, labels = digits(dataset, settings.images)
    network, found = _wide(settings), {}
    for kind, part in (("true", 0), ("shuffled", 1)):
        own = columns(labels, settings.seeds, part)
        fits = fit(network, images, own, range(settings.seeds), enough=FITTED, on_progress=on_progress)
        test = _tested(network, fits.params, np.asarray(dataset.test.images), dataset)
        kept = {"steps": fits.steps, "right": fits.right, "test": test}
        kept |= {"start": np.array(fits.start), "order": np.array(fits.order)}
        found |= {f"{kind}_{name}": value for name, value in kept.items()}
    shuffles = [controls.judge_shuffle(labels, own[:, seed]) for seed in range(settings.seeds)]
    return found | {
        "unchanged": np.array([shuffle.unchanged for shuffle in shuffles]),
        "doubt": np.array([shuffle.doubt for shuffle in shuffles]),
    }


def _film(settings: MemorizationSettings, dataset: Dataset, on_progress: Show) -> Arrays:
    """Train the film's network on the shuffled labels of the wide network, for the largest number of epochs."""
    images, labels = digits(dataset, settings.images)
    own = columns(labels, settings.seeds, 1)
    means = {"film": presets.film, "shape": MODERN._replace(sizes=(16, 16), learning_rate=0.003, batch_size=100)}
    found = {}
    for name, network in means.items():
        network = network._replace(epochs=settings.epochs)
        found[f"{name}_right"] = fit(network, images, own, range(settings.seeds), on_progress=on_progress).right[-1]
    return found


def _capacity(
    settings: MemorizationSettings, dataset: Dataset, hidden: tuple[int, ...], on_progress: Show
) -> np.ndarray:
    """Return the percentage of shuffled labels that are fitted, (count, seed)."""
    found = []
    for count in settings.capacity_images:
        images, labels = digits(dataset, count)
        epochs = max(1, settings.capacity_steps * 100 // count)
        network = MODERN._replace(sizes=hidden, learning_rate=0.003, batch_size=100, epochs=epochs)
        own = columns(labels, settings.capacity_seeds, 1)
        fits = fit(network, images, own, range(settings.capacity_seeds), enough=99.9, on_progress=on_progress)
        found.append(fits.right[-1])
    return np.stack(found)


def _control_network(settings: MemorizationSettings) -> config.TrainConfig:
    sizes, epochs = (settings.control_hidden,), settings.control_epochs
    return MODERN._replace(sizes=sizes, learning_rate=0.002, batch_size=100, epochs=epochs)


def _noise(settings: MemorizationSettings, dataset: Dataset, on_progress: Show) -> Arrays:
    """Train on all shares of shuffled labels in one compiled program."""
    images, labels = digits(dataset, settings.control_images)
    network, seeds, shares = _control_network(settings), settings.control_seeds, len(settings.shares)
    own = np.concatenate([columns(labels, seeds, part) for part in settings.shares], axis=1)
    fits = fit(network, images, own, list(range(seeds)) * shares, enough=FITTED, on_progress=on_progress)
    by_share = lambda values: np.asarray(values).reshape(shares, seeds)
    test = _tested(network, fits.params, np.asarray(dataset.test.images), dataset)
    return {"noise_train": by_share(fits.right[-1]), "noise_test": by_share(test)}


def _controls(settings: MemorizationSettings, dataset: Dataset, on_progress: Show) -> Arrays:
    """Train on the five kinds of data of Zhang et al., in one compiled program."""
    images, labels = digits(dataset, settings.control_images)
    network, seeds = _control_network(settings), settings.control_seeds
    real, seen = (np.asarray(part / 255, np.float32) for part in (images, np.asarray(dataset.test.images)))
    senseless = [controls.same_pixels_moved, controls.own_pixels_moved, controls.noise]
    draws = (
        0,
        1,
        1,
    )  # seeds of the test images; one order for all images must be the same order as in the training images
    kinds = [(real, seen, 0), (real, seen, 1)]
    kinds += [(change(real, 0), change(seen, draw), 0) for change, draw in zip(senseless, draws, strict=True)]
    found = []
    for learned, tested, part in kinds:
        fits = fit(network, learned, columns(labels, seeds, part), range(seeds), enough=FITTED, on_progress=on_progress)
        found.append((fits, _tested(network, fits.params, tested, dataset)))
    looks = max(len(fits.steps) for fits, _ in found)
    padded = lambda values: np.concatenate([values, np.full((looks - len(values), *values.shape[1:]), np.nan)])
    return {
        "control_steps": np.stack([padded(fits.steps.astype(np.float64)) for fits, _ in found]),
        "control_right": np.stack([padded(fits.right) for fits, _ in found]),
        "control_to_fit": np.stack([steps_to(fits.steps, fits.right, FITTED) for fits, _ in found]),
        "control_test": np.stack([test for _, test in found]),
    }


def answer(settings: MemorizationSettings, arrays: Arrays) -> Answer:
    """Evaluate: are shuffled labels memorized, how slowly, how many, and how well are new images read?"""
    return judge_all(settings, arrays)


def plan(settings: MemorizationSettings) -> str:
    """Write the plan of the experiment in words."""
    hidden = " + ".join(map(str, settings.hidden))
    return (
        f"{settings.seeds} networks of {hidden} hidden neurons on {settings.images:,} true and shuffled labels; "
        f"{settings.capacity_seeds} networks of each of {len(settings.capacity_hidden)} shapes on "
        f"{settings.capacity_images[0]:,} to {settings.capacity_images[-1]:,} shuffled labels; {settings.control_seeds} networks "
        f"on each of {len(settings.shares)} shares of shuffled labels, and on each of {len(controls.CONTROLS)} kinds of data"
    )


QUICK = MemorizationSettings(
    images=3000, hidden=(512,), seeds=3, learning_rate=0.002, schedule="constant", epochs=150,
    capacity_images=(500, 1000, 2000, 4000), capacity_hidden=((8,), (16,), (32,), (16, 16)), capacity_seeds=3,
    capacity_steps=2500, control_images=1000, control_hidden=128, control_seeds=3, control_epochs=100,
)  # fmt: skip
FULL = MemorizationSettings(
    images=60_000, hidden=(512, 512), seeds=3, learning_rate=0.001, schedule="linear", epochs=100,
    capacity_images=(500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000),
    capacity_hidden=((8,), (16,), (32,), (64,), (128,), (16, 16)), capacity_seeds=5, capacity_steps=12_000,
    control_images=5000, control_hidden=256, control_seeds=5, control_epochs=150,
)  # fmt: skip

experiment = Experiment(QUICK, FULL, measure, answer, plan, (50, 1800))
