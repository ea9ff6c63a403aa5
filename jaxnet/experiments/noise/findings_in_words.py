"""The verdict on nonsense in words. All sentences are made from the numbers."""

import numpy as np

from jaxnet.experiments.findings import mean, number
from jaxnet.experiments.noise.view import BETTER, CONFIDENT, TITLES, View, called


def on_nonsense(view: View) -> str:
    """Say whether the networks are confident on nonsense, and which nonsense gets the highest confidence."""
    noise = mean("", view.of("confidence", "film", "as trained", "uniform"))
    digits = view.of("confidence", "film", "as trained", "digits").mean()
    apart = 100 * view.of("auroc", "film", "as trained", "uniform").mean()
    sure = view.of("sure", "film", "as trained", "uniform").mean()
    told = []
    for network in view.networks:
        by_family = {name: view.of("confidence", network, "as trained", name).mean() for name in view.families}
        best = max(by_family, key=lambda name, of=by_family: of[name])
        told.append(f"{TITLES[network]}: {called(best)} ({by_family[best]:.0f} %)")
    start = "may be confident on noise"
    if noise.low >= CONFIDENT:
        start = "is confident on noise"
    elif noise.high < CONFIDENT:
        start = "is not confident on noise"
    compared = "about as confident on noise as on digits"
    if abs(apart - 50) > 10:
        compared = (
            f"more confident on {'digits than on noise' if apart > 50 else 'noise than on digits'} most of the time"
        )
    return (
        f"The film's network {start}: its mean strongest output is {noise.value:.0f} % on uniform noise and {digits:.0f} % on test "
        f"digits, and {number(sure)} % of the noise images have an output of 90 % or more. The network is {compared}: "
        f"in {apart:.0f} of 100 pairs the digit gets more confidence. "
        f"The nonsense with the highest confidence, by network: {'; '.join(told)}."
    )


def on_remedies(view: View) -> str:
    """Say how much temperature, training on nonsense and ensembles help, and what they cost."""
    gains = {
        treatment: 100 * np.mean([view.auroc(n, treatment).mean() - view.auroc(n, "as trained").mean() for n in view.networks])
        for treatment in ("temperature", "ensemble")
    }  # fmt: skip
    errors = [[view.of("ece", n, t).mean() for n in view.networks] for t in ("as trained", "temperature")]
    smaller = sum(after < before for before, after in zip(*errors, strict=True))
    helps = lambda treatment: "helps" if gains[treatment] > 100 * BETTER else "does not help"
    return " ".join((
        f"A temperature makes the calibration error on digits smaller in {smaller} of {len(view.networks)} kinds of network. It "
        f"{helps('temperature')} against nonsense (AUROC {gains['temperature']:+.1f} points on average).",
        *(_on_teaching(view, treatment) for treatment in view.taught),
        f"An ensemble {helps('ensemble')} (AUROC {gains['ensemble']:+.1f} points on average).",
    ))  # fmt: skip


def _on_teaching(view: View, treatment: str) -> str:
    own = treatment.removeprefix("taught ")
    others = [name for name in view.families if name != own]
    gains = {
        n: {name: view.change("auroc", n, treatment, name).mean() for name in view.families} for n in view.networks
    }
    better = [sum(gains[n][name] > BETTER for name in others) for n in view.networks]
    low, high = (f([view.of("auroc", n, treatment, own).mean() for n in view.networks]) for f in (min, max))
    cost = min(view.change("right", n, treatment).mean() for n in view.networks)
    learned = "teaches doubt" if all(of[own] > 0 for of in gains.values()) else "does not teach every network doubt"
    carried = "to some families but not to all"
    if min(better) == len(others):
        carried = "to every other family"
    elif not any(better):
        carried = "to no other family"
    return (
        f"Learning from {called(own)} {learned} about these images (AUROC {low:.3f} to {high:.3f}). The effect carries over "
        f"{carried} ({', '.join(map(str, better))} of {len(others)} families get better in the {len(view.networks)} networks). "
        f"The accuracy on digits changes by {cost:+.2f} points at worst."
    )


def on_blame(view: View) -> str:
    """Say whether the weights from never-lit pixels are part of the reason for confidence on noise."""
    falls = {n: mean("", -view.change("confidence", n, "never-lit erased", "uniform")) for n in view.networks}
    guilty = [TITLES[n] for n in view.networks if view.guilty(n)]
    worst = max(abs(view.change("right", n, "never-lit erased").mean()) for n in view.networks)
    told = ", ".join(f"{-found.value:+.1f}" for found in falls.values())
    blind = view.arrays["blind"].mean(1)
    keep = "keep their random start" if not np.any(view.arrays["moved"]) else "should keep their random start but moved"
    most = max(found.high for found in falls.values())
    verdict = f"do not seem to be part of the reason (the intervals allow at most {max(most, 0.0):.1f} points)"
    if guilty:
        verdict = f"are part of the reason in {', '.join(guilty)}"
    return (
        f"The weights from never-lit pixels {keep}, and {verdict}: without them the confidence on uniform noise changes by {told} "
        f"points, and the accuracy by {worst:.2f} points at most. These weights are {blind.min():.1f} to {blind.max():.1f} % of "
        "the sum of the first layer's squared weights."
    )
