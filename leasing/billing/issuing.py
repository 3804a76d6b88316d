"""Drafts are totalled, numbered, posted and delivered; what is final is credited."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.billing import charges, rules, store
from leasing.billing.model import (
    CorrectedAlready,
    Draft,
    InvoiceIsDraft,
    NoSuchInvoice,
    NotHeld,
    Statement,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.calendars import Convention, adjust, china_or_weekday
from leasing.kit.rows import convert
from leasing.ledger import service as ledger
from leasing.ledger.model import Entry
from schemas.billing import InvoiceKind, InvoiceState, InvoiceView

SERIES = {InvoiceKind.INVOICE: "INV", InvoiceKind.CREDIT_NOTE: "CN"}


async def total(tx: Connection, invoice_ids: Sequence[UUID]) -> None:
    """Work out what drafts come to."""
    found = await store.sum_up(tx, invoice_ids)
    await store.set_totals(
        tx, {invoice_id: rules.total(sums) for invoice_id, sums in found.items()}
    )


async def finalise(
    tx: Connection, invoice_ids: Sequence[UUID], *, issued_on: date, by: str, now: datetime
) -> list[UUID]:
    """Number and post drafts that were totalled, in the order given. Those that are final already
    stay as they are. Returns those that became final now."""
    await store.lock(tx, invoice_ids)
    drafts = await store.ready(tx, invoice_ids)
    statements = {draft.id: rules.total(draft.sums) for draft in drafts}
    ids = [draft.id for draft in drafts]
    days = await store.payment_days(tx, ids, issued_on)
    numbers = await number(tx, drafts, issued_on.year)
    due_on = {one: due(issued_on, days.get(one, 0)) for one in ids}
    await store.finalise(tx, numbers, due_on, statements, issued_on, now)
    await ledger.post_all(
        tx,
        [
            Entry(
                source="invoice",
                source_id=draft.id,
                event="finalised",
                currency=draft.currency,
                posted_on=issued_on,
                party_id=draft.buyer_id,
                amounts=postings(statements[draft.id]),
            )
            for draft in drafts
        ],
    )
    facts = [
        Event(
            "invoice",
            draft.id,
            "invoice.finalised",
            {
                "on": issued_on,
                "number": numbers[draft.id],
                "kind": draft.kind,
                "total_amount": statements[draft.id].whole.total_amount,
            },
        )
        for draft in drafts
    ]
    await events.append(tx, facts, actor=by, now=now)
    return ids


async def number(tx: Connection, drafts: Sequence[Draft], year: int) -> dict[UUID, str]:
    """The next numbers, without a gap for each seller and series."""
    by_series: dict[tuple[UUID | None, str], list[UUID]] = defaultdict(list)
    for draft in drafts:
        by_series[draft.seller_id, SERIES[InvoiceKind(draft.kind)]].append(draft.id)
    found = {}
    # Counters are locked in one order, so that two who finalise do not lock each other out.
    for (seller_id, series), ids in sorted(by_series.items(), key=lambda one: str(one[0])):
        first = await store.next_numbers(tx, seller_id, series, year, len(ids))
        for position, invoice_id in enumerate(ids):
            found[invoice_id] = rules.invoice_number(series, year, first + position)
    return found


def due(issued_on: date, days: int) -> date:
    """The day of payment, a business day of the same month (C17)."""
    on = issued_on + timedelta(days=days)
    return adjust(on, Convention.MODIFIED_FOLLOWING, china_or_weekday)


def postings(statement: Statement) -> dict[str, int]:
    whole = statement.whole
    return {
        "receivable": whole.total_amount,
        "vat_output": -whole.vat_amount,
        **{account: -net for account, net in statement.net_by_account.items()},
    }


async def approve(
    tx: Connection, invoice_id: UUID, reason: str, *, by: str, now: datetime, on: date
) -> None:
    """Let a draft become final that was held back. Raises `NoSuchInvoice`, `NotHeld`."""
    await store.lock(tx, [invoice_id])
    invoice = await get(tx, invoice_id)
    if invoice.held_because is None:
        raise NotHeld(f"invoice {invoice_id} is {invoice.state} and not held")
    await store.release(tx, invoice_id, by)
    approved = Event("invoice", invoice_id, "invoice.approved", {"reason": reason})
    await events.append(tx, [approved], actor=by, now=now)
    await finalise(tx, [invoice_id], issued_on=on, by=by, now=now)
    await store.deliver(tx, [invoice_id], now)


async def credit(
    tx: Connection, invoice_id: UUID, reason: str, *, by: str, on: date, now: datetime
) -> UUID:
    """Take an invoice back whole: a credit note that mirrors it, charge by charge and tax by tax,
    since amounts are rounded alike on both sides of nothing (C7).
    Its days are due again, and the next run bills them as they should be. Raises
    `CorrectedAlready` when a part of it was taken back before or takes something back itself:
    that part is not open any more."""
    states = await store.lock(tx, [invoice_id])
    if not states:
        raise NoSuchInvoice
    if states[invoice_id] != InvoiceState.FINAL:
        raise InvoiceIsDraft(f"invoice {invoice_id} is a draft")
    contract_ids, charge_ids, closed = await store.charged_on(tx, invoice_id)
    await charges.lock_contracts(tx, contract_ids)
    contract_ids, charge_ids, closed = await store.charged_on(tx, invoice_id)
    if closed:
        raise CorrectedAlready(f"{closed} charges of it are part of a correction")
    note_id = await store.insert_credit_note(tx, invoice_id, reason)
    await charges.take_back(tx, dict.fromkeys(contract_ids, note_id), charge_ids)
    await charges.restate(tx, charge_ids)
    await total(tx, [note_id])
    await finalise(tx, [note_id], issued_on=on, by=by, now=now)
    await store.deliver(tx, [note_id], now)
    return note_id


async def get(tx: Connection, invoice_id: UUID) -> InvoiceView:
    row = await store.get(tx, invoice_id)
    if row is None:
        raise NoSuchInvoice
    return convert(row, InvoiceView)
