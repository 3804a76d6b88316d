"""The outbox: every change leaves a row with it, in sequence, and no reader misses one."""

import asyncio
from collections import defaultdict
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.db.pool import Database
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.time import system_now
from tests import build
from tests.api import stories
from tests.build import World


async def all_events(world: World, limit: int = 200) -> list[Any]:
    await stories.settled(world)
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = await world.staff.get("/v1/events", limit=limit, **after)
        if not page["items"]:
            return found
        found += page["items"]
        after = {"cursor": page["next_cursor"]}


def test_every_change_leaves_an_event_and_each_aggregate_counts_without_a_gap(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await stories.neighbours(world)
            found = await all_events(world, limit=7)
            assert found == await all_events(world)
            assert len({event["id"] for event in found}) == len(found)
            counts: dict[tuple[str, str], list[int]] = defaultdict(list)
            for event in found:
                counts[event["aggregate"], event["aggregate_id"]].append(event["sequence"])
            for sequence in counts.values():
                assert sequence == list(range(1, len(sequence) + 1))
            kinds = {event["kind"] for event in found}
            assert kinds >= {
                "party.created", "qualification.gained", "site.created", "pack.acquired",
                "contract.drafted", "contract.active", "line.accepted", "line.swapped",
                "pack.inspected", "waste.declared", "routing.chosen", "routing.handed_over",
            }  # fmt: skip
            actors = {event["actor"].partition(":")[0] for event in found}
            # A pack that is emptied to 2.85 V a cell raises an alarm by itself.
            assert actors == {"staff", "job", "rules"}

    database(scenario)


WRITTEN_BY = """
INSERT INTO domain_event (xact, aggregate, aggregate_id, sequence, kind, data, actor, occurred_at)
VALUES ($1::text::xid8, 'site', $2, 1, 'site.created', '{}', 'test', $3)
"""


def test_events_follow_the_numbers_of_transactions_also_when_these_get_longer(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first, second = uuid4(), uuid4()
            async with db.transaction() as tx:
                await tx.execute(WRITTEN_BY, "10", second, system_now())
                await tx.execute(WRITTEN_BY, "9", first, system_now())
            found = await all_events(world, limit=1)
            assert [event["aggregate_id"] for event in found] == [str(first), str(second)]

    database(scenario)


def test_a_request_that_is_refused_leaves_no_event(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            before = await all_events(world)
            staff, line = world.staff, f"/v1/lines/{lease['line']['id']}"
            again = build.acceptance(lease["pack"]["id"], "2026-06-01")
            await staff.refused("POST", f"{line}/acceptances", 409, again)
            await staff.refused("POST", f"{line}/swaps", 409, again)
            await staff.refused("POST", f"{line}/returns", 409, build.returned("2026-01-01"))
            await staff.refused("POST", f"/v1/contracts/{lease['contract']['id']}/end", 409)
            await staff.refused("POST", "/v1/parties", 400, {})
            await staff.refused("POST", f"/v1/packs/{uuid4()}/inspections", 400, {})
            assert await all_events(world) == before

    database(scenario)


def event_of(aggregate_id: UUID, kind: str) -> Event:
    return Event("test", aggregate_id, kind, {})


def test_nothing_is_skipped_when_an_earlier_transaction_commits_later(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            slow, quick = uuid4(), uuid4()
            async with db.transaction() as earlier:
                # The earlier transaction has its number and its row, but has not committed.
                await events.append(
                    earlier, [event_of(slow, "slow")], actor="test", now=system_now()
                )
                async with db.transaction() as later:
                    await events.append(
                        later, [event_of(quick, "quick")], actor="test", now=system_now()
                    )
                page = await world.staff.get("/v1/events")
                assert page["items"] == []  # not even the quick one, which is committed
                cursor = page["next_cursor"]
            await stories.settled(world)
            page = await world.staff.get("/v1/events", cursor=cursor)
            assert [event["kind"] for event in page["items"]] == ["slow", "quick"]
            # Whoever is at the end asks again with the same cursor for what is new.
            end = page["next_cursor"]
            page = await world.staff.get("/v1/events", cursor=end)
            assert page == {"items": [], "next_cursor": end}
            await build.customer(world)
            await stories.settled(world)
            page = await world.staff.get("/v1/events", cursor=end)
            assert [event["kind"] for event in page["items"]] == ["party.created"]

    database(scenario)


def test_a_reader_among_many_writers_sees_each_event_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            writing = True
            seen: list[str] = []

            async def read() -> None:
                after: dict[str, str] = {}
                while True:
                    last_round = not writing
                    page = await world.staff.get("/v1/events", limit=3, **after)
                    after = {"cursor": page["next_cursor"]}
                    seen.extend(event["aggregate_id"] for event in page["items"])
                    if last_round and not page["items"]:
                        return

            async def write() -> list[str]:
                return [(await build.customer(world))["id"] for _ in range(8)]

            reader = asyncio.create_task(read())
            made = await asyncio.gather(*(write() for _ in range(4)))
            await stories.settled(world)
            writing = False
            await reader
            assert len(seen) == 32
            assert set(seen) == {party for some in made for party in some}

    database(scenario)


def test_changes_of_one_thing_at_once_are_put_in_sequence(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await world.staff.post("/v1/parties", {"kind": "recycler", "name": "R"})
            path = f"/v1/parties/{firm['id']}/qualifications"
            evidence = [
                {"kind": kind, "valid_from": "2026-01-01", "document": "D"}
                for kind in ("filing", "eia", "discharge_permit", "listing")
            ]
            await asyncio.gather(*(world.staff.post(path, one) for one in evidence))
            found = await all_events(world)
            assert [event["sequence"] for event in found] == [1, 2, 3, 4, 5]

    database(scenario)


def test_a_qualification_withdrawn_is_one_more_event(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            path = f"/v1/parties/{firm['id']}/withdrawals"
            withdrawal = {"kind": "eia", "withdrawn_on": "2026-06-01", "document": "Order 1"}
            left = await world.staff.post(path, withdrawal)
            (eia,) = [one for one in left if one["kind"] == "eia"]
            assert (eia["valid_to"], eia["withdrawn_on"]) == ("2026-06-01", "2026-06-01")
            event = (await all_events(world))[-1]
            assert (event["kind"], event["sequence"]) == ("qualification.withdrawn", 5)
            again = await world.staff.refused("POST", path, 409, withdrawal)
            assert again["code"] == "qualification_not_valid"

    database(scenario)


@pytest.mark.parametrize("table", ["domain_event", "trace_record"])
@pytest.mark.parametrize("change", ["UPDATE {} SET actor = 'nobody'", "DELETE FROM {}"])
def test_what_was_recorded_is_neither_changed_nor_deleted(database, table, change):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.pack(world)
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                async with db.transaction() as tx:
                    await tx.execute(change.format(table))
            assert refused.value.constraint_name == f"{table}_append_only"

    database(scenario)
