"""Drafts that a person gives up: a run that came out wrong, or one bill that waits and should not
be. The charges go with the draft, what they had taken back stands again, and the days are due as if
nobody had billed them. What is final stays: it is credited."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from leasing.billing import charges, store
from leasing.billing.model import DraftInUse, InvoiceIsFinal, NoSuchInvoice, NoSuchRun, NotHeld
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event

# Shared with those who add to the run: they hold nothing that we wait for afterwards.
LOCK_RUN = """
SELECT state
  FROM billing_run
 WHERE id = $1
   FOR NO KEY UPDATE
"""

# Waits for the workers that are at one. Whoever comes next finds none.
DROP_CHUNKS = """
DELETE FROM billing_chunk
 WHERE run_id = $1
"""

INVOICES = """
SELECT id, state
  FROM invoice
 WHERE run_id = $1
 ORDER BY id
   FOR UPDATE
"""

DROP_ITEMS = """
DELETE FROM billing_item
 WHERE run_id = $1
"""

DROP_STAGES = """
DELETE FROM billing_stage
 WHERE run_id = $1
"""

DROP_HOLDS = """
DELETE FROM billing_hold
 WHERE run_id = $1
"""

SET_DISCARDED = """
UPDATE billing_run
   SET state = 'discarded',
       stopped_because = NULL,
       approved_by = NULL
 WHERE id = $1
"""


async def run(tx: Connection, run_id: UUID, reason: str, *, by: str, now: datetime) -> None:
    """Give up a run of which nothing is final. The next run, of the same day or a later one, bills
    what is due. Raises `NoSuchRun`, `NotHeld`, `InvoiceIsFinal`, `DraftInUse`."""
    # It may have a million charges.
    await tx.execute("SET LOCAL statement_timeout = '10min'")
    state = await tx.fetchval(LOCK_RUN, run_id)
    if state is None:
        raise NoSuchRun(f"there is no billing run {run_id}")
    if state == "discarded":
        raise NotHeld("the run was discarded already")
    await tx.execute(DROP_CHUNKS, run_id)
    found = await tx.fetch(INVOICES, run_id)
    final = sum(row["state"] == "final" for row in found)
    if final or (state == "done" and not found):
        raise InvoiceIsFinal(f"{final} of its invoices are final" if final else "the run is over")
    drafts = [row["id"] for row in found]
    await drop(tx, drafts)
    for statement in (DROP_ITEMS, DROP_STAGES, DROP_HOLDS, SET_DISCARDED):
        await tx.execute(statement, run_id)
    facts: dict[str, object] = {"reason": reason, "drafts": len(drafts)}
    discarded = Event("billing_run", run_id, "billing_run.discarded", facts)
    await events.append(tx, [discarded], actor=by, now=now)


# The contracts of a draft are due again, as those that were parked.
PARK_ITEMS = """
UPDATE billing_item
   SET state = 'parked',
       code = 'discarded',
       reason = $2,
       charges = 0
 WHERE invoice_id = $1
"""


async def invoice(tx: Connection, invoice_id: UUID, reason: str, *, by: str, now: datetime) -> None:
    """Give up a draft that waits for a person. The next run bills its contracts anew. Raises
    `NoSuchInvoice`, `InvoiceIsFinal`, `NotHeld`, `DraftInUse`."""
    state = (await store.lock(tx, [invoice_id])).get(invoice_id)
    if state is None:
        raise NoSuchInvoice
    if state == "final":
        raise InvoiceIsFinal("it is final: a credit note takes it back")
    if not await tx.fetchval(HELD, invoice_id):
        raise NotHeld("it does not wait: the run that it belongs to is under way")
    await tx.execute(PARK_ITEMS, invoice_id, reason)
    await drop(tx, [invoice_id])
    facts: dict[str, object] = {"reason": reason}
    discarded = Event("invoice", invoice_id, "invoice.discarded", facts)
    await events.append(tx, [discarded], actor=by, now=now)


HELD = """
SELECT held_because IS NOT NULL
  FROM invoice
 WHERE id = $1
"""

CONTRACTS = """
SELECT DISTINCT contract_id
  FROM charge
 WHERE invoice_id = ANY ($1::uuid[])
"""

# Another bill has put right what this one charged.
TAKEN_BACK_ELSEWHERE = """
SELECT other.invoice_id
  FROM charge
  JOIN charge AS other ON other.reverses_id = charge.id
 WHERE charge.invoice_id = ANY ($1::uuid[])
   AND other.invoice_id <> ALL ($1::uuid[])
 LIMIT 1
"""

# Lines that were billed further since: nobody would look at the days between any more.
RESTATE_EARLIER = """
INSERT INTO restatement (line_id, from_on)
SELECT dropped.line_id, min(lower(dropped.during))
  FROM charge AS dropped
 WHERE dropped.invoice_id = ANY ($1::uuid[])
   AND dropped.fee_id IS NULL
   AND EXISTS (
         SELECT FROM charge AS later
          WHERE later.line_id = dropped.line_id
            AND later.invoice_id <> ALL ($1::uuid[])
            AND lower(later.during) >= upper(dropped.during)
            AND later.fee_id IS NULL
            AND later.reverses_id IS NULL
            AND NOT later.is_reversed)
 GROUP BY dropped.line_id
"""

UNSETTLE = """
UPDATE restatement
   SET settled = false,
       settled_by = NULL
 WHERE settled_by = ANY ($1::uuid[])
"""

DROP_CHARGES = """
WITH dropped AS (
  DELETE FROM charge
   WHERE invoice_id = ANY ($1::uuid[])
  RETURNING reverses_id
)
SELECT reverses_id
  FROM dropped
 WHERE reverses_id IS NOT NULL
"""

STAND_AGAIN = """
UPDATE charge
   SET is_reversed = false
 WHERE id = ANY ($1::uuid[])
"""

DROP_SUMS = """
DELETE FROM invoice_sum
 WHERE invoice_id = ANY ($1::uuid[])
"""

DROP_DRAFTS = """
DELETE FROM invoice
 WHERE id = ANY ($1::uuid[])
"""


async def drop(tx: Connection, drafts: Sequence[UUID]) -> None:
    """Take drafts, which the caller holds, out of the books again."""
    contract_ids = [row["contract_id"] for row in await tx.fetch(CONTRACTS, drafts)]
    await charges.lock_contracts(tx, contract_ids)
    other_id = await tx.fetchval(TAKEN_BACK_ELSEWHERE, drafts)
    if other_id is not None:
        raise DraftInUse(f"invoice {other_id} takes a part of it back")
    await tx.execute(RESTATE_EARLIER, drafts)
    await tx.execute(UNSETTLE, drafts)
    taken_back = await tx.fetch(DROP_CHARGES, drafts)
    await tx.execute(STAND_AGAIN, [row["reverses_id"] for row in taken_back])
    await tx.execute(DROP_SUMS, drafts)
    await tx.execute(DROP_DRAFTS, drafts)
