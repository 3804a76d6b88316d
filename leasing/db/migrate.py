"""Migrations: numbered SQL files, applied once each, in order, forward only.

Each file runs in one transaction together with the row that records it, under an advisory
lock, so that two processes starting at once do not meet. A file that was applied is never
edited: its SHA-256 is compared on every start. No file names a schema; the connection's
search path decides, so each lessor may have its own.
"""

import hashlib
import re
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable

import asyncpg
import msgspec

from leasing.db.pool import DbRole, LoneConnection, quote_identifier
from leasing.kit.settings import Settings

SERVER_MAJOR = 18
FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class MigrationError(Exception):
    """The database and the files disagree; the message says what to do."""


def files(folder: Traversable | None = None) -> list[Migration]:
    """The project's migrations in order. Numbers run from 1 without a gap."""
    folder = folder or resources.files("leasing.db") / "migrations"
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        match = FILE_NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text("utf-8")))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("migration files must be numbered 0001, 0002, … without a gap")
    return found


CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
  number integer PRIMARY KEY,
  name text NOT NULL,
  sha256 text NOT NULL
)
"""

APPLIED = """
SELECT number, name, sha256
  FROM migration
 ORDER BY number
"""

RECORD = """
INSERT INTO migration (number, name, sha256)
VALUES ($1, $2, $3)
"""

# Roles are of the whole server, and our lock is of one database: another may be making them.
CREATE_ROLE = """
DO $$
BEGIN
  CREATE ROLE {role} NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('leasing.migrate', 0))"


async def migrate(
    dsn: str,
    settings: Settings,
    report: Callable[[str], None] = lambda line: None,
    migrations: list[Migration] | None = None,
) -> int:
    """Bring the lessor's schema up to date; returns how many files were applied.

    Raises `MigrationError` for another major version of PostgreSQL, for an applied file that
    was edited since, and for a database that is newer than this program.
    """
    migrations = files() if migrations is None else migrations
    connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
    try:
        refuse_other_server(connection.get_server_version().major)
        await prepare(connection, settings.schema)
        applied = 0
        for migration in migrations:
            if await apply(connection, migration, migrations):
                report(f"applied {migration.name}")
                applied += 1
        return applied
    finally:
        await connection.close()


def refuse_other_server(major: int) -> None:
    if major != SERVER_MAJOR:
        raise MigrationError(
            f"PostgreSQL {SERVER_MAJOR} is needed, this server is {major}: "
            "point LEASING_DSN at another one, or leave it empty for the embedded server"
        )


async def prepare(connection: LoneConnection, schema: str) -> None:
    """Create what migrations stand on: the schema, the extension, the roles."""
    quoted = quote_identifier(schema)
    async with connection.transaction():
        await connection.execute(LOCK)
        # One copy serves every lessor's schema; operator classes are found by type, so the
        # search path need not hold it.
        await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
        for role in DbRole:
            await connection.execute(CREATE_ROLE.format(role=role))
            # A user that is no superuser may step down only to roles it was granted.
            if not await connection.fetchval("SELECT pg_has_role($1, 'SET')", role):
                await connection.execute(f"GRANT {role} TO CURRENT_USER WITH INHERIT FALSE")
            await connection.execute(f"GRANT USAGE ON SCHEMA {quoted} TO {role}")
        await connection.execute(f"SET LOCAL search_path = {quoted}")
        await connection.execute(CREATE_TABLE)
    await connection.execute(f"SET search_path = {quoted}")


async def apply(
    connection: LoneConnection,
    migration: Migration,
    migrations: list[Migration],
) -> bool:
    """Apply one file unless it was applied before. True when it was applied now."""
    async with connection.transaction():
        await connection.execute(LOCK)
        # A migration that cannot get its lock gives up and lets traffic through; run it again.
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        done = {row["number"]: row for row in await connection.fetch(APPLIED)}
        refuse_newer(max(done, default=0), len(migrations))
        row = done.get(migration.number)
        if row is not None:
            if row["sha256"] != migration.sha256:
                raise MigrationError(
                    f"{migration.name} was edited after it was applied: "
                    "put it back and write a new file"
                )
            return False
        await connection.execute(migration.sql)
        await connection.execute(RECORD, migration.number, migration.name, migration.sha256)
        return True


def refuse_newer(newest_applied: int, newest_file: int) -> None:
    if newest_applied > newest_file:
        raise MigrationError(
            f"the database is at migration {newest_applied:04}, this program knows "
            f"{newest_file:04}: install the newer program"
        )
