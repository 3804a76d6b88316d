"""What recyclers pay: for days, never written over, and shown to nobody else."""

from datetime import date
from typing import Any

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Json


def offer(recycler_id: str, **changes: Any) -> Json:
    return {
        "recycler_id": recycler_id,
        "chemistry": "B",
        "valid_from": "2026-06-01",
        "valid_to": "2026-07-01",
        "cny_per_kg": "3.12",
        "material_cny_per_kg": "0.40",
        "source": "报价单 2026-06",
        **changes,
    }


def test_a_price_holds_for_its_days_and_shows_material_apart(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            made = await world.staff.post("/v1/scrap-offers", offer(firm["id"]))
            shown = [
                made[name] for name in ("cny_per_kg", "material_cny_per_kg", "money_cny_per_kg")
            ]
            assert shown == ["3.1200", "0.4000", "2.7200"]
            for on, found in (("2026-05-31", 0), ("2026-06-01", 1), ("2026-06-30", 1),
                              ("2026-07-01", 0)):  # fmt: skip
                page = await world.staff.get("/v1/scrap-offers", chemistry="B", on=on)
                assert len(page["items"]) == found
            assert (await world.staff.get("/v1/scrap-offers", chemistry="E"))["items"] == []
            page = await world.staff.get(f"/v1/recyclers/{firm['id']}")
            assert [one["id"] for one in page["prices"]] == [made["id"]]

    database(scenario)


def test_a_price_for_the_same_days_is_refused_and_names_the_other(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            first = await world.staff.post("/v1/scrap-offers", offer(firm["id"]))
            again = offer(firm["id"], valid_from="2026-06-30", valid_to=None, cny_per_kg="2.90")
            problem = await world.staff.refused("POST", "/v1/scrap-offers", 409, again)
            assert problem["code"] == "offer_overlaps"
            assert problem["extra"]["offer_id"] == first["id"]
            assert "3.1200 CNY/kg hold from 2026-06-01 to 2026-07-01" in problem["detail"]
            # The window is ended and not the price changed.
            path = f"/v1/scrap-offers/{first['id']}/end"
            ended = await world.staff.post(path, {"ended_on": "2026-06-30"})
            assert (ended["valid_to"], ended["cny_per_kg"]) == ("2026-06-30", "3.1200")
            second = await world.staff.post("/v1/scrap-offers", again)
            listed = (await world.staff.get("/v1/scrap-offers", recycler_id=firm["id"]))["items"]
            assert [one["id"] for one in listed] == [first["id"], second["id"]]
            for on in ("2026-06-01", "2026-07-02"):
                problem = await world.staff.refused("POST", path, 409, {"ended_on": on})
                assert problem["code"] == "offer_ends_otherwise"
            other_use = offer(firm["id"], disposition="dismantle")
            await world.staff.post("/v1/scrap-offers", other_use)

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cny_per_kg": "3.12345"}, "invalid_payload"),
        ({"cny_per_kg": 3.12}, "invalid_payload"),
        ({"cny_per_kg": "1000.5"}, "invalid_payload"),
        ({"material_cny_per_kg": "-1"}, "invalid_payload"),
        ({"source": " "}, "invalid_payload"),
        ({"chemistry": "LFP"}, "invalid_payload"),
        ({"valid_to": "2026-06-01"}, "empty_validity"),
    ],
)
def test_an_offer_that_cannot_be_is_refused(database, changes, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            body = offer(firm["id"], **changes)
            assert (await world.staff.refused("POST", "/v1/scrap-offers", 400, body))[
                "code"
            ] == code

    database(scenario)


def test_the_lessor_may_have_to_pay_and_only_a_recycler_offers(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            made = await world.staff.post("/v1/scrap-offers", offer(firm["id"], cny_per_kg="-0.5"))
            assert made["money_cny_per_kg"] == "-0.9000"
            customer = await build.customer(world)
            body = offer(customer["id"])
            assert (await world.staff.refused("POST", "/v1/scrap-offers", 404, body))["code"] == (
                "recycler_not_found"
            )

    database(scenario)


def test_a_recycler_sees_its_own_prices_only(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 6, 15)) as world:
            one, other = await build.recycler(world), await build.recycler(world)
            for firm in (one, other):
                await world.staff.post("/v1/scrap-offers", offer(firm["id"]))
            theirs = await world.login(Role.RECYCLER, one["id"])
            for query in ({}, {"recycler_id": other["id"]}):
                page = await theirs.get("/v1/scrap-offers", **query)
                assert {item["recycler_id"] for item in page["items"]} <= {one["id"]}
            assert len((await theirs.get("/v1/scrap-offers"))["items"]) == 1
            await theirs.refused("POST", "/v1/scrap-offers", 403, offer(one["id"]))
            customer = await build.customer(world)
            tower = await world.login(Role.CUSTOMER, customer["id"])
            await tower.refused("GET", "/v1/scrap-offers", 403)

    database(scenario)
