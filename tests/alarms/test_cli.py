"""The command line's view of alarms."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.kit import logs
from leasing.kit.settings import Settings
from tests import build
from tests.alarms import test_alarms


@pytest.fixture
def leasing(dsn: str, own_schema: Settings) -> Iterator[Callable[..., Result]]:
    """The command line on a deployment with one overcharged pack, two days later."""

    async def prepare() -> None:
        async with await connect(dsn, own_schema) as db:
            await one_overcharged(db)

    asyncio.run(prepare())
    environment: dict[str, Any] = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "warning",
        "COLUMNS": "200",
    }
    yield lambda *words: CliRunner().invoke(main, ["alarms", *words], env=environment)
    logs.configure("info")


async def one_overcharged(db: Database) -> None:
    async with build.world(db) as world:
        pack = await build.pack(world)
        await test_alarms.overcharge(world, pack["id"])
        async with db.transaction() as tx:
            await clock.move(tx, test_alarms.NOW + timedelta(days=2))


def test_the_command_line_lists_what_nobody_acknowledged_and_tells_it_again(
    leasing: Callable[..., Result],
) -> None:
    found = leasing("list")
    assert (found.exit_code, "cell_over_voltage" in found.output) == (0, True)
    assert "cell_over_voltage" not in leasing("list", "--severity", "critical").output
    for count in (1, 0):
        assert f"{count} alarms were told again" in leasing("repeat").output
