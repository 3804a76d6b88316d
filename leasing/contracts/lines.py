"""Lines and placements in the database: positions by day, and the packs in them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.model import Line, LineRevision
from leasing.db.pool import Connection, fetch_for
from leasing.kit.rows import convert_all
from schemas.contracts import AcceptanceCreate, IncidentCreate, ReturnCreate

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
                           suspended, cause, entered_by, entered_at)
SELECT line_id, number, daterange(from_on, to_on), contract_id, lessee_id, site_id, slot,
       rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, suspended, cause,
       entered_by, entered_at
  FROM unnest($1::uuid[], $2::int[], $3::date[], $4::date[], $5::uuid[], $6::uuid[], $7::uuid[],
              $8::int[], $9::int[], $10::bigint[], $11::date[], $12::bigint[], $13::bool[],
              $14::text[], $15::text[], $16::timestamptz[])
       WITH ORDINALITY
       AS given (line_id, number, from_on, to_on, contract_id, lessee_id, site_id, slot,
                 rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, suspended, cause,
                 entered_by, entered_at, position)
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
       entered_at = excluded.entered_at
"""


async def write_revisions(tx: Connection, revisions: Sequence[LineRevision]) -> None:
    """Write revisions of any lines."""
    if revisions:
        rows = [msgspec.structs.astuple(revision) for revision in revisions]
        await tx.execute(WRITE_REVISIONS, *[list(column) for column in zip(*rows, strict=True)])


REVISION_COLUMNS = """line_id, number, lower(during) AS from_on, upper(during) AS to_on,
       contract_id, lessee_id, site_id, slot, rated_capacity_mah, base_rent_amount, base_from_on,
       rent_amount, suspended, cause, entered_by, entered_at"""

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


# All lines of a draft begin with its term.
SET_DRAFT_START = """
WITH moved AS (
  UPDATE lease_line SET from_on = $2 WHERE contract_id = $1
)
UPDATE line_revision
   SET during = daterange($2, NULL),
       base_from_on = $2
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

READ = f"""{AS_LINE}
 WHERE lease_line.id = ANY ($2::uuid[])
 ORDER BY lease_line.id
"""


async def lock(tx: Connection, line_ids: Sequence[UUID], on: date) -> list[Line]:
    """Lines for changing, as they are on a day; their contracts cannot change state meanwhile."""
    await tx.execute(SHARE_CONTRACTS, line_ids)
    await tx.execute(LOCK, line_ids)
    return convert_all(await tx.fetch(READ, on, line_ids), Line)


READ_EACH = f"""
SELECT {LINE_COLUMNS}
  FROM unnest($1::uuid[], $2::date[]) AS asked (line_id, day)
  JOIN lease_line ON lease_line.id = asked.line_id
  JOIN contract ON contract.id = lease_line.contract_id
  {AS_OF.replace("$1::date", "asked.day")}
  JOIN site ON site.id = position.site_id
  {TERMS_AS_OF.replace("$1::date", "asked.day")}
 ORDER BY lease_line.id
"""


async def lock_each(tx: Connection, days: Mapping[UUID, date]) -> dict[UUID, Line]:
    """Lines for changing, each as it is on its own day; those that are there, by id."""
    await tx.execute(SHARE_CONTRACTS, list(days))
    await tx.execute(LOCK, list(days))
    rows = await fetch_for(tx, len(days), READ_EACH, list(days), list(days.values()))
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


PLACEMENT_COLUMNS = """id, line_id, pack_id, acceptance_id, site_id, slot, lower(during) AS from_on,
       upper(during) AS to_on"""

PLACE = f"""
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
VALUES ($1, $2, $3, $4, $5, daterange($6, NULL))
RETURNING {PLACEMENT_COLUMNS}
"""


async def place(
    tx: Connection,
    *,
    acceptance_id: UUID,
    line_id: UUID,
    pack_id: UUID,
    site_id: UUID,
    slot: int,
    on: date,
) -> Record:
    row = await tx.fetchrow(PLACE, acceptance_id, line_id, pack_id, site_id, slot, on)
    assert row is not None
    return row


PLACE_EACH = f"""
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance_id, line_id, pack_id, site_id, slot, daterange(from_on, NULL)
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::date[])
       WITH ORDINALITY
       AS given (acceptance_id, line_id, pack_id, site_id, slot, from_on, position)
 ORDER BY position
RETURNING {PLACEMENT_COLUMNS}
"""


async def place_each(
    tx: Connection,
    given: Sequence[tuple[Line, AcceptanceCreate]],
    acceptance_ids: Sequence[UUID],
) -> list[Record]:
    """Place the packs of joint tests in their lines, in the same order."""
    return await tx.fetch(
        PLACE_EACH,
        acceptance_ids,
        [line.id for line, _ in given],
        [data.pack_id for _, data in given],
        [line.site_id for line, _ in given],
        [line.slot for line, _ in given],
        [data.accepted_on for _, data in given],
    )


START_EACH = """
UPDATE lease_line
   SET started_on = given.started_on,
       first_acceptance_id = given.acceptance_id
  FROM unnest($1::uuid[], $2::date[], $3::uuid[]) AS given (line_id, started_on, acceptance_id)
 WHERE lease_line.id = given.line_id
   AND lease_line.started_on IS NULL
"""


async def start_each(
    tx: Connection,
    line_ids: Sequence[UUID],
    days: Sequence[date],
    acceptance_ids: Sequence[UUID],
) -> None:
    """The first acceptance starts a line; later ones leave its start alone."""
    await tx.execute(START_EACH, line_ids, days, acceptance_ids)


END = """
UPDATE lease_line
   SET ended_on = $2,
       end_reason = $3
 WHERE id = ANY ($1::uuid[])
"""


async def end(tx: Connection, line_ids: Sequence[UUID], on: date, reason: str) -> None:
    await tx.execute(END, line_ids, on, reason)


END_EACH = """
UPDATE lease_line
   SET ended_on = given.ended_on,
       end_reason = $3
  FROM unnest($1::uuid[], $2::date[]) AS given (line_id, ended_on)
 WHERE lease_line.id = given.line_id
"""


async def end_each(tx: Connection, days: Mapping[UUID, date], reason: str) -> None:
    await tx.execute(END_EACH, list(days), list(days.values()), reason)


# greatest() keeps a day before the placement from being a range error: the range becomes
# empty, and the constraint says by name what is wrong.
CLOSE_PLACEMENT = f"""
UPDATE placement
   SET during = daterange(lower(during), greatest(lower(during), $2))
 WHERE line_id = $1
   AND upper_inf(during)
RETURNING {PLACEMENT_COLUMNS}
"""


async def close_placement(tx: Connection, line_id: UUID, on: date) -> Record | None:
    """End the stay of the pack that stands in a line now."""
    return await tx.fetchrow(CLOSE_PLACEMENT, line_id, on)


CLOSE_PLACEMENT_OF_EACH = """
UPDATE placement
   SET during = daterange(lower(during), greatest(lower(during), given.to_on))
  FROM unnest($1::uuid[], $2::date[]) AS given (line_id, to_on)
 WHERE placement.line_id = given.line_id
   AND upper_inf(during)
"""


async def close_placement_of_each(tx: Connection, days: Mapping[UUID, date]) -> None:
    """End the stays of the packs that stand in lines now, each on its own day."""
    await tx.execute(CLOSE_PLACEMENT_OF_EACH, list(days), list(days.values()))


# A pack that came on that very day moves as if it had come to the new place.
MOVE_PLACEMENT = f"""
UPDATE placement
   SET site_id = $2,
       slot = $3
 WHERE line_id = $1
   AND upper_inf(during)
   AND lower(during) = $4
RETURNING {PLACEMENT_COLUMNS}
"""


async def move_placement(
    tx: Connection, line_id: UUID, site_id: UUID, slot: int, on: date
) -> Record | None:
    return await tx.fetchrow(MOVE_PLACEMENT, line_id, site_id, slot, on)


OPEN_PLACEMENT = f"""
SELECT {PLACEMENT_COLUMNS}
  FROM placement
 WHERE line_id = $1
   AND upper_inf(during)
"""


async def open_placement(tx: Connection, line_id: UUID) -> Record | None:
    return await tx.fetchrow(OPEN_PLACEMENT, line_id)


OPEN_PLACEMENTS = """
SELECT line_id, pack_id, lower(during) AS from_on
  FROM placement
 WHERE line_id = ANY ($1::uuid[])
   AND upper_inf(during)
"""


class Stay(msgspec.Struct, frozen=True):
    """A pack that stands in a line now."""

    line_id: UUID
    pack_id: UUID
    from_on: date


async def open_placements(tx: Connection, line_ids: Sequence[UUID]) -> dict[UUID, Stay]:
    """The packs that stand in lines now, by line."""
    found = convert_all(await tx.fetch(OPEN_PLACEMENTS, line_ids), Stay)
    return {stay.line_id: stay for stay in found}


PLACEMENTS = f"""
SELECT {PLACEMENT_COLUMNS}
  FROM placement
 WHERE line_id = $1
 ORDER BY lower(during)
"""


async def placements(tx: Connection, line_id: UUID) -> list[Record]:
    return await tx.fetch(PLACEMENTS, line_id)


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


INSERT_RETURN = """
INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
VALUES ($1, $2, $3, $4)
"""


async def insert_return(
    tx: Connection, line_id: UUID, pack_id: UUID, on: date, reason: str
) -> None:
    """A pack that is back without a joint test."""
    await tx.execute(INSERT_RETURN, line_id, pack_id, on, reason)


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


# Incidents and fees

INCIDENT_COLUMNS = """id, line_id, pack_id, kind, happened_on, description, police_report, liable,
       photo_sha256, found_on, entered_by, entered_at"""

INSERT_INCIDENT = f"""
INSERT INTO incident (line_id, pack_id, kind, happened_on, description, police_report, liable,
                      photo_sha256, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING {INCIDENT_COLUMNS}
"""


async def insert_incident(
    tx: Connection, line_id: UUID, pack_id: UUID, data: IncidentCreate, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(
        INSERT_INCIDENT,
        line_id,
        pack_id,
        data.kind,
        data.happened_on,
        data.description,
        data.police_report,
        data.liable,
        data.photo_sha256,
        by,
        now,
    )
    assert row is not None
    return row


LOCK_INCIDENT = f"""
SELECT {INCIDENT_COLUMNS}
  FROM incident
 WHERE id = $1
   FOR UPDATE
"""


async def lock_incident(tx: Connection, incident_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_INCIDENT, incident_id)


MARK_FOUND = f"""
UPDATE incident
   SET found_on = $2
 WHERE id = $1
RETURNING {INCIDENT_COLUMNS}
"""


async def mark_found(tx: Connection, incident_id: UUID, on: date) -> Record:
    row = await tx.fetchrow(MARK_FOUND, incident_id, on)
    assert row is not None
    return row


INCIDENTS = f"""
SELECT {INCIDENT_COLUMNS}
  FROM incident
 WHERE id > $1
   AND ($2::uuid IS NULL OR line_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def incidents_after(
    tx: Connection, incident_id: UUID, line_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(INCIDENTS, incident_id, line_id, limit)


FEE_COLUMNS = "id, line_id, contract_id, pack_id, component, owed_on, amount, reason"

INSERT_FEES = f"""
INSERT INTO fee (line_id, contract_id, lessee_id, pack_id, component, owed_on, amount, reason,
                 entered_by, entered_at)
SELECT line_id, contract_id, lessee_id, pack_id, $3, $4, amount, $6, $7, $8
  FROM unnest($1::uuid[], $2::uuid[], $5::bigint[]) AS given (line_id, pack_id, amount)
  JOIN lease_line ON lease_line.id = given.line_id
 WHERE amount > 0
RETURNING {FEE_COLUMNS}
"""


async def insert_fees(
    tx: Connection,
    owed: Sequence[tuple[UUID, UUID | None, int]],
    component: str,
    owed_on: date,
    reason: str,
    by: str,
    now: datetime,
) -> list[Record]:
    """What lines owe once: `(line, pack, amount)`. Nothing is owed for an amount of nothing."""
    return await tx.fetch(
        INSERT_FEES,
        [line_id for line_id, _, _ in owed],
        [pack_id for _, pack_id, _ in owed],
        component,
        owed_on,
        [amount for _, _, amount in owed],
        reason,
        by,
        now,
    )


FEES = f"""
SELECT {FEE_COLUMNS}
  FROM fee
 WHERE id > $1
   AND ($2::uuid IS NULL OR contract_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def fees_after(
    tx: Connection, fee_id: UUID, contract_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(FEES, fee_id, contract_id, limit)


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


# Transfer: the same positions and stays, under the other contract.

# The rent of the day is the rent that the new lessee agrees to: escalation starts from it.
COPY_REVISIONS = """
INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount,
                           suspended, cause, entered_by, entered_at)
SELECT pair.new_id, 1, daterange($5, NULL), $3, $4, twin.id, slot, rated_capacity_mah,
       rent_amount, $5, rent_amount, suspended, 'transferred', $6, $7
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
  JOIN line_revision ON line_revision.line_id = pair.old_id AND during @> $5::date
  JOIN site ON site.id = line_revision.site_id
  JOIN site AS twin ON twin.party_id = $4 AND twin.code = site.code
"""

COPY_ACCEPTANCES = """
INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory, photo_sha256, remarks)
SELECT pair.new_id, $3, placement.pack_id, $4, tested_capacity_mah, $5, $6, photo_sha256,
       'taken over with the test of ' || accepted_on
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
  JOIN placement ON placement.line_id = pair.old_id AND upper_inf(during)
  JOIN acceptance ON acceptance.id = placement.acceptance_id
"""

CLOSE_PLACEMENTS = """
UPDATE placement
   SET during = daterange(lower(during), greatest(lower(during), $2))
 WHERE line_id = ANY ($1::uuid[])
   AND upper_inf(during)
RETURNING line_id, pack_id
"""

COPY_PLACEMENTS = """
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance.id, acceptance.line_id, acceptance.pack_id, position.site_id, position.slot,
       daterange($2, NULL)
  FROM acceptance
  JOIN line_revision AS position ON position.line_id = acceptance.line_id
 WHERE acceptance.line_id = ANY ($1::uuid[])
"""

MOVE_DUTIES = """
UPDATE duty
   SET line_id = pair.new_id
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
 WHERE line_id = pair.old_id
   AND closed_on IS NULL
"""

START_COPIES = """
UPDATE lease_line
   SET started_on = accepted_on,
       first_acceptance_id = acceptance.id
  FROM acceptance
 WHERE acceptance.line_id = lease_line.id
   AND lease_line.id = ANY ($1::uuid[])
"""


async def transfer(
    tx: Connection,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    contract_id: UUID,
    lessee_id: UUID,
    on: date,
    lessor_signatory: str,
    lessee_signatory: str,
    by: str,
    now: datetime,
) -> list[tuple[UUID, UUID]]:
    """Make the second line of each pair, `(old, new)`, the first one's successor; a pack that
    stands in one stays where it is. The new lessee has a site of the same code for each. Returns
    `(old line, pack)` for the packs."""
    old, new = [one for one, _ in pairs], [other for _, other in pairs]
    await tx.execute(COPY_REVISIONS, old, new, contract_id, lessee_id, on, by, now)
    await tx.execute(
        COPY_ACCEPTANCES, old, new, contract_id, on, lessor_signatory, lessee_signatory
    )
    moved = await tx.fetch(CLOSE_PLACEMENTS, old, on)
    await tx.execute(COPY_PLACEMENTS, new, on)
    await tx.execute(START_COPIES, new)
    await tx.execute(MOVE_DUTIES, old, new)
    return [(row["line_id"], row["pack_id"]) for row in moved]
