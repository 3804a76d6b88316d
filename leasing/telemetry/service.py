"""Taking readings in, whoever brings them and in whatever shape.

`ingest` is for people's programs over HTTP: it says what is wrong. `ingest_reports` is for
decoders of protocols that cannot be told: what is wrong is counted, for staff to see.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.alarms import service as alarms
from leasing.db.pool import Connection
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.time import civil_date
from leasing.telemetry import packed, rules, storage, store, watching
from leasing.telemetry.columns import (
    NO_CELL,
    Flags,
    Readings,
    bounds,
    civil_day,
    from_rows,
    instant,
    us,
)
from leasing.telemetry.model import Alarm, Report, Source, SourceKind
from leasing.telemetry.rules import Fault
from schemas.telemetry import PackColumns, Reading, ReadingReceipt, RefusedReading

MAX_AHEAD = timedelta(days=1)
"""A clock in the field may be wrong by this much; what is dated later is refused."""
MAX_AGE = timedelta(days=3660)

UNKNOWN = "pack_not_found"
UNKNOWN_MESSAGE = "there is no such pack"

Pointer = Callable[[Fault], str]


class ReadingsRefused(Invalid):
    code = "readings_refused"
    title = "The batch was refused; nothing of it was stored"


class Taken(msgspec.Struct, frozen=True):
    """What became of reports: stored, there already, of nobody we know, at no possible time or
    with neither value nor alarm."""

    stored: int
    repeated: int
    unmatched: int
    refused: int


# --- Over HTTP --------------------------------------------------------------------------------


async def ingest(
    tx: Connection,
    readings: Sequence[Reading],
    *,
    now: datetime,
    all_or_nothing: bool = True,
    rows: Sequence[int] | None = None,
) -> ReadingReceipt:
    """Store a batch. `rows` are the places of the readings in what was sent.

    All or nothing: raises `ReadingsRefused` naming every reading of an unknown pack or an
    impossible time. Otherwise the receipt names them, and the others are stored.
    """
    sources: dict[tuple[int, str | None], int] = {}
    packs: list[int] = []
    for reading in readings:
        key = (-1 if reading.pack_id is None else reading.pack_id.int, reading.pack_code)
        packs.append(sources.setdefault(key, len(sources)))
    named = [_source(None if number < 0 else UUID(int=number), code) for number, code in sources]
    both = {place for place, (number, code) in enumerate(sources) if (number < 0) == (code is None)}

    def pointer(fault: Fault) -> str:
        row = fault.place if rows is None else rows[fault.place]
        return f"/readings/{row}/{fault.quantity}"

    return await take(
        tx,
        named,
        from_rows(packs, readings),
        now=now,
        all_or_nothing=all_or_nothing,
        pointer=pointer,
        ambiguous=both,
    )


async def ingest_columns(
    tx: Connection, packs: Sequence[PackColumns], *, now: datetime, all_or_nothing: bool = True
) -> ReadingReceipt:
    """The same for readings that come as columns. Raises `ColumnsRefused` for columns that do not
    fit together, whatever was asked: then nobody can say which reading is at fault."""
    readings = packed.read(packs)
    counts = np.bincount(readings.pack, minlength=len(packs))
    firsts = np.cumsum(counts) - counts

    def pointer(fault: Fault) -> str:
        pack = int(readings.pack[fault.place])
        where = f"/packs/{pack}/{COLUMN_OF.get(fault.quantity, fault.quantity)}"
        of_pack = fault.quantity in ("pack_id", "pack_code")
        return where if of_pack else f"{where}/{fault.place - firsts[pack]}"

    return await take(
        tx,
        [_source(one.pack_id, one.pack_code) for one in packs],
        readings,
        now=now,
        all_or_nothing=all_or_nothing,
        pointer=pointer,
        ambiguous=[
            n for n, one in enumerate(packs) if (one.pack_id is None) == (one.pack_code is None)
        ],
    )


COLUMN_OF = {"at": "at_ms"}


def _source(pack_id: UUID | None, pack_code: str | None) -> Source:
    if pack_id is None:
        return Source(SourceKind.PACK_CODE, pack_code or "")
    return Source(SourceKind.PACK, str(pack_id))


async def take(
    tx: Connection,
    sources: Sequence[Source],
    readings: Readings,
    *,
    now: datetime,
    all_or_nothing: bool,
    pointer: Pointer,
    ambiguous: Iterable[int] = (),
) -> ReadingReceipt:
    """Store what is in order. `pack` is a place in `sources`; `ambiguous` are those that name no
    pack, or two."""
    latest, oldest = now + MAX_AHEAD, now - MAX_AGE
    packs, placed = await find_packs(tx, sources, readings)
    unclear = np.isin(readings.pack, list(ambiguous))
    placed.pack[unclear] = -1
    faults = _faults_of_packs(sources, readings, placed, unclear)
    faults += rules.faults(placed, us(oldest), us(latest))
    faults.sort(key=lambda one: one.place)  # and of one reading in this order
    said = [
        FieldError(pointer(one), one.code, one.message or _when(placed, one, oldest, latest))
        for one in faults
    ]
    if said and all_or_nothing:
        raise ReadingsRefused(f"{len(said)} faults in {len(readings)} readings", fields=said)
    good = placed
    if faults:
        keep = np.ones(len(placed), np.bool_)
        keep[[one.place for one in faults]] = False
        good = placed.take(keep)
        unknown = readings.pack[(placed.pack < 0) & ~unclear]
        await count_unmatched(tx, sources, unknown, UNKNOWN, now)
    stored = await keep_and_watch(tx, packs, good, now=now)
    return ReadingReceipt(
        stored=stored,
        repeated=len(good) - stored,
        refused=[RefusedReading(pointer=e.pointer, code=e.code, message=e.message) for e in said],
    )


def _when(readings: Readings, fault: Fault, oldest: datetime, latest: datetime) -> str:
    """Why an instant is refused. One that an offset moves out of the calendar cannot be shown."""
    try:
        at = str(instant(int(readings.at[fault.place])))
    except OverflowError:
        at = "the instant"
    return f"{at} is not between {oldest:%Y-%m-%d} and {latest:%Y-%m-%d %H:%MZ}"


def _faults_of_packs(
    sources: Sequence[Source], readings: Readings, placed: Readings, unclear: Flags
) -> list[Fault]:
    found = []
    for place in np.flatnonzero(placed.pack < 0).tolist():
        source = int(readings.pack[place])
        if unclear[place]:
            message = "give pack_id or pack_code, one of them"
            found.append(Fault(place, "pack_id", "one_of_two", message))
        elif sources[source].kind is SourceKind.PACK:
            found.append(Fault(place, "pack_id", UNKNOWN, UNKNOWN_MESSAGE))
        else:
            found.append(Fault(place, "pack_code", UNKNOWN, UNKNOWN_MESSAGE))
    for place in np.flatnonzero(~rules.has_values(placed)).tolist():
        found.append(Fault(place, "voltage_v", "no_value", "the reading has no value at all"))
    return found


# --- From decoders ----------------------------------------------------------------------------


async def ingest_reports(tx: Connection, reports: Sequence[Report], *, now: datetime) -> Taken:
    """Store what decoders made. Whoever acknowledges to the sender does so after the commit.

    Nothing is refused as a whole. A value that no sensor can show is taken for missing. Readings
    of a source that nobody here knows, or of an impossible time, are counted in
    `unmatched_source` with the reason, and are not kept: they are acknowledged, for sent again
    they would be the same.
    """
    sources: dict[Source, int] = {}
    places = [sources.setdefault(report.source, len(sources)) for report in reports]
    readings = from_rows(places, [_within(report) for report in reports])
    return await ingest_table(tx, list(sources), readings, now=now, reports=reports)


async def ingest_table(
    tx: Connection,
    named: Sequence[Source],
    readings: Readings,
    *,
    now: datetime,
    reports: Sequence[Report] = (),
) -> Taken:
    """The same for what comes as columns: `pack` of a reading is a place in `named`. `reports` are
    those that the readings are of, for the alarms they tell."""
    packs, placed = await find_packs(tx, named, readings)
    placed = rules.without(placed, rules.outside(placed))
    wrong_time = (placed.at <= us(now - MAX_AGE)) | (placed.at >= us(now + MAX_AHEAD))
    unknown = placed.pack < 0
    await count_unmatched(tx, named, readings.pack[unknown], UNKNOWN, now)
    await count_unmatched(tx, named, readings.pack[wrong_time & ~unknown], "impossible_time", now)
    empty = ~rules.has_values(placed)
    warns = np.zeros(len(placed), np.bool_)
    if reports:
        warns[:] = [bool(report.alarms) for report in reports]
    good = placed.take(~(wrong_time | unknown | empty))
    stored = await keep_and_watch(tx, packs, good, now=now)
    if reports:
        raised = told_alarms(packs, placed.pack[~wrong_time], reports_at(reports, ~wrong_time))
        for pack_id, told in raised.items():
            await alarms.from_device(tx, pack_id, told, now=now)
    return Taken(
        stored=stored,
        repeated=len(good) - stored,
        unmatched=int(unknown.sum()),
        refused=int(((wrong_time | (empty & ~warns)) & ~unknown).sum()),
    )


async def keep_and_watch(
    tx: Connection, packs: Sequence[UUID], readings: Readings, *, now: datetime
) -> int:
    """Store readings, and judge them before anybody is told that they are stored. Returns how
    many were new."""
    stored = await storage.add(tx, packs, readings, now=now)
    await alarms.watch(tx, watching.batch(packs, readings), now=now)
    return stored


def told_alarms(
    packs: Sequence[UUID], places: NDArray[np.int32], reports: Sequence[Report]
) -> dict[UUID, list[tuple[datetime, Alarm]]]:
    """What the devices of known packs warn of themselves, in the order they said it."""
    found: dict[UUID, list[tuple[datetime, Alarm]]] = {}
    for place, report in zip(places.tolist(), reports, strict=True):
        if place >= 0:
            for alarm in report.alarms:
                found.setdefault(packs[place], []).append((report.at, alarm))
    return {pack_id: found[pack_id] for pack_id in sorted(found)}


def reports_at(reports: Sequence[Report], where: Flags) -> list[Report]:
    return [reports[place] for place in np.flatnonzero(where).tolist()]


def _within(report: Report) -> Report:
    """Without cells that no chunk can hold: beyond ±32.767 V it is no cell."""
    if all(cell is None or abs(cell) < -int(NO_CELL) for cell in report.cells_mv):
        return report
    cells = tuple(
        cell if cell is None or abs(cell) < -int(NO_CELL) else None for cell in report.cells_mv
    )
    return msgspec.structs.replace(report, cells_mv=cells)


# --- Whose they are ---------------------------------------------------------------------------


async def find_packs(
    tx: Connection, sources: Sequence[Source], readings: Readings
) -> tuple[list[UUID], Readings]:
    """The packs that sources speak of, and the readings with `pack` a place among them; -1 for a
    source that is not known. Of a vehicle, and of a site's device, it is the pack that stood there
    on the reading's day."""
    packs: dict[int, int] = {}

    def place(pack_id: UUID | None) -> int:
        return -1 if pack_id is None else packs.setdefault(pack_id.int, len(packs))

    ids = {_uuid(one.value) for one in sources if one.kind is SourceKind.PACK} - {None}
    known = await store.known_packs(tx, [UUID(int=one) for one in ids if one is not None])
    codes = {one.value for one in sources if one.kind is SourceKind.PACK_CODE}
    by_code = await store.packs_by_code(tx, codes) if codes else {}
    places = np.full(len(sources), -1, np.int32)
    for n, source in enumerate(sources):
        if source.kind is SourceKind.PACK:
            number = _uuid(source.value)
            places[n] = place(UUID(int=number) if number in known else None)
        elif source.kind is SourceKind.PACK_CODE:
            places[n] = place(by_code.get(source.value))
    found = places[readings.pack]
    for kind, look_up in STANDING.items():
        named = [n for n, one in enumerate(sources) if one.kind is kind]
        if named:
            await _find_standing(tx, sources, readings, named, found, place, look_up)
    return [UUID(int=number) for number in packs], Readings(
        found, readings.at, readings.scalars, readings.cells_mv, readings.temperatures_c
    )


Sought = Sequence[tuple[str, int, date]]
LookUp = Callable[[Connection, Sought], Awaitable[dict[tuple[str, int, date], UUID]]]
STANDING: dict[SourceKind, LookUp] = {
    SourceKind.VEHICLE: store.packs_by_vehicle,
    SourceKind.DEVICE: store.packs_by_device,
}
"""Sources that speak of whatever pack stands in a place on the day."""


async def _find_standing(
    tx: Connection,
    sources: Sequence[Source],
    readings: Readings,
    named: Sequence[int],
    found: NDArray[np.int32],
    place: Callable[[UUID | None], int],
    look_up: LookUp,
) -> None:
    days = civil_day(readings.at)
    asked: dict[tuple[str, int, date], list[NDArray[np.int64]]] = {}
    for n in named:
        where = np.flatnonzero(readings.pack == n)
        where = where[np.argsort(days[where], kind="stable")]
        for first, last in bounds(days[where]):
            on = civil_date(instant(int(readings.at[where[first]])))
            asked.setdefault((sources[n].value, sources[n].part, on), []).append(where[first:last])
    packs = await look_up(tx, list(asked))
    for key, wheres in asked.items():
        for where in wheres:
            found[where] = place(packs.get(key))


def _uuid(text: str) -> int | None:
    try:
        return UUID(text).int
    except ValueError:
        return None


async def count_unmatched(
    tx: Connection,
    sources: Sequence[Source],
    places: NDArray[np.int32],
    reason: str,
    now: datetime,
) -> None:
    if len(places) == 0:
        return
    counts = np.bincount(places, minlength=len(sources)).tolist()
    told = [(source, count, reason) for source, count in zip(sources, counts, strict=True) if count]
    await store.note_unmatched(tx, told, now)
