"""The two supplies of an exchange bear their own VAT; the difference of it is paid in money."""

import asyncpg
import pytest

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.deals.offers import TODAY, a_deal, balances, delivery, settlement

PAID = {"settled_on": TODAY, "document": "bank 1"}

BOOKS = """
SELECT account, sum(amount)::bigint
  FROM posting
 GROUP BY account
HAVING sum(amount) <> 0
"""


async def books(world: World) -> dict[str, int]:
    async with world.db.transaction(read_only=True) as tx:
        return dict(await tx.fetch(BOOKS))


async def vat_open(world: World, deal: Json) -> int:
    found: int = (await world.staff.get(f"/v1/deals/{deal['id']}"))["vat_open_amount"]
    return found


def test_scrap_and_material_are_taxed_apart_and_what_is_open_is_paid(database):
    """A tonne brings 101.144 kg, 758,580 fen; 13 % are 98,615.40. For 60 kg of it the recycler
    bills 450,000 fen and 13 %, 58,500; for the other 41.144 kg it pays."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            sold = await world.staff.post(f"{path}/deliveries", delivery(vat_percent="13"))
            assert (sold["vat_percent"], sold["vat_amount"]) == ("13.00", 98_615)
            assert sum(one["amount"] for one in sold["entries"]) == 758_580
            assert await books(world) == {
                "scrap_receivable": 758_580 + 98_615,
                "revenue_scrap": -758_580,
                "vat_output": -98_615,
            }
            bought = settlement("60") | {"vat_percent": "13"}
            got = await world.staff.post(f"{path}/settlements", bought)
            assert got["vat_amount"] == -58_500
            await world.staff.post(f"{path}/settlements", settlement("41.144", "money"))
            # In material and in money nothing is open without its tax.
            assert await balances(world, deal) == {"Li2CO3": ("0.000", 0)}
            assert await vat_open(world, deal) == 98_615 - 58_500
            problem = await world.staff.refused("POST", f"{path}/closing", 409)
            assert problem["code"] == "deal_open"
            paid = await world.staff.post(f"{path}/vat-settlements", PAID)
            assert (paid["kind"], paid["vat_amount"]) == ("vat", 58_500 - 98_615)
            assert await books(world) == {
                "cash": 308_580 + 98_615 - 58_500,
                "raw_material": 450_000,
                "vat_input": 58_500,
                "revenue_scrap": -758_580,
                "vat_output": -98_615,
            }
            problem = await world.staff.refused("POST", f"{path}/vat-settlements", 409, PAID)
            assert problem["code"] == "deal_vat_settled"
            closed = await world.staff.post(f"{path}/closing")
            assert (closed["state"], closed["vat_open_amount"]) == ("closed", 0)
            assert (await world.staff.get("/v1/ledger/trial-balance"))["balanced"]

    database(scenario)


def test_when_material_bears_more_tax_than_scrap_the_lessor_pays(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            await world.staff.post(f"{path}/deliveries", delivery(vat_percent="3"))
            bought = settlement("101.144") | {"vat_percent": "13"}
            await world.staff.post(f"{path}/settlements", bought)
            assert await vat_open(world, deal) == 22_757 - 98_615
            await world.staff.post(f"{path}/vat-settlements", PAID)
            assert (await books(world))["cash"] == 22_757 - 98_615

    database(scenario)


def test_what_is_taken_back_takes_its_tax_along(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            sold = await world.staff.post(f"{path}/deliveries", delivery(vat_percent="13"))
            paid = await world.staff.post(f"{path}/vat-settlements", PAID)
            for movement in (paid, sold):
                reversal = {"movement_id": movement["id"], "reversed_on": TODAY, "reason": "twice"}
                taken = await world.staff.post(f"{path}/reversals", reversal)
                assert taken["vat_amount"] == -movement["vat_amount"]
            assert await vat_open(world, deal) == 0
            assert await books(world) == {}

    database(scenario)


def test_without_a_rate_nothing_of_vat_is_entered_and_money_has_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            sold = await world.staff.post(f"{path}/deliveries", delivery())
            assert (sold["vat_percent"], sold["vat_amount"]) == (None, 0)
            taxed = settlement("1", "money") | {"vat_percent": "13"}
            problem = await world.staff.refused("POST", f"{path}/settlements", 400, taxed)
            assert problem["errors"][0]["pointer"] == "/vat_percent"
            assert "vat_output" not in await books(world)

    database(scenario)


REVERSED = """
INSERT INTO deal_movement (deal_id, kind, happened_on, document, reverses_id, entered_by,
                           entered_at, vat_amount)
SELECT deal_id, 'reversal', happened_on, 'x', id, 'x', entered_at, 0
  FROM deal_movement
"""


def test_the_database_takes_no_reversal_that_keeps_the_tax(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await a_deal(world)
            taxed = delivery(vat_percent="13")
            await world.staff.post(f"/v1/deals/{deal['id']}/deliveries", taxed)
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(REVERSED)
            assert caught.value.constraint_name == "deal_reversal_mirrors"

    database(scenario)
