"""The register of an outlet (网点台账): what came in and what left, as the guide for outlets asks
to be kept for three years (MIIT 2019 No. 46, draft): source, code, kind, quantity, destination,
vehicle.

Nothing of it is ever deleted, so it may be asked for any days. Where a pack came from is told by
prefecture: an outlet has no business with the lessor's customers.
"""

from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.consignments.model import BadRegister, NoSuchOutlet
from leasing.db.pool import Connection
from leasing.documents import sheets
from leasing.documents.words import Words
from leasing.kit.rows import convert_all
from schemas.consignments import RegisterRow
from schemas.documents import DocumentLanguage

MAX_ROWS = 50_000
"""Rows of one file; more days than that holds are asked for in parts."""

OUTLET = """
SELECT code
  FROM outlet
 WHERE id = $1
"""

# On any of the days, the last included. What is on the road is neither in nor out.
REGISTER = """
SELECT routing.id,
       routing.pack_id,
       printed.code,
       pack.chemistry,
       pack.vin,
       routing.mass_kg,
       consignment_pack.weighed_kg,
       chosen.adcode AS from_adcode,
       routing.handed_over_on AS came_in_on,
       consignment.number AS consignment,
       routing.recycled_on AS left_on,
       recovery_batch.number AS batch,
       recovery_batch.recycler_id AS destination_id
  FROM routing
  JOIN pack ON pack.id = routing.pack_id
  LEFT JOIN pack_code AS printed
    ON printed.pack_id = routing.pack_id
   AND printed.is_current
  LEFT JOIN consignment_pack
    ON consignment_pack.routing_id = routing.id
   AND NOT is_let_go
  LEFT JOIN consignment ON consignment.id = consignment_pack.consignment_id
  LEFT JOIN recovery_batch_pack ON recovery_batch_pack.routing_id = routing.id
  LEFT JOIN recovery_batch ON recovery_batch.id = batch_id
  LEFT JOIN LATERAL (
         SELECT adcode
           FROM trace_record
          WHERE trace_record.pack_id = routing.pack_id
            AND kind = 'route.chosen'
            AND data ->> 'routing_id' = routing.id::text
          LIMIT 1) AS chosen ON true
 WHERE routing.outlet_id = $1
   AND (routing.handed_over_on BETWEEN $2 AND $3 OR routing.recycled_on BETWEEN $2 AND $3)
   AND routing.id > $4
 ORDER BY routing.id
 LIMIT $5
"""


async def rows(
    tx: Connection, outlet_id: UUID, from_on: date, to_on: date, after: UUID, limit: int
) -> list[RegisterRow]:
    """What came in or left on some days, both ends included. Raises `NoSuchOutlet`."""
    await code_of(tx, outlet_id)
    found = await tx.fetch(REGISTER, outlet_id, from_on, to_on, after, limit)
    return convert_all(found, RegisterRow)


async def code_of(tx: Connection, outlet_id: UUID) -> str:
    row: Record | None = await tx.fetchrow(OUTLET, outlet_id)
    if row is None:
        raise NoSuchOutlet(f"there is no outlet {outlet_id}")
    code: str = row["code"]
    return code


COLUMNS = (
    "pack",
    "chemistry",
    "vin",
    "mass",
    "weighed",
    "from_adcode",
    "came_in_on",
    "consignment",
    "left_on",
    "batch",
)


async def file(
    tx: Connection, outlet_id: UUID, from_on: date, to_on: date, language: DocumentLanguage
) -> tuple[str, bytes]:
    """The register of some days as CSV, with its name. Raises `NoSuchOutlet`, and `BadRegister` for
    more rows than a file holds."""
    code = await code_of(tx, outlet_id)
    found = await rows(tx, outlet_id, from_on, to_on, UUID(int=0), MAX_ROWS + 1)
    if len(found) > MAX_ROWS:
        raise BadRegister(f"these days have more than {MAX_ROWS} rows: ask for fewer")
    words = Words("register", 0, language)
    content = sheets.csv_of(
        [words.of(column) for column in COLUMNS],
        (
            [
                one.code,
                one.chemistry,
                one.vin,
                one.mass_kg,
                one.weighed_kg,
                one.from_adcode,
                one.came_in_on,
                one.consignment,
                one.left_on,
                one.batch,
            ]
            for one in found
        ),
    )
    return f"register-{code}-{from_on}-{to_on}", content
