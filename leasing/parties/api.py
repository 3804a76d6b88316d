"""Parties over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.http.edge import EVERYONE, PARTNERS, RECYCLERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.parties import contacts, roles, service, store
from schemas.common import PRINTABLE
from schemas.parties import (
    ContactCreate,
    ContactPatch,
    ContactPurpose,
    ContactView,
    PartyCreate,
    PartyKind,
    PartyPatch,
    PartyTreeView,
    PartyView,
    QualificationCreate,
    QualificationView,
    QualificationWithdraw,
    RoleCreate,
    RoleEnd,
    RoleView,
)

CreditCode = Annotated[str | None, QueryParameter(max_length=18, pattern=PRINTABLE)]
PartOfName = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=200,
        pattern=PRINTABLE,
        description="A part of the name, the short or the English one; capitals do not matter.",
    ),
]


@post("/parties", responses=when_posting())
async def create_party(tx: Tx, caller: By, now: Now, data: JSONBody[PartyCreate]) -> PartyView:
    """Enter a legal person."""
    return await service.create(tx, data, by=str(caller), now=now)


@get("/parties", opt={"access": EVERYONE}, responses=when_reading())
async def list_parties(
    tx: Tx,
    kind: FromQuery[PartyKind | None] = None,
    parent_id: FromQuery[UUID | None] = None,
    credit_code: CreditCode = None,
    name: PartOfName = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PartyView]:
    """Parties in the order they were entered. An outsider sees itself and the lessor."""
    rows = await store.after(tx, after_id(cursor), kind, parent_id, credit_code, name, limit + 1)
    return page_by_id(convert_all(rows, PartyView), limit)


@get(
    "/parties/{party_id:uuid}",
    opt={"access": EVERYONE, "one_statement": True},
    responses=when_reading(404),
)
async def get_party(tx: Tx, party_id: FromPath[UUID]) -> Response[PartyView]:
    """One party, with its version as ETag."""
    party = await service.get(tx, party_id)
    return Response(party, headers={"etag": etag(party.version)})


@patch("/parties/{party_id:uuid}", responses=when_editing(404, 409))
async def change_party(
    tx: Tx,
    caller: By,
    now: Now,
    party_id: FromPath[UUID],
    data: JSONBody[PartyPatch],
    if_match: IfMatch = None,
) -> Response[PartyView]:
    """Change a party, move it in its group, or choose who gets its invoices."""
    expected = expected_version(if_match)
    party = await service.change(tx, party_id, data, expected, by=str(caller), now=now)
    return Response(party, headers={"etag": etag(party.version)})


@get("/parties/{party_id:uuid}/tree", responses=when_reading(404))
async def get_party_tree(tx: Tx, party_id: FromPath[UUID]) -> PartyTreeView:
    """A party's group: the parties above it, and up to 1,000 below it, level by level."""
    return await service.tree(tx, party_id)


@get("/parties/{party_id:uuid}/roles", opt={"access": PARTNERS}, responses=when_reading(404))
async def list_roles(
    tx: Tx,
    party_id: FromPath[UUID],
    as_of: FromQuery[date | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RoleView]:
    """The roles a party ever played, or with `as_of` those it plays on a day."""
    await service.get(tx, party_id)
    rows = await store.roles(tx, party_id, after_id(cursor), as_of, limit + 1)
    return page_by_id(convert_all(rows, RoleView), limit)


@post("/parties/{party_id:uuid}/roles", responses=when_posting(404))
async def add_role(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[RoleCreate]
) -> RoleView:
    """Have a party play a role from a day on."""
    return await roles.add(tx, party_id, data, by=str(caller), now=now)


@post(
    "/parties/{party_id:uuid}/roles/{role_id:uuid}/end",
    status_code=200,
    responses=when_posting(404),
)
async def end_role(
    tx: Tx,
    caller: By,
    now: Now,
    party_id: FromPath[UUID],
    role_id: FromPath[UUID],
    data: JSONBody[RoleEnd],
) -> RoleView:
    """End a role on a day, which may be one to come."""
    return await roles.end(tx, party_id, role_id, data, by=str(caller), now=now)


@get("/parties/{party_id:uuid}/contacts", opt={"access": PARTNERS}, responses=when_reading(404))
async def list_contacts(
    tx: Tx,
    party_id: FromPath[UUID],
    purpose: FromQuery[ContactPurpose | None] = None,
    removed: FromQuery[bool] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ContactView]:
    """Whom to call at a party; with `removed` also those who were taken off the list. An
    outsider sees its own."""
    await service.get(tx, party_id)
    rows = await store.contacts(tx, party_id, after_id(cursor), purpose, removed, limit + 1)
    return page_by_id(convert_all(rows, ContactView), limit)


@post("/parties/{party_id:uuid}/contacts", responses=when_posting(404))
async def add_contact(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[ContactCreate]
) -> ContactView:
    """Enter a contact at a party."""
    return await contacts.add(tx, party_id, data, by=str(caller), now=now)


@get("/contacts/{contact_id:uuid}", opt={"access": PARTNERS}, responses=when_reading(404))
async def get_contact(tx: Tx, contact_id: FromPath[UUID]) -> Response[ContactView]:
    """One contact, with its version as ETag."""
    contact = await contacts.get(tx, contact_id)
    return Response(contact, headers={"etag": etag(contact.version)})


@patch("/contacts/{contact_id:uuid}", responses=when_editing(404, 409))
async def change_contact(
    tx: Tx,
    caller: By,
    now: Now,
    contact_id: FromPath[UUID],
    data: JSONBody[ContactPatch],
    if_match: IfMatch = None,
) -> Response[ContactView]:
    """Change a contact."""
    expected = expected_version(if_match)
    contact = await contacts.change(tx, contact_id, data, expected, by=str(caller), now=now)
    return Response(contact, headers={"etag": etag(contact.version)})


@post("/contacts/{contact_id:uuid}/removal", status_code=200, responses=when_posting(404))
async def remove_contact(tx: Tx, caller: By, now: Now, contact_id: FromPath[UUID]) -> ContactView:
    """Take a contact off the list; it stays on record."""
    return await contacts.remove(tx, contact_id, by=str(caller), now=now)


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
    change_party,
    get_party_tree,
    list_roles,
    add_role,
    end_role,
    list_contacts,
    add_contact,
    get_contact,
    change_contact,
    remove_contact,
    list_qualifications,
    add_qualification,
    withdraw_qualification,
]
