"""What contracts owe becomes charges on the drafts of their run."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from leasing.billing import charges, gate, missed, rules, steady
from leasing.billing.model import BillableLine, Charge, Item, Settlement
from leasing.billing.runs import Run
from leasing.db.pool import Connection
from leasing.pricing.periods import Period
from leasing.pricing.plans import MissingFact


async def charge(tx: Connection, run: Run, items: Sequence[Item]) -> dict[UUID, int]:
    """Charge contracts what is due in a run: rent, what changed about rent that was charged, and
    fees; but not on lines whose packs have contradictory records. Returns how many charges were
    made, by contract. It asks what is missing, so that doing it again makes none."""
    contract_ids = [item.contract_id for item in items]
    await charges.lock_contracts(tx, contract_ids)
    plain = await steady.charge(tx, items, run.as_of)
    held = set(await gate.hold_inconsistent(tx, run, items, plain.doubtful))
    made = Counter(dict.fromkeys(contract_ids, 0))
    made.update(plain.made)
    looks = await charges.unsteady(tx, items, [one for one in plain.others if one not in held])
    settled = await settle(tx, run, await charges.billable(tx, looks, run.as_of))
    invoices = {item.contract_id: item.invoice_id for item in items}
    taken_back = [one.id for _, settlement in settled for one in settlement.taken_back]
    if taken_back:
        await charges.take_back(tx, invoices, taken_back)
    by_period = sort_out(items, settled)
    by_period[None] += await due_fees(tx, items, held)
    for period, found in by_period.items():
        onto = {one.contract_id: invoices[one.contract_id] for one in found}
        if period is not None:
            onto = await missed.drafts(tx, run.id, period, onto)
        if found:
            await charges.insert_charges(tx, onto, found)
    await charges.settle(tx, put_right(settled, invoices))
    made.update(one.contract_id for found in by_period.values() for one in found)
    for line, settlement in settled:
        made[line.contract_id] += len(settlement.taken_back)
    return made


async def settle(
    tx: Connection, run: Run, lines: Sequence[BillableLine]
) -> list[tuple[BillableLine, Settlement]]:
    """What makes the charges of lines what they should be. A line whose price rests on a fact that
    nobody entered is held."""
    until = rules.as_of(run.as_of)
    settled = []
    for line in lines:
        try:
            settled.append((line, rules.settle(line, until)))
        except MissingFact as error:
            await gate.hold(tx, run.id, line.line_id, "missing_fact", str(error))
    return settled


def sort_out(
    items: Sequence[Item], settled: Sequence[tuple[BillableLine, Settlement]]
) -> dict[Period | None, list[Charge]]:
    """What lines owe, by the period that it goes onto an invoice of its own for, oldest first; None
    for the invoice of the run."""
    due = {item.contract_id: item.from_on for item in items}
    found: dict[Period | None, list[Charge]] = defaultdict(list)
    for line, settlement in settled:
        for one in rules.charges_of(line, settlement):
            found[rules.missed_period(line, one, due[line.contract_id])].append(one)
    return defaultdict(list, sorted(found.items(), key=lambda pair: pair[0] or ()))


async def due_fees(tx: Connection, items: Sequence[Item], held: Collection[UUID]) -> list[Charge]:
    """Fees that were owed before the day of the bill."""
    found = await charges.due_fees(
        tx, [item.contract_id for item in items], [item.billing_on for item in items]
    )
    return [fee for fee in found if fee.line_id not in held]


def put_right(
    settled: Sequence[tuple[BillableLine, Settlement]], invoices: dict[UUID, UUID]
) -> dict[UUID, UUID | None]:
    """Lines that were restated, each with the invoice that puts it right, if there was anything
    to be put right."""
    return {
        line.line_id: invoices[line.contract_id] if rules.differs(line, settlement) else None
        for line, settlement in settled
        if line.restated
    }
