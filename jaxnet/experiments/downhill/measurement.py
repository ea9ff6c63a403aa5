"""How does gradient descent find its way down? Functions of one and two numbers, and the film's cost of 13,002 numbers."""

from typing import Any, NamedTuple

import numpy as np

from jaxnet.analysis import landscape
from jaxnet.core.types import Dataset
from jaxnet.experiments.downhill import film_network, toy_functions
from jaxnet.experiments.findings import Answer, Arrays, Experiment, Finding, Keep, at_once, mean, number, share
from jaxnet.training.progress import OnProgress, no_progress

LARGE = ("starts", "ends", "path")
"""Arrays of parameters. Other parts need these arrays, but no picture shows them."""


class DownhillSettings(NamedTuple):
    """The settings of the experiment.

    Attributes:
        balls: The number of starts on the curve for each learning rate.
        side: The number of starts along each axis of the surface, so the surface has side x side starts.
        seeds: The number of networks for the straight line from start to solution.
        epochs: The epochs of these networks.
        images: The number of training images for the cost on lines and planes.
        points: The number of points along each axis of a plane, so a plane has points x points places.
        step_seeds: The number of networks for each activation and learning rate.
        step_epochs: The epochs of those networks.
    """

    balls: int
    side: int
    seeds: int
    epochs: int
    images: int
    points: int
    step_seeds: int
    step_epochs: int


def measure(
    settings: DownhillSettings,
    dataset: Dataset,
    *,
    keep: Keep = at_once,
    on_progress: OnProgress = no_progress,
) -> Arrays:
    """Compute all descents.

    Returns:
        All arrays of `toy_functions` and `film_network`, without the parameters of the networks.
    """
    few, many = toy_functions, film_network
    curve = keep("curve", lambda: few.on_a_curve(settings.balls))
    surface = keep("surface", lambda: few.on_a_surface(settings.side))
    rates = keep("rates", lambda: few.over_rates(float(curve["bottoms"][0])))
    walked = keep("walk", lambda: many.walk(settings.seeds, settings.epochs, dataset, on_progress))
    starts, ends, path = (walked[name] for name in LARGE)
    batch = many.some(dataset, settings.images)
    slices = keep("gradient", lambda: many.along_the_gradient(starts[0], ends[0], batch))
    planes = keep("planes", lambda: many.planes(starts[0], ends[0], path, batch, settings.points))
    lines = keep("straight", lambda: many.straight(starts, ends, batch))
    steps = keep(
        "steps", lambda: many.on_or_off(settings.step_seeds, settings.step_epochs, dataset, batch, on_progress)
    )
    return {**curve, **surface, **rates, **slices, **planes, **lines, **steps}


def answer(settings: DownhillSettings, arrays: Arrays) -> Answer:
    """Evaluate the valleys, the steps, the shape of the real cost, and whether neurons that are on or off can learn."""
    small = _of_few(arrays)
    large = _of_many(settings, arrays)
    steps = _of_steps(arrays)
    return Answer(" ".join((small[0], large[0], steps[0])), (*small[1], *large[1], *steps[1]))


def _measured(what: str, value: Any, source: str, *, unit: str = "", published: str = "") -> Finding:
    nan = float("nan")
    return Finding(what, published, source, float(value), nan, nan, 0, "measured", unit)


def _held(what: str, value: Any, source: str, published: str, holds: bool, unit: str = "") -> Finding:
    found = _measured(what, value, source, unit=unit, published=published)
    return found._replace(verdict="reproduced" if holds else "missed")


def _of_few(arrays: Arrays) -> tuple[str, list[Finding]]:
    gentle = arrays["basin_reached"][0]
    lowest = 100 * float((gentle == 0).mean())
    valleys = len(set(gentle[gentle >= 0].tolist()))
    steps = np.abs(np.diff(arrays["step_positions"], axis=1))
    left = np.abs(arrays["step_positions"][:, -1])
    compass = float(arrays["compass"].max())
    # The largest stable rates of plain descent, one for each function.
    edges = [toy_functions.edge(arrays["scaled"], one) for one in arrays["arrival"][:, 0]]
    heavy = toy_functions.edge(arrays["scaled"], arrays["arrival"][0, 1])
    spacing = {2.0: 0.02, 3.8: 0.05}
    findings = [
        _measured("one number: number of valleys in which balls come to rest", valleys, "the film"),
        _measured("one number, small steps: share of the balls that find the lowest valley", lowest, "the film", unit="%"),
        _held(
            "steps proportional to the slope: length of step 14, divided by the length of step 1", 100 * steps[0, -1] / steps[0, 0],
            "the film", "they shrink", bool((np.diff(steps[0]) < 0).all()), "%",
        ),
        _measured("steps of fixed length 0.7: distance from the bottom after 14 steps", left[1], "the film"),
        _held(
            "two numbers: largest angle between minus the gradient and the steepest of 3,600 short steps", compass,
            "the film", "0", compass <= 0.1, "degrees",
        ),
    ]  # fmt: skip
    findings += [
        _held(
            f"largest learning rate that reaches the bottom, times the curvature: {name}", edge,
            "stability of gradient descent", "2", bool(abs(edge - 2) <= 1.01 * spacing[2.0]),
        )
        for name, edge in zip(toy_functions.TESTED, edges, strict=True)
    ]  # fmt: skip
    findings.append(
        _held(
            "largest learning rate that reaches the bottom, times the curvature: momentum 0.9 on the bowl", heavy,
            "Polyak 1964 [from memory]", "3.8", bool(abs(heavy - 3.8) <= 1.01 * spacing[3.8]),
        )
    )  # fmt: skip
    words = (
        f"A ball on the curve comes to rest in one of {valleys} valleys, depending on its start; {lowest:.0f} % of the starts find "
        f"the lowest valley. The largest stable learning rate is {min(edges):.2f} to {max(edges):.2f} divided by the curvature."
    )
    return words, findings


def _of_many(settings: DownhillSettings, arrays: Arrays) -> tuple[str, list[Finding]]:
    fractions, costs = arrays["straight_fractions"], arrays["straight_costs"]
    between = (fractions >= -1e-9) & (fractions <= 1 + 1e-9)
    inside = costs[:, between]
    bumps = np.array([landscape.largest_rise(one) for one in inside])
    falls = 100 * bumps / (inside[:, 0] - inside[:, -1])
    monotone, seeds = int((bumps == 0).sum()), len(bumps)
    held = 100 * float(arrays["explained"][:2].sum())
    wandered = 100 * float(arrays["wandered"][:2].sum())
    middle = arrays["random_z"].shape[-1] // 2
    around = arrays["random_z"] - arrays["random_z"][:, middle : middle + 1, middle : middle + 1]
    best, bends = arrays["gradient_best"], arrays["gradient_bends"]
    findings = [
        share(
            "straight line from start to solution: share of the seeds for which the cost never rises", monotone, seeds,
            published="falls monotonically", source="Goodfellow et al. 2015", least=100.0,
        ),
        mean(
            "straight line: largest rise of the cost, divided by the whole fall", falls, source="Goodfellow et al. 2015",
            unit="%",
        ),
        _measured(
            "share of the path's variance in its two main directions", held, "Li et al. 2018, section 7", unit="%",
            published=f"a random walk with the same number of steps: {wandered:.1f} %",
        ),
        _measured("start: best learning rate for one step down the whole gradient", best[0], "the film"),
        _measured("after training: best learning rate for one step down the whole gradient", best[1], "the film"),
        _measured("start: 2 / curvature along the gradient", 2 / bends[0], "the film"),
        _measured("after training: 2 / curvature along the gradient", 2 / bends[1], "the film"),
        _measured(
            "random plane around the start: largest difference of the cost from the start", np.abs(around[0]).max(),
            "Li et al. 2018", unit="cost",
        ),
        _measured("random plane around the solution: largest rise of the cost", around[1].max(), "Li et al. 2018", unit="cost"),
        _measured(
            "random plane around the solution: how far the lowest point is below the solution", 0 - around[1].min(),
            "Li et al. 2018", unit="cost",
        ),
    ]  # fmt: skip
    words = (
        f"On the straight line from start to solution the cost of 13,002 parameters never rises for {monotone} of {seeds} seeds."
        + (f" The largest rise is {falls.max():.2g} % of the whole fall." if monotone < seeds else "")
        + f" The plane of the path has {held:.0f} % of the path's variance. The plane of a random walk has {wandered:.0f} %."
    )
    return words, findings


def _of_steps(arrays: Arrays) -> tuple[str, list[Finding]]:
    alive, right, moved = arrays["sharp_alive"], arrays["sharp_right"], arrays["sharp_moved"]
    below = int(alive[-1, :, :-1].sum())
    findings = [
        _held(
            "step activation: number of the gradient's 12,832 components below the last layer that are not "
            "exactly zero",
            below, "the film", "0", below == 0,
        ),
        _held(
            "step activation: number of parameters below the last layer that training changed", moved[:, -1].sum(), "the film", "0",
            bool(moved[:, -1].sum() == 0),
        ),
    ]  # fmt: skip
    for i, rate in enumerate(film_network.SHARP_RATES):
        for j in (0, len(film_network.SHARPNESS) - 2, len(film_network.SHARPNESS) - 1):
            k = film_network.SHARPNESS[j]
            name = f"sigmoid({k:g} z)" if np.isfinite(k) else "step"
            findings.append(mean(f"{name}, learning rate {rate:g}: right", right[i, j], source="the film", unit="%"))
    growth = np.exp(np.log(arrays["sharp_norms"][-2, :, 0] / arrays["sharp_norms"][0, :, 0]).mean())
    findings.append(_measured("first layer's gradient: ratio of sigmoid(64 z) to sigmoid(z)", growth, "the film"))
    learns = "gets no gradient at all below its last layer and reaches" if below == 0 else "still reaches"
    best = right.mean(2)
    words = (
        f"A network of neurons that are on or off {learns} {best[:, -1].max():.0f} % of the test images. With the smooth "
        f"sigmoid the network reaches {best[:, 0].max():.0f} %. The function sigmoid(64 z) is nearly "
        f"a step. With this function and the film's rate, the network reaches {number(float(best[0, -2]))} %."
    )
    return words, findings


def plan(settings: DownhillSettings) -> str:
    """Write the plan of the experiment in words."""
    networks = 2 * len(film_network.SHARPNESS) * settings.step_seeds
    return (
        f"{40 * settings.balls:,} balls on a curve and {3 * settings.side**2:,} balls on a surface; {settings.seeds} networks of "
        f"the film for {settings.epochs} epochs, their cost on lines and three planes of {settings.points} x "
        f"{settings.points} points; {networks} networks with steeper and steeper activations; epochs: {settings.step_epochs}"
    )


QUICK = DownhillSettings(301, 100, 5, 4, 2_000, 31, 3, 1)
FULL = DownhillSettings(601, 400, 20, 25, 10_000, 51, 10, 5)

experiment = Experiment(QUICK, FULL, measure, answer, plan, (30, 240))
