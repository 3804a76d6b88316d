"""A pack's life as a page, as JSON, as an archive that standard tools check; registers; keys."""

import io
import json
import subprocess
import zipfile
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from python_calamine import CalamineWorkbook

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.life_files import rules
from leasing.life_files.words import KINDS
from leasing.traceability import rules as chains
from tests import build
from tests.build import Json, World
from tests.passports.states import declare_all, every_state, go, issue

OPENSSL = (
    "openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in SHA256SUMS"
    " -sigfile SHA256SUMS.sig"
)
CHECKS = (OPENSSL, "sha256sum --check --strict SHA256SUMS")
RECORDS = "cd records && sha256sum --check --strict SHA256SUMS"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, cwd=folder, capture_output=True, text=True, check=False
    )


async def life(world: World, code: str, **query: str) -> Any:
    response = await world.staff.ask("GET", f"/v1/life-files/{code}", params=query)
    assert response.status_code == 200, response.text
    return response


async def unpacked(world: World, code: str, folder: Path) -> None:
    response = await life(world, code, format="zip")
    assert response.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(response.content)).extractall(folder)


def gaps(made: Json) -> list[tuple[str, str | None, str | None]]:
    return [(one["kind"], one["from_on"], one["to_on"]) for one in made["gaps"]]


def test_a_whole_life_stands_in_one_file_with_what_it_rests_on(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            lease = await build.leased_pack(world)
            pack, code = lease["pack"]["id"], lease["pack"]["code"]
            answer = await world.staff.ask(
                "POST",
                f"/v1/packs/{pack}/attachments?filename=note.txt",
                content=b"what was found",
                headers={"content-type": "text/plain"},
            )
            assert answer.status_code == 201, answer.text
            damaged = {"kind": "damaged", "happened_on": "2026-05-02", "description": "lightning"}
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/incidents", damaged)
            await go(world, 4, f"/v1/lines/{lease['line']['id']}", pack)
            made = (await life(world, code)).json()
            assert [one["kind"] for one in made["records"]] == [
                "pack.acquired",
                "pack.commissioned",
                "pack.damaged",
                "pack.returned",
                "pack.inspected",
                "waste.declared",
                "route.chosen",
                "waste.outbound",
                "waste.inbound",
                "recycle.completed",
            ]
            assert made["state"] == "recycled"
            assert made["head_sha256"] == made["records"][-1]["sha256"]
            links = [one["previous_sha256"] for one in made["records"][1:]]
            assert links == [one["sha256"] for one in made["records"][:-1]]
            states = [one["state"] for one in made["custody"]]
            assert states == ["in_stock", "leased", "condemned", "recycled"]
            kinds = {one["kind"] for one in made["evidence"]}
            assert {
                "acceptance",
                "return",
                "inspection",
                "disposition",
                "routing",
                "certificate",
                "incident",
                "attachment",
            } <= kinds
            acceptance = next(one for one in made["evidence"] if one["kind"] == "acceptance")
            assert acceptance["sha256"] == ["ab" * 32]
            for one in made["evidence"]:
                assert (await world.staff.ask("GET", one["href"])).status_code == 200, one
            # Nobody knows what it was before; that is said, and nothing else is missing.
            assert gaps(made) == [("first_life_unknown", None, "2025-01-02")]

    database(scenario)


def test_the_page_is_in_both_languages_links_its_evidence_and_loads_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            code = lease["pack"]["code"]
            english = await life(world, code, format="html")
            chinese = await life(world, code, format="html", language="zh")
            assert english.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in english.headers["content-security-policy"]
            assert "Life of a battery pack" in english.text
            assert "电池包生命档案" in chinese.text
            assert "commissioned" in english.text
            assert "投运" in chinese.text
            for page in (english.text, chinese.text):
                assert code in page
                assert f'href="/v1/lines/{lease["line"]["id"]}"' in page
                assert "<script" not in page
                assert "@media print" in page

    database(scenario)


def test_the_archive_is_checked_with_standard_tools_and_any_change_shows(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            code = lease["pack"]["code"]
            refused = await world.staff.ask(
                "GET", f"/v1/life-files/{code}", params={"format": "zip"}
            )
            assert refused.json()["code"] == "no_signing_key"
            key = await world.staff.post("/v1/signing-keys")
            await unpacked(world, code, tmp_path)
            open_client = world.client("")
            open_client.http.headers.pop("authorization")
            published = await open_client.ask("GET", f"/signing-keys/{key['id']}")
            assert published.text == (tmp_path / "public-key.pem").read_text()
            listed = await open_client.get("/signing-keys")
            assert [one["id"] for one in listed["keys"]] == [key["id"]]
            assert "PRIVATE" not in json.dumps(listed)
            assert (await open_client.ask("GET", f"/signing-keys/{uuid4()}")).status_code == 404

    database(scenario)
    readme = (tmp_path / "README.txt").read_text()
    for command in (*CHECKS, RECORDS):
        assert f"    {command}\n" in readme
        done = shell(command, tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in shell(OPENSSL, tmp_path).stdout
    checked = shell(CHECKS[1], tmp_path).stdout
    assert {"records.jsonl: OK", "life.json: OK", "life.zh.html: OK", "README.txt: OK"} <= set(
        checked.splitlines()
    )
    life_of = json.loads((tmp_path / "life.json").read_text())
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == life_of["records"]
    papers = (tmp_path / "documents.sha256").read_text()
    assert papers.startswith(f"{'ab' * 32}  acceptance 2026-01-11")
    heads = shell("head -qn1 records/*.txt", tmp_path).stdout.splitlines()
    assert heads[1] == f"previous {life_of['records'][0]['sha256']}"

    record = tmp_path / "records" / "0002.txt"
    record.write_text(record.read_text().replace("2026-01-11", "2026-01-10"))
    assert shell(RECORDS, tmp_path).returncode != 0
    assert shell(CHECKS[1], tmp_path).returncode != 0
    sums = tmp_path / "SHA256SUMS"
    sums.write_bytes(
        rules.sums(
            {
                str(one.relative_to(tmp_path)): one.read_bytes()
                for one in tmp_path.rglob("*")
                if one.is_file()
                and one.name not in ("SHA256SUMS.sig", "public-key.pem")
                and one != sums
            }
        )
    )
    assert shell(CHECKS[1], tmp_path).returncode == 0
    assert shell(OPENSSL, tmp_path).returncode != 0


def test_a_newer_key_signs_and_the_older_stays_published(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            keys = [await world.staff.post("/v1/signing-keys") for _ in range(2)]
            await unpacked(world, pack["code"], tmp_path)
            assert keys[1]["public_pem"] == (tmp_path / "public-key.pem").read_text()
            listed = (await world.staff.get("/signing-keys"))["keys"]
            assert [one["id"] for one in listed] == [keys[1]["id"], keys[0]["id"]]

    database(scenario)
    assert shell(OPENSSL, tmp_path).returncode == 0


PRIVATE = "SELECT private_pem FROM signing_key"
PLAIN = """
INSERT INTO signing_key (private_pem, public_pem, created_by, created_at)
VALUES ('-----BEGIN PRIVATE KEY-----', 'public', 'test', now())
"""


def test_a_private_key_is_kept_encrypted_and_signs_with_its_passphrase_alone(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack, knows = await build.pack(world), db.settings

            async def asked(passphrase: str | None) -> tuple[int, str | None]:
                db.settings = msgspec.structs.replace(knows, signing_passphrase=passphrase)
                path = f"/v1/life-files/{pack['code']}"
                answer = await world.staff.ask("GET", path, params={"format": "zip"})
                refused = answer.status_code != 200
                return answer.status_code, answer.json()["code"] if refused else None

            db.settings = msgspec.structs.replace(knows, signing_passphrase=None)
            problem = await world.staff.refused("POST", "/v1/signing-keys", 409)
            assert problem["code"] == "no_signing_passphrase"
            db.settings = knows
            made = await world.staff.post("/v1/signing-keys")
            assert "PRIVATE" not in json.dumps(made)
            assert await asked(knows.signing_passphrase) == (200, None)
            assert await asked("another") == (409, "no_signing_key")
            assert await asked(None) == (409, "no_signing_passphrase")
            async with db.transaction() as tx:
                (kept,) = [row["private_pem"] for row in await tx.fetch(PRIVATE)]
            assert kept.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            with pytest.raises(asyncpg.CheckViolationError) as caught:
                async with db.transaction() as tx:
                    await tx.execute(PLAIN)
            assert caught.value.constraint_name == "signing_key_encrypted"

    database(scenario)


FORGET_DAYS = """
DELETE FROM custody
 WHERE pack_id = $1
   AND state = 'leased'
"""
BACKDATE = """
UPDATE trace_record
   SET happened_on = happened_on - 1
 WHERE pack_id = $1
   AND kind = 'pack.commissioned'
"""
GUARD = "ALTER TABLE trace_record {} TRIGGER trace_record_append_only"


def test_gaps_are_marked_and_never_hidden(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await every_state(world)
            forgotten, changed = packs["returned"], packs["leased"]
            async with db.transaction() as tx:
                await tx.execute(FORGET_DAYS, UUID(forgotten["id"]))
                await tx.execute(GUARD.format("DISABLE"))
                await tx.execute(BACKDATE, UUID(changed["id"]))
                await tx.execute(GUARD.format("ENABLE"))
            found = gaps((await life(world, forgotten["code"])).json())
            assert ("days_unaccounted", "2026-01-11", "2026-06-01") in found
            told = (await life(world, changed["code"])).json()
            found = gaps(told)
            assert ("not_commissioned", "2026-01-11", None) in found
            faults = [one for one in told["gaps"] if one["kind"] == "record_at_fault"]
            # Its own hash is another now; the one after it still names what was written.
            assert len(faults) == 1
            assert faults[0]["detail_en"].startswith("Record 2: pack.commissioned carries")
            page = await life(world, forgotten["code"], format="html", language="zh")
            assert "持有人不明" in page.text
            await world.staff.post("/v1/signing-keys")
            await unpacked(world, changed["code"], tmp_path)

    database(scenario)
    # What is signed is what the table holds, and the record's own hash says that it was changed.
    assert shell(OPENSSL, tmp_path).returncode == 0
    done = shell(RECORDS, tmp_path)
    assert done.returncode != 0
    assert "0002.txt: FAILED" in done.stdout
    assert "0001.txt: OK" in done.stdout


def test_a_step_without_its_paper_is_a_gap():
    def kinds(*steps: str) -> list[str]:
        records = [
            chains.Written(
                uuid4(), UUID(int=1), place, kind, date(2026, 1, place), None, None, None,
                "t", build.midnight(build.TODAY), "{}", None, b"",
            )
            for place, kind in enumerate(steps, start=1)
        ]  # fmt: skip
        return [one.kind for one in rules.step_gaps(records, [])]

    assert kinds("pack.acquired", "pack.returned", "waste.declared") == ["not_inspected"]
    assert kinds("pack.returned", "pack.inspected", "pack.reinstated") == []
    assert kinds("waste.outbound") == ["not_received"]
    assert kinds("waste.outbound", "waste.inbound") == []
    assert kinds("recycle.completed") == ["no_certificate"]


def test_a_code_of_old_leads_to_the_same_life_and_an_unknown_one_to_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            old = build.battery_code()
            pack = await build.pack(world, original_codes=[old])
            made = (await life(world, f" {old.lower()} ")).json()
            assert made["pack_id"] == pack["id"]
            assert {one["value"] for one in made["codes"]} | {
                one["code"] for one in made["made_from"]
            } >= {old, pack["code"]}
            assert gaps(made) == []
            response = await world.staff.ask("GET", "/v1/life-files/NOSUCH")
            assert response.status_code == 404
            assert response.json()["code"] == "code_not_found"

    database(scenario)


def test_every_kind_of_record_has_its_words(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            check = await tx.fetchval(
                """SELECT pg_get_constraintdef(oid) FROM pg_constraint
                    WHERE conname = 'trace_record_kind'
                      AND connamespace = current_schema()::regnamespace"""
            )
        assert {kind for kind in KINDS if f"'{kind}'" in check} == set(KINDS)
        assert check.count("'::text") == len(KINDS)

    database(scenario)


# --- Registers ----------------------------------------------------------------------------------


def test_the_register_of_an_outlet_lists_what_came_and_went_in_a_period(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await every_state(world)
            outlet = (await world.staff.get("/v1/outlets"))["items"][0]
            path = f"/v1/outlets/{outlet['id']}/register"
            period = {"from_on": "2026-06-01", "to_on": "2026-06-16"}
            made = await world.staff.get(path, **period)
            assert (made["packs_in"], made["kg_in"]) == (2, 92)
            assert (made["packs_out"], made["kg_out"]) == (1, 46)
            came = {one["code"] for one in made["entries"] if one["direction"] == "in"}
            assert came == {packs["handed_over"]["code"], packs["recycled"]["code"]}
            (went,) = [one for one in made["entries"] if one["direction"] == "out"]
            assert went["code"] == packs["recycled"]["code"]
            assert went["evidence"].startswith("CERT-")
            assert went["destination"].startswith("Recycler")
            assert went["keep_until"] == "2029-06-15"
            assert all(one["source"] == "Tower operator" for one in made["entries"][:2])
            before = await world.staff.get(path, from_on="2026-06-01", to_on="2026-06-15")
            assert before["entries"] == []

            text = (await world.staff.ask("GET", path, params=period | {"format": "csv"})).text
            lines = text.lstrip("\ufeff").splitlines()
            assert lines[0].startswith("Day,In or out,Pack code,Source,VIN,Kind")
            assert len(lines) == 1 + len(made["entries"])
            book = await world.staff.ask(
                "GET", path, params=period | {"format": "xlsx", "language": "zh"}
            )
            sheet = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).get_sheet_by_index(0)
            table = sheet.to_python()
            assert table[0][2] == "电池包编码"
            assert {row[2] for row in table[1:]} == came
            missing = await world.staff.ask("GET", f"/v1/outlets/{uuid4()}/register", params=period)
            assert missing.status_code == 404

    database(scenario)


def test_what_a_register_is_made_of_cannot_be_deleted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await every_state(world)
            for statement in ("DELETE FROM trace_record", "UPDATE trace_record SET actor = 'x'"):
                with pytest.raises(asyncpg.PostgresError, match="never changed or deleted"):
                    async with db.transaction() as tx:
                        await tx.execute(statement)

    database(scenario)


@pytest.mark.parametrize(
    ("on", "later"), [(date(2026, 6, 15), date(2029, 6, 15)), (date(2028, 2, 29), date(2031, 3, 1))]
)
def test_three_years_after(on, later):
    from leasing.life_files.service import years_after

    assert years_after(on, 3) == later


# --- The regulator ------------------------------------------------------------------------------


def test_a_regulator_reads_lives_registers_and_passports_and_nothing_with_a_price(
    database, tmp_path
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await every_state(world)
            await world.staff.post("/v1/signing-keys")
            pack = packs["leased"]
            await declare_all(world, pack["id"])
            await issue(world, pack["id"])
            regulator = await world.login(Role.REGULATOR)
            for path, query in (
                ("/v1/me", {}),
                (f"/v1/life-files/{pack['code']}", {}),
                (f"/v1/life-files/{pack['code']}", {"format": "html"}),
                (f"/v1/life-files/{pack['code']}", {"format": "zip"}),
                ("/v1/mass-balance", {"from_on": "2026-01-01", "to_on": "2026-06-16"}),
                (f"/v1/packs/{pack['id']}", {}),
                (f"/v1/packs/{pack['id']}/life", {}),
                (f"/v1/packs/{pack['id']}/custody", {}),
                (f"/v1/packs/{pack['id']}/identifiers", {}),
                (f"/v1/packs/{pack['id']}/origins", {}),
                (f"/v1/packs/{pack['id']}/parts", {}),
                (f"/v1/packs/{pack['id']}/capacity-tests", {}),
                (f"/v1/packs/{pack['id']}/passport", {"view": "authority"}),
                ("/v1/packs", {}),
                ("/v1/packs/search", {"q": pack["code"]}),
                ("/v1/parties", {}),
                ("/v1/passports/coverage", {}),
                ("/v1/passport-declarations", {}),
                ("/v1/obligations", {}),
                ("/v1/obligations/calendar", {"month": "2026-06"}),
                ("/v1/obligations/counts", {"month": "2026-06"}),
                (f"/v1/packs/{pack['id']}/obligations", {}),
            ):
                response = await regulator.ask("GET", path, params=query)
                assert response.status_code == 200, (path, response.text)
                assert "amount" not in response.text, path
            outlet = (await world.staff.get("/v1/outlets"))["items"][0]
            period = {"from_on": "2026-06-01", "to_on": "2026-06-16"}
            made = await regulator.get(f"/v1/outlets/{outlet['id']}/register", **period)
            assert made["packs_in"] == 2
            for path in (
                "/v1/contracts",
                "/v1/lines",
                "/v1/invoices",
                "/v1/ledger/trial-balance",
                "/v1/events",
                f"/v1/packs/{pack['id']}/timeline",
            ):
                response = await regulator.ask("GET", path)
                assert response.status_code == 403, path
            response = await regulator.ask("POST", "/v1/signing-keys")
            assert response.status_code == 403

    database(scenario)


COLUMNS = """
SELECT relation.relname AS "table", attribute.attname AS "column",
       format_type(attribute.atttypid, NULL) AS type
  FROM pg_class AS relation
  JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attnum > 0
 WHERE relnamespace = current_schema()::regnamespace
   AND relkind IN ('r', 'p')
   AND NOT attisdropped
   AND has_column_privilege('leasing_regulator', relation.oid, attnum, 'SELECT')
 ORDER BY 1, 2
"""
LOOSE = {"trace_record.data", "health_check.evidence", "passport_declaration.data"}
"""Columns of any shape that a regulator reads. What stands in records another test looks at."""
MONEY = ("amount", "price", "rent", "fee", "currency", "cny", "vat", "digest", "private", "secret")


def test_the_regulator_s_role_has_no_column_with_money_below_the_code(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            rows = await tx.fetch(COLUMNS)
        assert len(rows) > 100
        for row in rows:
            name = f"{row['table']}.{row['column']}"
            words = set(row["column"].split("_"))
            assert not words & set(MONEY), name
            assert name in LOOSE or not row["type"].startswith("json"), name
        readable = {row["table"] for row in rows}
        assert not readable & {
            "contract", "line_revision", "charge", "invoice", "posting", "payment", "fee",
            "price_plan", "quote", "scrap_offer", "domain_event", "api_key", "signing_key",
            "attachment_content", "note", "contact",
        }  # fmt: skip

    database(scenario)


KEYS = """
SELECT DISTINCT key
  FROM trace_record
 CROSS JOIN LATERAL json_object_keys(data) AS key
"""


def test_no_record_of_a_pack_s_life_tells_an_amount(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await every_state(world)
            async with db.transaction() as tx:
                keys = {row["key"] for row in await tx.fetch(KEYS)}
            assert len(keys) > 10
            assert not {word for key in keys for word in key.split("_")} & set(MONEY), keys

    database(scenario)


def test_the_private_half_of_a_key_is_read_by_no_role(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            for role in ("customer", "recycler", "auditor", "regulator"):
                assert not await tx.fetchval(
                    "SELECT has_table_privilege($1, 'signing_key', 'SELECT')", f"leasing_{role}"
                )

    database(scenario)
