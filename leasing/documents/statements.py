"""A statement of account as a document: what it says, and its forms.

Like an invoice it has neither ids nor instants, and its name is the SHA-256 of its canonical JSON.
Unlike one it is not archived: it tells what is known of its days when it is asked for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from leasing.documents import pages, pdf, sheets
from leasing.documents.model import Firm
from leasing.documents.pdf import Face, Layout
from leasing.documents.sheets import Cell, Forms, letters
from leasing.documents.words import Words
from schemas.documents import DocumentLanguage, StatementFormat


class Entry(msgspec.Struct, frozen=True):
    """Something by which what is owed changes."""

    posted_on: date
    kind: str
    number: str
    due_on: date | None
    """Of what is owed; money has none."""
    amount: int
    """Positive is owed by the customer. In whole minor units."""
    balance: int
    """What is owed after it."""


class KindSum(msgspec.Struct, frozen=True):
    kind: str
    entries: int
    amount: int


class Ageing(msgspec.Struct, frozen=True):
    """What the closing balance is made of: it is the sum of these."""

    not_due: int
    days_1_30: int
    days_31_60: int
    days_61_90: int
    days_over_90: int
    unused_credit: int
    """Credit notes that settled nothing yet; negative."""
    unused_money: int
    """Payments that settled nothing yet; negative."""


class StatementDocument(msgspec.Struct, frozen=True):
    currency: str
    digits: int
    """Decimals of the currency: what a minor unit is a part of."""
    first_on: date
    last_on: date
    seller: Firm
    customer: Firm
    opening_balance: int
    sums: list[KindSum]
    closing_balance: int
    ageing: Ageing
    """At the end of the last day."""
    entries: list[Entry]


class NamedStatement(msgspec.Struct, frozen=True):
    """A statement and the SHA-256 of its canonical JSON."""

    document: StatementDocument
    content: bytes
    sha256: str


class StatementDoesNotTie(Exception):
    """Entries, sums and balances of a statement contradict each other: a bug, never shown."""


def named(document: StatementDocument) -> NamedStatement:
    """The statement with its canonical JSON. Raises `StatementDoesNotTie`."""
    moved = document.closing_balance - document.opening_balance
    sums = sum(one.amount for one in document.sums)
    entries = sum(one.amount for one in document.entries)
    open_amount = sum(msgspec.structs.astuple(document.ageing))
    if not moved == sums == entries or open_amount != document.closing_balance:
        raise StatementDoesNotTie(f"{moved}, {sums}, {entries}, {document.ageing}")
    content = msgspec.json.encode(document)
    return NamedStatement(document, content, hashlib.sha256(content).hexdigest())


def sums_of(entries: Sequence[Entry]) -> list[KindSum]:
    """What entries come to by kind, in the order in which the kinds first come."""
    found: dict[str, list[int]] = {}
    for one in entries:
        found.setdefault(one.kind, []).append(one.amount)
    return [KindSum(kind, len(amounts), sum(amounts)) for kind, amounts in found.items()]


class Month(NamedTuple):
    """Entries of a calendar month, added up."""

    name: str
    charged: int
    settled: int
    balance: int
    """At the end of the month, or of the statement."""


def months(document: StatementDocument) -> Iterator[Month]:
    for name, group in groupby(document.entries, key=lambda one: f"{one.posted_on:%Y-%m}"):
        entries = list(group)
        charged = sum(one.amount for one in entries if one.amount > 0)
        settled = -sum(one.amount for one in entries if one.amount < 0)
        yield Month(name, charged, settled, entries[-1].balance)


# --- In one language ------------------------------------------------------------------------------


LATE = ("not_due", "days_1_30", "days_31_60", "days_61_90", "days_over_90")
AGES = (*LATE, "unused_credit", "unused_money")


def words_of(document: StatementDocument, language: DocumentLanguage) -> Words:
    return Words("statement", document.digits, language)


def period(document: StatementDocument, words: Words) -> str:
    return f"{document.first_on} {words.of('through')} {document.last_on}"


def charged(entry: Entry) -> int | None:
    return entry.amount if entry.amount >= 0 else None


def settled(entry: Entry) -> int | None:
    return -entry.amount if entry.amount < 0 else None


def shares(document: StatementDocument) -> list[int]:
    """Of a thousand, how much of what is owed is how late: a picture of the ageing."""
    owed = [max(getattr(document.ageing, age), 0) for age in LATE]
    whole = sum(owed)
    return [round(1000 * one / whole) for one in owed] if whole else []


def write(statement: NamedStatement, format_: StatementFormat, language: DocumentLanguage) -> bytes:
    """A statement as a file; as PDF it is printed, with `LAYOUT`."""
    if format_ is StatementFormat.JSON:
        return statement.content
    document, words = statement.document, words_of(statement.document, language)
    if format_ is StatementFormat.CSV:
        return sheets.csv_of([words.of(label) for label in COLUMNS], rows(document, words))
    if format_ is StatementFormat.XLSX:
        return sheets.xlsx_of(lambda book: Book(book, statement, words).write())
    return pages.page(
        "statement.html",
        document,
        statement.sha256,
        words,
        period=period(document, words),
        ages=AGES,
        shares=shares(document),
    )


# --- CSV and XLSX ---------------------------------------------------------------------------------

COLUMNS = ("posted_on", "entry", "number", "due_on", "charged", "settled", "balance")
WIDTHS = (12, 20, 26, 14, 16, 16, 16)
FIRST_MONEY = COLUMNS.index("charged")


def rows(document: StatementDocument, words: Words) -> Iterator[list[Cell]]:
    for one in document.entries:
        amounts = (charged(one), settled(one), one.balance)
        what = words.of(one.kind)
        yield [one.posted_on, what, one.number, one.due_on, *map(words.plain, amounts)]


class Book(Forms):
    """A sheet of sums and a sheet of entries. Formulas lead from the opening balance to the closing
    one, beside the values they come to."""

    def __init__(self, book: Any, statement: NamedStatement, words: Words) -> None:
        super().__init__(book, words)
        self.statement = statement
        self.document = statement.document
        self.summary = book.add_worksheet(words.of("summary"))
        self.entries = book.add_worksheet(words.of("annex"))

    def write(self) -> None:
        self.write_summary()
        self.write_entries()
        for sheet in (self.summary, self.entries):
            sheet.set_landscape()
            sheet.fit_to_pages(1, 0)

    def write_summary(self) -> None:
        document, words = self.document, self.words
        self.summary.set_column(0, 0, 26)
        self.summary.set_column(1, 1, 44)
        self.summary.set_column(2, 2, 16)
        facts: list[tuple[str, Cell]] = [
            ("period", period(document, words)),
            ("seller", words.name(document.seller.name, document.seller.name_en)),
            ("customer", words.name(document.customer.name, document.customer.name_en)),
            ("credit_code", document.customer.credit_code),
            ("currency", document.currency),
            ("sha256", self.statement.sha256),
        ]
        at = self.write_facts(self.summary, facts) + 2
        self.write_head(self.summary, at, ("entry", "entries", "amount"))
        first = at + 1
        at = self.write_amount(first, "opening", None, document.opening_balance)
        for one in document.sums:
            at = self.write_amount(at, one.kind, one.entries, one.amount)
        self.summary.write_string(at, 0, words.of("closing"), self.bold)
        self.write_sum(self.summary, at, 2, f"=SUM(C{first + 1}:C{at})", document.closing_balance)
        at += 2
        self.summary.write_string(at, 0, words.of("open"), self.head)
        self.summary.write_datetime(at, 1, document.last_on, self.day)
        for age in AGES:
            at = self.write_amount(at + 1, age, None, getattr(document.ageing, age)) - 1

    def write_amount(self, at: int, label: str, count: int | None, amount: int) -> int:
        """One row of a label and what it comes to; returns the row after it."""
        self.summary.write_string(at, 0, self.words.of(label))
        self.write_cell(self.summary, at, 1, count)
        self.write_cell(self.summary, at, 2, self.words.plain(amount), self.money)
        return at + 1

    def write_sum(self, sheet: Any, row: int, column: int, formula: str, amount: int) -> None:
        value = float(self.words.plain(amount) or 0)
        sheet.write_formula(row, column, formula, self.bold_money, value)

    def write_entries(self) -> None:
        document, words = self.document, self.words
        for column, width in enumerate(WIDTHS):
            self.entries.set_column(column, column, width)
        self.write_head(self.entries, 0, COLUMNS)
        self.entries.freeze_panes(1, 0)
        self.entries.repeat_rows(0)
        balance = len(COLUMNS) - 1
        self.entries.write_string(1, 1, words.of("opening"), self.bold)
        opening = words.plain(document.opening_balance)
        self.write_cell(self.entries, 1, balance, opening, self.bold_money)
        at = 1
        for at, row in enumerate(rows(document, words), start=2):
            for column, cell in enumerate(row):
                form = self.money if column >= FIRST_MONEY else None
                self.write_cell(self.entries, at, column, cell, form)
        last, at = at + 1, at + 1
        self.entries.write_string(at, 1, words.of("closing"), self.bold)
        columns = [letters(FIRST_MONEY), letters(FIRST_MONEY + 1)]
        for offset, (letter, side) in enumerate(zip(columns, (charged, settled), strict=True)):
            amount = sum(side(one) or 0 for one in document.entries)
            formula = f"=SUM({letter}3:{letter}{last})" if document.entries else "=0"
            self.write_sum(self.entries, at, FIRST_MONEY + offset, formula, amount)
        plus, minus = (f"{letter}{at + 1}" for letter in columns)
        formula = f"={letters(balance)}2+{plus}-{minus}"
        self.write_sum(self.entries, at, balance, formula, document.closing_balance)


# --- PDF ------------------------------------------------------------------------------------------


def data(statement: NamedStatement, language: DocumentLanguage, face: Face) -> dict[str, Any]:
    """Everything that is printed, as it is printed. A statement with more entries than an invoice
    may have lines shows the sums by month."""
    document, words = statement.document, words_of(statement.document, language)
    is_long = len(document.entries) > pdf.MAX_LINES
    return {
        **pdf.sheet(words, face, period(document, words), statement.sha256),
        "facts": [[words.of("currency"), document.currency]],
        "seller": pdf.firm(words, document.seller),
        "buyer": pdf.firm(words, document.customer),
        "opening": words.money(document.opening_balance),
        "closing": words.money(document.closing_balance),
        "sums": [
            [words.of(one.kind), str(one.entries), words.money(one.amount)] for one in document.sums
        ],
        "ageing": [[words.of(age), words.money(getattr(document.ageing, age))] for age in AGES],
        "shares": shares(document),
        "last_on": str(document.last_on),
        "heads": [words.of("month" if is_long else "posted_on"), *map(words.of, COLUMNS[1:])],
        "entries": list(monthly(document, words) if is_long else printed(document, words)),
        "left_off": words.of("lines_left_off") if is_long else None,
    }


def printed(document: StatementDocument, words: Words) -> Iterator[list[str]]:
    for one in document.entries:
        amounts = (charged(one), settled(one), one.balance)
        due_on = str(one.due_on or "")
        yield [
            str(one.posted_on), words.of(one.kind), one.number, due_on, *map(words.money, amounts)
        ]  # fmt: skip


def monthly(document: StatementDocument, words: Words) -> Iterator[list[str]]:
    for one in months(document):
        yield [one.name, "", "", "", *map(words.money, one[1:])]


LAYOUT = Layout("statement.typ", data)
