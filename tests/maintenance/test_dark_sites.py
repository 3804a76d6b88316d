"""Sites that were dark though their backup was to last: found from the packs' own discharges."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import advance
from tests.billing.test_evidence import SLA, entered
from tests.billing.test_plans import bill_of, lease
from tests.build import Json, World
from tests.maintenance.test_orders import job

FAILED_ON = date(2026, 1, 20)
NEXT = FAILED_ON + timedelta(days=1)
FAILED_AT = midnight(FAILED_ON) + timedelta(hours=6)


def discharge(pack_id: str, hours: float, end_cell_v: float) -> list[Json]:
    """From a rest into a discharge whose voltage ends at a value."""
    steps = round(hours * 12)
    rest = [(n - 12, 3.33, 0.0, 95.0) for n in range(12)]
    drawn = [
        (n, 3.25 if n < steps - 2 else end_cell_v, -40.0, 95 - 90 * n / steps)
        for n in range(steps + 1)
    ]
    return [
        reading(pack_id, FAILED_AT + timedelta(minutes=5 * n), cell_v, current, soc)
        for n, cell_v, current, soc in rest + drawn
    ]


def reading(pack_id: str, at: datetime, cell_v: float, current: float, soc: float) -> Json:
    return {
        "pack_id": pack_id,
        "at": at.isoformat(),
        "voltage_v": round(16 * cell_v, 3),
        "current_a": current,
        "soc_percent": round(soc, 1),
        "temperature_c": 25.0,
    }


def charge(pack_id: str, after_hours: float) -> list[Json]:
    began = FAILED_AT + timedelta(hours=after_hours)
    return [
        reading(pack_id, began + timedelta(minutes=5 * n), 3.3, 20.0, 5 + 2 * n) for n in range(12)
    ]


async def site_with_packs(world: World, autonomy_minutes: int | None) -> Json:
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot) for slot in (1, 2)]
    agreed = {} if autonomy_minutes is None else {"autonomy_minutes": autonomy_minutes}
    _, lines = await build.active_contract(world, lessee["id"], terms, **agreed)
    packs = []
    for line in lines:
        pack = await build.pack(world)
        given = build.acceptance(pack["id"], "2026-01-11")
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
        packs.append(pack["id"])
    return {"customer": lessee, "site": place, "packs": packs}


async def outages(world: World, made: Json, *batches: list[Json]) -> list[Json]:
    await world.set_clock(NEXT)
    for batch in batches:
        await world.staff.post("/v1/readings", {"readings": batch})
    await job(world, "health", NEXT)
    for _ in range(2):
        await job(world, "duties", NEXT)
    found: list[Json] = (await world.staff.get("/v1/outages", site_id=made["site"]["id"]))["items"]
    return found


def hours_of(outage: Json) -> tuple[float, float]:
    ends = [datetime.fromisoformat(outage[name]) - FAILED_AT for name in ("from_at", "to_at")]
    return (ends[0] / timedelta(hours=1), ends[1] / timedelta(hours=1))


@pytest.mark.parametrize(
    ("agreed", "hours", "end_cell_v", "back_h", "dark"),
    [
        # Four hours agreed; the last pack is empty after two, and charged again from three or six.
        (240, (1.5, 2.0), 2.8, 3.0, (2.0, 3.0)),
        (240, (1.5, 2.0), 2.8, 6.0, (2.0, 4.0)),
        # It lasted as agreed; nothing is agreed; the grid was back before the packs were empty.
        (120, (1.5, 2.0), 2.8, 6.0, None),
        (None, (1.5, 2.0), 2.8, 6.0, None),
        (240, (1.5, 2.0), 3.2, 3.0, None),
    ],
)
def test_what_lacks_of_the_agreed_time_is_an_outage_of_the_site(
    database, agreed, hours, end_cell_v, back_h, dark
):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            made = await site_with_packs(world, agreed)
            batches = [
                discharge(pack_id, lasted, end_cell_v) + charge(pack_id, back_h)
                for pack_id, lasted in zip(made["packs"], hours, strict=True)
            ]
            found = await outages(world, made, *batches)
            if dark is None:
                assert found == []
                return
            (row,) = found
            assert row["cause"] == "lessor"
            # Within the five minutes between readings.
            assert hours_of(row) == pytest.approx(dark, abs=0.1)
            client = await world.login(Role.CUSTOMER, made["customer"]["id"])
            told: Any = await client.get(f"/v1/outages/{row['id']}/explanation")
            links = {(link["kind"], link["id"]) for link in told["evidence"]}
            assert links >= {("readings", pack_id) for pack_id in made["packs"]}
            for link in told["evidence"]:
                build.expect(await client.ask("GET", link["path"]), 200)

    database(scenario)


def test_a_pack_that_was_not_empty_or_not_heard_leaves_the_site_lit(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            made = await site_with_packs(world, 240)
            only = discharge(made["packs"][0], 2.0, 2.8)
            assert await outages(world, made, only) == []

    database(scenario)


@pytest.mark.parametrize(("storm_from", "credit"), [(None, -31_000 * 5 // 100), ("10:30", None)])
def test_hours_of_a_storm_within_a_found_outage_are_not_credited(database, storm_from, credit):
    """Dark from 08:00 to 10:00: two hours of January are 0.27 %, and half an hour is within the
    99.9 % that were promised."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await lease(world, SLA, autonomy_minutes=240)
            pack_id = leased["pack"]["id"]
            (row,) = await outages(world, leased, discharge(pack_id, 2.0, 2.8) + charge(pack_id, 6))
            assert (row["cause"], hours_of(row)) == ("lessor", pytest.approx((2.0, 4.0), abs=0.1))
            if storm_from is not None:
                await entered(
                    world,
                    "outages",
                    line_id=leased["line"]["id"],
                    from_at=f"{FAILED_ON}T08:30:00+08:00",
                    to_at=f"{FAILED_ON}T{storm_from}:00+08:00",
                    cause="force_majeure",
                    evidence="typhoon warning of the provincial bureau",
                )
            await advance(world, date(2026, 2, 2))
            line = (await bill_of(world, leased, 0)).get("sla")
            assert (line and line["amount"]) == credit

    database(scenario)
