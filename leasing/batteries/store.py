"""Packs in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert
from schemas.packs import PackState


class NewPack(msgspec.Struct, frozen=True):
    chemistry: str
    made_on: date
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    full_cell_mv: int | None
    mass_kg: int
    acquired_on: date


class Pack(msgspec.Struct, frozen=True):
    id: UUID
    state: PackState
    chemistry: str
    mass_kg: int
    rated_capacity_mah: int


INSERT = """
INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  full_cell_mv, mass_kg, acquired_on, created_at)
SELECT chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
       full_cell_mv, mass_kg, acquired_on, $9
  FROM unnest($1::text[], $2::date[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[],
              $8::date[])
       WITH ORDINALITY
       AS given (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                 full_cell_mv, mass_kg, acquired_on, position)
 ORDER BY position
RETURNING id
"""


async def insert(tx: Connection, packs: Sequence[NewPack], now: datetime) -> list[UUID]:
    """Insert packs; their ids come back in the same order."""
    rows = await tx.fetch(
        INSERT,
        [pack.chemistry for pack in packs],
        [pack.made_on for pack in packs],
        [pack.cells_in_series for pack in packs],
        [pack.rated_voltage_mv for pack in packs],
        [pack.rated_capacity_mah for pack in packs],
        [pack.full_cell_mv for pack in packs],
        [pack.mass_kg for pack in packs],
        [pack.acquired_on for pack in packs],
        now,
    )
    return [row["id"] for row in rows]


INSERT_CODES = """
INSERT INTO pack_code (pack_id, scheme, code, is_current)
SELECT pack_id, scheme, code, is_current
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[])
       AS given (pack_id, scheme, code, is_current)
"""


async def insert_codes(tx: Connection, codes: Sequence[tuple[UUID, str, str, bool]]) -> None:
    """Insert `(pack, scheme, code, is it the current one)`."""
    await tx.execute(INSERT_CODES, *[list(column) for column in zip(*codes, strict=True)])


LOCK = """
SELECT id, state, chemistry, mass_kg, rated_capacity_mah
  FROM pack
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, pack_id: UUID) -> Pack | None:
    row = await tx.fetchrow(LOCK, pack_id)
    return convert(row, Pack) if row else None


SET_STATE = """
UPDATE pack
   SET state = $2,
       recycled_on = $3
 WHERE id = $1
"""


async def set_state(
    tx: Connection, pack_id: UUID, state: PackState, recycled_on: date | None = None
) -> None:
    await tx.execute(SET_STATE, pack_id, state, recycled_on)


COLUMNS = """
SELECT pack.id,
       pack_code.code,
       chemistry,
       made_on,
       cells_in_series,
       rated_voltage_mv,
       rated_capacity_mah,
       full_cell_mv,
       mass_kg,
       state,
       acquired_on,
       recycled_on
  FROM pack
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current
"""

GET = f"""{COLUMNS}
 WHERE pack.id = $1
"""


async def get(tx: Connection, pack_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, pack_id)


# Any code a pack ever carried finds it.
LIST = f"""{COLUMNS}
 WHERE pack.id > $1
   AND ($2::text IS NULL OR state = $2)
   AND ($3::text IS NULL
        OR pack.id IN (SELECT any_code.pack_id FROM pack_code AS any_code WHERE any_code.code = $3))
 ORDER BY pack.id
 LIMIT $4
"""


async def after(
    tx: Connection, pack_id: UUID, state: str | None, code: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, pack_id, state, code, limit)
