"""What tests of ways to outlets have in common: prices, and what the directory tells."""

from datetime import date
from decimal import Decimal
from uuid import UUID

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
