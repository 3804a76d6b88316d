"""Deposits: received, used, paid back, kept, and never more than is held."""

import asyncio
from datetime import date

import httpx

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, invoice, owed, pay

TODAY = build.TODAY
APRIL, MAY = date(2026, 4, 5), date(2026, 5, 5)


async def lease(world: World, demanded: int = 50_000) -> tuple[str, str]:
    """A contract that demands a deposit; its lessee and its path."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    lines = [build.line_terms(place["id"])]
    contract, _ = await build.active_contract(world, lessee["id"], lines, deposit_amount=demanded)
    return lessee["id"], f"/v1/contracts/{contract['id']}"


async def moved(world: World, path: str, kind: str, amount: int, **more: object) -> Json:
    data = {"kind": kind, "amount": amount, **more}
    made: Json = await world.staff.post(f"{path}/deposit-movements", data)
    return made


async def refused(
    world: World, path: str, status: int, code: str, kind: str, amount: int, **more: object
) -> None:
    data = {"kind": kind, "amount": amount, **more}
    problem = await world.staff.refused("POST", f"{path}/deposit-movements", status, data)
    assert problem["code"] == code, problem


async def received(world: World, payer: str, path: str, amount: int, on: date = APRIL) -> Json:
    money = await pay(world, payer, amount, on, automatic=False)
    return await moved(world, path, "received", amount, payment_id=money["id"], moved_on=str(on))


def test_a_deposit_lives_from_demand_to_return(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer, path = await lease(world)
            empty = await world.staff.get(f"{path}/deposit")
            assert (empty["demanded_amount"], empty["missing_amount"]) == (50_000, 50_000)
            assert (empty["held_amount"], empty["party_id"]) == (0, None)
            await received(world, payer, path, 40_000)
            bill = await invoice(world, payer, 9_000, APRIL)
            used = await moved(world, path, "used", 7_000, receivable_id=bill, moved_on=str(MAY))
            assert used["amount"] == -7_000
            assert (await owed(world, bill))["open_amount"] == 2_000
            await moved(world, path, "forfeited", 3_000, reason="a pack came back burnt")
            await moved(world, path, "returned", 20_000)
            held = await world.staff.get(f"{path}/deposit")
            assert held == {
                "contract_id": held["contract_id"],
                "party_id": payer,
                "currency": "CNY",
                "demanded_amount": 50_000,
                "held_amount": 10_000,
                "missing_amount": 40_000,
                "received_amount": 40_000,
                "used_amount": 7_000,
                "returned_amount": 20_000,
                "forfeited_amount": 3_000,
            }
            page = await world.staff.get(f"{path}/deposit-movements")
            assert sorted((one["kind"], one["amount"]) for one in page["items"]) == [
                ("forfeited", -3_000), ("received", 40_000), ("returned", -20_000),
                ("used", -7_000),
            ]  # fmt: skip
            assert await accounts(world, payer) == {
                "cash": 20_000,
                "receivable": 2_000,
                "deposit_held": -10_000,
                "revenue_fees": -3_000,
                "revenue_rent": -9_000,
            }
            settled = await world.staff.get(f"{path}/settlement", on="2026-07-01")
            assert (settled["deposit_amount"], settled["deposit_held_amount"]) == (50_000, 10_000)
            await steps.refuse_disorder(world, [APRIL, MAY, TODAY])

    database(scenario)


def test_a_deposit_is_never_below_nothing_and_comes_from_its_payer(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer, path = await lease(world)
            other, _ = await lease(world)
            bill, theirs = (
                await invoice(world, payer, 900, APRIL),
                await invoice(world, other, 900, APRIL),
            )
            money = await pay(world, payer, 500, APRIL, automatic=False)
            foreign = await pay(world, other, 500, APRIL, automatic=False)
            mine, not_mine = {"payment_id": money["id"]}, {"payment_id": foreign["id"]}
            await refused(world, path, 409, "more_than_held", "returned", 1)
            await refused(world, path, 409, "more_than_left", "received", 501, **mine)
            await refused(world, path, 409, "bad_allocation", "received", 1, **not_mine)
            early = {**mine, "moved_on": "2026-04-04"}
            await refused(world, path, 409, "before_received", "received", 1, **early)
            await moved(world, path, "received", 500, **mine)
            await refused(world, path, 409, "more_than_held", "returned", 501)
            await refused(world, path, 409, "more_than_held", "used", 501, receivable_id=bill)
            await refused(world, path, 409, "bad_allocation", "used", 1, receivable_id=theirs)
            await refused(world, path, 404, "receivable_not_found", "used", 1, receivable_id=payer)
            for kind, more in (
                ("received", {}),
                ("used", {}),
                ("forfeited", {}),
                ("returned", mine),
            ):
                await refused(world, path, 400, "bad_deposit_movement", kind, 1, **more)
            nowhere = f"/v1/contracts/{payer}"
            await refused(world, nowhere, 404, "contract_not_found", "returned", 1)
            await world.staff.refused("GET", f"{nowhere}/deposit", 404)
            await steps.refuse_disorder(world, [APRIL, TODAY])

    database(scenario)


def test_movements_are_taken_back_once_and_a_bounced_payment_takes_its_deposit_along(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer, path = await lease(world)
            first = await received(world, payer, path, 100)
            back = await moved(world, path, "returned", 60)

            async def take_back(one: Json, status: int, code: str = "") -> None:
                data = {"reason": "entered by mistake"}
                target = f"/v1/deposit-movements/{one['id']}/reversal"
                answer = await world.staff.ask("POST", target, json=data)
                assert answer.status_code == status, answer.text
                assert not code or answer.json()["code"] == code

            await take_back(first, 409, "more_than_held")
            await take_back(back, 201)
            await take_back(back, 409, "already_reversed")
            await world.staff.post(
                f"/v1/payments/{first['payment_id']}/bounce", {"reason": "no funds"}
            )
            held = await world.staff.get(f"{path}/deposit")
            assert (held["held_amount"], held["received_amount"]) == (0, 0)
            assert await accounts(world, payer) == {}
            await steps.refuse_disorder(world, [APRIL, TODAY])
            # What was used is an allocation, and is taken back as one.
            await received(world, payer, path, 100)
            bill = await invoice(world, payer, 80, APRIL)
            used = await moved(world, path, "used", 80, receivable_id=bill)
            await take_back(used, 404)
            target = f"/v1/allocations/{used['id']}/reversal"
            await world.staff.post(target, {"reason": "not our damage"})
            assert (await owed(world, bill))["open_amount"] == 80
            assert (await world.staff.get(f"{path}/deposit"))["held_amount"] == 100
            await steps.refuse_disorder(world, [APRIL, TODAY])

    database(scenario)


def test_of_two_returns_at_once_one_finds_nothing_left(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer, path = await lease(world)
            await received(world, payer, path, 100)

            async def give_back() -> httpx.Response:
                data = {"kind": "returned", "amount": 60}
                return await world.staff.ask("POST", f"{path}/deposit-movements", json=data)

            answers = await asyncio.gather(*(give_back() for _ in range(4)))
            assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
            assert (await world.staff.get(f"{path}/deposit"))["held_amount"] == 40

    database(scenario)


def test_who_gets_the_invoices_of_a_lessee_pays_its_deposit_and_both_see_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            group = await build.customer(world, "Group")
            lessee = await build.customer(world, "City company")
            stranger = await build.customer(world, "Stranger")
            patch = {"parent_id": group["id"], "billing_party_id": group["id"]}
            answer = await world.staff.ask(
                "PATCH", f"/v1/parties/{lessee['id']}", json=patch, headers={"If-Match": '"v1"'}
            )
            assert answer.status_code == 200, answer.text
            place = await build.site(world, lessee["id"])
            contract, _ = await build.active_contract(
                world, lessee["id"], [build.line_terms(place["id"])]
            )
            path = f"/v1/contracts/{contract['id']}"
            await received(world, group["id"], path, 100)
            for party, demanded in ((group, None), (lessee, 0)):
                client = await world.login(Role.CUSTOMER, party["id"])
                seen = await client.get(f"{path}/deposit")
                assert (seen["held_amount"], seen["party_id"]) == (100, group["id"])
                assert seen["demanded_amount"] == demanded
                assert len((await client.get(f"{path}/deposit-movements"))["items"]) == 1
            outside = await world.login(Role.CUSTOMER, stranger["id"])
            await outside.refused("GET", f"{path}/deposit", 404)
            await outside.refused("GET", f"{path}/deposit-movements", 404)

    database(scenario)
