"""Schedules of instalments: a term cut into regular periods, its stubs named, its due dates moved
to business days.

Dates are made as in an ISDA schedule. Unadjusted boundaries come first, from the end that has no
stub: an initial stub is what is left when one counts back from the end of the term, a final stub
when one counts on from its start. Then due dates are adjusted, and no adjusted date feeds back
(C17).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from itertools import count, pairwise
from typing import NamedTuple

from leasing.kit.calendars import Convention, IsBusinessDay, adjust, china_or_weekday
from leasing.pricing.day_counts import ends_month
from leasing.pricing.periods import (
    MONTHS,
    Cycle,
    Frequency,
    Mode,
    Period,
    boundary,
    in_month,
    is_boundary,
    whole,
)
from leasing.pricing.proration import Basis, cycles

SMART_DAYS = 7
"""A smart stub shorter than this is merged into its neighbour."""


class BadSchedule(ValueError):
    """These dates do not make a schedule."""


class Stub(StrEnum):
    """What is done with days that do not fill a period."""

    NONE = "none"
    SHORT_INITIAL = "short_initial"
    LONG_INITIAL = "long_initial"
    SMART_INITIAL = "smart_initial"
    SHORT_FINAL = "short_final"
    LONG_FINAL = "long_final"
    SMART_FINAL = "smart_final"


INITIAL = {Stub.SHORT_INITIAL, Stub.LONG_INITIAL, Stub.SMART_INITIAL}
FINAL = {Stub.SHORT_FINAL, Stub.LONG_FINAL, Stub.SMART_FINAL}
LONG = {Stub.LONG_INITIAL, Stub.LONG_FINAL}
SMART = {Stub.SMART_INITIAL, Stub.SMART_FINAL}


@dataclass(frozen=True, slots=True)
class Term:
    """`[start_on, end_on)`, and how it is cut.

    `roll_day` is the day of the month boundaries aim at; `end_of_month` makes it the last day, if
    the end that is counted from is one. `first_regular_on` and `last_regular_on` name stubs by
    date, at either end or both; a stub rule then speaks of the other end only."""

    start_on: date
    end_on: date
    frequency: Frequency
    stub: Stub = Stub.NONE
    end_of_month: bool = False
    roll_day: int | None = None
    first_regular_on: date | None = None
    last_regular_on: date | None = None

    def __post_init__(self) -> None:
        regular = self.regular
        if not self.start_on <= regular.from_on <= regular.to_on <= self.end_on:
            raise BadSchedule(f"{regular} does not lie within {self.start_on} to {self.end_on}")
        if self.start_on == self.end_on:
            raise BadSchedule(f"a term of no days, on {self.start_on}")

    @property
    def regular(self) -> Period:
        """The term without the stubs that are named by date."""
        return Period(self.first_regular_on or self.start_on, self.last_regular_on or self.end_on)

    @property
    def remainder(self) -> Stub:
        """The rule for days that are left over between the regular dates."""
        dated = (self.stub in INITIAL and self.first_regular_on) or (
            self.stub in FINAL and self.last_regular_on
        )
        return Stub.NONE if dated else self.stub


def cycle_of(term: Term) -> Cycle:
    """The cycle whose boundaries a term's regular periods have.

    Worked example: without a stub the 28th of February and the 30th of April fit only the 30th.

    >>> from leasing.pricing.periods import MONTHLY
    >>> cycle_of(Term(date(2015, 2, 28), date(2015, 4, 30), MONTHLY)).day
    30
    """
    anchor_on = term.regular.to_on if term.remainder in INITIAL else term.regular.from_on
    if term.frequency.unit not in MONTHS:
        return Cycle(anchor_on, term.frequency)
    return Cycle(anchor_on, term.frequency, roll_day(term, anchor_on))


def roll_day(term: Term, anchor_on: date) -> int:
    """The day of the month that boundaries aim at."""
    if term.end_of_month and ends_month(anchor_on):
        return 31
    if term.roll_day is not None:
        if in_month(anchor_on, term.roll_day) != anchor_on:
            raise BadSchedule(f"{anchor_on} does not lie on day {term.roll_day} of its month")
        return term.roll_day
    if term.remainder is Stub.NONE:
        day = max(on.day for on in term.regular)
        if all(in_month(on, day) == on for on in term.regular):
            return day
    return anchor_on.day


def boundaries(term: Term) -> list[date]:
    """The unadjusted dates of a schedule, first and last day of the term included. Raises
    `BadSchedule` when days are left over and no stub is allowed.

    Worked example: a year from 30 November by quarters, at month ends because the contract says so.

    >>> from leasing.pricing.periods import QUARTERLY
    >>> term = Term(date(2013, 11, 30), date(2014, 11, 30), QUARTERLY, end_of_month=True)
    >>> [on.strftime("%m-%d") for on in boundaries(term)]
    ['11-30', '02-28', '05-31', '08-31', '11-30']
    """
    dates = without_stub(term, regular_dates(term))
    before = [term.start_on] if term.start_on < dates[0] else []
    after = [term.end_on] if dates[-1] < term.end_on else []
    return before + dates + after


def regular_dates(term: Term) -> list[date]:
    """Both ends of the regular part of a term and the boundaries between them."""
    cycle, (start_on, end_on) = cycle_of(term), term.regular
    between = []
    step = -1 if term.remainder in INITIAL else 1
    for n in count(step, step):
        on = boundary(cycle, n)
        if not start_on < on < end_on:
            break
        between.append(on)
    return sorted({start_on, *between, end_on})


def without_stub(term: Term, dates: list[date]) -> list[date]:
    """Dates with a stub that is too short merged into its neighbour, or refused."""
    initial = term.remainder in INITIAL
    far_end = dates[0] if initial else dates[-1]
    if len(dates) <= 2 or is_boundary(cycle_of(term), far_end):
        return dates
    if term.remainder is Stub.NONE:
        raise BadSchedule(
            f"days are left over from {dates[-2]} to {far_end}, and no stub is allowed"
        )
    stub = Period(*(dates[:2] if initial else dates[-2:]))
    if term.remainder in LONG or (term.remainder in SMART and stub.days < SMART_DAYS):
        return dates[:1] + dates[2:] if initial else dates[:-2] + dates[-1:]
    return dates


def periods(term: Term) -> list[Period]:
    """The periods of a term, stubs included."""
    return [Period(*pair) for pair in pairwise(boundaries(term))]


class End(StrEnum):
    INITIAL = "initial"
    FINAL = "final"


class Instalment(NamedTuple):
    """What falls due for one period: `cycles` times the price of a whole one. `stub` says at which
    end of the term a period lies that is not whole."""

    period: Period
    due_on: date
    cycles: Fraction
    stub: End | None


def instalments(
    cycle: Cycle,
    periods: Iterable[Period],
    mode: Mode,
    *,
    days_to_pay: int = 0,
    convention: Convention = Convention.MODIFIED_FOLLOWING,
    is_business_day: IsBusinessDay = china_or_weekday,
    basis: Basis = Basis.ACTUAL,
) -> list[Instalment]:
    """Instalments for the periods of a term (`cycle_of`, `periods`) or of a line (`periods.walk`).
    Each is due so many days after its period begins (in advance) or is over (in arrears), on a
    business day (C17).

    Worked example: 20 January to 1 April 2025 in arrears; 1 February lies in the Spring Festival
    and 1 March is a Saturday.

    >>> from leasing.pricing.periods import MONTHLY, walk
    >>> monthly = Cycle(date(2025, 1, 1), MONTHLY)
    >>> line = walk(monthly, date(2025, 1, 20), date(2025, 4, 1))
    >>> for row in instalments(monthly, line, Mode.ARREARS):
    ...     print(row.due_on, row.cycles, row.stub)
    2025-02-05 12/31 initial
    2025-03-03 1 None
    2025-04-01 1 None
    """
    return [
        Instalment(
            period,
            adjust(
                (period.from_on if mode is Mode.ADVANCE else period.to_on)
                + timedelta(days=days_to_pay),
                convention,
                is_business_day,
            ),
            cycles(cycle, period, basis),
            stub_end(cycle, period, first=place == 0),
        )
        for place, period in enumerate(periods)
    ]


def stub_end(cycle: Cycle, period: Period, *, first: bool) -> End | None:
    if period == whole(cycle, period.from_on):
        return None
    return End.INITIAL if first and is_boundary(cycle, period.to_on) else End.FINAL
