"""Readings as columns: many readings of many packs in a few arrays.

What comes in as rows, columns or reports is put into this shape once; everything after it
(checking, storing, evaluating) works on whole arrays. A value that is not there is NaN, and
`NO_CELL` among the cell voltages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leasing.kit.time import CIVIL_ZONE

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Cells = NDArray[np.int16]
Flags = NDArray[np.bool_]

QUANTITIES = (
    "voltage_v",
    "current_a",
    "soc_percent",
    "temperature_c",
    "temperature_min_c",
    "insulation_kohm",
    "soh_percent",
    "odometer_km",
)
"""One number a reading. A chunk names them by their places here: new ones are added at the end."""

NO_CELL = np.int16(-32768)
MAX_CELLS = 500
MAX_PROBES = 100

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# The lessor's zone has had one offset since 1991, and no pack is older.
CIVIL_OFFSET_US = int(
    CIVIL_ZONE.utcoffset(datetime(2020, 1, 1)) / MICROSECOND  # type: ignore[operator]  # noqa: DTZ001
)


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of several packs. `pack` is the place of a reading's pack in a list that the
    caller keeps; `at` counts microseconds since 1970 UTC."""

    pack: NDArray[np.int32]
    at: Whole
    scalars: dict[str, Floats]
    """By quantity; a quantity that no reading has is left out."""
    cells_mv: Cells | None = None
    """A row a reading, a column a cell."""
    temperatures_c: Floats | None = None

    def __len__(self) -> int:
        return len(self.at)

    def scalar(self, quantity: str) -> Floats:
        """A quantity's column; NaN where it was not reported."""
        found = self.scalars.get(quantity)
        return np.full(len(self), np.nan, np.float32) if found is None else found

    def take(self, where: Any) -> "Readings":
        """Some of the readings: by a mask, a slice, or places in an order."""
        return Readings(
            self.pack[where],
            self.at[where],
            {name: column[where] for name, column in self.scalars.items()},
            None if self.cells_mv is None else self.cells_mv[where],
            None if self.temperatures_c is None else self.temperatures_c[where],
        )

    def of(self, places: NDArray[np.int32]) -> "Readings":
        """The same readings in another list of packs: `places` has the new place of each."""
        return Readings(
            places[self.pack], self.at, self.scalars, self.cells_mv, self.temperatures_c
        )


NOTHING = Readings(np.zeros(0, np.int32), np.zeros(0, np.int64), {})


def ordered(readings: Readings) -> Readings:
    """By pack and time, each instant of a pack once: of two, the one that was named first."""
    pack, at = readings.pack, readings.at
    before = pack[1:] > pack[:-1]
    same = pack[1:] == pack[:-1]
    if bool(np.all(before | (same & (at[1:] > at[:-1])))):
        return readings
    order = np.lexsort((at, pack))
    found = readings.take(order)
    return found.take(~_same_as_before(found))


def _same_as_before(readings: Readings) -> Flags:
    same = np.zeros(len(readings), np.bool_)
    same[1:] = (readings.pack[1:] == readings.pack[:-1]) & (readings.at[1:] == readings.at[:-1])
    return same


def starts(*keys: NDArray[Any]) -> NDArray[np.int64]:
    """Where a new group begins in arrays that are in order of these keys; the first is 0."""
    if len(keys[0]) == 0:
        return np.zeros(0, np.int64)
    changes = np.zeros(len(keys[0]), np.bool_)
    changes[0] = True
    for key in keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)


def bounds(*keys: NDArray[Any]) -> list[tuple[int, int]]:
    """The groups as half-open ranges of places."""
    first = starts(*keys)
    if len(first) == 0:
        return []
    return list(zip(first.tolist(), [*first[1:].tolist(), len(keys[0])], strict=True))


def civil_day(at: Whole) -> Whole:
    """Days since 1970 in the lessor's zone."""
    return (at + CIVIL_OFFSET_US) // DAY_US


def concatenate(parts: Sequence[Readings]) -> Readings:
    """One after the other. A quantity that only some of them have is missing in the others."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return NOTHING
    names = [name for name in QUANTITIES if any(name in part.scalars for part in parts)]
    return Readings(
        np.concatenate([part.pack for part in parts]),
        np.concatenate([part.at for part in parts]),
        {name: np.concatenate([part.scalar(name) for part in parts]) for name in names},
        _stacked([part.cells_mv for part in parts], parts, NO_CELL, np.int16),
        _stacked([part.temperatures_c for part in parts], parts, np.nan, np.float32),
    )


def _stacked(tables: Sequence[Any], parts: Sequence[Readings], missing: Any, kind: Any) -> Any:
    width = max((table.shape[1] for table in tables if table is not None), default=0)
    if width == 0:
        return None
    made = np.full((sum(len(part) for part in parts), width), missing, kind)
    at = 0
    for table, part in zip(tables, parts, strict=True):
        if table is not None:
            made[at : at + len(part), : table.shape[1]] = table
        at += len(part)
    return made


def microseconds(instants: Iterable[datetime]) -> Whole:
    """Instants as counts. A float holds a second of this century to a quarter of a microsecond."""
    seconds = np.fromiter((at.timestamp() for at in instants), np.float64)
    return np.rint(seconds * 1e6).astype(np.int64)


def us(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def instant(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def from_rows(pack: Sequence[int], rows: Sequence[Any]) -> Readings:
    """From objects that have `at`, the quantities, `cells_mv` and `temperatures_c` as attributes,
    None or empty where nothing was reported."""
    if not rows:
        return NOTHING
    ats, cells, probes, *columns = zip(*map(FIELDS, rows), strict=True)
    scalars = {
        name: np.array(column, np.float32)  # None becomes NaN
        for name, column in zip(QUANTITIES, columns, strict=True)
        if column.count(None) < len(column)
    }
    return Readings(
        np.array(pack, np.int32),
        microseconds(ats),
        scalars,
        _table(cells, NO_CELL, np.int16),
        _table(probes, np.nan, np.float32),
    )


FIELDS = attrgetter("at", "cells_mv", "temperatures_c", *QUANTITIES)


def _table(rows: Sequence[Sequence[float | None]], missing: Any, kind: Any) -> Any:
    width = max(map(len, rows), default=0)
    if width == 0:
        return None
    made = np.full((len(rows), width), missing, kind)
    for place, row in enumerate(rows):
        if row:
            made[place, : len(row)] = [missing if value is None else value for value in row]
    return made


def known(column: Floats) -> Flags:
    return np.isfinite(column)
