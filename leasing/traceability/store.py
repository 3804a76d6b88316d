"""The life of each pack, step by step, in the order the steps were recorded (溯源)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, fetch_for
from leasing.obligations import service as obligations


class Step(msgspec.Struct, frozen=True):
    """One step of a pack's life. `party_id` is whom it concerned beside the lessor; `corrects_id`
    is the record of the same pack that a 'record.corrected' puts right."""

    pack_id: UUID
    kind: str
    happened_on: date
    data: dict[str, object]
    adcode: str | None = None
    party_id: UUID | None = None
    corrects_id: UUID | None = None


def appending(given: str) -> str:
    """The statement that appends steps, each of another pack. The table's trigger does the same for
    who gives no hash, row by row and at half the speed."""
    return f"""
INSERT INTO trace_record
       (id, pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, data, actor,
        recorded_at, previous_hash, hash)
SELECT id, pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, data, $8, $9,
       previous_hash,
       trace_hash(previous_hash, id, pack_id, sequence, kind, happened_on, adcode, party_id,
                  corrects_id, $8, $9, data)
  FROM (
    SELECT uuidv7() AS id, given.*, coalesce(last.sequence, 0) + 1 AS sequence,
           last.hash AS previous_hash
      FROM {given}
           AS given (pack_id, kind, happened_on, adcode, party_id, corrects_id, data)
      LEFT JOIN LATERAL (
        SELECT sequence, hash
          FROM trace_record
         WHERE trace_record.pack_id = given.pack_id
         ORDER BY sequence DESC
         LIMIT 1) AS last ON true
    OFFSET 0) AS step
"""


APPEND = appending(
    """unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::uuid[], $6::uuid[],
                  $7::json[])"""
)

# PostgreSQL never keeps a plan for arrays, which it takes to be longer than one; to plan for one
# row took twice as long as to write it.
APPEND_ONE = appending(
    """(VALUES ($1::uuid, $2::text, $3::date, $4::text, $5::uuid, $6::uuid, $7::json))"""
)


async def record(tx: Connection, steps: Sequence[Step], *, by: str, now: datetime) -> None:
    """Write steps in the order given. The caller holds the lock on each pack's row."""
    for wave in waves(steps):
        await append(tx, wave, by=by, now=now)
        await obligations.open_for(tx, [step.pack_id for step in wave], by=by, now=now)


async def append(tx: Connection, wave: Sequence[Step], *, by: str, now: datetime) -> None:
    """Write one step of each pack, and nothing of what follows from it."""
    if len(wave) == 1:
        await tx.execute(APPEND_ONE, *fields(wave[0]), by, now)
        return
    columns = zip(*map(fields, wave), strict=True)
    await fetch_for(tx, len(wave), APPEND, *map(list, columns), by, now)


def fields(step: Step) -> tuple[object, ...]:
    """In the order of the statement's parameters."""
    return (
        step.pack_id,
        step.kind,
        step.happened_on,
        step.adcode,
        step.party_id,
        step.corrects_id,
        step.data,
    )


def waves(steps: Sequence[Step]) -> Iterable[list[Step]]:
    """The first step of each pack, then the second of each that has one, and so on."""
    found: list[list[Step]] = []
    taken: Counter[UUID] = Counter()
    for step in steps:
        turn = taken[step.pack_id]
        if turn == len(found):
            found.append([])
        found[turn].append(step)
        taken[step.pack_id] += 1
    return found


CODES = """
SELECT scheme, code, is_current
  FROM pack_code
 WHERE pack_id = $1
 ORDER BY is_current DESC, scheme, code
"""

LIFE = """
SELECT id, sequence, kind, happened_on, adcode, party_id, corrects_id, data, actor, recorded_at,
       encode(previous_hash, 'hex') AS previous_hash, encode(hash, 'hex') AS hash
  FROM trace_record
 WHERE pack_id = $1
 ORDER BY sequence
"""


async def codes(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(CODES, pack_id)


async def life(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(LIFE, pack_id)


CAME_BACK = """
SELECT pack_id, max(happened_on) AS came_on
  FROM trace_record
 WHERE pack_id = ANY ($1::uuid[])
   AND kind IN ('pack.acquired', 'pack.returned', 'pack.found', 'pack.reinstated',
                'pack.repaired')
 GROUP BY pack_id
"""


async def came_back_on(tx: Connection, pack_ids: Sequence[UUID]) -> dict[UUID, date]:
    """The day on which each pack last came to the lessor, or was put back in stock; packs of
    which nobody wrote it down are left out."""
    rows = await tx.fetch(CAME_BACK, pack_ids)
    return {row["pack_id"]: row["came_on"] for row in rows}


LAST_OF_WASTE = """
SELECT kind, happened_on
  FROM trace_record
 WHERE pack_id = $1
   AND kind IN ('waste.declared', 'waste.outbound', 'waste.inbound')
 ORDER BY sequence DESC
 LIMIT 1
"""


async def last_of_waste(tx: Connection, pack_id: UUID) -> Record | None:
    """What was last recorded of a pack as waste: declared, left, or arrived."""
    return await tx.fetchrow(LAST_OF_WASTE, pack_id)


LOCK = """
SELECT id
  FROM pack
 WHERE id = $1
   FOR UPDATE
"""

ONE = """
SELECT sequence, kind, adcode, party_id
  FROM trace_record
 WHERE pack_id = $1
   AND id = $2
"""


async def lock(tx: Connection, pack_id: UUID) -> bool:
    """Hold a pack, so that its records follow one another. False when there is none."""
    return await tx.fetchval(LOCK, pack_id) is not None


async def one(tx: Connection, pack_id: UUID, record_id: UUID) -> Record | None:
    return await tx.fetchrow(ONE, pack_id, record_id)
