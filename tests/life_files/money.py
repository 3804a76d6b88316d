"""What would give money away in JSON: the name of a field, or an amount that a test knows."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

WORDS = {
    "amount", "price", "rent", "fee", "currency", "cny", "fen", "vat", "deposit", "invoice", "cost",
    "offer", "payment", "worth", "net",
}  # fmt: skip
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""Of `rent_amount`, and of `rentAmount`."""


def told(value: Any, amounts: Iterable[int] = (), path: str = "") -> Iterator[str]:
    """Places of a JSON value at which money stands: by name, or one of some amounts, also within a
    text.

    >>> list(told({"a": [{"rentAmount": 1, "current_a": 2}], "b": "for 31417"}, [31417]))
    ['/a/0/rentAmount', '/b']
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}/{name}"
            if {word.lower() for word in WORD.findall(name)} & WORDS:
                yield here
            yield from told(inner, amounts, here)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from told(inner, amounts, f"{path}/{place}")
    elif set(re.findall(r"\d+", str(value))) & {str(amount) for amount in amounts}:
        yield path
