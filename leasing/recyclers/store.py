"""Recyclers' listings, reports, notices and withdrawals in the database."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert
from leasing.recyclers.model import Deadline, Step
from schemas.recyclers import AnnualReportCreate, WithdrawalCreate

GET = """
SELECT id, name, credit_code
  FROM party
 WHERE id = $1
   AND kind = 'recycler'
"""


async def get(tx: Connection, recycler_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, recycler_id)


# In the order of ids, so that two who want the same firms do not wait in a circle.
LOCK = """
SELECT id, name, credit_code
  FROM party
 WHERE kind = 'recycler'
   AND (id = ANY ($1::uuid[]) OR credit_code = ANY ($2::text[]))
 ORDER BY id
   FOR NO KEY UPDATE
"""


async def lock(
    tx: Connection, ids: Sequence[UUID], credit_codes: Sequence[str] = ()
) -> list[Record]:
    """Lock recyclers, so that what happens to each happens in sequence."""
    return await tx.fetch(LOCK, ids, credit_codes)


# --- Steps of the listing ---------------------------------------------------------------------

LATEST = """
SELECT DISTINCT ON (recycler_id)
       recycler_id, state, from_on, reason, document, document_sha256, listed_on, ends_on
  FROM listing_step
 WHERE recycler_id = ANY ($1::uuid[])
 ORDER BY recycler_id, sequence DESC
"""


async def latest(tx: Connection, ids: Sequence[UUID]) -> dict[UUID, Step]:
    """The last step of each firm that took one."""
    return {row["recycler_id"]: convert(row, Step) for row in await tx.fetch(LATEST, ids)}


ADD_STEPS = """
INSERT INTO listing_step (recycler_id, sequence, state, from_on, reason, document, document_sha256,
                          listed_on, ends_on, entered_by, entered_at)
SELECT given.recycler_id,
       coalesce((SELECT max(earlier.sequence)
                   FROM listing_step AS earlier
                  WHERE earlier.recycler_id = given.recycler_id), 0)
         + row_number() OVER (PARTITION BY given.recycler_id ORDER BY given.position),
       given.state, given.from_on, given.reason, given.document, given.document_sha256,
       given.listed_on, given.ends_on, $9, $10
  FROM unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::text[], $6::text[], $7::date[],
              $8::date[])
       WITH ORDINALITY AS given (recycler_id, state, from_on, reason, document, document_sha256,
                                 listed_on, ends_on, position)
 ORDER BY given.position
RETURNING id, recycler_id, sequence, state, from_on, reason, document, document_sha256, listed_on,
          ends_on, entered_by, entered_at
"""


async def add_steps(
    tx: Connection, steps: Sequence[tuple[UUID, Step]], by: str, now: datetime
) -> list[Record]:
    """Append steps, in the order given for each firm."""
    return await tx.fetch(
        ADD_STEPS,
        [recycler_id for recycler_id, _ in steps],
        [step.state for _, step in steps],
        [step.from_on for _, step in steps],
        [step.reason for _, step in steps],
        [step.document for _, step in steps],
        [step.document_sha256 for _, step in steps],
        [step.listed_on for _, step in steps],
        [step.ends_on for _, step in steps],
        by,
        now,
    )


STEPS = """
SELECT id, recycler_id, sequence, state, from_on, reason, document, document_sha256, listed_on,
       ends_on, entered_by, entered_at
  FROM listing_step
 WHERE recycler_id = $1
 ORDER BY sequence
"""


async def steps(tx: Connection, recycler_id: UUID) -> list[Record]:
    return await tx.fetch(STEPS, recycler_id)


# Firms whose last step may be followed by one that days bring.
MOVING = """
SELECT newest.recycler_id
  FROM (SELECT DISTINCT ON (recycler_id) recycler_id, state, ends_on
          FROM listing_step
         WHERE recycler_id > $1
         ORDER BY recycler_id, sequence DESC) AS newest
 WHERE newest.state IN ('listed', 'rectifying', 'withdrawn')
 ORDER BY newest.recycler_id
 LIMIT $2
"""


async def moving(tx: Connection, after: UUID, limit: int) -> list[UUID]:
    return [row["recycler_id"] for row in await tx.fetch(MOVING, after, limit)]


# --- Annual reports ---------------------------------------------------------------------------

ADD_REPORT = """
INSERT INTO annual_report (recycler_id, year, filed_on, document, document_sha256, entered_by,
                           entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def add_report(
    tx: Connection, recycler_id: UUID, data: AnnualReportCreate, by: str, now: datetime
) -> None:
    await tx.execute(
        ADD_REPORT,
        recycler_id,
        data.year,
        data.filed_on,
        data.document,
        data.document_sha256,
        by,
        now,
    )


REPORTS = """
SELECT year, filed_on, document, document_sha256,
       filed_on < make_date(year + 1, 4, 1) AS in_time
  FROM annual_report
 WHERE recycler_id = $1
 ORDER BY year
"""


async def reports(tx: Connection, recycler_id: UUID) -> list[Record]:
    return await tx.fetch(REPORTS, recycler_id)


FILED = """
SELECT recycler_id, year, filed_on
  FROM annual_report
 WHERE recycler_id = ANY ($1::uuid[])
"""


async def filed(tx: Connection, ids: Sequence[UUID]) -> dict[UUID, dict[int, date]]:
    """On which days firms filed their reports, by the year they are about."""
    found: dict[UUID, dict[int, date]] = {recycler_id: {} for recycler_id in ids}
    for row in await tx.fetch(FILED, ids):
        found[row["recycler_id"]][row["year"]] = row["filed_on"]
    return found


# --- Evidence ---------------------------------------------------------------------------------

MISSING = """
SELECT needed.kind
  FROM unnest($3::text[]) WITH ORDINALITY AS needed (kind, position)
 WHERE NOT EXISTS (
   SELECT FROM qualification
    WHERE qualification.party_id = $1
      AND qualification.kind = needed.kind
      AND qualification.valid @> $2::date)
 ORDER BY needed.position
"""


async def missing(tx: Connection, recycler_id: UUID, on: date, kinds: Sequence[str]) -> list[str]:
    """Which of these kinds of evidence a recycler does not hold on a day."""
    return [row["kind"] for row in await tx.fetch(MISSING, recycler_id, on, kinds)]


WITHDRAW = """
UPDATE qualification
   SET valid = daterange(lower(valid), $3),
       withdrawn_on = $3,
       withdrawal_document = $4
 WHERE party_id = ANY ($1::uuid[])
   AND kind = ANY ($2::text[])
   AND valid @> $3::date
   AND lower(valid) < $3::date
RETURNING party_id, kind
"""


async def withdraw(
    tx: Connection, ids: Sequence[UUID], kinds: Sequence[str], on: date, document: str
) -> dict[UUID, list[str]]:
    """End evidence of many firms on a day; returns what each of them lost."""
    lost: dict[UUID, list[str]] = {}
    for row in await tx.fetch(WITHDRAW, ids, kinds, on, document):
        lost.setdefault(row["party_id"], []).append(row["kind"])
    return {recycler_id: sorted(of_it) for recycler_id, of_it in lost.items()}


# --- Withdrawals of many at once --------------------------------------------------------------

ADD_WITHDRAWAL = """
INSERT INTO withdrawal (announcement_no, document, document_sha256, withdrawn_on, kinds, entered_by,
                        entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
"""

ADD_FIRMS = """
INSERT INTO withdrawn_firm (withdrawal_id, recycler_id, lost)
SELECT $1, given.recycler_id, string_to_array(given.lost, ' ')
  FROM unnest($2::uuid[], $3::text[]) AS given (recycler_id, lost)
"""


async def add_withdrawal(
    tx: Connection,
    data: WithdrawalCreate,
    lost: Sequence[tuple[UUID, Sequence[str]]],
    by: str,
    now: datetime,
) -> UUID:
    withdrawal_id: UUID = await tx.fetchval(
        ADD_WITHDRAWAL,
        data.announcement_no,
        data.document,
        data.document_sha256,
        data.withdrawn_on,
        sorted(set(data.kinds)),
        by,
        now,
    )
    await tx.execute(
        ADD_FIRMS,
        withdrawal_id,
        [recycler_id for recycler_id, _ in lost],
        [" ".join(of_it) for _, of_it in lost],
    )
    return withdrawal_id


GET_WITHDRAWAL = """
SELECT id, announcement_no, document, document_sha256, withdrawn_on, kinds, entered_at
  FROM withdrawal
 WHERE id = $1
"""


async def withdrawal(tx: Connection, withdrawal_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_WITHDRAWAL, withdrawal_id)


WITHDRAWALS = """
SELECT id, announcement_no, document, withdrawn_on, kinds, entered_at,
       (SELECT count(*) FROM withdrawn_firm WHERE withdrawal_id = withdrawal.id) AS firms
  FROM withdrawal
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def withdrawals(tx: Connection, after: UUID, limit: int) -> list[Record]:
    return await tx.fetch(WITHDRAWALS, after, limit)


# What is reserved there for that day or later, and so hangs on evidence that is gone.
HIT = """
SELECT withdrawn_firm.recycler_id AS id,
       party.name,
       party.credit_code,
       withdrawn_firm.lost,
       array(SELECT DISTINCT qualification.kind
               FROM qualification
              WHERE qualification.party_id = party.id
                AND qualification.kind = ANY ($2::text[])
                AND (upper_inf(qualification.valid) OR upper(qualification.valid) > $3)
              ORDER BY qualification.kind) AS still_valid,
       withdrawn_firm.lost && $4::text[] AS gate_lost,
       (SELECT count(*) FROM outlet WHERE outlet.recycler_id = party.id) AS outlets,
       coalesce(hit.open_routings, 0) AS open_routings,
       coalesce(hit.open_kg, 0) AS open_kg
  FROM withdrawn_firm
  JOIN party ON party.id = withdrawn_firm.recycler_id
  LEFT JOIN LATERAL (
         SELECT count(*) AS open_routings, sum(mass_kg)::bigint AS open_kg
           FROM routing
          WHERE routing.recycler_id = party.id
            AND state = 'reserved'
            AND hand_over_on >= $3) AS hit ON true
 WHERE withdrawn_firm.withdrawal_id = $1
 ORDER BY party.id
"""


async def hit_firms(
    tx: Connection, withdrawal_id: UUID, kinds: Sequence[str], on: date, gate: Sequence[str]
) -> list[Record]:
    return await tx.fetch(HIT, withdrawal_id, kinds, on, gate)


HIT_OUTLETS = """
SELECT outlet.id, outlet.code, outlet.recycler_id, count(*) AS open_routings,
       sum(routing.mass_kg)::bigint AS open_kg
  FROM withdrawn_firm
  JOIN routing ON routing.recycler_id = withdrawn_firm.recycler_id
  JOIN outlet ON outlet.id = routing.outlet_id
 WHERE withdrawn_firm.withdrawal_id = $1
   AND routing.state = 'reserved'
   AND routing.hand_over_on >= $2
 GROUP BY outlet.id
 ORDER BY outlet.id
"""


async def hit_outlets(tx: Connection, withdrawal_id: UUID, on: date) -> list[Record]:
    return await tx.fetch(HIT_OUTLETS, withdrawal_id, on)


# --- Notices ----------------------------------------------------------------------------------

# Evidence that runs out within so many days, and that no other evidence takes up.
EXPIRING = """
SELECT party_id AS recycler_id, kind AS subject, upper(valid) AS lapses_on, document
  FROM qualification
 WHERE upper(valid) > $1
   AND upper(valid) <= $2
   AND withdrawn_on IS NULL
   AND NOT EXISTS (
         SELECT FROM qualification AS following
          WHERE following.party_id = qualification.party_id
            AND following.kind = qualification.kind
            AND following.valid @> upper(qualification.valid))
 ORDER BY party_id, kind
"""


async def expiring(tx: Connection, as_of: date, until: date) -> list[Record]:
    return await tx.fetch(EXPIRING, as_of, until)


NOTICE = """
INSERT INTO recycler_notice (recycler_id, subject, lapses_on, days, document, noticed_on)
SELECT given.recycler_id, given.subject, given.lapses_on, given.days, given.document, $6
  FROM unnest($1::uuid[], $2::text[], $3::date[], $4::integer[], $5::text[])
       AS given (recycler_id, subject, lapses_on, days, document)
    ON CONFLICT ON CONSTRAINT recycler_notice_once DO NOTHING
RETURNING recycler_id, subject, lapses_on, days
"""


async def notice(
    tx: Connection, due: Iterable[tuple[UUID, Deadline, int]], on: date
) -> list[Record]:
    """Write notices down; returns those that were not there yet."""
    given = list(due)
    return await tx.fetch(
        NOTICE,
        [recycler_id for recycler_id, _, _ in given],
        [deadline.subject for _, deadline, _ in given],
        [deadline.lapses_on for _, deadline, _ in given],
        [days for _, _, days in given],
        [deadline.document for _, deadline, _ in given],
        on,
    )


NOTICES = """
SELECT id, recycler_id, subject, lapses_on, days, document, noticed_on
  FROM recycler_notice
 WHERE id > $1
   AND ($2::uuid IS NULL OR recycler_id = $2)
   AND ($3::text IS NULL OR subject = $3)
   AND ($4::date IS NULL OR lapses_on > $4)
 ORDER BY id
 LIMIT $5
"""


async def notices(
    tx: Connection,
    after: UUID,
    limit: int,
    *,
    recycler_id: UUID | None = None,
    subject: str | None = None,
    lapses_after: date | None = None,
) -> list[Record]:
    return await tx.fetch(NOTICES, after, recycler_id, subject, lapses_after, limit)


AHEAD = """
SELECT id, recycler_id, subject, lapses_on, days, document, noticed_on
  FROM recycler_notice
 WHERE recycler_id = $1
   AND lapses_on > $2
 ORDER BY lapses_on, days, id
"""


async def notices_ahead(tx: Connection, recycler_id: UUID, as_of: date) -> list[Record]:
    """Notices of what has not lapsed yet."""
    return await tx.fetch(AHEAD, recycler_id, as_of)


# --- A recycler's outlets -----------------------------------------------------------------------

OUTLETS = """
SELECT id, code, name_zh, kind, adcode, closed_from,
       CASE WHEN closed_from <= $2 THEN 0
            ELSE greatest(0, store_limit_kg - stock_kg - reserved_kg - in_transit_kg)
       END AS free_kg
  FROM outlet
 WHERE recycler_id = $1
 ORDER BY id
 LIMIT $3
"""

COUNT_OUTLETS = """
SELECT count(*)
  FROM outlet
 WHERE recycler_id = $1
"""


async def outlets(tx: Connection, recycler_id: UUID, as_of: date, limit: int) -> list[Record]:
    return await tx.fetch(OUTLETS, recycler_id, as_of, limit)


async def count_outlets(tx: Connection, recycler_id: UUID) -> int:
    found: int = await tx.fetchval(COUNT_OUTLETS, recycler_id)
    return found
