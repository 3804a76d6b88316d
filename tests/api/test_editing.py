"""What people edit has a version: whoever comes second learns that somebody was first."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from leasing.db.pool import Database
from tests import build
from tests.api.stories import settled
from tests.build import Client, Json, World


async def patch(client: Client, path: str, version: str | None, json: Json) -> httpx.Response:
    headers = {} if version is None else {"if-match": version}
    return await client.ask("PATCH", path, json=json, headers=headers)


async def editable(world: World, kind: str) -> tuple[str, Json, Json]:
    """A path and two different changes to what is there."""
    lessee = await build.customer(world)
    if kind == "party":
        return f"/v1/parties/{lessee['id']}", {"short_name": "One"}, {"short_name": "Two"}
    if kind == "contact":
        caller = {"name": "王工", "purpose": "billing", "email": "a@example.com"}
        added = await world.staff.post(f"/v1/parties/{lessee['id']}/contacts", caller)
        return f"/v1/contacts/{added['id']}", {"note": "One"}, {"note": "Two"}
    place = await build.site(world, lessee["id"])
    if kind == "site":
        return f"/v1/sites/{place['id']}", {"name": "One"}, {"name": "Two"}
    terms = build.contract_terms(lessee["id"], [build.line_terms(place["id"])])
    draft = await world.staff.post("/v1/contracts", terms)
    return f"/v1/contracts/{draft['id']}", {"payment_days": 1}, {"payment_days": 2}


KINDS = pytest.mark.parametrize("kind", ["site", "contract", "party", "contact"])


@KINDS
def test_a_change_is_based_on_the_version_that_was_read(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, one, two = await editable(world, kind)
            read = await world.staff.ask("GET", path)
            version = read.headers["etag"]
            changed = await patch(world.staff, path, version, one)
            assert changed.status_code == 200
            assert one.items() <= changed.json().items()
            unchanged = read.json().keys() - one.keys() - {"version"}
            assert all(changed.json()[name] == read.json()[name] for name in unchanged)
            assert changed.headers["etag"] != version
            assert (await world.staff.ask("GET", path)).headers["etag"] == changed.headers["etag"]
            stale = await patch(world.staff, path, version, two)
            assert (stale.status_code, stale.json()["code"]) == (412, "version_changed")
            told = {one["field"]: one for one in stale.json()["extra"]["diff"]}
            assert told == {
                field: {"field": field, "present": changed.json()[field], "wanted": wanted}
                for field, wanted in two.items()
                if changed.json()[field] != wanted
            }
            assert told
            assert one.items() <= (await world.staff.get(path)).items()
            again = await patch(world.staff, path, changed.headers["etag"], two)
            assert again.status_code == 200

    database(scenario)


@KINDS
def test_a_change_without_a_version_or_with_none_of_ours_is_refused(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, one, _ = await editable(world, kind)
            missing = await patch(world.staff, path, None, one)
            assert (missing.status_code, missing.json()["code"]) == (428, "if_match_required")
            for version in ("v1", '"v1', 'W/"v1"', "*", '"v0"', '"v2"', '"v1", "v2"', '"1"', ""):
                stale = await patch(world.staff, path, version, one)
                assert (stale.status_code, stale.json()["code"]) == (412, "version_changed")
            unknown = await patch(world.staff, f"{path[:-36]}{uuid4()}", '"v1"', one)
            assert unknown.status_code == 404
            await settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            assert not any(event["kind"].endswith(".changed") for event in events)

    database(scenario)


@KINDS
def test_of_two_editors_at_once_one_wins(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, one, two = await editable(world, kind)
            version = (await world.staff.ask("GET", path)).headers["etag"]
            both = await asyncio.gather(
                patch(world.staff, path, version, one), patch(world.staff, path, version, two)
            )
            assert sorted(answer.status_code for answer in both) == [200, 412]
            (winner,) = [answer.json() for answer in both if answer.status_code == 200]
            assert await world.staff.get(path) == winner

    database(scenario)


def test_a_contract_in_force_is_not_edited(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, one, _ = await editable(world, "contract")
            await build.put_into_force(world.staff, path.rpartition("/")[2])
            version = (await world.staff.ask("GET", path)).headers["etag"]
            refused = await patch(world.staff, path, version, one)
            assert (refused.status_code, refused.json()["code"]) == (409, "contract_state")

    database(scenario)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"ends_on": "2026-01-01"}, 400, "ends_before_start"),
        ({"starts_on": "2029-01-01"}, 400, "ends_before_start"),
        ({"vat_percent": "101"}, 400, "invalid_payload"),
        ({"number": "C-2"}, 400, "invalid_payload"),
        ({"payment_days": None}, 400, "invalid_payload"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(database, change, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, _, _ = await editable(world, "contract")
            answer = await patch(world.staff, path, '"v1"', change)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert (await world.staff.get(path))["version"] == 1

    database(scenario)
