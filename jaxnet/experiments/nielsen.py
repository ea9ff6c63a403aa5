"""Nielsen's book, whose code and data the film recommends: his networks by his settings, his rule and the mean without it."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxnet import ensemble, recipes
from jaxnet._types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, judged, mean
from jaxnet.experiments.scoring import trained
from jaxnet.walking import Seen

BOOK = recipes.nielsen._replace(validation=10_000)
"""50,000 images to learn from, 10,000 to choose by, batches of 10."""

NETWORKS: dict[str, tuple[recipes.Settings, float, str]] = {
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
"""His networks: settings, the percentage he read, and where."""

ELSEWHERE = {
    "784-100-10, cross-entropy of sigmoids, lambda 5, rate 0.1, 60 epochs, on validation images": (98.04, "chapter 3"),
    "one convolution + 100": (98.78, "chapter 6"),
    "two convolutions + 100": (99.06, "chapter 6"),
    "two convolutions + 100, ReLU": (99.23, "chapter 6"),
}
"""His others, percent and place; one comparable with the convolutional ones is `jaxnet train --preset convnet`."""


class Settings(NamedTuple):
    """What decides the numbers.

    Attributes:
        networks: Which of `NETWORKS`.
        seeds: Networks of each.
        choose: His rule: of so many runs the one that reads most of the validation images.
    """

    networks: tuple[str, ...]
    seeds: int
    choose: int


def measure(
    settings: Settings, dataset: Dataset, *, keep: Keep = at_once, show: Callable[[Seen], None] = lambda seen: None
) -> Arrays:
    """Train and score.

    Returns:
        `right`, `validation` (network, seed), in percent.

    Raises:
        ValueError: If there are too few runs to choose among, or to have an interval.
    """
    if settings.seeds < (least := max(2, settings.choose)):
        raise ValueError(
            f"the best of {settings.choose} runs, with an interval, needs at least {least} seeds, got {settings.seeds}"
        )

    def of(name: str) -> Arrays:
        results, right = trained(ensemble.combinations(NETWORKS[name][0], seed=range(settings.seeds)), dataset, show)
        return {"right": right, "validation": 100 * results.accuracies[:, -1]}

    parts = [keep(name, lambda name=name: of(name)) for name in settings.networks]
    return {
        "names": np.array(settings.networks),
        **{key: np.stack([part[key] for part in parts]) for key in ("right", "validation")},
    }


def chosen(right: np.ndarray, validation: np.ndarray, choose: int) -> np.ndarray:
    """What his rule would report: the test score of the best of `choose` runs by validation.

    Args:
        right: (seed,), test scores.
        validation: (seed,), validation scores.
        choose: Runs to choose among.

    Returns:
        One score for each set of `choose` runs there is.
    """
    sets = np.array(list(itertools.combinations(range(len(right)), choose)))
    return right[sets[np.arange(len(sets)), validation[sets].argmax(1)]]


def by_resampling(right: np.ndarray, validation: np.ndarray, choose: int) -> tuple[float, float]:
    """About the 95 % interval of the mean of `chosen`, by drawing as many runs again a thousand times.

    Resampling few runs scatters too little: both ends are moved out from the middle, as Student's distribution would have it.
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


def answer(settings: Settings, arrays: Arrays) -> Answer:
    """Judge: is the published figure beaten by the unselected mean, or at least within its interval."""
    findings, words = [], []
    for name, right, validation in zip(arrays["names"].tolist(), arrays["right"], arrays["validation"], strict=True):
        published, source = NETWORKS[name][1:]
        found = mean(
            f"{name}: mean of all runs", right, published=f"{published} %, best of his runs", source=source,
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
            f"{by_rule.mean():.2f} % by his rule; he reports {published} %.{_stuck(right)}"
        )
    nan = float("nan")
    for name, (published, chapter) in ELSEWHERE.items():
        findings.append(Finding(name, f"{published} %", f"Nielsen, {chapter}", nan, nan, nan, 0, "not run here", "%"))
    means = findings[: 2 * len(words) : 2]
    beaten = sum(found.value >= NETWORKS[name][1] for found, name in zip(means, settings.networks, strict=True))
    held = sum(found.verdict == "undecided" for found in means)
    words.append(
        f"Without any choosing, {beaten} of his {len(words)} networks read more than he says; of {held} more the interval "
        "holds his figure."
    )
    return Answer(" ".join(words), tuple(findings))


def _stuck(right: np.ndarray) -> str:
    """Runs far below the others, as they would be where an output never lights."""
    lost = right < np.median(right) - 5
    if not lost.any():
        return ""
    return (
        f" {int(lost.sum())} of the {len(right)} runs ended more than 5 points below the median of {np.median(right):.2f} %, "
        f"at {right.min():.2f} %, which widens the interval."
    )


def plan(settings: Settings) -> str:
    """What is about to happen."""
    return f"{settings.seeds} networks of each of: " + "; ".join(settings.networks)


NAMES = tuple(NETWORKS)
experiment = Experiment(Settings(NAMES[:1], 6, 3), Settings(NAMES, 12, 3), measure, answer, plan, (25, 600))
