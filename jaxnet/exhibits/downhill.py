"""How does it find its way down, on show: balls, steps, valleys, paths, and the real cost in slices and planes."""

import jax
import numpy as np

from jaxnet import landscape
from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import downhill
from jaxnet.experiments import downhill_network as network
from jaxnet.experiments import downhill_valleys as valleys
from jaxnet.experiments.findings import Arrays
from jaxnet.plot import hills, hills_films, slices
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.downhill` to its pictures."""
    return {**_of_few(arrays), **_of_two(arrays), **_of_many(arrays)}


def _of_few(arrays: Arrays) -> dict[str, Picture | Moving]:
    part = 100 * (arrays["basin_reached"][0] == 0).mean()
    return {
        "ball": Moving(
            hills_films.rolling(
                arrays["curve_x"], arrays["curve_y"], arrays["ball_positions"], arrays["ball_values"],
                [f"learning rate {rate:g}" for rate in valleys.BALLS], title="The same ball, the same curve, different steps",
            ),
            "Each frame is one step. All balls start at the same place; the trail shows where a ball was.",
        ),
        "steps": Picture(
            hills.kinds_of_steps(
                arrays["step_positions"], arrays["step_values"], valleys.WAYS, height=lambda x: x**2 / 2,
                title="Steps proportional to the slope shrink near the bottom",
            ),
            "A parabola of curvature 1. Above: every dot is a place, the larger dot is the last one. Below: the length of each "
            "step; the bars are blue while the steps shrink, otherwise orange. The edge between overshooting and "
            "diverging is the rate 2 / curvature.",
        ),
        "valleys": Picture(
            hills.valleys_on_a_curve(
                arrays["curve_x"], arrays["curve_y"], arrays["bottoms"], arrays["basin_starts"], arrays["basin_rates"],
                arrays["basin_reached"], title=f"Which valley? {part:.0f} % of the starts find the lowest",
            ),
            "Every start has the color of the valley that the ball reaches from there. Above: small steps, and the share of the "
            "starts that reach each valley. Below: learning rates up to far too large ones; where the ball never comes to rest, "
            "there is no color.",
        ),
        "rates": Picture(
            hills.steps_by_rate(
                arrays["scaled"], arrays["arrival"], list(valleys.TESTED), list(valleys.METHODS), valleys.EDGES,
                title="How long may a step be? Up to 2 / curvature",
            ),
            "Steps until the height stays below a millionth of the start's. Dashed: the edge on a quadratic, 2 for plain "
            "descent and 3.8 with momentum. Above: dots did not arrive, crosses left for infinity.",
        ),
    }  # fmt: skip


def _of_two(arrays: Arrays) -> dict[str, Picture | Moving]:
    x, y, z = (arrays[f"race_{name}"] for name in "xyz")
    methods = [f"{name}, {rate:g}" for name, rate in zip(valleys.METHODS, valleys.RACE_RATES, strict=True)]
    maps = []
    for i, name in enumerate(valleys.DRAWN):
        across, up, height = (arrays[f"paths_{i}_{part}"] for part in "xyz")
        maps.append((name, across, up, height, arrays[f"paths_{i}"], valleys.TESTED[name][1]))
    return {
        "steepest": Picture(
            hills.steepest(
                x, y, z, arrays["race"][0], arrays["race_values"][0],
                title="A function of two numbers: walk against the gradient",
            ),
            "The arrows point against the gradient; the steeper the ground, the longer the arrow. The walk slows down at the pass "
            "between two valleys.",
        ),
        "race": Moving(
            hills_films.race(
                x, y, z, arrays["race"], arrays["race_values"], methods, title="Plain, momentum, Adam", every=3
            ),
            "Three ways down from a start just to the right of the pass between two valleys. Each frame is three steps; "
            "the numbers are learning rates.",
        ),
        "paths": Picture(
            hills.paths_down(maps, list(valleys.METHODS), title="A narrow bowl and a bent valley"),
            "The same start and number of steps, 40 and 1,000; the star is the bottom: plain descent zigzags where curvatures "
            "differ.",
        ),
        "basins": Picture(
            hills.valleys_on_a_plane(
                arrays["valley_axis"], arrays["valley_z"], arrays["valley_reached"], arrays["valley_bottoms"],
                ["small steps (0.002)", "steps near the edge (0.0138)", "momentum 0.9 (0.002)"],
                title="Which of four valleys? It depends on where you start, and on the steps",
            ),
            "Himmelblau's function: every start in the color of the valley it reaches. Long steps and momentum redraw the borders.",
        ),
    }  # fmt: skip


def _of_many(arrays: Arrays) -> dict[str, Picture | Moving]:
    seeds, alive = len(arrays["straight_costs"]), arrays["sharp_alive"][-1, :, :-1].sum()
    z = np.linspace(-2.5, 2.5, 501)
    curves = np.asarray(
        jax.vmap(lambda k: jax.vmap(lambda one: network.sharpened(k, one))(z))(np.asarray(network.SHARPNESS))
    )
    held = 100 * arrays["explained"][:2].sum()
    climbs = [
        landscape.largest_rise(line[(arrays["straight_fractions"] >= 0) & (arrays["straight_fractions"] <= 1)])
        for line in arrays["straight_costs"]
    ]
    return {
        "gradient": Picture(
            slices.down_the_gradient(
                arrays["gradient_rates"], arrays["gradient_costs"], arrays["gradient_norms"], ["random start", "trained"],
                steps=(1.5, 10, 20), title="The real cost along its own gradient",
            ),
            "The cost of 13,002 parameters after one step with every learning rate; dashed, what the gradient promises.",
        ),
        "path": Picture(
            slices.plane_of_a_path(
                arrays["path_x"], arrays["path_y"], arrays["path_z"], arrays["path_places"], arrays["path_costs"],
                arrays["explained"],
                title=f"The path really walked, on its own plane ({held:.0f} % of its variance)",
            ),
            "The plane through the solution along the two main directions of the path; the dashed line has its true cost. On its "
            f"own plane a random walk of as many steps would hold {100 * arrays['wandered'][:2].sum():.0f} %.",
        ),
        "random": Picture(
            slices.random_planes(
                arrays["random_axis"], arrays["random_z"], ["around the random start", "around the solution"],
                title="Two random directions, rescaled neuron by neuron",
            ),
            "The real cost where every neuron's weights are moved by up to their own length in both directions.",
        ),
        "straight": Picture(
            slices.straight_lines(
                arrays["straight_fractions"], arrays["straight_costs"],
                title=f"Straight from start to solution: {sum(c == 0 for c in climbs)} of {seeds} only fall",
            ),
            "The cost on the straight line, never walked, between each random start and what training made of it.",
        ),
        "on-or-off": Picture(
            slices.on_or_off(
                network.SHARPNESS, curves, z, arrays["sharp_norms"], arrays["sharp_right"], network.SHARP_RATES,
                title="A neuron that is on or off cannot learn" if alive == 0 else "From smooth to on or off",
            ),
            "Left: the film's sigmoid, made steeper until it is a step. Middle: the gradient of each layer at the start; with a "
            "step it is exactly zero below the last layer. Right: how many test images such networks read after training.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "downhill",
    "How does it find its way down?",
    "Follow the slope to a local minimum; which one depends on where you start. Steps proportional to the slope shrink near the "
    "bottom. The same in 13,002 dimensions, if the cost is smooth.",
    downhill.experiment,
    pictures,
)
