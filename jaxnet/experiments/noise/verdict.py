"""The verdict on networks and nonsense. It is made from the numbers alone."""

from typing import Any

import numpy as np

from jaxnet.experiments.findings import Answer, Arrays, Finding, mean
from jaxnet.experiments.noise.findings_in_words import on_blame, on_nonsense, on_remedies
from jaxnet.experiments.noise.view import CONFIDENT, TITLES, View, called

PAPER = "Hendrycks and Gimpel 2017"

CLOSE = 1.0
"""The largest allowed distance in points between a mean and the number of one published network."""


def answer(settings: Any, arrays: Arrays) -> Answer:
    """Evaluate the confidence on nonsense and on digits, the remedies, and the role of never-lit pixels."""
    view = View(arrays)
    findings = [*_confidence(view), *_paper(settings, view), *_remedies(settings, view), *_causal(view)]
    words = " ".join(say(view) for say in (on_nonsense, on_remedies, on_blame))
    return Answer(words, tuple(findings))


def _confidence(view: View) -> list[Finding]:
    film, row = TITLES["film"], "the film"
    findings = [
        mean(
            f"{film}: strongest output on uniform noise", view.of("confidence", "film", "as trained", "uniform"),
            published=f"confident (taken as at least {CONFIDENT:.0f} %)", source=row, least=CONFIDENT, unit="%",
        )
    ]  # fmt: skip
    findings += [
        mean(
            f"{film}: strongest output on {called(name)}",
            view.of("confidence", "film", "as trained", name),
            source=row,
            unit="%",
        )
        for name in view.sets
        if name != "uniform"
    ]
    for network in view.networks:
        findings += [
            mean(
                f"{TITLES[network]}: entropy of the answer to {called(name)}", view.of("entropy", network, "as trained", name),
                source=row, unit="bits",
            )
            for name in ("digits", "uniform")
        ]  # fmt: skip
        findings += [
            mean(
                f"{TITLES[network]}: share of pairs in which a digit gets more confidence than uniform noise",
                100 * view.of("auroc", network, "as trained", "uniform"),
                published="50 % with equal confidence on noise", source=row, unit="%",
            ),
            mean(
                f"{TITLES[network]}: share of pairs in which a digit gets more confidence than nonsense "
                f"of {len(view.families)} families",
                100 * view.auroc(network, "as trained"), source=row, unit="%",
            ),
        ]  # fmt: skip
    return findings


def _paper(settings: Any, view: View) -> list[Finding]:
    arrays, theirs = view.arrays, "paper_confidence" in view.arrays
    called = f"their network, {settings.paper_epochs} of 30 epochs" if theirs else TITLES["wide"]

    def values(what: str, name: str) -> np.ndarray:
        whole = arrays[f"paper_{what}"] if theirs else arrays[what][view.networks.index("wide"), 0]
        place = ["digits", "uniform", "gaussian"] if theirs else view.sets
        return whole[:, place.index(name)]

    notebook = f"{PAPER}, the authors' notebook"
    return [
        mean(
            f"Gaussian noise: mean softmax confidence ({called})", values("confidence", "gaussian"), published="91 %",
            source=PAPER, equal=91.0, within=CLOSE, unit="%",
        ),
        mean(
            f"Gaussian noise: share of pairs in which a digit gets more confidence ({called})", 100 * values("auroc", "gaussian"),
            published="88.3 %", source=notebook, equal=88.3, within=CLOSE, unit="%",
        ),
        mean(
            f"uniform noise: mean softmax confidence ({called})", values("confidence", "uniform"), published="88.1 %",
            source=notebook, equal=88.1, within=CLOSE, unit="%",
        ),
    ]  # fmt: skip


def _remedies(settings: Any, view: View) -> list[Finding]:
    findings, row = [], "the film"
    for network in view.networks:
        title = TITLES[network]
        findings += [
            mean(f"{title}: calibration error on test digits", view.of("ece", network, "as trained"), source=row, unit="%"),
            mean(
                f"{title}: calibration error with temperature "
                f"{view.arrays['temperature'][view.networks.index(network)].mean():.2f}",
                view.of("ece", network, "temperature"), source=row, unit="%",
            ),
        ]  # fmt: skip
        for treatment in ("temperature", "ensemble", *view.taught):
            findings.append(
                mean(
                    f"{title}, {treatment}: share of pairs in which a digit gets more confidence than nonsense of all families",
                    100 * view.auroc(network, treatment), source=row, unit="%",
                )
            )  # fmt: skip
        disagreement = view.arrays["disagreement"][view.networks.index(network)]
        disagreement = disagreement[np.isfinite(disagreement[:, 1]), 1:]
        findings.append(
            mean(
                f"{title}, ensemble: share of pairs in which its networks disagree more on nonsense than on a digit, all families",
                100 * disagreement.mean(1), source=row, unit="%",
            )
        )  # fmt: skip
        for treatment in view.taught:
            own = treatment.removeprefix("taught ")
            others = [family for family in view.families if family != own]
            gain = 100 * (view.auroc(network, treatment, others) - view.auroc(network, "as trained", others))
            findings += [
                mean(
                    f"{title}, {treatment}: confidence on {called(own)}",
                    view.of("confidence", network, treatment, own), source=row, unit="%",
                ),
                mean(f"{title}, {treatment}: gain of AUROC on other families", gain, source=row, unit="points"),
                mean(
                    f"{title}, {treatment}: gain of accuracy", view.change("right", network, treatment), source=row,
                    unit="points",
                ),
            ]  # fmt: skip
        findings.append(_ensemble_gain(view, network, settings.together))
    return findings


def _ensemble_gain(view: View, network: str, together: int) -> Finding:
    """Make the finding on the accuracy of ensembles, minus the mean accuracy of their own networks."""
    whole = view.of("right", network, "as trained")
    of_ensembles = view.of("right", network, "ensemble")
    alone = whole[: together * len(of_ensembles)].reshape(len(of_ensembles), together).mean(1)
    return mean(
        f"{TITLES[network]}, ensemble: gain of accuracy", of_ensembles - alone, source="the film", unit="points"
    )


def _causal(view: View) -> list[Finding]:
    findings, why = [], "expected: never-lit pixels are part of the reason"
    for i, network in enumerate(view.networks):
        title, dark = TITLES[network], int(view.arrays["dark"][i].sum())
        change = mean("", -view.change("confidence", network, "never-lit erased", "uniform"))
        findings += [
            change._replace(
                what=f"{title}: fall of confidence on uniform noise without its {dark} never-lit pixels",
                published="falls", source=why, unit="points", verdict="reproduced" if view.guilty(network) else "missed",
            ),
            mean(
                f"{title}: fall of confidence on uniform noise without {dark} random other pixels",
                -view.change("confidence", network, "lit erased", "uniform"), source=why, unit="points",
            ),
            mean(
                f"{title}: gain of accuracy without never-lit pixels", view.change("right", network, "never-lit erased"),
                unit="points",
            ),
            mean(
                f"{title}: gain of accuracy without as many random other pixels", view.change("right", network, "lit erased"),
                unit="points",
            ),
            mean(f"{title}: never-lit pixels' share of the squared weights", view.arrays["blind"][i], unit="%"),
        ]  # fmt: skip
    moved = float(np.max(view.arrays["moved"]))
    nan, seeds = float("nan"), view.arrays["moved"].size
    held = "reproduced" if moved == 0 else "missed"
    findings.append(
        Finding(
            "largest move of a weight from a never-lit pixel in training",
            "0: these weights keep their random start",
            why,
            moved,
            nan,
            nan,
            seeds,
            held,
        )
    )
    return findings
