"""Facts that prices rest on: entered in sets, never changed, put right by later rows."""

from typing import Any

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

TABLES = {
    "/v1/meter-readings": "meter_reading",
    "/v1/outages": "outage",
    "/v1/site-tenancies": "site_tenancy",
    "/v1/price-indexes": "price_index",
}


def reading(pack_id: str, at: str = "2026-02-01T00:00:00Z", value: int = 0, **more: Any) -> Json:
    return {
        "pack_id": pack_id,
        "measure": "throughput_wh",
        "at": at,
        "register_value": value,
        "source": "BMS",
        **more,
    }


def outage(**more: Any) -> Json:
    return {
        "from_at": "2026-02-03T00:00:00Z",
        "to_at": "2026-02-03T02:00:00Z",
        "cause": "lessor",
        "evidence": "board burnt",
        **more,
    }


def index(month: str = "2026-01-01", **more: Any) -> Json:
    return {
        "series": "CPI",
        "month": month,
        "value": "102.4",
        "published_on": "2026-02-09",
        "source": "NBS",
        **more,
    }


def tenancy(site_id: str, **more: Any) -> Json:
    return {"site_id": site_id, "from_on": "2026-01-01", "tenants": 2, "is_anchor": True, **more}


async def enter(world: World, path: str, *rows: Json) -> list[Json]:
    answer = await world.staff.post(f"{path}:batch", {"rows": list(rows)})
    told: list[Json] = answer["rows"]
    return told


def codes(told: list[Json]) -> list[str | None]:
    return [one["problem"] and one["problem"]["code"] for one in told]


def test_a_fact_is_put_right_by_a_later_row_and_never_changed(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            story = await build.leased_pack(world)
            pack_id, site_id = story["pack"]["id"], story["site"]["id"]
            for path, row, change in (
                ("/v1/meter-readings", reading(pack_id, value=500), {"register_value": 700}),
                ("/v1/outages", outage(site_id=site_id), {"cause": "customer"}),
                ("/v1/site-tenancies", tenancy(site_id), {"tenants": 3}),
                ("/v1/price-indexes", index(), {"value": "102.5"}),
            ):
                (first,) = await enter(world, path, row)
                assert first["outcome"] == "done", first
                right = {**row, **change, "supersedes_id": first["id"]}
                (second,) = await enter(world, path, right)
                (third,) = await enter(
                    world, path, {**right, "supersedes_id": second["id"], "is_void": True}
                )
                again = await enter(world, path, right, {**row, "supersedes_id": pack_id})
                assert codes(again) == ["fact_not_present", "fact_not_present"]
                page = await world.staff.get(path)
                assert [one["id"] for one in page["items"]] == [
                    first["id"],
                    second["id"],
                    third["id"],
                ]
                assert [one["is_current"] for one in page["items"]] == [False, False, True]
                assert [one["is_void"] for one in page["items"]] == [False, False, True]
                assert all(one["entered_by"].startswith("staff:") for one in page["items"])
                # Nothing holds any more, so that the same may be said again.
                assert codes(await enter(world, path, row)) == [None]
                table = TABLES[path]
                for sql in (
                    f"UPDATE {table} SET entered_by = '-'",
                    f"UPDATE {table} SET is_current = true WHERE NOT is_current",
                    f"DELETE FROM {table}",
                ):
                    with pytest.raises(asyncpg.CheckViolationError, match="never changed"):
                        async with db.transaction() as tx:
                            await tx.execute(sql)

    database(scenario)


def test_what_cannot_be_is_refused_row_by_row(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            story = await build.leased_pack(world)
            pack_id, site_id = story["pack"]["id"], story["site"]["id"]
            line_id = story["line"]["id"]
            readings = await enter(
                world,
                "/v1/meter-readings",
                reading(pack_id),
                reading(pack_id, value=3),
                reading(site_id),
                reading(pack_id, "2027-01-01T00:00:00Z"),
                reading(pack_id, "2026-02-02T00:00:00Z", restart="rollover"),
                reading(pack_id, "2026-02-02T00:00:00Z", 7, restart="rollover", register_max=6),
                reading(pack_id, "2026-02-02T00:00:00Z", is_void=True),
                reading(pack_id, "2026-02-02T00:00:00"),
                reading(pack_id, "2026-02-02T00:00:00Z", -1),
                reading(pack_id, measure="distance_m"),
            )
            assert codes(readings) == [
                None,
                "fact_exists",
                "pack_not_found",
                "bad_fact",
                "bad_fact",
                "bad_fact",
                "bad_fact",
                "invalid_payload",
                "invalid_payload",
                None,
            ]
            told = [
                one["problem"]["errors"][0]
                for one in readings
                if one["problem"] and one["problem"]["errors"]
            ]
            assert [one["pointer"].rpartition("/")[2] for one in told] == [
                "at",
                "register_max",
                "register_value",
                "supersedes_id",
                "at",
                "register_value",
            ]
            outages = await enter(
                world,
                "/v1/outages",
                outage(site_id=site_id, line_id=line_id),
                outage(),
                outage(line_id=line_id, to_at="2026-02-03T00:00:00Z"),
                outage(line_id=line_id, to_at="2026-12-03T00:00:00Z"),
                outage(line_id=pack_id),
                outage(site_id=pack_id),
                outage(line_id=line_id),
            )
            assert codes(outages) == [
                *["bad_fact"] * 4,
                "unknown_line",
                "site_not_found",
                None,
            ]
            tenancies = await enter(
                world,
                "/v1/site-tenancies",
                tenancy(site_id, to_on="2026-02-01"),
                tenancy(site_id, from_on="2026-01-31"),
                tenancy(site_id, from_on="2026-02-01"),
                tenancy(site_id, to_on="2026-01-01"),
            )
            assert codes(tenancies) == [None, "fact_exists", None, "bad_fact"]
            indexes = await enter(
                world,
                "/v1/price-indexes",
                index(),
                index(value="9"),
                index("2026-01-02"),
                index("2026-03-01"),
                index("2026-02-01", published_on="2026-07-09"),
                index("2026-02-01", value="0"),
            )
            assert codes(indexes) == [None, "fact_exists", *["bad_fact"] * 4]

    database(scenario)


def test_a_customer_sees_the_facts_about_its_own_packs_and_sites(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine, other = await build.leased_pack(world), await build.leased_pack(world)
            for story in (mine, other):
                pack_id, site_id = story["pack"]["id"], story["site"]["id"]
                # One from before the pack was handed over.
                early = reading(pack_id, "2026-01-05T00:00:00Z")
                await enter(world, "/v1/meter-readings", early, reading(pack_id))
                await enter(
                    world,
                    "/v1/outages",
                    outage(site_id=site_id),
                    outage(line_id=story["line"]["id"]),
                )
                await enter(world, "/v1/site-tenancies", tenancy(site_id))
            await enter(world, "/v1/price-indexes", index())
            customer = await world.login(Role.CUSTOMER, mine["customer"]["id"])
            for path, count in zip(TABLES, (1, 2, 1, 1), strict=True):
                seen = (await customer.get(path))["items"]
                assert len(seen) == count, path
                told = {one.get("pack_id") or one.get("site_id") for one in seen} - {None}
                assert told <= {mine["pack"]["id"], mine["site"]["id"]}
                problem = await customer.refused("POST", f"{path}:batch", 403, {"rows": []})
                assert problem["code"] == "role_not_allowed"
            lived = await customer.get(f"/v1/packs/{mine['pack']['id']}/timeline")
            assert "pack.metered" in {one["kind"] for one in lived["items"]}

    database(scenario)
