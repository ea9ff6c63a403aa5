"""The names of the arrays of a pytree, and checks that an instrument can use these arrays."""

import dataclasses
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A placeholder in a pytree for an array that `bang.select` left out. Like None, a placeholder is no leaf for jax.

    Attributes:
        size: How many numbers the array has. The flat vector of all parameters still contains them.
    """

    size: int


def leaf_name(path: Any) -> str:
    """An array's name, made of its path in a pytree, such as `0/weights`. An array without a path is called "parameter"."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "parameter"


def names(tree: Any) -> list[str]:
    """The name of every leaf, in the order of `jax.tree.leaves`.

    The array inside a flax.nnx variable has the variable's name.

    Raises:
        ValueError: If two leaves have the same name.
    """
    found = []
    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_variable):
        found += [leaf_name(path)] * (len(jax.tree.leaves(node)) if _is_variable(node) else 1)
    if twice := [name for name, number in Counter(found).items() if number > 1]:
        raise ValueError(
            f"two arrays of this pytree are called {twice[0]!r}; rename one of them, because instruments find arrays by name"
        )
    return found


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Every array of a pytree with its name. None leaves and leaves without a gradient (float0) are left out.

    Raises:
        ValueError: If two arrays have the same name.
    """
    pairs = zip(names(tree), jax.tree.leaves(tree), strict=True)
    return [(name, leaf) for name, leaf in pairs if not is_float0(leaf)]


def leaves_with_paths(tree: Any) -> list[tuple[Any, Any]]:
    """Every array of a pytree with its path. None leaves and leaves without a gradient (float0) are left out."""
    return [(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if not is_float0(leaf)]


def is_float0(leaf: Any) -> bool:
    """Whether a leaf has the type that `jax.grad(..., allow_int=True)` gives for integers: an array without numbers."""
    return getattr(leaf, "dtype", None) == jax.dtypes.float0


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed random keys."""
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(float)), jax.dtypes.prng_key)


def with_gradient(tree: Any) -> Any:
    """Replace every leaf that has no gradient (float0) by None."""
    return jax.tree.map(lambda leaf: None if is_float0(leaf) else leaf, tree)


def require_real(tree: Any, what: str) -> None:
    """Refuse complex numbers, because the instrument is not defined for complex numbers.

    Raises:
        ValueError: If a leaf is complex. The message contains the name of the leaf.
    """
    for name, leaf in named_leaves(tree):
        if jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            raise ValueError(
                f"{what} needs real numbers, but {name!r} is {jnp.result_type(leaf)}; "
                "make its real part and its imaginary part two parameters"
            )


def require_floats(params: Any, what: str) -> None:
    """Refuse parameters that are integers, booleans or complex numbers.

    Raises:
        ValueError: If a leaf is not a real float. The message contains the name of the leaf.
    """
    require_real(params, what)
    require_kind(params, what, jnp.floating)


def require_kind(params: Any, what: str, kind: Any) -> None:
    """Refuse parameters whose type does not belong to `kind`, such as `jnp.inexact`.

    Raises:
        ValueError: If a leaf has another type. The message contains the name of the leaf.
    """
    for name, leaf in named_leaves(params):
        if not jnp.issubdtype(jnp.result_type(leaf), kind):
            raise ValueError(
                f"{what} differentiates with respect to every parameter, but {name!r} is {jnp.result_type(leaf)}; "
                "put arrays that are not parameters into the cost or the batch, or make this one a float"
            )


def require_alike(tree: Any, params: Any, what: str) -> None:
    """Refuse a pytree whose structure or shapes are not the structure and the shapes of the parameters.

    Raises:
        ValueError: If the structure or a shape differs. The message contains the first difference.
    """
    if jax.tree.structure(tree) != jax.tree.structure(params):
        raise ValueError(
            f"{what} must have the structure of the parameters, {jax.tree.structure(params)}, got {jax.tree.structure(tree)}"
        )
    for name, leaf, like in zip(names(params), jax.tree.leaves(tree), jax.tree.leaves(params), strict=True):
        if np.shape(leaf) != np.shape(like):
            raise ValueError(
                f"{what} must have the shapes of the parameters; {name!r} is {np.shape(like)}, got {np.shape(leaf)}"
            )


def _is_variable(node: Any) -> bool:
    return any(kind.__name__ == "Variable" and kind.__module__.startswith("flax.nnx") for kind in type(node).__mro__)


def first_not_finite(tree: Any) -> str | None:
    """The name of the first leaf that holds a NaN or an infinity, or None if all leaves are finite."""
    for path, finite in jax.tree_util.tree_leaves_with_path(_finite(tree)):
        if not finite:
            return jax.tree_util.keystr(path, simple=True, separator="/") or "the parameter"
    return None


@jax.jit
def _finite(tree: Any) -> Any:
    """Whether each leaf is finite. Leaves that are not floats count as finite.

    One small compiled program checks all leaves. Without `jax.jit` there would be two compiled programs for each leaf.
    """
    floating = lambda leaf: jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    return jax.tree.map(lambda leaf: jnp.isfinite(leaf).all() if floating(leaf) else True, tree)
