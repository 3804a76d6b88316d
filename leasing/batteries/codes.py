"""Battery codes after GB/T 34014-2017, read and written.

Every traction battery sold in China carries such a code, and so does every second-life
(cascade, 梯级利用) product made from one. Three forms of one scheme are met:

    new product, 24 characters           cascade product, 19 characters
     1- 3  manufacturer                   1- 3  manufacturer: the repurposer's own
     4     product type: P, M, C          4     product type
     5     chemistry: A-G, Z              5     chemistry
     6- 7  specification                  6- 7  specification
     8-14  traceability                         (none)
    15-17  date: year, month, day         8-10  date of the cascade product
    18-24  serial of that day            11-17  serial of that day
                                         18-19  R, then P, M or C

The third is everything else: 25 and 26 characters are seen on real packs and mean nothing
we know. They get an error code of their own, so that a pack can be kept under an
unrecognised code: refusing the pack would lose the battery, not the mistake.

There is no check digit in either form. What can be verified is the alphabet, the date, and
that the serial is not zero; the rest (who the manufacturer is, whether the code is unique,
what it was made from) is a question for the database.

Sources: the standard as described at chinaautoregs.com/4357.html; the regular expressions of
Catena-X, io.catenax.traction_battery_code 2.0.0; the 31 date symbols of a test tool of a
vehicle maker. The standard restricts no letter outside the date, so neither do we: a
manufacturer code may hold an I or an O. Collected in the project's domain notes, section 1.
"""

import string
from collections.abc import Iterator
from datetime import date
from enum import StrEnum

import msgspec


class Form(StrEnum):
    NEW = "new"
    CASCADE = "cascade"


class ProductType(StrEnum):
    PACK = "P"
    MODULE = "M"
    CELL = "C"


class Chemistry(StrEnum):
    """The set of letters is verified, and so are B and E; the other meanings are recalled."""

    NIMH = "A"
    LFP = "B"
    LMO = "C"
    LCO = "D"
    TERNARY = "E"
    SUPERCAPACITOR = "F"
    LTO = "G"
    OTHER = "Z"


DIGITS = string.digits
DIGITS_AND_CAPITALS = string.digits + string.ascii_uppercase

# The date is written with digits and the letters that cannot be taken for a digit or for one
# another: I, O, Q, U and Z never appear. Years run through 30 symbols from 2011 (1) to 2040
# (Y); days through 31, where the 31st is 0, that is, the index is the day modulo 31. A public
# decoder counts the letters without gaps and is wrong from the 18th of the month onward.
YEARS = "123456789ABCDEFGHJKLMNPRSTVWXY"
MONTHS = "123456789ABC"
DAYS = "0123456789ABCDEFGHJKLMNPRSTVWXY"
FIRST_YEAR = 2011
FIRST_DATE = date(FIRST_YEAR, 1, 1)
LAST_DATE = date(FIRST_YEAR + len(YEARS) - 1, 12, 31)

MAX_SERIAL = 9_999_999

INVALID = "battery_code_invalid"
WRONG_LENGTH = "battery_code_length"
UNRECOGNISED = "battery_code_unrecognised"
SWAPPED_HALVES = "battery_code_swapped_halves"

UNRECOGNISED_LENGTHS = (25, 26)


class BatteryCode(msgspec.Struct, frozen=True):
    """What a code says. `text` is the normalised code, the one to store and to compare."""

    form: Form
    manufacturer: str
    product_type: ProductType
    chemistry: Chemistry
    specification: str
    traceability: str | None
    made_on: date
    serial: int
    cascade_source: ProductType | None
    text: str


class Fault(msgspec.Struct, frozen=True):
    """One reason why a text is not a battery code.

    `position` counts from 1 in the normalised text and is None when the text as a whole is
    at fault. `characters` may be several: a date that does not exist is the fault of three.
    """

    position: int | None
    characters: str
    reason: str

    def __str__(self) -> str:
        if self.position is None:
            return self.reason
        if len(self.characters) < 2:
            return f"position {self.position}: {self.reason}"
        last = self.position + len(self.characters) - 1
        return f"positions {self.position}-{last}: {self.reason}"


class Doubt(msgspec.Struct, frozen=True):
    """A well-formed code that says something implausible. To be reviewed, not refused."""

    code: str
    reason: str


class BatteryCodeError(ValueError):
    """The text is not a GB/T 34014 code. Carries all its faults, so that one round mends them.

    `suggestions` are codes that the same characters form in another order; the likeliest
    comes first, and a person has to confirm it against the label.
    """

    def __init__(
        self,
        code: str,
        text: str,
        faults: tuple[Fault, ...],
        suggestions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, text, faults, suggestions)
        self.code = code
        self.text = text
        self.faults = faults
        self.suggestions = suggestions

    def __str__(self) -> str:
        message = "; ".join(str(fault) for fault in self.faults)
        if self.suggestions:
            message += f"; the halves seem swapped, did you mean {' or '.join(self.suggestions)}?"
        return message


class _Rule(msgspec.Struct, frozen=True):
    """What may stand in one position."""

    field: str
    alphabet: str
    words: str


_MANUFACTURER = _Rule("manufacturer", DIGITS_AND_CAPITALS, "a digit or a capital letter")
_PRODUCT_TYPE = _Rule("product type", "PMC", "P (pack), M (module) or C (cell)")
_CHEMISTRY = _Rule("chemistry", "ABCDEFGZ", "A-G or Z")
_SPECIFICATION = _Rule("specification", DIGITS_AND_CAPITALS, "a digit or a capital letter")
_TRACEABILITY = _Rule("traceability", DIGITS_AND_CAPITALS, "a digit or a capital letter")
_YEAR = _Rule("year", YEARS, "1-9 or a capital letter other than I, O, Q, U, Z")
_MONTH = _Rule("month", MONTHS, "1-9, A, B or C")
_DAY = _Rule("day", DAYS, "a digit or a capital letter other than I, O, Q, U, Z")
_SERIAL = _Rule("serial", DIGITS, "a digit")
_CASCADE_MARK = _Rule("cascade mark", "R", "R")
_CASCADE_SOURCE = _Rule("cascade source", "PMC", "P (pack), M (module) or C (cell)")

_DESIGN = (*[_MANUFACTURER] * 3, _PRODUCT_TYPE, _CHEMISTRY, *[_SPECIFICATION] * 2)
_PRODUCTION = (_YEAR, _MONTH, _DAY, *[_SERIAL] * 7)
_RULES: dict[Form, tuple[_Rule, ...]] = {
    Form.NEW: (*_DESIGN, *[_TRACEABILITY] * 7, *_PRODUCTION),
    Form.CASCADE: (*_DESIGN, *_PRODUCTION, _CASCADE_MARK, _CASCADE_SOURCE),
}
_FORM_OF_LENGTH = {len(rules): form for form, rules in _RULES.items()}
_DATE_AT = {form: rules.index(_YEAR) for form, rules in _RULES.items()}

# Where the two printed lines of a code meet. The standard lets design and production data be
# marked apart, which is after 14 characters; cells are also seen with the last traceability
# character at the head of the second line, which is after 13.
_LINE_BREAKS = {Form.NEW: (14, 13), Form.CASCADE: (7,)}

_CAPITALS = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_FULL_WIDTH = {number: number - 0xFEE0 for number in range(0xFF01, 0xFF5F)}


def normalise(text: str) -> str:
    """Blanks and line breaks out, full-width forms to ASCII, letters to capitals.

    Only ASCII letters are raised: `str.upper` would make an S of a long s and an I of a
    dotless one, and so turn a misread label into a code that looks right. Full-width letters
    are what a Chinese input method types by default.
    """
    return "".join(text.split()).translate(_FULL_WIDTH).translate(_CAPITALS)


def decode(text: str) -> BatteryCode:
    """Read a code as scanned or typed; the two lines of a cell's code in their right order."""
    code = normalise(text)
    form = _FORM_OF_LENGTH.get(len(code))
    if form is None:
        raise _length_error(code)
    faults = tuple(_faults(code, form))
    if faults:
        suggestions = _rejoined(text, code, form)
        raise BatteryCodeError(
            SWAPPED_HALVES if suggestions else INVALID, code, faults, suggestions
        )
    at = _DATE_AT[form]
    return BatteryCode(
        form=form,
        manufacturer=code[0:3],
        product_type=ProductType(code[3]),
        chemistry=Chemistry(code[4]),
        specification=code[5:7],
        traceability=code[7:14] if form is Form.NEW else None,
        made_on=date(*_year_month_day(code[at : at + 3])),
        serial=int(code[at + 3 : at + 10]),
        cascade_source=ProductType(code[18]) if form is Form.CASCADE else None,
        text=code,
    )


def encode(
    *,
    manufacturer: str,
    product_type: ProductType,
    chemistry: Chemistry,
    specification: str,
    made_on: date,
    serial: int,
    traceability: str | None = None,
    cascade_source: ProductType | None = None,
) -> str:
    """Write a code. With traceability it is a new product's, with a cascade source the other.

    Nothing is padded, cut or raised to capitals here: a code is assigned once and engraved,
    so what does not fit is the caller's mistake.
    """
    if (traceability is None) == (cascade_source is None):
        reason = "a new product has a traceability part, a cascade product a source, none both"
        raise BatteryCodeError(INVALID, "", (Fault(None, "", reason),))
    form = Form.NEW if cascade_source is None else Form.CASCADE
    parts = [
        ("manufacturer", 1, manufacturer, 3),
        ("product type", 4, product_type, 1),
        ("chemistry", 5, chemistry, 1),
        ("specification", 6, specification, 2),
        ("traceability", 8, traceability or "", 7 if form is Form.NEW else 0),
        ("cascade source", 19, cascade_source or "", 1 if form is Form.CASCADE else 0),
    ]
    faults = [
        Fault(first, value, f"{field} {value!r} is not {width} characters long")
        for field, first, value, width in parts
        if len(value) != width
    ]
    faults += _unwritable(made_on, serial, _DATE_AT[form] + 1)
    if faults:
        raise BatteryCodeError(INVALID, "", tuple(faults))
    design = "".join(value for _, _, value, _ in parts[:5])
    suffix = f"R{cascade_source}" if cascade_source is not None else ""
    code = f"{design}{encode_date(made_on)}{serial:07d}{suffix}"
    faults = list(_faults(code, form))
    if faults:
        raise BatteryCodeError(INVALID, code, tuple(faults))
    return code


def _unwritable(made_on: date, serial: int, position: int) -> Iterator[Fault]:
    if not FIRST_DATE <= made_on <= LAST_DATE:
        reason = f"date {made_on} is not in {FIRST_DATE} to {LAST_DATE}, the years with a symbol"
        yield Fault(position, str(made_on), reason)
    if not 1 <= serial <= MAX_SERIAL:
        reason = f"serial {serial} is not in 1 to {MAX_SERIAL}"
        yield Fault(position + 3, str(serial), reason)


def encode_date(on: date) -> str:
    """The three symbols of a date from 2011 to 2040."""
    if not FIRST_DATE <= on <= LAST_DATE:
        raise ValueError(f"{on} is not in {FIRST_DATE} to {LAST_DATE}")
    return YEARS[on.year - FIRST_YEAR] + MONTHS[on.month - 1] + DAYS[on.day % len(DAYS)]


def doubts(code: BatteryCode, as_of: date, tolerance_days: int = 1) -> tuple[Doubt, ...]:
    """What a person should look at before this code is trusted.

    A date to come is well-formed: the published Catena-X samples hold modules of 2039. One day
    is let pass, because a night shift may date its work by the day on which it ends.
    """
    days = (code.made_on - as_of).days
    if days <= tolerance_days:
        return ()
    reason = f"made on {code.made_on}, {days} days after {as_of}"
    return (Doubt("battery_code_future_date", reason),)


def _year_month_day(symbols: str) -> tuple[int, int, int]:
    return (
        FIRST_YEAR + YEARS.index(symbols[0]),
        MONTHS.index(symbols[1]) + 1,
        DAYS.index(symbols[2]) or len(DAYS),
    )


def _faults(code: str, form: Form) -> Iterator[Fault]:
    bad = set()
    for position, (character, rule) in enumerate(zip(code, _RULES[form], strict=True), start=1):
        if character not in rule.alphabet:
            bad.add(rule.field)
            reason = f"{rule.field} {character!r} is not {rule.words}"
            yield Fault(position, character, reason)
    at = _DATE_AT[form]
    if not bad & {"year", "month", "day"}:
        yield from _calendar_faults(code[at : at + 3], at + 1)
    if "serial" not in bad and code[at + 3 : at + 10] == "0000000":
        yield Fault(at + 4, "0000000", "serial 0000000 is not a serial, the first one is 0000001")


def _calendar_faults(symbols: str, position: int) -> Iterator[Fault]:
    year, month, day = _year_month_day(symbols)
    try:
        date(year, month, day)
    except ValueError:
        reason = f"date {symbols!r} is {year}-{month:02d}-{day:02d}, which does not exist"
        yield Fault(position, symbols, reason)


def _length_error(code: str) -> BatteryCodeError:
    long_forms = " or ".join(f"{n} ({form})" for n, form in _FORM_OF_LENGTH.items())
    reason = f"{len(code)} characters, expected {long_forms}"
    faults = [Fault(None, "", reason)]
    # Beyond the longest code ever seen a position means nothing, and the list would not end.
    if len(code) <= max(UNRECOGNISED_LENGTHS):
        faults += [
            Fault(position, character, f"{character!r} is not a digit or a capital letter")
            for position, character in enumerate(code, start=1)
            if character not in DIGITS_AND_CAPITALS
        ]
    known = len(faults) == 1 and len(code) in UNRECOGNISED_LENGTHS
    return BatteryCodeError(UNRECOGNISED if known else WRONG_LENGTH, code, tuple(faults))


def _rejoined(text: str, code: str, form: Form) -> tuple[str, ...]:
    """The codes that appear when the second line is put in front of the first."""
    breaks = [len(code) - length for length in _LINE_BREAKS[form]]
    # A scan that still has its line break says itself where the halves meet.
    breaks.insert(0, len(normalise(text.strip().splitlines()[0])))
    candidates = dict.fromkeys(code[at:] + code[:at] for at in breaks)
    return tuple(c for c in candidates if not any(_faults(c, form)))
