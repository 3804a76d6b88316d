"""What all messages share: strict incoming structs, and checked scalar types."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Incoming(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A payload. A field we do not know is refused, not ignored: it is usually a typing error."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. It has no defaults: every field is always there."""


# A pattern ends in `$(?!\n)`: `$` alone also matches before a last line break.
PRINTABLE = r"^[^\x00-\x08\x0e-\x1f\x7f]*$"
"""Any text with line breaks and tabs, but without other control characters: PostgreSQL cannot
hold NUL, and nobody can see the others."""

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description="One line that is not blank.",
    ),
]
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+$(?!\n)")]
Remark = Annotated[str, Meta(max_length=2000, pattern=PRINTABLE)]
Adcode = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{5}$(?!\n)", description="Prefecture-level code of GB/T 2260.")
]
Longitude = Annotated[float, Meta(ge=73, le=136, description="Degrees east.")]
Latitude = Annotated[float, Meta(ge=3, le=54, description="Degrees north.")]
Amount = Annotated[
    int, Meta(ge=0, le=10**15, description="Whole minor units of the currency (fen for CNY).")
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217.")]
Percent = Annotated[
    str,
    Meta(
        pattern=r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$(?!\n)",
        description="0 to 100 as text, with two decimals at most.",
    ),
]
Milliamperehours = Annotated[int, Meta(ge=1, le=2_000_000_000)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
