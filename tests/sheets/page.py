"""The tables of columns in `docs/imports.md`, from the tables the code reads.

`make columns` writes them anew; a test compares.
"""

import datetime as dt
import re
from pathlib import Path

from leasing.sheets.model import ID, SHEETS, VERSION, Column, Field, Sheet, fields_of
from leasing.sheets.rollout import POSITIONS

FILE = Path(__file__).parents[2] / "docs" / "imports.md"
TABLES = re.compile(r"(?<=<!-- columns -->\n).*(?=<!-- end of columns -->)", re.DOTALL)
KINDS = {int: "whole number", float: "number", dt.date: "date", list: "several, by blanks or `;`"}


def tables() -> str:
    return "\n" + "\n".join(map(table, [*SHEETS.values(), POSITIONS]))


def table(sheet: Sheet) -> str:
    fields = fields_of(sheet)
    rows = [row(sheet, column, fields[column.field]) for column in sheet.columns]
    head = [
        "| header | 中文 | what it holds | of a new one | can be changed |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([f"### {sheet.kind.capitalize()}", "", *head, *rows, ""])


def row(sheet: Sheet, column: Column, field: Field) -> str:
    values = list(dict.fromkeys(field.words.values()))
    kind = ", ".join(f"`{one}`" for one in values) or KINDS.get(field.type, "text")
    own = column in (ID, VERSION)
    needed = "empty" if own else "needed" if field.required else ""
    editable = "yes" if column.field in sheet.editable else "no"
    return f"| `{column.field}` | {column.zh} | {kind} | {needed} | {'' if own else editable} |"


def page(text: str) -> str:
    return TABLES.sub(lambda _: tables() + "\n", text)


if __name__ == "__main__":
    FILE.write_text(page(FILE.read_text("utf-8")), "utf-8")
