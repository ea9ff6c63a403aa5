"""What did the first layer learn: random pixels, blobs or edges? The measure of structure is tested first."""

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxnet.analysis import spatial
from jaxnet.core.types import Dataset
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, judged, mean, number, share
from jaxnet.experiments.first_layer.controls import AMPLITUDES, found_in_blobs, found_planted, random_networks
from jaxnet.experiments.first_layer.networks import FILTER, first_weights, sliding_filters
from jaxnet.training import config, presets
from jaxnet.training.progress import OnProgress, no_progress

LEVEL = 0.05
"""A p-value up to this level counts as a detection."""

FAINT = 0.1
"""A map looks like noise if its Moran's I is below this value."""

MOSTLY = 50.0
"""A map counts as an edge if the best edge explains at least this percentage of its variance."""

BARS = {"Moran's I": 0.5, "edges' fit": 0.5, "edges beyond blobs": 1.0}
"""An amplitude of planted edges for each test. The test must find edges of this amplitude in 95 % of the networks."""

DECAY = 1e-4
"""The weight decay: the largest of 1e-5, 3e-5, 1e-4 and 3e-4 that loses no accuracy on 10,000 held-out images (6 epochs)."""

CONTROLS = {
    "start": "random start",
    "everywhere": "trained, all pixels",
    "trained": "trained, lit pixels",
    "change": "what training changed",
    "loud": "trained from N(0, 1)",
    "decayed": "trained with weight decay",
    "shifted": "trained on shifted images",
    "filters": "convolutional filters",
}
"""The groups of maps. `start`, `everywhere` and `filters` use all pixels; the others use pixels that are lit in some image."""

MEASURE = "the measure itself"
"""The source of findings that test the measure."""


class FirstLayerSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        seeds: How many networks to train with the film's settings, and how many with each variation.
        epochs: The epochs of these networks.
        sliding_seeds: The number of convolutional networks.
        sliding_steps: The number of steps of these networks. A step takes 50 images.
        random: The number of random networks that measure the rate of false alarms.
        planted: The number of networks with planted edges for each amplitude. There are equally many networks with
            blobs only.
        draws: The number of comparisons for each network: with shuffled maps, and with equally many sets of blobs.
    """

    seeds: int
    epochs: int
    sliding_seeds: int
    sliding_steps: int
    random: int
    planted: int
    draws: int


def measure(
    settings: FirstLayerSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Test the measure on maps with known content, then apply it to trained networks.

    Returns:
        The arrays by name:

        - Every field of `spatial.Structure` for every group in `CONTROLS`, with names such as `trained_moran`.
        - `trained_maps` and so on: the maps of the first seed.
        - `lit`: the pixels that are lit in some training image.
        - `random_p` (statistic, network): the p-values of random maps.
        - `planted_p` (amplitude, test, network): the p-values of maps with planted edges.
        - `planted_maps`: the maps of one network for each amplitude.
        - `blobs_p` and `small_blobs_p` (network,): the p-values of the test for edges on maps with blobs only.
    """
    known = keep("random", lambda: random_networks(settings.random, settings.draws))
    known |= keep("planted", lambda: found_planted(settings.planted, settings.draws))
    known |= keep("blobs", lambda: found_in_blobs(settings.planted, settings.draws))
    film, lit = presets.film._replace(epochs=settings.epochs), np.asarray(dataset.train.images).max(0) > 0

    def trained(*which: config.TrainConfig) -> Arrays:
        before, after = first_weights(which, settings.seeds, dataset, on_progress)
        return {"before": before, "after": after}

    filmed = keep("film", lambda: trained(film, film._replace(initializer="standard_normal")))
    shifted = keep("shifted", lambda: trained(film._replace(shift=1)))["after"][0]
    decayed = keep("decayed", lambda: trained(film._replace(weight_decay=DECAY)))["after"][0]
    sliding = functools.partial(sliding_filters, settings.sliding_seeds, settings.sliding_steps, dataset)
    filters = keep("sliding", lambda: {"filters": sliding()[0]})["filters"]
    before, after, loud, everywhere = filmed["before"][0], filmed["after"][0], filmed["after"][1], np.ones_like(lit)
    looked_at = {
        "start": (before, everywhere), "everywhere": (after, everywhere), "trained": (after, lit),
        "change": (after - before, lit), "loud": (loud, lit), "decayed": (decayed, lit), "shifted": (shifted, lit),
        "filters": (filters, np.ones(filters.shape[2:], bool)),
    }  # fmt: skip
    found = keep("structure", lambda: _structures(looked_at, settings.draws))
    maps = {name: looked_at[name][0][0] for name in looked_at}
    return known | found | {f"{name}_maps": first for name, first in maps.items()} | {"lit": lit}


def _structures(looked_at: dict[str, tuple[np.ndarray, np.ndarray]], draws: int) -> Arrays:
    arrays = {}
    for i, (name, (maps, mask)) in enumerate(looked_at.items()):
        found = spatial.assess_structure(maps, mask, draws=draws, seed=i)
        arrays |= {f"{name}_{field}": values for field, values in found._asdict().items()}
    return arrays


def kind(arrays: Arrays, name: str) -> str:
    """Classify the maps of a control by the shares of networks with a detection.

    - "random": the tests detect order in no more networks than by chance. (The lower end of the share's interval is not above
      the level.)
    - "almost random": the maps have order, but neighboring pixels are hardly similar.
    - "blobs": the share of networks with detected edges is not above the level, or not above the share for maps with
      blobs only. (The lower end of the interval decides here, too.)
    - "edges": the best edge explains most of a map.
    - "blobs with some edges": all other cases.
    """
    ordered = max(_share(arrays, name, "moran_p", ""), _share(arrays, name, "fit_p", ""), key=lambda found: found.low)
    edges = _share(arrays, name, "edges_p", "")
    if ordered.low <= 100 * LEVEL:
        return "random"
    if float(arrays[f"{name}_moran"].mean()) < FAINT:
        return "almost random"
    if edges.low <= max(100 * LEVEL, _alarms(arrays, name)):
        return "blobs"
    return "edges" if 100 * float(arrays[f"{name}_fit"].mean()) >= MOSTLY else "blobs with some edges"


def _alarms(arrays: Arrays, name: str) -> float:
    """Return the percentage of false detections in maps with blobs only. These maps have the size of the control's maps."""
    return 100 * float((arrays["small_blobs_p" if name == "filters" else "blobs_p"] <= LEVEL).mean())


def _share(arrays: Arrays, name: str, field: str, what: str, **more: Any) -> Finding:
    p = arrays[f"{name}_{field}"]
    return share(what, int((p <= LEVEL).sum()), len(p), **more)


def answer(settings: FirstLayerSettings, arrays: Arrays) -> Answer:
    """Evaluate the measure on maps with known content, then classify the first layers."""
    film, ways = "the film", "the film"
    findings = _qualified(arrays)
    kinds = {name: kind(arrays, name) for name in CONTROLS}
    for name, label in CONTROLS.items():
        source = film if name in ("start", "everywhere", "trained", "change", "loud") else ways
        blobs = number(float(100 * arrays[f"{name}_blobs_fit"][:, 1].mean()))
        fit = mean(
            f"{label}: variance that the best edge explains",
            100 * arrays[f"{name}_fit"],
            source=source,
            unit="% of variance",
        )
        beyond = _share(
            arrays,
            name,
            "edges_p",
            f"{label}: share of networks whose edges are better than in equally smooth blobs",
            source=source,
        )
        if name in ("trained", "loud"):
            loose = judged(fit.value, fit.low, fit.high, most=MOSTLY)
            claim = f"loose patterns, not edges: less than {MOSTLY:.0f} %; "
            fit = fit._replace(published=claim, verdict="missed" if kinds[name] == "random" else loose)
        findings += [
            mean(f"{label}: Moran's I", arrays[f"{name}_moran"], source=source),
            fit._replace(published=f"{fit.published}{blobs} % in equally smooth blobs"),
            _share(
                arrays,
                name,
                "moran_p",
                f"{label}: share of networks in which neighboring pixels are similar",
                source=source,
            ),
            _share(
                arrays,
                name,
                "fit_p",
                f"{label}: share of networks whose edges are better than in shuffled pixels",
                source=source,
            ),
            beyond,
        ]
    return Answer(_words(arrays, kinds, findings), tuple(findings))


def _qualified(arrays: Arrays) -> list[Finding]:
    """Test the measure: does it give false alarms, and does it detect planted edges?"""
    source, rows = MEASURE, []
    for name, p in zip(("Moran's I", "edges' fit"), arrays["random_p"], strict=True):
        rows.append(
            _false_alarms(f"{name}: share of random networks in which order is detected", p, (4.0, 6.0), "5 % ± 1 %")
        )
    for test, (name, amplitude) in enumerate(BARS.items()):
        p = arrays["planted_p"][AMPLITUDES.index(amplitude), test]
        what = f"{name}: share of networks in which planted edges of {amplitude:g} standard deviations are detected"
        rows.append(share(what, int((p <= LEVEL).sum()), len(p), published="95 % or more", source=source, least=95.0))
    for name, size in (("blobs_p", "28 x 28"), ("small_blobs_p", f"{FILTER} x {FILTER}")):
        rows.append(
            _false_alarms(
                f"edges beyond blobs: share of false detections in {size} maps with blobs only",
                arrays[name],
                (0.0, 6.0),
                "at most 5 % ± 1 %",
            )
        )
    for name, field in (("Moran's I", "moran_p"), ("edges' fit", "fit_p")):
        rows.append(
            _share(
                arrays, "filters", field,
                f"{name}: share of convolutional networks with detected order in their filters",
                published="95 % or more", source=source, least=95.0,
            )
        )  # fmt: skip
    return rows


def _false_alarms(what: str, p: np.ndarray, between: tuple[float, float], published: str) -> Finding:
    """Make the finding on the share of false alarms. The verdict depends on the allowed range."""
    found = share(what, int((p <= LEVEL).sum()), len(p), published=published, source=MEASURE)
    return found._replace(verdict=judged(found.value, found.low, found.high, least=between[0], most=between[1]))


def _words(arrays: Arrays, kinds: dict[str, str], findings: list[Finding]) -> str:
    value = lambda name, field: number(float(arrays[f"{name}_{field}"].mean()))
    percent = lambda name: number(float(100 * arrays[f"{name}_fit"].mean()))
    blobs = lambda name: number(float(100 * arrays[f"{name}_blobs_fit"][:, 1].mean()))
    told = lambda name: (
        f"{kinds[name]} (Moran's I {value(name, 'moran')}; the best edge explains {percent(name)} % of a map, "
        f"and {blobs(name)} % of a blob with equal smoothness)"
    )
    tests = [f.verdict for f in findings if f.source == MEASURE]
    trust = (
        f"The measure itself has {len(tests)} tests: {tests.count('reproduced')} passed, {tests.count('missed')} failed, and "
        f"{tests.count('undecided')} are undecided with this number of networks."
    )
    seen = number(_share(arrays, "trained", "edges_p", "").value)
    trust += (
        f" The measure detects edges in {number(_alarms(arrays, 'trained'))} % of {len(arrays['blobs_p'])} networks with blobs "
        f"only, and in {seen} % of the film's networks."
    )
    start = "random, as expected" if kinds["start"] == "random" else f"{kinds['start']}, which is wrong"
    verdicts = {"random": "less than the film's loose patterns", "edges": "more than the film's loose patterns"}
    film = verdicts.get(kinds["trained"], "the film's loose patterns")
    quieter = float(arrays["loud_moran"].mean()) < float(arrays["trained_moran"].mean())
    loud = f"With a start from N(0, 1) the maps look {'more' if quieter else 'not more'} like noise: {told('loud')}."
    others = "; ".join(f"{CONTROLS[name]}: {told(name)}" for name in ("change", "decayed", "shifted"))
    return (
        f"{trust} The random start is {start}. After training, on pixels that are lit in some image, the maps of "
        f"{len(arrays['trained_moran'])} networks of the film are {told('trained')}. This is {film}. {loud} Other groups: "
        f"{others}. The filters of {len(arrays['filters_moran'])} convolutional networks are {told('filters')}."
    )


def plan(settings: FirstLayerSettings) -> str:
    """Write the plan of the experiment in words."""
    return (
        f"{settings.random} random networks and {len(AMPLITUDES)} times {settings.planted} networks with planted edges to test the "
        f"measure; "
        f"{settings.seeds} networks of the film, with weight decay and with shifts, for {settings.epochs} epochs each; "
        f"{settings.sliding_seeds} convolutional networks for {settings.sliding_steps} steps"
    )


QUICK = FirstLayerSettings(seeds=8, epochs=2, sliding_seeds=20, sliding_steps=300, random=200, planted=16, draws=39)
FULL = FirstLayerSettings(
    seeds=20, epochs=25, sliding_seeds=60, sliding_steps=1200, random=2000, planted=100, draws=199
)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (40, 600))
