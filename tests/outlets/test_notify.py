"""Who keeps outlets in memory is told when what it read is old."""

import asyncio
from uuid import UUID

from leasing.db.pool import Database
from tests import build

CHANGES = [
    ("INSERT INTO qualification (party_id, kind, valid, document) "
     "VALUES ($1, 'listing', '[2025-01-01,)', 'x')", ["qualification"]),
    ("UPDATE qualification SET document = document || 'x' WHERE party_id = $1", ["qualification"]),
    ("UPDATE outlet SET store_limit_kg = 4000 WHERE recycler_id = $1", ["outlet"]),
    ("UPDATE outlet SET closed_from = '2027-01-01', closing_reason = 'x' WHERE recycler_id = $1",
     ["outlet"]),
    # Reservations are many, and decide for themselves.
    ("UPDATE outlet SET reserved_kg = 10 WHERE recycler_id = $1", []),
    ("INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source, "
     "entered_by, entered_at) VALUES ($1, 'B', 'recycle', '[2026-01-01,)', 3, 'x', 'x', now())",
     ["scrap_offer"]),
    ("DELETE FROM scrap_offer WHERE recycler_id = $1", ["scrap_offer"]),
]  # fmt: skip


def test_each_statement_that_changes_what_may_be_chosen_is_told_once_on_the_lessors_channel(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            for _ in range(3):
                await build.outlet(world, firm["id"])
            heard: list[str] = []
            listener = await db.connect_alone()
            try:
                schema = await listener.fetchval("SELECT current_schema()")
                await listener.add_listener(
                    f"outlets_{schema}", lambda *told: heard.append(str(told[-1]))
                )
                for change, expected in CHANGES:
                    heard.clear()
                    async with db.transaction() as tx:
                        await tx.execute(change, UUID(firm["id"]))
                    # What is told comes with the next answer to this session.
                    await listener.fetchval("SELECT 1")
                    await asyncio.sleep(0.05)
                    assert heard == expected, change
            finally:
                await listener.close()

    database(scenario)
