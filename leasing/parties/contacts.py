"""The people one can call or write to at a party.

Events of theirs say what was done and to which fields, never a name or a number: events are kept
for good, and a person may ask for what is known of them to be deleted (个人信息保护法).
"""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, given
from leasing.kit.versions import refuse_unless_current
from leasing.parties import phone, service, store
from leasing.parties.model import BadPhone, ContactRemoved, NoSuchContact, Unreachable
from schemas.parties import ContactCreate, ContactPatch, ContactView

Data = TypeVar("Data", ContactCreate, ContactPatch)


async def add(
    tx: Connection, party_id: UUID, data: ContactCreate, *, by: str, now: datetime
) -> ContactView:
    """Enter a contact. Raises `BadPhone`, and `Unreachable` without number and address."""
    data = with_phone_normalised(data)
    refuse_unreachable(data.phone, data.email)
    await service.get(tx, party_id)
    contact = convert(await store.add_contact(tx, party_id, data, now), ContactView)
    await tell(tx, contact, "contact.added", {"purpose": contact.purpose}, by, now)
    return contact


async def get(tx: Connection, contact_id: UUID) -> ContactView:
    row = await store.contact(tx, contact_id)
    if row is None:
        raise NoSuchContact
    return convert(row, ContactView)


async def change(
    tx: Connection, contact_id: UUID, data: ContactPatch, expected: int, *, by: str, now: datetime
) -> ContactView:
    """Change what was given. Raises `VersionChanged` when another editor was first."""
    changes = given(with_phone_normalised(data))
    row = await lock(tx, contact_id)
    refuse_unless_current(row["version"], expected, row, changes)
    values = {**row, **changes}
    refuse_unreachable(values["phone"], values["email"])
    contact = convert(await store.update_contact(tx, contact_id, values), ContactView)
    await tell(tx, contact, "contact.changed", {"fields": sorted(changes)}, by, now)
    return contact


async def remove(tx: Connection, contact_id: UUID, *, by: str, now: datetime) -> ContactView:
    """Take a contact off the list. The row stays, so that one can tell whom one wrote to."""
    row = await lock(tx, contact_id)
    values = {**row, "removed_at": now}
    contact = convert(await store.update_contact(tx, contact_id, values), ContactView)
    await tell(tx, contact, "contact.removed", {}, by, now)
    return contact


async def lock(tx: Connection, contact_id: UUID) -> Record:
    """Lock a contact that is still on the list."""
    row = await store.lock_contact(tx, contact_id)
    if row is None:
        raise NoSuchContact
    if row["removed_at"] is not None:
        raise ContactRemoved(f"it was removed at {row['removed_at'].isoformat()}")
    return row


def with_phone_normalised(data: Data) -> Data:
    if not isinstance(data.phone, str):
        return data
    try:
        return msgspec.structs.replace(data, phone=phone.normalised(data.phone))
    except phone.PhoneError as error:
        fault = FieldError("/phone", "bad_phone", str(error))
        raise BadPhone(str(error), fields=[fault]) from error


def refuse_unreachable(number: str | None, email: str | None) -> None:
    if number is None and email is None:
        raise Unreachable


async def tell(
    tx: Connection,
    contact: ContactView,
    kind: str,
    facts: dict[str, object],
    by: str,
    now: datetime,
) -> None:
    event = Event("contact", contact.id, kind, {"party_id": contact.party_id, **facts})
    await events.append(tx, [event], actor=by, now=now)
