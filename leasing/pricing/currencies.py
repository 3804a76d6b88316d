"""Currencies and their smallest units, EN 16931 line amounts, VAT by day and by line.

Minor units come from ISO 4217's own list, as the `iso4217` package ships it; CLDR's digits (Babel)
say how an amount is commonly shown, which differs (IQD has three in ISO 4217 and none in CLDR).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

from iso4217 import Currency

from leasing.kit.money import Number, half_up, percent_of


def minor_units(currency: str) -> int:
    """How many decimals a currency has. Raises `ValueError` for what ISO 4217 does not list, and
    for what has no minor unit, such as gold (XAU) and "no currency" (XXX).

    >>> [minor_units(code) for code in ("CNY", "JPY", "KWD", "CLF")]
    [2, 0, 3, 4]
    """
    digits = Currency(currency).exponent
    if digits is None:
        raise ValueError(f"{currency} has no minor unit")
    return digits


def to_minor(amount: Number, digits: int) -> int:
    """An amount in whole minor units of a currency with so many decimals, half up (C7).

    >>> to_minor(Decimal("12.345"), 2), to_minor(Decimal("-12.345"), 2), to_minor(Decimal("0.5"), 0)
    (1235, -1235, 1)
    """
    return half_up(Fraction(amount) * 10**digits)


def to_major(amount: int, digits: int) -> Decimal:
    """Minor units as a decimal with all its digits, exactly.

    >>> to_major(-15643589, 2), to_major(1500, 0), to_major(5, 3)
    (Decimal('-156435.89'), Decimal('1500'), Decimal('0.005'))
    """
    sign, units = int(amount < 0), tuple(int(digit) for digit in str(abs(amount)))
    return Decimal((sign, units, -digits))


def line_amount(quantity: Number, unit_price: Number, base_quantity: Number = 1) -> int:
    """What a line comes to in minor units: quantity × price ÷ the quantity that the price is for
    (EN 16931 BT-129, BT-146, BT-149). The quantity may be packs, kilowatt-hours through them, full
    cycles, kilometres or a share of a period. Neither it nor the price, in minor units with
    decimals, is rounded before; a credit mirrors its charge (C7).

    >>> line_amount(100, Decimal("12.12")), line_amount(Decimal("1234.567"), Decimal("8.25"))
    (1212, 10185)
    >>> line_amount(Decimal("1250.5"), Decimal("8500"), base_quantity=1000)
    10629

    Worked example: 10.00 to 20.00 on the 15th of March: 17 of 31 days back and anew.

    >>> line_amount(Fraction(17, 31), -1000), line_amount(Fraction(17, 31), 2000)
    (-548, 1097)
    """
    if base_quantity <= 0:
        raise ValueError("a price is for a quantity above nothing")
    return half_up(Fraction(quantity) * Fraction(unit_price) / Fraction(base_quantity))


def vat_by_line(nets: Sequence[int], percent: Decimal) -> list[int]:
    """The VAT of a rate spread over its lines, as a 数电票 shows it: it adds up to the VAT on their
    sum, and no line is a whole unit away from its own. Largest remainder, ties to the earliest (C8,
    C9); lines may have either sign, and lines of the opposite signs get the opposite.

    >>> vat_by_line([6833, 6833, 5750, 8500], Decimal(20))
    [1367, 1366, 1150, 1700]
    """
    whole = percent_of(sum(nets), percent)
    sign = -1 if sum(nets) < 0 else 1
    exact = [sign * net * Fraction(percent) / 100 for net in nets]
    parts = [share.__floor__() for share in exact]
    left = sign * whole - sum(parts)
    by_remainder = sorted(range(len(nets)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[:left]:
        parts[i] += 1
    return [sign * part for part in parts]


def vat_percent(
    rates: Mapping[str, Sequence[tuple[date, Decimal]]], category: str, on: date
) -> Decimal:
    """The rate of a category that holds on a day, of `(from_on, per cent)` in any order. Raises
    `LookupError` before the first one: a tax that nobody entered is not nought.

    >>> rates = {"lease": [(date(2018, 5, 1), Decimal(16)), (date(2019, 4, 1), Decimal(13))]}
    >>> [int(vat_percent(rates, "lease", date(2019, month, 1))) for month in (3, 4)]
    [16, 13]
    """
    begun = [rate for rate in rates.get(category, ()) if rate[0] <= on]
    if not begun:
        raise LookupError(f"no VAT rate is known for {category} on {on}")
    return max(begun)[1]
