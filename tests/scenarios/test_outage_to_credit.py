"""From an outage at a site to the credit on the next invoice, through the API: the site is listed,
its weak pack is found, a check discharge is ordered and done, the pack is swapped. Too late, the
customer is credited; and whoever holds the invoice can follow links down to the readings."""

from datetime import date, timedelta

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import advance, invoices_of, lines_of, one
from tests.billing.test_evidence import SLA
from tests.billing.test_plans import lease
from tests.build import Client, Json, World
from tests.tariffs import plans

BEGINS = date(2026, 1, 1)
OUTAGE_ON = date(2026, 1, 5)
CHECKED_ON = OUTAGE_ON + timedelta(days=1)
TESTED_ON = date(2026, 1, 8)
DUE_ON = TESTED_ON + timedelta(days=7)
UNSURE_AH = 80.0
"""Against 80 Ah guaranteed: the interval of one charge holds both answers."""


def result(**changes: object) -> Json:
    """To the end voltage: 74 Ah of 80 guaranteed."""
    return {
        "tested_on": str(TESTED_ON),
        "discharged_mah": 74_000,
        "depth_percent": 100,
        "duration_minutes": 222,
        "temperature_c": 25.0,
        "start_voltage_mv": 54_400,
        "end_voltage_mv": 44_800,
        "signatory": "王工",
        "document_sha256": "cd" * 32,
        **changes,
    }


async def outage_at_the_site(world: World, leased: Json, client: Client) -> None:
    """The grid fails while the pack is nearly empty; then it is charged through."""
    pack_id = leased["pack"]["id"]
    await world.set_clock(OUTAGE_ON)
    at = midnight(OUTAGE_ON) + timedelta(hours=11, minutes=55)
    low = {
        "pack_id": pack_id,
        "at": at.isoformat(),
        "voltage_v": 50.4,
        "current_a": -40.0,
        "soc_percent": 22.0,
        "temperature_c": 25.0,
    }
    await world.staff.post("/v1/readings", {"readings": [low]})
    (listed,) = (await client.get("/v1/autonomy", below_minutes=60))["items"]
    assert (listed["site_id"], listed["discharging"]) == (leased["site"]["id"], True)
    assert listed["lower_hours"] == 0
    charge = build.charge_readings(pack_id, at + timedelta(minutes=5), capacity_ah=UNSURE_AH)
    await world.set_clock(CHECKED_ON)
    await world.staff.post("/v1/readings", {"readings": charge})


async def check_discharge(world: World, leased: Json, client: Client) -> Json:
    """Ordered by the night, assigned and done; it is a breach."""
    await advance(world, date(2026, 1, 7) + timedelta(days=1))
    (asked,) = (await client.get("/v1/duties"))["items"]
    assert (asked["kind"], asked["closed_on"]) == ("check_discharge", None)
    (order,) = (await client.get("/v1/work-orders", state="planned"))["items"]
    assert (order["why"], order["duty_id"]) == ("inconclusive", asked["id"])
    assert (order["site_id"], order["depth_percent"]) == (leased["site"]["id"], 80)
    path = f"/v1/work-orders/{order['id']}"
    await world.set_clock(TESTED_ON)
    await world.staff.post(f"{path}/assignment", {"assignee": "代维一队"})
    done: Json = await world.staff.post(f"{path}/completion", result())
    assert done["state"] == "done"
    closed, owed = (await client.get("/v1/duties"))["items"]
    assert (closed["closed_on"], closed["outcome"]) == (str(TESTED_ON), "done")
    assert (owed["kind"], owed["due_on"]) == ("replacement", str(DUE_ON))
    (test,) = (await client.get(f"/v1/packs/{leased['pack']['id']}/capacity-tests"))["items"]
    assert (test["id"], test["capacity_mah"]) == (done["capacity_test_id"], 74_000)
    return owed


async def played(db: Database, swapped_on: date, then: object) -> None:
    async with build.world(db, on=BEGINS) as world:
        leased = await lease(world, SLA, plans.CAPACITY)
        path = f"/v1/sites/{leased['site']['id']}"
        etag = (await world.staff.ask("GET", path)).headers["etag"]
        needs = {"load_w": 1_000, "required_autonomy_minutes": 60}
        answer = await world.staff.ask("PATCH", path, json=needs, headers={"if-match": etag})
        build.expect(answer, 200)
        client = await world.login(Role.CUSTOMER, leased["customer"]["id"])
        await outage_at_the_site(world, leased, client)
        owed = await check_discharge(world, leased, client)
        await advance(world, swapped_on)
        await world.set_clock(swapped_on)
        strong = await build.pack(world)
        swap = build.acceptance(strong["id"], swapped_on)
        await world.staff.post(f"/v1/lines/{leased['line']['id']}/swaps", swap)
        await advance(world, date(2026, 2, 2))
        failed = "SELECT count(*) FROM job_run WHERE state IN ('failed', 'parked')"
        assert await one(db, failed) == 0
        (invoice,) = await invoices_of(world, leased["customer"])
        await then(world, client, leased, owed, await lines_of(world, invoice))  # type: ignore[operator]


@pytest.mark.parametrize(("late_days", "credit"), [(1, 10), (3, 20), (6, 20)])
def test_a_replacement_that_comes_late_is_credited_for_each_day_from_its_due_day(
    database, late_days, credit
):
    """A day of 31 is 3.2 %: below 99 % 10 % are due; three days are 9.7 %, that is 30 %, of which
    20 % are the most."""

    async def then(
        world: World, client: Client, leased: Json, owed: Json, lines: list[Json]
    ) -> None:
        (sla,) = [line for line in lines if line["component"] == "sla"]
        assert sla["amount"] == -31_000 * credit // 100
        told = await client.get(f"/v1/invoice-lines/{sla['id']}/explanation")
        assert told["detail"]["counted_minutes"] == late_days * 24 * 60
        outages = (await client.get("/v1/outages"))["items"]
        assert [(row["from_at"], row["cause"]) for row in outages] == [
            (f"{DUE_ON + timedelta(days=n - 1)}T16:00:00Z", "lessor") for n in range(late_days)
        ]

    database(lambda db: played(db, DUE_ON + timedelta(days=late_days), then))


@pytest.mark.parametrize("early_days", [0, 2])
def test_a_replacement_within_its_clock_costs_nothing(database, early_days):
    async def then(
        world: World, client: Client, leased: Json, owed: Json, lines: list[Json]
    ) -> None:
        assert {line["component"] for line in lines} == {"rent", "capacity"}
        assert (await client.get("/v1/outages"))["items"] == []

    database(lambda db: played(db, DUE_ON - timedelta(days=early_days), then))


def test_the_price_of_the_band_falls_on_the_day_of_the_check_discharge(database):
    async def then(
        world: World, client: Client, leased: Json, owed: Json, lines: list[Json]
    ) -> None:
        strong, weak, other = sorted(
            (line for line in lines if line["component"] == "capacity"),
            key=lambda line: line["from_on"],
        )
        assert (strong["from_on"], strong["to_on"]) == ("2026-01-01", str(TESTED_ON))
        assert (weak["from_on"], weak["to_on"]) == (str(TESTED_ON), str(DUE_ON))
        # 95 Ah at 51.2 V are 4.864 kWh at 25 yuan, 74 Ah are 3.7888 kWh at 20.
        assert (strong["price_amount"], weak["price_amount"]) == (12_160, 7_578)
        assert other["price_amount"] == 12_160
        told = await client.get(f"/v1/invoice-lines/{weak['id']}/explanation")
        (link,) = [row for row in told["evidence"] if row["kind"] == "capacity_test"]
        tests = (await client.get(link["path"]))["items"]
        assert [test["id"] for test in tests] == [link["id"]]

    database(lambda db: played(db, DUE_ON, then))


def test_links_lead_from_the_invoice_to_the_readings_and_back(database):
    async def then(
        world: World, client: Client, leased: Json, owed: Json, lines: list[Json]
    ) -> None:
        (sla,) = [line for line in lines if line["component"] == "sla"]
        down = f"/v1/invoice-lines/{sla['id']}/explanation"
        way = ["outage", "duty", "health_check", "ordered_by", "health_check", "readings"]
        at = down
        for kind in way:
            at = await follow(client, at, kind)
        assert at.startswith(f"/v1/packs/{leased['pack']['id']}/readings?")
        answer = await client.ask("GET", f"{at}&limit=200")
        readings = build.expect(answer, 200)["items"]
        # The charge that did not decide: 80 Ah at 20 A, every five minutes.
        moved_ah = sum(row["current_a"] * 300 / 3600 for row in readings)
        assert 78 < moved_ah < 83
        # The charge that could not decide, the test that did, the duty, the outage, the line.
        checks = await client.get(f"/v1/packs/{leased['pack']['id']}/health-checks")
        decided = next(row for row in checks["items"] if row["verdict"] == "breach")
        at = f"/v1/health-checks/{decided['id']}/explanation"
        for kind in ("duty", "outage", "invoice_line"):
            at = await follow(client, at, kind)
        assert at == down
        seen = await all_reached(client, down)
        kinds = ("duties", "work-orders", "outages", "health-checks", "readings", "sessions")
        for kind in (*kinds, "capacity-tests", "invoices", "price-plan-versions"):
            assert any(f"/{kind}" in path for path in seen), kind
        stranger = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
        for path in seen:
            if path.endswith("/explanation") or "/work-orders/" in path:
                await stranger.refused("GET", path, 404)

    database(lambda db: played(db, DUE_ON + timedelta(days=2), then))


async def follow(client: Client, path: str, kind: str) -> str:
    """The first link of a kind that an explanation has."""
    told = await client.get(path)
    found: str = next(row["path"] for row in told["evidence"] if row["kind"] == kind)
    return found


async def all_reached(client: Client, start: str) -> set[str]:
    """Every path that links lead to; each must answer."""
    seen, waiting = set[str](), [start]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        # As it stands, with its query.
        answer = build.expect(await client.ask("GET", path), 200)
        if path.endswith("/explanation"):
            waiting += [row["path"] for row in answer["evidence"]]
    return seen
