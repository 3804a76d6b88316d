"""Entering facts in the ledger, and reading them."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.ledger import store
from leasing.ledger.model import SOURCE_PATHS, Entry, NoSuchEntry
from schemas.ledger import AccountBalance, JournalEntryView, TrialBalance


async def post(
    tx: Connection,
    *,
    source: str,
    source_id: UUID,
    event: str,
    currency: str,
    posted_on: date,
    party_id: UUID,
    amounts: dict[str, int],
) -> None:
    """Enter a fact. `amounts` is by account: debit positive, credit negative. What belongs in a
    month that was closed is posted on the first open day, and says what day it concerns."""
    entry = Entry(
        source=source,
        source_id=source_id,
        event=event,
        currency=currency,
        posted_on=posted_on,
        party_id=party_id,
        amounts=amounts,
    )
    await post_all(tx, [entry])


async def post_all(tx: Connection, entries: Sequence[Entry]) -> None:
    """Enter many facts, of whatever kinds, by one statement."""
    await store.post(tx, entries)


async def trial_balance(
    tx: Connection,
    from_on: date | None,
    as_of: date | None,
    party_id: UUID | None,
    currency: str | None,
) -> TrialBalance:
    rows = await store.balances(tx, from_on, as_of, party_id, currency)
    accounts = convert_all(rows, AccountBalance)
    return TrialBalance(
        from_on=from_on, as_of=as_of, accounts=accounts, balanced=balanced(accounts)
    )


def balanced(accounts: Sequence[AccountBalance]) -> bool:
    """Whether nothing is left in any currency."""
    left: dict[str, int] = {}
    for account in accounts:
        left[account.currency] = left.get(account.currency, 0) + account.closing
    return not any(left.values())


async def get(tx: Connection, entry_id: UUID) -> JournalEntryView:
    row = await store.get(tx, entry_id)
    if row is None:
        raise NoSuchEntry
    return view(row)


def view(row: Record) -> JournalEntryView:
    path = SOURCE_PATHS.get(row["source"])
    source_path = path.format(row["source_id"]) if path else None
    return convert({**row, "source_path": source_path}, JournalEntryView)
