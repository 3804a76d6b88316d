"""What may have been meant by an identifier that nobody knows.

A guess is worth showing only when it exists, or when it is the one reading that makes a code of
what was scanned; whoever asks compares it with the label. A label is misread in few ways: the two
printed lines are scanned in the wrong order, or a letter is taken for the digit it looks like.
"""

from collections.abc import Iterator
from itertools import combinations

import msgspec

from leasing.batteries import codes
from leasing.batteries.codes import BatteryCodeError

# What a letter that no date of a code may hold is taken for, and digits for letters that look
# like them.
LOOKALIKES = {
    "I": "1", "O": "0", "Q": "0", "U": "V", "Z": "2", "S": "5", "B": "8", "G": "6", "D": "0",
    "0": "O", "1": "I", "2": "Z", "5": "S", "8": "B", "6": "G",
}  # fmt: skip
MOST_MISREAD = 2
MOST_GUESSES = 400


class Guess(msgspec.Struct, frozen=True):
    value: str
    reason: str
    is_code: bool
    """It is a valid code of itself, so it is worth showing also when no pack has it."""


def guesses(text: str) -> list[Guess]:
    """Other readings of a text, the likeliest first, each once and never the text itself."""
    found: dict[str, Guess] = {}
    for guess in [*swapped(text), *misread(text)]:
        if guess.value != codes.normalise(text):
            found.setdefault(guess.value, guess)
    return list(found.values())[:MOST_GUESSES]


def swapped(text: str) -> Iterator[Guess]:
    """The two lines of a label in the other order."""
    try:
        codes.decode(text)
    except BatteryCodeError as error:
        for value in error.suggestions:
            yield Guess(value, "the two halves of a code seem swapped", True)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) == 2:
        value = codes.normalise(lines[1] + lines[0])
        yield Guess(value, "the two lines in the other order", False)


def misread(text: str) -> Iterator[Guess]:
    """One or two characters read as what they look like; first all that cannot stand where they
    do, mended together."""
    code = codes.normalise(text)
    try:
        codes.decode(code)
        wrong: list[int] = []
    except BatteryCodeError as error:
        places = (fault.position for fault in error.faults if len(fault.characters) == 1)
        wrong = [place - 1 for place in places if place is not None]
    mendable = [place for place in wrong if code[place] in LOOKALIKES]
    if mendable:
        yield Guess(mended(code, mendable), reason(code, mendable), is_code(mended(code, mendable)))
    places_of_all = [place for place, char in enumerate(code) if char in LOOKALIKES]
    for several in range(1, MOST_MISREAD + 1):
        for chosen in combinations(places_of_all, several):
            yield Guess(mended(code, chosen), reason(code, chosen), False)


def mended(code: str, places: tuple[int, ...] | list[int]) -> str:
    characters = list(code)
    for place in places:
        characters[place] = LOOKALIKES[code[place]]
    return "".join(characters)


def reason(code: str, places: tuple[int, ...] | list[int]) -> str:
    told = [
        f"position {place + 1} read {LOOKALIKES[code[place]]}, not {code[place]}"
        for place in places
    ]
    return "; ".join(told)


def is_code(value: str) -> bool:
    try:
        codes.decode(value)
    except BatteryCodeError:
        return False
    return True
