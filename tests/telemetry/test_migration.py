"""Readings that were stored as rows are still there as chunks."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.db import migrate
from leasing.db.pool import connect, quote_identifier
from leasing.kit.settings import Settings
from leasing.telemetry import storage
from leasing.telemetry.api import FIRST, LAST, views

ROWS_UNTIL = "0026"
MIDNIGHT = datetime(2026, 5, 31, 16, 0, tzinfo=UTC)
"""Of June 1st, the lessor's."""


@pytest.fixture
def own(dsn: str) -> Iterator[Settings]:
    settings = Settings(schema=f"rows_{uuid4().hex[:8]}", pool_size=2)
    yield settings

    async def drop() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"DROP SCHEMA {quote_identifier(settings.schema)} CASCADE")
        await connection.close()

    asyncio.run(drop())


def test_rows_become_chunks_of_a_day_each_and_read_the_same(dsn, own):
    one, other = UUID(int=1), UUID(int=2)
    step = timedelta(minutes=7, microseconds=3)
    rows = [
        (pack, MIDNIGHT + n * step, 50 + n / 4, n - 3.5, None if n % 2 else 40.0, 25.5)
        for pack in (one, other)
        for n in range(-5, 6)
    ]

    async def scenario() -> None:
        before = [file for file in migrate.files() if file.name[:4] <= ROWS_UNTIL]
        await migrate.migrate(dsn, own, migrations=before)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            await tx.execute(
                "CREATE TABLE reading_2026 PARTITION OF reading"
                " FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
            )
            await tx.copy_records_to_table("reading", records=rows)
            await tx.execute(
                "INSERT INTO pack_telemetry (pack_id, latest_at, voltage_v, current_a)"
                " SELECT pack_id, max(at), 51, 1 FROM reading GROUP BY pack_id"
            )
        await migrate.migrate(dsn, own)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            found = [
                (
                    pack,
                    view.at,
                    view.voltage_v,
                    view.current_a,
                    view.soc_percent,
                    view.temperature_c,
                )
                for pack in (one, other)
                for view in views(await storage.page(tx, pack, FIRST, LAST, 100))
            ]
            assert found == rows
            days = await tx.fetch(
                "SELECT tableoid::regclass::text AS name, readings FROM reading_chunk"
                " WHERE pack_id = $1 ORDER BY first_at",
                one,
            )
            assert [tuple(day) for day in days] == [
                ("reading_chunk_2026_05", 5),
                ("reading_chunk_2026_06", 6),
            ]
            first = await tx.fetchval("SELECT min(unsealed_from) FROM pack_telemetry")
            assert first == MIDNIGHT - 5 * step

    asyncio.run(scenario())
