"""Certificates of single packs are batches of one afterwards, and what is on the road has left."""

import asyncio
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.db import migrate
from leasing.db.pool import connect, quote_identifier
from leasing.end_of_life import recovery
from leasing.kit.settings import Settings
from leasing.traceability import checking

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


LEFT_BY = "_waste_on_the_way.sql"

PACK = """
INSERT INTO pack (id, maker, chemistry, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, mass_kg, state, acquired_on, created_at)
VALUES ($1, '9ZZ', 'B', '2021-01-01', 16, 51200, 100000, 46, 'routed', '2025-01-01', now())
"""

CHOSEN = """
INSERT INTO trace_record (pack_id, kind, happened_on, adcode, data, actor, recorded_at)
VALUES ($1, 'route.chosen', '2026-06-01', '410700', '{}', 'staff', now())
"""

LOT = """
INSERT INTO consignment (id, number, outlet_id, recycler_id, purpose, hazard, un_number, packing,
                         state, expected_kg, packed_on, dispatched_on, mode, carrier_id, permit_id,
                         vehicle, driver, created_at)
VALUES ($1, $2, $1, $3, 'recycling', 'intact', 'UN 3480', '{}', $2, 46, '2026-06-02', $4, $5, $6,
        $6, $5, $5, now())
"""

IN_LOT = """
INSERT INTO consignment_pack (consignment_id, routing_id, outlet_id, pack_id, hazard, chemistry,
                              mass_kg)
SELECT id, $2, outlet_id, $2, 'intact', 'B', 46
  FROM consignment
 WHERE id = $1
"""

TOLD = """
SELECT kind, happened_on::text, adcode, party_id, sequence, data ->> 'routing_id' AS routing_id
  FROM trace_record
 WHERE pack_id = $1
 ORDER BY sequence
"""


def test_what_is_on_the_road_has_left_and_what_is_packed_has_not(dsn, own):
    firm, gone, packed = UUID(int=1), UUID(int=2), UUID(int=3)

    async def scenario() -> None:
        every = migrate.files()
        left_by = next(file.number for file in every if file.name.endswith(LEFT_BY))
        before = [file for file in every if file.number < left_by]
        await migrate.migrate(dsn, own, migrations=before)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            await tx.execute("SET LOCAL session_replication_role = replica")
            await tx.execute(FIRM, firm)
            for pack, state, on in (
                (gone, "dispatched", date(2026, 6, 3)),
                (packed, "packed", None),
            ):
                await tx.execute(PACK, pack)
                await tx.execute(CHOSEN, pack)
                carried = ("road", UUID(int=9)) if on else (None, None)
                await tx.execute(LOT, pack, state, firm, on, *carried)
                await tx.execute(IN_LOT, pack, pack)
        await migrate.migrate(dsn, own)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            chosen, left = await tx.fetch(TOLD, gone)
            assert chosen["kind"] == "route.chosen"
            assert tuple(left) == (
                "waste.outbound", "2026-06-03", "410700", firm, 2, str(gone)
            )  # fmt: skip
            assert len(await tx.fetch(TOLD, packed)) == 1
            checked = await checking.verify(tx, lambda finding: None)
            assert (checked.packs, checked.findings) == (2, 0)

    asyncio.run(scenario())
