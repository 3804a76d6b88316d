"""Small files of every type, for tests."""

import io
import struct
import zipfile
import zlib

from schemas.annotations import MediaType


def archive(*members: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for member in members:
            target.writestr(member, "<xml/>")
    return made.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0\0"))
    + chunk(b"IEND", b"")
)
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f" + bytes(12)
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(8)
MIF1 = b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic" + bytes(8)
XLSX = archive("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
DOCX = archive("[Content_Types].xml", "_rels/.rels", "word/document.xml")
CSV = "\ufeff站址,电压\r\nZZ-1,51.2\r\n".encode()
TEXT = "第一行\n\tsecond line, R < 5 mΩ\n".encode()


def in_64_bits(plain: bytes) -> bytes:
    """The same archive as a writer of large ones would end it."""
    count, size, offset = struct.unpack("<10xHII2x", plain[-22:])
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(plain) - 22, 1)
    return plain[:-22] + record + locator + plain[-22:]


def with_a_long_directory() -> bytes:
    """A workbook but for its size: 600 kB of names of members."""
    return archive("[Content_Types].xml", "xl/workbook.xml", *[f"{n:0240}" for n in range(2_100)])


OF_TYPE = {
    MediaType.PDF: PDF,
    MediaType.PNG: PNG,
    MediaType.JPEG: JPEG,
    MediaType.WEBP: WEBP,
    MediaType.HEIC: HEIC,
    MediaType.XLSX: XLSX,
    MediaType.DOCX: DOCX,
    MediaType.CSV: CSV,
    MediaType.TEXT: TEXT,
}

REFUSED = {
    "an archive like any other": archive("a.txt", "b.txt"),
    "a workbook without the list of its parts": archive("xl/workbook.xml"),
    "a workbook with macros": archive(
        "[Content_Types].xml", "xl/workbook.xml", "xl/vbaProject.bin"
    ),
    "workbook and letter at once": archive(
        "[Content_Types].xml", "xl/workbook.xml", "word/document.xml"
    ),
    "a workbook cut short": XLSX[:-30],
    "the head of an archive": b"PK\x03\x04" + bytes(40),
    "an archive whose directory lies": XLSX[:-22] + b"PK\x05\x06" + b"\xff" * 18,
    "a directory beyond what we read": with_a_long_directory(),
    "a directory in 64 bits": in_64_bits(XLSX),
    "a page": b"<!DOCTYPE html><title>x</title>",
    "a page after blanks": b"\n\n  <html><body onload=x>",
    "a page after a mark of order": "\ufeff<html>".encode(),
    "a page further down": b"hello\n\n<script>alert(1)</script>",
    "a page in capitals": b"hello <BODY onload=x>",
    "a drawing": b'<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>',
    "a drawing after a declaration": b'<?xml version="1.0"?><svg/>',
    "a program": b"\x7fELF\x02\x01\x01" + bytes(20),
    "a Windows program": b"MZ\x90\x00" + bytes(20),
    "a GIF": b"GIF89a\x01\x00\x01\x00",
    "text in another encoding": "郑州高新区铁塔的电池记录".encode("gb18030"),
    "text in UTF-16": "hello".encode("utf-16"),
    "text with a NUL": b"a\0b",
    "text with an escape": b"a\x1b[31mb",
    "text with a delete": b"a\x7fb",
    "a film": b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42" + bytes(8),
    "the beginning of a picture only": PNG[:8],
    "a sound in the same wrapper": b"RIFF\x1a\x00\x00\x00WAVEfmt " + bytes(12),
}
