"""Packs, their records and their custody, some thousand packs at a time."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.balances.model import Batch, Pack, Scope, Stay, Step
from leasing.db.pool import Connection
from leasing.kit.rows import convert

AT_ONCE = 5_000
FIRST = UUID(int=0)

# Packs that may concern a scope; which days do is decided in code. A mass that a pack was handed
# over with is told only where it is another than the pack's.
PACKS = """
SELECT pack.id, printed.code, pack.mass_kg, pack.rated_energy_wh, pack.state,
       (SELECT routing.mass_kg
          FROM routing
         WHERE routing.pack_id = pack.id
           AND routing.state IN ('handed_over', 'recycled')
           AND routing.mass_kg <> pack.mass_kg
         ORDER BY routing.id DESC
         LIMIT 1) AS handed_over_kg
  FROM pack
  JOIN pack_code AS printed ON printed.pack_id = pack.id AND printed.is_current
 WHERE pack.id > $1
   AND pack.acquired_on < $2
   AND ($3::uuid IS NULL
        OR EXISTS (SELECT FROM custody
                    WHERE custody.pack_id = pack.id AND custody.party_id = $3)
        OR EXISTS (SELECT FROM trace_record
                    WHERE trace_record.pack_id = pack.id AND trace_record.party_id = $3))
   AND ($4::uuid IS NULL
        OR EXISTS (SELECT FROM custody
                    WHERE custody.pack_id = pack.id AND custody.outlet_id = $4)
        OR EXISTS (SELECT FROM routing
                    WHERE routing.pack_id = pack.id AND routing.outlet_id = $4))
 ORDER BY pack.id
 LIMIT $5
"""

# What a step says of an outlet it says by its routing; a step without a place is at the lessor's.
STEPS = """
SELECT step.pack_id, step.kind, step.happened_on, step.party_id, routing.outlet_id,
       coalesce(step.adcode, $2) AS adcode
  FROM trace_record AS step
  LEFT JOIN routing ON routing.id = (step.data ->> 'routing_id')::uuid
 WHERE step.pack_id = ANY ($1::uuid[])
 ORDER BY step.pack_id, step.sequence
"""

CUSTODY = """
SELECT custody.pack_id, lower(custody.during) AS from_on, upper(custody.during) AS to_on,
       custody.state, custody.party_id, custody.outlet_id, coalesce(step.adcode, $2) AS adcode
  FROM custody
  LEFT JOIN trace_record AS step ON step.id = custody.trace_id
 WHERE custody.pack_id = ANY ($1::uuid[])
 ORDER BY custody.pack_id, custody.during
"""

BATCHES = """
SELECT routing.pack_id, recovery_batch.id, recovery_batch.number, recovery_batch.received_on,
       (SELECT count(*)
          FROM recovery_batch_pack
         WHERE recovery_batch_pack.batch_id = recovery_batch.id) AS packs,
       recovery_batch.expected_kg, recovery_batch.mass_in_kg
  FROM routing
  JOIN recovery_batch_pack ON recovery_batch_pack.routing_id = routing.id
  JOIN recovery_batch ON recovery_batch.id = batch_id
 WHERE routing.pack_id = ANY ($1::uuid[])
"""

Pieces = tuple[Pack, list[Step], list[Stay], Batch | None]


async def pieces(
    tx: Connection, scope: Scope, to_on: date, home: str | None
) -> AsyncIterator[list[Pieces]]:
    """Packs that may concern a scope, each with what its records say, what custody says, and the
    batch it was treated in."""
    after = FIRST
    party_id = None if scope.is_lessor else scope.party_id
    while True:
        rows = await tx.fetch(PACKS, after, to_on, party_id, scope.outlet_id, AT_ONCE)
        packs = [convert(row, Pack) for row in rows]
        if packs:
            yield await joined(tx, packs, home)
        if len(packs) < AT_ONCE:
            return
        after = packs[-1].id


async def joined(tx: Connection, packs: Sequence[Pack], home: str | None) -> list[Pieces]:
    ids = [pack.id for pack in packs]
    steps: dict[UUID, list[Step]] = defaultdict(list)
    for row in await tx.fetch(STEPS, ids, home):
        steps[row["pack_id"]].append(convert(row, Step))
    stays: dict[UUID, list[Stay]] = defaultdict(list)
    for row in await tx.fetch(CUSTODY, ids, home):
        stays[row["pack_id"]].append(convert(row, Stay))
    batches = {row["pack_id"]: convert(row, Batch) for row in await tx.fetch(BATCHES, ids)}
    return [(pack, steps[pack.id], stays[pack.id], batches.get(pack.id)) for pack in packs]


LESSOR = """
SELECT id, home_adcode
  FROM party
 WHERE kind = 'lessor'
 ORDER BY id
 LIMIT 1
"""


async def lessor(tx: Connection) -> Record | None:
    return await tx.fetchrow(LESSOR)


PARTY_KIND = "SELECT kind FROM party WHERE id = $1"


async def party_kind(tx: Connection, party_id: UUID) -> str | None:
    found: str | None = await tx.fetchval(PARTY_KIND, party_id)
    return found


OUTLET_STOCK = "SELECT stock_kg FROM outlet WHERE id = $1"


async def outlet_stock(tx: Connection, outlet_id: UUID) -> int | None:
    found: int | None = await tx.fetchval(OUTLET_STOCK, outlet_id)
    return found
