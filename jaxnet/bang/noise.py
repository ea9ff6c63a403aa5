"""The gradient noise scale: how many examples a batch needs until its gradient is more signal than noise."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.bang.per_example import per_example_norms
from jaxnet.bang.streaming import examples, flattened, pieces, require_mean, taken
from jaxnet.core.leaves import require_floats
from jaxnet.core.types import Cost, Params

BLOCKS = 20
"""The number of blocks of examples. The interval comes from leaving out one block at a time."""


class NoiseScale(NamedTuple):
    """How noisy the gradients of single examples are, compared with their mean.

    Attributes:
        scale: The noise scale, in examples. It is trace / squared_norm. Batches much smaller than the scale give mostly
            noise. Batches much larger than the scale waste work. The scale is infinite if the gradient cannot be
            distinguished from zero with these examples.
        low: The lower end of the scale's 95 % interval, by the jackknife over 20 blocks of examples.
        high: The upper end of this interval.
        trace: The variance of one example's gradient, summed over all parameters.
        squared_norm: The squared length of the true gradient. The noise in its estimate is subtracted.
    """

    scale: float
    low: float
    high: float
    trace: float
    squared_norm: float


Method = Literal["examples", "batches", "two_sizes"]
"""The ways to estimate a noise scale."""


def noise_scale(
    cost: Cost, *, method: Method = "examples", batch_size: int = 32
) -> Callable[[Params, Any], NoiseScale]:
    """Turn a cost into a function that measures the gradient noise scale.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        method: "examples" uses the gradient of every example. This way is exact. "batches" uses the scatter of
            mini-batch gradients. A training run computes these gradients anyway. "two_sizes" compares the mean squared
            gradient norm of small batches with the mean squared gradient norm of large batches. A large batch is a
            twentieth of all examples.
        batch_size: The number of examples in a mini-batch, for "batches" and "two_sizes". An incomplete last batch is
            left out.

    Returns:
        `measure(params, batch) -> NoiseScale`.

    Raises:
        ValueError: If the method is unknown. The returned function raises this error if there are fewer than 40
            examples (for "batches" and "two_sizes": fewer than 40 mini-batches), if the cost is not a mean over
            examples, or if a gradient is not finite.

    Examples:
        >>> x = np.random.default_rng(0).normal(3.0, 1.0, 400)
        >>> measure = noise_scale(lambda center, batch: jnp.mean((center - batch) ** 2) / 2)
        >>> round(measure(jnp.array(0.0), x).scale, 2)
        0.11

    Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.2 and appendix A.1.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
    if method == "examples":
        return _from_examples(cost)
    return (_from_batches if method == "batches" else _from_two_sizes)(cost, batch_size)


def _from_examples(cost: Cost) -> Callable[[Params, Any], NoiseScale]:
    measured, grad = per_example_norms(cost), jax.jit(jax.grad(cost))

    def measure(params: Params, batch: Any) -> NoiseScale:
        batch, block = _mixed(batch), _block(batch, 1)
        squares = measured(params, batch).astype(np.float64) ** 2
        rows = [
            (examples(part), flattened(grad(params, part)), squares[start : start + block].sum())
            for start, part in zip(range(0, len(squares), block), pieces(batch, block), strict=True)
        ]
        return _with_interval(rows, lambda count, mean, square: _scatter(mean, square / count, count, 1))

    return measure


def _from_batches(cost: Cost, batch_size: int) -> Callable[[Params, Any], NoiseScale]:
    squared, grad, check = _squared_norms(cost), jax.jit(jax.grad(cost)), require_mean(cost)

    def measure(params: Params, batch: Any) -> NoiseScale:
        require_floats(params, "a noise scale")
        check(params, batch)
        batch, block = _mixed(batch), _block(batch, batch_size)
        rows = [
            (block // batch_size, flattened(grad(params, part)), squared(params, part, batch_size).sum())
            for part in _whole(batch, block)
        ]
        return _with_interval(rows, lambda count, mean, square: _scatter(mean, square / count, count, batch_size))

    return measure


def _from_two_sizes(cost: Cost, batch_size: int) -> Callable[[Params, Any], NoiseScale]:
    squared, grad, check = _squared_norms(cost), jax.jit(jax.grad(cost)), require_mean(cost)

    def measure(params: Params, batch: Any) -> NoiseScale:
        require_floats(params, "a noise scale")
        check(params, batch)
        batch, block = _mixed(batch), _block(batch, batch_size)
        rows = [
            (1, np.array([np.sum(flattened(grad(params, part)) ** 2)]), squared(params, part, batch_size).mean())
            for part in _whole(batch, block)
        ]

        def estimate(count: int, large: np.ndarray, small: float) -> tuple[float, float]:
            big = float(large[0])
            squared_norm = (block * big - batch_size * small / count) / (block - batch_size)
            return (small / count - big) / (1 / batch_size - 1 / block), squared_norm

        return _with_interval(rows, estimate)

    return measure


def _block(batch: Any, batch_size: int) -> int:
    """The number of examples in one block: a multiple of the batch size, at least two batches."""
    count = examples(batch)
    if batch_size < 1 or count < 2 * BLOCKS * batch_size:
        raise ValueError(
            f"a noise scale from batches of {batch_size} needs at least {2 * BLOCKS * max(1, batch_size):,} examples, got {count:,}"
        )
    return count // BLOCKS // batch_size * batch_size


def _mixed(batch: Any) -> Any:
    """The examples in a random order that is always the same.

    In a file, examples next to each other are often similar, or are arranged so that every label is equally frequent.
    """
    order = np.random.default_rng(0).permutation(examples(batch))
    return taken(batch, order)


def _whole(batch: Any, block: int) -> Iterable[Any]:
    return (part for part in pieces(batch, block) if examples(part) == block)


def _squared_norms(cost: Cost) -> Callable[[Params, Any, int], np.ndarray]:
    """Make a function that gives the squared gradient norm of every mini-batch of a block."""

    @jax.jit
    def of_batch(params: Params, batch: Any) -> Any:
        return sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(cost)(params, batch)))

    def of_block(params: Params, part: Any, batch_size: int) -> np.ndarray:
        return np.array(jax.device_get([of_batch(params, batch) for batch in pieces(part, batch_size)]), np.float64)

    return of_block


def _scatter(mean: np.ndarray, square: float, count: int, batch_size: int) -> tuple[float, float]:
    """Trace and squared norm, from the mean and the mean square of `count` gradients of `batch_size` examples each."""
    length = float(mean @ mean)
    variance = (square - length) * count / (count - 1)
    return batch_size * variance, length - variance / count


def _with_interval(
    rows: list[tuple[int, np.ndarray, float]], estimate: Callable[[int, np.ndarray, float], tuple[float, float]]
) -> NoiseScale:
    """The estimate from all blocks, and its interval from leaving out each block once.

    Args:
        rows: For each block: the number of its gradients, their mean, and the sum of their squared lengths.
        estimate: Computes trace and squared norm from these three values, taken over several blocks.
    """
    counts, means, squares = (np.array(column) for column in zip(*rows, strict=True))
    sums = counts[:, None] * means

    def of(keep: np.ndarray) -> tuple[float, float]:
        count = int(counts[keep].sum())
        return estimate(count, sums[keep].sum(0) / count, float(squares[keep].sum()))

    everything = np.ones(len(rows), bool)
    trace, squared_norm = of(everything)
    if not np.isfinite([trace, squared_norm]).all():
        raise ValueError(
            f"a noise scale needs finite gradients, but {int((~np.isfinite(squares)).sum())} of {len(rows)} parts of the "
            "examples have a gradient that is NaN or infinite; "
            "`bang.per_example_norms(cost)(params, batch)` shows which examples"
        )
    if not trace > 0:
        return NoiseScale(0.0, 0.0, 0.0, trace, squared_norm)  # all examples agree
    without = [of(everything & (np.arange(len(rows)) != i)) for i in range(len(rows))]
    # If noise hides the gradient, the scale can be infinite or negative, but its inverse is a finite number near zero.
    # So the interval is computed for the inverse.
    inverse = squared_norm / trace
    scatter = np.array([part[1] / part[0] for part in without]) - inverse
    deviation = 1.96 * float(np.sqrt((len(rows) - 1) / len(rows) * np.sum((scatter - scatter.mean()) ** 2)))
    least, scale, most = (
        1 / part if part > 0 else np.inf for part in (inverse + deviation, inverse, inverse - deviation)
    )
    return NoiseScale(float(scale), float(least), float(most), trace, squared_norm)
