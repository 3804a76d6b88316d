"""Import and export: read the file → match rows with what exists → judge → write.

A dry run does all of it and undoes the writing, so it can say nothing else than the real import.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial as given_already
from itertools import islice
from uuid import UUID

import msgspec

from leasing.db.pool import Connection, savepoint
from leasing.kit.errors import FieldError
from leasing.kit.time import civil_date
from leasing.sheets import files, rules
from leasing.sheets.model import (
    IGNORED,
    MAX_ROWS,
    RowsRefused,
    Sheet,
    Table,
    TooManyRows,
    header_key,
)
from leasing.sheets.recycling import TARGETS
from leasing.sheets.rules import Draft, Heading, Judge
from leasing.sheets.targets import Target
from schemas.packs import PackState
from schemas.sheets import (
    ImportResult,
    RowOutcome,
    RowResult,
    SheetFormat,
    SheetKind,
    SheetLanguage,
)

CHUNK = 2_000
MAX_OUTCOMES = 20_000
MAX_ERRORS = 200
"""Of a refusal's `errors`, as of every payload; `extra` has the whole result."""

Report = Callable[[str, int, int], None]
"""Called with a stage, and how much of it is done of how much."""


class Upload(msgspec.Struct, frozen=True):
    """A file and what is asked of it."""

    kind: SheetKind
    format: SheetFormat
    body: bytes
    sheet: str | None = None
    dry_run: bool = False
    partial: bool = False


class Undone(Exception):
    """Takes back what a dry run has written."""


def silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


async def import_file(
    tx: Connection, upload: Upload, *, by: str, now: datetime, report: Report = silent
) -> tuple[ImportResult, Table]:
    """Import a file, or try to. With a refused row nothing is written unless `partial`."""
    target = TARGETS[upload.kind]
    # Reading and judging are pure and may take a second: others are served meanwhile.
    table, columns, drafts = await asyncio.to_thread(opened, upload, target.sheet)
    await target.match(tx, drafts)
    today = civil_date(now)
    check = given_already(target.check, today=today)
    check_whole = given_already(target.check_whole, today=today)
    judge = Judge(target.sheet, columns, check, check_whole)
    rules.refuse_repeated([(draft, target.claims(draft)) for draft in drafts])
    for start in range(0, len(drafts), CHUNK):
        await asyncio.to_thread(decide_all, judge, drafts[start : start + CHUNK])
        report("judged", min(start + CHUNK, len(drafts)), len(drafts))
    refused = any(draft.result is RowResult.REFUSED for draft in drafts)
    written = False
    if upload.partial or not refused:
        written = await write(tx, target, drafts, upload.dry_run, by, now, report)
    return result_of(upload, table, columns, drafts, target, written), table


def opened(upload: Upload, sheet: Sheet) -> tuple[Table, list[Heading], list[Draft]]:
    table = files.read(upload.body, upload.format, sheet, upload.sheet)
    columns, drafts = rules.drafts(table, sheet)
    return table, columns, drafts


def decide_all(judge: Judge, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        judge.decide(draft)


async def write(
    tx: Connection,
    target: Target,
    drafts: Sequence[Draft],
    dry_run: bool,
    by: str,
    now: datetime,
    report: Report,
) -> bool:
    """Write what is new and what is changed; returns whether it was kept."""
    new = [draft for draft in drafts if draft.result is RowResult.CREATED]
    changed = [draft for draft in drafts if draft.result is RowResult.CHANGED]
    done, total = 0, len(new) + len(changed)
    try:
        async with savepoint(tx):
            for part in chunks(new):
                await target.create(tx, [draft.new for draft in part], by=by, now=now)
                report("written", done := done + len(part), total)
            for part in chunks(changed):
                await target.change(tx, part, by=by, now=now)
                report("written", done := done + len(part), total)
            if dry_run:
                raise Undone
    except Undone:
        return False
    return total > 0


def chunks(drafts: Sequence[Draft]) -> list[Sequence[Draft]]:
    return [drafts[start : start + CHUNK] for start in range(0, len(drafts), CHUNK)]


def result_of(
    upload: Upload,
    table: Table,
    columns: Sequence[Heading],
    drafts: Sequence[Draft],
    target: Target,
    written: bool,
) -> ImportResult:
    count = dict.fromkeys(RowResult, 0)
    for draft in drafts:
        count[draft.result] += 1
    told = [draft for draft in drafts if draft.result is not RowResult.UNCHANGED]
    first = sorted(told, key=lambda draft: draft.result is not RowResult.REFUSED)[:MAX_OUTCOMES]
    headers = {one.column.field: one.shown for one in columns}
    return ImportResult(
        kind=upload.kind,
        format=upload.format,
        read_as=table.read_as,
        dry_run=upload.dry_run,
        written=written,
        created=count[RowResult.CREATED],
        changed=count[RowResult.CHANGED],
        unchanged=count[RowResult.UNCHANGED],
        refused=count[RowResult.REFUSED],
        outcomes=[
            rules.outcome(draft, target.key(draft), headers)
            for draft in sorted(first, key=lambda draft: draft.row)
        ],
        outcomes_left_off=len(told) - len(first),
    )


def refuse(result: ImportResult) -> RowsRefused:
    """The error of an import that wrote nothing because of refused rows."""
    errors = (
        FieldError(f"/{one.row}/{fault.field}".rstrip("/"), fault.code, fault.message)
        for one in result.outcomes
        for fault in one.faults
    )
    rows = "row is" if result.refused == 1 else "rows are"
    return RowsRefused(
        f"{result.refused:,} {rows} refused; mend them, or ask for the others with partial=true",
        fields=islice(errors, MAX_ERRORS),
        result=msgspec.to_builtins(result),
    )


async def export(
    tx: Connection,
    kind: SheetKind,
    format_: SheetFormat,
    language: SheetLanguage,
    *,
    party_id: UUID | None = None,
    state: PackState | None = None,
) -> bytes:
    """Everything of a kind that the caller may see, as a file. Raises `TooManyRows`."""
    target = TARGETS[kind]
    records = await target.export(tx, party_id, state, MAX_ROWS + 1)
    if len(records) > MAX_ROWS:
        raise TooManyRows(f"more than {MAX_ROWS:,} rows; ask for a part of them", limit=MAX_ROWS)
    return await asyncio.to_thread(files.write, target.sheet, format_, language, records)


def refused_rows(table: Table, outcomes: Sequence[RowOutcome]) -> bytes:
    """A CSV of the rows that were refused, as they were, each with its reasons. Mended, it can
    be imported as it is."""
    cells = dict(table.rows)
    own = [at for at, cell in enumerate(table.header) if header_key(str(cell)) not in IGNORED]
    rows = [
        [
            one.row,
            "; ".join(
                f"{fault.column}: {fault.message}".removeprefix(": ") for fault in one.faults
            ),
            *(files.plain(cells[one.row][at]) for at in own if at < len(cells[one.row])),
        ]
        for one in outcomes
        if one.result is RowResult.REFUSED
    ]
    header = ["row", "errors", *(files.plain(table.header[at]) for at in own)]
    return files.write_csv(header, rows)
