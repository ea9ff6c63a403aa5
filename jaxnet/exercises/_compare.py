"""Describe how an answer differs from the right answer, without telling the right answer."""

import numbers
from typing import Any

import jax
import numpy as np

TOLERANCE = 1e-3
"""Answers count as equal up to this fraction of the largest number.

Single precision and the order of a sum cause errors.
"""


COUNTED = 1e-6
"""The tolerance for whole numbers (counts). It is also a fraction of the largest number."""


def difference(right: Any, answer: Any, tolerance: float = TOLERANCE) -> str | None:
    """Describe how an answer differs from the right answer.

    Args:
        right: A number, or a pytree of arrays.
        answer: Any object.
        tolerance: The allowed difference, as a fraction of the largest number.

    Returns:
        The difference in kind, shape, sign, length or order, in words that continue a sentence after "your answer". If the
        two answers agree, it is None.

    Examples:
        >>> difference(2.0, -2.0), difference(2.0, 2), difference(2.0, [2.0])
        ('has the right size but the wrong sign', None, 'is an array of shape (1,) where one number is expected')
    """
    wanted = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(right)]
    given = [answer] if len(wanted) == 1 else _leaves(answer)
    if hasattr(right, "_fields") and type(answer) is not type(right):
        return f"is {described(answer)} where a {type(right).__name__} is expected"
    if answer is None or len(given) != len(wanted):
        return f"is {described(answer)} where {_expected(wanted)} is expected"
    arrays = []
    for want, leaf in zip(wanted, given, strict=True):
        array = _array(leaf)
        if array is None:
            return f"is {described(leaf)} where {_expected([want])} is expected"
        if array.shape != want.shape:
            return f"is {described(array)} where {_expected([want])} is expected"
        arrays.append(array)
    flat, target = (np.concatenate([part.ravel() for part in parts]) for parts in (arrays, wanted))
    return None if _close(flat, target, tolerance) else _told(flat, target)


def described(answer: Any) -> str:
    """Name the kind of an answer, such as "a number" or "an array of shape (2, 3)". The function never raises an error.

    Examples:
        >>> described("seven"), described(7), described(None), described(len)
        ('a text', 'a number', 'None', 'a function')
    """
    if answer is None:
        return "None"
    if isinstance(answer, str):
        return "a text"
    if isinstance(answer, bool | np.bool_):
        return "True or False"
    if callable(answer):
        return "a function"
    array = _array(answer)
    if array is not None:
        return f"an array of shape {array.shape}" if array.ndim else "a number"
    return f"of type {type(answer).__name__}"


def _expected(wanted: list[np.ndarray]) -> str:
    if len(wanted) > 1:
        return f"a pytree with {len(wanted)} arrays"
    return f"an array of shape {wanted[0].shape}" if wanted[0].ndim else "one number"


def _leaves(answer: Any) -> list[Any]:
    try:
        return jax.tree.leaves(answer)
    except (TypeError, ValueError):  # for example a dict whose keys cannot be sorted
        return [answer]


def _array(answer: Any) -> np.ndarray | None:
    """The answer as float64. If it does not consist of numbers, the result is None."""
    try:
        array = np.asarray(
            float(answer) if isinstance(answer, numbers.Real) and not isinstance(answer, bool) else answer
        )
        words = array.dtype.kind in "USOcMm" or (array.dtype.kind == "b" and not array.ndim)
        return None if words or not array.size else array.astype(np.float64)
    except Exception:  # the conversion of a student's own object may raise any exception
        return None


def _close(given: np.ndarray, wanted: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    scale = np.abs(wanted).max()
    return bool(np.isfinite(given).all() and np.abs(given - wanted).max() <= tolerance * (scale or 1.0))


def _told(given: np.ndarray, wanted: np.ndarray) -> str:
    if not np.isfinite(given).all():
        return "holds NaN or infinity"
    one = len(wanted) == 1
    if _close(-given, wanted):
        return "has the right size but the wrong sign" if one else "has the right sizes but every sign is wrong"
    if one:
        if given[0] * wanted[0] < 0:
            return "has the wrong sign and the wrong size"
        return "is too large" if abs(given[0]) > abs(wanted[0]) else "is too small"
    square = float(given @ given)
    factor = float(given @ wanted) / square if square else 0.0
    if factor > 0 and _close(factor * given, wanted):
        return f"has the right proportions, but all its numbers are too {'large' if factor < 1 else 'small'}"
    if _close(np.sort(given), np.sort(wanted)):
        return "has the right numbers in another order"
    wrong = int((np.abs(given - wanted) > TOLERANCE * (np.abs(wanted).max() or 1.0)).sum())
    return f"has the right shape, but {wrong} of its {len(wanted)} numbers differ"
