"""Outlets and prices from files: known by code, told by row and column, twice as once."""

import asyncio
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.access.model import Role
from leasing.db.pool import Database, connect
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import civil_date, midnight, system_now
from leasing.outlets import generator
from leasing.outlets import store as outlets_store
from leasing.parties import service as parties
from schemas.parties import PartyCreate, PartyKind
from tests import build
from tests.api import stories
from tests.build import Json, World, expect

FIRM = "91410100MA9EXABDX5"
HEADER = [
    "code", "name_zh", "name_en", "kind", "adcode", "longitude", "latitude", "recycler",
    "chemistries", "hazards", "store_limit_kg", "opening_hours",
]  # fmt: skip
GOOD = [
    "ZZ-1", "示例网点", "Outlet", "收集型", "410100", "113.7", "34.7", FIRM, "B;E", "intact",
    "", "8:30-17:30",
]  # fmt: skip


def row(**changes: str) -> list[str]:
    return [changes.get(name, cell) for name, cell in zip(HEADER, GOOD, strict=True)]


def file(header: list[str], *rows: list[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


async def post(world: World, kind: str, body: bytes, **query: Any) -> Any:
    return await world.staff.ask(
        "POST",
        f"/v1/imports/{kind}",
        content=body,
        params=query,
        headers={"content-type": "text/csv"},
    )


async def recycler(world: World) -> Json:
    firm = {"kind": "recycler", "name": "示例再生利用企业", "credit_code": FIRM}
    made: Json = await world.staff.post("/v1/parties", firm)
    return made


def test_outlets_are_entered_from_a_file_and_the_same_file_again_changes_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await recycler(world)
            body = file(
                HEADER,
                row(),
                row(code="ZZ-2", kind="集中贮存型", recycler=firm["id"], hazards="intact damaged"),
                row(code="ZZ-3", recycler="示例再生利用企业", store_limit_kg="3500"),
            )
            dry = expect(await post(world, "outlets", body, dry_run=True), 200)
            assert (dry["created"], dry["refused"], dry["written"]) == (3, 0, False)
            assert (await world.staff.get("/v1/outlets"))["items"] == []
            made = expect(await post(world, "outlets", body), 200)
            assert (made["created"], made["written"]) == (3, True)
            items = (await world.staff.get("/v1/outlets"))["items"]
            assert [(one["code"], one["kind"], one["store_limit_kg"]) for one in items] == [
                ("ZZ-1", "collecting", 5_000),
                ("ZZ-2", "concentrated", 30_000),
                ("ZZ-3", "collecting", 3_500),
            ]
            assert {one["recycler_id"] for one in items} == {firm["id"]}
            assert all(one["generated"] is False for one in items)
            again = expect(await post(world, "outlets", body), 200)
            assert (again["unchanged"], again["written"]) == (3, False)
            events = await stories.told(world)
            assert sum(one["kind"].startswith("outlet.") for one in events) == 3

    database(scenario)


def test_a_changed_cell_changes_that_field_and_every_fault_names_its_column(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await recycler(world)
            customer = await build.customer(world)
            expect(await post(world, "outlets", file(HEADER, row(store_limit_kg="4000"))), 200)
            change = file(["code", "opening_hours"], ["ZZ-1", "9:00-18:00"])
            made = expect(await post(world, "outlets", change), 200)
            assert made["changed"] == 1
            bad = file(
                HEADER,
                row(store_limit_kg="4500"),
                row(code="ZZ-4", kind="shop", longitude="3"),
                row(code="ZZ-5", recycler="nobody", chemistries="LFP"),
                row(code="ZZ-6", recycler=customer["id"], adcode="419900"),
                row(code="ZZ-7"),
                row(code="ZZ-7"),
            )
            answer = await post(world, "outlets", bad)
            assert answer.status_code == 400
            told = {
                (one["row"], fault["column"], fault["code"])
                for one in answer.json()["extra"]["result"]["outcomes"]
                for fault in one["faults"]
            }
            assert told == {
                (2, "store_limit_kg", "cannot_be_changed"),
                (3, "kind", "unknown_value"),
                (3, "longitude", "out_of_range"),
                (4, "recycler", "unknown_recycler"),
                (4, "chemistries", "wrong_pattern"),
                (5, "recycler", "not_a_recycler"),
                (5, "adcode", "unknown_prefecture"),
                (6, "", "repeated_row"),
                (7, "", "repeated_row"),
            }
            assert len((await world.staff.get("/v1/outlets"))["items"]) == 1

    database(scenario)


def test_what_was_exported_comes_back_unchanged_and_only_staff_and_recyclers_export(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await recycler(world)
            expect(await post(world, "outlets", file(HEADER, row(), row(code="ZZ-2"))), 200)
            prices = [
                ["recycler", "chemistry", "valid_from", "valid_to", "cny_per_kg", "source"],
                [FIRM, "B", "2026-06-01", "2026-07-01", "3.1200", "报价单"],
            ]
            expect(await post(world, "offers", file(*prices)), 200)
            theirs = await world.login(Role.RECYCLER, firm["id"])
            for kind, count in (("outlets", 2), ("offers", 1)):
                exported = await world.staff.ask("GET", f"/v1/exports/{kind}")
                assert exported.status_code == 200
                back = expect(await post(world, kind, exported.content), 200)
                assert (back["unchanged"], back["changed"], back["refused"]) == (count, 0, 0)
                assert (await theirs.ask("GET", f"/v1/exports/{kind}")).content == exported.content
            customer = await build.customer(world)
            tower = await world.login(Role.CUSTOMER, customer["id"])
            for kind in ("outlets", "offers"):
                await tower.refused("GET", f"/v1/exports/{kind}", 403)
            await theirs.refused("GET", "/v1/exports/sites", 403)

    database(scenario)


def test_prices_from_a_file_overlap_with_nothing_and_are_never_written_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await recycler(world)
            header = ["recycler", "chemistry", "disposition", "valid_from", "valid_to",
                      "cny_per_kg", "material_cny_per_kg", "source"]  # fmt: skip
            june = [FIRM, "B", "recycle", "2026-06-01", "2026-07-01", "3.12", "0.4", "报价单 6"]
            july = [FIRM, "B", "再生", "2026-07-01", "", "3.05", "", "报价单 7"]
            first = expect(await post(world, "offers", file(header, june, july)), 200)
            assert (first["created"], first["written"]) == (2, True)
            again = expect(await post(world, "offers", file(header, june, july)), 200)
            assert again["unchanged"] == 2
            bad = file(
                header,
                [*june[:5], "3.13", *june[6:]],
                [FIRM, "B", "recycle", "2026-06-30", "2026-07-01", "3", "0", "x"],
                [FIRM, "E", "recycle", "2026-06-01", "2026-07-01", "9.12345", "0", "x"],
                [FIRM, "E", "recycle", "2026-06-01", "2026-06-01", "9", "0", "x"],
                [FIRM, "C", "recycle", "2026-06-01", "", "2", "0", "x"],
                [FIRM, "C", "recycle", "2026-06-15", "", "2", "0", "x"],
            )
            answer = await post(world, "offers", bad)
            told = {
                (one["row"], fault["column"], fault["code"])
                for one in answer.json()["extra"]["result"]["outcomes"]
                for fault in one["faults"]
            }
            assert told == {
                (2, "cny_per_kg", "cannot_be_changed"),
                (3, "valid_from", "overlaps"),
                (4, "cny_per_kg", "too_many_decimals"),
                (5, "valid_to", "not_after_valid_from"),
                (7, "valid_from", "overlaps"),
            }
            items = (await world.staff.get("/v1/scrap-offers"))["items"]
            assert [(one["cny_per_kg"], one["money_cny_per_kg"]) for one in items] == [
                ("3.1200", "2.7200"),
                ("3.0500", "3.0500"),
            ]

    database(scenario)


# --- On the command line --------------------------------------------------------------------------

Run = Callable[..., Result]


@pytest.fixture
def leasing(dsn: str, own_schema: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command line on a deployment with the generated network and one more recycler."""
    asyncio.run(set_up(dsn, own_schema))
    environment = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "warning",
        "COLUMNS": "200",
    }
    runner = CliRunner()
    yield lambda *words: runner.invoke(main, [str(word) for word in words], env=environment)
    logs.configure("info")


async def set_up(dsn: str, settings: Settings) -> None:
    now = system_now()
    async with await connect(dsn, settings) as db, db.transaction() as tx:
        network = generator.generate(civil_date(now))
        await outlets_store.insert_network(tx, network, midnight(civil_date(now)))
        data = PartyCreate(kind=PartyKind.RECYCLER, name="示例企业", credit_code=FIRM)
        await parties.create(tx, data, by="test", now=now)


def test_a_file_is_tried_imported_and_counted_apart_from_the_generated(
    leasing: Run, tmp_path: Path
) -> None:
    path = tmp_path / "outlets.csv"
    path.write_bytes(file(HEADER, row(recycler="91410100MA9EXABDX5", code="REAL-1")))
    before = leasing("outlets", "coverage")
    assert before.exit_code == 0, before.output
    assert "10,235 of the 10,235 outlets are generated" in before.output
    assert "generated and announced counts agree" in before.output
    tried = leasing("outlets", "import", path, "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "1 created" in tried.output
    assert "nothing was written" in tried.output
    assert leasing("outlets", "import", path).exit_code == 0
    after = leasing("outlets", "coverage", "--json")
    assert '"real_network":{"outlets":1,"prefectures":1,"provinces":1}' in after.output
    assert '"reconciles":true' in after.output
    path.write_bytes(file(HEADER, row(code="REAL-2", kind="shop")))
    refused = leasing("outlets", "import", path, "--errors", tmp_path / "errors.csv")
    assert refused.exit_code == 1
    assert "REAL-2" in refused.output
    assert "kind" in refused.output
    assert "shop" in (tmp_path / "errors.csv").read_text("utf-8-sig")
