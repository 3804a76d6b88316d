"""Intervals that hold on units nobody has seen.

The errors of one cell are alike, so a thousand readings of one cell are one case and not a
thousand. What can be exchanged for one another are cells: they are left out whole, and the error of
the next cell is judged by the errors the others made when they were left out (split conformal
prediction with groups; health.md 3.8). With few units there is no quantile to read off, and the
interval leans on Student's distribution with as many degrees of freedom as units can give.
"""

from collections.abc import Callable, Iterator
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Units = NDArray[np.str_]

COVERAGE = 0.90
MIN_UNITS = 9
"""Fewer cannot show a 90 % quantile."""
FEW_UNITS = 20
"""Below this many the quantile is widened."""

# Two-sided 90 % points of Student's distribution for 1, 2, … degrees of freedom.
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)
NORMAL = 1.645


def student(degrees: int) -> float:
    """The two-sided 90 % point; beyond ten degrees a fit good to 0.3 %.

    >>> student(2), round(student(30), 2)
    (2.92, 1.7)
    """
    if degrees < 1:
        raise ValueError("one unit tells nothing of how units differ")
    if degrees <= len(STUDENT):
        return STUDENT[degrees - 1]
    return NORMAL * (1 + 0.93 / degrees)


def widening(units: int) -> float:
    """By how much an interval from few units is widened: √(1 + 2/√n) below 20."""
    return sqrt(1 + 2 / sqrt(units)) if units < FEW_UNITS else 1.0


def quantile(scores: Array, units: Units, coverage: float = COVERAGE) -> float:
    """The score that `coverage` of the next unit's rows stay below.

    Every unit has the same weight however many rows it has, and the unit to come is one more of
    whom nothing is known: with n units the level is raised to coverage·(n + 1)/n. Scores are
    errors over what they were expected to be, without sign.

    Raises ValueError for fewer than nine units.
    """
    names, inverse, counts = np.unique(units, return_inverse=True, return_counts=True)
    if len(names) < MIN_UNITS:
        raise ValueError(f"{len(names)} units cannot show a {coverage:.0%} quantile; 9 are needed")
    order = np.argsort(scores, kind="stable")
    share = np.cumsum((1 / counts[inverse] / len(names))[order])
    level = min(1.0, coverage * (len(names) + 1) / len(names))
    at = min(int(np.searchsorted(share, level - 1e-12)), len(scores) - 1)
    return float(scores[order][at]) * widening(len(names))


def between_units(errors_by_unit: list[Array]) -> float:
    """Half of a 90 % interval for the error of one row of a unit to come, from few units.

    A unit's errors are a shift of its own and a scatter about it. The shift of the next unit is
    judged by Student's distribution with one degree of freedom less than there are units; the
    scatter is added in quadrature. Errors are of units that were left out of the fit.

    Raises ValueError for a single unit.
    """
    count = len(errors_by_unit)
    shifts = np.array([errors.mean() for errors in errors_by_unit])
    scatter = float(np.mean([errors.var() for errors in errors_by_unit]))
    between = float((shifts**2).mean()) * (1 + 1 / count)
    return sqrt(student(count - 1) ** 2 * between + NORMAL**2 * scatter)


def folds(units: Units, count: int) -> Iterator[NDArray[np.bool_]]:
    """Which rows to leave out, whole units at a time, so that every unit is left out once.

    Units are dealt out in order of their names: the same on every machine and in every run.
    """
    names = np.unique(units)
    for k in range(min(count, len(names))):
        yield np.isin(units, names[k::count])


def left_out(
    units: Units, count: int, predict: Callable[[NDArray[np.bool_]], tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Every row as predicted while its unit was left out. `predict` is given what is left out and
    answers with columns for it."""
    columns: list[Array] | None = None
    for out in folds(units, count):
        found = predict(out)
        if columns is None:
            columns = [np.full(len(units), np.nan) for _ in found]
        for column, values in zip(columns, found, strict=True):
            column[out] = values
    return tuple(columns or ())
