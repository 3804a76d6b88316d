"""One real PostgreSQL for the whole test run; a schema of its own for each worker process."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg
import pytest
import structlog
import uvloop

from leasing.db.embedded import EmbeddedServer
from leasing.db.migrate import migrate
from leasing.db.pool import Database, connect, quote_identifier
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.obligations import calendar_store
from leasing.regions import store as regions

T = TypeVar("T")

SHARED = Path(__file__).parents[2] / "shared"
"""Measured data beside the checkout; tests that need it say so when it is not there."""


def pytest_configure() -> None:
    logs.configure("info")
    structlog.configure(cache_logger_on_first_use=False)  # so that tests can capture lines


@pytest.fixture(autouse=True)
def one_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in the test's own process sets the log up for itself. No logger keeps
    that, and the next test finds what there was."""
    before, configure = structlog.get_config(), structlog.configure
    monkeypatch.setattr(
        structlog,
        "configure",
        lambda **given: configure(**(given | {"cache_logger_on_first_use": False})),
    )
    yield
    configure(**before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come last, so that quick ones tell first what is wrong."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """The server of this run: the one LEASING_TEST_DSN names, as a superuser, or an embedded one
    that all test processes share and the last one stops."""
    given = os.environ.get("LEASING_TEST_DSN")
    if given:
        yield given
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid4().hex)[:12]
    base = Path(tempfile.gettempdir()) / f"leasing-test-{run}"
    base.mkdir(mode=0o711, exist_ok=True)
    # No plan, and so no test, depends on the minute at which autovacuum came by.
    quick = {
        "fsync": "off",
        "synchronous_commit": "off",
        "autovacuum": "off",
        "max_connections": "200",
    }
    with EmbeddedServer.start(base / "postgres", settings=quick) as server:
        yield server.dsn
    if not (base / "postgres" / "cluster" / "postmaster.pid").exists():
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def settings() -> Settings:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return Settings(
        schema=f"test_{worker}_{uuid4().hex[:8]}",
        pool_size=8,
        key_memory_seconds=0.0,
        signing_passphrase="only of these tests",
    )


@pytest.fixture(scope="session")
def migrated(dsn: str, settings: Settings) -> Iterator[Settings]:
    """This process's own schema, dropped at the end."""
    asyncio.run(prepare(dsn, settings))
    yield settings
    asyncio.run(drop(dsn, settings))


async def prepare(dsn: str, settings: Settings) -> None:
    await migrate(dsn, settings)
    async with await connect(dsn, settings) as db, db.transaction() as tx:
        await regions.load(tx)
        await calendar_store.load(tx, by="tests", now=system_now())


async def drop(dsn: str, settings: Settings) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA {quote_identifier(settings.schema)} CASCADE")
    await connection.close()


# What every test may count on: the divisions of the country, the chart of accounts, the working
# days and the rules of what is reported, and the row of the clock.
#
# To truncate a hundred tables makes four hundred files anew, which took longer than most tests. So
# a table that nobody wrote to is left alone, and one of few pages loses its rows, without a look
# at what refers to them (as a replica would: no trigger fires, no key is checked). To PostgreSQL's
# planner it is as good as new: a table that was never counted is planned for as if it had ten
# pages. What was counted, or has grown, is truncated with all that refers to it.
EMPTY = """
DO $$
DECLARE
  written record;
  truncated text[] := '{}';
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR written IN
    SELECT quote_ident(relname) AS name,
           pg_relation_size(oid) / current_setting('block_size')::int AS pages,
           reltuples >= 0 AS counted
      FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace
       AND relkind = 'r'
       AND relname NOT IN ('prefecture', 'account', 'migration', 'obligation_rule',
                           'calendar_year', 'calendar_day', 'working_day')
  LOOP
    IF written.pages >= 10 OR written.counted THEN
      truncated := truncated || written.name;
    ELSIF written.pages > 0 THEN
      EXECUTE 'DELETE FROM ' || written.name;
    END IF;
  END LOOP;
  IF truncated <> '{}' THEN
    EXECUTE format('TRUNCATE %s CASCADE', array_to_string(truncated, ', '));
  END IF;
  INSERT INTO clock (single) VALUES (true);
END $$
"""

Scenario = Callable[[Database], Awaitable[T]]


@pytest.fixture
def database(dsn: str, migrated: Settings) -> Callable[[Scenario[T]], T]:
    """Run an async scenario on an empty database: `database(scenario)`. What it commits is real,
    deferred constraints and all."""

    def play(scenario: Scenario[T]) -> T:
        async def work() -> T:
            async with opened(dsn, migrated) as db:
                return await scenario(db)

        return uvloop.run(work())  # the loop that the commands run on

    return play


@asynccontextmanager
async def opened(dsn: str, settings: Settings) -> AsyncIterator[Database]:
    async with await connect(dsn, settings) as db:
        async with db.transaction() as tx:
            await tx.execute(EMPTY)
        yield db


@pytest.fixture
def own_schema(dsn: str) -> Iterator[Settings]:
    """A fresh schema for one test that needs processes of its own."""
    settings = Settings(schema=f"own_{uuid4().hex[:12]}", pool_size=8, key_memory_seconds=0.0)
    asyncio.run(prepare(dsn, settings))
    yield settings
    asyncio.run(drop(dsn, settings))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder with measured data is not beside the checkout")
    return SHARED
