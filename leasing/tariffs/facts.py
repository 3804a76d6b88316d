"""Facts that prices rest on: entered in sets, never changed, put right by later ones."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, refusal
from leasing.kit.errors import DomainError
from leasing.kit.time import civil_date
from leasing.tariffs import facts_store, rules
from leasing.tariffs.model import CONSTRAINTS
from leasing.tariffs.rules import Row
from schemas.tariffs import MeterReadingRow, OutageRow, PriceIndexRow, SiteTenancyRow

R = TypeVar("R", MeterReadingRow, OutageRow, SiteTenancyRow, PriceIndexRow)

Outcomes = list[UUID | DomainError]


async def enter_readings(
    tx: Connection, rows: Sequence[MeterReadingRow], *, by: str, now: datetime
) -> Outcomes:
    """Enter register readings. Returns for each its id, or why it is refused."""
    return await enter_each(tx, rows, facts_store.insert_readings, read, by=by, now=now)


async def enter_outages(
    tx: Connection, rows: Sequence[OutageRow], *, by: str, now: datetime
) -> Outcomes:
    """Enter outages. Returns for each its id, or why it is refused."""
    return await enter_each(tx, rows, facts_store.insert_outages, went_down, by=by, now=now)


async def enter_tenancies(
    tx: Connection, rows: Sequence[SiteTenancyRow], *, by: str, now: datetime
) -> Outcomes:
    """Enter who shares sites. Returns for each its id, or why it is refused."""
    return await enter_each(tx, rows, facts_store.insert_tenancies, shared, by=by, now=now)


async def enter_indexes(
    tx: Connection, rows: Sequence[PriceIndexRow], *, by: str, now: datetime
) -> Outcomes:
    """Enter values of price indexes. Returns for each its id, or why it is refused."""
    return await enter_each(tx, rows, facts_store.insert_indexes, published, by=by, now=now)


async def enter_each(
    tx: Connection,
    rows: Sequence[R],
    insert: Callable[[Connection, Sequence[R], str, datetime], Awaitable[list[UUID]]],
    event: Callable[[UUID, R], Event],
    *,
    by: str,
    now: datetime,
) -> Outcomes:
    async def together(part: Sequence[R]) -> Outcomes:
        refused = [refusal(partial(rules.refuse_bad_fact, row, now)) for row in part]
        good = [row for row, no in zip(part, refused, strict=True) if no is None]
        ids = await insert(tx, good, by, now)
        told = [with_history(event(*one), one[1]) for one in zip(ids, good, strict=True)]
        await events.append(tx, told, actor=by, now=now)
        made = iter(ids)
        return [no or next(made) for no in refused]

    return await each(tx, rows, CONSTRAINTS, together)


VOIDED = {
    "pack": "pack.fact_voided",
    "site": "site.fact_voided",
    "line": "line.fact_voided",
    "price_index": "price_index.voided",
}


def with_history(event: Event, row: Row) -> Event:
    """The same with what it put right, or took back."""
    if row.supersedes_id is None:
        return event
    data = {**event.data, "supersedes_id": row.supersedes_id}
    kind = VOIDED[event.aggregate] if row.is_void else event.kind
    return Event(event.aggregate, event.aggregate_id, kind, data)


def read(reading_id: UUID, row: MeterReadingRow) -> Event:
    facts: dict[str, object] = {
        "on": civil_date(row.at),
        "reading_id": reading_id,
        "measure": row.measure,
        "register_value": row.register_value,
    }
    return Event("pack", row.pack_id, "pack.metered", facts)


def went_down(outage_id: UUID, row: OutageRow) -> Event:
    facts: dict[str, object] = {
        "on": civil_date(row.from_at),
        "outage_id": outage_id,
        "from_at": row.from_at,
        "to_at": row.to_at,
        "cause": row.cause,
    }
    if row.site_id is not None:
        return Event("site", row.site_id, "site.outage", facts)
    assert row.line_id is not None
    return Event("line", row.line_id, "line.outage", facts)


def shared(tenancy_id: UUID, row: SiteTenancyRow) -> Event:
    facts: dict[str, object] = {
        "on": row.from_on,
        "tenancy_id": tenancy_id,
        "to_on": row.to_on,
        "tenants": row.tenants,
        "is_anchor": row.is_anchor,
    }
    return Event("site", row.site_id, "site.shared", facts)


def published(index_id: UUID, row: PriceIndexRow) -> Event:
    facts: dict[str, object] = {"series": row.series, "month": row.month, "value": row.value}
    return Event("price_index", index_id, "price_index.entered", facts)
