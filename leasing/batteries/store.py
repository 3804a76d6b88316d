"""Packs in the database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, DbRole
from leasing.kit.rows import convert, convert_all
from schemas.packs import PackState


class NewPack(msgspec.Struct, frozen=True, kw_only=True):
    chemistry: str
    maker: str
    made_on: date
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    maker_energy_wh: int | None
    max_voltage_mv: int | None
    min_voltage_mv: int | None
    full_cell_mv: int | None
    mass_kg: int
    acquired_on: date
    vin: str | None
    carmaker: str | None
    vehicle_model: str | None
    removed_on: date | None


class NewCode(msgspec.Struct, frozen=True):
    pack_id: UUID
    scheme: str
    code: str
    assigned_by: str | None
    is_printed: bool
    valid_from: date | None = None
    valid_to: date | None = None


class Pack(msgspec.Struct, frozen=True):
    id: UUID
    state: PackState
    chemistry: str
    mass_kg: int
    rated_capacity_mah: int


INSERT = """
INSERT INTO pack (chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, maker_energy_wh, max_voltage_mv, min_voltage_mv,
                  full_cell_mv, mass_kg, acquired_on, vin, carmaker, vehicle_model, removed_on,
                  created_at)
SELECT chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
       rated_capacity_mah, maker_energy_wh, max_voltage_mv, min_voltage_mv,
       full_cell_mv, mass_kg, acquired_on, vin, carmaker, vehicle_model, removed_on,
       $17
  FROM unnest($1::text[], $2::text[], $3::date[], $4::int[], $5::int[], $6::int[], $7::bigint[],
              $8::int[], $9::int[], $10::int[], $11::int[], $12::date[], $13::text[],
              $14::text[], $15::text[], $16::date[])
       WITH ORDINALITY
       AS given (chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                 rated_capacity_mah, maker_energy_wh, max_voltage_mv, min_voltage_mv,
                 full_cell_mv, mass_kg, acquired_on, vin, carmaker, vehicle_model, removed_on,
                 position)
 ORDER BY position
RETURNING id
"""


async def insert(tx: Connection, packs: Sequence[NewPack], now: datetime) -> list[UUID]:
    """Insert packs; their ids come back in the same order."""
    columns = zip(*map(msgspec.structs.astuple, packs), strict=True)
    rows = await tx.fetch(INSERT, *map(list, columns), now)
    return [row["id"] for row in rows]


INSERT_CODES = """
INSERT INTO pack_code (pack_id, scheme, code, assigned_by, is_printed, valid)
SELECT pack_id, scheme, code, assigned_by, is_printed, daterange(valid_from, valid_to)
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::date[],
              $7::date[])
       AS given (pack_id, scheme, code, assigned_by, is_printed, valid_from, valid_to)
RETURNING id
"""


async def insert_codes(tx: Connection, codes: Sequence[NewCode]) -> list[UUID]:
    columns = zip(*map(msgspec.structs.astuple, codes), strict=True)
    rows = await tx.fetch(INSERT_CODES, *map(list, columns))
    return [row["id"] for row in rows]


LOCK = """
SELECT id, state, chemistry, mass_kg, rated_capacity_mah
  FROM pack
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, pack_id: UUID) -> Pack | None:
    row = await tx.fetchrow(LOCK, pack_id)
    return convert(row, Pack) if row else None


LOCK_MANY = """
SELECT id, state, chemistry, mass_kg, rated_capacity_mah
  FROM pack
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""


async def lock_many(tx: Connection, pack_ids: Collection[UUID]) -> dict[UUID, Pack]:
    """Lock packs, always in the same order; those that are there, by id."""
    found = convert_all(await tx.fetch(LOCK_MANY, list(pack_ids)), Pack)
    return {pack.id: pack for pack in found}


SET_STATES = """
UPDATE pack
   SET state = $2
 WHERE id = ANY ($1::uuid[])
"""


async def set_states(tx: Connection, pack_ids: Collection[UUID], state: PackState) -> None:
    """Take packs to a state in which they are not recycled yet."""
    await tx.execute(SET_STATES, list(pack_ids), state)


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


SHOWN = """pack.id,
       pack_code.code,
       maker,
       chemistry,
       made_on,
       cells_in_series,
       rated_voltage_mv,
       rated_capacity_mah,
       rated_energy_wh,
       maker_energy_wh,
       max_voltage_mv,
       min_voltage_mv,
       full_cell_mv,
       mass_kg,
       state,
       acquired_on,
       recycled_on,
       vin,
       carmaker,
       vehicle_model,
       removed_on,
       version"""

WITH_CODE = "JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current"

COLUMNS = f"""
SELECT {SHOWN}
  FROM pack
  {WITH_CODE}
"""

GET = f"""{COLUMNS}
 WHERE pack.id = $1
"""


async def get(tx: Connection, pack_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, pack_id)


GET_MANY = f"""{COLUMNS}
 WHERE pack.id = ANY ($1::uuid[])
"""


async def get_many(tx: Connection, pack_ids: Collection[UUID]) -> list[Record]:
    return await tx.fetch(GET_MANY, list(pack_ids))


CURRENT_CODES = """
SELECT pack_id, scheme, code
  FROM pack_code
 WHERE pack_id = ANY ($1::uuid[])
   AND is_current
"""


async def current_codes(tx: Connection, pack_ids: Collection[UUID]) -> list[Record]:
    return await tx.fetch(CURRENT_CODES, list(pack_ids))


LOCK_WHOLE = f"""{COLUMNS}
 WHERE pack.id = $1
   FOR UPDATE OF pack
"""


async def lock_whole(tx: Connection, pack_id: UUID) -> Record | None:
    """Lock a pack and return all that people see of it."""
    return await tx.fetchrow(LOCK_WHOLE, pack_id)


EDITABLE = (
    "cells_in_series",
    "rated_voltage_mv",
    "rated_capacity_mah",
    "maker_energy_wh",
    "max_voltage_mv",
    "min_voltage_mv",
    "full_cell_mv",
    "mass_kg",
    "vin",
    "carmaker",
    "vehicle_model",
    "removed_on",
)

UPDATE = """
UPDATE pack
   SET cells_in_series = $2,
       rated_voltage_mv = $3,
       rated_capacity_mah = $4,
       maker_energy_wh = $5,
       max_voltage_mv = $6,
       min_voltage_mv = $7,
       full_cell_mv = $8,
       mass_kg = $9,
       vin = $10,
       carmaker = $11,
       vehicle_model = $12,
       removed_on = $13,
       version = version + 1
 WHERE id = $1
"""


async def update(tx: Connection, pack_id: UUID, values: Mapping[str, object]) -> None:
    """Set every editable field of a pack."""
    await tx.execute(UPDATE, pack_id, *[values[field] for field in EDITABLE])


# --- Lists ------------------------------------------------------------------------------------


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of packs is narrowed to; bounds are inclusive. Their order is that of the
    statement's parameters."""

    state: str | None = None
    code: str | None = None
    chemistry: str | None = None
    maker: str | None = None
    made_from: date | None = None
    made_to: date | None = None
    least_voltage_mv: int | None = None
    most_voltage_mv: int | None = None
    least_capacity_mah: int | None = None
    most_capacity_mah: int | None = None


# Any code a pack ever carried finds it; the packs of a code are looked up once, before the list.
WANTED = """
   AND ($3::text IS NULL OR state = ANY (ARRAY[$3]))
   AND ($4::text IS NULL OR pack.id = ANY (ARRAY(
         SELECT any_code.pack_id FROM pack_code AS any_code WHERE any_code.code = $4)))
   AND ($5::text IS NULL OR chemistry = ANY (ARRAY[$5]))
   AND ($6::text IS NULL OR maker = ANY (ARRAY[$6]))
   AND ($7::date IS NULL OR made_on >= $7)
   AND ($8::date IS NULL OR made_on <= $8)
   AND ($9::int IS NULL OR rated_voltage_mv >= $9)
   AND ($10::int IS NULL OR rated_voltage_mv <= $10)
   AND ($11::int IS NULL OR rated_capacity_mah >= $11)
   AND ($12::int IS NULL OR rated_capacity_mah <= $12)
"""

# By whichever of these is given, and so by nothing else than the id: a customer's packs all have
# one holder. It makes PostgreSQL go along the index of those columns and the id; by the id alone
# it would take the primary key, count on packs of one kind being everywhere, and read half the
# table when they are all at its end. For the same reason the filters compare with an array: "="
# would tell it that the order is the same.
BY_HOLDER = "CASE WHEN $13::boolean THEN holder_id END"
BY_KIND = """CASE WHEN $6::text IS NOT NULL THEN maker
               WHEN $3::text IS NOT NULL THEN state
               WHEN $5::text IS NOT NULL THEN chemistry END"""

# The page comes first and then its codes: of packs and codes of one holder together PostgreSQL
# expects far fewer than there are, and would join them all before it sorts out the page.
LIST = f"""
SELECT {SHOWN}
  FROM (
    SELECT *
      FROM pack
     WHERE id > $1
{WANTED}
     ORDER BY {BY_HOLDER}, {BY_KIND}, id
     LIMIT $2) AS pack
  {WITH_CODE}
 ORDER BY {BY_KIND}, pack.id
"""

LIST_NEWEST_FIRST = f"""
SELECT {SHOWN}
  FROM (
    SELECT *
      FROM pack
     WHERE id < $1
{WANTED}
     ORDER BY {BY_HOLDER} DESC, {BY_KIND} DESC, id DESC
     LIMIT $2) AS pack
  {WITH_CODE}
 ORDER BY {BY_KIND} DESC, pack.id DESC
"""

# A plan made for all values would go through every pack, whatever the filters are.
PLAN_FOR_THESE_VALUES = f"""
SELECT set_config('plan_cache_mode', 'force_custom_plan', true) IS NOT NULL
   AND current_user = '{DbRole.CUSTOMER}'
"""


async def plan_for_these_values(tx: Connection) -> bool:
    """Have the statements that follow planned for their values. True for a customer, whose lists
    are ordered by the holder."""
    is_customer: bool = await tx.fetchval(PLAN_FOR_THESE_VALUES)
    return is_customer


async def after(
    tx: Connection, pack_id: UUID, filters: Filters, limit: int, *, newest_first: bool = False
) -> list[Record]:
    """Packs beyond one, in the order they were acquired or against it."""
    by_holder = await plan_for_these_values(tx)
    sql = LIST_NEWEST_FIRST if newest_first else LIST
    return await tx.fetch(sql, pack_id, limit, *msgspec.structs.astuple(filters), by_holder)
