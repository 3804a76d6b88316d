"""Processes and servers killed in the middle of a billing run, with kill -9."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from jobs import runner
from jobs.registry import JOBS
from leasing.db import clock
from leasing.db.embedded import EmbeddedServer
from leasing.db.migrate import migrate
from leasing.db.pool import Database, connect, quote_identifier
from leasing.documents import store as printed
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.regions import store as regions
from tests import build, fleet

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0

FLEET = [5_100, *[30] * 30, 400]
"""One customer of more than a chunk, many small ones."""
ON, FEBRUARY = date(2026, 1, 2), date(2026, 2, 1)


def leasing(*arguments: str, **environ: str) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", *arguments],
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(ROOT), "LEASING_LOG_LEVEL": "error"} | environ,
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def gone_at_last(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def lease_out(db: Database) -> None:
    async with db.transaction() as tx:
        await clock.make_sandbox(tx, midnight(ON))
        await fleet.lease_out(tx, FLEET, ON, entered_at=midnight(date(2026, 1, 31)))
        await clock.move(tx, midnight(FEBRUARY) + build.NOON)


async def books(db: Database) -> Any:
    async with db.transaction(read_only=True) as tx:
        await fleet.refuse_disorder(tx)
        return await fleet.books(tx)


@pytest.fixture
def undisturbed(database: Any) -> Any:
    """The books of the same fleet, billed by nobody who was killed."""

    async def scenario(db: Database) -> Any:
        await lease_out(db)
        await runner.tick(db, JOBS)
        return await books(db)

    return database(scenario)


class Watch:
    """Looks at a schema from outside."""

    def __init__(self, dsn: str, schema: str) -> None:
        self.dsn = dsn
        self.schema = schema

    async def until(self, query: str, process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until a query says so, across lost connections, unless the process ends first."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(self.dsn)
                try:
                    await connection.execute(f"SET search_path = {quote_identifier(self.schema)}")
                    while time.monotonic() < deadline:
                        if await connection.fetchval(query):
                            return
                        if process is not None and process.poll() is not None:
                            return
                        await asyncio.sleep(0.002)
                finally:
                    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        await connection.close(timeout=5)
            await asyncio.sleep(0.02)
        raise AssertionError(f"waited in vain for: {query}")


THE_RUN = "job_run WHERE job = 'billing' ORDER BY as_of DESC LIMIT 1"
BILLED = f"SELECT state = 'done' FROM {THE_RUN}"


def charged(count: int) -> str:
    return f"SELECT count(*) >= {count} FROM charge"


def finalised(count: int) -> str:
    return f"SELECT count(*) >= {count} FROM invoice WHERE state = 'final'"


async def read_books(dsn: str, settings: Settings) -> Any:
    async with await connect(dsn, settings) as db:
        return await books(db)


async def lease_out_in(dsn: str, settings: Settings) -> None:
    async with await connect(dsn, settings) as db:
        await lease_out(db)


@pytest.mark.slow
def test_a_worker_killed_again_and_again_in_a_billing_run_leaves_the_same_books(
    undisturbed, dsn, own_schema
):
    asyncio.run(lease_out_in(dsn, own_schema))
    watch = Watch(dsn, own_schema.schema)
    environ = {"LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema}
    moments = [
        f"SELECT state = 'running' FROM {THE_RUN}",
        charged(5_000),
        finalised(1),
        finalised(20),
    ]
    killed = 0
    for moment in moments:
        with gone_at_last(leasing("worker", "--every", "0.1", **environ)) as worker:
            asyncio.run(watch.until(moment))
            assert worker.poll() is None
            worker.kill()
            killed += 1
        asyncio.run(refuse_half_a_customer(dsn, own_schema))
    with gone_at_last(leasing("worker", "--every", "0.1", **environ)) as worker:
        asyncio.run(watch.until(BILLED))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_S) == 0
    assert asyncio.run(read_books(dsn, own_schema)) == undisturbed
    attempts, parked = asyncio.run(ask(dsn, own_schema, f"SELECT attempts, parked FROM {THE_RUN}"))
    assert (parked, killed) == (0, len(moments))
    assert 3 <= attempts <= len(moments) + 1


MANY = [40] * 60
SMALL_CHUNKS = """
from leasing.billing import running
running.CHUNK_LINES, running.CHUNK_INVOICES = 80, 4
from jobs.cli import main
main()
"""
WORKERS_KILLED, DATABASES_KILLED = 20, 5


def works_in_small_steps(**environ: str) -> subprocess.Popen[bytes]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_CHUNKS, "worker", "--every", "0.05"],
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(ROOT), "LEASING_LOG_LEVEL": "error"} | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def at_work(process: subprocess.Popen[bytes]) -> str:
    return f"SELECT EXISTS (SELECT FROM billing_chunk WHERE claimed_by LIKE '%/{process.pid}')"


async def documents(db: Database) -> dict[str, str]:
    """The hash of every invoice as it is printed, by number: without ids and instants, so that two
    runs that say the same have the same."""
    async with db.transaction() as tx:
        rows = await tx.fetch("SELECT id, number FROM invoice WHERE state = 'final'")
        return {row["number"]: (await printed.load(tx, row["id"])).sha256 for row in rows}


async def read_documents(dsn: str, settings: Settings) -> dict[str, str]:
    async with await connect(dsn, settings) as db:
        await books(db)
        return await documents(db)


@pytest.fixture
def undisturbed_documents(database: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys.modules[__name__], "FLEET", MANY)

    async def scenario(db: Database) -> Any:
        await lease_out(db)
        await runner.tick(db, JOBS)
        return await documents(db)

    return database(scenario)


@pytest.mark.slow
def test_workers_killed_at_twenty_random_moments_leave_the_same_documents(
    undisturbed_documents, dsn, own_schema
):
    asyncio.run(lease_out_in(dsn, own_schema))
    watch = Watch(dsn, own_schema.schema)
    environ = {"LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema}
    moments, killed = random.Random(), 0
    while killed < WORKERS_KILLED:
        with gone_at_last(works_in_small_steps(**environ)) as worker:
            asyncio.run(watch.until(at_work(worker)))
            time.sleep(moments.uniform(0, 0.05))
            assert not asyncio.run(ask(dsn, own_schema, BILLED))[0], f"done after {killed} kills"
            worker.kill()
            killed += 1
    with gone_at_last(works_in_small_steps(**environ)) as worker:
        asyncio.run(watch.until(BILLED))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_S) == 0
    found = asyncio.run(read_documents(dsn, own_schema))
    assert len(found) == len(MANY)
    assert found == undisturbed_documents


@pytest.mark.slow
def test_a_database_killed_at_five_random_moments_leaves_the_same_documents(
    undisturbed_documents, base
):
    settings = Settings(schema="leasing")
    data = base / "data"
    with EmbeddedServer.start(data) as server:
        asyncio.run(prepare(server.dsn, settings))
        watch = Watch(server.dsn, settings.schema)
        environ = {"LEASING_DATA": str(data), "LEASING_SCHEMA": settings.schema}
        moments, killed = random.Random(), 0
        with gone_at_last(works_in_small_steps(**environ)) as worker:
            while killed < DATABASES_KILLED:
                done = "SELECT count(*) FROM billing_chunk WHERE state = 'done'"
                before = asyncio.run(ask(server.dsn, settings, done))[0]
                asyncio.run(watch.until(f"SELECT ({done}) > {before + 1}"))
                time.sleep(moments.uniform(0, 0.05))
                assert not asyncio.run(ask(server.dsn, settings, BILLED))[0], "done too soon"
                os.kill(postmaster(data), signal.SIGKILL)
                killed += 1
                asyncio.run(watch.until("SELECT true"))
            asyncio.run(watch.until(BILLED))
            assert worker.poll() is None
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(WAIT_S) == 0
        assert asyncio.run(read_documents(server.dsn, settings)) == undisturbed_documents


async def ask(dsn: str, settings: Settings, query: str) -> Any:
    async with await connect(dsn, settings) as db, db.transaction() as tx:
        return tuple(await tx.fetchrow(query))


async def refuse_half_a_customer(dsn: str, settings: Settings) -> None:
    """At no moment is there an invoice that is final and lacks a line."""
    async with await connect(dsn, settings) as db:
        invoices, charges = await books(db)
    for name, _, state, *_ in invoices:
        if state == "final":
            lines = FLEET[int(name.rpartition(" ")[2]) - 1]
            assert sum(charge[0] == name for charge in charges) == lines


@pytest.mark.slow
def test_two_billing_runs_at_once_in_two_processes_leave_one_set_of_invoices(
    undisturbed, dsn, own_schema
):
    asyncio.run(lease_out_in(dsn, own_schema))
    environ = {"LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema}
    by_hand = ("job", "run", "billing", "--as-of", str(FEBRUARY))
    processes = [leasing(*by_hand, **environ) for _ in range(2)]
    processes.append(leasing("worker", "--every", "0.1", **environ))
    worker = processes[-1]
    try:
        asyncio.run(Watch(dsn, own_schema.schema).until(BILLED))
        codes = [process.wait(WAIT_S) for process in processes[:2]]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_S) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
    # 0: it did the run, or found it done; 1: it was busy elsewhere.
    assert set(codes) <= {0, 1}
    assert asyncio.run(read_books(dsn, own_schema)) == undisturbed


@pytest.fixture
def base() -> Iterator[Path]:
    """Not tmp_path: as root PostgreSQL runs as another account, which cannot enter that one."""
    path = Path(tempfile.mkdtemp(prefix="leasing-test-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.slow
def test_a_database_killed_twice_in_a_billing_run_is_brought_back_and_the_run_completes(
    undisturbed, base
):
    """The worker's own server, with the settings of production: what was committed is on disk."""
    settings = Settings(schema="leasing")
    data = base / "data"
    # Held by us too, so that the worker's end does not stop it under the last look at the books.
    with EmbeddedServer.start(data) as server:
        asyncio.run(prepare(server.dsn, settings))
        watch = Watch(server.dsn, settings.schema)
        environ = {"LEASING_DATA": str(data), "LEASING_SCHEMA": settings.schema}
        with gone_at_last(leasing("worker", "--every", "0.1", **environ)) as worker:
            for moment in (charged(1), charged(5_000)):
                asyncio.run(watch.until(moment))
                assert not asyncio.run(ask(server.dsn, settings, BILLED))[0]
                os.kill(postmaster(data), signal.SIGKILL)
            asyncio.run(watch.until(BILLED))
            assert worker.poll() is None
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(WAIT_S) == 0
        assert asyncio.run(read_books(server.dsn, settings)) == undisturbed
        attempts, parked = asyncio.run(
            ask(server.dsn, settings, f"SELECT attempts, parked FROM {THE_RUN}")
        )
        assert (2 <= attempts <= 3, parked) == (True, 0)


async def prepare(dsn: str, settings: Settings) -> None:
    await migrate(dsn, settings)
    async with await connect(dsn, settings) as db:
        async with db.transaction() as tx:
            await regions.load(tx)
        await lease_out(db)


def postmaster(data: Path) -> int:
    return int((data / "cluster/postmaster.pid").read_text().split()[0])
