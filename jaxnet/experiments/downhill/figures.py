"""The pictures of `downhill`: balls, steps, valleys, paths, and the real cost on lines and planes."""

import jax
import numpy as np

from jaxnet.analysis import landscape
from jaxnet.experiments.downhill import animations, measurement, plots, slice_plots
from jaxnet.experiments.downhill import film_network as network
from jaxnet.experiments.downhill import toy_functions as valleys
from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `downhill`."""
    return {**_of_few(arrays), **_of_two(arrays), **_of_many(arrays)}


def _of_few(arrays: Arrays) -> dict[str, Picture | Moving]:
    part = 100 * (arrays["basin_reached"][0] == 0).mean()
    return {
        "ball": Moving(
            animations.rolling(
                arrays["curve_x"], arrays["curve_y"], arrays["ball_positions"], arrays["ball_values"],
                [f"learning rate {rate:g}" for rate in valleys.BALLS], title="One ball, one curve, different steps",
            ),
            "Each frame is one step. All balls start at the same place. The trail shows the earlier places of a ball.",
        ),
        "steps": Picture(
            plots.kinds_of_steps(
                arrays["step_positions"], arrays["step_values"], valleys.WAYS, height=lambda x: x**2 / 2,
                title="Steps proportional to the slope shrink near the bottom",
            ),
            "The curve is a parabola of curvature 1. Above: every dot is a place on the path, and the larger dot is the last "
            "place. Below: the length of each step. The bars are blue while the steps shrink, otherwise orange. If the rate is "
            "above 2 / curvature, the steps diverge.",
        ),
        "valleys": Picture(
            plots.valleys_on_a_curve(
                arrays["curve_x"], arrays["curve_y"], arrays["bottoms"], arrays["basin_starts"], arrays["basin_rates"],
                arrays["basin_reached"], title=f"Which valley? {part:.0f} % of the starts find the lowest",
            ),
            "Every start has the color of the valley that a ball from this start reaches. Above: with small steps. The numbers are "
            "the percentages of the starts that reach each valley. Below: with other learning rates. The largest rates are far too "
            "large. A start has no color if its ball never comes to rest.",
        ),
        "rates": Picture(
            plots.steps_by_rate(
                arrays["scaled"], arrays["arrival"], list(valleys.TESTED), list(valleys.METHODS), valleys.EDGES,
                title="How long may a step be? Up to 2 / curvature",
            ),
            "The height is the number of steps until the function stays below a millionth of its first height. The dashed lines "
            "are the largest stable rates on a quadratic: 2 for plain descent and 3.8 with momentum. At the top, a dot is a rate "
            "whose steps did not reach the bottom, and a cross is a rate whose steps diverged.",
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
            plots.steepest(
                x, y, z, arrays["race"][0], arrays["race_values"][0],
                title="A function of two numbers: walk against the gradient",
            ),
            "The arrows point against the gradient. Steeper ground has longer arrows. The walk slows down at the pass "
            "between two valleys.",
        ),
        "race": Moving(
            animations.race(
                x, y, z, arrays["race"], arrays["race_values"], methods, title="Plain, momentum, Adam", every=3
            ),
            "Three methods go down from one start, slightly to the right of the pass between two valleys. Each frame is three "
            "steps. The numbers are learning rates.",
        ),
        "paths": Picture(
            plots.paths_down(maps, list(valleys.METHODS), title="A narrow bowl and a bent valley"),
            "All methods begin at the same start. Each method takes 40 steps on the left and 1,000 steps on the right. "
            "The star is the bottom. Plain descent zigzags where the curvatures differ.",
        ),
        "basins": Picture(
            plots.valleys_on_a_plane(
                arrays["valley_axis"], arrays["valley_z"], arrays["valley_reached"], arrays["valley_bottoms"],
                ["small steps (0.002)", "steps near the edge (0.0138)", "momentum 0.9 (0.002)"],
                title="Which of four valleys? It depends on where you start, and on the steps",
            ),
            "The surface is Himmelblau's function. Every start has the color of the valley that it reaches. Long steps and "
            "momentum change the borders.",
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
            slice_plots.down_the_gradient(
                arrays["gradient_rates"], arrays["gradient_costs"], arrays["gradient_norms"], ["random start", "trained"],
                steps=(1.5, 10, 20), title="The real cost along its own gradient",
            ),
            "The solid line is the cost of 13,002 parameters after one step, for every learning rate. The dashed line is the "
            "prediction of the gradient.",
        ),
        "path": Picture(
            slice_plots.plane_of_a_path(
                arrays["path_x"], arrays["path_y"], arrays["path_z"], arrays["path_places"], arrays["path_costs"],
                arrays["explained"],
                title=f"The path of the training, on its own plane ({held:.0f} % of its variance)",
            ),
            "The picture shows the plane through the solution along the two main directions of the path. The dashed line has the "
            "true cost of the path. A random walk with the same number of steps has "
            f"{100 * arrays['wandered'][:2].sum():.0f} % of its variance on its own plane.",
        ),
        "random": Picture(
            slice_plots.random_planes(
                arrays["random_axis"], arrays["random_z"], ["around the random start", "around the solution"],
                title="Two random directions, rescaled neuron by neuron",
            ),
            "The height is the real cost. In each direction, a neuron's weights change by a vector. This vector is at "
            "most as long as the vector of the weights.",
        ),
        "straight": Picture(
            slice_plots.straight_lines(
                arrays["straight_fractions"], arrays["straight_costs"],
                title="On the straight line from start to solution, the cost of "
                f"{sum(c == 0 for c in climbs)} of {seeds} networks never rises",
            ),
            "Every line is the cost on the straight way from a random start to its trained network. The training does not follow "
            "this line.",
        ),
        "on-or-off": Picture(
            slice_plots.on_or_off(
                network.SHARPNESS, curves, z, arrays["sharp_norms"], arrays["sharp_right"], network.SHARP_RATES,
                title="A neuron that is on or off cannot learn" if alive == 0 else "From smooth to on or off",
            ),
            "Left: the film's sigmoid, made steeper until it is a step. Middle: the gradient of each layer at the start. With the "
            "step, the gradient below the last layer is exactly zero. Right: the percentage of test images that are read correctly "
            "after training.",
        ),
    }  # fmt: skip


entry = Entry(
    "downhill",
    "How does gradient descent find its way down?",
    "Follow the slope to a local minimum. The start decides which minimum you reach. Steps proportional to the slope shrink near "
    "the bottom. This also works in 13,002 dimensions, if the cost is smooth.",
    measurement.experiment,
    pictures,
)
