"""Outages that nobody entered: replacements that are overdue, and sites whose packs did not carry
the load as long as agreed. They are facts like those entered by hand, with what they rest on; each
is found once, whatever is made of it afterwards."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.errors import DomainError
from leasing.kit.rows import convert_all
from leasing.kit.time import midnight
from leasing.maintenance import rules
from leasing.maintenance.model import Dark
from leasing.tariffs import facts
from schemas.tariffs import OutageCause, OutageRow

LOOK_BACK = timedelta(days=92)
"""A duty that was settled longer ago is not looked at again."""
DARK_LOOK_BACK = timedelta(days=7)
EMPTY_CELL_V = 3.0
"""Median of a pack's cells at the end of its discharge (health/states.py)."""

# From the due day on, each civil day on which the replacement had not come.
OVERDUE = """
SELECT duty.id, duty.line_id, duty.pack_id, duty.due_on, day::date AS overdue_on
  FROM duty
 CROSS JOIN LATERAL generate_series(
         duty.due_on, least(coalesce(duty.closed_on, $1::date), $1::date) - 1, '1 day') AS day
 WHERE duty.kind = 'replacement'
   AND duty.due_on < $1::date
   AND coalesce(duty.closed_on, $1::date) >= $2::date
   AND NOT EXISTS (
       SELECT FROM outage_source
        WHERE outage_source.duty_id = duty.id
          AND outage_source.overdue_on = day::date)
 ORDER BY duty.id, day
 LIMIT $3
   FOR UPDATE OF duty
"""

INSERT_SOURCES = """
INSERT INTO outage_source (outage_id, duty_id, overdue_on, site_id, discharge_started_at, pack_ids)
SELECT outage_id, duty_id, overdue_on, site_id, discharge_started_at,
       string_to_array(packs, ',')::uuid[]
  FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::uuid[], $5::timestamptz[], $6::text[])
       AS given (outage_id, duty_id, overdue_on, site_id, discharge_started_at, packs)
"""


async def find_overdue(tx: Connection, as_of: date, limit: int, *, by: str, now: datetime) -> int:
    """Enter the days before `as_of` on which a replacement was overdue. Returns how many."""
    rows = await tx.fetch(OVERDUE, as_of, as_of - LOOK_BACK, limit)
    found = [
        OutageRow(
            line_id=row["line_id"],
            from_at=midnight(row["overdue_on"]),
            to_at=midnight(row["overdue_on"] + timedelta(days=1)),
            cause=OutageCause.LESSOR,
            evidence=f"replacement duty {row['id']} was due on {row['due_on']}",
        )
        for row in rows
    ]
    ids = await _enter(tx, found, by=by, now=now)
    await tx.execute(
        INSERT_SOURCES,
        ids,
        [row["id"] for row in rows],
        [row["overdue_on"] for row in rows],
        [None] * len(rows),
        [None] * len(rows),
        [str(row["pack_id"]) for row in rows],
    )
    return len(rows)


async def _enter(
    tx: Connection, rows: Sequence[OutageRow], *, by: str, now: datetime
) -> list[UUID]:
    ids = []
    for outcome in await facts.enter_outages(tx, rows, by=by, now=now):
        if isinstance(outcome, DomainError):
            raise outcome
        ids.append(outcome)
    return ids


# A swap that was entered late: the days from it on were none.
NEEDLESS = """
SELECT outage.id, outage.line_id, lower(outage.during) AS from_at, upper(outage.during) AS to_at
  FROM outage_source
  JOIN duty ON duty.id = outage_source.duty_id
  JOIN outage ON outage.id = outage_source.outage_id
 WHERE outage_source.overdue_on >= duty.closed_on
   AND outage.is_current
   AND NOT outage.is_void
 ORDER BY outage.id
 LIMIT $1
"""


async def take_back(tx: Connection, limit: int, *, by: str, now: datetime) -> int:
    """Take back days on which the replacement had come already, as was entered afterwards."""
    rows = await tx.fetch(NEEDLESS, limit)
    void = [
        OutageRow(
            line_id=row["line_id"],
            from_at=row["from_at"],
            to_at=row["to_at"],
            cause=OutageCause.LESSOR,
            evidence="the replacement had come by then",
            supersedes_id=row["id"],
            is_void=True,
        )
        for row in rows
    ]
    await _enter(tx, void, by=by, now=now)
    return len(rows)


# Every pack of the site was discharged until its cells were empty, and the discharges overlap in
# time with the first of them. A pack that is silent is no evidence.
DARK = """
WITH stood AS (
  SELECT position.site_id,
         placement.pack_id,
         terms.autonomy_minutes
    FROM placement
    JOIN line_revision AS position
      ON position.line_id = placement.line_id
     AND position.during @> $1::date - 1
    JOIN contract_revision AS terms
      ON terms.contract_id = position.contract_id
     AND terms.during @> $1::date - 1
   WHERE placement.during @> $1::date - 1
), emptied AS (
  SELECT stood.site_id, stood.pack_id, session.started_at, session.ended_at
    FROM stood
    JOIN pack_session AS session ON session.pack_id = stood.pack_id
   WHERE session.direction = -1
     AND session.end_v <= $2::float8
     AND session.started_at >= $3
     AND session.ended_at < $4
), first AS (
  SELECT site_id, min(started_at) AS started_at
    FROM emptied
   GROUP BY site_id
), summed AS (
  SELECT first.site_id, first.started_at, max(emptied.ended_at) AS dark_at,
         array_agg(DISTINCT emptied.pack_id) AS pack_ids
    FROM first
    JOIN emptied ON emptied.site_id = first.site_id
   WHERE emptied.started_at < (
         SELECT min(ended_at) FROM emptied AS one
          WHERE one.site_id = first.site_id AND one.started_at = first.started_at)
   GROUP BY first.site_id, first.started_at
)
SELECT summed.site_id, summed.pack_ids, summed.started_at, summed.dark_at,
       agreed.minutes AS agreed_minutes,
       (SELECT min(charge.started_at)
          FROM pack_session AS charge
         WHERE charge.pack_id = ANY (summed.pack_ids)
           AND charge.direction = 1
           AND charge.started_at >= summed.dark_at) AS back_at
  FROM summed
  JOIN (SELECT site_id, max(autonomy_minutes) AS minutes, count(*) AS packs
          FROM stood
         GROUP BY site_id) AS agreed
    ON agreed.site_id = summed.site_id
 WHERE agreed.minutes IS NOT NULL
   AND agreed.packs = cardinality(summed.pack_ids)
   AND summed.started_at + agreed.minutes * interval '1 minute' <= $4
   AND NOT EXISTS (
       SELECT FROM outage_source
        WHERE outage_source.site_id = summed.site_id
          AND outage_source.discharge_started_at = summed.started_at)
 ORDER BY summed.site_id
"""


async def find_dark(tx: Connection, as_of: date, *, by: str, now: datetime) -> int:
    """Enter the time in which sites were dark though their backup was to last: from when the last
    pack was empty until the agreed time was over, or the grid was back. Returns how many."""
    until = midnight(as_of)
    rows = await tx.fetch(DARK, as_of, EMPTY_CELL_V, until - DARK_LOOK_BACK, until)
    pairs = [
        (dark, span) for dark in convert_all(rows, Dark) if (span := rules.missed(dark)) is not None
    ]
    found = [
        OutageRow(
            site_id=dark.site_id,
            from_at=span[0],
            to_at=span[1],
            cause=OutageCause.LESSOR,
            evidence=(
                f"{len(dark.pack_ids)} packs were empty "
                f"{(dark.dark_at - dark.started_at).total_seconds() / 60:.0f} minutes after "
                f"{dark.started_at.isoformat()}; {dark.agreed_minutes} are agreed"
            ),
        )
        for dark, span in pairs
    ]
    ids = await _enter(tx, found, by=by, now=now)
    await tx.execute(
        INSERT_SOURCES,
        ids,
        [None] * len(ids),
        [None] * len(ids),
        [dark.site_id for dark, _ in pairs],
        [dark.started_at for dark, _ in pairs],
        [",".join(map(str, dark.pack_ids)) for dark, _ in pairs],
    )
    return len(ids)


# Reading

OUTAGE = """
SELECT id, site_id, line_id, lower(during) AS from_at, upper(during) AS to_at, cause, evidence,
       reference, supersedes_id, is_void, is_current, entered_by, entered_at
  FROM outage
 WHERE id = $1
"""


async def outage(tx: Connection, outage_id: UUID) -> Record | None:
    return await tx.fetchrow(OUTAGE, outage_id)


SOURCE = """
SELECT duty_id, pack_ids, discharge_started_at
  FROM outage_source
 WHERE outage_id = $1
"""


async def source(tx: Connection, outage_id: UUID) -> Record | None:
    return await tx.fetchrow(SOURCE, outage_id)
