"""Documents as CSV and as XLSX. What they have in common, and those of an invoice: the CSV has the
lines; the workbook a summary and the lines, with formulas that add them up beside the values they
come to."""

import csv
import datetime as dt
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import xlsxwriter

from leasing.documents.model import City, InvoiceDocument, Line, Named, Operator, Province, Site
from leasing.documents.rules import lines_of
from leasing.documents.words import Words, words_of
from leasing.sheets.rules import neutralised
from schemas.documents import DocumentLanguage

Row = tuple[Operator, Province, City, Site, Line]
Cell = str | int | Decimal | dt.date | None


class Column(NamedTuple):
    label: str
    value: Callable[[Words, Row], Cell]
    width: int
    is_money: bool = False


def line(read: Callable[[Line], Cell]) -> Callable[[Words, Row], Cell]:
    return lambda words, row: read(row[4])


def money(read: Callable[[Line], int | None]) -> Callable[[Words, Row], Cell]:
    return lambda words, row: words.plain(read(row[4]))


COLUMNS = (
    Column("operator", lambda words, row: words.name(row[0].name, row[0].name_en), 24),
    Column("province", lambda words, row: words.name(row[1].name, row[1].name_en), 12),
    Column("city", lambda words, row: words.name(row[2].name, row[2].name_en), 14),
    Column("adcode", lambda words, row: row[2].adcode, 9),
    Column("site_code", lambda words, row: row[3].code, 16),
    Column("site", lambda words, row: row[3].name, 24),
    Column("slot", line(lambda one: one.slot), 6),
    Column("contract", line(lambda one: one.contract), 16),
    Column("pack", line(lambda one: one.pack_code), 28),
    Column("component", lambda words, row: words.of(row[4].component), 14),
    Column("from", line(lambda one: one.first_on), 11),
    Column("to", line(lambda one: one.last_on), 11),
    Column("days", line(lambda one: one.days), 6),
    Column("period_days", line(lambda one: one.period_days), 8),
    Column("price", money(lambda one: one.price_amount), 13, is_money=True),
    Column("quantity", line(lambda one: one.quantity), 10),
    Column("unit_price", lambda words, row: words.unit_price(row[4].unit_price), 11),
    Column("amount", money(lambda one: one.amount), 13, is_money=True),
    Column("vat_mode", lambda words, row: words.of(row[4].vat_mode), 9),
    Column("vat_percent", line(lambda one: one.vat_percent), 7),
    Column("net", money(lambda one: one.net_amount), 13, is_money=True),
    Column("vat", money(lambda one: one.vat_amount), 12, is_money=True),
    Column("gross", money(lambda one: one.net_amount + one.vat_amount), 13, is_money=True),
    Column("takes_back", line(lambda one: one.takes_back), 18),
)

ADDED_UP = ("net", "vat", "gross")


def rows(document: InvoiceDocument, words: Words) -> Iterator[list[Cell]]:
    for row in lines_of(document):
        yield [column.value(words, row) for column in COLUMNS]


# --- CSV ------------------------------------------------------------------------------------------


def write_csv(named: Named, language: DocumentLanguage) -> bytes:
    """The lines, and nothing that would have to be left out to add them up."""
    words = words_of(named.document, language)
    return csv_of([words.of(column.label) for column in COLUMNS], rows(named.document, words))


def csv_of(header: Sequence[str], lines: Iterable[Sequence[Cell]]) -> bytes:
    """A file that begins with the mark by which spreadsheets know UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    for row in lines:
        writer.writerow([neutralised(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue().encode("utf-8-sig")


# --- XLSX -----------------------------------------------------------------------------------------


def write_xlsx(named: Named, language: DocumentLanguage) -> bytes:
    words = words_of(named.document, language)
    return xlsx_of(lambda book: Book(book, named, words).write())


def xlsx_of(fill: Callable[[Any], None]) -> bytes:
    """A workbook, made row by row: of those done `constant_memory` keeps none, but on disk."""
    with tempfile.TemporaryFile() as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True})
        fill(book)
        book.close()
        file.seek(0)
        return file.read()


class Forms:
    """How cells of a workbook look. Text is written as text, so that a code is no number and a name
    no formula."""

    def __init__(self, book: Any, words: Words) -> None:
        decimals = "." + "0" * words.digits if words.digits else ""
        self.words = words
        self.bold = book.add_format({"bold": True})
        self.title = book.add_format({"bold": True, "font_size": 16})
        self.money = book.add_format({"num_format": f"#,##0{decimals}"})
        self.bold_money = book.add_format({"num_format": f"#,##0{decimals}", "bold": True})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True})

    def write_cell(self, sheet: Any, row: int, column: int, cell: Cell, form: Any = None) -> None:
        if cell is None or cell == "":
            return
        if isinstance(cell, str):
            sheet.write_string(row, column, neutralised(cell), form)
        elif isinstance(cell, dt.date):
            sheet.write_datetime(row, column, cell, self.day)
        else:
            sheet.write_number(row, column, float(cell), form)

    def write_head(self, sheet: Any, row: int, labels: Iterable[str]) -> None:
        for column, label in enumerate(labels):
            sheet.write_string(row, column, self.words.of(label) if label else "", self.head)

    def write_facts(self, sheet: Any, facts: Iterable[tuple[str, Cell]]) -> int:
        """The title, and labels with their values below it; returns the last row."""
        sheet.write_string(0, 0, self.words.title, self.title)
        at = 1
        for at, (label, value) in enumerate(facts, start=2):
            sheet.write_string(at, 0, self.words.of(label), self.bold)
            self.write_cell(sheet, at, 1, value)
        return at


class Book(Forms):
    """The two sheets of an invoice."""

    def __init__(self, book: Any, named: Named, words: Words) -> None:
        super().__init__(book, words)
        self.named = named
        self.document = named.document
        self.summary = book.add_worksheet(words.of("summary"))
        self.annex = book.add_worksheet(words.of("annex"))
        self.last = self.document.line_count
        """Row of the annex that holds its last line; row 0 is the header."""

    def write(self) -> None:
        self.write_summary()
        self.write_annex()

    def write_summary(self) -> None:
        words = self.words
        self.summary.set_column(0, 0, 26)
        self.summary.set_column(1, 1, 44)
        self.summary.set_column(2, 5, 16)
        at = self.write_facts(self.summary, facts(self.named, words))
        at = self.write_vat(at + 2)
        self.write_cities(at + 2)
        self.summary.set_landscape()
        self.summary.fit_to_pages(1, 0)

    def write_vat(self, at: int) -> int:
        """VAT by rate, and the totals as the sums of the annex."""
        document, words = self.document, self.words
        self.write_head(self.summary, at, ("vat_percent", "", *ADDED_UP))
        for one in document.vat:
            at += 1
            self.summary.write_number(at, 0, float(one.percent))
            gross = one.net_amount + one.vat_amount
            for column, value in enumerate((one.net_amount, one.vat_amount, gross), start=2):
                self.summary.write_number(at, column, float(words.plain(value) or 0), self.money)
        at += 1
        self.summary.write_string(at, 0, words.of("total"), self.bold)
        self.write_sums(self.summary, at, 2, sheet=f"'{words.of('annex')}'!")
        return at

    def write_cities(self, at: int) -> None:
        words = self.words
        self.write_head(self.summary, at, ("operator", "city", *ADDED_UP, "lines"))
        for operator in self.document.operators:
            for province in operator.provinces:
                for city in province.cities:
                    at += 1
                    place = words.name(province.name, province.name_en)
                    below = words.name(city.name, city.name_en)
                    name = words.name(operator.name, operator.name_en)
                    self.summary.write_string(at, 0, name)
                    where = below if below == place else f"{place} · {below}"
                    self.summary.write_string(at, 1, where)
                    sums = city.sums
                    amounts = (sums.net_amount, sums.vat_amount, sums.total_amount)
                    for column, amount in enumerate(amounts, start=2):
                        value = float(words.plain(amount) or 0)
                        self.summary.write_number(at, column, value, self.money)
                    count = sum(len(site.lines) for site in city.sites)
                    self.summary.write_number(at, 5, count)

    def write_annex(self) -> None:
        words = self.words
        for number, column in enumerate(COLUMNS):
            self.annex.set_column(number, number, column.width)
            self.annex.write_string(0, number, words.of(column.label), self.head)
        self.annex.freeze_panes(1, 0)
        self.annex.repeat_rows(0)
        self.annex.set_landscape()
        self.annex.fit_to_pages(1, 0)
        at = 0
        for at, row in enumerate(rows(self.document, words), start=1):
            for number, cell in enumerate(row):
                form = self.money if COLUMNS[number].is_money else None
                self.write_cell(self.annex, at, number, cell, form)
        self.annex.write_string(at + 1, 0, words.of("total"), self.bold)
        self.write_sums(self.annex, at + 1, place_of("net"))

    def write_sums(self, page: Any, row: int, column: int, *, sheet: str = "") -> None:
        """Formulas that add up the annex, each with its value for readers that do not add up."""
        sums = self.document.sums
        amounts = (sums.net_amount, sums.vat_amount, sums.total_amount)
        for offset, (label, amount) in enumerate(zip(ADDED_UP, amounts, strict=True)):
            letter = letters(place_of(label))
            formula = f"=SUM({sheet}{letter}2:{letter}{self.last + 1})"
            value = float(self.words.plain(amount) or 0)
            page.write_formula(row, column + offset, formula, self.bold_money, value)


def facts(named: Named, words: Words) -> list[tuple[str, Cell]]:
    """The head of a document, as labels and values."""
    document = named.document
    period = f"{document.first_on} {words.of('through')} {document.last_on}"
    return [
        ("number", document.number),
        ("credits", document.credits),
        ("issued_on", document.issued_on),
        *([("due_on", document.due_on)] if document.due_on else []),
        ("period", period),
        ("seller", words.name(document.seller.name, document.seller.name_en)),
        ("credit_code", document.seller.credit_code),
        ("buyer", words.name(document.buyer.name, document.buyer.name_en)),
        ("credit_code", document.buyer.credit_code),
        ("currency", document.currency),
        ("in_words", document.total_in_words),
        ("lines", document.line_count),
        ("sha256", named.sha256),
    ]


def place_of(label: str) -> int:
    return next(number for number, column in enumerate(COLUMNS) if column.label == label)


def letters(column: int) -> str:
    """
    >>> letters(0), letters(25), letters(26)
    ('A', 'Z', 'AA')
    """
    return (letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)
