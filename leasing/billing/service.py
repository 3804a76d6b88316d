"""A billing run, in steps small enough to be killed between any two of them.

The job opens the run, then for each customer rates the lines in chunks, one transaction a chunk,
and finalises the invoice. Every step asks the database what is still missing, so doing it again
changes nothing.
"""

from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.billing import charges, ledger, rules, store
from leasing.billing.model import BillableLine, Charge, NoSuchInvoice, Rent, Settlement
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from schemas.billing import Component, InvoiceState, InvoiceView

SERIES = "INV"


async def rate_chunk(
    tx: Connection,
    *,
    run_id: UUID,
    lessee_id: UUID,
    currency: str,
    from_on: date,
    to_on: date,
    after: UUID,
    limit: int,
) -> tuple[int, UUID | None]:
    """Charge a customer's next lines onto its invoice of the period: rent that is due, what
    changed about rent that was charged, and fees. Returns how many charges were added and where to
    go on, None at the end. An invoice that is final takes no more; what came too late for it is on
    the next one."""
    invoice = await store.lock(tx, lessee_id, currency, from_on, to_on)
    if invoice is not None and invoice.state == InvoiceState.FINAL:
        return 0, None
    line_ids = await charges.lock_lines(tx, lessee_id, currency, to_on, after, limit)
    lines = await charges.due_lines(tx, line_ids, to_on)
    settled = [(line, rules.settle(line, to_on)) for line in lines]
    added = [
        charge_of(line, rent) for line, settlement in settled for rent in settlement.owed
    ] + await charges.due_fees(tx, line_ids, to_on)
    taken_back = [one.id for _, settlement in settled for one in settlement.taken_back]
    if added or taken_back:
        if invoice is None:
            invoice = await store.draft(tx, run_id, lessee_id, currency, from_on, to_on)
        if taken_back:
            await charges.take_back(tx, invoice.id, taken_back)
        await charges.insert_charges(tx, invoice.id, added)
    await settle_restatements(tx, settled, invoice.id if invoice else None)
    return len(added) + len(taken_back), line_ids[-1] if len(line_ids) == limit else None


def charge_of(line: BillableLine, rent: Rent) -> Charge:
    return Charge(
        line.line_id,
        line.contract_id,
        rent.site_id,
        rent.pack_id,
        Component.RENT,
        None,
        rent.from_on,
        rent.to_on,
        rent.month_days,
        rent.rent_amount,
        rent.amount,
        rent.vat_mode,
        rent.vat_percent,
    )


async def settle_restatements(
    tx: Connection, settled: list[tuple[BillableLine, Settlement]], invoice_id: UUID | None
) -> None:
    """What changed was put right by the invoice, or made no difference."""
    restated = [(line, settlement) for line, settlement in settled if line.restated]
    if not restated:
        return
    differ = {line.line_id for line, settlement in restated if rules.differs(line, settlement)}
    same = [line.line_id for line, _ in restated if line.line_id not in differ]
    await charges.settle(tx, list(differ), invoice_id)
    await charges.settle(tx, same, None)


async def finalise(
    tx: Connection,
    *,
    lessee_id: UUID,
    currency: str,
    from_on: date,
    to_on: date,
    issued_on: date,
    by: str,
    now: datetime,
) -> UUID | None:
    """Total, number and post the invoice of a period. Returns it when it became final now.

    An invoice on which more was taken back than charged is final with a negative total: the
    customer's receivable falls by it.
    """
    invoice = await store.lock(tx, lessee_id, currency, from_on, to_on)
    if invoice is None or invoice.state == InvoiceState.FINAL:
        return None
    statement = rules.total(await store.sums(tx, invoice.id))
    whole = statement.whole
    due_on = issued_on + timedelta(days=await store.payment_days(tx, invoice.id, issued_on))
    counted = await store.next_number(tx, SERIES, issued_on.year)
    number = rules.invoice_number(SERIES, issued_on.year, counted)
    await store.finalise(
        tx,
        invoice.id,
        number=number,
        issued_on=issued_on,
        due_on=due_on,
        statement=statement,
        now=now,
    )
    await ledger.post(
        tx,
        source="invoice",
        source_id=invoice.id,
        event="finalised",
        currency=currency,
        posted_on=issued_on,
        party_id=lessee_id,
        amounts={
            "receivable": whole.total_amount,
            "vat_output": -whole.vat_amount,
            **{account: -net for account, net in statement.net_by_account.items()},
        },
    )
    facts: dict[str, object] = {
        "on": issued_on,
        "number": number,
        "total_amount": whole.total_amount,
    }
    final = Event("invoice", invoice.id, "invoice.finalised", facts)
    await events.append(tx, [final], actor=by, now=now)
    return invoice.id


async def get(tx: Connection, invoice_id: UUID) -> InvoiceView:
    row = await store.get(tx, invoice_id)
    if row is None:
        raise NoSuchInvoice
    return convert(row, InvoiceView)
