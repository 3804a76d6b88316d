"""Lease lines over HTTP: what happens to the packs in them."""

from datetime import date
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.contracts import handovers, incidents, lines, moves, service, stays
from leasing.contracts.api import OnDay, versioned
from leasing.contracts.model import NoSuchLine
from leasing.db.pool import Connection
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from schemas.contracts import (
    AcceptanceCreate,
    BuyOutCreate,
    BuyOutView,
    ContractView,
    FoundCreate,
    IncidentCreate,
    IncidentView,
    LineRevisionView,
    LineView,
    LossCreate,
    PlacementView,
    RelocationCreate,
    RemovalCreate,
    ResumptionCreate,
    ReturnCreate,
    SuspensionCreate,
    SwapCreate,
)


async def line_on(tx: Connection, line_id: UUID, on: date) -> LineView:
    row = await lines.get(tx, line_id, on)
    if row is None:
        raise NoSuchLine
    return convert(row, LineView)


@get("/lines", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_lines(
    tx: Tx,
    now: Now,
    contract_id: FromQuery[UUID | None] = None,
    site_id: FromQuery[UUID | None] = None,
    on: OnDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[LineView]:
    """Lease lines as they are on a day, each with the pack that stands there then."""
    day = on or civil_date(now)
    rows = await lines.after(tx, after_id(cursor), day, contract_id, site_id, limit + 1)
    return page_by_id(convert_all(rows, LineView), limit)


@get("/lines/{line_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_line(tx: Tx, now: Now, line_id: FromPath[UUID], on: OnDay = None) -> LineView:
    """One line as it is on a day."""
    return await line_on(tx, line_id, on or civil_date(now))


@get("/lines/{line_id:uuid}/revisions", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_line_revisions(tx: Tx, now: Now, line_id: FromPath[UUID]) -> list[LineRevisionView]:
    """Position and rent of every day, in order of time."""
    await line_on(tx, line_id, civil_date(now))
    return convert_all(await lines.revision_rows(tx, [line_id]), LineRevisionView)


@get("/lines/{line_id:uuid}/placements", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_line_placements(tx: Tx, now: Now, line_id: FromPath[UUID]) -> list[PlacementView]:
    """The packs that stood in a line, in order of time."""
    await line_on(tx, line_id, civil_date(now))
    return convert_all(await stays.of_line(tx, line_id), PlacementView)


@post("/lines/{line_id:uuid}/acceptances", responses=when_posting(404))
async def accept_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[AcceptanceCreate]
) -> PlacementView:
    """Hand a pack over, with the joint test that both sides signed. The first one starts the
    rent."""
    return await handovers.accept(tx, line_id, data, by=str(caller), now=now)


@post("/lines/{line_id:uuid}/swaps", responses=when_posting(404))
async def swap_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[SwapCreate]
) -> PlacementView:
    """Take the present pack out and hand another over, on one day."""
    return await handovers.swap(tx, line_id, data, by=str(caller), now=now)


@post("/lines/{line_id:uuid}/relocations", responses=when_posting(404))
async def relocate_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[RelocationCreate]
) -> LineView:
    """The position, and the pack in it, stand elsewhere from a day on."""
    await moves.relocate(tx, line_id, data, by=str(caller), now=now)
    return await line_on(tx, line_id, data.moved_on)


@post("/lines/{line_id:uuid}/suspension", status_code=200, responses=when_posting(404))
async def suspend_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[SuspensionCreate]
) -> LineView:
    """No rent from a day on."""
    await moves.suspend(tx, line_id, data.from_on, data.reason, by=str(caller), now=now)
    return await line_on(tx, line_id, data.from_on)


@post("/lines/{line_id:uuid}/resumption", status_code=200, responses=when_posting(404))
async def resume_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[ResumptionCreate]
) -> LineView:
    """Rent again from a day on."""
    await moves.resume(tx, line_id, data.from_on, by=str(caller), now=now)
    return await line_on(tx, line_id, data.from_on)


@post("/lines/{line_id:uuid}/incidents", responses=when_posting(404))
async def report_incident(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[IncidentCreate]
) -> IncidentView:
    """A pack is missing, stolen or damaged. One that is gone costs no rent from that day on."""
    return await moves.report(tx, line_id, data, by=str(caller), now=now)


@get("/incidents", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_incidents(
    tx: Tx, line_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[IncidentView]:
    """What befell packs on lease."""
    rows = await incidents.after(tx, after_id(cursor), line_id, limit + 1)
    return page_by_id(convert_all(rows, IncidentView), limit)


@post("/incidents/{incident_id:uuid}/found", status_code=200, responses=when_posting(404))
async def find_pack(
    tx: Tx, caller: By, now: Now, incident_id: FromPath[UUID], data: JSONBody[FoundCreate]
) -> IncidentView:
    """A lost pack turned up. It is inspected before it is leased again."""
    return await moves.find(tx, incident_id, data.found_on, by=str(caller), now=now)


@post("/lines/{line_id:uuid}/buy-out", status_code=200, responses=when_posting(404))
async def buy_pack_out(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[BuyOutCreate]
) -> BuyOutView:
    """The lessee buys the pack at the contract's price, and the line ends."""
    fee = await moves.buy_out(tx, line_id, data, by=str(caller), now=now)
    return BuyOutView(line=await line_on(tx, line_id, data.bought_on), fee=fee)


@post("/lines/{line_id:uuid}/returns", responses=when_posting(404))
async def return_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[ReturnCreate]
) -> LineView:
    """End a line: the pack goes back by a joint test, and rent stops."""
    await handovers.return_pack(tx, line_id, data, by=str(caller), now=now)
    return await line_on(tx, line_id, data.returned_on)


@post("/lines/{line_id:uuid}/loss", status_code=200, responses=when_posting(404))
async def end_lost_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[LossCreate]
) -> LineView:
    """End a line whose pack is gone and will not be replaced."""
    await moves.end_lost_line(tx, line_id, data.ended_on, by=str(caller), now=now)
    return await line_on(tx, line_id, data.ended_on)


@post("/lines/{line_id:uuid}/removal", status_code=200, responses=when_posting(404))
async def remove_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[RemovalCreate]
) -> Response[ContractView]:
    """Give up a position that never had a pack. Answers with the contract."""
    return versioned(await service.remove_line(tx, line_id, data.on, by=str(caller), now=now))


HANDLERS = [
    list_lines,
    get_line,
    list_line_revisions,
    list_line_placements,
    accept_pack,
    swap_pack,
    relocate_line,
    suspend_line,
    resume_line,
    report_incident,
    list_incidents,
    find_pack,
    buy_pack_out,
    return_pack,
    end_lost_line,
    remove_line,
]
