"""Timelines and custody over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from leasing.access.model import Caller, Role
from leasing.annotations import service as annotations
from leasing.contracts.api import OnDay
from leasing.db.pool import Connection
from leasing.http.edge import CUSTOMERS, EVERYONE, PARTNERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, decode, encode, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.timeline import service, store
from schemas.annotations import SubjectKind
from schemas.timeline import PackCustodyView, SitePackView, TimelineEntryView

Until = Annotated[
    date | None, QueryParameter(description="Only what was effective on that day or before.")
]
AsOf = Annotated[
    date | None,
    QueryParameter(description="Only what had been recorded by the end of that day."),
]
Slot = Annotated[int, Meta(ge=0, le=1000)]

OUTSIDERS = {Role.CUSTOMER, Role.RECYCLER}


async def timeline(
    tx: Connection,
    caller: Caller,
    subject_id: UUID,
    until: date | None,
    as_of: date | None,
    limit: int,
    cursor: str | None,
) -> Page[TimelineEntryView]:
    found = await service.entries(
        tx,
        subject_id,
        after_id(cursor),
        until=until,
        as_of=as_of,
        limit=limit + 1,
        outside=caller.role in OUTSIDERS,
    )
    return page_by_id(found, limit)


@get(
    "/contracts/{contract_id:uuid}/timeline",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def contract_timeline(
    tx: Tx,
    caller: By,
    contract_id: FromPath[UUID],
    until: Until = None,
    as_of: AsOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TimelineEntryView]:
    """Everything that happened to a contract and its lines, in order of the day it was effective
    and then of recording. `until` shows what had happened by a day, as known today; `as_of` what
    was known on a day; both together what one would have read on the evening of that day."""
    await annotations.refuse_unseen(tx, SubjectKind.CONTRACT, contract_id)
    return await timeline(tx, caller, contract_id, until, as_of, limit, cursor)


@get("/sites/{site_id:uuid}/timeline", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def site_timeline(
    tx: Tx,
    caller: By,
    site_id: FromPath[UUID],
    until: Until = None,
    as_of: AsOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TimelineEntryView]:
    """Everything that happened to a site and the lines that stood there, like a contract's."""
    await annotations.refuse_unseen(tx, SubjectKind.SITE, site_id)
    return await timeline(tx, caller, site_id, until, as_of, limit, cursor)


@get("/packs/{pack_id:uuid}/timeline", opt={"access": PARTNERS}, responses=when_reading(404))
async def pack_timeline(
    tx: Tx,
    caller: By,
    pack_id: FromPath[UUID],
    until: Until = None,
    as_of: AsOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TimelineEntryView]:
    """Everything that happened to a pack, like a contract's. A customer is shown its own time
    with the pack, a recycler the pack's way to it."""
    await service.refuse_unknown_pack(tx, pack_id)
    return await timeline(tx, caller, pack_id, until, as_of, limit, cursor)


@get("/packs/{pack_id:uuid}/custody", opt={"access": EVERYONE}, responses=when_reading(404))
async def pack_custody(
    tx: Tx, now: Now, pack_id: FromPath[UUID], on: OnDay = None
) -> PackCustodyView:
    """Who had a pack from day to day, and where it was on one. A customer and a recycler are shown
    their own time with it."""
    return await service.custody(tx, pack_id, on or civil_date(now))


@get("/sites/{site_id:uuid}/packs", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def site_packs(
    tx: Tx,
    now: Now,
    site_id: FromPath[UUID],
    on: OnDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SitePackView]:
    """The packs that stand at a site on a day, in order of slots, and under which lines."""
    await annotations.refuse_unseen(tx, SubjectKind.SITE, site_id)
    after = 0 if cursor is None else decode(cursor, tuple[Slot])[0]
    rows = await store.at_site(tx, site_id, on or civil_date(now), after, limit + 1)
    shown = convert_all(rows[:limit], SitePackView)
    return Page(shown, encode(shown[-1].slot) if len(rows) > limit else None)


HANDLERS = [contract_timeline, site_timeline, pack_timeline, pack_custody, site_packs]
