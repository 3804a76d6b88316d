"""Health checks over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from leasing.health import session_store, store
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, decode, page_by, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert_all
from schemas.health import HealthCheckView, PackSessionView
from schemas.telemetry import Instant

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)


@get("/packs/{pack_id:uuid}/health-checks", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_health_checks(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[HealthCheckView]:
    """Every check of a pack with its interval, verdict and evidence, oldest first."""
    rows = await store.after(tx, pack_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, HealthCheckView), limit)


@get("/packs/{pack_id:uuid}/sessions", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_sessions(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[PackSessionView]:
    """A pack's charges and discharges, oldest first: what its capacity is estimated from."""
    after = EARLIEST if cursor is None else decode(cursor, tuple[Instant])[0]
    rows = await session_store.after(tx, pack_id, after, limit + 1)
    return page_by(convert_all(rows, PackSessionView), limit, lambda view: view.started_at)


HANDLERS = [list_health_checks, list_sessions]
