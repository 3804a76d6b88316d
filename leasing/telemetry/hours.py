"""An hour of a pack in a row: least, mean and greatest of each quantity."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from leasing.telemetry.columns import HOUR_US, NO_CELL, Readings, bounds, instant

SUMMED = ("voltage_v", "current_a", "soc_percent", "temperature_c", "insulation_kohm", "cell_mv")
COLUMNS = (
    "pack_id",
    "hour_at",
    "readings",
    *(f"{name}_{what}" for name in SUMMED for what in ("min", "mean", "max")),
)

Row = tuple[UUID | datetime | int | float | None, ...]


def rows(readings: Readings, packs: Sequence[UUID]) -> list[Row]:
    """A row for each pack and hour in which it reported; `readings` are ordered."""
    groups = bounds(readings.pack, readings.at // HOUR_US)
    if not groups:
        return []
    firsts = np.array([first for first, _ in groups])
    columns: list[Sequence[object]] = []
    for name in SUMMED:
        columns += _summed(_least_and_greatest(readings, name), firsts)
    hours = (readings.at[firsts] // HOUR_US * HOUR_US).tolist()
    # Packs report in the same hours: few instants are made, and each once.
    instants = {hour: instant(hour) for hour in set(hours)}
    return list(
        zip(
            [packs[place] for place in readings.pack[firsts].tolist()],
            [instants[hour] for hour in hours],
            [last - first for first, last in groups],
            *columns,
            strict=True,
        )
    )


def _least_and_greatest(readings: Readings, name: str) -> tuple[NDArray[np.float64], ...] | None:
    """Of each reading the least value, the mean and the greatest: they differ for cells."""
    if name == "cell_mv":
        if readings.cells_mv is None:
            return None
        cells = readings.cells_mv.astype(np.float64)
        there = readings.cells_mv != NO_CELL
        some = there.any(axis=1)
        count = np.where(some, there.sum(axis=1), 1)
        mean = np.where(there, cells, 0).sum(axis=1) / count
        least = np.where(there, cells, np.inf).min(axis=1)
        most = np.where(there, cells, -np.inf).max(axis=1)
        return tuple(np.where(some, one, np.nan) for one in (least, mean, most))
    if name not in readings.scalars:
        return None
    column = readings.scalars[name].astype(np.float64)
    return column, column, column


def _summed(
    values: tuple[NDArray[np.float64], ...] | None, firsts: NDArray[np.int64]
) -> list[list[float | None]]:
    if values is None:
        return [[None] * len(firsts)] * 3
    least, mean, most = values
    known = np.isfinite(mean)
    if known.all():
        count = np.diff(firsts, append=len(mean))
        parts = (
            np.minimum.reduceat(least, firsts),
            np.add.reduceat(mean, firsts) / count,
            np.maximum.reduceat(most, firsts),
        )
        return [part.tolist() for part in parts]
    count = np.add.reduceat(known.astype(np.int64), firsts)
    total = np.add.reduceat(np.where(known, mean, 0.0), firsts)
    parts = (
        np.minimum.reduceat(np.where(known, least, np.inf), firsts),
        total / np.maximum(count, 1),
        np.maximum.reduceat(np.where(known, most, -np.inf), firsts),
    )
    return [
        [value if n else None for value, n in zip(part.tolist(), count.tolist(), strict=True)]
        for part in parts
    ]
