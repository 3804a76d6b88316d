"""Rents that follow a price index, also when it is published late."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobs import runner
from jobs.registry import JOBS
from leasing.contracts.rules import indexed_rent
from leasing.db.pool import Database
from leasing.kit.money import half_up
from leasing.kit.time import add_months, midnight
from schemas.contracts import IndexEscalator
from tests import build
from tests.build import Json, World
from tests.tariffs.test_facts import enter
from tests.tariffs.test_lines import amend, restated

QUARTERLY: Json = {
    "kind": "index",
    "series": "CPI",
    "base_month": "2025-12-01",
    "every_months": 3,
    "lag_months": 1,
}


async def until(world: World, on: date) -> None:
    await runner.advance(world.db, JOBS, midnight(on))


async def publish(world: World, month: str, value: str, on: str) -> None:
    row = {"series": "CPI", "month": month, "value": value, "published_on": on, "source": "NBS"}
    (told,) = await enter(world, "/v1/price-indexes", row)
    assert told["outcome"] == "done", told


PARKED = """
SELECT DISTINCT job_parked.error
  FROM job_parked
  JOIN job_run ON job_run.id = run_id
 WHERE job = 'contracts'
"""


async def parked(db: Database) -> list[str]:
    async with db.transaction() as tx:
        return [row["error"] for row in await tx.fetch(PARKED)]


async def rents(world: World, line_id: str) -> list[tuple[str, int, str]]:
    return [
        (one["from_on"], one["rent_amount"], one["cause"])
        for one in await world.staff.get(f"/v1/lines/{line_id}/revisions")
    ]


def test_a_step_waits_for_its_index_and_is_taken_for_its_own_day(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            story = await build.leased_pack(world, escalator=QUARTERLY)
            line_id = story["line"]["id"]
            await publish(world, "2025-12-01", "100", "2026-01-09")
            await until(world, date(2026, 5, 2))
            assert await rents(world, line_id) == [("2026-01-01", 31_000, "agreed")]
            (reason,) = await parked(db)
            assert reason == "IndexNotPublished: CPI: the index of 2026-03 is not known"
            path = f"/v1/contracts/{story['contract']['id']}/escalations"
            problem = await world.staff.refused("POST", path, 409, {"from_on": "2026-04-01"})
            assert problem["code"] == "index_not_published"
            # April was billed at the old rent by now.
            await publish(world, "2026-03-01", "104", "2026-04-09")
            await until(world, date(2026, 5, 4))
            assert await rents(world, line_id) == [
                ("2026-01-01", 31_000, "agreed"),
                ("2026-04-01", 32_240, "escalated"),
            ]
            assert await restated(db) == [(line_id, date(2026, 4, 1))]
            await until(world, date(2026, 6, 2))
            assert await restated(db) == []
            # Two steps late: both are taken, each from the rent as agreed.
            await until(world, date(2026, 10, 3))
            await publish(world, "2026-06-01", "99", "2026-07-09")
            await publish(world, "2026-09-01", "107.77", "2026-09-30")
            await until(world, date(2026, 10, 4))
            assert (await rents(world, line_id))[2:] == [
                ("2026-07-01", 30_690, "escalated"),
                ("2026-10-01", 33_409, "escalated"),
            ]

    database(scenario)


def test_a_step_that_comes_late_leaves_alone_what_was_agreed_meanwhile(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            story = await build.leased_pack(world, escalator={**QUARTERLY, "cap_percent": "2"})
            line_id = story["line"]["id"]
            await publish(world, "2025-12-01", "100", "2026-01-09")
            await until(world, date(2026, 4, 20))
            agreed = [{"line_id": line_id, "rent_amount": 40_000}]
            await amend(world, story["contract"], rents=agreed, from_on="2026-04-15")
            await publish(world, "2026-03-01", "104", "2026-04-09")
            await until(world, date(2026, 4, 22))
            assert await rents(world, line_id) == [
                ("2026-01-01", 31_000, "agreed"),
                ("2026-04-01", 31_620, "escalated"),
                ("2026-04-15", 40_000, "amended"),
            ]
            # The new rent stands for the index of March.
            await until(world, date(2026, 6, 30))
            await publish(world, "2026-06-01", "105.04", "2026-06-29")
            await until(world, date(2026, 7, 2))
            assert (await rents(world, line_id))[3:] == [("2026-07-01", 40_400, "escalated")]

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_month": "2025-12-02"}, "base_month"),
        ({"floor_percent": "3", "cap_percent": "2.5"}, "floor_percent"),
        ({"decimals": 1}, "decimals"),
        ({"every_months": 0}, "every_months"),
    ],
)
def test_an_index_clause_that_cannot_be_is_refused(
    database, changes: dict[str, Any], field: str
) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            terms = build.contract_terms(lessee["id"], [], escalator={**QUARTERLY, **changes})
            problem = await world.staff.refused("POST", "/v1/contracts", 400, terms)
            assert [one["pointer"] for one in problem["errors"]] == [f"/escalator/{field}"]

    database(scenario)


MONTHS = [add_months(date(2025, 1, 1), count) for count in range(60)]


@given(
    values=st.lists(st.integers(50, 200), min_size=60, max_size=60),
    every=st.integers(1, 12),
    base=st.integers(0, 10**6),
    agreed=st.integers(0, 30),
    later=st.integers(0, 29),
)
def test_a_rent_is_always_worked_out_from_what_was_agreed(values, every, base, agreed, later):
    index = dict(zip(MONTHS, map(Decimal, values), strict=True))
    start = MONTHS[0]
    clause = IndexEscalator(series="CPI", base_month=start, every_months=every)
    from_on, on = MONTHS[agreed], MONTHS[agreed + later]
    step, last = MONTHS[agreed // every * every], MONTHS[(agreed + later) // every * every]
    rent = indexed_rent(clause, index, base, from_on, start, on)
    assert rent == half_up(base * Fraction(index[last]) / Fraction(index[step]))
    whole_yuan = replace(clause, decimals=-2)
    if last != step:
        rounded = indexed_rent(whole_yuan, index, base, from_on, start, on)
        assert rounded % 100 == 0
        assert abs(2 * (rounded - base * Fraction(index[last]) / Fraction(index[step]))) <= 100
