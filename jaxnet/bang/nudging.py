"""Measure every single nudge: what the gradient predicts, what really happens, and how far the prediction holds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxnet.bang._dense import Dense, by_neuron, dense_form, offsets, read
from jaxnet.bang._search import best_steps, radii
from jaxnet.bang._sweep import Sweep, dense, plain
from jaxnet.bang.streaming import counted, examples, pieces, require_mean, widened
from jaxnet.core.devices import double_precision, holds_primitive, require_double
from jaxnet.core.leaves import names, require_kind, require_real
from jaxnet.core.types import Cost, Params

SIZES = (0.001, 0.01, 0.1, 1.0)

RADIUS_ROUNDS = 7
"""How many nudges of every parameter are measured to find its radius of trust."""

STEP_ROUNDS = 5
"""How many nudges of every parameter are measured to find its best step."""


class Worth(NamedTuple):
    """How the cost changes if one parameter alone is nudged, for each parameter.

    The arrays are numpy, in float64. Only `entries` are integers. In all arrays except `sizes`, the last axis counts
    the measured parameters. A nudge goes downhill: it raises the parameter if the gradient is negative or zero, and
    lowers it if the gradient is positive.

    Attributes:
        cost: The cost before any nudge.
        entries: The measured parameters, as positions in the flat vector of all parameters.
        sizes: How far the parameters were nudged.
        gradient: dC/dp, the gradient of the cost.
        predicted: The decrease of the cost that the gradient predicts: size times magnitude.
        measured: The decrease that really happened. It is negative if the cost rose.
        curvature: The second derivative of the cost with respect to the parameter. To second order, measured =
            predicted - curvature * size**2 / 2.
        radius: How far a nudge can go before the prediction is wrong by more than the tolerance (by default 10 %). The
            radius is infinite if the prediction holds up to `farthest`. It is NaN if the prediction is zero or smaller
            than the rounding error.
        best_step: The displacement, with its sign, that lowers the cost most if applied alone. It is found by
            measurements, and its length is at most `farthest`.
        best_fall: The measured decrease of the cost for that displacement.
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
    """Turn a cost into a function that measures what a nudge of every parameter does to the cost.

    Everything is computed in float64, in chunks of bounded memory. In float32, the measured decrease would have the
    wrong sign for one nudge in a hundred. If you pass your own cost function, jax's caches are cleared after the
    measurement, unless jax computes in float64 anyway. Then every compiled function is traced again at its next call
    (see `devices.double_precision`). For `losses.average` of `network.apply`, a nudge changes only one neuron of a
    layer, so the measurement is many times faster. Any other cost is computed again for every nudge.

    Args:
        cost: `cost(params, batch)`, a mean over the batch.
        sizes: How far to nudge, in units of the parameter.
        entries: The parameters to measure, from `bang.largest`, `bang.sample` or `bang.positions`. If it is None, all
            parameters are measured.
        tolerance: The largest relative error of the prediction inside the radius of trust.
        farthest: The largest length of a nudge, in units of the parameter.
        on_progress: Called with the number of finished nudges of every parameter, and their total number.

    Returns:
        `measure(params, batch) -> Worth`.

    Raises:
        ValueError: If sizes are not positive numbers up to `farthest`, or if the tolerance is not between 0 and 1.
            The returned function raises this error if the cost is not a mean over examples, if the cost computes
            anything in less than float64, if entries are not positions, if parameters are complex, or if the cost
            or a gradient is not finite.

    Examples:
        >>> slope = lambda p, batch: jnp.mean(batch) * (3 * p["x"] + p["y"] ** 2 / 2)
        >>> found = worth(slope, sizes=[0.1])({"x": 0.0, "y": 1.0}, np.ones(2))
        >>> found.predicted.round(3).tolist(), found.measured.round(3).tolist(), found.radius.round(3).tolist()
        ([[0.3, 0.1]], [[0.3, 0.095]], [inf, 0.2])

    Source: the film's "More on the gradient vector" asks which changes matter most. This function answers by measuring
    the cost.
    """
    if not len(sizes) or not all(0 < size <= farthest < np.inf for size in sizes):
        raise ValueError(f"sizes must be positive numbers up to farthest, {farthest}; got {list(sizes)}")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")

    def measure(params: Params, batch: Any) -> Worth:
        require_real(params, "worth")
        require_kind(params, "worth", jnp.number)  # whole numbers are nudged as if they were floats
        with double_precision(cost):
            sweep, chosen = _sweep(cost, widened(params, integers=True), widened(batch), entries)
            _require_finite(sweep, chosen, params)
            return _measured(sweep, chosen, np.asarray(sizes, np.float64), tolerance, float(farthest), on_progress)

    return measure


def wrong_signs(found: Worth) -> Bool[np.ndarray, "size entry"]:
    """Where the gradient's sign misleads: it predicts a decrease, but a nudge of this size raises the cost."""
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
        raise ValueError(f"entries must be one or more positions between 0 and {total - 1}, got {chosen}")
    if len(np.unique(chosen)) < len(chosen):
        raise ValueError(
            "entries must all be different, but an entry is repeated; np.unique(entries) removes duplicates"
        )
    if not examples(batch):
        raise ValueError("a batch needs at least one example, got none")
    form = dense_form(cost, params, batch)
    some = next(pieces(batch, 2))
    if form is not None and holds_primitive("custom_vjp", cost, params, some):
        form = None  # the fast way needs forward derivatives
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
    """Whether a nudge in one layer changes only one neuron of that layer, tested on the sums of a few images."""
    some = next(pieces(batch, 8))
    _, reading = jax.vmap(lambda *example: read(form, params, offsets(params), *example))(
        jnp.asarray(some.images), jnp.asarray(some.labels)
    )
    return all(by_neuron(form.activation, sums) for sums in reading.sums[:-1])


def _require_finite(sweep: Sweep, chosen: np.ndarray, params: Params) -> None:
    if not np.isfinite(sweep.cost):
        raise ValueError(
            f"the cost is {sweep.cost} at these parameters; nudges can be measured only from a finite cost"
        )
    if (bad := chosen[~np.isfinite(sweep.gradient)]).size:
        ends = np.cumsum([np.size(leaf) for leaf in jax.tree.leaves(params)])
        name = names(params)[int(np.searchsorted(ends, bad[0], side="right"))]
        raise ValueError(
            f"the gradient of {name!r} is NaN or infinite at these parameters ({len(bad):,} entries in all); "
            "nudges can be measured only where the gradient is finite"
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
