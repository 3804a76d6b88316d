"""Receivables over HTTP: payments, what they pay, accounts."""

import asyncio
from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.documents import statements
from leasing.documents.answers import GivesStatement, answer, provide_press
from leasing.documents.service import Press
from leasing.http import batches
from leasing.http.edge import CUSTOMERS, By, Now, Tx, Unreadable
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_putting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.receivables import accounts, reversals, service, store
from schemas.batches import BatchView
from schemas.documents import DocumentLanguage, StatementFormat
from schemas.receivables import (
    AgeingView,
    AllocationOrderPut,
    AllocationOrderView,
    AllocationsCreate,
    AllocationSource,
    AllocationView,
    BounceCreate,
    CreditApplied,
    PaymentBatch,
    PaymentCreate,
    PaymentView,
    ReceivableView,
    ReversalCreate,
    StatementView,
    WriteOffCreate,
)

CurrencyCode = Annotated[str, QueryParameter(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217.")]


@get("/receivables", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_receivables(
    tx: Tx,
    now: Now,
    party_id: FromQuery[UUID | None] = None,
    invoice_id: FromQuery[UUID | None] = None,
    open: FromQuery[bool | None] = None,  # noqa: A002 - the name callers would look for
    overdue: FromQuery[bool | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReceivableView]:
    """Final invoices, late interest and fees, with what is open of each. Credit is negative."""
    rows = await store.after(
        tx,
        after_id(cursor),
        civil_date(now),
        party_id=party_id,
        invoice_id=invoice_id,
        is_open=open,
        overdue=overdue,
        limit=limit + 1,
    )
    return page_by_id(convert_all(rows, ReceivableView), limit)


@get("/receivables/{receivable_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_receivable(tx: Tx, now: Now, receivable_id: FromPath[UUID]) -> ReceivableView:
    """What is open of one invoice or other receivable, since when it is overdue, when it was
    paid."""
    return await service.get(tx, receivable_id, civil_date(now))


@post("/receivables/{receivable_id:uuid}/write-off", responses=when_posting(404))
async def write_off_receivable(
    tx: Tx, caller: By, now: Now, receivable_id: FromPath[UUID], data: JSONBody[WriteOffCreate]
) -> AllocationView:
    """Give up what is open. It is an allocation, and can be taken back when money comes after
    all."""
    return await service.write_off(tx, receivable_id, data, by=str(caller), now=now)


@post("/receivables/{receivable_id:uuid}/allocations", responses=when_posting(404))
async def use_credit_note(
    tx: Tx, caller: By, now: Now, receivable_id: FromPath[UUID], data: JSONBody[AllocationsCreate]
) -> CreditApplied:
    """Let a credit note pay what is named, or what is due first."""
    made = await service.use_credit(tx, receivable_id, data.allocations, by=str(caller), now=now)
    return CreditApplied(allocations=made)


@post("/payments", responses=when_posting(404))
async def enter_payment(tx: Tx, caller: By, now: Now, data: JSONBody[PaymentCreate]) -> PaymentView:
    """Enter a payment. It pays what is named and then what is due first; what is left is the
    payer's credit."""
    return await service.enter_one(tx, data, by=str(caller), now=now)


@post("/payments:batch", status_code=200, responses=when_posting())
async def enter_payments(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[PaymentBatch]
) -> BatchView:
    """Enter up to 1,000 payments, for instance a bank statement; says of each what became of it.
    `id` is the payment."""
    outcomes = await service.enter(tx, data.rows, by=str(caller), now=now)
    return batches.answer(data, unreadable, outcomes)


@get("/payments", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_payments(
    tx: Tx,
    payer_id: FromQuery[UUID | None] = None,
    has_credit: FromQuery[bool | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PaymentView]:
    """Payments in the order they were entered."""
    rows = await store.payments_after(tx, after_id(cursor), payer_id, has_credit, limit + 1)
    return page_by_id(convert_all(rows, PaymentView), limit)


@get("/payments/{payment_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_payment(tx: Tx, payment_id: FromPath[UUID]) -> PaymentView:
    """One payment, with what is left of it."""
    return await service.get_payment(tx, payment_id)


@post("/payments/{payment_id:uuid}/allocations", responses=when_posting(404))
async def allocate_payment(
    tx: Tx, caller: By, now: Now, payment_id: FromPath[UUID], data: JSONBody[AllocationsCreate]
) -> CreditApplied:
    """Let what is left of a payment pay what is named, or what is due first."""
    made = await service.allocate(tx, payment_id, data.allocations, by=str(caller), now=now)
    return CreditApplied(allocations=made)


@post("/payments/{payment_id:uuid}/bounce", status_code=200, responses=when_posting(404))
async def bounce_payment(
    tx: Tx, caller: By, now: Now, payment_id: FromPath[UUID], data: JSONBody[BounceCreate]
) -> PaymentView:
    """The bank took a payment back: what it paid is open again."""
    return await reversals.bounce(tx, payment_id, data, by=str(caller), now=now)


@get("/allocations", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_allocations(
    tx: Tx,
    party_id: FromQuery[UUID | None] = None,
    payment_id: FromQuery[UUID | None] = None,
    receivable_id: FromQuery[UUID | None] = None,
    source: FromQuery[AllocationSource | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AllocationView]:
    """What settled what, and what was taken back, in the order of entry."""
    rows = await store.allocations_after(
        tx,
        after_id(cursor),
        party_id=party_id,
        payment_id=payment_id,
        receivable_id=receivable_id,
        source=source,
        limit=limit + 1,
    )
    return page_by_id(convert_all(rows, AllocationView), limit)


@post("/allocations/{allocation_id:uuid}/reversal", responses=when_posting(404))
async def reverse_allocation(
    tx: Tx, caller: By, now: Now, allocation_id: FromPath[UUID], data: JSONBody[ReversalCreate]
) -> AllocationView:
    """Take an allocation back: a negative one, which points at it. What it came out of then waits
    for a hand."""
    return await reversals.reverse(tx, allocation_id, data, by=str(caller), now=now)


@post("/parties/{party_id:uuid}/credit-applications", responses=when_posting(404))
async def apply_party_credit(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], currency: CurrencyCode = "CNY"
) -> CreditApplied:
    """Let a party's credit pay what is due first, as a job does each night."""
    await service.refuse_unknown_party(tx, party_id)
    made = await service.apply_credit(tx, party_id, currency, by=str(caller), now=now)
    return CreditApplied(allocations=await service.shown(tx, made))


@get("/parties/{party_id:uuid}/allocation-order", responses=when_reading(404))
async def get_allocation_order(tx: Tx, party_id: FromPath[UUID]) -> AllocationOrderView:
    """In which order a party's money pays what it owes."""
    return await service.get_order(tx, party_id)


@put("/parties/{party_id:uuid}/allocation-order", responses=when_putting(404))
async def put_allocation_order(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[AllocationOrderPut]
) -> AllocationOrderView:
    """Say in which order a party's money pays what it owes, from now on."""
    return await service.put_order(tx, party_id, data, by=str(caller), now=now)


@get("/parties/{party_id:uuid}/statement", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_statement(
    tx: Tx,
    party_id: FromPath[UUID],
    from_on: FromQuery[date],
    to_on: FromQuery[date],
    currency: CurrencyCode = "CNY",
) -> StatementView:
    """What a party owed before a day, each change, and what it owed at the end of another day."""
    return await accounts.statement(tx, party_id, currency, from_on, to_on)


@get(
    "/parties/{party_id:uuid}/statement/document",
    opt={"access": CUSTOMERS},
    dependencies={"press": Provide(provide_press, sync_to_thread=False)},
    responses=when_reading(404),
    operation_class=GivesStatement,
)
async def get_statement_document(
    tx: Tx,
    press: NamedDependency[Press],
    party_id: FromPath[UUID],
    from_on: FromQuery[date],
    to_on: FromQuery[date],
    currency: CurrencyCode = "CNY",
    file_format: Annotated[StatementFormat, QueryParameter(name="format")] = StatementFormat.JSON,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.EN,
) -> Response[bytes]:
    """The same as a document to compare books by, with what is open at its end by how late it is.
    JSON is the same in either language."""
    named = await accounts.document(tx, party_id, currency, from_on, to_on)
    if file_format is StatementFormat.PDF:
        content = await press.pdf(tx, named, language, statements.LAYOUT)
    else:
        content = await asyncio.to_thread(statements.write, named, file_format, language)
    name = f"statement-{currency}-{from_on}-{to_on}"
    return answer(name, named.sha256, file_format, content)


@get("/ageing", responses=when_reading(404))
async def get_ageing(
    tx: Tx,
    now: Now,
    as_of: Annotated[date | None, QueryParameter(description="Today if not given.")] = None,
    party_id: FromQuery[UUID | None] = None,
) -> AgeingView:
    """What was open at the end of a day by how many days it was overdue, and whether the ledger
    says the same."""
    return await accounts.ageing(tx, as_of or civil_date(now), party_id)


HANDLERS = [
    list_receivables,
    get_receivable,
    write_off_receivable,
    use_credit_note,
    enter_payment,
    enter_payments,
    list_payments,
    get_payment,
    allocate_payment,
    bounce_payment,
    list_allocations,
    reverse_allocation,
    apply_party_credit,
    get_allocation_order,
    put_allocation_order,
    get_statement,
    get_statement_document,
    get_ageing,
]
