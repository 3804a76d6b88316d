"""Leases in the books, month by month, through the API and the jobs."""

import asyncio
import doctest
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs import runner
from jobs.registry import JOBS
from leasing.accounting import service
from leasing.db.pool import Database
from leasing.kit.time import add_months, midnight
from schemas.contracts import BillingFrequency
from tests import build
from tests.build import Json, World

JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)
ALL_JOBS = ("contracts", "billing", "accounting")


async def first_of_month(world: World, on: date, jobs: tuple[str, ...] = ALL_JOBS) -> None:
    """What happens on the first of a month: terms, bills, books."""
    await world.set_clock(on)
    for job in jobs:
        assert await run(world.db, job, on) == "done"


async def run(db: Database, job: str, on: date) -> str:
    state = await runner.run_once(db, job, JOBS[job], on, lambda done, total: None)
    async with db.transaction() as tx:
        assert await tx.fetch("SELECT error FROM job_parked") == []
    return state


async def months(world: World, from_on: date, count: int) -> None:
    for n in range(count):
        await first_of_month(world, add_months(from_on, n))


async def balances(world: World, as_of: str | None = None) -> dict[str, int]:
    asked = {"as_of": as_of} if as_of else {}
    balance = await world.staff.get("/v1/ledger/trial-balance", **asked)
    assert balance["balanced"]
    return {one["account"]: one["closing"] for one in balance["accounts"] if one["closing"]}


async def entries(world: World, contract_id: str) -> list[tuple[str, str, dict[str, int]]]:
    page = await world.staff.get(
        "/v1/journal-entries", source="lease", source_id=contract_id, limit=200
    )
    return [
        (
            one["event"],
            one["posted_on"],
            {posting["account"]: posting["amount"] for posting in one["postings"]},
        )
        for one in page["items"]
    ]


async def amend(world: World, contract_id: str, **changes: Any) -> None:
    path = f"/v1/contracts/{contract_id}"
    version = (await world.staff.get(path))["version"]
    agreed = {"reason": "补充协议", **changes}
    await world.staff.post(f"{path}/amendments", agreed, **{"if-match": f'"v{version}"'})


async def give_back(world: World, line: Json, on: date) -> None:
    await world.set_clock(on)
    await world.staff.post(f"/v1/lines/{line['id']}/returns", build.returned(str(on)))


async def schedule(world: World, contract_id: str) -> Json:
    found: Json = await world.staff.get(f"/v1/contracts/{contract_id}/lease-schedule")
    return found


STEPS = {
    "kind": "table",
    "steps": [
        {"from_on": "2026-03-01", "percent_of_base": "100"},
        {"from_on": "2026-07-01", "percent_of_base": "130"},
    ],
}


def test_income_is_level_while_rent_steps_up_and_ends_with_nothing_accrued(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(
                world,
                JANUARY,
                30_000,
                ends_on="2027-01-01",
                escalator={"kind": "fixed", "percent": "20", "every_months": 6},
            )
            contract_id = lease["contract"]["id"]
            await months(world, FEBRUARY, 11)
            shown = await schedule(world, contract_id)
            rows = shown["operating"]
            assert [row["rent_amount"] for row in rows] == [30_000] * 6 + [36_000] * 6
            assert [row["income_amount"] for row in rows] == [33_000] * 12
            assert [row["balance_amount"] for row in rows][4:8] == [15_000, 18_000, 15_000, 12_000]
            assert (shown["operating_lines"], shown["finance_lines"]) == (1, 0)
            # January's rent is billed on February 1st, so it is earned and not billed.
            assert await balances(world, "2026-01-31") == {
                "accrued_rent": 33_000,
                "revenue_rent": -33_000,
            }
            june = await balances(world, "2026-06-30")
            assert june["revenue_rent"] == -6 * 33_000
            assert june["accrued_rent"] == 18_000 + 30_000
            await give_back(world, lease["line"], date(2027, 1, 1))
            await months(world, date(2027, 1, 1), 2)
            over = await balances(world)
            assert over["revenue_rent"] == -6 * 66_000
            assert "accrued_rent" not in over
            assert "deferred_rent" not in over

    database(scenario)


def test_rent_of_other_periods_than_months_leaves_less_than_a_unit_a_month_and_at_last_nothing(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            # A third of it is no whole fen.
            lease = await build.leased_pack(
                world, JANUARY, 100_001, ends_on="2027-01-01", billing_frequency="quarterly"
            )
            assert service.monthly_rent(100_001, BillingFrequency.QUARTERLY) == 33_334
            await months(world, FEBRUARY, 11)
            for month, billed, last in ((3, 0, "03-31"), (6, 1, "06-30"), (9, 2, "09-30")):
                stand = await balances(world, f"2026-{last}")
                # A quarter's bill is issued on the first day after it.
                drift = -stand["revenue_rent"] - (billed + 1) * 100_001
                assert 0 <= drift <= month
                assert stand["accrued_rent"] == 100_001 + drift
            await give_back(world, lease["line"], date(2027, 1, 1))
            await months(world, date(2027, 1, 1), 2)
            over = await balances(world)
            assert over["revenue_rent"] == -4 * 100_001
            assert "accrued_rent" not in over
            assert "deferred_rent" not in over

    database(scenario)


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(service).failed == 0


def test_a_month_is_posted_once_and_says_what_it_is_for(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000)
            contract_id = lease["contract"]["id"]
            await months(world, FEBRUARY, 1)
            january = (
                "2026-01",
                "2026-01-31",
                {"accrued_rent": 31_000, "revenue_rent": -31_000},
            )
            assert await entries(world, contract_id) == [january]
            for _ in range(2):
                assert await run(db, "accounting", FEBRUARY) == "done"
            async with db.transaction() as tx:
                await tx.execute("DELETE FROM job_run WHERE job = 'accounting'")
            assert await run(db, "accounting", FEBRUARY) == "done"
            assert await entries(world, contract_id) == [january]
            page = await world.staff.get("/v1/journal-entries", source_id=contract_id)
            path = page["items"][0]["source_path"]
            assert path == f"/v1/contracts/{contract_id}/lease-schedule"
            # The rent is level: what is earned follows what is billed, and nothing moves.
            await months(world, date(2026, 3, 1), 1)
            assert await entries(world, contract_id) == [january]

    database(scenario)


def test_months_that_were_missed_are_in_the_next_that_is_posted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(
                world, JANUARY, 31_000, escalator=STEPS, ends_on="2027-01-01"
            )
            for on in (FEBRUARY, date(2026, 3, 1)):
                await first_of_month(world, on, ("contracts", "billing"))
            await first_of_month(world, date(2026, 4, 1))
            ((month, _, posted),) = await entries(world, lease["contract"]["id"])
            assert month == "2026-03"
            # 12 months, six of them at 130 %; two are billed.
            level = 6 * (31_000 + 40_300) // 12
            assert posted["accrued_rent"] == 3 * level - 2 * 31_000
            # An older month is not posted behind a newer one.
            assert await run(db, "accounting", date(2026, 3, 1)) == "done"
            contract_id, on = UUID(lease["contract"]["id"]), date(2026, 3, 1)
            async with db.transaction() as tx:
                assert not await service.post_month(
                    tx, contract_id, on, by="test", now=midnight(on)
                )
            assert len(await entries(world, lease["contract"]["id"])) == 1

    database(scenario)


def cancel_soon(done: int, total: int | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def test_a_run_that_is_killed_goes_on_where_it_was(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            leases = [await build.leased_pack(world, JANUARY, 31_000 + n) for n in range(3)]
            await first_of_month(world, FEBRUARY, ("billing",))
            for posted in (1, 2):
                with pytest.raises(asyncio.CancelledError):
                    await runner.run_once(
                        db, "accounting", JOBS["accounting"], FEBRUARY, cancel_soon
                    )
                async with db.transaction() as tx:
                    assert await tx.fetchval("SELECT count(*) FROM lease_month") == posted
            assert await run(db, "accounting", FEBRUARY) == "done"
            for n, lease in enumerate(leases):
                ((_, _, amounts),) = await entries(world, lease["contract"]["id"])
                assert amounts["accrued_rent"] == 31_000 + n

    database(scenario)


def test_an_amendment_changes_income_from_the_day_it_was_agreed_and_no_day_before(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 30_000, ends_on="2027-01-01")
            contract_id = lease["contract"]["id"]
            await months(world, FEBRUARY, 3)
            rents = [{"line_id": lease["line"]["id"], "rent_amount": 39_000}]
            await amend(world, contract_id, from_on="2026-07-01", rents=rents)
            await months(world, date(2026, 5, 1), 2)
            rows = (await schedule(world, contract_id))["operating"]
            # 414,000 in all; 90,000 were earned; the rest is spread from April on.
            assert [row["income_amount"] for row in rows] == [30_000] * 3 + [36_000] * 9
            assert rows[-1]["balance_amount"] == 0
            made = {month: amounts for month, _, amounts in await entries(world, contract_id)}
            assert made["2026-04"] == {"accrued_rent": 6_000, "revenue_rent": -6_000}

    database(scenario)


FINANCE = {
    "fair_value_amount": 350_000,
    "carrying_amount": 330_000,
    "remaining_life_months": 14,
    "unguaranteed_residual_amount": 20_000,
}


async def classify(world: World, lease: Json, **changes: Any) -> Json:
    made: Json = await world.staff.post(
        f"/v1/contracts/{lease['contract']['id']}/lease-classification", {**FINANCE, **changes}
    )
    return made


def test_a_finance_lease_is_an_investment_that_ends_at_its_residual_value(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000, ends_on="2027-01-01")
            decided = await classify(world, lease)
            assert (decided["proposed_class"], decided["lines"]) == ("finance", 1)
            contract_id = lease["contract"]["id"]
            await months(world, FEBRUARY, 1)
            rows = (await schedule(world, contract_id))["finance"]
            assert [row["rent_amount"] for row in rows] == [31_000] * 12
            assert rows[-1]["balance_amount"] == 20_000
            interest = [row["income_amount"] for row in rows]
            assert sum(interest) == 12 * 31_000 + 20_000 - 350_000
            assert interest == sorted(interest, reverse=True)
            assert await balances(world, "2026-01-31") == {
                "net_investment": 350_000 + interest[0],
                "lease_asset": -330_000,
                "gain_on_lease": -20_000,
                "finance_income": -interest[0],
            }
            await months(world, date(2026, 3, 1), 10)
            rows = (await schedule(world, contract_id))["finance"]
            assert [row["income_amount"] for row in rows] == interest
            await give_back(world, lease["line"], date(2027, 1, 1))
            await months(world, date(2027, 1, 1), 1)
            in_december = await balances(world, "2026-12-31")
            # December's rent is billed in January.
            assert in_december["net_investment"] == 20_000 + 31_000
            assert "revenue_rent" not in in_december
            await months(world, date(2027, 2, 1), 1)
            over = await balances(world)
            assert over["lease_asset"] == -330_000 + 20_000
            assert over["finance_income"] == -sum(interest)
            assert over["gain_on_lease"] == -20_000
            assert not over.keys() & {"net_investment", "revenue_rent", "accrued_rent"}

    database(scenario)


def test_lines_of_one_contract_may_be_of_both_classes(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            terms = [build.line_terms(site["id"], slot, 31_000) for slot in (1, 2, 3)]
            contract, lines = await build.active_contract(
                world, lessee["id"], terms, ends_on="2027-01-01"
            )
            for line in lines:
                pack = await build.pack(world)
                await world.staff.post(
                    f"/v1/lines/{line['id']}/acceptances", build.acceptance(pack["id"], JANUARY)
                )
            await classify(world, {"contract": contract}, line_ids=[lines[1]["id"]])
            await months(world, FEBRUARY, 2)
            found = await schedule(world, contract["id"])
            assert (found["operating_lines"], found["finance_lines"]) == (2, 1)
            assert found["operating"][0]["income_amount"] == 62_000
            now = await balances(world, "2026-02-28")
            assert now["revenue_rent"] == -4 * 31_000
            assert now["accrued_rent"] == 2 * 31_000
            assert now["net_investment"] == 350_000 - now["finance_income"] - 31_000

    database(scenario)


def test_a_decision_keeps_its_tests_and_a_person_may_decide_otherwise(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000, ends_on="2027-01-01")
            path = f"/v1/contracts/{lease['contract']['id']}/lease-classification"
            made = await classify(world, lease)
            tests = {one["test"]: one for one in made["tests"]}
            assert tests["term_is_major_part_of_life"] == {
                "test": "term_is_major_part_of_life",
                "percent": "85.71",
                "threshold_percent": "75",
                "met": True,
            }
            assert tests["ownership_transfers"]["met"] is False
            assert made["inputs"]["fair_value_amount"] == 350_000
            override = {"lease_class": "operating", "reason": "电池可随时调回,实质为经营租赁"}
            other = await classify(world, lease, override=override)
            assert (other["number"], other["proposed_class"]) == (2, "finance")
            assert other["decided_class"] == "operating"
            assert other["inputs"]["override"] == override
            assert other["decided_by"].startswith("staff")
            listed = (await world.staff.get(path))["classifications"]
            assert listed == [made, other]
            # The last decision is in force when the first month is posted.
            await months(world, FEBRUARY, 1)
            assert (await balances(world, "2026-01-31"))["accrued_rent"] == 31_000

    database(scenario)


def test_a_lease_in_the_books_is_classified_again_only_when_it_was_modified(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000, ends_on="2027-01-01")
            contract_id = lease["contract"]["id"]
            path = f"/v1/contracts/{contract_id}/lease-classification"
            await world.set_clock(date(2026, 1, 2))
            decided = await classify(world, lease)
            await months(world, FEBRUARY, 1)
            refused = await world.staff.refused("POST", path, 409, FINANCE)
            assert refused["code"] == "lease_not_modified"
            override = {"lease_class": "operating", "reason": "改判"}
            wrong = {**FINANCE, "override": override}
            refused = await world.staff.refused("POST", path, 409, wrong)
            assert refused["code"] == "lease_class_is_posted"
            rents = [{"line_id": lease["line"]["id"], "rent_amount": 32_000}]
            await amend(world, contract_id, from_on="2026-03-01", rents=rents)
            again = await classify(world, lease)
            assert (again["number"], again["decided_class"]) == (2, "finance")
            await months(world, date(2026, 3, 1), 1)
            # Measured anew from February on at the old rate: 1,000 more, from March to December.
            rate = Decimal(decided["monthly_rate_percent"]) / 100
            worth = sum(1_000 / (1 + rate) ** n for n in range(2, 12))
            made = {month: amounts for month, _, amounts in await entries(world, contract_id)}
            assert abs(made["2026-02"]["gain_on_lease"] + worth) < 2

    database(scenario)


def test_what_cannot_be_classified_is_refused_with_the_reason(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            terms = [build.line_terms(site["id"], slot, 31_000 + slot) for slot in (1, 2, 3)]
            terms[0]["rent_amount"] = terms[1]["rent_amount"]
            terms[0]["rated_capacity_mah"] = 200_000
            contract, lines = await build.active_contract(
                world, lessee["id"], terms, ends_on="2027-01-01"
            )
            path = f"/v1/contracts/{contract['id']}/lease-classification"

            async def refused(status: int, **changes: Any) -> Json:
                return await world.staff.refused("POST", path, status, {**FINANCE, **changes})

            # One differs from the second in capacity, one in rent.
            for other in (0, 2):
                both = [lines[1]["id"], lines[other]["id"]]
                assert (await refused(409, line_ids=both))["code"] == "lines_differ"
            assert (await refused(409))["code"] == "lines_differ"
            one = {"line_ids": [lines[0]["id"]]}
            stranger = await refused(400, line_ids=[lines[0]["id"], str(uuid4())])
            assert stranger["errors"][0]["pointer"] == "/line_ids/1"
            dear = await refused(400, **one, fair_value_amount=10**7)
            assert dear["errors"][0]["pointer"] == "/annual_rate_percent"
            option = await refused(400, **one, purchase_option_certain=True)
            assert option["errors"][0]["pointer"] == "/purchase_option_amount"
            # A line that has not commenced is judged as it was agreed.
            made = await classify(world, {"contract": contract}, **one)
            assert made["tests"][2]["percent"] == "85.71"
            gone = f"/v1/contracts/{uuid4()}/lease-classification"
            await world.staff.refused("POST", gone, 404, FINANCE)
            await world.staff.refused("GET", gone, 404)
            await world.staff.refused("GET", f"/v1/contracts/{uuid4()}/lease-schedule", 404)

    database(scenario)


def test_a_month_is_closed_when_its_leases_were_posted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000)
            await first_of_month(world, FEBRUARY, ("contracts", "billing"))
            path = "/v1/accounting-periods/2026-01"
            problem = await world.staff.refused("POST", f"{path}/closing", 409)
            assert [(one["code"], one["found"]) for one in problem["extra"]["checks"]] == [
                ("leases", 1)
            ]
            assert await run(db, "accounting", FEBRUARY) == "done"
            await world.staff.post(f"{path}/closing")
            # A contract that somebody enters late has its January in February.
            other = await build.leased_pack(world, JANUARY, 62_000)
            await months(world, date(2026, 3, 1), 1)
            ((month, posted_on, _),) = await entries(world, other["contract"]["id"])
            assert (month, posted_on) == ("2026-02", "2026-02-28")
            assert (await balances(world, "2026-01-31"))["revenue_rent"] == -31_000
            assert len(await entries(world, lease["contract"]["id"])) == 1

    database(scenario)


def test_a_lease_that_ended_is_left_alone_until_it_is_billed_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lease = await build.leased_pack(world, JANUARY, 31_000)
            await give_back(world, lease["line"], date(2026, 1, 21))
            await months(world, FEBRUARY, 4)
            async with db.transaction() as tx:
                rows = await tx.fetch("SELECT month, settled FROM lease_month ORDER BY month")
            assert [(str(row["month"]), row["settled"]) for row in rows] == [
                ("2026-01-01", False),
                ("2026-02-01", True),
            ]
            made = await entries(world, lease["contract"]["id"])
            assert [amounts["revenue_rent"] for _, _, amounts in made] == [-20_000, 20_000]

    database(scenario)


def test_rent_with_vat_in_it_is_earned_without(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            await build.leased_pack(
                world, JANUARY, 33_900, ends_on="2027-01-01", vat_mode="inclusive"
            )
            await months(world, FEBRUARY, 2)
            february = await balances(world, "2026-02-28")
            assert (february["revenue_rent"], february["vat_output"]) == (-60_000, -3_900)
            assert (february["accrued_rent"], february["receivable"]) == (30_000, 33_900)

    database(scenario)


def test_a_contract_is_one_entry_however_many_lines_it_has(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=JANUARY) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            terms = [build.line_terms(site["id"], slot, 31_000) for slot in range(1, 6)]
            contract, lines = await build.active_contract(world, lessee["id"], terms)
            for n, line in enumerate(lines):
                pack = await build.pack(world)
                accepted = build.acceptance(pack["id"], date(2026, 1, 1 + n))
                await world.set_clock(date(2026, 1, 1 + n))
                await world.staff.post(f"/v1/lines/{line['id']}/acceptances", accepted)
            await months(world, FEBRUARY, 1)
            ((_, _, amounts),) = await entries(world, contract["id"])
            assert amounts["accrued_rent"] == sum(31_000 - 1_000 * n for n in range(5))
            async with db.transaction() as tx:
                kept = await tx.fetchval(
                    "SELECT count(*) FROM lease_plan WHERE contract_id = $1", UUID(contract["id"])
                )
            assert kept == 5

    database(scenario)
