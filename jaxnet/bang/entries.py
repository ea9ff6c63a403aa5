"""Which parameters to look at: by name, by size, by chance; as positions in the one long vector of all of them."""

import fnmatch
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxnet._types import Params
from jaxnet.bang.names import first_largest
from jaxnet.leaves import LeftOut, is_float0, names

Positions = Int[np.ndarray, "entry"]


def select(tree: Any, leaves: str) -> Any:
    """The same pytree without the arrays whose names do not match: a `LeftOut` stands there, which instruments skip.

    Positions in the long vector of all parameters, as `largest` gives them, still count what is left out.

    Args:
        tree: Parameters, gradients or the like.
        leaves: A pattern as of file names, such as `0/*` or `*/kernel`.

    Raises:
        ValueError: If nothing matches; the message lists the names.

    Examples:
        >>> select({"dense": {"kernel": 1.0, "bias": 2.0}}, "*/bias")
        {'dense': {'bias': 2.0, 'kernel': LeftOut(size=1)}}
    """
    arrays, form = jax.tree.flatten(tree)
    matching = [fnmatch.fnmatchcase(name, leaves) for name in names(tree)]
    if not any(matching):
        raise ValueError(f"no array's name matches {leaves!r}; there are {', '.join(names(tree))}")
    kept = (leaf if match else LeftOut(np.size(leaf)) for leaf, match in zip(arrays, matching, strict=True))
    return form.unflatten(kept)


def positions(params: Params, leaves: str = "*") -> Positions:
    """Where the parameters of the matching arrays stand in the long vector of all of them.

    Raises:
        ValueError: If nothing matches.

    Examples:
        >>> positions({"a": np.zeros(3), "b": np.zeros((2, 2))}, "b").tolist()
        [3, 4, 5, 6]
    """
    kept = [not isinstance(leaf, LeftOut) for leaf in _with_left_out(select(params, leaves))]
    sizes = [leaf.size if isinstance(leaf, LeftOut) else np.size(leaf) for leaf in _with_left_out(params)]
    starts = np.cumsum([0, *sizes])
    return np.concatenate(
        [np.arange(start, start + size) for start, size, match in zip(starts, sizes, kept, strict=False) if match]
    )


def _with_left_out(tree: Any) -> list[Any]:
    """The leaves of a pytree, and what stands for those that were left out."""
    return jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, LeftOut))


def largest(grads: Any, k: int) -> Positions:
    """The k components of the largest magnitude, the largest first; of equal ones the first.

    Args:
        grads: A pytree of gradients; what `select` left out is not ranked, but counted.
        k: How many; fewer come back where there are fewer.

    Returns:
        Positions in the long vector of all parameters.

    Raises:
        ValueError: If k is below 1, or a component is NaN or infinite.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    known, parts = iter(names(grads)), []
    for leaf in _with_left_out(grads):
        name = None if isinstance(leaf, LeftOut) else next(known)
        if name is None or is_float0(leaf):
            parts.append(np.full(leaf.size, -1.0))
            continue
        parts.append(np.abs(np.asarray(leaf)).astype(np.float64).ravel())
        if not np.isfinite(parts[-1]).all():
            raise ValueError(f"the gradient of {name!r} holds NaN or infinity; ranking needs finite numbers")
    sizes = np.concatenate(parts)
    some = np.sort(first_largest(sizes, min(k, int((sizes >= 0).sum()))))
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
    whole = _with_left_out(params)
    sizes = [leaf.size if isinstance(leaf, LeftOut) else np.size(leaf) for leaf in whole]
    flat = np.full(sum(sizes), np.nan)
    flat[slice(None) if entries is None else entries] = values
    cuts = np.split(flat, np.cumsum(sizes)[:-1])
    kept = [(cut, leaf) for cut, leaf in zip(cuts, whole, strict=True) if not isinstance(leaf, LeftOut)]
    return jax.tree.structure(params).unflatten([cut.reshape(np.shape(leaf)) for cut, leaf in kept])
