"""The monthly billing run: twice is once, two at a time are one, and one bad customer is aside."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from jobs import billing, runner
from jobs.registry import JOBS
from jobs.runner import Work
from leasing.billing import issuing, running
from leasing.billing import store as invoices
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.kit.time import midnight
from leasing.ledger import service as ledger
from leasing.runs import store as runs
from tests import build, fleet
from tests.billing.steps import (
    FEBRUARY,
    JANUARY,
    advance,
    bill,
    books,
    cancel_soon,
    charge_all,
    hand_over,
    lease_out,
    one,
)


def test_a_run_makes_one_invoice_per_customer_with_a_line_per_site_and_pack(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3, 1, 40])
        assert await bill(db) == "done"
        found, charges = await books(db)
        assert [row[:2] for row in found] == [
            ("Customer 1", "INV-2026-000001"),
            ("Customer 2", "INV-2026-000002"),
            ("Customer 3", "INV-2026-000003"),
        ]
        assert {(row[4], row[5], row[6], row[7]) for row in found} == {
            (JANUARY, FEBRUARY, FEBRUARY, FEBRUARY + timedelta(days=30))
        }
        assert len(charges) == 44
        assert len({(site, slot) for _, site, slot, *_ in charges}) == 44
        assert await one(db, "SELECT state FROM billing_run") == "done"
        assert await one(db, "SELECT max(done) FROM job_run WHERE job = 'billing'") == 44

    database(scenario)


def test_a_run_done_twice_is_a_run_done_once(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3, 2])
        await bill(db)
        before = await books(db)
        assert await bill(db) == "done"
        assert await books(db) == before

    database(scenario)


def test_any_later_day_of_the_month_bills_the_same_months(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3, 2])
        async with db.transaction() as tx:
            await clock.move(tx, midnight(date(2026, 2, 20)))
        assert await bill(db, date(2026, 2, 17)) == "done"
        before = await books(db)
        assert await bill(db, date(2026, 2, 1)) == "done"
        assert await books(db) == before
        assert {row[5] for row in before[0]} == {FEBRUARY}

    database(scenario)


def test_of_two_runs_at_once_one_does_the_work_and_the_other_is_told(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [20] * 5)
        async with await connect(db.dsn, db.settings) as other:
            states = await asyncio.gather(bill(db), bill(other), bill(db), bill(other))
        assert "done" in states
        assert set(states) <= {"done", "busy"}
        found, charges = await books(db)
        assert (len(found), len(charges)) == (5, 100)
        assert await one(db, "SELECT count(*) FROM job_parked") == 0

    database(scenario)


def test_two_runs_that_both_believe_they_hold_the_lock_still_bill_once(database):
    """A worker that was cut off from its lock does not know it yet. The database does."""

    async def scenario(db: Database) -> None:
        await lease_out(db, [30] * 6)
        await asyncio.gather(*(bare_run(db) for _ in range(3)))
        found, charges = await books(db)
        assert (len(found), len(charges)) == (6, 180)
        assert {row[2] for row in found} == {"final"}

    database(scenario)


async def bare_run(db: Database, on: date = FEBRUARY) -> None:
    as_of = runner.instant_on("billing", on)
    async with db.transaction() as tx:
        await runs.enter(tx, [("billing", as_of)], as_of)
        run = await runs.get(tx, "billing", as_of)
    assert run is not None
    await billing.run(Work(db, run, lambda done, total: None))


def test_a_customer_larger_than_a_chunk_gets_one_invoice_with_every_line(database, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_LINES", 7)

    async def scenario(db: Database) -> None:
        await lease_out(db, [50, 7, 8, 0])
        await bill(db)
        found, charges = await books(db)
        assert [row[0] for row in found] == ["Customer 1", "Customer 2", "Customer 3"]
        assert len(charges) == 65

    database(scenario)


def test_a_run_cut_short_between_two_chunks_goes_on_where_it_stopped(database, monkeypatch):
    monkeypatch.setattr(running, "CHUNK_LINES", 5)

    async def scenario(db: Database) -> None:
        await lease_out(db, [12, 12, 12])
        for _ in range(3):
            attempt = asyncio.create_task(
                runner.run_once(db, "billing", JOBS["billing"], FEBRUARY, cancel_soon)
            )
            with pytest.raises(asyncio.CancelledError):
                await attempt
        assert (
            await one(db, "SELECT state FROM job_run WHERE job = 'billing' AND attempts > 0")
            == "running"
        )
        assert await bill(db) == "done"
        found, charges = await books(db)
        assert (len(found), len(charges)) == (3, 36)
        assert {row[2] for row in found} == {"final"}

    database(scenario)


PARKED = "SELECT code, reason FROM billing_item WHERE state = 'parked'"

MAKE_ANCIENT = """
WITH ancient AS (
  UPDATE lease_line
     SET started_on = '2005-03-01'
   WHERE id = (SELECT lease_line.id FROM lease_line JOIN party ON party.id = lessee_id
                WHERE name = $1 ORDER BY lease_line.id LIMIT 1)
RETURNING id
)
UPDATE placement
   SET during = daterange('2005-03-01', NULL)
  FROM ancient
 WHERE line_id = ancient.id
RETURNING line_id
"""

ANCIENT_CUSTODY = "UPDATE custody SET during = daterange('2005-03-01', NULL)"

MEND = """
WITH mended AS (UPDATE lease_line SET started_on = '2026-01-01' WHERE id = $1)
UPDATE placement
   SET during = daterange('2026-01-01', NULL)
 WHERE line_id = $1
"""


def test_a_customer_whose_data_is_broken_is_parked_with_the_reason_and_billed_once_mended(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [2, 2, 2])
        line = await one(db, MAKE_ANCIENT, "Customer 2")
        await one(db, ANCIENT_CUSTODY)
        assert await bill(db) == "done"
        found, _ = await books(db)
        assert [row[:2] for row in found] == [
            ("Customer 1", "INV-2026-000001"),
            ("Customer 3", "INV-2026-000002"),
        ]
        async with db.transaction() as tx:
            (parked,) = await tx.fetch(PARKED)
        assert parked["code"] == "too_many_periods"
        assert parked["reason"] == f"line {line} owes 251 periods at once, 24 are the most"
        assert await one(db, "SELECT max(parked) FROM job_run WHERE job = 'billing'") == 1

        async with db.transaction() as tx:
            await tx.execute(MEND, line)
        assert await bill(db) == "done"
        found, charges = await books(db)
        assert found[-1][:3] == ("Customer 2", "INV-2026-000003", "final")
        assert (len(found), len(charges)) == (3, 6)
        assert await one(db, "SELECT max(parked) FROM job_run WHERE job = 'billing'") == 0

    database(scenario)


def test_the_last_customer_parked_is_counted_like_any_other(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        await one(db, MAKE_ANCIENT, "Customer 2")
        await one(db, ANCIENT_CUSTODY)
        await bill(db)
        assert await one(db, "SELECT max(parked) FROM job_run WHERE job = 'billing'") == 1

    database(scenario)


def test_numbers_have_no_gap_when_several_finalise_at_once_and_some_give_up(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1] * 24)
        async with db.transaction() as tx:
            await charge_all(tx)
            run_id = await tx.fetchval("SELECT id FROM billing_run")
            drafts = await invoices.drafts(tx, run_id)
            await issuing.total(tx, drafts)

        async def finalise(invoice_id: UUID, fails: bool) -> None:
            async with db.transaction() as tx:
                await issuing.finalise(
                    tx, [invoice_id], issued_on=FEBRUARY, by="test", now=midnight(FEBRUARY)
                )
                if fails:
                    raise ZeroDivisionError

        # Every third one gives up after it had a number.
        await asyncio.gather(
            *(finalise(draft, fails=i % 3 == 0) for i, draft in enumerate(drafts)),
            return_exceptions=True,
        )
        found, _ = await books(db)
        numbers = [row[1] for row in found if row[1] is not None]
        assert sorted(numbers) == [f"INV-2026-{n:06}" for n in range(1, 17)]
        await bill(db)
        found, _ = await books(db)
        assert sorted(row[1] for row in found) == [f"INV-2026-{n:06}" for n in range(1, 25)]

    database(scenario)


def test_a_hand_over_entered_late_is_on_the_next_invoice_with_its_own_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            _, (early, late) = await build.active_contract(
                world, lessee["id"], [build.line_terms(place["id"], slot) for slot in (1, 2)]
            )
            first, second = await build.pack(world), await build.pack(world)
            await hand_over(world, early, first, date(2026, 1, 5))
            await advance(world, date(2026, 2, 10))
            await hand_over(world, late, second, date(2026, 1, 22))
            # January is done again by hand: its invoice is final and takes no more.
            assert await bill(db) == "done"
            assert await one(db, "SELECT count(*) FROM job_parked") == 0
            await advance(world, date(2026, 3, 2))
            january, february = (await world.staff.get("/v1/invoices"))["items"]
            lines = await world.staff.get(f"/v1/invoices/{february['id']}/lines")
            assert january["net_amount"] == 27_000
            assert [
                (charge["line_id"], charge["from_on"], charge["to_on"], charge["amount"])
                for charge in sorted(lines["items"], key=lambda c: (c["from_on"], c["line_id"]))
            ] == [
                (late["id"], "2026-01-22", "2026-02-01", 10_000),
                *sorted((line["id"], "2026-02-01", "2026-03-01", 31_000) for line in (early, late)),
            ]
            await books(db)

    database(scenario)


def test_a_line_without_rent_is_billed_with_nothing(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        await one(db, "UPDATE line_revision SET rent_amount = 0")
        assert await bill(db) == "done"
        async with db.transaction() as tx:
            ((_, number, state, *_, total),), (_,) = await fleet.books(tx)
        assert (number, state, total) == ("INV-2026-000001", "final", 0)
        assert await one(db, "SELECT count(*) FROM posting") == 0

    database(scenario)


ADD_CHARGE = """
INSERT INTO charge (invoice_id, line_id, contract_id, site_id, pack_id, component, during,
                    period_days, price_amount, amount, vat_percent)
SELECT invoice_id, line_id, contract_id, site_id, pack_id, component,
       daterange('2024-01-01', '2024-01-02'), 31, 1, 1, vat_percent
  FROM charge
"""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE invoice SET total_amount = total_amount", "invoice_final_is_immutable"),
        ("UPDATE invoice SET state = 'draft', number = NULL", "invoice_final_is_immutable"),
        ("DELETE FROM invoice", "invoice_final_is_immutable"),
        (ADD_CHARGE, "invoice_final_is_immutable"),
        ("UPDATE charge SET amount = 0", "charge_append_only"),
        ("UPDATE charge SET amount = 0, is_reversed = true", "charge_append_only"),
        ("DELETE FROM charge", "charge_append_only"),
        ("UPDATE invoice_vat SET vat_amount = 0", "invoice_vat_append_only"),
        ("DELETE FROM invoice_vat", "invoice_vat_append_only"),
        ("UPDATE posting SET amount = 1", "posting_append_only"),
        ("DELETE FROM posting", "posting_append_only"),
        ("UPDATE journal_entry SET posted_on = '2020-01-01'", "journal_entry_append_only"),
        ("DELETE FROM journal_entry", "journal_entry_append_only"),
    ],
)
def test_what_was_issued_is_never_changed_not_even_by_hand(database, statement, name):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        await bill(db)
        before = await books(db)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            async with db.transaction() as tx:
                await tx.execute(statement)
        assert refused.value.constraint_name == name
        assert await books(db) == before

    database(scenario)


def test_a_day_of_a_line_is_charged_once_whoever_writes_it(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        await bill(db)
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO invoice (run_id, buyer_id, currency, period)"
                " SELECT run_id, buyer_id, currency, daterange('2026-02-01', '2026-03-01')"
                "   FROM invoice"
            )
        with pytest.raises(asyncpg.ExclusionViolationError) as refused:
            async with db.transaction() as tx:
                await tx.execute(
                    "INSERT INTO charge (invoice_id, line_id, contract_id, site_id, pack_id,"
                    " component, during, period_days, price_amount, amount, vat_percent)"
                    " SELECT (SELECT id FROM invoice WHERE state = 'draft'), line_id, contract_id,"
                    " site_id, pack_id, component, daterange('2026-01-31', '2026-03-01'), 28, 1,"
                    " 1, 13 FROM charge"
                )
        assert refused.value.constraint_name == "charge_days_once"

    database(scenario)


def entry(event: str = "finalised", **amounts: int) -> dict[str, Any]:
    return {
        "source": "invoice",
        "source_id": UUID(int=7),
        "event": event,
        "currency": "CNY",
        "posted_on": JANUARY,
        "amounts": amounts,
    }


def test_an_entry_out_of_balance_is_refused_when_it_is_posted(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        party_id = await one(db, "SELECT id FROM party")
        amounts = entry(receivable=113, revenue_rent=-100, vat_output=-12)
        with pytest.raises(asyncpg.CheckViolationError, match="out of balance by 1") as refused:
            async with db.transaction() as tx:
                await ledger.post(tx, party_id=party_id, **amounts)
        assert refused.value.constraint_name == "posting_entry_balances"
        assert await one(db, "SELECT count(*) FROM journal_entry") == 0

    database(scenario)


def test_a_fact_is_entered_in_the_ledger_once(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        party_id = await one(db, "SELECT id FROM party")
        for event in ("finalised", "cancelled"):
            async with db.transaction() as tx:
                await ledger.post(
                    tx, party_id=party_id, **entry(event, receivable=1, revenue_rent=-1)
                )
        with pytest.raises(asyncpg.UniqueViolationError, match="journal_entry_once"):
            async with db.transaction() as tx:
                await ledger.post(tx, party_id=party_id, **entry(receivable=5, revenue_rent=-5))

    database(scenario)


def test_the_same_contract_in_two_currencies_makes_two_invoices(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            for slot, currency in ((1, "CNY"), (2, "USD")):
                _, (line,) = await build.active_contract(
                    world, lessee["id"], [build.line_terms(place["id"], slot)], currency=currency
                )
                await hand_over(world, line, await build.pack(world), date(2026, 1, 1))
            await advance(world, date(2026, 2, 2))
            found = (await world.staff.get("/v1/invoices"))["items"]
            assert [(row["currency"], row["net_amount"]) for row in found] == [
                ("CNY", 31_000),
                ("USD", 31_000),
            ]
            assert (await world.staff.get("/v1/ledger/trial-balance"))["balanced"]

    database(scenario)
