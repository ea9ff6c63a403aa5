"""Convert values to JSON and back. NaN becomes null. A value that a person may have edited is checked against a type."""

import math
import types
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np


def without_nan(value: Any) -> Any:
    """Replace every NaN and infinity in a value by None, because JSON has no NaN and no infinity.

    Args:
        value: A number, a text, or a dictionary, list or tuple of such values.

    Examples:
        >>> without_nan({"cost": float("nan"), "rows": [1, float("inf"), "text"]})
        {'cost': None, 'rows': [1, None, 'text']}
    """
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(without_nan, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_plain(value: Any) -> Any:
    """Turn a number of numpy into a number of Python, also inside a tuple or a list. A list becomes a tuple.

    Examples:
        >>> as_plain(np.float32(0.5)), as_plain([np.int64(3), 4]), as_plain("text")
        (0.5, (3, 4), 'text')
    """
    if isinstance(value, list | tuple):
        return tuple(map(as_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def as_tuples(value: Any) -> Any:
    """Turn JSON's lists back into tuples."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value from JSON has the annotated type. A list counts as a tuple, and a whole number as a float.

    Examples:
        >>> fits([[16], [4, 4]], tuple[tuple[int, ...], ...]), fits(True, int), fits(3, float | None), fits("x", Literal["y"])
        (True, False, True, False)
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in arguments)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if arguments[-1] is ...:
            return all(fits(one, arguments[0]) for one in value)
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if kind in (None, type(None)):
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or kind)


def in_words(kind: Any) -> str:
    """Describe an annotated type in words, for an error message.

    Examples:
        >>> in_words(tuple[int, ...]), in_words(Literal["cpu", "gpu"] | None)
        ('a list, each a whole number', 'one of cpu, gpu, or nothing')
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return ", or ".join(map(in_words, arguments))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        each = in_words(arguments[0]) if arguments[-1] is ... else " and ".join(map(in_words, arguments))
        return f"a list, each {each}"
    known = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}
    return known.get(kind, "names with values" if kind is dict else getattr(kind, "__name__", str(kind)))
