"""Which contracts are due in a run, and who is to rate which of them."""

from uuid import UUID

from leasing.billing import rules
from leasing.billing.charges import billing_of
from leasing.billing.runs import Run
from leasing.db.pool import Connection

# Contracts that are billed alike are due alike: there are few such kinds, and the rules say for
# each which period it is. The terms are those of the day, or the last ones.
KINDS = """
SELECT DISTINCT billing_frequency, billing_alignment, billing_timing, billing_day,
       CASE WHEN billing_alignment = 'anniversary' THEN coalesce(billing_anchor_on, starts_on)
            ELSE date_trunc('year', starts_on)::date
        END AS anchor_on,
       billing_end_of_month, proration, starts_on, first_stub, last_stub,
       CASE WHEN last_stub = 'long' THEN contract_ends_on(contract.id) END AS ends_on
  FROM contract
  JOIN LATERAL (
         SELECT *
           FROM contract_revision
          WHERE contract_id = contract.id
            AND lower(during) <= $1
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
  JOIN LATERAL (
         SELECT lower(during) AS starts_on
           FROM contract_term
          WHERE contract_id = contract.id
          ORDER BY lower(during)
          LIMIT 1) AS term ON true
 WHERE state IN ('active', 'suspended', 'ending', 'ended')
"""

# A contract is due when its period is and it was not billed since: no run of that day or a later
# one has done it. One that has ended is due once more, and whenever something is to be put right.
# A contract that was parked or failed was not done. Those who pay come one after the other, so
# that an invoice is the work of few chunks.
PLAN = """
WITH kind AS MATERIALIZED (
  SELECT *
    FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::date[], $7::bool[], $8::text[],
                $9::date[], $10::text[], $11::text[], $12::date[], $13::date[], $14::date[],
                $15::date[])
         AS kind (billing_frequency, billing_alignment, billing_timing, billing_day, anchor_on,
                  billing_end_of_month, proration, starts_on, first_stub, last_stub, ends_on,
                  from_on, to_on, billing_on)
), agreed AS (
  SELECT contract.id AS contract_id,
         contract.lessor_id AS seller_id,
         contract.lessee_id,
         contract.currency,
         -- Rent may be owed for the day on which packs went back.
         contract.ended_on + (terms.return_day = 'billed')::integer AS ended_on,
         term.starts_on,
         terms.billing_frequency,
         terms.billing_alignment,
         terms.billing_timing,
         terms.billing_day,
         terms.billing_end_of_month,
         terms.proration,
         terms.first_stub,
         terms.last_stub,
         CASE WHEN terms.last_stub = 'long' THEN contract_ends_on(contract.id) END AS ends_on,
         CASE WHEN terms.billing_alignment = 'anniversary'
              THEN coalesce(terms.billing_anchor_on, term.starts_on)
              ELSE date_trunc('year', term.starts_on)::date
          END AS anchor_on
    FROM contract
    JOIN LATERAL (
           SELECT *
             FROM contract_revision
            WHERE contract_id = contract.id
              AND lower(during) <= $16
            ORDER BY lower(during) DESC
            LIMIT 1) AS terms ON true
    JOIN LATERAL (
           SELECT lower(during) AS starts_on
             FROM contract_term
            WHERE contract_id = contract.id
            ORDER BY lower(during)
            LIMIT 1) AS term ON true
   WHERE contract.state IN ('active', 'suspended', 'ending', 'ended')
     AND ($17::uuid[] IS NULL OR contract.lessee_id = ANY ($17))
), found AS MATERIALIZED (
  SELECT contract_id, seller_id, lessee_id, currency, from_on, to_on, billing_on
    FROM agreed
    JOIN kind USING (billing_frequency, billing_alignment, billing_timing, billing_day, anchor_on,
                     billing_end_of_month, proration, starts_on, first_stub, last_stub)
   WHERE agreed.ends_on IS NOT DISTINCT FROM kind.ends_on
     AND NOT EXISTS (
           SELECT FROM billing_item
            WHERE billing_item.contract_id = agreed.contract_id
              AND billing_item.billing_on >= kind.billing_on
              AND billing_item.state IN ('done', 'skipped'))
     AND (agreed.ended_on IS NULL
          OR NOT EXISTS (
               SELECT FROM billing_item
                WHERE billing_item.contract_id = agreed.contract_id
                  AND billing_item.billing_on >= agreed.ended_on
                  AND billing_item.state IN ('done', 'skipped'))
          OR EXISTS (
               SELECT FROM lease_line
                 JOIN restatement ON restatement.line_id = lease_line.id AND NOT settled
                WHERE lease_line.contract_id = agreed.contract_id)
          OR EXISTS (
               SELECT FROM fee
                WHERE fee.contract_id = agreed.contract_id
                  AND NOT EXISTS (
                        SELECT FROM charge
                         WHERE fee_id = fee.id AND reverses_id IS NULL AND NOT is_reversed)))
), payer AS MATERIALIZED (
  SELECT lessee_id, billing_party_of(lessee_id) AS buyer_id
    FROM (SELECT DISTINCT lessee_id FROM found) AS lessee
), due AS MATERIALIZED (
  SELECT found.*, buyer_id
    FROM found
    JOIN payer USING (lessee_id)
), bill AS MATERIALIZED (
  SELECT seller_id,
         buyer_id,
         currency,
         daterange(min(from_on), max(to_on)) AS period,
         array_agg(contract_id ORDER BY contract_id) AS contract_ids,
         array_agg(from_on ORDER BY contract_id) AS from_on,
         array_agg(to_on ORDER BY contract_id) AS to_on,
         array_agg(billing_on ORDER BY contract_id) AS billing_on,
         uuidv7() AS fresh_id,
         (SELECT id
            FROM invoice
           WHERE invoice.buyer_id = due.buyer_id
             AND invoice.currency = due.currency
             AND invoice.seller_id IS NOT DISTINCT FROM due.seller_id
             AND run_id = $1
             AND state = 'draft'
             AND missed_from IS NULL
             AND held_because IS NULL) AS known_id
    FROM due
   GROUP BY seller_id, buyer_id, currency
   ORDER BY seller_id, buyer_id, currency
), made AS (
  INSERT INTO invoice (id, run_id, seller_id, buyer_id, currency, period)
  SELECT fresh_id, $1, seller_id, buyer_id, currency, period
    FROM bill
   WHERE known_id IS NULL
)
INSERT INTO billing_item (run_id, contract_id, invoice_id, from_on, to_on, billing_on)
SELECT $1, unnest(contract_ids), coalesce(known_id, fresh_id), unnest(from_on), unnest(to_on),
       unnest(billing_on)
  FROM bill
    ON CONFLICT (run_id, contract_id) DO UPDATE
   SET state = 'pending',
       invoice_id = excluded.invoice_id,
       code = NULL,
       reason = NULL,
       attempts = 0
"""


# Nobody tells PostgreSQL how many contracts a kind has. It takes them to be few, and compares each
# contract with each one who pays: at 250,000 contracts of 12,000 customers that never ends.
NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"
AS_USUAL = "SET LOCAL enable_nestloop TO DEFAULT"


async def plan(tx: Connection, run: Run) -> int:
    """Note which contracts are due in a run and not done yet, and the drafts that they are charged
    onto, which are there before anything is charged, so that workers never wait for one another
    to make them. Returns how many contracts there are."""
    kinds = []
    for row in await tx.fetch(KINDS, run.as_of):
        due = rules.due(billing_of(row), row["starts_on"], run.as_of)
        if due is not None:
            kinds.append((*row, *due))
    columns = list(zip(*kinds, strict=True)) if kinds else [()] * 14
    lessees = None if run.buyer_id is None else await paid_for(tx, run.buyer_id)
    await tx.execute(NO_NESTED_LOOPS)
    done: str = await tx.execute(PLAN, run.id, *columns, run.as_of, lessees)
    await tx.execute(AS_USUAL)
    return int(done.rpartition(" ")[2])


PAID_FOR = """
SELECT id
  FROM party
 WHERE kind = 'customer'
   AND billing_party_of(id) = $1
"""


async def paid_for(tx: Connection, buyer_id: UUID) -> list[UUID]:
    """The customers whose bills a party gets."""
    return [row["id"] for row in await tx.fetch(PAID_FOR, buyer_id)]


MAKE_CHUNKS_TO_RATE = """
WITH item AS (
  SELECT billing_item.contract_id,
         row_number() OVER walk AS position,
         sum((SELECT count(*) FROM lease_line
               WHERE lease_line.contract_id = billing_item.contract_id)) OVER walk AS lines
    FROM billing_item
   WHERE run_id = $1
     AND billing_item.state = 'pending'
  WINDOW walk AS (ORDER BY invoice_id, contract_id)
), chunk AS (
  SELECT array_agg(contract_id ORDER BY position) AS ids, min(position) AS first
    FROM item
   GROUP BY greatest(lines::bigint / $2::integer, position / $3::integer)
)
INSERT INTO billing_chunk (run_id, stage, number, ids)
SELECT $1, 'rate', row_number() OVER (ORDER BY first) + (
         SELECT coalesce(max(number), 0) FROM billing_chunk WHERE run_id = $1 AND stage = 'rate'),
       ids
  FROM chunk
"""


async def make_chunks_to_rate(
    tx: Connection, run_id: UUID, most_lines: int, most_contracts: int
) -> None:
    """Cut pending contracts into chunks of about so many lines. A contract is never cut."""
    await tx.execute(MAKE_CHUNKS_TO_RATE, run_id, most_lines, most_contracts)
