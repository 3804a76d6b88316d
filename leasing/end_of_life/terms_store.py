"""Routing terms and provinces' rules in the database."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Range, Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from schemas.routing import ProvinceRuleCreate, RoutingTermsCreate

INSERT_TERMS = """
INSERT INTO routing_terms
       (from_on, circuity_percent, freight_cny_per_kg_km, packing_cny_per_kg, hold_cny_per_kg,
        collecting_load_kg, concentrated_load_kg, reservation_days, reason, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id, from_on, circuity_percent, freight_cny_per_kg_km, packing_cny_per_kg,
          hold_cny_per_kg, collecting_load_kg, concentrated_load_kg, reservation_days, reason,
          entered_by, entered_at
"""

TELL = "SELECT pg_notify('outlets_' || current_schema(), '')"


async def enter_terms(
    tx: Connection, data: RoutingTermsCreate, *, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(
        INSERT_TERMS,
        data.from_on,
        data.circuity_percent,
        [Decimal(rate) for rate in data.freight_cny_per_kg_km],
        [Decimal(rate) for rate in data.packing_cny_per_kg],
        Decimal(data.hold_cny_per_kg),
        data.collecting_load_kg,
        data.concentrated_load_kg,
        data.reservation_days,
        data.reason,
        by,
        now,
    )
    assert row is not None
    facts: dict[str, object] = {"from_on": data.from_on, "reason": data.reason}
    entered = Event("routing_terms", row["id"], "routing_terms.entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    await tx.execute(TELL)
    return row


LIST_TERMS = """
SELECT id, from_on, circuity_percent, freight_cny_per_kg_km, packing_cny_per_kg, hold_cny_per_kg,
       collecting_load_kg, concentrated_load_kg, reservation_days, reason, entered_by, entered_at
  FROM routing_terms
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def terms_after(tx: Connection, terms_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_TERMS, terms_id, limit)


INSERT_RULE = """
INSERT INTO province_rule (province_adcode, valid, document, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, province_adcode, lower(valid) AS valid_from, upper(valid) AS valid_to, document,
          entered_by, entered_at
"""


async def enter_rule(tx: Connection, data: ProvinceRuleCreate, *, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(
        INSERT_RULE,
        data.province_adcode,
        Range(data.valid_from, data.valid_to),
        data.document,
        by,
        now,
    )
    assert row is not None
    facts: dict[str, object] = {
        "province": data.province_adcode,
        "from_on": data.valid_from,
        "document": data.document,
    }
    entered = Event("province_rule", row["id"], "province_rule.entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    await tx.execute(TELL)
    return row


LIST_RULES = """
SELECT id, province_adcode, lower(valid) AS valid_from, upper(valid) AS valid_to, document,
       entered_by, entered_at
  FROM province_rule
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def rules_after(tx: Connection, rule_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_RULES, rule_id, limit)


RULED = """
SELECT count(DISTINCT province_adcode)
  FROM province_rule
 WHERE valid && daterange($1, $2)
   AND province_adcode <> $3
"""


async def ruled(tx: Connection, data: ProvinceRuleCreate) -> int:
    """Other provinces with a rule on some of these days."""
    count: int = await tx.fetchval(RULED, data.valid_from, data.valid_to, data.province_adcode)
    return count
