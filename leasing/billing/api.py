"""Invoices, runs and the ledger over HTTP."""

from uuid import UUID

from litestar import get
from litestar.params import FromPath, FromQuery

from leasing.billing import ledger, service, store
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert_all
from schemas.billing import AccountBalance, BillingRunView, ChargeView, InvoiceView, TrialBalance


@get("/billing-runs", responses=when_reading())
async def list_billing_runs(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[BillingRunView]:
    """Runs in the order they were opened, with what they issued."""
    rows = await store.runs_after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, BillingRunView), limit)


@get("/invoices", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_invoices(
    tx: Tx, lessee_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[InvoiceView]:
    """Invoices. A customer sees its own, once they are final."""
    rows = await store.after(tx, after_id(cursor), lessee_id, limit + 1)
    return page_by_id(convert_all(rows, InvoiceView), limit)


@get(
    "/invoices/{invoice_id:uuid}",
    opt={"access": CUSTOMERS, "one_statement": True},
    responses=when_reading(404),
)
async def get_invoice(tx: Tx, invoice_id: FromPath[UUID]) -> InvoiceView:
    """One invoice."""
    return await service.get(tx, invoice_id)


@get("/invoices/{invoice_id:uuid}/lines", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_invoice_lines(
    tx: Tx, invoice_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[ChargeView]:
    """The lines of an invoice: site, pack, days, rent."""
    await service.get(tx, invoice_id)
    rows = await store.charges_after(tx, invoice_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, ChargeView), limit)


@get("/ledger/trial-balance", responses=when_reading())
async def trial_balance(tx: Tx) -> TrialBalance:
    """Debits and credits of every account; they add up to nothing."""
    accounts = convert_all(await ledger.balances(tx), AccountBalance)
    currencies = {account.currency for account in accounts}
    balanced = all(
        sum(account.debit - account.credit for account in accounts if account.currency == currency)
        == 0
        for currency in currencies
    )
    return TrialBalance(accounts=accounts, balanced=balanced)


HANDLERS = [list_billing_runs, list_invoices, get_invoice, list_invoice_lines, trial_balance]
