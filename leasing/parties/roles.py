"""The roles a party plays beside its kind, each for a time."""

from datetime import datetime
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.parties import service, store
from leasing.parties.model import EmptyValidity, NoSuchRole, PayerStillChosen, RoleEndsOtherwise
from schemas.parties import PartyRole, RoleCreate, RoleEnd, RoleView


async def add(
    tx: Connection, party_id: UUID, data: RoleCreate, *, by: str, now: datetime
) -> RoleView:
    """A party plays a role from a day on. Two rows of one role never overlap."""
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise EmptyValidity(fields=[fault])
    await service.lock(tx, party_id)
    role = convert(await store.add_role(tx, party_id, data, now), RoleView)
    facts: dict[str, object] = {"role": role.role, "from": role.valid_from, "to": role.valid_to}
    await events.append(
        tx, [Event("party", party_id, "party.role_taken", facts)], actor=by, now=now
    )
    return role


async def end(
    tx: Connection, party_id: UUID, role_id: UUID, data: RoleEnd, *, by: str, now: datetime
) -> RoleView:
    """A party plays a role no longer. Raises `PayerStillChosen` while others have their
    invoices sent to it as their payer."""
    await store.lock_tree(tx)
    await service.lock(tx, party_id)
    row = await store.role(tx, role_id, party_id)
    if row is None:
        raise NoSuchRole
    ended = await store.end_role(tx, role_id, data.ended_on)
    if ended is None:
        raise RoleEndsOtherwise(
            f"it is valid from {row['valid_from']} to {row['valid_to'] or 'no end'}"
        )
    if row["role"] == PartyRole.PAYER and row["valid_to"] is None:
        relying = await store.relies_on_payer(tx, party_id)
        if relying is not None:
            raise PayerStillChosen(f"{relying} has its invoices sent to it")
    role = convert(ended, RoleView)
    facts: dict[str, object] = {"role": role.role, "on": data.ended_on}
    await events.append(
        tx, [Event("party", party_id, "party.role_ended", facts)], actor=by, now=now
    )
    return role
