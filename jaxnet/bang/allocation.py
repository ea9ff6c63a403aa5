"""Loss change allocation: how much of the decrease of the cost each parameter earned during training."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet.bang.streaming import each, examples, labels_within, require_mean, taken
from jaxnet.core.leaves import named_leaves, require_floats
from jaxnet.core.types import Cost, Params

AT_ONCE = 500
"""How many examples one compiled program computes at a time."""


class LossChangeAllocation(NamedTuple):
    """How much of the decrease of the cost each parameter earned.

    The arrays are numpy, in float64 and in units of the cost. A decrease is positive. A segment is the straight line
    between two neighboring points of the path.

    Attributes:
        credit: What each parameter earned on each label's examples. It is a pytree with the structure of the
            parameters. Every array has one more axis at the front, for the labels. The sum of all numbers is the
            decrease of the cost, except for the gap.
        leaves: The names of the arrays.
        by_leaf: The credit of every array in every segment of the path.
        by_label: The credit of all parameters on every label's examples, in every segment.
        cost: The cost at every point of the path.
        gap: The measured decrease minus the sum of all credit: the error of the integration.
    """

    credit: Params
    leaves: tuple[str, ...]
    by_leaf: Float[np.ndarray, "segment leaf"]
    by_label: Float[np.ndarray, "segment label"]
    cost: Float[np.ndarray, "node"]
    gap: float


def loss_change_allocation(
    cost: Cost, *, labels: int | None = None, panels: int = 2
) -> Callable[[Iterable[Params], Any], LossChangeAllocation]:
    """Turn a cost into a function that integrates the cost's gradient along a path, for each parameter.

    The path is a sequence of parameters. Between two neighboring points, -gradient * displacement is integrated on a
    straight line by Simpson's rule. The gradients have the parameters' type. The sums over the path are float64. If the
    path has every training step, the credit belongs to these steps. If the path has only every hundredth step, the
    credit belongs to straight lines between these points, and not to the real steps. The sum is still the decrease of
    the cost, but the credit of single parameters is less accurate.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        labels: The number of labels, if the credit is to be split by label. The batch then needs `labels` (a field, or
            an entry of a dictionary): whole numbers from 0 to labels - 1. If this argument is None, the credit is not
            split.
        panels: The number of equal parts of every segment. The gap shrinks with the fourth power of this number.

    Returns:
        `account(path, batch) -> LossChangeAllocation`. The path is an iterable of at least two points. A point is a
        pytree of parameters. For example, the first point is the start, and the other points are
        `state.params for state, _ in train(...)`. The cost is measured on the batch.

    Raises:
        ValueError: If panels is below 1. The returned function raises this error if the path has fewer than two points,
            if a label is out of range, or if the cost is not a mean over examples.

    Examples:
        >>> account = loss_change_allocation(lambda p, batch: jnp.mean(batch) * (3 * p["x"] ** 2 + p["y"]))
        >>> found = account([{"x": 1.0, "y": 2.0}, {"x": 0.0, "y": 1.5}], np.ones(1))
        >>> {name: float(leaf[0]) for name, leaf in found.credit.items()}, round(found.gap, 6)
        ({'x': 3.0, 'y': 0.5}, 0.0)

    Source: Lan et al. 2019, "LCA: Loss Change Allocation for Neural Network Training".
    """
    if panels < 1:
        raise ValueError(f"panels must be at least 1, got {panels}")
    losses, check = each(cost), require_mean(cost)
    add = jax.jit(_adder(losses), donate_argnums=0)

    def account(path: Iterable[Params], batch: Any) -> LossChangeAllocation:
        walk = iter(path)
        before = next(walk, None)
        if before is None:
            raise ValueError("a path needs at least two points, got none")
        before = jax.tree.map(jnp.asarray, before)
        require_floats(before, "loss_change_allocation")
        check(before, batch)
        groups = _groups(batch, labels)
        look = lambda params: _by_group(add, groups, params, labels or 1, examples(batch))
        (value, slope), total = look(before), None
        costs, by_leaf, by_label = [value.sum()], [], []
        for point in walk:
            after, earned = jax.tree.map(jnp.asarray, point), None
            for panel in range(panels):
                ends = [_between(before, after, (panel + part) / panels) for part in (0, 0.5, 1)]
                middle = look(ends[1])[1]
                value, final = look(ends[2])
                part = jax.tree.map(_simpson, ends[0], ends[2], slope, middle, final)
                earned = part if earned is None else jax.tree.map(np.add, earned, part)
                slope = final
            total = earned if total is None else jax.tree.map(np.add, total, earned)
            costs.append(value.sum())
            rows = np.stack([leaf.reshape(len(leaf), -1).sum(1) for leaf in jax.tree.leaves(earned)])
            by_leaf.append(rows.sum(1))
            by_label.append(rows.sum(0))
            before = after
        if total is None:
            raise ValueError("a path needs at least two points, got one")
        gap = costs[0] - costs[-1] - np.sum(by_leaf)
        names = tuple(name for name, _ in named_leaves(before))
        return LossChangeAllocation(total, names, np.array(by_leaf), np.array(by_label), np.array(costs), float(gap))

    return account


def _between(before: Params, after: Params, part: float) -> Params:
    """A point on the straight line between two parameters, computed in float64 and rounded once."""
    if part in (0, 1):
        return after if part else before
    mix = lambda a, b: ((1 - part) * np.asarray(a, np.float64) + part * np.asarray(b, np.float64)).astype(
        np.asarray(a).dtype
    )
    return jax.tree.map(mix, before, after)


def _simpson(start: Any, stop: Any, first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The credit of one array between two points: minus the mean gradient by Simpson's rule, times the displacement."""
    return -(first + 4 * middle + last) / 6 * (np.asarray(stop, np.float64) - np.asarray(start, np.float64))[None]


def _groups(batch: Any, labels: int | None) -> list[tuple[int, Any, np.ndarray]]:
    """The examples in pieces of equal length, each with one label only.

    Short pieces are filled up with copies of examples that have weight 0.
    """
    count = examples(batch)
    marks = np.zeros(count, np.int64) if labels is None else labels_within(batch, labels)
    sizes = np.bincount(marks, minlength=labels or 1)
    if not count:
        raise ValueError("a batch needs at least one example, got none")
    length = min(AT_ONCE, int(sizes.max()))
    found = []
    for label in range(labels or 1):
        members = np.flatnonzero(marks == label)
        for start in range(0, len(members), length):
            chosen = members[start : start + length]
            weights = (np.arange(length) < len(chosen)).astype(np.float32)
            filled = np.resize(chosen, length)
            piece = jax.tree.map(
                lambda leaf: leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf), taken(batch, filled)
            )
            found.append((label, piece, weights))
    return found


def _adder(losses: Any) -> Any:
    """Make a function that adds one piece's weighted loss and gradient to the totals of its label."""

    def add(total: Any, label: Any, params: Params, piece: Any, weights: Any) -> Any:
        weighted = lambda params: jnp.sum(losses(params, piece) * weights)
        part = jax.value_and_grad(weighted)(params)
        return jax.tree.map(lambda sums, new: sums.at[label].add(new.astype(sums.dtype)), total, part)

    return add


def _by_group(add: Any, groups: Any, params: Params, labels: int, count: int) -> tuple[np.ndarray, Params]:
    """The contribution of each label's examples to the cost and to the gradient, which are means over all examples."""
    like = lambda leaf: jnp.zeros((labels, *leaf.shape), jnp.promote_types(leaf.dtype, jnp.float32))
    wide = [jnp.promote_types(leaf.dtype, jnp.float32) for leaf in jax.tree.leaves(params)]
    total = (jnp.zeros(labels, wide[0]), jax.tree.map(like, params))
    for label, piece, weights in groups:
        total = add(total, label, params, piece, weights)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) / count, total)
