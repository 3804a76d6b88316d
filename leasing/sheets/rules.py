"""From cells to values, and from rows to decisions. No IO."""

import datetime as dt
import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from leasing.http.fields import collect
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.rows import given
from leasing.regions.model import UnknownPrefectureError, prefecture
from leasing.sheets.model import (
    FULL_WIDTH,
    ID,
    IGNORED,
    OWNER,
    VERSION,
    BadSheet,
    Cell,
    Column,
    ErrorValue,
    Field,
    Sheet,
    Table,
    capitals,
    fields_of,
    header_key,
    words,
)
from schemas.sheets import CellChange, CellFault, RowOutcome, RowResult

EXACT_UP_TO = 10**15
"""Spreadsheets hold numbers as doubles and keep 15 digits; a longer code has lost its end."""

WHOLE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")
DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
SHORTENED = re.compile(r"[0-9](?:\.[0-9]+)?E\+?[0-9]{1,3}")
DATE = re.compile(r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?")
SEPARATORS = re.compile(r"[\s;,、]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

AS_TEXT = "format the column as text and enter it again"

# --- Formulas -------------------------------------------------------------------------------------
#
# A text that begins with one of these is run as a formula by a spreadsheet that opens a CSV. An
# apostrophe in front stops that. A text that begins with an apostrophe and one of them gets one
# too, so that taking one off brings every text back as it was.

RISKY = re.compile(r"[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def neutralised(text: str) -> str:
    return "'" + text if RISKY.match(text) else text


def restored(text: str) -> str:
    return text[1:] if text.startswith("'") and RISKY.match(text) else text


# --- Cells ----------------------------------------------------------------------------------------


class Unreadable(ValueError):
    """A cell that says something else than its owner meant."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def text_of(cell: Cell, column: Column, field: Field) -> str:
    """A cell in the one form in which two cells are compared; "" when it is empty. Raises
    `Unreadable` for what a spreadsheet has spoilt."""
    match cell:
        case str():  # first: most cells are, and asking for the others takes longer
            return form(restored(cell), column, field)
        case ErrorValue():
            raise Unreadable("error_value", "the cell shows an error, such as #N/A")
        case bool():
            return str(cell).upper()
        case int() | float():
            return number_text(cell, column, field)
        case dt.datetime() if (cell.hour, cell.minute, cell.second, cell.microsecond) != (0,) * 4:
            raise Unreadable("has_a_time", f"{cell} has a time of day")
        case dt.datetime():
            return date_text(cell.date(), field)
        case dt.date():
            return date_text(cell, field)
        case dt.time() | dt.timedelta():
            raise Unreadable("is_a_time", f"the spreadsheet made a time of it ({cell}): {AS_TEXT}")


def number_text(cell: float, column: Column, field: Field) -> str:
    if field.type is float or not float(cell).is_integer():
        return repr(float(cell))
    if field.type is not int and abs(cell) >= EXACT_UP_TO:
        raise Unreadable(
            "shortened_number",
            f"the spreadsheet made the number {cell:.5E} of it and its last digits are lost: "
            f"{AS_TEXT}",
        )
    return str(int(cell))


def date_text(on: dt.date, field: Field) -> str:
    if field.type is not dt.date:
        raise Unreadable("is_a_date", f"the spreadsheet made the date {on} of it: {AS_TEXT}")
    return on.isoformat()


def form(text: str, column: Column, field: Field) -> str:
    if field.type is list:
        parts = SEPARATORS.split(text.translate(FULL_WIDTH))
        return " ".join(filter(None, map(column.form, parts)))
    text = column.form(text)
    if field.type is int and (whole := WHOLE.fullmatch(text)):
        return str(int(whole[1]))
    if field.type is float and DECIMAL.fullmatch(text):
        return repr(float(text))
    if field.type is dt.date and (date := DATE.fullmatch(text)):
        return f"{date[1]}-{int(date[2]):02}-{int(date[3]):02}"
    return field.words.get(text.casefold(), text) if field.words else text


def same(one: str, other: str, field: Field) -> bool:
    """Whether two texts of a column mean the same. Of a decimal number a spreadsheet keeps 15
    digits, so a difference beyond them is nobody's edit."""
    if one == other:
        return True
    if field.type is list:
        return sorted(one.split()) == sorted(other.split())
    if field.type is not float or not (DECIMAL.fullmatch(one) and DECIMAL.fullmatch(other)):
        return False
    return math.isclose(float(one), float(other), rel_tol=1e-14, abs_tol=0)


def value_of(text: str, field: Field) -> Any:
    """The value to hand to the struct, which judges it. Raises `Unreadable` for a text that no
    hand has typed."""
    if field.type is int and WHOLE.fullmatch(text):
        return int(text)
    if field.type is float and DECIMAL.fullmatch(text):
        return float(text)
    if field.type is list:
        return text.split()
    if found := CONTROL.search(text):
        raise Unreadable(
            "control_character",
            f"U+{ord(found[0]):04X} at position {found.start() + 1} is no printable character",
        )
    return text


def written(value: Any, field: Field) -> str:
    """What a value of ours looks like in the form in which cells are compared."""
    if value is None:
        return ""
    if field.type is float:
        return repr(float(value))
    return " ".join(value) if field.type is list else str(value)


# --- Headers --------------------------------------------------------------------------------------


class Heading(msgspec.Struct, frozen=True):
    """Where a column of the file leads."""

    position: int
    shown: str
    column: Column


def headings(table: Table, sheet: Sheet) -> list[Heading]:
    """The columns of a file. Raises `BadSheet` with everything wrong with its header."""
    names = known_headers(sheet)
    found: dict[str, Heading] = {}
    faults = []
    for position, cell in enumerate(table.header):
        shown = str(cell).strip() if not isinstance(cell, ErrorValue) else "#N/A"
        column = names.get(header_key(shown))
        if header_key(shown) in IGNORED:
            continue
        if not shown:
            if any(len(row) > position and filled(row[position]) for _, row in table.rows):
                message = f"column {letters(position)} has cells and no header"
                faults.append(FieldError(f"/{letters(position)}1", "missing_header", message))
        elif column is None:
            faults.append(
                FieldError(f"/{shown}", "unknown_header", unknown(shown, names, found.keys()))
            )
        elif column.field in found:
            message = f"'{shown}' says the same as '{found[column.field].shown}'"
            faults.append(FieldError(f"/{shown}", "repeated_header", message))
        else:
            found[column.field] = Heading(position, shown, column)
    if not faults and not found:
        faults.append(FieldError("", "no_header", "the sheet has no header"))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise BadSheet(faults[0].message + more, fields=faults)
    return list(found.values())


def known_headers(sheet: Sheet) -> dict[str, Column]:
    return {header_key(name): one for one in sheet.columns for name in (one.field, one.zh)}


def unknown(shown: str, names: Mapping[str, Column], taken: Any) -> str:
    message = f"no column of ours is called '{shown[:60]}'"
    free = {key: column for key, column in names.items() if column.field not in taken}
    close = difflib.get_close_matches(header_key(shown)[:60], free, n=1)
    if close:
        column = free[close[0]]
        message += f", did you mean '{column.field}' ({column.zh})?"
    return message


def filled(cell: Cell) -> bool:
    return not (isinstance(cell, str) and not cell.strip())


def letters(position: int) -> str:
    """A column's name as a spreadsheet shows it: 0 is A, 26 is AA."""
    first, last = divmod(position, 26)
    return (letters(first - 1) if first else "") + chr(ord("A") + last)


# --- Rows -----------------------------------------------------------------------------------------


class Draft(msgspec.Struct):
    """One row on its way: what it says by field, what is wrong with it, and what becomes of it.

    A field without a column is in neither `texts` nor `spoilt`.
    """

    row: int
    texts: dict[str, str] = {}
    spoilt: dict[str, Unreadable] = {}
    faults: list[FieldError] = []
    party_id: UUID | None = None
    result: RowResult = RowResult.REFUSED
    changes: list[CellChange] = []
    new: Any = None
    patch: Any = None
    record: "Record | None" = None


class Record(msgspec.Struct, frozen=True):
    """What exists already: the values by field, and for a field that can be named in several
    ways the other texts that mean the same, its codes in capitals."""

    id: UUID
    version: int | None
    values: dict[str, Any]
    aliases: dict[str, frozenset[str]] = {}


def drafts(table: Table, sheet: Sheet) -> tuple[list[Heading], list[Draft]]:
    """The rows of a file, blank ones left out. Raises `BadSheet` for its header."""
    columns = headings(table, sheet)
    fields = fields_of(sheet)
    width = max(one.position for one in columns) + 1
    made = []
    for number, cells in table.rows:
        if not any(map(filled, cells)):
            continue
        draft = Draft(number, {}, {}, [])
        for heading in columns:
            cell: Cell = cells[heading.position] if heading.position < len(cells) else ""
            name = heading.column.field
            try:
                draft.texts[name] = text_of(cell, heading.column, fields[name])
            except Unreadable as fault:
                draft.spoilt[name] = fault
        if any(map(filled, cells[max(width, len(table.header)) :])):
            fault_of(draft, "", "too_many_cells", "more cells than headers")
        made.append(draft)
    return columns, made


def fault_of(draft: Draft, field: str, code: str, message: str) -> None:
    """Note what is wrong with a field of a row; "" is the row as a whole."""
    draft.faults.append(FieldError(field, code, message))


Values = dict[str, Any]


class Judge:
    """Decides about each row of one file. `check` is the rule that the API applies to something
    new beyond its struct; it raises `Invalid`."""

    def __init__(
        self,
        sheet: Sheet,
        columns: Sequence[Heading],
        check: Callable[[Values], object],
        check_whole: Callable[[Values], object] = lambda values: None,
    ) -> None:
        self.sheet = sheet
        self.fields = fields_of(sheet)
        self.columns = {one.column.field: one.column for one in columns}
        self.check = check
        self.check_whole = check_whole

    def decide(self, draft: Draft) -> None:
        """Fill in a draft's result. It is refused as long as it has a fault."""
        if draft.record is not None:
            self.compare(draft, draft.record)
        elif not draft.texts.get(ID.field) and ID.field not in draft.spoilt:
            self.create(draft)
        if draft.faults:
            draft.result = RowResult.REFUSED
            draft.changes = []

    def tell(self, draft: Draft, found: Sequence[FieldError]) -> None:
        """Note what a rule refuses, but not about a field of which something is told already."""
        told = {one.pointer for one in draft.faults}
        for one in found:
            field = field_at(one.pointer)
            if field not in told:
                fault_of(draft, field, one.code, one.message.replace("'party_id'", "'owner'"))

    def create(self, draft: Draft) -> None:
        draft.result = RowResult.CREATED
        raw: Values = dict(self.sheet.given)
        if draft.party_id is not None:
            raw["party_id"] = str(draft.party_id)
        for name in self.columns:
            if name not in (ID.field, VERSION.field, OWNER.field):
                self.read(draft, name, raw)
        if draft.texts.get(VERSION.field):
            fault_of(draft, VERSION.field, "no_version_yet", "what is new has no version")
        try:
            self.check(raw)
        except Invalid as error:
            self.tell(draft, error.fields)
        draft.new = self.built(draft, self.sheet.create, raw)
        if draft.new is not None:
            self.judge_whole(draft, msgspec.structs.asdict(draft.new))

    def judge_whole(self, draft: Draft, values: Values) -> None:
        try:
            self.check_whole(values)
        except Invalid as error:
            self.tell(draft, error.fields)

    def read(self, draft: Draft, name: str, raw: Values) -> None:
        """Put a cell's value into `raw`, or say why it cannot be."""
        if name in draft.spoilt:
            spoilt = draft.spoilt[name]
            fault_of(draft, name, spoilt.code, str(spoilt))
            return
        text = draft.texts[name]
        if text == "":
            return
        try:
            if is_code(self.columns[name], self.fields[name]) and any(
                map(SHORTENED.fullmatch, text.split())
            ):
                message = f"{text} looks like a number that a spreadsheet shortened: {AS_TEXT}"
                raise Unreadable("shortened_number", message)
            raw[name] = value_of(text, self.fields[name])
        except Unreadable as spoilt:
            fault_of(draft, name, spoilt.code, str(spoilt))

    def built(self, draft: Draft, type_: type[msgspec.Struct], raw: Values) -> Any:
        """The struct that the API would take; None when it refuses the values."""
        if "adcode" in raw:
            self.check_adcode(draft, raw["adcode"])
        try:
            return msgspec.convert(raw, type_)
        except msgspec.ValidationError:
            self.tell(draft, collect(type_, raw))
        return None

    def check_adcode(self, draft: Draft, adcode: str) -> None:
        try:
            if len(adcode) == 6:
                prefecture(adcode)
        except UnknownPrefectureError as error:
            fault_of(draft, "adcode", "unknown_prefecture", str(error))

    def compare(self, draft: Draft, record: Record) -> None:
        raw: Values = {}
        for name in self.columns:
            if name not in (ID.field, VERSION.field):
                self.compare_cell(draft, record, name, raw)
        # An old row that says nothing else than the present one has nothing to lose.
        if draft.changes and self.is_behind(draft, record):
            self.tell_what_changed(draft, record)
            return
        draft.result = RowResult.CHANGED if draft.changes else RowResult.UNCHANGED
        if draft.changes and self.sheet.patch is not None and not draft.faults:
            draft.patch = self.built(draft, self.sheet.patch, raw)
            if draft.patch is not None:
                self.judge_whole(draft, {**record.values, **given(draft.patch)})

    def compare_cell(self, draft: Draft, record: Record, name: str, raw: Values) -> None:
        field = self.fields[name]
        if name in draft.spoilt:
            fault_of(draft, name, draft.spoilt[name].code, str(draft.spoilt[name]))
            return
        text = draft.texts[name]
        before = self.current(record, name)
        if same(text, before, field) or {text, capitals(text)} & record.aliases.get(name, set()):
            return
        draft.changes.append(CellChange(field=name, before=before, after=text))
        if name not in self.sheet.editable:
            fault_of(draft, name, "cannot_be_changed", self.fixed(name, before, text))
        elif text == "" and field.required:
            fault_of(draft, name, "missing", f"'{name}' cannot be empty (it is '{before}')")
        elif text == "":
            raw[name] = None
        else:
            self.read(draft, name, raw)

    def current(self, record: Record, name: str) -> str:
        """What the column would say of the record. It goes through the column's form as a cell
        does: what was entered with a blank at its end is not changed by being exported."""
        field = self.fields[name]
        return form(written(record.values.get(name), field), self.columns[name], field)

    def fixed(self, name: str, before: str, after: str) -> str:
        columns = [one.field for one in self.sheet.columns if one.field in self.sheet.editable]
        may = f"what can be changed: {', '.join(columns)}" if columns else "nothing of it can be"
        return (
            f"the {name} of a {self.sheet.noun} cannot be changed by import "
            f"(it is '{before}', the file has '{after}'); {may}"
        )

    def is_behind(self, draft: Draft, record: Record) -> bool:
        text = draft.texts.get(VERSION.field, "")
        return bool(text) and record.version is not None and text != str(record.version)

    def tell_what_changed(self, draft: Draft, record: Record) -> None:
        """The row is of another version. Nobody can tell an edit of the file from a change in the
        system, so both values of each difference are shown."""
        given = draft.texts[VERSION.field]
        message = f"changed since the export: the file has version {given}, it is {record.version}"
        differences = [
            f"{one.field} is '{one.before}', the file has '{one.after}'" for one in draft.changes
        ]
        draft.faults = []
        fault_of(draft, VERSION.field, "changed_since_export", "; ".join([message, *differences]))


def field_at(pointer: str) -> str:
    """The column at fault, from the pointer into the struct."""
    name = pointer.split("/")[1] if pointer else ""
    return OWNER.field if name == "party_id" else name


def is_code(column: Column, field: Field) -> bool:
    """Whether a column holds codes, not words."""
    return field.type in (str, list) and column.form is not words


Key = tuple[object, ...]


def refuse_repeated(drafts_and_claims: Sequence[tuple[Draft, Sequence[Key]]]) -> None:
    """Two rows of one file must not speak of the same thing: which of them is meant?"""
    rows: dict[Key, list[int]] = {}
    for draft, claims in drafts_and_claims:
        for claim in dict.fromkeys(claims):
            rows.setdefault(claim, []).append(draft.row)
    for draft, claims in drafts_and_claims:
        others = sorted({row for one in claims for row in rows[one]} - {draft.row})
        if others:
            told = ", ".join(map(str, others[:5])) + (" …" if len(others) > 5 else "")
            fault_of(draft, "", "repeated_row", f"row {told} is about the same")


def outcome(draft: Draft, key: str, headers: Mapping[str, str]) -> RowOutcome:
    """What is told of a row; `headers` are the file's own, by field."""
    faults = [
        CellFault(
            column=headers.get(one.pointer, ""),
            field=one.pointer,
            code=one.code,
            message=one.message,
        )
        for one in draft.faults
    ]
    return RowOutcome(
        row=draft.row, result=draft.result, key=key, changes=draft.changes, faults=faults
    )
