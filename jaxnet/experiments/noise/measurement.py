"""The answers of networks to nonsense (images without a digit), the reasons, and the remedies."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet.analysis import calibration, out_of_distribution
from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Arrays, Experiment, Keep, at_once
from jaxnet.experiments.noise import networks as noise_training
from jaxnet.experiments.noise.networks import HELD_OUT, NETWORKS, PAPER, Kind
from jaxnet.experiments.noise.verdict import answer
from jaxnet.experiments.noise.view import BASIC
from jaxnet.training.progress import OnProgress, no_progress

SURE = 0.9
"""An answer is sure if the strongest output is at least this value. (`view.CONFIDENT` is a lower limit, 50 %.)"""

SHOWN = 8
"""The number of images of each family of nonsense in the picture."""

AS_IS = np.ones(())
"""The temperature 1. It changes nothing."""

EDGES = np.linspace(0, 1, 41)
"""The edges of the bins for the distributions of confidence."""


class NoiseSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        seeds: The number of networks of each kind.
        film_epochs: The epochs of the film's network, with sigmoid and with softmax outputs. `presets.film` has 25 epochs.
        wide_epochs: The epochs of the wide network.
        together: The number of networks in one ensemble. The seeds are divided into ensembles of this size.
        taught: The families of nonsense for training. Each family is used alone.
        rare: Shares of the training images. For each share, some pixels lose their weights: the pixels that are lit in
            at most this share of the images. The first share must be 0 (pixels that are never lit).
        images: The number of images of each family of nonsense, and the number of test digits.
        other: "letters" for printed letters, or the name of a data set for `data.load`.
        paper_seeds: The number of networks with the settings of Hendrycks and Gimpel; 0 means none.
        paper_epochs: The epochs of these networks. The paper has 30 epochs.
    """

    seeds: int
    film_epochs: int
    wide_epochs: int
    together: int
    taught: tuple[str, ...]
    rare: tuple[float, ...]
    images: int = 10_000
    other: str = "letters"
    paper_seeds: int = 0
    paper_epochs: int = 0


def treatments(settings: NoiseSettings) -> tuple[str, ...]:
    """Return the names of the treatments of the networks, in the order of the arrays."""
    return (*BASIC, *(f"taught {family}" for family in settings.taught))


def measure(
    settings: NoiseSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Train the networks, draw images of nonsense, and measure the answers.

    Returns:
        The arrays by name. There are fewer ensembles than seeds, so missing entries are NaN.

        - `confidence`, `sure` (network, treatment, seed, set): in percent.
        - `entropy` (network, treatment, seed, set): in bits.
        - `auroc` (network, treatment, seed, set): AUROC by confidence in 0..1; NaN for the digits.
        - `right`, `ece` (network, treatment, seed): in percent.
        - `disagreement` (network, seed, set): AUROC by the disagreement in an ensemble.
        - `temperature`, `blind`, `moved` (network, seed).
        - `histogram` (network, set, bin).
        - `reliability` (network, before or after, 3, bin): the number of images, the confidence and the accuracy.
        - `rare_confidence` (network, share, rare or random, seed, set).
        - `rare_right` (network, share, rare or random, seed).
        - `rare_pixels` (network, share) and `dark` (network, pixel).
        - `shown_answers`, `shown_confidence` (network, family, image): for seed 0.
        - `shown` (family, image, height, width): the images in the picture.
        - `paper_*` (seed, ...): the networks of the paper.
        - `networks`, `treatments`, `sets`, `edges`: the names along the axes, and the edges of the bins.

    Raises:
        ValueError: If an ensemble has fewer than two networks or more networks than there are seeds, or the first share in
            `rare` is not 0.
    """
    if not settings.rare or settings.rare[0] != 0:
        raise ValueError(f"the first share in rare must be 0 (pixels that are never lit), got rare={settings.rare}")
    if not 2 <= settings.together <= settings.seeds:
        raise ValueError(
            f"an ensemble needs between 2 and {settings.seeds} networks (all seeds), got together={settings.together}"
        )
    sets = noise_training.image_sets(settings, dataset)
    labels = np.asarray(dataset.test.labels)[: settings.images]
    networks = []
    for name, functions in NETWORKS.items():
        functions = functions._replace(
            epochs=settings.wide_epochs if name == "wide" else settings.film_epochs,
            validation=min(HELD_OUT, len(dataset.train.labels) // 4),
        )
        kind = functools.cache(lambda functions=functions: noise_training.kind(functions, settings.seeds, dataset))
        first = keep(name, lambda kind=kind: _untaught(settings, kind(), dataset, sets, labels, on_progress))
        others = [
            keep(
                f"{name}-{family}", lambda kind=kind, family=family: _taught(kind(), family, sets, labels, on_progress)
            )
            for family in settings.taught
        ]
        scored = {
            what: np.concatenate([first[what], *(other[what][None] for other in others)])
            for what in ("confidence", "sure", "entropy", "auroc", "right", "ece")
        }
        networks.append(first | scored)
    whole = {what: np.stack([one[what] for one in networks]) for what in networks[0]}
    shown = [
        np.clip(np.asarray(images[:SHOWN], np.float32) / (255 if images.dtype == np.uint8 else 1), 0, 1)
        for images in sets.values()
    ]
    if settings.paper_seeds:
        whole |= keep("paper", lambda: _paper(settings, dataset, sets, labels, on_progress))
    return whole | {
        "networks": np.array(list(NETWORKS)),
        "treatments": np.array(treatments(settings)),
        "sets": np.array(list(sets)),
        "shown": np.stack(shown),
        "edges": EDGES,
    }


def _scores(outputs: Mapping[str, np.ndarray], labels: np.ndarray, seeds: int) -> Arrays:
    """Compute the scores of a treatment from its outputs (seed, image, class). Missing seeds are filled with NaN."""
    sure = {name: calibration.confidence(one) for name, one in outputs.items()}
    digits = sure["digits"]
    right = outputs["digits"].argmax(-1) == labels
    over_sets = lambda measured: np.stack([measured(name) for name in outputs], axis=-1)
    auroc = lambda name: [
        np.nan if name == "digits" else calibration.auroc(inside, outside)
        for inside, outside in zip(digits, sure[name], strict=True)
    ]
    scores = {
        "confidence": over_sets(lambda name: 100 * sure[name].mean(-1)),
        "sure": over_sets(lambda name: 100 * (sure[name] >= SURE).mean(-1)),
        "entropy": over_sets(lambda name: calibration.entropy(outputs[name]).mean(-1)),
        "auroc": over_sets(auroc),
        "right": 100 * right.mean(-1),
        "ece": np.array(
            [100 * calibration.expected_calibration_error(c, r) for c, r in zip(digits, right, strict=True)]
        ),
    }
    return {
        what: np.concatenate([numbers, np.full((seeds - len(numbers), *numbers.shape[1:]), np.nan)])
        for what, numbers in scores.items()
    }


def _untaught(
    settings: NoiseSettings, kind: Kind, dataset: Dataset, sets: Mapping[str, np.ndarray], labels: Any,
    on_progress: OnProgress,
) -> Arrays:  # fmt: skip
    """Compute the scores of one kind of network: as trained, with a temperature, in ensembles, and with erased weights."""
    seeds, independent = settings.seeds, kind.settings.output == "sigmoid"
    params = noise_training.plain(kind.settings, seeds, dataset, on_progress)
    read = lambda params: {name: noise_training.read(kind, params, images) for name, images in sets.items()}
    told = lambda logits, by=AS_IS: {
        name: calibration.probabilities(one, independent=independent, temperature=by) for name, one in logits.items()
    }
    logits = read(params)
    outputs = told(logits)
    unseen = noise_training.read(kind, params, kind.held.images)
    by = np.array([calibration.fit_temperature(one, kind.held.labels, independent=independent) for one in unseen])
    cooled = told(logits, by[:, None, None])
    together = range(0, seeds - settings.together + 1, settings.together)
    groups = [{name: one[i : i + settings.together] for name, one in outputs.items()} for i in together]
    means = {name: np.stack([group[name].mean(0) for group in groups]) for name in sets}
    apart = [{name: calibration.disagreement(one) for name, one in group.items()} for group in groups]
    disagreement = np.full((seeds, len(sets)), np.nan)
    for i, group in enumerate(apart):  # digits have less disagreement, so the two arguments are swapped
        disagreement[i, 1:] = [calibration.auroc(group[name], group["digits"]) for name in list(sets)[1:]]
    share = out_of_distribution.lit_share(kind.train.images, shift=kind.settings.shift)
    erased = [
        [
            told(read(jax.vmap(out_of_distribution.erase)(params, which)))
            for which in noise_training.masks(share, rare, seeds)
        ]
        for rare in settings.rare
    ]
    scored = [_scores(one, labels, seeds) for one in (outputs, cooled, means, *erased[0])]
    dark = np.ravel(share) == 0
    weights = np.asarray(params[0].weights)
    squares = (weights**2).sum(1)
    return {what: np.stack([one[what] for one in scored]) for what in scored[0]} | {
        "temperature": by,
        "disagreement": disagreement,
        "dark": dark,
        "blind": 100 * squares[:, dark].sum(1) / squares.sum(1),
        "moved": np.abs(weights - kind.starts[0].weights)[:, :, dark].max((1, 2), initial=0.0),
        "histogram": np.stack([np.histogram(calibration.confidence(one), EDGES)[0] for one in outputs.values()]),
        "reliability": np.stack([_reliability(one["digits"], labels) for one in (outputs, cooled)]),
        "rare_pixels": np.array([(share <= rare).sum() for rare in settings.rare]),
        "rare_confidence": np.array([
            [[100 * calibration.confidence(one).mean(-1) for one in told.values()] for told in pair] for pair in erased
        ]).swapaxes(2, 3),
        "rare_right": np.array([
            [100 * (told["digits"].argmax(-1) == labels).mean(-1) for told in pair] for pair in erased
        ]),
        "shown_answers": np.stack([one[0, :SHOWN].argmax(-1) for one in outputs.values()]),
        "shown_confidence": np.stack([one[0, :SHOWN].max(-1) for one in outputs.values()]),
    }  # fmt: skip


def _reliability(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the reliability diagram of all seeds together: number of images, confidence and accuracy in each bin."""
    right = outputs.argmax(-1) == labels
    return np.stack([*map(np.asarray, calibration.reliability(calibration.confidence(outputs).ravel(), right.ravel()))])


def _taught(kind: Kind, family: str, sets: Mapping[str, np.ndarray], labels: Any, on_progress: OnProgress) -> Arrays:
    """Compute the scores of the networks that were also trained on one family of nonsense."""
    params, independent = noise_training.taught(kind, family, on_progress), kind.settings.output == "sigmoid"
    outputs = {
        name: calibration.probabilities(noise_training.read(kind, params, images), independent=independent)
        for name, images in sets.items()
    }
    return _scores(outputs, labels, len(params[0].weights))


def _paper(
    settings: NoiseSettings,
    dataset: Dataset,
    sets: Mapping[str, np.ndarray],
    labels: Any,
    on_progress: OnProgress,
) -> Arrays:
    """Compute the scores of networks with the settings of Hendrycks and Gimpel, on two kinds of noise."""
    kind = noise_training.kind(PAPER._replace(epochs=settings.paper_epochs), settings.paper_seeds, dataset)
    params = noise_training.plain(kind.settings, settings.paper_seeds, dataset, on_progress)
    theirs = {name: sets[name] for name in ("digits", "uniform", "gaussian")}
    outputs = {name: calibration.probabilities(noise_training.read(kind, params, one)) for name, one in theirs.items()}
    scores = _scores(outputs, labels, settings.paper_seeds)
    return {f"paper_{what}": scores[what] for what in ("confidence", "auroc")}


def plan(settings: NoiseSettings) -> str:
    """Write the plan of the experiment in words."""
    return (
        f"{len(settings.taught) + 1} times {settings.seeds} networks of each of {len(NETWORKS)} kinds, "
        f"{settings.film_epochs} epochs ({settings.wide_epochs} for the wide network), and {settings.images:,} images of each of "
        f"{len(out_of_distribution.FAMILIES) + 1} families of nonsense"
        + (
            f"; {settings.paper_seeds} networks of the paper for {settings.paper_epochs} epochs"
            if settings.paper_seeds
            else ""
        )
    )


QUICK = NoiseSettings(6, 3, 1, 2, ("uniform",), (0.0,))
FULL = NoiseSettings(20, 25, 4, 5, ("uniform", "shifted"), (0.0, 0.001, 0.01), paper_seeds=10, paper_epochs=30)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (40, 700))
