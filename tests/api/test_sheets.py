"""Sites, vehicles and packs as spreadsheets, there and back."""

import csv
import io
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from leasing.access.model import Role
from leasing.batteries.codes import normalise
from leasing.db.pool import Database
from leasing.parties.credit_code import check_character
from leasing.sheets import service
from tests import build
from tests.build import Client, Json, World
from tests.sheets.workbooks import XLSX, workbook

TYPES = {"csv": "text/csv", "xlsx": XLSX}
FORMATS = pytest.mark.parametrize("form", ["csv", "xlsx"])
VINS = ["1M8GDM9AXKP042788", "11111111111111111"]
PLACE = ["郑州一号站", "410100", "113.5", "34.5", "wgs84"]
PLACE_HEADER = ["name", "adcode", "longitude", "latitude", "datum"]
SITE_HEADER = ["owner", "code", "kind", *PLACE_HEADER]


def a_csv(*rows: list[Any]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


async def upload(
    client: Client, kind: str, body: bytes, form: str = "csv", **query: Any
) -> httpx.Response:
    headers = {"content-type": TYPES[form]}
    return await client.ask(
        "POST", f"/v1/imports/{kind}", content=body, headers=headers, params=query
    )


async def imported(client: Client, kind: str, body: bytes, form: str = "csv", **query: Any) -> Json:
    answer = await upload(client, kind, body, form, **query)
    made: Json = build.expect(answer, 200)
    return made


async def refused(client: Client, kind: str, body: bytes, form: str = "csv", **query: Any) -> Json:
    answer = await upload(client, kind, body, form, **query)
    problem: Json = build.expect(answer, 400)
    return problem


async def download(client: Client, kind: str, form: str = "csv", **query: Any) -> bytes:
    answer = await client.ask("GET", f"/v1/exports/{kind}", params={"format": form, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.{form}"'
    return answer.content


def grid(file: bytes, form: str) -> list[list[Any]]:
    if form == "csv":
        return list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))
    book = CalamineWorkbook.from_filelike(io.BytesIO(file))
    return book.get_sheet_by_index(0).to_python(skip_empty_area=False)


def again(cells: list[list[Any]], form: str) -> bytes:
    return a_csv(*cells) if form == "csv" else workbook(*cells)


def counts(result: Json) -> tuple[int, int, int, int]:
    return tuple(result[name] for name in ("created", "changed", "unchanged", "refused"))


def faults(problem: Json) -> dict[tuple[int, str], str]:
    return {
        (one["row"], fault["field"]): fault["code"]
        for one in problem["extra"]["result"]["outcomes"]
        for fault in one["faults"]
    }


async def events(db: Database, kind: str) -> list[Json]:
    async with db.transaction() as tx:
        rows = await tx.fetch(
            "SELECT aggregate_id, data, actor FROM domain_event WHERE kind = $1 ORDER BY id", kind
        )
    return [dict(row) for row in rows]


# --- Export → edit → import -----------------------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\",;站"),
    min_size=1,
    max_size=12,
).filter(lambda text: text.strip())  # fmt: skip
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
MADE = st.fixed_dictionaries(
    {
        "code": st.text(VISIBLE, min_size=1, max_size=9),
        "name": NAMES,
        "kind": st.sampled_from(["tower", "depot"]),
        "adcode": st.sampled_from(["410100", "110000"]),
        "longitude": st.floats(73, 136),
        "latitude": st.floats(3, 54),
        "datum": st.sampled_from(["wgs84", "gcj02"]),
        "site_class": st.none() | st.sampled_from("ABCD"),
        "load_w": st.none() | st.integers(1, 10**7),
        "required_autonomy_minutes": st.none() | st.integers(1, 43_200),
    }
)  # fmt: skip
EDITS: dict[str, tuple[Any, Any]] = {
    "name": ("甲", "乙"),
    "adcode": ("410200", "410300"),
    "longitude": (100.25, 101.5),
    "datum": ("wgs84", "gcj02"),
    "site_class": ("A", ""),
    "load_w": (1, 2),
    "required_autonomy_minutes": ("", 7),
}


@FORMATS
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    sites=st.lists(MADE, min_size=1, max_size=4, unique_by=lambda one: one["code"]),
    owner_name=NAMES,
    lang=st.sampled_from(["en", "zh"]),
    row=st.integers(1, 4),
    field=st.sampled_from(sorted(EDITS)),
)
def test_an_export_that_comes_back_changes_only_what_was_edited(
    database, form, sites, owner_name, lang, row, field
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, owner_name))["id"]
            before = [await build.site(world, owner, **one) for one in sites]
            file = await download(world.staff, "sites", form, lang=lang)
            untouched = await imported(world.staff, "sites", file, form)
            assert counts(untouched) == (0, 0, len(sites), 0)
            assert untouched["outcomes"] == []
            assert untouched["written"] is False

            cells = grid(file, form)
            at = min(row, len(sites))
            english = grid(await download(world.staff, "sites"), "csv")[0].index(field)
            old = before[at - 1][field]
            new = next(one for one in EDITS[field] if one != ("" if old is None else old))
            cells[at][english] = new
            edited = await imported(world.staff, "sites", again(cells, form), form)
            assert counts(edited) == (0, 1, len(sites) - 1, 0)
            (outcome,) = edited["outcomes"]
            assert (outcome["row"], outcome["result"]) == (at + 1, "changed")
            assert [change["field"] for change in outcome["changes"]] == [field]
            after = (await world.staff.get("/v1/sites"))["items"]
            before[at - 1] |= {field: None if new == "" else new, "version": 2}
            assert after == before
            (event,) = await events(db, "site.changed")
            assert event["data"] == {field: None if new == "" else new}
            # The file is of an older version now, but says nothing else than what is.
            repeated = await imported(world.staff, "sites", again(cells, form), form)
            assert counts(repeated) == (0, 0, len(sites), 0)

    database(scenario)


@FORMATS
@pytest.mark.parametrize("kind", ["vehicles", "packs"])
def test_vehicles_and_packs_come_back_as_they_left(database, form, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "=Fleet"))["id"]
            await build.site(world, owner)
            for vin in VINS:
                await build.site(world, owner, kind="vehicle", vin=vin)
            old = ["AB;12", "ZZ-9"]
            await build.pack(world, original_codes=old, full_cell_mv=3650, acquired_from="=A")
            await build.pack(world, acquired_on="1899-12-31")
            for lang in ("en", "zh"):
                file = await download(world.staff, kind, form, lang=lang)
                assert counts(await imported(world.staff, kind, file, form)) == (0, 0, 2, 0)

    database(scenario)


@FORMATS
def test_a_workbook_or_csv_moves_everything_to_an_empty_system(database, form):
    """What is exported without ids is what is needed to enter it anew."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "Fleet"))["id"]
            site = await build.site(world, owner, load_w=1800, site_class="B", name="=cmd|'x'!A")
            pack = await build.pack(world, original_codes=["OLD-1"], full_cell_mv=3650)
            files = {
                kind: [row[2:] for row in grid(
                    await download(world.staff, kind, form), form)]
                for kind in ("sites", "packs")
            }  # fmt: skip
            async with db.transaction() as tx:
                await tx.execute("TRUNCATE site, pack, pack_code, trace_record CASCADE")
            for kind, cells in files.items():
                result = await imported(world.staff, kind, again(cells, form), form)
                assert counts(result) == (1, 0, 0, 0)
            (found,) = (await world.staff.get("/v1/sites"))["items"]
            assert {**found, "id": site["id"], "created_at": site["created_at"]} == site
            (found,) = (await world.staff.get("/v1/packs"))["items"]
            life = await world.staff.get(f"/v1/packs/{found['id']}/life")
            assert {code["code"] for code in life["codes"]} == {pack["code"], "OLD-1"}
            assert life["records"][0]["data"]["from"] == "Dismantler 1"
            assert {**found, "id": pack["id"]} == pack

    database(scenario)


# --- New rows -------------------------------------------------------------------------------------


def test_an_owner_is_named_by_id_credit_code_or_exact_name(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            code = "91350211M000100Y43"
            named = await build.customer(world, "铁塔一公司")
            await world.staff.post("/v1/parties", {"kind": "recycler", "name": "铁塔一公司"})
            for _ in range(2):
                await build.customer(world, "Twin")
            await build.recycler(world)
            coded = await world.staff.ask(
                "POST",
                "/v1/parties",
                json={"kind": "customer", "name": "Coded", "credit_code": valid_code(code)},
            )
            firm = (await world.staff.get("/v1/parties", kind="recycler"))["items"][-1]
            says = ["铁塔一公司", named["id"].upper(), valid_code(code).lower(), "Twin",
                    "nobody", firm["name"], ""]  # fmt: skip
            body = a_csv(
                SITE_HEADER, *[[one, f"S-{at}", "tower", *PLACE] for at, one in enumerate(says)]
            )
            problem = await refused(world.staff, "sites", body)
            assert faults(problem) == {
                (5, "owner"): "ambiguous_owner",
                (6, "owner"): "unknown_owner",
                (7, "owner"): "not_a_customer",
                (8, "owner"): "missing",
            }
            assert "2 customers have this name" in problem["errors"][0]["message"]
            assert (await world.staff.get("/v1/sites"))["items"] == []
            result = await imported(world.staff, "sites", body, partial=True)
            assert counts(result) == (3, 0, 0, 4)
            owners = [one["party_id"] for one in (await world.staff.get("/v1/sites"))["items"]]
            assert owners == [named["id"], named["id"], coded.json()["id"]]

    database(scenario)


def valid_code(text: str) -> str:
    return text[:17] + check_character(text[:17])


def test_every_fault_of_every_row_is_told_and_nothing_is_written(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.customer(world, "Fleet")
            header = [
                "客户",
                "车辆编码",
                "车辆识别代号",
                "名称",
                "行政区划代码",
                "经度",
                "纬度",
                "坐标系",
            ]
            body = a_csv(
                header,
                ["Fleet", "V-1", VINS[0], *PLACE],
                ["Fleet", "V-2", "1M8GDM9A1KP042788", "", "371200", "113", "34", "wgs84"],
                ["Fleet", "V-3", "", *PLACE],
                ["Fleet", "V-4", VINS[1].lower(), *PLACE],
                ["Fleet", "V-5", VINS[1], *PLACE],
            )
            problem = await refused(world.staff, "vehicles", body)
            assert problem["code"] == "rows_refused"
            assert faults(problem) == {
                (3, "vin"): "bad_vin",
                (3, "name"): "missing",
                (3, "adcode"): "unknown_prefecture",
                (4, "vin"): "bad_vin",
                (5, ""): "repeated_row",
                (6, ""): "repeated_row",
            }
            pointers = [error["pointer"] for error in problem["errors"]]
            assert pointers == ["/3/vin", "/3/adcode", "/3/name", "/4/vin", "/5", "/6"]
            columns = [
                fault["column"] for fault in problem["extra"]["result"]["outcomes"][1]["faults"]
            ]
            assert columns == ["车辆识别代号", "行政区划代码", "名称"]
            assert (await world.staff.get("/v1/sites"))["items"] == []

    database(scenario)


def test_a_vehicle_is_found_by_its_vin_and_a_site_by_owner_and_code(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "Fleet"))["id"]
            car = await build.site(world, owner, kind="vehicle", vin=VINS[0])
            tower = await build.site(world, owner)
            edit = a_csv(["vin", "name"], [VINS[0].lower(), "renamed"])
            assert counts(await imported(world.staff, "vehicles", edit)) == (0, 1, 0, 0)
            by_code = a_csv(["owner", "code", "name"], ["Fleet", tower["code"], "renamed"])
            assert counts(await imported(world.staff, "sites", by_code)) == (0, 1, 0, 0)
            names = [one["name"] for one in (await world.staff.get("/v1/sites"))["items"]]
            assert names == ["renamed", "renamed"]
            # Another VIN for a vehicle that is there, and sheets of the other kind.
            other_vin = a_csv(["owner", "code", "vin"], ["Fleet", car["code"], VINS[1]])
            assert faults(await refused(world.staff, "vehicles", other_vin)) == {
                (2, "vin"): "cannot_be_changed"
            }
            wrong = a_csv(["id", "name"], [car["id"], "x"])
            assert faults(await refused(world.staff, "sites", wrong)) == {
                (2, "kind"): "other_sheet"
            }
            wrong = a_csv(["id", "name"], [tower["id"], "x"])
            assert (2, "kind") in faults(await refused(world.staff, "vehicles", wrong))
            wrong = a_csv(SITE_HEADER, ["Fleet", "new", "vehicle", *PLACE])
            assert faults(await refused(world.staff, "sites", wrong))[2, "kind"] == "other_sheet"

    database(scenario)


def test_an_id_that_is_none_of_ours_creates_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "Fleet"))["id"]
            body = a_csv(
                ["id", *SITE_HEADER],
                [owner, "Fleet", "S-1", "tower", *PLACE],
                ["S-2", "Fleet", "S-2", "tower", *PLACE],
            )
            assert faults(await refused(world.staff, "sites", body)) == {
                (2, "id"): "not_found",
                (3, "id"): "invalid_uuid",
            }

    database(scenario)


# --- Two editors ----------------------------------------------------------------------------------


def test_a_row_that_was_changed_since_the_export_is_refused_with_both_values(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world))["id"]
            first = await build.site(world, owner, name="One")
            second = await build.site(world, owner, name="Two")
            cells = grid(await download(world.staff, "sites"), "csv")
            change = {"name": "Theirs"}
            await world.staff.ask(
                "PATCH", f"/v1/sites/{first['id']}", json=change, headers={"if-match": '"v1"'}
            )
            at = cells[0].index("name")
            cells[1][at], cells[2][at] = "Ours", "Ours too"
            problem = await refused(world.staff, "sites", a_csv(*cells))
            assert faults(problem) == {(2, "version"): "changed_since_export"}
            assert problem["errors"][0]["message"] == (
                "changed since the export: the file has version 1, it is 2; "
                "name is 'Theirs', the file has 'Ours'"
            )
            result = await imported(world.staff, "sites", a_csv(*cells), partial=True)
            assert counts(result) == (0, 1, 0, 1)
            names = [one["name"] for one in (await world.staff.get("/v1/sites"))["items"]]
            assert names == ["Theirs", "Ours too"]
            assert second["version"] == 1

    database(scenario)


# --- Packs ----------------------------------------------------------------------------------------

PACK_HEADER = ["code", "original_codes", "cells_in_series", "rated_voltage_mv",
               "rated_capacity_mah", "mass_kg", "acquired_on", "acquired_from"]  # fmt: skip
PACK = [16, 51_200, 100_000, 46, "2025/1/2", "Dismantler"]


def test_packs_are_taken_into_stock_and_what_is_there_stays_as_it_is(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            there = await build.pack(world, original_codes=["OLD-1"])
            new = build.battery_code()
            body = a_csv(
                PACK_HEADER,
                [new.lower(), "OLD-2; OLD-3", *PACK],
                ["old-1", "OLD-1", *PACK[:5], "Dismantler 1"],
            )
            assert counts(await imported(world.staff, "packs", body)) == (1, 0, 1, 0)
            (found,) = (await world.staff.get("/v1/packs", code="OLD-3"))["items"]
            assert found["code"] == normalise(new)
            body = a_csv(PACK_HEADER, [there["code"], "", 15, *PACK[1:5], "Dismantler 1"])
            problem = await refused(world.staff, "packs", body)
            assert faults(problem) == {(2, "original_codes"): "cannot_be_changed"}
            assert "what can be changed: cells_in_series" in problem["errors"][0]["message"]
            body = a_csv(
                PACK_HEADER,
                ["001PB51", "", *PACK],
                [build.battery_code(), "OLD-1", *PACK],
                [build.battery_code(), "SAME", *PACK],
                [build.battery_code(), "SAME", *PACK],
                ["1.23E+23", "", *PACK],
            )
            assert faults(await refused(world.staff, "packs", body)) == {
                (2, "code"): "battery_code_length",
                (3, "original_codes"): "pack_code_taken",
                (4, ""): "repeated_row",
                (5, ""): "repeated_row",
                (6, "code"): "shortened_number",
            }

    database(scenario)


def test_of_an_edited_pack_only_what_was_edited_changes(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = [await build.pack(world, carmaker="First Auto") for _ in range(3)]
            cells = grid(await download(world.staff, "packs"), "csv")
            header = cells[0]
            cells[1][header.index("mass_kg")] = "47"
            cells[1][header.index("carmaker")] = ""
            cells[2][header.index("vin")] = "lze4c1cb9ra000017"
            result = await imported(world.staff, "packs", again(cells, "csv"))
            assert counts(result) == (0, 2, 1, 0)
            now = [await world.staff.get(f"/v1/packs/{pack['id']}") for pack in packs]
            assert now == [
                {**packs[0], "mass_kg": 47, "carmaker": None, "version": 2},
                {**packs[1], "vin": "LZE4C1CB9RA000017", "version": 2},
                packs[2],
            ]
            # The same file again is of versions that are past, and has nothing to lose.
            assert counts(await imported(world.staff, "packs", again(cells, "csv"))) == (0, 0, 3, 0)
            cells[1][header.index("mass_kg")] = "48"
            problem = await refused(world.staff, "packs", again(cells, "csv"))
            assert faults(problem) == {(2, "version"): "changed_since_export"}
            cells = grid(await download(world.staff, "packs"), "csv")
            cells[1][header.index("max_voltage_mv")] = "1000"
            cells[2][header.index("vin")] = "LZE4C1CB9RA000018"
            cells[3][header.index("removed_on")] = "2026-01-01"
            assert faults(await refused(world.staff, "packs", again(cells, "csv"))) == {
                (2, "max_voltage_mv"): "bad_rating",
                (3, "vin"): "bad_vin",
                (4, "removed_on"): "bad_date",
            }

    database(scenario)


def test_what_a_spreadsheet_made_of_a_code_is_refused_with_advice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.customer(world, "Tower Co")
            body = workbook(PACK_HEADER, [1.23457e23, "", *PACK])
            problem = await refused(world.staff, "packs", body, "xlsx")
            assert faults(problem) == {(2, "code"): "shortened_number"}
            assert "format the column as text" in problem["errors"][0]["message"]
            body = workbook(
                SITE_HEADER,
                ["Tower Co", "007", "tower", "站", 410100, 113.5, 34.5, "wgs84"],
                ["Tower Co", 8, "tower", "站", "410100", "113.5", "34.5", "wgs84"],
            )
            assert counts(await imported(world.staff, "sites", body, "xlsx")) == (2, 0, 0, 0)
            codes = [one["code"] for one in (await world.staff.get("/v1/sites"))["items"]]
            assert codes == ["007", "8"]

    database(scenario)


# --- Dry runs -------------------------------------------------------------------------------------


def test_a_dry_run_answers_what_the_import_then_does_and_leaves_no_trace(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world, "Tower Co"))["id"]
            site = await build.site(world, owner, name="One")
            body = a_csv(
                SITE_HEADER,
                ["Tower Co", site["code"], "tower", "Two", *PLACE[1:]],
                ["Tower Co", "NEW", "tower", *PLACE],
                ["Tower Co", "BAD", "castle", *PLACE],
            )
            before = await world.staff.get("/v1/sites")
            kept = {"dry_run", "written"}
            for query in ({}, {"partial": True}):
                dry = await upload(world.staff, "sites", body, dry_run=True, **query)
                assert await world.staff.get("/v1/sites") == before
                assert len(await events(db, "site.created")) == 1
                assert await events(db, "site.changed") == []
                real = await upload(world.staff, "sites", body, **query)
                assert dry.status_code == real.status_code
                told = [
                    answer.json() if query else answer.json()["extra"]["result"]
                    for answer in (dry, real)
                ]
                assert [one["dry_run"] for one in told] == [True, False]
                assert [one["written"] for one in told] == [False, bool(query)]
                assert [counts(one) for one in told] == [(1, 1, 0, 1)] * 2
                one, other = ({k: v for k, v in each.items() if k not in kept} for each in told)
                assert one == other
            assert len(await events(db, "site.created")) == 2
            (event,) = await events(db, "site.changed")
            assert event["data"].keys() == {"name", "longitude", "latitude"}
            assert event["actor"].startswith("staff:")

    database(scenario)


def test_an_import_is_repeated_safely(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.customer(world, "Tower Co")
            body = a_csv(SITE_HEADER, ["Tower Co", "S-1", "tower", *PLACE])
            headers = {"content-type": "text/csv", "idempotency-key": "k"}
            answers = [
                await world.staff.ask("POST", "/v1/imports/sites", content=body, headers=headers)
                for _ in range(2)
            ]
            assert answers[0].json() == answers[1].json()
            assert answers[0].json()["created"] == 1
            assert answers[1].headers["idempotent-replay"] == "true"
            assert counts(await imported(world.staff, "sites", body)) == (0, 0, 1, 0)

    database(scenario)


# --- At the door ----------------------------------------------------------------------------------


def test_who_may_read_may_export_and_only_staff_imports(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine, other = [await build.customer(world, name) for name in ("Mine", "Other")]
            site = await build.site(world, mine["id"])
            await build.site(world, other["id"])
            await build.pack(world)
            customer = await world.login(Role.CUSTOMER, mine["id"])
            rows = grid(await download(customer, "sites"), "csv")
            assert [row[0] for row in rows] == ["id", site["id"]]
            assert len(grid(await download(customer, "packs"), "csv")) == 1
            auditor = await world.login(Role.AUDITOR)
            assert len(grid(await download(auditor, "sites"), "csv")) == 3
            for client in (customer, auditor):
                answer = await upload(client, "sites", b"code\n1\n")
                assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
            recycler = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            assert (await recycler.ask("GET", "/v1/exports/packs")).status_code == 403

    database(scenario)


def test_an_export_is_of_a_part_when_asked(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            twins = [await build.customer(world, "Twin") for _ in range(2)]
            for twin in twins:
                await build.site(world, twin["id"])
            first = twins[0]["id"]
            rows = grid(await download(world.staff, "sites", party_id=first), "csv")
            # Two customers have the name, so it would not say which.
            assert [row[2] for row in rows] == ["owner", first]
            assert counts(await imported(world.staff, "sites", a_csv(*rows))) == (0, 0, 1, 0)
            for owner, result in ((" Twin", (0, 0, 1, 0)), (first.upper(), (0, 0, 1, 0))):
                rows[1][2] = owner
                assert counts(await imported(world.staff, "sites", a_csv(*rows))) == result
            rows[1][2] = twins[1]["id"]
            assert faults(await refused(world.staff, "sites", a_csv(*rows))) == {
                (2, "owner"): "cannot_be_changed"
            }
            await build.pack(world)
            for state, count in (("in_stock", 1), ("leased", 0)):
                rows = grid(await download(world.staff, "packs", state=state), "csv")
                assert len(rows) == 1 + count
            wrong = "/v1/exports/packs?party_id=" + first
            problem = await world.staff.refused("GET", wrong, 400)
            assert problem["errors"][0]["pointer"] == "?party_id"
            await world.staff.refused("GET", "/v1/exports/sites?state=leased", 400)
            await world.staff.refused("GET", "/v1/exports/castles", 400)

    database(scenario)


def test_more_rows_than_a_sheet_may_have_are_not_exported(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            owner = (await build.customer(world))["id"]
            for _ in range(2):
                await build.site(world, owner)
            monkeypatch.setattr(service, "MAX_ROWS", 2)
            assert len(grid(await download(world.staff, "sites"), "csv")) == 3
            monkeypatch.setattr(service, "MAX_ROWS", 1)
            problem = await world.staff.refused("GET", "/v1/exports/sites", 413)
            assert problem["code"] == "too_many_rows"

    database(scenario)


def test_a_body_that_is_no_sheet_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for media_type, status in (("application/json", 415), ("text/csv; charset=x", 400)):
                headers = {"content-type": media_type}
                answer = await world.staff.ask(
                    "POST", "/v1/imports/sites", content=b"{}", headers=headers
                )
                assert answer.status_code == status
            answer = await world.staff.ask("POST", "/v1/imports/sites", content=b"code\n1\n")
            assert answer.status_code == 415
            assert "text/csv" in answer.headers["accept"]
            problem = await refused(world.staff, "sites", b"")
            assert (problem["code"], problem["detail"]) == ("bad_sheet", "the file is empty")
            problem = await refused(world.staff, "sites", b"cod,nam\n1,2\n")
            assert [error["code"] for error in problem["errors"]] == ["unknown_header"] * 2
            assert "did you mean 'code'" in problem["errors"][0]["message"]
            too_long = b"code\n" + b"1\n" * 100_001
            answer = await upload(world.staff, "sites", too_long)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_many_rows")
            answer = await upload(world.staff, "sites", b" " * 10_000_001)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    database(scenario)


def test_a_gb18030_file_with_semicolons_from_a_chinese_excel_is_read(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.customer(world, "铁塔公司")
            text = (
                "客户;站址编码;类型;名称;行政区划代码;经度;纬度;坐标系\r\n"
                '铁塔公司;ＺＺ－１;铁塔;"郑州;一号站";４１０１００;113.5 ;34.5;WGS84\r\n\r\n'
            )
            result = await imported(world.staff, "sites", text.encode("gb18030"))
            assert result["read_as"] == "gb18030, semicolon"
            assert counts(result) == (1, 0, 0, 0)
            (site,) = (await world.staff.get("/v1/sites"))["items"]
            assert (site["code"], site["name"], site["adcode"]) == ("ZZ-1", "郑州;一号站", "410100")

    database(scenario)


async def many(world: World, count: int) -> Json:
    await build.customer(world, "Tower Co")
    rows = [["Tower Co", f"S-{number}", "tower", *PLACE] for number in range(count)]
    return await imported(world.staff, "sites", a_csv(SITE_HEADER, *rows))


def test_thousands_of_rows_are_written_in_the_order_of_the_file(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            assert counts(await many(world, 5_000)) == (5_000, 0, 0, 0)
            rows = grid(await download(world.staff, "sites"), "csv")
            assert [row[3] for row in rows[1:]] == [f"S-{number}" for number in range(5_000)]
            name = rows[0].index("name")
            for row in rows[1:]:
                row[name] += "!"
            result = await imported(world.staff, "sites", a_csv(*rows))
            assert counts(result) == (0, 5_000, 0, 0)
            assert len(await events(db, "site.changed")) == 5_000

    database(scenario)
