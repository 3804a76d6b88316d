"""A server killed under those who use it. Real servers, a folder for each test."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvloop

from leasing.db import cluster, supervisor
from leasing.db.embedded import EmbeddedServer, EmbeddedServerError
from leasing.db.supervisor import keep_alive

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0
EVERY_S = 0.1

# What asyncpg raises when a connection dies, or the server does not answer yet.
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

SUPERVISE = """
import asyncio, sys
from pathlib import Path
from leasing.db.embedded import EmbeddedServer
from leasing.db.supervisor import keep_alive

async def supervise(server):
    def say(line):
        with open(sys.argv[2], "a") as file:
            file.write(line + "\\n")
    task = asyncio.create_task(keep_alive(server, say, 0.1))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()

with EmbeddedServer.start(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    asyncio.run(supervise(server))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: as root PostgreSQL runs as another account, which cannot enter that one."""
    base = Path(tempfile.mkdtemp(prefix="leasing-test-", dir="/tmp"))
    base.chmod(0o711)
    data = base / "data"
    yield data
    left = data.exists() and not cluster.is_free(data / "server.lock")
    if left:
        with suppress(OSError):
            kill_postmaster(data)
    shutil.rmtree(base, ignore_errors=True)
    assert not left, "a test left a server behind"


def start(folder: Path) -> EmbeddedServer:
    return EmbeddedServer.start(folder, settings={"fsync": "off"})


def postmaster(folder: Path) -> int:
    return int((folder / "cluster/postmaster.pid").read_text().split()[0])


def kill_postmaster(folder: Path) -> None:
    os.kill(postmaster(folder), signal.SIGKILL)


def starts(folder: Path) -> int:
    """How many servers were started in the folder so far."""
    log = "".join(path.read_text() for path in (folder / "log").glob("*.log"))
    return log.count("starting PostgreSQL")


async def fetchval(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        connection.terminate()


async def eventually(condition: Callable[[], Awaitable[object] | object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        with suppress(*LOST):
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def heard(count: Callable[[], int], times: int) -> None:
    await eventually(lambda: count() >= times)


async def answers(server: EmbeddedServer) -> bool:
    return bool(await fetchval(server.dsn, "SELECT 1"))


@asynccontextmanager
async def supervised(
    server: EmbeddedServer, report: Callable[[str], None]
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(keep_alive(server, report, EVERY_S))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=WAIT_S)
        assert task.cancelled(), "keep_alive ended by itself, or does not end"


@contextmanager
def orphan(folder: Path) -> Iterator[None]:
    """Kill the server and hold its lock, as a backend that is still busy does."""
    kill_postmaster(folder)
    deadline = time.monotonic() + WAIT_S
    while (lock := cluster.take(folder / "server.lock")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    try:
        yield
    finally:
        os.close(lock)


# Reviving.


def test_reviving_a_server_that_is_alive_changes_nothing(folder: Path) -> None:
    with start(folder) as server:
        pid = postmaster(folder)
        assert server.is_alive()
        assert server.revive() is False
        assert postmaster(folder) == pid


def test_a_killed_server_is_revived_at_the_same_dsn_with_its_settings(folder: Path) -> None:
    with start(folder) as server:
        asyncio.run(fetchval(server.dsn, "CREATE TABLE pack AS SELECT 42 AS id"))
        kill_postmaster(folder)
        assert server.revive() is True
        assert server.is_alive()
        assert asyncio.run(fetchval(server.dsn, "SELECT id FROM pack")) == 42
        assert asyncio.run(fetchval(server.dsn, "SHOW fsync")) == "off"


def test_of_many_that_revive_at_once_one_starts_the_server(folder: Path) -> None:
    with start(folder) as a, start(folder) as b, ThreadPoolExecutor(max_workers=8) as threads:
        kill_postmaster(folder)
        tries = [threads.submit(server.revive) for server in (a, b) * 4]
        assert sorted(work.result(WAIT_S) for work in tries) == [False] * 7 + [True]
        assert starts(folder) == 2


def test_a_revived_server_is_stopped_by_its_last_user(folder: Path) -> None:
    with start(folder) as first, start(folder) as second:
        kill_postmaster(folder)
        second.revive()
        second.stop()
        assert first.is_alive()
    assert cluster.is_free(folder / "server.lock")


def test_after_a_stop_nothing_is_revived(folder: Path) -> None:
    server = start(folder)
    server.stop()
    with pytest.raises(EmbeddedServerError) as refused:
        server.revive()
    assert refused.value.code == "not_in_use"
    assert cluster.is_free(folder / "server.lock")


def test_a_stop_in_the_midst_of_a_revival_has_the_last_word(folder: Path) -> None:
    """Wherever it falls: before the server is started again, while it recovers, or after."""
    for delay_s in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
        server = start(folder)
        kill_postmaster(folder)
        with ThreadPoolExecutor(max_workers=1) as thread:
            reviving = thread.submit(server.revive)
            time.sleep(delay_s)
            server.stop()
            with suppress(EmbeddedServerError):
                reviving.result(WAIT_S)
        assert cluster.is_free(folder / "server.lock")


def test_a_fork_of_a_user_revives_nothing(folder: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from leasing.db.embedded import EmbeddedServer, EmbeddedServerError
with EmbeddedServer.start(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    if os.fork() == 0:
        try:
            server.revive()
        except EmbeddedServerError as error:
            print(error.code, flush=True)
        os._exit(0)
    os.wait()
"""
    command = [sys.executable, "-c", code, str(folder)]
    said = subprocess.run(
        command, check=True, cwd=ROOT, timeout=WAIT_S, stdout=subprocess.PIPE, text=True
    )
    assert said.stdout == "not_in_use\n"


def test_a_database_that_is_gone_is_not_replaced_by_an_empty_one(folder: Path) -> None:
    with start(folder) as server:
        with orphan(folder):
            kept = (folder / "cluster").rename(folder / "kept")
        with pytest.raises(EmbeddedServerError, match="could not access directory") as refused:
            server.revive()
        assert refused.value.code == "start_failed"
        assert not (folder / "cluster").exists()
        kept.rename(folder / "cluster")
        assert server.revive() is True


# Supervising.


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_pool_works_again_within_seconds_of_a_kill_and_keeps_what_was_committed(
    folder: Path, run: Callable[..., None]
) -> None:
    committed: set[int] = set()
    ids = itertools.count()

    async def a_hundred_more() -> None:
        enough = len(committed) + 100
        await eventually(lambda: len(committed) >= enough)

    async def write(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        while True:
            number = next(ids)
            try:
                await pool.execute("INSERT INTO reading VALUES ($1)", number)
                committed.add(number)
            except LOST:
                await asyncio.sleep(0.02)

    async def use(server: EmbeddedServer) -> None:
        said: list[str] = []
        async with (
            supervised(server, said.append),
            asyncpg.create_pool(server.dsn, min_size=4, max_size=4) as pool,
        ):
            await pool.execute("CREATE TABLE reading (id bigint PRIMARY KEY)")
            writers = [asyncio.create_task(write(pool)) for _ in range(4)]
            for kills in (1, 2):
                await a_hundred_more()
                kill_postmaster(folder)
                # The pool may be back before the supervisor has noticed that it succeeded.
                await heard(lambda: said.count("PostgreSQL is back"), kills)
                await a_hundred_more()
                assert starts(folder) == kills + 1
            for writer in writers:
                writer.cancel()
            await asyncio.wait(writers)
            kept = await pool.fetch("SELECT id FROM reading")
            assert committed <= {row["id"] for row in kept}
        assert said.count("PostgreSQL died; bringing it back") == 2

    with start(folder) as server:
        run(use(server))


def test_two_supervisors_in_one_process_do_not_fight(folder: Path) -> None:
    async def use(first: EmbeddedServer, second: EmbeddedServer) -> None:
        said: list[str] = []
        async with supervised(first, said.append), supervised(second, said.append):
            for kills in range(1, 4):
                kill_postmaster(folder)
                await heard(lambda: said.count("PostgreSQL is back"), kills)
            await asyncio.sleep(5 * EVERY_S)
        assert starts(folder) == 4
        assert not [line for line in said if "not back" in line], said

    with start(folder) as first, start(folder) as second:
        asyncio.run(use(first, second))


def test_supervisors_in_several_processes_do_not_fight_and_the_last_one_stops_the_server(
    folder: Path,
) -> None:
    said = folder.parent / "said.txt"

    async def watch(server: EmbeddedServer) -> None:
        for kills in range(1, 4):
            kill_postmaster(folder)
            await heard(lambda: said.read_text().count("PostgreSQL is back\n"), kills)
            assert await answers(server)
        await asyncio.sleep(5 * EVERY_S)
        assert starts(folder) == 4

    others = [
        subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, str(folder), str(said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(3)
    ]
    try:
        for process in others:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        with start(folder) as server:
            asyncio.run(watch(server))
        assert not cluster.is_free(folder / "server.lock")
        for process in others:
            process.communicate(timeout=WAIT_S)
        assert [process.returncode for process in others] == [0, 0, 0]
        assert said.read_text().count("PostgreSQL is back\n") == 3
        assert "not back" not in said.read_text()
        assert cluster.is_free(folder / "server.lock")
    finally:
        for process in others:
            process.kill()
            process.wait()


def test_cancelling_a_supervisor_that_only_watches_ends_it_and_leaves_the_server(
    folder: Path,
) -> None:
    async def use(server: EmbeddedServer) -> None:
        async with supervised(server, pytest.fail):
            await asyncio.sleep(3 * EVERY_S)
        assert server.is_alive()

    with start(folder) as server:
        asyncio.run(use(server))


def test_cancelling_in_the_midst_of_a_revival_ends_it_soon_and_with_its_thread(
    folder: Path,
) -> None:
    async def use(server: EmbeddedServer) -> None:
        said: list[str] = []
        with orphan(folder):
            async with supervised(server, said.append):
                await eventually(lambda: any("processes to end" in line for line in said))
                began = time.monotonic()
            assert time.monotonic() - began < 60  # not the ten minutes that a start may take
            before = len(said)
            await asyncio.sleep(0.3)
            assert len(said) == before

    with start(folder) as server:
        asyncio.run(use(server))


def test_what_fails_is_reported_and_tried_again_with_longer_and_longer_pauses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSE_MAX_S", 3 * EVERY_S)

    async def use(server: EmbeddedServer) -> None:
        said: list[str] = []

        def report(line: str) -> None:
            said.append(line)
            raise RuntimeError("the log is full")

        def failures() -> list[str]:
            return [line for line in said if "not back" in line]

        async with supervised(server, report):
            with orphan(folder):
                kept = (folder / "cluster").rename(folder / "kept")
            await eventually(lambda: len(failures()) >= 3)
            assert all("could not access directory" in line for line in failures())
            waits = [line.split(" s:")[0].rsplit(maxsplit=1)[1] for line in failures()]
            assert waits[:3] == ["0.2", "0.3", "0.3"]
            kept.rename(folder / "cluster")
            await eventually(lambda: answers(server))
            await eventually(lambda: said[-1] == "PostgreSQL is back")

    with start(folder) as server:
        asyncio.run(use(server))
