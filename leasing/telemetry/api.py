"""Readings over HTTP."""

from datetime import UTC, datetime
from math import isfinite
from typing import TypeVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec.structs import replace

from leasing.http.edge import CUSTOMERS, Now, Tx, Unreadable
from leasing.http.fields import MAX_ERRORS, InvalidPayload, summary
from leasing.http.pages import Cursor, Limit, Page, decode, encode
from leasing.http.problems import InvalidParameters, when_posting, when_reading
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from leasing.telemetry import service, storage, store
from leasing.telemetry.columns import NO_CELL, QUANTITIES, Cells, Floats, Readings, instant
from schemas.telemetry import (
    ColumnBatch,
    Instant,
    ReadingBatch,
    ReadingReceipt,
    ReadingView,
    RefusedReading,
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
    start = from_at if cursor is None else decode(cursor, tuple[Instant])[0]
    rows = views(await storage.page(tx, pack_id, start, to_at, limit + 1))
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


def refuse_without_offset(**instants: datetime) -> None:
    """An instant without an offset would be taken in whatever zone this machine is in."""
    faults = [
        FieldError(f"?{name}", "wrong_timezone", f"{at.isoformat()} has no offset: add Z or +08:00")
        for name, at in instants.items()
        if at.tzinfo is None
    ]
    if faults:
        raise InvalidParameters(summary(faults), fields=faults)


HANDLERS = [ingest_readings, ingest_columns, list_unmatched_sources, list_readings]
