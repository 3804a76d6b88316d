"""LEASING_DSN may name a database user that is no superuser."""

import asyncio
from collections.abc import Iterator
from datetime import date
from uuid import uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.migrate import migrate
from leasing.db.pool import connect
from leasing.kit.settings import Settings
from leasing.regions import store as regions
from tests import build


@pytest.fixture
def ordinary(dsn: str) -> Iterator[str]:
    """The DSN of a database that belongs to a user who may create roles, and nothing more."""
    name = f"ordinary_{uuid4().hex[:12]}"

    async def administer(*statements: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(administer(f"CREATE ROLE {name} LOGIN CREATEROLE", f"CREATE DATABASE {name}"))
    asyncio.run(
        administer(
            f"ALTER DATABASE {name} OWNER TO {name}",
            *[f"GRANT leasing_{role} TO {name} WITH ADMIN TRUE" for role in existing(dsn)],
        )
    )
    host = dsn.partition("?")[2]
    yield f"postgresql://{name}@/{name}?{host}"
    asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}"))


def existing(dsn: str) -> list[str]:
    """Roles are of the whole server: another test may have made them as superuser already."""

    async def look() -> list[str]:
        connection = await asyncpg.connect(dsn)
        rows = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname ~ '^leasing_'")
        await connection.close()
        return [row["rolname"].removeprefix("leasing_") for row in rows]

    return asyncio.run(look())


def test_an_ordinary_database_user_can_migrate_and_step_down_to_a_customer(ordinary: str) -> None:
    async def scenario() -> None:
        settings = Settings(schema="lessor", key_memory_seconds=0.0)
        assert await migrate(ordinary, settings) > 0
        async with await connect(ordinary, settings) as db:
            async with db.transaction() as tx:
                assert not await tx.fetchval("SELECT usesuper FROM pg_user WHERE usename = user")
                await regions.load(tx)
            async with build.world(db, on=date(2026, 1, 20)) as world:
                lease = await build.leased_pack(world, on="2026-01-11")
                customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
                (seen,) = (await customer.get("/v1/packs"))["items"]
                assert seen["id"] == lease["pack"]["id"]
                stranger = await build.customer(world, "Stranger")
                other = await world.login(Role.CUSTOMER, stranger["id"])
                assert (await other.get("/v1/packs"))["items"] == []

    asyncio.run(scenario())
