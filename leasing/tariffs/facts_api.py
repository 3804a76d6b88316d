"""Registers, outages, tenants and price indexes over HTTP."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromQuery, JSONBody

from leasing.http.batches import answer
from leasing.http.edge import CUSTOMERS, By, Now, Tx, Unreadable
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.tariffs import facts, facts_store
from schemas.batches import BatchView
from schemas.tariffs import (
    MeterReadingBatch,
    MeterReadingView,
    OutageBatch,
    OutageView,
    PriceIndexBatch,
    PriceIndexView,
    SiteTenancyBatch,
    SiteTenancyView,
)


@post("/meter-readings:batch", status_code=200, responses=when_posting())
async def enter_meter_readings(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[MeterReadingBatch]
) -> BatchView:
    """Enter up to 1,000 register readings of packs; says of each what became of it. One that was
    wrong is put right by another that names it."""
    outcomes = await facts.enter_readings(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/meter-readings", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_meter_readings(
    tx: Tx, pack_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[MeterReadingView]:
    """Register readings in the order they were entered, what was put right among them."""
    rows = await facts_store.readings_after(tx, after_id(cursor), pack_id, limit + 1)
    return page_by_id(convert_all(rows, MeterReadingView), limit)


@post("/outages:batch", status_code=200, responses=when_posting())
async def enter_outages(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[OutageBatch]
) -> BatchView:
    """Enter up to 1,000 outages of sites or lines, when they are over; says of each what became of
    it."""
    outcomes = await facts.enter_outages(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/outages", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_outages(
    tx: Tx,
    site_id: FromQuery[UUID | None] = None,
    line_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OutageView]:
    """Outages in the order they were entered, what was put right among them."""
    rows = await facts_store.outages_after(tx, after_id(cursor), site_id, line_id, limit + 1)
    return page_by_id(convert_all(rows, OutageView), limit)


@post("/site-tenancies:batch", status_code=200, responses=when_posting())
async def enter_site_tenancies(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[SiteTenancyBatch]
) -> BatchView:
    """Enter for up to 1,000 sites and times how many tenants share them; says of each what became
    of it."""
    outcomes = await facts.enter_tenancies(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/site-tenancies", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_site_tenancies(
    tx: Tx, site_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[SiteTenancyView]:
    """Who shares sites, in the order it was entered, what was put right among it."""
    rows = await facts_store.tenancies_after(tx, after_id(cursor), site_id, limit + 1)
    return page_by_id(convert_all(rows, SiteTenancyView), limit)


@post("/price-indexes:batch", status_code=200, responses=when_posting())
async def enter_price_indexes(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[PriceIndexBatch]
) -> BatchView:
    """Enter up to 1,000 published values of price indexes; says of each what became of it."""
    outcomes = await facts.enter_indexes(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/price-indexes", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_price_indexes(
    tx: Tx, series: FromQuery[str | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[PriceIndexView]:
    """Values of price indexes in the order they were entered, what was put right among them."""
    rows = await facts_store.indexes_after(tx, after_id(cursor), series, limit + 1)
    return page_by_id(convert_all(rows, PriceIndexView), limit)


HANDLERS = [
    enter_meter_readings,
    list_meter_readings,
    enter_outages,
    list_outages,
    enter_site_tenancies,
    list_site_tenancies,
    enter_price_indexes,
    list_price_indexes,
]
