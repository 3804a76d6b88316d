"""Lines and placements in the database: positions by day, and the packs in them."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.model import Line, LineRevision
from leasing.db.pool import Connection, fetch_for
from leasing.kit.rows import convert_all

INSERT = """
INSERT INTO lease_line (contract_id, lessee_id, from_on, named_pack_id)
SELECT $1, $2, from_on, named_pack_id
  FROM unnest($3::date[], $4::uuid[]) WITH ORDINALITY AS given (from_on, named_pack_id, position)
 ORDER BY position
RETURNING id
"""


async def insert(
    tx: Connection,
    contract_id: UUID,
    lessee_id: UUID,
    wanted: Sequence[tuple[date, UUID | None]],
) -> list[UUID]:
    """A line for each day on which one is to begin, with the pack agreed by name or None; their
    ids are in the same order."""
    days, named_packs = [day for day, _ in wanted], [pack_id for _, pack_id in wanted]
    rows = await tx.fetch(INSERT, contract_id, lessee_id, days, named_packs)
    return [row["id"] for row in rows]


# A revision that is there is cut short or changed, before the one that follows it is added.
WRITE_REVISIONS = """
INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount,
                           suspended, cause, entered_by, entered_at, price_plan_version_id,
                           plan_currency)
SELECT line_id, number, daterange(from_on, to_on), contract_id, lessee_id, site_id, slot,
       rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, suspended, cause,
       entered_by, entered_at, price_plan_version_id,
       (SELECT currency
          FROM price_plan_version
         WHERE id = price_plan_version_id
           AND state = 'published'
           AND valid_from <= from_on)
  FROM unnest($1::uuid[], $2::int[], $3::date[], $4::date[], $5::uuid[], $6::uuid[], $7::uuid[],
              $8::int[], $9::int[], $10::bigint[], $11::date[], $12::bigint[], $13::bool[],
              $14::text[], $15::text[], $16::timestamptz[], $17::uuid[])
       WITH ORDINALITY
       AS given (line_id, number, from_on, to_on, contract_id, lessee_id, site_id, slot,
                 rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, suspended, cause,
                 entered_by, entered_at, price_plan_version_id, position)
 ORDER BY number, position
    ON CONFLICT (line_id, number) DO UPDATE
   SET during = excluded.during,
       site_id = excluded.site_id,
       slot = excluded.slot,
       rated_capacity_mah = excluded.rated_capacity_mah,
       base_rent_amount = excluded.base_rent_amount,
       base_from_on = excluded.base_from_on,
       rent_amount = excluded.rent_amount,
       suspended = excluded.suspended,
       cause = excluded.cause,
       entered_by = excluded.entered_by,
       entered_at = excluded.entered_at,
       price_plan_version_id = excluded.price_plan_version_id,
       plan_currency = excluded.plan_currency
"""


async def write_revisions(tx: Connection, revisions: Sequence[LineRevision]) -> None:
    """Write revisions of any lines."""
    if revisions:
        rows = [msgspec.structs.astuple(revision) for revision in revisions]
        await tx.execute(WRITE_REVISIONS, *[list(column) for column in zip(*rows, strict=True)])


REVISION_COLUMNS = """line_id, number, lower(during) AS from_on, upper(during) AS to_on,
       contract_id, lessee_id, site_id, slot, rated_capacity_mah, base_rent_amount, base_from_on,
       rent_amount, suspended, cause, entered_by, entered_at, price_plan_version_id"""

REVISIONS = f"""
SELECT {REVISION_COLUMNS}
  FROM line_revision
 WHERE line_id = ANY ($1::uuid[])
 ORDER BY line_id, lower(during)
"""


async def revision_rows(tx: Connection, line_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(REVISIONS, line_ids)


async def revisions(tx: Connection, line_ids: Sequence[UUID]) -> dict[UUID, list[LineRevision]]:
    """Each line's positions in order of time."""
    found: dict[UUID, list[LineRevision]] = {line_id: [] for line_id in line_ids}
    for revision in convert_all(await revision_rows(tx, line_ids), LineRevision):
        found[revision.line_id].append(revision)
    return found


DELETE_REVISIONS = """
DELETE FROM line_revision
 WHERE line_id = ANY ($1::uuid[])
"""

DELETE = """
DELETE FROM lease_line
 WHERE id = ANY ($1::uuid[])
"""


async def delete(tx: Connection, line_ids: Sequence[UUID]) -> None:
    """Take lines out of a draft."""
    await tx.execute(DELETE_REVISIONS, line_ids)
    await tx.execute(DELETE, line_ids)


# All lines of a draft begin with its term. A price plan must be valid by then.
SET_DRAFT_START = """
WITH moved AS (
  UPDATE lease_line SET from_on = $2 WHERE contract_id = $1
)
UPDATE line_revision
   SET during = daterange($2, NULL),
       base_from_on = $2,
       plan_currency = (
         SELECT currency
           FROM price_plan_version
          WHERE id = price_plan_version_id
            AND state = 'published'
            AND valid_from <= $2)
 WHERE contract_id = $1
"""


async def set_draft_start(tx: Connection, contract_id: UUID, starts_on: date) -> None:
    await tx.execute(SET_DRAFT_START, contract_id, starts_on)


# Before it begins a line is seen as it will be, after its end as it was last.
AS_OF = """JOIN LATERAL (
         SELECT line_revision.*
           FROM line_revision
          WHERE line_revision.line_id = lease_line.id
            AND lower(line_revision.during) <= greatest($1::date, lease_line.from_on)
          ORDER BY lower(line_revision.during) DESC
          LIMIT 1) AS position ON true"""

TERMS_AS_OF = """JOIN LATERAL (
         SELECT contract_revision.*
           FROM contract_revision
          WHERE contract_revision.contract_id = lease_line.contract_id
            AND lower(contract_revision.during) <= greatest($1::date, lease_line.from_on)
          ORDER BY lower(contract_revision.during) DESC
          LIMIT 1) AS terms ON true"""

VIEW = f"""
SELECT lease_line.id,
       lease_line.contract_id,
       position.site_id,
       position.slot,
       position.rated_capacity_mah,
       position.rent_amount,
       position.price_plan_version_id,
       position.suspended,
       position.number AS revision,
       lease_line.named_pack_id,
       lease_line.from_on,
       started_on,
       ended_on,
       end_reason,
       placement.pack_id
  FROM lease_line
  {AS_OF}
  LEFT JOIN placement ON placement.line_id = lease_line.id AND placement.during @> $1::date
"""

GET = f"""{VIEW}
 WHERE lease_line.id = $2
"""


async def get(tx: Connection, line_id: UUID, on: date) -> Record | None:
    """A line as it is on a day, with the pack that stands there then."""
    return await tx.fetchrow(GET, on, line_id)


LIST = f"""{VIEW}
 WHERE lease_line.id > $2
   AND ($3::uuid IS NULL OR lease_line.contract_id = $3)
   AND ($4::uuid IS NULL OR position.site_id = $4)
 ORDER BY lease_line.id
 LIMIT $5
"""


async def after(
    tx: Connection,
    line_id: UUID,
    on: date,
    contract_id: UUID | None,
    site_id: UUID | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, on, line_id, contract_id, site_id, limit)


LINE_COLUMNS = """lease_line.id,
       lease_line.contract_id,
       lease_line.lessee_id,
       contract.state AS contract_state,
       position.site_id,
       site.adcode,
       position.slot,
       position.rated_capacity_mah,
       position.rent_amount,
       position.price_plan_version_id,
       position.suspended,
       terms.guarantee_percent,
       terms.replacement_days,
       lease_line.named_pack_id,
       lease_line.from_on,
       lease_line.started_on,
       lease_line.ended_on"""

AS_LINE = f"""
SELECT {LINE_COLUMNS}
  FROM lease_line
  JOIN contract ON contract.id = lease_line.contract_id
  {AS_OF}
  JOIN site ON site.id = position.site_id
  {TERMS_AS_OF}
"""

# Contracts first and then lines, each in order of id: two that want the same ones queue up instead
# of locking each other out. Locks are taken by statements of their own: one that waits for a lock
# goes on with what it saw before, and the positions may be others by then.
SHARE_CONTRACTS = """
SELECT id
  FROM contract
 WHERE id IN (SELECT contract_id FROM lease_line WHERE lease_line.id = ANY ($1::uuid[]))
 ORDER BY id
   FOR SHARE
"""

LOCK = """
SELECT id
  FROM lease_line
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""

READ = f"""
SELECT {LINE_COLUMNS}
  FROM unnest($1::uuid[], $2::date[]) AS asked (line_id, day)
  JOIN lease_line ON lease_line.id = asked.line_id
  JOIN contract ON contract.id = lease_line.contract_id
  {AS_OF.replace("$1::date", "asked.day")}
  JOIN site ON site.id = position.site_id
  {TERMS_AS_OF.replace("$1::date", "asked.day")}
 ORDER BY lease_line.id
"""


async def lock(tx: Connection, days: Mapping[UUID, date]) -> dict[UUID, Line]:
    """Lines for changing, each as it is on its own day; those that are there, by id."""
    await tx.execute(SHARE_CONTRACTS, list(days))
    await tx.execute(LOCK, list(days))
    rows = await fetch_for(tx, len(days), READ, list(days), list(days.values()))
    return {line.id: line for line in convert_all(rows, Line)}


READ_OPEN = f"""{AS_LINE}
 WHERE lease_line.contract_id = $2
   AND lease_line.ended_on IS NULL
 ORDER BY lease_line.id
"""


async def read_open(tx: Connection, contract_id: UUID, on: date) -> list[Line]:
    """The lines of a contract that have not ended, as they are on a day; nothing is locked."""
    return convert_all(await tx.fetch(READ_OPEN, on, contract_id), Line)


# The lines of a contract that have not ended, for a change that concerns them all.
LOCK_OPEN = """
SELECT id
  FROM lease_line
 WHERE contract_id = $1
   AND ended_on IS NULL
 ORDER BY id
   FOR UPDATE
"""


async def lock_open(tx: Connection, contract_id: UUID) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(LOCK_OPEN, contract_id)]


COUNT = """
SELECT count(*) FILTER (WHERE ended_on IS NULL) AS open,
       count(*) FILTER (WHERE ended_on IS NULL AND EXISTS (
         SELECT FROM placement WHERE line_id = lease_line.id AND upper_inf(during))) AS with_pack,
       max(ended_on) AS last_ended_on,
       (SELECT max(upper(during))
          FROM placement
         WHERE line_id IN (SELECT id FROM lease_line WHERE contract_id = $1)) AS last_pack_left_on
  FROM lease_line
 WHERE contract_id = $1
"""


class Count(msgspec.Struct, frozen=True):
    open: int
    with_pack: int
    last_ended_on: date | None
    last_pack_left_on: date | None


async def count(tx: Connection, contract_id: UUID) -> Count:
    """How many lines of a contract have not ended, and in how many of those a pack stands."""
    row = await tx.fetchrow(COUNT, contract_id)
    assert row is not None
    return msgspec.convert(dict(row), Count)


LAST_ESCALATED = """
SELECT max(lower(during))
  FROM line_revision
 WHERE contract_id = $1
   AND cause = 'escalated'
"""


async def last_escalated(tx: Connection, contract_id: UUID) -> date | None:
    """The day of the last step of an escalator that was taken."""
    on: date | None = await tx.fetchval(LAST_ESCALATED, contract_id)
    return on


START = """
UPDATE lease_line
   SET started_on = given.started_on,
       first_acceptance_id = given.acceptance_id
  FROM unnest($1::uuid[], $2::date[], $3::uuid[]) AS given (line_id, started_on, acceptance_id)
 WHERE lease_line.id = given.line_id
   AND lease_line.started_on IS NULL
"""


async def start(
    tx: Connection,
    line_ids: Sequence[UUID],
    days: Sequence[date],
    acceptance_ids: Sequence[UUID],
) -> None:
    """The first acceptance starts a line; later ones leave its start alone."""
    await tx.execute(START, line_ids, days, acceptance_ids)


END = """
UPDATE lease_line
   SET ended_on = given.ended_on,
       end_reason = $3
  FROM unnest($1::uuid[], $2::date[]) AS given (line_id, ended_on)
 WHERE lease_line.id = given.line_id
"""


async def end(tx: Connection, days: Mapping[UUID, date], reason: str) -> None:
    """End lines, each on its own day."""
    await tx.execute(END, list(days), list(days.values()), reason)


# What an open restatement concerns; how many lines a change leads to a correction for.
RESTATED = """
SELECT count(DISTINCT line_id)
  FROM restatement
  JOIN lease_line ON lease_line.id = line_id
 WHERE contract_id = $1
   AND NOT settled
"""


async def restated(tx: Connection, contract_id: UUID) -> int:
    number: int = await tx.fetchval(RESTATED, contract_id)
    return number
