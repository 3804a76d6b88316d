"""The type of a file by its content. Names and declarations are claims; bytes are evidence.

Libraries for this guess over hundreds of types from the first bytes. We want the opposite: a
verdict over nine types, where a spreadsheet is told from any other archive by what is in it, text
is text throughout, and everything else is refused.
"""

import io
import re
import zipfile

from schemas.annotations import MediaType

SIGNATURES: dict[MediaType, re.Pattern[bytes]] = {
    MediaType.PDF: re.compile(rb"%PDF-[12]\.[0-9]"),
    MediaType.PNG: re.compile(rb"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    MediaType.JPEG: re.compile(rb"\xff\xd8\xff[\xc0-\xfe]"),
    MediaType.WEBP: re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL),
    # The brand of still pictures coded in HEVC, first or among the compatible ones.
    MediaType.HEIC: re.compile(rb".{4}ftyp(?:.{4}){0,8}?(?:heic|heix)", re.DOTALL),
}

OFFICE = {"xl/workbook.xml": MediaType.XLSX, "word/document.xml": MediaType.DOCX}

# A browser that sniffs, against what it is told, looks for these.
MARKUP = re.compile(
    r"\A\s*<[!?/a-z]|<(?:!doctype|html|head|body|script|svg|iframe|object|embed)\b", re.IGNORECASE
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

UNKNOWN = "none that may be attached"


def detect(content: bytes) -> frozenset[MediaType]:
    """The types that the content may have: one, or for text two, or none."""
    for media_type, signature in SIGNATURES.items():
        if signature.match(content):
            return frozenset({media_type})
    if content.startswith(b"PK\x03\x04"):
        return office(content)
    if is_plain_text(content):
        return frozenset({MediaType.TEXT, MediaType.CSV})
    return frozenset()


def in_words(types: frozenset[MediaType]) -> str:
    return " or ".join(sorted(types)) or UNKNOWN


END_RECORD_BYTES = 22
LOCATOR_BYTES = 20
MAX_DIRECTORY_BYTES = 500_000


def office(content: bytes) -> frozenset[MediaType]:
    """What an archive is by its members. Nothing is unpacked, so nothing can blow up; macros
    are refused."""
    end = content[-END_RECORD_BYTES:]
    directory_bytes = int.from_bytes(end[12:16], "little")
    before = content[-END_RECORD_BYTES - LOCATOR_BYTES : -END_RECORD_BYTES]
    # Office writes no comment and no 64-bit records; the bound keeps the look short.
    if (
        not end.startswith(b"PK\x05\x06")
        or before.startswith(b"PK\x06\x07")
        or directory_bytes > MAX_DIRECTORY_BYTES
    ):
        return frozenset()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except Exception:  # the reader of archives was not written for hostile ones
        return frozenset()
    if "[Content_Types].xml" not in names or any("vbaProject" in name for name in names):
        return frozenset()
    found = frozenset(OFFICE[name] for name in names if name in OFFICE)
    return found if len(found) == 1 else frozenset()


def is_plain_text(content: bytes) -> bool:
    """UTF-8 without control characters that no browser would take for a page."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return not CONTROL.search(text) and not MARKUP.search(text)
