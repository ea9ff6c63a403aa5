"""Steps that move only the best parameters: how much they lower the cost, and an optimizer that takes such steps."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxnet.bang.gradients import affordable, earned, top_mask
from jaxnet.bang.streaming import PIECE, counted, mean_gradient, pieces, require_mean, widened
from jaxnet.core.descent import transformation
from jaxnet.core.devices import double_precision, require_double
from jaxnet.core.leaves import named_leaves, require_alike, require_floats
from jaxnet.core.types import Cost, Params


def keep_top(optimizer: optax.GradientTransformation, fraction: float | int) -> optax.GradientTransformation:
    """Move only the best parameters at each step: the parameters with the largest `-gradient * update`.

    Args:
        optimizer: Any optax transformation. Its state changes as if all parameters moved.
        fraction: The fraction of the parameters that move. If it is 1, all parameters move, as without `keep_top`.

    Returns:
        An optax transformation whose updates are zero for all other parameters.

    Raises:
        ValueError: If the fraction is outside the range 0 < fraction <= 1.

    Examples:
        >>> frugal = keep_top(optax.sgd(0.5), 0.5)
        >>> grads = jnp.array([3.0, 1.0])
        >>> frugal.update(grads, frugal.init(grads))[0].tolist()
        [-1.5, 0.0]
    """
    affordable(fraction, 1)
    inner = optax.with_extra_args_support(transformation(optimizer))

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        updates, state = inner.update(grads, state, params, **extra)
        if fraction == 1:
            return updates, state
        # Optimizers expect the uphill direction. For complex numbers this direction is the conjugate of jax's gradient.
        mask = top_mask(earned(jax.tree.map(jnp.conj, grads), updates), fraction)
        # A NaN update stays NaN, so that the training stops there.
        return jax.tree.map(lambda u, keep: jnp.where((keep > 0) | jnp.isnan(keep), u, 0), updates, mask), state

    return optax.GradientTransformationExtraArgs(inner.init, update)  # pyright: ignore[reportArgumentType]


class PartialStep(NamedTuple):
    """The result of real steps with only some of the parameters.

    The decreases of the cost are in float64. They are negative if the cost rose.

    Attributes:
        fractions: The fractions of the parameters that moved. The best parameters moved.
        kept: The numbers of parameters that moved.
        predicted: The decreases that the gradient predicts for these parameters.
        measured: The decreases that the steps really gave.
    """

    fractions: Float[np.ndarray, "fraction"]
    kept: Int[np.ndarray, "fraction"]
    predicted: Float[np.ndarray, "fraction"]
    measured: Float[np.ndarray, "fraction"]


def take_partial_step(
    cost: Cost,
    fractions: Sequence[float | int] = (0.01, 0.05, 0.2, 1.0),
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Callable[[Params, Any, Params], PartialStep]:
    """Turn a cost into a function that checks the budget curve: it takes real steps with the best parameters only.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        fractions: The fractions of parameters to try.
        on_progress: Called with the number of finished computations, and their total number. One computation is the
            cost and its gradient over at most 1,000 examples.

    Returns:
        `prove(params, batch, updates) -> PartialStep`. The updates are the numbers that an optimizer adds to the
        parameters. For plain gradient descent they are `-learning_rate * grads`. Parameters are ranked by
        `-gradient * update`.

    Raises:
        ValueError: If a fraction is outside the range 0 < fraction <= 1. The returned function raises this error if the
            updates have the wrong shapes, if `-gradient * update` is NaN for a parameter, if the cost is not a mean
            over examples, or if the cost computes anything in less than float64.
    """
    for fraction in fractions:
        affordable(fraction, 1)
    measure, check = mean_gradient(cost), require_mean(cost)

    def prove(params: Params, batch: Any, updates: Params) -> PartialStep:
        require_alike(updates, params, "the updates")
        require_floats(params, "take_partial_step")
        with double_precision(cost):
            params, batch, updates = widened(params), widened(batch), widened(updates)
            require_double(cost, params, next(pieces(batch, 2)))
            check(params, batch)
            on_piece = counted(on_progress, (1 + len(fractions)) * sum(1 for _ in pieces(batch, PIECE)))
            before, grads = measure(params, batch, on_piece)
            gains = earned(grads, updates)
            if lost := [name for name, leaf in named_leaves(gains) if np.isnan(leaf).any()]:
                raise ValueError(
                    f"-gradient * update of {lost[0]!r} is NaN, so parameters cannot be ranked; pass finite gradients and updates"
                )
            rows = []
            for fraction in fractions:
                mask = top_mask(gains, fraction)
                moved = jax.tree.map(lambda p, u, keep: p + u * keep, params, updates, mask)
                predicted = sum(
                    float(jnp.sum(g * keep)) for g, keep in zip(*map(jax.tree.leaves, (gains, mask)), strict=True)
                )
                after = measure(moved, batch, on_piece)[0]
                rows.append(
                    (fraction, sum(int(m.sum()) for m in jax.tree.leaves(mask)), predicted, float(before - after))
                )
        return PartialStep(*map(np.array, zip(*rows, strict=True)))

    return prove
