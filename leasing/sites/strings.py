"""Which packs may work side by side: pure rules about the cabinet strings of a site.

A string (电池组串) is a range of slots whose packs hang in parallel on one bus of a given
voltage. Each carries its share only as long as all are alike: makers, capacities and models are
never mixed on one string (tower practice, domain notes 3.1). A slot outside any string is a
string of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, FieldError, Invalid
from schemas.sites import StringPut, StringView

MADE_WITHIN_MONTHS = 12
"""Packs of one string were made within this time of each other. Assumption: no source gives a
number; a year keeps one production run together."""

VOLTAGE_TOLERANCE_PERCENT = 2
"""How far a pack's rated voltage may lie from the string's. Assumption: it covers the rounding
of nameplates (51.2 V is also printed as 51 V) and keeps 15 LFP cells, 48 V, away from a bus that
charges 16."""


class Reason(msgspec.Struct, frozen=True):
    """Why a pack is refused: a code for programs, a sentence for people, in two languages."""

    code: str
    detail: str
    detail_zh: str


class Kind(msgspec.Struct, frozen=True):
    """What must be equal in a string. Maker and specification come from the pack's current
    GB/T 34014 code, and are empty when that is a code nobody can read."""

    chemistry: str
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    maker: str
    specification: str


class Member(Kind, frozen=True):
    """A pack as its mates in a string see it."""

    pack_id: UUID
    made_on: date


class Standing(msgspec.Struct, frozen=True):
    """A pack in the slot of a line."""

    line_id: UUID
    slot: int
    pack: Member
    to_on: date | None = None
    """The first day on which it is gone, if that is known."""


class MixedString(Conflict):
    code = "mixed_string"
    title = "The packs of a string must be alike"


class BadStrings(Invalid):
    code = "bad_strings"
    title = "The strings contradict each other"


class StringsInUse(Conflict):
    code = "strings_in_use"
    title = "The packs that stand at the site do not allow these strings"


class StringNumberTaken(Conflict):
    code = "string_number_taken"
    title = "Two strings of a site have one number"


class StringSlotTaken(Conflict):
    code = "string_slot_taken"
    title = "Two strings of a site share a slot"


CONSTRAINTS = {
    "site_string_number_once": StringNumberTaken,
    "site_string_slot_once": StringSlotTaken,
}


# Packs among each other


def made_within(one: date, other: date, months: int) -> bool:
    """Whether two days lie within so many calendar months of each other, the last day included.

    >>> made_within(date(2020, 1, 31), date(2021, 1, 31), 12)
    True
    >>> made_within(date(2021, 2, 1), date(2020, 1, 31), 12)
    False
    """
    earlier, later = sorted((one, other))
    return (later.year * 12 + later.month, later.day) <= (
        earlier.year * 12 + earlier.month + months,
        earlier.day,
    )


TRAITS = (
    ("mixed_chemistry", "chemistry", "chemistry", "电池类型"),
    ("mixed_cells", "cells_in_series", "cells in series", "串联数"),
    ("mixed_voltage", "rated_voltage_mv", "rated mV", "额定电压(mV)"),
    ("mixed_capacity", "rated_capacity_mah", "rated mAh", "额定容量(mAh)"),
    ("mixed_maker", "maker", "maker", "厂商代码"),
    ("mixed_specification", "specification", "specification", "规格代码"),
)


def kind_differences(pack: Kind, mates: Sequence[Kind]) -> list[Reason]:
    """In which traits a pack differs from any of its mates."""
    found = []
    for code, field, name, name_zh in TRAITS:
        mine = getattr(pack, field)
        theirs = {getattr(mate, field) for mate in mates}
        # What nobody can read is like nothing, not even like another that nobody can read.
        others = sorted(theirs if mine == "" else theirs - {mine})
        if others:
            shown = ", ".join(str(one) or "unknown" for one in others)
            shown_zh = "、".join(str(one) or "未知" for one in others)
            english = f"{name} {mine or 'unknown'}; in the string stands {shown}"
            chinese = f"{name_zh} {mine or '未知'}；串内为 {shown_zh}"
            found.append(Reason(code, english, chinese))
    return found


def age_differences(pack: Member, mates: Sequence[Member], months: int) -> list[Reason]:
    far = sorted(m.made_on for m in mates if not made_within(pack.made_on, m.made_on, months))
    if not far:
        return []
    shown = str(far[0]) if far[0] == far[-1] else f"{far[0]} to {far[-1]}"
    return [
        Reason(
            "mixed_age",
            f"made on {pack.made_on}, its mates on {shown}: more than {months} months apart",
            f"生产日期 {pack.made_on}，串内为 {shown}，相差超过 {months} 个月",
        )
    ]


def differences(
    pack: Member, mates: Sequence[Member], months: int = MADE_WITHIN_MONTHS
) -> list[Reason]:
    """Every reason why a pack may not stand with the others; empty when it may."""
    return kind_differences(pack, mates) + age_differences(pack, mates, months)


def voltage_misfit(pack: Kind, system_voltage_mv: int | None) -> list[Reason]:
    """Why a pack may not hang on a bus; without a string nothing says which voltage is right."""
    if system_voltage_mv is None:
        return []
    apart = abs(pack.rated_voltage_mv - system_voltage_mv)
    if 100 * apart <= VOLTAGE_TOLERANCE_PERCENT * system_voltage_mv:
        return []
    rated, wanted = pack.rated_voltage_mv / 1000, system_voltage_mv / 1000
    return [
        Reason(
            "voltage_mismatch",
            f"rated {rated:g} V, the string is {wanted:g} V; "
            f"{VOLTAGE_TOLERANCE_PERCENT} % apart are allowed",
            f"额定电压 {rated:g} V，组串为 {wanted:g} V，允许偏差 {VOLTAGE_TOLERANCE_PERCENT} %",
        )
    ]


def refuse_mixed(
    pack: Member, mates: Sequence[Member], system_voltage_mv: int | None = None
) -> None:
    """Raise `MixedString`, with every reason, unless a pack may join the others of a string."""
    reasons = voltage_misfit(pack, system_voltage_mv) + differences(pack, mates)
    if reasons:
        raise MixedString("; ".join(reason.detail for reason in reasons), reasons=reasons)


# Strings among each other


def string_of(strings: Iterable[StringView], slot: int) -> StringView | None:
    """The string a slot belongs to; None when it is a string of its own."""
    return next((one for one in strings if one.first_slot <= slot <= one.last_slot), None)


def members(string: StringView, standing: Iterable[Standing]) -> list[Standing]:
    """The packs that stand in a string."""
    return [one for one in standing if string.first_slot <= one.slot <= string.last_slot]


def refuse_contradictions(strings: Sequence[StringPut]) -> None:
    """Raise `BadStrings` naming every number given twice, range turned round and slot shared."""
    faults = []
    for index, one in enumerate(strings):
        place = f"/strings/{index}"
        if one.last_slot < one.first_slot:
            message = f"{one.last_slot} lies before the first slot, {one.first_slot}"
            faults.append(FieldError(f"{place}/last_slot", "last_before_first", message))
        for before, other in enumerate(strings[:index]):
            if other.number == one.number:
                message = f"string {before} of the list has number {one.number} too"
                faults.append(FieldError(f"{place}/number", "number_twice", message))
            first = max(one.first_slot, other.first_slot)
            last = min(one.last_slot, other.last_slot)
            if first <= last:
                message = f"slots {first} to {last} belong to string {other.number} too"
                faults.append(FieldError(f"{place}/first_slot", "slots_shared", message))
    if faults:
        raise BadStrings(faults[0].message, fields=faults)


def refuse_unless_packs_allow(
    before: Sequence[StringView], after: Sequence[StringView], standing: Sequence[Standing]
) -> None:
    """Raise `StringsInUse` with everything that the packs at the site say against new strings:
    a slot in use that would be in no string any more, a string that would be mixed, a pack on a
    bus of another voltage."""
    faults = [
        FieldError("/strings", "slot_in_use", f"slot {one.slot} holds a pack and would be in none")
        for one in standing
        if string_of(before, one.slot) and not string_of(after, one.slot)
    ]
    for index, string in enumerate(after):
        faults += [
            FieldError(f"/strings/{index}", reason.code, f"slot {one.slot}: {reason.detail}")
            for one, reason in misfits(string, members(string, standing))
        ]
    if faults:
        raise StringsInUse(faults[0].message, fields=faults)


def misfits(string: StringView, packs: Sequence[Standing]) -> Iterator[tuple[Standing, Reason]]:
    """What is wrong with the packs of a string. Their kind is held against that of the first,
    their age against the oldest: if none differs from these, no two differ."""
    if not packs:
        return
    first = packs[0]
    oldest = min((one.pack for one in packs), key=lambda pack: pack.made_on)
    for one in packs:
        reasons = voltage_misfit(one.pack, string.system_voltage_mv)
        if one is not first:
            reasons += kind_differences(one.pack, [first.pack])
        reasons += age_differences(one.pack, [oldest], MADE_WITHIN_MONTHS)
        for reason in reasons:
            yield one, reason
