"""Readings over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.http.edge import CUSTOMERS, Now, Tx
from leasing.http.fields import summary
from leasing.http.pages import Cursor, Limit, Page, decode, encode
from leasing.http.problems import InvalidParameters, when_posting, when_reading
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from leasing.telemetry import service, store
from schemas.telemetry import Instant, ReadingBatch, ReadingReceipt, ReadingView

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 1, 1, tzinfo=UTC)


@post("/readings", responses=when_posting())
async def ingest_readings(tx: Tx, now: Now, data: JSONBody[ReadingBatch]) -> ReadingReceipt:
    """Store up to 10,000 readings. Answered when they are durable; sending them again is safe."""
    return await service.ingest(tx, data.readings, now=now)


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
    rows = convert_all(await store.between(tx, pack_id, start, to_at, limit + 1), ReadingView)
    return Page(rows[:limit], encode(rows[limit].at) if len(rows) > limit else None)


def refuse_without_offset(**instants: datetime) -> None:
    """An instant without an offset would be taken in whatever zone this machine is in."""
    faults = [
        FieldError(f"?{name}", "wrong_timezone", f"{at.isoformat()} has no offset: add Z or +08:00")
        for name, at in instants.items()
        if at.tzinfo is None
    ]
    if faults:
        raise InvalidParameters(summary(faults), fields=faults)


HANDLERS = [ingest_readings, list_readings]
