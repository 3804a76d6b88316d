"""How a contract ends, or goes on after its term."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from leasing.contracts import incidents, lines, rules, store
from leasing.contracts.model import (
    IN_FORCE,
    Contract,
    IllegalTransition,
    LinesOpen,
    NotAllowed,
    OutsideTerm,
    Terms,
)
from leasing.contracts.service import get, lock, move, refuse_outside_term, tell, terms_on
from leasing.db.pool import Connection
from leasing.kit.dates import refuse_future
from leasing.kit.time import civil_date
from schemas.contracts import (
    ContractState,
    ContractView,
    EndingReason,
    NoticeCreate,
    Renewal,
    RenewalCreate,
    TerminationCreate,
)


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
