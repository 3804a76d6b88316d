"""What arrived is put together: the chunks of a day that is over become one, sessions and hours are
summed up, and what is not to be believed is noted.

Readings may come late and in any order, so nothing is continued: from some time before the first
new reading on, everything is worked out again from the readings, and replaces what was there.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import msgspec
import numpy as np
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.health import session_store
from leasing.health.session_store import PackToSeal
from leasing.health.sessions import cut
from leasing.kit.time import civil_date, midnight
from leasing.telemetry import chunks, hours, quality, storage, store
from leasing.telemetry.columns import (
    CIVIL_OFFSET_US,
    DAY_US,
    HOUR_US,
    Readings,
    bounds,
    civil_day,
    instant,
    us,
)

TOUCHED = timedelta(hours=6)
"""A session that ended so long before a new reading is not changed by it."""
CONTEXT = timedelta(days=2)
"""What came before a session says in which state it began."""
FAR = timedelta(days=4000)
LATE = timedelta(days=8)


class Sealed(msgspec.Struct, frozen=True):
    """How far one step came: the packs done, and the last of them."""

    packs: int
    last: UUID | None


async def seal_next(
    tx: Connection, after: UUID, limit: int, *, before: datetime | None = None
) -> Sealed:
    """Put together and sum up the next packs with something new, in order of id; with `before`,
    those with something new before an instant. Others may do the same at the same time: each
    takes packs that no other has taken."""
    packs = await session_store.take(tx, after, limit, before)
    if packs:
        await seal_all(tx, packs)
    return Sealed(len(packs), packs[-1].pack_id if packs else None)


async def seal_all(tx: Connection, packs: Sequence[PackToSeal]) -> None:
    # One that got something very late has much to be read, and is done alone.
    late = [pack for pack in packs if pack.latest_at - pack.unsealed_from > LATE]
    for alone in late:
        await seal(tx, [alone])
    if rest := [pack for pack in packs if pack not in late]:
        await seal(tx, rest)


async def waiting(tx: Connection, after: UUID, limit: int) -> list[UUID]:
    """The next packs with something new."""
    return [pack.pack_id for pack in await session_store.take(tx, after, limit, None)]


async def seal_these(tx: Connection, pack_ids: Sequence[UUID]) -> None:
    """The same for these packs, whose rows the caller holds."""
    packs = await session_store.take_these(tx, pack_ids)
    if packs:
        await seal_all(tx, packs)


async def seal(tx: Connection, packs: Sequence[PackToSeal]) -> None:
    ids = [pack.pack_id for pack in packs]
    touched = [pack.unsealed_from - TOUCHED for pack in packs]
    started = await session_store.earliest(tx, ids, touched)
    from_ats = [
        midnight(civil_date(min(from_at, started.get(pack_id, from_at)) - CONTEXT))
        for pack_id, from_at in zip(ids, touched, strict=True)
    ]
    to_ats = [pack.unsealed_from + FAR for pack in packs]
    pieces = await storage.pieces(tx, ids, from_ats, to_ats)
    readings = storage.put_together(pieces, ids, from_ats, to_ats)
    await compact(tx, ids, scattered(pieces), readings)
    new = np.array([us(pack.unsealed_from) for pack in packs], np.int64)[readings.pack]
    await session_store.put_hours(
        tx, hours.rows(readings.take(readings.at // HOUR_US >= new // HOUR_US), ids)
    )
    good, flags = quality.judge(
        readings, [quality.Pack(one.cells_in_series, one.rated_ah) for one in packs]
    )
    flags = [flag for flag in flags if flag.to_us >= us(touched[flag.pack])]
    await session_store.replace_flags(tx, ids, touched, flags)
    sessions = [
        (ids[place], session)
        for place, session in cut(good, [one.type for one in packs])
        if session.ended_at >= touched[place]
    ]
    await session_store.replace_sessions(tx, stretches(ids, touched, readings), sessions)
    await session_store.mark_sealed(tx, ids)


MOST_PIECES = 24
"""Of a day that goes on: one an hour, of a gateway that sends hours at once."""


def scattered(pieces: Sequence[Record]) -> list[tuple[UUID, date]]:
    """The days of packs that are to be written anew, from their chunks in order of pack and time: a
    day after which others began, when it lies in several pieces or was not compressed; the one that
    goes on only when it lies in very many, or each hour would write the whole day again."""
    days: dict[tuple[UUID, date], list[Record]] = {}
    newest: dict[UUID, date] = {}
    for piece in pieces:
        pack_id, day = piece["pack_id"], civil_date(piece["first_at"])
        days.setdefault((pack_id, day), []).append(piece)
        newest[pack_id] = day
    return [
        (pack_id, day)
        for (pack_id, day), some in days.items()
        if len(some) > MOST_PIECES
        or (day < newest[pack_id] and (len(some) > 1 or not chunks.is_compressed(some[0]["body"])))
    ]


async def compact(
    tx: Connection,
    ids: Sequence[UUID],
    scattered_days: Sequence[tuple[UUID, date]],
    readings: Readings,
) -> None:
    """Write days of packs as one compressed chunk each."""
    if not scattered_days:
        return
    packs, days = zip(*scattered_days, strict=True)
    from_ats = [midnight(day) for day in days]
    to_ats = [midnight(day + timedelta(days=1)) for day in days]
    await store.delete_chunks(tx, packs, from_ats, to_ats)
    wanted = {(pack_id, us(at)) for pack_id, at in zip(packs, from_ats, strict=True)}
    keep = np.zeros(len(readings), np.bool_)
    of_day = civil_day(readings.at)
    for first, last in bounds(readings.pack, of_day):
        begins = int(of_day[first]) * DAY_US - CIVIL_OFFSET_US
        keep[first:last] = (ids[readings.pack[first]], begins) in wanted
    await storage.write(tx, ids, readings.take(keep), compress=True)


def stretches(
    ids: Sequence[UUID], touched: Sequence[datetime], readings: Readings
) -> list[tuple[UUID, datetime, datetime, datetime]]:
    """Where there are readings: of each pack, days that follow each other."""
    days = civil_day(readings.at)
    found = []
    for first, last in bounds(readings.pack):
        ends = np.flatnonzero(np.diff(days[first:last]) > 1) + first + 1
        for a, b in pairwise([first, *ends.tolist(), last]):
            place = int(readings.pack[first])
            begins, stops = instant(int(readings.at[a])), instant(int(readings.at[b - 1]))
            found.append((ids[place], touched[place], begins, stops))
    return found
