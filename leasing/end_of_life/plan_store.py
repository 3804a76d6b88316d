"""Plans in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection

INSERT_PLAN = """
INSERT INTO routing_plan
       (digest, input_sha256, outlets_version, as_of, hand_over_on, solver, solver_seconds, packs,
        planned, value, bound, outbid, unused, instance, solution, made_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING id
"""


async def insert_plan(
    tx: Connection,
    *,
    digest: str,
    input_sha256: str,
    outlets_version: str,
    as_of: date,
    hand_over_on: date,
    solver: str,
    solver_seconds: float,
    packs: int,
    planned: int,
    value: int,
    bound: int,
    outbid: int,
    unused: int,
    instance: bytes,
    solution: bytes,
    now: datetime,
) -> UUID:
    plan_id: UUID = await tx.fetchval(
        INSERT_PLAN,
        digest,
        input_sha256,
        outlets_version,
        as_of,
        hand_over_on,
        solver,
        Decimal(f"{solver_seconds:.3f}"),
        packs,
        planned,
        value,
        bound,
        outbid,
        unused,
        instance,
        solution,
        now,
    )
    return plan_id


ITEM_COLUMNS = (
    *("plan_id", "pack_id", "state", "adcode", "mass_kg", "outlet_id", "recycler_id", "parts"),
    *("reason", "locked_by"),
)


async def insert_items(tx: Connection, items: list[tuple[object, ...]]) -> None:
    await tx.copy_records_to_table("routing_plan_item", columns=ITEM_COLUMNS, records=items)


OF_INPUT = """
SELECT id, state
  FROM routing_plan
 WHERE input_sha256 = $1
"""

REVIVE = """
UPDATE routing_plan
   SET state = 'proposed',
       closed_at = NULL
 WHERE id = $1
   AND state = 'superseded'
"""

SUPERSEDE = """
UPDATE routing_plan
   SET state = CASE
         WHEN NOT EXISTS (
           SELECT FROM routing_plan_item
            WHERE plan_id = routing_plan.id
              AND routing_plan_item.state = 'planned')
          AND planned > 0 THEN 'applied'
         WHEN hand_over_on <= $2 THEN 'expired'
         ELSE 'superseded'
       END,
       closed_at = $3
 WHERE state = 'proposed'
   AND id <> $1
"""

CLOSE_IF_APPLIED = """
UPDATE routing_plan
   SET state = 'applied',
       closed_at = $2
 WHERE id = $1
   AND state = 'proposed'
   AND NOT EXISTS (
         SELECT FROM routing_plan_item
          WHERE plan_id = $1
            AND routing_plan_item.state = 'planned')
"""

SHOWN = """
SELECT id, digest, input_sha256, outlets_version, as_of, hand_over_on, state, solver,
       solver_seconds, packs, planned, packs - planned AS held, value AS value_cny_e4,
       bound AS bound_cny_e4, outbid AS outbid_cny_e4, unused AS unused_cny_e4,
       (1e6 * (bound - value) / greatest(1, abs(bound)))::double precision AS gap_ppm,
       made_at, closed_at
  FROM routing_plan
"""

GET_PLAN = f"""{SHOWN}
 WHERE id = $1
"""

LIST_PLANS = f"""{SHOWN}
 WHERE id < $1
   AND ($2::text IS NULL OR state = $2)
 ORDER BY id DESC
 LIMIT $3
"""

NEWEST = f"""{SHOWN}
 WHERE state = 'proposed'
 ORDER BY id DESC
 LIMIT 1
"""

# By its id, or by the beginning of its digest.
FIND = """
SELECT id, digest, state, value, bound, outbid, unused, instance, solution
  FROM routing_plan
 WHERE id::text = $1
    OR (length($1) >= 8 AND starts_with(digest, $1))
 ORDER BY id DESC
 LIMIT 1
"""


LOCK_PLAN = """
SELECT state
  FROM routing_plan
 WHERE id = $1
   FOR UPDATE
"""


async def lock_plan(tx: Connection, plan_id: UUID) -> None:
    """The last lock of whoever changes a plan's items: held while its event is written and it is
    closed, and no longer."""
    await tx.execute(LOCK_PLAN, plan_id)


async def of_input(tx: Connection, input_sha256: str) -> Record | None:
    return await tx.fetchrow(OF_INPUT, input_sha256)


async def revive(tx: Connection, plan_id: UUID) -> None:
    await tx.execute(REVIVE, plan_id)


async def supersede(tx: Connection, plan_id: UUID, today: date, now: datetime) -> None:
    await tx.execute(SUPERSEDE, plan_id, today, now)


async def close_if_applied(tx: Connection, plan_id: UUID, now: datetime) -> None:
    await tx.execute(CLOSE_IF_APPLIED, plan_id, now)


async def get(tx: Connection, plan_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_PLAN, plan_id)


async def before(tx: Connection, plan_id: UUID, state: str | None, limit: int) -> list[Record]:
    return await tx.fetch(LIST_PLANS, plan_id, state, limit)


async def newest(tx: Connection) -> Record | None:
    return await tx.fetchrow(NEWEST)


async def find(tx: Connection, named: str) -> Record | None:
    return await tx.fetchrow(FIND, named)


LIST_ITEMS = """
SELECT routing_plan_item.id, pack_id, state, routing_plan_item.adcode, mass_kg, outlet_id,
       outlet.code AS outlet_code, routing_plan_item.recycler_id, parts, reason, locked_by,
       routing_id
  FROM routing_plan_item
  LEFT JOIN outlet ON outlet.id = outlet_id
 WHERE plan_id = $1
   AND routing_plan_item.id > $2
   AND ($3::text IS NULL OR state = $3)
   AND ($4::uuid IS NULL OR pack_id = $4)
 ORDER BY routing_plan_item.id
 LIMIT $5
"""


async def items_after(
    tx: Connection,
    plan_id: UUID,
    item_id: UUID,
    state: str | None,
    pack_id: UUID | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST_ITEMS, plan_id, item_id, state, pack_id, limit)


LOCK_BY_STAFF = """
UPDATE routing_plan_item
   SET locked_by = CASE WHEN $3::boolean THEN $4::text END
 WHERE plan_id = $1
   AND pack_id = ANY ($2::uuid[])
   AND state = 'planned'
"""


async def lock_items(
    tx: Connection, plan_id: UUID, pack_ids: list[UUID], locked: bool, by: str
) -> int:
    done = await tx.execute(LOCK_BY_STAFF, plan_id, pack_ids, locked, by)
    return int(done.split()[1])


LOCKED = """
SELECT pack_id, outlet_id, locked_by
  FROM routing_plan_item
  JOIN routing_plan ON routing_plan.id = plan_id
 WHERE routing_plan.state = 'proposed'
   AND routing_plan_item.state = 'planned'
   AND locked_by IS NOT NULL
 ORDER BY plan_id, pack_id
"""


async def locked(tx: Connection) -> list[Record]:
    """What staff locked in plans that wait to be applied."""
    return await tx.fetch(LOCKED)


CHUNK = """
SELECT pack_id, outlet_id, recycler_id
  FROM routing_plan_item
 WHERE plan_id = $1
   AND adcode = $2
   AND state = 'planned'
 ORDER BY pack_id
   FOR UPDATE
"""

APPLIED_ITEMS = """
UPDATE routing_plan_item
   SET state = 'applied',
       outlet_id = given.outlet_id,
       recycler_id = given.recycler_id,
       routing_id = given.routing_id,
       parts = given.parts
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::jsonb[])
       AS given (pack_id, outlet_id, recycler_id, routing_id, parts)
 WHERE plan_id = $1
   AND routing_plan_item.pack_id = given.pack_id
"""

REFUSED_ITEMS = """
UPDATE routing_plan_item
   SET state = 'refused',
       reason = given.reason
  FROM unnest($2::uuid[], $3::text[]) AS given (pack_id, reason)
 WHERE plan_id = $1
   AND routing_plan_item.pack_id = given.pack_id
"""

LEFT = """
SELECT count(*)
  FROM routing_plan_item
 WHERE plan_id = $1
   AND state = 'planned'
"""

PREFECTURES = """
SELECT DISTINCT adcode
  FROM routing_plan_item
 WHERE plan_id = $1
   AND state = 'planned'
 ORDER BY adcode
"""


async def chunk(tx: Connection, plan_id: UUID, adcode: str) -> list[Record]:
    """What is planned for packs of a prefecture, locked in order of packs."""
    return await tx.fetch(CHUNK, plan_id, adcode)


async def applied(
    tx: Connection,
    plan_id: UUID,
    pack_ids: Sequence[UUID],
    outlet_ids: Sequence[UUID],
    recycler_ids: Sequence[UUID],
    routing_ids: Sequence[UUID],
    parts: Sequence[dict[str, object]],
) -> None:
    await tx.execute(APPLIED_ITEMS, plan_id, pack_ids, outlet_ids, recycler_ids, routing_ids, parts)


async def refused(
    tx: Connection, plan_id: UUID, pack_ids: Sequence[UUID], reasons: Sequence[str]
) -> None:
    await tx.execute(REFUSED_ITEMS, plan_id, pack_ids, reasons)


async def left(tx: Connection, plan_id: UUID) -> int:
    count: int = await tx.fetchval(LEFT, plan_id)
    return count


async def prefectures(tx: Connection, plan_id: UUID) -> list[str]:
    """Prefectures with packs that wait for the plan to be applied."""
    return [row["adcode"] for row in await tx.fetch(PREFECTURES, plan_id)]


COMPARE = """
SELECT count(*) AS packs_in_both,
       count(*) FILTER (WHERE one.outlet_id IS DISTINCT FROM other.outlet_id) AS moves
  FROM routing_plan_item AS one
  JOIN routing_plan_item AS other ON other.pack_id = one.pack_id
 WHERE one.plan_id = $1
   AND other.plan_id = $2
"""


async def compare(tx: Connection, one: UUID, other: UUID) -> Record:
    row = await tx.fetchrow(COMPARE, one, other)
    assert row is not None
    return row


OUTLET_CODES = """
SELECT id, code
  FROM outlet
 WHERE id = ANY ($1::uuid[])
"""


async def outlet_codes(tx: Connection, outlet_ids: list[UUID]) -> dict[UUID, str]:
    return {row["id"]: row["code"] for row in await tx.fetch(OUTLET_CODES, outlet_ids)}
