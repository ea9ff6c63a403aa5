"""The verdict on memorizing: numbers with intervals, and sentences. The sentences are made from the numbers."""

import math
from typing import Any

import numpy as np

from jaxnet.experiments.findings import Answer, Arrays, Finding, mean, number, share
from jaxnet.experiments.memorization.controls import CONTROLS
from jaxnet.experiments.memorization.fitting import FITTED, fitted_up_to, steps_to, straightness

ZHANG, ARPIT = "Zhang et al. 2017", "Arpit et al. 2017"
STRAIGHT = 0.9
"""A curve counts as almost straight if R squared of the best straight line is at least this value."""


def same_bits(arrays: Arrays) -> np.ndarray:
    """Say for each seed whether both trainings had the same start and order of images, up to the end of the shorter one."""
    both = min(len(arrays["true_order"]), len(arrays["shuffled_order"]))
    order = both > 0 and bool((arrays["true_order"][:both] == arrays["shuffled_order"][:both]).all())
    return (arrays["true_start"] == arrays["shuffled_start"]) & order


def to_fit(arrays: Arrays, kind: str) -> np.ndarray:
    """Return the number of steps until the labels were fitted, for each seed; NaN if they were not fitted."""
    return steps_to(arrays[f"{kind}_steps"], arrays[f"{kind}_right"], FITTED)


def straight(arrays: Arrays, kind: str) -> np.ndarray:
    """Return R squared of a straight line through the training error until the labels were fitted (or to the end)."""
    steps, until = arrays[f"{kind}_steps"], to_fit(arrays, kind)
    ends = np.where(np.isfinite(until), until, steps[-1])
    errors = 100 - arrays[f"{kind}_right"]
    return np.array([straightness(steps, errors[:, seed], float(end)) for seed, end in enumerate(ends)])


def capacities(arrays: Arrays, enough: float | int) -> np.ndarray:
    """Return the largest number of images that each network still fits. The axes are network shape and seed."""
    return np.array([[fitted_up_to(arrays["counts"], own, enough) for own in shape.T] for shape in arrays["capacity"]])


def _some(what: str, values: Any, **more: Any) -> Finding:
    """Make a finding from a mean. If some networks gave no number, the finding says how many, and has no mean."""
    values = np.asarray(values, np.float64)
    missing = int((~np.isfinite(values)).sum())
    if not missing:
        return mean(what, values, **more)
    nan = math.nan
    told = f"{what}: {missing} of {len(values)} outside the tested range"
    verdict = "undecided" if {"least", "most"} & set(more) else "measured"
    return Finding(told, more.get("published", ""), more.get("source", ""), nan, nan, nan, len(values), verdict)


def judge_all(settings: Any, arrays: Arrays) -> Answer:
    """Make all findings in the order of the questions, and the verdict in words."""
    return Answer(
        _words(settings, arrays), (*_curves(settings, arrays), *_capacity(settings, arrays), *_noise(settings, arrays))
    )


def _curves(settings: Any, arrays: Arrays) -> list[Finding]:
    wide = f"784-{'-'.join(map(str, settings.hidden))}-10, {settings.images:,} images"
    film = f"784-16-16-10, {settings.images:,} shuffled labels, {settings.epochs} epochs"
    same, rows = same_bits(arrays), "the film"
    return [
        share(
            "share of the seeds whose start and order of images are bit-identical for true and shuffled labels",
            int(same.sum()), len(same),
            published="same start, same order", source=rows, least=100.0,
        ),
        mean("share of the shuffled labels that are right by chance", arrays["unchanged"], published="10 %, by chance", unit="%"),
        Finding(
            "smallest p-value of the shuffled labels (chi-squared test of independence from the true labels)", "", "",
            float(arrays["doubt"].min()), math.nan, math.nan, len(same), "measured",
        ),
        mean(
            f"{wide}, shuffled labels: share that is fitted", arrays["shuffled_right"][-1], published="99.3 % (CIFAR-10)",
            source=f"{ZHANG}; {rows}", least=FITTED, unit="%",
        ),
        mean(
            f"{wide}, shuffled labels: share of test images that is read correctly", arrays["shuffled_test"], published="10 ± 1 %",
            source=ZHANG, least=9.0, most=11.0, unit="%",
        ),
        mean(f"{wide}, true labels: share that is fitted", arrays["true_right"][-1], source=ZHANG, unit="%"),
        mean(f"{wide}, true labels: share of test images that is read correctly", arrays["true_test"], source=ZHANG, unit="%"),
        _some(
            f"{wide}: steps to fit {FITTED} % of the labels, ratio of shuffled to true labels (one evaluation each "
            "time the steps grow by 15 %)",
            to_fit(arrays, "shuffled") / to_fit(arrays, "true"), published="1.5 to 3.5 (CIFAR-10)", source=ZHANG,
            least=1.5, most=3.5,
        ),
        mean(
            f"{wide}, shuffled labels: R² of a straight line through the training error", straight(arrays, "shuffled"),
            published="almost linear", source=f"the film; {ARPIT}", least=STRAIGHT,
        ),
        mean(
            f"{wide}, true labels: R² of a straight line through the training error", straight(arrays, "true"),
            published="fast", source="the film",
        ),
        mean(f"{film}, with the film's settings: share that is fitted", arrays["film_right"],
             published="cannot fit them", source=rows, most=FITTED - 0.1, unit="%"),
        mean(f"{film}, with ReLU, cross-entropy and Adam: share that is fitted", arrays["shape_right"],
             published="cannot fit them", source=rows, most=FITTED - 0.1, unit="%"),
    ]  # fmt: skip


def _capacity(settings: Any, arrays: Arrays) -> list[Finding]:
    shapes = list(zip(arrays["hidden"].tolist(), arrays["parameters"].tolist(), strict=True))
    found = []
    for enough in (99, 50):
        for (hidden, parameters), values in zip(shapes, capacities(arrays, enough), strict=True):
            what = (
                f"784-{hidden}-10 ({parameters:,} parameters): largest number of shuffled labels that are fitted to {enough} % "
                f"within {settings.capacity_steps:,} steps"
            )
            found.append(_some(what, values, source="the film"))
    return found


def _noise(settings: Any, arrays: Arrays) -> list[Finding]:
    what = f"784-{settings.control_hidden}-10, {settings.control_images:,} images"
    found = [
        mean(
            f"{what}: smallest percentage of fitted labels over all shares of shuffled labels",
            arrays["noise_train"].min(0), published="100 %", source=ZHANG, least=FITTED, unit="%",
        )
    ]  # fmt: skip
    for part, test in zip(settings.shares, arrays["noise_test"], strict=True):
        found.append(
            mean(
                f"{what}, {100 * part:.0f} % shuffled: share of test images that is read correctly",
                test,
                source=ZHANG,
                unit="%",
            )
        )
    for kind, right, test, ratio in zip(
        CONTROLS, arrays["control_right"], arrays["control_test"], _ratios(arrays), strict=True
    ):
        last = right[np.isfinite(right[:, 0])][-1]
        found.append(
            mean(
                f"{what}, {kind}: share of labels that is fitted",
                last,
                published="100 %",
                source=ZHANG,
                least=FITTED,
                unit="%",
            )
        )
        found.append(mean(f"{what}, {kind}: share of test images that is read correctly", test, source=ZHANG, unit="%"))
        if kind != CONTROLS[0]:
            found.append(
                _some(f"{what}, {kind}: steps to fit, divided by the steps for true labels", ratio, source=ZHANG)
            )
    return found


def _ratios(arrays: Arrays) -> np.ndarray:
    return arrays["control_to_fit"] / arrays["control_to_fit"][:1]


def _words(settings: Any, arrays: Arrays) -> str:
    right, test = arrays["shuffled_right"][-1].mean(), arrays["shuffled_test"].mean()
    ratio = float((to_fit(arrays, "shuffled") / to_fit(arrays, "true")).mean())
    bends = {kind: float(straight(arrays, kind).mean()) for kind in ("true", "shuffled")}
    fitted, ignorant = right >= FITTED, abs(test - 10) <= 1
    hidden = " + ".join(map(str, settings.hidden))
    first = (
        f"With the same start and the same order, a network with {hidden} hidden neurons fits {right:.2f} % of "
        f"{settings.images:,} shuffled labels. Afterwards the network reads {test:.1f} % of the test images"
        f"{': it memorizes, and understands nothing' if fitted and ignorant else ''}."
    )
    longer = (
        f"Shuffled labels take {number(ratio)} times as many steps as true labels"
        if math.isfinite(ratio)
        else "True or shuffled labels were not fitted in these steps"
    )
    almost = " almost" if bends["shuffled"] >= STRAIGHT else ", but not quite"
    second = (
        f"{longer}. The error of shuffled labels falls{almost} along a straight line (R² is {bends['shuffled']:.2f}, and for true "
        f"labels {bends['true']:.2f})."
    )
    film, shape = arrays["film_right"].mean(), arrays["shape_right"].mean()
    able = "can also" if max(film, shape) >= FITTED else "cannot"
    third = (
        f"The film's 13,002 parameters {able} fit the shuffled labels with the same number of epochs: they fit "
        f"{film:.1f} % of the labels with the film's settings and {shape:.1f} % with today's methods."
    )
    limits = capacities(arrays, 99)
    known = [
        f"{number(values.mean())} by 784-{hidden}-10"
        for hidden, values in zip(arrays["hidden"], limits, strict=True) if np.isfinite(values).all()
    ]  # fmt: skip
    fourth = f"The largest numbers of shuffled labels that are fitted to 99 % are {', '.join(known)}." if known else ""
    falls = np.diff(arrays["noise_test"].mean(1))
    fifth = (
        f"If more of the labels are shuffled, {'all' if arrays['noise_train'].mean(1).min() >= FITTED else 'not all'} labels are "
        f"still fitted, and the accuracy on test images goes from {arrays['noise_test'][0].mean():.1f} to "
        f"{arrays['noise_test'][-1].mean():.1f} %{', step by step' if (falls < 0).all() else ''}."
    )
    ratios = _ratios(arrays).mean(1)
    sixth = (
        f"Noise images are {'' if ratios[4] < ratios[1] else 'not '}fitted faster than shuffled labels. Noise images "
        f"take {number(float(ratios[4]))} times as many steps as true labels, and shuffled labels "
        f"take {number(float(ratios[1]))} times as many steps as true labels."
        if np.isfinite(ratios[[1, 4]]).all()
        else ""
    )
    return " ".join(part for part in (first, second, third, fourth, fifth, sixth) if part)
