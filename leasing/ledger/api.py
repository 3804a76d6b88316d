"""The ledger over HTTP. It is written by what other contexts do, never directly."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from leasing.http.edge import Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert_all
from leasing.ledger import service, store
from schemas.common import Currency
from schemas.ledger import AccountView, ChartOfAccounts, JournalEntryView, TrialBalance

FromOn = Annotated[date | None, QueryParameter(description="The first day.")]
AsOf = Annotated[date | None, QueryParameter(description="The last day, which belongs to it.")]


@get("/ledger/accounts", responses=when_reading())
async def chart_of_accounts(tx: Tx) -> ChartOfAccounts:
    """Every account of the ledger."""
    return ChartOfAccounts(accounts=convert_all(await store.chart(tx), AccountView))


@get("/ledger/trial-balance", responses=when_reading())
async def trial_balance(
    tx: Tx,
    from_on: FromOn = None,
    as_of: AsOf = None,
    party_id: FromQuery[UUID | None] = None,
    currency: FromQuery[Currency | None] = None,
) -> TrialBalance:
    """Debits and credits of every account, as of a day and between two days; they add up to
    nothing."""
    return await service.trial_balance(tx, from_on, as_of, party_id, currency)


@get("/journal-entries", responses=when_reading())
async def list_journal_entries(
    tx: Tx,
    source: FromQuery[str | None] = None,
    source_id: FromQuery[UUID | None] = None,
    from_on: FromOn = None,
    as_of: AsOf = None,
    account: FromQuery[str | None] = None,
    party_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[JournalEntryView]:
    """Entries in the order they were made: those of a source, or of some days, on an account or
    with a party. A source asked for by its id answers with all of its entries."""
    start = after_id(cursor)
    if source_id is not None:
        rows = await store.of_source(tx, source_id, source, start, limit + 1)
    else:
        rows = await store.after(
            tx,
            start,
            source=source,
            from_on=from_on,
            as_of=as_of,
            account=account,
            party_id=party_id,
            limit=limit + 1,
        )
    return page_by_id([service.view(row) for row in rows], limit)


@get("/journal-entries/{entry_id:uuid}", responses=when_reading(404))
async def get_journal_entry(tx: Tx, entry_id: FromPath[UUID]) -> JournalEntryView:
    """One entry with its postings."""
    return await service.get(tx, entry_id)


HANDLERS = [chart_of_accounts, trial_balance, list_journal_entries, get_journal_entry]
