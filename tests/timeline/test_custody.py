"""Custody: each day of a pack belongs to exactly one holder."""

from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.timeline import lives
from tests.timeline.lives import BEGINS_ON


def periods(custody: Json) -> list[tuple[str, str | None, str, str]]:
    return [
        (one["from_on"], one["to_on"], one["state"], one["held_by"]) for one in custody["history"]
    ]


def holders_of_each_day(custody: Json, from_on: date, to_on: date) -> list[list[Json]]:
    return [
        [
            one
            for one in custody["history"]
            if one["from_on"] <= str(day) and (one["to_on"] is None or str(day) < one["to_on"])
        ]
        for day in (from_on + timedelta(days=n) for n in range((to_on - from_on).days))
    ]


async def stolen_found_and_recycled(world: World) -> tuple[Json, str]:
    """The second pack of a lease was swapped in, moved, stolen and found; then it is recycled."""
    firm = await build.recycler(world)
    await build.outlet(world, firm["id"])
    life = await lives.full_life(world)
    pack = life["packs"][1]
    await stories.condemn(world, pack, "2026-06-01")
    planned = {"hand_over_on": "2026-06-05"}
    await world.set_clock(date(2026, 6, 3))
    given_up = await world.staff.post(f"/v1/packs/{pack}/routings", planned)
    late = {"released_on": "2026-06-04", "reason": "no lorry"}
    await world.set_clock(date(2026, 6, 4))
    await world.staff.post(f"/v1/routings/{given_up['id']}/release", late)
    await world.set_clock(date(2026, 6, 5))
    routing = await world.staff.post(f"/v1/packs/{pack}/routings", planned)
    path = f"/v1/routings/{routing['id']}"
    await world.set_clock(date(2026, 6, 8))
    await world.staff.post(f"{path}/hand-over", {"handed_over_on": "2026-06-06"})
    await world.set_clock(date(2026, 6, 20))
    certificate = {"number": "C-1", "recycled_on": "2026-06-18", "lithium_percent": "91"}
    await world.staff.post(f"{path}/certificate", certificate)
    return life, pack


def test_a_pack_s_custody_is_told_from_purchase_to_recycling(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life, pack = await stolen_found_and_recycled(world)
            custody = await world.staff.get(f"/v1/packs/{pack}/custody")
            assert periods(custody) == [
                ("2025-01-02", "2026-03-01", "in_stock", "lessor"),
                ("2026-03-01", "2026-04-01", "leased", "lessee"),
                ("2026-04-01", "2026-05-09", "leased", "lessee"),
                ("2026-05-09", "2026-05-18", "lost", "nobody"),
                ("2026-05-18", "2026-06-01", "returned", "lessor"),
                ("2026-06-01", "2026-06-03", "condemned", "lessor"),
                ("2026-06-03", "2026-06-04", "routed", "lessor"),
                ("2026-06-04", "2026-06-05", "condemned", "lessor"),
                ("2026-06-05", "2026-06-06", "routed", "lessor"),
                ("2026-06-06", "2026-06-18", "handed_over", "recycler"),
                ("2026-06-18", None, "recycled", "recycler"),
            ]
            places = [(one["site_id"], one["slot"]) for one in custody["history"][1:3]]
            assert places == [(life["sites"][0], 1), (life["sites"][1], 3)]
            assert {one["line_id"] for one in custody["history"][1:4]} == {life["line"]}
            for day in holders_of_each_day(custody, date(2025, 1, 2), date(2026, 7, 1)):
                assert len(day) == 1
            assert (custody["on"], custody["held"]) == ("2026-06-20", custody["history"][-1])
            for on, index in (("2026-04-01", 2), ("2026-05-08", 2), ("2026-05-09", 3)):
                there = await world.staff.get(f"/v1/packs/{pack}/custody", on=on)
                assert there["held"] == custody["history"][index]
            before = await world.staff.get(f"/v1/packs/{pack}/custody", on="2025-01-01")
            assert before["held"] is None

    database(scenario)


STAYS = """
SELECT pack_id, site_id, slot, line_id, lessee_id, lower(during) AS from_on,
       upper(during) AS to_on
  FROM placement
  JOIN lease_line ON lease_line.id = line_id
 ORDER BY pack_id, from_on
"""

LEASED = """
SELECT pack_id, site_id, slot, line_id, party_id AS lessee_id, lower(during) AS from_on,
       upper(during) AS to_on
  FROM custody
 WHERE state = 'leased'
 ORDER BY pack_id, from_on
"""


@pytest.mark.parametrize("story", [stolen_found_and_recycled, stories.neighbours])
def test_a_lessee_has_a_pack_on_exactly_the_days_it_stood_in_a_line(database, story):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            await story(world)
            async with db.transaction() as tx:
                stays, leased = await tx.fetch(STAYS), await tx.fetch(LEASED)
            assert stays == leased
            assert len(stays) == 4

    database(scenario)


def test_a_pack_that_was_bought_stays_its_lessee_s(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            price = {"kind": "fixed", "amount": 500_000}
            lease = await build.leased_pack(world, on="2026-01-05", buy_out=price)
            await world.set_clock(date(2026, 2, 1))
            bought = {"bought_on": "2026-02-01"}
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/buy-out", bought)
            path = f"/v1/packs/{lease['pack']['id']}/custody"
            customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            assert periods(await customer.get(path)) == [
                ("2026-01-05", "2026-02-01", "leased", "lessee"),
                ("2026-02-01", None, "sold", "lessee"),
            ]

    database(scenario)


def test_a_hand_over_entered_late_takes_its_days_from_the_stock(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 3, 20)) as world:
            first = await build.leased_pack(world, on="2026-01-11")
            second = await build.leased_pack(world, on="2026-01-11")
            pack = first["pack"]["id"]
            await stories.give_back(world, first["line"]["id"], "2026-03-01")
            await stories.inspect(world, pack, "2026-03-10")
            await stories.decide(world, pack, "release", "2026-03-12")
            swap = build.acceptance(pack, "2026-03-15")
            await world.staff.post(f"/v1/lines/{second['line']['id']}/swaps", swap)
            custody = await world.staff.get(f"/v1/packs/{pack}/custody")
            assert periods(custody) == [
                ("2025-01-02", "2026-01-11", "in_stock", "lessor"),
                ("2026-01-11", "2026-03-01", "leased", "lessee"),
                ("2026-03-01", "2026-03-12", "returned", "lessor"),
                ("2026-03-12", "2026-03-15", "in_stock", "lessor"),
                ("2026-03-15", None, "leased", "lessee"),
            ]

    database(scenario)


SAYS = {
    "pack.acquired": "in_stock",
    "pack.reinstated": "in_stock",
    "pack.returned": "returned",
    "pack.inspected": None,
    "pack.damaged": None,
    "waste.declared": "condemned",
    "pack.lost": "lost",
}
HORIZON = date(2026, 4, 1)


def test_whatever_is_said_in_whatever_order_the_last_word_about_a_day_holds(database):
    """Any sequence of dated steps, compared with a calendar that is written over day by day."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            random = Random(20260105)
            for _ in range(25):
                pack = (await build.pack(world, acquired_on="2026-01-01"))["id"]
                calendar: dict[date, str] = {}
                write(calendar, date(2026, 1, 1), "in_stock")
                for _ in range(random.randint(1, 12)):
                    kind = random.choice(sorted(SAYS))
                    on = date(2025, 12, 20) + timedelta(days=random.randint(0, 80))
                    await say(db, pack, kind, on)
                    if (state := SAYS[kind]) is not None:
                        write(calendar, on, state)
                custody = await world.staff.get(f"/v1/packs/{pack}/custody")
                days = holders_of_each_day(custody, min(calendar), HORIZON)
                assert [[one["state"] for one in day] for day in days] == [
                    [calendar[day]] for day in sorted(calendar)
                ]

    database(scenario)


def write(calendar: dict[date, str], on: date, state: str) -> None:
    while on < HORIZON:
        calendar[on] = state
        on += timedelta(days=1)


async def say(db: Database, pack_id: str, kind: str, on: date) -> None:
    async with db.transaction() as tx:
        step = Step(UUID(pack_id), kind, on, {})
        await traceability.record(tx, [step], by="test", now=midnight(on))


TWICE = """
INSERT INTO custody (pack_id, during, state, trace_id, recorded_at)
SELECT pack_id, '[2026-01-01,2026-01-02)', 'lost', trace_id, recorded_at
  FROM custody
"""


def test_two_holders_on_one_day_are_refused_by_the_database(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.pack(world)
            with pytest.raises(asyncpg.ExclusionViolationError) as refused:
                async with db.transaction() as tx:
                    await tx.execute(TWICE)
            assert refused.value.constraint_name == "custody_one_a_day"

    database(scenario)


# --- Packs of a site --------------------------------------------------------------------------


async def slots(client: build.Client, site_id: str, on: str) -> list[tuple[int, Any]]:
    page = await client.get(f"/v1/sites/{site_id}/packs", on=on)
    return [(one["slot"], one["pack_id"]) for one in page["items"]]


def test_a_site_says_which_pack_stood_in_which_slot_on_a_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            customer = await world.login(Role.CUSTOMER, life["customer"])
            first, second = life["sites"]
            worn, fresh, last = life["packs"]
            for client in (world.staff, customer):
                for site, on, expected in (
                    (first, "2026-01-10", []),
                    (first, "2026-01-11", [(1, worn)]),
                    (first, "2026-02-28", [(1, worn)]),
                    (first, "2026-03-01", [(1, fresh)]),
                    (first, "2026-04-01", []),
                    (second, "2026-03-31", []),
                    (second, "2026-04-01", [(3, fresh)]),
                    (second, "2026-05-09", []),
                    (second, "2026-05-20", [(3, last)]),
                    (second, "2026-06-01", []),
                ):
                    assert await slots(client, site, on) == expected, (site, on)
            page = await world.staff.get(f"/v1/sites/{second}/packs", on="2026-05-25")
            (one,) = page["items"]
            assert (one["line_id"], one["contract_id"]) == (life["line"], life["contract"])
            assert (one["from_on"], one["to_on"]) == ("2026-05-20", "2026-06-01")

    database(scenario)


def test_the_packs_of_a_site_come_in_pages_in_order_of_slots(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            site = await build.site(world, lessee["id"])
            terms = [build.line_terms(site["id"], slot=slot) for slot in (7, 2, 5)]
            _, lines = await build.active_contract(world, lessee["id"], terms)
            for line in lines:
                pack = (await build.pack(world))["id"]
                given = build.acceptance(pack, "2026-06-01")
                await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
            path = f"/v1/sites/{site['id']}/packs"
            first = await world.staff.get(path, limit=2)
            second = await world.staff.get(path, limit=2, cursor=first["next_cursor"])
            assert [one["slot"] for one in first["items"] + second["items"]] == [2, 5, 7]
            assert second["next_cursor"] is None
            await world.staff.refused("GET", f"{path}?cursor=WzFlOTld", 400)

    database(scenario)
