"""Readings as the alarm rules take them."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from leasing.alarms.model import Readings as Rows
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


def by_pack(packs: Sequence[UUID], readings: Readings) -> dict[UUID, Rows]:
    """Each pack's readings in order of time; `pack` of a reading is a place in `packs`. Cells that
    no reading of a pack shows are none of its."""
    found = {}
    inorder = ordered(readings)
    at_s = inorder.at / SECOND_US
    columns = {name: inorder.scalar(name).astype(float) for name in JUDGED}
    for first, last in bounds(inorder.pack):
        which = slice(first, last)
        cells = None
        if inorder.cells_mv is not None:
            raw = inorder.cells_mv[which]
            shown = np.flatnonzero((raw != NO_CELL).any(axis=0))
            raw = raw[:, : int(shown[-1]) + 1 if len(shown) else 0]
            cells = np.where(raw == NO_CELL, np.nan, raw.astype(float))
        found[packs[inorder.pack[first]]] = rows_of(
            at_s[which], **{name: column[which] for name, column in columns.items()}, cells_mv=cells
        )
    return found
