"""What tests of ways to outlets have in common: prices, and a country of outlets."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from leasing.db.pool import Connection
from leasing.kit.time import system_now
from leasing.outlets import generator
from leasing.outlets import store as outlets_store
from tests.build import World

INSERT_OFFER = """
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source,
                         entered_by, entered_at)
VALUES ($1, $2, 'recycle', daterange($3, $4), $5, 'a test', 'a test', now())
"""


async def offer(
    world: World,
    recycler_id: str,
    cny_per_kg: str,
    chemistry: str = "B",
    valid_from: date = date(2025, 1, 1),
    valid_to: date | None = None,
) -> None:
    async with world.db.transaction() as tx:
        price = Decimal(cny_per_kg)
        await tx.execute(INSERT_OFFER, UUID(recycler_id), chemistry, valid_from, valid_to, price)


async def tell(world: World) -> None:
    """What the directory's triggers send."""
    async with world.db.transaction() as tx:
        await tx.execute("SELECT pg_notify('outlets_' || current_schema(), '')")


OFFERS_OF_ALL = """
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source,
                         entered_by, entered_at)
SELECT id, chemistry, 'recycle', daterange('2025-01-01', NULL),
       round((CASE chemistry WHEN 'B' THEN 3.12 ELSE 14.0 END
              * (0.9 + 0.2 * ((row_number() OVER (ORDER BY credit_code, chemistry) * 7919) % 101)
                 / 100.0))::numeric, 4),
       'generated', 'a test', now()
  FROM party
  CROSS JOIN unnest('{B,E}'::text[]) AS taken (chemistry)
 WHERE kind = 'recycler'
"""


async def country(tx: Connection, as_of: date = date(2026, 6, 15)) -> None:
    """The generated network of 10,235 outlets, with prices that are made up."""
    await outlets_store.insert_network(tx, generator.generate(as_of), system_now())
    await tx.execute(OFFERS_OF_ALL)
