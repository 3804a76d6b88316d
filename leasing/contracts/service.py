"""Contracts: from draft to end, and what is agreed anew on the way."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.contracts import lines, rules, store
from leasing.contracts.model import (
    CONSTRAINTS,
    IN_FORCE,
    Contract,
    ContractRevision,
    IllegalTransition,
    LineEnded,
    LineRevision,
    LineStarted,
    NoLines,
    NoSuchContract,
    NoSuchLine,
    NothingChanges,
    OutsideTerm,
    Terms,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, refusal
from leasing.kit.errors import DomainError
from leasing.kit.rows import convert, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from schemas.contracts import (
    ContractCreate,
    ContractPatch,
    ContractState,
    ContractView,
    LineCreate,
    LinesCreate,
    Signature,
)

PERCENTS = ("vat_percent", "guarantee_percent", "availability_percent")

# Drafts


async def create(tx: Connection, data: ContractCreate, *, by: str, now: datetime) -> ContractView:
    """Write a draft. Raises `BadTerms` and `ForbiddenUse` for terms that cannot be agreed."""
    rules.refuse_backwards_term(data.starts_on, data.ends_on)
    rules.refuse_bad_zone(data.time_zone)
    terms = store.terms_of(data)
    rules.refuse_bad_terms(terms)
    contract_id = await store.insert(
        tx,
        number=data.number,
        lessor_id=data.lessor_id,
        lessee_id=data.lessee_id,
        currency=data.currency,
        time_zone=data.time_zone,
        now=now,
    )
    first = ContractRevision(1, data.starts_on, None, terms, "agreed", by, now)
    await store.write_revisions(tx, contract_id, [first])
    await store.add_term(tx, contract_id, data.starts_on, data.ends_on, "agreed", by=by, now=now)
    wanted = [(data.starts_on, line) for line in rules.positions(data.lines)]
    await insert_lines(tx, contract_id, data.lessee_id, wanted, by=by, now=now)
    facts: dict[str, object] = {"number": data.number, "lines": len(wanted)}
    await tell(tx, contract_id, "contract.drafted", facts, by=by, now=now)
    return await get(tx, contract_id, civil_date(now))


async def insert_lines(
    tx: Connection,
    contract_id: UUID,
    lessee_id: UUID,
    wanted: Sequence[tuple[date, LineCreate]],
    *,
    by: str,
    now: datetime,
) -> list[UUID]:
    """Positions, each from a day on and for one pack; their ids are in the same order."""
    named = [(from_on, line.pack_id) for from_on, line in wanted]
    ids = await lines.insert(tx, contract_id, lessee_id, named)
    first = [
        LineRevision(
            line_id=line_id,
            number=1,
            from_on=from_on,
            to_on=None,
            contract_id=contract_id,
            lessee_id=lessee_id,
            site_id=line.site_id,
            slot=line.slot,
            rated_capacity_mah=line.rated_capacity_mah,
            base_rent_amount=line.rent_amount,
            base_from_on=from_on,
            rent_amount=line.rent_amount,
            suspended=False,
            cause="agreed",
            entered_by=by,
            entered_at=now,
            price_plan_version_id=line.price_plan_version_id,
        )
        for line_id, (from_on, line) in zip(ids, wanted, strict=True)
    ]
    await lines.write_revisions(tx, first)
    return ids


async def get(tx: Connection, contract_id: UUID, on: date) -> ContractView:
    """A contract with the terms of a day."""
    row = await store.get(tx, contract_id, on)
    if row is None:
        raise NoSuchContract
    return convert(row, ContractView)


async def change_draft(
    tx: Connection, contract_id: UUID, data: ContractPatch, expected: int, *, by: str, now: datetime
) -> ContractView:
    """Change a draft. Raises `VersionChanged` when another editor was first."""
    contract = await lock(tx, contract_id)
    (drafted,) = (await store.revisions(tx, contract_id))[-1:]
    changes = typed(given(data))
    present = {
        "starts_on": contract.starts_on,
        "ends_on": contract.ends_on,
        **msgspec.structs.asdict(drafted.terms),
    }
    refuse_unless_current(contract.version, expected, present, changes)
    if contract.state is not ContractState.DRAFT:
        raise IllegalTransition(f"terms are changed in a draft, this contract is {contract.state}")
    assert contract.ends_on is not None
    starts_on = changes.pop("starts_on", contract.starts_on)
    ends_on = changes.pop("ends_on", contract.ends_on)
    rules.refuse_backwards_term(starts_on, ends_on)
    terms = replace(drafted.terms, **changes)
    rules.refuse_bad_terms(terms)
    await store.write_revisions(tx, contract_id, [replace(drafted, from_on=starts_on, terms=terms)])
    if (starts_on, ends_on) != (contract.starts_on, contract.ends_on):
        await store.set_draft_term(tx, contract_id, starts_on, ends_on)
        await lines.set_draft_start(tx, contract_id, starts_on)
    await store.touch(tx, contract_id)
    await tell(tx, contract_id, "contract.changed", given(data), by=by, now=now)
    return await get(tx, contract_id, civil_date(now))


def typed(changes: dict[str, Any]) -> dict[str, Any]:
    """Percentages as numbers."""
    return {
        name: Decimal(value) if name in PERCENTS and value is not None else value
        for name, value in changes.items()
    }


async def add_lines(
    tx: Connection, contract_id: UUID, data: LinesCreate, *, by: str, now: datetime
) -> list[UUID]:
    """Add positions to a draft or to a contract in force, all or none."""
    contract = await lock(tx, contract_id)
    refuse_unless_extensible(contract)
    refuse_outside_term(contract, data.from_on)
    wanted = [(data.from_on, line) for line in rules.positions(data.lines)]
    ids = await insert_lines(tx, contract_id, contract.lessee_id, wanted, by=by, now=now)
    await tell_added(tx, contract_id, wanted, by=by, now=now)
    return ids


async def add_each_line(
    tx: Connection,
    contract_id: UUID,
    wanted: Sequence[tuple[date, LineCreate]],
    *,
    by: str,
    now: datetime,
) -> list[UUID | DomainError]:
    """Add positions, each from its own day on. Returns for each its line, or why it is refused."""
    contract = await lock(tx, contract_id)
    refuse_unless_extensible(contract)

    async def together(part: Sequence[tuple[date, LineCreate]]) -> list[UUID | DomainError]:
        refused = [refusal(partial(refuse_outside_term, contract, on)) for on, _ in part]
        good = [one for one, no in zip(part, refused, strict=True) if no is None]
        ids = iter(await insert_lines(tx, contract_id, contract.lessee_id, good, by=by, now=now))
        return [no or next(ids) for no in refused]

    outcomes = await each(tx, wanted, CONSTRAINTS, together)
    added = [
        one for one, made in zip(wanted, outcomes, strict=True) if not isinstance(made, DomainError)
    ]
    await tell_added(tx, contract_id, added, by=by, now=now)
    return outcomes


def refuse_unless_extensible(contract: Contract) -> None:
    if contract.state not in IN_FORCE | {ContractState.DRAFT}:
        raise IllegalTransition(f"no position is added to a contract that is {contract.state}")


async def tell_added(
    tx: Connection,
    contract_id: UUID,
    added: Sequence[tuple[date, LineCreate]],
    *,
    by: str,
    now: datetime,
) -> None:
    """Positions were added to a contract: how many from which day on."""
    if not added:
        return
    await store.touch(tx, contract_id)
    told = [
        Event("contract", contract_id, "contract.lines_added", {"from_on": on, "lines": count})
        for on, count in sorted(Counter(on for on, _ in added).items())
    ]
    await events.append(tx, told, actor=by, now=now)


def refuse_outside_term(contract: Contract, on: date) -> None:
    if on < contract.starts_on or (contract.ends_on is not None and on >= contract.ends_on):
        raise OutsideTerm(
            f"{on} is not in the term from {contract.starts_on} to before {contract.ends_on}"
        )


async def remove_line(
    tx: Connection, line_id: UUID, on: date, *, by: str, now: datetime
) -> ContractView:
    """Give up a position that never had a pack: a draft loses it, a contract in force keeps it
    until that day."""
    row = await lines.get(tx, line_id, on)
    if row is None:
        raise NoSuchLine
    await lock(tx, row["contract_id"])
    line = (await lines.lock(tx, {line_id: on}))[line_id]
    if line.contract_state not in IN_FORCE | {ContractState.DRAFT}:
        raise IllegalTransition(f"no position of a contract that is {line.contract_state} changes")
    if line.started_on is not None:
        raise LineStarted
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    facts: dict[str, object] = {"line_id": line_id, "on": on}
    if line.contract_state is ContractState.DRAFT:
        await lines.delete(tx, [line_id])
    elif on <= line.from_on:
        raise OutsideTerm(f"the position is agreed from {line.from_on} on; give it up after that")
    else:
        history = (await lines.revisions(tx, [line_id]))[line_id]
        await lines.write_revisions(tx, [rules.close(history, on)])
        await lines.end(tx, {line_id: on}, "removed")
        removed = Event("line", line_id, "line.removed", facts)
        await events.append(tx, [removed], actor=by, now=now)
    await store.touch(tx, line.contract_id)
    await tell(tx, line.contract_id, "contract.line_removed", facts, by=by, now=now)
    return await get(tx, line.contract_id, civil_date(now))


# From state to state


async def lock(tx: Connection, contract_id: UUID) -> Contract:
    """Lock a contract for the rest of the transaction. Raises `NoSuchContract`."""
    contract = await store.lock(tx, contract_id)
    if contract is None:
        raise NoSuchContract
    return contract


async def terms_on(tx: Connection, contract_id: UUID, on: date) -> Terms:
    """The terms of a day; of the first day before it."""
    history = await store.revisions(tx, contract_id)
    return history[rules.index_of(history, max(on, history[0].from_on))].terms


async def tell(
    tx: Connection,
    contract_id: UUID,
    kind: str,
    facts: dict[str, object],
    *,
    by: str,
    now: datetime,
) -> None:
    await events.append(tx, [Event("contract", contract_id, kind, facts)], actor=by, now=now)


async def move(
    tx: Connection,
    contract: Contract,
    to: ContractState,
    facts: dict[str, object],
    *,
    kind: str | None = None,
    by: str,
    now: datetime,
    **more: Any,
) -> ContractView:
    """Take a locked contract to its next state. Raises `IllegalTransition`."""
    rules.refuse_unless_next(contract.state, to)
    await store.set_state(tx, contract.id, to, now, **more)
    await tell(tx, contract.id, kind or f"contract.{to}", facts, by=by, now=now)
    return await get(tx, contract.id, civil_date(now))


async def offer(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """Offer a draft to the lessee; it is not changed any more. Raises `NoLines`."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_next(contract.state, ContractState.OFFERED)
    if (await lines.count(tx, contract_id)).open == 0:
        raise NoLines
    return await move(tx, contract, ContractState.OFFERED, {}, by=by, now=now)


async def withdraw_offer(
    tx: Connection, contract_id: UUID, *, by: str, now: datetime
) -> ContractView:
    """Take an offer back to change it."""
    contract = await lock(tx, contract_id)
    kind = "contract.offer_withdrawn"
    return await move(tx, contract, ContractState.DRAFT, {}, kind=kind, by=by, now=now)


async def sign(
    tx: Connection, contract_id: UUID, data: Signature, *, by: str, now: datetime
) -> ContractView:
    """Both sides signed what was offered."""
    contract = await lock(tx, contract_id)
    facts = msgspec.structs.asdict(data)
    return await move(tx, contract, ContractState.SIGNED, facts, signed=data, by=by, now=now)


async def activate(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """Put a signed contract into force: from now on packs may be handed over under it."""
    contract = await lock(tx, contract_id)
    if contract.state is not ContractState.SIGNED:
        rules.refuse_unless_next(contract.state, ContractState.SIGNED)
        raise IllegalTransition(f"a contract that is {contract.state} was not signed")
    return await move(tx, contract, ContractState.ACTIVE, {}, by=by, now=now)


async def cancel(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """Give up a contract that never came into force."""
    contract = await lock(tx, contract_id)
    return await move(tx, contract, ContractState.CANCELLED, {}, by=by, now=now)


async def suspend(
    tx: Connection, contract_id: UUID, on: date, reason: str, *, by: str, now: datetime
) -> ContractView:
    """No rent for any line from a day on. The term is not extended."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_next(contract.state, ContractState.SUSPENDED)
    await revise_lines(
        tx, contract_id, on, {"suspended": True}, "suspended", reason=reason, by=by, now=now
    )
    facts: dict[str, object] = {"from_on": on, "reason": reason}
    return await move(tx, contract, ContractState.SUSPENDED, facts, by=by, now=now)


async def resume(
    tx: Connection, contract_id: UUID, on: date, *, by: str, now: datetime
) -> ContractView:
    """Rent again for every line from a day on."""
    contract = await lock(tx, contract_id)
    if contract.state is not ContractState.SUSPENDED:
        raise IllegalTransition(f"a contract that is {contract.state} is not resumed")
    await revise_lines(tx, contract_id, on, {"suspended": False}, "resumed", by=by, now=now)
    facts: dict[str, object] = {"from_on": on}
    kind = "contract.resumed"
    return await move(tx, contract, ContractState.ACTIVE, facts, kind=kind, by=by, now=now)


async def revise_lines(
    tx: Connection,
    contract_id: UUID,
    on: date,
    changes: dict[str, Any],
    cause: str,
    *,
    reason: str | None = None,
    by: str,
    now: datetime,
) -> list[UUID]:
    """Change the positions of all lines of a contract that have not ended. Lines that are like
    this already, or begin later, are changed from when they begin."""
    open_lines = await lines.lock_open(tx, contract_id)
    revised, touched = [], []
    for line_id, history in (await lines.revisions(tx, open_lines)).items():
        from_on = max(on, history[0].from_on)
        try:
            revised += rules.revise(history, from_on, changes, cause=cause, by=by, now=now)
        except NothingChanges:
            continue
        touched.append(line_id)
    await lines.write_revisions(tx, revised)
    facts: dict[str, object] = {"on": on} if reason is None else {"on": on, "reason": reason}
    told = [Event("line", line_id, f"line.{cause}", facts) for line_id in touched]
    await events.append(tx, told, actor=by, now=now)
    return touched
