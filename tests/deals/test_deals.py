"""Deals: bound at prices that hold, and never more open than was agreed."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from tests import build
from tests.build import World
from tests.consignments import lots
from tests.deals import offers
from tests.deals.offers import TODAY


async def owed_in_books(world: World) -> int:
    accounts = (await world.staff.get("/v1/ledger/trial-balance"))["accounts"]
    return sum(one["closing"] for one in accounts if one["account"] == "scrap_receivable")


def test_a_deal_from_its_offer_to_the_last_gram(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            made = await world.staff.post("/v1/deals", offers.lfp(firm["id"]))
            assert (made["state"], made["terms"][0]["factor"]) == ("offered", "5.323343")
            path = f"/v1/deals/{made['id']}"
            early = await world.staff.refused("POST", f"{path}/deliveries", 409, offers.delivery())
            assert early["code"] == "deal_state"
            its_own = await world.login(Role.RECYCLER, firm["id"])
            deal = await its_own.post(f"{path}/acceptance")
            assert deal["state"] == "accepted"
            assert deal["accepted_by"].startswith("recycler:")

            asked = {"scrap_kg": "1000", "assay": [{"metal": "Li", "content_percent": "3"}]}
            valuation = await its_own.post(f"{path}/valuations", asked)
            (line,) = valuation["lines"]
            assert (line["contained_kg"], line["kg"], line["amount"]) == (
                "30.000",
                "121.372",
                910_290,
            )
            assert valuation["amount_per_tonne"] == 910_290
            assert await offers.balances(world, deal) == {"Li2CO3": ("0.000", 0)}

            moved = await world.staff.post(f"{path}/deliveries", offers.delivery())
            assert moved["entries"] == [{"material": "Li2CO3", "kg": "101.144", "amount": 758_580}]
            assert await offers.balances(world, deal) == {"Li2CO3": ("101.144", 758_580)}
            assert await owed_in_books(world) == 758_580
            problem = await world.staff.refused("POST", f"{path}/closing", 409)
            assert problem["code"] == "deal_open"
            await world.staff.post(f"{path}/settlements", offers.settlement("100"))
            assert await offers.balances(world, deal) == {"Li2CO3": ("1.144", 8_580)}
            paid = offers.settlement("1.145", kind="money")
            problem = await world.staff.refused("POST", f"{path}/settlements", 409, paid)
            assert problem["code"] == "deal_limit"
            paid = offers.settlement("1.144", kind="money")
            await world.staff.post(f"{path}/settlements", paid)
            assert await offers.balances(world, deal) == {"Li2CO3": ("0.000", 0)}
            balance = await world.staff.get("/v1/ledger/trial-balance")
            assert balance["balanced"]
            closing = {one["account"]: one["closing"] for one in balance["accounts"]}
            assert closing == {
                "cash": 8_580,
                "raw_material": 750_000,
                "revenue_scrap": -758_580,
                "scrap_receivable": 0,
            }
            entries = await world.staff.get("/v1/journal-entries", source="deal")
            assert {one["source_path"] for one in entries["items"]} == {path}
            assert (await world.staff.post(f"{path}/closing"))["state"] == "closed"
            late = await world.staff.refused("POST", f"{path}/deliveries", 409, offers.delivery())
            assert late["code"] == "deal_state"
            ledger = (await its_own.get(f"{path}/ledger"))["items"]
            assert [one["kind"] for one in ledger] == ["scrap", "material", "money"]
            assert sum(Decimal(one["entries"][0]["kg"]) for one in ledger) == 0

    database(scenario)


def test_ternary_scrap_is_counted_by_nickel_and_cobalt_above_100_percent(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            deal = await offers.accepted(world, offers.ternary(firm["id"]))
            path = f"/v1/deals/{deal['id']}"
            await world.staff.post(f"{path}/deliveries", offers.delivery())
            # 150 kg Ni × 98 % × 187 % × 4.4782, 100 kg Co × 98 % × 187 % × 4.769722.
            assert await offers.balances(world, deal) == {
                "CoSO4.7H2O": ("874.099", 4_370_495),
                "NiSO4.6H2O": ("1231.012", 3_446_834),
            }
            assert await owed_in_books(world) == 4_370_495 + 3_446_834
            with_lithium = offers.ternary(firm["id"], terms=[offers.NICKEL, offers.LFP])
            problem = await world.staff.refused("POST", "/v1/deals", 400, with_lithium)
            assert problem["errors"][0]["code"] == "counted_otherwise"

    database(scenario)


def test_a_deal_is_not_accepted_after_its_prices_ended(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            over = offers.snapshot("Li2CO3", expires_at="2026-06-15T03:59:59Z")
            body = offers.lfp(firm["id"], snapshot=over)
            problem = await world.staff.refused("POST", "/v1/deals", 400, body)
            assert problem["errors"][0]["pointer"] == "/snapshot/expires_at"
            made = await world.staff.post("/v1/deals", offers.lfp(firm["id"]))
            path = f"/v1/deals/{made['id']}"
            await world.set_clock(date(2026, 6, 16))
            problem = await world.staff.refused("POST", f"{path}/acceptance", 409)
            assert problem["code"] == "deal_expired"
            valuation = await world.staff.post(f"{path}/valuations", {"scrap_kg": "1000"})
            assert (valuation["is_expired"], valuation["source"]) == (True, "SMM 2026-06-15")
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(
                        """
                        UPDATE deal
                           SET state = 'accepted', accepted_at = '2026-06-16', accepted_by = 'X',
                               snapshot_id = (SELECT id FROM deal_snapshot)
                        """
                    )
            assert caught.value.constraint_name == "deal_accepted_before_expiry"
            anew = offers.snapshot(
                "Li2CO3", Li2CO3=8_000_000, expires_at="2026-06-17T00:00:00Z", source="SMM 16"
            )
            deal = await world.staff.post(f"{path}/revaluation", anew)
            assert (deal["snapshot"]["number"], deal["snapshot"]["source"]) == (2, "SMM 16")
            deal = await world.staff.post(f"{path}/acceptance")
            assert deal["snapshot"]["prices"] == [
                {"material": "Li2CO3", "amount_per_tonne": 8_000_000}
            ]

    database(scenario)


def test_an_accepted_deal_is_never_priced_anew(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await offers.a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            anew = offers.snapshot("Li2CO3", Li2CO3=1)
            problem = await world.staff.refused("POST", f"{path}/revaluation", 409, anew)
            assert problem["code"] == "deal_priced_for_good"
            for written, name in (
                (
                    """
                    INSERT INTO deal_snapshot (deal_id, number, source, quoted_on, expires_at,
                                               entered_by, entered_at)
                    SELECT id, 9, 'S', '2026-06-15', '2027-01-01', 'X', '2026-06-15' FROM deal
                    """,
                    "deal_priced_for_good",
                ),
                ("UPDATE deal_price SET amount_per_tonne = 1", "deal_price_append_only"),
                ("DELETE FROM deal_snapshot", "deal_snapshot_append_only"),
                ("UPDATE deal_term SET coefficient_percent = 1", "deal_term_append_only"),
                ("UPDATE deal SET limit_amount = limit_amount + 1", "deal_priced_for_good"),
                ("UPDATE deal SET snapshot_id = NULL", "deal_priced_for_good"),
            ):
                with pytest.raises(asyncpg.CheckViolationError) as caught:
                    async with db.transaction() as tx:
                        await tx.execute(written)
                assert caught.value.constraint_name == name

    database(scenario)


def test_of_many_deliveries_at_once_those_that_fit_the_limit_are_taken(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            # A delivery brings 101.144 kg and 7,585.80 yuan: three fit either limit.
            for limits, code in (
                ({"limit_kg": "303.432"}, "deal_limit"),
                ({"limit_amount": 3 * 758_580}, "deal_limit"),
            ):
                deal = await offers.a_deal(world, **limits)
                path = f"/v1/deals/{deal['id']}/deliveries"
                answers = await asyncio.gather(
                    *(world.staff.ask("POST", path, json=offers.delivery()) for _ in range(8))
                )
                statuses = sorted(answer.status_code for answer in answers)
                assert statuses == [201] * 3 + [409] * 5
                refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
                assert refused == {code}
                told = {answer.json()["detail"] for answer in answers if answer.status_code == 409}
                assert told in (
                    {"404.576 kg would be open, the limit is 303.432 kg"},
                    {"3034320 fen would be open, the limit is 2275740 fen"},
                )
                assert await offers.balances(world, deal) == {"Li2CO3": ("303.432", 2_275_740)}
                # Nor does the database take one that came past the service.
                with pytest.raises(asyncpg.CheckViolationError) as caught:
                    async with db.transaction() as tx:
                        await smuggle(tx, deal["id"], 1_000, 7_500)
                assert caught.value.constraint_name in ("deal_limit_kg", "deal_limit_amount")

    database(scenario)


TABLES = """
SELECT relname
  FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace
   AND relkind = 'r'
   AND (relname LIKE 'deal%' OR relname LIKE 'consignment%' OR relname LIKE 'recovery%')
"""


async def rows_seen(db: Database, tables: list[str], role: DbRole, party_id: str) -> set[str]:
    """The tables in which a party finds anything at all."""
    found = set()
    async with db.transaction(Actor(role, UUID(party_id))) as tx:
        for table in tables:
            if await tx.fetchval(f"SELECT count(*) FROM {table}"):
                found.add(table)
    return found


def test_every_row_of_a_neighbour_is_hidden_in_the_database_itself(database):
    """Not only by what a statement joins."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, _, firm = await lots.arrived(world)
            await world.staff.post(f"/v1/consignments/{lot['id']}/receipt", {"received_on": TODAY})
            taken = {"number": "B-1", "received_on": TODAY, "mass_in_kg": "92"}
            taken["consignment_id"] = lot["id"]
            batch = await world.staff.post("/v1/recovery-batches", taken)
            certificate = {
                "number": "RC-1",
                "recycled_on": TODAY,
                "metals": [{"metal": "Li", "percent": "91"}],
                "products": [{"product": "Li2CO3", "mass_kg": "11"}],
            }
            await world.staff.post(f"/v1/recovery-batches/{batch['id']}/certificate", certificate)
            deal = await offers.accepted(world, offers.lfp(firm["id"]))
            await world.staff.post(f"/v1/deals/{deal['id']}/deliveries", offers.delivery())
            async with db.transaction() as tx:
                tables = [row["relname"] for row in await tx.fetch(TABLES)]
            assert len(tables) == 12
            stranger = await build.recycler(world)
            recycler = DbRole.RECYCLER
            assert await rows_seen(db, tables, recycler, firm["id"]) == set(tables)
            assert await rows_seen(db, tables, recycler, stranger["id"]) == set()
            customer = await build.customer(world)
            for table in tables:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await rows_seen(db, [table], DbRole.CUSTOMER, customer["id"])

    database(scenario)


async def smuggle(tx: Any, deal_id: str, grams: int, amount: int) -> None:
    movement = await tx.fetchval(
        """
        INSERT INTO deal_movement (deal_id, kind, happened_on, document, entered_by, entered_at)
        VALUES ($1::text::uuid, 'material', '2026-06-15', 'D', 'X', '2026-06-15')
        RETURNING id
        """,
        deal_id,
    )
    await tx.execute(
        "INSERT INTO deal_entry VALUES ($1, $2::text::uuid, 'Li2CO3', $3, $4)",
        movement,
        deal_id,
        grams,
        amount,
    )


def test_two_who_write_past_the_service_wait_for_each_other(database):
    """The limit holds among transactions that cannot see each other's entries."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await offers.a_deal(world, limit_kg="150")

            async def write() -> str:
                try:
                    async with db.transaction() as tx:
                        await smuggle(tx, deal["id"], 100_000, 1)
                        await asyncio.sleep(0.1)
                except asyncpg.CheckViolationError as refused:
                    return str(refused.constraint_name)
                return "written"

            assert sorted(await asyncio.gather(*(write() for _ in range(4)))) == [
                *["deal_limit_kg"] * 3,
                "written",
            ]

    database(scenario)


def test_material_may_come_before_its_scrap_within_the_limit(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await offers.a_deal(world, limit_kg="101.144")
            path = f"/v1/deals/{deal['id']}"
            before = offers.settlement("101.145")
            problem = await world.staff.refused("POST", f"{path}/settlements", 409, before)
            assert problem["code"] == "deal_limit"
            await world.staff.post(f"{path}/settlements", offers.settlement("101.144"))
            assert await offers.balances(world, deal) == {"Li2CO3": ("-101.144", -758_580)}
            assert await owed_in_books(world) == -758_580
            await world.staff.post(f"{path}/deliveries", offers.delivery())
            assert await offers.balances(world, deal) == {"Li2CO3": ("0.000", 0)}
            assert await owed_in_books(world) == 0

    database(scenario)


def test_a_movement_is_taken_back_once_by_its_mirror_image(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            deal = await offers.a_deal(world)
            path = f"/v1/deals/{deal['id']}"
            moved = await world.staff.post(f"{path}/deliveries", offers.delivery())
            wrong = {"movement_id": moved["id"], "reversed_on": TODAY, "reason": "wrong scale"}
            back = await world.staff.post(f"{path}/reversals", wrong)
            assert back["reverses_id"] == moved["id"]
            assert await offers.balances(world, deal) == {"Li2CO3": ("0.000", 0)}
            assert await owed_in_books(world) == 0
            problem = await world.staff.refused("POST", f"{path}/reversals", 409, wrong)
            assert problem["code"] == "deal_movement_reversed"
            again = {**wrong, "movement_id": back["id"]}
            problem = await world.staff.refused("POST", f"{path}/reversals", 409, again)
            assert problem["code"] == "deal_reversal_irreversible"
            other = await offers.a_deal(world)
            elsewhere = f"/v1/deals/{other['id']}/reversals"
            await world.staff.refused("POST", elsewhere, 404, wrong)
            for written, name in (
                ("UPDATE deal_entry SET grams = 0, amount = 1", "deal_entry_append_only"),
                ("DELETE FROM deal_movement", "deal_movement_append_only"),
            ):
                with pytest.raises(asyncpg.CheckViolationError) as caught:
                    async with db.transaction() as tx:
                        await tx.execute(written)
                assert caught.value.constraint_name == name
            crooked = """
            WITH wrong AS (
              INSERT INTO deal_movement (deal_id, kind, happened_on, document, reverses_id,
                                         entered_by, entered_at)
              SELECT deal_id, 'reversal', happened_on, 'D', id, 'X', entered_at
                FROM deal_movement
               WHERE id = $1::text::uuid
              RETURNING id, deal_id
            )
            INSERT INTO deal_entry
            SELECT id, deal_id, 'Li2CO3', -1, -1
              FROM wrong
            """
            third = await world.staff.post(f"{path}/deliveries", offers.delivery())
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(crooked, third["id"])
            assert caught.value.constraint_name == "deal_reversal_mirrors"

    database(scenario)


def test_a_consignment_is_counted_in_one_deal_with_what_it_weighed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, _, firm = await lots.arrived(world)
            deal = await offers.accepted(world, offers.lfp(firm["id"]))
            path = f"/v1/deals/{deal['id']}/deliveries"
            of_lot = {"delivered_on": TODAY, "consignment_id": lot["id"], "document": lot["number"]}
            problem = await world.staff.refused("POST", path, 409, of_lot)
            assert problem["code"] == "consignment_not_delivered"
            await world.staff.post(f"/v1/consignments/{lot['id']}/receipt", {"received_on": TODAY})
            stranger = await offers.a_deal(world)
            elsewhere = f"/v1/deals/{stranger['id']}/deliveries"
            await world.staff.refused("POST", elsewhere, 409, of_lot)
            moved = await world.staff.post(path, of_lot)
            # 92 kg × 2.5 % × 76 % × 5.323343
            assert (moved["scrap_kg"], moved["entries"][0]["kg"]) == ("92.000", "9.305")
            await world.staff.refused("POST", path, 409, of_lot)
            wrong = {"movement_id": moved["id"], "reversed_on": TODAY, "reason": "assayed late"}
            await world.staff.post(f"/v1/deals/{deal['id']}/reversals", wrong)
            richer = {**of_lot, "assay": [{"metal": "Li", "content_percent": "2.8"}]}
            moved = await world.staff.post(path, richer)
            assert (moved["assay"], moved["entries"][0]["kg"]) == ({"Li": "2.8"}, "10.422")

    database(scenario)


def test_a_recycler_sees_and_accepts_its_own_deals_and_a_customer_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm, stranger = [await build.recycler(world) for _ in range(2)]
            made = await world.staff.post("/v1/deals", offers.lfp(firm["id"]))
            path = f"/v1/deals/{made['id']}"
            its_own = await world.login(Role.RECYCLER, firm["id"])
            another = await world.login(Role.RECYCLER, stranger["id"])
            auditor = await world.login(Role.AUDITOR)
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            assert (await another.get("/v1/deals"))["items"] == []
            for hidden in (path, f"{path}/ledger"):
                await another.refused("GET", hidden, 404)
                await customer.refused("GET", hidden, 403)
            await another.refused("POST", f"{path}/acceptance", 404)
            await another.refused("POST", f"{path}/decline", 404, {"reason": "R"})
            await another.refused("POST", f"{path}/valuations", 404, {"scrap_kg": "1"})
            await auditor.refused("POST", f"{path}/acceptance", 403)
            await its_own.refused("POST", f"{path}/deliveries", 403, offers.delivery())
            await its_own.post(f"{path}/acceptance")
            problem = await its_own.refused("POST", f"{path}/decline", 409, {"reason": "R"})
            assert problem["code"] == "deal_state"
            await world.staff.post(f"{path}/deliveries", offers.delivery())
            for reader in (its_own, auditor, world.staff):
                assert len((await reader.get(f"{path}/ledger"))["items"]) == 1
                found = await reader.get(path)
                assert found["balances"][0]["kg"] == "101.144"
                assert found["snapshot"]["prices"] != []

    database(scenario)


def test_a_deal_is_with_a_recycler_and_has_a_number_of_its_own(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            body = offers.lfp(firm["id"])
            made = await world.staff.post("/v1/deals", body)
            problem = await world.staff.refused("POST", "/v1/deals", 409, body)
            assert problem["code"] == "deal_number_taken"
            nobody = offers.lfp((await build.customer(world))["id"])
            problem = await world.staff.refused("POST", "/v1/deals", 404, nobody)
            assert problem["code"] == "recycler_not_found"
            declined = await world.staff.post(
                f"/v1/deals/{made['id']}/decline", {"reason": "price fell"}
            )
            assert (declined["state"], declined["decline_reason"]) == ("declined", "price fell")
            path = f"/v1/deals/{made['id']}/revaluation"
            problem = await world.staff.refused("POST", path, 409, offers.snapshot("Li2CO3"))
            assert problem["code"] == "deal_state"

    database(scenario)
