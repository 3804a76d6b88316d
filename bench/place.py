"""A PostgreSQL server of our own, as durable as a real one, in a folder that goes away."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from bench.result import cpu_of_family
from leasing.db.embedded import EmbeddedServer
from leasing.db.migrate import migrate
from leasing.db.pool import LoneConnection, connect, quote_identifier, session
from leasing.kit.settings import Settings
from leasing.regions import store as regions

SETTINGS = Settings(schema="bench", pool_size=10)


class Place:
    """The server and its databases. A measurement that writes gets a copy of a prepared one, so
    that all of them find the same tables in the same state."""

    def __init__(self, server: EmbeddedServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def dsn(self, database: str) -> str:
        return urlsplit(self.server.dsn)._replace(path=f"/{database}").geturl()

    async def admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.server.dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def open(self, database: str) -> LoneConnection:
        """A connection as the product's, except that it may take its time."""
        unhurried = session(SETTINGS) | {"statement_timeout": "0"}
        return await asyncpg.connect(self.dsn(database), server_settings=unhurried)

    async def create(self, database: str) -> None:
        """A migrated database with the country's divisions."""
        await self.admin(f"CREATE DATABASE {quote_identifier(database)}")
        await migrate(self.dsn(database), SETTINGS)
        async with await connect(self.dsn(database), SETTINGS) as db, db.transaction() as tx:
            await regions.load(tx)

    async def copy(self, template: str, database: str) -> None:
        """A copy of a database that nobody is connected to, with all writing of it done."""
        made, of = quote_identifier(database), quote_identifier(template)
        await self.admin(
            f"DROP DATABASE IF EXISTS {made}",
            f"CREATE DATABASE {made} TEMPLATE {of} STRATEGY file_copy",
            "CHECKPOINT",
        )

    async def drop(self, database: str) -> None:
        await self.admin(f"DROP DATABASE {quote_identifier(database)}")

    async def cpu_s(self) -> float:
        """CPU time that the server has used so far."""
        # A session that is just over is neither a child nor counted until the server has noticed.
        await asyncio.sleep(1)
        pid = (self.folder / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]
        return cpu_of_family(int(pid))

    async def pids(self) -> list[int]:
        """Every process of the server that has a session."""
        connection = await asyncpg.connect(self.server.dsn)
        try:
            rows = await connection.fetch("SELECT pid FROM pg_stat_activity")
            return [row["pid"] for row in rows]
        finally:
            await connection.close()


@contextmanager
def place(say: Callable[[str], None]) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="leasing-bench-"))
    # As root the server runs under another account, which has to get to its data.
    folder.chmod(0o711)
    try:
        with EmbeddedServer.start(folder / "postgres", say) as server:
            yield Place(server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
