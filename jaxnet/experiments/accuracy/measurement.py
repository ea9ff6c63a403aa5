"""How well does the network read? Many seeds of the film's network, tweaks, other layers, and common mistakes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnet import training
from jaxnet.core import metrics
from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, mean, share
from jaxnet.experiments.scoring import parameters, trained
from jaxnet.training import config, ensemble, presets
from jaxnet.training.progress import OnProgress, no_progress

TWEAKS: dict[str, dict[str, Any]] = {
    "128 + 128 hidden": {"sizes": (128, 128)},
    "ReLU": {"activation": "relu", "initializer": "he"},
    "cross-entropy": {"loss": "cross_entropy", "output": "identity"},
    "Adam": {"optimizer": "adam", "schedule": "onecycle", "batch_size": 128},
    "one-pixel shifts": {"shift": 1},
}
"""The tweaks, in the order of the ladder: every rung of the ladder adds one tweak."""

LADDER_RATES = (3.0, 0.75, 0.4, 0.4, 0.008, 0.004)
"""The learning rate of each rung. It is the best of four or five on 10,000 held-out training images (6 epochs, 2 seeds)."""

WITHOUT_RATES = (0.016, 0.016, 0.008, 0.2)
"""Learning rates for the last rung without one of its tweaks.

The last tweak needs no learning rate here. Without this tweak, the last rung is the rung before.
"""

DOUBTED = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
"""Test images with a doubtful label: fewer than three of five people agreed with it (Northcutt, Athalye and Mueller, 2021)."""


class AccuracySettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        seeds: The number of networks with the film's exact settings. `jaxnet train --seed K` trains network K.
        epochs: The epochs of these networks.
        tweak_seeds: The number of networks for every rung of the ladder and for every entry of `shapes`.
        tweak_epochs: The epochs of those networks.
        shapes: The sizes of the hidden layers to compare.
    """

    seeds: int
    epochs: int
    tweak_seeds: int
    tweak_epochs: int
    shapes: tuple[tuple[int, ...], ...]


def tweaked(names: Sequence[str], **changes: Any) -> config.TrainConfig:
    """Return the film's settings, changed by the named tweaks."""
    settings = presets.film
    for name in names:
        settings = settings._replace(**TWEAKS[name])
    return settings._replace(**changes)


def measure(
    settings: AccuracySettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train the networks, and score them on all test images.

    Returns:
        The arrays by name:

        - `right`, `train_right` (seed,): the accuracy on test and on training images, in percent.
        - `misread` (test image,): the number of networks that misread the image.
        - `hard` (image,): the positions of the hardest test images, with `images` and `labels`.
        - `answers` (image, class): the number of networks that gave each answer to a hard image.
        - `ladder` (rung, seed), `without` (tweak, seed), `shapes` (shape, seed): the accuracy in percent.
        - `hidden`, `parameters` (shape,): the hidden layers and the number of parameters.
    """
    names = tuple(TWEAKS)
    seeds = keep("seeds", lambda: _many_seeds(settings, dataset, on_progress))
    rungs = [
        tweaked(names[:i], learning_rate=rate, epochs=settings.tweak_epochs) for i, rate in enumerate(LADDER_RATES)
    ]
    less = [
        tweaked([other for other in names if other != name], learning_rate=rate, epochs=settings.tweak_epochs)
        for name, rate in zip(names[:-1], WITHOUT_RATES, strict=True)
    ]
    plain = tweaked(names[1:4], learning_rate=0.008, epochs=settings.tweak_epochs)
    shapes = [plain._replace(sizes=sizes) for sizes in settings.shapes]
    scored = lambda which: lambda: {"right": _scores(which, settings.tweak_seeds, dataset, on_progress)}
    ladder = keep("ladder", scored(rungs))["right"]
    return {
        **seeds,
        "ladder": ladder,
        "without": np.concatenate([keep("without", scored(less))["right"], ladder[-2:-1]]),
        "shapes": keep("shapes", scored(shapes))["right"],
        "hidden": np.array(["-".join(map(str, sizes)) for sizes in settings.shapes]),
        "parameters": np.array([parameters(sizes) for sizes in settings.shapes]),
    }


def _many_seeds(settings: AccuracySettings, dataset: Dataset, on_progress: OnProgress) -> Arrays:
    members = ensemble.grid(presets.film._replace(epochs=settings.epochs), seed=range(settings.seeds))
    results = ensemble.train_together(members, dataset, shared=False, evaluate_every=0, on_progress=on_progress)
    functions = training.plan(members[0], dataset, drawn=False).functions
    read = lambda batch: np.stack(
        [metrics.predict(functions.apply, results.params(i), batch.images).argmax(-1) for i in range(len(members))]
    )
    answers, labels = read(dataset.test), np.asarray(dataset.test.labels)
    misread = (answers != labels).sum(0)
    hard = np.argsort(-misread, kind="stable")[:32]
    votes = np.stack([(answers == digit).sum(0) for digit in range(10)], axis=1)
    return {
        "right": 100 * (answers == labels).mean(1),
        "train_right": 100 * (read(dataset.train) == np.asarray(dataset.train.labels)).mean(1),
        "misread": misread,
        "hard": hard,
        "answers": votes[hard],
        "images": np.asarray(dataset.test.images)[hard],
        "labels": labels[hard],
    }


def _scores(which: Sequence[config.TrainConfig], seeds: int, dataset: Dataset, on_progress: OnProgress) -> np.ndarray:
    """Train the networks of several settings, and return their accuracy on test images in percent, (settings, seed)."""
    return np.stack([trained(ensemble.grid(s, seed=range(seeds)), dataset, on_progress)[1] for s in which])


def answer(settings: AccuracySettings, arrays: Arrays) -> Answer:
    """Evaluate: do the networks reach 96 %, do the tweaks reach 98 %, do networks share mistakes?"""
    right, misread = arrays["right"], arrays["misread"]
    seeds, names = len(right), tuple(TWEAKS)
    whole, film = "784-16-16-10, sigmoid, squared error, all 10,000 test images", "the film"
    findings = [
        mean(
            f"{whole}: share that is read correctly", right, published="about 96 %", source=film, least=96.0, unit="%"
        ),
        share("share of the seeds that reach 96 %", int((right >= 96).sum()), seeds, source=film),
        mean(
            "share of the 60,000 training images that is read correctly", arrays["train_right"], source=film, unit="%"
        ),
    ]
    steps = np.diff(arrays["ladder"], axis=0)
    for i, name in enumerate(names):
        findings.append(mean(f"ladder: points that {name} adds", steps[i], source="the film", unit="points"))
    top = mean(
        "ladder, last rung: share that is read correctly with all tweaks", arrays["ladder"][-1], published="98 %",
        source="the film", least=98.0, unit="%",
    )  # fmt: skip
    findings.append(top)
    lost = arrays["ladder"][-1] - arrays["without"]
    for i, name in enumerate(names):
        findings.append(
            mean(
                f"points that are lost without {name}, with all other tweaks", lost[i], source="the film", unit="points"
            )
        )
    findings += _shared_mistakes(misread, seeds, float(right.mean()))
    best = arrays["hidden"][int(arrays["shapes"].mean(1).argmax())]
    low, high = right.min(), right.max()
    dearest = names[int(lost.mean(1).argmax())]
    reach = "some" if (right >= 96).any() else "none"
    words = (
        f"The film's network with the film's settings reads {right.mean():.2f} % of the test images on average. {seeds} seeds lie "
        f"between {low:.2f} and {high:.2f} %, and {reach} of them reach 96 %. Five tweaks raise the average to {top.value:.2f} %"
        f"{', so 98 % is reached' if top.value >= 98 else ', so 98 % is missed'}. The most important tweak is "
        f"{dearest}. The best network has {best} hidden neurons. {int((misread == seeds).sum())} "
        f"test images are misread by every network{_more(arrays, seeds)}."
    )
    return Answer(words, tuple(findings))


def _more(arrays: Arrays, seeds: int) -> str:
    misread = arrays["misread"]
    expected = len(misread) * (1 - arrays["right"].mean() / 100) ** seeds
    return ", far more than with independent mistakes" if (misread == seeds).sum() > 10 * expected else ""


def _shared_mistakes(misread: np.ndarray, seeds: int, right: float) -> list[Finding]:
    """Make the findings on images that all networks misread, and on images with doubtful labels."""
    rate = 1 - right / 100
    expected = len(misread) * rate**seeds
    told = f"{expected:.2g} if mistakes were independent"
    everyone = float((misread == seeds).sum())
    of_doubted = 100 * misread[list(DOUBTED)].mean() / seeds
    others = np.delete(misread, DOUBTED)
    nan = float("nan")
    return [
        Finding("number of test images that every network misreads", told, "the film", everyone, nan, nan, seeds, "measured"),
        Finding(
            f"share of wrong answers to the {len(DOUBTED)} test images whose labels people doubt",
            f"{100 * others.mean() / seeds:.2f} % for all other images",
            "labels: Northcutt et al. 2021",
            of_doubted, nan, nan, seeds, "measured", "%",
        ),
    ]  # fmt: skip


def plan(settings: AccuracySettings) -> str:
    """Write the plan of the experiment in words."""
    return (
        f"{settings.seeds} networks of the film for {settings.epochs} epochs each, and {settings.tweak_seeds} networks of each of "
        f"{len(LADDER_RATES) + len(WITHOUT_RATES)} recipes and {len(settings.shapes)} shapes for {settings.tweak_epochs} epochs"
    )


QUICK = AccuracySettings(10, 25, 3, 3, ((4,), (16,), (64,), (16, 16, 16)))
FULL = AccuracySettings(
    100, 25, 5, 10,
    ((4,), (8,), (16,), (32,), (64,), (128,), (256,), (16, 16), (16, 16, 16), (16, 16, 16, 16), (64, 64), (128, 128)),
)  # fmt: skip

experiment = Experiment(QUICK, FULL, measure, answer, plan, (65, 600))
