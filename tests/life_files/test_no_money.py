"""No record, life file, passport, balance or register tells what anything cost."""

import json
from pathlib import Path
from typing import Any

import pytest

import leasing.http
from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Client
from tests.life_files import money
from tests.passports import states

RENT, BUY_OUT, FLOOR = 31_417, 300_017, 60_013
"""Amounts that are nothing else in these stories."""

ASKED = (
    "/v1/packs/{id}/life",
    "/v1/packs/{id}/custody",
    "/v1/packs/{id}/passport?view=public",
    "/v1/packs/{id}/passport?view=legitimate_interest",
    "/v1/packs/{id}/passport?view=authority",
    "/v1/packs/{id}/obligations",
    "/v1/life-files/{code}",
)


@pytest.fixture
def odd_amounts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    terms = build.line_terms
    monkeypatch.setattr(build, "line_terms", lambda *a, **k: terms(*a, **k) | {"rent_amount": RENT})
    for_sale = states.FOR_SALE | {"amount": BUY_OUT, "floor_amount": FLOOR}
    monkeypatch.setattr(states, "FOR_SALE", for_sale)
    return [RENT, BUY_OUT, FLOOR]


async def every_answer(client: Client, packs: dict[str, Any], outlet_id: str) -> dict[str, Any]:
    """What is shown of packs and of their outlet, by address. One pack was recycled before it had a
    passport."""
    paths = [path.format(**pack) for pack in packs.values() for path in ASKED]
    days = "from_on=2026-01-01&to_on=2026-06-16"
    paths += [f"/v1/outlets/{outlet_id}/register?{days}", f"/v1/mass-balance?{days}"]
    asked = {path: await client.ask("GET", path) for path in paths}
    assert [path for path, answer in asked.items() if answer.status_code != 200] == [
        path.format(**packs["recycled"]) for path in ASKED if "/passport" in path
    ]
    return {path: answer.json() for path, answer in asked.items()}


def test_nothing_that_a_regulator_or_staff_reads_of_a_pack_tells_money(database, odd_amounts):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await states.every_state(world)
            outlet = (await world.staff.get("/v1/outlets"))["items"][0]["id"]
            for state, pack in packs.items():
                if state != "recycled":
                    await states.declare_all(world, pack["id"])
                    await states.issue(world, pack["id"])
            for role in (Role.REGULATOR, Role.STAFF):
                answers = await every_answer(await world.login(role), packs, outlet)
                for path, made in answers.items():
                    assert list(money.told(made, odd_amounts)) == [], (role, path)
            # They are there: whoever may read contracts finds them.
            lines = await world.staff.get("/v1/lines")
            assert len(list(money.told(lines, [RENT]))) > 1

    database(scenario)


EXAMPLES = Path(leasing.http.__file__).parent / "examples.json"
SHOWN = (
    "GET /v1/packs/{pack_id}/life",
    "GET /v1/life-files/{code}",
    "GET /v1/packs/{pack_id}/passport",
    "GET /v1/packs/{pack_id}/custody",
    "GET /v1/outlets/{outlet_id}/register",
    "GET /v1/mass-balance",
    "GET /v1/obligations",
    "GET /v1/obligations/{obligation_id}",
    "GET /passports/{code}",
)


@pytest.mark.parametrize("route", SHOWN)
def test_nothing_that_was_recorded_of_the_whole_story_tells_money(route):
    answers = [one["answer"] for one in json.loads(EXAMPLES.read_text())[route] if "answer" in one]
    assert answers
    assert list(money.told(answers)) == []
