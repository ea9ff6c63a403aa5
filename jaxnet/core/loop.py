"""The training loop: a generator over chunks of steps. One compiled program computes a chunk. NaN or infinity stops the loop."""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet.core.chunks import Epoch, is_chunk
from jaxnet.core.descent import Descent
from jaxnet.core.leaves import first_not_finite
from jaxnet.core.types import Batch


class Diverged(FloatingPointError):
    """The cost or a parameter became NaN or infinite.

    Attributes:
        step: The step that produced the value, counted from 0.
        leaf: The name of the first array of parameters that is not finite. It is "cost" if all parameters are finite
            and the cost is not.
        state: The last good state: the state before that step, with all parameters finite.
    """

    def __init__(self, step: int, leaf: str, state: Any):
        """Write the message."""
        super().__init__(
            f"step {step} made {leaf} NaN or infinite; the state before this step is kept in `.state`. "
            "A smaller learning rate or clipped gradients (optax.clip_by_global_norm) usually help."
        )
        self.step, self.leaf, self.state = step, leaf, state


_shapes: weakref.WeakKeyDictionary[Callable[..., Any], list[dict[str, str]]] = weakref.WeakKeyDictionary()
_again: list[str] = []


def retraced() -> tuple[str, ...]:
    """Say why jax traced and compiled steps again after the first time. Each further compilation has one line.

    Each line is also a warning of the logger "jaxnet". Python prints this warning unless the program configures logging
    in another way.
    """
    return tuple(_again)


def _note_tracing(update: Callable[..., Any], **arguments: Any) -> None:
    """Record the shapes of the arguments. jax calls this function once for every compiled program, while it traces."""
    paths = jax.tree_util.tree_leaves_with_path(arguments)
    shapes = {jax.tree_util.keystr(path, simple=True, separator="/"): _kind(leaf) for path, leaf in paths}
    earlier = _shapes.setdefault(update, [])
    if earlier:
        differences = [
            {name: (before.get(name, "absent"), shapes.get(name, "absent")) for name in before | shapes}
            for before in reversed(earlier)
        ]
        changed = min(
            (
                [f"{name} from {old} to {new}" for name, (old, new) in pairs.items() if old != new]
                for pairs in differences
            ),
            key=len,
        )
        reason = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        reason = (
            reason
            or "no shape or type. The device, the precision or another setting of jax is new, or jax cleared its caches"
        )
        _again.append(f"the step is compiled for the {_ordinal(len(earlier) + 1)} time: changed {reason}")
        logging.getLogger("jaxnet").warning(_again[-1])
    earlier.append(shapes)


def _kind(leaf: Any) -> str:
    """Describe the shape and the type of a leaf in words.

    A type that comes from a Python number is weak: it adapts to other types. jax compiles another program for a weak
    type.
    """
    kind = jax.typeof(leaf)
    weak = " of a Python number, which jnp.asarray(value, dtype) makes an ordinary array" if kind.weak_type else ""
    return kind.str_short() + weak


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _run_chunk(
    update: Callable[[Any, Any], tuple[Any, Any]], state: Any, batches: Any, noted: bool = False
) -> tuple[Any, Any]:
    """Take one step for each entry along the batches' first axis, or all steps of an epoch, in one compiled program."""
    if not noted:
        _note_tracing(update, state=state, batches=batches)
    if isinstance(batches, Epoch):
        cut = batches.cut()
        part = lambda state, few: _run_chunk(update, state, cut._replace(order=few[0], first=few[1]).batches(), True)
        if len(cut.order) == 1:
            return part(state, (cut.order[0], cut.first[0]))
        state, info = jax.lax.scan(part, state, (jnp.asarray(cut.order), cut.first))
        return state, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), info)
    leaves = jax.tree.leaves(batches)
    if leaves and len(leaves[0]) > 1:
        return jax.lax.scan(update, state, batches)
    # There is no loop here: a cost may need no batch, and XLA's convolutions are very slow inside a loop on a CPU.
    state, info = update(state, jax.tree.map(lambda leaf: leaf[0], batches))
    return state, jax.tree.map(lambda leaf: leaf[None], info)


run_chunk = jax.jit(_run_chunk, static_argnames="update")
_run_chunk_in_place = jax.jit(_run_chunk, static_argnames="update", donate_argnames="state")


def _chunks(descent: Descent, state: Any, batches: Iterable[Any], stacked: bool | None) -> Iterator[Any]:
    """Turn the batches into chunks of steps."""
    if isinstance(batches, Mapping | Batch | Epoch):
        raise TypeError(
            f"batches must be a sequence or an iterator of batches, got one {type(batches).__name__}; pass [batch]"
        )
    for element in batches:
        if stacked is None and not isinstance(element, Epoch):
            stacked = _is_stacked(descent, state, element)
        if stacked or isinstance(element, Epoch):
            yield element
        else:
            yield jax.tree.map(lambda leaf: (leaf if hasattr(leaf, "dtype") else np.asarray(leaf))[None], element)


def _is_stacked(descent: Descent, state: Any, element: Any) -> bool:
    if is_chunk(element):
        return True
    if isinstance(element, Batch) and not jnp.issubdtype(jnp.result_type(element.labels), jnp.inexact):
        return np.ndim(element.labels) > 1
    leaves = jax.tree.leaves(element)
    if not leaves or any(not np.ndim(leaf) for leaf in leaves) or len({np.shape(leaf)[0] for leaf in leaves}) > 1:
        return False

    def takes(batch: Any) -> bool:
        try:
            return jax.eval_shape(descent.update, state, batch)[1].cost.shape == np.shape(state.step)
        except Exception:  # the cost may raise anything for a wrong batch; the real step raises it again
            return False

    whole, part = takes(element), takes(jax.tree.map(lambda leaf: leaf[0], element))
    alike = len(leaves) > 1 and len({np.shape(leaf)[:2] for leaf in leaves}) == 1
    if whole and part and alike and min(map(np.ndim, leaves)) > 1 and max(map(np.ndim, leaves)) > 2:
        raise ValueError(
            f"arrays that all begin with the lengths {np.shape(leaves[0])[:2]} may be one batch, or {len(leaves[0])} batches "
            "stacked along a leading axis of steps. The cost accepts both: pass stacked=False or stacked=True"
        )
    return part and not whole


def info_like(descent: Descent, state: Any, element: Any, *, stacked: bool | None = None) -> Any:
    """The shapes and types of the info that `train` yields for a chunk of steps. Nothing is computed.

    Args:
        descent: The descent.
        state: A state of it.
        element: An element of the batches, as `train` accepts it.
        stacked: As in `train`.
    """
    (chunk,) = _chunks(descent, state, [element], stacked)
    return jax.eval_shape(lambda state, chunk: _run_chunk(descent.update, state, chunk, True), state, chunk)[1]


def _without_first(chunks: Iterator[Any], steps: int) -> Iterator[Any]:
    """Leave out the chunks with the first steps."""
    for chunk in chunks:
        if steps <= 0:
            yield chunk
            continue
        leaves = [chunk.order] if isinstance(chunk, Epoch) else jax.tree.leaves(chunk)
        length = len(leaves[0]) if leaves else 1
        if length > steps:
            raise ValueError(
                f"{steps} of the {length} steps of a chunk are taken already, so the training cannot continue with this "
                "chunk; pass the batches in the same chunks as before"
            )
        steps -= length


def train(
    descent: Descent,
    state: Any,
    batches: Iterable[Any],
    *,
    stacked: bool | None = None,
    guarded: bool = True,
    in_place: bool = False,
    first: int = 0,
) -> Iterator[tuple[Any, Any]]:
    """Take steps downhill, chunk by chunk.

    The caller's `for` loop can log, save, plot and stop early. A state that the generator yielded stays valid, unless
    `in_place` is true. jax works asynchronously: while the device computes one chunk, the host gathers the next chunk.

    Args:
        descent: The descent. Its `update` takes the steps, and the info that `update` returns must have a field `cost`.
        state: The state to start from: `descent.init(params)`, or the last state of an earlier loop. The state is a
            `State`, or the state of a wrapper such as `bang.watch`. A wrapper's state also has the fields `params` and
            `step`.
        batches: What the steps read. There are three kinds: single batches, such as `[(x, y), ...]` or the output of a
            loader; chunks of batches stacked along a new leading axis of steps, from `data.shuffled`; or epochs, from
            `data.resident_epochs`.
        stacked: Whether the batches are stacked in chunks. If it is None, jaxnet decides: it recognizes the arrays of
            chunks from `data.shuffled`, and a `Batch` whose labels are whole numbers. In all other cases the first
            element decides. If the descent accepts the element, the element is one batch. If the descent accepts only
            the parts along the first axis, the element is a chunk. If the descent accepts both, the element is one
            batch. "ValueError" below describes an exception from this rule.
        guarded: Whether the loop stops at NaN or infinity. If one compiled program trains many networks and guarded is
            False, the other networks go on after one network diverges.
        in_place: Whether a chunk may write its state over the state before the chunk. This saves the memory of one
            state. A yielded state is then valid only until the next chunk. in_place=True needs guarded=False, because a
            guarded loop goes back to the state before the chunk.
        first: The number of steps that the state has already taken with these batches. As many steps of the batches are
            left out.

    Yields:
        The state after each chunk, and the infos of the chunk's steps, stacked along a first axis of steps.

    Raises:
        Diverged: If a cost is not finite. The error comes one chunk later at the latest. The loop also raises it at
            the end of the training, if a parameter is not finite.
        ValueError: If both guarded and in_place are true. The function also raises it if it cannot decide whether the
            first element is one batch or a chunk: the descent accepts both, the first two axes of all arrays of the
            element have the same lengths, and at least one array has a third axis. It also raises it if step `first`
            lies within a chunk.
        TypeError: If `batches` is a single `Batch`, dictionary or epoch instead of a sequence.
    """
    if guarded and in_place:
        raise ValueError("guarded training keeps the state before each chunk; in_place=True needs guarded=False")
    before, run = None, _run_chunk_in_place if in_place else run_chunk
    if in_place:  # copy, so that the caller's arrays stay valid and no two arrays share memory
        state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
    for chunk in _without_first(_chunks(descent, state, batches, stacked), first):
        after, info = run(descent.update, state, chunk)
        if before is not None:
            _check(descent, *before)
        before = (state, chunk, info) if guarded else None
        yield after, info
        state = after
    if before is not None:
        _check(descent, *before)
        if (leaf := first_not_finite(state.params)) is not None:
            _blame(descent, before[0], before[1], leaf)


def _check(descent: Descent, state: Any, chunk: Any, info: Any) -> None:
    if not np.isfinite(np.asarray(info.cost, dtype=np.float64)).all():
        _blame(descent, state, chunk, "cost")


def _blame(descent: Descent, state: Any, chunk: Any, suspect: str) -> None:
    """Repeat the chunk, one step at a time, to find the step that went wrong."""
    update = jax.jit(descent.update)
    for batch in _one_by_one(chunk):
        after, info = update(state, batch)
        leaf = first_not_finite(after.params) or (None if np.isfinite(info.cost).all() else "cost")
        if leaf is not None:
            raise Diverged(int(np.max(state.step)), leaf, state)
        state = after
    # Near overflow, fused and single steps can round differently. If no single step fails, report the chunk's last
    # step.
    raise Diverged(int(np.max(state.step)) - 1, suspect, state)


def _one_by_one(chunk: Any) -> Iterator[Any]:
    if isinstance(chunk, Epoch):
        parts = ((chunk.order[i : i + 1], chunk.first + np.asarray(i, np.uint32)) for i in range(len(chunk.order)))
        alone = (chunk._replace(order=order, first=first).batches() for order, first in parts)
        yield from (jax.tree.map(lambda leaf: leaf[0], batch) for batch in alone)
    else:
        for i in range(len(jax.tree.leaves(chunk)[0]) if jax.tree.leaves(chunk) else 1):
            yield jax.tree.map(lambda leaf, i=i: leaf[i], chunk)
