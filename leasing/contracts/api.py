"""Contracts over HTTP."""

from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.contracts import duties, service, store
from leasing.contracts.model import NoSuchLine
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert, convert_all
from schemas.contracts import (
    AcceptanceCreate,
    ContractCreate,
    ContractPatch,
    ContractView,
    LineView,
    PlacementView,
    ReturnCreate,
)
from schemas.health import DutyView


def versioned(contract: ContractView) -> Response[ContractView]:
    return Response(contract, headers={"etag": etag(contract.version)})


@post("/contracts", responses=when_posting())
async def create_contract(
    tx: Tx, caller: By, now: Now, data: JSONBody[ContractCreate]
) -> ContractView:
    """Write a draft with its lines."""
    return await service.create(tx, data, by=str(caller), now=now)


@get("/contracts", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_contracts(
    tx: Tx, lessee_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ContractView]:
    """Contracts in the order they were written."""
    rows = await store.after(tx, after_id(cursor), lessee_id, limit + 1)
    return page_by_id(convert_all(rows, ContractView), limit)


@get(
    "/contracts/{contract_id:uuid}",
    opt={"access": CUSTOMERS, "one_statement": True},
    responses=when_reading(404),
)
async def get_contract(tx: Tx, contract_id: FromPath[UUID]) -> Response[ContractView]:
    """One contract, with its version as ETag."""
    return versioned(await service.get(tx, contract_id))


@patch("/contracts/{contract_id:uuid}", responses=when_editing(404, 409))
async def change_contract(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[ContractPatch],
    if_match: IfMatch = None,
) -> Response[ContractView]:
    """Change the terms of a draft."""
    expected = expected_version(if_match)
    return versioned(
        await service.change_draft(tx, contract_id, data, expected, by=str(caller), now=now)
    )


@post("/contracts/{contract_id:uuid}/activation", status_code=200, responses=when_posting(404))
async def activate_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Put a draft into force."""
    return versioned(await service.activate(tx, contract_id, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/end", status_code=200, responses=when_posting(404))
async def end_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """End a contract whose packs have all gone back."""
    return versioned(await service.end(tx, contract_id, by=str(caller), now=now))


@get("/lines", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_lines(
    tx: Tx,
    contract_id: FromQuery[UUID | None] = None,
    site_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[LineView]:
    """Lease lines, each with the pack that stands there now."""
    rows = await store.lines_after(tx, after_id(cursor), contract_id, site_id, limit + 1)
    return page_by_id(convert_all(rows, LineView), limit)


@post("/lines/{line_id:uuid}/acceptances", responses=when_posting(404))
async def accept_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[AcceptanceCreate]
) -> PlacementView:
    """Hand a pack over, with the joint test that both sides signed."""
    return await service.accept(tx, line_id, data, by=str(caller), now=now)


@post("/lines/{line_id:uuid}/swaps", responses=when_posting(404))
async def swap_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[AcceptanceCreate]
) -> PlacementView:
    """Take the present pack out and hand another over, on one day."""
    return await service.swap(tx, line_id, data, by=str(caller), now=now)


@post("/lines/{line_id:uuid}/returns", responses=when_posting(404))
async def return_pack(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[ReturnCreate]
) -> LineView:
    """End a line: the pack goes back, rent stops."""
    await service.return_pack(tx, line_id, data.returned_on, by=str(caller), now=now)
    row = await store.get_line(tx, line_id)
    if row is None:
        raise NoSuchLine
    return convert(row, LineView)


@get("/duties", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_duties(
    tx: Tx,
    open: FromQuery[bool | None] = None,  # noqa: A002 - the name callers would look for
    line_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DutyView]:
    """What the lessor owes under its lines."""
    rows = await duties.after(tx, after_id(cursor), open, line_id, limit + 1)
    return page_by_id(convert_all(rows, DutyView), limit)


HANDLERS = [
    create_contract,
    list_contracts,
    get_contract,
    change_contract,
    activate_contract,
    end_contract,
    list_lines,
    accept_pack,
    swap_pack,
    return_pack,
    list_duties,
]
