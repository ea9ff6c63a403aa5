"""Shuffled mini-batches, gathered on the host or as whole epochs on a device. Both ways give the same order."""

import concurrent.futures
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxnet.core import devices
from jaxnet.core.chunks import Epoch, as_chunk, chunk_length
from jaxnet.core.leaves import is_key
from jaxnet.core.network import require_intensities
from jaxnet.core.types import Batch


def shuffled(
    key: Key[Array, ""],
    data: Any,
    batch_size: int,
    *,
    epochs: int = 1,
    keyed: bool = False,
    steps: int | None = None,
    first: int = 0,
) -> Iterator[Any]:
    """In every epoch, yield all examples once in a new random order, as batches stacked along a leading axis of steps.

    If the last batch of an epoch is incomplete, its examples are left out. In the next epoch, other examples are left
    out.

    Args:
        key: The key that decides the order, and the batches' keys if `keyed` is true. The order is the same on every
            device.
        data: The examples: a `Batch`, or any pytree of arrays with one common leading axis, such as `(x, y)`.
        batch_size: The number of examples in a step. If it is the number of all examples, every step uses all of them
            (full-batch descent).
        epochs: How many times to go through the data.
        keyed: Whether to give every batch a random key, for costs that need randomness. Only a `Batch` has a field for
            the key.
        steps: The number of steps to stack. The default is a divisor of the number of steps in an epoch. The stacked
            steps then have about 2,500 images, and all chunks have one shape, so that one compiled program is enough.
        first: The number of steps to leave out at the beginning, because an earlier training has taken them.

    Yields:
        Chunks: pytrees with the structure of `data`, whose arrays have shape (steps, batch_size, ...) and are
        read-only. No chunk contains steps of two epochs.

    Raises:
        ValueError: If the batch size is not between 1 and the number of examples, epochs or first is negative, the
            arrays have no common leading axis, or a `Batch` does not hold valid images and labels.
    """
    size = _check(data, batch_size, epochs, keyed, first)
    steps = steps or chunk_length(size // batch_size, batch_size)
    return _chunks(key, data, batch_size, epochs, keyed, steps, first)


def resident_epochs(
    key: Key[Array, "*networks"],
    data: Any,
    batch_size: int,
    *,
    epochs: int = 1,
    keyed: bool = False,
    sharding: jax.sharding.Sharding | None = None,
    first: int = 0,
) -> Iterator[Epoch]:
    """Yield the batches of `shuffled` as epochs. The device gathers the batches of an epoch in one compiled program.

    Use this function with `jaxnet.train` on an accelerator, where starting a compiled program is slow. On a CPU
    `shuffled` is faster.

    Args:
        key: The key, as in `shuffled`. If every network has its own order, pass an array with one key for each
            network.
        data: The examples.
        batch_size: The number of examples in a step.
        epochs: How many times to go through the data.
        keyed: Whether to give every batch a random key.
        sharding: The devices for the examples. If it is None, the current device holds them.
        first: The number of steps to leave out at the beginning, because an earlier training has taken them.

    Yields:
        One `Epoch` after the other. Their batches, the order of the batches and the keys are as in `shuffled`. If
        `first` lies within an epoch, the first `Epoch` has only the steps that remain.

    Raises:
        ValueError: As in `shuffled`.
    """
    _check(data, batch_size, epochs, keyed, first)
    return _epochs(key, data, batch_size, epochs, keyed, sharding, first)


def _epochs(
    key: Array, data: Any, batch_size: int, epochs: int, keyed: bool, sharding: jax.sharding.Sharding | None, first: int
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
    with concurrent.futures.ThreadPoolExecutor(devices.cores()) as pool:  # random draws do not block other threads
        for epoch in range(epochs):
            drawn = np.stack(list((map if len(generators) == 1 else pool.map)(draw, generators))).reshape(shape)
            taken = max(0, first - epoch * per_epoch)
            if taken < per_epoch:
                order, number = np.moveaxis(drawn, -2, 0)[taken:], epoch * per_epoch + taken
                yield Epoch(examples, order, batch_keys if keyed else None, np.asarray(number, np.uint32))


def _check(data: Any, batch_size: int, epochs: int, keyed: bool, first: int) -> int:
    size = _length(data)
    if not 1 <= batch_size <= size:
        raise ValueError(f"batch_size must be between 1 and {size:,}, the number of examples, got {batch_size}")
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more, got {epochs}")
    if first < 0:
        raise ValueError(f"first must be 0 or more steps, got {first}")
    if keyed and not isinstance(data, Batch):
        raise ValueError(
            f"keyed=True needs a Batch, which has a field for the key, got {type(data).__name__}; "
            "put one key for each example into the data instead"
        )
    if isinstance(data, Batch):
        labels = np.asarray(data.labels)
        if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
            raise ValueError(
                f"labels must be 0 or more, because classes are counted from 0, got the label {labels.min()}"
            )
        require_intensities(data.images)
    return size


def _unkeyed(data: Any) -> Any:
    return data._replace(key=None) if isinstance(data, Batch) else data


def _length(data: Any) -> int:
    """The number of examples, which is the length of the leading axis of every array."""
    lengths = {np.shape(leaf)[0] if np.ndim(leaf) else None for leaf in jax.tree.leaves(_unkeyed(data))}
    if len(lengths) != 1 or None in lengths:
        raise ValueError(
            "examples must be arrays with one leading axis, "
            f"got leading lengths {sorted(map(str, lengths))} in a {type(data).__name__}"
        )
    return int(lengths.pop() or 0)


def _generators(keys: Array) -> list[np.random.Generator]:
    """A generator of random orders for each key."""
    words = jax.device_get(jax.random.key_data(keys))
    return [np.random.default_rng(each) for each in words.reshape(-1, words.shape[-1])]


def _chunks(key: Array, data: Any, batch_size: int, epochs: int, keyed: bool, steps: int, first: int) -> Iterator[Any]:
    size = _length(data)
    per_epoch = size // batch_size
    order_key, batch_key = _split(key)
    (generator,) = _generators(order_key)
    gather = _gather_on_device(data) if devices.resident() else _gather_on_host(data)
    for epoch in range(epochs):
        order = generator.permutation(size).astype(np.int32)
        taken = max(0, first - epoch * per_epoch)
        for begin in range(0, per_epoch, steps):
            start, stop = max(begin, taken), min(begin + steps, per_epoch)
            if start >= stop:
                continue
            chosen = order[start * batch_size : stop * batch_size].reshape(stop - start, batch_size)
            read = gather(chosen)
            if keyed:
                read = read._replace(key=_keys(batch_key, epoch * per_epoch + start, stop - start))
            yield as_chunk(read)


def _gather_on_host(data: Any):
    held = jax.tree.map(lambda leaf: leaf if is_key(leaf) else np.asarray(leaf), _unkeyed(data))
    return lambda chosen: jax.tree.map(lambda leaf: leaf[chosen] if is_key(leaf) else _take(leaf, chosen), held)


def _take(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Gather examples into memory aligned to 64 bytes.

    On a CPU, jax uses aligned memory without a copy. It copies other memory, and each 5 MB take a millisecond.
    """
    shape = (*chosen.shape, *array.shape[1:])
    size = array.itemsize * math.prod(shape)
    space = np.empty(size + 64, np.uint8)
    begin = -space.ctypes.data % 64
    taken = space[begin : begin + size].view(array.dtype).reshape(shape)
    array.take(chosen, 0, out=taken, mode="clip")
    taken.flags.writeable = False  # jax may read this memory later, so nobody may change it
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
