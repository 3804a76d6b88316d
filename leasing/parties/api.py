"""Parties over HTTP."""

from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.http.edge import EVERYONE, RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.parties import service, store
from schemas.parties import (
    PartyCreate,
    PartyKind,
    PartyView,
    QualificationCreate,
    QualificationView,
    QualificationWithdraw,
)


@post("/parties", responses=when_posting())
async def create_party(tx: Tx, caller: By, now: Now, data: JSONBody[PartyCreate]) -> PartyView:
    """Enter a legal person."""
    return await service.create(tx, data, by=str(caller), now=now)


@get("/parties", opt={"access": EVERYONE}, responses=when_reading())
async def list_parties(
    tx: Tx, kind: FromQuery[PartyKind | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[PartyView]:
    """Parties in the order they were entered. An outsider sees itself and the lessor."""
    rows = await store.after(tx, after_id(cursor), kind, limit + 1)
    return page_by_id(convert_all(rows, PartyView), limit)


@get(
    "/parties/{party_id:uuid}",
    opt={"access": EVERYONE, "one_statement": True},
    responses=when_reading(404),
)
async def get_party(tx: Tx, party_id: FromPath[UUID]) -> PartyView:
    """One party."""
    return await service.get(tx, party_id)


@get(
    "/parties/{party_id:uuid}/qualifications",
    opt={"access": RECYCLERS},
    responses=when_reading(404),
)
async def list_qualifications(tx: Tx, party_id: FromPath[UUID]) -> list[QualificationView]:
    """Everything a recycler was ever qualified for, withdrawn evidence included."""
    await service.get(tx, party_id)
    return await service.qualifications(tx, party_id)


@post("/parties/{party_id:uuid}/qualifications", responses=when_posting(404))
async def add_qualification(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[QualificationCreate]
) -> list[QualificationView]:
    """Record evidence of qualification."""
    return await service.qualify(tx, party_id, data, by=str(caller), now=now)


@post("/parties/{party_id:uuid}/withdrawals", responses=when_posting(404))
async def withdraw_qualification(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[QualificationWithdraw]
) -> list[QualificationView]:
    """End a qualification from a day on."""
    return await service.withdraw(tx, party_id, data, by=str(caller), now=now)


HANDLERS = [
    create_party,
    list_parties,
    get_party,
    list_qualifications,
    add_qualification,
    withdraw_qualification,
]
