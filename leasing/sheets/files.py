"""CSV and XLSX: from bytes to a table, and back.

Nothing in a file is trusted. An XLSX is unpacked under a limit and packed anew with the parts of
one sheet, so that what was measured is what is read; positions and counts are checked before,
because the reader allocates whatever a file announces, and a process that runs out of memory
there is gone.
"""

import csv
import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from leasing.kit.errors import FieldError
from leasing.sheets.model import (
    MAX_COLUMNS,
    MAX_ROWS,
    BadSheet,
    Cell,
    Column,
    ErrorValue,
    Field,
    Sheet,
    Table,
    TooManyRows,
    fields_of,
    header_key,
)
from leasing.sheets.rules import known_headers, neutralised, restored
from schemas.sheets import SheetFormat, SheetLanguage

MEDIA_TYPES = {
    SheetFormat.CSV: "text/csv",
    SheetFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

MAX_UNPACKED_BYTES = 150_000_000

ZIP = b"PK\x03\x04"
OLD_OFFICE = b"\xd0\xcf\x11\xe0"


def too_many_rows() -> TooManyRows:
    return TooManyRows(f"a sheet may have {MAX_ROWS:,} rows; split the file", limit=MAX_ROWS)


def read(body: bytes, format_: SheetFormat, sheet: Sheet, name: str | None) -> Table:
    """A file as a table. Raises `BadSheet`, and `TooManyRows`."""
    if not body.strip():
        raise BadSheet("the file is empty")
    if body.startswith(OLD_OFFICE):
        raise BadSheet("this is a workbook with a password or of the old format: save it as .xlsx")
    if body.startswith(ZIP) != (format_ is SheetFormat.XLSX):
        found = "an XLSX file" if body.startswith(ZIP) else "no XLSX file"
        raise BadSheet(f"sent as {format_.upper()}, but this is {found}")
    if format_ is SheetFormat.XLSX:
        return read_xlsx(body, name)
    if name is not None:
        raise BadSheet("a CSV has no sheets to choose from")
    return read_csv(body, sheet)


# --- CSV ------------------------------------------------------------------------------------------

BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_csv(body: bytes, sheet: Sheet) -> Table:
    text, encoding = decoded(body)
    delimiter = likeliest_delimiter(text, sheet)
    rows: list[tuple[int, Sequence[Cell]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            rows.append((number, cells))
            if len(rows) > MAX_ROWS + 1:
                raise too_many_rows()
    except csv.Error as error:
        raise BadSheet(f"line {reader.line_num}: {error}") from error
    return table(SheetFormat.CSV, f"{encoding}, {DELIMITERS[delimiter]}", rows)


def decoded(body: bytes) -> tuple[str, str]:
    """The text and the encoding it was in. UTF-8 proves itself: text in GB 18030, which a Chinese
    Excel writes, is hardly ever valid UTF-8 by chance."""
    marked = next((encoding for bom, encoding in BOMS if body.startswith(bom)), None)
    for encoding in [marked] if marked else ["utf-8", "gb18030"]:
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, encoding
    raise BadSheet("this is no text: neither UTF-8 (or UTF-16 with its mark) nor GB 18030")


def likeliest_delimiter(text: str, sheet: Sheet) -> str:
    """The delimiter by which the first line that is not blank has the most headers of ours."""
    known = known_headers(sheet)
    head = text.lstrip()[:20_000]

    def score(delimiter: str) -> int:
        first: list[str] = next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), [])
        return sum(header_key(cell) in known for cell in first)

    return max(DELIMITERS, key=score)


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """With the mark by which spreadsheets know UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([neutralised(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue().encode("utf-8-sig")


# --- XLSX, read -----------------------------------------------------------------------------------

WORKBOOK = "xl/workbook.xml"
RELATIONS = "xl/_rels/workbook.xml.rels"
SHARED = (
    "[Content_Types].xml",
    "_rels/.rels",
    WORKBOOK,
    RELATIONS,
    "xl/styles.xml",
    "xl/sharedStrings.xml",
)
REFERENCE = re.compile(r"([A-Za-z]{0,3})([0-9]{1,7})")


def read_xlsx(body: bytes, name: str | None) -> Table:
    parts = unpacked(body, SHARED)
    if WORKBOOK not in parts or RELATIONS not in parts:
        raise BadSheet("this is a ZIP file, but no XLSX workbook")
    for content in parts.values():
        Scan(content)
    shown, path = chosen(parts, name)
    parts |= unpacked(body, (path,))
    if path not in parts:
        raise BadSheet(f"the sheet '{shown}' is missing from the workbook")
    scan = Scan(parts[path])
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(packed(parts)))
        cells: list[list[Any]] = book.get_sheet_by_name(shown).to_python(skip_empty_area=False)
    except (CalamineError, OSError) as error:
        raise BadSheet(f"the workbook is damaged: {error}") from error
    for row, column in scan.errors:
        cells[row] += [""] * (column + 1 - len(cells[row]))
        cells[row][column] = ErrorValue()
    return table(SheetFormat.XLSX, f"sheet {shown}", list(enumerate(cells, start=1)))


def unpacked(body: bytes, wanted: Iterable[str]) -> dict[str, bytes]:
    """Parts of a workbook, no more than a limit in all."""
    left = MAX_UNPACKED_BYTES
    parts = {}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as given:
            # Writers do not agree on capitals, and readers pass over them.
            present = {name.lower(): name for name in given.namelist()}
            for path in dict.fromkeys(wanted):
                if path.lower() in present:
                    with given.open(present[path.lower()]) as part:
                        parts[path] = part.read(left + 1)
                    left -= len(parts[path])
                    if left < 0:
                        raise BadSheet(
                            f"the workbook unpacks to more than {MAX_UNPACKED_BYTES:,} bytes"
                        )
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise BadSheet(f"the workbook is damaged: {error}") from error
    return parts


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for path, content in parts.items():
            made.writestr(path, content)
    return out.getvalue()


def chosen(parts: dict[str, bytes], name: str | None) -> tuple[str, str]:
    """The name of the sheet asked for, or of the first, and the path of its part."""
    try:
        links = {
            one.get("Id"): one.get("Target", "") for one in ElementTree.fromstring(parts[RELATIONS])
        }
        found = ElementTree.fromstring(parts[WORKBOOK]).findall("{*}sheets/{*}sheet")
    except ElementTree.ParseError as error:
        raise BadSheet(f"the workbook is damaged: {error}") from error
    sheets = {one.get("name", ""): links.get(link(one), "") for one in found}
    if not sheets:
        raise BadSheet("the workbook has no sheet")
    shown = next(iter(sheets)) if name is None else name
    if shown not in sheets:
        raise BadSheet(f"there is no sheet '{shown}', but {', '.join(sheets)}")
    target = sheets[shown]
    return shown, target[1:] if target.startswith("/") else f"xl/{target}"


def link(sheet: ElementTree.Element) -> str | None:
    """The id of a sheet's part. Its namespace depends on the dialect, transitional or strict."""
    return next((text for name, text in sheet.items() if name.endswith("}id")), None)


class Scan:
    """A part that announces no more than it holds, and where its cells show errors.

    Raises `BadSheet` for a part that is no XML or has a document type, for cells beyond the
    columns we take, and `TooManyRows` for those beyond the rows.
    """

    def __init__(self, content: bytes) -> None:
        self.length = len(content)
        self.row = -1
        self.column = -1
        self.errors: list[tuple[int, int]] = []
        parser = expat.ParserCreate()
        parser.StartElementHandler = self.element
        parser.StartDoctypeDeclHandler = self.doctype
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise BadSheet(f"the workbook is damaged: {error}") from error
        if b"\0" in content:
            raise BadSheet("the workbook is damaged: a part of it is not in UTF-8")

    def doctype(self, *_: object) -> None:
        raise BadSheet("the workbook has a document type, which no spreadsheet writes")

    def element(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("v", "f", "t", "is", "si"):
            return
        name = name.rpartition(":")[2]
        if name == "row":
            self.row, self.column = self.row + 1, -1
            if "r" in attributes:
                self.move(attributes["r"])
        elif name == "c":
            self.column += 1
            if "r" in attributes:
                self.move(attributes["r"])
            if self.row > MAX_ROWS:
                raise too_many_rows()
            if self.column >= MAX_COLUMNS:
                raise BadSheet("a cell stands beyond column AZ: delete the columns not needed")
            if attributes.get("t") == "e":
                self.errors.append((self.row, self.column))
        elif "uniqueCount" in attributes:
            self.refuse_more_than_there_is(attributes["uniqueCount"])

    def move(self, reference: str) -> None:
        found = REFERENCE.fullmatch(reference)
        if found is None:
            raise BadSheet(f"the workbook is damaged: a cell at '{reference[:20]}'")
        if found[1]:
            self.column = column_number(found[1])
        self.row = int(found[2]) - 1

    def refuse_more_than_there_is(self, count: str) -> None:
        if not count.isdecimal() or len(count) > 9 or int(count) > self.length:
            raise BadSheet(f"the workbook is damaged: it announces {count[:20]} texts")


def column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


# --- XLSX, written --------------------------------------------------------------------------------

# Earlier days have other numbers in Excel than everywhere else.
FIRST_EXCEL_DAY = dt.date(1900, 3, 1)


def write_xlsx(
    title: str, header: Sequence[str], types: Sequence[type], rows: Iterable[Sequence[Any]]
) -> bytes:
    """Columns of text are formatted as text, so that a code typed into them stays one."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    page = book.add_worksheet(title)
    text = book.add_format({"num_format": "@"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    formats = {int: None, float: None, dt.date: day}
    for column, (shown, type_) in enumerate(zip(header, types, strict=True)):
        page.set_column(column, column, max(12, 2 * len(shown)), formats.get(type_, text))
        page.write_string(0, column, shown, book.add_format({"bold": True}))
    page.freeze_panes(1, 0)
    for number, row in enumerate(rows, start=1):
        for column, cell in enumerate(row):
            if isinstance(cell, dt.date) and cell >= FIRST_EXCEL_DAY:
                page.write_datetime(number, column, cell, day)
            elif isinstance(cell, int | float):
                page.write_number(number, column, cell)
            elif cell not in (None, ""):
                page.write_string(number, column, neutralised(str(cell)), text)
    book.close()
    return out.getvalue()


# --- Both -----------------------------------------------------------------------------------------


def table(format_: SheetFormat, read_as: str, rows: Sequence[tuple[int, Sequence[Cell]]]) -> Table:
    """The first row that is not blank is the header."""
    for index, (number, cells) in enumerate(rows):
        if any(not isinstance(cell, str) or cell.strip() for cell in cells):
            return Table(format_, read_as, number, cells, rows[index + 1 :])
    raise BadSheet("the sheet is empty", fields=[FieldError("", "no_header", "no cell is filled")])


def shown_header(column: Column, language: SheetLanguage) -> str:
    return column.zh if language is SheetLanguage.ZH else column.field


def write(
    sheet: Sheet,
    format_: SheetFormat,
    language: SheetLanguage,
    records: Iterable[dict[str, Any]],
) -> bytes:
    """Records as a file of a kind of sheet."""
    fields = fields_of(sheet)
    header = [shown_header(column, language) for column in sheet.columns]
    types = [fields[column.field].type for column in sheet.columns]
    rows = (
        [value(record[column.field], fields[column.field]) for column in sheet.columns]
        for record in records
    )
    if format_ is SheetFormat.CSV:
        return write_csv(header, rows)
    return write_xlsx(str(sheet.kind), header, types, rows)


def value(found: Any, field: Field) -> Any:
    """What a cell is given: numbers and dates as they are, all else as text."""
    if found is None or field.type in (int, float, dt.date):
        return found
    return " ".join(found) if field.type is list else str(found)


def plain(cell: Cell) -> str:
    """A cell of a file as a text, without the apostrophe that kept it from being a formula."""
    if isinstance(cell, ErrorValue):
        return "#N/A"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return restored(cell) if isinstance(cell, str) else str(cell)
