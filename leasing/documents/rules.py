"""From billed lines to a document: VAT line by line, the annex in its order, the canonical form."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from leasing.documents.model import (
    City,
    DocumentDoesNotTie,
    InvoiceDocument,
    Line,
    Named,
    Operator,
    Place,
    Province,
    Site,
    Sums,
    Vat,
)
from schemas.contracts import VatMode

T = TypeVar("T")
Placed = tuple[Place, Line]

# --- VAT line by line -------------------------------------------------------------------------


def spread(whole: int, exact: Sequence[Fraction]) -> list[int]:
    """Whole minor units near exact shares that add up to a whole. Largest remainder, ties to the
    earliest (C8, C9). For lines without VAT in them this is `pricing.currencies.vat_by_line`, but
    it ties with what was booked, whatever that is: a credit note has the VAT of its invoice.

    >>> spread(5583, [Fraction(net, 5) for net in (6833, 6833, 5750, 8500)])
    [1367, 1366, 1150, 1700]
    """
    if not exact:
        return []
    # Of the whole, or where that is nothing of what it is the sum of: a credit note mirrors all.
    leading = next((share for share in (whole, sum(exact), *exact) if share), 0)
    sign = -1 if leading < 0 else 1
    shares = [sign * share for share in exact]
    parts = [share.__floor__() for share in shares]
    each, left = divmod(sign * whole - sum(parts), len(parts))
    parts = [part + each for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i], i))
    for i in by_remainder[:left]:
        parts[i] += 1
    return [sign * part for part in parts]


def with_vat(lines: Sequence[Placed], booked: Sequence[Vat]) -> list[Placed]:
    """Lines with their VAT and net amounts, which add up to what was booked for each rate.

    Lines with VAT in them and lines without are taxed apart: what the first have in VAT is what is
    missing to the booked net amount."""
    rates = {one.percent: one for one in booked}
    made: list[Placed] = []
    for percent, group in alike(lines, lambda one: one[1].vat_percent):
        rate = rates.get(percent, Vat(percent, 0, 0))
        within = [one for one in group if one[1].vat_mode is VatMode.INCLUSIVE]
        beside = [one for one in group if one[1].vat_mode is VatMode.EXCLUSIVE]
        vat_within = sum(line.amount for _, line in group) - rate.net_amount if within else 0
        part = Fraction(percent) / (100 + Fraction(percent))
        shares = spread(vat_within, [line.amount * part for _, line in within])
        made += [
            (place, taxed(line, line.amount - vat, vat))
            for (place, line), vat in zip(within, shares, strict=True)
        ]
        part = Fraction(percent) / 100
        shares = spread(rate.vat_amount - vat_within, [line.amount * part for _, line in beside])
        made += [
            (place, taxed(line, line.amount, vat))
            for (place, line), vat in zip(beside, shares, strict=True)
        ]
    return made


def taxed(line: Line, net: int, vat: int) -> Line:
    return msgspec.structs.replace(line, net_amount=net, vat_amount=vat)


def alike(rows: Iterable[T], key: Callable[[T], Any]) -> list[tuple[Any, list[T]]]:
    """Rows by a key, in order of the key and among themselves as they were."""
    return [(one, list(group)) for one, group in groupby(sorted(rows, key=key), key=key)]


# --- The annex ----------------------------------------------------------------------------------


def ordered(lines: Iterable[Placed]) -> list[Placed]:
    """Lines in the order of the annex: by operator, province, city, site, slot. What differs in
    nothing that is printed may stand in any order, so ids are not needed to decide one."""
    return sorted(lines, key=sort_key)


def sort_key(placed: Placed) -> tuple[Any, ...]:
    place, line = placed
    return nulls_last(place), nulls_last(line)


def nulls_last(struct: msgspec.Struct) -> tuple[Any, ...]:
    """A struct's values as something that can be compared with another's."""
    return tuple((value is None, 0 if value is None else value) for value in values(struct))


def values(struct: msgspec.Struct) -> tuple[Any, ...]:
    return tuple(getattr(struct, name) for name in struct.__struct_fields__)


# What a level of the annex is told by: its own fields, by those of a place.
OPERATOR = {"name": "operator", "name_en": "operator_en"}
PROVINCE = {"adcode": "province_adcode", "name": "province", "name_en": "province_en"}
CITY = {"adcode": "adcode", "name": "city", "name_en": "city_en"}
SITE = {"code": "site_code", "name": "site_name"}


def annex(lines: Sequence[Placed]) -> list[Operator]:
    """Lines in order as a tree with its sums: operator, province, city, site."""
    return [
        Operator(**name, sums=sums_of(found), provinces=provinces(found))
        for name, found in branches(lines, OPERATOR)
    ]


def provinces(lines: Sequence[Placed]) -> list[Province]:
    return [
        Province(**name, sums=sums_of(found), cities=cities(found))
        for name, found in branches(lines, PROVINCE)
    ]


def cities(lines: Sequence[Placed]) -> list[City]:
    return [
        City(**name, sums=sums_of(found), sites=sites(found))
        for name, found in branches(lines, CITY)
    ]


def sites(lines: Sequence[Placed]) -> list[Site]:
    return [
        Site(**name, sums=sums_of(found), lines=[line for _, line in found])
        for name, found in branches(lines, SITE)
    ]


def branches(
    lines: Sequence[Placed], names: dict[str, str]
) -> Iterator[tuple[dict[str, Any], list[Placed]]]:
    """Lines that follow each other in one branch, with what the branch is called."""

    def name(placed: Placed) -> tuple[Any, ...]:
        return tuple(getattr(placed[0], one) for one in names.values())

    for one, group in groupby(lines, key=name):
        yield dict(zip(names, one, strict=True)), list(group)


def sums_of(lines: Iterable[Placed]) -> Sums:
    net = vat = 0
    for _, line in lines:
        net += line.net_amount
        vat += line.vat_amount
    return Sums(net, vat, net + vat)


def lines_of(document: InvoiceDocument) -> Iterable[tuple[Operator, Province, City, Site, Line]]:
    """Every line of the annex with where it belongs, in order."""
    for operator in document.operators:
        for province in operator.provinces:
            for city in province.cities:
                for site in city.sites:
                    for line in site.lines:
                        yield operator, province, city, site, line


def refuse_untied(document: InvoiceDocument) -> None:
    """Raise `DocumentDoesNotTie` unless lines, VAT and totals say the same: each rate's lines its
    net amount and VAT, the rates the totals (BR-CO-10, 13, 14, 15)."""
    by_rate: dict[Decimal, list[int]] = {one.percent: [0, 0] for one in document.vat}
    for *_, line in lines_of(document):
        found = by_rate.setdefault(line.vat_percent, [0, 0])
        found[0] += line.net_amount
        found[1] += line.vat_amount
    booked = {one.percent: [one.net_amount, one.vat_amount] for one in document.vat}
    sums = document.sums
    whole = [sum(rate[0] for rate in booked.values()), sum(rate[1] for rate in booked.values())]
    if (
        by_rate != booked
        or whole != [sums.net_amount, sums.vat_amount]
        or sum(whole) != sums.total_amount
    ):
        raise DocumentDoesNotTie(f"{document.number}: lines {by_rate}, booked {booked}, {sums}")


# --- Its name -----------------------------------------------------------------------------------


def named(document: InvoiceDocument) -> Named:
    """The document with its canonical JSON: fields in the order in which the structs have them,
    no blanks, UTF-8."""
    content = msgspec.json.encode(document)
    return Named(document, content, hashlib.sha256(content).hexdigest())


def read(content: bytes) -> Named:
    """A document out of its canonical JSON."""
    document = msgspec.json.decode(content, type=InvoiceDocument)
    return Named(document, content, hashlib.sha256(content).hexdigest())


def plain(number: Decimal | None) -> Decimal | None:
    """The same number without the zeros at its end, so that 1.50 and 1.5 make one document.

    >>> plain(Decimal("1.500")), plain(Decimal("100")), plain(Decimal("0E-10"))
    (Decimal('1.5'), Decimal('100'), Decimal('0'))
    """
    if number is None:
        return None
    normal = number.normalize()
    return normal.quantize(Decimal(1)) if normal == normal.to_integral_value() else normal
