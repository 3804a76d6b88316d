"""The status page at `/`, and what a load balancer asks. Open to all: counts, no names."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Response, get

from leasing.db import clock
from leasing.http.edge import Db
from leasing.http.problems import documented
from leasing.kit.errors import Unavailable
from leasing.kit.time import CIVIL_ZONE, system_now
from leasing.system import store

FOLDER = Path(__file__).parent / "templates"
PAGES = Environment(
    loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

CARDS = (
    ("Active contracts", "在租合同", "active_contracts"),
    ("Packs on lease", "在租电池包", "packs_on_lease"),
    ("Sites", "站址", "sites"),
    ("Invoices", "账单", "invoices"),
    ("Open duties", "待办义务", "open_duties"),
    ("Routings under way", "回收在途", "routings_under_way"),
    ("Outlets", "回收网点", "outlets"),
)


class NotReady(Unavailable):
    code = "not_ready"
    title = "The service is not ready"


@get("/", media_type=MediaType.HTML, include_in_schema=False)
async def status_page(db: Db) -> Response[str]:
    """Counts and the newest job runs, for people."""
    async with db.transaction(read_only=True) as tx:
        time = await clock.read(tx)
        counts = await store.counts(tx)
        packs = await store.packs_by_state(tx)
        runs = await store.newest_runs(tx)
    html = PAGES.get_template("status.html").render(
        sandbox=time.sandbox,
        now=time.now_at or system_now(),
        target=time.target_at,
        zone=CIVIL_ZONE,
        cards=[(label, zh, counts[name]) for label, zh, name in CARDS],
        packs=packs,
        total_packs=sum(row["packs"] for row in packs),
        runs=runs,
    )
    return Response(html, media_type=MediaType.HTML, headers=HEADERS)


@get("/status.css", media_type=MediaType.CSS, include_in_schema=False, cache_control=None)
async def status_style() -> Response[bytes]:
    return Response(STYLE, media_type=MediaType.CSS, headers=HEADERS)


STYLE = (FOLDER / "status.css").read_bytes()


@get("/health/live", responses=documented(500))
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@get("/health/ready", responses=documented(500, 503))
async def ready(db: Db) -> dict[str, bool]:
    """The process answers and its database does. 503 otherwise."""
    async with db.transaction(read_only=True) as tx:
        if not await tx.fetchval("SELECT EXISTS (SELECT FROM migration)"):
            raise NotReady("the schema has not been migrated: run 'leasing migrate'")
    return {"ready": True}


HANDLERS = [status_page, status_style, live, ready]
