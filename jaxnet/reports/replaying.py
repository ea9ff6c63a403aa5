"""Train a run again, to compute the loss change allocation or to make an animation of the gradient."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxnet import bang, plot, training
from jaxnet.bang.streaming import flattened, mean_gradient
from jaxnet.core.types import Params
from jaxnet.plot.style import Picture
from jaxnet.reports.bang_report import BangResults, Counted, Subject, drawable, uncounted


def of_credit(of: Subject, on_progress: Counted = uncounted) -> BangResults:
    """Train the run again, and compute the loss change allocation: each parameter's part of the fall of the cost."""
    steps = _chosen_steps(int(of.run.result["steps"]), of.points)
    chosen = set(steps)
    walked = (params for step, params in _replayed(of, on_progress) if step in chosen)
    ledger = bang.loss_change_allocation(of.run.functions.cost, labels=len(of.classes))(walked, of.batch)
    fall = ledger.cost[0] - ledger.cost[-1]
    total = int(of.run.result["steps"])
    told = (
        "along every step"
        if len(steps) == total + 1
        else f"coarse: along {len(steps) - 1} chords instead of {total:,} steps"
    )
    pictures = {
        "credit": Picture(
            plot.loss_change_allocation(
                ledger, steps=steps[1:], classes=of.classes, title="Which parameters and labels lowered the cost"
            ),
            "Left: how much each array of parameters has lowered the cost so far. Right: the part of the fall of the cost that "
            f"comes from the images of each label. All parts are computed from gradients along the run ({told}), on "
            f"{len(of.batch.labels):,} training images. The sum of all parts and the fall of {fall:.3g} differ by "
            f"{abs(ledger.gap):.2g}.",
        )
    }
    if of.run.settings.model == "dense":
        pictures["credit_by_pixel"] = Picture(
            plot.pixel_maps(ledger.credit[0].weights.sum(0), image_shape=of.run.image_shape,
                            title="How each pixel's weight lowered the cost", unit="fall of the cost by the weight"),
            "How much each weight of a first-layer neuron lowered the cost over the run, drawn at the pixel of the weight. Blue "
            "weights lowered the cost, and orange weights raised the cost.",
        )  # fmt: skip
    flat = flattened(jax.tree.map(lambda leaf: leaf.sum(0), ledger.credit))
    facts = {"fall of the cost": f"{fall:.4g}", "not accounted for": f"{100 * abs(ledger.gap) / abs(fall):.2g} %"}
    arrays = {
        "credit": flat,
        "credit/by_leaf": ledger.by_leaf,
        "credit/by_label": ledger.by_label,
        "credit/steps": np.array(steps),
    }
    return BangResults(pictures, {"credit over the run": flat.tolist()}, facts, arrays)


def animate(of: Subject, *, frames: int = 40, on_progress: Counted = uncounted) -> Any:
    """Train the run again, and animate its negative gradient from start to end with matplotlib.

    Raises:
        ValueError: If the network has too many edges to draw, or is not fully connected.
    """
    require_animation(of)
    steps = _chosen_steps(int(of.run.result["steps"]), frames, dense=6)
    measure = mean_gradient(of.run.functions.cost)
    chosen = set(steps)
    found = [measure(params, of.batch) for step, params in _replayed(of, on_progress) if step in chosen]
    return plot.animate(
        [jax.tree.map(lambda leaf: -np.asarray(leaf, np.float64), grads) for _, grads in found], steps,
        [float(cost) for cost, _ in found], title="Where the bang for the buck is",
        unit="decrease of the cost per unit of the parameter", image=of.batch.images.mean(0),
        image_shape=of.run.image_shape, classes=of.classes,
    )  # fmt: skip


def require_animation(of: Subject) -> None:
    """Raise an error if a network cannot be drawn edge by edge.

    Raises:
        ValueError: If the network has too many edges, or is not fully connected.
    """
    if not drawable(of):
        raise ValueError(f"only fully connected networks of up to {plot.MOST_EDGES:,} weights can be animated")


def _replayed(of: Subject, on_progress: Counted) -> Iterator[tuple[int, Params]]:
    steps = int(of.run.result["steps"])
    for step, params in itertools.islice(training.replay(of.plan, of.run.result["chosen"]), steps + 1):
        on_progress(step, steps)
        if step == steps:
            _require_same_end(of, params)
        yield step, params


def _require_same_end(of: Subject, params: Params) -> None:
    """Check that the repeated training ends at the parameters of the run. Another machine or jax version rounds differently.

    Raises:
        ValueError: If the two ends differ by more than 5 % of the parameters' length.
    """
    wanted = flattened(of.run.params)
    apart = float(np.linalg.norm(flattened(params) - wanted) / np.linalg.norm(wanted))
    if not apart <= 0.05:
        raise ValueError(
            f"this run, trained again, ends at other parameters (difference: {100 * apart:.1f} % of their length); the instrument "
            f"credit and the animation need the machine and the versions of the run: {of.run.versions}"
        )


def _chosen_steps(total: int, points: int, *, dense: int = 100) -> list[int]:
    """Choose step 0, the last step and at most `points` steps between. First every step is chosen, later the distances grow."""
    if total < 1:
        raise ValueError(
            "this run took no step, so it has no training to repeat; train the network for at least one epoch"
        )
    if total <= points:
        return list(range(total + 1))
    first = min(dense, points // 2)
    later = np.geomspace(max(first, 1), total, points - first + 1).round().astype(int)
    return sorted({*range(first + 1), *later.tolist(), total})
