"""The unified social credit code (统一社会信用代码) after GB 32100-2015.

Every firm and organisation registered in China has one; reports, permits and invoices name
their parties by it. 18 characters: registering authority (1), kind of organisation (1), the
authority's division code (6 digits), the organisation's own code (9), a check character (1).
Letters that look like digits (I, O, S, V, Z) are not used.

It is checked twice. The organisation's own code is one of GB 11714, whose ninth character
(position 17) checks the eight before it: digits count as themselves, A to Z as 10 to 35, their
weighted sum modulo 11 is taken from 11, 10 is written X and 11 is written 0. The last character
(position 18) is ISO 7064-like: with the values 0-30 of the characters and the weights 3^i mod 31,
the sum over all 18 is a multiple of 31. A public report names a real firm whose registered code
fails it (91350211M0000XUF46), so a caller that takes codes from a register rather than from a
keyboard may prefer to warn.

>>> organisation_check_character("M000100Y"), check_character("91350100M000100Y4")
('4', '3')
"""

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
LENGTH = 18
WEIGHTS = tuple(pow(3, i, 31) for i in range(LENGTH - 1))
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
ORGANISATION_CHECK = 17
"""Position of the organisation code's check character."""


class CreditCodeError(ValueError):
    """Not a unified social credit code; `code` is stable, the message is for people."""

    code = "credit_code_invalid"


def check_character(first17: str) -> str:
    """The 18th character that goes with the first 17."""
    if len(first17) != LENGTH - 1:
        raise CreditCodeError(f"{len(first17)} characters, expected {LENGTH - 1}")
    _check_alphabet(first17)
    total = sum(ALPHABET.index(c) * w for c, w in zip(first17, WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def organisation_check_character(first8: str) -> str:
    """The ninth character of an organisation code that goes with the first eight (GB 11714)."""
    if len(first8) != len(ORGANISATION_WEIGHTS):
        raise CreditCodeError(f"{len(first8)} characters, expected {len(ORGANISATION_WEIGHTS)}")
    _check_alphabet(first8)
    total = sum(int(c, 36) * w for c, w in zip(first8, ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X"[-total % 11]


def validate(code: str) -> None:
    """Raise unless `code` has the right form and check characters. Capitals only, no blanks."""
    if len(code) != LENGTH:
        raise CreditCodeError(f"{len(code)} characters, expected {LENGTH}")
    _check_alphabet(code)
    for position, character in enumerate(code[2:8], start=3):
        if not character.isdigit():
            raise CreditCodeError(f"position {position}: {character!r} is not a digit")
    # Both are told: where the first fails too, the mistake is in the organisation's own code.
    faults = [
        f"position {position}: check character {code[position - 1]!r} is not {expected!r}"
        for position, expected in (
            (ORGANISATION_CHECK, organisation_check_character(code[8:16])),
            (LENGTH, check_character(code[:-1])),
        )
        if code[position - 1] != expected
    ]
    if faults:
        raise CreditCodeError("; ".join(faults))


def _check_alphabet(text: str) -> None:
    for position, character in enumerate(text, start=1):
        if character not in ALPHABET:
            raise CreditCodeError(
                f"position {position}: {character!r} is not a digit "
                "or a capital letter other than I, O, S, V, Z"
            )
