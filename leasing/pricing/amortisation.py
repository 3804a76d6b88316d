"""Leases over time: present values, instalments, effective interest, straight-line income.

For the lessor's books (C22; IFRS 16.67–97, CAS 21 on lessors). Payments, principals and rows are
whole minor units (fen for CNY); present values are exact fractions, rounded once by whoever shows
them.

A rate is that of one period, a fraction: `[rate] * 36` for three years by the month, or one rate
for each period when their days differ. Payments are due at the end of each period, in arrears, or
at its beginning, in advance; a residual value (unguaranteed, or the price of a purchase option)
comes in at the end of the last period. A row is a period: in advance it pays first and then bears
interest, so that its balance is that at the end of the period, as in the tables of IFRS 16.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Literal, NamedTuple

from leasing.kit.money import Number, allocate, half_up

Timing = Literal["arrears", "advance"]
Rounding = Callable[[Fraction], int]

RATE_DECIMALS = 12
"""`implied_rate` is exact to so many decimals of the rate of a period, rounded down."""


class Row(NamedTuple):
    """One period of a plan: principal is what the payment leaves after interest; balance is what is
    owed, or the lessor's net investment, at its end."""

    payment: int
    interest: int
    principal: int
    balance: int


def periodic_rate(annual_percent: Number, periods_a_year: int = 1) -> Fraction:
    """The rate of a period from a nominal yearly one.

    >>> periodic_rate(Decimal("7.2"), 12)
    Fraction(3, 500)
    """
    return Fraction(annual_percent) / 100 / periods_a_year


def present_value(
    payments: Sequence[Number],
    rates: Sequence[Fraction],
    timing: Timing = "arrears",
    residual: Number = 0,
) -> Fraction:
    """What payments, one a period, and a residual value are worth at the start: the lessor's net
    investment in a finance lease (IFRS 16.67–70) when the rate is the implicit one. Of payments of
    one each it is the annuity factor.

    >>> half_up(present_value([500_000] * 9, [Fraction(5, 100)] * 9))
    3553911
    """
    refuse_bad_plan(payments, rates)
    value = Fraction(residual)
    for payment, rate in zip(reversed(payments), reversed(rates), strict=True):
        if timing == "arrears":
            value = (value + Fraction(payment)) / (1 + rate)
        else:
            value = value / (1 + rate) + Fraction(payment)
    return value


def balance_after(
    payments: Sequence[Number],
    rates: Sequence[Fraction],
    periods: int,
    timing: Timing = "arrears",
    residual: Number = 0,
) -> Fraction:
    """What is owed after so many periods, with their interest, before a payment of that very day:
    what an index adjustment remeasures (IFRS 16.42, example 14).

    >>> half_up(balance_after([5_000] * 9, [Fraction(5, 100)] * 9, 2))
    33932
    """
    if not 0 <= periods <= len(rates):
        raise ValueError(f"the plan has {len(rates)} periods, not {periods}")
    value = present_value(payments, rates, timing, residual)
    for period in range(periods):
        due = period if timing == "advance" else period - 1
        paid = Fraction(payments[due]) if due >= 0 else Fraction(0)
        value = (value - paid) * (1 + rates[period])
    return value


def level_payment(
    principal: Number,
    rates: Sequence[Fraction],
    timing: Timing = "arrears",
    residual: Number = 0,
) -> Fraction:
    """The equal payment that, with a residual value, is worth a principal at the start, exactly.

    >>> half_up(level_payment(10_000, [Fraction(1, 100)] * 6))
    1725
    """
    ones = [1] * len(rates)
    at_start = present_value([0] * len(rates), rates, timing, residual)
    return (Fraction(principal) - at_start) / present_value(ones, rates, timing)


def annuity(
    principal: int,
    rates: Sequence[Fraction],
    timing: Timing = "arrears",
    residual: int = 0,
    *,
    rounding: Rounding = half_up,
    relevel: bool = False,
) -> list[Row]:
    """Instalments of one amount, rounded; the last payment takes what rounding left (C9), and the
    plan ends at its residual value. With `relevel` an amount that makes the last payment stand out
    less is taken instead, as Apache Fineract does.

    >>> for row in annuity(10_000, [Fraction(1, 100)] * 3):
    ...     print(*row)
    3400 100 3300 6700
    3400 67 3333 3367
    3401 34 3367 0
    """
    level = rounding(level_payment(principal, rates, timing, residual))
    rows = instalments(principal, level, rates, timing, residual, rounding)
    gap = rows[-1].payment - level
    if relevel:
        other = level + half_up(Fraction(gap, len(rates)))
        again = instalments(principal, other, rates, timing, residual, rounding)
        if abs(again[-1].payment - other) < abs(gap):
            return again
    return rows


def instalments(
    principal: int,
    level: int,
    rates: Sequence[Fraction],
    timing: Timing,
    residual: int,
    rounding: Rounding,
) -> list[Row]:
    """Rows of an instalment that is given; the last one pays what is left down to the residual."""
    rows = []
    balance = principal
    for period, rate in enumerate(rates):
        last = period == len(rates) - 1
        if timing == "arrears":
            interest = rounding(balance * rate)
            payment = balance + interest - residual if last else level
        else:
            payment = rounding(balance - residual / (1 + rate)) if last else level
            left = balance - payment
            interest = residual - left if last else rounding(left * rate)
        balance += interest - payment
        rows.append(Row(payment, interest, payment - interest, balance))
    return rows


def effective_interest(
    principal: int,
    payments: Sequence[int],
    rates: Sequence[Fraction],
    timing: Timing = "arrears",
    residual: int = 0,
    *,
    rounding: Rounding = half_up,
) -> list[Row]:
    """Interest income of a finance lease whose payments are agreed (IFRS 16.75, CAS 21): a period's
    interest is its opening balance, without a payment in advance, × rate, rounded. The interest of
    the last one takes what rounding left, so that the net investment ends at the residual value and
    all interest is payments + residual − principal. How far it is from its own tells how well the
    rate fits.

    >>> seven = Fraction(Decimal("7.82")) / 100
    >>> rows = effective_interest(710_000, [150_000] * 6, [seven] * 6, residual=20_000)
    >>> [row.interest for row in rows], rows[-1].balance
    ([55522, 48134, 40168, 31579, 22319, 12278], 20000)
    """
    refuse_bad_plan(payments, rates)
    rows = []
    balance = principal
    for period, (payment, rate) in enumerate(zip(payments, rates, strict=True)):
        bearing = balance if timing == "arrears" else balance - payment
        interest = rounding(bearing * rate)
        if period == len(payments) - 1:
            interest = residual + payment - balance
        balance += interest - payment
        rows.append(Row(payment, interest, payment - interest, balance))
    return rows


def implied_rate(
    principal: int,
    payments: Sequence[int],
    timing: Timing = "arrears",
    residual: int = 0,
    weights: Sequence[Number] | None = None,
) -> Decimal:
    """The rate of a period at which payments and a residual value are worth a principal: the rate
    implicit in a lease, for a principal of fair value and initial direct costs (IFRS 16 App. A).
    Found by halving, in whole numbers: the largest rate of `RATE_DECIMALS` decimals at which the
    plan does not end above its residual. A period that is not whole bears the rate times its
    weight. Raises `ValueError` when less comes back than was given, or there is none up to
    1,000 % a period.

    >>> implied_rate(710_000, [150_000] * 6, residual=20_000)
    Decimal('0.078184031476')
    """
    if principal <= 0 or not payments or min(*payments, residual) < 0:
        raise ValueError("a lease gives something and gets payments")
    shares = [Fraction(weight) for weight in weights or [1] * len(payments)]
    if len(shares) != len(payments):
        raise ValueError("there is one weight for each payment")
    unit = 10**RATE_DECIMALS

    def fits(rate: int) -> bool:
        balance, scale = principal, 1  # the balance is so many of 1 ÷ scale
        for payment, share in zip(payments, shares, strict=True):
            if timing == "advance":
                balance -= payment * scale
            balance *= unit * share.denominator + rate * share.numerator
            scale *= unit * share.denominator
            if timing == "arrears":
                balance -= payment * scale
        return balance <= residual * scale

    low, high = 0, 10 * unit
    if not fits(low) or fits(high):
        raise ValueError("no rate of interest makes these payments worth that")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return Decimal(low).scaleb(-RATE_DECIMALS)


# Income by the calendar


class Income(NamedTuple):
    """A period of an operating lease: what is billed, what is income, and what was earned and not
    billed so far (below nothing: billed and not earned)."""

    billed: int
    income: int
    accrued: int


def straight_line(billed: Sequence[int], weights: Sequence[Number] | None = None) -> list[Income]:
    """Income of an operating lease, the same in every period whatever is billed when, rent-free
    months and steps among it (IFRS 16.81, CAS 21). Periods that are not whole weigh less: by their
    `proration.cycles`. It adds up to what is billed, by the largest remainder (C9).

    >>> [row.income for row in straight_line([0, 0, 10_000, 10_000, 11_000])]
    [6200, 6200, 6200, 6200, 6200]
    >>> straight_line([0, 100, 100])[0]
    Income(billed=0, income=67, accrued=67)
    """
    shares = [1] * len(billed) if weights is None else weights
    if len(shares) != len(billed):
        raise ValueError("there is one weight for each period")
    exact = [Fraction(share) for share in shares]
    unit = lcm(*(share.denominator for share in exact))
    rows: list[Income] = []
    accrued = 0
    incomes = allocate(sum(billed), [int(share * unit) for share in exact])
    for bill, income in zip(billed, incomes, strict=True):
        accrued += income - bill
        rows.append(Income(bill, income, accrued))
    return rows


def spread(
    total: int,
    weights: Sequence[Number],
    plug: Literal["first", "last"] = "last",
    rounding: Rounding = half_up,
) -> list[int]:
    """An amount over periods by weight, each share rounded for itself; the first or the last takes
    the rest, so that the parts add up. (`kit.money.allocate` spreads the rest instead.)

    >>> spread(10_000, [1, 1, 1]), spread(10_000, [1, 1, 1], plug="first")
    ([3333, 3333, 3334], [3334, 3333, 3333])
    >>> spread(225_806, [Fraction(24, 31), 1, Fraction(15, 31)], plug="first")
    [77419, 100000, 48387]
    """
    whole = sum((Fraction(weight) for weight in weights), Fraction(0))
    if whole <= 0 or any(weight < 0 for weight in weights):
        raise ValueError("weights are not below nothing, nor all nothing")
    parts = [rounding(total * Fraction(weight) / whole) for weight in weights]
    at = 0 if plug == "first" else -1
    parts[at] += total - sum(parts)
    return parts


def refuse_bad_plan(payments: Sequence[Number], rates: Sequence[Fraction]) -> None:
    if not payments or len(payments) != len(rates):
        raise ValueError("a plan has one payment and one rate for each period")
    if any(rate <= -1 for rate in rates):
        raise ValueError("a rate of -100 % or below leaves nothing to discount")
