"""Readings as the alarm rules take them."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from leasing.alarms.model import Batch
from leasing.alarms.model import readings as rows_of
from leasing.telemetry.columns import NO_CELL, Readings, bounds, ordered

SECOND_US = 1e6
JUDGED = (
    "voltage_v",
    "current_a",
    "soc_percent",
    "temperature_c",
    "temperature_min_c",
    "insulation_kohm",
)


def batch(packs: Sequence[UUID], readings: Readings) -> Batch:
    """Readings of packs in order of time; `pack` of a reading is a place in `packs`."""
    inorder = ordered(readings)
    cells = None
    if (raw := inorder.cells_mv) is not None:
        cells = np.where(raw == NO_CELL, np.nan, raw.astype(float))
    columns = {name: inorder.scalars[name] for name in JUDGED if name in inorder.scalars}
    ranges = bounds(inorder.pack)
    return Batch(
        [packs[inorder.pack[first]] for first, _ in ranges],
        ranges,
        rows_of(inorder.at / SECOND_US, **columns, cells_mv=cells),
    )
