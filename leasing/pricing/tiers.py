"""Prices by quantity: tiers, packages, blocks, and what is committed to beforehand.

Amounts are exact fractions in the unit of the prices (fen for CNY; unit prices have decimals).
Round them once, at the line, with `kit.money.half_up` (C7).

A tier covers `(previous up_to, up_to]`, so that a bound belongs to the tier below it. Nothing at
all is in the first tier, whose flat fee is owed (as Lago and OpenMeter bill it); less than nothing
is in none. A reading that was put right is charged as the difference of two ratings, see `since`.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from leasing.kit.money import Number


class Tier(NamedTuple):
    """The units up to a bound, with it; the last tier has no bound."""

    up_to: Number | None
    unit_price: Number = 0
    flat_fee: Number = 0


def per_unit(quantity: Number, unit_price: Number) -> Fraction:
    """Every unit at one price.

    >>> from decimal import Decimal
    >>> per_unit(Decimal("1234.5"), Decimal("0.085"))
    Fraction(41973, 400)
    """
    return Fraction(quantity) * Fraction(unit_price)


def graduated(tiers: Sequence[Tier], quantity: Number) -> list[Fraction]:
    """Each unit at the price of its own tier: what every tier that was entered comes to, its flat
    fee in it.

    >>> tiers = [Tier(10, unit_price=10, flat_fee=2), Tier(None, unit_price=5, flat_fee=3)]
    >>> [int(part) for part in graduated(tiers, 12)]
    [102, 13]
    """
    refuse_bad_tiers(tiers)
    parts: list[Fraction] = []
    below = Fraction(0)
    for tier in tiers:
        entered = quantity >= 0 if not parts else quantity > below
        if not entered:
            break
        upper = Fraction(quantity if tier.up_to is None else min(quantity, tier.up_to))
        parts.append((upper - below) * Fraction(tier.unit_price) + Fraction(tier.flat_fee))
        below = upper
    return parts


def volume(tiers: Sequence[Tier], quantity: Number) -> Fraction:
    """All units at the price of the tier in which the whole quantity lies, and its flat fee.

    >>> tiers = [Tier(15, unit_price=10), Tier(None, unit_price=5)]
    >>> int(volume(tiers, 15)), int(volume(tiers, 16))
    (150, 80)
    """
    refuse_bad_tiers(tiers)
    if quantity < 0:
        return Fraction(0)
    tier = next(tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to)
    return Fraction(quantity) * Fraction(tier.unit_price) + Fraction(tier.flat_fee)


def package(quantity: Number, size: Number, price: Number, free_units: Number = 0) -> Fraction:
    """Whole packages: one that was begun costs as much as a full one. Free units come off first.

    >>> int(package(121, size=10, price=100)), int(package(121, 10, 100, free_units=10))
    (1300, 1200)
    """
    if size <= 0:
        raise ValueError("a package holds something")
    paid = max(Fraction(quantity) - Fraction(free_units), Fraction(0))
    return whole_blocks(paid, size) * Fraction(price)


class Blocks(NamedTuple):
    """A tier sold in whole blocks of a size; `max_blocks` of them, or as many as it takes."""

    size: Number
    max_blocks: int | None
    price: Number


def blocks_all_tiers(tiers: Sequence[Blocks], quantity: Number) -> list[Fraction]:
    """Graduated in blocks, as Kill Bill's ALL_TIERS: the quantity fills one tier after the other,
    each rounded up to whole blocks. What the last tier has no room for is charged there as well;
    it was used, after all.

    >>> tiers = [Blocks(100, 10, 1), Blocks(1000, 100, 1)]
    >>> [int(part) for part in blocks_all_tiers(tiers, 5325)]
    [10, 5]
    """
    refuse_bad_blocks(tiers)
    left = max(Fraction(quantity), Fraction(0))
    parts: list[Fraction] = []
    for number, tier in enumerate(tiers, start=1):
        used = whole_blocks(left, tier.size)
        if tier.max_blocks is not None and number < len(tiers):
            used = min(used, tier.max_blocks)
        if used or not parts:
            parts.append(used * Fraction(tier.price))
        left = max(left - used * Fraction(tier.size), Fraction(0))
    return parts


def blocks_top_tier(tiers: Sequence[Blocks], quantity: Number) -> Fraction:
    """Volume in blocks, as Kill Bill's TOP_TIER: the quantity goes through the tiers to find the
    one it reaches, and all of it is sold in blocks of that one.

    >>> tiers = [Blocks(100, 10, 1), Blocks(1000, 100, 1), Blocks(1000, 100, Fraction(1, 2))]
    >>> [int(blocks_top_tier(tiers, quantity)) for quantity in (1000, 101_000, 101_001)]
    [10, 101, 51]
    """
    refuse_bad_blocks(tiers)
    whole = max(Fraction(quantity), Fraction(0))
    left = whole
    for tier in tiers[:-1]:
        if tier.max_blocks is None or whole_blocks(left, tier.size) <= tier.max_blocks:
            return whole_blocks(whole, tier.size) * Fraction(tier.price)
        left -= tier.max_blocks * Fraction(tier.size)
    return whole_blocks(whole, tiers[-1].size) * Fraction(tiers[-1].price)


def since(rate: Callable[[Number], Fraction], quantity: Number, prior: Number) -> Fraction:
    """What is still to be charged when a prior quantity of the same period was charged already:
    the difference of two ratings, so that tiers survive a period that is billed in pieces
    (OpenMeter). Negative when a reading was put right downwards.

    >>> tiers = [Tier(15, unit_price=5), Tier(None, unit_price=1)]
    >>> int(since(lambda quantity: sum(graduated(tiers, quantity), Fraction(0)), 22, prior=12))
    22
    """
    return rate(quantity) - rate(prior)


class Spend(NamedTuple):
    """What usage comes to, and the line that tops it up to the minimum."""

    amount: Fraction
    true_up: Fraction


def commit(
    amount: Number,
    *,
    minimum: Number | None = None,
    maximum: Number | None = None,
    already_billed: Number = 0,
) -> Spend:
    """A period's usage charge under a minimum commitment and a maximum, of which some may have
    been billed before in the same period. The maximum cuts the charge, never below nothing; a
    credit passes. The true-up is a line of its own, for the last bill of the period.

    >>> commit(22, maximum=170, already_billed=160)
    Spend(amount=Fraction(10, 1), true_up=Fraction(0, 1))
    >>> commit(100, minimum=150).true_up
    Fraction(50, 1)
    """
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(f"a minimum of {minimum} is above the maximum of {maximum}")
    charge, billed = Fraction(amount), Fraction(already_billed)
    if maximum is not None:
        charge = min(charge, max(Fraction(maximum) - billed, Fraction(0)))
    short = Fraction(0) if minimum is None else Fraction(minimum) - billed - charge
    return Spend(charge, max(short, Fraction(0)))


def whole_blocks(quantity: Fraction, size: Number) -> int:
    return -int(-quantity // Fraction(size))


def refuse_bad_tiers(tiers: Sequence[Tier]) -> None:
    bounds = [Fraction(tier.up_to) for tier in tiers if tier.up_to is not None]
    if not tiers or tiers[-1].up_to is not None or len(bounds) != len(tiers) - 1:
        raise ValueError("the last tier, and no other, is without a bound")
    if any(low >= high for low, high in zip([Fraction(0), *bounds], bounds, strict=False)):
        raise ValueError("the bounds of tiers rise from above nothing")


def refuse_bad_blocks(tiers: Sequence[Blocks]) -> None:
    if not tiers:
        raise ValueError("there is no tier")
    rooms = [tier.max_blocks for tier in tiers if tier.max_blocks is not None]
    if any(number <= 0 for number in [*rooms, *(tier.size for tier in tiers)]):
        raise ValueError("a block holds something, and a tier has room for one")
