"""Runs, invoices and credit notes over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import MediaType, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.billing import (
    discarding,
    disputes,
    explaining,
    gate,
    issuing,
    page,
    preview,
    results,
    running,
    runs,
    store,
)
from leasing.billing.model import NoSuchRun
from leasing.db.pool import Connection
from leasing.http.edge import CUSTOMERS, WITH_CUSTOMERS, By, Now, Tx
from leasing.http.pages import (
    FIRST,
    Cursor,
    Limit,
    Page,
    after_id,
    decode,
    encode,
    page_by,
    page_by_id,
)
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.parties import service as parties
from leasing.parties.model import NoSuchParty
from schemas.billing import (
    AmendmentPreview,
    AmendmentPreviewCreate,
    Approval,
    BillingPreview,
    BillingResult,
    BillingRunDetail,
    BillingRunView,
    ChargeView,
    CreditNoteCreate,
    Discard,
    DisputeAnswer,
    DisputeCreate,
    DisputeState,
    DisputeView,
    Explanation,
    HeldLine,
    InvoiceView,
    ItemState,
    LesseeChargeView,
    NextBill,
    NextBillCreate,
    PreviewCreate,
    StageView,
)


@get("/billing-runs", responses=when_reading())
async def list_billing_runs(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[BillingRunView]:
    """Runs in the order they were opened, with what they issued."""
    rows = await runs.after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, BillingRunView), limit)


@get("/billing-runs/{run_id:uuid}", responses=when_reading(404))
async def get_billing_run(tx: Tx, run_id: FromPath[UUID]) -> BillingRunDetail:
    """One run with its stages."""
    return await detail(tx, run_id)


async def detail(tx: Connection, run_id: UUID) -> BillingRunDetail:
    row = await runs.get(tx, run_id)
    if row is None:
        raise NoSuchRun
    stages = convert_all(await runs.stages(tx, run_id), StageView)
    return convert({**row, "stages": stages}, BillingRunDetail)


@get("/billing-runs/{run_id:uuid}/contracts", responses=when_reading(404))
async def list_billing_results(
    tx: Tx,
    run_id: FromPath[UUID],
    outcome: Annotated[ItemState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BillingResult]:
    """What became of each contract: done, skipped, failed, or parked with a code and the reason."""
    await runs.get_run(tx, run_id)
    rows = await results.after(tx, run_id, after_id(cursor), outcome, limit + 1)
    return page_by(convert_all(rows, BillingResult), limit, lambda one: one.contract_id)


@get("/billing-runs/{run_id:uuid}/held-lines", responses=when_reading(404))
async def list_held_lines(
    tx: Tx, run_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[HeldLine]:
    """Lines that were not billed because the records of their packs contradict each other."""
    await runs.get_run(tx, run_id)
    rows = await gate.holds_after(tx, run_id, after_id(cursor), limit + 1)
    return page_by(convert_all(rows, HeldLine), limit, lambda one: one.line_id)


@post("/billing-previews", status_code=200, responses=when_posting(404))
async def preview_billing(tx: Tx, now: Now, data: JSONBody[PreviewCreate]) -> BillingPreview:
    """What a run would make of a day, also one to come, and why that differs from the last one.
    The same steps are taken as in a run and then undone."""
    return await preview.run(tx, data.as_of, data.buyer_id, now)


@post(
    "/billing-previews/page",
    status_code=200,
    media_type=MediaType.HTML,
    responses=when_posting(404),
)
async def preview_billing_page(tx: Tx, now: Now, data: JSONBody[PreviewCreate]) -> Response[str]:
    """The same as a page for people: what comes on top of the last bills and what goes off, cause
    by cause, as a picture."""
    found = await preview.run(tx, data.as_of, data.buyer_id, now)
    return Response(page.render(found), media_type=MediaType.HTML, headers=page.HEADERS)


@post(
    "/parties/{party_id:uuid}/bill-previews",
    status_code=200,
    opt={"access": WITH_CUSTOMERS},
    responses=when_posting(404),
)
async def preview_next_bill(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[NextBillCreate]
) -> NextBill:
    """What a party would be billed as of today or a day to come, line by line, and why that differs
    from the bill before. A customer asks for its own."""
    if caller.party_id not in (None, party_id):
        raise NoSuchParty
    return await preview.next_bill(tx, party_id, data.as_of, now)


@post(
    "/contracts/{contract_id:uuid}/amendment-previews",
    status_code=200,
    responses=when_posting(404),
)
async def preview_amendment(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[AmendmentPreviewCreate],
) -> AmendmentPreview:
    """The customer's bill of a day without and with an amendment. Neither is kept."""
    return await preview.amendment(tx, contract_id, data, by=str(caller), now=now)


@post("/billing-runs/{run_id:uuid}/approval", status_code=200, responses=when_posting(404))
async def approve_billing_run(
    tx: Tx, caller: By, now: Now, run_id: FromPath[UUID], data: JSONBody[Approval]
) -> BillingRunDetail:
    """Let a run go on that stopped; the worker that comes next takes it up."""
    await running.approve(tx, run_id, data.reason, by=str(caller), now=now)
    return await detail(tx, run_id)


@post("/billing-runs/{run_id:uuid}/discard", status_code=200, responses=when_posting(404))
async def discard_billing_run(
    tx: Tx, caller: By, now: Now, run_id: FromPath[UUID], data: JSONBody[Discard]
) -> BillingRunDetail:
    """Give up the drafts of a run of which nothing is final. What is due is billed by the next
    run, of the same day or a later one."""
    await discarding.run(tx, run_id, data.reason, by=str(caller), now=now)
    return await detail(tx, run_id)


@get("/invoices", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_invoices(
    tx: Tx,
    buyer_id: FromQuery[UUID | None] = None,
    run_id: FromQuery[UUID | None] = None,
    held: FromQuery[bool | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[InvoiceView]:
    """Invoices and credit notes. A customer sees its own, once they are final."""
    rows = await store.after(
        tx, after_id(cursor), buyer_id=buyer_id, run_id=run_id, held=held, limit=limit + 1
    )
    return page_by_id(convert_all(rows, InvoiceView), limit)


@get(
    "/invoices/{invoice_id:uuid}",
    opt={"access": CUSTOMERS, "one_statement": True},
    responses=when_reading(404),
)
async def get_invoice(tx: Tx, invoice_id: FromPath[UUID]) -> InvoiceView:
    """One invoice or credit note."""
    return await issuing.get(tx, invoice_id)


@get("/invoices/{invoice_id:uuid}/lines", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_invoice_lines(
    tx: Tx, invoice_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[ChargeView]:
    """The lines of an invoice: site, pack, days, price."""
    await issuing.get(tx, invoice_id)
    rows = await store.charges_after(tx, invoice_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, ChargeView), limit)


@get("/parties/{party_id:uuid}/charges", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_party_charges(
    tx: Tx,
    party_id: FromPath[UUID],
    contract_id: FromQuery[UUID | None] = None,
    line_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[LesseeChargeView]:
    """What was charged for a lessee's own lines, and on which final invoice, also where another
    party of its group gets and pays that. In order of invoices."""
    await parties.get(tx, party_id)
    rows = await store.charged_to(
        tx,
        party_id,
        (FIRST, FIRST) if cursor is None else decode(cursor, tuple[UUID, UUID]),
        contract_id=contract_id,
        line_id=line_id,
        limit=limit + 1,
    )
    shown = convert_all(rows[:limit], LesseeChargeView)
    more = len(rows) > limit
    return Page(shown, encode(shown[-1].invoice_id, shown[-1].id) if more else None)


@post("/invoices/{invoice_id:uuid}/approval", status_code=200, responses=when_posting(404))
async def approve_invoice(
    tx: Tx, caller: By, now: Now, invoice_id: FromPath[UUID], data: JSONBody[Approval]
) -> InvoiceView:
    """Make a draft final that was held because it is many times the last invoice."""
    await issuing.approve(tx, invoice_id, data.reason, by=str(caller), now=now, on=civil_date(now))
    return await issuing.get(tx, invoice_id)


@post("/invoices/{invoice_id:uuid}/discard", status_code=200, responses=when_posting(404))
async def discard_invoice(
    tx: Tx, caller: By, now: Now, invoice_id: FromPath[UUID], data: JSONBody[Discard]
) -> InvoiceView:
    """Give up a draft that was held; the answer is how it last looked. Its contracts are billed
    anew by the next run."""
    last = await issuing.get(tx, invoice_id)
    await discarding.invoice(tx, invoice_id, data.reason, by=str(caller), now=now)
    return last


@post("/invoices/{invoice_id:uuid}/credit-notes", responses=when_posting(404))
async def credit_invoice(
    tx: Tx, caller: By, now: Now, invoice_id: FromPath[UUID], data: JSONBody[CreditNoteCreate]
) -> InvoiceView:
    """Take a final invoice back whole. The credit note mirrors it; what is owed all the same is
    billed anew by the next run."""
    note_id = await issuing.credit(
        tx, invoice_id, data.reason, by=str(caller), on=civil_date(now), now=now
    )
    return await issuing.get(tx, note_id)


@get(
    "/invoice-lines/{line_id:uuid}/explanation",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def explain_invoice_line(tx: Tx, line_id: FromPath[UUID]) -> Explanation:
    """How a line of an invoice came about: days, price, base, tiers, rounding, and links to what it
    rests on."""
    return await explaining.explain(tx, line_id)


@post(
    "/invoice-lines/{line_id:uuid}/disputes",
    opt={"access": WITH_CUSTOMERS},
    responses=when_posting(404),
)
async def dispute_invoice_line(
    tx: Tx, caller: By, now: Now, line_id: FromPath[UUID], data: JSONBody[DisputeCreate]
) -> DisputeView:
    """Dispute one line; the rest of the invoice stays as it is."""
    return await disputes.dispute(tx, line_id, data, by=str(caller), now=now)


@get("/disputes", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_disputes(
    tx: Tx,
    standing: Annotated[DisputeState | None, QueryParameter(name="state")] = None,
    invoice_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DisputeView]:
    """Disputes about lines of invoices, oldest first."""
    rows = await disputes.after(tx, after_id(cursor), standing, invoice_id, limit + 1)
    return page_by_id(convert_all(rows, DisputeView), limit)


@post("/disputes/{dispute_id:uuid}/answer", status_code=200, responses=when_posting(404))
async def answer_dispute(
    tx: Tx, caller: By, now: Now, dispute_id: FromPath[UUID], data: JSONBody[DisputeAnswer]
) -> DisputeView:
    """Give in, in whole or in part, or not. What is given is taken off the next bill."""
    return await disputes.answer(tx, dispute_id, data, by=str(caller), on=civil_date(now), now=now)


@post(
    "/disputes/{dispute_id:uuid}/withdrawal",
    status_code=200,
    opt={"access": WITH_CUSTOMERS},
    responses=when_posting(404),
)
async def withdraw_dispute(tx: Tx, caller: By, now: Now, dispute_id: FromPath[UUID]) -> DisputeView:
    """Leave the line as it is after all."""
    return await disputes.withdraw(tx, dispute_id, by=str(caller), now=now)


HANDLERS = [
    explain_invoice_line,
    dispute_invoice_line,
    list_disputes,
    answer_dispute,
    withdraw_dispute,
    list_billing_runs,
    get_billing_run,
    list_billing_results,
    list_held_lines,
    preview_billing,
    preview_billing_page,
    preview_next_bill,
    preview_amendment,
    approve_billing_run,
    discard_billing_run,
    list_invoices,
    get_invoice,
    list_invoice_lines,
    list_party_charges,
    approve_invoice,
    discard_invoice,
    credit_invoice,
]
