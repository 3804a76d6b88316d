"""What happened to a contract, a site or a pack, and who had the pack."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.batteries.model import NoSuchPack
from leasing.db.pool import Connection
from leasing.timeline import rules, store
from schemas.packs import PackState
from schemas.timeline import (
    CustodyView,
    PackCustodyView,
    SubjectRefView,
    TimelineEntryView,
)


async def entries(
    tx: Connection,
    subject_id: UUID,
    after: UUID,
    *,
    until: date | None,
    as_of: date | None,
    limit: int,
    outside: bool,
) -> list[TimelineEntryView]:
    """What happened, in order of the day it was effective and then of recording."""
    rows = await store.page(
        tx, subject_id, after, until=until, as_of=as_of, limit=limit, outside=outside
    )
    return [entry(row) for row in rows]


def entry(row: Record) -> TimelineEntryView:
    kind, facts = row["kind"], row["facts"]
    english, chinese = rules.summary(kind, facts)
    itself = SubjectRefView(kind=row["aggregate"], id=row["aggregate_id"])
    found = msgspec.convert(row["subjects"], list[SubjectRefView])
    return TimelineEntryView(
        id=row["id"],
        on=row["on"],
        recorded_at=row["recorded_at"],
        actor=row["actor"],
        kind=kind,
        summary_en=english,
        summary_zh=chinese,
        subjects=list(dict.fromkeys([itself, *found, *rules.named(kind, facts)])),
        facts=facts,
    )


async def refuse_unknown_pack(tx: Connection, pack_id: UUID) -> None:
    """Raise `NoSuchPack` unless the caller sees the pack, or once had it."""
    if not await store.knows_pack(tx, pack_id):
        raise NoSuchPack


async def custody(tx: Connection, pack_id: UUID, on: date) -> PackCustodyView:
    """Who had a pack, day by day, and on one day."""
    await refuse_unknown_pack(tx, pack_id)
    rows = [
        {**row, "held_by": rules.HELD_BY[PackState(row["state"])]}
        for row in await store.custody(tx, pack_id)
    ]
    history = msgspec.convert(rows, list[CustodyView])
    return PackCustodyView(pack_id=pack_id, on=on, held=held_on(history, on), history=history)


def held_on(history: Sequence[CustodyView], on: date) -> CustodyView | None:
    for period in history:
        if period.from_on <= on and (period.to_on is None or on < period.to_on):
            return period
    return None
