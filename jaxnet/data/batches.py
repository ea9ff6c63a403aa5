"""Shuffled mini-batches: gathered on the host for a CPU, resident on the device for an accelerator, in the same order."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from jaxnet import devices
from jaxnet._types import Batch


def chunk_length(steps: int, batch_size: int) -> int:
    """How many steps to put into one compiled program: a divisor of `steps` near 25, more for small batches.

    Measured on 2 cores (`benchmarks/README.md`): about 2,500 images a program are as fast as any number, fewer pay for
    starting programs, far more for leaving the processor's cache. The divisor saves compiling a remainder.
    """
    near = max(1, min(steps, max(25, 2500 // batch_size), 20_000_000 // (784 * batch_size)))
    low, high = max(1, near // 2), min(steps, near * 3)
    divisors = [n for n in range(low, high + 1) if steps % n == 0]
    return min(divisors, key=lambda n: abs(n - near)) if divisors else near


def shuffled(
    key: Key[Array, ""], data: Batch, batch_size: int, *, epochs: int = 1, keyed: bool = False, steps: int | None = None
) -> Iterator[Batch]:
    """Every epoch all examples once, in a new order, as batches stacked along a leading axis of steps.

    The incomplete batch at an epoch's end is dropped, and the next epoch's order decides anew who is left out.

    Args:
        key: Decides the order (the same on every device) and, with `keyed`, the batches' keys.
        data: The examples.
        batch_size: Examples a step; `len(data.labels)` is full-batch descent, 1 is one example at a time.
        epochs: How often to go through the data.
        keyed: Give every batch a random key, for costs that need randomness.
        steps: Steps to stack; by default some 2,500 images' worth and a divisor of the epoch's steps, so that one program serves.

    Yields:
        A `Batch` with arrays of shape (steps, batch_size, ...), read-only; chunks never cross the end of an epoch.

    Raises:
        ValueError: If the batch size is not between 1 and the number of examples, or epochs is negative.
    """
    size = len(data.labels)
    if not 1 <= batch_size <= size:
        raise ValueError(f"batch_size must be between 1 and the {size:,} examples there are, got {batch_size}")
    if epochs < 0:
        raise ValueError(f"epochs must be 0 or more, got {epochs}")
    return _chunks(key, data, batch_size, epochs, keyed, steps or chunk_length(size // batch_size, batch_size))


def _chunks(key: Array, data: Batch, batch_size: int, epochs: int, keyed: bool, steps: int) -> Iterator[Batch]:
    size, per_epoch = len(data.labels), len(data.labels) // batch_size
    order_key, batch_key = _split(key)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(order_key)).ravel())
    gather = _gather_on_host(data) if devices.current().platform == "cpu" else _gather_on_device(data)
    for epoch in range(epochs):
        order = generator.permutation(size).astype(np.int32)
        for start in range(0, per_epoch, steps):
            stop = min(start + steps, per_epoch)
            chosen = order[start * batch_size : stop * batch_size].reshape(stop - start, batch_size)
            yield gather(chosen)._replace(
                key=_keys(batch_key, epoch * per_epoch + start, stop - start) if keyed else None
            )


def _gather_on_host(data: Batch):
    images, labels = np.asarray(data.images), np.asarray(data.labels)
    return lambda chosen: Batch(_take(images, chosen), _take(labels, chosen))


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


def _gather_on_device(data: Batch):
    resident = Batch(jnp.asarray(data.images), jnp.asarray(data.labels))
    gather = jax.jit(lambda resident, chosen: jax.tree.map(lambda leaf: leaf[chosen], resident))
    return lambda chosen: gather(resident, chosen)


def _keys(key: Array, first: int, count: int) -> Array:
    return _fold(key, np.arange(first, first + count, dtype=np.uint32))


_split = jax.jit(lambda key: tuple(jax.random.split(key)))
_fold = jax.jit(jax.vmap(jax.random.fold_in, in_axes=(None, 0)))
