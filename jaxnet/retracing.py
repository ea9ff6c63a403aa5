"""A run walked again: who earned the fall of its cost, and the film of where the bang for the buck was."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxnet import bang, plot, training
from jaxnet._types import Params
from jaxnet.bang.streaming import flattened, mean_gradient
from jaxnet.dossier import Dossier, Subject, drawable
from jaxnet.report import Picture


def of_credit(of: Subject, *, points: int = 400, show: Callable[[int], None] = lambda step: None) -> Dossier:
    """Who earned the fall of the cost over the run, which is walked again for it."""
    steps = _chosen_steps(int(of.run.result["steps"]), points)
    chosen = set(steps)
    walked = (params for step, params in _replayed(of, show) if step in chosen)
    ledger = bang.credit(of.run.recipe.cost, labels=len(of.classes))(walked, of.batch)
    fall = ledger.cost[0] - ledger.cost[-1]
    total = int(of.run.result["steps"])
    told = (
        "along every step" if len(steps) == total + 1 else f"coarse: along {len(steps) - 1} chords of {total:,} steps"
    )
    pictures = {
        "credit": Picture(
            plot.credit(ledger, steps=steps[1:], classes=of.classes, title="Who earned the fall of the cost"),
            "Left: how much of the fall of the cost each array of parameters has earned so far. Right: the same by the labels of "
            f"the images. It is the gradient, added up along the run ({told}) on {len(of.batch.labels):,} training images; "
            f"the sum misses {abs(ledger.gap):.2g} of {fall:.3g}.",
        )
    }
    if of.run.settings.model == "dense":
        pictures["credit_by_pixel"] = Picture(
            plot.pixel_maps(ledger.credit[0].weights.sum(0), image_shape=of.run.image_shape, title="Which pixels earned it",
                            unit="fall of the cost earned by the weight"),
            "The credit of the weights into each first-layer neuron, at their pixels. Blue weights lowered the "
            "cost, orange weights raised it.",
        )  # fmt: skip
    flat = flattened(jax.tree.map(lambda leaf: leaf.sum(0), ledger.credit))
    facts = {"fall of the cost": f"{fall:.4g}", "not accounted for": f"{100 * abs(ledger.gap) / abs(fall):.2g} %"}
    arrays = {
        "credit": flat,
        "credit/by_leaf": ledger.by_leaf,
        "credit/by_label": ledger.by_label,
        "credit/steps": np.array(steps),
    }
    return Dossier(pictures, {"credit over the run": flat.tolist()}, facts, arrays)


def film(of: Subject, *, frames: int = 40, show: Callable[[int], None] = lambda step: None) -> Any:
    """The bang for the buck from start to end, as a matplotlib animation; the run is walked again for it.

    Raises:
        ValueError: If the network has too many edges to draw, or is no fully connected one.
    """
    require_film(of)
    steps = _chosen_steps(int(of.run.result["steps"]), frames, dense=6)
    measure = mean_gradient(of.run.recipe.cost)
    chosen = set(steps)
    found = [measure(params, of.batch) for step, params in _replayed(of, show) if step in chosen]
    return plot.film(
        [jax.tree.map(lambda leaf: -np.asarray(leaf, np.float64), grads) for _, grads in found], steps,
        [float(cost) for cost, _ in found], title="Where the bang for the buck is",
        unit="decrease of the cost per unit of the parameter", image=of.batch.images.mean(0),
        image_shape=of.run.image_shape, classes=of.classes,
    )  # fmt: skip


def require_film(of: Subject) -> None:
    """Refuse a network that cannot be drawn edge by edge.

    Raises:
        ValueError: If it has too many edges, or is no fully connected one.
    """
    if not drawable(of):
        raise ValueError(f"only fully connected networks of up to {plot.MOST_EDGES:,} weights can be filmed")


def _replayed(of: Subject, show: Callable[[int], None]) -> Iterator[tuple[int, Params]]:
    steps = int(of.run.result["steps"])
    for step, params in itertools.islice(training.replay(of.plan, of.run.result["chosen"]), steps + 1):
        show(step)
        if step == steps:
            _require_same_end(of, params)
        yield step, params


def _require_same_end(of: Subject, params: Params) -> None:
    """Make sure that the walk ended where the run did; another machine or another jax rounds differently on its way.

    Raises:
        ValueError: If it ended more than 5 % of the parameters' length away.
    """
    wanted = flattened(of.run.params)
    apart = float(np.linalg.norm(flattened(params) - wanted) / np.linalg.norm(wanted))
    if not apart <= 0.05:
        raise ValueError(
            f"walked again, this run ends {100 * apart:.1f} % of its parameters' length away from where it ended; credit and "
            f"film need the machine and the versions of the run: {of.run.versions}"
        )


def _chosen_steps(total: int, points: int, *, dense: int = 100) -> list[int]:
    """Step 0, the last, and between them at most `points`: all of the first ones, then ever sparser."""
    if total < 1:
        raise ValueError("this run took no step, so there is nothing to follow")
    if total <= points:
        return list(range(total + 1))
    first = min(dense, points // 2)
    later = np.geomspace(max(first, 1), total, points - first + 1).round().astype(int)
    return sorted({*range(first + 1), *later.tolist(), total})
