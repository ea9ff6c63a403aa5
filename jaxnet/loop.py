"""The loop: a generator over chunks of steps, each chunk one compiled program, guarded against NaN and infinity."""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnet._types import Batch
from jaxnet.data.batches import Epoch, is_chunk
from jaxnet.descent import Descent
from jaxnet.leaves import first_not_finite


class Diverged(FloatingPointError):
    """The cost or a parameter became NaN or infinite.

    Attributes:
        step: The step that did it, counted from 0.
        leaf: The first array that is not finite: a parameter's name, or "cost".
        state: The last good state: all parameters finite, before that step.
    """

    def __init__(self, step: int, leaf: str, state: Any):
        """Compose the message from where it happened."""
        super().__init__(
            f"step {step} made {leaf} NaN or infinite; the state before it is kept in `.state`. "
            "A smaller learning rate or clipped gradients (optax.clip_by_global_norm) usually help."
        )
        self.step, self.leaf, self.state = step, leaf, state


_shapes: weakref.WeakKeyDictionary[Callable[..., Any], list[dict[str, str]]] = weakref.WeakKeyDictionary()
_again: list[str] = []


def retraced() -> tuple[str, ...]:
    """Why a step that had been traced was traced, and so compiled, again: a line for each time in this process.

    Each is also logged as a warning by the logger "jaxnet", which prints it unless told otherwise.
    """
    return tuple(_again)


def _note_tracing(update: Callable[..., Any], **arguments: Any) -> None:
    """Called while tracing: once for every program."""
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
            or "no shape or type; the device, the precision or another setting of jax is new, or jax forgot its programs"
        )
        _again.append(f"the step is compiled for the {_ordinal(len(earlier) + 1)} time: changed {reason}")
        logging.getLogger("jaxnet").warning(_again[-1])
    earlier.append(shapes)


def _kind(leaf: Any) -> str:
    """Shape and type in words; a type that came from a Python number gives way to others, which makes another program."""
    kind = jax.typeof(leaf)
    weak = " of a Python number, which jnp.asarray(value, dtype) makes an ordinary array" if kind.weak_type else ""
    return kind.str_short() + weak


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _scan(update: Callable[[Any, Any], tuple[Any, Any]], state: Any, batches: Any) -> tuple[Any, Any]:
    """Take one step for each entry of the batches' leading axis, or for each of an epoch's, in one compiled program."""
    _note_tracing(update, state=state, batches=batches)
    if not isinstance(batches, Epoch):
        return _steps(update, state, batches)
    cut = batches.cut()
    some = lambda state, part: _steps(update, state, cut._replace(order=part[0], first=part[1]).batches())
    if len(cut.order) == 1:
        return some(state, (cut.order[0], cut.first[0]))
    state, info = jax.lax.scan(some, state, (jnp.asarray(cut.order), cut.first))
    return state, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), info)


scan = jax.jit(_scan, static_argnames="update")
_scan_in_place = jax.jit(_scan, static_argnames="update", donate_argnames="state")


def _chunks(descent: Descent, state: Any, batches: Iterable[Any], stacked: bool | None) -> Iterator[Any]:
    """The batches as chunks of steps."""
    if isinstance(batches, Mapping | Batch | Epoch):
        raise TypeError(
            f"batches are a sequence or an iterator of them, got one {type(batches).__name__}; pass [batch]"
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
        except Exception:  # whatever the cost says of a batch that is none; the real step says it again
            return False

    whole, part = takes(element), takes(jax.tree.map(lambda leaf: leaf[0], element))
    alike = len(leaves) > 1 and len({np.shape(leaf)[:2] for leaf in leaves}) == 1
    if whole and part and alike and min(map(np.ndim, leaves)) > 1 and max(map(np.ndim, leaves)) > 2:
        raise ValueError(
            f"arrays that all begin with the lengths {np.shape(leaves[0])[:2]} may be one batch or {len(leaves[0])} batches "
            "stacked along a leading axis of steps, and the cost takes both; say stacked=False or stacked=True"
        )
    return part and not whole


def _steps(update: Callable[[Any, Any], tuple[Any, Any]], state: Any, batches: Any) -> tuple[Any, Any]:
    leaves = jax.tree.leaves(batches)
    if not leaves:  # a cost that needs no batch
        state, info = update(state, batches)
        return state, jax.tree.map(lambda leaf: leaf[None], info)
    if len(leaves[0]) == 1:  # no loop: inside one, XLA's convolutions crawl on a CPU
        state, info = update(state, jax.tree.map(lambda leaf: leaf[0], batches))
        return state, jax.tree.map(lambda leaf: leaf[None], info)
    return jax.lax.scan(update, state, batches)


def train(
    descent: Descent,
    state: Any,
    batches: Iterable[Any],
    *,
    stacked: bool | None = None,
    guarded: bool = True,
    in_place: bool = False,
) -> Iterator[tuple[Any, Any]]:
    """Walk downhill chunk by chunk.

    Logging, saving, drawing and stopping early live in the caller's `for`. A state that was yielded stays valid.
    Dispatch is asynchronous: while the device works on one chunk the host gathers the next.

    Args:
        descent: Whose `update` takes the steps; its info must have a field `cost`.
        state: Where to start: `descent.init(params)`, or the last state of an earlier walk; a `State`, or what a wrapper
            such as `bang.watch` made of it, with the same fields `params` and `step`.
        batches: What the steps read, one of three: batches, such as `[(x, y), ...]` or what a loader yields, a step each;
            chunks of batches stacked along a new leading axis of steps, as `data.shuffled` yields them; or epochs, as
            `data.resident_epochs` does.
        stacked: Whether batches are stacked in chunks. None knows chunks by their arrays if these came from `data.shuffled`,
            and a `Batch` by its labels if these are whole numbers; of anything else the first element decides: it is one batch,
            unless the descent takes only its parts along the leading axis. Where both may be meant, it asks.
        guarded: Whether to stop at NaN and infinity; of many networks at once those that diverge need not stop the others.
        in_place: Whether a chunk may write its state over the one before, which saves the memory of a state. Then every
            state that was yielded is valid only until the next one is asked for. It needs guarded=False, as a guard goes back
            to the state before.

    Yields:
        The state after each chunk, and the chunk's infos stacked along that axis: the history.

    Raises:
        Diverged: As soon as a chunk holds a cost that is not finite, at the latest one chunk later; and at the end of
            the walk if a parameter is not finite.
        ValueError: If both guarded and in_place are asked for; or if batches that are several arrays with two leading axes
            in common, and one of them with a third, may be chunks as well.
        TypeError: If there is a single `Batch`, dictionary or epoch in place of a sequence of them.
    """
    if guarded and in_place:
        raise ValueError("a guarded walk keeps the state before each chunk; in_place=True needs guarded=False")
    before, walk = None, _scan_in_place if in_place else scan
    if in_place:  # what came stays the caller's, and no two arrays are one
        state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)
    for chunk in _chunks(descent, state, batches, stacked):
        after, info = walk(descent.update, state, chunk)
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
    """Walk the chunk again, one step at a time, to the step that went wrong."""
    update = jax.jit(descent.update)
    for batch in _one_by_one(chunk):
        after, info = update(state, batch)
        leaf = first_not_finite(after.params) or (None if np.isfinite(info.cost).all() else "cost")
        if leaf is not None:
            raise Diverged(int(np.max(state.step)), leaf, state)
        state = after
    # Fused and single steps round differently at the edge of overflow: then the chunk's last step takes the blame.
    raise Diverged(int(np.max(state.step)) - 1, suspect, state)


def _one_by_one(chunk: Any) -> Iterator[Any]:
    if isinstance(chunk, Epoch):
        parts = ((chunk.order[i : i + 1], chunk.first + np.asarray(i, np.uint32)) for i in range(len(chunk.order)))
        alone = (chunk._replace(order=order, first=first).batches() for order, first in parts)
        yield from (jax.tree.map(lambda leaf: leaf[0], batch) for batch in alone)
    else:
        for i in range(len(jax.tree.leaves(chunk)[0]) if jax.tree.leaves(chunk) else 1):
            yield jax.tree.map(lambda leaf, i=i: leaf[i], chunk)
