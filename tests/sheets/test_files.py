"""Files as people really send them, and as nobody should."""

import datetime as dt
import zipfile
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.sheets import files
from leasing.sheets.model import MAX_ROWS, SITES, BadSheet, ErrorValue, Table, TooManyRows
from schemas.sheets import SheetFormat
from tests.sheets.workbooks import rewritten, with_rows, workbook

CSV, XLSX = SheetFormat.CSV, SheetFormat.XLSX


def read(body: bytes, format_: SheetFormat = CSV, name: str | None = None) -> Table:
    return files.read(body, format_, SITES, name)


def refused(body: bytes, format_: SheetFormat = CSV, name: str | None = None) -> str:
    with pytest.raises(BadSheet) as caught:
        read(body, format_, name)
    return caught.value.detail


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
        ("utf-16", "utf-16"),
    ],
)
def test_the_encoding_of_a_csv_is_found_and_told(encoding, said):
    table = read("站址编码,名称\r\nA-1,郑州一号站\r\n".encode(encoding))
    assert table.header == ["站址编码", "名称"]
    assert table.rows == [(2, ["A-1", "郑州一号站"])]
    assert table.read_as == f"{said}, comma"


@pytest.mark.parametrize(("mark", "said"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
def test_the_delimiter_of_a_csv_is_found_and_told(mark, said):
    table = read(f'code{mark}name\r\nA-1{mark}"a,b;c\td"\r\n'.encode())
    assert table.rows == [(2, ["A-1", "a,b;c\td"])]
    assert table.read_as == f"utf-8, {said}"


def test_rows_are_numbered_as_a_spreadsheet_shows_them():
    table = read(b'\r\ncode,name\r\nA-1,"two\r\nlines"\r\n\r\nA-2,x\r\n')
    assert table.header_row == 2
    assert table.rows == [(3, ["A-1", "two\r\nlines"]), (4, []), (5, ["A-2", "x"])]
    book = workbook([], ["", "code"], [], ["", "A-1"])
    assert read(book, XLSX).rows == [(3, ["", ""]), (4, ["", "A-1"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_on_any_system(end):
    table = read(f'code;name{end}A-1;"a{end}b"{end}'.encode())
    assert table.rows == [(2, ["A-1", f"a{end}b"])]


def test_an_unclosed_quote_is_told_and_does_not_swallow_the_rest():
    assert "line 3" in refused(b'code,name\nA-1,"open\nA-2,x\n')


@pytest.mark.parametrize("body", [b"", b" \r\n", b",,\r\n,,\r\n"])
def test_an_empty_file_is_called_empty(body):
    assert "empty" in refused(body)


def test_what_is_no_text_is_no_csv():
    assert "this is no text" in refused(b"\xff\x00\x01\x80\xff")
    assert "this is no text" in refused(b"code\0,name\n")


def test_a_file_is_what_it_is_whatever_it_is_called():
    book = workbook(["code"])
    assert refused(book, CSV) == "sent as CSV, but this is an XLSX file"
    assert refused(b"code\n1\n", XLSX) == "sent as XLSX, but this is no XLSX file"
    for format_ in SheetFormat:
        assert "password or of the old format" in refused(b"\xd0\xcf\x11\xe0\xa1\xb1", format_)
    other = BytesIO()
    with zipfile.ZipFile(other, "w") as made:
        made.writestr("word/document.xml", "<a/>")
    assert "no XLSX workbook" in refused(other.getvalue(), XLSX)
    assert "damaged" in refused(book[: len(book) // 2], XLSX)


def test_the_first_sheet_is_read_or_the_one_that_is_named():
    book = workbook(["code"], ["first"], 说明=[["code"], ["second"]])
    assert read(book, XLSX).rows == [(2, ["first"])]
    assert read(book, XLSX, "说明").rows == [(2, ["second"])]
    assert refused(book, XLSX, "x") == "there is no sheet 'x', but sites, 说明"
    assert "no sheets" in refused(b"code\n1\n", CSV, "x")


def test_cells_keep_their_types():
    day, at = dt.date(2026, 1, 5), dt.datetime(2026, 1, 5, 3, 4)  # noqa: DTZ001
    book = workbook(["code"], ["007", 7, 1.5, True, day, at, "=1+1", " x\ny "])
    assert read(book, XLSX).rows == [(2, ["007", 7.0, 1.5, True, day, at, "=1+1", " x\ny "])]


def test_a_workbook_of_the_strict_dialect_and_with_other_capitals_is_read():
    loose = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    strict = b"http://purl.oclc.org/ooxml/officeDocument/relationships"
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    strict_main = b"http://purl.oclc.org/ooxml/spreadsheetml/main"
    book = rewritten(
        workbook(["code"], ["A-1"]),
        lambda _, part: part.replace(loose, strict).replace(main, strict_main),
    )
    assert read(book, XLSX).rows == [(2, ["A-1"])]
    renamed = BytesIO()
    with zipfile.ZipFile(BytesIO(book)) as given_, zipfile.ZipFile(renamed, "w") as made:
        for part in given_.namelist():
            made.writestr(part.replace("sharedStrings", "SharedStrings"), given_.read(part))
    assert read(renamed.getvalue(), XLSX).rows == [(2, ["A-1"])]


def test_a_cell_with_an_error_is_not_an_empty_one():
    book = with_rows(
        '<row r="1"><c r="A1" t="inlineStr"><is><t>code</t></is></c></row>'
        '<row r="2"><c r="A2"><v>1</v></c><c r="C2" t="e"><v>#N/A</v></c></row>'
        '<row><c t="e"><v>#REF!</v></c><c><v>5</v></c></row>'
    )
    assert read(book, XLSX).rows == [(2, [1.0, "", ErrorValue()]), (3, [ErrorValue(), 5.0, ""])]


# --- Bombs ----------------------------------------------------------------------------------------


def test_a_csv_has_a_limit_of_rows():
    assert len(read(b"code\n" + b"1\n" * MAX_ROWS).rows) == MAX_ROWS
    with pytest.raises(TooManyRows):
        read(b"code\n" + b"1\n" * (MAX_ROWS + 1))


@pytest.mark.parametrize(
    "row",
    [
        '<row r="{}"><c><v>1</v></c></row>',
        '<row><c r="A{}"><v>1</v></c></row>',
        '<x:row xmlns:x="a:b" r="{}"><x:c/></x:row>',
        "<row a='>' r='{}'><c/></row>",
        '<row r="&#57;{}"><c/></row>',
    ],
)
@pytest.mark.parametrize("number", [MAX_ROWS + 2, 1_048_576, 9_999_999])
def test_a_cell_far_below_is_refused_before_the_rows_above_it_are_made(row, number):
    with pytest.raises((TooManyRows, BadSheet)):
        read(with_rows(row.format(number)), XLSX)


def test_a_workbook_has_the_same_limit_of_rows():
    last = '<row r="{}"><c><v>1</v></c></row>'
    head = '<row r="1"><c t="inlineStr"><is><t>code</t></is></c></row>'
    assert len(read(with_rows(head + last.format(MAX_ROWS + 1)), XLSX).rows) == MAX_ROWS
    with pytest.raises(TooManyRows):
        read(with_rows(head + last.format(MAX_ROWS + 2)), XLSX)


@pytest.mark.parametrize("cell", ["BA1", "XFD1", "xfd1", "ZZZ1"])
def test_a_cell_far_to_the_right_is_refused(cell):
    assert "beyond column AZ" in refused(with_rows(f'<row><c r="{cell}"/></row>'), XLSX)
    assert read(with_rows('<row><c r="AZ1"><v>1</v></c></row>'), XLSX).header[51] == 1.0


def test_cells_without_positions_are_counted():
    assert "beyond column AZ" in refused(with_rows(f"<row>{'<c/>' * 53}</row>"), XLSX)
    with pytest.raises(TooManyRows):
        read(with_rows("<row/>" * (MAX_ROWS + 1) + "<row><c><v>1</v></c></row>"), XLSX)


@pytest.mark.parametrize("where", ["A99999999999", "$A$1", "", "1A", "A0x", "A-1"])
def test_a_cell_in_no_place_is_refused(where):
    assert "damaged" in refused(with_rows(f'<row><c r="{where}"><v>1</v></c></row>'), XLSX)


@pytest.mark.parametrize("count", ["99999999999", "100000000", "-1", "x"])
def test_a_workbook_that_announces_more_texts_than_it_holds_is_refused(count):
    book = rewritten(
        workbook(["code"]),
        lambda _, part: part.replace(b'uniqueCount="1"', f'uniqueCount="{count}"'.encode()),
    )
    assert "announces" in refused(book, XLSX)


def test_a_workbook_that_unpacks_without_end_is_refused(monkeypatch):
    blanks = b" " * 2_000_000

    def change(part: str, content: bytes) -> bytes:
        if part != "xl/worksheets/sheet1.xml":
            return content
        return content.replace(b"<sheetData>", blanks + b"<sheetData>")

    book = rewritten(workbook(["code"]), change)
    assert len(book) < 20_000
    assert read(book, XLSX).header == ["code"]
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1_000_000)
    assert "unpacks to more than" in refused(book, XLSX)


def test_a_document_type_is_refused():
    entity = b'<!DOCTYPE a [<!ENTITY b "c">]><worksheet'
    book = rewritten(
        workbook(["code"]),
        lambda part, content: (
            content.replace(b"<worksheet", entity) if "sheet1" in part else content
        ),
    )
    assert "document type" in refused(book, XLSX)


BOOK = workbook(["code", "name"], ["A-1", 7.5], ["A-2", dt.date(2026, 1, 5)])


@settings(max_examples=300)
@given(st.data())
def test_no_damage_to_a_workbook_escapes_as_anything_but_a_refusal(data):
    with zipfile.ZipFile(BytesIO(BOOK)) as whole:
        part = data.draw(st.sampled_from([name for name in whole.namelist() if "xl/" in name]))
    at = data.draw(st.integers(0, 400))
    cut = data.draw(st.integers(0, 30))
    put = data.draw(st.binary(max_size=12) | st.sampled_from([b"<row r='7'>", b"]]>", b"&a;"]))
    book = rewritten(
        BOOK, lambda name, content: content[:at] + put + content[at + cut :] if name == part
        else content,
    )  # fmt: skip
    with suppress(BadSheet, TooManyRows):
        read(book, XLSX)


@given(
    st.binary(max_size=300), st.sampled_from(list(SheetFormat)), st.sampled_from([b"", b"PK\3\4"])
)
def test_no_bytes_escape_as_anything_but_a_refusal(body, format_, begin):
    with suppress(BadSheet, TooManyRows):
        read(begin + body, format_)
