"""Work orders and the rules that plan them, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.health.model import Health
from leasing.health.store import PackToCheck
from leasing.kit.rows import convert, convert_all
from leasing.maintenance.model import DEFAULTS, Planned, Rule, Standing
from schemas.health import Verdict
from schemas.maintenance import TestRuleCreate, TestRuleView, WorkOrderState, WorkOrderView

# Rules

RULE_COLUMNS = """id, site_class, valid_from, interval_months, life_months, life_percent,
       old_percent, old_months, drop_points, depth_percent, deep_percent, deep_every, reason,
       entered_by, entered_at"""

INSERT_RULE = f"""
INSERT INTO test_rule (site_class, valid_from, interval_months, life_months, life_percent,
                       old_percent, old_months, drop_points, depth_percent, deep_percent,
                       deep_every, reason, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING {RULE_COLUMNS}
"""


async def insert_rule(tx: Connection, data: TestRuleCreate, by: str, now: datetime) -> TestRuleView:
    row = await tx.fetchrow(
        INSERT_RULE,
        data.site_class,
        data.valid_from,
        data.interval_months,
        data.life_months,
        data.life_percent,
        data.old_percent,
        data.old_months,
        data.drop_points,
        data.depth_percent,
        data.deep_percent,
        data.deep_every,
        data.reason,
        by,
        now,
    )
    assert row is not None
    return convert(row, TestRuleView)


LIST_RULES = f"""
SELECT {RULE_COLUMNS}
  FROM test_rule
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def rules_after(tx: Connection, rule_id: UUID, limit: int) -> list[TestRuleView]:
    return convert_all(await tx.fetch(LIST_RULES, rule_id, limit), TestRuleView)


RULES_ON = f"""
SELECT DISTINCT ON (site_class) {RULE_COLUMNS}
  FROM test_rule
 WHERE valid_from <= $1
 ORDER BY site_class, valid_from DESC
"""


async def rules_on(tx: Connection, on: date) -> dict[str, Rule]:
    """The rule of each class of site that holds on a day: the newest set, else the default."""
    rows = await tx.fetch(RULES_ON, on)
    return {**DEFAULTS, **{row["site_class"]: convert(row, Rule) for row in rows}}


# What is due

STANDING = """
SELECT placement.pack_id,
       placement.line_id,
       position.site_id,
       site.site_class,
       pack.rated_capacity_mah,
       joint.first_on,
       greatest(joint.last_on, test.last_on) AS tested_on,
       joint.first_mah,
       coalesce(estimate.capacity_mah, test.latest_mah, joint.latest_mah) AS latest_mah,
       coalesce(done.tests, 0) AS tests_done
  FROM placement
  JOIN line_revision AS position
    ON position.line_id = placement.line_id
   AND position.during @> $1::date
  JOIN site ON site.id = position.site_id
  JOIN pack ON pack.id = placement.pack_id
  JOIN LATERAL (
       SELECT min(accepted_on) AS first_on,
              max(accepted_on) AS last_on,
              (array_agg(tested_capacity_mah ORDER BY accepted_on))[1] AS first_mah,
              (array_agg(tested_capacity_mah ORDER BY accepted_on DESC))[1] AS latest_mah
         FROM acceptance
        WHERE acceptance.pack_id = placement.pack_id) AS joint ON true
  LEFT JOIN LATERAL (
       SELECT max(tested_on) AS last_on,
              (array_agg(capacity_mah ORDER BY tested_on DESC)
                 FILTER (WHERE capacity_mah IS NOT NULL))[1] AS latest_mah
         FROM capacity_test
        WHERE capacity_test.pack_id = placement.pack_id) AS test ON true
  LEFT JOIN LATERAL (
       SELECT capacity_mah
         FROM health_check
        WHERE health_check.pack_id = placement.pack_id
          AND capacity_mah IS NOT NULL
        ORDER BY as_of DESC
        LIMIT 1) AS estimate ON true
  LEFT JOIN LATERAL (
       SELECT count(*) AS tests
         FROM work_order
        WHERE work_order.pack_id = placement.pack_id
          AND state = 'done') AS done ON true
 WHERE placement.during @> $1::date
   AND placement.pack_id > $2
   AND NOT EXISTS (
       SELECT FROM work_order
        WHERE work_order.pack_id = placement.pack_id
          AND state IN ('planned', 'assigned'))
 ORDER BY placement.pack_id
 LIMIT $3
"""


async def standing(tx: Connection, on: date, after: UUID, limit: int) -> list[Standing]:
    """Packs on lease on a day without an open order."""
    return convert_all(await tx.fetch(STANDING, on, after, limit), Standing)


# An open duty or alarm, and no order that is open or was made for it. A duty whose order was done
# and did not decide is still open: it gets the next one.
ASKED_FOR = """
SELECT placement.pack_id,
       placement.line_id,
       position.site_id,
       site.site_class,
       duty.id AS duty_id,
       CASE WHEN duty.id IS NULL THEN alarm.id END AS alarm_id,
       duty.due_on
  FROM placement
  JOIN line_revision AS position
    ON position.line_id = placement.line_id
   AND position.during @> $1::date
  JOIN site ON site.id = position.site_id
  LEFT JOIN duty
    ON duty.pack_id = placement.pack_id
   AND duty.kind = 'check_discharge'
   AND duty.closed_on IS NULL
  LEFT JOIN LATERAL (
       SELECT id
         FROM alarm
        WHERE alarm.pack_id = placement.pack_id
          AND kind = 'resistance'
          AND state <> 'closed'
          AND NOT EXISTS (SELECT FROM work_order WHERE work_order.alarm_id = alarm.id)
        ORDER BY id
        LIMIT 1) AS alarm ON true
 WHERE placement.during @> $1::date
   AND placement.pack_id > $2
   AND (duty.id IS NOT NULL OR alarm.id IS NOT NULL)
   AND NOT EXISTS (
       SELECT FROM work_order
        WHERE work_order.pack_id = placement.pack_id
          AND state IN ('planned', 'assigned')
          AND (duty.id IS NULL OR work_order.duty_id = duty.id))
 ORDER BY placement.pack_id
 LIMIT $3
"""


async def asked_for(tx: Connection, on: date, after: UUID, limit: int) -> list[Record]:
    """Packs whose test a duty or an alarm asks for."""
    return await tx.fetch(ASKED_FOR, on, after, limit)


# Orders

COLUMNS = """id, kind, pack_id, line_id, site_id, why, duty_id, alarm_id, from_on, due_on,
       depth_percent, state, planned_at, assignee, assigned_at, done_at, capacity_test_id, result,
       cancelled_at, cancel_reason"""

# An order of the schedule that is open already becomes one for the duty, and more urgent.
PLAN = f"""
INSERT INTO work_order (kind, pack_id, line_id, site_id, why, duty_id, alarm_id, from_on, due_on,
                        depth_percent, state, planned_at)
SELECT 'check_discharge', pack_id, line_id, site_id, why, duty_id, alarm_id, $1::date, due_on,
       depth_percent, 'planned', $2
  FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[], $8::uuid[], $9::date[],
              $10::int[])
       AS given (pack_id, line_id, site_id, why, duty_id, alarm_id, due_on, depth_percent)
 ORDER BY pack_id
    ON CONFLICT (pack_id, kind) WHERE state IN ('planned', 'assigned') DO UPDATE
   SET why = excluded.why,
       duty_id = excluded.duty_id,
       alarm_id = NULL,
       due_on = greatest(work_order.from_on, least(work_order.due_on, excluded.due_on)),
       depth_percent = greatest(work_order.depth_percent, excluded.depth_percent)
 WHERE excluded.duty_id IS NOT NULL
RETURNING {COLUMNS}
"""


async def plan(
    tx: Connection, orders: Sequence[Planned], on: date, now: datetime
) -> list[WorkOrderView]:
    """Write orders; returns those that are new or became more urgent."""
    rows = await tx.fetch(
        PLAN,
        on,
        now,
        [one.pack_id for one in orders],
        [one.line_id for one in orders],
        [one.site_id for one in orders],
        [one.why for one in orders],
        [one.duty_id for one in orders],
        [one.alarm_id for one in orders],
        [one.due_on for one in orders],
        [one.depth_percent for one in orders],
    )
    return convert_all(rows, WorkOrderView)


LIST = f"""
SELECT {COLUMNS}
  FROM work_order
 WHERE id > $1
   AND ($2::text IS NULL OR state = $2)
   AND ($3::uuid IS NULL OR pack_id = $3)
   AND ($4::uuid IS NULL OR site_id = $4)
 ORDER BY id
 LIMIT $5
"""


async def after(
    tx: Connection,
    order_id: UUID,
    state: WorkOrderState | None,
    pack_id: UUID | None,
    site_id: UUID | None,
    limit: int,
) -> list[WorkOrderView]:
    rows = await tx.fetch(LIST, order_id, state, pack_id, site_id, limit)
    return convert_all(rows, WorkOrderView)


GET = f"""
SELECT {COLUMNS}
  FROM work_order
 WHERE id = $1
"""

LOCK = f"{GET}   FOR UPDATE\n"


async def get(tx: Connection, order_id: UUID, *, lock: bool = False) -> WorkOrderView | None:
    row = await tx.fetchrow(LOCK if lock else GET, order_id)
    return convert(row, WorkOrderView) if row else None


ASSIGN = f"""
UPDATE work_order
   SET state = 'assigned',
       assignee = $2,
       assigned_at = $3
 WHERE id = $1
RETURNING {COLUMNS}
"""


async def assign(tx: Connection, order_id: UUID, assignee: str, now: datetime) -> WorkOrderView:
    row = await tx.fetchrow(ASSIGN, order_id, assignee, now)
    assert row is not None
    return convert(row, WorkOrderView)


CANCEL = f"""
UPDATE work_order
   SET state = 'cancelled',
       cancel_reason = $2,
       cancelled_at = $3
 WHERE id = $1
RETURNING {COLUMNS}
"""


async def cancel(tx: Connection, order_id: UUID, reason: str, now: datetime) -> WorkOrderView:
    row = await tx.fetchrow(CANCEL, order_id, reason, now)
    assert row is not None
    return convert(row, WorkOrderView)


COMPLETE = f"""
UPDATE work_order
   SET state = 'done',
       done_at = $2,
       capacity_test_id = $3,
       result = $4
 WHERE id = $1
RETURNING {COLUMNS}
"""


async def complete(
    tx: Connection, order_id: UUID, test_id: UUID, result: dict[str, object], now: datetime
) -> WorkOrderView:
    row = await tx.fetchrow(COMPLETE, order_id, now, test_id, result)
    assert row is not None
    return convert(row, WorkOrderView)


# The pack went, or the duty that asked for it was settled by a clear night.
NEEDLESS = f"""
SELECT {COLUMNS}
  FROM work_order
 WHERE state IN ('planned', 'assigned')
   AND (NOT EXISTS (
          SELECT FROM placement
           WHERE placement.pack_id = work_order.pack_id
             AND placement.line_id = work_order.line_id
             AND placement.during @> $1::date)
    OR EXISTS (
          SELECT FROM duty
           WHERE duty.id = work_order.duty_id
             AND closed_on IS NOT NULL))
 ORDER BY id
 LIMIT $2
   FOR UPDATE
"""


async def needless(tx: Connection, on: date, limit: int) -> list[WorkOrderView]:
    return convert_all(await tx.fetch(NEEDLESS, on, limit), WorkOrderView)


# What was tested

TESTED = """
SELECT pack.id AS pack_id,
       $3::timestamptz AS unevaluated_from,
       chemistry,
       cells_in_series,
       rated_capacity_mah,
       full_cell_mv,
       placement.line_id
  FROM pack
  JOIN placement ON placement.pack_id = pack.id
 WHERE pack.id = $1
   AND placement.line_id = $2
   AND placement.during @> $4::date
"""


async def tested(
    tx: Connection, pack_id: UUID, line_id: UUID, on: date, now: datetime
) -> PackToCheck | None:
    row = await tx.fetchrow(TESTED, pack_id, line_id, now, on)
    return convert(row, PackToCheck) if row else None


INSERT_CHECK = """
INSERT INTO health_check (pack_id, line_id, as_of, verdict, method, capacity_mah, lower_mah,
                          upper_mah, guarantee_mah, measured_at, evidence, work_order_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING id
"""


async def insert_check(
    tx: Connection,
    order: WorkOrderView,
    on: date,
    health: Health,
    verdict: Verdict,
    guarantee_mah: int,
) -> UUID:
    made: UUID = await tx.fetchval(
        INSERT_CHECK,
        order.pack_id,
        order.line_id,
        on,
        verdict,
        health.method,
        health.capacity_mah,
        health.lower_mah,
        health.upper_mah,
        guarantee_mah,
        health.measured_at,
        health.evidence,
        order.id,
    )
    return made
