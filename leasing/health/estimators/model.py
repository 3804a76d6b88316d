"""What goes into an estimator of a task, and what comes out."""

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Table = dict[str, NDArray[np.generic]]
"""Columns of equal length by name."""

Parameters = dict[str, object]
"""What was fitted, as it stands in JSON."""


class Prediction(msgspec.Struct, frozen=True):
    """One row of predictions.csv. `lower` and `upper` are the central 90 % interval."""

    unit: str
    index: int
    pred: float
    lower: float
    upper: float
    protocol: str = ""


class MissingColumn(ValueError):
    """A table lacks what its task needs."""


def column(table: Table, name: str) -> Array:
    return np.asarray(table[name], dtype=np.float64)


def names(table: Table, name: str) -> NDArray[np.str_]:
    return np.asarray(table[name], dtype=np.str_)


def rows_of(unit: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
    """The rows of every unit, in the order in which units are first seen."""
    found, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    return {str(found[k]): np.flatnonzero(inverse == k) for k in np.argsort(first)}


def require(table: Table, needed: tuple[str, ...], task: str) -> None:
    """Raises MissingColumn, which names every column that is not there."""
    missing = [name for name in needed if name not in table]
    if missing:
        told = ", ".join(missing)
        there = ", ".join(list(table)[:12])
        raise MissingColumn(f"{task} needs the columns {told}; the file has {there}")
