"""Readings over HTTP."""

from datetime import UTC, datetime
from math import isfinite
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec.structs import replace

from leasing.http.edge import CUSTOMERS, Now, Tx, Unreadable
from leasing.http.fields import MAX_ERRORS, InvalidPayload, summary
from leasing.http.pages import BadCursor, Cursor, Limit, Page, after_id, decode, encode, page_by
from leasing.http.problems import InvalidParameters, when_posting, when_reading
from leasing.kit.errors import FieldError, NotFound
from leasing.kit.rows import convert_all
from leasing.telemetry import rules, service, storage, store
from leasing.telemetry.columns import NO_CELL, QUANTITIES, Cells, Floats, Readings, instant
from schemas.telemetry import (
    ColumnBatch,
    Instant,
    PackTelemetryView,
    QuantityView,
    ReadingBatch,
    ReadingFlagView,
    ReadingReceipt,
    ReadingView,
    RefusedReading,
    SilentPackView,
    UnmatchedSourceView,
)

T = TypeVar("T")

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)


@post("/readings", responses=when_posting(), opt={"msgpack": True})
async def ingest_readings(
    tx: Tx, now: Now, data: JSONBody[ReadingBatch], unreadable: Unreadable
) -> ReadingReceipt:
    """Store up to 10,000 readings. Answered when they are durable; sending them again is safe.

    The body is JSON or MessagePack (`application/vnd.msgpack`), also with `Content-Encoding: gzip`.
    One reading that is refused refuses the batch, unless `all_or_nothing` is false: then the
    others are stored.
    """
    refused = [
        FieldError(f"/readings/{row}{one.pointer}", one.code, one.message)
        for row, error in unreadable.rows.items()
        for one in error.fields or [FieldError("", error.code, error.detail)]
    ]
    if refused and data.all_or_nothing:
        raise InvalidPayload(summary(refused), fields=refused[:MAX_ERRORS])
    total = len(data.readings) + len(unreadable.rows)
    receipt = await service.ingest(
        tx,
        data.readings,
        now=now,
        all_or_nothing=data.all_or_nothing,
        rows=[row for row in range(total) if row not in unreadable.rows] if refused else None,
    )
    told = [RefusedReading(pointer=e.pointer, code=e.code, message=e.message) for e in refused]
    return replace(receipt, refused=told + receipt.refused)


@post("/readings:columns", responses=when_posting(), opt={"msgpack": True})
async def ingest_columns(tx: Tx, now: Now, data: JSONBody[ColumnBatch]) -> ReadingReceipt:
    """Store up to 50,000 readings that come column by column, a set of columns for each pack.

    In MessagePack, with packed columns, this takes a hundredth of the time that rows take.
    """
    return await service.ingest_columns(tx, data.packs, now=now, all_or_nothing=data.all_or_nothing)


@get("/packs/{pack_id:uuid}/readings", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_readings(
    tx: Tx,
    pack_id: FromPath[UUID],
    from_at: FromQuery[datetime] = FIRST,
    to_at: FromQuery[datetime] = LAST,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReadingView]:
    """What a pack reported, oldest first, from one instant to before another."""
    refuse_without_offset(from_at=from_at, to_at=to_at)
    start = from_at if cursor is None else ours(decode(cursor, tuple[Instant])[0])
    rows = views(await storage.page(tx, pack_id, within(start), within(to_at), limit + 1))
    return Page(rows[:limit], encode(rows[limit].at) if len(rows) > limit else None)


def views(readings: Readings) -> list[ReadingView]:
    """Rows for people and programs. A float32 is shown as short as it can be."""
    columns = {name: shown(readings.scalar(name)) for name in QUANTITIES}
    cells, probes = readings.cells_mv, readings.temperatures_c
    return [
        ReadingView(
            at=instant(at_us),
            cells_mv=[] if cells is None else cell_list(cells[n]),
            temperatures_c=[] if probes is None else trimmed(shown(probes[n])),
            **{name: column[n] for name, column in columns.items()},
        )
        for n, at_us in enumerate(readings.at.tolist())
    ]


def shown(column: Floats) -> list[float | None]:
    return [float(str(value)) if isfinite(value) else None for value in column]


def cell_list(row: Cells) -> list[int | None]:
    return trimmed([None if value == NO_CELL else value for value in row.tolist()])


def trimmed(values: list[T | None]) -> list[T | None]:
    """Without what is missing at the end."""
    width = max((n + 1 for n, value in enumerate(values) if value is not None), default=0)
    return values[:width]


@get("/unmatched-sources", responses=when_reading())
async def list_unmatched_sources(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[UnmatchedSourceView]:
    """Who reports and is not known here, by kind and name: packs to be entered, codes mistyped."""
    after = ("", "", 0) if cursor is None else decode(cursor, tuple[str, str, int])
    rows = convert_all(await store.unmatched(tx, after, limit + 1), UnmatchedSourceView)
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], encode(last.kind, last.value, last.part) if last else None)


class NoTelemetry(NotFound):
    code = "no_telemetry"
    title = "The pack is not there, or never reported"


@get("/packs/{pack_id:uuid}/telemetry", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_telemetry(tx: Tx, now: Now, pack_id: FromPath[UUID]) -> PackTelemetryView:
    """The newest value of each quantity, since when, and what is silent."""
    row = await store.latest(tx, pack_id)
    if row is None:
        raise NoTelemetry
    latest_at, received_at = row["latest_at"], row["received_at"]
    silent = rules.is_silent(latest_at, received_at, now)
    return PackTelemetryView(
        pack_id=pack_id,
        latest_at=latest_at,
        received_at=received_at,
        is_online=not silent,
        online_since=None if silent else row["online_since"],
        silent_since=rules.heard_at(latest_at, received_at) if silent else None,
        quantities=[
            QuantityView(
                quantity=name,
                value=newest_value(row[name]),
                at=row[f"{name}_at"],
                is_silent=rules.is_silent(row[f"{name}_at"], received_at, now),
            )
            for name in store.LATEST
            if row[f"{name}_at"] is not None
        ],
    )


def newest_value(value: float | list[float | None]) -> Any:
    return shown(np.array([value], np.float32))[0] if isinstance(value, float) else value


@get("/silent-packs", responses=when_reading())
async def list_silent_packs(
    tx: Tx, now: Now, limit: Limit = 50, cursor: Cursor = None
) -> Page[SilentPackView]:
    """Packs that used to report, and of which nothing was heard for half an hour, by id."""
    rows = await store.silent(tx, now - rules.SILENT_AFTER, after_id(cursor), limit + 1)
    views = [
        SilentPackView(
            pack_id=row["pack_id"],
            silent_since=rules.heard_at(row["latest_at"], row["received_at"]),
            latest_at=row["latest_at"],
            received_at=row["received_at"],
        )
        for row in rows
    ]
    return page_by(views, limit, lambda view: view.pack_id)


@get("/packs/{pack_id:uuid}/reading-flags", responses=when_reading(404))
async def list_reading_flags(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[ReadingFlagView]:
    """Stretches in which what a pack reports is not to be believed, oldest first."""
    after = (FIRST, "", "") if cursor is None else decode(cursor, tuple[Instant, str, str])
    ours(after[0])
    rows = convert_all(await store.flags(tx, pack_id, after, limit + 1), ReadingFlagView)
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(rows[:limit], encode(last.from_at, last.kind, last.quantity) if last else None)


def within(at: datetime) -> datetime:
    """The ends of the calendar, where no offset can be reckoned with, are as good as our own."""
    return min(max(at, FIRST), LAST)


def ours(at: datetime) -> datetime:
    """An instant of a cursor. Raises `BadCursor` for one at which no reading can be."""
    if at != within(at):
        problem = FieldError("?cursor", "bad_cursor", "take next_cursor of a page as it is")
        raise BadCursor("take next_cursor of a page as it is", fields=[problem])
    return at


def refuse_without_offset(**instants: datetime) -> None:
    """An instant without an offset would be taken in whatever zone this machine is in."""
    faults = [
        FieldError(f"?{name}", "wrong_timezone", f"{at.isoformat()} has no offset: add Z or +08:00")
        for name, at in instants.items()
        if at.tzinfo is None
    ]
    if faults:
        raise InvalidParameters(summary(faults), fields=faults)


HANDLERS = [
    ingest_readings,
    ingest_columns,
    list_readings,
    get_telemetry,
    list_silent_packs,
    list_reading_flags,
    list_unmatched_sources,
]
