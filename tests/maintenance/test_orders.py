"""Work orders and outages that jobs find, on a real database."""

from datetime import date, timedelta
from typing import Any

from jobs import runner
from jobs.registry import JOBS
from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.build import Json, World

BEGINS = date(2026, 1, 11)
CHECKED = date(2026, 1, 21)


async def job(world: World, name: str, on: date) -> None:
    await world.set_clock(on)
    assert await runner.run_once(world.db, name, JOBS[name], on, lambda done, total: None) == "done"


async def orders(world: World, **query: Any) -> list[Json]:
    found: list[Json] = (await world.staff.get("/v1/work-orders", **query))["items"]
    return found


async def checked(world: World, leased: Json, capacity_ah: float) -> None:
    """A charge in a night, its check, and what follows."""
    await world.set_clock(CHECKED)
    night = midnight(CHECKED - timedelta(days=1))
    readings = build.charge_readings(leased["pack"]["id"], night, capacity_ah=capacity_ah)
    await world.staff.post("/v1/readings", {"readings": readings})
    await job(world, "health", CHECKED)
    await job(world, "duties", CHECKED)


def result(on: date, **changes: Any) -> Json:
    return {
        "tested_on": str(on),
        "discharged_mah": 84_000,
        "depth_percent": 84,
        "duration_minutes": 240,
        "temperature_c": 25.0,
        "start_soc_percent": 100.0,
        "end_soc_percent": 10.0,
        "signatory": "王工",
        "document_sha256": "cd" * 32,
        **changes,
    }


def played(database: Any, story: Any) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS) as world:
            await story(world, await build.leased_pack(world, str(BEGINS)))

    database(scenario)


def test_an_order_goes_through_its_states_and_no_other_way(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 80)
        (order,) = await orders(world)
        path = f"/v1/work-orders/{order['id']}"
        for change, body in (("completion", result(CHECKED)),):
            problem = await world.staff.refused("POST", f"{path}/{change}", 409, body)
            assert problem["code"] == "work_order_state"
        team = {"assignee": "代维一队"}
        assigned = await world.staff.post(f"{path}/assignment", team)
        assert (assigned["state"], assigned["assignee"]) == ("assigned", "代维一队")
        await world.staff.refused("POST", f"{path}/assignment", 409, team)
        # Not before the pack stood there, nor in days to come.
        early = result(BEGINS - timedelta(days=1))
        problem = await world.staff.refused("POST", f"{path}/completion", 409, early)
        assert problem["code"] == "pack_not_in_line"
        late = result(CHECKED + timedelta(days=1))
        await world.staff.refused("POST", f"{path}/completion", 400, late)
        done = await world.staff.post(f"{path}/completion", result(CHECKED))
        assert (done["state"], done["result"]["depth_percent"]) == ("done", 84)
        for change, body in (
            ("assignment", team),
            ("completion", result(CHECKED)),
            ("cancellation", {"reason": "x"}),
        ):
            await world.staff.refused("POST", f"{path}/{change}", 409, body)

    played(database, story)


def test_a_deep_test_that_decides_closes_the_duty_though_it_has_no_capacity(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 80)
        (order,) = await orders(world)
        path = f"/v1/work-orders/{order['id']}"
        await world.staff.post(f"{path}/assignment", {"assignee": "代维一队"})
        await world.staff.post(f"{path}/completion", result(CHECKED))
        (test,) = (await world.staff.get(f"/v1/packs/{leased['pack']['id']}/capacity-tests"))[
            "items"
        ]
        assert (test["extent"], test["capacity_mah"], test["discharged_mah"]) == (
            "partial",
            None,
            84_000,
        )
        (duty,) = (await world.staff.get("/v1/duties"))["items"]
        assert (duty["closed_on"], duty["outcome"]) == (str(CHECKED), "done")
        checks = (await world.staff.get(f"/v1/packs/{leased['pack']['id']}/health-checks"))["items"]
        assert [check["verdict"] for check in checks] == ["inconclusive", "pass"]
        assert checks[1]["lower_mah"] >= 84_000

    played(database, story)


def test_a_test_that_does_not_decide_is_followed_by_another_and_moves_no_money(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 80)
        (order,) = await orders(world)
        path = f"/v1/work-orders/{order['id']}"
        await world.staff.post(f"{path}/assignment", {"assignee": "代维一队"})
        part = result(CHECKED, discharged_mah=40_000, depth_percent=40, end_soc_percent=50.0)
        await world.staff.post(f"{path}/completion", part)
        (duty,) = (await world.staff.get("/v1/duties"))["items"]
        assert (duty["kind"], duty["closed_on"]) == ("check_discharge", None)
        await job(world, "duties", CHECKED + timedelta(days=1))
        first, second = await orders(world)
        assert (first["state"], second["state"]) == ("done", "planned")
        assert second["duty_id"] == duty["id"]
        assert (await world.staff.get("/v1/outages"))["items"] == []

    played(database, story)


def test_a_job_that_runs_again_orders_nothing_twice_and_a_swap_cancels_what_is_open(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 80)
        await job(world, "duties", CHECKED + timedelta(days=1))
        (order,) = await orders(world)
        assert order["due_on"] == str(CHECKED + timedelta(days=30))
        strong = await build.pack(world)
        on = CHECKED + timedelta(days=1)
        swap = build.acceptance(strong["id"], on)
        await world.staff.post(f"/v1/lines/{leased['line']['id']}/swaps", swap)
        await job(world, "duties", CHECKED + timedelta(days=2))
        (order,) = await orders(world)
        assert order["state"] == "cancelled"

    played(database, story)


def test_the_weekly_job_plans_what_the_class_asks_for_and_a_duty_makes_it_urgent(database):
    async def story(world: World, leased: Json) -> None:
        rule = {
            "site_class": "C",
            "valid_from": "2026-01-01",
            "interval_months": 1,
            "depth_percent": 35,
            "reason": "试点",
        }
        await world.staff.post("/v1/test-rules", rule)
        problem = await world.staff.refused("POST", "/v1/test-rules", 409, rule)
        assert problem["code"] == "test_rule_exists"
        await job(world, "tests", BEGINS)
        assert await orders(world) == []
        for _ in range(2):
            await job(world, "tests", date(2026, 1, 12))
        (order,) = await orders(world)
        assert (order["why"], order["due_on"]) == ("schedule", "2026-02-11")
        assert order["depth_percent"] == 35
        await checked(world, leased, 80)
        (order,) = await orders(world)
        assert (order["why"], order["due_on"]) == ("inconclusive", "2026-02-11")
        assert order["depth_percent"] == 80

    played(database, story)


def test_a_customer_sees_the_orders_of_its_lines_and_changes_none(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 80)
        (order,) = await orders(world)
        path = f"/v1/work-orders/{order['id']}"
        client = await world.login(Role.CUSTOMER, leased["customer"]["id"])
        assert [one["id"] for one in (await client.get("/v1/work-orders"))["items"]] == [
            order["id"]
        ]
        await client.refused("POST", f"{path}/cancellation", 403, {"reason": "不需要"})
        stranger = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
        assert (await stranger.get("/v1/work-orders"))["items"] == []
        await stranger.refused("GET", path, 404)

    played(database, story)


def test_an_overdue_day_is_found_once_and_taken_back_when_the_swap_was_entered_late(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 70)
        (duty,) = (await world.staff.get("/v1/duties"))["items"]
        due = date.fromisoformat(duty["due_on"])
        await job(world, "duties", due)
        assert (await world.staff.get("/v1/outages"))["items"] == []
        for _ in range(2):
            await job(world, "duties", due + timedelta(days=3))
        found = (await world.staff.get("/v1/outages"))["items"]
        assert [row["from_at"] for row in found] == [
            f"{due + timedelta(days=n - 1)}T16:00:00Z" for n in range(3)
        ]
        strong = await build.pack(world)
        swap = build.acceptance(strong["id"], due + timedelta(days=1))
        await world.staff.post(f"/v1/lines/{leased['line']['id']}/swaps", swap)
        for _ in range(2):
            await job(world, "duties", due + timedelta(days=4))
        current = [
            row
            for row in (await world.staff.get("/v1/outages"))["items"]
            if row["is_current"] and not row["is_void"]
        ]
        assert [row["id"] for row in current] == [found[0]["id"]]

    played(database, story)


def test_a_day_that_somebody_put_right_stays_as_it_was_put(database):
    async def story(world: World, leased: Json) -> None:
        await checked(world, leased, 70)
        (duty,) = (await world.staff.get("/v1/duties"))["items"]
        due = date.fromisoformat(duty["due_on"])
        await job(world, "duties", due + timedelta(days=1))
        (row,) = (await world.staff.get("/v1/outages"))["items"]
        right = {
            "line_id": leased["line"]["id"],
            "from_at": row["from_at"],
            "to_at": row["to_at"],
            "cause": "customer",
            "evidence": "no access to the site",
            "supersedes_id": row["id"],
        }
        answer = await world.staff.ask("POST", "/v1/outages:batch", json={"rows": [right]})
        assert build.expect(answer, 200)["rows"][0]["outcome"] == "done"
        await job(world, "duties", due + timedelta(days=1))
        page = (await world.staff.get("/v1/outages"))["items"]
        assert [(one["cause"], one["is_current"]) for one in page] == [
            ("lessor", False),
            ("customer", True),
        ]

    played(database, story)
