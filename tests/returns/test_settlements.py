"""The end of a lease as one statement: looked at, posted to the fen, and in the books."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build, fleet
from tests.api import stories
from tests.build import Json, World
from tests.returns import steps
from tests.returns.test_orders import RETURNED, outcomes

SETTLED_ON = "2026-06-15"


async def inspected(world: World, count: int = 1, **terms: Any) -> Json:
    """A lease of which everything came back, and its order, inspected."""
    lease = await steps.leases(world, count, **terms)
    wanted = steps.order(lease, "drop_off", planned_on=steps.RETURNED_ON)
    order = await world.staff.post("/v1/return-orders", wanted)
    told = outcomes(order, *[RETURNED] * count)
    await world.staff.post(f"/v1/return-orders/{order['id']}/arrival", told)
    for pack in lease["packs"]:
        await steps.inspect(world, pack)
    return {**lease, "order": order, "path": f"/v1/return-orders/{order['id']}"}


def claims(lease: Json, **changes: Any) -> Json:
    item = lease["order"]["items"][0]["id"]
    return {
        "settled_on": SETTLED_ON,
        "missing_parts": [
            {"item_id": item, "name": "communication cable", "amount": 3_000},
            {"item_id": item, "name": "mounting ears", "amount": 2_000},
        ],
        "damages": [{"item_id": item, "name": "dented housing", "amount": 12_345}],
        "shortfall": {"amount_per_ah": 1_500, "reason": "stored empty against the manual"},
        "logistics_amount": 8_000,
        **changes,
    }


SCRAP = {
    "description": "lead-acid strings of the lessee",
    "mass_kg": 333,
    "amount_per_kg": 750,
    "vat_percent": "13",
    "document": "invoice 4410 of the lessee",
}

COUNTS = """
SELECT (SELECT count(*) FROM invoice) AS invoices,
       (SELECT count(*) FROM fee) AS fees,
       (SELECT count(*) FROM charge) AS charges,
       (SELECT count(*) FROM payment) AS payments,
       (SELECT count(*) FROM posting) AS postings,
       (SELECT count(*) FROM domain_event) AS events,
       (SELECT coalesce(sum(last_number), 0) FROM invoice_series) AS numbers
"""


async def counts(world: World) -> dict[str, int]:
    async with world.db.transaction(read_only=True) as tx:
        return dict(await tx.fetchrow(COUNTS) or {})


BALANCES = """
SELECT account, sum(amount)::bigint
  FROM posting
 GROUP BY account
HAVING sum(amount) <> 0
"""


async def balances(world: World) -> dict[str, int]:
    async with world.db.transaction(read_only=True) as tx:
        await fleet.refuse_disorder(tx)
        return dict(await tx.fetch(BALANCES))


async def deposit(world: World, lease: Json, amount: int) -> None:
    payment = {
        "payer_id": lease["customer"]["id"],
        "amount": amount,
        "received_on": "2026-01-05",
        "method": "bank_transfer",
        "reference": f"DEP {lease['contract']['number']}",
        "automatic": False,
    }
    made = await world.staff.post("/v1/payments", payment)
    path = f"/v1/contracts/{lease['contract']['id']}/deposit-movements"
    move = {
        "kind": "received",
        "amount": amount,
        "payment_id": made["id"],
        "moved_on": "2026-01-05",
    }
    await world.staff.post(path, move)


def test_what_is_posted_equals_what_was_shown_and_looking_writes_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world, 2)
            before = await counts(world)
            wanted = claims(lease, counter_claim=SCRAP)
            shown = await world.staff.post(f"{lease['path']}/settlement-preview", wanted)
            assert shown == await world.staff.post(f"{lease['path']}/settlement-preview", wanted)
            assert await counts(world) == before
            order = await world.staff.get(lease["path"])
            assert order["state"] == "inspected"

            posted = await world.staff.post(f"{lease['path']}/settlement", wanted)
            assert posted["statement"] == shown
            assert (await world.staff.get(lease["path"]))["state"] == "settled"
            assert posted == await world.staff.get(f"{lease['path']}/settlement")
            invoice = await world.staff.get(f"/v1/invoices/{posted['invoice_id']}")
            assert invoice["total_amount"] == shown["owed_amount"]
            again = await world.staff.refused("POST", f"{lease['path']}/settlement", 409, wanted)
            assert again["code"] == "return_order_state"
            await world.staff.refused("POST", f"{lease['path']}/settlement-preview", 409, wanted)

    database(scenario)


def test_a_statement_worked_out_by_hand(database):
    """Rent of January is 20 of 31 days of 31,000 fen, of February to May 31,000 each, of June nine
    of thirty days. The guarantee is 80 Ah and 75 were left: five at 15 CNY."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            wanted = claims(lease, counter_claim=SCRAP)
            shown = await world.staff.post(f"{lease['path']}/settlement-preview", wanted)
            sums: dict[str, int] = {}
            for row in shown["rows"]:
                sums[row["component"]] = sums.get(row["component"], 0) + row["amount"]
            rent = 31_000 * 21 // 31 + 4 * 31_000 + 31_000 * 9 // 30
            assert sums == {
                "rent": rent,
                "missing_parts": 5_000,
                "damage": 12_345,
                "capacity_shortfall": 7_500,
                "logistics": 8_000,
            }
            (capacity,) = shown["capacities"]
            assert (capacity["guaranteed_capacity_mah"], capacity["shortfall_mah"]) == (
                80_000,
                5_000,
            )
            net = rent + 32_845
            vat = (net * 13 + 50) // 100
            (owed,) = shown["owed"]
            assert (owed["net_amount"], owed["vat_amount"]) == (net, vat)
            assert shown["owed_amount"] == net + vat
            # 333 kg × 7.50 CNY, and 13 % of it: gross stands against gross.
            assert shown["counter_claim"] == {
                "vat_percent": "13",
                "net_amount": 249_750,
                "vat_amount": 32_468,
                "gross_amount": 282_218,
            }
            assert shown["balance_amount"] == net + vat - 282_218
            assert shown["alternatives"] == []

    database(scenario)


def test_both_sides_are_in_the_books_with_their_own_vat(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            scrap = {**SCRAP, "mass_kg": 100, "amount_per_kg": 800}
            wanted = claims(lease, counter_claim=scrap)
            made = await world.staff.post(f"{lease['path']}/settlement", wanted)
            owed, claim = made["statement"]["owed"][0], made["statement"]["counter_claim"]
            assert await balances(world) == {
                "receivable": owed["gross_amount"] - claim["gross_amount"],
                "vat_output": -owed["vat_amount"],
                "vat_input": 10_400,
                "scrap_stock": 80_000,
                "revenue_rent": -(owed["net_amount"] - 32_845),
                "revenue_fees": -32_845,
            }  # what we owed was set off, so nothing is payable, and no cash moved
            payment = await world.staff.get(f"/v1/payments/{made['payment_id']}")
            assert (payment["method"], payment["unallocated_amount"]) == ("offset", 0)
            receivable = await world.staff.get(f"/v1/receivables/{made['invoice_id']}")
            assert receivable["open_amount"] == made["balance_amount"]

    database(scenario)


def test_a_set_off_that_is_taken_back_is_owed_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            wanted = {"settled_on": SETTLED_ON, "counter_claim": SCRAP}
            made = await world.staff.post(f"{lease['path']}/settlement", wanted)
            path = f"/v1/payments/{made['payment_id']}/bounce"
            await world.staff.post(path, {"reason": "the seller took its invoice back"})
            after = await balances(world)
            assert after["payable"] == -282_218
            assert "cash" not in after

    database(scenario)


def test_what_the_lessor_owes_beyond_the_invoice_stays_the_lessees_credit(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            scrap = {**SCRAP, "mass_kg": 3_330}
            wanted = {"settled_on": SETTLED_ON, "counter_claim": scrap}
            made = await world.staff.post(f"{lease['path']}/settlement", wanted)
            assert made["balance_amount"] < 0
            payment = await world.staff.get(f"/v1/payments/{made['payment_id']}")
            assert payment["unallocated_amount"] == -made["balance_amount"]
            assert (await balances(world))["customer_credit"] == made["balance_amount"]

    database(scenario)


def test_a_deposit_pays_what_is_open_and_the_rest_stays_held(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world, deposit_amount=500_000)
            await deposit(world, lease, 500_000)
            wanted = claims(lease, use_deposit=True)
            shown = await world.staff.post(f"{lease['path']}/settlement-preview", wanted)
            assert shown["deposit_held_amount"] == 500_000
            assert shown["deposit_used_amount"] == shown["owed_amount"]
            assert shown["balance_amount"] == 0
            made = await world.staff.post(f"{lease['path']}/settlement", wanted)
            assert made["statement"] == shown
            left = await world.staff.get(f"/v1/contracts/{lease['contract']['id']}/deposit")
            assert left["held_amount"] == 500_000 - shown["owed_amount"]
            receivable = await world.staff.get(f"/v1/receivables/{made['invoice_id']}")
            assert receivable["open_amount"] == 0

    database(scenario)


def test_a_deposit_of_too_little_leaves_the_rest_to_pay(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            await deposit(world, lease, 1_000)
            made = await world.staff.post(
                f"{lease['path']}/settlement", claims(lease, use_deposit=True)
            )
            assert made["deposit_used_amount"] == 1_000
            assert made["balance_amount"] == made["owed_amount"] - 1_000
            receivable = await world.staff.get(f"/v1/receivables/{made['invoice_id']}")
            assert receivable["open_amount"] == made["balance_amount"]

    database(scenario)


def test_a_billing_run_afterwards_finds_nothing_left_of_the_lines(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            await world.staff.post(f"{lease['path']}/settlement", claims(lease))
            preview = {"as_of": "2026-07-01", "buyer_id": lease["customer"]["id"]}
            bill = await world.staff.post("/v1/billing-previews", preview)
            assert (bill["invoice_count"], bill["trouble_count"]) == (0, 0)

    database(scenario)


def test_without_a_stated_reason_a_shortfall_is_the_lessors(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            shown = await world.staff.post(
                f"{lease['path']}/settlement-preview", {"settled_on": SETTLED_ON}
            )
            (capacity,) = shown["capacities"]
            assert (capacity["shortfall_mah"], capacity["amount"]) == (5_000, 0)
            assert "the lessor guarantees" in capacity["why"]
            assert {row["component"] for row in shown["rows"]} == {"rent"}

    database(scenario)


def test_before_packs_are_back_a_preview_names_what_else_could_be_done(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            buy_out = {"kind": "fixed", "amount": 150_000}
            lease = await steps.leases(world, 2, buy_out=buy_out, renewal="negotiated")
            order = await world.staff.post("/v1/return-orders", steps.order(lease))
            path = f"/v1/return-orders/{order['id']}"
            wanted = {"settled_on": SETTLED_ON}
            shown = await world.staff.post(f"{path}/settlement-preview", wanted)
            assert [(one["kind"], one["amount"]) for one in shown["alternatives"]] == [
                ("buy_out", 300_000),
                ("renewal", 62_000),
            ]
            assert [one["tested_capacity_mah"] for one in shown["capacities"]] == [None, None]
            problem = await world.staff.refused("POST", f"{path}/settlement", 409, wanted)
            assert problem["code"] == "return_order_state"
            lease = await steps.leases(world, 1)
            order = await world.staff.post("/v1/return-orders", steps.order(lease))
            path = f"/v1/return-orders/{order['id']}/settlement-preview"
            shown = await world.staff.post(path, wanted)
            assert shown["alternatives"][0]["amount"] is None

    database(scenario)


def test_the_loss_of_a_pack_is_on_the_statement(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.leases(world, 2)
            wanted = steps.order(lease, "drop_off", planned_on=steps.RETURNED_ON)
            order = await world.staff.post("/v1/return-orders", wanted)
            path = f"/v1/return-orders/{order['id']}"
            lost = steps.gone("missing", liable="lessee", compensation_amount=90_000)
            await world.staff.post(f"{path}/arrival", outcomes(order, RETURNED, {"incident": lost}))
            await steps.inspect(world, lease["packs"][0])
            made = await world.staff.post(f"{path}/settlement", {"settled_on": SETTLED_ON})
            rows = made["statement"]["rows"]
            assert [row["amount"] for row in rows if row["component"] == "loss"] == [90_000]
            assert len(made["statement"]["capacities"]) == 1

    database(scenario)


def test_claims_name_items_of_the_order_and_days_after_the_arrival(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, other = await inspected(world), await inspected(world)
            path = f"{lease['path']}/settlement"
            problem = await world.staff.refused("POST", path, 400, claims(other))
            assert [fault["pointer"] for fault in problem["errors"]] == [
                "/missing_parts/0/item_id",
                "/missing_parts/1/item_id",
                "/damages/0/item_id",
            ]
            early = {"settled_on": "2026-06-09"}
            problem = await world.staff.refused("POST", path, 400, early)
            assert problem["errors"][0]["code"] == "too_early"
            await world.staff.refused("POST", path, 400, {"settled_on": "2026-06-16"})

    database(scenario)


def test_a_customer_reads_its_own_settlement_and_a_recycler_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, other = await inspected(world), await inspected(world)
            for one in (lease, other):
                await world.staff.post(f"{one['path']}/settlement", claims(one))
            customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            (seen,) = (await customer.get("/v1/return-settlements"))["items"]
            assert seen["order_id"] == lease["order"]["id"]
            assert await customer.get(f"{lease['path']}/settlement") == seen
            await customer.refused("GET", f"{other['path']}/settlement", 404)
            await customer.refused(
                "POST", f"{lease['path']}/settlement-preview", 403, claims(lease)
            )
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get("/v1/return-settlements"))["items"]) == 2
            firm = await build.recycler(world)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            await recycler.refused("GET", "/v1/return-settlements", 403)

    database(scenario)


def test_rent_that_the_records_of_a_pack_contradict_is_not_settled(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            async with world.db.transaction() as tx:
                await tx.execute("DELETE FROM custody WHERE state = 'leased'")
            for path in ("settlement-preview", "settlement"):
                problem = await world.staff.refused(
                    "POST", f"{lease['path']}/{path}", 409, claims(lease)
                )
                assert problem["code"] == "records_contradict"
                assert problem["extra"] == {"line_ids": [lease["lines"][0]["id"]]}

    database(scenario)


def test_of_two_who_settle_at_once_one_does(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            wanted = claims(lease)
            answers = await asyncio.gather(
                *(
                    world.staff.ask("POST", f"{lease['path']}/settlement", json=wanted)
                    for _ in range(3)
                )
            )
            assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
            async with world.db.transaction() as tx:
                (made,) = await tx.fetch("SELECT invoice_id FROM return_settlement")
                entries = await tx.fetchval(
                    "SELECT count(*) FROM journal_entry WHERE source_id = $1",
                    UUID(str(made["invoice_id"])),
                )
            assert entries == 1

    database(scenario)


def test_rent_that_was_billed_ahead_is_given_back_on_the_statement(database):
    """June was billed on its first day; the pack went back on the tenth, and nine days are owed.
    31,000 came in, 9,300 are left, and both carry their tax."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 6, 2)) as world:
            lease = await steps.leases(world, 1, billing_timing="advance")
            await stories.run_job(world, "billing", date(2026, 6, 2))
            await world.set_clock(date(2026, 6, 15))
            order = await world.staff.post(
                "/v1/return-orders",
                steps.order(lease, "drop_off", planned_on=steps.RETURNED_ON),
            )
            path = f"/v1/return-orders/{order['id']}"
            await world.staff.post(f"{path}/arrival", outcomes(order, RETURNED))
            await steps.inspect(world, lease["packs"][0])
            wanted = {
                "settled_on": SETTLED_ON,
                "counter_claim": {**SCRAP, "mass_kg": 1, "amount_per_kg": 10_000},
                "use_deposit": True,
            }
            shown = await world.staff.post(f"{path}/settlement-preview", wanted)
            assert sorted(row["amount"] for row in shown["rows"]) == [-31_000, 9_300]
            assert shown["owed_amount"] == -(21_700 + 2_821)
            assert shown["balance_amount"] == -(21_700 + 2_821) - 11_300
            made = await world.staff.post(f"{path}/settlement", wanted)
            assert made["statement"] == shown
            invoice = await world.staff.get(f"/v1/invoices/{made['invoice_id']}")
            assert (invoice["kind"], invoice["total_amount"]) == ("credit_note", -24_521)
            payment = await world.staff.get(f"/v1/payments/{made['payment_id']}")
            assert payment["unallocated_amount"] == 11_300

    database(scenario)


def test_prices_with_vat_in_them_are_settled_at_their_rate(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world, vat_mode="inclusive", vat_percent="6")
            shown = await world.staff.post(f"{lease['path']}/settlement-preview", claims(lease))
            gross = sum(row["amount"] for row in shown["rows"])
            (owed,) = shown["owed"]
            assert shown["owed_amount"] == owed["gross_amount"] == gross
            assert abs(owed["vat_amount"] * 106 - gross * 6) <= 53  # half a fen
            assert owed["net_amount"] + owed["vat_amount"] == gross

    database(scenario)


# --- Many orders of a lease -------------------------------------------------------------------


async def in_two_orders(world: World, second_is_inspected: bool = True) -> tuple[Json, list[Json]]:
    """A lease of two packs that came back by an order each."""
    lease = await steps.leases(world, 2)
    made = []
    for number, line in enumerate(lease["lines"]):
        asked = {**lease, "lines": [line]}
        wanted = steps.order(asked, "drop_off", planned_on=steps.RETURNED_ON)
        order = await world.staff.post("/v1/return-orders", wanted)
        path = f"/v1/return-orders/{order['id']}"
        await world.staff.post(f"{path}/arrival", outcomes(order, RETURNED))
        if number == 0 or second_is_inspected:
            await steps.inspect(world, lease["packs"][number])
        made.append(order)
    return lease, made


def for_both(orders: list[Json], **changes: Any) -> Json:
    """One cable is missing of each."""
    missing = [
        {"item_id": order["items"][0]["id"], "name": "cable", "amount": 3_000} for order in orders
    ]
    return {
        "settled_on": SETTLED_ON,
        "missing_parts": missing,
        "with_order_ids": [order["id"] for order in orders[1:]],
        **changes,
    }


def test_one_statement_settles_many_orders_of_a_lease(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease, made = await in_two_orders(world)
            paths = [f"/v1/return-orders/{order['id']}" for order in made]
            wanted = for_both(made, counter_claim=SCRAP)
            shown = await world.staff.post(f"{paths[0]}/settlement-preview", wanted)
            alone = [
                await world.staff.post(f"{path}/settlement-preview", for_both([order]))
                for path, order in zip(paths, made, strict=True)
            ]
            assert sorted(
                (row["line_id"], row["component"], row["amount"]) for row in shown["rows"]
            ) == sorted(
                (row["line_id"], row["component"], row["amount"])
                for one in alone
                for row in one["rows"]
            )
            assert len(shown["capacities"]) == 2
            posted = await world.staff.post(f"{paths[0]}/settlement", wanted)
            assert posted["statement"] == shown
            assert posted["order_ids"] == sorted(order["id"] for order in made)
            customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            for path in paths:
                assert (await world.staff.get(path))["state"] == "settled"
                assert await customer.get(f"{path}/settlement") == posted
            (listed,) = (await customer.get("/v1/return-settlements"))["items"]
            assert listed == posted
            (invoice,) = (await world.staff.get("/v1/invoices"))["items"]
            assert invoice["total_amount"] == shown["owed_amount"]
            again = await world.staff.refused(
                "POST", f"{paths[1]}/settlement", 409, for_both(made[1:])
            )
            assert again["code"] == "return_order_state"
            await balances(world)

    database(scenario)


def test_a_statement_is_of_one_lease_and_names_an_order_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, made = await in_two_orders(world)
            other = await inspected(world)
            path = f"/v1/return-orders/{made[0]['id']}/settlement"
            named = [other["order"]["id"], made[1]["id"], made[1]["id"], made[0]["id"]]
            wanted = for_both(made[:1], with_order_ids=named)
            before = await counts(world)
            for route in (path, f"{path}-preview"):
                problem = await world.staff.refused("POST", route, 400, wanted)
                assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [
                    ("/with_order_ids/0", "other_contract"),
                    ("/with_order_ids/2", "twice"),
                    ("/with_order_ids/3", "twice"),
                ]
            assert await counts(world) == before

    database(scenario)


def test_an_order_that_is_not_inspected_keeps_the_whole_statement_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, made = await in_two_orders(world, second_is_inspected=False)
            path = f"/v1/return-orders/{made[0]['id']}"
            before = await counts(world)
            problem = await world.staff.refused("POST", f"{path}/settlement", 409, for_both(made))
            assert problem["code"] == "return_order_state"
            assert await counts(world) == before
            assert (await world.staff.get(path))["state"] == "inspected"
            # To look at it is possible before.
            await world.staff.post(f"{path}/settlement-preview", for_both(made))

    database(scenario)


def test_a_day_to_come_is_shown_as_it_will_be_posted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await inspected(world)
            await deposit(world, lease, 50_000)
            later = "2026-06-20"
            wanted = claims(lease, settled_on=later, use_deposit=True)
            shown = await world.staff.post(f"{lease['path']}/settlement-preview", wanted)
            assert shown["deposit_used_amount"] > 0
            await world.staff.refused("POST", f"{lease['path']}/settlement", 400, wanted)
            await world.set_clock(date.fromisoformat(later))
            posted = await world.staff.post(f"{lease['path']}/settlement", wanted)
            assert posted["statement"] == shown

    database(scenario)
