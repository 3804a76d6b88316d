"""Telephone numbers as people in China write them, kept in one form: E.164 (ITU-T).

Taken are mobile numbers (11 digits from 1[3-9]), fixed lines with their area code (010, 02x or
three digits after the 0; 7 or 8 digits follow, 8 where the area code is short), the service
numbers 400 and 800, and any number with its country code behind + or 00. Short numbers such as
10086 cannot be dialled from elsewhere, and an extension is no part of a number: both belong
into a note.

>>> normalised("0371-6585 1234"), normalised("（010）85221234"), normalised("139 0000 1234")
('+8637165851234', '+861085221234', '+8613900001234')
"""

import re

FULL_WIDTH = str.maketrans("０１２３４５６７８９＋－（）．　", "0123456789+-(). ")
"""What a Chinese keyboard writes."""
SEPARATORS = re.compile(r"[ ().-]")

CHINA = "86"
INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
# Without the 0 that is dialled before an area code inside the country.
MOBILE = r"1[3-9][0-9]{9}"
FIXED = r"(?:10|2[0-9])[2-8][0-9]{7}|[3-9][0-9]{2}[2-8][0-9]{6,7}"
SERVICE = r"[48]00[0-9]{7}"
DOMESTIC = re.compile(rf"(?:{MOBILE}|0(?:{FIXED})|{SERVICE})")
CHINESE = re.compile(rf"(?:{MOBILE}|{FIXED}|{SERVICE})")


class PhoneError(ValueError):
    """The text is not a telephone number; the message is for people."""


def normalised(text: str) -> str:
    """The number as + and digits. Raises `PhoneError`."""
    written = SEPARATORS.sub("", text.translate(FULL_WIDTH))
    if DOMESTIC.fullmatch(written):
        return f"+{CHINA}{written.removeprefix('0')}"
    number = f"+{written[2:]}" if written.startswith("00") else written
    if not INTERNATIONAL.fullmatch(number):
        raise PhoneError(
            "write a Chinese mobile or fixed number with its area code, a 400 or 800 number, "
            "or + and the country code; an extension goes into the note"
        )
    if not number.startswith(f"+{CHINA}"):
        return number
    # Some write the 0 of the area code behind the country code, where it does not belong.
    local = number.removeprefix(f"+{CHINA}").removeprefix("0")
    if not CHINESE.fullmatch(local):
        raise PhoneError(f"{local} is no number of China (+{CHINA})")
    return f"+{CHINA}{local}"
