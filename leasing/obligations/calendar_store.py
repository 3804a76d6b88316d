"""The calendar of working days in the database: imported from each source, and the best of them."""

from collections.abc import Sequence
from datetime import date, datetime

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.obligations import calendars
from leasing.obligations.calendars import FIRST_YEAR, LAST_YEAR, Year, days_of

HOLD = "LOCK TABLE calendar_year IN SHARE ROW EXCLUSIVE MODE"

PUT_YEARS = """
INSERT INTO calendar_year (calendar, year, is_published, source, imported_by, imported_at)
SELECT calendar, year, is_published, source, $5, $6
  FROM unnest($1::text[], $2::int[], $3::boolean[], $4::text[])
       AS given (calendar, year, is_published, source)
    ON CONFLICT (calendar, year) DO UPDATE
   SET is_published = excluded.is_published,
       source = excluded.source,
       imported_by = excluded.imported_by,
       imported_at = excluded.imported_at
RETURNING id, calendar, year, is_published
"""

PUT_DAYS = """
INSERT INTO calendar_day (calendar, year, day, is_working)
SELECT calendar, extract(year FROM day)::int, day, is_working
  FROM unnest($1::text[], $2::date[], $3::boolean[]) AS given (calendar, day, is_working)
    ON CONFLICT (calendar, day) DO UPDATE
   SET is_working = excluded.is_working
"""

FORGET_WORKING = "DELETE FROM working_day"

COUNT_WORKING = """
INSERT INTO working_day (day, is_working, ordinal, calendar, is_published)
SELECT day, is_working, count(*) FILTER (WHERE is_working) OVER (ORDER BY day), calendar,
       is_published
  FROM (SELECT DISTINCT ON (day) day, is_working, calendar, is_published
          FROM calendar_day
          JOIN calendar_year USING (calendar, year)
         ORDER BY day, is_published DESC,
                  array_position(ARRAY['notice', 'chinesecalendar', 'holidays'], calendar)) AS best
 ORDER BY day
"""


async def put(tx: Connection, years: Sequence[Year], *, by: str, now: datetime) -> list[Record]:
    """Enter what sources say of years, and count the working days anew."""
    days = [
        (one.calendar, day, is_working)
        for one in years
        for day, is_working in zip(days_of(one.year), one.is_working, strict=True)
    ]
    await tx.execute(HOLD)
    entered = await tx.fetch(
        PUT_YEARS,
        [one.calendar for one in years],
        [one.year for one in years],
        [one.is_published for one in years],
        [one.source for one in years],
        by,
        now,
    )
    await tx.execute(PUT_DAYS, *map(list, zip(*days, strict=True)))
    await tx.execute(FORGET_WORKING)
    await tx.execute(COUNT_WORKING)
    return entered


async def load(tx: Connection, *, by: str, now: datetime) -> None:
    """Enter what both packages know of every year that deadlines may reach."""
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    found = [one for year in years for one in calendars.from_packages(year)]
    await put(tx, found, by=by, now=now)


KNOWN = """
SELECT calendar, year, is_published, source
  FROM calendar_year
 ORDER BY calendar, year
"""


async def is_current(tx: Connection) -> bool:
    """Whether what is entered came from the packages of the versions that are installed."""
    known = {(row["calendar"], row["source"]) for row in await tx.fetch(KNOWN)}
    return calendars.sources() <= known


DIFFERENCES = """
SELECT day, one.is_working AS chinesecalendar, other.is_working AS holidays
  FROM calendar_day AS one
  JOIN calendar_day AS other USING (day)
  JOIN calendar_year AS known ON known.calendar = one.calendar AND known.year = one.year
  JOIN calendar_year AS beside ON beside.calendar = other.calendar AND beside.year = other.year
 WHERE one.calendar = 'chinesecalendar'
   AND other.calendar = 'holidays'
   AND known.is_published
   AND beside.is_published
   AND one.is_working <> other.is_working
 ORDER BY day
"""


async def differences(tx: Connection) -> list[Record]:
    """Days of published years on which the two packages disagree."""
    return await tx.fetch(DIFFERENCES)


AGREEMENT = """
SELECT year,
       count(*) FILTER (WHERE calendar = 'chinesecalendar') AS chinesecalendar,
       count(*) FILTER (WHERE calendar = 'holidays') AS holidays,
       count(*) FILTER (WHERE calendar = 'notice') AS notice,
       coalesce(bool_or(is_published AND calendar = 'chinesecalendar'), false) AS one_published,
       coalesce(bool_or(is_published AND calendar = 'holidays'), false) AS other_published
  FROM calendar_year
  JOIN calendar_day USING (calendar, year)
 WHERE is_working
 GROUP BY year
 ORDER BY year
"""


async def agreement(tx: Connection) -> list[Record]:
    """Working days of each year by each source, and whether it is published there."""
    return await tx.fetch(AGREEMENT)


YEARS = """
SELECT extract(year FROM day)::int AS year,
       min(working_day.calendar) AS calendar,
       bool_and(working_day.is_published) AS is_published,
       count(*) FILTER (WHERE is_working)::int AS working_days,
       min(source) AS source
  FROM working_day
  JOIN calendar_year ON calendar_year.calendar = working_day.calendar
   AND calendar_year.year = extract(year FROM day)
 GROUP BY 1
 ORDER BY 1
"""


async def years(tx: Connection) -> list[Record]:
    """By which source the days of each year are counted."""
    return await tx.fetch(YEARS)


HORIZON = "SELECT max(day) FROM working_day WHERE is_published"


async def horizon(tx: Connection) -> date | None:
    """The last day of which it is known whether it is worked."""
    day: date | None = await tx.fetchval(HORIZON)
    return day
