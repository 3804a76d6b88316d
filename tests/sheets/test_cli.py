"""`leasing export` and `leasing import`."""

import asyncio
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.db.pool import connect
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.parties import service as parties
from schemas.parties import PartyCreate, PartyKind
from tests.sheets.workbooks import workbook

HEADER = ["owner", "code", "name", "kind", "adcode", "longitude", "latitude", "datum"]
GOOD = ["Tower Co", "S-1", "=One", "tower", "410100", "113.5", "34.5", "wgs84"]
BAD = ["Tower Co", "S-2", "=Two", "castle", "410100", "113.5", "34.5", "wgs84"]

Run = Callable[..., Result]


@pytest.fixture
def leasing(dsn: str, own_schema: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command line on a deployment with one customer."""
    asyncio.run(enter_a_customer(dsn, own_schema))
    environment = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "warning",
        "COLUMNS": "200",
    }
    runner = CliRunner()
    yield lambda *words: runner.invoke(main, [str(word) for word in words], env=environment)
    logs.configure("info")


async def enter_a_customer(dsn: str, settings: Settings) -> None:
    async with await connect(dsn, settings) as db, db.transaction() as tx:
        data = PartyCreate(kind=PartyKind.CUSTOMER, name="Tower Co")
        await parties.create(tx, data, by="test", now=system_now())


def save(file: Path, *rows: list[str]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    return file


def rows(file: Path) -> list[list[str]]:
    return list(csv.reader(file.open(encoding="utf-8-sig", newline="")))


def test_what_is_wrong_is_shown_and_written_and_can_be_mended(leasing: Run, tmp_path: Path) -> None:
    file = save(tmp_path / "sites.csv", HEADER, GOOD, BAD)
    errors = tmp_path / "refused.csv"
    done = leasing("import", "sites", file, "--errors", errors)
    assert done.exit_code == 1
    assert "1 created, 0 changed, 0 unchanged, 1 refused; nothing was written" in done.stderr
    assert "castle" in done.stderr
    header, row = rows(errors)
    assert header == ["row", "errors", *HEADER]
    assert row == ["3", 'kind: "castle" is not one of: tower, depot, vehicle', *BAD[:2], "'=Two",
                   *BAD[3:]]  # fmt: skip
    done = leasing("import", "sites", file, "--partial", "--dry-run")
    assert "nothing was written" in done.stderr
    assert done.exit_code == 1
    done = leasing("import", "sites", file, "--partial")
    assert (done.exit_code, "nothing was written" in done.stderr) == (1, False)
    row[header.index("kind")] = "depot"
    save(errors, header, row)
    done = leasing("import", "sites", errors)
    assert done.exit_code == 0, done.output
    assert "1 created, 0 changed, 0 unchanged, 0 refused" in done.stderr
    done = leasing("export", "sites", tmp_path / "out.csv", "--lang", "zh")
    assert done.exit_code == 0, done.output
    head, *found = rows(tmp_path / "out.csv")
    assert head[2:5] == ["客户", "站址编码", "类型"]
    assert [row[3:6] for row in found] == [["S-1", "tower", "'=One"], ["S-2", "depot", "'=Two"]]
    done = leasing("export", "sites", tmp_path / "out.xlsx")
    assert done.exit_code == 0, done.output
    done = leasing("import", "sites", tmp_path / "out.xlsx")
    assert "0 created, 0 changed, 2 unchanged, 0 refused" in done.stderr


def test_a_workbook_s_refused_rows_keep_what_they_said(leasing: Run, tmp_path: Path) -> None:
    file = tmp_path / "sites.xlsx"
    file.write_bytes(workbook(["x"], 站址=[HEADER, [*BAD[:4], 410100, 113.5, 34, "wgs84"]]))
    errors = tmp_path / "refused.csv"
    done = leasing("import", "sites", file, "--sheet", "站址", "--errors", errors)
    assert done.exit_code == 1
    assert rows(errors)[1][2:] == [*BAD[:2], "'=Two", "castle", "410100", "113.5", "34", "wgs84"]


def test_a_file_that_is_no_sheet_is_told_in_a_sentence(leasing: Run, tmp_path: Path) -> None:
    file = save(tmp_path / "sites.csv", ["cod", "colour"], ["1", "2"])
    done = leasing("import", "sites", file)
    assert done.exit_code == 1
    assert "did you mean 'code'" in done.stderr
    assert "'colour'" in done.stderr
    assert "Traceback" not in done.stderr
    done = leasing("import", "sites", save(tmp_path / "sites.txt", HEADER))
    assert done.exit_code == 2
    assert "neither .csv nor .xlsx" in done.stderr
    done = leasing("export", "packs", tmp_path / "p.csv", "--state", "gone")
    assert (done.exit_code, "in_stock" in done.stderr) == (2, True)
    done = leasing("export", "sites", tmp_path / "p.csv", "--state", "leased")
    assert done.exit_code == 2
