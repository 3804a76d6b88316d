"""Price plans and their versions over HTTP."""

import asyncpg
import pytest

from leasing.db.pool import Database
from tests import build
from tests.build import Json
from tests.tariffs import plans


def test_a_published_version_is_never_changed_again(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            plan = await plans.plan(world)
            first = await plans.draft(world, plan["id"], plans.SERVICE, plans.CAPACITY)
            assert (first["number"], first["state"], first["currency"]) == (1, "draft", "CNY")
            path = f"/v1/price-plan-versions/{first['id']}"
            changed = await world.staff.ask(
                "PATCH", path, json={"components": [plans.SERVICE]}, headers={"if-match": '"v1"'}
            )
            assert [one["code"] for one in changed.json()["components"]] == ["care"]
            late = await world.staff.ask(
                "PATCH", path, json={"valid_from": "2026-02-01"}, headers={"if-match": '"v1"'}
            )
            assert late.status_code == 412
            seen = await plans.publish(world, changed.json())
            assert (seen["state"], seen["version"]) == ("published", 3)
            assert seen["published_at"] is not None
            assert await world.staff.get(path) == seen
            again = await world.staff.ask(
                "PATCH", path, json={"valid_from": "2026-02-01"}, headers={"if-match": '"v3"'}
            )
            assert again.json()["code"] == "price_plan_published"
            for sql in (
                "UPDATE price_plan_version SET components = '[]'",
                "UPDATE price_plan_version SET state = 'draft', published_at = NULL",
                "DELETE FROM price_plan_version",
            ):
                with pytest.raises(asyncpg.CheckViolationError, match="never changed"):
                    async with db.transaction() as tx:
                        await tx.execute(sql)
            second = await plans.draft(world, plan["id"])
            assert second["number"] == 2
            page = await world.staff.get(f"/v1/price-plans/{plan['id']}/versions")
            assert page["items"] == [seen, second]
            assert (await world.staff.get("/v1/price-plans"))["items"] == [plan]
            twice = {name: plan[name] for name in ("code", "name", "name_en")}
            problem = await world.staff.refused("POST", "/v1/price-plans", 409, twice)
            assert problem["code"] == "price_plan_code_taken"
            gold = {**twice, "code": "gold", "currency": "XAU"}
            problem = await world.staff.refused("POST", "/v1/price-plans", 400, gold)
            assert problem["errors"][0]["pointer"] == "/currency"

    database(scenario)


def tiers(*bounds: str | None) -> Json:
    return {"model": "graduated", "tiers": [{"up_to": bound} for bound in bounds]}


def naming(kind: str, codes: list[str], **more: object) -> Json:
    return {"kind": kind, "code": "named", "codes": codes, **more}


BANDS = plans.CAPACITY["bands"]
SLA = [{"below_percent": "99.9", "credit_percent": "5"}]
WRONG: list[tuple[list[Json], str, str]] = [
    ([plans.SERVICE, plans.SERVICE], "/components/0/code", "code_twice"),
    ([{**plans.SERVICE, "code": "rent"}], "/components/0/code", "reserved"),
    (
        [{**plans.CAPACITY, "bands": BANDS[1:]}],
        "/components/0/bands/0/from_percent",
        "not_from_zero",
    ),
    (
        [{**plans.CAPACITY, "bands": [*BANDS, BANDS[1]]}],
        "/components/0/bands/2/from_percent",
        "not_ascending",
    ),
    (
        [{**plans.THROUGHPUT, "pricing": tiers("10", "10", None)}],
        "/components/0/pricing/tiers/1/up_to",
        "not_ascending",
    ),
    (
        [{**plans.THROUGHPUT, "pricing": tiers("10", "20")}],
        "/components/0/pricing/tiers/1/up_to",
        "bounded",
    ),
    (
        [{**plans.THROUGHPUT, "pricing": tiers(None, "20", None)}],
        "/components/0/pricing/tiers/0/up_to",
        "missing",
    ),
    (
        [{**plans.THROUGHPUT, "pricing": tiers("0", None)}],
        "/components/0/pricing/tiers/0/up_to",
        "zero",
    ),
    (
        [{**plans.THROUGHPUT, "pricing": {"model": "package", "size": "0", "price": "1"}}],
        "/components/0/pricing/size",
        "zero",
    ),
    ([naming("minimum", ["nothing"], amount=1)], "/components/0/codes/0", "unknown_code"),
    (
        [naming("minimum", ["named"], amount=1)],
        "/components/0/codes/0",
        "unknown_code",
    ),
    ([naming("minimum", ["rent", "rent"], amount=1)], "/components/0/codes/1", "code_twice"),
    (
        [plans.SERVICE, naming("minimum", ["rent", "care"], amount=1)],
        "/components/1/vat_percent",
        "mixed_vat",
    ),
    (
        [
            {**naming("minimum", ["rent"], amount=2), "code": "least"},
            naming("maximum", ["rent"], amount=1),
        ],
        "/components/1/amount",
        "below_minimum",
    ),
    (
        [naming("availability", ["rent"], tiers=[*SLA, *SLA])],
        "/components/0/tiers/1/below_percent",
        "not_descending",
    ),
    (
        [
            naming(
                "availability",
                ["rent"],
                tiers=[*SLA, {"below_percent": "99", "credit_percent": "4"}],
            )
        ],
        "/components/0/tiers/1/credit_percent",
        "not_ascending",
    ),
    (
        [
            naming(
                "sharing",
                ["rent"],
                discounts=[{"tenants": 3, "percent": "40"}, {"tenants": 2, "percent": "30"}],
            )
        ],
        "/components/0/discounts/1/tenants",
        "not_ascending",
    ),
    (
        [
            naming(
                "sharing",
                ["rent"],
                discounts=[{"tenants": 2, "percent": "96"}],
                anchor_percent="5",
            )
        ],
        "/components/0/discounts/0/percent",
        "above_100",
    ),
    (
        [
            naming(
                "region",
                ["rent"],
                coefficients=[{"adcode_prefix": "41", "coefficient": "1.1"}] * 2,
            )
        ],
        "/components/0/coefficients/1/adcode_prefix",
        "prefix_twice",
    ),
    (
        [naming("region", ["rent"], coefficients=[{"adcode_prefix": "41", "coefficient": "0"}])],
        "/components/0/coefficients/0/coefficient",
        "zero",
    ),
    (
        [{**plans.CAPACITY, "vat_changes": [{"from_on": "2026-01-01", "percent": "9"}]}],
        "/components/0/vat_percent",
        "missing",
    ),
    (
        [{**plans.SERVICE, "vat_changes": [{"from_on": "2026-01-01", "percent": "9"}] * 2}],
        "/components/0/vat_changes/1/from_on",
        "not_ascending",
    ),
    ([{**plans.SERVICE, "amount": -1}], "/components/0/amount", "out_of_range"),
    ([{"kind": "magic", "code": "a"}], "/components/0/kind", "unknown_value"),
    ([{**plans.SERVICE, "code": "Care"}], "/components/0/code", "wrong_pattern"),
]


def test_components_that_do_not_fit_are_refused_by_field_and_reason(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            plan = await plans.plan(world)
            path = f"/v1/price-plans/{plan['id']}/versions"
            for components, pointer, code in WRONG:
                body = {"valid_from": "2026-01-01", "components": components}
                problem = await world.staff.refused("POST", path, 400, body)
                found = [(one["pointer"], one["code"]) for one in problem["errors"]]
                assert (pointer, code) in found, (components, found)
            assert (await world.staff.get(path))["items"] == []

    database(scenario)
