"""Notices 90, 30 and 7 days before something of a recycler's lapses: each once."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.recyclers import rules, store
from leasing.recyclers.model import Deadline
from schemas.recyclers import NoticeSubject


async def of_evidence(tx: Connection, as_of: date, *, by: str, now: datetime) -> int:
    """Tell of evidence that runs out and that no other takes up; returns how many notices."""
    until = as_of + timedelta(days=max(rules.NOTICE_DAYS))
    found = [
        (
            row["recycler_id"],
            Deadline(NoticeSubject(row["subject"]), row["lapses_on"], row["document"]),
        )
        for row in await store.expiring(tx, as_of, until)
    ]
    return await tell(tx, found, as_of, by=by, now=now)


async def of_deadlines(
    tx: Connection, ids: Sequence[UUID], as_of: date, *, by: str, now: datetime
) -> int:
    """Tell of what firms have to do to stay on the list; returns how many notices."""
    current = await store.latest(tx, ids)
    reports = await store.filed(tx, ids)
    found = [
        (recycler_id, deadline)
        for recycler_id in ids
        if (deadline := rules.deadline_of(current.get(recycler_id), reports[recycler_id], as_of))
    ]
    return await tell(tx, found, as_of, by=by, now=now)


async def tell(
    tx: Connection,
    found: Sequence[tuple[UUID, Deadline]],
    as_of: date,
    *,
    by: str,
    now: datetime,
) -> int:
    due = [
        (recycler_id, deadline, days)
        for recycler_id, deadline in found
        if (days := rules.notice_days(deadline.lapses_on, as_of))
    ]
    rows = await store.notice(tx, due, as_of)
    told = [
        Event("party", row["recycler_id"], "recycler.noticed", convert(row, dict)) for row in rows
    ]
    await events.append(tx, told, actor=by, now=now)
    return len(rows)
