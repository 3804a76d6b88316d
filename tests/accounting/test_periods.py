"""Months are closed when their books are in order, and stay as they were shown."""

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from click.testing import CliRunner

from jobs.cli import main
from leasing.access.model import Role
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.ledger import service as ledger
from tests import build
from tests.build import Json, World

JANUARY, FEBRUARY, MARCH = date(2026, 1, 20), date(2026, 2, 20), date(2026, 3, 20)
PATH = "/v1/accounting-periods"


async def post(db: Database, party_id: str, on: date, amount: int = 100) -> UUID:
    source_id = uuid4()
    async with db.transaction() as tx:
        await enter(tx, source_id, party_id, on, amount)
    return source_id


async def enter(tx: Any, source_id: UUID, party_id: str, on: date, amount: int = 100) -> None:
    await ledger.post(
        tx,
        source="payment",
        source_id=source_id,
        event="received",
        currency="CNY",
        posted_on=on,
        party_id=UUID(party_id),
        amounts={"cash": amount, "receivable": -amount},
    )


async def close(world: World, month: str = "2026-01") -> Json:
    closed: Json = await world.staff.post(f"{PATH}/{month}/closing")
    return closed


async def entry_of(world: World, source_id: UUID) -> Json:
    page = await world.staff.get("/v1/journal-entries", source_id=source_id)
    (found,) = page["items"]
    return found


def test_what_comes_late_for_a_closed_month_is_posted_on_the_first_open_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = (await build.customer(world))["id"]
            before = await entry_of(world, await post(db, a, JANUARY))
            assert (before["posted_on"], before["concerns_on"]) == ("2026-01-20", "2026-01-20")
            closed = await close(world)
            assert (closed["month"], closed["state"]) == ("2026-01-01", "closed")
            shown = await world.staff.get("/v1/ledger/trial-balance", as_of="2026-01-31")
            late = await entry_of(world, await post(db, a, JANUARY))
            assert (late["posted_on"], late["concerns_on"]) == ("2026-02-01", "2026-01-20")
            timely = await entry_of(world, await post(db, a, FEBRUARY))
            assert (timely["posted_on"], timely["concerns_on"]) == ("2026-02-20", "2026-02-20")
            again = await world.staff.get("/v1/ledger/trial-balance", as_of="2026-01-31")
            assert again == shown

    database(scenario)


ENTER = """
INSERT INTO journal_entry (source, source_id, event, currency, posted_on)
VALUES ('test', uuidv7(), 'entered', 'CNY', $1)
RETURNING id
"""

POST = """
INSERT INTO posting (entry_id, account, party_id, amount)
VALUES ($1, $3, $2, 5), ($1, $4, $2, -5)
"""


async def add(db: Database, party_id: UUID, entry_id: UUID | None) -> None:
    async with db.transaction() as tx:
        entry_id = entry_id or await tx.fetchval(ENTER, date(2026, 1, 31))
        await tx.execute(POST, entry_id, party_id, "bad_debt", "vat_output")


def test_the_database_refuses_what_is_posted_in_a_closed_month(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = UUID((await build.customer(world))["id"])
            async with db.transaction() as tx:
                old = await tx.fetchval(ENTER, JANUARY)
                await tx.execute(POST, old, a, "cash", "receivable")
            await close(world)

            # Nor is anything added to what was posted, balanced as it may be.
            for entry_id in (None, old):
                with pytest.raises(asyncpg.CheckViolationError, match="to 2026-02-01") as refused:
                    await add(db, a, entry_id)
                assert refused.value.constraint_name == "posting_month_open"
            async with db.transaction() as tx:
                new = await tx.fetchval(ENTER, date(2026, 2, 1))
                await tx.execute(POST, new, a, "bad_debt", "vat_output")

    database(scenario)


def test_a_month_is_closed_after_what_is_being_posted_in_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = (await build.customer(world))["id"]
            early, late = uuid4(), uuid4()
            async with db.transaction() as tx:
                await enter(tx, early, a, JANUARY)
                closing = asyncio.create_task(close(world))
                await locks_waited_for(db, 1)
                posting = asyncio.create_task(post_as(db, late, a, JANUARY))
                await locks_waited_for(db, 2)
            await asyncio.gather(closing, posting)
            assert (await entry_of(world, early))["posted_on"] == "2026-01-20"
            assert (await entry_of(world, late))["posted_on"] == "2026-02-01"

    database(scenario)


async def post_as(db: Database, source_id: UUID, party_id: str, on: date) -> None:
    async with db.transaction() as tx:
        await enter(tx, source_id, party_id, on)


async def locks_waited_for(db: Database, wanted: int) -> None:
    async with db.transaction() as tx:
        for _ in range(300):
            if await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") >= wanted:
                return
            await asyncio.sleep(0.01)
    raise AssertionError("nobody waited")


def test_months_are_closed_in_order_when_they_are_over_and_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = (await build.customer(world))["id"]
            for on in (JANUARY, FEBRUARY):
                await post(db, a, on)
            assert await refusal(world, "2026-03/closing") == "month_not_over"
            await close(world, "2026-01")
            assert await refusal(world, "2026-01/closing") == "period_closed"
            await close(world, "2026-02")
            pages = [await world.staff.get(PATH, limit=1)]
            pages.append(await world.staff.get(PATH, limit=1, cursor=pages[0]["next_cursor"]))
            months = [one["month"] for page in pages for one in page["items"]]
            assert months == ["2026-02-01", "2026-01-01"]
            assert pages[1]["next_cursor"] is None

    database(scenario)


async def refusal(world: World, path: str, status: int = 409, json: Any = None) -> str:
    problem = await world.staff.refused("POST", f"{PATH}/{path}", status, json)
    code: str = problem["code"]
    return code


def test_a_month_is_opened_again_from_the_latest_back_and_says_why(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = (await build.customer(world))["id"]
            reason = {"reason": "审计调整"}
            assert await refusal(world, "2026-01/reopening", 404, reason) == (
                "accounting_period_not_found"
            )
            await close(world, "2026-01")
            await close(world, "2026-02")
            assert await refusal(world, "2026-01/reopening", 409, reason) == "period_not_last"
            opened = await world.staff.post(f"{PATH}/2026-02/reopening", reason)
            assert (opened["state"], opened["reopen_reason"]) == ("open", "审计调整")
            entry = await entry_of(world, await post(db, a, FEBRUARY))
            assert entry["posted_on"] == "2026-02-20"
            entry = await entry_of(world, await post(db, a, JANUARY))
            assert entry["posted_on"] == "2026-02-01"
            again = await close(world, "2026-02")
            assert (again["state"], again["reopen_reason"]) == ("closed", None)
            assert (again["id"], again["reopened_at"]) == (opened["id"], None)
            async with db.transaction() as tx:
                kinds = await tx.fetch(
                    "SELECT kind FROM domain_event WHERE aggregate_id = $1 ORDER BY sequence",
                    UUID(opened["id"]),
                )
            assert [row["kind"].removeprefix("accounting_period.") for row in kinds] == [
                "closed",
                "reopened",
                "closed",
            ]

    database(scenario)


def test_a_month_that_is_not_in_order_is_not_closed_and_says_what_is_missing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = (await build.customer(world))["id"]
            await close(world, "2025-11")
            await post(db, a, date(2025, 12, 5))
            await forge_an_invoice(db, UUID(a))
            problem = await world.staff.refused("POST", f"{PATH}/2026-01/closing", 409)
            assert problem["code"] == "period_not_ready"
            failed = {one["code"]: one["found"] for one in problem["extra"]["checks"]}
            assert failed == {
                "earlier_months": 1,
                "billing_runs": 1,
                "invoices_posted": 1,
                "receivable": 113,
            }
            found = await world.staff.get(f"{PATH}/2026-01")
            assert (found["state"], found["ready"]) == ("open", False)
            passed = [one["code"] for one in found["checks"] if one["passed"]]
            assert {one["code"] for one in found["checks"]} == failed.keys() | set(passed)
            assert "trial_balance" in passed
            # January's invoice does not hold December up.
            assert (await world.staff.get(f"{PATH}/2025-12"))["ready"]

    database(scenario)


RUN = """
INSERT INTO billing_run (as_of, started_at)
VALUES ('2026-02-01', now())
RETURNING id
"""

INVOICE = """
INSERT INTO invoice (run_id, buyer_id, currency, period, state, number, issued_on, due_on,
                     net_amount, vat_amount, total_amount, finalised_at)
VALUES ($1, $2, 'CNY', '[2026-01-01,2026-02-01)', 'final', 'X', '2026-01-31', '2026-02-28',
        100, 13, 113, now())
"""


async def forge_an_invoice(db: Database, party_id: UUID) -> None:
    """An invoice that nobody posted, of a run that nobody ended."""
    async with db.transaction() as tx:
        await tx.execute(INVOICE, await tx.fetchval(RUN), party_id)


def test_a_trial_balance_that_does_not_balance_holds_the_closing_up(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            a = UUID((await build.customer(world))["id"])
            async with db.transaction() as tx:
                # Only with the guard away can it be out of balance.
                await tx.execute("ALTER TABLE posting DISABLE TRIGGER posting_entry_balances")
                entry_id = await tx.fetchval(ENTER, JANUARY)
                await tx.execute(
                    "INSERT INTO posting (entry_id, account, party_id, amount)"
                    " VALUES ($1, 'cash', $2, 1)",
                    entry_id,
                    a,
                )
                await tx.execute("ALTER TABLE posting ENABLE TRIGGER posting_entry_balances")
            problem = await world.staff.refused("POST", f"{PATH}/2026-01/closing", 409)
            assert [one["code"] for one in problem["extra"]["checks"]] == ["trial_balance"]

    database(scenario)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "1999-01", "now"])
def test_a_month_that_is_none_is_refused(database, month):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            problem = await world.staff.refused("GET", f"{PATH}/{month}", 400)
            assert problem["code"] == "bad_month"
            assert problem["errors"][0]["pointer"] == "{month}"

    database(scenario)


def test_an_auditor_reads_periods_and_a_customer_does_not(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=MARCH) as world:
            await close(world)
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get(PATH))["items"]) == 1
            assert (await auditor.get(f"{PATH}/2026-01"))["state"] == "closed"
            await auditor.refused("POST", f"{PATH}/2026-02/closing", 403)
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            await customer.refused("GET", PATH, 403)

    database(scenario)


@pytest.fixture
def leasing(dsn: str, own_schema: Settings) -> Iterator[Any]:
    """The command line on a deployment in March."""

    async def prepare() -> None:
        async with await connect(dsn, own_schema) as db, db.transaction() as tx:
            await clock.make_sandbox(tx, midnight(MARCH))

    asyncio.run(prepare())
    environment = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "warning",
        "COLUMNS": "200",
    }
    runner = CliRunner()
    yield lambda *words: runner.invoke(main, ["period", *words], env=environment)
    logs.configure("info")


def test_the_command_line_checks_closes_and_reopens_a_month(leasing):
    expected = [
        (["check", "2026-01"], 0, "2026-01 is open"),
        (["close", "2026-01"], 0, "2026-01 is closed"),
        (["close", "2026-01"], 1, "closed already"),
        (["reopen", "2026-01", "--reason", "审计调整"], 0, "2026-01 is open"),
        (["check", "January"], 1, "'January' is not like 2026-01"),
    ]
    for words, code, said in expected:
        done = leasing(*words)
        assert done.exit_code == code, done.output
        assert said in done.output
    assert "✓" in leasing("check", "2026-01").output
    assert "✗" not in leasing("check", "2026-01").output
