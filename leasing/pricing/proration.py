"""What part of a period some days are, so that its price × days of the part ÷ days of the whole
is what they cost, rounded once (`currencies.line_amount`).

The whole is the billing period around the part, however short the line is in it, and stays so after
an amendment (C4). The start day counts, the end day does not (C5). A share is kept as two numbers
of days, so that a line of an invoice can print them.
"""

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from leasing.kit.money import half_up
from leasing.kit.time import month_of, whole_months
from leasing.pricing.day_counts import european_days
from leasing.pricing.periods import Cycle, Period, walk, whole


class Basis(StrEnum):
    """How days are counted in a broken period. A whole period is always its whole price."""

    ACTUAL = "actual"
    """Days as they are, over those of the period: the default (C4)."""
    FIXED_30 = "fixed_30"
    """Days as they are, over 30 for each month of the period (actual/30)."""
    MONTHFIXED_30 = "monthfixed_30"
    """The same, but days are counted as if the month in which they begin had 30 days."""
    THIRTY_360 = "30/360"
    """Every month has 30 days (30E/360): the 30th and the 31st are one day, the last of February is
    two or three. Of the 30/360 rules only under this one do the parts of a period add up to it."""


class Share(NamedTuple):
    """`days` of the `of_days` of a period."""

    days: int
    of_days: int

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.days, self.of_days)


def share(used: Period, of: Period, basis: Basis = Basis.ACTUAL) -> Share:
    """The share of a period that some of its days are.

    Worked example: from 23 May on, of the month from 15 May to 15 June.

    >>> from datetime import date
    >>> of = Period(date(2023, 5, 15), date(2023, 6, 15))
    >>> used = Period(date(2023, 5, 23), date(2023, 6, 15))
    >>> [tuple(share(used, of, basis)) for basis in Basis]
    [(23, 31), (23, 30), (22, 30), (22, 30)]
    """
    if not of.from_on <= used.from_on <= used.to_on <= of.to_on or not of.days:
        raise ValueError(f"{used} is not a part of {of}")
    if basis is Basis.ACTUAL or used == of:
        return Share(used.days, of.days)
    of_days = european_days(*of) if basis is Basis.THIRTY_360 else 30 * whole_months(*of)
    if not of_days:
        raise ValueError(f"{of} is too short to count its days by {basis}")
    # Capped, because a year but for a day has more than 360 days: a part costs no more than all.
    return Share(min(thirties(used, basis), of_days), of_days)


def thirties(used: Period, basis: Basis) -> int:
    """The days of a broken period where months have 30."""
    if basis is Basis.THIRTY_360:
        return european_days(*used)
    first, following = month_of(used.from_on)
    if basis is Basis.FIXED_30 or used.to_on < following:
        return used.days
    return used.days + 30 - (following - first).days


def cycles(cycle: Cycle, period: Period, basis: Basis = Basis.ACTUAL) -> Fraction:
    """How many whole periods some days come to: each day over the period it lies in. A stub is less
    than one, a long stub more.

    Worked example: 15 January to 10 April, by the month: 17/31 + 1 + 1 + 10/30.

    >>> from datetime import date
    >>> from leasing.pricing.periods import MONTHLY
    >>> monthly = Cycle(date(2025, 1, 1), MONTHLY)
    >>> rounded(cycles(monthly, Period(date(2025, 1, 15), date(2025, 4, 11))), 3)
    Decimal('2.882')
    """
    parts = (share(part, whole(cycle, part.from_on), basis) for part in walk(cycle, *period))
    return sum((part.fraction for part in parts), Fraction(0))


def rounded(value: Fraction, places: int) -> Decimal:
    """An exact number with so many decimals, half away from zero.

    >>> rounded(Fraction(21, 29), 9)
    Decimal('0.724137931')
    """
    return Decimal(f"{half_up(value * 10**places)}e-{places}")
