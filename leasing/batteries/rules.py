"""What an identifier says, and what cannot be true of a pack or of a test of one."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from leasing.batteries import codes, gbt45565
from leasing.batteries.codes import BatteryCodeError, Form
from leasing.kit.errors import FieldError
from schemas.packs import CapacityTestCreate, CodeScheme, PartKind

SCHEMES = {Form.NEW: CodeScheme.GBT34014, Form.CASCADE: CodeScheme.GBT34014_CASCADE}

MOST_CAPACITY_PERCENT = 130
"""Of the rated capacity. New cells have some 5 % more than their rating; beyond this a unit or a
digit is wrong."""

MAKER_ENERGY_TIMES = 2
"""A maker's energy differs from voltage times capacity by a few per cent, never by this factor."""

MEAN_VOLTAGE_PERCENT = (50, 150)
"""Mean voltage of a discharge (energy by charge), of the rated one."""


class Reading(msgspec.Struct, frozen=True):
    """A text as an identifier. `level` is what a standard's code says that it is on."""

    scheme: CodeScheme
    value: str
    assigned_by: str | None = None
    level: str | None = None
    is_second_life: bool = False
    faults: tuple[FieldError, ...] = ()
    suggestions: tuple[str, ...] = ()


def read(text: str, wanted: CodeScheme | None, assigned_by: str | None, today: date) -> Reading:
    """Read a text as an identifier of the scheme wanted, or of whichever it fits. What fits none
    is kept as unrecognised: refusing it would lose the battery, not the mistake."""
    if wanted in (None, CodeScheme.GBT34014, CodeScheme.GBT34014_CASCADE):
        found = read_gbt34014(text, assigned_by, today)
        is_code = found.level is not None
        # Swapped halves are a mistake of the scanner, not a code that nobody can read.
        if found.scheme is wanted or (wanted is None and (is_code or found.suggestions)):
            return found
        if wanted is not None and is_code:
            return refused(found, "scheme", f"this is a code of scheme {found.scheme}")
        if wanted is not None:
            return msgspec.structs.replace(found, scheme=wanted)
    if wanted in (None, CodeScheme.GBT45565):
        found = read_gbt45565(text, assigned_by)
        if wanted is not None or not found.faults:
            return found
    value = codes.normalise(text)
    if not value:
        return refused(Reading(CodeScheme.UNRECOGNISED, value), "value", "nothing but blanks")
    if wanted is CodeScheme.MAKER_SERIAL and assigned_by is None:
        reading = Reading(CodeScheme.MAKER_SERIAL, value)
        return refused(reading, "assigned_by", "a serial is unique to its maker: say which")
    return Reading(wanted or CodeScheme.UNRECOGNISED, value, assigned_by)


def read_gbt34014(text: str, assigned_by: str | None, today: date) -> Reading:
    try:
        code = codes.decode(text)
    except BatteryCodeError as error:
        return Reading(
            CodeScheme.GBT34014,
            error.text,
            faults=tuple(FieldError("value", error.code, str(fault)) for fault in error.faults),
            suggestions=error.suggestions,
        )
    return Reading(
        SCHEMES[code.form],
        code.text,
        assigned_by or code.manufacturer,
        level={"P": "pack", "M": "module", "C": "cell"}[code.product_type],
        is_second_life=code.form is Form.CASCADE,
        faults=tuple(
            FieldError("value", doubt.code, doubt.reason) for doubt in codes.doubts(code, today)
        ),
    )


def read_gbt45565(text: str, assigned_by: str | None) -> Reading:
    try:
        found = gbt45565.decode(text)
    except gbt45565.IdentifierError as error:
        fault = FieldError("value", gbt45565.INVALID, str(error))
        return Reading(CodeScheme.GBT45565, codes.normalise(text), faults=(fault,))
    return Reading(
        CodeScheme.GBT45565,
        found.text,
        assigned_by or found.enterprise,
        level=found.level,
        is_second_life=found.is_second_life,
    )


def refused(reading: Reading, field: str, reason: str) -> Reading:
    fault = FieldError(field, "bad_identifier", reason)
    return msgspec.structs.replace(reading, faults=(*reading.faults, fault))


def not_this_kind(kind: PartKind, reading: Reading) -> str | None:
    """Why a code cannot be that of a module or a cell."""
    if reading.level is None or reading.level == kind:
        return None
    return f"the code is that of a {reading.level}, not of a {kind}"


def maker(scheme: CodeScheme, code: str) -> str | None:
    """Who gave a code of a standard."""
    match scheme:
        case CodeScheme.GBT34014 | CodeScheme.GBT34014_CASCADE:
            return code[:3]
        case CodeScheme.GBT45565:
            return code[:4]
    return None


def pack_faults(pack: Mapping[str, Any], today: date) -> Iterator[FieldError]:
    """What cannot be true of a pack, all at once; `pack` has its fields by name."""
    rated, highest, lowest = (
        pack[name] for name in ("rated_voltage_mv", "max_voltage_mv", "min_voltage_mv")
    )
    if highest is not None and highest < rated:
        yield FieldError("/max_voltage_mv", "bad_rating", f"below the rated {rated} mV")
    if lowest is not None and lowest > rated:
        yield FieldError("/min_voltage_mv", "bad_rating", f"above the rated {rated} mV")
    given, derived = pack["maker_energy_wh"], rated * pack["rated_capacity_mah"] / 1e6
    if given is not None and not derived <= given * MAKER_ENERGY_TIMES <= derived * 4:
        reason = f"voltage times capacity is {derived:.0f} Wh: the unit or a digit is wrong"
        yield FieldError("/maker_energy_wh", "bad_rating", reason)
    removed_on = pack["removed_on"]
    if removed_on is not None and removed_on > min(today, pack["acquired_on"]):
        reason = "later than the pack was acquired, or still to come"
        yield FieldError("/removed_on", "bad_date", reason)


def capacity_faults(
    test: CapacityTestCreate,
    *,
    rated_capacity_mah: int,
    rated_voltage_mv: int,
    made_on: date,
    today: date,
) -> Iterator[FieldError]:
    """Why a report cannot be right."""
    if test.tested_on > today:
        yield FieldError("/tested_on", "future_date", f"{test.tested_on} is still to come")
    if test.tested_on < made_on:
        reason = f"earlier than the pack was made, on {made_on}"
        yield FieldError("/tested_on", "bad_date", reason)
    if test.method == "gbt34015" and test.depth_percent < 100:
        reason = "GB/T 34015 discharges to the end: what stops earlier is another method"
        yield FieldError("/depth_percent", "not_a_full_test", reason)
    most = rated_capacity_mah * MOST_CAPACITY_PERCENT * test.depth_percent // 10_000
    if test.discharged_mah > most:
        reason = (
            f"more than {MOST_CAPACITY_PERCENT} % of the rated {rated_capacity_mah} mAh at a "
            f"depth of {test.depth_percent} %: {most} mAh at most"
        )
        yield FieldError("/discharged_mah", "impossible_capacity", reason)
    if test.energy_wh is not None:
        mean_mv = test.energy_wh * 1_000_000 / test.discharged_mah
        low, high = (rated_voltage_mv * percent / 100 for percent in MEAN_VOLTAGE_PERCENT)
        if not low <= mean_mv <= high:
            reason = f"a mean of {mean_mv:.0f} mV, where the rated voltage is {rated_voltage_mv}"
            yield FieldError("/energy_wh", "impossible_energy", reason)
