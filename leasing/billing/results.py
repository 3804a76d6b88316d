"""Contracts that are due in a run, and what became of each."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from leasing.billing.model import Item
from leasing.db.pool import Connection

ITEMS = """
SELECT contract_id, invoice_id, from_on, to_on, billing_on, attempts
  FROM billing_item
 WHERE run_id = $1
   AND contract_id = ANY ($2::uuid[])
   AND state IN ('pending', 'failed')
 ORDER BY contract_id
"""


async def items(tx: Connection, run_id: UUID, contract_ids: Sequence[UUID]) -> list[Item]:
    """Contracts of a run that are not done, each with the draft it is charged onto."""
    return [Item(*row) for row in await tx.fetch(ITEMS, run_id, contract_ids)]


PENDING = """
SELECT contract_id
  FROM billing_item
 WHERE run_id = $1
   AND state = 'pending'
 ORDER BY invoice_id, contract_id
"""


async def pending(tx: Connection, run_id: UUID) -> list[UUID]:
    return [row["contract_id"] for row in await tx.fetch(PENDING, run_id)]


# The array beside the join has the rows found by their key, not by reading all of the run.
NOTE_DONE = """
UPDATE billing_item
   SET state = CASE WHEN given.charges > 0 THEN 'done' ELSE 'skipped' END,
       charges = given.charges,
       attempts = attempts + 1,
       code = NULL,
       reason = NULL
  FROM unnest($2::uuid[], $3::int[]) AS given (contract_id, charges)
 WHERE run_id = $1
   AND billing_item.contract_id = ANY ($2)
   AND billing_item.contract_id = given.contract_id
"""


async def note_done(tx: Connection, run_id: UUID, charges: dict[UUID, int]) -> None:
    await tx.execute(NOTE_DONE, run_id, list(charges), list(charges.values()))


NOTE_TROUBLE = """
UPDATE billing_item
   SET state = $3,
       attempts = attempts + 1,
       code = $4,
       reason = $5
 WHERE run_id = $1
   AND contract_id = $2
"""


async def note_trouble(
    tx: Connection, run_id: UUID, contract_id: UUID, state: str, code: str, reason: str
) -> None:
    await tx.execute(NOTE_TROUBLE, run_id, contract_id, state, code, reason)


FAILED = """
SELECT contract_id
  FROM billing_item
 WHERE run_id = $1
   AND state = 'failed'
   AND code IS NOT NULL
 ORDER BY contract_id
"""


async def failed(tx: Connection, run_id: UUID) -> list[UUID]:
    return [row["contract_id"] for row in await tx.fetch(FAILED, run_id)]


BY_STATE = """
SELECT state, count(*) AS contracts
  FROM billing_item
 WHERE run_id = $1
 GROUP BY state
"""


async def by_state(tx: Connection, run_id: UUID) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    found.update({row["state"]: row["contracts"] for row in await tx.fetch(BY_STATE, run_id)})
    return found


RESULTS = """
SELECT contract_id, from_on, to_on, billing_on, state, attempts, charges, code, reason
  FROM billing_item
 WHERE run_id = $1
   AND contract_id > $2
   AND ($3::text IS NULL OR state = $3)
 ORDER BY contract_id
 LIMIT $4
"""


async def after(
    tx: Connection, run_id: UUID, contract_id: UUID, state: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(RESULTS, run_id, contract_id, state, limit)
