"""Descents on functions of one and two numbers: balls, steps, valleys, and the largest stable steps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jaxnet.analysis import landscape
from jaxnet.experiments.findings import Arrays

METHODS = {"plain": optax.sgd, "momentum 0.9": functools.partial(optax.sgd, momentum=0.9), "Adam": optax.adam}
"""Optimizers by name. Each value is a function from a learning rate to an optimizer."""

EDGES = (2.0, 3.8, np.inf)
"""The largest stable rate times curvature on a quadratic: 2 for plain descent, 2 (1 + 0.9) for momentum, no limit for Adam."""

WAYS = ("proportional, rate 0.4", "fixed length 0.7", "too long, rate 1.9", "beyond the edge, rate 2.1")
"""Four kinds of step on the parabola. The parabola has curvature 1."""

BALLS = (0.003, 0.05, 0.17, 0.4)
"""The learning rates of the balls on the curve."""

TESTED: dict[str, tuple[Callable[[Any], Any], Any, Any, int, Any]] = {
    "bowl": (landscape.bowl, (0.0, 0.0), (4.0, 1.0), 2_000, (0.18, 0.02, 0.4)),
    "Rosenbrock's valley": (landscape.rosenbrock, (1.0, 1.0), (1.2, 1.2), 12_000, (0.0015, 0.0004, 0.05)),
    "the curve": (landscape.hills, None, -0.2, 2_000, None),
}
"""The tested functions by name.

Each entry has the function, the place of its bottom, the start for all learning rates, the number of steps, and the
rates of the drawn paths. The place of the bottom is None if descents must find the bottom first.
"""

DRAWN = {"bowl": ((-4.5, 1.6), 40), "Rosenbrock's valley": ((-1.2, 1.0), 1000)}
"""The start and the number of steps of the drawn paths, by the name of the function."""

RACE = (0.06, 1.3)
"""The start of the race: slightly to the right of the pass between the wells."""

RACE_RATES = (0.15, 0.03, 0.1)
"""The learning rates of the race, one for each method."""


def on_a_curve(starts: int) -> Arrays:
    """Compute descents on the film's function of one number, and the four kinds of step on a parabola.

    Args:
        starts: The number of balls for each of 40 learning rates. They start at evenly spaced places from -6 to 6.

    Returns:
        The arrays by name:

        - `curve_x`, `curve_y` (place,): the curve.
        - `ball_positions`, `ball_values` (ball, step): the places and heights of the balls.
        - `basin_starts` (start,), `basin_rates` (rate,): the starts and learning rates of the balls on the curve.
        - `basin_reached` (rate, start): the number of the valley that each ball reaches.
        - `bottoms`, `bottom_values` (valley,): the places and heights of the bottoms.
        - `step_positions`, `step_values` (way, step): the four kinds of step.
    """
    across, where = np.linspace(-6.6, 6.6, 1001), np.linspace(-6, 6, starts)
    rates = np.geomspace(0.02, 0.5, 40)
    walk = landscape.descend(
        landscape.hills, np.tile(where, 40), optax.sgd, 1000, rates=np.repeat(rates, starts), every=1000
    )
    found = landscape.basins(walk)
    balls = landscape.descend(landscape.hills, np.full(len(BALLS), -4.8), optax.sgd, 44, rates=BALLS)
    pulled = landscape.descend(landscape.parabola, np.full(3, 4.0), optax.sgd, 14, rates=[0.4, 1.9, 2.1])
    fixed = landscape.descend(landscape.parabola, [4.0], optax.sign_sgd(0.7), 14)
    ways = lambda part: np.stack([part(pulled)[0], part(fixed)[0], part(pulled)[1], part(pulled)[2]])
    return {
        "curve_x": across, "curve_y": _heights(landscape.hills, across),
        "ball_positions": balls.positions, "ball_values": balls.values,
        "basin_starts": where, "basin_rates": rates, "basin_reached": found.reached.reshape(40, starts),
        "bottoms": found.bottoms, "bottom_values": found.values,
        "step_positions": ways(lambda walk: walk.positions), "step_values": ways(lambda walk: walk.values),
    }  # fmt: skip


def on_a_surface(side: int) -> Arrays:
    """Compute descents on functions of two numbers, and whether minus the gradient is the steepest way down.

    Args:
        side: The number of starts on each axis, for the map of the valleys.

    Returns:
        The arrays by name:

        - `valley_axis` (place,), `valley_z` (y, x): the starts on both axes, and the surface.
        - `valley_reached` (way, y, x), `valley_bottoms` (valley, 2): the valley that is reached, and the bottoms.
        - `race` (method, step, 2), `race_values` (method, step): the paths of the race and their heights.
        - `race_x`, `race_y`, `race_z`: the surface of the race.
        - `compass` (place,): the angle in degrees between minus the gradient and the best of 3,600 short steps.
    """
    axis = np.linspace(-5.5, 5.5, side)
    starts = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    plain = landscape.descend(
        landscape.himmelblau, np.tile(starts, (2, 1)), optax.sgd, 1500,
        rates=np.repeat([0.002, 0.0138], len(starts)), every=1500,
    )  # fmt: skip
    heavy = landscape.descend(landscape.himmelblau, starts, optax.sgd(0.002, momentum=0.9), 1500, every=1500)
    found = landscape.basins(landscape.Walk(*map(np.concatenate, zip(plain, heavy, strict=True))))
    walks = [
        landscape.descend(landscape.two_wells, [RACE], make, 80, rates=[rate])
        for make, rate in zip(METHODS.values(), RACE_RATES, strict=True)
    ]
    x, y = np.linspace(-1.6, 1.6, 81), np.linspace(-1.5, 1.5, 81)
    return {
        "valley_axis": axis, "valley_reached": found.reached.reshape(3, side, side), "valley_bottoms": found.bottoms,
        "valley_z": _surface(landscape.himmelblau, axis, axis), "race": np.concatenate([w.positions for w in walks]),
        "race_values": np.concatenate([w.values for w in walks]),
        "race_x": x, "race_y": y, "race_z": _surface(landscape.two_wells, x, y),
        "compass": off_course(landscape.himmelblau, starts[:: max(1, len(starts) // 200)]),
    }  # fmt: skip


def off_course(function: Callable[[Any], Any], places: np.ndarray, *, length: float = 1e-4) -> np.ndarray:
    """Compute the angle in degrees between minus the gradient and the steepest of 3,600 short steps in all directions."""
    with jax.enable_x64(True):
        slopes = np.asarray(jax.jit(jax.vmap(jax.grad(function)))(places))
        turns = np.linspace(-np.pi, np.pi, 3600, endpoint=False)
        around = length * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        values = np.asarray(jax.jit(jax.vmap(jax.vmap(function)))(places[:, None] + around[None]))
    best = turns[values.argmin(1)]
    off = best - np.arctan2(-slopes[:, 1], -slopes[:, 0])
    return np.degrees(np.abs((off + np.pi) % (2 * np.pi) - np.pi))


def over_rates(deepest: float) -> Arrays:
    """Compute the number of steps to the bottom for every learning rate, and some paths.

    Args:
        deepest: The place of the bottom of the curve's deepest valley.

    Returns:
        The arrays by name:

        - `scaled` (rate,): the learning rate times the largest curvature at the bottom.
        - `arrival` (function, method, rate): the number of steps, as in `arrival`.
        - `curvature` (function,): the largest curvature at the bottom.
        - `paths_I` (method, step, 2): the paths on function number I, if it is a function of two numbers.
        - `paths_I_x`, `paths_I_y`, `paths_I_z`: the surface of this function.
    """
    scaled = np.concatenate([np.arange(1, 130) / 50, np.arange(53, 86) / 20])
    arrays: Arrays = {"scaled": scaled}
    arrivals, bends = [], []
    for i, (name, (function, known, start, steps, drawn)) in enumerate(TESTED.items()):
        bottom = deepest if known is None else known
        bends.append(landscape.curvatures(function, bottom)[-1])
        least = float(_heights(function, np.asarray(bottom)[None])[0])
        starts, own, paths = np.repeat(np.asarray([start]), len(scaled), axis=0), scaled / bends[-1], []
        for j, make in enumerate(METHODS.values()):
            if drawn is not None:  # the drawn path is computed in this compiled program, too
                where, length = DRAWN[name]
                starts_now, rates = np.concatenate([starts, [where]]), np.append(own, drawn[j])
                walk = landscape.descend(function, starts_now, make, steps, rates=rates)
                paths.append(walk.positions[-1, : length + 1])
            else:
                walk = landscape.descend(function, starts, make, steps, rates=own)
            arrivals.append(arrival(walk.values[: len(scaled)], least))
        if paths:
            shown = np.concatenate([*paths, [bottom]])
            low, high = shown.min(0), shown.max(0)
            room = 0.1 * (high - low) + 0.2
            x, y = (np.linspace(low[k] - room[k], high[k] + room[k], 81) for k in range(2))
            arrays |= {f"paths_{i}": np.stack(paths), f"paths_{i}_x": x, f"paths_{i}_y": y}
            arrays[f"paths_{i}_z"] = _surface(function, x, y)
    return arrays | {
        "arrival": np.reshape(arrivals, (len(TESTED), len(METHODS), -1)), "curvature": np.array(bends),
    }  # fmt: skip


def arrival(values: Any, least: float, *, fraction: float = 1e-6) -> np.ndarray:
    """Count the steps until the height above the bottom stays below a fraction of the first height.

    Args:
        values: The heights of each walk, (walk, step).
        least: The value at the bottom.
        fraction: The limit, as a fraction of the first height above the bottom.

    Returns:
        The number of steps, (walk,). It is NaN if the walk did not arrive, and infinity if the walk diverged.
    """
    height = np.asarray(values, np.float64) - least
    # The absolute value: a walk that ends in another, lower valley did not arrive at this bottom.
    out = ~(np.abs(height) <= fraction * height[:, :1])
    steps = np.where(out[:, -1], np.nan, height.shape[1] - np.argmax(out[:, ::-1], axis=1))
    return np.where(np.isfinite(height[:, -1]), steps, np.inf)


def edge(scaled: np.ndarray, arrivals: np.ndarray) -> float:
    """Find the largest stable rate times curvature.

    The search begins at the first value whose descent reaches the bottom. The result is the last value before the
    first failure.
    """
    arrived = np.isfinite(arrivals)
    if not arrived.any():
        return float("nan")
    first = int(arrived.argmax())
    lost = np.flatnonzero(~arrived[first:])
    return float(scaled[first + lost[0] - 1] if len(lost) else scaled[-1])


def _heights(function: Callable[[Any], Any], places: Any) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(function))(np.asarray(places, np.float64)))


def _surface(function: Callable[[Any], Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the heights of a surface, with a row for every y and a column for every x."""
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return _heights(function, places).reshape(len(y), len(x))
