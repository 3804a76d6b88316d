"""Whatever befalls a fleet, and however late it is entered: what billing promises holds of it.

Histories are made at random, month by month; each month is previewed, billed, and billed again. At
the end everything is rated anew from its evidence, and one invoice is taken back whole.
"""

import random
from calendar import monthrange
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from leasing.db.pool import Database
from tests import build
from tests.billing.steps import bill, books, lines_of, one, postings
from tests.build import Json, World
from tests.tariffs import plans

FIRST = date(2027, 12, 1)
"""So that the months go over the end of a year and a leap day."""
MONTHS = 4
CHARGED = """
SELECT charge.id, invoice_id, line_id, component, during, amount, vat_percent, is_reversed,
       detail::text
  FROM charge
 ORDER BY charge.id
"""


class Fleet:
    """A customer with a few lines, and somebody who does to them whatever comes to mind."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.today = FIRST
        self.done: list[str] = []
        self.lines: list[Json] = []
        self.contracts: list[Json] = []
        self.lessee: Json = {}

    async def begin(self) -> None:
        version = await plans.published(self.world, plans.SERVICE, plans.CAPACITY)
        self.lessee = await build.customer(self.world)
        for terms in (
            {"vat_mode": "exclusive"},
            {"vat_mode": "inclusive", "proration": "30/360", "number": "GROSS"},
            {"billing_alignment": "anniversary", "number": "AHEAD", "billing_timing": "advance"},
        ):
            place = await build.site(self.world, self.lessee["id"])
            rows = [
                build.line_terms(place["id"], slot, self.chance.randint(9_000, 40_000))
                for slot in (1, 2)
            ]
            rows[0] |= {"price_plan_version_id": version["id"]}
            contract, lines = await build.active_contract(
                self.world, self.lessee["id"], rows, starts_on=str(FIRST), **terms
            )
            self.contracts.append(contract)
            for line in lines:
                pack = await build.pack(self.world)
                on = FIRST + timedelta(days=self.chance.randint(0, 20))
                await self.world.set_clock(max(on, self.today))
                self.today = max(on, self.today)
                path = f"/v1/lines/{line['id']}/acceptances"
                await self.world.staff.post(path, build.acceptance(pack["id"], on))
                self.lines.append({**line, "pack_id": pack["id"]})

    def day(self) -> str:
        """Today, or some day of the last six weeks."""
        back = self.chance.choice([0, self.chance.randint(0, 42)])
        return str(max(FIRST, self.today - timedelta(days=back)))

    async def step(self) -> None:
        what = self.chance.choice(
            ["rent", "rent", "vat", "swap", "pause", "pause", "go_on", "go_on", "give_back", "test"]
        )
        answer = await getattr(self, what)()
        assert answer.status_code < 500, answer.text
        if answer.is_success:
            self.done.append(what)

    async def line(self, what: str, data: Json) -> Any:
        line = self.chance.choice(self.lines)
        return await self.world.staff.ask("POST", f"/v1/lines/{line['id']}/{what}", json=data)

    async def amend(self, contract_id: str, terms: Json, rents: list[Json]) -> Any:
        path = f"/v1/contracts/{contract_id}"
        read = await self.world.staff.ask("GET", path)
        wanted = {"from_on": self.day(), "reason": "agreed", "terms": terms, "rents": rents}
        headers = {"If-Match": read.headers["ETag"]}
        return await self.world.staff.ask(
            "POST", f"{path}/amendments", json=wanted, headers=headers
        )

    async def rent(self) -> Any:
        line = self.chance.choice(self.lines)
        rents = [{"line_id": line["id"], "rent_amount": self.chance.randint(9_000, 40_000)}]
        return await self.amend(line["contract_id"], {}, rents)

    async def vat(self) -> Any:
        contract = self.chance.choice(self.contracts)
        return await self.amend(contract["id"], {"vat_percent": self.chance.choice(["9", "6"])}, [])

    async def swap(self) -> Any:
        pack = await build.pack(self.world)
        return await self.line("swaps", build.acceptance(pack["id"], self.day()))

    async def pause(self) -> Any:
        return await self.line("suspension", {"from_on": self.day(), "reason": "no power"})

    async def go_on(self) -> Any:
        return await self.line("resumption", {"from_on": self.day()})

    async def give_back(self) -> Any:
        return await self.line("returns", build.returned(self.day()))

    async def test(self) -> Any:
        line = self.chance.choice(self.lines)
        report = {
            "tested_on": self.day(),
            "method": "site_check_discharge",
            "temperature_c": 25.0,
            "c_rate": 0.2,
            "depth_percent": 100,
            "discharged_mah": self.chance.randint(60_000, 99_000),
            "laboratory": "own",
            "report_number": f"R-{self.chance.random()}",
            "signatory": "王工",
        }
        path = f"/v1/packs/{line['pack_id']}/capacity-tests"
        return await self.world.staff.ask("POST", path, json=report)


async def finals(world: World, fleet: Fleet) -> dict[str, Json]:
    page = await world.staff.get("/v1/invoices", buyer_id=fleet.lessee["id"], limit=200)
    assert all(invoice["state"] == "final" for invoice in page["items"])
    return {invoice["id"]: invoice for invoice in page["items"]}


async def charged(db: Database) -> list[Any]:
    async with db.transaction() as tx:
        return [tuple(row) for row in await tx.fetch(CHARGED)]


async def a_month(world: World, fleet: Fleet) -> None:
    """Previewed, billed, and billed again."""
    db, on = world.db, fleet.today
    before = await finals(world, fleet)
    preview = await world.staff.post("/v1/billing-previews", {"as_of": str(on)})
    assert preview["trouble_count"] == 0
    assert await bill(db, on) == "done"
    made = [invoice for id_, invoice in (await finals(world, fleet)).items() if id_ not in before]
    sums = ("kind", "net_amount", "vat_amount", "total_amount", "period_from", "period_to")
    assert [tuple(row[name] for name in sums) for row in preview["invoices"]] == [
        tuple(invoice[name] for name in sums) for invoice in made
    ]
    known = await charged(db)
    assert await bill(db, on) == "done"
    assert await charged(db) == known
    # What was final stays as it was.
    now = await finals(world, fleet)
    assert {id_: now[id_] for id_ in before} == before
    await books(db)
    assert (await world.staff.get("/v1/ledger/trial-balance"))["balanced"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_befalls_a_fleet_billing_keeps_its_promises(database, seed):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=FIRST) as world:
            fleet = Fleet(world, random.Random(seed))
            await fleet.begin()
            month = FIRST
            for _ in range(MONTHS):
                for _ in range(7):
                    await fleet.step()
                month += timedelta(days=monthrange(month.year, month.month)[1])
                fleet.today = month
                await world.set_clock(month)
                await a_month(world, fleet)
            assert len(set(fleet.done)) >= 5, fleet.done
            # Rated anew from what was entered: not a byte is another.
            known = await charged(db)
            await one(
                db, "INSERT INTO restatement (line_id, from_on) SELECT id, from_on FROM lease_line"
            )
            fleet.today += timedelta(days=1)
            await world.set_clock(fleet.today)
            await one(db, "UPDATE billing_item SET state = 'parked', code = 'x', reason = 'again'")
            assert await bill(db, fleet.today) == "done"
            assert await charged(db) == known
            assert await one(db, "SELECT count(*) FROM restatement WHERE NOT settled") == 0
            await taken_back(world, fleet)

    database(scenario)


async def taken_back(world: World, fleet: Fleet) -> None:
    """A credit note mirrors the last invoice of which nothing was put right."""
    corrected = set(
        await column(
            world.db, "SELECT invoice_id FROM charge WHERE is_reversed OR reverses_id IS NOT NULL"
        )
    )
    whole = [
        invoice
        for id_, invoice in (await finals(world, fleet)).items()
        if UUID(id_) not in corrected and invoice["total_amount"] > 0
    ]
    for invoice in whole[-1:]:
        path = f"/v1/invoices/{invoice['id']}/credit-notes"
        note = await world.staff.post(path, {"reason": "wrong company"})
        for name in ("net_amount", "vat_amount", "total_amount"):
            assert note[name] == -invoice[name]
        booked = await postings(world, invoice)
        assert await postings(world, note) == {name: -sum_ for name, sum_ in booked.items()}
        theirs = {line["id"]: line["amount"] for line in await lines_of(world, invoice)}
        ours = {line["reverses_id"]: -line["amount"] for line in await lines_of(world, note)}
        assert ours == theirs
        await books(world.db)


async def column(db: Database, query: str) -> list[Any]:
    async with db.transaction() as tx:
        return [row[0] for row in await tx.fetch(query)]
