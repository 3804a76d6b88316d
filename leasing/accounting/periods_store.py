"""Closed months, and what is asked of the books before one is closed."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.accounting import store as leases
from leasing.db.pool import Connection

# Whoever posts holds a weaker lock on this table. So this waits for what is being posted, and
# what comes later waits for the closing, and two closings for each other.
LOCK_BOOKS = "LOCK TABLE journal_entry IN SHARE ROW EXCLUSIVE MODE"


async def lock_books(tx: Connection) -> None:
    await tx.execute(LOCK_BOOKS)


PERIOD_VIEW = """
SELECT id, month, state, closed_by, closed_at, reopened_by, reopened_at, reopen_reason
  FROM accounting_period
"""

GET = f"""{PERIOD_VIEW}
 WHERE month = $1
"""


async def get(tx: Connection, month: date) -> Record | None:
    return await tx.fetchrow(GET, month)


LIST = f"""{PERIOD_VIEW}
 WHERE month < $1
 ORDER BY month DESC
 LIMIT $2
"""


async def before(tx: Connection, month: date, limit: int) -> list[Record]:
    """Periods, the latest first."""
    return await tx.fetch(LIST, month, limit)


LAST_CLOSED = """
SELECT max(month)
  FROM accounting_period
 WHERE state = 'closed'
"""


async def last_closed(tx: Connection) -> date | None:
    month: date | None = await tx.fetchval(LAST_CLOSED)
    return month


CLOSE = """
INSERT INTO accounting_period (month, state, closed_by, closed_at)
VALUES ($1, 'closed', $2, $3)
    ON CONFLICT (month) DO UPDATE
   SET state = 'closed',
       closed_by = excluded.closed_by,
       closed_at = excluded.closed_at,
       reopened_by = NULL,
       reopened_at = NULL,
       reopen_reason = NULL
RETURNING id
"""


async def close(tx: Connection, month: date, by: str, now: datetime) -> UUID:
    period_id: UUID = await tx.fetchval(CLOSE, month, by, now)
    return period_id


REOPEN = """
UPDATE accounting_period
   SET state = 'open',
       reopened_by = $2,
       reopened_at = $3,
       reopen_reason = $4
 WHERE month = $1
RETURNING id
"""


async def reopen(tx: Connection, month: date, by: str, now: datetime, reason: str) -> UUID:
    period_id: UUID = await tx.fetchval(REOPEN, month, by, now, reason)
    return period_id


# Each check counts what is in the way of closing a month; $1 is the first day after it.

OUT_OF_BALANCE = """
SELECT count(*)
  FROM (SELECT currency
          FROM posting
          JOIN journal_entry ON journal_entry.id = entry_id
         WHERE posted_on < $1
         GROUP BY currency
        HAVING sum(amount) <> 0) AS unbalanced
"""

EARLIER_MONTHS = """
SELECT count(DISTINCT date_trunc('month', posted_on))
  FROM journal_entry
 WHERE posted_on < $1::date - interval '1 month'
   AND posted_on >= (SELECT max(month) + interval '1 month'
                       FROM accounting_period
                      WHERE state = 'closed')
"""

INVOICES_NOT_POSTED = """
SELECT count(*)
  FROM invoice
 WHERE state = 'final'
   AND issued_on < $1
   AND NOT EXISTS (
         SELECT
           FROM journal_entry
          WHERE source_id = invoice.id
            AND source = 'invoice'
            AND event = 'finalised')
"""

# What invoices put on the account is what they say. Whoever brings payments adds here what is
# open of each item.
RECEIVABLE_DIFFERS = """
SELECT abs(
         (SELECT coalesce(sum(total_amount), 0)
            FROM invoice
           WHERE state = 'final'
             AND issued_on < $1)
         - (SELECT coalesce(sum(amount), 0)
              FROM posting
              JOIN journal_entry ON journal_entry.id = entry_id
             WHERE account = 'receivable'
               AND source = 'invoice'
               AND coalesce(concerns_on, posted_on) < $1))::bigint
"""

BILLING_UNFINISHED = """
SELECT count(*)
  FROM billing_run
 WHERE state <> 'done'
   AND as_of <= $1
"""

LEASES_NOT_POSTED = f"""
SELECT count(*)
  FROM ({leases.DUE}) AS due (id)
"""

CHECKS = {
    "trial_balance": ("The trial balance is in balance, in every currency", OUT_OF_BALANCE),
    "earlier_months": ("Every earlier month with entries is closed", EARLIER_MONTHS),
    "billing_runs": ("No billing run up to the month is unfinished", BILLING_UNFINISHED),
    "invoices_posted": ("Every final invoice is in the ledger", INVOICES_NOT_POSTED),
    "leases": ("The leases of every contract were posted for the month", LEASES_NOT_POSTED),
    "receivable": ("Receivables from invoices are what the invoices say", RECEIVABLE_DIFFERS),
}


async def checks(tx: Connection, to_on: date) -> list[tuple[str, str, int]]:
    """Of each check its code, what it says, and how much is in the way."""
    return [
        (code, title, await tx.fetchval(query, to_on)) for code, (title, query) in CHECKS.items()
    ]
