"""Every statement of ours is prepared against the migrated schema: a column that was renamed or
a table that is gone shows here, also in a statement no other test runs."""

import importlib
import pkgutil
import re

import asyncpg

import jobs
import leasing
from leasing.db.pool import Database
from leasing.health import session_store

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE)\s")


def statements() -> dict[str, str]:
    """Constants of modules that read like SQL, by their full names."""
    found = {}
    for package in (leasing, jobs):
        for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if entry.name.endswith(".__main__"):  # importing it would run it
                continue
            module = importlib.import_module(entry.name)
            for name, value in vars(module).items():
                if name.isupper() and isinstance(value, str) and SQL.match(value):
                    found[f"{entry.name}.{name}"] = value
    return found


def test_every_statement_is_one_that_postgresql_accepts(database):
    found = statements()
    assert len(found) > 100

    async def scenario(db: Database) -> None:
        refused = {}
        # A connection of its own: what is prepared here stays in no pool.
        connection = await db.connect_alone()
        try:
            await connection.execute(session_store.MAKE_HOUR_STAGE.replace("ON COMMIT DROP", ""))
            for name, sql in found.items():
                try:
                    await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    refused[name] = str(error)
        finally:
            await connection.close()
        assert refused == {}

    database(scenario)
