"""The record of a run as columns of arrays: stack infos, make columns from rows, and write CSV files."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Columns = dict[str, np.ndarray]
"""Arrays of equal length by name."""


def stack(infos: Iterable[Any]) -> Any:
    """Join the histories of several chunks along the axis of steps, as numpy arrays of at least float32.

    Args:
        infos: Info tuples with a leading axis of steps, as `train` yields them. At least one tuple is needed.
    """
    widened = lambda part: np.asarray(part, jnp.promote_types(part.dtype, jnp.float32))
    return jax.tree.map(lambda *parts: np.concatenate([widened(part) for part in parts]), *infos)


def columns(rows: Iterable[Mapping[str, Any]]) -> Columns:
    """Turn rows into columns. All rows must have equal names. Without rows, there are no columns."""
    rows = list(rows)
    return {name: np.asarray([row[name] for row in rows]) for name in (rows[0] if rows else {})}


def write_csv(path: Path, table: Columns) -> None:
    """Write columns as a CSV file. Its first line holds the names. Floats have all their digits; words are unchanged."""
    texts = [[_digits(column.dtype) % value for value in column.tolist()] for column in table.values()]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*texts, strict=True))


def _digits(dtype: np.dtype) -> str:
    if np.issubdtype(dtype, np.integer):
        return "%d"
    if not np.issubdtype(dtype, np.number):
        return "%s"
    return "%.17g" if dtype == np.float64 else "%.9g"
