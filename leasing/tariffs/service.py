"""Price plans and their versions; facts that prices rest on."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, given
from leasing.kit.versions import refuse_unless_current
from leasing.pricing.currencies import minor_units
from leasing.tariffs import rules, store
from leasing.tariffs.model import BadCurrency, NoSuchPlan, NoSuchPlanVersion, PlanPublished
from schemas.tariffs import (
    PlanVersionCreate,
    PlanVersionPatch,
    PlanVersionState,
    PlanVersionView,
    PricePlanCreate,
    PricePlanView,
)

# Plans


async def create_plan(
    tx: Connection, data: PricePlanCreate, *, by: str, now: datetime
) -> PricePlanView:
    refuse_bad_currency(data.currency)
    plan = convert(await store.insert_plan(tx, data, by, now), PricePlanView)
    facts: dict[str, object] = {"code": plan.code, "currency": plan.currency}
    await tell(tx, "price_plan", plan.id, "price_plan.created", facts, by=by, now=now)
    return plan


def refuse_bad_currency(currency: str) -> None:
    try:
        minor_units(currency)
    except ValueError as error:
        fault = FieldError("/currency", "bad_currency", f"{currency} is not a currency to pay in")
        raise BadCurrency(fault.message, fields=[fault]) from error


async def get_plan(tx: Connection, plan_id: UUID) -> PricePlanView:
    row = await store.get_plan(tx, plan_id)
    if row is None:
        raise NoSuchPlan
    return convert(row, PricePlanView)


async def tell(
    tx: Connection,
    aggregate: str,
    aggregate_id: UUID,
    kind: str,
    facts: dict[str, object],
    *,
    by: str,
    now: datetime,
) -> None:
    await events.append(tx, [Event(aggregate, aggregate_id, kind, facts)], actor=by, now=now)


# Versions


async def create_version(
    tx: Connection, plan_id: UUID, data: PlanVersionCreate, *, by: str, now: datetime
) -> PlanVersionView:
    """Draft the next version of a plan. Raises `BadComponents`."""
    rules.refuse_bad_components(data.components)
    plan = await store.lock_plan(tx, plan_id)
    if plan is None:
        raise NoSuchPlan
    row = await store.insert_version(
        tx, plan_id, plan["currency"], data.valid_from, data.components, by, now
    )
    version = convert(row, PlanVersionView)
    facts: dict[str, object] = {"plan_id": plan_id, "number": version.number}
    kind = "price_plan_version.drafted"
    await tell(tx, "price_plan_version", version.id, kind, facts, by=by, now=now)
    return version


async def get_version(tx: Connection, version_id: UUID) -> PlanVersionView:
    row = await store.get_version(tx, version_id)
    if row is None:
        raise NoSuchPlanVersion
    return convert(row, PlanVersionView)


async def lock_draft(tx: Connection, version_id: UUID) -> PlanVersionView:
    row = await store.lock_version(tx, version_id)
    if row is None:
        raise NoSuchPlanVersion
    return convert(row, PlanVersionView)


def refuse_published(version: PlanVersionView) -> None:
    if version.state is PlanVersionState.PUBLISHED:
        raise PlanPublished(f"version {version.number} was published on {version.published_at}")


async def change_version(
    tx: Connection,
    version_id: UUID,
    data: PlanVersionPatch,
    expected: int,
    *,
    by: str,
    now: datetime,
) -> PlanVersionView:
    """Change a draft. Raises `VersionChanged` when another editor was first."""
    current = await lock_draft(tx, version_id)
    wanted: dict[str, Any] = given(data)
    refuse_unless_current(current.version, expected, msgspec.structs.asdict(current), wanted)
    refuse_published(current)
    changed = msgspec.structs.replace(current, **wanted)
    rules.refuse_bad_components(changed.components)
    row = await store.update_version(tx, version_id, changed.valid_from, changed.components)
    kind = "price_plan_version.changed"
    await tell(tx, "price_plan_version", version_id, kind, wanted, by=by, now=now)
    return convert(row, PlanVersionView)


async def publish(
    tx: Connection, version_id: UUID, expected: int, *, by: str, now: datetime
) -> PlanVersionView:
    """Publish a draft as its editor saw it: lines may use it, and it is never changed again."""
    current = await lock_draft(tx, version_id)
    refuse_unless_current(current.version, expected, {}, {})
    refuse_published(current)
    row = await store.publish(tx, version_id, by, now)
    facts: dict[str, object] = {"plan_id": current.plan_id, "number": current.number}
    kind = "price_plan_version.published"
    await tell(tx, "price_plan_version", version_id, kind, facts, by=by, now=now)
    return convert(row, PlanVersionView)
