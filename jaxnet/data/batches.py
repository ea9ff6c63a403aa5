"""Shuffled mini-batches: gathered on the host for a CPU, whole epochs on the device for an accelerator, in the same order."""

import concurrent.futures
import functools
import math
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt32

from jaxnet import devices
from jaxnet._types import Batch
from jaxnet.data.own import require_intensities
from jaxnet.leaves import is_key

GATHERED = 2**30
"""Bytes of images that an epoch's program gathers at a time, at most (but always a step's)."""


class Epoch(NamedTuple):
    """An epoch before it is gathered: all examples, and the order in which the steps read them.

    `jaxnet.train` takes it for a chunk of steps, and gathers and steps in one program.

    Attributes:
        examples: All examples, on the device; a `Batch` has no key yet.
        order: The position of every example that a step reads; with an axis of networks behind the one of the steps where
            each network has an order of its own.
        key: What every step's key is made from, with an axis of networks where each has its own; None where the cost needs no
            key.
        first: The number of the epoch's first step, counted from the start of the run.
    """

    examples: Any
    order: Int[Array, "steps *networks batch"] | Int[np.ndarray, "steps *networks batch"]
    key: Key[Array, "*networks"] | None
    first: UInt32[Array, ""] | UInt32[np.ndarray, ""]

    def batches(self) -> Any:
        """The batches of all steps, stacked along a leading axis."""
        read = jax.tree.map(lambda leaf: jnp.asarray(leaf)[self.order], self.examples)
        if self.key is None:
            return read
        numbers = self.first + jnp.arange(len(self.order), dtype=jnp.uint32)
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None)) if self.key.ndim else jax.random.fold_in
        return read._replace(key=jax.vmap(fold, in_axes=(None, 0))(self.key, numbers))

    def cut(self) -> "Epoch":
        """The epoch as equal parts along a leading axis, each small enough to be gathered at once; the examples stay whole."""
        steps, *read = self.order.shape
        bytes_an_example = sum(
            leaf.size * leaf.dtype.itemsize // leaf.shape[0] for leaf in jax.tree.leaves(self.examples)
        )
        bytes_a_step = math.prod(read) * bytes_an_example
        fits = max(1, GATHERED // max(1, bytes_a_step))
        length = max(n for n in range(1, min(steps, fits) + 1) if steps % n == 0)
        starts = self.first + jnp.arange(0, steps, length, dtype=jnp.uint32)
        return self._replace(order=self.order.reshape(-1, length, *read), first=starts)


def chunk_length(steps: int, batch_size: int) -> int:
    """How many steps to put into one compiled program: a divisor of `steps` near 25, more for small batches.

    Measured on 2 cores (`benchmarks/README.md`): about 2,500 images a program are as fast as any number, fewer pay for
    starting programs, far more for leaving the processor's cache. The divisor saves compiling a remainder.
    """
    near = max(1, min(steps, max(25, 2500 // batch_size), 20_000_000 // (784 * batch_size)))
    low, high = max(1, near // 2), min(steps, near * 3)
    divisors = [n for n in range(low, high + 1) if steps % n == 0]
    return min(divisors, key=lambda n: abs(n - near)) if divisors else near


_stacked: dict[int, weakref.ref[Any]] = {}


def _marked(chunk: Any) -> Any:
    """The same chunk; `is_chunk` knows its arrays for as long as they live."""
    for leaf in jax.tree.leaves(chunk):
        _stacked[id(leaf)] = weakref.ref(leaf, functools.partial(_forget, id(leaf)))
    return chunk


def _forget(number: int, of: Any) -> None:
    if _stacked.get(number) is of:
        del _stacked[number]


def is_chunk(tree: Any) -> bool:
    """Whether any of its arrays came from `shuffled`, stacked along a leading axis of steps, through whatever iterator."""
    known = ((leaf, _stacked.get(id(leaf))) for leaf in jax.tree.leaves(tree))
    return any(mark is not None and mark() is leaf for leaf, mark in known)


def shuffled(
    key: Key[Array, ""], data: Any, batch_size: int, *, epochs: int = 1, keyed: bool = False, steps: int | None = None
) -> Iterator[Any]:
    """Every epoch all examples once, in a new order, as batches stacked along a leading axis of steps.

    The incomplete batch at an epoch's end is dropped, and the next epoch's order decides anew who is left out.

    Args:
        key: Decides the order (the same on every device) and, with `keyed`, the batches' keys.
        data: The examples: a `Batch`, or any pytree of arrays with one leading axis, such as `(x, y)`.
        batch_size: Examples a step; the number of all is full-batch descent, 1 is one example at a time.
        epochs: How often to go through the data.
        keyed: Give every batch a random key, for costs that need randomness; only a `Batch` has a place for it.
        steps: Steps to stack; by default some 2,500 images' worth and a divisor of the epoch's steps, so that one program serves.

    Yields:
        The same pytree with arrays of shape (steps, batch_size, ...), read-only; chunks never cross the end of an epoch.

    Raises:
        ValueError: If the batch size is not between 1 and the number of examples, epochs is negative, the arrays have no
            common leading axis, or labels and images of a `Batch` are none.
    """
    size = _check(data, batch_size, epochs, keyed)
    steps = steps or chunk_length(size // batch_size, batch_size)
    return _chunks(key, data, batch_size, epochs, keyed, steps)


def resident_epochs(
    key: Key[Array, "*networks"],
    data: Any,
    batch_size: int,
    *,
    epochs: int = 1,
    keyed: bool = False,
    sharding: jax.sharding.Sharding | None = None,
) -> Iterator[Epoch]:
    """The batches of `shuffled`, as one program an epoch reads them from examples that stay on the device.

    For `jaxnet.train`. This is the fast way on an accelerator, where every program that is started costs time; on a CPU
    `shuffled` is faster.

    Args:
        key: As `shuffled` takes it, or many keys along an axis: then each is a network's, which has its own order.
        data: The examples.
        batch_size: Examples a step.
        epochs: How often to go through the data.
        keyed: Give every batch a random key.
        sharding: Where the examples are put; None takes the current device.

    Yields:
        An `Epoch` whose batches are those of `shuffled`, in the same order and with the same keys.

    Raises:
        ValueError: As `shuffled`.
    """
    _check(data, batch_size, epochs, keyed)
    return _epochs(key, data, batch_size, epochs, keyed, sharding)


def _epochs(
    key: Array, data: Any, batch_size: int, epochs: int, keyed: bool, sharding: jax.sharding.Sharding | None
) -> Iterator[Epoch]:
    size = _length(data)
    per_epoch = size // batch_size
    order_keys, batch_keys = (_split if key.ndim == 0 else _split_each)(key)
    generators = _generators(order_keys)
    examples = jax.tree.map(
        lambda leaf: jax.device_put(leaf, sharding) if sharding else jnp.asarray(leaf), _unkeyed(data)
    )
    shape = (*key.shape, per_epoch, batch_size)
    draw = lambda generator: generator.permutation(size).astype(np.int32)[: per_epoch * batch_size]
    with concurrent.futures.ThreadPoolExecutor(devices.cores()) as pool:  # drawing lets other threads run
        for epoch in range(epochs):
            drawn = np.stack(list((map if len(generators) == 1 else pool.map)(draw, generators))).reshape(shape)
            order = np.moveaxis(drawn, -2, 0)
            yield Epoch(examples, order, batch_keys if keyed else None, np.asarray(epoch * per_epoch, np.uint32))


def _check(data: Any, batch_size: int, epochs: int, keyed: bool) -> int:
    size = _length(data)
    if not 1 <= batch_size <= size:
        raise ValueError(f"batch_size must be between 1 and the {size:,} examples there are, got {batch_size}")
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more, got {epochs}")
    if keyed and not isinstance(data, Batch):
        raise ValueError(
            f"keyed=True needs a Batch, which has a place for the key, got {type(data).__name__}; "
            "give every example a key of its own"
        )
    if isinstance(data, Batch):
        labels = np.asarray(data.labels)
        if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
            raise ValueError(f"classes are counted from 0, got the label {labels.min()}")
        require_intensities(data.images)
    return size


def _unkeyed(data: Any) -> Any:
    return data._replace(key=None) if isinstance(data, Batch) else data


def _length(data: Any) -> int:
    """How many examples there are: the length of the leading axis that all arrays share."""
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in jax.tree.leaves(_unkeyed(data))}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            f"examples are arrays with one leading axis, got leading lengths {sorted(map(str, lengths))} in a {type(data).__name__}"
        )
    return int(lengths.pop() or 0)


def _generators(keys: Array) -> list[np.random.Generator]:
    """A source of orders for each key."""
    words = jax.device_get(jax.random.key_data(keys))
    return [np.random.default_rng(each) for each in words.reshape(-1, words.shape[-1])]


def _chunks(key: Array, data: Any, batch_size: int, epochs: int, keyed: bool, steps: int) -> Iterator[Any]:
    size = _length(data)
    per_epoch = size // batch_size
    order_key, batch_key = _split(key)
    (generator,) = _generators(order_key)
    gather = _gather_on_device(data) if devices.resident() else _gather_on_host(data)
    for epoch in range(epochs):
        order = generator.permutation(size).astype(np.int32)
        for start in range(0, per_epoch, steps):
            stop = min(start + steps, per_epoch)
            chosen = order[start * batch_size : stop * batch_size].reshape(stop - start, batch_size)
            read = gather(chosen)
            if keyed:
                read = read._replace(key=_keys(batch_key, epoch * per_epoch + start, stop - start))
            yield _marked(read)


def _gather_on_host(data: Any):
    held = jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.asarray(leaf), _unkeyed(data))
    return lambda chosen: jax.tree.map(lambda leaf: leaf[chosen] if is_key(leaf) else _take(leaf, chosen), held)


def _take(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Into memory aligned to 64 bytes, which jax on a CPU uses where it lies; from elsewhere it copies, 5 MB in a millisecond."""
    shape = (*chosen.shape, *array.shape[1:])
    size = array.itemsize * math.prod(shape)
    space = np.empty(size + 64, np.uint8)
    begin = -space.ctypes.data % 64
    taken = space[begin : begin + size].view(array.dtype).reshape(shape)
    array.take(chosen, 0, out=taken, mode="clip")
    taken.flags.writeable = False  # it may be read later than handed over
    return taken


def _gather_on_device(data: Any):
    resident = jax.tree.map(jnp.asarray, _unkeyed(data))
    gather = jax.jit(lambda resident, chosen: jax.tree.map(lambda leaf: leaf[chosen], resident))
    return lambda chosen: gather(resident, chosen)


def _keys(key: Array, first: int, count: int) -> Array:
    return _fold(key, np.arange(first, first + count, dtype=np.uint32))


_split = jax.jit(lambda key: tuple(jax.random.split(key)))
_split_each = jax.jit(jax.vmap(lambda key: tuple(jax.random.split(key))))
_fold = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(None, 0)))
