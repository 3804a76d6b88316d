"""`leasing job run billing`: shown beforehand, stopped, given up, approved, shared, done once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.db.pool import connect
from leasing.kit.settings import Settings
from tests.billing.steps import lease_out

Run = Callable[..., Result]


@pytest.fixture
def billing(dsn: str, own_schema: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command as of the first of February, on a deployment with three customers."""

    async def prepare() -> None:
        async with await connect(dsn, own_schema) as db:
            await lease_out(db, [2, 3, 4])

    asyncio.run(prepare())
    environment = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "error",
        "COLUMNS": "200",
    }
    runner = CliRunner()
    command = ["job", "run", "billing", "--as-of", "2026-02-01"]
    return lambda *words: runner.invoke(main, [*command, *words], env=environment)


def test_a_month_is_looked_at_stopped_given_up_approved_and_billed_once(billing: Run) -> None:
    dry = billing("--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    preview = json.loads(dry.stdout)
    assert (preview["contracts"], preview["charges"], preview["invoice_count"]) == (3, 9, 3)
    first = preview["invoices"][0]["buyer_id"]

    stopped = billing("--max-invoices", "1")
    assert stopped.exit_code == 1
    assert "3 invoices are more than the 1 that were expected" in stopped.output
    assert "--discard REASON gives it up" in stopped.output
    given_up = billing("--discard", "the prices are wrong")
    assert given_up.exit_code == 0, given_up.output
    assert "the drafts were discarded" in given_up.output

    # One who pays, then all the others; nobody twice.
    one = billing("--customer", first, "--json")
    assert one.exit_code == 0, one.output
    assert json.loads(one.stdout)["invoices"] == 1
    assert billing("--max-invoices", "1").exit_code == 1
    rest = billing("--approve", "two are right", "--workers", "2", "--json")
    assert rest.exit_code == 0, rest.output
    done = json.loads(rest.stdout)
    assert (done["state"], done["invoices"], done["parked"]) == ("done", 2, 0)
    assert {stage["stage"]: stage["state"] for stage in done["stages"]} == dict.fromkeys(
        ("plan", "rate", "draft", "review", "finalise", "deliver"), "done"
    )
    again = billing("--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["invoices"] == 2

    refused = billing("--discard", "too late")
    assert refused.exit_code == 1
    assert "of its invoices are final" in refused.output


def test_without_a_terminal_lines_are_plain_and_tell_the_stages(
    billing: Run, tmp_path: Path
) -> None:
    sheet = tmp_path / "preview.html"
    written = billing("--dry-run", "--page", str(sheet))
    assert written.exit_code == 0, written.output
    assert "<svg" in sheet.read_text("utf-8")
    told = billing()
    assert told.exit_code == 0, told.output
    assert "\x1b[" not in told.output
    assert "billing: rate" in told.output
    assert "billing as of 2026-02-01: done; 3 invoices, 0 held, 0 contracts parked" in told.output
    dry = billing("--dry-run")
    assert dry.exit_code == 0, dry.output
