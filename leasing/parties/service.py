"""Parties: who the lessor deals with, and whether a recycler is qualified (有进有出)."""

from datetime import datetime
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from leasing.kit.rows import convert, convert_all
from leasing.parties import credit_code, store
from schemas.parties import (
    PartyCreate,
    PartyView,
    QualificationCreate,
    QualificationView,
    QualificationWithdraw,
)


class NoSuchParty(NotFound):
    code = "party_not_found"
    title = "There is no such party"


class BadCreditCode(Invalid):
    code = "bad_credit_code"
    title = "The unified social credit code is not valid"


class CreditCodeTaken(Conflict):
    code = "credit_code_taken"
    title = "Another party has this unified social credit code"


class SecondLessor(Conflict):
    code = "lessor_exists"
    title = "One deployment serves one lessor"


class NotARecycler(Conflict):
    code = "not_a_recycler"
    title = "Only a recycler is qualified"


class QualificationOverlaps(Conflict):
    code = "qualification_overlaps"
    title = "The recycler holds this qualification in that time already"


class EmptyValidity(Invalid):
    code = "empty_validity"
    title = "A qualification is valid for at least one day"


class NothingToWithdraw(Conflict):
    code = "qualification_not_valid"
    title = "The recycler did not hold this qualification before that day"


CONSTRAINTS = {
    "party_credit_code_once": CreditCodeTaken,
    "party_one_lessor": SecondLessor,
    "qualification_of_a_recycler": NotARecycler,
    "qualification_one_at_a_time": QualificationOverlaps,
}


async def create(tx: Connection, data: PartyCreate, *, by: str, now: datetime) -> PartyView:
    """Enter a party. Raises `BadCreditCode` when the code's check character is wrong."""
    if data.credit_code is not None:
        try:
            credit_code.validate(data.credit_code)
        except credit_code.CreditCodeError as error:
            fault = FieldError("/credit_code", "bad_credit_code", str(error))
            raise BadCreditCode(str(error), fields=[fault]) from error
    party = convert(await store.create(tx, data, now), PartyView)
    created = Event("party", party.id, "party.created", {"kind": party.kind, "name": party.name})
    await events.append(tx, [created], actor=by, now=now)
    return party


async def get(tx: Connection, party_id: UUID) -> PartyView:
    row = await store.get(tx, party_id)
    if row is None:
        raise NoSuchParty
    return convert(row, PartyView)


async def lock(tx: Connection, party_id: UUID) -> None:
    """Lock a party's row, so that what happens to it happens in sequence. Raises
    `NoSuchParty`."""
    if not await store.lock(tx, party_id):
        raise NoSuchParty


async def qualify(
    tx: Connection, party_id: UUID, data: QualificationCreate, *, by: str, now: datetime
) -> list[QualificationView]:
    """Record evidence that a recycler is qualified for a time."""
    await lock(tx, party_id)
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise EmptyValidity(fields=[fault])
    await store.qualify(tx, party_id, data)
    facts: dict[str, object] = {"kind": data.kind, "from": data.valid_from, "to": data.valid_to}
    changed = Event("party", party_id, "qualification.gained", facts)
    await events.append(tx, [changed], actor=by, now=now)
    return await qualifications(tx, party_id)


async def withdraw(
    tx: Connection, party_id: UUID, data: QualificationWithdraw, *, by: str, now: datetime
) -> list[QualificationView]:
    """End a qualification from a day on. Raises `NothingToWithdraw` when it did not hold."""
    await lock(tx, party_id)
    if await store.withdraw(tx, party_id, data.kind, data.withdrawn_on, data.document) is None:
        raise NothingToWithdraw(f"no {data.kind} was valid on the day before {data.withdrawn_on}")
    facts: dict[str, object] = {
        "kind": data.kind,
        "on": data.withdrawn_on,
        "document": data.document,
    }
    changed = Event("party", party_id, "qualification.withdrawn", facts)
    await events.append(tx, [changed], actor=by, now=now)
    return await qualifications(tx, party_id)


async def qualifications(tx: Connection, party_id: UUID) -> list[QualificationView]:
    return convert_all(await store.qualifications(tx, party_id), QualificationView)
