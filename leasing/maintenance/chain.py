"""From an outage to the duty, the health check, the sessions and the readings it rests on; and
back, as far as to the lines of invoices."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from leasing.db.pool import Connection
from leasing.kit.rows import convert
from leasing.maintenance import unavailability
from leasing.maintenance.model import NoSuchDuty, NoSuchHealthCheck, NoSuchOutage
from schemas.billing import Evidence
from schemas.health import DutyView, HealthCheckView
from schemas.maintenance import DutyExplanation, HealthCheckExplanation, OutageExplanation
from schemas.tariffs import OutageView

CHARGES = """
SELECT id
  FROM charge
 WHERE detail @> jsonb_build_object(
         'outages', jsonb_build_array(jsonb_build_object('id', $1::uuid::text)))
 ORDER BY id
 LIMIT 100
"""


async def of_outage(tx: Connection, outage_id: UUID) -> OutageExplanation:
    """What an outage rests on, and which lines of invoices rest on it. Raises `NoSuchOutage`."""
    row = await unavailability.outage(tx, outage_id)
    if row is None:
        raise NoSuchOutage(f"there is no outage {outage_id}")
    found = []
    if row["line_id"] is not None:
        found.append(("line", row["line_id"], f"/v1/lines/{row['line_id']}/revisions"))
    if row["site_id"] is not None:
        found.append(("site", row["site_id"], f"/v1/sites/{row['site_id']}"))
    source = await unavailability.source(tx, outage_id)
    if source is not None:
        if source["duty_id"] is not None:
            path = f"/v1/duties/{source['duty_id']}/explanation"
            found.append(("duty", source["duty_id"], path))
        for pack_id in source["pack_ids"]:
            found.append(("sessions", pack_id, f"/v1/packs/{pack_id}/sessions"))
            began = source["discharge_started_at"]
            if began is not None:
                found.append(("readings", pack_id, readings(pack_id, began, row["to_at"])))
    for charge in await tx.fetch(CHARGES, outage_id):
        path = f"/v1/invoice-lines/{charge['id']}/explanation"
        found.append(("invoice_line", charge["id"], path))
    return OutageExplanation(outage=convert(row, OutageView), evidence=linked(found))


DUTY = """
SELECT id, line_id, pack_id, kind, health_check_id, opened_on, due_on, closed_on, outcome
  FROM duty
 WHERE id = $1
"""

ORDERS_OF_DUTY = """
SELECT id
  FROM work_order
 WHERE duty_id = $1
 ORDER BY id
 LIMIT 100
"""

OUTAGES_OF_DUTY = """
SELECT outage_id AS id
  FROM outage_source
 WHERE duty_id = $1
 ORDER BY overdue_on
 LIMIT 100
"""


async def of_duty(tx: Connection, duty_id: UUID) -> DutyExplanation:
    """Why a duty was opened, and what followed from it. Raises `NoSuchDuty`."""
    row = await tx.fetchrow(DUTY, duty_id)
    if row is None:
        raise NoSuchDuty(f"there is no duty {duty_id}")
    check_id, line_id = row["health_check_id"], row["line_id"]
    found = [
        ("health_check", check_id, f"/v1/health-checks/{check_id}/explanation"),
        ("line", line_id, f"/v1/lines/{line_id}/placements"),
    ]
    for order in await tx.fetch(ORDERS_OF_DUTY, duty_id):
        found.append(("work_order", order["id"], f"/v1/work-orders/{order['id']}"))
    for outage in await tx.fetch(OUTAGES_OF_DUTY, duty_id):
        found.append(("outage", outage["id"], f"/v1/outages/{outage['id']}/explanation"))
    return DutyExplanation(duty=convert(row, DutyView), evidence=linked(found))


CHECK = """
SELECT id, pack_id, line_id, as_of, verdict, method, capacity_mah, lower_mah, upper_mah,
       guarantee_mah, measured_at, evidence, work_order_id
  FROM health_check
 WHERE id = $1
"""

DUTIES_OF_CHECK = """
SELECT id
  FROM duty
 WHERE health_check_id = $1
 ORDER BY id
"""

# The check before that asked for the discharge.
ASKED_BY = """
SELECT duty_id
  FROM work_order
 WHERE id = $1
   AND duty_id IS NOT NULL
"""


async def of_check(tx: Connection, check_id: UUID) -> HealthCheckExplanation:
    """What a health check rests on, and the duties it opened. Raises `NoSuchHealthCheck`."""
    row = await tx.fetchrow(CHECK, check_id)
    if row is None:
        raise NoSuchHealthCheck(f"there is no health check {check_id}")
    pack_id, order_id = row["pack_id"], row["work_order_id"]
    found: list[tuple[str, UUID, str]] = []
    if order_id is not None:
        found.append(("work_order", order_id, f"/v1/work-orders/{order_id}"))
        tests = f"/v1/packs/{pack_id}/capacity-tests"
        found.append(("capacity_test", UUID(row["evidence"]["capacity_test_id"]), tests))
        for asked in await tx.fetch(ASKED_BY, order_id):
            path = f"/v1/duties/{asked['duty_id']}/explanation"
            found.append(("ordered_by", asked["duty_id"], path))
    found.append(("sessions", pack_id, f"/v1/packs/{pack_id}/sessions"))
    session = row["evidence"].get("session")
    if session is not None:
        first, last = (datetime.fromisoformat(session[end]) for end in ("started_at", "ended_at"))
        found.append(("readings", pack_id, readings(pack_id, first, last + timedelta(seconds=1))))
    for duty in await tx.fetch(DUTIES_OF_CHECK, check_id):
        found.append(("duty", duty["id"], f"/v1/duties/{duty['id']}/explanation"))
    return HealthCheckExplanation(check=convert(row, HealthCheckView), evidence=linked(found))


def readings(pack_id: UUID, from_at: datetime, to_at: datetime) -> str:
    query: dict[str, Any] = {"from_at": from_at.isoformat(), "to_at": to_at.isoformat()}
    return f"/v1/packs/{pack_id}/readings?{urlencode(query)}"


def linked(found: list[tuple[str, UUID, str]]) -> list[Evidence]:
    return [Evidence(kind=kind, id=id_, path=path) for kind, id_, path in found]
