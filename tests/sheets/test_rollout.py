"""`leasing contract fill` and `leasing contract activate`: a contract from a file."""

import asyncio
import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.batteries import service as batteries
from leasing.contracts import service as contracts
from leasing.db.pool import Connection, connect
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.parties import service as parties
from leasing.sheets import rollout
from leasing.sites import service as sites
from schemas.contracts import ContractCreate, ContractState, Signature
from schemas.packs import PackCreate
from schemas.parties import PartyCreate, PartyKind
from schemas.sites import Datum, SiteCreate, SiteKind
from tests.build import battery_code
from tests.sheets.workbooks import workbook

ROOT = Path(__file__).parents[2]
HEADER = [
    "site", "slot", "rated_capacity_mah", "rent_amount", "pack", "accepted_on",
    "tested_capacity_mah", "lessor_signatory", "lessee_signatory",
]  # fmt: skip
ACCEPTED_ON = "2026-01-11"

Row = list[str]


# What a shell starts in the background ignores Ctrl-C, and so do its children.
HEARING_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("jobs", run_name="__main__")
"""


class Deployment:
    """The command line on a deployment of its own."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        self.dsn = dsn
        self.settings = settings
        self.environment = {
            "LEASING_DSN": dsn,
            "LEASING_SCHEMA": settings.schema,
            "LEASING_LOG_LEVEL": "warning",
            "COLUMNS": "200",
        }

    def __call__(self, *words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], env=self.environment)

    def start(self, *words: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HEARING_CTRL_C, *map(str, words)]
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(
            command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )

    def inside(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with await connect(self.dsn, self.settings) as db, db.transaction() as tx:
                return await work(tx)

        return asyncio.run(run())

    def fetch(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        async def work(tx: Connection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await tx.fetch(sql, *arguments)]

        found: list[tuple[Any, ...]] = self.inside(work)
        return found


@pytest.fixture
def leasing(dsn: str, own_schema: Settings) -> Iterator[Deployment]:
    yield Deployment(dsn, own_schema)
    logs.configure("info")


async def draft(
    tx: Connection, number: str, positions: int = 0, rows: list[Row] | None = None
) -> list[Row]:
    """An empty draft, and sites and packs for the rows of a file; returns them."""
    now = system_now()
    if rows is None:
        rows = [
            [f"{number}-{at:05}", "1", "100000", str(30_000 + at), battery_code(), ACCEPTED_ON,
             str(90_000 + at), "王芳", "李建国"]
            for at in range(positions)
        ]  # fmt: skip
    party = PartyCreate(kind=PartyKind.CUSTOMER, name=f"Lessee of {number}")
    lessee = (await parties.create(tx, party, by="test", now=now)).id
    places = [
        SiteCreate(
            party_id=lessee,
            code=code,
            name="One",
            kind=SiteKind.TOWER,
            adcode="410100",
            longitude=113.5,
            latitude=34.8,
            datum=Datum.WGS84,
        )
        for code in dict.fromkeys(row[0] for row in rows)
    ]
    await sites.create(tx, places, by="test", now=now)
    packs = [
        PackCreate(
            code=code,
            cells_in_series=16,
            rated_voltage_mv=51_200,
            rated_capacity_mah=100_000,
            mass_kg=46,
            acquired_on=date(2025, 1, 2),
            acquired_from="Dismantler",
        )
        for code in [row[4] for row in rows if row[4]]
    ]
    await batteries.acquire(tx, packs, by="test", now=now)
    terms = ContractCreate(
        number=number,
        lessee_id=lessee,
        starts_on=date(2026, 1, 1),
        ends_on=date(2035, 1, 1),
        vat_percent="13",
        payment_days=30,
        guarantee_percent="80",
        replacement_days=7,
        lines=[],
    )
    await contracts.create(tx, terms, by="test", now=now)
    return rows


async def sign(tx: Connection, number: str) -> None:
    (contract_id,) = await tx.fetchrow("SELECT id FROM contract WHERE number = $1", number)
    await contracts.offer(tx, contract_id, by="test", now=system_now())
    both = Signature(lessor_signatory="赵总", lessee_signatory="钱总")
    await contracts.sign(tx, contract_id, both, by="test", now=system_now())


def signed(
    leasing: Deployment, tmp_path: Path, number: str, positions: int, filled: int | None = None
) -> tuple[Path, list[Row]]:
    """A signed contract with all or the first of its positions, nothing handed over, and the file
    of it."""
    rows = leasing.inside(lambda tx: draft(tx, number, positions))
    file = tmp_path / f"{number}.csv"
    done = leasing("contract", "fill", number, save(file, rows[:filled]))
    assert done.exit_code == 0, done.output
    leasing.inside(lambda tx: sign(tx, number))
    return save(file, rows), rows


def save(file: Path, rows: list[Row], header: Row = HEADER) -> Path:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return file


LEASES = """
SELECT site.code, line_revision.slot, line_revision.rated_capacity_mah, base_rent_amount,
       rent_amount, lease_line.from_on, started_on, ended_on, pack_code.code, accepted_on,
       tested_capacity_mah, lessor_signatory, lessee_signatory, lower(placement.during),
       upper(placement.during), pack.state,
       (SELECT string_agg(kind, ' ' ORDER BY sequence)
          FROM trace_record WHERE pack_id = pack.id),
       (SELECT string_agg(kind, ' ' ORDER BY sequence)
          FROM domain_event WHERE aggregate_id = lease_line.id)
  FROM lease_line
  JOIN line_revision ON line_revision.line_id = lease_line.id
  JOIN site ON site.id = line_revision.site_id
  LEFT JOIN placement ON placement.line_id = lease_line.id
  LEFT JOIN acceptance ON acceptance.id = placement.acceptance_id
  LEFT JOIN pack ON pack.id = placement.pack_id
  LEFT JOIN pack_code ON pack_code.pack_id = pack.id
 WHERE lease_line.contract_id = (SELECT id FROM contract WHERE number = $1)
 ORDER BY site.code, line_revision.slot
"""

EVENTS = """
SELECT kind, data
  FROM domain_event
 WHERE aggregate_id = (SELECT id FROM contract WHERE number = $1)
 ORDER BY sequence
"""

STATE = "SELECT state, version FROM contract WHERE number = $1"


def leased(leasing: Deployment, number: str) -> Any:
    """All that a roll-out makes, without ids and with the contract's number taken out."""
    found = [*leasing.fetch(LEASES, number), *leasing.fetch(EVENTS, number)]
    return leasing.fetch(STATE, number), [
        tuple(str(one).replace(number, "#") for one in row) for row in found
    ]


def without_pack_codes(found: Any) -> Any:
    state, rows = found
    return state, [(*row[:8], *row[9:]) for row in rows]


STANDING = """
SELECT count(*)
  FROM placement
  JOIN lease_line ON lease_line.id = line_id
  JOIN contract ON contract.id = contract_id
 WHERE number = $1
"""


def standing(leasing: Deployment, number: str) -> int:
    ((found,),) = leasing.fetch(STANDING, number)
    return int(found)


def test_a_draft_is_filled_signed_and_rolled_out_from_one_file(
    leasing: Deployment, tmp_path: Path
) -> None:
    rows = leasing.inside(lambda tx: draft(tx, "R-1", 3))
    rows[2][4:] = [""] * 5
    file = save(tmp_path / "positions.csv", rows)
    done = leasing("contract", "activate", "R-1", file)
    assert (done.exit_code, "a contract that is draft was not signed" in done.stderr) == (1, True)
    done = leasing("contract", "fill", "R-1", file, "--dry-run")
    assert "3 rows: 3 positions added, 0 packs handed over" in done.stderr
    assert "nothing was written" in done.stderr
    assert leasing.fetch(LEASES, "R-1") == []
    planned = [[*row[:4], "001PB51NOTHERE0BC40000077", "2090-01-01", *row[6:]] for row in rows]
    done = leasing("contract", "fill", "R-1", save(tmp_path / "plan.csv", planned[:1]))
    assert (done.exit_code, "1 positions added" in done.stderr) == (0, True)
    done = leasing("contract", "fill", "R-1", file)
    assert (done.exit_code, "2 positions added" in done.stderr) == (0, True)
    assert "nothing was written" not in done.stderr
    leasing.inside(lambda tx: sign(tx, "R-1"))
    done = leasing("contract", "fill", "R-1", file)
    assert (done.exit_code, "a draft is filled" in done.stderr) == (1, True)
    before = leased(leasing, "R-1")
    done = leasing("contract", "activate", "R-1", file, "--dry-run")
    assert "2 packs handed over, 1 as they should be" in done.stderr
    assert leased(leasing, "R-1") == before
    done = leasing("contract", "activate", "R-1", file)
    assert done.exit_code == 0, done.output
    assert "the contract is in force" in done.stderr
    assert "0 positions added, 2 packs handed over, 1 as they should be" in done.stderr
    first, _, last = leasing.fetch(LEASES, "R-1")
    day = date(2026, 1, 11)
    assert first[:9] == ("R-1-00000", 1, 100_000, 30_000, 30_000, date(2026, 1, 1), day, None,
                         rows[0][4])  # fmt: skip
    assert first[9:] == (day, 90_000, "王芳", "李建国", day, None, "leased",
                         "pack.acquired pack.commissioned", "line.accepted")  # fmt: skip
    assert (last[6], last[8], leasing.fetch(STATE, "R-1")[0][0]) == (None, None, "active")
    before = leased(leasing, "R-1")
    done = leasing("contract", "activate", "R-1", file)
    assert (done.exit_code, "3 as they should be" in done.stderr) == (0, True)
    assert "nothing was written" in done.stderr
    assert leased(leasing, "R-1") == before


def test_the_example_on_the_page_works_as_printed(leasing: Deployment, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "imports.md").read_text("utf-8")
    (text,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    fill, dry, activate = re.findall(r"^    leasing (contract .*)$", page, re.MULTILINE)
    file = tmp_path / "positions.csv"
    file.write_text(text, "utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    number = fill.split()[2]
    leasing.inside(lambda tx: draft(tx, number, rows=[list(row.values()) for row in rows]))
    said = []
    for command in (fill, dry, activate):
        done = leasing(*(file if word == file.name else word for word in command.split()))
        assert done.exit_code == 0, done.output
        said.append(done.stderr)
        if command is fill:
            leasing.inside(lambda tx: sign(tx, number))
    assert "3 positions added" in said[0]
    assert "2 packs handed over, 1 as they should be, 0 refused; nothing was written" in said[1]
    assert "2 packs handed over, 1 as they should be, 0 refused\n" in said[2]
    assert standing(leasing, number) == 2


def test_a_contract_in_force_gets_positions_and_packs_from_a_chinese_workbook(
    leasing: Deployment, tmp_path: Path
) -> None:
    _, rows = signed(leasing, tmp_path, "R-2", 2)
    more = leasing.inside(lambda tx: draft(tx, "R-3", 1))
    header = [column.zh for column in rollout.POSITIONS.columns]
    made = [[*row[:4], "", *row[4:]] for row in rows]
    # A second slot at a site, from March on, in a workbook with numbers and words.
    made.append([rows[0][0], 2, 100_000, 28_000, "2026年3月1日", more[0][4], "2026/3/2", 95_000,
                 "王芳", "李建国"])  # fmt: skip
    file = tmp_path / "R-2.xlsx"
    file.write_bytes(workbook(["x"], 明细=[header, *made]))
    done = leasing("contract", "activate", "R-2", file, "--sheet", "明细")
    assert done.exit_code == 0, done.output
    assert "1 positions added, 3 packs handed over" in done.stderr
    second = leasing.fetch(LEASES, "R-2")[1]
    assert second[1:7] == (2, 100_000, 28_000, 28_000, date(2026, 3, 1), date(2026, 3, 2))


def test_everything_wrong_in_a_file_is_told_at_once_and_nothing_is_written(
    leasing: Deployment, tmp_path: Path
) -> None:
    _, rows = signed(leasing, tmp_path, "R-4", 12)
    wrong: dict[int, tuple[int, str, str]] = {
        0: (0, "R-4-99999", "the lessee has no site with the code R-4-99999"),
        1: (2, "90000", "it has 100000, the file has 90000"),
        2: (3, "1", "it has 30002, the file has 1"),
        3: (4, "", "'pack' goes with accepted_on"),
        4: (4, "001", "no pack has this code"),
        5: (5, "2025-12-31", "the position is agreed from 2026-01-01 on"),
        6: (5, "2190-01-01", "is after today"),
        7: (6, "79999", "79999 mAh tested, 80000 mAh guaranteed"),
        8: (1, "0", "slot"),
        9: (4, rows[10][4], "row 12 is about the same"),
    }
    for at, (column, text, _) in wrong.items():
        rows[at][column] = text
    file = save(tmp_path / "wrong.csv", rows)
    before = leased(leasing, "R-4")
    errors = tmp_path / "errors.csv"
    done = leasing("contract", "activate", "R-4", file, "--errors", errors)
    assert done.exit_code == 1
    assert "1 as they should be" not in done.stderr
    assert "11 refused; nothing was written" in done.stderr
    with errors.open(encoding="utf-8-sig", newline="") as written:
        told = {int(row["row"]): row["errors"] for row in csv.DictReader(written)}
    assert set(told) == {at + 2 for at in range(11)}
    for at, (_, _, reason) in wrong.items():
        assert reason in told[at + 2], told
    assert leased(leasing, "R-4") == before


def test_what_was_handed_over_otherwise_is_refused(leasing: Deployment, tmp_path: Path) -> None:
    file, rows = signed(leasing, tmp_path, "R-5", 4)
    assert leasing("contract", "activate", "R-5", file).exit_code == 0
    spare = leasing.inside(lambda tx: draft(tx, "R-6", 1))
    before = leased(leasing, "R-5")
    rows[0][4] = spare[0][4]
    rows[1][5] = "2026-01-12"
    rows[2][7] = "Somebody else"
    done = leasing("contract", "activate", "R-5", save(file, rows))
    assert done.exit_code == 1
    assert done.stderr.count("was handed over on 2026-01-11") == 2
    assert "it has 王芳, the file has Somebody else" in done.stderr
    assert "1 as they should be, 3 refused; nothing was written" in done.stderr
    assert leased(leasing, "R-5") == before


def test_a_row_that_only_the_database_refuses_leaves_the_others_done(
    leasing: Deployment, tmp_path: Path
) -> None:
    """Another contract of the lessee has a pack in the very slot."""
    file, rows = signed(leasing, tmp_path, "R-7", 3)
    spare = leasing.inside(lambda tx: draft(tx, "R-8", 1))
    (occupied,) = [[*rows[1][:4], *spare[0][4:]]]
    leasing.inside(lambda tx: same_lessee(tx, "R-8", "R-7"))
    other = save(tmp_path / "R-8.csv", [occupied])
    assert leasing("contract", "fill", "R-8", other).exit_code == 0
    leasing.inside(lambda tx: sign(tx, "R-8"))
    done = leasing("contract", "activate", "R-8", other)
    assert done.exit_code == 0, done.output
    done = leasing("contract", "activate", "R-7", file)
    assert done.exit_code == 1
    assert "2 packs handed over, 0 as they should be, 1 refused" in done.stderr
    assert "Another pack stands in this slot" in done.stderr
    assert "nothing was written" not in done.stderr
    assert standing(leasing, "R-7") == 2


def test_a_contract_that_somebody_else_holds_is_told_in_a_sentence(
    leasing: Deployment, tmp_path: Path
) -> None:
    file, _ = signed(leasing, tmp_path, "H-1", 2)
    leasing.environment["LEASING_LOCK_TIMEOUT_MS"] = "300"

    async def held(tx: Connection) -> Result:
        await tx.execute("SELECT FROM contract WHERE number = 'H-1' FOR UPDATE")
        return await asyncio.to_thread(leasing, "contract", "activate", "H-1", file)

    done = leasing.inside(held)
    assert done.exit_code == 1
    assert "Something else is working on this" in done.stderr
    assert "run it again to go on" in done.stderr
    assert leasing("contract", "activate", "H-1", file).exit_code == 0


async def same_lessee(tx: Connection, number: str, as_of: str) -> None:
    """A draft for the lessee of another contract."""
    await tx.execute(
        "UPDATE contract SET lessee_id = (SELECT lessee_id FROM contract WHERE number = $2)"
        " WHERE number = $1",
        number,
        as_of,
    )


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_like_one_that_was_not(
    leasing: Deployment, tmp_path: Path
) -> None:
    whole, _ = signed(leasing, tmp_path, "W-1", 3_500, filled=1)
    killed, rows = signed(leasing, tmp_path, "K-1", 3_500, filled=1)
    assert leasing("contract", "activate", "W-1", whole).exit_code == 0
    stop_in_the_third_thousand(leasing, "K-1", killed, rows, signal.SIGKILL)
    half = standing(leasing, "K-1")
    assert half == 2_000
    again = leasing.start("contract", "activate", "K-1", killed)
    _, told = again.communicate(timeout=120)
    assert again.returncode == 0, told
    assert f"{3_500 - half:,} packs handed over, {half:,} as they should be" in told
    assert without_pack_codes(leased(leasing, "K-1")) == without_pack_codes(leased(leasing, "W-1"))


@pytest.mark.slow
def test_a_run_that_is_interrupted_says_how_far_it_came(
    leasing: Deployment, tmp_path: Path
) -> None:
    file, rows = signed(leasing, tmp_path, "I-1", 3_500)
    code, told = stop_in_the_third_thousand(leasing, "I-1", file, rows, signal.SIGINT)
    assert code == 130, told
    assert "Traceback" not in told
    assert standing(leasing, "I-1") == 2_000
    assert "2,000 packs handed over" in told
    assert "run it again to go on" in told


HOLD = """
SELECT id
  FROM pack
 WHERE id = (SELECT pack_id FROM pack_code WHERE code = $1)
   FOR UPDATE
"""


def stop_in_the_third_thousand(
    leasing: Deployment, number: str, file: Path, rows: list[Row], how: signal.Signals
) -> tuple[int, str]:
    """Stop a run while it waits for a pack of row 2,501 that somebody else holds. Returns its
    exit code and what it said."""
    leasing.environment["LEASING_LOCK_TIMEOUT_MS"] = "60000"

    def stop() -> tuple[int, str]:
        process = leasing.start("contract", "activate", number, file)
        wait_for(lambda: standing(leasing, number) >= 2_000, process)
        process.send_signal(how)
        _, told = process.communicate(timeout=60)
        return process.returncode, told

    async def held(tx: Connection) -> tuple[int, str]:
        assert await tx.fetchval(HOLD, rows[2_500][HEADER.index("pack")])
        return await asyncio.to_thread(stop)

    stopped: tuple[int, str] = leasing.inside(held)
    return stopped


@pytest.mark.slow
def test_two_runs_at_once_do_the_work_once(leasing: Deployment, tmp_path: Path) -> None:
    whole, _ = signed(leasing, tmp_path, "W-2", 2_500, filled=1)
    both, _ = signed(leasing, tmp_path, "B-2", 2_500, filled=1)
    assert leasing("contract", "activate", "W-2", whole).exit_code == 0
    runs = [leasing.start("contract", "activate", "B-2", both) for _ in range(2)]
    for one in runs:
        _, told = one.communicate(timeout=120)
        assert one.returncode == 0, told
        assert "0 refused" in told
    assert without_pack_codes(leased(leasing, "B-2")) == without_pack_codes(leased(leasing, "W-2"))


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_states_in_which_a_contract_is_rolled_out() -> None:
    """A contract that was cancelled or has ended takes no positions."""
    for state in (ContractState.OFFERED, ContractState.ENDED, ContractState.CANCELLED):
        for task in rollout.Task:
            with pytest.raises(rollout.IllegalTransition):
                rollout.refuse_state(contract_in(state), task)
    for state in (ContractState.SIGNED, ContractState.ACTIVE, ContractState.SUSPENDED):
        rollout.refuse_state(contract_in(state), rollout.Task.ACTIVATE)


def contract_in(state: ContractState) -> Any:
    class Contract:
        pass

    made = Contract()
    made.state = state  # type: ignore[attr-defined]
    return made
