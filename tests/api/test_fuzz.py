"""Whatever is sent, the answer is a documented one and never an internal error."""

import json
import random
import re
from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.build import World

NASTY: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**31 - 1, 2**63, 2**63 - 1, -(2**63), 10**30, 1.5, -0.0, 1e308,
    "", " ", "\0", "a\0b", "a\n", "\u202e", "\ud800", "中文", "x" * 300, "9" * 500, "'; --", "%s",
    "NaN", "Infinity", "0001-01-01", "9999-12-31", "2026-02-30", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", "2026-06-15T12:00:00", str(uuid4()), "0" * 32,
    [], {}, [[]], [None], {"": ""},
]  # fmt: skip

ROUNDS = 12


class Maker:
    """Values for a JSON schema: mostly of the right shape, now and then not at all."""

    def __init__(self, chance: random.Random, openapi: Any, ids: list[str]) -> None:
        self.chance = chance
        self.schemas = openapi["components"]["schemas"]
        self.ids = ids

    def make(self, schema: Any, odds: float) -> Any:
        if self.chance.random() < odds:
            return self.chance.choice(NASTY)
        if "$ref" in schema:
            return self.make(self.schemas[schema["$ref"].rpartition("/")[2]], odds)
        if "anyOf" in schema:
            return self.make(self.chance.choice(schema["anyOf"]), odds)
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        return getattr(self, f"a_{schema.get('type', 'null')}", self.a_null)(schema, odds)

    def a_object(self, schema: Any, odds: float) -> Any:
        required = schema.get("required", [])
        made = {
            name: self.make(part, odds)
            for name, part in schema.get("properties", {}).items()
            if name in required or self.chance.random() < 0.6
        }
        if made and self.chance.random() < odds:
            del made[self.chance.choice(list(made))]
        if self.chance.random() < odds:
            made["surprise"] = 1
        return made

    def a_array(self, schema: Any, odds: float) -> Any:
        count = self.chance.choice([0, 1, 1, 1, 2, 3])
        return [self.make(schema.get("items", {}), odds) for _ in range(count)]

    def a_integer(self, schema: Any, odds: float) -> int:
        low, high = schema.get("minimum", 0), schema.get("maximum", 10**6)
        return self.chance.choice([low, high, self.chance.randint(int(low), int(high))])

    def a_number(self, schema: Any, odds: float) -> float:
        low, high = schema.get("minimum", 0), schema.get("maximum", 10**6)
        return self.chance.choice([low, high, self.chance.uniform(low, high)])

    def a_boolean(self, schema: Any, odds: float) -> bool:
        return self.chance.random() < 0.5

    def a_null(self, schema: Any, odds: float) -> None:
        return None

    def a_string(self, schema: Any, odds: float) -> str:
        form, pattern = schema.get("format"), schema.get("pattern", "")
        if form == "uuid":
            return self.chance.choice([*self.ids, str(uuid4())])
        if form == "date":
            return str(date(self.chance.choice([2025, 2026, 2027]), self.chance.randint(1, 12), 1))
        if form == "date-time":
            return f"2026-06-{self.chance.randint(1, 30):02}T00:00:00Z"
        if "[1-9][0-9]{5}" in pattern:
            return self.chance.choice(["410100", "999999"])
        if "[0-9a-f]" in pattern:
            return "ab" * 32
        if "[A-Z]{3}" in pattern:
            return self.chance.choice(["CNY", "XXX"])
        if "100" in pattern:
            return self.chance.choice(["0", "13", "99.99", "100"])
        return self.chance.choice([build.battery_code(), "C-1", "name", "王工"])


async def some_ids(world: World) -> list[str]:
    """Things of every kind, in every state that a route asks for."""
    lease = await build.leased_pack(world, on="2026-06-01")
    spare = await build.pack(world)
    firm = await build.recycler(world)
    outlet = await build.outlet(world, firm["id"])
    (first, second) = await stories.condemned_packs(world, 2)
    plan = {"hand_over_on": "2026-06-15"}
    routing = await world.staff.post(f"/v1/packs/{first['id']}/routings", plan)
    terms = build.contract_terms(lease["customer"]["id"], [build.line_terms(lease["site"]["id"])])
    draft = await world.staff.post("/v1/contracts", terms)
    things = [lease["customer"], lease["site"], lease["contract"], lease["line"], lease["pack"]]
    return [one["id"] for one in [*things, spare, firm, first, second, routing, draft]] + [outlet]


@pytest.mark.parametrize("seed", range(2))
def test_no_payload_leads_to_an_internal_error(database, seed):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            chance = random.Random(seed)
            maker = Maker(chance, world.openapi, await some_ids(world))
            statuses: dict[int, int] = {}
            for path, method, schema in writing_routes(world.openapi):
                for _ in range(ROUNDS):
                    target = re.sub(r"\{\w+\}", lambda _: chance.choice(maker.ids), path)
                    payload = maker.make(schema, chance.choice([0, 0, 0, 0.1])) if schema else {}
                    headers = {"content-type": "application/json"}
                    if chance.random() < 0.2:
                        headers["idempotency-key"] = chance.choice("abc")
                    if method == "patch":
                        headers["if-match"] = chance.choice(['"v1"', '"v2"', "*", "v1", '"v"'])
                    body = json.dumps(payload).encode()
                    answer = await world.staff.ask(
                        method.upper(), target, content=body, headers=headers
                    )
                    assert answer.status_code < 500, (method, target, body, answer.text)
                    statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            # Neither all refused at the door nor all let through.
            assert {201, 400, 404, 409, 422} <= set(statuses), statuses

    database(scenario)


def writing_routes(openapi: Any) -> list[tuple[str, str, Any]]:
    found = []
    for path, item in openapi["paths"].items():
        for method in set(item) - {"get"}:
            body = item[method].get("requestBody")
            # A route that takes files is sent JSON all the same.
            content = body["content"].get("application/json", {}) if body else {}
            schema = content.get("schema")
            found.append((path, method, schema))
    return sorted(found, key=lambda route: route[:2])


def test_no_parameter_leads_to_an_internal_error(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            chance = random.Random(0)
            ids = await some_ids(world)
            texts = [text for text in NASTY if isinstance(text, str) and text != "\ud800"]
            texts += ["-1", "0", "1e3", "99999999999999999999", "W1tdXQ", "bnVsbA", "e30", "_w"]
            for path, item in world.openapi["paths"].items():
                if "get" not in item:
                    continue
                for parameter in item["get"].get("parameters", []):
                    if parameter["in"] != "query":
                        continue
                    for text in chance.sample(texts, 8):
                        target = re.sub(r"\{\w+\}", lambda _: chance.choice(ids), path)
                        answer = await world.staff.ask(
                            "GET", target, params={parameter["name"]: text}
                        )
                        assert answer.status_code < 500, (target, parameter["name"], text)

    database(scenario)
