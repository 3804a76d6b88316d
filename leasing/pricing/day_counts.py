"""Day counts: what part of a year lies between two dates, for interest (C19).

The rules are those of the ISDA 2006 Definitions, section 4.16, and 30U/360 that of American bonds;
the names are OpenGamma Strata's. A year fraction is exact, and rounded where money is made of it.
What the conventions disagree about is the 31st and the end of February.
"""

from calendar import isleap, monthrange
from datetime import date
from enum import StrEnum
from fractions import Fraction


class DayCount(StrEnum):
    ACT_360 = "ACT/360"
    ACT_365F = "ACT/365F"
    ACT_ACT_ISDA = "ACT/ACT ISDA"
    THIRTY_360_ISDA = "30/360 ISDA"
    THIRTY_E_360 = "30E/360"
    THIRTY_E_360_ISDA = "30E/360 ISDA"
    THIRTY_U_360_EOM = "30U/360 EOM"


def year_fraction(
    convention: DayCount, from_on: date, to_on: date, *, to_maturity: bool = False
) -> Fraction:
    """The years from one date to another. `to_maturity` says that the second is the day a debt
    ends, which only 30E/360 ISDA asks.

    >>> leap_day, a_year_on = date(2024, 2, 29), date(2025, 2, 28)
    >>> [str(year_fraction(convention, leap_day, a_year_on)) for convention in DayCount]
    ['73/72', '1', '133283/133590', '359/360', '359/360', '1', '1']
    """
    if to_on < from_on:
        raise ValueError(f"{to_on} is before {from_on}")
    match convention:
        case DayCount.ACT_360:
            return Fraction((to_on - from_on).days, 360)
        case DayCount.ACT_365F:
            return Fraction((to_on - from_on).days, 365)
        case DayCount.ACT_ACT_ISDA:
            return years(to_on) - years(from_on)
        case DayCount.THIRTY_360_ISDA:
            return Fraction(bond_days(from_on, to_on), 360)
        case DayCount.THIRTY_E_360:
            return Fraction(european_days(from_on, to_on), 360)
        case DayCount.THIRTY_E_360_ISDA:
            return Fraction(european_isda_days(from_on, to_on, to_maturity), 360)
        case DayCount.THIRTY_U_360_EOM:
            return Fraction(american_days(from_on, to_on), 360)


def years(on: date) -> Fraction:
    """Years since the first day of year 0, a day of a leap year being 1/366: the difference of two
    is Actual/Actual ISDA, split at 1 January."""
    return on.year + Fraction((on - date(on.year, 1, 1)).days, 366 if isleap(on.year) else 365)


def bond_days(from_on: date, to_on: date) -> int:
    """30/360, bond basis: a 31st is the 30th, at the end only when the start is one. The end of
    February stays what it is.

    >>> bond_days(date(2012, 2, 29), date(2012, 3, 28))
    29
    >>> bond_days(date(2012, 1, 30), date(2012, 3, 31))
    60
    """
    first = min(from_on.day, 30)
    last = 30 if to_on.day == 31 and first == 30 else to_on.day
    return thirty_day_months(from_on, first, to_on, last)


def european_days(from_on: date, to_on: date) -> int:
    """30E/360, Eurobond basis: a 31st is the 30th at both ends. The only rule here that looks at
    each date by itself and so adds up over consecutive stretches.

    >>> european_days(date(2026, 1, 15), date(2026, 1, 31))
    15
    >>> european_days(date(2026, 1, 31), date(2026, 2, 1))
    1
    """
    return thirty_day_months(from_on, min(from_on.day, 30), to_on, min(to_on.day, 30))


def european_isda_days(from_on: date, to_on: date, to_maturity: bool) -> int:
    """30E/360 ISDA: the last day of any month is the 30th, but for a debt that ends in February.

    >>> european_isda_days(date(2011, 8, 31), date(2012, 2, 29), to_maturity=True)
    179
    """
    first = 30 if ends_month(from_on) else from_on.day
    stays = to_maturity and to_on.month == 2
    last = 30 if ends_month(to_on) and not stays else to_on.day
    return thirty_day_months(from_on, first, to_on, last)


def american_days(from_on: date, to_on: date) -> int:
    """30U/360 with the end-of-month rule: a start on the last day of February is the 30th, and then
    so is an end on one; the rest is bond basis.

    >>> american_days(date(2012, 2, 29), date(2013, 2, 28))
    360
    >>> american_days(date(2011, 8, 31), date(2012, 2, 29))
    179
    """
    starts_at_end = ends_february(from_on)
    first = 30 if starts_at_end else min(from_on.day, 30)
    last = to_on.day
    if (starts_at_end and ends_february(to_on)) or (last == 31 and first == 30):
        last = 30
    return thirty_day_months(from_on, first, to_on, last)


def thirty_day_months(from_on: date, first: int, to_on: date, last: int) -> int:
    months = (to_on.year - from_on.year) * 12 + to_on.month - from_on.month
    return 30 * months + last - first


def ends_month(on: date) -> bool:
    return on.day == monthrange(on.year, on.month)[1]


def ends_february(on: date) -> bool:
    return on.month == 2 and ends_month(on)
