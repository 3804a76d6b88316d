"""Alarms of a file: the task `ev_field_faults`.

The file is read from its beginning in portions, and each alarm rests on the rows up to its own
moment only.
"""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from leasing.alarms import rules
from leasing.alarms.model import Change, Limits, Readings, defaults, readings
from schemas.alarms import AlarmKind, AlarmSeverity

PORTION = 2000
"""Rows read at once."""

FAULTS = {AlarmKind.STATIC_IMBALANCE, AlarmKind.DRIFT, AlarmKind.THERMAL_RUNAWAY}
"""What says that cells are at fault. Every critical alarm does besides. A warning about how a pack
is used (temperature), about its readings, or a reason to inspect it does not."""

RATED_AH = 100
"""Where the file does not tell the capacity: it only decides what is rest, and 5 A is rest for
every car's battery."""

CELL = re.compile(r"cell(\d+)_mv")


class Found(msgspec.Struct, frozen=True):
    """What a file's rows say: every alarm, and the first that says that cells are at fault."""

    unit: str
    minutes: float | None
    """From the file's first row to the first alarm; null when there is none."""
    changes: list[Change]


def predict(path: Path, *, alarms_csv: Path | None = None) -> Found:
    """Go through a file of a vehicle's readings (Parquet, columns as in
    `ev_field_faults/SOURCE.md`); optionally write its alarms (time, kind, cell, severity).

    Raises `OSError` and pyarrow's errors for a file that is none, `ValueError` without cells.
    """
    unit, limits, state = path.stem, None, rules.START
    began: float | None = None
    changes: list[Change] = []
    for table in portions(path):
        rows, unit = of_table(table)
        if limits is None:
            limits = car_limits(rows.cells_mv.shape[1])
            began = float(rows.at_s[0])
        told, state = rules.check(rows, state, limits)
        changes += told
    first = first_fault(changes)
    minutes = None if first is None or began is None else (first.at_s - began) / 60
    if alarms_csv is not None:
        write(changes, alarms_csv)
    return Found(unit, minutes, changes)


def car_limits(cells: int) -> Limits:
    """Of a car of which nothing else is known. The insulation resistance of these files has a scale
    of each car's own, so it is followed over time and held against no absolute limit."""
    return defaults("E", cells_in_series=cells, rated_capacity_mah=RATED_AH * 1000)


def first_fault(changes: list[Change]) -> Change | None:
    for change in changes:
        begins = change.severity is not None
        if begins and (change.kind in FAULTS or change.severity is AlarmSeverity.CRITICAL):
            return change
    return None


def portions(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=PORTION):
            yield pa.Table.from_batches([batch])


def of_table(table: Any) -> tuple[Readings, str]:
    """Rows of a vehicle's file. The vehicles count discharging positive."""
    import pyarrow as pa

    cells = [name for name in table.column_names if CELL.fullmatch(name)]
    if not cells:
        raise ValueError("the file has no columns like cell01_mv")

    def column(name: str) -> Any:
        if name not in table.column_names:
            return None
        return table[name].cast(pa.float64()).to_numpy()

    instants = table["ts"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() / 1e6
    current = column("current_a")
    rows = readings(
        instants,
        voltage_v=column("pack_v"),
        current_a=None if current is None else -current,
        soc_percent=column("soc_pct"),
        temperature_c=column("t_max_c"),
        temperature_min_c=column("t_min_c"),
        insulation_kohm=column("insulation_raw"),
        cells_mv=np.column_stack([column(name) for name in cells]),
    )
    unit = table["unit"][0].as_py() if "unit" in table.column_names and len(table) else ""
    return rows, str(unit)


def write(changes: list[Change], path: Path) -> None:
    """One line for each alarm that begins or grows. Instants are in the file's own time zone."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["time", "kind", "cell", "severity"])
        for change in changes:
            if change.severity is not None:
                at = datetime.fromtimestamp(change.at_s, UTC).replace(tzinfo=None)
                cell = "" if change.cell is None else f"{change.cell:02}"
                out.writerow([at.isoformat(), change.kind, cell, change.severity])
