"""Fitting the estimators on measurements of units that may be used for it.

What comes out ships with the package. The same data give the same files, byte for byte on one
machine; on another the last digits may differ with its linear algebra.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jobs import health_tables
from leasing.health.estimators import charge, discharge, early_life, fade, pulse, shipped
from leasing.health.estimators.model import Parameters, Table

MAX_BYTES = 200_000
RATED_AH = 102.0
"""Of the cells in lfp102_charge."""


class NoData(FileNotFoundError):
    """The folder of measurements is not there."""


def require(data: Path) -> None:
    if not (data / "TASKS.md").is_file():
        raise NoData(
            f"{data} is not there: the estimators are fitted and judged on measurements that are "
            "not part of this repository; name their folder with --data"
        )


def pulses(data: Path) -> Table:
    return health_tables.read(data / "pulse_retired_lfp" / "pulses.parquet")


def full_charges(data: Path) -> tuple[Table, dict[tuple[str, int], float]]:
    folder = data / "lfp102_charge"
    labels = health_tables.capacities(folder / "labels.csv")
    return health_tables.read(folder / "full_charges.parquet"), labels


def sessions(data: Path) -> Table:
    return health_tables.read(data / "lfp102_charge" / "sessions.parquet")


def discharges(data: Path) -> tuple[Table, dict[tuple[str, int], float]]:
    folder = data / "nasa_pcoe_18650"
    labels = health_tables.capacities(folder / "labels.csv")
    return health_tables.read(folder / "cycles.parquet"), labels


def fades(data: Path) -> Table:
    return health_tables.read(data / "fade_trajectories" / "soh_by_cycle.parquet")


def curves(data: Path) -> tuple[Table, dict[str, float]]:
    folder = data / "severson_early_life"
    lives = health_tables.read(folder / "train_life.csv")
    life = zip(lives["unit"].tolist(), lives["cycle_life"].tolist(), strict=True)
    return health_tables.read(folder / "train_qv.parquet"), {str(u): float(n) for u, n in life}


def only(table: Table, rows: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Table:
    return {name: values[rows] for name, values in table.items()}


def fits(data: Path) -> Iterator[tuple[str, Parameters]]:
    """Name and parameters of every file, one after the other: this takes a minute."""
    yield charge.TASK, charge.dump(charge.fit(*full_charges(data), RATED_AH))
    yield discharge.TASK, discharge.dump(discharge.fit(*discharges(data)))
    yield fade.TASK, fade.dump(fade.fit(fades(data)))
    yield early_life.TASK, early_life.dump(early_life.fit(*curves(data)))
    table = pulses(data)
    rated = np.asarray(table["rated_ah"])
    for one in np.unique(rated).tolist():
        models = pulse.fit(only(table, rated == one))
        yield f"{pulse.TASK}_{one}", pulse.dump(models[one])


FILES = 7


def write(folder: Path, name: str, parameters: Parameters) -> int:
    """Write one file and tell its size in bytes. Raises ValueError if it is too large to ship."""
    text = shipped.encode(parameters)
    if len(text) > MAX_BYTES:
        raise ValueError(f"{name} has {len(text):,} bytes; {MAX_BYTES:,} may be shipped")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return len(text)
