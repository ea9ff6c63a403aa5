"""Which parameters to look at: by name, by size, by chance; as positions in the one long vector of all of them."""

import fnmatch
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxnet._types import Params
from jaxnet.bang.names import first_largest, leaf_name, named_leaves

Positions = Int[np.ndarray, "entry"]


def select(tree: Any, leaves: str) -> Any:
    """The same pytree with None in place of every array whose name does not match, so that instruments skip it.

    Args:
        tree: Parameters, gradients or the like.
        leaves: A pattern as of file names, such as `0/*` or `*/kernel`.

    Raises:
        ValueError: If nothing matches; the message lists the names.

    Examples:
        >>> select({"dense": {"kernel": 1.0, "bias": 2.0}}, "*/bias")
        {'dense': {'bias': 2.0, 'kernel': None}}
    """
    names = [name for name, _ in named_leaves(tree)]
    if not any(fnmatch.fnmatchcase(name, leaves) for name in names):
        raise ValueError(f"no array's name matches {leaves!r}; there are {', '.join(names)}")
    keep = lambda path, leaf: leaf if fnmatch.fnmatchcase(leaf_name(path), leaves) else None
    return jax.tree_util.tree_map_with_path(keep, tree)


def positions(params: Params, leaves: str = "*") -> Positions:
    """Where the parameters of the matching arrays stand in the long vector of all of them.

    Raises:
        ValueError: If nothing matches.

    Examples:
        >>> positions({"a": np.zeros(3), "b": np.zeros((2, 2))}, "b").tolist()
        [3, 4, 5, 6]
    """
    select(params, leaves)
    found, start = [], 0
    for name, leaf in named_leaves(params):
        size = np.size(leaf)
        if fnmatch.fnmatchcase(name, leaves):
            found.append(np.arange(start, start + size))
        start += size
    return np.concatenate(found)


def largest(grads: Any, k: int) -> Positions:
    """The k components of the largest magnitude, the largest first; of equal ones the first.

    Raises:
        ValueError: If k is below 1, or a component is NaN or infinite.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    sizes = np.abs(np.concatenate([np.asarray(leaf, np.float64).ravel() for _, leaf in named_leaves(grads)]))
    if not np.isfinite(sizes).all():
        raise ValueError("a gradient holds NaN or infinity; ranking needs finite numbers")
    some = np.sort(first_largest(sizes, k))
    return some[np.argsort(-sizes[some], kind="stable")]


def sample(key: Key[Array, ""], params: Params, k: int, *, leaves: str = "*") -> Positions:
    """Draw k parameters at random, each at most once, in order; from the matching arrays.

    Raises:
        ValueError: If there are fewer than k, or nothing matches.
    """
    candidates = positions(params, leaves)
    if not 1 <= k <= len(candidates):
        raise ValueError(f"k must be between 1 and the {len(candidates):,} parameters there are, got {k}")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    return np.sort(generator.choice(candidates, k, replace=False))


def spread(values: Float[np.ndarray, "entry"], params: Params, entries: Positions | None = None) -> Params:
    """Put values by entry back into the shape of the parameters, as numpy arrays; NaN where there is none.

    Args:
        values: One number an entry.
        params: Of the wanted shapes.
        entries: Which parameters the values belong to; None means all of them, in order.
    """
    flat = np.full(sum(np.size(leaf) for leaf in jax.tree.leaves(params)), np.nan)
    flat[slice(None) if entries is None else entries] = values
    leaves, tree = jax.tree.flatten(params)
    cuts = np.split(flat, np.cumsum([np.size(leaf) for leaf in leaves])[:-1])
    return jax.tree.unflatten(tree, [cut.reshape(np.shape(leaf)) for cut, leaf in zip(cuts, leaves, strict=True)])
