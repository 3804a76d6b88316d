"""What a GB/T 32960.3 frame says of batteries, as reports.

A vehicle that names one subsystem makes one report, of the vehicle's block and the subsystem's
together. One that names several makes a report of each: voltage, current, cells and temperatures
are the subsystem's own; state of charge, insulation, odometer and alarms are the vehicle's, and
therefore each one's.

The protocol counts discharge current as positive, reports count charging as positive.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from leasing.telemetry.decoders import gbt32960_blocks as blocks
from leasing.telemetry.decoders.gbt32960 import Command, Frame, Payload, Realtime
from leasing.telemetry.model import Alarm, Missing, Report, Source, SourceKind

ALARM_CODES = (
    "temperature_difference",
    "pack_over_temperature",
    "pack_over_voltage",
    "pack_under_voltage",
    "soc_low",
    "cell_over_voltage",
    "cell_under_voltage",
    "soc_high",
    "soc_jump",
    "pack_mismatch",
    "cell_inconsistency",
    "insulation_low",
    "dcdc_over_temperature",
    "brake_system",
    "dcdc_state",
    "motor_controller_over_temperature",
    "high_voltage_interlock",
    "motor_over_temperature",
    "pack_over_charge",
    "motor_over_speed",
    "motor_over_current",
    "supercapacitor_over_temperature",
    "supercapacitor_over_pressure",
    "pack_thermal_event",
    "hydrogen_leak",
    "hydrogen_pressure",
    "hydrogen_temperature",
    "fuel_cell_over_temperature",
)
"""By bit: 0 to 18 in the 2016 edition (table 18), all of them in that of 2025 (table 24)."""
ALARMS_OF = {2016: ALARM_CODES[:19], 2025: ALARM_CODES}
MOST_SEVERE = 3
"""Of the protocol's levels, at which the driver is to stop; 4, a thermal event, is no less."""

MAX_VOLTAGE_V = {2016: 1000.0, 2025: 6000.0}
MAX_CURRENT_A = {2016: 1000.0, 2025: 3000.0}
MAX_TEMPERATURE_C = 210
MAX_CELL_MV = 60_000
MAX_INSULATION_KOHM = 60_000
MAX_ODOMETER_KM = 999_999.9

N = TypeVar("N", int, float)
B = TypeVar("B", bound=blocks.Block)
Reasons = dict[int, Missing]
"""Why ones of a row have no value, by their number from 1."""


class Values:
    """Values on their way into a report, with what is missing of them and why."""

    def __init__(self) -> None:
        self.missing: dict[str, Missing] = {}

    def known(self, name: str, value: N | None, low: float, high: float) -> N | None:
        """A value, if there is one and it is one that the standard allows."""
        if value is None:
            return None
        if low <= value <= high:
            self.missing.pop(name, None)
            return value
        self.missing[name] = Missing.OUT_OF_RANGE
        return None

    def row(
        self, name: str, row: tuple[int | None, ...], low: int, high: int
    ) -> tuple[int | None, ...]:
        known = [one for one in row if one is not None]
        if not known or (low <= min(known) and max(known) <= high):
            return row
        return tuple(self.known(f"{name}/{at}", one, low, high) for at, one in enumerate(row, 1))

    def number(self, name: str, missing: Reasons) -> None:
        self.missing |= {f"{name}/{at}": why for at, why in missing.items()}

    def note(self, block: blocks.Block, names: dict[str, str]) -> None:
        self.missing |= {names[name]: why for name, why in block.missing if name in names}


class JoinedCells(msgspec.Struct, frozen=True):
    """The cells of one subsystem at one instant; those of pages that did not come are None."""

    vin: str
    no: int
    at: datetime
    cells_mv: tuple[int | None, ...]
    missing: Reasons
    """Why a cell that was sent has no value, by its number."""
    is_whole: bool


class OpenSet:
    """Pages of one subsystem at one instant. Only what has come takes memory, whatever the total
    that the pages tell."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.length = 0
        self.pages: dict[int, tuple[int | None, ...]] = {}
        self.missing: dict[int, Missing] = {}

    def add(self, start: int, cells_mv: tuple[int | None, ...], missing: Reasons) -> bool:
        """Take a page, unless it lies outside the set or over a page that differs."""
        end = start + len(cells_mv)
        if start in self.pages:
            return self.pages[start] == cells_mv
        if start < 1 or end > self.total + 1 or not cells_mv:
            return False
        if any(at < end and start < at + len(page) for at, page in self.pages.items()):
            return False
        self.pages[start] = cells_mv
        self.length += len(cells_mv)
        self.missing |= {start + at - 1: why for at, why in missing.items()}
        return True

    def joined(self, vin: str, no: int, at: datetime) -> JoinedCells:
        found: list[int | None] = [None] * self.total
        for start, page in self.pages.items():
            found[start - 1 : start - 1 + len(page)] = page
        return JoinedCells(
            vin, no, at, tuple(found), self.missing, is_whole=self.length == self.total
        )


class CellPages:
    """Joins the pages of cell voltages of the 2016 edition, by vehicle, time and subsystem.

    Pages may come in any order. A set is closed as partial when its subsystem begins a later one,
    or when more sets than `max_sets` are open. A page that contradicts its set (another total, an
    overlap, a start of 0) joins nothing.
    """

    def __init__(self, max_sets: int = 10_000) -> None:
        self.max_sets = max_sets
        self.open: OrderedDict[tuple[str, int, bool], tuple[datetime, OpenSet]] = OrderedDict()

    def add(
        self,
        vin: str,
        at: datetime,
        page: blocks.CellPage,
        missing: Reasons | None = None,
        *,
        is_reissued: bool = False,
    ) -> list[JoinedCells]:
        """What this page completes or closes: an older set, its own, both, or nothing."""
        if page.no is None or page.cell_total is None or page.frame_start_cell is None:
            return []
        key = (vin, page.no, is_reissued)
        closed = []
        open_at, cells = self.open.get(key, (at, OpenSet(page.cell_total)))
        if open_at < at:
            closed.append(self.close(key))
            cells = OpenSet(page.cell_total)
        elif open_at > at:
            return []
        if cells.total != page.cell_total:
            return closed
        if not cells.add(page.frame_start_cell, page.cells_mv, missing or {}):
            return closed
        self.open[key] = (at, cells)
        if cells.length == cells.total:
            closed.append(self.close(key))
        elif len(self.open) > self.max_sets:
            closed.append(self.close(next(iter(self.open))))
        return closed

    def close(self, key: tuple[str, int, bool]) -> JoinedCells:
        at, cells = self.open.pop(key)
        return cells.joined(key[0], key[1], at)


class Part(msgspec.Struct, frozen=True):
    """What a frame says of one subsystem."""

    cells: list[tuple[blocks.Cells, dict[str, Missing]]]
    """As sent, with what is missing and why: `voltage_v`, `cells/3`."""
    probes: tuple[int | None, ...] = ()
    missing_probes: Reasons = {}


def reports(frame: Frame, payload: Payload, pages: CellPages | None = None) -> list[Report]:
    """What a frame says of batteries; nothing when it is no report, or encrypted.

    Cells are in a report when all of them are known: from one frame, or joined from pages. A set of
    pages that stayed incomplete makes a report of its own, with gaps and with `cells_mv` missing.
    """
    if not isinstance(payload, Realtime) or not any(of_type(payload, *SPEAKING)):
        return []
    parts = parts_of(payload) or {1: Part([])}
    found = []
    for no, part in sorted(parts.items()):
        values = Values()
        whole: tuple[int | None, ...] = ()
        for cells, missing in part.cells:
            for joined in join(frame, payload, cells, missing, pages):
                if joined.is_whole:
                    whole = joined.cells_mv
                    values.number("cells_mv", joined.missing)
                else:
                    found.append(with_gaps(joined, frame.command == Command.REISSUE))
        found.append(report(frame, payload, no, part, whole, values, is_alone=len(parts) == 1))
    return found


def parts_of(payload: Realtime) -> dict[int, Part]:
    """Subsystems by number. What has no number cannot be laid at anyone's door."""
    parts: dict[int, Part] = {}
    for block in of_type(payload, blocks.CellBlock):
        for nth, cells in enumerate(block.data, 1):
            if cells.no is not None:
                part = parts.setdefault(cells.no, Part([]))
                part.cells.append((cells, under(block, nth)))
    for row in of_type(payload, blocks.ProbeTemps):
        for nth, one in enumerate(row.data, 1):
            if one.no is not None:
                part = parts.get(one.no, Part([]))
                why = numbered(under(row, nth), "probe_temps_c")
                parts[one.no] = Part(part.cells, one.probe_temps_c, why)
    return parts


def under(block: blocks.Block, nth: int) -> dict[str, Missing]:
    """What is missing of the nth entry of a block."""
    prefix = f"{nth}/"
    return {
        name.removeprefix(prefix): why for name, why in block.missing if name.startswith(prefix)
    }


def numbered(missing: dict[str, Missing], row: str) -> Reasons:
    prefix = f"{row}/"
    return {
        int(name.removeprefix(prefix)): why
        for name, why in missing.items()
        if name.startswith(prefix)
    }


def of_type(payload: Realtime, *kinds: type[B]) -> Iterator[B]:
    return (info.block for info in payload.infos if isinstance(info.block, kinds))


def join(
    frame: Frame,
    payload: Realtime,
    cells: blocks.Cells,
    missing: dict[str, Missing],
    pages: CellPages | None,
) -> list[JoinedCells]:
    """All cells of a subsystem, once they are known, and sets closed with gaps."""
    why = numbered(missing, "cells")
    at, no = payload.collected_at, cells.no or 0
    if not isinstance(cells, blocks.CellPage) or cells.is_whole:
        return [JoinedCells(frame.vin, no, at, cells.cells_mv, why, is_whole=True)]
    if pages is None:
        return []
    return pages.add(frame.vin, at, cells, why, is_reissued=frame.command == Command.REISSUE)


def with_gaps(joined: JoinedCells, is_reissued: bool) -> Report:
    return Report(
        source=Source(SourceKind.VEHICLE, joined.vin, joined.no),
        at=joined.at,
        cells_mv=joined.cells_mv,
        missing=(("cells_mv", Missing.INCOMPLETE),),
        is_reissued=is_reissued,
    )


def report(
    frame: Frame,
    payload: Realtime,
    no: int,
    part: Part,
    cells_mv: tuple[int | None, ...],
    values: Values,
    *,
    is_alone: bool,
) -> Report:
    edition = frame.edition
    voltage_v = current_a = soc = insulation = odometer = None
    for block in of_type(payload, blocks.Vehicle):
        values.note(block, VEHICLE_NAMES if is_alone else SHARED_NAMES)
        if is_alone:
            voltage_v, current_a = block.total_voltage_v, block.total_current_a
        soc, insulation, odometer = block.soc_pct, block.insulation_kohm, block.odometer_km
    for cells, missing in part.cells:
        for name in ("voltage_v", "current_a"):
            if name in missing:
                values.missing.setdefault(name, missing[name])
        voltage_v = voltage_v if cells.voltage_v is None else cells.voltage_v
        current_a = current_a if cells.current_a is None else cells.current_a
    if current_a is not None:
        current_a = 0.0 - current_a
    values.number("temperatures_c", part.missing_probes)
    temperatures = values.row("temperatures_c", part.probes, -40, MAX_TEMPERATURE_C)
    hottest, coldest = bounds(temperatures, payload if is_alone else None, values)
    return Report(
        source=Source(SourceKind.VEHICLE, frame.vin, no),
        at=payload.collected_at,
        voltage_v=values.known("voltage_v", voltage_v, 0, MAX_VOLTAGE_V[edition]),
        current_a=values.known(
            "current_a", current_a, -MAX_CURRENT_A[edition], MAX_CURRENT_A[edition]
        ),
        soc_percent=values.known("soc_percent", soc, 0, 100),
        temperature_c=hottest,
        temperature_min_c=coldest,
        insulation_kohm=values.known("insulation_kohm", insulation, 0, MAX_INSULATION_KOHM),
        odometer_km=values.known("odometer_km", odometer, 0, MAX_ODOMETER_KM),
        cells_mv=values.row("cells_mv", cells_mv, 0, MAX_CELL_MV),
        temperatures_c=temperatures,
        missing=tuple(sorted(values.missing.items())),
        alarms=alarms(payload, edition),
        is_reissued=frame.command == Command.REISSUE,
    )


SPEAKING = (
    blocks.Vehicle,
    blocks.Alarms,
    blocks.Extremes,
    blocks.CellBlock,
    blocks.ProbeTemps,
)
"""Blocks that say something of batteries."""


SHARED_NAMES = {
    "soc_pct": "soc_percent",
    "insulation_kohm": "insulation_kohm",
    "odometer_km": "odometer_km",
}
VEHICLE_NAMES = SHARED_NAMES | {"total_voltage_v": "voltage_v", "total_current_a": "current_a"}


def bounds(
    temperatures: Iterable[int | None], payload: Realtime | None, values: Values
) -> tuple[int | None, int | None]:
    """The hottest and the coldest: of the probes, or as the block of extremes has them."""
    known = [one for one in temperatures if one is not None]
    if known:
        return max(known), min(known)
    if payload is None:
        return None, None
    for block in of_type(payload, blocks.Extremes):
        values.note(block, {"max_temp_c": "temperature_c", "min_temp_c": "temperature_min_c"})
        return (
            values.known("temperature_c", block.max_temp_c, -40, MAX_TEMPERATURE_C),
            values.known("temperature_min_c", block.min_temp_c, -40, MAX_TEMPERATURE_C),
        )
    return None, None


def alarms(payload: Realtime, edition: int) -> tuple[Alarm, ...]:
    """The alarms that are up. A level is known where the frame tells it of the one alarm."""
    found = {}
    for block in of_type(payload, blocks.Alarms):
        levels: dict[int, int] = {}
        if isinstance(block, blocks.Alarms2025):
            levels = {one.bit: one.level for one in block.general_alarm_levels}
        alone = len(block.flag_bits) == 1 and not (
            block.storage_faults or block.motor_faults or block.engine_faults or block.other_faults
        )
        for bit in block.flag_bits:
            level = levels.get(bit, block.max_level if alone else None)
            found[bit] = Alarm(code(bit, edition), begins=True, level=severity(level))
    return tuple(found[bit] for bit in sorted(found))


def code(bit: int, edition: int) -> str:
    names = ALARMS_OF[edition]
    return names[bit] if bit < len(names) else f"gbt32960_bit_{bit}"


def severity(level: int | None) -> int | None:
    """Of the protocol's level, of which 1 is the mildest; what is no level is none."""
    if level is None or not 1 <= level <= MOST_SEVERE + 1:
        return None
    return max(1, MOST_SEVERE + 1 - level)
