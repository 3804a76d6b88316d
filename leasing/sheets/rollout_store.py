"""What a roll-out needs of the database: sites, packs and positions by many keys at once."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, fetch_for
from leasing.kit.rows import convert_all

SITES = """
SELECT code, id
  FROM site
 WHERE party_id = $1
   AND code = ANY ($2::text[])
"""


async def sites(tx: Connection, party_id: UUID, codes: Collection[str]) -> dict[str, UUID]:
    """The sites of a customer, by their codes."""
    rows = await tx.fetch(SITES, party_id, list(codes))
    return {row["code"]: row["id"] for row in rows}


PACKS = """
SELECT DISTINCT pack_code.code, pack.id, pack.state
  FROM pack_code
  JOIN pack ON pack.id = pack_code.pack_id
 WHERE pack_code.code = ANY ($1::text[])
"""


async def packs(tx: Connection, codes: Collection[str]) -> list[Record]:
    """`(code, id, state)`: packs by any code they ever carried."""
    return await tx.fetch(PACKS, list(codes))


class Position(msgspec.Struct, frozen=True):
    """A line of a contract as it is at last, with the first pack that was handed over."""

    line_id: UUID
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    base_rent_amount: int
    from_on: date
    ended_on: date | None


POSITIONS = """
SELECT lease_line.id AS line_id,
       position.site_id,
       position.slot,
       position.rated_capacity_mah,
       position.base_rent_amount,
       lease_line.from_on,
       lease_line.ended_on
  FROM lease_line
  JOIN LATERAL (
         SELECT line_revision.*
           FROM line_revision
          WHERE line_revision.line_id = lease_line.id
          ORDER BY lower(line_revision.during) DESC
          LIMIT 1) AS position ON true
 WHERE lease_line.contract_id = $1
   AND lease_line.id IN (
         SELECT line_id
           FROM line_revision
          WHERE contract_id = $1
            AND site_id = ANY ($2::uuid[]))
 ORDER BY lease_line.id
"""


async def positions(tx: Connection, contract_id: UUID, site_ids: Sequence[UUID]) -> list[Position]:
    """The lines of a contract at sites, the oldest first."""
    rows = await fetch_for(tx, len(site_ids), POSITIONS, contract_id, site_ids)
    return convert_all(rows, Position)


class Accepted(msgspec.Struct, frozen=True):
    """A pack that was handed over into a line."""

    line_id: UUID
    pack_id: UUID
    accepted_on: date
    tested_capacity_mah: int
    lessor_signatory: str
    lessee_signatory: str


ACCEPTANCES = """
SELECT line_id, pack_id, accepted_on, tested_capacity_mah, lessor_signatory, lessee_signatory
  FROM acceptance
 WHERE line_id = ANY ($1::uuid[])
 ORDER BY line_id, accepted_on, id
"""


async def acceptances(tx: Connection, line_ids: Sequence[UUID]) -> dict[UUID, list[Accepted]]:
    """The hand-overs into lines, by line."""
    found: dict[UUID, list[Accepted]] = {}
    rows = await fetch_for(tx, len(line_ids), ACCEPTANCES, line_ids)
    for one in convert_all(rows, Accepted):
        found.setdefault(one.line_id, []).append(one)
    return found
