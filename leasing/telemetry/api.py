"""Readings over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.http.edge import CUSTOMERS, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, decode, encode
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.telemetry import service, store
from schemas.telemetry import ReadingBatch, ReadingReceipt, ReadingView

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)


@post("/readings", responses=when_posting())
async def ingest_readings(tx: Tx, now: Now, data: JSONBody[ReadingBatch]) -> ReadingReceipt:
    """Store up to 10,000 readings. Answered when they are durable; sending them again is safe."""
    return await service.ingest(tx, data.readings, now=now)


@get("/packs/{pack_id:uuid}/readings", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_readings(
    tx: Tx,
    pack_id: FromPath[UUID],
    from_at: FromQuery[datetime] = FIRST,
    to_at: FromQuery[datetime] = LAST,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReadingView]:
    """What a pack reported, oldest first, from one instant to before another."""
    start = from_at if cursor is None else decode(cursor, tuple[datetime])[0]
    rows = convert_all(await store.between(tx, pack_id, start, to_at, limit + 1), ReadingView)
    return Page(rows[:limit], encode(rows[limit].at) if len(rows) > limit else None)


HANDLERS = [ingest_readings, list_readings]
