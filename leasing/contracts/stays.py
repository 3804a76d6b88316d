"""Joint tests and stays in the database: packs into lines, and out of them."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.model import Line
from leasing.db.pool import Connection
from leasing.kit.rows import convert_all
from schemas.contracts import AcceptanceCreate, ReturnCreate

# A list of lists would become one array, so that the photos of a test come as one text.
INSERT_ACCEPTANCES = """
INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory, photo_sha256, remarks)
SELECT line_id, contract_id, pack_id, accepted_on, tested_capacity_mah, lessor_signatory,
       lessee_signatory, string_to_array(photos, ' '), remarks
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::int[], $6::text[], $7::text[],
              $8::text[], $9::text[])
       WITH ORDINALITY
       AS given (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                 lessor_signatory, lessee_signatory, photos, remarks, position)
 ORDER BY position
RETURNING id
"""


async def insert_acceptances(
    tx: Connection, given: Sequence[tuple[Line, AcceptanceCreate]]
) -> list[UUID]:
    """Record joint tests; their ids come back in the same order."""
    rows = await tx.fetch(
        INSERT_ACCEPTANCES,
        [line.id for line, _ in given],
        [line.contract_id for line, _ in given],
        [data.pack_id for _, data in given],
        [data.accepted_on for _, data in given],
        [data.tested_capacity_mah for _, data in given],
        [data.lessor_signatory for _, data in given],
        [data.lessee_signatory for _, data in given],
        [" ".join(data.photo_sha256) for _, data in given],
        [data.remarks for _, data in given],
    )
    return [row["id"] for row in rows]


# A cascade product is what bears a code of a second life; packs of which it is not the code that is
# printed now are left out.
SHIPPED = """
SELECT given.pack_id, pack_code.code, longitude, latitude
  FROM unnest($1::uuid[], $2::uuid[]) AS given (pack_id, site_id)
  JOIN pack_code
    ON pack_code.pack_id = given.pack_id
   AND is_current
   AND (scheme = 'gbt34014_cascade' OR scheme = 'gbt45565' AND pack_code.code LIKE '%-R-%')
  JOIN site ON site.id = given.site_id
"""


async def shipped(tx: Connection, given: Sequence[tuple[Line, AcceptanceCreate]]) -> list[Record]:
    """Of packs that come into lines those that are cascade products: code, and where they go."""
    packs, sites = [data.pack_id for _, data in given], [line.site_id for line, _ in given]
    return await tx.fetch(SHIPPED, packs, sites)


PLACEMENT_COLUMNS = """id, line_id, pack_id, acceptance_id, site_id, slot, lower(during) AS from_on,
       upper(during) AS to_on"""


class Stay(msgspec.Struct, frozen=True):
    """A pack that stands in a line now, or is to stand there, under a joint test."""

    acceptance_id: UUID
    line_id: UUID
    pack_id: UUID
    site_id: UUID
    slot: int
    from_on: date


PLACE = f"""
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance_id, line_id, pack_id, site_id, slot, daterange(from_on, NULL)
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::date[])
       WITH ORDINALITY
       AS given (acceptance_id, line_id, pack_id, site_id, slot, from_on, position)
 ORDER BY position
RETURNING {PLACEMENT_COLUMNS}
"""


async def place(tx: Connection, stays: Sequence[Stay]) -> list[Record]:
    """Begin stays; they come back in the same order."""
    rows = [msgspec.structs.astuple(stay) for stay in stays]
    return await tx.fetch(PLACE, *[list(column) for column in zip(*rows, strict=True)])


# greatest() keeps a day before the placement from being a range error: the range becomes
# empty, and the constraint says by name what is wrong.
CLOSE = """
UPDATE placement
   SET during = daterange(lower(during), greatest(lower(during), given.to_on))
  FROM unnest($1::uuid[], $2::date[]) AS given (line_id, to_on)
 WHERE placement.line_id = given.line_id
   AND upper_inf(during)
RETURNING placement.line_id, placement.pack_id
"""


async def close(tx: Connection, days: Mapping[UUID, date]) -> list[tuple[UUID, UUID]]:
    """End the stays of the packs that stand in lines now, each on its own day. Returns
    `(line, pack)`."""
    rows = await tx.fetch(CLOSE, list(days), list(days.values()))
    return [(row["line_id"], row["pack_id"]) for row in rows]


# A pack that came on that very day moves as if it had come to the new place.
MOVE = f"""
UPDATE placement
   SET site_id = $2,
       slot = $3
 WHERE line_id = $1
   AND upper_inf(during)
   AND lower(during) = $4
RETURNING {PLACEMENT_COLUMNS}
"""


async def move(tx: Connection, line_id: UUID, site_id: UUID, slot: int, on: date) -> Record | None:
    return await tx.fetchrow(MOVE, line_id, site_id, slot, on)


OPEN = """
SELECT acceptance_id, line_id, pack_id, site_id, slot, lower(during) AS from_on
  FROM placement
 WHERE line_id = ANY ($1::uuid[])
   AND upper_inf(during)
"""


async def standing(tx: Connection, line_ids: Sequence[UUID]) -> dict[UUID, Stay]:
    """The packs that stand in lines now, by line."""
    found = convert_all(await tx.fetch(OPEN, line_ids), Stay)
    return {stay.line_id: stay for stay in found}


OF_LINE = f"""
SELECT {PLACEMENT_COLUMNS}
  FROM placement
 WHERE line_id = $1
 ORDER BY lower(during)
"""


async def of_line(tx: Connection, line_id: UUID) -> list[Record]:
    return await tx.fetch(OF_LINE, line_id)


# A pack that was moved with its line came when it first stood in it.
STANDING_SINCE = """
SELECT line_id, min(lower(stay.during)) AS since
  FROM placement
  JOIN placement AS stay USING (line_id, pack_id)
 WHERE line_id = ANY ($1::uuid[])
   AND upper_inf(placement.during)
 GROUP BY line_id
"""


async def standing_since(tx: Connection, line_ids: Sequence[UUID]) -> dict[UUID, date]:
    """When the pack that stands in a line came into it; empty lines are left out."""
    rows = await tx.fetch(STANDING_SINCE, line_ids)
    return {row["line_id"]: row["since"] for row in rows}


INSERT_RETURNS = """
INSERT INTO pack_return (line_id, pack_id, returned_on, reason, tested_capacity_mah,
                         lessor_signatory, lessee_signatory, photo_sha256, remarks)
SELECT line_id, pack_id, returned_on, $9, tested_capacity_mah, lessor_signatory,
       lessee_signatory, string_to_array(photos, ' '), remarks
  FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::text[], $6::text[],
              $7::text[], $8::text[])
       AS given (line_id, pack_id, returned_on, tested_capacity_mah, lessor_signatory,
                 lessee_signatory, photos, remarks)
"""


class Departure(msgspec.Struct, frozen=True):
    """A pack that leaves a line on a day, with the joint test on return if there is one."""

    line: Line
    pack_id: UUID
    on: date
    test: ReturnCreate | None = None


async def insert_returns(tx: Connection, departures: Sequence[Departure], reason: str) -> None:
    tests = [one.test for one in departures]
    await tx.execute(
        INSERT_RETURNS,
        [one.line.id for one in departures],
        [one.pack_id for one in departures],
        [one.on for one in departures],
        [test.tested_capacity_mah if test else None for test in tests],
        [test.lessor_signatory if test else None for test in tests],
        [test.lessee_signatory if test else None for test in tests],
        [" ".join(test.photo_sha256) if test else "" for test in tests],
        [test.remarks if test else "" for test in tests],
        reason,
    )
