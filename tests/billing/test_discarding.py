"""A run or a draft that is given up leaves the books as if it had never been."""

import asyncio
from datetime import date

import asyncpg
import pytest

from leasing.billing import running
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import (
    FEBRUARY,
    MARCH,
    NOBODY,
    bill,
    books,
    invoices_of,
    lease_out,
    lines_of,
    one,
    shown,
)

WRONG = {"reason": "the rents are those of last year"}
STEEP = """
UPDATE line_revision
   SET rent_amount = rent_amount * 100
 WHERE contract_id = (SELECT id FROM contract WHERE number = 'C-1')
"""


async def stopped(db: Database, on: date = FEBRUARY) -> str:
    """A run that waits for a person, with its drafts."""
    async with db.transaction() as tx:
        run = await running.begin(tx, on, None, 1, midnight(on))
        assert run is not None
    step = running.Step.WORKED
    while step not in (running.Step.STOPPED, running.Step.OVER):
        step = (await running.work(db, run.id, "test", "test")).step
    assert step is running.Step.STOPPED
    return str(run.id)


async def march(db: Database) -> None:
    async with db.transaction() as tx:
        await clock.move(tx, midnight(MARCH) + build.NOON)


def test_a_run_that_was_given_up_leaves_nothing_and_the_next_one_bills_as_the_first(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [2, 3])
        async with build.world(db, on=None) as world:
            run_id = await stopped(db)
            path = f"/v1/billing-runs/{run_id}"
            answer = await world.staff.ask("POST", f"{path}/discard", json=WRONG)
            given_up = build.expect(answer, 200)
            assert (given_up["state"], given_up["stages"]) == ("discarded", [])
            assert await books(db) == ([], [])
            assert await one(db, "SELECT count(*) FROM invoice_sum") == 0
            refused = await world.staff.refused("POST", f"{path}/discard", 409, WRONG)
            assert refused["code"] == "not_held"
        assert await bill(db) == "done"
        found, charged = await books(db)
        assert [row[1] for row in found] == ["INV-2026-000001", "INV-2026-000002"]
        assert len(charged) == 5
        assert await one(db, "SELECT count(*) FROM charge WHERE revision > 1") == 0

    database(scenario)


def test_what_is_final_is_not_given_up(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        await bill(db)
        before = await books(db)
        async with build.world(db, on=None) as world:
            (run,) = (await world.staff.get("/v1/billing-runs"))["items"]
            path = f"/v1/billing-runs/{run['id']}/discard"
            refused = await world.staff.refused("POST", path, 409, WRONG)
            assert refused["code"] == "invoice_is_final"
            (invoice, _) = (await world.staff.get("/v1/invoices"))["items"]
            path = f"/v1/invoices/{invoice['id']}/discard"
            refused = await world.staff.refused("POST", path, 409, WRONG)
            assert refused["code"] == "invoice_is_final"
            for nothing in ("billing-runs", "invoices"):
                path = f"/v1/{nothing}/{NOBODY}/discard"
                await world.staff.refused("POST", path, 404, WRONG)
        assert await books(db) == before

    database(scenario)


def test_a_held_draft_that_was_given_up_is_billed_anew_with_the_days_after_it(
    database, monkeypatch
):
    monkeypatch.setattr(running, "JUMP_ABOVE", 1)

    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        await bill(db)
        await one(db, STEEP)
        await one(db, "UPDATE restatement SET settled = true")
        await march(db)
        await bill(db, MARCH)
        async with build.world(db, on=None) as world:
            (held,) = (await world.staff.get("/v1/invoices", held=True))["items"]
            others = [
                row
                for row in (await world.staff.get("/v1/invoices"))["items"]
                if row["state"] == "final"
            ]
            answer = await world.staff.ask("POST", f"/v1/invoices/{held['id']}/discard", json=WRONG)
            assert build.expect(answer, 200) == held
            await world.staff.refused("GET", f"/v1/invoices/{held['id']}", 404)
            (run,) = (await world.staff.get("/v1/billing-runs"))["items"][1:]
            path = f"/v1/billing-runs/{run['id']}/contracts"
            (parked,) = (await world.staff.get(path, state="parked"))["items"]
            assert (parked["code"], parked["reason"]) == ("discarded", WRONG["reason"])
            await one(db, STEEP.replace("* 100", "/ 100"))
            await one(db, "UPDATE restatement SET settled = true")
            assert await bill(db, MARCH) == "done"
            *_, anew = await invoices_of(world, {"id": held["buyer_id"]})
            ((from_on, to_on, amount),) = shown(await lines_of(world, anew))
            assert (from_on, to_on) == ("2026-02-01", "2026-03-01")
            assert amount * 100 == held["net_amount"]
            assert others == [
                row
                for row in (await world.staff.get("/v1/invoices"))["items"]
                if row["id"] in {other["id"] for other in others}
            ]

    database(scenario)


def test_what_a_given_up_draft_had_put_right_is_put_right_by_the_next(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        await bill(db)
        before = await books(db)
        # Of days that were billed: January is taken back and charged anew with February.
        await one(db, STEEP.replace("* 100", "* 2"))
        await march(db)
        run_id = await stopped(db, MARCH)
        assert await one(db, "SELECT count(*) FROM charge WHERE is_reversed") == 1
        async with build.world(db, on=None) as world:
            path = f"/v1/billing-runs/{run_id}/discard"
            build.expect(await world.staff.ask("POST", path, json=WRONG), 200)
            assert await books(db) == before
            assert await one(db, "SELECT count(*) FROM restatement WHERE NOT settled") == 1
            assert await bill(db, MARCH) == "done"
            amounts = [
                [one["amount"] for one in await lines_of(world, row)]
                for row in (await world.staff.get("/v1/invoices"))["items"][2:]
            ]
        corrected, steady = sorted(amounts, key=len, reverse=True)
        back, anew, february = sorted(corrected)
        assert back < 0
        assert anew in (-2 * back, -2 * back - 1, -2 * back + 1)
        assert february > anew
        assert len(steady) == 1

    database(scenario)


def test_days_before_others_that_were_billed_since_are_due_again(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        run_id = await stopped(db)
        await march(db)
        assert await bill(db, MARCH) == "done"
        _, charged = await books(db)
        async with build.world(db, on=None) as world:
            path = f"/v1/billing-runs/{run_id}/discard"
            build.expect(await world.staff.ask("POST", path, json=WRONG), 200)
        assert len((await books(db))[1]) == len(charged) - 2
        async with db.transaction() as tx:
            await clock.move(tx, midnight(date(2026, 4, 1)) + build.NOON)
        assert await bill(db, date(2026, 4, 1)) == "done"
        query = """
        SELECT array_agg(during ORDER BY line_id, during) FROM charge WHERE reverses_id IS NULL
        """
        days = [(span.lower.month, span.upper) for span in await one(db, query)]
        assert days == 2 * [(1, FEBRUARY), (2, MARCH), (3, date(2026, 4, 1))]

    database(scenario)


def test_a_draft_of_which_another_bill_took_back_a_part_stays(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        run_id = await stopped(db)
        await one(db, STEEP.replace("* 100", "* 2"))
        await march(db)
        assert await bill(db, MARCH) == "done"
        before = await books(db)
        async with build.world(db, on=None) as world:
            path = f"/v1/billing-runs/{run_id}/discard"
            refused = await world.staff.refused("POST", path, 409, WRONG)
            assert refused["code"] == "draft_in_use"
        assert await books(db) == before

    database(scenario)


def test_a_worker_that_is_at_a_run_while_it_is_given_up_charges_nothing(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        async with db.transaction() as tx:
            run = await running.begin(tx, FEBRUARY, None, 9, midnight(FEBRUARY))
            assert run is not None
        async with build.world(db, on=None) as world:
            path = f"/v1/billing-runs/{run.id}/discard"

            async def give_up() -> int:
                return (await world.staff.ask("POST", path, json=WRONG)).status_code

            async def work() -> None:
                while (await running.work(db, run.id, "test", "test")).step is running.Step.WORKED:
                    pass

            status, _ = await asyncio.gather(give_up(), work())
        state = await one(db, "SELECT state FROM billing_run")
        found, charged = await books(db)
        if status == 200:
            assert (state, found, charged) == ("discarded", [], [])
        else:
            assert (status, state, len(charged)) == (409, "done", 2)

    database(scenario)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM charge",
        "UPDATE charge SET is_reversed = false WHERE is_reversed",
        "UPDATE charge SET amount = amount + 1, is_reversed = NOT is_reversed",
    ],
)
def test_the_charges_of_what_is_final_stay_whoever_writes(database, statement):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        await bill(db)
        async with build.world(db, on=None) as world:
            (invoice,) = (await world.staff.get("/v1/invoices"))["items"]
            path = f"/v1/invoices/{invoice['id']}/credit-notes"
            await world.staff.post(path, {"reason": "wrong company"})
        with pytest.raises(asyncpg.PostgresError) as refused:
            await one(db, statement)
        assert getattr(refused.value, "constraint_name", None) == "charge_append_only"

    database(scenario)
