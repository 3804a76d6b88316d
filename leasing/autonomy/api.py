"""Autonomy over HTTP: which sites go dark first."""

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from leasing.autonomy import rules, store
from leasing.autonomy.model import Limits, SiteFact
from leasing.http.edge import CUSTOMERS, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, decode, encode
from leasing.http.problems import when_reading
from leasing.kit.time import civil_date
from leasing.sites.service import NoSuchSite
from schemas.autonomy import SiteAutonomyExplained, SiteAutonomyView

LIMITS = Limits()
NO_LOAD = 2**31 - 1

Region = Annotated[
    str,
    QueryParameter(
        name="adcode",
        pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6})?$",
        description="A province (2 digits), a prefecture (4) or its whole code (6).",
    ),
]


@get("/autonomy", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_autonomy(
    tx: Tx,
    now: Now,
    adcode: Region = "",
    below_minutes: FromQuery[int | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SiteAutonomyView]:
    """Sites by how long they last from now on their packs alone, the shortest lower end first.

    The list is worked out anew for each page, from what the packs said last.
    """
    after = (-1, UUID(int=0)) if cursor is None else decode(cursor, tuple[int, UUID])
    found = await store.ranked(
        tx,
        civil_date(now),
        now,
        adcode=adcode,
        after=(max(-1, min(after[0], NO_LOAD)), after[1]),
        below_minutes=below_minutes,
        limit=limit + 1,
        limits=LIMITS,
    )
    shown = found[:limit]
    more = encode(*position(shown[-1])) if len(found) > limit else None
    return Page([rules.view(site) for site in shown], more)


def position(site: SiteFact) -> tuple[int, UUID]:
    return (NO_LOAD if site.lower_minutes is None else site.lower_minutes, site.site_id)


@get("/sites/{site_id:uuid}/autonomy", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_autonomy(tx: Tx, now: Now, site_id: FromPath[UUID]) -> SiteAutonomyExplained:
    """How long a site with packs lasts from now, and what each pack adds to that."""
    today = civil_date(now)
    found = await store.ranked(tx, today, now, site_id=site_id, limit=1, limits=LIMITS)
    if not found:
        raise NoSuchSite("no pack of yours stands at such a site")
    site = rules.view(found[0])
    english, chinese = rules.sentences(site)
    packs = await store.packs(tx, today, now, site_id, LIMITS)
    return SiteAutonomyExplained(
        site=site,
        packs=[rules.view_of_pack(pack) for pack in packs],
        sentence=english,
        sentence_zh=chinese,
    )


HANDLERS = [list_autonomy, get_autonomy]
