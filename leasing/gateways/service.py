"""Gateways on a database."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from msgspec.structs import replace

from leasing.alarms import store as alarms
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.gateways import bms, store, tower
from leasing.gateways.model import Delivery, Unread
from leasing.kit.errors import NotFound
from leasing.kit.time import civil_date
from leasing.telemetry import service as telemetry
from leasing.telemetry import store as telemetry_store
from leasing.telemetry.columns import from_rows
from leasing.telemetry.decoders import binterface, bms48
from leasing.telemetry.model import Alarm, Report, Source, SourceKind
from schemas.messages import Bms48Batch, MessageReceipt


def commit_to(db: Database) -> Callable[[Sequence[Delivery]], Awaitable[None]]:
    return partial(commit, db)


async def commit(db: Database, deliveries: Sequence[Delivery]) -> None:
    """Store deliveries in one transaction. Returns when they are durable."""
    reports = [report for one in deliveries for report in one.reports]
    unread = [message for one in deliveries for message in one.unread]
    async with db.transaction() as tx:
        if reports:
            await telemetry.ingest_reports(tx, reports, now=await clock.now(tx))
        if unread:
            await store.keep(tx, unread)


async def knows_vehicle(db: Database, vin: str) -> bool:
    async with db.transaction(read_only=True) as tx:
        return await store.knows_vehicle(tx, vin)


async def compare_packs(db: Database, vin: str, codes: Sequence[str]) -> None:
    """A vehicle has said which packs are in it. Codes that are on no pack that stands in it today
    are listed with the sources that nobody here knows, for staff to look at."""
    async with db.transaction() as tx:
        now = await clock.now(tx)
        said = [code for code in codes if code.strip()]
        strange = await store.codes_elsewhere(tx, vin, said, civil_date(now))
        told = [
            (Source(SourceKind.PACK_CODE, code), 1, f"not in vehicle {vin}") for code in strange
        ]
        if told:
            await telemetry_store.note_unmatched(tx, told, now)


# --- Over HTTP --------------------------------------------------------------------------------


async def take_b_interface(tx: Connection, body: bytes, address: str, *, now: datetime) -> bytes:
    """Store what a supervision unit says; returns the answer, to be sent after the commit.
    `address` is ours, as it called us. Raises `FrameError`, and has stored nothing then."""
    heard = tower.read(body)
    reports = binterface.reports(heard.message, now)
    return tower.answer(heard, await telemetry.ingest_reports(tx, reports, now=now), address)


async def take_bms48(tx: Connection, data: Bms48Batch, *, now: datetime) -> MessageReceipt:
    """Store what a pack answered. Raises `FramesRefused`."""
    source = Source(SourceKind(data.source.kind), data.source.value, data.source.part)
    found, flags = bms.read(source, data.frames)
    changes = await alarms_of_flags(tx, source, flags)
    taken = await telemetry.ingest_reports(tx, found + changes, now=now)
    return MessageReceipt(
        stored=taken.stored,
        repeated=taken.repeated,
        unmatched=taken.unmatched,
        refused=taken.refused,
    )


async def alarms_of_flags(tx: Connection, source: Source, flags: Sequence[Report]) -> list[Report]:
    """Reports of one source whose alarms are the flags that are up, as beginnings and ends.

    What was up before is what stands open in the database, so it does not matter which process
    took the frame before. What is up is told again each time, which begins nothing twice; a frame
    older than the last word of its pack's flags changes nothing.
    """
    if not flags:
        return []
    inorder = sorted(flags, key=lambda report: report.at)
    packs, placed = await telemetry.find_packs(tx, [source], from_rows([0] * len(inorder), inorder))
    known = await alarms.flags(tx, packs)
    told: list[Report] = []
    for place, report in zip(placed.pack.tolist(), inorder, strict=True):
        if place < 0:
            told.append(replace(report, alarms=()))  # counted as of nobody we know
            continue
        told_at, was_up = known.get(packs[place], (report.at, frozenset[str]()))
        if report.at < told_at:
            continue
        now_up = frozenset(alarm.code for alarm in report.alarms)
        down = sorted(code for code in was_up - now_up if bms48.is_said(code))
        ends = [Alarm(code, begins=False) for code in down]
        known[packs[place]] = (report.at, was_up - frozenset(down) | now_up)
        if report.alarms or ends:
            told.append(replace(report, alarms=(*report.alarms, *ends)))
    return told


async def keep_unread(
    tx: Connection, source: str, reason: str, content: bytes, *, now: datetime
) -> None:
    await store.keep(tx, [Unread(source, reason, now, content)])


class NoSuchMessage(NotFound):
    code = "no_such_message"
    title = "There is no such message, or it is no longer kept"


async def content_of_unread(tx: Connection, message_id: UUID) -> bytes:
    """A message as it came. Raises `NoSuchMessage`."""
    content = await store.content(tx, message_id)
    if content is None:
        raise NoSuchMessage
    return content
