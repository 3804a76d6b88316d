"""Utilisation firms behind outlets over HTTP."""

from datetime import date
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.end_of_life import firms, firms_store
from leasing.http.edge import RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.firms import (
    OutletFirmCreate,
    OutletFirmEnd,
    OutletFirmView,
    TreatmentCapacityCreate,
    TreatmentCapacityView,
)


@post("/outlet-firms", responses=when_posting(404))
async def enter_outlet_firm(
    tx: Tx, caller: By, now: Now, data: JSONBody[OutletFirmCreate]
) -> OutletFirmView:
    """A utilisation firm stands behind an outlet on some days: what the outlet collects may end
    there. The outlet's own recycler stands behind it in any case."""
    return await firms.stand_behind(tx, data, by=str(caller), now=now)


@post("/outlet-firms/{link_id:uuid}/end", status_code=200, responses=when_posting(404))
async def end_outlet_firm(
    tx: Tx, caller: By, now: Now, link_id: FromPath[UUID], data: JSONBody[OutletFirmEnd]
) -> OutletFirmView:
    """The firm stands behind the outlet no longer; what is reserved for it stays."""
    return await firms.end(tx, link_id, data, by=str(caller), now=now)


@get("/outlet-firms", opt={"access": RECYCLERS}, responses=when_reading())
async def list_outlet_firms(
    tx: Tx,
    outlet_id: FromQuery[UUID | None] = None,
    recycler_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OutletFirmView]:
    """Firms behind outlets, in the order of entry. A recycler sees where it stands itself."""
    rows = await firms_store.firms_after(tx, after_id(cursor), outlet_id, recycler_id, limit + 1)
    return page_by_id(convert_all(rows, OutletFirmView), limit)


@post("/treatment-capacities", responses=when_posting(404))
async def enter_treatment_capacity(
    tx: Tx, caller: By, now: Now, data: JSONBody[TreatmentCapacityCreate]
) -> TreatmentCapacityView:
    """What a firm's plant treats in some days, say a month, and where it lies. From then on packs
    for the firm are carried on to the plant, and take of this room."""
    return await firms.enter_capacity(tx, data, by=str(caller), now=now)


@get("/treatment-capacities", opt={"access": RECYCLERS}, responses=when_reading())
async def list_treatment_capacities(
    tx: Tx,
    recycler_id: FromQuery[UUID | None] = None,
    on: FromQuery[date | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TreatmentCapacityView]:
    """What plants treat, and how much of it is reserved. A recycler sees its own."""
    rows = await firms_store.capacities_after(tx, after_id(cursor), recycler_id, on, limit + 1)
    return page_by_id(convert_all(rows, TreatmentCapacityView), limit)


HANDLERS = [
    enter_outlet_firm,
    end_outlet_firm,
    list_outlet_firms,
    enter_treatment_capacity,
    list_treatment_capacities,
]
