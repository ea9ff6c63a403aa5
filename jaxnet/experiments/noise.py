"""Confident nonsense: what networks answer to images that show no digit, why, and what helps."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnet import calibration, nonsense
from jaxnet._types import Dataset
from jaxnet.experiments import noise_training
from jaxnet.experiments.findings import Arrays, Experiment, Keep, at_once
from jaxnet.experiments.noise_training import HELD_OUT, NETWORKS, PAPER, Kind
from jaxnet.experiments.noise_verdict import answer
from jaxnet.experiments.noise_view import BASIC
from jaxnet.walking import Seen

SURE = 0.9
"""A confident answer: the strongest output is at least this."""

SHOWN = 8
"""Images of each family to show."""

AS_IS = np.ones(())
"""The temperature that changes nothing."""

EDGES = np.linspace(0, 1, 41)
"""Bins of the distributions of confidence."""


class Settings(NamedTuple):
    """What decides the numbers.

    Attributes:
        seeds: Networks of each kind.
        film_epochs: Of the film's network and of the same with softmax; 25 are `recipes.film`'s.
        wide_epochs: Of the wide network.
        together: Networks in one ensemble; as many ensembles as the seeds make.
        taught: Families of nonsense to learn from, each alone.
        rare: Weights are erased from pixels lit in at most such a share of the training images; the first is 0, never.
        images: Of each family, and test digits.
        other: "letters" are printed ones; otherwise the name of a data set as `data.load` takes it.
        paper_seeds: Networks as Hendrycks and Gimpel's; 0 leaves them out.
        paper_epochs: Of those; theirs had 30.
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


def treatments(settings: Settings) -> tuple[str, ...]:
    """What is done to the networks, in the order of the arrays."""
    return (*BASIC, *(f"taught {family}" for family in settings.taught))


def measure(
    settings: Settings, dataset: Dataset, *, keep: Keep = at_once, show: Callable[[Seen], None] = lambda seen: None
) -> Arrays:
    """Train, make nonsense, and see what is answered.

    Returns:
        Over (network, treatment, seed, set), in percent: `confidence`, `sure`; `entropy` in bits; `auroc` by
        confidence, 0..1, NaN for the digits. Over (network, treatment, seed): `right`, `ece`, in percent. Ensembles are fewer
        than seeds, the rest is NaN. `disagreement` (network, seed, set): AUROC by disagreement. `temperature`, `blind`, `moved`
        (network, seed). `histogram` (network, set, bin). `reliability` (network, before or after, images confidence right,
        bin). `rare_confidence` (network, share, rare or random, seed, set), `rare_right` without sets, `rare_pixels` (network,
        share). `dark` (network, pixel). Of seed 0: `shown_answers`, `shown_confidence` (network, family, image). `shown`
        (family, image, height, width). `paper_*` (seed, ...). And the axes' names.

    Raises:
        ValueError: If there are fewer than two seeds, an ensemble would be larger than all of them, or the first share of
            `rare` is not that of never-lit pixels.
    """
    if not settings.rare or settings.rare[0] != 0:
        raise ValueError(f"the first share of images that light a rare pixel is 0, never, got rare={settings.rare}")
    if not 2 <= settings.together <= settings.seeds:
        raise ValueError(
            f"ensembles need between 2 and all {settings.seeds} networks, got {settings.together} together"
        )
    sets = noise_training.image_sets(settings, dataset)
    labels = np.asarray(dataset.test.labels)[: settings.images]
    networks = []
    for name, recipe in NETWORKS.items():
        recipe = recipe._replace(
            epochs=settings.wide_epochs if name == "wide" else settings.film_epochs,
            validation=min(HELD_OUT, len(dataset.train.labels) // 4),
        )
        kind = functools.cache(lambda recipe=recipe: noise_training.kind(recipe, settings.seeds, dataset))
        first = keep(name, lambda kind=kind: _untaught(settings, kind(), dataset, sets, labels, show))
        others = [
            keep(f"{name}-{family}", lambda kind=kind, family=family: _taught(kind(), family, sets, labels, show))
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
        whole |= keep("paper", lambda: _paper(settings, dataset, sets, labels, show))
    return whole | {
        "networks": np.array(list(NETWORKS)),
        "treatments": np.array(treatments(settings)),
        "sets": np.array(list(sets)),
        "shown": np.stack(shown),
        "edges": EDGES,
    }


def _scores(outputs: Mapping[str, np.ndarray], labels: np.ndarray, seeds: int) -> Arrays:
    """The numbers of a treatment from its outputs (seed, image, class) to each set, filled up with NaN to all seeds."""
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
        "ece": np.array([100 * calibration.calibration_error(c, r) for c, r in zip(digits, right, strict=True)]),
    }
    return {
        what: np.concatenate([numbers, np.full((seeds - len(numbers), *numbers.shape[1:]), np.nan)])
        for what, numbers in scores.items()
    }


def _untaught(
    settings: Settings, kind: Kind, dataset: Dataset, sets: Mapping[str, np.ndarray], labels: Any,
    show: Callable[[Seen], None],
) -> Arrays:  # fmt: skip
    """One kind of network as it was trained, with a temperature, in ensembles, and with weights erased."""
    seeds, independent = settings.seeds, kind.settings.output == "sigmoid"
    params = noise_training.plain(kind.settings, seeds, dataset, show)
    read = lambda params: {name: noise_training.read(kind, params, images) for name, images in sets.items()}
    told = lambda logits, by=AS_IS: {
        name: calibration.answers(one, independent=independent, temperature=by) for name, one in logits.items()
    }
    logits = read(params)
    outputs = told(logits)
    unseen = noise_training.read(kind, params, kind.held.images)
    by = np.array([calibration.best_temperature(one, kind.held.labels, independent=independent) for one in unseen])
    cooled = told(logits, by[:, None, None])
    together = range(0, seeds - settings.together + 1, settings.together)
    groups = [{name: one[i : i + settings.together] for name, one in outputs.items()} for i in together]
    means = {name: np.stack([group[name].mean(0) for group in groups]) for name in sets}
    apart = [{name: calibration.disagreement(one) for name, one in group.items()} for group in groups]
    disagreement = np.full((seeds, len(sets)), np.nan)
    for i, group in enumerate(apart):  # digits contradict less, so the sides change places
        disagreement[i, 1:] = [calibration.auroc(group[name], group["digits"]) for name in list(sets)[1:]]
    share = nonsense.lit_share(kind.train.images, shift=kind.settings.shift)
    erased = [
        [told(read(jax.vmap(nonsense.erase)(params, which))) for which in noise_training.masks(share, rare, seeds)]
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
    """The diagram of all seeds together: images, confidence, right."""
    right = outputs.argmax(-1) == labels
    return np.stack([*map(np.asarray, calibration.reliability(calibration.confidence(outputs).ravel(), right.ravel()))])


def _taught(
    kind: Kind, family: str, sets: Mapping[str, np.ndarray], labels: Any, show: Callable[[Seen], None]
) -> Arrays:
    """The same networks that also learned from one family of nonsense."""
    params, independent = noise_training.taught(kind, family, show), kind.settings.output == "sigmoid"
    outputs = {
        name: calibration.answers(noise_training.read(kind, params, images), independent=independent)
        for name, images in sets.items()
    }
    return _scores(outputs, labels, len(params[0].weights))


def _paper(
    settings: Settings, dataset: Dataset, sets: Mapping[str, np.ndarray], labels: Any, show: Callable[[Seen], None]
) -> Arrays:
    """Networks as Hendrycks and Gimpel's on their two kinds of noise; a part of the training images is held out."""
    kind = noise_training.kind(PAPER._replace(epochs=settings.paper_epochs), settings.paper_seeds, dataset)
    params = noise_training.plain(kind.settings, settings.paper_seeds, dataset, show)
    theirs = {name: sets[name] for name in ("digits", "uniform", "gaussian")}
    outputs = {name: calibration.answers(noise_training.read(kind, params, one)) for name, one in theirs.items()}
    scores = _scores(outputs, labels, settings.paper_seeds)
    return {f"paper_{what}": scores[what] for what in ("confidence", "auroc")}


def plan(settings: Settings) -> str:
    """What is about to happen."""
    return (
        f"{len(settings.taught) + 1} times {settings.seeds} networks of each of {len(NETWORKS)} kinds, "
        f"{settings.film_epochs} epochs ({settings.wide_epochs} for the wide one), and {settings.images:,} images of each of "
        f"{len(nonsense.FAMILIES) + 1} families of nonsense"
        + (
            f"; {settings.paper_seeds} networks of the paper for {settings.paper_epochs} epochs"
            if settings.paper_seeds
            else ""
        )
    )


QUICK = Settings(6, 3, 1, 2, ("uniform",), (0.0,))
FULL = Settings(20, 25, 4, 5, ("uniform", "shifted"), (0.0, 0.001, 0.01), paper_seeds=10, paper_epochs=30)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (40, 700))
