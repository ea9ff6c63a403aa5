"""Cut batches into pieces and single examples, sum over examples in bounded memory, and check that a cost is a mean."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet.core.leaves import is_key, names
from jaxnet.core.losses import Average
from jaxnet.core.types import Cost, Params

COMPARED = 250
"""To compare single examples with a whole batch, at most this number of examples are computed at a time."""

PIECE = 1000
"""A gradient is computed over at most this number of examples at a time."""


def examples(batch: Any) -> int:
    """How many examples a batch holds: the common length of the leading axes of its arrays.

    A single random key belongs to the whole batch. An array of keys has one key for each example. A batch without
    arrays, such as None, counts as one example.

    Raises:
        ValueError: If the lengths differ, or if only some arrays have an axis.
    """
    leaves = jax.tree.leaves(batch)
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in leaves if not is_key(leaf)}
    lengths = lengths or {np.shape(leaf)[0] for leaf in leaves if np.ndim(leaf)}
    if not lengths:
        return 1
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            "all arrays of a batch must have the same number of examples along the leading axis, "
            f"got leading lengths {sorted(map(str, lengths))}"
        )
    return int(lengths.pop() or 0)


def pieces(batch: Any, size: int) -> Iterator[Any]:
    """Cut the batch into pieces of at most `size` examples, in order. A single random key goes into every piece."""
    if size >= (count := examples(batch)) > 0:
        yield batch  # unchanged, because a slice of everything would be a copy
        return
    for start in range(0, count, size):
        yield taken(batch, slice(start, start + size))


def taken(batch: Any, chosen: Any) -> Any:
    """Some examples of a batch, chosen by a slice or by positions. A single random key of the whole batch is kept."""
    count = examples(batch)
    return jax.tree.map(lambda leaf: leaf if _of_all(leaf, count) else leaf[chosen], batch)


def labels_of(batch: Any) -> Any:
    """The labels of a batch: its field or dictionary entry `labels`, or None if the batch has no labels."""
    return batch.get("labels") if isinstance(batch, Mapping) else getattr(batch, "labels", None)


def each(cost: Cost) -> Callable[[Params, Any], Any]:
    """The cost of every single example, as a function `(params, batch) -> (batch,)`.

    Args:
        cost: `cost(params, batch)`, a mean over examples.

    Returns:
        A pure function. For `losses.average(apply, loss)` it gives the losses before they are averaged.
    """
    if isinstance(cost, Average):
        return cost.each

    def losses_of_each(params: Params, batch: Any) -> Any:
        return over_examples(lambda example: cost(params, example), batch)

    return losses_of_each


def over_examples(of_one: Callable[[Any], Any], batch: Any) -> Any:
    """Apply `of_one` to every example, each as a batch of length 1. The first axis of the results counts examples."""
    count = examples(batch)
    axes = jax.tree.map(lambda leaf: None if _of_all(leaf, count) else 0, batch)
    if not jax.tree.leaves(axes):
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], of_one(batch))
    alone = lambda example: jax.tree.map(lambda leaf, axis: leaf if axis is None else leaf[None], example, axes)
    return jax.vmap(lambda example: of_one(alone(example)), in_axes=(axes,))(batch)


def require_mean(cost: Cost) -> Callable[[Params, Any], None]:
    """Make a function `(params, batch)` that checks whether a cost is a mean over examples.

    The check takes all examples in a random order, at most 250 at a time. The cost and the gradient of these examples
    together must equal the averages of the costs and of the gradients of the single examples. The check takes about as
    long as two gradients over the batch. `losses.average` is a mean by construction, so it is not checked.

    Raises:
        ValueError: The returned function raises this error if the cost is not a mean over examples, or if the cost is
            not finite. The message contains the difference or the cost.
    """
    if isinstance(cost, Average):
        return lambda params, batch: None
    losses = each(cost)

    @jax.jit
    def both(params: Params, piece: Any) -> tuple[Any, Any, Any]:
        together = jax.value_and_grad(cost)(params, piece)
        one_by_one = jax.value_and_grad(lambda p: jnp.mean(losses(p, piece)))(params)
        some = taken(piece, slice(0, 4)) if examples(piece) > 4 else piece
        alone = over_examples(lambda example: jax.grad(lambda p: losses(p, example)[0])(params), some)
        return together, one_by_one, alone

    def check(params: Params, batch: Any) -> None:
        if (count := examples(batch)) < 2:
            return
        held = jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.asarray(leaf), batch)
        order = np.random.default_rng(0).permutation(count)
        for chosen in np.array_split(order, math.ceil(count / COMPARED)):
            with jax.default_matmul_precision("highest"):
                together, one_by_one, alone = jax.device_get(both(params, taken(held, chosen)))
            if not np.isfinite(together[0]):
                raise ValueError(
                    f"the cost of {len(chosen)} examples is NaN or infinite at these parameters: {together[0]}"
                )
            if (name := _differs(together, one_by_one, alone)) is not None:
                _refuse(len(chosen), together, one_by_one, name)

    return check


def _differs(together: tuple[Any, Any], one_by_one: tuple[Any, Any], alone: Any) -> str | None:
    """The name of the array whose gradient differs most, if cost or gradient differ by more than rounding errors.

    If the cost and the gradient differ by rounding errors only, the result is None.
    """
    (whole, grads), (mean, averaged) = together, one_by_one
    ours, theirs = (list(map(_wide, jax.tree.leaves(tree))) for tree in (grads, averaged))
    kinds = [np.asarray(leaf).dtype for leaf in (whole, *jax.tree.leaves(grads))]
    rounding = max((float(jnp.finfo(kind).eps) for kind in kinds), default=0.0)
    single = rounding > 1e-10
    tolerance = max(2e-4 if single else 1e-8, 16 * rounding)
    # A NaN is allowed if both gradients have it in the same place. Any other NaN is a difference.
    lost = any((np.isfinite(a) != np.isfinite(b)).any() for a, b in zip(ours, theirs, strict=True))
    apart = [np.asarray(np.abs(_finite(a) - _finite(b))) for a, b in zip(ours, theirs, strict=True)]
    # Near a minimum the gradients of single examples cancel, and mostly their rounding errors remain.
    scale = max(_length(ours), _length(theirs)) + 0.02 * _length(map(_wide, jax.tree.leaves(alone)))
    costs = max(abs(float(whole)), abs(float(mean)))
    alike = abs(float(whole) - float(mean)) <= max(1e-3 if single else 1e-7, tolerance) * costs
    if alike and not lost and _length(apart) <= tolerance * scale:
        return None
    return names(grads)[int(np.argmax([part.max(initial=0) for part in apart]))] if apart else ""


def _wide(leaf: Any) -> np.ndarray:
    return np.asarray(leaf).astype(complex if np.iscomplexobj(leaf) else float)


def _finite(leaf: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(leaf), leaf, 0)


def _length(leaves: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.abs(_finite(leaf)) ** 2) for leaf in leaves)))


def _refuse(count: int, together: tuple[Any, Any], one_by_one: tuple[Any, Any], name: str) -> None:
    (whole, grads), (mean, averaged) = together, one_by_one
    lengths = [_length(map(_wide, jax.tree.leaves(tree))) for tree in (grads, averaged)]
    raise ValueError(
        f"this cost is not a mean over examples: {count} examples have the cost {float(whole):.6g} together, "
        f"but the mean of their single costs is {float(mean):.6g}. The two gradients have the lengths "
        f"{lengths[0]:.6g} and {lengths[1]:.6g}, and differ most in {name!r}. "
        "A single example has no gradient of its own if the cost contains one of these: a sum over the batch; "
        "a mask or a weight that is divided by its sum over the batch; batch statistics; "
        "randomness that is sampled once for the batch. "
        "Divide by the number of examples; for masks and weights put "
        "weight * len(weight) / weight.sum() into the batch and take the mean of weight * loss; freeze the statistics; "
        "leave the randomness out, or give every example a key"
    )


def labels_within(batch: Any, labels: int) -> np.ndarray:
    """Return the batch's labels, after a check that they are integers from 0 to labels - 1.

    Raises:
        ValueError: If the labels are missing, or if a label is not an integer from 0 to labels - 1.
    """
    found = labels_of(batch)
    if found is None:
        raise ValueError(
            f"a split by label needs a batch with labels (a Batch or a dictionary), got {type(batch).__name__}"
        )
    marks = np.asarray(found)
    if marks.ndim != 1:
        raise ValueError(
            f"labels are whole numbers along one axis, got shape {marks.shape}; for a column pass labels[:, 0]"
        )
    if marks.dtype.kind not in "iu" or not marks.size or marks.min() < 0 or marks.max() >= labels:
        told = f"{marks.min()} to {marks.max()}" if marks.size else "none"
        raise ValueError(f"batch.labels must be integers from 0 to {labels - 1}, got {told} of type {marks.dtype}")
    return marks


def mean_gradient(cost: Cost, *, size: int = PIECE) -> Callable[..., tuple[Any, Params]]:
    """Make a function `(params, batch)` that gives a cost and its gradient over a whole batch.

    At most `size` examples are computed at a time. The returned function has a third argument, `on_piece`: a function
    that is called after each piece is computed. Without `on_piece`, the returned function does not wait for the device.
    """
    both = jax.jit(jax.value_and_grad(cost))

    def measure(params: Params, batch: Any, on_piece: Callable[[], None] | None = None) -> tuple[Any, Params]:
        total, count = None, examples(batch)
        for piece in pieces(batch, size):
            weight = examples(piece) / count
            part = jax.tree.map(lambda leaf, weight=weight: leaf * weight, both(params, piece))
            total = part if total is None else jax.tree.map(jnp.add, total, part)
            if on_piece is not None:
                jax.block_until_ready(total)
                on_piece()
        if total is None:
            raise ValueError("a batch needs at least one example, got none")
        return total

    return measure


def counted(on_progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None] | None:
    """Make a function that counts its calls and passes their number and `total` to `on_progress`.

    If `on_progress` is None, the result is None.
    """
    if on_progress is None:
        return None
    done = itertools.count(1)
    return lambda: on_progress(next(done), total)


def widened(tree: Any, *, integers: bool = False) -> Any:
    """Convert floats to float64 arrays, and integers too if `integers` is true.

    jax's 64-bit types must be enabled.
    """
    kind = jnp.number if integers else jnp.floating
    wide = lambda leaf: not is_key(leaf) and jnp.issubdtype(jnp.asarray(leaf).dtype, kind)
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64) if wide(leaf) else leaf, tree)


def flattened(tree: Any) -> Float[np.ndarray, "entry"]:
    """All numbers of a pytree as one long float64 vector on the host, in the order of the leaves."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def _of_all(leaf: Any, count: int) -> bool:
    """Whether a leaf of a batch is a single random key for all examples, instead of one key for each."""
    return is_key(leaf) and not (np.ndim(leaf) and np.shape(leaf)[0] == count)
