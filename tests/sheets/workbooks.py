"""Workbooks for tests: well made ones by the library, and others by hand."""

import datetime as dt
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import xlsxwriter

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook(*rows: Sequence[Any], **more: Sequence[Sequence[Any]]) -> bytes:
    """A sheet "sites" of rows, and more sheets by name."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "nan_inf_to_errors": True})
    day = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    for name, content in {"sites": rows, **more}.items():
        page = book.add_worksheet(name)
        for number, cells in enumerate(content):
            for column, cell in enumerate(cells):
                if isinstance(cell, dt.date):
                    page.write_datetime(number, column, cell, day)
                elif isinstance(cell, str):
                    page.write_string(number, column, cell)
                elif cell is not None:
                    page.write(number, column, cell)
    book.close()
    return out.getvalue()


def rewritten(book: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The same workbook with its parts changed by hand."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as given, zipfile.ZipFile(out, "w") as made:
        for part in given.namelist():
            made.writestr(part, change(part, given.read(part)), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def with_rows(xml: str) -> bytes:
    """A workbook whose sheet holds this XML instead of rows."""

    def change(part: str, content: bytes) -> bytes:
        if part != "xl/worksheets/sheet1.xml":
            return content
        data = f"<sheetData>{xml}</sheetData>".encode()
        return re.sub(rb"<sheetData>.*</sheetData>", lambda _: data, content, flags=re.DOTALL)

    return rewritten(workbook(["code"]), change)
