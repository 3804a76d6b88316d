"""A billing run, in steps small enough to be killed between any two of them.

The job opens the run, then for each customer rates the lines in chunks, one transaction a chunk,
and finalises the invoice. Every step asks the database what is still missing, so doing it again
changes nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.billing import ledger, rules, store
from leasing.billing.model import Charge, NoSuchInvoice
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from schemas.billing import InvoiceState, InvoiceView

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
    """Charge a customer's next lines onto its invoice of the period. Returns how many charges
    were added and where to go on, None at the end. An invoice that is final takes no more;
    what came too late for it is on the next one."""
    invoice = await store.lock(tx, lessee_id, currency, from_on, to_on)
    if invoice is not None and invoice.state == InvoiceState.FINAL:
        return 0, None
    lines, last = await store.due_lines(tx, lessee_id, currency, to_on, after, limit)
    charges: Sequence[Charge] = [charge for line in lines for charge in rules.rate(line, to_on)]
    if charges:
        if invoice is None:
            invoice = await store.draft(tx, run_id, lessee_id, currency, from_on, to_on)
        await store.insert_charges(tx, invoice.id, charges)
    return len(charges), last


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
    """Total, number and post the invoice of a period. Returns it when it became final now."""
    invoice = await store.lock(tx, lessee_id, currency, from_on, to_on)
    if invoice is None or invoice.state == InvoiceState.FINAL:
        return None
    per_rate, whole = rules.totals(await store.net_by_rate(tx, invoice.id))
    due_on = issued_on + timedelta(days=await store.payment_days(tx, invoice.id))
    counted = await store.next_number(tx, SERIES, issued_on.year)
    number = rules.invoice_number(SERIES, issued_on.year, counted)
    await store.finalise(
        tx,
        invoice.id,
        number=number,
        issued_on=issued_on,
        due_on=due_on,
        per_rate=per_rate,
        whole=whole,
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
            "revenue_rent": -whole.net_amount,
            "vat_output": -whole.vat_amount,
        },
    )
    facts: dict[str, object] = {"number": number, "total_amount": whole.total_amount}
    final = Event("invoice", invoice.id, "invoice.finalised", facts)
    await events.append(tx, [final], actor=by, now=now)
    return invoice.id


async def get(tx: Connection, invoice_id: UUID) -> InvoiceView:
    row = await store.get(tx, invoice_id)
    if row is None:
        raise NoSuchInvoice
    return convert(row, InvoiceView)
