"""A register as CSV and as XLSX."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from leasing.documents.sheets import Cell, csv_of, xlsx_of
from leasing.sheets.rules import neutralised
from schemas.documents import DocumentLanguage
from schemas.life_files import RegisterView

COLUMNS: dict[str, tuple[str, str]] = {
    "on": ("Day", "日期"),
    "direction": ("In or out", "出入库"),
    "code": ("Pack code", "电池包编码"),
    "source": ("Source", "来源"),
    "vin": ("VIN", "车辆识别代号"),
    "kind": ("Kind", "电池类型"),
    "quantity": ("Quantity", "数量"),
    "mass_kg": ("Mass (kg)", "质量(千克)"),
    "weighed_kg": ("Weighed (kg)", "过磅(千克)"),
    "consignment": ("Consignment", "托运批次"),
    "destination": ("Destination", "去向"),
    "evidence": ("Certificate", "证明编号"),
    "keep_until": ("Keep until", "保存至"),
}

DIRECTIONS = {"in": ("in", "入库"), "out": ("out", "出库")}


def labels(language: DocumentLanguage) -> list[str]:
    return [column[place(language)] for column in COLUMNS.values()]


def place(language: DocumentLanguage) -> int:
    return 1 if language is DocumentLanguage.ZH else 0


def rows(register: RegisterView, language: DocumentLanguage) -> Iterator[list[Cell]]:
    for entry in register.entries:
        cells: list[Cell] = [getattr(entry, name) for name in COLUMNS]
        cells[1] = DIRECTIONS[entry.direction][place(language)]
        yield cells


def write_csv(register: RegisterView, language: DocumentLanguage) -> bytes:
    return csv_of(labels(language), rows(register, language))


def write_xlsx(register: RegisterView, language: DocumentLanguage) -> bytes:
    def fill(book: Any) -> None:
        sheet = book.add_worksheet(register.outlet_code[:31])
        head = book.add_format({"bold": True, "bottom": 1})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for column, label in enumerate(labels(language)):
            sheet.write_string(0, column, label, head)
            sheet.set_column(column, column, 26 if column in (2, 3, 10) else 12)
        for at, cells in enumerate(rows(register, language), start=1):
            for column, cell in enumerate(cells):
                write_cell(sheet, at, column, cell, day)

    return xlsx_of(fill)


def write_cell(sheet: Any, row: int, column: int, cell: Cell, day: Any) -> None:
    if isinstance(cell, str):
        sheet.write_string(row, column, neutralised(cell))
    elif isinstance(cell, int | Decimal):
        sheet.write_number(row, column, cell)
    elif cell is not None:
        sheet.write_datetime(row, column, cell, day)
