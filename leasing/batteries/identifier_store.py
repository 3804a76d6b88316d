"""What packs are known by in the database: listing, ending and searching identifiers."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.batteries.store import plan_for_these_values
from leasing.db.pool import Connection

COLUMNS = """id, scheme, code AS value, assigned_by, lower(valid) AS valid_from,
       upper(valid) AS valid_to, is_printed, is_current"""

OF_PACK = f"""
SELECT {COLUMNS}
  FROM pack_code
 WHERE pack_id = $1
 ORDER BY is_current DESC, lower(valid) DESC NULLS LAST, id
"""


async def of_pack(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(OF_PACK, pack_id)


END = """
UPDATE pack_code
   SET valid = daterange(lower(valid), $3)
 WHERE id = $2
   AND pack_id = $1
"""


async def end(tx: Connection, pack_id: UUID, identifier_id: UUID, on: date) -> None:
    """End an identifier that begins before a day."""
    await tx.execute(END, pack_id, identifier_id, on)


SET_MAKER = """
UPDATE pack
   SET maker = $2,
       version = version + 1
 WHERE id = $1
"""


async def set_maker(tx: Connection, pack_id: UUID, maker: str | None) -> None:
    """Who gave the code that is printed now. Whoever edits the pack reads it again."""
    await tx.execute(SET_MAKER, pack_id, maker)


# Each way to a pack has an index of its own, and another that begins with the pack's holder, whom
# a customer's policy names.
BY_CODE = """
SELECT pack_id, 'identifier' AS found_by, scheme, code AS value,
       upper(valid) AS until
  FROM pack_code
 WHERE code = ANY ($1::text[])
 UNION ALL
SELECT pack_id, 'part', scheme, part.code, upper(during)
  FROM part_stay
  JOIN part ON part.id = part_stay.part_id
 WHERE part_stay.code = ANY ($1::text[])
   AND pack_id IS NOT NULL
 UNION ALL
SELECT pack_id, 'origin', scheme, code, NULL
  FROM pack_origin
 WHERE code = ANY ($1::text[])
 LIMIT $2
"""


async def by_code(tx: Connection, codes: Sequence[str], limit: int) -> list[Record]:
    """Packs that have, had, hold or were made from what carries one of these codes."""
    return await tx.fetch(BY_CODE, codes, limit)


# A customer's codes all have one holder; `store.LIST` says why it is in the order then.
BY_HOLDER = "CASE WHEN $4::boolean THEN holder_id END"

BY_PREFIX = f"""
(SELECT pack_id, 'identifier' AS found_by, scheme, code AS value,
        upper(valid) AS until
   FROM pack_code
  WHERE code >= $1
    AND code < $2
  ORDER BY {BY_HOLDER}, code
  LIMIT $3)
 UNION ALL
(SELECT pack_id, 'part', scheme, part.code, upper(during)
   FROM part_stay
   JOIN part ON part.id = part_stay.part_id
  WHERE part_stay.code >= $1
    AND part_stay.code < $2
    AND pack_id IS NOT NULL
  ORDER BY {BY_HOLDER}, part_stay.code
  LIMIT $3)
 UNION ALL
(SELECT pack_id, 'origin', scheme, code, NULL
   FROM pack_origin
  WHERE code >= $1
    AND code < $2
  ORDER BY {BY_HOLDER}, code
  LIMIT $3)
"""

HIGHEST_CHARACTER = "\U0010ffff"


async def by_prefix(tx: Connection, prefix: str, limit: int) -> list[Record]:
    """Packs by the beginning of a code, so many of each kind at most."""
    by_holder = await plan_for_these_values(tx)
    return await tx.fetch(BY_PREFIX, prefix, prefix + HIGHEST_CHARACTER, limit, by_holder)
