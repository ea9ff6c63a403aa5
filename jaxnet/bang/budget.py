"""How much the best few parameters buy, the proof that they do, and gradient descent on a budget."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from jaxnet._types import Cost, Params
from jaxnet.bang.gradients import earned
from jaxnet.bang.streaming import PIECE, counted, mean_gradient, pieces, require_mean, widened
from jaxnet.descent import transformation
from jaxnet.devices import double_precision, require_double
from jaxnet.leaves import named_leaves, require_alike, require_floats, require_real


class Lorenz(NamedTuple):
    """The budget curve: what the best parameters buy together.

    Attributes:
        kept: The fraction of parameters, from none to all, the best first.
        bought: The fraction of the whole decrease that they buy.
        gini: 0 where all buy the same, near 1 where few buy everything: twice the area between the curve and the diagonal.
    """

    kept: Float[np.ndarray, "rank"]
    bought: Float[np.ndarray, "rank"]
    gini: float


def lorenz(values: Any) -> Lorenz:
    """Rank parameters by what each contributes, and add up from the best.

    Args:
        values: Contributions, such as `bang.share(grads)` or `bang.earned(grads, updates)`; negative ones come last.

    Returns:
        The curve; where updates work against the gradient it rises above 1 before it comes back to it.

    Raises:
        ValueError: If the contributions do not sum to a positive number.

    Examples:
        >>> curve = lorenz({"x": np.array([0.9, 0.0]), "y": np.array([0.1, 0.0])})
        >>> curve.bought.tolist(), round(curve.gini, 3)
        ([0.0, 0.9, 1.0, 1.0, 1.0], 0.7)
    """
    require_real(values, "a budget curve")
    flat = np.concatenate([np.asarray(leaf, np.float64).ravel() for _, leaf in named_leaves(values)])
    total = flat.sum()
    if not total > 0:
        raise ValueError(f"the contributions must sum to a positive number, got {total:.6g}; is the gradient zero?")
    bought = np.concatenate([[0.0], np.cumsum(np.sort(flat)[::-1]) / total])
    kept = np.linspace(0, 1, len(bought))
    return Lorenz(kept, bought, float(2 * np.trapezoid(bought, kept) - 1))


def best(values: Any, fraction: float | int) -> Any:
    """The largest entries of a pytree as a mask: ones for the best `fraction` of all, rounded up, zeros elsewhere.

    Exactly so many are kept: of equal ones the first. What is NaN is not among the best, and NaN in the mask. Works inside
    `jax.jit`.

    Raises:
        ValueError: If the fraction is not above 0 and at most 1, or a value is complex.
    """
    require_real(values, "a ranking by size")
    flat, unravel = ravel_pytree(values)
    missing = jnp.isnan(flat)
    chosen = jax.lax.top_k(jnp.where(missing, -jnp.inf, flat), affordable(fraction, flat.size))[1]
    return unravel(jnp.where(missing, jnp.nan, jnp.zeros_like(flat).at[chosen].set(1)))


def affordable(fraction: float | int, count: int) -> int:
    """How many of `count` parameters a fraction is, rounded up, at least one.

    Raises:
        ValueError: If the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a budget is a fraction of the parameters above 0 and at most 1, got {fraction}")
    return max(1, math.ceil(round(fraction * count, 6)))


def on_a_budget(optimizer: optax.GradientTransformation, fraction: float | int) -> optax.GradientTransformation:
    """Let only the best parameters move at each step: those whose updates earn the most, `-gradient * update`.

    Args:
        optimizer: Any optax transformation; its memory goes on as if all moved.
        fraction: Which part of the parameters may move, the best; 1 is the optimizer itself.

    Returns:
        An optax transformation whose updates are zero for all but that fraction.

    Raises:
        ValueError: If the fraction is not above 0 and at most 1.

    Examples:
        >>> frugal = on_a_budget(optax.sgd(0.5), 0.5)
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
        # An optimizer is given the way up, which of complex numbers is the conjugate of jax's gradient.
        mask = best(earned(jax.tree.map(jnp.conj, grads), updates), fraction)
        # An update that is NaN stays, so that the walk ends at it.
        return jax.tree.map(lambda u, keep: jnp.where((keep > 0) | jnp.isnan(keep), u, 0), updates, mask), state

    return optax.GradientTransformationExtraArgs(inner.init, update)  # pyright: ignore[reportArgumentType]


class Spent(NamedTuple):
    """A step really taken with only some of the parameters; falls of the cost, float64.

    Attributes:
        fractions: Which part of the parameters moved, the best.
        kept: How many that are.
        predicted: The fall that the gradient predicts for them.
        measured: The fall that the step really brought.
    """

    fractions: Float[np.ndarray, "fraction"]
    kept: Int[np.ndarray, "fraction"]
    predicted: Float[np.ndarray, "fraction"]
    measured: Float[np.ndarray, "fraction"]


def spend(
    cost: Cost,
    fractions: Sequence[float | int] = (0.01, 0.05, 0.2, 1.0),
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Callable[[Params, Any, Params], Spent]:
    """Turn a cost into a function that proves the budget curve: it takes the step with the best parameters alone.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        fractions: Budgets to try.
        on_progress: Called with how many computations are done, and how many there are in all. One computation is the cost and
            its gradient over at most 1,000 examples.

    Returns:
        `prove(params, batch, updates) -> Spent`; updates are what an optimizer would add, `-learning_rate * grads` for
        plain descent. The ranking is by what they earn.

    Raises:
        ValueError: If a fraction is not above 0 and at most 1, or from the function, if updates have another shape, the
            cost is no mean over examples or computes in less than float64.
    """
    for fraction in fractions:
        affordable(fraction, 1)
    measure, check = mean_gradient(cost), require_mean(cost)

    def prove(params: Params, batch: Any, updates: Params) -> Spent:
        require_alike(updates, params, "the updates")
        require_floats(params, "spend")
        with double_precision(cost):
            params, batch, updates = widened(params), widened(batch), widened(updates)
            require_double(cost, params, next(pieces(batch, 2)))
            check(params, batch)
            on_piece = counted(on_progress, (1 + len(fractions)) * sum(1 for _ in pieces(batch, PIECE)))
            before, grads = measure(params, batch, on_piece)
            gains = earned(grads, updates)
            if lost := [name for name, leaf in named_leaves(gains) if np.isnan(leaf).any()]:
                raise ValueError(
                    f"what the step earns by {lost[0]!r} is NaN, in the gradient or the updates; there is no best part of it"
                )
            rows = []
            for fraction in fractions:
                mask = best(gains, fraction)
                moved = jax.tree.map(lambda p, u, keep: p + u * keep, params, updates, mask)
                predicted = sum(
                    float(jnp.sum(g * keep)) for g, keep in zip(*map(jax.tree.leaves, (gains, mask)), strict=True)
                )
                after = measure(moved, batch, on_piece)[0]
                rows.append(
                    (fraction, sum(int(m.sum()) for m in jax.tree.leaves(mask)), predicted, float(before - after))
                )
        return Spent(*map(np.array, zip(*rows, strict=True)))

    return prove
