"""Packs that behave like those of the field files, with one fault at a time put in."""

from collections.abc import Callable
from itertools import pairwise

import msgspec
import numpy as np

from leasing.alarms import rules
from leasing.alarms.files import car_limits
from leasing.alarms.model import Change, Floats, Limits, Readings, readings
from leasing.alarms.rules import START

DAY = 86_400
CELLS = 24
LIMITS = car_limits(CELLS)


def car(days: float = 9, step_s: float = 300, cells: int = CELLS, seed: int = 1) -> Readings:
    """A ternary pack: driven by day, at rest at night. Its cells differ by a few millivolts, by
    more where the voltage curve is steep; the instrument has a resolution of one."""
    draw = np.random.default_rng(seed)
    at = np.arange(0, days * DAY, step_s)
    hour = at % DAY / 3600
    driven = (hour > 8) & (hour < 10)
    charged = (hour > 19) & (hour < 21)
    soc = 80 - 20 * np.clip(hour - 8, 0, 2) / 2 + 20 * np.clip(hour - 19, 0, 2) / 2
    # Flatter at a low state of charge, as ternary cells are around 3.65 V.
    steep = 0.4 + 0.6 * (soc - 60) / 20
    own = draw.normal(0, 3, cells)
    middle = 3650 + 8 * (soc - 60) - 40 * driven + 20 * charged
    millivolts = np.round(
        middle[:, None] + steep[:, None] * own + draw.normal(0, 0.4, (len(at), cells))
    )
    warm = 20 + 5 * np.sin(2 * np.pi * (hour - 9) / 24)
    return readings(
        at,
        voltage_v=millivolts.sum(axis=1) / 1000,
        current_a=np.where(driven, -40.0, 0.0) + np.where(charged, 40.0, 0.0),
        soc_percent=np.round(soc, 1),
        temperature_c=np.round(warm + 1),
        temperature_min_c=np.round(warm),
        cells_mv=millivolts,
    )


def changed(rows: Readings, **columns: Floats) -> Readings:
    return msgspec.structs.replace(rows, **columns)


def with_cells(rows: Readings, change: Callable[[Floats], None]) -> Readings:
    cells = rows.cells_mv.copy()
    change(cells)
    return changed(rows, cells_mv=cells, voltage_v=np.nansum(cells, axis=1) / 1000)


def joined(first: Readings, second: Readings) -> Readings:
    columns = zip(msgspec.structs.astuple(first), msgspec.structs.astuple(second), strict=True)
    return Readings(*map(np.concatenate, columns))


def told(rows: Readings, limits: Limits = LIMITS) -> list[Change]:
    return rules.check(rows, START, limits)[0]


def in_portions(rows: Readings, cuts: list[int], limits: Limits = LIMITS) -> list[Change]:
    state, changes = START, []
    edges = [0, *sorted({cut % (len(rows) + 1) for cut in cuts}), len(rows)]
    for first, last in pairwise(edges):
        found, state = rules.check(rows.rows(slice(first, last)), state, limits)
        changes += found
    return changes


def severe(changes: list[Change]) -> list[tuple[str, str, int | None]]:
    """Kind, severity and cell of what is not merely worth knowing."""
    return [
        (change.kind.value, change.severity.value, change.cell)
        for change in changes
        if change.severity is not None and change.severity != "info"
    ]
