"""Health checks over HTTP."""

from uuid import UUID

from litestar import get
from litestar.params import FromPath

from leasing.health import store
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert_all
from schemas.health import HealthCheckView


@get("/packs/{pack_id:uuid}/health-checks", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_health_checks(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[HealthCheckView]:
    """Every check of a pack with its interval, verdict and evidence, oldest first."""
    rows = await store.after(tx, pack_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, HealthCheckView), limit)


HANDLERS = [list_health_checks]
