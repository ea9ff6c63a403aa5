"""The measured worth of every single nudge: what the gradient predicts, what really happens, and how far to trust it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxnet._types import Cost, Params
from jaxnet.bang.dense import Dense, by_neuron, dense_form, offsets, read
from jaxnet.bang.search import best_steps, radii
from jaxnet.bang.streaming import counted, examples, pieces, require_mean, widened
from jaxnet.bang.sweeps import Sweep, dense, plain
from jaxnet.devices import double_precision, holds_primitive, require_double
from jaxnet.leaves import names, require_kind, require_real

SIZES = (0.001, 0.01, 0.1, 1.0)

RADIUS_ROUNDS, STEP_ROUNDS = 7, 5
"""Nudges of every parameter in the search for its radius of trust, and for its best step."""


class Worth(NamedTuple):
    """What nudging each parameter alone is worth; numpy, float64, the last axis counts parameters.

    A nudge goes the way its gradient says: up where the gradient is negative or zero, down where it is positive.

    Attributes:
        cost: The cost before any nudge.
        entries: Which parameters: positions in the one long vector of all of them.
        sizes: How far they were nudged.
        gradient: dC/dp.
        predicted: The fall of the cost that the gradient predicts: size times magnitude.
        measured: The fall that really happened; negative where the cost rose.
        curvature: The second derivative by the same parameter. To second order measured is predicted minus
            curvature * size**2 / 2.
        radius: How far the nudge may go before the prediction is off by the tolerance (10 %); infinite where it holds
            as far as was looked, NaN where there is nothing to predict or it drowns in rounding.
        best_step: The displacement, with its sign, that lowers the cost most when made alone, found by measuring; at
            most `farthest`.
        best_fall: The fall that it buys, measured.
    """

    cost: float
    entries: Int[np.ndarray, "entry"]
    sizes: Float[np.ndarray, "size"]
    gradient: Float[np.ndarray, "entry"]
    predicted: Float[np.ndarray, "size entry"]
    measured: Float[np.ndarray, "size entry"]
    curvature: Float[np.ndarray, "entry"]
    radius: Float[np.ndarray, "entry"]
    best_step: Float[np.ndarray, "entry"]
    best_fall: Float[np.ndarray, "entry"]


def worth(
    cost: Cost,
    *,
    sizes: Sequence[float | int] = SIZES,
    entries: Shaped[np.ndarray, "..."] | Sequence[int] | None = None,
    tolerance: float = 0.1,
    farthest: float | int = 10.0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Callable[[Params, Any], Worth]:
    """Turn a cost into a function that measures what every parameter's nudge is worth.

    Everything is computed in float64, in chunks of bounded memory: in float32 one nudge in a hundred has the wrong sign.
    Unless jax computes in float64 anyway, a cost of your own has a price: what jax traced of all your programs is forgotten
    afterwards, so each is traced again at its next call (see `devices.double_precision`).
    For `losses.average` of `network.apply` a nudge changes one neuron only, which makes the sweep many times faster than
    the plain one; any other cost is simply computed again for every nudge.

    Args:
        cost: `cost(params, batch)`, a mean over the batch.
        sizes: How far to nudge, in units of the parameter.
        entries: Which parameters, from `bang.largest`, `bang.sample` or `bang.positions`; None measures all.
        tolerance: How far off the prediction may be inside the radius of trust.
        farthest: No nudge is longer.
        on_progress: Called with how many nudges of every parameter are done, and how many there are in all.

    Returns:
        `measure(params, batch) -> Worth`.

    Raises:
        ValueError: If sizes are not positive numbers up to `farthest`, or from the function: if the cost is no mean over
            examples or computes anything in less than float64, entries are no positions, parameters are complex, or a gradient
            is not finite.

    Examples:
        >>> slope = lambda p, batch: jnp.mean(batch) * (3 * p["x"] + p["y"] ** 2 / 2)
        >>> found = worth(slope, sizes=[0.1])({"x": 0.0, "y": 1.0}, np.ones(2))
        >>> found.predicted.round(3).tolist(), found.measured.round(3).tolist(), found.radius.round(3).tolist()
        ([[0.3, 0.1]], [[0.3, 0.095]], [inf, 0.2])

    Source: the film's "More on the gradient vector": which changes matter most, asked of the cost itself.
    """
    if not len(sizes) or not all(0 < size <= farthest < np.inf for size in sizes):
        raise ValueError(f"sizes must be positive numbers up to farthest, {farthest}; got {list(sizes)}")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")

    def measure(params: Params, batch: Any) -> Worth:
        require_real(params, "worth")
        require_kind(params, "worth", jnp.number)  # whole numbers are nudged as if they were none
        with double_precision(cost):
            sweep, chosen = _sweep(cost, widened(params, integers=True), widened(batch), entries)
            _require_finite(sweep, chosen, params)
            return _measured(sweep, chosen, np.asarray(sizes, np.float64), tolerance, float(farthest), on_progress)

    return measure


def wrong_signs(found: Worth) -> Bool[np.ndarray, "size entry"]:
    """Where the gradient's sign misleads: it predicts a fall, but so long a nudge raises the cost."""
    return (found.predicted > 0) & (found.measured < 0)


def _sweep(cost: Cost, params: Params, batch: Any, entries: Any) -> tuple[Sweep, np.ndarray]:
    total = sum(np.size(leaf) for leaf in jax.tree.leaves(params))
    chosen = np.arange(total) if entries is None else np.asarray(entries)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        hint = "; for a mask pass np.flatnonzero(mask)" if chosen.dtype == bool else ""
        raise ValueError(
            f"entries must be a row of whole numbers, got shape {chosen.shape} of type {chosen.dtype}{hint}"
        )
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= total:
        raise ValueError(f"entries must be positions between 0 and {total - 1}, at least one; got {chosen}")
    if len(np.unique(chosen)) < len(chosen):
        raise ValueError("entries must all be different, got one of them twice; np.unique(entries) keeps each once")
    if not examples(batch):
        raise ValueError("a batch needs at least one example, got none")
    form = dense_form(cost, params, batch)
    some = next(pieces(batch, 2))
    if form is not None and holds_primitive("custom_vjp", cost, params, some):
        form = None  # the quick sweep differentiates forward
    if form is not None and 8 * len(chosen) >= total and _one_neuron_changes(form, params, batch):
        whole = dense(form, params, batch)
        if entries is None:
            return whole, chosen

        def falls(steps: Any) -> np.ndarray:
            everywhere = np.zeros((len(steps), total))
            everywhere[:, chosen] = steps
            return whole.falls(everywhere)[:, chosen]

        return Sweep(whole.cost, whole.gradient[chosen], whole.curvature[chosen], falls), chosen
    require_double(cost, params, some)
    require_mean(cost)(params, batch)
    return plain(cost, params, batch, chosen), chosen


def _one_neuron_changes(form: Dense, params: Any, batch: Any) -> bool:
    """Whether a nudge in one layer changes one neuron there, tried on the sums of a few images."""
    some = next(pieces(batch, 8))
    _, reading = jax.vmap(lambda *example: read(form, params, offsets(params), *example))(
        jnp.asarray(some.images), jnp.asarray(some.labels)
    )
    return all(by_neuron(form.activation, sums) for sums in reading.sums[:-1])


def _require_finite(sweep: Sweep, chosen: np.ndarray, params: Params) -> None:
    if not np.isfinite(sweep.cost):
        raise ValueError(f"the cost is {sweep.cost} at these parameters; a nudge from there means nothing")
    if (bad := chosen[~np.isfinite(sweep.gradient)]).size:
        ends = np.cumsum([np.size(leaf) for leaf in jax.tree.leaves(params)])
        name = names(params)[int(np.searchsorted(ends, bad[0], side="right"))]
        raise ValueError(
            f"the gradient of {name!r} is NaN or infinite at these parameters ({len(bad):,} entries in all); "
            "a nudge from there means nothing"
        )


def _measured(
    sweep: Sweep,
    chosen: np.ndarray,
    sizes: np.ndarray,
    tolerance: float,
    farthest: float,
    on_progress: Callable[[int, int], None] | None,
) -> Worth:
    slope, way = np.abs(sweep.gradient), np.where(sweep.gradient > 0, -1.0, 1.0)
    told = counted(on_progress, len(sizes) + RADIUS_ROUNDS + STEP_ROUNDS)

    def downhill(lengths: Any) -> np.ndarray:
        falls = []
        for row in lengths:
            falls.append(sweep.falls((row * way)[None])[0])
            if told is not None:
                told()
        return np.stack(falls)

    measured = downhill(sizes[:, None] * np.ones_like(slope))
    tried = [(np.broadcast_to(size, slope.shape), fall) for size, fall in zip(sizes, measured, strict=True)]
    known = sorted(tried, key=lambda pair: pair[0].item(0))
    radius, more = radii(
        downhill,
        slope,
        sweep.curvature,
        sweep.cost,
        known,
        tolerance=tolerance,
        farthest=farthest,
        rounds=RADIUS_ROUNDS,
    )
    step, fall = best_steps(downhill, slope, sweep.curvature, tried + more, farthest=farthest, rounds=STEP_ROUNDS)
    return Worth(
        sweep.cost, chosen, sizes, sweep.gradient, sizes[:, None] * slope, measured, sweep.curvature, radius, way * step, fall
    )  # fmt: skip
