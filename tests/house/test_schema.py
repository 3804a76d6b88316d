"""The migrations, judged by the schema they make."""

import re

import pytest

from leasing.db import migrate
from leasing.db.pool import Database
from tests.house import snapshot

TELEMETRY = ("reading_chunk", "pack_telemetry", "pack_session", "reading_hour", "reading_flag")


def bare(sql: str) -> str:
    """Without comments and texts."""
    return re.sub(r"'[^']*'", "''", re.sub(r"--.*", "", sql))


def test_the_snapshot_of_the_schema_is_what_the_migrations_make(dsn):
    assert snapshot.FILE.read_text("utf-8") == snapshot.dump(dsn), (
        "docs/schema.sql is old: run `make schema`"
    )


@pytest.mark.parametrize("migration", migrate.files(), ids=lambda migration: migration.name)
def test_no_migration_names_a_schema(migration):
    everything = " ".join(bare(other.sql) for other in migrate.files())
    tables = set(re.findall(r"\bCREATE TABLE (\w+)", everything)) | {"NEW", "OLD"}
    tables |= set(re.findall(r"\b(?:NEW|OLD) TABLE AS (\w+)", everything))
    # A name given by AS, and a parameter or variable that holds a row of a table.
    tables |= set(re.findall(r"\bAS (\w+)", everything))
    tables |= set(re.findall(r"\b(\w+) record\b", everything))
    tables |= set(re.findall(rf"\b([a-z]+) (?:{'|'.join(tables)})\b", everything))
    sql = bare(migration.sql)
    assert not re.search(r"\bSCHEMA\b|\bsearch_path\b", sql, re.IGNORECASE)
    # What stands before a dot is one of these, never a schema.
    assert set(re.findall(r"\b([A-Za-z_]\w*)\s*\.\s*\w", sql)) <= tables


KEY_COLUMNS = """
SELECT conrelid::regclass::text AS table, attname AS first_column
  FROM pg_constraint
  JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
 WHERE contype = 'p'
   AND conrelid = ANY ($1::text[]::regclass[])
"""

FOREIGN_KEYS = """
SELECT conname
  FROM pg_constraint
 WHERE contype = 'f'
   AND (conrelid = ANY ($1::text[]::regclass[]) OR confrelid = ANY ($1::text[]::regclass[]))
"""


def test_telemetry_is_keyed_by_pack_first_and_tied_to_no_other_table(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            keys = {row[0]: row[1] for row in await tx.fetch(KEY_COLUMNS, TELEMETRY)}
            assert keys == dict.fromkeys(TELEMETRY, "pack_id")
            assert await tx.fetch(FOREIGN_KEYS, TELEMETRY) == []

    database(scenario)


# A name that PostgreSQL made up says nothing to whoever reads the error; foreign keys and
# primary keys are not mapped to errors and may keep theirs.
UNNAMED = """
SELECT conrelid::regclass::text || '.' || conname
  FROM pg_constraint
 WHERE connamespace = current_schema()::regnamespace
   AND contype IN ('c', 'u', 'x')
   AND conname ~ '_(check|key|excl)\\d*$'
"""


def test_every_constraint_was_named_by_us(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            assert [row[0] for row in await tx.fetch(UNNAMED)] == []

    database(scenario)


CONSTRAINT_NAMES = """
SELECT conname::text
  FROM pg_constraint
 WHERE connamespace = current_schema()::regnamespace
 UNION
SELECT relname::text
  FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace
   AND relkind = 'i'
 UNION
SELECT tgname::text
  FROM pg_trigger
  JOIN pg_class ON pg_class.oid = tgrelid
 WHERE relnamespace = current_schema()::regnamespace
"""

RAISED = re.compile(r"CONSTRAINT = '(\w+)'")


def test_every_constraint_that_has_an_error_of_its_own_exists(database):
    from leasing.app import CONSTRAINTS

    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            names = {row[0] for row in await tx.fetch(CONSTRAINT_NAMES)}
        names |= {name for migration in migrate.files() for name in RAISED.findall(migration.sql)}
        assert set(CONSTRAINTS) - names == set()

    database(scenario)
