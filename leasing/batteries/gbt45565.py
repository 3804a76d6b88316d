"""Identifiers after GB/T 45565-2025, the coding of lithium-ion batteries, read and
written.

In force since 2025-11-01 for consumer, small-power, storage and large-power batteries other than
traction batteries of vehicles, so a telecom backup pack may carry both this and GB/T 34014:

    ABCD  M  LFP280  -R  -20251103000123
    1- 4  enterprise: digits and capitals without I and O, chosen by the firm and registered
    5     product type, see `PRODUCTS`
    6-    static part: the firm's own description of the product
    -R    only of a second-life battery
    -     then the variable identifier, the firm's own: usually a time code and a serial

We have read this in two secondary sources, not in the standard's text. The lengths of the static
part and of the variable identifier are in neither, so any are taken up to a limit that only keeps
nonsense out; nor is it settled whether the time code of its appendix A has a fixed place. What is
checked is what both sources say. A text without a "-" is not taken for one of these: a 24-character
GB/T 34014 code would otherwise pass.
"""

import re
from enum import StrEnum

import msgspec

from leasing.batteries.codes import normalise


class Use(StrEnum):
    CONSUMER = "consumer"
    SMALL_POWER = "small_power"
    LARGE_POWER = "large_power"
    STORAGE = "storage"
    ANY = "any"


class Level(StrEnum):
    CELL = "cell"
    MODULE = "module"
    PACK = "pack"
    CLUSTER = "cluster"
    SYSTEM = "system"


PRODUCTS: dict[str, tuple[Use, Level]] = {
    "A": (Use.CONSUMER, Level.MODULE),
    "B": (Use.CONSUMER, Level.PACK),
    "D": (Use.CONSUMER, Level.SYSTEM),
    "C": (Use.ANY, Level.CELL),
    "E": (Use.SMALL_POWER, Level.MODULE),
    "F": (Use.SMALL_POWER, Level.PACK),
    "G": (Use.SMALL_POWER, Level.SYSTEM),
    "H": (Use.STORAGE, Level.MODULE),
    "J": (Use.STORAGE, Level.CLUSTER),
    "K": (Use.STORAGE, Level.SYSTEM),
    "M": (Use.LARGE_POWER, Level.MODULE),
    "P": (Use.LARGE_POWER, Level.PACK),
    "S": (Use.LARGE_POWER, Level.SYSTEM),
}

ENTERPRISE = re.compile(r"[0-9A-HJ-NP-Z]{4}")
STATIC = re.compile(r"[0-9A-Z]{0,24}")
VARIABLE = re.compile(r"[0-9A-Z]{1,40}")

INVALID = "battery_code_invalid"


class Identifier(msgspec.Struct, frozen=True):
    """What an identifier says. `text` is the one to store and to compare."""

    enterprise: str
    use: Use
    level: Level
    static: str
    is_second_life: bool
    variable: str
    text: str


class IdentifierError(ValueError):
    """The text is not a GB/T 45565 identifier; the message names the part that is wrong."""


def decode(text: str) -> Identifier:
    """Read an identifier as scanned or typed. Raises `IdentifierError`.

    >>> decode("ab3dP51200 - r - 25b03 0001").is_second_life
    True
    """
    code = normalise(text)
    parts = code.split("-")
    if len(parts) not in (2, 3):
        raise IdentifierError('the static part, "R" if any, and the identifier are parted by "-"')
    head, *mark, variable = parts
    enterprise, product, static = head[:4], head[4:5], head[5:]
    if not ENTERPRISE.fullmatch(enterprise):
        raise IdentifierError(
            f"positions 1-4: enterprise '{enterprise}' is not four digits or capitals "
            "other than I and O"
        )
    if product not in PRODUCTS or not product:
        raise IdentifierError(f"position 5: product type '{product}' is none of {known()}")
    if not STATIC.fullmatch(static):
        raise IdentifierError(f"static part '{static}' is not up to 24 digits and capitals")
    if mark not in ([], ["R"]):
        raise IdentifierError(f"'-{mark[0]}' is not the mark of a second life, '-R'")
    if not VARIABLE.fullmatch(variable):
        raise IdentifierError(f"identifier '{variable}' is not 1 to 40 digits and capitals")
    use, level = PRODUCTS[product]
    return Identifier(
        enterprise=enterprise,
        use=use,
        level=level,
        static=static,
        is_second_life=bool(mark),
        variable=variable,
        text=code,
    )


def encode(
    *,
    enterprise: str,
    product: str,
    static: str,
    variable: str,
    is_second_life: bool = False,
) -> str:
    """Write an identifier; `product` is a letter of `PRODUCTS`. Raises `IdentifierError` that names
    the part: nothing is padded or raised to capitals, for an identifier is assigned once.

    >>> encode(enterprise="AB3D", product="P", static="51200", variable="25B0", is_second_life=True)
    'AB3DP51200-R-25B0'
    """
    mark = "-R" if is_second_life else ""
    text = f"{enterprise}{product}{static}{mark}-{variable}"
    found = decode(text)
    if (found.text, found.enterprise, found.static, found.variable) != (
        text,
        enterprise,
        static,
        variable,
    ):
        raise IdentifierError(f"'{text}' would be read as {found.text}, or in other parts")
    return text


def known() -> str:
    return ", ".join(sorted(PRODUCTS))
