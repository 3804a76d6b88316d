"""Readings as the alarm rules take them."""

import math
from collections.abc import Iterable, Sequence
from uuid import UUID

import numpy as np

from leasing.alarms.model import Readings, readings
from leasing.telemetry.model import Report
from schemas.telemetry import Reading


def by_pack(given: Iterable[Reading]) -> dict[UUID, Readings]:
    """Readings in order of time within each pack, as columns of that pack."""
    packs: dict[UUID, list[Reading]] = {}
    for reading in given:
        packs.setdefault(reading.pack_id, []).append(reading)
    return {
        pack_id: readings(
            [one.at.timestamp() for one in rows],
            voltage_v=[one.voltage_v for one in rows],
            current_a=[one.current_a for one in rows],
            soc_percent=numbers([one.soc_percent for one in rows]),
            temperature_c=numbers([one.temperature_c for one in rows]),
        )
        for pack_id, rows in packs.items()
    }


def of_reports(reports: Sequence[Report]) -> Readings:
    """Reports of one pack in order of time. One that shows no cells, or fewer than the others,
    counts as if those were not sent."""
    cells = max((len(one.cells_mv) for one in reports), default=0)
    matrix = np.full((len(reports), cells), math.nan)
    for row, one in enumerate(reports):
        matrix[row, : len(one.cells_mv)] = numbers(one.cells_mv)
    return readings(
        [one.at.timestamp() for one in reports],
        voltage_v=numbers([one.voltage_v for one in reports]),
        current_a=numbers([one.current_a for one in reports]),
        soc_percent=numbers([one.soc_percent for one in reports]),
        temperature_c=numbers([one.temperature_c for one in reports]),
        temperature_min_c=numbers([one.temperature_min_c for one in reports]),
        insulation_kohm=numbers([one.insulation_kohm for one in reports]),
        cells_mv=matrix,
    )


def numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
