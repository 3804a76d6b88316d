"""A customer sees what it owes and what it paid, and of everybody else nothing."""

from datetime import date

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Client
from tests.receivables import steps
from tests.receivables.steps import invoice, pay

DUE = date(2026, 3, 1)
LISTS = ("receivables", "payments", "allocations", "interest-accruals", "refunds")


async def counts(client: Client) -> list[int]:
    return [len((await client.get(f"/v1/{name}"))["items"]) for name in LISTS]


def test_a_customer_sees_its_own_account_and_no_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 4, 1)) as world:
            mine, other = [(await build.customer(world))["id"] for _ in range(2)]
            await world.staff.post(
                "/v1/interest-terms", {"from_on": "2026-01-01", "annual_percent": "10"}
            )
            for party in (mine, other):
                await invoice(world, party, 10_000, DUE)
                await pay(world, party, 4_000, DUE)
                more = await pay(world, party, 500, DUE, automatic=False)
                back = {"amount": 500, "reference": "R 1", "reason": "paid twice"}
                await world.staff.post(f"/v1/payments/{more['id']}/refunds", back)
            await steps.job(db, "interest", date(2026, 4, 1))
            client = await world.login(Role.CUSTOMER, mine)
            assert await counts(world.staff) == [4, 4, 2, 2, 2]
            assert await counts(await world.login(Role.AUDITOR)) == [4, 4, 2, 2, 2]
            assert await counts(client) == [2, 2, 1, 1, 1]
            query = {"from_on": "2026-01-01", "to_on": "2026-12-31"}
            told = await client.get(f"/v1/parties/{mine}/statement", **query)
            assert told == await world.staff.get(f"/v1/parties/{mine}/statement", **query)
            assert {one["kind"] for one in told["lines"]} == {
                "invoice", "payment", "interest", "refund",
            }  # fmt: skip
            answer = await client.ask("GET", f"/v1/parties/{other}/statement", params=query)
            assert answer.status_code == 404
            (payment, _) = (await world.staff.get("/v1/payments", payer_id=other))["items"]
            await client.refused("GET", f"/v1/payments/{payment['id']}", 404)
            (owed, *_) = (await world.staff.get("/v1/receivables", party_id=other))["items"]
            await client.refused("GET", f"/v1/receivables/{owed['id']}", 404)
            assert await client.get("/v1/payments", payer_id=other) == {
                "items": [], "next_cursor": None,
            }  # fmt: skip

    database(scenario)


def test_what_the_lessor_decides_is_the_lessor_s(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine = (await build.customer(world))["id"]
            bill = await invoice(world, mine, 10_000, DUE)
            client = await world.login(Role.CUSTOMER, mine)
            auditor = await world.login(Role.AUDITOR)
            readings = ("dunning-steps", "dunning-notices", "dunning-pauses", "interest-terms",
                        "ageing", f"parties/{mine}/allocation-order")  # fmt: skip
            for name in readings:
                await client.refused("GET", f"/v1/{name}", 403)
                await auditor.get(f"/v1/{name}")
            for caller in (client, auditor):
                await caller.refused("POST", "/v1/payments", 403, steps.payment(mine, 1, DUE))
                path = f"/v1/receivables/{bill}/write-off"
                await caller.refused("POST", path, 403, {"reason": "x"})
                back = {"amount": 1, "reference": "R", "reason": "x"}
                await caller.refused("POST", f"/v1/receivables/{bill}/refunds", 403, back)
            recycler = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            for name in LISTS:
                await recycler.refused("GET", f"/v1/{name}", 403)

    database(scenario)
