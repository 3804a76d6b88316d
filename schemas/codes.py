"""What a battery's code says, field by field."""

from schemas.common import Outgoing
from schemas.packs import CodeScheme


class CodeField(Outgoing, frozen=True):
    name: str
    first: int
    """Position of its first character, counted from 1."""
    last: int
    text: str
    meaning: str | None
    """What a table of the standard says of it; null for what is the maker's own."""


class DecodedCode(Outgoing, frozen=True):
    code: str
    """Without blanks and in capitals: the one to store and to compare."""
    scheme: CodeScheme
    level: str
    """Cell, module, pack, cluster or system."""
    is_second_life: bool
    fields: list[CodeField]
    doubts: list[str]
    """What a person should look at before the code is trusted: a date to come."""
