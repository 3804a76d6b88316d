"""Certificates of single packs are batches of one afterwards."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.db import migrate
from leasing.db.pool import connect, quote_identifier
from leasing.end_of_life import recovery
from leasing.kit.settings import Settings

SINGLE_UNTIL = "0045"

FIRM = """
INSERT INTO party (id, kind, name, created_at)
VALUES ($1, 'recycler', 'R', now())
"""

# Without the packs and outlets behind it.
ROUTING = """
INSERT INTO routing (id, pack_id, disposition_id, outlet_id, recycler_id, state, mass_kg,
                     distance_m, hand_over_on, explanation, chosen_at, handed_over_on, recycled_on)
VALUES ($1, uuidv7(), uuidv7(), uuidv7(), $2, 'recycled', 46, 1, '2024-12-01', '{}', now(),
        '2024-12-01', $3::text::date)
"""

CERTIFICATE = """
INSERT INTO recycling_certificate
       (routing_id, number, recycler_id, recycled_on, lithium_percent,
        nickel_cobalt_manganese_percent)
VALUES ($1, $2, $3, $4::text::date, $5, $6)
"""


@pytest.fixture
def own(dsn: str) -> Iterator[Settings]:
    settings = Settings(schema=f"certificates_{uuid4().hex[:8]}", pool_size=2)
    yield settings

    async def drop() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"DROP SCHEMA {quote_identifier(settings.schema)} CASCADE")
        await connection.close()

    asyncio.run(drop())


def test_a_certificate_of_one_pack_becomes_a_batch_judged_by_its_day(dsn, own):
    firm = UUID(int=1)
    # Number, day, lithium, the others, and whether that is below the floor of its day.
    certificates = [
        ("A", "2024-12-31", 85, None, False),
        ("B", "2024-12-31", 84, 98, True),
        ("C", "2025-01-01", 85, 98, True),
        ("D", "2025-01-01", 90, 97, True),
        ("E", "2025-01-01", 90, 98, False),
    ]

    async def scenario() -> None:
        before = [file for file in migrate.files() if file.name[:4] <= SINGLE_UNTIL]
        await migrate.migrate(dsn, own, migrations=before)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")
            await tx.execute(FIRM, firm)
            for at, (number, on, lithium, others, _) in enumerate(certificates, 2):
                await tx.execute(ROUTING, UUID(int=at), firm, on)
                rates = (Decimal(lithium), others and Decimal(others))
                await tx.execute(CERTIFICATE, UUID(int=at), number, firm, on, *rates)
        await migrate.migrate(dsn, own)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            rows = await tx.fetch("SELECT batch_id FROM recycling_certificate ORDER BY number")
            found = [await recovery.get(tx, row["batch_id"]) for row in rows]
        for at, (batch, entered) in enumerate(zip(found, certificates, strict=True), 2):
            number, on, lithium, others, is_below = entered
            assert batch.routing_ids == [UUID(int=at)]
            assert (batch.certificate_number, str(batch.recycled_on)) == (number, on)
            assert {one.metal: one.percent for one in batch.metals} == (
                {"Li": lithium} | ({"NiCoMn": others} if others else {})
            )
            assert (batch.is_below_floor, batch.is_below_eu_floor) == (is_below, False)
            # As the rules say themselves.
            assert is_below == any(
                one.verdict == "below" for one in batch.floors if one.regime == "cn"
            )

    asyncio.run(scenario())
