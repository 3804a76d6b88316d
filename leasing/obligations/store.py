"""Rules, obligations and submissions in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection, fetch_for

# --- Opening ------------------------------------------------------------------------------------

# What was written about some packs at one instant opens an obligation for each rule that holds on
# the event's own day and that somebody's role asks for; roles and deadlines are looked up once for
# all that is alike. A record that corrects another stands for what was really done, unless it says
# that it never was.
OPEN = """
WITH written AS (
  SELECT record.id,
         record.pack_id,
         record.happened_on,
         first.id AS corrected_id,
         CASE WHEN record.kind <> 'record.corrected' THEN record.kind
              WHEN record.data ->> 'withdrawn' = 'true' THEN NULL
              ELSE coalesce(record.data ->> 'kind', first.kind) END AS kind,
         coalesce(record.data ->> 'reason', 'its record was corrected') AS reason,
         (SELECT id
            FROM party
           WHERE id = coalesce(record.party_id, first.party_id)
             AND kind <> 'lessor') AS party_id
    FROM trace_record AS record
    LEFT JOIN trace_record AS first
      ON record.kind = 'record.corrected'
     AND first.id = record.corrects_id
   WHERE record.pack_id = ANY ($1::uuid[])
     AND record.recorded_at = $2
),
asked AS (
  SELECT written.id AS record_id, written.pack_id, written.happened_on, written.kind,
         rule.id AS rule_id, rule.role, rule.recipient, rule.deadline_number, rule.deadline_unit,
         CASE WHEN rule.reporter <> 'lessor' THEN written.party_id END AS party_id
    FROM written
    JOIN obligation_rule AS rule
      ON rule.is_enabled
     AND rule.event_kind = written.kind
     AND rule.valid @> written.happened_on
   WHERE rule.reporter <> 'party'
      OR written.party_id IS NOT NULL
),
alike AS MATERIALIZED (
  SELECT DISTINCT rule_id, party_id, happened_on, role, deadline_number, deadline_unit
    FROM asked
),
owed AS MATERIALIZED (
  SELECT rule_id, party_id, happened_on,
         deadline(happened_on, deadline_number, deadline_unit) AS due_on
    FROM alike
   WHERE plays_role(party_id, role, happened_on)
),
opened AS (
  INSERT INTO obligation (record_id, rule_id, pack_id, party_id, role, event_kind, event_on,
                          recipient, deadline_number, deadline_unit, due_on, is_provisional,
                          opened_at, changed_at)
  SELECT asked.record_id, asked.rule_id, asked.pack_id, asked.party_id, asked.role, asked.kind,
         asked.happened_on, asked.recipient, asked.deadline_number, asked.deadline_unit,
         owed.due_on,
         deadline_unit = 'working_days' AND NOT coalesce(working_day.is_published, false), $2, $2
    FROM asked
    JOIN owed
      ON owed.rule_id = asked.rule_id
     AND owed.happened_on = asked.happened_on
     AND owed.party_id IS NOT DISTINCT FROM asked.party_id
    LEFT JOIN working_day ON working_day.day = owed.due_on
   ORDER BY asked.record_id, asked.rule_id
      ON CONFLICT (record_id, rule_id) DO NOTHING
)
SELECT corrected_id, reason
  FROM written
 WHERE corrected_id IS NOT NULL
"""

VOID_CORRECTED = """
UPDATE obligation
   SET state = 'void',
       void_reason = given.reason,
       version = version + 1,
       changed_at = $3
  FROM unnest($1::uuid[], $2::text[]) AS given (record_id, reason)
 WHERE obligation.record_id = given.record_id
   AND (state IN ('due', 'rejected')
        OR state IN ('prepared', 'corrected') AND submission_id IS NULL)
RETURNING obligation.id, void_reason
"""


async def open_for(tx: Connection, pack_ids: Sequence[UUID], now: datetime) -> list[Record]:
    """Open what follows from the records written about packs at an instant; what was opened
    before stays. What is open because of a record that one of them corrects is void; returns it."""
    corrected = await fetch_for(tx, len(pack_ids), OPEN, list(set(pack_ids)), now)
    if not corrected:
        return []
    return await tx.fetch(
        VOID_CORRECTED,
        [row["corrected_id"] for row in corrected],
        [row["reason"] for row in corrected],
        now,
    )


UNOPENED = """
SELECT pack_id, recorded_at
  FROM trace_record
 WHERE recorded_at >= $1
   AND recorded_at < $2
   AND (recorded_at, pack_id) > ($3, $4)
 GROUP BY recorded_at, pack_id
 ORDER BY recorded_at, pack_id
 LIMIT $5
"""


async def recorded(
    tx: Connection, from_at: datetime, to_at: datetime, after: tuple[datetime, UUID], limit: int
) -> list[Record]:
    """Packs and instants of which something was recorded in a time, in order."""
    return await tx.fetch(UNOPENED, from_at, to_at, *after, limit)


# --- Lists --------------------------------------------------------------------------------------

VIEW = """
SELECT obligation.id, record_id, rule_id, rule.code AS rule_code, rule.article, rule.reports,
       pack_id, party_id, obligation.role, obligation.event_kind, event_on, obligation.recipient,
       obligation.deadline_number, obligation.deadline_unit, due_on, is_provisional, state, level,
       submission_id, submitted_on, receipt, void_reason, obligation.version, opened_at, changed_at
  FROM obligation
  JOIN obligation_rule AS rule ON rule.id = rule_id
"""

STILL_OPEN = "state IN ('due', 'prepared', 'rejected', 'corrected')"

# One statement for each way to ask, so that each is read from the index made for it. What is asked
# for besides days is part of the range and of the order: else PostgreSQL may take the index of all
# days, and look through all that is open for a role that has nothing.
OPEN_OF_ALL = f"""{VIEW}
 WHERE {STILL_OPEN}
   AND due_on < $1
   AND (due_on, obligation.id) > ($2, $3)
 ORDER BY due_on, obligation.id
 LIMIT $4
"""

OPEN_OF_LESSOR = f"""{VIEW}
 WHERE {STILL_OPEN}
   AND party_id IS NULL
   AND due_on < $1
   AND (due_on, obligation.id) > ($2, $3)
 ORDER BY due_on, obligation.id
 LIMIT $4
"""

OPEN_OF_ROLE = f"""{VIEW}
 WHERE {STILL_OPEN}
   AND (obligation.role, due_on) < ($5, $1)
   AND (obligation.role, due_on, obligation.id) > ($5, $2, $3)
 ORDER BY obligation.role, due_on, obligation.id
 LIMIT $4
"""

OPEN_OF_LESSOR_IN_ROLE = f"""{VIEW}
 WHERE {STILL_OPEN}
   AND party_id IS NULL
   AND (obligation.role, due_on) < ($5, $1)
   AND (obligation.role, due_on, obligation.id) > ($5, $2, $3)
 ORDER BY obligation.role, due_on, obligation.id
 LIMIT $4
"""

OPEN_OF_PARTY = f"""{VIEW}
 WHERE {STILL_OPEN}
   AND (party_id, due_on) < ($5, $1)
   AND (party_id, due_on, obligation.id) > ($5, $2, $3)
   AND ($6::text IS NULL OR obligation.role = $6)
 ORDER BY party_id, due_on, obligation.id
 LIMIT $4
"""

NO_ID = UUID(int=0)
"""Before every id."""


async def open_after(
    tx: Connection,
    days: tuple[date, date],
    after: tuple[date, UUID],
    limit: int,
    *,
    party_id: UUID | None,
    own: bool,
    role: str | None,
) -> list[Record]:
    """What is open and due in some days, the most urgent first. A page of the first days begins at
    the first day, and the index is read from there on."""
    from_on, to_on = days
    given = (to_on, *max(after, (from_on, NO_ID)), limit)
    if party_id is not None:
        return await tx.fetch(OPEN_OF_PARTY, *given, party_id, role)
    if own and role is not None:
        return await tx.fetch(OPEN_OF_LESSOR_IN_ROLE, *given, role)
    if own:
        return await tx.fetch(OPEN_OF_LESSOR, *given)
    if role is not None:
        return await tx.fetch(OPEN_OF_ROLE, *given, role)
    return await tx.fetch(OPEN_OF_ALL, *given)


OF_PACK = f"""{VIEW}
 WHERE pack_id = $1
   AND obligation.id > $2
 ORDER BY obligation.id
 LIMIT $3
"""


async def of_pack(tx: Connection, pack_id: UUID, after: UUID, limit: int) -> list[Record]:
    """All of one pack, whatever their state, in the order they were opened."""
    return await tx.fetch(OF_PACK, pack_id, after, limit)


GET = f"""{VIEW}
 WHERE obligation.id = $1
"""

PAYLOAD = "SELECT payload FROM obligation WHERE id = $1"

LOCK = """
SELECT id, state, party_id, payload, submission_id, submitted_on
  FROM obligation
 WHERE id = $1
   FOR UPDATE
"""


async def get(tx: Connection, obligation_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, obligation_id)


async def payload(tx: Connection, obligation_id: UUID) -> dict[str, Any] | None:
    found: dict[str, Any] | None = await tx.fetchval(PAYLOAD, obligation_id)
    return found


async def lock(tx: Connection, obligation_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, obligation_id)


DUE_CHANGES = """
SELECT was_due_on, due_on, is_provisional, reason, changed_by, changed_at
  FROM obligation_due_change
 WHERE obligation_id = $1
 ORDER BY id
"""

FAULTS = """
SELECT submission_id, field, code, message, found_at, fixed_at, fixed_by, was_value, fixed_value
  FROM obligation_fault
 WHERE obligation_id = $1
 ORDER BY id
"""


async def due_changes(tx: Connection, obligation_id: UUID) -> list[Record]:
    return await tx.fetch(DUE_CHANGES, obligation_id)


async def faults(tx: Connection, obligation_id: UUID) -> list[Record]:
    return await tx.fetch(FAULTS, obligation_id)


# --- Counts -------------------------------------------------------------------------------------

BY_DAY = """
SELECT day::date AS day,
       coalesce((SELECT is_working FROM working_day WHERE working_day.day = given.day),
                extract(isodow FROM given.day) < 6) AS is_working,
       count(due_on)::int AS total,
       count(*) FILTER (WHERE state IN ('due', 'prepared', 'rejected', 'corrected'))::int AS open,
       count(*) FILTER (WHERE state IN ('due', 'prepared', 'rejected', 'corrected')
                          AND due_on < $3)::int AS overdue,
       count(*) FILTER (WHERE state = 'submitted')::int AS submitted,
       count(*) FILTER (WHERE state = 'accepted')::int AS accepted,
       count(*) FILTER (WHERE is_provisional)::int AS provisional
  FROM generate_series($1::date, $2::date - 1, interval '1 day') AS given (day)
  LEFT JOIN obligation
    ON due_on = given.day::date
   AND state <> 'void'
   AND ($4::uuid IS NULL OR party_id = $4)
   AND (NOT $5::boolean OR party_id IS NULL)
 GROUP BY given.day
 ORDER BY given.day
"""


async def by_day(
    tx: Connection, days: tuple[date, date], today: date, party_id: UUID | None, own: bool
) -> list[Record]:
    return await tx.fetch(BY_DAY, *days, today, party_id, own)


BY_PARTY = """
SELECT party_id,
       coalesce((SELECT name FROM party WHERE party.id = counted.party_id),
                (SELECT name FROM party WHERE kind = 'lessor'), '') AS name,
       total, open, overdue, submitted, accepted, judged, on_time
  FROM (SELECT party_id,
               count(*)::int AS total,
               count(*) FILTER (
                 WHERE state IN ('due', 'prepared', 'rejected', 'corrected'))::int AS open,
               count(*) FILTER (
                 WHERE state IN ('due', 'prepared', 'rejected', 'corrected')
                   AND due_on < $3)::int AS overdue,
               count(*) FILTER (WHERE state = 'submitted')::int AS submitted,
               count(*) FILTER (WHERE state = 'accepted')::int AS accepted,
               count(*) FILTER (WHERE submitted_on IS NOT NULL OR due_on < $3)::int AS judged,
               count(*) FILTER (WHERE submitted_on <= due_on)::int AS on_time
          FROM obligation
         WHERE due_on >= $1
           AND due_on < $2
           AND state <> 'void'
           AND ($4::uuid IS NULL
                OR coalesce(party_id, '00000000-0000-0000-0000-000000000000') > $4)
         GROUP BY party_id
         ORDER BY coalesce(party_id, '00000000-0000-0000-0000-000000000000')
         LIMIT $5) AS counted
"""


async def by_party(
    tx: Connection, days: tuple[date, date], today: date, after: UUID | None, limit: int
) -> list[Record]:
    """Parties in order of their ids, the lessor as the id of zeros."""
    return await tx.fetch(BY_PARTY, *days, today, after, limit)


# --- Deadlines that move, deadlines that pass -----------------------------------------------------

RECOUNT = """
WITH chosen AS (
  SELECT id, event_on, due_on, deadline_number, deadline_unit
    FROM obligation
   WHERE is_provisional
     AND id > $1
   ORDER BY id
   LIMIT $2
     FOR UPDATE
),
counted AS (
  SELECT chosen.id, chosen.due_on AS was_due_on, last.day AS due_on,
         deadline_is_provisional(last.day, deadline_unit) AS is_provisional
    FROM chosen
   CROSS JOIN LATERAL (SELECT deadline(event_on, deadline_number, deadline_unit)) AS last (day)
),
moved AS (
  UPDATE obligation
     SET due_on = counted.due_on,
         is_provisional = counted.is_provisional,
         level = 0,
         version = version + 1,
         changed_at = $4
    FROM counted
   WHERE obligation.id = counted.id
     AND (counted.due_on, counted.is_provisional) <> (counted.was_due_on, true)
  RETURNING obligation.id, was_due_on, counted.due_on, counted.is_provisional
),
logged AS (
  INSERT INTO obligation_due_change (obligation_id, was_due_on, due_on, is_provisional, reason,
                                     changed_by, changed_at)
  SELECT id, was_due_on, due_on, is_provisional,
         CASE WHEN is_provisional THEN 'the calendar changed'
              ELSE 'the working days of ' || extract(year FROM due_on) || ' were published' END,
         $3, $4
    FROM moved
   ORDER BY id
)
SELECT (SELECT count(*)::int FROM chosen) AS looked_at,
       (SELECT max(id::text)::uuid FROM chosen) AS last_id,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
                   'id', id, 'was', was_due_on, 'due', due_on, 'provisional', is_provisional)
                   ORDER BY id)
                   FROM moved), '[]') AS moved
"""


async def recount(tx: Connection, after: UUID, limit: int, by: str, now: datetime) -> Record:
    """Count provisional deadlines anew by the days known now, and log what moved."""
    row = await tx.fetchrow(RECOUNT, after, limit, by, now)
    assert row is not None
    return row


ESCALATE = """
UPDATE obligation
   SET level = $1,
       version = version + 1,
       changed_at = $4
 WHERE id IN (
       SELECT id
         FROM obligation
        WHERE level < $1
          AND due_on <= $2
          AND state IN ('due', 'prepared', 'rejected', 'corrected')
        ORDER BY level, due_on
        LIMIT $3
          FOR UPDATE)
RETURNING id, due_on
"""


async def escalate(
    tx: Connection, level: int, due_by: date, limit: int, now: datetime
) -> list[Record]:
    """Put open obligations that were due by a day on a level, if they are below it."""
    return await tx.fetch(ESCALATE, level, due_by, limit, now)


# --- Reports and submissions ----------------------------------------------------------------------

PREPARE = """
WITH chosen AS (
  SELECT id
    FROM obligation
   WHERE state = 'due'
     AND party_id IS NULL
   ORDER BY due_on, id
   LIMIT $1
     FOR UPDATE SKIP LOCKED
)
UPDATE obligation
   SET state = 'prepared',
       version = obligation.version + 1,
       changed_at = $2,
       payload = jsonb_build_object(
         'obligation', obligation.id,
         'rule', jsonb_build_object('code', rule.code, 'article', rule.article),
         'role', obligation.role,
         'reports', rule.reports,
         'event', obligation.event_kind,
         'event_on', obligation.event_on,
         'due_on', obligation.due_on,
         'code', (SELECT code
                    FROM pack_code
                   WHERE pack_code.pack_id = obligation.pack_id
                   ORDER BY is_current DESC, scheme, code
                   LIMIT 1),
         'chemistry', pack.chemistry,
         'mass_kg', pack.mass_kg,
         'adcode', record.adcode,
         'counterparty', (SELECT jsonb_build_object('name', name, 'credit_code', credit_code)
                            FROM party
                           WHERE party.id = record.party_id),
         'data', record.data)
  FROM chosen
  JOIN obligation AS one ON one.id = chosen.id
  JOIN obligation_rule AS rule ON rule.id = one.rule_id
  JOIN trace_record AS record ON record.id = one.record_id
  JOIN pack ON pack.id = one.pack_id
 WHERE obligation.id = chosen.id
RETURNING obligation.id
"""


async def prepare(tx: Connection, limit: int, now: datetime) -> list[UUID]:
    """Write the reports of the lessor's own obligations, the most urgent first."""
    return [row["id"] for row in await tx.fetch(PREPARE, limit, now)]


UNSENT = """
SELECT id
  FROM submission
 WHERE state = 'made'
   AND recipient = $1
   AND id > $2
 ORDER BY id
 LIMIT 1
"""


async def unsent(tx: Connection, recipient: str, after: UUID) -> UUID | None:
    """A submission that was made, and of which we do not know that it arrived."""
    found: UUID | None = await tx.fetchval(UNSENT, recipient, after)
    return found


WAITING = """
SELECT id
  FROM submission
 WHERE state = 'sent'
   AND recipient = $1
 ORDER BY id
 LIMIT $2
"""


async def waiting(tx: Connection, recipient: str, limit: int) -> list[UUID]:
    """Submissions that were sent and of which not every report was answered, oldest first."""
    return [row["id"] for row in await tx.fetch(WAITING, recipient, limit)]


MAKE = """
WITH chosen AS (
  SELECT id, payload
    FROM obligation
   WHERE state IN ('prepared', 'corrected')
     AND submission_id IS NULL
     AND party_id IS NULL
     AND recipient = $1
   ORDER BY due_on, id
   LIMIT $2
     FOR UPDATE SKIP LOCKED
),
made AS (
  INSERT INTO submission (recipient, made_at)
  SELECT $1, $3
   WHERE EXISTS (SELECT FROM chosen)
  RETURNING id
),
items AS (
  INSERT INTO submission_item (submission_id, obligation_id, payload)
  SELECT made.id, chosen.id, chosen.payload
    FROM chosen, made
),
claimed AS (
  UPDATE obligation
     SET submission_id = made.id
    FROM chosen, made
   WHERE obligation.id = chosen.id
)
SELECT id FROM made
"""


async def make_submission(tx: Connection, recipient: str, limit: int, now: datetime) -> UUID | None:
    """A submission of reports that wait; None when none does."""
    made: UUID | None = await tx.fetchval(MAKE, recipient, limit, now)
    return made


SUBMISSION_VIEW = """
SELECT id, recipient, state,
       (SELECT count(*)::int FROM submission_item WHERE submission_id = submission.id) AS reports,
       attempts, failure, made_at, sent_at, answered_at
  FROM submission
"""

GET_SUBMISSION = f"""{SUBMISSION_VIEW}
 WHERE id = $1
"""

SUBMISSIONS = f"""{SUBMISSION_VIEW}
 WHERE id > $1
   AND ($2::text IS NULL OR state = $2)
 ORDER BY id
 LIMIT $3
"""

ITEMS = """
SELECT obligation_id, payload, result, receipt
  FROM submission_item
 WHERE submission_id = $1
 ORDER BY obligation_id
"""

LOCK_SUBMISSION = """
SELECT id, state, attempts
  FROM submission
 WHERE id = $1
   FOR UPDATE
"""


async def get_submission(tx: Connection, submission_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_SUBMISSION, submission_id)


async def submissions_after(
    tx: Connection, after: UUID, state: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(SUBMISSIONS, after, state, limit)


async def items(tx: Connection, submission_id: UUID) -> list[Record]:
    return await tx.fetch(ITEMS, submission_id)


async def lock_submission(tx: Connection, submission_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_SUBMISSION, submission_id)


NOTE_SENT = """
WITH sent AS (
  UPDATE submission
     SET state = 'sent',
         attempts = attempts + 1,
         sent_at = $2,
         failure = NULL
   WHERE id = $1
     AND state IN ('made', 'parked')
  RETURNING id
)
UPDATE obligation
   SET state = 'submitted',
       submitted_on = coalesce(submitted_on, $3),
       version = version + 1,
       changed_at = $2
  FROM sent
 WHERE submission_id = sent.id
   AND state IN ('prepared', 'corrected')
RETURNING obligation.id
"""


async def note_sent(tx: Connection, submission_id: UUID, now: datetime, today: date) -> list[UUID]:
    rows = await tx.fetch(NOTE_SENT, submission_id, now, today)
    return [row["id"] for row in rows]


NOTE_FAILED = """
UPDATE submission
   SET attempts = attempts + 1,
       failure = $2,
       state = CASE WHEN $3 OR attempts + 1 >= $4 THEN 'parked' ELSE state END
 WHERE id = $1
   AND state = 'made'
RETURNING state
"""


async def note_failed(
    tx: Connection, submission_id: UUID, failure: str, *, for_good: bool, most: int
) -> str | None:
    """Note why a submission could not be sent; park it for good, or after so many attempts."""
    state: str | None = await tx.fetchval(NOTE_FAILED, submission_id, failure, for_good, most)
    return state


UNPARK = """
UPDATE submission
   SET state = 'made',
       attempts = 0
 WHERE id = $1
   AND state = 'parked'
RETURNING id
"""


async def unpark(tx: Connection, submission_id: UUID) -> bool:
    return await tx.fetchval(UNPARK, submission_id) is not None


ACCEPT = """
WITH items AS (
  UPDATE submission_item
     SET result = 'accepted',
         receipt = given.receipt
    FROM unnest($2::uuid[], $3::text[]) AS given (obligation_id, receipt)
   WHERE submission_id = $1
     AND submission_item.obligation_id = given.obligation_id
     AND result IS NULL
  RETURNING submission_item.obligation_id, submission_item.receipt
)
UPDATE obligation
   SET state = 'accepted',
       receipt = items.receipt,
       version = version + 1,
       changed_at = $4
  FROM items
 WHERE obligation.id = items.obligation_id
   AND state = 'submitted'
RETURNING obligation.id
"""


async def accept(
    tx: Connection, submission_id: UUID, receipts: Mapping[UUID, str | None], now: datetime
) -> list[UUID]:
    rows = await tx.fetch(ACCEPT, submission_id, list(receipts), list(receipts.values()), now)
    return [row["id"] for row in rows]


REJECT = """
WITH items AS (
  UPDATE submission_item
     SET result = 'rejected'
   WHERE submission_id = $1
     AND obligation_id = ANY ($2::uuid[])
     AND result IS NULL
  RETURNING obligation_id
)
UPDATE obligation
   SET state = 'rejected',
       submission_id = NULL,
       version = version + 1,
       changed_at = $3
  FROM items
 WHERE obligation.id = items.obligation_id
   AND state = 'submitted'
RETURNING obligation.id
"""


async def reject(
    tx: Connection, submission_id: UUID, obligation_ids: Sequence[UUID], now: datetime
) -> list[UUID]:
    rows = await tx.fetch(REJECT, submission_id, obligation_ids, now)
    return [row["id"] for row in rows]


ADD_FAULTS = """
INSERT INTO obligation_fault (obligation_id, submission_id, field, code, message, found_at)
SELECT obligation_id, $1, field, code, message, $6
  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
       AS given (obligation_id, field, code, message)
"""


async def add_faults(
    tx: Connection,
    submission_id: UUID,
    found: Sequence[tuple[UUID, str, str, str]],
    now: datetime,
) -> None:
    if found:
        columns = [list(column) for column in zip(*found, strict=True)]
        await tx.execute(ADD_FAULTS, submission_id, *columns, now)


CLOSE_ANSWERED = """
UPDATE submission
   SET state = 'answered',
       answered_at = $2
 WHERE id = $1
   AND state = 'sent'
   AND NOT EXISTS (
         SELECT FROM submission_item WHERE submission_id = $1 AND result IS NULL)
"""


async def close_answered(tx: Connection, submission_id: UUID, now: datetime) -> None:
    """A submission is answered when all of its reports are."""
    await tx.execute(CLOSE_ANSWERED, submission_id, now)


OPEN_FAULTS = """
SELECT id, field
  FROM obligation_fault
 WHERE obligation_id = $1
   AND fixed_at IS NULL
 ORDER BY id
"""

FIX_FAULTS = """
UPDATE obligation_fault
   SET fixed_at = $2,
       fixed_by = $3,
       was_value = $4::jsonb -> field,
       fixed_value = $5::jsonb -> field
 WHERE obligation_id = $1
   AND fixed_at IS NULL
"""

CORRECT = """
UPDATE obligation
   SET state = 'corrected',
       payload = $2,
       version = version + 1,
       changed_at = $3
 WHERE id = $1
"""


async def open_faults(tx: Connection, obligation_id: UUID) -> list[Record]:
    return await tx.fetch(OPEN_FAULTS, obligation_id)


async def correct(
    tx: Connection,
    obligation_id: UUID,
    payload: Mapping[str, Any],
    was: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    by: str,
    now: datetime,
) -> None:
    await tx.execute(FIX_FAULTS, obligation_id, now, by, was, values)
    await tx.execute(CORRECT, obligation_id, payload, now)


REPORTED = """
UPDATE obligation
   SET state = 'accepted',
       submitted_on = $2,
       receipt = $3,
       payload = coalesce(payload, '{}'),
       version = version + 1,
       changed_at = $4
 WHERE id = $1
"""


async def reported(
    tx: Connection, obligation_id: UUID, on: date, receipt: str, now: datetime
) -> None:
    await tx.execute(REPORTED, obligation_id, on, receipt, now)


VOID = """
UPDATE obligation
   SET state = 'void',
       void_reason = $2,
       version = version + 1,
       changed_at = $3
 WHERE id = $1
"""


async def void(tx: Connection, obligation_id: UUID, reason: str, now: datetime) -> None:
    await tx.execute(VOID, obligation_id, reason, now)


# --- Rules --------------------------------------------------------------------------------------

RULE_VIEW = """
SELECT id, code, regime, event_kind, reporter, role, reports, recipient, deadline_number,
       deadline_unit, lower(valid) AS valid_from, upper(valid) AS valid_to, article, source, basis,
       is_enabled, version, entered_by, entered_at
  FROM obligation_rule
"""

RULES = f"""{RULE_VIEW}
 WHERE id > $1
   AND ($2::date IS NULL OR valid @> $2)
   AND ($3::text IS NULL OR role = $3)
 ORDER BY id
 LIMIT $4
"""

RULE = f"""{RULE_VIEW}
 WHERE id = $1
"""

LOCK_RULE = f"""{RULE_VIEW}
 WHERE id = $1
   FOR UPDATE
"""

ADD_RULE = """
INSERT INTO obligation_rule (code, regime, event_kind, reporter, role, reports, recipient,
                             deadline_number, deadline_unit, valid, article, source, basis,
                             is_enabled, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, daterange($10, $11), $12, $13, $14, $15, $16, $17)
RETURNING id
"""

CHANGE_RULE = """
UPDATE obligation_rule
   SET deadline_number = $2,
       deadline_unit = $3,
       is_enabled = $4,
       basis = $5,
       source = $6,
       valid = daterange(lower(valid), $7),
       version = version + 1
 WHERE id = $1
"""


async def rules_after(
    tx: Connection, after: UUID, on: date | None, role: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(RULES, after, on, role, limit)


async def rule(tx: Connection, rule_id: UUID) -> Record | None:
    return await tx.fetchrow(RULE, rule_id)


async def lock_rule(tx: Connection, rule_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_RULE, rule_id)


async def add_rule(tx: Connection, values: Sequence[Any], by: str, now: datetime) -> UUID:
    made: UUID = await tx.fetchval(ADD_RULE, *values, by, now)
    return made


async def change_rule(tx: Connection, rule_id: UUID, values: Sequence[Any]) -> None:
    await tx.execute(CHANGE_RULE, rule_id, *values)
