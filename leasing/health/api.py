"""Health checks over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from leasing.health import explaining, session_store, store
from leasing.health.model import NoHealthCheck
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, decode, page_by, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert, convert_all
from schemas.health import HealthCheckView, HealthExplanation, PackSessionView
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


@get(
    "/packs/{pack_id:uuid}/health/explanation",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def explain_health(tx: Tx, pack_id: FromPath[UUID]) -> HealthExplanation:
    """A pack's latest check with the sessions and tests it rests on, each error in points, what
    smoothing did, and the decision in a sentence. A customer finds those of its own lines."""
    row = await store.latest(tx, pack_id)
    if row is None:
        raise NoHealthCheck
    return explaining.explain(convert(row, HealthCheckView))


HANDLERS = [list_health_checks, list_sessions, explain_health]
