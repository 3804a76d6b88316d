"""Checking chains of records, one pack after the other, and taking the head of a day.

Both read in order of packs, some thousand records at a time, so that memory does not grow with
what is checked.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.time import civil_date, midnight
from leasing.traceability import head_store, rules
from leasing.traceability.model import (
    DayNotOver,
    Fault,
    Finding,
    Head,
    Newest,
    OtherHead,
    Written,
)
from leasing.traceability.rules import HeadWriter, Published

Found = Callable[[Finding], None]
Report = Callable[[int, int | None], None]


def quietly(done: int, total: int | None) -> None:
    """Report nothing."""


class Checked(msgspec.Struct, frozen=True):
    packs: int
    records: int
    findings: int


class Walk:
    """A walk along chains in order of packs: what is wrong, and the head of a day on the way."""

    def __init__(self, found: Found, published: Published | None, known: Head | None) -> None:
        self.found = found
        self.published = published
        self.known = known
        self.head = HeadWriter(known.as_of) if known else None
        self.before = midnight(known.as_of + timedelta(days=1)) if known else None
        if self.head:
            self.head.begin()
        self.last: Written | None = None
        self.newest: Newest | None = None
        self.packs = self.records = self.findings = 0

    def tell(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings += 1
            self.found(finding)

    def take(self, record: Written) -> None:
        last = self.last
        if last is None or last.pack_id != record.pack_id:
            self.leave()
            last = None
            self.packs += 1
            if self.published:
                self.tell(self.published.passed(record.pack_id))
        self.tell(rules.faults(last, record))
        if self.published:
            self.tell(self.published.seen(record))
        if self.before is not None and record.recorded_at < self.before:
            self.newest = Newest(record.pack_id, record.sequence, record.hash)
        self.last = record
        self.records += 1

    def leave(self) -> None:
        """The records of a pack are over."""
        if self.last is not None and self.published:
            self.tell(self.published.ended(self.last.pack_id, self.last.sequence))
        if self.newest is not None and self.head:
            self.head.line(self.newest)
        self.newest = None

    def end(self) -> None:
        self.leave()
        if self.published:
            self.tell(self.published.passed(None))
        if self.head and self.known:
            self.head.end()
            self.tell(other_head(self.known, self.head.head))


def other_head(known: Head, reckoned: Head) -> Iterator[Finding]:
    if known != reckoned:
        yield Finding(Fault.OTHER_HEAD, difference(known, reckoned))


def difference(known: Head, reckoned: Head) -> str:
    return (
        f"the head of {known.as_of} was {known.hash.hex()} over {known.records} records of "
        f"{known.packs} packs, and is {reckoned.hash.hex()} over {reckoned.records} of "
        f"{reckoned.packs}"
    )


async def verify(
    tx: Connection,
    found: Found,
    *,
    pack_ids: Sequence[UUID] | None = None,
    since: datetime | None = None,
    head: Iterator[Newest] | None = None,
    report: Report = quietly,
) -> Checked:
    """Check all chains, those of some packs, or of packs of which something was recorded since an
    instant; beside the packs of a published head, if one is given. A check of all looks also at
    the newest head that is stored, and for packs without records.

    Raises `BadHead` for a text that is no head.
    """
    is_whole = pack_ids is None and since is None
    published = Published(head, is_whole) if head is not None else None
    walk = Walk(found, published, await head_store.latest(tx) if is_whole else None)
    total = await head_store.count(tx) if is_whole else None
    async for some in chosen(tx, pack_ids, since):
        for record in some:
            walk.take(record)
        report(walk.records, total)
    walk.end()
    if since is None:
        bare = await head_store.bare(tx, pack_ids)
        walk.tell(Finding(Fault.NO_RECORDS, "nothing was recorded of it", one) for one in bare)
    return Checked(walk.packs, walk.records, walk.findings)


async def chosen(
    tx: Connection, pack_ids: Sequence[UUID] | None, since: datetime | None
) -> AsyncIterator[list[Written]]:
    if since is None:
        async for some in head_store.written(tx, pack_ids):
            yield some
        return
    async for packs in head_store.changed_since(tx, since):
        async for some in head_store.written(tx, packs):
            yield some


# --- Heads ------------------------------------------------------------------------------------


async def head_of(
    tx: Connection, as_of: date, write: Callable[[str], object] = lambda text: None
) -> Head:
    """Reckon the head of a day from the records, writing its text on the way."""
    writer = HeadWriter(as_of)
    write(writer.begin())
    async for some in head_store.newest(tx, midnight(as_of + timedelta(days=1))):
        for newest in some:
            write(writer.line(newest))
    write(writer.end())
    return writer.head


async def close_day(
    tx: Connection,
    as_of: date,
    *,
    by: str,
    now: datetime,
    write: Callable[[str], object] = lambda text: None,
) -> Head:
    """The head of a day that is over, stored unless it was before. Raises `OtherHead` when it is
    another than was stored, `DayNotOver`."""
    if as_of >= civil_date(now):
        raise DayNotOver(f"{as_of} is not over")
    known = await head_store.stored(tx, as_of)
    head = await head_of(tx, as_of, write)
    if known is not None:
        if known != head:
            raise OtherHead(difference(known, head))
        return head
    head_id = await head_store.insert(tx, head, by=by, now=now)
    said = {"on": as_of, "packs": head.packs, "records": head.records, "sha256": head.hash.hex()}
    fact = Event("trace_head", head_id, "trace.head_taken", said)
    await events.append(tx, [fact], actor=by, now=now)
    return head
