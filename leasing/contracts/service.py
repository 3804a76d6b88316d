"""Contracts: from draft to end, and what is agreed anew on the way."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.contracts import incidents, lines, rules, store, succession
from leasing.contracts.model import (
    CONSTRAINTS,
    IN_FORCE,
    Contract,
    ContractRevision,
    IllegalTransition,
    LineEnded,
    LineRevision,
    LinesOpen,
    LineStarted,
    NoLines,
    NoSuchContract,
    NoSuchLine,
    NotAllowed,
    NothingChanges,
    OutsideTerm,
    SameLessee,
    Terms,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, refusal
from leasing.kit.dates import refuse_future
from leasing.kit.errors import DomainError
from leasing.kit.rows import convert, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.sites import service as sites
from leasing.tariffs import facts_store
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.contracts import (
    AmendmentCreate,
    AmendmentView,
    Change,
    ContractCreate,
    ContractPatch,
    ContractState,
    ContractView,
    EndingReason,
    Escalator,
    IndexEscalator,
    LineCreate,
    LinesCreate,
    NoticeCreate,
    Renewal,
    RenewalCreate,
    Signature,
    TerminationCreate,
    TermsPatch,
    TransferCreate,
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


# How it ends


async def give_notice(
    tx: Connection, contract_id: UUID, data: NoticeCreate, *, by: str, now: datetime
) -> ContractView:
    """One side will not go on. Raises `NoticeTooShort`, `BeforeMinimum`, and `NotAllowed` when
    the term has not run out by that day."""
    contract = await lock(tx, contract_id)
    refuse_future(data.given_on, civil_date(now, contract.time_zone), "given_on")
    terms = await terms_on(tx, contract.id, data.given_on)
    rules.refuse_notice(terms, data.given_on, data.ending_on, contract.starts_on, contract.ends_on)
    return await move(
        tx,
        contract,
        ContractState.ENDING,
        msgspec.structs.asdict(data),
        kind="contract.notice_given",
        ending_on=data.ending_on,
        ending_reason=EndingReason.NOTICE,
        by=by,
        now=now,
    )


async def withdraw_notice(
    tx: Connection, contract_id: UUID, *, by: str, now: datetime
) -> ContractView:
    """Both sides go on after all."""
    contract = await lock(tx, contract_id)
    if contract.state is not ContractState.ENDING:
        raise IllegalTransition(f"no notice was given for a contract that is {contract.state}")
    refuse_terminated(contract)
    kind = "contract.notice_withdrawn"
    return await move(tx, contract, ContractState.ACTIVE, {}, kind=kind, by=by, now=now)


def refuse_terminated(contract: Contract) -> None:
    """Raise `NotAllowed` when a contract was ended early: the price of that is owed."""
    if contract.ending_reason is EndingReason.EARLY_TERMINATION:
        raise NotAllowed("it was ended early, at a price; agree on a new contract instead")


async def terminate(
    tx: Connection, contract_id: UUID, data: TerminationCreate, *, by: str, now: datetime
) -> ContractView:
    """End a contract before its term is over. What that costs is owed on that day, line by line;
    packs go back by their joint tests. Raises `NotAllowed`, `BeforeMinimum`."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_next(contract.state, ContractState.ENDING)
    refuse_outside_term(contract, data.on)
    terms = await terms_on(tx, contract.id, data.on)
    rules.refuse_early_end(terms)
    rules.refuse_before_minimum(terms, data.on, contract.starts_on)
    owed = await early_termination_fees(tx, contract, terms, data.on)
    await incidents.insert_fees(tx, owed, "early_termination", data.on, data.reason, by, now)
    facts: dict[str, object] = {
        "on": data.on,
        "reason": data.reason,
        "fees": sum(amount for _, _, amount in owed),
    }
    return await move(
        tx,
        contract,
        ContractState.ENDING,
        facts,
        kind="contract.terminated_early",
        ending_on=data.on,
        ending_reason=EndingReason.EARLY_TERMINATION,
        by=by,
        now=now,
    )


async def early_termination_fees(
    tx: Connection, contract: Contract, terms: Terms, on: date
) -> list[tuple[UUID, UUID | None, int]]:
    """`(line, None, amount)` for every line that has begun and not ended."""
    open_lines = await lines.lock_open(tx, contract.id)
    found = await lines.lock(tx, dict.fromkeys(open_lines, on))
    fees = rules.early_termination_fees(terms, found.values(), on, contract.ends_on)
    return [(line_id, None, amount) for line_id, amount in fees.items()]


async def terms_on(tx: Connection, contract_id: UUID, on: date) -> Terms:
    """The terms of a day; of the first day before it."""
    history = await store.revisions(tx, contract_id)
    return history[rules.index_of(history, max(on, history[0].from_on))].terms


async def end(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """End a contract on the day the last thing in it ended. Raises `LinesOpen` while packs are
    out."""
    contract = await lock(tx, contract_id)
    if contract.state is not ContractState.ENDING:
        rules.refuse_unless_next(contract.state, ContractState.ENDING)
    count = await lines.count(tx, contract_id)
    if count.with_pack:
        raise LinesOpen(f"{count.with_pack} lines still have a pack", lines=count.with_pack)
    open_lines = await lines.revisions(tx, await lines.lock_open(tx, contract_id))
    history = await store.revisions(tx, contract_id)
    today = civil_date(now, contract.time_zone)
    ended_on = rules.end_of(
        [
            count.last_ended_on,
            count.last_pack_left_on,
            contract.ending_on,
            over_on(contract, today),
        ],
        history,
        open_lines.values(),
        today,
    )
    if ended_on <= contract.starts_on:
        raise OutsideTerm(f"the contract begins on {contract.starts_on}")
    await close_lines(tx, list(open_lines), ended_on)
    await store.end_holdover(tx, contract_id, ended_on)
    if contract.state is not ContractState.ENDING:
        ends_on = (await lock(tx, contract_id)).ends_on
        over = ends_on is not None and ended_on >= ends_on
        reason = EndingReason.EXPIRY if over else EndingReason.AGREEMENT
        await store.set_state(
            tx, contract_id, ContractState.ENDING, now, ending_on=ended_on, ending_reason=reason
        )
    await store.write_revisions(tx, contract_id, [rules.close(history, ended_on)])
    await store.set_state(tx, contract_id, ContractState.ENDED, now, ended_on=ended_on)
    await tell(tx, contract_id, "contract.ended", {"on": ended_on}, by=by, now=now)
    return await get(tx, contract_id, civil_date(now))


def over_on(contract: Contract, today: date) -> date | None:
    """The end of the term, if it is over; None when the contract ends on another day."""
    is_over = contract.ends_on is not None and contract.ends_on <= today
    return contract.ends_on if is_over and contract.state is not ContractState.ENDING else None


async def close_lines(tx: Connection, line_ids: Sequence[UUID], on: date) -> None:
    """End lines that hold no pack. One that was to begin later never existed."""
    histories = await lines.revisions(tx, line_ids)
    begun = [line_id for line_id in line_ids if histories[line_id][0].from_on < on]
    await lines.delete(tx, [line_id for line_id in line_ids if line_id not in set(begun)])
    await lines.write_revisions(tx, [rules.close(histories[line_id], on) for line_id in begun])
    await lines.end(tx, dict.fromkeys(begun, on), "removed")


async def renew(
    tx: Connection, contract_id: UUID, data: RenewalCreate, *, by: str, now: datetime
) -> ContractView:
    """Agree on a further term, right after the last. A notice that was given is void."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_in_force(contract.state)
    refuse_terminated(contract)
    if contract.ends_on is None:
        raise NotAllowed("the contract holds over; end that by a notice, then agree on a new one")
    to_on = rules.renewed_to(contract.agreed_to or contract.ends_on, contract.ends_on, data.months)
    await store.add_term(tx, contract_id, contract.ends_on, to_on, "renewal", by=by, now=now)
    facts: dict[str, object] = {
        "from_on": contract.ends_on,
        "to_on": to_on,
        "reason": data.reason,
    }
    if contract.state is ContractState.ENDING:
        kind = "contract.renewed"
        return await move(tx, contract, ContractState.ACTIVE, facts, kind=kind, by=by, now=now)
    await store.touch(tx, contract_id)
    await tell(tx, contract_id, "contract.renewed", facts, by=by, now=now)
    return await get(tx, contract_id, civil_date(now))


async def expire(tx: Connection, contract_id: UUID, on: date, *, by: str, now: datetime) -> None:
    """The time of a contract has run out by a day: it renews itself if that was agreed, ends when
    all packs are back, and holds over while some are out (Civil Code Art. 734). One that is
    ending ends on its day, or later when the last pack is back."""
    contract = await lock(tx, contract_id)
    over = contract.ends_on is not None and contract.ends_on <= on
    leaving = contract.ending_on is not None and contract.ending_on <= on
    if contract.state not in IN_FORCE or not (over or leaving):
        return
    terms = await terms_on(tx, contract.id, contract.ends_on or on)
    if contract.state is not ContractState.ENDING and terms.renewal is Renewal.AUTOMATIC:
        assert terms.renewal_months is not None
        data = RenewalCreate(months=terms.renewal_months, reason="automatic")
        await renew(tx, contract_id, data, by=by, now=now)
    elif (await lines.count(tx, contract_id)).with_pack == 0:
        await end(tx, contract_id, by=by, now=now)
    elif contract.ends_on is not None and contract.ends_on <= on:
        await store.add_term(tx, contract_id, contract.ends_on, None, "holdover", by=by, now=now)
        facts: dict[str, object] = {"from_on": contract.ends_on}
        await tell(tx, contract_id, "contract.held_over", facts, by=by, now=now)


# What is agreed anew


async def amend(
    tx: Connection,
    contract_id: UUID,
    data: AmendmentCreate,
    expected: int,
    *,
    by: str,
    now: datetime,
) -> AmendmentView:
    """Other terms, rents or plans from a day on: a new revision, so that each day belongs to one.
    Days that were billed already are put right on the next invoice. Returns what changed."""
    contract = await lock(tx, contract_id)
    there = msgspec.structs.asdict(await terms_on(tx, contract_id, data.from_on))
    refuse_unless_current(contract.version, expected, there, typed(given(data.terms)))
    rules.refuse_unless_in_force(contract.state)
    history = await store.revisions(tx, contract_id)
    changes, revision = await amend_terms(
        tx, contract, history, data.from_on, data.terms, by=by, now=now
    )
    changes += await amend_rents(tx, contract, data, by=by, now=now)
    changes += await amend_plans(tx, contract, data, by=by, now=now)
    if not changes:
        raise NothingChanges
    await store.touch(tx, contract_id)
    facts: dict[str, object] = {
        "from_on": data.from_on,
        "reason": data.reason,
        "changes": changes,
    }
    await tell(tx, contract_id, "contract.amended", facts, by=by, now=now)
    return AmendmentView(
        contract_id=contract_id,
        from_on=data.from_on,
        revision=revision,
        changes=changes,
        restated_lines=await lines.restated(tx, contract_id),
    )


async def amend_terms(
    tx: Connection,
    contract: Contract,
    history: Sequence[ContractRevision],
    on: date,
    patch: TermsPatch,
    *,
    by: str,
    now: datetime,
) -> tuple[list[Change], int | None]:
    wanted = typed(given(patch))
    if not wanted:
        return [], None
    before = history[rules.index_of(history, on)].terms
    after = replace(before, **wanted)
    rules.refuse_bad_terms(after, "/terms")
    try:
        revised = rules.revise(history, on, wanted, cause="amended", by=by, now=now)
    except NothingChanges:
        return [], None
    await store.write_revisions(tx, contract.id, revised)
    changes = [
        Change(line_id=None, field=field, before=old, after=new)
        for field, old, new in rules.differences(before, after)
    ]
    return changes, next(one.number for one in revised if one.from_on == on)


async def amend_rents(
    tx: Connection, contract: Contract, data: AmendmentCreate, *, by: str, now: datetime
) -> list[Change]:
    wanted = {price.line_id: price.rent_amount for price in data.rents}
    found = await lines.lock(tx, dict.fromkeys(wanted, data.from_on))
    histories = await lines.revisions(tx, list(found))
    changes, revised = [], []
    for line_id, rent_amount in wanted.items():
        line = found.get(line_id)
        if line is None or line.contract_id != contract.id:
            raise NoSuchLine(f"{line_id} is not a line of this contract")
        values = {
            "base_rent_amount": rent_amount,
            "base_from_on": data.from_on,
            "rent_amount": rent_amount,
        }
        if line.rent_amount == rent_amount:
            continue
        revised += rules.revise(
            histories[line_id], data.from_on, values, cause="amended", by=by, now=now
        )
        changes.append(
            Change(line_id=line_id, field="rent_amount", before=line.rent_amount, after=rent_amount)
        )
    await lines.write_revisions(tx, revised)
    told = [
        Event(
            "line",
            change.line_id,
            "line.amended",
            {"on": data.from_on, "rent": change.after, "reason": data.reason},
        )
        for change in changes
        if change.line_id is not None
    ]
    await events.append(tx, told, actor=by, now=now)
    return changes


async def amend_plans(
    tx: Connection, contract: Contract, data: AmendmentCreate, *, by: str, now: datetime
) -> list[Change]:
    """Other price plans for lines. After their rents, so that both become one revision."""
    wanted = {plan.line_id: plan.price_plan_version_id for plan in data.plans}
    found = await lines.lock(tx, dict.fromkeys(wanted, data.from_on))
    histories = await lines.revisions(tx, list(found))
    changes, revised = [], []
    for line_id, version_id in wanted.items():
        line = found.get(line_id)
        if line is None or line.contract_id != contract.id:
            raise NoSuchLine(f"{line_id} is not a line of this contract")
        before = line.price_plan_version_id
        if before == version_id:
            continue
        values = {"price_plan_version_id": version_id}
        revised += rules.revise(
            histories[line_id], data.from_on, values, cause="amended", by=by, now=now
        )
        field = "price_plan_version_id"
        changes.append(Change(line_id=line_id, field=field, before=before, after=version_id))
    await lines.write_revisions(tx, revised)
    told = [
        Event(
            "line",
            change.line_id,
            "line.plan_changed",
            {"on": data.from_on, "plan": change.after, "reason": data.reason},
        )
        for change in changes
        if change.line_id is not None
    ]
    await events.append(tx, told, actor=by, now=now)
    return changes


async def escalate(
    tx: Connection, contract_id: UUID, on: date, *, by: str, now: datetime
) -> list[UUID]:
    """Bring every line's rent to what the escalator makes of it on a day, worked out from the
    rent as agreed. Doing it again changes nothing. Returns the lines that changed."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_in_force(contract.state)
    escalator = (await terms_on(tx, contract.id, on)).escalator
    rent_on = await rent_by(tx, contract, escalator, on)
    # A step that was waited for leaves alone what was agreed meanwhile.
    is_index = isinstance(escalator, IndexEscalator)
    revise = rules.revise_stretch if is_index else rules.revise
    open_lines = await lines.lock_open(tx, contract_id)
    revised: list[LineRevision] = []
    told = []
    for line_id, history in (await lines.revisions(tx, open_lines)).items():
        if history[0].from_on > on:
            continue
        current = history[rules.index_of(history, on)]
        rent_amount = rent_on(current.base_rent_amount, current.base_from_on)
        if rent_amount == current.rent_amount:
            continue
        values = {"rent_amount": rent_amount}
        revised += revise(history, on, values, cause="escalated", by=by, now=now)
        facts: dict[str, object] = {"on": on, "before": current.rent_amount, "after": rent_amount}
        told.append(Event("line", line_id, "line.escalated", facts))
    await lines.write_revisions(tx, revised)
    await events.append(tx, told, actor=by, now=now)
    if told:
        await store.touch(tx, contract_id)
        summary: dict[str, object] = {"on": on, "lines": len(told)}
        await tell(tx, contract_id, "contract.escalated", summary, by=by, now=now)
    return [event.aggregate_id for event in told]


async def rent_by(
    tx: Connection, contract: Contract, escalator: Escalator, on: date
) -> Callable[[int, date], int]:
    """The rent of a day by the rent as agreed and the day it was agreed for."""
    if not isinstance(escalator, IndexEscalator):
        return lambda amount, from_on: rules.escalated_rent(
            escalator, amount, from_on, contract.starts_on, on
        )
    values = await facts_store.index_values(tx, escalator.series)
    return lambda amount, from_on: rules.indexed_rent(
        escalator, values, amount, from_on, contract.starts_on, on
    )


async def take_step(
    tx: Connection, contract_id: UUID, on: date, since: date, *, by: str, now: datetime
) -> list[UUID]:
    """Take the last step of the escalator, if it was due between two days; of one that follows an
    index the first step that was not taken, however late. Returns the lines that changed. Raises
    `IndexNotPublished`."""
    contract = await lock(tx, contract_id)
    escalator = (await terms_on(tx, contract_id, on)).escalator
    taken = rules.steps(escalator, contract.starts_on, on + timedelta(days=1))
    if contract.state not in IN_FORCE or not taken:
        return []
    if isinstance(escalator, IndexEscalator):
        last = await lines.last_escalated(tx, contract_id)
        waiting = [step for step in taken if last is None or step > last]
    else:
        waiting = [step for step in taken[-1:] if step >= since]
    for step in waiting:
        # Steps from before it was agreed are none of its.
        if (await terms_on(tx, contract_id, step)).escalator != escalator:
            continue
        if changed := await escalate(tx, contract_id, step, by=by, now=now):
            return changed
    return []


async def transfer(
    tx: Connection, contract_id: UUID, data: TransferCreate, *, by: str, now: datetime
) -> ContractView:
    """Another lessee takes the contract over from a day on: a contract of its own with the same
    terms, for what is left of the time. Packs stay where they are. Returns the new contract."""
    contract = await lock(tx, contract_id)
    rules.refuse_unless_in_force(contract.state)
    refuse_future(data.from_on, civil_date(now, contract.time_zone), "from_on")
    if data.lessee_id == contract.lessee_id:
        raise SameLessee
    refuse_outside_term(contract, data.from_on)
    if data.from_on == contract.starts_on:
        raise OutsideTerm(f"the contract begins on {contract.starts_on}")
    terms = await terms_on(tx, contract.id, data.from_on)
    successor = await store.insert(
        tx,
        number=data.number,
        lessor_id=contract.lessor_id,
        lessee_id=data.lessee_id,
        currency=contract.currency,
        time_zone=contract.time_zone,
        transferred_from=contract_id,
        now=now,
    )
    taken_over = ContractRevision(1, data.from_on, None, terms, "transferred", by, now)
    await store.write_revisions(tx, successor, [taken_over])
    kind = "agreed" if contract.ends_on is not None else "holdover"
    await store.add_term(tx, successor, data.from_on, contract.ends_on, kind, by=by, now=now)
    signed = Signature(
        lessor_signatory=data.lessor_signatory, lessee_signatory=data.new_lessee_signatory
    )
    for state in (ContractState.OFFERED, ContractState.SIGNED, ContractState.ACTIVE):
        by_both = signed if state is ContractState.SIGNED else None
        await store.set_state(tx, successor, state, now, signed=by_both)
    await hand_lines_over(tx, contract, successor, data, by=by, now=now)
    await store.set_state(
        tx,
        contract_id,
        ContractState.ENDING,
        now,
        ending_on=data.from_on,
        ending_reason=EndingReason.TRANSFER,
    )
    history = await store.revisions(tx, contract_id)
    await store.write_revisions(tx, contract_id, [rules.close(history, data.from_on)])
    await store.end_holdover(tx, contract_id, data.from_on)
    await store.set_state(tx, contract_id, ContractState.ENDED, now, ended_on=data.from_on)
    # Neither lessee is told who signed for the other.
    for one, signatory in (
        (contract_id, data.lessee_signatory),
        (successor, data.new_lessee_signatory),
    ):
        facts: dict[str, object] = {
            "from": contract_id,
            "to": successor,
            "on": data.from_on,
            "signed": [data.lessor_signatory, signatory],
        }
        await tell(tx, one, "contract.transferred", facts, by=by, now=now)
    return await get(tx, successor, civil_date(now))


async def hand_lines_over(
    tx: Connection,
    contract: Contract,
    successor: UUID,
    data: TransferCreate,
    *,
    by: str,
    now: datetime,
) -> None:
    """Give the open lines of a contract successors under another, with their packs."""
    open_lines = await lines.lock_open(tx, contract.id)
    days = dict.fromkeys(open_lines, data.from_on)
    found = list((await lines.lock(tx, days)).values())
    histories = await lines.revisions(tx, open_lines)
    closed = [rules.close(histories[line.id], data.from_on) for line in found]
    places = sorted({line.site_id for line in found})
    await sites.hand_over(tx, places, data.lessee_id, data.from_on, by=by, now=now)
    begun = [(data.from_on, None)] * len(found)
    new_ids = await lines.insert(tx, successor, data.lessee_id, begun)
    pairs = [(line.id, new) for line, new in zip(found, new_ids, strict=True)]
    moved = await succession.copy(
        tx,
        pairs,
        contract_id=successor,
        lessee_id=data.lessee_id,
        on=data.from_on,
        lessor_signatory=data.lessor_signatory,
        lessee_signatory=data.new_lessee_signatory,
        by=by,
        now=now,
    )
    await lines.write_revisions(tx, closed)
    await lines.end(tx, days, "transferred")
    by_line = {line.id: line for line in found}
    successors = dict(pairs)
    steps = [
        Step(
            pack_id,
            "lease.transferred",
            data.from_on,
            {"from_line": line_id, "to_line": successors[line_id]},
            by_line[line_id].adcode,
            data.lessee_id,
        )
        for line_id, pack_id in moved
    ]
    await traceability.record(tx, steps, by=by, now=now)
    packs = dict(moved)
    told = []
    for old, new in pairs:
        facts = {"from_line": old, "to_line": new, "on": data.from_on, "pack_id": packs.get(old)}
        told += [Event("line", one, "line.transferred", facts) for one in (old, new)]
    await events.append(tx, told, actor=by, now=now)
