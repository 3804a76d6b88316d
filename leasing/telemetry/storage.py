"""Storing and reading readings: nothing that is acknowledged is lost, nothing repeated counts
twice.

A batch takes the rows of its packs in `pack_telemetry`, in order of pack, and keeps them until it
ends. Each row says up to when the pack has reported: what is newer is new. Only what is not newer
is compared with the chunks it may be in.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from asyncpg import Record
from numpy.typing import NDArray

from leasing.db.pool import Connection
from leasing.kit.time import civil_date
from leasing.telemetry import chunks, store
from leasing.telemetry.columns import (
    NO_CELL,
    NOTHING,
    Flags,
    Readings,
    bounds,
    civil_day,
    instant,
    ordered,
    starts,
    us,
)
from leasing.telemetry.rules import SILENT_AFTER
from leasing.telemetry.store import Newest

COMPRESS_FROM = 500
"""Shorter chunks are stored as they are: the hourly job puts a day's together and compresses
them then, once."""


async def add(tx: Connection, packs: Sequence[UUID], readings: Readings, *, now: datetime) -> int:
    """Store what is new among readings of packs that exist; returns how many that were. What is
    there already for an instant of a pack stays as it is."""
    if len(readings) == 0:
        return 0
    packs, readings = in_order(packs, readings)
    groups = bounds(readings.pack)
    held = [packs[readings.pack[first]] for first, _ in groups]
    known = await store.note_latest(
        tx, newest(held, readings, groups), now=now, silence=SILENT_AFTER
    )
    late = [
        (place, *group)
        for place, group in enumerate(groups)
        if (before := known[place]) is not None and not readings.at[group[0]] > us(before)
    ]
    if late:
        readings = await without_repeated(tx, held, known, readings, late)
    await note_clocks_ahead(tx, packs, readings, now)
    await write(tx, packs, readings)
    return len(readings)


CLOCK_TOLERANCE = timedelta(minutes=5)


async def note_clocks_ahead(
    tx: Connection, packs: Sequence[UUID], readings: Readings, now: datetime
) -> None:
    """Note which of new readings are dated later than now: such a clock is wrong for certain. One
    that is behind looks like readings that come late."""
    ahead = readings.at > us(now + CLOCK_TOLERANCE)
    if not ahead.any():
        return
    wrong = readings.take(ahead)
    await store.note_clocks_ahead(
        tx,
        [
            (
                packs[wrong.pack[first]],
                instant(int(wrong.at[first])),
                instant(int(wrong.at[last - 1])),
                last - first,
            )
            for first, last in bounds(wrong.pack)
        ],
    )


def in_order(packs: Sequence[UUID], readings: Readings) -> tuple[list[UUID], Readings]:
    """Readings by id of pack and time, each instant of a pack once."""
    numbers = [pack.int for pack in packs]
    order = sorted(range(len(packs)), key=numbers.__getitem__)
    if len(set(numbers)) == len(numbers) and order == list(range(len(packs))):
        return list(packs), ordered(readings)
    places = np.empty(len(packs), np.int32)
    made: list[UUID] = []
    for place in order:
        if not made or made[-1].int != numbers[place]:
            made.append(packs[place])
        places[place] = len(made) - 1
    return made, ordered(readings.of(places))


def newest(held: Sequence[UUID], readings: Readings, groups: Sequence[tuple[int, int]]) -> Newest:
    """Of each pack its bounds and the newest value of each quantity."""
    instants: dict[int, datetime] = {}

    def when(places: Sequence[int]) -> list[datetime]:
        counts = readings.at[places].tolist()
        for count in set(counts) - instants.keys():
            instants[count] = instant(count)
        return [instants[count] for count in counts]

    def told(is_known: Flags, values: Callable[[list[int]], list[Any]]) -> tuple[Any, Any]:
        places = _last_known(is_known, [first for first, _ in groups])
        there = [max(0, place) for place in places]
        pairs = list(zip(places, values(there), when(there), strict=True))
        return (
            [value if place >= 0 else None for place, value, _ in pairs],
            [at if place >= 0 else None for place, _, at in pairs],
        )

    found = {
        name: told(np.isfinite(column), _numbers(column))
        for name, column in readings.scalars.items()
    }
    if (cells := readings.cells_mv) is not None:
        found["cells_mv"] = told(*_lists(cells, cells != NO_CELL))
    if (probes := readings.temperatures_c) is not None:
        found["temperatures_c"] = told(*_lists(probes, np.isfinite(probes)))
    return Newest(
        pack_ids=list(held),
        latest_at=when([last - 1 for _, last in groups]),
        earliest_at=when([first for first, _ in groups]),
        values=found,
    )


def _last_known(is_known: Flags, firsts: Sequence[int]) -> list[int]:
    """The last place of each group at which a value is known; -1 where there is none."""
    places = np.where(is_known, np.arange(len(is_known)), -1)
    found: list[int] = np.maximum.reduceat(places, firsts).tolist()
    return found


def _numbers(column: NDArray[np.float32]) -> Callable[[list[int]], list[Any]]:
    return lambda places: column[places].tolist()


def _lists(
    table: NDArray[np.generic], is_known: Flags
) -> tuple[Flags, Callable[[list[int]], list[Any]]]:
    some: Flags = np.logical_or.reduce(is_known, axis=1)
    return some, lambda places: [
        _array(table[place], is_known[place]) if some[place] else None for place in places
    ]


def _array(values: NDArray[np.generic], is_known: Flags) -> str:
    """A list as PostgreSQL writes it, without what is missing at its end."""
    width = int(np.flatnonzero(is_known)[-1]) + 1
    shown = (
        str(value) if there else "NULL"
        for value, there in zip(values[:width].tolist(), is_known[:width], strict=True)
    )
    return "{" + ",".join(shown) + "}"


async def without_repeated(
    tx: Connection,
    held: Sequence[UUID],
    known: Sequence[datetime | None],
    readings: Readings,
    late: Sequence[tuple[int, int, int]],
) -> Readings:
    """The readings that are not stored yet. `late` are groups that begin before what is known."""
    stretches = [
        (
            held[place],
            instant(int(readings.at[first])),
            instant(int(readings.at[last - 1])),
        )
        for place, first, last in late
    ]
    rows = await store.overlapping(tx, *zip(*stretches, strict=True))
    places = {pack_id: place for place, (pack_id, _, _) in enumerate(stretches)}
    there = chunks.decode_all(
        [(places[row["pack_id"]], us(row["first_at"]), row["body"]) for row in rows]
    )
    begins = starts(there.pack)
    stored = dict(
        zip(there.pack[begins].tolist(), np.split(there.at, begins[1:]), strict=True)
        if len(there)
        else ()
    )
    keep = np.ones(len(readings), np.bool_)
    changed: list[tuple[UUID, datetime]] = []
    for n, (place, first, last) in enumerate(late):
        if n in stored:
            keep[first:last] = ~np.isin(readings.at[first:last], stored[n])
        new = np.flatnonzero(keep[first:last])
        if len(new):
            changed.append((held[place], instant(int(readings.at[first + new[0]]))))
    if changed:
        await store.note_late(tx, *map(list, zip(*changed, strict=True)))
    return readings.take(keep)


async def write(
    tx: Connection, packs: Sequence[UUID], readings: Readings, *, compress: bool = False
) -> None:
    """Store ordered readings, of which none is there, as chunks, one for each pack and day."""
    if len(readings) == 0:
        return
    days = civil_day(readings.at)
    ranges = bounds(readings.pack, days)
    await store.ensure_partitions(tx, store.CHUNKS, civil_dates(readings, days))
    rows = []
    for long in (True, False):
        some = [one for one in ranges if (compress or one[1] - one[0] >= COMPRESS_FROM) is long]
        if not some:
            continue
        bodies = chunks.encode(readings, some, compress=long)
        rows += [
            (
                packs[readings.pack[first]],
                instant(int(readings.at[first])),
                instant(int(readings.at[last - 1])),
                last - first,
                body,
            )
            for (first, last), body in zip(some, bodies, strict=True)
        ]
    await store.insert(tx, rows)


def civil_dates(readings: Readings, days: NDArray[np.int64]) -> set[date]:
    _, places = np.unique(days, return_index=True)
    return {civil_date(instant(int(readings.at[place]))) for place in places}


async def read(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    to_ats: Sequence[datetime],
) -> Readings:
    """The readings of packs, each from its instant to before another, ordered; `pack` is the place
    in `pack_ids`, which name each pack once."""
    rows = await pieces(tx, pack_ids, from_ats, to_ats)
    return put_together(rows, pack_ids, from_ats, to_ats)


async def pieces(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    to_ats: Sequence[datetime],
) -> list[Record]:
    """The chunks that hold the readings of packs, each from its instant to before another."""
    last = [to_at - store.MOMENT for to_at in to_ats]
    return await store.overlapping(tx, pack_ids, from_ats, last)


def put_together(
    rows: Sequence[Record],
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    to_ats: Sequence[datetime],
) -> Readings:
    """The readings in chunks, as `read` returns them."""
    if not rows:
        return NOTHING
    places = {pack_id: place for place, pack_id in enumerate(pack_ids)}
    found = ordered(
        chunks.decode_all(
            [(places[row["pack_id"]], us(row["first_at"]), row["body"]) for row in rows]
        )
    )
    least = np.array([us(at) for at in from_ats], np.int64)[found.pack]
    most = np.array([us(at) for at in to_ats], np.int64)[found.pack]
    inside = (found.at >= least) & (found.at < most)
    return found if inside.all() else found.take(inside)


PAGE_CHUNKS = 20


async def page(
    tx: Connection, pack_id: UUID, from_at: datetime, to_at: datetime, limit: int
) -> Readings:
    """The first readings of a pack from an instant to before another."""
    count = PAGE_CHUNKS
    while True:
        rows = await store.chunks_from(tx, pack_id, from_at, to_at, count)
        found = ordered(chunks.decode_all([(0, us(row["first_at"]), row["body"]) for row in rows]))
        # What begins after the last chunk read is not seen yet.
        seen_to = us(to_at)
        if len(rows) == count:
            seen_to = min(seen_to, us(rows[-1]["first_at"]) + 1)
        found = found.take((found.at >= us(from_at)) & (found.at < seen_to))
        if len(found) >= limit or len(rows) < count:
            return found.take(slice(0, limit))
        count *= 4
