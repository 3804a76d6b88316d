"""Working days of mainland China, as two packages know them, and as the State Council's notice is
typed in before either has it.

The packages are independent: `chinesecalendar` carries the yearly notices and refuses years that
are not published; `holidays` also knows the statutory days of later years, without the weekends
that are worked to make up for them. Deadlines are counted by days in a table, and this is what
fills it.
"""

import csv
import io
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

import holidays
import msgspec

from leasing.kit import calendars
from leasing.kit.errors import Invalid
from leasing.obligations.model import Calendar

FIRST_YEAR = 2018
"""The first rule is of August 2018."""
LAST_YEAR = 2035
"""Beyond the year that is published, statutory days are known: as far ahead as this."""


class BadNotice(Invalid):
    code = "bad_calendar_notice"
    title = "The days of a year cannot be read"


class Year(msgspec.Struct, frozen=True):
    """What one source says of a year: every day of it, in order."""

    calendar: Calendar
    year: int
    is_published: bool
    source: str
    is_working: list[bool]


def days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]


def sources() -> set[tuple[str, str]]:
    """Each package by its version, as it stands beside the years that came from it."""
    return {
        (str(one), f"{one} {version(one)}") for one in (Calendar.CHINESECALENDAR, Calendar.HOLIDAYS)
    }


def of_chinesecalendar(year: int) -> Year | None:
    """None when the year is not published, or too old."""
    if not calendars.is_published(year):
        return None
    source = f"chinesecalendar {version('chinesecalendar')}"
    working = [calendars.china(day) for day in days_of(year)]
    return Year(Calendar.CHINESECALENDAR, year, True, source, working)


@cache
def statutory(year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("CN", years=[year])


def of_holidays(year: int) -> Year:
    """Published when it knows a weekend of the year that is worked: every notice has some."""
    known = statutory(year)
    is_published = any(day.year == year for day in known.weekend_workdays)
    source = f"holidays {version('holidays')}"
    working = [known.is_working_day(day) for day in days_of(year)]
    return Year(Calendar.HOLIDAYS, year, is_published, source, working)


def from_packages(year: int) -> list[Year]:
    """What each package knows of a year."""
    return [found for found in (of_chinesecalendar(year), of_holidays(year)) if found is not None]


def of_notice(year: int, text: str, source: str) -> Year:
    """A year from the State Council's notice (节假日安排): lines `day,is_working` with the days off
    and the weekends that are worked; the rest is Monday to Friday. Raises `BadNotice`.

    >>> year = of_notice(2027, "2027-01-01,no\\n2027-01-03,yes\\n", "国办发明电〔2026〕0号")
    >>> year.is_working[:4]
    [False, False, True, True]
    """
    working = {day: calendars.weekday(day) for day in days_of(year)}
    rows = [row for row in csv.reader(io.StringIO(text)) if row and row[0] != "day"]
    for number, row in enumerate(rows, start=1):
        try:
            day, said = date.fromisoformat(row[0].strip()), row[1].strip()
        except (ValueError, IndexError) as error:
            raise BadNotice(f"row {number}: 'day,yes' or 'day,no' is wanted") from error
        if day not in working or said not in ("yes", "no"):
            raise BadNotice(f"row {number}: a day of {year} and yes or no are wanted")
        working[day] = said == "yes"
    if not rows:
        raise BadNotice("it names no day")
    return Year(Calendar.NOTICE, year, True, source, list(working.values()))
