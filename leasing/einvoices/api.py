"""E-invoices over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.einvoices import service, store
from leasing.http.batches import answer
from leasing.http.edge import CUSTOMERS, By, Now, Tx, Unreadable
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import InvalidParameters, when_posting, when_putting, when_reading
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from schemas.batches import BatchView
from schemas.billing import Component
from schemas.einvoices import (
    EInvoiceBatch,
    EInvoiceState,
    EInvoiceView,
    ItemPut,
    ItemView,
    QuotaPut,
    QuotaView,
    RedLetterCreate,
    RedLetterView,
)


@post("/einvoices:batch", status_code=200, responses=when_posting())
async def draft_einvoices(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[EInvoiceBatch]
) -> BatchView:
    """Draft the e-invoices of up to 1,000 invoices, as far as the month's quota goes; says of each
    what became of it. They are sent in batches of a hundred, by the job or `leasing einvoice
    export`. `id` is the e-invoice."""
    outcomes = await service.draft_each(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/einvoices", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_einvoices(
    tx: Tx,
    invoice_id: FromQuery[UUID | None] = None,
    in_state: Annotated[EInvoiceState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EInvoiceView]:
    """E-invoices in the order they were drafted, red ones among them. A customer sees its own."""
    rows = await store.after(tx, after_id(cursor), invoice_id, in_state, limit + 1)
    return page_by_id(convert_all(rows, EInvoiceView), limit)


@get("/einvoices/{einvoice_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_einvoice(tx: Tx, einvoice_id: FromPath[UUID]) -> EInvoiceView:
    """One e-invoice."""
    return await service.get(tx, einvoice_id)


@post("/einvoices/{einvoice_id:uuid}/red-letters", responses=when_posting(404))
async def draft_red_letter(
    tx: Tx, caller: By, now: Now, einvoice_id: FromPath[UUID], data: JSONBody[RedLetterCreate]
) -> RedLetterView:
    """Draft the application for a red-letter confirmation (红字确认单) of what a credit note takes
    back of an issued e-invoice. Once it is confirmed the red e-invoice is drafted by itself."""
    return await service.draft_red(tx, einvoice_id, data, by=str(caller), now=now)


@get("/red-letters", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_red_letters(
    tx: Tx, einvoice_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[RedLetterView]:
    """Red-letter confirmations in the order they were drafted. A customer sees those of its own
    e-invoices."""
    rows = await store.red_after(tx, after_id(cursor), einvoice_id, limit + 1)
    return page_by_id(convert_all(rows, RedLetterView), limit)


@get("/red-letters/{red_letter_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_red_letter(tx: Tx, red_letter_id: FromPath[UUID]) -> RedLetterView:
    """One red-letter confirmation."""
    return await service.get_red(tx, red_letter_id)


@post("/red-letters/{red_letter_id:uuid}/revocation", status_code=200, responses=when_posting(404))
async def revoke_red_letter(
    tx: Tx, caller: By, now: Now, red_letter_id: FromPath[UUID]
) -> RedLetterView:
    """Take an application back that was not sent yet."""
    return await service.revoke_red(tx, red_letter_id, by=str(caller), now=now)


@put("/einvoice-quotas/{month:str}", responses=when_putting(404))
async def put_quota(
    tx: Tx, caller: By, now: Now, month: FromPath[date], data: JSONBody[QuotaPut]
) -> QuotaView:
    """Say what may be invoiced in a month (授信额度), named by its first day."""
    if month.day != 1:
        fault = FieldError("{month}", "not_a_first", f"{month} is not the first day of a month")
        raise InvalidParameters(fault.message, fields=[fault])
    return await service.put_quota(tx, month, data.amount, by=str(caller), now=now)


@get("/einvoice-quotas/{month:str}", responses=when_reading(404))
async def get_quota(tx: Tx, month: FromPath[date]) -> QuotaView:
    """The quota of a month, named by its first day, and what is used of it."""
    return await service.quota(tx, month)


@put("/einvoice-items/{component:str}", responses=when_putting(404))
async def put_item(
    tx: Tx, caller: By, now: Now, component: FromPath[Component], data: JSONBody[ItemPut]
) -> ItemView:
    """Say which tax class a component belongs to. E-invoices that were drafted stay as they are."""
    await service.put_item(tx, component, data, by=str(caller), now=now)
    return ItemView(component=component, name=data.name, tax_code=data.tax_code)


@get("/einvoice-items", responses=when_reading())
async def list_items(tx: Tx) -> list[ItemView]:
    """The tax class of each component that has one."""
    return [
        ItemView(component=component, name=item.name, tax_code=item.tax_code)
        for component, item in (await store.items(tx)).items()
    ]


HANDLERS = [
    draft_einvoices,
    list_einvoices,
    get_einvoice,
    draft_red_letter,
    list_red_letters,
    get_red_letter,
    revoke_red_letter,
    put_quota,
    get_quota,
    put_item,
    list_items,
]
