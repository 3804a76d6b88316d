"""Vehicle identification numbers (车辆识别代号), GB 16735 after ISO 3779.

17 digits and capitals without I, O and Q. The ninth is a check character: each character has a
value (digits their own, letters 1 to 9 in the order of the alphabet, S beginning at 2), each
position a weight, and the weighted sum modulo 11 is the ninth character, 10 being written X.

>>> check_character("11111111111111111")
'1'
"""

VALUES = {
    **{digit: int(digit) for digit in "0123456789"},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    "P": 7,
    "R": 9,
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}
WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
CHECK_POSITION = 9


class VinError(ValueError):
    """The text is not a vehicle identification number; the message names what is wrong."""


def check_character(vin: str) -> str:
    """The ninth character that belongs to a number of 17 permitted characters."""
    remainder = sum(VALUES[c] * weight for c, weight in zip(vin, WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def validate(text: str) -> str:
    """The number in capitals without blanks. Raises `VinError`."""
    vin = "".join(text.split())
    # Only ASCII letters are raised: upper() would make an S of a long s.
    vin = vin.upper() if vin.isascii() else vin
    if len(vin) != len(WEIGHTS):
        raise VinError(f"a VIN has 17 characters, this has {len(vin)}")
    for position, character in enumerate(vin, start=1):
        if character not in VALUES:
            raise VinError(
                f"position {position}: '{character}' is not a digit or a letter "
                "other than I, O and Q"
            )
    expected = check_character(vin)
    if vin[CHECK_POSITION - 1] != expected:
        raise VinError(
            f"position {CHECK_POSITION}: the check character is '{vin[CHECK_POSITION - 1]}', "
            f"the others ask for '{expected}'"
        )
    return vin
