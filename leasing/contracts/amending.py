"""What is agreed anew while a contract runs: terms, rents, plans, and the steps of an escalator."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.contracts import lines, rules, store
from leasing.contracts.model import (
    IN_FORCE,
    Contract,
    ContractRevision,
    LineRevision,
    NoSuchLine,
    NothingChanges,
)
from leasing.contracts.service import lock, tell, terms_on, typed
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import given
from leasing.kit.versions import refuse_unless_current
from leasing.tariffs import facts_store
from schemas.contracts import (
    AmendmentCreate,
    AmendmentView,
    Change,
    Escalator,
    IndexEscalator,
    TermsPatch,
)


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
