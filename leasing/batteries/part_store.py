"""Parts of packs, and what packs were made from, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert_all


class Part(msgspec.Struct, frozen=True):
    """A part that is known, and where it is: `pack_id` None when it is loose."""

    id: UUID
    kind: str
    scheme: str
    code: str
    assigned_by: str | None
    pack_id: UUID | None
    since: date
    depth: int


class NewStay(msgspec.Struct, frozen=True):
    part_id: UUID
    within_id: UUID | None
    depth: int


# Where a part was last; a part always is somewhere. What nobody can read is never taken for
# another part with the same text.
KNOWN = """
SELECT part.id, kind, scheme, part.code, assigned_by, pack_id, lower(during) AS since, depth
  FROM part
  JOIN part_stay ON part_id = part.id AND upper_inf(during)
 WHERE part.code = ANY ($1::text[])
   AND scheme <> 'unrecognised'
"""


async def known(tx: Connection, codes: Sequence[str]) -> list[Part]:
    return convert_all(await tx.fetch(KNOWN, codes), Part)


INSERT_PARTS = """
INSERT INTO part (kind, scheme, code, assigned_by, created_at)
SELECT kind, scheme, code, assigned_by, $5
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
       WITH ORDINALITY AS given (kind, scheme, code, assigned_by, position)
 ORDER BY position
RETURNING id
"""


async def insert_parts(
    tx: Connection, parts: Sequence[tuple[str, str, str, str | None]], now: datetime
) -> list[UUID]:
    """Insert `(kind, scheme, code, who gave it)`; ids come back in the same order."""
    columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], []]
    rows = await tx.fetch(INSERT_PARTS, *columns, now)
    return [row["id"] for row in rows]


INSERT_STAYS = """
INSERT INTO part_stay (part_id, within_id, depth, pack_id, during)
SELECT part_id, within_id, depth, $4, daterange($5, NULL)
  FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS given (part_id, within_id, depth)
"""


async def insert_stays(
    tx: Connection, stays: Sequence[NewStay], pack_id: UUID | None, on: date
) -> None:
    """From a day on parts are in a pack, or loose when there is none."""
    columns = zip(*map(msgspec.structs.astuple, stays), strict=True)
    await tx.execute(INSERT_STAYS, *map(list, columns), pack_id, on)


# A part and all that is in it now.
WITH_CONTENTS = """
WITH RECURSIVE inside AS (
  SELECT part_id, within_id, depth, during
    FROM part_stay
   WHERE part_id = ANY ($1::uuid[])
     AND upper_inf(during)
   UNION ALL
  SELECT part_stay.part_id, part_stay.within_id, part_stay.depth, part_stay.during
    FROM inside
    JOIN part_stay ON part_stay.within_id = inside.part_id AND upper_inf(part_stay.during)
)
SELECT part_id, within_id, depth, lower(during) AS since
  FROM inside
 ORDER BY depth
"""


async def with_contents(tx: Connection, part_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(WITH_CONTENTS, part_ids)


# A stay that would have lasted no day never was.
DROP_STAYS_OF_NO_DAY = """
DELETE FROM part_stay
 WHERE part_id = ANY ($1::uuid[])
   AND upper_inf(during)
   AND lower(during) = $2
"""

END_STAYS = """
UPDATE part_stay
   SET during = daterange(lower(during), $2)
 WHERE part_id = ANY ($1::uuid[])
   AND upper_inf(during)
"""


async def end_stays(tx: Connection, part_ids: Sequence[UUID], on: date) -> None:
    await tx.execute(DROP_STAYS_OF_NO_DAY, part_ids, on)
    await tx.execute(END_STAYS, part_ids, on)


LOCK_PARTS = """
SELECT id
  FROM part
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""


async def lock_parts(tx: Connection, part_ids: Sequence[UUID]) -> None:
    await tx.execute(LOCK_PARTS, sorted(part_ids))


IN_PACK = """
SELECT part.id, kind, scheme, part.code, assigned_by, within_id, depth,
       lower(during) AS installed_on, upper(during) AS removed_on
  FROM part_stay
  JOIN part ON part.id = part_id
 WHERE pack_id = $1
   AND CASE WHEN $2::date IS NULL THEN upper_inf(during) ELSE during @> $2 END
 ORDER BY depth, part.id
"""


async def in_pack(tx: Connection, pack_id: UUID, on: date | None) -> list[Record]:
    """What is in a pack on a day, or now; what holds others comes before them."""
    return await tx.fetch(IN_PACK, pack_id, on)


COUNT = """
SELECT count(*)
  FROM part_stay
 WHERE pack_id = $1
   AND upper_inf(during)
"""


async def count(tx: Connection, pack_id: UUID) -> int:
    found: int = await tx.fetchval(COUNT, pack_id)
    return found


# --- What packs were made from ----------------------------------------------------------------

PACKS_BY_CODE = """
SELECT code, pack_id
  FROM pack_code
 WHERE code = ANY ($1::text[])
   AND scheme IN ('gbt34014', 'gbt34014_cascade', 'gbt45565')
"""


async def packs_by_code(tx: Connection, codes: Sequence[str]) -> dict[str, UUID]:
    rows = await tx.fetch(PACKS_BY_CODE, codes)
    return {row["code"]: row["pack_id"] for row in rows}


KNOWN_PACKS = """
SELECT id
  FROM pack
 WHERE id = ANY ($1::uuid[])
"""


async def known_packs(tx: Connection, pack_ids: Sequence[UUID]) -> set[UUID]:
    return {row["id"] for row in await tx.fetch(KNOWN_PACKS, pack_ids)}


INSERT_ORIGINS = """
INSERT INTO pack_origin (pack_id, origin_id, scheme, code)
SELECT $1, origin_id, scheme, code
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS given (origin_id, scheme, code)
"""


async def insert_origins(
    tx: Connection, pack_id: UUID, origins: Sequence[tuple[UUID | None, str | None, str | None]]
) -> None:
    """Insert `(pack of ours, scheme, code)`."""
    columns = zip(*origins, strict=True)
    await tx.execute(INSERT_ORIGINS, pack_id, *map(list, columns))


# A pack may be an origin by several ways; it is shown at the nearest. No circle can be written,
# and the bound holds whatever is.
ANCESTORS = """
WITH RECURSIVE origin AS (
  SELECT pack_origin.pack_id AS made_id, origin_id, scheme, code, 1 AS generation
    FROM pack_origin
   WHERE pack_origin.pack_id = $1
   UNION
  SELECT pack_origin.pack_id, pack_origin.origin_id, pack_origin.scheme, pack_origin.code,
         generation + 1
    FROM origin
    JOIN pack_origin ON pack_origin.pack_id = origin.origin_id
   WHERE generation < 100
)
SELECT made_id, origin_id AS pack_id, scheme, code, min(generation) AS generation
  FROM origin
 GROUP BY made_id, origin_id, scheme, code
 ORDER BY generation, made_id, code, origin_id
 LIMIT $2
"""


async def ancestors(tx: Connection, pack_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(ANCESTORS, pack_id, limit)


# Up from the pack and down from it, link by link. A link that was found before is not followed
# again, so however deep it is, each is read once; no circle can be written.
FAMILY = """
WITH RECURSIVE origin AS (
  SELECT id, origin_id
    FROM pack_origin
   WHERE pack_id = $1
   UNION
  SELECT pack_origin.id, pack_origin.origin_id
    FROM origin
    JOIN pack_origin ON pack_origin.pack_id = origin.origin_id
), made AS (
  SELECT id, pack_id
    FROM pack_origin
   WHERE origin_id = $1
   UNION
  SELECT pack_origin.id, pack_origin.pack_id
    FROM made
    JOIN pack_origin ON pack_origin.origin_id = made.pack_id
)
SELECT pack_origin.pack_id AS made_id, origin_id, scheme, code
  FROM pack_origin
 WHERE id IN (SELECT id FROM origin UNION ALL SELECT id FROM made)
 ORDER BY id
 LIMIT $2
"""


async def family(tx: Connection, pack_id: UUID, limit: int) -> list[Record]:
    """Links among what a pack was made from and what was made from it."""
    return await tx.fetch(FAMILY, pack_id, limit)


STAYS = """
SELECT part.id AS part_id, kind, part.code, pack_id, within_id,
       lower(during) AS from_on, upper(during) AS to_on
  FROM part_stay
  JOIN part ON part.id = part_id
 WHERE part_id IN (SELECT part_id FROM part_stay WHERE pack_id = $1)
 ORDER BY part.id, during
 LIMIT $2
"""


async def stays(tx: Connection, pack_id: UUID, limit: int) -> list[Record]:
    """Where every part was that ever was in a pack."""
    return await tx.fetch(STAYS, pack_id, limit)
