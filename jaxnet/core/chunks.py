"""The input of one compiled program of the loop: several stacked batches, or a whole epoch described by its order."""

import functools
import math
import weakref
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, UInt32

GATHERED = 2**30
"""The largest number of bytes of images that an epoch's compiled program gathers at a time. A step is never divided."""

_stacked: dict[int, weakref.ref[Any]] = {}


class Epoch(NamedTuple):
    """All examples, and the order in which the steps of an epoch read them.

    `jaxnet.train` accepts an `Epoch` as a chunk of steps. One compiled program gathers the batches and takes the steps.

    Attributes:
        examples: All examples, on the device. If the examples are a `Batch`, its key is None.
        order: The positions of the examples that each step reads. If every network has its own order, the second axis
            counts networks.
        key: The key from which every step's key is made. If every network has its own key, there is one axis of
            networks. None if the cost needs no key.
        first: The number of the epoch's first step, counted from the start of the run.
    """

    examples: Any
    order: Int[Array, "steps *networks batch"] | Int[np.ndarray, "steps *networks batch"]
    key: Key[Array, "*networks"] | None
    first: UInt32[Array, ""] | UInt32[np.ndarray, ""]

    def batches(self) -> Any:
        """Gather the batches of all steps, stacked along a leading axis."""
        read = jax.tree.map(lambda leaf: jnp.asarray(leaf)[self.order], self.examples)
        if self.key is None:
            return read
        numbers = self.first + jnp.arange(len(self.order), dtype=jnp.uint32)
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None)) if self.key.ndim else jax.random.fold_in
        return read._replace(key=jax.vmap(fold, in_axes=(None, 0))(self.key, numbers))

    def cut(self) -> "Epoch":
        """Cut the order of the epoch into equal parts, stacked along a new first axis.

        Each part is small enough to be gathered at once. The examples themselves are not cut.
        """
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
    """How many steps to put into one compiled program: a divisor of `steps` near 25, or a larger divisor for small batches.

    Measured on 2 cores (`benchmarks/README.md`): programs with about 2,500 images are the fastest. With fewer images,
    the start of each compiled program costs too much time. With far more images, the data no longer fits into the
    processor's cache. A divisor of `steps` leaves no remainder. A remainder would have to be compiled separately.
    """
    near = max(1, min(steps, max(25, 2500 // batch_size), 20_000_000 // (784 * batch_size)))
    low, high = max(1, near // 2), min(steps, near * 3)
    divisors = [n for n in range(low, high + 1) if steps % n == 0]
    return min(divisors, key=lambda n: abs(n - near)) if divisors else near


def as_chunk(chunk: Any) -> Any:
    """Mark the arrays of a chunk, so that `is_chunk` recognizes them while they exist. Return the chunk unchanged."""
    for leaf in jax.tree.leaves(chunk):
        _stacked[id(leaf)] = weakref.ref(leaf, functools.partial(_forget, id(leaf)))
    return chunk


def _forget(number: int, of: Any) -> None:
    if _stacked.get(number) is of:
        del _stacked[number]


def is_chunk(tree: Any) -> bool:
    """Whether a pytree holds an array that the function `shuffled` made by stacking batches along an axis of steps.

    An array keeps its mark if other iterators pass it on.
    """
    known = ((leaf, _stacked.get(id(leaf))) for leaf in jax.tree.leaves(tree))
    return any(mark is not None and mark() is leaf for leaf, mark in known)
