"""The gradient noise scale: how many examples it takes until a batch's gradient is more signal than noise."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet._types import Cost, Params
from jaxnet.bang.per_example import lengths
from jaxnet.bang.streaming import examples, flattened, pieces, require_mean, taken
from jaxnet.leaves import require_floats

BLOCKS = 20
"""The examples are cut into so many blocks; leaving out one at a time gives the interval."""


class NoiseScale(NamedTuple):
    """How noisy single gradients are beside what they agree on.

    Attributes:
        scale: trace / squared_norm, in examples: batches much smaller are mostly noise, much larger ones a waste. Infinite
            where these examples cannot tell the gradient from zero.
        low: Lower end of the 95 % interval of the scale, by the jackknife over 20 blocks of examples.
        high: Upper end.
        trace: The summed variance of one example's gradient over all parameters.
        squared_norm: The squared length of the true gradient, freed from the noise that is left in its estimate.
    """

    scale: float
    low: float
    high: float
    trace: float
    squared_norm: float


def noise_from_examples(cost: Cost) -> Callable[[Params, Any], NoiseScale]:
    """The noise scale from every example's own gradient, exactly.

    Args:
        cost: `cost(params, batch)`, a mean over examples.

    Returns:
        `measure(params, batch) -> NoiseScale`.

    Raises:
        ValueError: From the function, if there are fewer than 40 examples, or the cost is no mean over them.

    Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.2.
    """
    measured, grad = lengths(cost), jax.jit(jax.grad(cost))

    def measure(params: Params, batch: Any) -> NoiseScale:
        batch, block = _mixed(batch), _block(batch, 1)
        squares = measured(params, batch).astype(np.float64) ** 2
        rows = [
            (examples(part), flattened(grad(params, part)), squares[start : start + block].sum())
            for start, part in zip(range(0, len(squares), block), pieces(batch, block), strict=True)
        ]
        return _with_interval(rows, lambda count, mean, square: _scatter(mean, square / count, count, 1))

    return measure


def noise_from_batches(cost: Cost, *, batch_size: int = 32) -> Callable[[Params, Any], NoiseScale]:
    """The noise scale from how the gradients of mini-batches scatter: what a training run sees anyway.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        batch_size: Examples in each; an incomplete last one is left out.

    Returns:
        `measure(params, batch) -> NoiseScale`.

    Raises:
        ValueError: As `noise_from_examples`, for 40 mini-batches.
    """
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


def noise_from_two_sizes(cost: Cost, *, batch_size: int = 32) -> Callable[[Params, Any], NoiseScale]:
    """The noise scale from the mean squared gradient norms of small and of large batches.

    Args:
        cost: `cost(params, batch)`, a mean over examples.
        batch_size: Of the small ones; the large ones are a twentieth of all examples.

    Returns:
        `measure(params, batch) -> NoiseScale`.

    Raises:
        ValueError: As `noise_from_batches`.

    Source: McCandlish et al. 2018, appendix A.1.
    """
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
    """Examples in one of the blocks: a multiple of the batch size, at least two batches."""
    count = examples(batch)
    if batch_size < 1 or count < 2 * BLOCKS * batch_size:
        raise ValueError(
            f"a noise scale from batches of {batch_size} needs at least {2 * BLOCKS * max(1, batch_size):,} examples, got {count:,}"
        )
    return count // BLOCKS // batch_size * batch_size


def _mixed(batch: Any) -> Any:
    """The examples in a random order, always the same: neighbors in a file are often alike, or balanced by label."""
    order = np.random.default_rng(0).permutation(examples(batch))
    return taken(batch, order)


def _whole(batch: Any, block: int) -> Iterable[Any]:
    return (part for part in pieces(batch, block) if examples(part) == block)


def _squared_norms(cost: Cost) -> Callable[[Params, Any, int], np.ndarray]:
    """The squared gradient norm of every mini-batch of a block."""

    @jax.jit
    def of_batch(params: Params, batch: Any) -> Any:
        return sum(jnp.sum(g**2) for g in jax.tree.leaves(jax.grad(cost)(params, batch)))

    def of_block(params: Params, part: Any, batch_size: int) -> np.ndarray:
        return np.array(jax.device_get([of_batch(params, batch) for batch in pieces(part, batch_size)]), np.float64)

    return of_block


def _scatter(mean: np.ndarray, square: float, count: int, batch_size: int) -> tuple[float, float]:
    """Trace and squared norm from the mean and the mean square of `count` gradients, each of `batch_size` examples."""
    length = float(mean @ mean)
    variance = (square - length) * count / (count - 1)
    return batch_size * variance, length - variance / count


def _with_interval(
    rows: list[tuple[int, np.ndarray, float]], estimate: Callable[[int, np.ndarray, float], tuple[float, float]]
) -> NoiseScale:
    """The estimate of all blocks together, and its scatter when each is left out once.

    Args:
        rows: By block its number of gradients, their mean, and the sum of their squared lengths.
        estimate: From the same of several blocks to trace and squared norm.
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
            f"a noise scale needs finite gradients, but of {len(rows)} parts of the examples "
            f"{int((~np.isfinite(squares)).sum())} have one that is NaN or infinite; `bang.lengths(cost)(params, batch)` says which"
        )
    if not trace > 0:
        return NoiseScale(0.0, 0.0, 0.0, trace, squared_norm)  # all examples agree
    without = [of(everything & (np.arange(len(rows)) != i)) for i in range(len(rows))]
    # The inverse of the scale is well behaved where the gradient drowns in noise; the scale itself is not.
    inverse = squared_norm / trace
    scatter = np.array([part[1] / part[0] for part in without]) - inverse
    deviation = 1.96 * float(np.sqrt((len(rows) - 1) / len(rows) * np.sum((scatter - scatter.mean()) ** 2)))
    least, scale, most = (
        1 / part if part > 0 else np.inf for part in (inverse + deviation, inverse, inverse - deviation)
    )
    return NoiseScale(float(scale), float(least), float(most), trace, squared_norm)
