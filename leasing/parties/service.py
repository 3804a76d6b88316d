"""Parties: who the lessor deals with, how they belong together, and who gets the invoices."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, convert_all, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.parties import credit_code, store
from leasing.parties.model import (
    BadBillingParty,
    BadCreditCode,
    BadParent,
    EmptyValidity,
    NoSuchParty,
    NothingToWithdraw,
)
from schemas.parties import (
    PartyCreate,
    PartyPatch,
    PartyTreeView,
    PartyView,
    QualificationCreate,
    QualificationView,
    QualificationWithdraw,
    TreeNode,
)

MAX_DESCENDANTS = 1_000
"""What one answer holds: a country has some 31 provincial and 340 city companies."""
MAX_LEVELS = 8
"""How many parties a way from the top of a group to its bottom can have; the database's limit."""


async def create(tx: Connection, data: PartyCreate, *, by: str, now: datetime) -> PartyView:
    """Enter a party. Raises `BadCreditCode` when a check character of its code is wrong."""
    refuse_bad_code(data.credit_code)
    if data.parent_id is not None or data.billing_party_id is not None:
        await store.lock_tree(tx)
    party_id = await store.create(tx, data, now)
    await refuse_stray_invoices(tx, party_id, now)
    facts: dict[str, object] = {"kind": data.kind, "name": data.name}
    if data.parent_id is not None:
        facts["parent_id"] = data.parent_id
    created = Event("party", party_id, "party.created", facts)
    await events.append(tx, [created], actor=by, now=now)
    return await get(tx, party_id)


def refuse_bad_code(code: str | None) -> None:
    if code is None:
        return
    try:
        credit_code.validate(code)
    except credit_code.CreditCodeError as error:
        fault = FieldError("/credit_code", "bad_credit_code", str(error))
        raise BadCreditCode(str(error), fields=[fault]) from error


async def get(tx: Connection, party_id: UUID) -> PartyView:
    row = await store.get(tx, party_id)
    if row is None:
        raise NoSuchParty
    return convert(row, PartyView)


async def lock(tx: Connection, party_id: UUID) -> Record:
    """Lock a party's row, so that what happens to it happens in sequence. Raises
    `NoSuchParty`."""
    row = await store.lock(tx, party_id)
    if row is None:
        raise NoSuchParty
    return row


async def change(
    tx: Connection, party_id: UUID, data: PartyPatch, expected: int, *, by: str, now: datetime
) -> PartyView:
    """Change what was given. A party that is moved takes all below it along; invoices that are
    final stay as they are, whoever gets the next."""
    changes = given(data)
    refuse_bad_code(changes.get("credit_code"))
    if changes.keys() & {"parent_id", "billing_party_id"}:
        await store.lock_tree(tx)
    row = await lock(tx, party_id)
    refuse_unless_current(row["version"], expected, row, changes)
    await refuse_circle(tx, party_id, changes)
    await store.update(tx, party_id, {**row, **changes})
    await refuse_stray_invoices(tx, party_id, now)
    changed = Event("party", party_id, "party.changed", changes)
    await events.append(tx, [changed], actor=by, now=now)
    return await get(tx, party_id)


async def refuse_circle(tx: Connection, party_id: UUID, changes: Mapping[str, UUID | None]) -> None:
    """Raise `BadParent` when the new parent is the party itself or below it. The database would
    refuse it too, in words of its own."""
    parent_id = changes.get("parent_id")
    if parent_id is not None and await store.is_within(tx, parent_id, party_id):
        fault = FieldError("/parent_id", "below_the_party", "is the party itself, or below it")
        raise BadParent(fields=[fault])


async def refuse_stray_invoices(tx: Connection, party_id: UUID, now: datetime) -> None:
    """Raise `BadBillingParty` when the party, or after a move one below it, has its invoices
    sent to a stranger.

    Goods, invoice and money should take one way: a buyer's tax authority asks for that. Inside a
    group the party above may pay for those below it; beyond it only who is on record as a payer,
    with no end in sight, so that no invoice goes astray on the day a role runs out.
    """
    found = await store.stray(tx, party_id, civil_date(now))
    if found is None:
        return
    reason = "is neither the party itself, nor above it, nor a payer from today on without end"
    if found["id"] == party_id:
        fault = FieldError("/billing_party_id", "bad_billing_party", reason)
        raise BadBillingParty(f"the billing party {reason}", fields=[fault])
    raise BadBillingParty(
        f"the billing party that {found['name']} chose would no longer be above it, "
        "and is no payer",
        party_id=found["id"],
    )


async def tree(tx: Connection, party_id: UUID) -> PartyTreeView:
    """A party's place in its group: the way up to the top, and all below it."""
    party = await get(tx, party_id)
    limit = MAX_LEVELS + MAX_DESCENDANTS + 1  # one more tells that there are more
    nodes = convert_all(await store.tree(tx, party_id, limit), TreeNode)
    at = next(index for index, node in enumerate(nodes) if node.id == party.id)
    below = nodes[at + 1 :]
    return PartyTreeView(
        ancestors=nodes[:at],
        party=nodes[at],
        descendants=below[:MAX_DESCENDANTS],
        is_complete=len(below) <= MAX_DESCENDANTS,
    )


async def billing_party(tx: Connection, party_id: UUID) -> UUID:
    """Who gets a party's invoices: the nearest choice on the way up the group, or the party
    itself. For the lessor, who sees the whole way. Raises `NoSuchParty`."""
    found = await store.billing_party(tx, party_id)
    if found is None:
        raise NoSuchParty
    return found


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
