"""Double entry: every money fact is a journal entry whose postings add up to nothing.

The database refuses an entry that does not balance, and a second entry for the same fact.
"""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.ledger.model import Entry

# Entries and their postings in one statement, which is what the database sums them by. `number`
# ties postings to their entry, since an entry is not found again by its contents. What is about a
# month that was closed is posted on the first day that is open.
POST = """
WITH closed AS (
  SELECT coalesce(max(month) + interval '1 month', '-infinity')::date AS to_on
    FROM accounting_period
   WHERE state = 'closed'
), given AS (
  SELECT uuidv7() AS id, entry.*, greatest(entry.concerns_on, closed.to_on) AS posted_on
    FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::date[], $6::uuid[])
         WITH ORDINALITY
         AS entry (source, source_id, event, currency, concerns_on, party_id, number)
   CROSS JOIN closed
), entered AS (
  INSERT INTO journal_entry (id, source, source_id, event, currency, posted_on, concerns_on)
  SELECT id, source, source_id, event, currency, posted_on,
         CASE WHEN concerns_on < posted_on THEN concerns_on END
    FROM given
)
INSERT INTO posting (entry_id, account, party_id, amount)
SELECT given.id, posted.account, given.party_id, posted.amount
  FROM unnest($7::bigint[], $8::text[], $9::bigint[]) AS posted (number, account, amount)
  JOIN given USING (number)
 WHERE posted.amount <> 0
"""


async def post(tx: Connection, entries: Sequence[Entry]) -> None:
    postings = [
        (number, account, amount)
        for number, entry in enumerate(entries, 1)
        for account, amount in entry.amounts.items()
    ]
    await tx.execute(
        POST,
        [entry.source for entry in entries],
        [entry.source_id for entry in entries],
        [entry.event for entry in entries],
        [entry.currency for entry in entries],
        [entry.posted_on for entry in entries],
        [entry.party_id for entry in entries],
        [number for number, _, _ in postings],
        [account for _, account, _ in postings],
        [amount for _, _, amount in postings],
    )


CHART = """
SELECT code, kind, name, name_en
  FROM account
 ORDER BY array_position(ARRAY['asset', 'liability', 'revenue', 'expense'], kind), code
"""


async def chart(tx: Connection) -> list[Record]:
    return await tx.fetch(CHART)


BALANCES = """
SELECT account.code AS account,
       account.kind,
       account.name,
       account.name_en,
       currency,
       sum(CASE WHEN posted_on < $1 THEN amount ELSE 0 END)::bigint AS opening,
       sum(CASE WHEN posted_on < $1 THEN 0 ELSE greatest(amount, 0) END)::bigint AS debit,
       sum(CASE WHEN posted_on < $1 THEN 0 ELSE greatest(-amount, 0) END)::bigint AS credit,
       sum(amount)::bigint AS closing
  FROM posting
  JOIN journal_entry ON journal_entry.id = entry_id
  JOIN account ON account.code = posting.account
 WHERE ($2::date IS NULL OR posted_on <= $2)
   AND ($3::uuid IS NULL OR party_id = $3)
   AND ($4::text IS NULL OR currency = $4)
 GROUP BY account.code, currency
 ORDER BY account.code, currency
"""


async def balances(
    tx: Connection,
    from_on: date | None = None,
    as_of: date | None = None,
    party_id: UUID | None = None,
    currency: str | None = None,
) -> list[Record]:
    """What every account came to between two days, both of which belong to it."""
    return await tx.fetch(BALANCES, from_on, as_of, party_id, currency)


ENTRY_VIEW = """
SELECT id, source, source_id, event, currency, posted_on,
       coalesce(concerns_on, posted_on) AS concerns_on,
       (SELECT coalesce(
                 jsonb_agg(
                   jsonb_build_object(
                     'account', account, 'party_id', party_id, 'amount', amount)
                   ORDER BY account, party_id),
                 '[]')
          FROM posting
         WHERE entry_id = journal_entry.id) AS postings
  FROM journal_entry
"""

GET = f"""{ENTRY_VIEW}
 WHERE id = $1
"""


async def get(tx: Connection, entry_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, entry_id)


# A statement of its own, so that it always goes by the index on sources.
OF_SOURCE = f"""{ENTRY_VIEW}
 WHERE source_id = $1
   AND ($2::text IS NULL OR source = $2)
   AND id > $3
 ORDER BY id
 LIMIT $4
"""


async def of_source(
    tx: Connection, source_id: UUID, source: str | None, after: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(OF_SOURCE, source_id, source, after, limit)


LIST = f"""{ENTRY_VIEW}
 WHERE id > $1
   AND ($2::text IS NULL OR source = $2)
   AND ($3::date IS NULL OR posted_on >= $3)
   AND ($4::date IS NULL OR posted_on <= $4)
   AND (($5::text IS NULL AND $6::uuid IS NULL)
        OR EXISTS (
             SELECT FROM posting
              WHERE entry_id = journal_entry.id
                AND ($5::text IS NULL OR account = $5)
                AND ($6::uuid IS NULL OR party_id = $6)))
 ORDER BY id
 LIMIT $7
"""


async def after(
    tx: Connection,
    entry_id: UUID,
    *,
    source: str | None,
    from_on: date | None,
    as_of: date | None,
    account: str | None,
    party_id: UUID | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, entry_id, source, from_on, as_of, account, party_id, limit)
