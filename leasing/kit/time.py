"""Instants, civil dates, and the only line in the project that reads a clock.

An instant is an aware UTC `datetime`; a civil date is a calendar day in the lessor's zone,
Asia/Shanghai, where a month ends at local midnight. Everything above takes `now` or `as_of` as
an argument, so that a test, a replay and the sandbox clock all see the same program.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

CIVIL_ZONE = ZoneInfo("Asia/Shanghai")


def system_now() -> datetime:
    """The instant on this machine's clock. For leases, log lines and key expiry; business
    time comes from `leasing.db.clock`, which a sandbox may move."""
    return datetime.now(UTC)


def civil_date(at: datetime, zone: str | None = None) -> date:
    """The calendar day on which an instant falls, in the zone of that IANA name, or in the
    lessor's."""
    return at.astimezone(ZoneInfo(zone) if zone else CIVIL_ZONE).date()


def midnight(on: date, zone: str | None = None) -> datetime:
    """The instant at which a civil day begins, in the zone of that IANA name, or in the lessor's.
    Where clocks are put forward at midnight, that is the first instant after it.

    >>> midnight(date(2022, 4, 1), "America/New_York").isoformat()
    '2022-04-01T04:00:00+00:00'
    """
    tzinfo = ZoneInfo(zone) if zone else CIVIL_ZONE
    return datetime(on.year, on.month, on.day, tzinfo=tzinfo).astimezone(UTC)


@lru_cache(maxsize=1_000)  # a billing run asks for the same few months of every line
def month_of(on: date) -> tuple[date, date]:
    """The calendar month around a day, as a half-open period `[first, first of the next)`."""
    first = on.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def add_months(on: date, months: int) -> date:
    """The same day so many months later, or the last day of that month when it is too short.

    >>> add_months(date(2026, 1, 31), 1), add_months(date(2026, 1, 31), 2)
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))
    """
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return date(year, month + 1, min(on.day, monthrange(year, month + 1)[1]))


def whole_months(from_on: date, to_on: date) -> int:
    """How many months after the first day the second one is, counting whole ones: the largest n
    with `add_months(from_on, n) <= to_on`. Negative when it lies before.

    >>> whole_months(date(2026, 1, 31), date(2026, 2, 28))
    1
    >>> whole_months(date(2026, 1, 15), date(2026, 2, 14))
    0
    """
    months = (to_on.year - from_on.year) * 12 + to_on.month - from_on.month
    return months if add_months(from_on, months) <= to_on else months - 1
