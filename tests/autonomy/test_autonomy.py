"""How long a site lasts: worked out by hand for one, in order for many, and only one's own."""

from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.access.model import Role
from leasing.autonomy.model import Limits
from leasing.autonomy.rules import enough
from leasing.db.pool import Database
from leasing.kit.time import midnight
from schemas.autonomy import Enough
from tests import build
from tests.build import TODAY, World

NOW = midnight(TODAY) + build.NOON
JUST_NOW = NOW - timedelta(minutes=5)


async def report(world: World, pack_id: str, at: datetime = JUST_NOW, **values: Any) -> None:
    reading = {
        "pack_id": pack_id,
        "at": at.isoformat(),
        "voltage_v": 52.0,
        "current_a": 0.0,
        "soc_percent": 60.0,
        "temperature_c": 25.0,
        **values,
    }
    await world.staff.post("/v1/readings", {"readings": [reading]})


async def site_with_packs(world: World, packs: int = 1, **site: Any) -> dict[str, Any]:
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"], **{"load_w": 1_000, **site})
    terms = [build.line_terms(place["id"], slot + 1) for slot in range(packs)]
    _, lines = await build.active_contract(world, lessee["id"], terms)
    made = []
    for line in lines:
        pack = await build.pack(world)
        body = build.acceptance(pack["id"], "2026-01-11", 90_000)
        await world.staff.post(f"/v1/lines/{line['id']}/acceptances", body)
        made.append(pack)
    return {"customer": lessee, "site": place, "packs": made, "lines": lines}


async def autonomy(world: World, site_id: str) -> Any:
    return await world.staff.get(f"/v1/sites/{site_id}/autonomy")


def hours(wh: float, load_w: float) -> float:
    return wh / load_w


def test_a_tested_pack_carries_its_site_for_what_is_above_the_depth(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await site_with_packs(world, required_autonomy_minutes=60)
            await report(world, made["packs"][0]["id"])
            found = await autonomy(world, made["site"]["id"])
        # 90 Ah at 51.2 V with 60 % in them, 20 % stay, 95 % arrive; LFP: 1.645 x 8 points.
        lower = 90 * 0.95 * 51.2 * (0.60 - 0.1316 - 0.20) * 0.95
        upper = 90 * 1.03 * 51.2 * (0.60 + 0.1316 - 0.20) * 0.95
        (pack,), site = found["packs"], found["site"]
        assert pack["capacity_source"] == "test"
        assert (pack["lower_mah"], pack["capacity_mah"], pack["upper_mah"]) == (85500, 90000, 92700)
        assert pack["soc_margin_points"] == 13.2
        assert (pack["lower_wh"], pack["wh"], pack["upper_wh"]) == (
            floor(lower),
            round(90 * 51.2 * 0.4 * 0.95),
            ceil(upper),
        )
        assert (site["lower_hours"], site["hours"], site["upper_hours"]) == (1.1, 1.8, 2.4)
        assert (site["load_w"], site["load_source"], site["enough"]) == (1000, "stated", "yes")
        assert found["sentence"] == "At 1000 W as entered the packs last 1.8 h (1.1 to 2.4 h)."

    database(scenario)


def test_an_estimate_goes_before_the_test_and_a_full_pack_is_known_better(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await site_with_packs(world)
            pack_id = made["packs"][0]["id"]
            await build.estimate(world, pack_id, 70_000)
            await report(world, pack_id, soc_percent=100.0)
            (pack,) = (await autonomy(world, made["site"]["id"]))["packs"]
        assert pack["capacity_source"] == "estimate"
        assert (pack["lower_mah"], pack["capacity_mah"], pack["upper_mah"]) == (70000, 71000, 72000)
        assert pack["soc_margin_points"] == 2.0
        assert pack["lower_wh"] == floor(70 * 51.2 * 0.78 * 0.95)
        assert pack["upper_wh"] == ceil(72 * 51.2 * 0.80 * 0.95)

    database(scenario)


def test_a_silent_pack_counts_for_nothing_in_the_lower_end(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await site_with_packs(world, packs=3)
            heard, silent, _never = (pack["id"] for pack in made["packs"])
            await report(world, heard)
            await report(world, silent, at=NOW - timedelta(hours=2, seconds=1))
            found = await autonomy(world, made["site"]["id"])
            on_the_edge = await site_with_packs(world)
            await report(world, on_the_edge["packs"][0]["id"], at=NOW - timedelta(hours=2))
            edge = await autonomy(world, on_the_edge["site"]["id"])
        by_pack = {pack["pack_id"]: pack for pack in found["packs"]}
        assert found["site"]["silent_packs"] == 2
        assert by_pack[heard]["lower_wh"] > 0
        assert [by_pack[one]["lower_wh"] for one in by_pack if one != heard] == [0, 0]
        assert by_pack[silent]["wh"] == by_pack[heard]["wh"]
        assert by_pack[_never]["wh"] == 0 < by_pack[_never]["upper_wh"]
        assert "2 of 3 packs are silent" in found["sentence"]
        assert edge["site"]["silent_packs"] == 0

    database(scenario)


def test_a_discharge_under_way_tells_the_load_when_all_packs_are_heard(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = await site_with_packs(world, packs=2)
            one, two = (pack["id"] for pack in made["packs"])
            await report(world, one, voltage_v=50.0, current_a=-10.0)
            half = (await autonomy(world, made["site"]["id"]))["site"]
            await report(world, two, voltage_v=50.0, current_a=-20.0)
            whole = (await autonomy(world, made["site"]["id"]))["site"]
        assert (half["discharging"], half["load_w"], half["load_source"]) == (True, 1000, "stated")
        assert (whole["load_w"], whole["load_source"]) == (1500, "drawn")

    database(scenario)


def test_sites_are_ranked_by_what_surely_is_left_page_by_page(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = []
            for soc in (80.0, 40.0, 60.0):
                one = await site_with_packs(world)
                await report(world, one["packs"][0]["id"], soc_percent=soc)
                made.append(one["site"]["id"])
            elsewhere = await site_with_packs(world, adcode="420100")
            await report(world, elsewhere["packs"][0]["id"], soc_percent=95.0)
            unknown = await site_with_packs(world, load_w=None)
            ids, cursor = [], None
            for _ in range(5):
                query = {} if cursor is None else {"cursor": cursor}
                page = await world.staff.get("/v1/autonomy", limit=1, **query)
                ids += [site["site_id"] for site in page["items"]]
                cursor = page["next_cursor"]
            assert cursor is None
            henan = await world.staff.get("/v1/autonomy", adcode="41", below_minutes=60)
        assert ids == [
            made[1],
            made[2],
            made[0],
            elsewhere["site"]["id"],
            unknown["site"]["id"],
        ]
        # 90 Ah x 0.95 at 51.2 V and 95 %: 41.6 Wh a point; 60 minutes are 24 points of them.
        assert [site["site_id"] for site in henan["items"]] == [made[1]]

    database(scenario)


def test_a_customer_ranks_its_own_sites_alone(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine, theirs = await site_with_packs(world), await site_with_packs(world)
            for one in (mine, theirs):
                await report(world, one["packs"][0]["id"])
            client = await world.login(Role.CUSTOMER, mine["customer"]["id"])
            page = await client.get("/v1/autonomy")
            own = await client.get(f"/v1/sites/{mine['site']['id']}/autonomy")
            seen_by_staff = await autonomy(world, mine["site"]["id"])
            path = f"/v1/sites/{theirs['site']['id']}/autonomy"
            refusal = await client.refused("GET", path, 404)
        assert [site["site_id"] for site in page["items"]] == [mine["site"]["id"]]
        assert own == seen_by_staff
        assert refusal["code"] == "site_not_found"

    database(scenario)


def test_an_unknown_site_or_one_without_packs_has_no_autonomy(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            empty = await build.site(world, lessee["id"])
            for site_id in (empty["id"], str(UUID(int=3))):
                refusal = await world.staff.refused("GET", f"/v1/sites/{site_id}/autonomy", 404)
                assert refusal["code"] == "site_not_found"
            bad = await world.staff.refused("GET", "/v1/autonomy?adcode=4", 400)
        assert "adcode" in str(bad)

    database(scenario)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_no_answer_is_given_that_part_of_the_interval_denies(a: float, b: float, required: float):
    lower, upper = sorted((a, b))
    answer = enough(lower, upper, required)
    assert (answer is Enough.YES) == (lower >= required)
    assert (answer is Enough.NO) == (upper < required)


@pytest.mark.parametrize("known", [(None, 1.0, 1.0), (1.0, None, 1.0), (1.0, 1.0, None)])
def test_what_is_not_known_is_not_judged(known):
    assert enough(*known) is None


def test_a_chemistry_nobody_knows_is_the_widest():
    letters, points, widest = Limits().margins()
    assert widest == max(points) == pytest.approx(1.645 * 8)
    assert set(letters) == {"B", "E"}
