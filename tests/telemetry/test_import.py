"""`leasing readings import`: a file of measurements, told row by row, and repeatable."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs import readings_file
from jobs.cli import main
from leasing.db.pool import Database, connect
from leasing.kit.settings import Settings
from tests import build

HEAD = "Unix Time / s,Voltage / V,Current / A,Surface Temperature T1 / degC\n"
START = 1_781_497_800
"""2026-06-15 04:30 UTC."""


def rows(count: int, first: int = 0) -> str:
    return "".join(f"{START + first + n},3.3,-1.5,25.1\n" for n in range(count))


@pytest.fixture
def leasing(dsn: str, migrated: Settings, monkeypatch: pytest.MonkeyPatch, database: Any) -> Any:
    """The command on the database of this test, which has one pack."""
    monkeypatch.setenv("LEASING_DSN", dsn)
    monkeypatch.setenv("LEASING_SCHEMA", migrated.schema)

    async def make(db: Database) -> Any:
        async with build.world(db) as world:
            return await build.pack(world)

    pack = database(make)

    def command(*words: str) -> Result:
        return CliRunner().invoke(main, ["readings", "import", *words])

    return command, pack


def stored(dsn: str, settings: Settings) -> int:
    async def count() -> int:
        async with await connect(dsn, settings) as db, db.transaction() as tx:
            return int(
                await tx.fetchval("SELECT coalesce(sum(readings), 0)::int FROM reading_chunk")
            )

    return asyncio.run(count())


def test_a_file_is_stored_once_however_often_it_is_imported(leasing, tmp_path, dsn, migrated):
    command, pack = leasing
    file = tmp_path / "day.csv"
    file.write_text(HEAD + rows(25_000))
    told = command(str(file), "--pack", pack["code"], "--dry-run")
    assert told.exit_code == 0, told.output
    assert "25,000 readings stored" in told.output
    assert "nothing was written" in told.output
    assert stored(dsn, migrated) == 0
    told = command(str(file), "--pack", pack["code"])
    assert (told.exit_code, stored(dsn, migrated)) == (0, 25_000)
    file.write_text(HEAD + rows(25_000) + rows(7, first=25_000))
    told = command(str(file), "--pack", pack["code"])
    assert "7 readings stored, 25,000 there already" in told.output
    assert stored(dsn, migrated) == 25_007


def test_what_was_stored_stays_when_the_import_is_stopped_and_the_rest_follows(
    leasing, tmp_path, dsn, migrated, monkeypatch
):
    command, pack = leasing
    file = tmp_path / "day.csv"
    file.write_text(HEAD + rows(25_000))
    take, taken = readings_file.take, []

    async def stopped(*arguments: Any) -> None:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(None)
        await take(*arguments)

    monkeypatch.setattr(readings_file, "take", stopped)
    told = command(str(file), "--pack", pack["code"])
    assert told.exit_code == 130
    assert "stopped: 20,000 readings stored" in told.output
    monkeypatch.setattr(readings_file, "take", take)
    told = command(str(file), "--pack", pack["code"])
    assert "5,000 readings stored, 20,000 there already" in told.output
    assert stored(dsn, migrated) == 25_000


def test_every_row_that_cannot_be_read_is_told_and_the_others_are_stored(
    leasing, tmp_path, dsn, migrated
):
    command, pack = leasing
    file = tmp_path / "mixed.csv"
    head = "at,elapsed_s,pack_code,voltage_mv\n"
    good = f"2026-06-15T12:30:00+08:00,0,{pack['code']},53500\n"
    wrong = [
        f"2026-06-15T12:30:00,0,{pack['code']},53500\n",
        f"2026-06-15T12:31:00Z,0,{pack['code']},high\n",
        f",5,{pack['code']},53500\n",
    ]
    stranger = "2026-06-15T12:30:00Z,0,NOBODY,53500\n" * 2
    early = f"2001-06-15T12:30:00Z,0,{pack['code']},53500\n"
    file.write_text(head + good + "".join(wrong) + stranger + early)
    told = command(str(file))
    assert told.exit_code == 1
    for line, reason in ((3, "offset"), (4, "no number"), (5, "no instant")):
        (found,) = [one for one in told.output.splitlines() if one.startswith(f"line {line}:")]
        assert reason in found
    assert "no pack has the code NOBODY: 2 rows" in told.output
    assert (
        "1 readings stored, 0 there already, 2 of unknown packs, 1 at impossible times, "
        "3 rows could not be read" in told.output
    )
    assert stored(dsn, migrated) == 1


def test_a_parquet_file_is_stored_too(leasing, tmp_path, dsn, migrated):
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    pq = pytest.importorskip("pyarrow.parquet")
    command, pack = leasing
    file = tmp_path / "day.parquet"
    columns = {"unix_time_second": [START, START + 1], "voltage_volt": [3.3, 3.4]}
    pq.write_table(pa.table(columns), file)
    told = command(str(file), "--pack", pack["code"])
    assert (told.exit_code, stored(dsn, migrated)) == (0, 2), told.output


@pytest.mark.parametrize(
    ("name", "text", "words", "reason"),
    [
        ("a.csv", HEAD + rows(1), (), "--pack"),
        ("a.csv", "at,pack,voltage_v\n2026-06-15T12:30:00Z,X,50\n", ("--pack", "Y"), "itself"),
        ("a.csv", "Test Time / s,Voltage / V\n1,3\n", ("--pack", "Y"), "no column of instants"),
        ("a.csv", "mood\ngood\n", ("--pack", "Y"), "no column of time"),
        ("a.txt", HEAD, ("--pack", "Y"), "neither"),
        ("a.csv", b"Unix Time / s,Voltage / V\n1781497800,\xff\n", ("--pack", "Y"), "UTF-8"),
        ("a.parquet", b"PAR1", ("--pack", "Y"), "no Parquet"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_a_sentence(
    leasing, tmp_path, name, text, words, reason
):
    command: Callable[..., Result] = leasing[0]
    file: Path = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    told = command(str(file), *words)
    assert told.exit_code in (1, 2)
    assert reason in told.output
    assert isinstance(told.exception, SystemExit)
