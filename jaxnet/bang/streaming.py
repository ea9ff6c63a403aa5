"""A batch in pieces: its examples one by one, and sums over all of them in bounded memory."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet._types import Cost, Params
from jaxnet.losses import Average


def examples(batch: Any) -> int:
    """How many examples a batch holds: the length that the leading axes of its arrays share; random keys have none.

    A batch without any array, such as None, counts as one example.

    Raises:
        ValueError: If their lengths differ.
    """
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in jax.tree.leaves(batch) if not _is_key(leaf)}
    if not lengths:
        return 1
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"a batch must be arrays with one leading axis of examples, got leading lengths {sorted(map(str, lengths))}"
        )
    return int(lengths.pop() or 0)


def pieces(batch: Any, size: int) -> Iterator[Any]:
    """The batch in pieces of at most `size` examples, in order; a random key goes into every piece."""
    if size >= (count := examples(batch)) > 0:
        yield batch  # as it is: a slice of everything would be a copy
        return
    for start in range(0, count, size):
        yield jax.tree.map(lambda leaf, at=start: leaf if _is_key(leaf) else leaf[at : at + size], batch)


def each(cost: Cost) -> Callable[[Params, Any], Any]:
    """The cost of every example by itself, as a function `(params, batch) -> (batch,)`.

    Args:
        cost: `cost(params, batch)`, a mean over examples.

    Returns:
        A pure function; for `losses.average(apply, loss)` the losses before the average.
    """
    if isinstance(cost, Average):
        return cost.each

    def losses_of_each(params: Params, batch: Any) -> Any:
        return over_examples(lambda example: cost(params, example), batch)

    return losses_of_each


def over_examples(of_one: Callable[[Any], Any], batch: Any) -> Any:
    """`of_one` of every example, each as a batch of length 1, along a leading axis."""
    axes = jax.tree.map(lambda leaf: None if _is_key(leaf) else 0, batch)
    alone = lambda example: jax.tree.map(lambda leaf, axis: leaf if axis is None else leaf[None], example, axes)
    return jax.vmap(lambda example: of_one(alone(example)), in_axes=(axes,))(batch)


def require_mean(cost: Cost, params: Params, batch: Any) -> None:
    """Make sure that a cost is a mean over examples: what two unequal parts cost must average to what the whole costs.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(cost, Average):
        return
    count = min(examples(batch), 60)
    if count < 2:
        return
    some = next(pieces(batch, count))
    cut = (count + 2) // 3
    parts = (next(pieces(some, cut)), jax.tree.map(lambda leaf: leaf if _is_key(leaf) else leaf[cut:], some))
    value = jnp.asarray(cost(params, some))
    whole, first, second = (float(part) for part in (value, *(cost(params, part) for part in parts)))
    if not np.isfinite([whole, first, second]).all():
        raise ValueError(f"the cost of {count} examples is NaN or infinite at these parameters: {whole}")
    averaged = (cut * first + (count - cut) * second) / count
    tolerance = max(1e-3, 8 * float(jnp.finfo(value.dtype).eps)) * max(abs(whole), abs(first), abs(second))
    if abs(whole - averaged) > tolerance:
        raise ValueError(
            f"this cost is no mean over examples: {count} of them cost {whole:.6g}, their two parts on average "
            f"{averaged:.6g}. Sums, batch statistics and randomness drawn once a batch have no gradient example by example; "
            "divide by the number of examples, freeze the statistics, or leave the randomness out"
        )


def require_double(cost: Cost, params: Params, batch: Any) -> None:
    """Make sure that a cost computes in float64 where it is given float64 parameters and images.

    Raises:
        ValueError: If it does not, or fails.
    """
    try:
        dtype = jax.eval_shape(cost, params, next(pieces(batch, 2))).dtype
    except TypeError as error:
        raise ValueError(
            f"this cost does not take float64 parameters and images: {error}; let the model compute in the type it is given"
        ) from error
    if dtype != np.float64:
        raise ValueError(
            f"with float64 parameters and images this cost still computes in {dtype}, where small falls drown in rounding; "
            "build the model without a fixed dtype, or with float64"
        )


def require_labels(batch: Any, labels: int) -> np.ndarray:
    """The batch's labels, which must be integers from 0 to labels - 1.

    Raises:
        ValueError: If they are not, or there are none.
    """
    marks = np.asarray(getattr(batch, "labels", np.zeros(0)))
    if marks.dtype.kind not in "iu" or not marks.size or marks.min() < 0 or marks.max() >= labels:
        told = f"{marks.min()} to {marks.max()}" if marks.size else "none"
        raise ValueError(f"batch.labels must be integers from 0 to {labels - 1}, got {told} of type {marks.dtype}")
    return marks


def mean_gradient(cost: Cost, *, size: int = 1000) -> Callable[[Params, Any], tuple[Any, Params]]:
    """A function `(params, batch)` that gives a cost and its gradient over a whole batch, at most `size` examples at a time."""
    both = jax.jit(jax.value_and_grad(cost))

    def measure(params: Params, batch: Any) -> tuple[Any, Params]:
        total, count = None, examples(batch)
        for piece in pieces(batch, size):
            weight = examples(piece) / count
            part = jax.tree.map(lambda leaf, weight=weight: leaf * weight, both(params, piece))
            total = part if total is None else jax.tree.map(jnp.add, total, part)
        if total is None:
            raise ValueError("a batch needs at least one example, got none")
        return total

    return measure


def widened(tree: Any, *, integers: bool = False) -> Any:
    """Floating-point leaves (and integers, if wanted) as float64 arrays, where jax's 64-bit types are enabled."""
    kind = jnp.number if integers else jnp.floating
    wide = lambda leaf: not _is_key(leaf) and jnp.issubdtype(jnp.asarray(leaf).dtype, kind)
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64) if wide(leaf) else leaf, tree)


def flattened(tree: Any) -> Float[np.ndarray, "entry"]:
    """All numbers of a pytree as one long vector on the host, float64, in the order of its leaves."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(float)), jax.dtypes.prng_key)
