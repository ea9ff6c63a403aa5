"""The networks of Nielsen's book, with the settings of the book, scored by the rule of the book and by the mean of all runs."""

import itertools
from typing import NamedTuple

import numpy as np

from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, judged, mean
from jaxnet.experiments.scoring import trained
from jaxnet.training import config, ensemble, presets
from jaxnet.training.progress import OnProgress, no_progress

BOOK = presets.nielsen._replace(validation=10_000)
"""The settings of the book: 50,000 images for training, 10,000 for validation, and batches of 10."""

NETWORKS: dict[str, tuple[config.TrainConfig, float, str]] = {
    "784-30-10, quadratic, rate 3, 30 epochs": (BOOK, 95.42, "Nielsen, chapter 1 [from memory]"),
    "784-100-10, quadratic, rate 3, 30 epochs": (BOOK._replace(sizes=(100,)), 96.59, "Nielsen, chapter 1"),
    "784-100-10, softmax, rate 0.1, 60 epochs": (
        BOOK._replace(
            sizes=(100,), loss="cross_entropy", output="identity", initializer="scaled", gain=1.0, learning_rate=0.1,
            epochs=60,
        ),
        97.80,
        "Nielsen, chapter 6",
    ),
}  # fmt: skip
"""The networks of the book by name: settings, published accuracy in percent, and chapter."""

ELSEWHERE = {
    "784-100-10, cross-entropy of sigmoids, lambda 5, rate 0.1, 60 epochs, on validation images": (98.04, "chapter 3"),
    "one convolution + 100": (98.78, "chapter 6"),
    "two convolutions + 100": (99.06, "chapter 6"),
    "two convolutions + 100, ReLU": (99.23, "chapter 6"),
}
"""Nielsen's other networks: accuracy in percent, and chapter. `jaxnet train --preset convnet` is a similar convolutional one."""


class NielsenSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        networks: Names from `NETWORKS`.
        seeds: The number of runs for each network.
        choose: The number of runs in Nielsen's rule. The rule reports the run with the best validation accuracy.
    """

    networks: tuple[str, ...]
    seeds: int
    choose: int


def measure(
    settings: NielsenSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train the networks, and score them on test and validation images.

    Returns:
        `names` (network,), the names of the networks. `right` and `validation` (network, seed), the accuracy on test and on
        validation images in percent.

    Raises:
        ValueError: If there are too few runs for Nielsen's rule, or for an interval.
    """
    if settings.seeds < (least := max(2, settings.choose)):
        raise ValueError(
            f"the best of {settings.choose} runs, with an interval, needs at least {least} seeds, got {settings.seeds}"
        )

    def of(name: str) -> Arrays:
        results, right = trained(ensemble.grid(NETWORKS[name][0], seed=range(settings.seeds)), dataset, on_progress)
        return {"right": right, "validation": 100 * results.accuracies[:, -1]}

    parts = [keep(name, lambda name=name: of(name)) for name in settings.networks]
    return {
        "names": np.array(settings.networks),
        **{key: np.stack([part[key] for part in parts]) for key in ("right", "validation")},
    }


def chosen(right: np.ndarray, validation: np.ndarray, choose: int) -> np.ndarray:
    """Return the test scores by Nielsen's rule. Among `choose` runs, the rule takes the best run on validation images.

    Args:
        right: The test score of each run, (seed,).
        validation: The validation score of each run, (seed,).
        choose: The number of runs in a set.

    Returns:
        One score for each possible set of `choose` runs.
    """
    sets = np.array(list(itertools.combinations(range(len(right)), choose)))
    return right[sets[np.arange(len(sets)), validation[sets].argmax(1)]]


def by_resampling(right: np.ndarray, validation: np.ndarray, choose: int) -> tuple[float, float]:
    """Return an approximate 95 % interval of the mean of `chosen`, by resampling the runs a thousand times.

    With few runs the resampled means scatter too little. So both ends are moved away from the middle, by a factor from
    Student's distribution.
    """
    from scipy import stats

    count = len(right)
    generator, sets = np.random.default_rng(0), np.array(list(itertools.combinations(range(len(right)), choose)))
    means = []
    for _ in range(1000):
        again = generator.integers(len(right), size=len(right))[sets]
        means.append(right[np.take_along_axis(again, validation[again].argmax(1)[:, None], 1)].mean())
    low, middle, high = np.quantile(means, [0.025, 0.5, 0.975])
    wider = np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975)
    return float(middle + wider * (low - middle)), float(middle + wider * (high - middle))


def answer(settings: NielsenSettings, arrays: Arrays) -> Answer:
    """Evaluate: does the mean of all runs reach the published number, or is this number at least in the interval?"""
    findings, words = [], []
    for name, right, validation in zip(arrays["names"].tolist(), arrays["right"], arrays["validation"], strict=True):
        published, source = NETWORKS[name][1:]
        found = mean(
            f"{name}: mean of all runs", right, published=f"{published} %, best of Nielsen's runs", source=source,
            least=published, unit="%",
        )  # fmt: skip
        findings.append(found)
        by_rule = chosen(right, validation, settings.choose)
        low, high = by_resampling(right, validation, settings.choose)
        findings.append(
            found._replace(
                what=f"{name}: best of {settings.choose} by validation", value=float(by_rule.mean()), low=low, high=high,
                verdict=judged(float(by_rule.mean()), low, high, least=published),
            )
        )  # fmt: skip
        words.append(
            f"{name.split(',')[0]} ({name.split(', ', 1)[1]}) reads {found.value:.2f} % on average over {len(right)} runs and "
            f"{by_rule.mean():.2f} % by Nielsen's rule. Nielsen reports {published} %.{_stuck(right)}"
        )
    nan = float("nan")
    for name, (published, chapter) in ELSEWHERE.items():
        findings.append(Finding(name, f"{published} %", f"Nielsen, {chapter}", nan, nan, nan, 0, "not run here", "%"))
    means = findings[: 2 * len(words) : 2]
    beaten = sum(found.value >= NETWORKS[name][1] for found, name in zip(means, settings.networks, strict=True))
    held = sum(found.verdict == "undecided" for found in means)
    words.append(
        f"By the mean of all runs, {beaten} of Nielsen's {len(words)} networks read more than Nielsen reports. For {held} more "
        "networks the interval contains Nielsen's number."
    )
    return Answer(" ".join(words), tuple(findings))


def _stuck(right: np.ndarray) -> str:
    """Write a sentence on runs far below the others (for example if an output is never lit).

    The sentence is empty if there are no such runs.
    """
    lost = right < np.median(right) - 5
    if not lost.any():
        return ""
    return (
        f" {int(lost.sum())} of the {len(right)} runs ended more than 5 points below the median of {np.median(right):.2f} %, "
        f"the lowest at {right.min():.2f} %. These runs widen the interval."
    )


def plan(settings: NielsenSettings) -> str:
    """Write the plan of the experiment in words."""
    return f"{settings.seeds} networks of each of: " + "; ".join(settings.networks)


NAMES = tuple(NETWORKS)
experiment = Experiment(
    NielsenSettings(NAMES[:1], 6, 3), NielsenSettings(NAMES, 12, 3), measure, answer, plan, (25, 600)
)
