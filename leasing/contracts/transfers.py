"""Another lessee takes a contract over."""

from datetime import datetime
from uuid import UUID

from leasing.contracts import lines, rules, store, succession
from leasing.contracts.model import (
    Contract,
    ContractRevision,
    OutsideTerm,
    SameLessee,
)
from leasing.contracts.service import get, lock, refuse_outside_term, tell, terms_on
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.time import civil_date
from leasing.sites import service as sites
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.contracts import (
    ContractState,
    ContractView,
    EndingReason,
    Signature,
    TransferCreate,
)


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
