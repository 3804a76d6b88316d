"""Billing periods: half-open civil dates that tile a line's term without gap or overlap.

A cycle is an anchor and a frequency. Its boundary n is the anchor moved by n times the frequency in
one step, the day cut to the length of the month (C2): 31 January, 28 February, 31 March. It never
comes from the boundary before it, where the 31st would drift to the 28th. A period that was cut
short by its month is a whole one. Whether a line that begins on 30 April means "the 30th" or "the
last day" is the contract's to say (`end_of_month`), and is never guessed from the date.

A line starts and ends where it likes: what lies before its first boundary and after its last are
stubs. C1 to C5 and C13 are the conventions of the project's study of billing systems.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from leasing.kit.time import add_months


class Unit(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


DAYS = {Unit.DAY: 1, Unit.WEEK: 7}
MONTHS = {Unit.MONTH: 1, Unit.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often: every `count` units."""

    unit: Unit
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"every {self.count} {self.unit}s is not a frequency")


WEEKLY = Frequency(Unit.WEEK)
FORTNIGHTLY = Frequency(Unit.WEEK, 2)
MONTHLY = Frequency(Unit.MONTH)
QUARTERLY = Frequency(Unit.MONTH, 3)
HALF_YEARLY = Frequency(Unit.MONTH, 6)
YEARLY = Frequency(Unit.YEAR)


def months(frequency: Frequency) -> Fraction:
    """How many months a period has; weeks by the average, 52 in a year.

    >>> months(QUARTERLY), months(FORTNIGHTLY)
    (Fraction(3, 1), Fraction(6, 13))
    """
    units = {Unit.DAY: Fraction(12, 365), Unit.WEEK: Fraction(12, 52), Unit.YEAR: Fraction(12)}
    return frequency.count * units.get(frequency.unit, Fraction(1))


class Mode(StrEnum):
    ADVANCE = "advance"
    """A period is billed on its first day (先付后用)."""
    ARREARS = "arrears"
    """A period is billed when it is over, on the day after its last (先用后付)."""


class Period(NamedTuple):
    """Civil dates `[from_on, to_on)`: the first day is billed, the last one is not (C5)."""

    from_on: date
    to_on: date

    @property
    def days(self) -> int:
        return (self.to_on - self.from_on).days


@dataclass(frozen=True, slots=True)
class Cycle:
    """Where a line's boundaries lie. `day` is the day of the month they aim at (1 to 31) when it is
    not the anchor's own; `end_of_month` aims at the last day of every month. Cycles of days and
    weeks run from the anchor and heed neither."""

    anchor_on: date
    frequency: Frequency
    day: int | None = None
    end_of_month: bool = False

    def __post_init__(self) -> None:
        if self.day is not None and not 1 <= self.day <= 31:
            raise ValueError(f"no month has a day {self.day}")


def calendar_cycle(start_on: date, frequency: Frequency, day: int = 1) -> Cycle:
    """Alignment to the calendar (C3): months, quarters and years begin on a chosen day of the
    month, counted from January of the line's first year; weeks on Monday (ISO 8601). The other
    alignment, to the anniversary, is `Cycle(start_on, frequency)`.

    >>> boundary(calendar_cycle(date(2026, 5, 20), QUARTERLY), 2)
    datetime.date(2026, 7, 1)
    """
    if frequency.unit in MONTHS:
        return Cycle(date(start_on.year, 1, 1), frequency, day)
    if frequency.unit is Unit.WEEK:
        return Cycle(start_on - timedelta(days=start_on.weekday()), frequency)
    return Cycle(start_on, frequency)


def shift(on: date, frequency: Frequency, n: int) -> date:
    """A date moved by n times a frequency, cut to the length of its month.

    >>> shift(date(2024, 2, 29), YEARLY, 1), shift(date(2026, 1, 1), FORTNIGHTLY, -1)
    (datetime.date(2025, 2, 28), datetime.date(2025, 12, 18))
    """
    units = n * frequency.count
    if frequency.unit in DAYS:
        return on + timedelta(days=units * DAYS[frequency.unit])
    return add_months(on, units * MONTHS[frequency.unit])


def boundary(cycle: Cycle, n: int) -> date:
    """Boundary n of a cycle; 0 is the anchor, or the cycle's day in the anchor's month. n may be
    negative (C2).

    >>> monthly = Cycle(date(2026, 1, 31), MONTHLY)
    >>> [boundary(monthly, n).isoformat() for n in (-2, 0, 1, 2)]
    ['2025-11-30', '2026-01-31', '2026-02-28', '2026-03-31']
    >>> boundary(Cycle(date(2026, 2, 28), MONTHLY, end_of_month=True), 1)
    datetime.date(2026, 3, 31)
    """
    if cycle.frequency.unit in DAYS:
        return shift(cycle.anchor_on, cycle.frequency, n)
    day = 31 if cycle.end_of_month else cycle.day or cycle.anchor_on.day
    first_of_month = shift(cycle.anchor_on.replace(day=1), cycle.frequency, n)
    return in_month(first_of_month, day)


def in_month(month: date, day: int) -> date:
    """A day of the month around a date, or the month's last when it is too short.

    >>> in_month(date(2026, 4, 9), 31)
    datetime.date(2026, 4, 30)
    """
    return month.replace(day=min(day, monthrange(month.year, month.month)[1]))


def number(cycle: Cycle, on: date) -> int:
    """The number of the last boundary on or before a day.

    >>> number(Cycle(date(2026, 1, 31), MONTHLY), date(2026, 3, 30))
    1
    """
    anchor, unit, count = cycle.anchor_on, cycle.frequency.unit, cycle.frequency.count
    if unit in DAYS:
        return (on - anchor).days // (count * DAYS[unit])
    months = (on.year - anchor.year) * 12 + on.month - anchor.month
    n = months // (count * MONTHS[unit])
    # Boundary n lies in the month of that day or an earlier one, boundary n + 1 in a later month.
    return n if boundary(cycle, n) <= on else n - 1


def is_boundary(cycle: Cycle, on: date) -> bool:
    return boundary(cycle, number(cycle, on)) == on


def first_boundary(cycle: Cycle, start_on: date) -> date:
    """The first boundary on or after a line's start.

    Worked example: the billing day is the 30th, the line starts on 31 January of a leap year.

    >>> first_boundary(Cycle(date(2012, 1, 31), MONTHLY, day=30), date(2012, 1, 31))
    datetime.date(2012, 2, 29)
    """
    return boundary(cycle, number(cycle, start_on - timedelta(days=1)) + 1)


def whole(cycle: Cycle, on: date) -> Period:
    """The whole period around a day: what a stub is a part of (C4).

    >>> whole(Cycle(date(2021, 3, 31), MONTHLY), date(2021, 4, 30)).days
    31
    """
    n = number(cycle, on)
    return Period(boundary(cycle, n), boundary(cycle, n + 1))


def walk(cycle: Cycle, start_on: date, end_on: date) -> Iterator[Period]:
    """All periods of a line from its start to its end, the stubs at both ends cut to it. A line
    of no days has none.

    >>> line = walk(Cycle(date(2026, 1, 1), MONTHLY), date(2026, 1, 20), date(2026, 3, 5))
    >>> [period.days for period in line]
    [12, 28, 4]
    """
    n = number(cycle, start_on) + 1
    from_on = start_on
    while from_on < end_on:
        to_on = min(boundary(cycle, n), end_on)
        yield Period(from_on, to_on)
        from_on, n = to_on, n + 1


class LongStubs(NamedTuple):
    """The ends of a term whose days, where they do not fill a period, are billed with the period
    beside them: a long first stub, a long last one. None where a stub is billed by itself."""

    from_on: date | None = None
    to_on: date | None = None


SHORT_STUBS = LongStubs()


def is_joined(cycle: Cycle, n: int, long: LongStubs) -> bool:
    """Whether boundary n lies between a long stub and the period that it is billed with, so that
    nothing is billed there.

    Worked example: 20 January to 15 May, along the calendar; both stubs are long.

    >>> long = LongStubs(date(2026, 1, 20), date(2026, 5, 15))
    >>> months = Cycle(date(2026, 1, 1), MONTHLY)
    >>> [boundary(months, n).month for n in range(12) if is_joined(months, n, long)]
    [2, 5]
    """
    on = boundary(cycle, n)
    return (long.from_on is not None and boundary(cycle, n - 1) < long.from_on < on) or (
        long.to_on is not None and on < long.to_on < boundary(cycle, n + 1)
    )


def billed_with(cycle: Cycle, on: date, long: LongStubs) -> Period:
    """The days between boundaries that a day is billed with: the period around it, and the stub or
    the period that is joined with it. What they cost is worked out for each period (C4).

    >>> long = LongStubs(date(2026, 1, 20), date(2026, 5, 15))
    >>> both = billed_with(Cycle(date(2026, 1, 1), MONTHLY), date(2026, 2, 9), long)
    >>> both.from_on.isoformat(), both.to_on.isoformat()
    ('2026-01-01', '2026-03-01')
    """
    n = number(cycle, on)
    first, last = before_stub(cycle, n, long), after_stub(cycle, n + 1, long)
    return Period(boundary(cycle, first), boundary(cycle, last))


def before_stub(cycle: Cycle, n: int, long: LongStubs) -> int:
    """The last boundary, from n back, at which something is billed."""
    while is_joined(cycle, n, long):
        n -= 1
    return n


def after_stub(cycle: Cycle, n: int, long: LongStubs) -> int:
    """The first boundary, from n on, at which something is billed."""
    while is_joined(cycle, n, long):
        n += 1
    return n


def to_bill(
    cycle: Cycle, mode: Mode, start_on: date, end_on: date | None, as_of: date
) -> Iterator[Period]:
    """Every period of a line that is due on a day, from its start on: what a run that was down for
    months catches up with (C13). In advance that includes the period around the day. In arrears
    it goes to the last boundary, or to the line's end once that has come.

    >>> months = Cycle(date(2026, 1, 1), MONTHLY)
    >>> start_on, as_of = date(2026, 1, 20), date(2026, 2, 1)
    >>> [due.days for due in to_bill(months, Mode.ADVANCE, start_on, None, as_of)]
    [12, 28]
    >>> [due.days for due in to_bill(months, Mode.ARREARS, start_on, None, as_of)]
    [12]
    """
    if as_of < start_on:
        return iter(())
    return walk(cycle, start_on, billable_to(cycle, mode, end_on, as_of))


def billable_to(
    cycle: Cycle, mode: Mode, end_on: date | None, as_of: date, long: LongStubs = SHORT_STUBS
) -> date:
    """The day up to which a line may be billed on a day, itself not billed. A period that a long
    stub is joined with is billed in arrears when both are over, in advance before both begin.

    >>> months, long = Cycle(date(2026, 1, 1), MONTHLY), LongStubs(None, date(2026, 3, 15))
    >>> for mode in Mode:
    ...     print(mode, billable_to(months, mode, None, date(2026, 2, 1), long),
    ...           billable_to(months, mode, None, date(2026, 3, 1), long))
    advance 2026-03-15 2026-03-15
    arrears 2026-02-01 2026-02-01
    """
    if end_on is not None and end_on <= as_of:
        return end_on
    n = number(cycle, as_of)
    if mode is Mode.ARREARS:
        return boundary(cycle, before_stub(cycle, n, long))
    reached = boundary(cycle, after_stub(cycle, n + 1, long))
    ends = [on for on in (end_on, long.to_on) if on is not None and on > as_of]
    return min([reached, *ends])


def period_due(
    cycle: Cycle,
    mode: Mode,
    as_of: date,
    start_on: date | None = None,
    end_on: date | None = None,
) -> Period | None:
    """The one period that a bill of that day is about: in advance the period around it, in arrears
    the last one that ended on or before it; each as far as it belongs to the line.

    Worked example: the anchor is 29 February; the boundary of a common year is the 28th.

    >>> yearly = Cycle(date(2020, 2, 29), YEARLY)
    >>> due = period_due(yearly, Mode.ARREARS, date(2025, 2, 28))
    >>> due.from_on.isoformat(), due.to_on.isoformat()
    ('2024-02-29', '2025-02-28')
    """
    if mode is Mode.ARREARS:
        reached = billable_to(cycle, mode, end_on, as_of)
        period = Period(whole(cycle, reached - timedelta(days=1)).from_on, reached)
    else:
        period = whole(cycle, as_of)
    from_on = max(period.from_on, start_on or period.from_on)
    to_on = min(period.to_on, end_on or period.to_on)
    return Period(from_on, to_on) if from_on < to_on else None
