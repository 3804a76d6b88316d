"""Alarms of a vehicle's file: when the first comes, and what is written."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leasing.alarms import files
from leasing.alarms.model import Readings
from tests.alarms import cars
from tests.alarms.test_rules import runaway_rows
from tests.conftest import SHARED

FIELD = SHARED / "data" / "health" / "ev_field_faults"


def parquet(rows: Readings, path: Path) -> Path:
    """A file with the columns of the field files: discharging is positive, millivolts are whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - the files have local times without an offset
    columns: dict[str, Any] = {
        "ts": [epoch + timedelta(seconds=at) for at in rows.at_s.tolist()],
        "pack_v": rows.voltage_v,
        "current_a": -rows.current_a,
        "soc_pct": rows.soc_percent,
        "t_max_c": rows.temperature_c,
        "t_min_c": rows.temperature_min_c,
        "unit": ["car9"] * len(rows),
    }
    for number, cell in enumerate(rows.cells_mv.T, 1):
        values = [None if np.isnan(one) else int(one) for one in cell.tolist()]
        columns[f"cell{number:02}_mv"] = pa.array(values, pa.int16())
    pq.write_table(pa.table(columns), path)
    return path


def test_a_weak_cell_is_written_with_its_number_and_the_minutes_from_the_beginning(
    tmp_path: Path,
) -> None:
    def weaken(cells: np.ndarray) -> None:
        cells[:, 1] -= 30

    rows = cars.with_cells(cars.car(days=8), weaken)
    out = tmp_path / "alarms.csv"
    found = files.predict(parquet(rows, tmp_path / "a.parquet"), alarms_csv=out)
    assert (found.unit, found.minutes) == ("car9", 7 * 1440)
    with out.open() as file:
        assert list(csv.DictReader(file)) == [
            {
                "time": "1970-01-08T00:00:00",
                "kind": "static_imbalance",
                "cell": "02",
                "severity": "warn",
            }
        ]


def test_the_first_alarm_is_one_about_the_cells(tmp_path: Path) -> None:
    """That it was charged in the cold and that a row was odd comes before, and does not count."""
    calm = cars.car(days=2)
    cold = cars.changed(calm, temperature_min_c=calm.temperature_min_c - 40)
    rows = cars.joined(cold, runaway_rows(cold, 30))
    found = files.predict(parquet(rows, tmp_path / "a.parquet"))
    assert found.changes[0].kind == "charge_temperature"
    assert found.minutes == pytest.approx((rows.at_s[-5] + 60) / 60)


def test_a_healthy_file_has_no_first_alarm(tmp_path: Path) -> None:
    assert files.predict(parquet(cars.car(days=9), tmp_path / "a.parquet")).minutes is None


def test_what_comes_after_an_alarm_does_not_change_it(tmp_path: Path) -> None:
    rows = cars.car(days=4)
    rows = cars.joined(rows, runaway_rows(rows, 30))
    longer = cars.joined(rows, cars.changed(cars.car(days=20), at_s=cars.car(20).at_s + 1e6))
    first = files.predict(parquet(rows, tmp_path / "a.parquet"))
    second = files.predict(parquet(longer, tmp_path / "b.parquet"))
    assert second.changes[: len(first.changes)] == first.changes


def test_a_file_without_cells_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"ts": [datetime(2026, 1, 1)]}), tmp_path / "a.parquet")  # noqa: DTZ001
    with pytest.raises(ValueError, match="cell01_mv"):
        files.predict(tmp_path / "a.parquet")


@pytest.mark.slow
@pytest.mark.skipif(not FIELD.exists(), reason="needs ../shared/data/health")
def test_the_field_cars_show_their_weak_cells_and_nothing_critical() -> None:
    one = files.predict(FIELD / "car1.parquet")
    assert one.minutes is None
    three = files.predict(FIELD / "car3.parquet")
    weak = [change for change in three.changes if change.severity == "warn"]
    assert [(change.kind, change.cell) for change in weak] == [
        ("static_imbalance", 2),
        ("static_imbalance", 81),
    ]
    assert [round(change.value, 1) for change in weak] == [-5.7, -6.8]
    assert three.minutes is not None
    assert three.minutes < 7 * 1440
    assert not [one for one in one.changes + three.changes if one.severity == "critical"]
