"""A code taken apart for people: each field with its positions and what it means.

A text with a "-" is read as GB/T 45565, any other as GB/T 34014. What is wrong is said with the
position in the text without blanks.
"""

from collections.abc import Iterator
from datetime import date

from leasing.batteries import codes, gbt45565
from leasing.batteries.codes import BatteryCode, BatteryCodeError, Form
from leasing.batteries.gbt45565 import Identifier, IdentifierError
from leasing.batteries.model import BadPackCode
from leasing.kit.errors import FieldError
from schemas.codes import CodeField, DecodedCode
from schemas.packs import CodeScheme

LEVELS = {"P": "pack", "M": "module", "C": "cell"}
CHEMISTRIES = {
    "A": "nickel-metal hydride",
    "B": "lithium iron phosphate",
    "C": "lithium manganese oxide",
    "D": "lithium cobalt oxide",
    "E": "ternary (NCM or NCA)",
    "F": "supercapacitor",
    "G": "lithium titanate",
    "Z": "other",
}


def decoded(text: str, as_of: date) -> DecodedCode:
    """Raises `BadPackCode` with every fault, and what may have been meant."""
    if "-" in codes.normalise(text):
        return of_45565(text)
    try:
        code = codes.decode(text)
    except BatteryCodeError as error:
        faults = [FieldError("/code", error.code, str(fault)) for fault in error.faults]
        raise BadPackCode(str(error), fields=faults, suggestions=error.suggestions) from error
    return DecodedCode(
        code=code.text,
        scheme=(CodeScheme.GBT34014 if code.form is Form.NEW else CodeScheme.GBT34014_CASCADE),
        level=LEVELS[code.product_type],
        is_second_life=code.form is Form.CASCADE,
        fields=list(fields_of_34014(code)),
        doubts=[doubt.reason for doubt in codes.doubts(code, as_of)],
    )


def fields_of_34014(code: BatteryCode) -> Iterator[CodeField]:
    text = code.text
    yield field(text, "manufacturer", 1, 3)
    yield field(text, "product type", 4, 4, LEVELS[code.product_type])
    yield field(text, "chemistry", 5, 5, CHEMISTRIES[code.chemistry])
    yield field(text, "specification", 6, 7)
    at = 8
    if code.traceability is not None:
        yield field(text, "traceability", 8, 14)
        at = 15
    yield field(text, "made on", at, at + 2, str(code.made_on))
    yield field(text, "serial of that day", at + 3, at + 9, str(code.serial))
    if code.cascade_source is not None:
        yield field(text, "cascade mark", 18, 18, "second life")
        yield field(text, "cascade source", 19, 19, LEVELS[code.cascade_source])


def of_45565(text: str) -> DecodedCode:
    try:
        found = gbt45565.decode(text)
    except IdentifierError as error:
        fault = FieldError("/code", gbt45565.INVALID, str(error))
        raise BadPackCode(str(error), fields=[fault]) from error
    return DecodedCode(
        code=found.text,
        scheme=CodeScheme.GBT45565,
        level=found.level,
        is_second_life=found.is_second_life,
        fields=list(fields_of_45565(found)),
        doubts=[],
    )


def fields_of_45565(found: Identifier) -> Iterator[CodeField]:
    text, ends = found.text, 5 + len(found.static)
    use = f"{found.use} {found.level}".replace("any ", "").replace("_", " ")
    yield field(text, "enterprise", 1, 4)
    yield field(text, "product type", 5, 5, use)
    if found.static:
        yield field(text, "static part", 6, ends)
    if found.is_second_life:
        yield field(text, "mark of a second life", ends + 1, ends + 2, "second life")
    yield field(text, "variable identifier", len(text) - len(found.variable) + 1, len(text))


def field(text: str, name: str, first: int, last: int, meaning: str | None = None) -> CodeField:
    return CodeField(
        name=name, first=first, last=last, text=text[first - 1 : last], meaning=meaning
    )
