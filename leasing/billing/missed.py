"""Invoices of periods that were not billed in time, where a contract wants one for each."""

from collections.abc import Mapping
from uuid import UUID

from leasing.db.pool import Connection
from leasing.pricing.periods import Period

# In one order, so that two workers that need the same ones wait for each other and no more.
OPEN = """
INSERT INTO invoice (run_id, seller_id, buyer_id, currency, period, missed_from)
SELECT $1, seller_id, buyer_id, currency, daterange($2, $3), $2
  FROM invoice
 WHERE id = ANY ($4::uuid[])
 ORDER BY seller_id, buyer_id, currency
    ON CONFLICT DO NOTHING
"""

FIND = """
SELECT due.id AS due_id, missed.id AS missed_id
  FROM invoice AS due
  JOIN invoice AS missed
    ON missed.run_id = $1
   AND missed.missed_from = $2
   AND missed.state = 'draft'
   AND missed.held_because IS NULL
   AND missed.buyer_id = due.buyer_id
   AND missed.currency = due.currency
   AND missed.seller_id IS NOT DISTINCT FROM due.seller_id
 WHERE due.id = ANY ($3::uuid[])
"""


async def drafts(
    tx: Connection, run_id: UUID, period: Period, invoices: Mapping[UUID, UUID]
) -> dict[UUID, UUID]:
    """The drafts of a period that was missed, by contract, given those of the period that is due:
    one for all contracts that the same party pays."""
    due_ids = list(set(invoices.values()))
    await tx.execute(OPEN, run_id, *period, due_ids)
    rows = await tx.fetch(FIND, run_id, period.from_on, due_ids)
    found = {row["due_id"]: row["missed_id"] for row in rows}
    return {contract_id: found[due_id] for contract_id, due_id in invoices.items()}
