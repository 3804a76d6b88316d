"""Runs, their stages, the chunks that workers claim, and what became of each contract."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.billing import rules
from leasing.billing.charges import billing_of
from leasing.billing.model import Item, NoSuchRun
from leasing.db.pool import Connection
from leasing.kit.rows import convert

STAGES = ("plan", "rate", "draft", "review", "finalise", "deliver")


class Run(msgspec.Struct, frozen=True):
    id: UUID
    as_of: date
    buyer_id: UUID | None
    state: str
    max_invoices: int
    approved_by: str | None


OPEN = """
INSERT INTO billing_run (as_of, buyer_id, max_invoices, started_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT billing_run_once DO UPDATE SET max_invoices = excluded.max_invoices
RETURNING id
"""


async def open_run(
    tx: Connection, as_of: date, buyer_id: UUID | None, max_invoices: int, now: datetime
) -> UUID:
    """The run as of a day; the same one however often it is asked for."""
    run_id: UUID = await tx.fetchval(OPEN, as_of, buyer_id, max_invoices, now)
    return run_id


LOCK = """
SELECT id, as_of, buyer_id, state, max_invoices, approved_by
  FROM billing_run
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, run_id: UUID) -> Run | None:
    row = await tx.fetchrow(LOCK, run_id)
    return convert(row, Run) if row else None


READ = """
SELECT id, as_of, buyer_id, state, max_invoices, approved_by
  FROM billing_run
 WHERE id = $1
"""


async def get_run(tx: Connection, run_id: UUID) -> Run:
    row = await tx.fetchrow(READ, run_id)
    if row is None:
        raise NoSuchRun(f"there is no billing run {run_id}")
    return convert(row, Run)


UNFINISHED = """
SELECT id
  FROM billing_run
 WHERE state = 'running'
 ORDER BY as_of, id
"""


async def unfinished(tx: Connection) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(UNFINISHED)]


SET_STATE = """
UPDATE billing_run
   SET state = $2,
       stopped_because = $3,
       finished_at = CASE WHEN $2 = 'done' THEN $4::timestamptz END
 WHERE id = $1
"""


async def set_state(
    tx: Connection, run_id: UUID, state: str, because: str | None, now: datetime
) -> None:
    await tx.execute(SET_STATE, run_id, state, because, now)


FIND = """
SELECT id
  FROM billing_run
 WHERE as_of = $1
   AND buyer_id IS NOT DISTINCT FROM $2
"""


async def find(tx: Connection, as_of: date, buyer_id: UUID | None) -> UUID | None:
    """The run of a day, if there was anything to do on it."""
    run_id: UUID | None = await tx.fetchval(FIND, as_of, buyer_id)
    return run_id


APPROVE = """
UPDATE billing_run
   SET approved_by = $2,
       state = 'running',
       stopped_because = NULL
 WHERE id = $1
"""


async def approve(tx: Connection, run_id: UUID, by: str) -> None:
    await tx.execute(APPROVE, run_id, by)


# Which contracts are due

# Contracts that are billed alike are due alike: there are few such kinds, and the rules say for
# each which period it is. The terms are those of the day, or the last ones.
KINDS = """
SELECT DISTINCT billing_frequency, billing_alignment, billing_timing, billing_day,
       CASE WHEN billing_alignment = 'anniversary' THEN coalesce(billing_anchor_on, starts_on)
            ELSE date_trunc('year', starts_on)::date
        END AS anchor_on,
       billing_end_of_month, proration, starts_on
  FROM contract
  JOIN LATERAL (
         SELECT *
           FROM contract_revision
          WHERE contract_id = contract.id
            AND lower(during) <= $1
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
  JOIN LATERAL (
         SELECT min(lower(during)) AS starts_on
           FROM contract_term
          WHERE contract_id = contract.id) AS term ON true
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
                $9::date[], $10::date[], $11::date[], $12::date[])
         AS kind (billing_frequency, billing_alignment, billing_timing, billing_day, anchor_on,
                  billing_end_of_month, proration, starts_on, from_on, to_on, billing_on)
), agreed AS (
  SELECT contract.id AS contract_id,
         contract.lessor_id AS seller_id,
         contract.lessee_id,
         contract.currency,
         contract.ended_on,
         term.starts_on,
         terms.billing_frequency,
         terms.billing_alignment,
         terms.billing_timing,
         terms.billing_day,
         terms.billing_end_of_month,
         terms.proration,
         CASE WHEN terms.billing_alignment = 'anniversary'
              THEN coalesce(terms.billing_anchor_on, term.starts_on)
              ELSE date_trunc('year', term.starts_on)::date
          END AS anchor_on
    FROM contract
    JOIN LATERAL (
           SELECT *
             FROM contract_revision
            WHERE contract_id = contract.id
              AND lower(during) <= $13
            ORDER BY lower(during) DESC
            LIMIT 1) AS terms ON true
    JOIN LATERAL (
           SELECT min(lower(during)) AS starts_on
             FROM contract_term
            WHERE contract_id = contract.id) AS term ON true
   WHERE contract.state IN ('active', 'suspended', 'ending', 'ended')
     AND ($14::uuid[] IS NULL OR contract.lessee_id = ANY ($14))
), found AS MATERIALIZED (
  SELECT contract_id, seller_id, lessee_id, currency, from_on, to_on, billing_on
    FROM agreed
    JOIN kind USING (billing_frequency, billing_alignment, billing_timing, billing_day, anchor_on,
                     billing_end_of_month, proration, starts_on)
   WHERE NOT EXISTS (
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


async def plan(tx: Connection, run: Run) -> int:
    """Note which contracts are due in a run and not done yet, and the drafts that they are charged
    onto, which are there before anything is charged, so that workers never wait for one another
    to make them. Returns how many contracts there are."""
    kinds = []
    for row in await tx.fetch(KINDS, run.as_of):
        due = rules.due(billing_of(row), row["starts_on"], run.as_of)
        if due is not None:
            kinds.append((*row, *due))
    columns = list(zip(*kinds, strict=True)) if kinds else [()] * 11
    lessees = None if run.buyer_id is None else await paid_for(tx, run.buyer_id)
    done: str = await tx.execute(PLAN, run.id, *columns, run.as_of, lessees)
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


# Stages

BEGIN_STAGE = """
INSERT INTO billing_stage (run_id, stage, total, started_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (run_id, stage) DO UPDATE
   SET state = 'running',
       total = billing_stage.total + excluded.total,
       finished_at = NULL
"""


async def begin_stage(tx: Connection, run_id: UUID, stage: str, total: int, now: datetime) -> None:
    await tx.execute(BEGIN_STAGE, run_id, stage, total, now)


END_STAGE = """
UPDATE billing_stage
   SET state = 'done',
       finished_at = $3
 WHERE run_id = $1
   AND stage = $2
"""


async def end_stage(tx: Connection, run_id: UUID, stage: str, now: datetime) -> None:
    await tx.execute(END_STAGE, run_id, stage, now)


COUNT = """
UPDATE billing_stage
   SET done = done + $3,
       charges = charges + $4
 WHERE run_id = $1
   AND stage = $2
"""


async def count(tx: Connection, run_id: UUID, stage: str, done: int, charges: int = 0) -> None:
    await tx.execute(COUNT, run_id, stage, done, charges)


CURRENT_STAGE = """
SELECT stage
  FROM billing_stage
 WHERE run_id = $1
   AND state = 'running'
"""


async def current_stage(tx: Connection, run_id: UUID) -> str | None:
    found: str | None = await tx.fetchval(CURRENT_STAGE, run_id)
    return found


# Chunks


class Chunk(NamedTuple):
    stage: str
    number: int
    ids: list[UUID]
    attempts: int
    """How many times somebody began it, this time with them."""


# Numbers are given in the order of chunks, so those are finalised one after the other.
CLAIM = """
UPDATE billing_chunk
   SET claimed_by = $3,
       claimed_until = clock_timestamp() + $4::interval,
       attempts = attempts + 1
 WHERE run_id = $1
   AND stage = $2
   AND number = (
     SELECT number
       FROM billing_chunk
      WHERE run_id = $1
        AND stage = $2
        AND state = 'pending'
        AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        AND ($2 <> 'finalise' OR number = (
              SELECT min(number)
                FROM billing_chunk
               WHERE run_id = $1
                 AND stage = $2
                 AND state = 'pending'))
      ORDER BY number
      LIMIT 1
        FOR UPDATE SKIP LOCKED)
RETURNING number, ids, attempts
"""


async def claim(
    tx: Connection, run_id: UUID, stage: str, worker: str, lease_s: float
) -> Chunk | None:
    """The next chunk that nobody is at, for as long as the lease lasts."""
    row = await tx.fetchrow(CLAIM, run_id, stage, worker, timedelta(seconds=lease_s))
    return Chunk(stage, row["number"], row["ids"], row["attempts"]) if row else None


KEEP = """
SELECT true
  FROM billing_chunk
 WHERE run_id = $1
   AND stage = $2
   AND number = $3
   AND state = 'pending'
   AND claimed_by = $4
   FOR UPDATE
"""


async def keep(tx: Connection, run_id: UUID, chunk: Chunk, worker: str) -> bool:
    """Hold a chunk that is still ours for this transaction; False when another has taken it."""
    return bool(await tx.fetchval(KEEP, run_id, chunk.stage, chunk.number, worker))


FINISH = """
UPDATE billing_chunk
   SET state = 'done'
 WHERE run_id = $1
   AND stage = $2
   AND number = $3
"""


async def finish(tx: Connection, run_id: UUID, chunk: Chunk) -> None:
    await tx.execute(FINISH, run_id, chunk.stage, chunk.number)


LEFT = """
SELECT count(*)
  FROM billing_chunk
 WHERE run_id = $1
   AND stage = $2
   AND state = 'pending'
"""


async def left(tx: Connection, run_id: UUID, stage: str) -> int:
    found: int = await tx.fetchval(LEFT, run_id, stage)
    return found


MAKE_CHUNKS = """
INSERT INTO billing_chunk (run_id, stage, number, ids)
SELECT $1, $2, (position - 1) / $4::integer + 1 + (
         SELECT coalesce(max(number), 0) FROM billing_chunk WHERE run_id = $1 AND stage = $2),
       array_agg(id ORDER BY position)
  FROM unnest($3::uuid[]) WITH ORDINALITY AS given (id, position)
 GROUP BY (position - 1) / $4::integer
"""


async def make_chunks(
    tx: Connection, run_id: UUID, stage: str, ids: Sequence[UUID], most: int
) -> None:
    await tx.execute(MAKE_CHUNKS, run_id, stage, ids, most)


# Items

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


NOTE_DONE = """
UPDATE billing_item
   SET state = CASE WHEN given.charges > 0 THEN 'done' ELSE 'skipped' END,
       charges = given.charges,
       attempts = attempts + 1,
       code = NULL,
       reason = NULL
  FROM unnest($2::uuid[], $3::int[]) AS given (contract_id, charges)
 WHERE run_id = $1
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


# The compliance gate

# A stay says that a pack stands in a line; custody, which traceability records make, says who has
# it and where. Where they contradict each other a rent cannot be justified. Almost always one
# record of custody covers all days of the stay; the others are looked at in full.
HOLD = """
WITH item AS MATERIALIZED (
  SELECT *
    FROM unnest($2::uuid[], $3::date[], $4::date[]) AS item (contract_id, from_on, to_on)
), stay AS (
  SELECT line.id AS line_id,
         placement.pack_id,
         placement.during * daterange(item.from_on, least(item.to_on, $5::date + 1)) AS days
    FROM item
    JOIN lease_line AS line ON line.contract_id = item.contract_id
    JOIN placement
      ON placement.line_id = line.id
     AND placement.during && daterange(item.from_on, least(item.to_on, $5::date + 1))
), doubtful AS (
  SELECT *
    FROM stay
   WHERE NOT EXISTS (
           SELECT FROM custody
            WHERE custody.line_id = stay.line_id
              AND custody.pack_id = stay.pack_id
              AND custody.state = 'leased'
              AND custody.during @> stay.days)
), held AS (
  SELECT doubtful.line_id,
         doubtful.pack_id,
         lower(doubtful.days - coalesce(shown.days, '{}')) AS on_day
    FROM (SELECT line_id, pack_id, datemultirange(days) AS days FROM doubtful) AS doubtful
   CROSS JOIN LATERAL (
           SELECT range_agg(during) AS days
             FROM custody
            WHERE custody.line_id = doubtful.line_id
              AND custody.pack_id = doubtful.pack_id
              AND custody.state = 'leased') AS shown
   WHERE NOT coalesce(shown.days, '{}') @> doubtful.days
)
INSERT INTO billing_hold (run_id, line_id, code, reason)
SELECT $1,
       held.line_id,
       CASE WHEN custody.pack_id IS NULL THEN 'custody_missing' ELSE 'custody_elsewhere' END,
       'pack ' || held.pack_id || ' stands in the line on ' || on_day || ', its records say '
         || coalesce(custody.state || coalesce(' in line ' || custody.line_id, ''), 'nothing')
  FROM held
  LEFT JOIN custody
    ON custody.pack_id = held.pack_id
   AND custody.during @> on_day
    ON CONFLICT (run_id, line_id, code) DO UPDATE SET reason = excluded.reason
RETURNING line_id
"""


async def hold_inconsistent(tx: Connection, run: Run, items: Sequence[Item]) -> list[UUID]:
    """Note which lines of contracts are not billed, and why; returns them."""
    rows = await tx.fetch(
        HOLD,
        run.id,
        [item.contract_id for item in items],
        [item.from_on for item in items],
        [item.to_on for item in items],
        run.as_of,
    )
    return [row["line_id"] for row in rows]


HOLD_LINE = """
INSERT INTO billing_hold (run_id, line_id, code, reason)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (run_id, line_id, code) DO UPDATE SET reason = excluded.reason
"""


async def hold(tx: Connection, run_id: UUID, line_id: UUID, code: str, reason: str) -> None:
    await tx.execute(HOLD_LINE, run_id, line_id, code, reason)


COUNT_HELD = """
SELECT count(DISTINCT line_id)
  FROM billing_hold
 WHERE run_id = $1
"""


async def count_held(tx: Connection, run_id: UUID) -> int:
    found: int = await tx.fetchval(COUNT_HELD, run_id)
    return found


VIEW = """
SELECT billing_run.id,
       as_of,
       buyer_id,
       state,
       stopped_because,
       approved_by,
       started_at,
       finished_at,
       (SELECT count(*) FROM invoice
         WHERE run_id = billing_run.id AND invoice.state = 'final') AS invoices,
       (SELECT coalesce(sum(total_amount), 0)::bigint FROM invoice
         WHERE run_id = billing_run.id AND invoice.state = 'final') AS total_amount,
       (SELECT count(*) FROM invoice
         WHERE run_id = billing_run.id AND held_because IS NOT NULL) AS held_invoices,
       (SELECT count(*) FROM billing_item
         WHERE run_id = billing_run.id
           AND billing_item.state IN ('failed', 'parked')) AS parked,
       (SELECT count(*) FROM billing_hold WHERE run_id = billing_run.id) AS held_lines
  FROM billing_run
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def get(tx: Connection, run_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, run_id)


async def after(tx: Connection, run_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, run_id, limit)


STAGES_OF = """
SELECT stage, state, total, done, charges, started_at, finished_at
  FROM billing_stage
 WHERE run_id = $1
 ORDER BY array_position(ARRAY['plan', 'rate', 'draft', 'review', 'finalise', 'deliver'], stage)
"""


async def stages(tx: Connection, run_id: UUID) -> list[Record]:
    return await tx.fetch(STAGES_OF, run_id)


RESULTS = """
SELECT contract_id, from_on, to_on, billing_on, state, attempts, charges, code, reason
  FROM billing_item
 WHERE run_id = $1
   AND contract_id > $2
   AND ($3::text IS NULL OR state = $3)
 ORDER BY contract_id
 LIMIT $4
"""


async def results_after(
    tx: Connection, run_id: UUID, contract_id: UUID, state: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(RESULTS, run_id, contract_id, state, limit)


HOLDS = """
SELECT line_id, code, reason
  FROM billing_hold
 WHERE run_id = $1
   AND line_id > $2
 ORDER BY line_id, code
 LIMIT $3
"""


async def holds_after(tx: Connection, run_id: UUID, line_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(HOLDS, run_id, line_id, limit)
