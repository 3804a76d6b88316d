"""Closing months (月结): once the books of a month were shown, they do not change.

Months are closed in order and opened again from the latest back, so that what is closed is all
days before one day.
"""

import re
from datetime import date, datetime
from uuid import UUID

from leasing.accounting import periods_store as store
from leasing.accounting.model import (
    BadMonth,
    MonthNotOver,
    NoSuchPeriod,
    PeriodClosed,
    PeriodNotLast,
    PeriodNotReady,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, month_of
from schemas.accounting import ChecklistView, CheckView, PeriodState, PeriodView

MONTH = re.compile(r"(20\d{2})-(0[1-9]|1[0-2])")


def month_named(text: str) -> date:
    """The first day of a month.

    >>> month_named("2026-01")
    datetime.date(2026, 1, 1)
    """
    match = MONTH.fullmatch(text)
    if match is None:
        fault = FieldError("{month}", "bad_month", f"'{text}' is not like 2026-01")
        raise BadMonth(fault.message, fields=[fault])
    return date(int(match[1]), int(match[2]), 1)


async def checklist(tx: Connection, month: date) -> ChecklistView:
    """What must hold before a month is closed, and whether it does."""
    _, to_on = month_of(month)
    checks = [
        CheckView(code=code, title=title, passed=found == 0, found=found)
        for code, title, found in await store.checks(tx, to_on)
    ]
    row = await store.get(tx, month)
    return ChecklistView(
        month=month,
        state=PeriodState(row["state"]) if row else PeriodState.OPEN,
        checks=checks,
        ready=all(check.passed for check in checks),
    )


async def close(tx: Connection, month: date, *, by: str, now: datetime) -> PeriodView:
    """Close a month. Raises `MonthNotOver`, `PeriodClosed`, and `PeriodNotReady` with the checks
    that failed."""
    _, to_on = month_of(month)
    if civil_date(now) < to_on:
        raise MonthNotOver(f"it is over on {to_on}", over_on=to_on)
    await store.lock_books(tx)
    last = await store.last_closed(tx)
    if last is not None and month <= last:
        raise PeriodClosed(f"the books are closed to the end of {last:%Y-%m}")
    found = await checklist(tx, month)
    failed = [check for check in found.checks if not check.passed]
    if failed:
        said = "; ".join(f"not so: {check.title} ({check.found})" for check in failed)
        raise PeriodNotReady(said, checks=failed)
    period_id = await store.close(tx, month, by, now)
    await note(tx, period_id, "accounting_period.closed", {"month": month}, by=by, now=now)
    return await get(tx, month)


async def reopen(tx: Connection, month: date, reason: str, *, by: str, now: datetime) -> PeriodView:
    """Open the latest closed month again. Raises `NoSuchPeriod`, `PeriodNotLast`."""
    await store.lock_books(tx)
    last = await store.last_closed(tx)
    if last != month:
        if await store.get(tx, month) is None:
            raise NoSuchPeriod
        raise PeriodNotLast(f"the latest is {last:%Y-%m}" if last else "none is closed")
    period_id = await store.reopen(tx, month, by, now, reason)
    facts: dict[str, object] = {"month": month, "reason": reason}
    await note(tx, period_id, "accounting_period.reopened", facts, by=by, now=now)
    return await get(tx, month)


async def note(
    tx: Connection, period_id: UUID, kind: str, facts: dict[str, object], *, by: str, now: datetime
) -> None:
    await events.append(tx, [Event("accounting_period", period_id, kind, facts)], actor=by, now=now)


async def get(tx: Connection, month: date) -> PeriodView:
    row = await store.get(tx, month)
    if row is None:
        raise NoSuchPeriod
    return convert(row, PeriodView)
