"""Instants, civil dates, and the only line in the project that reads a clock.

An instant is an aware UTC `datetime`; a civil date is a calendar day in the lessor's zone,
Asia/Shanghai, where a month ends at local midnight. Everything above takes `now` or `as_of` as
an argument, so that a test, a replay and the sandbox clock all see the same program.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

CIVIL_ZONE = ZoneInfo("Asia/Shanghai")


def system_now() -> datetime:
    """The instant on this machine's clock. For leases, log lines and key expiry; business
    time comes from `leasing.db.clock`, which a sandbox may move."""
    return datetime.now(UTC)


def civil_date(at: datetime) -> date:
    """The calendar day on which an instant falls, in the lessor's zone."""
    return at.astimezone(CIVIL_ZONE).date()


def midnight(on: date) -> datetime:
    """The instant at which a civil day begins."""
    return datetime(on.year, on.month, on.day, tzinfo=CIVIL_ZONE).astimezone(UTC)


@lru_cache(maxsize=1_000)  # a billing run asks for the same few months of every line
def month_of(on: date) -> tuple[date, date]:
    """The calendar month around a day, as a half-open period `[first, first of the next)`."""
    first = on.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)
