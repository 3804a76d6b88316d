"""What must be reported follows from what is recorded, by the rule of the event's own day."""

from collections import Counter
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from jobs import obligations as job
from leasing.access.model import Role
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.obligations import service, store
from leasing.traceability.store import Step, record
from tests import build
from tests.api import stories
from tests.build import Json, World

OLD, NEW, UNLISTED = date(2026, 3, 31), date(2026, 4, 1), date(2026, 7, 30)


async def write(world: World, *steps: Step) -> None:
    async with world.db.transaction() as tx:
        now = await clock.now(tx)
        # No placement and no routing is behind these, so nobody's custody follows from them.
        await tx.execute("SET LOCAL session_replication_role = replica")
        await record(tx, steps, by="test", now=now)


async def of(world: World, pack: Json) -> list[Json]:
    path = f"/v1/packs/{pack['id']}/obligations"
    found: list[Json] = (await world.staff.get(path))["items"]
    return [one for one in found if one["event_kind"] != "pack.acquired"]


def step(pack: Json, kind: str, on: date, party: str | None = None, /, **data: Any) -> Step:
    return Step(UUID(pack["id"]), kind, on, data, None, UUID(party) if party else None)


async def lessor(world: World) -> Json:
    made: Json = await world.staff.post("/v1/parties", {"kind": "lessor", "name": "示例租赁"})
    return made


async def plays(
    world: World, party: Json, role: str, from_on: str, to_on: str | None = None
) -> None:
    given = {"role": role, "valid_from": from_on, "valid_to": to_on}
    await world.staff.post(f"/v1/parties/{party['id']}/roles", given)


def told(found: list[Json]) -> set[tuple[str, str, str, int, str]]:
    return {
        (one["rule_code"], one["article"], one["due_on"], one["deadline_number"],
         one["deadline_unit"])
        for one in found
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "on", "expected"),
    [
        # 15 working days: Qingming (4 to 6 April) is in between, May Day is after.
        ("cascade.shipped", OLD, [("repurposer.cascade.shipped", "14", "2026-04-22")]),
        ("cascade.shipped", NEW, [("repurposer.cascade.shipped", "24(7)", "2026-05-01")]),
        ("cascade.shipped", UNLISTED, [("repurposer.cascade.shipped", "24(7)", "2026-08-29")]),
        ("cascade.shipped", date(2018, 7, 31), []),
        ("cascade.shipped", date(2018, 8, 1), [("repurposer.cascade.shipped", "14", "2018-08-22")]),
        ("pack.swapped", OLD, [("independent_lessor.pack.swapped", "12", "2026-05-15")]),
        # Order No. 73, Article 24(1) to (6) is not known, and off.
        ("pack.swapped", NEW, []),
        ("waste.declared", OLD, [("repurposer.waste.declared", "14", "2026-04-22")]),
        ("pack.inspected", OLD, []),
    ],
)
def test_the_rule_of_the_events_own_day_holds_also_when_it_is_entered_late(
    database, kind, on, expected
):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 9, 1)) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(world, step(pack, kind, on))
            found = await of(world, pack)
            shown = [(one["rule_code"], one["article"], one["due_on"]) for one in found]
            assert shown == expected
            assert {one["party_id"] for one in found} <= {None}

    database(scenario)


def test_each_regime_is_named_with_its_basis(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for on, regime, basis in (
                (OLD, "miit_2018_35", "confirmed"),
                (NEW, "order_73", "confirmed"),
                (UNLISTED - timedelta(days=1), "order_73", "confirmed"),
                (UNLISTED, "miit_2026_20", "assumed"),
            ):
                page = await world.staff.get(
                    "/v1/obligation-rules", as_of=str(on), role="repurposer", limit=200
                )
                (rule,) = [
                    one for one in page["items"] if one["code"] == "repurposer.cascade.shipped"
                ]
                assert (rule["regime"], rule["basis"], rule["is_enabled"]) == (regime, basis, True)

    database(scenario)


def test_the_lessor_reports_in_the_role_it_has_on_the_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await lessor(world)
            await plays(world, firm, "cooperating_lessor", "2025-01-01", "2026-01-01")
            await plays(world, firm, "independent_lessor", "2026-01-01")
            await plays(world, firm, "repurposer", "2018-08-01", "2026-02-01")
            pack = await build.pack(world, acquired_on="2018-01-01")
            for on in (date(2024, 12, 31), date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 1)):
                await write(
                    world, step(pack, "pack.swapped", on), step(pack, "cascade.shipped", on)
                )
            found = Counter(
                (one["event_on"], one["role"], one["recipient"]) for one in await of(world, pack)
            )
            assert found == Counter(
                [
                    ("2024-12-31", "independent_lessor", "platform"),
                    ("2024-12-31", "repurposer", "platform"),
                    ("2025-12-31", "cooperating_lessor", "carmaker"),
                    ("2025-12-31", "repurposer", "platform"),
                    ("2026-01-01", "independent_lessor", "platform"),
                    ("2026-01-01", "repurposer", "platform"),
                    ("2026-02-01", "independent_lessor", "platform"),
                ]
            )

    database(scenario)


def test_only_a_lessor_plays_a_lessors_role(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            other = await build.customer(world)
            given = {"role": "independent_lessor", "valid_from": "2026-01-01"}
            path = f"/v1/parties/{other['id']}/roles"
            await world.staff.refused("POST", path, 409, given)

    database(scenario)


def test_who_receives_reports_what_came_in_and_who_gives_what_went_out(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            pack = await build.pack(world, acquired_on="2018-01-01")
            on = date(2026, 5, 6)
            await write(
                world,
                step(pack, "waste.outbound", on, firm["id"]),
                step(pack, "waste.inbound", on, firm["id"]),
                step(pack, "recycle.completed", on + timedelta(days=9), firm["id"]),
            )
            found = {(one["rule_code"], one["party_id"], one["due_on"])
                     for one in await of(world, pack)}  # fmt: skip
            assert found == {
                ("repurposer.waste.outbound", None, "2026-06-05"),
                ("recycler.waste.inbound", firm["id"], "2026-06-05"),
                ("recycler.recycle.completed", firm["id"], "2026-06-14"),
            }
            # Into the lessor's own store: it is the one who receives.
            await write(world, step(pack, "waste.inbound", on + timedelta(days=1)))
            last = (await of(world, pack))[-1]
            assert (last["rule_code"], last["party_id"]) == ("repurposer.waste.inbound", None)

    database(scenario)


def test_a_dismantler_reports_what_it_handed_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await world.staff.post("/v1/parties", {"kind": "partner", "name": "Dismantler"})
            acquired = {"acquired_on": str(OLD), "acquired_from_id": firm["id"]}
            pack = await build.pack(world, **acquired)
            path = f"/v1/packs/{pack['id']}/obligations"
            found = (await world.staff.get(path))["items"]
            assert [one["role"] for one in found] == ["repurposer"]
            await plays(world, firm, "dismantler", "2020-01-01")
            other = await build.pack(world, **acquired)
            path = f"/v1/packs/{other['id']}/obligations"
            found = (await world.staff.get(path))["items"]
            assert {(one["role"], one["party_id"], one["article"]) for one in found} == {
                ("repurposer", None, "14"),
                ("dismantler", firm["id"], "13"),
            }
            with pytest.raises(build.Answer, match="source_not_found"):
                await build.pack(world, acquired_from_id=pack["id"])

    database(scenario)


def test_swap_out_and_hand_over_of_a_failed_pack_are_obligations_of_both_sides(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            (pack,) = await stories.condemned_packs(world, 1, acquired_on="2018-01-01")
            path = f"/v1/packs/{pack['id']}/routings"
            routing = await world.staff.post(path, {"hand_over_on": "2026-06-15"})
            path = f"/v1/routings/{routing['id']}"
            await world.staff.post(f"{path}/hand-over", {"handed_over_on": "2026-06-15"})
            certificate = {"number": "C-1", "recycled_on": "2026-06-15", "lithium_percent": "91"}
            await world.staff.post(f"{path}/certificate", certificate)
            found = [
                (one["event_kind"], one["event_on"], one["due_on"], one["party_id"])
                for one in await of(world, pack)
            ]
            assert found == [
                # Handed over in January under the rules of 2018.
                ("pack.commissioned", "2026-01-11", "2026-02-27", None),
                ("waste.declared", "2026-06-01", "2026-07-01", None),
                ("waste.outbound", "2026-06-15", "2026-07-15", None),
                ("waste.inbound", "2026-06-15", "2026-07-15", firm["id"]),
                ("recycle.completed", "2026-06-15", "2026-07-15", firm["id"]),
            ]

    database(scenario)


def test_a_hundred_cascade_enterprises_struck_off_on_one_day(database):
    """Their obligations of before stay, they have none of later days, and what is entered late of
    an earlier day follows the earlier rule."""

    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 9, 1)) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            firms = [
                await world.staff.post("/v1/parties", {"kind": "partner", "name": f"Firm {n}"})
                for n in range(100)
            ]
            for firm in firms:
                await plays(world, firm, "repurposer", "2020-01-01", str(UNLISTED))
            days = (UNLISTED - timedelta(days=1), UNLISTED)
            steps = [step(pack, "waste.inbound", on, one["id"]) for on in days for one in firms]
            await write(world, *steps)
            late = [step(pack, "waste.inbound", OLD, one["id"]) for one in firms]
            await write(world, *late)
            rows = (await world.staff.get("/v1/obligations", role="repurposer", limit=200))["items"]
            found = Counter((one["event_on"], one["article"], one["due_on"]) for one in rows)
            assert found == {
                ("2026-03-31", "14", "2026-04-22"): 100,
                ("2026-07-29", "24(7)", "2026-08-28"): 100,
            }
            assert len({one["party_id"] for one in rows}) == 100
            counts = await world.staff.get(
                "/v1/obligations/counts", from_on="2026-01-01", to_on="2027-01-01", limit=200
            )
            assert [one["overdue"] for one in counts["items"]] == [2] * 100

    database(scenario)


def test_what_is_recorded_twice_in_one_instant_opens_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = [await build.pack(world, acquired_on="2018-01-01") for _ in range(2)]
            steps = [step(pack, "cascade.shipped", NEW) for pack in packs]
            await write(world, *steps)
            async with db.transaction() as tx:
                now = await clock.now(tx)
                for _ in range(2):
                    ids = [UUID(pack["id"]) for pack in packs]
                    await service.open_for(tx, ids, by="test", now=now)
            for pack in packs:
                assert len(await of(world, pack)) == 1

    database(scenario)


def test_obligations_are_opened_in_the_transaction_of_the_record(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")

            class Undone(Exception):
                pass

            async def undone() -> None:
                async with db.transaction() as tx:
                    now = await clock.now(tx)
                    one = step(pack, "cascade.shipped", NEW)
                    await record(tx, [one], by="test", now=now)
                    raise Undone

            with pytest.raises(Undone):
                await undone()
            assert await of(world, pack) == []

    database(scenario)


async def correct(world: World, pack: Json, corrected: str, on: date, **data: Any) -> None:
    await world.set_clock(date(2026, 6, 16))
    correction = Step(UUID(pack["id"]), "record.corrected", on, data, corrects_id=UUID(corrected))
    await write(world, correction)


def test_a_correction_makes_void_what_is_open_and_opens_what_was_really_done(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(world, step(pack, "cascade.shipped", OLD))
            (first,) = await of(world, pack)
            await correct(world, pack, first["record_id"], NEW, reason="shipped a day later")
            old, new = await of(world, pack)
            assert (old["state"], old["void_reason"]) == ("void", "shipped a day later")
            assert (new["event_kind"], new["event_on"]) == ("cascade.shipped", "2026-04-01")
            assert (new["due_on"], new["state"]) == ("2026-05-01", "due")
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            (void,) = [one for one in events if one["kind"] == "obligation.void"]
            assert void["aggregate_id"] == old["id"]

    database(scenario)


def test_what_never_happened_is_void_and_opens_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(world, step(pack, "cascade.shipped", OLD))
            (first,) = await of(world, pack)
            await correct(world, pack, first["record_id"], OLD, withdrawn=True)
            (old,) = await of(world, pack)
            assert old["state"] == "void"

    database(scenario)


def test_what_was_accepted_stays_when_its_record_is_corrected(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(world, step(pack, "cascade.shipped", NEW))
            (first,) = await of(world, pack)
            given = {"reported_on": "2026-06-15", "receipt": "R-1"}
            await world.staff.post(f"/v1/obligations/{first['id']}/report", given)
            await correct(world, pack, first["record_id"], NEW, kind="waste.outbound")
            old, new = await of(world, pack)
            assert (old["state"], new["state"]) == ("accepted", "due")
            assert new["rule_code"] == "repurposer.waste.outbound"

    database(scenario)


def test_a_rule_that_is_switched_on_opens_from_then_on_and_what_was_missed_on_demand(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            rule = {
                "code": "own.inspection",
                "event_kind": "pack.inspected",
                "reporter": "lessor",
                "role": "repurposer",
                "reports": "inspection",
                "deadline_number": 10,
                "deadline_unit": "calendar_days",
                "valid_from": "2026-04-01",
                "article": "house rule",
                "source": "quality manual",
                "is_enabled": False,
            }
            made = await world.staff.post("/v1/obligation-rules", rule)
            problem = await world.staff.refused("POST", "/v1/obligation-rules", 409, rule)
            assert problem["code"] == "obligation_rule_overlaps"
            await write(world, step(pack, "pack.inspected", NEW))
            assert await of(world, pack) == []
            path = f"/v1/obligation-rules/{made['id']}"
            answer = await world.staff.ask(
                "PATCH", path, json={"is_enabled": True, "deadline_number": 12},
                headers={"If-Match": '"v1"'},
            )  # fmt: skip
            assert build.expect(answer, 200)["version"] == 2
            assert await of(world, pack) == []
            day = midnight(build.TODAY)
            for _ in range(2):
                await job.open_missing(
                    db, day, day + timedelta(days=1), by="test", done=lambda n: None
                )
            (found,) = await of(world, pack)
            assert found["due_on"] == "2026-04-13"
            # Changed again, what was opened stays.
            answer = await world.staff.ask(
                "PATCH", path, json={"deadline_number": 5, "valid_to": "2026-04-02"},
                headers={"If-Match": '"v2"'},
            )  # fmt: skip
            build.expect(answer, 200)
            assert (await of(world, pack))[0]["due_on"] == "2026-04-13"

    async def cleanly(db: Database) -> None:
        try:
            await scenario(db)
        finally:
            await forget(db, "own.inspection")

    database(cleanly)


async def forget(db: Database, code: str) -> None:
    """Rules stay between tests; one of a test's own goes with it, and all obligations."""
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute("DELETE FROM obligation_due_change")
        await tx.execute("DELETE FROM obligation")
        await tx.execute("DELETE FROM obligation_rule WHERE code = $1", code)


def test_a_rule_that_was_read_in_its_source_is_not_changed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            page = await world.staff.get("/v1/obligation-rules", as_of="2026-03-01", limit=1)
            (rule,) = page["items"]
            path = f"/v1/obligation-rules/{rule['id']}"
            answer = await world.staff.ask("GET", path)
            assert answer.headers["etag"] == '"v1"'
            for change, status in (
                ({"deadline_number": 3}, 409),
                ({"valid_to": "2018-08-01"}, 400),
                ({"valid_to": "2018-07-01"}, 400),
            ):
                answer = await world.staff.ask(
                    "PATCH", path, json=change, headers={"If-Match": '"v1"'}
                )
                assert answer.status_code == status, answer.text

    database(scenario)


def test_many_records_open_their_obligations_by_one_statement(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            asked = 0
            real = store.fetch_for

            async def counted(*given: Any) -> Any:
                nonlocal asked
                asked += 1
                return await real(*given)

            monkeypatch.setattr(store, "fetch_for", counted)
            rows = [
                {
                    "code": build.battery_code(), "cells_in_series": 16, "rated_voltage_mv": 51_200,
                    "rated_capacity_mah": 100_000, "mass_kg": 46, "acquired_on": "2026-05-01",
                    "acquired_from": "Dismantler",
                }
                for _ in range(300)
            ]  # fmt: skip
            await world.staff.post("/v1/packs:batch", {"rows": rows})
            assert asked == 1
            async with db.transaction(read_only=True) as tx:
                assert await tx.fetchval("SELECT count(*) FROM obligation") == 300

    database(scenario)


def test_a_recycler_sees_its_own_an_auditor_all_a_customer_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firms = [await build.recycler(world) for _ in range(2)]
            pack = await build.pack(world, acquired_on="2018-01-01")
            for firm in firms:
                await write(world, step(pack, "waste.inbound", NEW, firm["id"]))
            await write(world, step(pack, "waste.outbound", NEW, firms[0]["id"]))
            mine, other, own = await of(world, pack)
            assert own["party_id"] is None
            recycler = await world.login(Role.RECYCLER, firms[0]["id"])
            auditor = await world.login(Role.AUDITOR)
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            span = {"from_on": "2026-01-01", "to_on": "2027-01-01"}
            month = "/v1/obligations/calendar"
            for client, seen in ((recycler, [mine]), (auditor, [mine, other, own])):
                page = await client.get("/v1/obligations")
                assert sorted(one["id"] for one in page["items"]) == sorted(
                    one["id"] for one in seen
                )
                assert sum(
                    day["total"] for day in (await client.get(month, month="2026-05"))["days"]
                ) == len(seen)
                counts = (await client.get("/v1/obligations/counts", **span))["items"]
                assert sum(one["total"] for one in counts) == len(seen)
            assert (await recycler.get("/v1/obligations", party_id=firms[1]["id"]))["items"] == []
            assert (await recycler.get("/v1/obligations", own=True))["items"] == []
            given = {"reported_on": "2026-06-15", "receipt": "R-1"}
            for one in (other, own):
                await recycler.refused("GET", f"/v1/obligations/{one['id']}", 404)
                await recycler.refused("POST", f"/v1/obligations/{one['id']}/report", 404, given)
            for path in ("/v1/obligations", f"/v1/obligations/{mine['id']}", month,
                         "/v1/obligation-rules", f"/v1/packs/{pack['id']}/obligations",
                         "/v1/submissions"):  # fmt: skip
                await customer.refused("GET", path, 403)
            await recycler.refused("GET", "/v1/submissions", 403)
            await auditor.refused("POST", f"/v1/obligations/{mine['id']}/report", 403, given)
            path = f"/v1/obligations/{mine['id']}/report"
            done = await recycler.post(path, given)
            assert (done["obligation"]["state"], done["obligation"]["receipt"]) == (
                "accepted",
                "R-1",
            )
            await recycler.refused("POST", path, 409, given)

    database(scenario)
