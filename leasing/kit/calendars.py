"""Business days: when something is due that would fall due on a holiday.

China's calendar is not a pattern. Each autumn the General Office of the State Council publishes
next year's holidays (节假日安排) and the weekends on which people work to make up for them
(调休). The `chinesecalendar` package carries those notices from 2004 on; its latest year is the
last that is known. A later year is an error here (`UnknownYear`), or, where a date is needed all
the same, Monday to Friday under a name that says so (`china_or_weekday`): such a date is
provisional, and is worked out again when the year `is_published`.

Only due dates are adjusted. Periods are made of unadjusted dates, and an adjusted date never feeds
back into them (C17; ISDA schedules do the same).
"""

from collections.abc import Callable
from datetime import date, timedelta
from enum import StrEnum

import chinese_calendar

MAX_DAYS = 31
"""The longest holiday had ten days; a search that goes on for longer has a bad calendar."""

IsBusinessDay = Callable[[date], bool]

FIRST_YEAR: int = min(chinese_calendar.holidays).year
LAST_YEAR: int = max(chinese_calendar.holidays).year


class UnknownYear(ValueError):
    """The official calendar of a year is not published yet, or is too old to be known here."""


class Convention(StrEnum):
    """Where a due date goes that is no business day."""

    NONE = "none"
    FOLLOWING = "following"
    MODIFIED_FOLLOWING = "modified_following"
    PRECEDING = "preceding"
    MODIFIED_PRECEDING = "modified_preceding"


def weekday(on: date) -> bool:
    """Monday to Friday, whatever the holidays."""
    return on.weekday() < 5


def china(on: date) -> bool:
    """Whether people work in mainland China on that day. Raises `UnknownYear`.

    Worked example: Sunday 26 January 2025 made up for the Spring Festival of Friday the 31st.

    >>> china(date(2025, 1, 26)), china(date(2025, 1, 31))
    (True, False)
    """
    if not is_published(on.year):
        raise UnknownYear(f"the holidays of {on.year} are not known")
    return bool(chinese_calendar.is_workday(on))


def china_or_weekday(on: date) -> bool:
    """The official calendar where it is known, Monday to Friday where it is not. What rests on a
    year that is not `is_published` is provisional."""
    return china(on) if is_published(on.year) else weekday(on)


def is_published(year: int) -> bool:
    """Whether the official calendar of a year is known."""
    return FIRST_YEAR <= year <= LAST_YEAR


def adjust(on: date, convention: Convention, is_business_day: IsBusinessDay = china) -> date:
    """A due date moved to a business day: the next one, or the one before; the modified conventions
    turn round rather than leave the month (ISDA 2006 Definitions, 4.12).

    Worked example: the Spring Festival of 2025 ran from 28 January to 4 February.

    >>> adjust(date(2025, 1, 30), Convention.FOLLOWING)
    datetime.date(2025, 2, 5)
    >>> adjust(date(2025, 1, 30), Convention.MODIFIED_FOLLOWING)
    datetime.date(2025, 1, 27)
    """
    match convention:
        case Convention.NONE:
            return on
        case Convention.FOLLOWING:
            return search(on, 1, is_business_day)
        case Convention.PRECEDING:
            return search(on, -1, is_business_day)
        case Convention.MODIFIED_FOLLOWING | Convention.MODIFIED_PRECEDING:
            step = 1 if convention is Convention.MODIFIED_FOLLOWING else -1
            found = search(on, step, is_business_day)
            same_month = (found.year, found.month) == (on.year, on.month)
            return found if same_month else search(on, -step, is_business_day)


def search(on: date, step: int, is_business_day: IsBusinessDay) -> date:
    """The nearest business day in one direction, the day itself included."""
    for days in range(MAX_DAYS):
        found = on + timedelta(days=step * days)
        if is_business_day(found):
            return found
    raise ValueError(f"no business day within {MAX_DAYS} days of {on}")
