"""Lines on which nothing happens are charged by one statement, the others by the rules: whoever
charges a line, the charge is the same."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from jobs import runner
from jobs.registry import JOBS
from leasing.billing import steady
from leasing.billing.model import Item
from leasing.billing.steady import Steady
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import MARCH, advance, bill, books, lease_out, one

APRIL, JUNE, JULY = date(2026, 4, 1), date(2026, 6, 1), date(2026, 7, 1)

LINES_OF = "SELECT id FROM lease_line WHERE contract_id = ANY ($1::uuid[])"

CHANGES = [
    "UPDATE line_revision SET suspended = true WHERE slot % 5 = 0",
    "UPDATE line_revision SET rent_amount = rent_amount + 1 WHERE slot % 7 = 0",
    "UPDATE contract_revision SET proration = '30/360' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number = 'C-2')",
    "UPDATE contract_revision SET billing_timing = 'advance' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number = 'C-3')",
    "UPDATE contract_revision SET billing_frequency = 'quarterly' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number = 'C-4')",
    # Of these two records of custody neither covers February, and both together do.
    """
    WITH cut AS (
      UPDATE custody
         SET during = daterange(lower(during), '2026-02-10')
       WHERE slot = 6
      RETURNING *)
    INSERT INTO custody
    SELECT pack_id, daterange('2026-02-10', NULL), state, party_id, line_id, site_id, slot,
           routing_id, outlet_id, trace_id, recorded_at
      FROM cut
    """,
    # A month that is suspended from its first day, after one that was billed whole.
    """
    WITH cut AS (
      UPDATE line_revision
         SET during = daterange(lower(during), '2026-03-01')
       WHERE slot = 4
      RETURNING *)
    INSERT INTO line_revision
    SELECT (jsonb_populate_record(NULL::line_revision, to_jsonb(cut) || '
             {"number": 2, "during": "[2026-03-01,)", "suspended": true}')).*
      FROM cut
    """,
    # Rent for the day on which packs went back, within a period and on its first day.
    "UPDATE contract_revision SET return_day = 'billed' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number IN ('C-1', 'C-5'))",
    """
    WITH back AS (
      SELECT line_id, pack_id, CASE slot WHEN 9 THEN DATE '2026-03-20' ELSE '2026-03-01' END AS day
        FROM placement
       WHERE slot IN (9, 11)
    ), gone AS (
      UPDATE placement
         SET during = daterange(lower(during), day)
        FROM back
       WHERE placement.line_id = back.line_id
    ), ended AS (
      UPDATE lease_line
         SET ended_on = day, end_reason = 'returned'
        FROM back
       WHERE id = line_id
    )
    INSERT INTO pack_return (line_id, pack_id, returned_on, reason, tested_capacity_mah,
                             lessor_signatory, lessee_signatory)
    SELECT line_id, pack_id, day, 'end_of_lease', 90000, 'A', 'B'
      FROM back
    """,
    # Two fleets end in the middle of April; one of them has March and that stub billed as one.
    "UPDATE contract_term SET during = daterange(lower(during), '2026-04-15') WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number IN ('C-1', 'C-2'))",
    "UPDATE contract_revision SET last_stub = 'long' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number = 'C-1')",
    # Of two fleets that were not billed in May one gets an invoice of its own for April.
    "UPDATE contract_revision SET catch_up = 'invoice_each' WHERE contract_id IN"
    " (SELECT id FROM contract WHERE number = 'C-5')",
    # And here a pack is gone by its records, from a day in March on.
    "UPDATE custody SET during = daterange(lower(during), '2026-03-10') WHERE slot = 8",
]


@pytest.fixture
def billed_by(database, monkeypatch):
    """The books of a fleet on which this and that happens, and how many were charged fast."""

    really = steady.charge

    def play(fast: bool) -> tuple[Any, int]:
        counted = 0

        async def charge(tx: Connection, items: Sequence[Item], as_of: date) -> Steady:
            nonlocal counted
            if not fast:
                rows = await tx.fetch(LINES_OF, [item.contract_id for item in items])
                line_ids = [row["id"] for row in rows]
                return Steady({}, line_ids, line_ids)
            found = await really(tx, items, as_of)
            counted += sum(found.made.values())
            return found

        async def scenario(db: Database) -> Any:
            await lease_out(db, [12, 9, 9, 9, 30])
            for statement in CHANGES:
                await one(db, statement)
            for month in (date(2026, 2, 1), MARCH, APRIL, JUNE, JULY):
                async with db.transaction() as tx:
                    await clock.move(tx, midnight(month) + build.NOON)
                assert await bill(db, month) == "done"
            return await books(db), await one(db, "SELECT count(*) FROM billing_hold")

        monkeypatch.setattr(steady, "charge", charge)
        return database(scenario), counted

    return play


def test_a_line_on_which_nothing_happens_is_charged_what_the_rules_say(billed_by):
    by_rules, none = billed_by(fast=False)
    by_both, fast = billed_by(fast=True)
    assert by_both == by_rules
    _, held = by_both
    assert held > 0
    assert none == 0
    # Most of three months; the first one is broken for most lines, and one comes after another
    # that was missed.
    assert fast > 60


def test_a_steady_line_that_was_restated_is_left_to_the_rules(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            lease = await build.leased_pack(world, "2026-01-01")
            await advance(world, date(2026, 2, 2))
            path = f"/v1/lines/{lease['line']['id']}"
            start = {"from_on": "2026-01-15", "reason": "no power"}
            await world.staff.post(f"{path}/suspension", start)
            await world.staff.post(f"{path}/resumption", {"from_on": "2026-02-01"})
            await runner.advance(db, JOBS, midnight(date(2026, 3, 2)))
            _, charged = await books(db)
            live = sum(row[7] for row in charged)
            assert live == 31_000 * 14 // 31 + 31_000

    database(scenario)
