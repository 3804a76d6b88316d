"""Double entry: every money fact is a journal entry whose postings add up to nothing.

The database refuses an entry that does not balance when the transaction commits, and a second
entry for the same fact.
"""

from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection

ENTER = """
INSERT INTO journal_entry (source, source_id, event, currency, posted_on)
VALUES ($1, $2, $3, $4, $5)
RETURNING id
"""

POST = """
INSERT INTO posting (entry_id, account, party_id, amount)
SELECT $1, account, $2, amount
  FROM unnest($3::text[], $4::bigint[]) AS given (account, amount)
 WHERE amount <> 0
"""


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
    """Enter a fact. `amounts` is by account: debit positive, credit negative."""
    entry_id = await tx.fetchval(ENTER, source, source_id, event, currency, posted_on)
    await tx.execute(POST, entry_id, party_id, list(amounts), list(amounts.values()))


BALANCES = """
SELECT account,
       currency,
       sum(greatest(amount, 0))::bigint AS debit,
       sum(greatest(-amount, 0))::bigint AS credit
  FROM posting
  JOIN journal_entry ON journal_entry.id = entry_id
 GROUP BY account, currency
 ORDER BY account, currency
"""


async def balances(tx: Connection) -> list[Record]:
    return await tx.fetch(BALANCES)
