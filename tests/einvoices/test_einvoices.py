"""E-invoices drafted, sent as files and answered, by way of the API, the job and the commands."""

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from jobs import einvoices
from leasing.access.model import Role
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.einvoices import model as einvoices_model
from leasing.einvoices import service
from leasing.einvoices.gateway import FileDrop
from leasing.einvoices.model import Dispatch, QuotaExceeded
from schemas.einvoices import EInvoiceCreate
from tests import build
from tests.api.stories import run_job
from tests.billing import steps
from tests.billing.steps import FEBRUARY, JANUARY, MARCH
from tests.build import Json, World, world
from tests.documents.asking import csv_rows, minor
from tests.einvoices.asking import (
    BUYER_CODE,
    ITEM,
    SELLER_CODE,
    Office,
    billed,
    code_of,
    drafted,
    issued,
    prepared,
    put,
    rejected,
)


async def send(world: World, office: Office) -> int:
    return await einvoices.send_all(world.db, FileDrop(office.folder), by="test")


async def read(world: World, office: Office) -> tuple[int, int]:
    return await einvoices.read_all(world.db, FileDrop(office.folder), by="test")


async def the_one(world: World, path: str, **query: str) -> Json:
    (found,) = (await world.staff.get(path, **query))["items"]
    one: Json = found
    return one


async def kinds_of_events(db: Database) -> list[str]:
    async with db.transaction() as tx:
        rows = await tx.fetch(
            "SELECT kind FROM domain_event"
            " WHERE aggregate IN ('einvoice', 'red_letter') ORDER BY id"
        )
    return [row["kind"] for row in rows]


def test_an_invoice_is_drafted_sent_and_issued(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made, packs=3)
            (row,) = await drafted(made, bill["invoice"])
            assert row["outcome"] == "done"
            one = await made.staff.get(f"/v1/einvoices/{row['id']}")
            assert (one["state"], one["kind"], one["has_list"]) == ("drafted", "special", False)
            assert len(one["serial"]) == 20
            office = Office(tmp_path)
            assert await send(made, office) == 1
            (request,) = office.requests()
            assert request["serial"] == one["serial"]
            assert request["type_code"] == "81"
            assert request["action"] == "issue"
            assert request["seller"]["tax_number"] == SELLER_CODE
            assert request["buyer"] == {
                "name": "中国示例铁塔有限公司",
                "tax_number": code_of(BUYER_CODE),
                "address": None,
            }
            assert [line["tax_code"] for line in request["lines"]] == [ITEM["tax_code"]] * 3
            assert minor(request["total"]) == bill["invoice"]["total_amount"]
            assert sum(minor(line["vat"]) for line in request["lines"]) == minor(request["vat"])
            assert bill["invoice"]["number"] in request["remark"]
            assert (await the_one(made, "/v1/einvoices"))["state"] == "submitted"
            office.answer(issued(one["serial"]))
            assert await read(made, office) == (1, 0)
            one = await the_one(made, "/v1/einvoices", state="issued")
            assert one["number"] == "26410000000000000001"
            assert one["issued_at"] == "2026-02-02T01:30:00Z"
            assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
                "answer-001.json"
            ]
            assert await kinds_of_events(db) == [
                "einvoice.drafted",
                "einvoice.submitted",
                "einvoice.issued",
            ]

    database(scenario)


def test_an_invoice_has_one_e_invoice_and_another_when_that_was_rejected(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            (first, second) = await drafted(made, bill["invoice"], bill["invoice"])
            assert first["outcome"] == "done"
            assert second["problem"]["code"] == "einvoiced_already"
            office = Office(tmp_path)
            await send(made, office)
            (request,) = office.requests()
            office.answer(rejected(request["serial"]))
            assert await read(made, office) == (1, 0)
            one = await the_one(made, "/v1/einvoices")
            assert (one["state"], one["rejected_code"]) == ("rejected", "E042")
            assert one["rejected_message"] == "购方税号不存在"
            (again,) = await drafted(made, bill["invoice"])
            assert again["outcome"] == "done"
            other = await made.staff.get(f"/v1/einvoices/{again['id']}")
            assert other["serial"] != one["serial"]

    database(scenario)


def test_what_cannot_be_an_e_invoice_is_refused_row_by_row(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            nobody = await billed(made, code=None)
            unknown = {"id": nobody["customer"]["id"]}
            rows = await drafted(made, nobody["invoice"], unknown)
            assert [row["problem"]["code"] for row in rows] == [
                "not_for_einvoice",
                "invoice_not_found",
            ]
            assert "credit code" in rows[0]["problem"]["detail"]
            (row,) = await drafted(made, nobody["invoice"], kind="ordinary")
            assert row["outcome"] == "done"

    database(scenario)


def test_the_quota_of_the_month_is_kept_also_by_two_who_draft_at_once(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made, quota=50_000)
            bills = []
            for code in (BUYER_CODE, "MA9BUY02", "MA9BUY03"):
                bills.append((await the_invoice(made, code))["invoice"])
            assert {bill["net_amount"] for bill in bills} == {21_000}
            answers = await asyncio.gather(*(drafted(made, bill) for bill in bills))
            outcomes = sorted(row["outcome"] for (row,) in answers)
            assert outcomes == ["done", "done", "refused"]
            (refused,) = [row for (row,) in answers if row["outcome"] == "refused"]
            assert refused["problem"]["code"] == "einvoice_quota_exceeded"
            assert refused["problem"]["extra"]["used"] == 42_000
            quota = await made.staff.get("/v1/einvoice-quotas/2026-02-01")
            assert (quota["amount"], quota["used_amount"]) == (50_000, 42_000)
            await put(made, "/v1/einvoice-quotas/2026-02-01", {"amount": 63_000})
            waiting = [bill for bill, (row,) in zip(bills, answers, strict=True) if row["problem"]]
            assert [row["outcome"] for row in await drafted(made, *waiting)] == ["done"]

    database(scenario)


def test_who_drafts_waits_for_who_drafts_already_and_counts_it(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made, quota=40_000)
            first, second = [
                EInvoiceCreate(invoice_id=UUID((await the_invoice(made, code))["invoice"]["id"]))
                for code in (BUYER_CODE, "MA9BUY02")
            ]

            async def draft() -> None:
                async with db.transaction() as tx:
                    await service.draft(tx, second, by="second", now=await clock.now(tx))

            async with db.transaction() as tx:
                await service.draft(tx, first, by="first", now=await clock.now(tx))
                waiting = asyncio.create_task(draft())
                await steps.waiting_for_a_lock(db)
            with pytest.raises(QuotaExceeded) as refused:
                await waiting
            assert refused.value.extra["used"] == 21_000

    database(scenario)


async def the_invoice(made: World, code: str) -> Json:
    """One more customer that is billed; the clock is in February by then for all but the first."""
    party = {"kind": "customer", "name": f"客户 {code[-2:]}", "credit_code": code_of(code)}
    lessee = await made.staff.post("/v1/parties", party)
    place = await build.site(made, lessee["id"])
    async with made.db.transaction() as tx:
        moved = await tx.fetchval("SELECT now_at FROM clock") < steps.midnight(date(2026, 1, 11))
    if moved:
        await made.set_clock(date(2026, 1, 11))
    _, (line,) = await build.active_contract(
        made, lessee["id"], [build.line_terms(place["id"], rent_amount=31_000)]
    )
    await steps.hand_over(made, line, await build.pack(made), date(2026, 1, 11))
    await run_job(made, "billing", FEBRUARY)
    (invoice,) = await steps.invoices_of(made, lessee)
    return {"customer": lessee, "invoice": invoice}


def test_without_a_quota_nothing_is_drafted(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await made.set_clock(MARCH)
            (row,) = await drafted(made, bill["invoice"])
            assert row["problem"]["code"] == "einvoice_quota_exceeded"
            assert "2026-03" in row["problem"]["detail"]
            refused = await made.staff.refused("GET", "/v1/einvoice-quotas/2026-03-01", 404)
            assert refused["code"] == "einvoice_quota_not_found"
            answer = await made.staff.ask(
                "PUT", "/v1/einvoice-quotas/2026-03-02", json={"amount": 1}
            )
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["pointer"] == "{month}"

    database(scenario)


def test_more_lines_than_are_taken_go_along_as_a_list(database, tmp_path, monkeypatch):
    async def scenario(db: Database) -> None:
        from leasing.einvoices import rules

        monkeypatch.setattr(rules, "MAX_LINES", 2)
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made, packs=3)
            (row,) = await drafted(made, bill["invoice"])
            assert (await made.staff.get(f"/v1/einvoices/{row['id']}"))["has_list"] is True
            office = Office(tmp_path)
            await send(made, office)
            (request,) = office.requests()
            (line,) = request["lines"]
            assert minor(line["net"]) == bill["invoice"]["net_amount"]
            assert minor(line["vat"]) == bill["invoice"]["vat_amount"]
            rows = csv_rows((tmp_path / "out" / request["list_file"]).read_bytes())
            assert len(rows) == 3
            assert sum(minor(one["价税合计"]) for one in rows) == minor(request["total"])

    database(scenario)


def test_a_batch_has_a_hundred_at_most(database, tmp_path, monkeypatch):
    from leasing.einvoices import service

    async def scenario(db: Database) -> None:
        assert einvoices_model.MAX_BATCH == 100
        monkeypatch.setattr(service, "MAX_BATCH", 2)
        async with world(db, JANUARY) as made:
            await prepared(made)
            invoices = [
                (await the_invoice(made, f"MA9BUY1{number}"))["invoice"] for number in range(5)
            ]
            await drafted(made, *invoices)
            office = Office(tmp_path)
            assert await send(made, office) == 5
            sizes = [len(batch["requests"]) for batch in office.batches()]
            assert sizes == [2, 2, 1]
            serials = [request["serial"] for request in office.requests()]
            assert len(set(serials)) == 5
            assert await send(made, office) == 0

    database(scenario)


class Killed(BaseException):
    """As if the process had been killed here."""


class Dying(FileDrop):
    """A folder beside which the process dies, before or after a file is there."""

    def __init__(self, folder: Path, *, after_writing: bool) -> None:
        super().__init__(folder)
        self.after_writing = after_writing

    async def send(self, dispatch: Dispatch) -> None:
        if self.after_writing:
            await super().send(dispatch)
        raise Killed

    async def put_away(self, name: str, *, readable: bool) -> None:
        raise Killed


@pytest.mark.parametrize("after_writing", [False, True])
def test_sending_that_was_killed_sends_the_very_same_again(database, tmp_path, after_writing):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made, packs=2)
            await drafted(made, bill["invoice"])
            office = Office(tmp_path)
            dying = Dying(tmp_path, after_writing=after_writing)
            with pytest.raises(Killed):
                await einvoices.send_all(db, dying, by="test")
            before = [path.read_bytes() for path in (tmp_path / "out").glob("*")]
            assert len(before) == after_writing
            assert (await the_one(made, "/v1/einvoices"))["state"] == "drafted"
            # In between the customer got another name; what was drafted stays.
            async with db.transaction() as tx:
                await tx.execute("UPDATE party SET name = '改名' WHERE kind = 'customer'")
            assert await send(made, office) == 1
            (content,) = [path.read_bytes() for path in (tmp_path / "out").glob("*")]
            assert before in ([], [content])
            assert "改名" not in content.decode()
            assert len(office.requests()) == 1
            assert (await the_one(made, "/v1/einvoices"))["state"] == "submitted"

    database(scenario)


def test_an_answer_that_comes_before_we_know_that_we_sent_is_taken(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await drafted(made, bill["invoice"])
            office = Office(tmp_path)
            with pytest.raises(Killed):
                await einvoices.send_all(db, Dying(tmp_path, after_writing=True), by="test")
            (request,) = office.requests()
            office.answer(issued(request["serial"]))
            assert await read(made, office) == (1, 0)
            assert await send(made, office) == 0
            assert (await the_one(made, "/v1/einvoices"))["state"] == "issued"

    database(scenario)


def test_answers_that_are_read_twice_change_nothing_the_second_time(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await drafted(made, bill["invoice"])
            office = Office(tmp_path)
            await send(made, office)
            (request,) = office.requests()
            office.answer(issued(request["serial"]))
            with pytest.raises(Killed):
                await einvoices.read_all(db, Dying(tmp_path, after_writing=True), by="test")
            before = await the_one(made, "/v1/einvoices")
            assert before["state"] == "issued"
            # The same file again, and the same answer in another file.
            office.answer(issued(request["serial"]), {**issued(request["serial"])})
            assert await read(made, office) == (0, 0)
            assert await the_one(made, "/v1/einvoices") == before
            assert (await kinds_of_events(db)).count("einvoice.issued") == 1
            assert list((tmp_path / "in").iterdir()) == []

    database(scenario)


WRONG: dict[str, Any] = {
    "no JSON": "{",
    "a serial number that was never given": [issued("9" * 20)],
    "a result of another kind": [{"serial": "", "result": "confirmed"}],
    "a number of other length": [{"serial": "", **{**issued(""), "number": "12"}}],
    "an instant without its zone": [{**issued(""), "issued_at": "2026-02-02T09:30:00"}],
    "a field that we do not know": [{**issued(""), "surprise": 1}],
    "one good answer and one bad": [issued(""), issued("9" * 20)],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_read_is_put_aside_whole(database, tmp_path, name):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await drafted(made, bill["invoice"])
            office = Office(tmp_path)
            await send(made, office)
            (request,) = office.requests()
            path = office.answer()
            given = WRONG[name]
            if isinstance(given, list):
                answers = [{**one, "serial": one["serial"] or request["serial"]} for one in given]
                path.write_text(json.dumps(answers))
            else:
                path.write_text(given)
            assert await read(made, office) == (0, 1)
            assert [one.name for one in (tmp_path / "unreadable").iterdir()] == [path.name]
            assert (await the_one(made, "/v1/einvoices"))["state"] == "submitted"

    database(scenario)


def test_an_issued_e_invoice_does_not_become_another(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await drafted(made, bill["invoice"])
            office = Office(tmp_path)
            await send(made, office)
            (request,) = office.requests()
            office.answer(issued(request["serial"], 1))
            await read(made, office)
            for wrong in (issued(request["serial"], 2), rejected(request["serial"])):
                office.answer(wrong)
                assert await read(made, office) == (0, 1)
            one = await the_one(made, "/v1/einvoices")
            assert one["number"] == "26410000000000000001"

    database(scenario)


# --- Red letters ------------------------------------------------------------------------------


async def a_credit(made: World, office: Office) -> Json:
    """An issued e-invoice, and a later document that takes some of it back."""
    await prepared(made)
    bill = await billed(made)
    (row,) = await drafted(made, bill["invoice"])
    await send(made, office)
    (request,) = office.requests()
    office.answer(issued(request["serial"]))
    await read(made, office)
    back = build.returned("2026-01-15")
    await made.staff.post(f"/v1/lines/{bill['lines'][0]['id']}/returns", back)
    await run_job(made, "billing", MARCH)
    _, credit = await steps.invoices_of(made, bill["customer"])
    return {**bill, "blue": row["id"], "credit": credit, "number": request["serial"]}


async def apply(made: World, story: Json) -> Json:
    body = {"credit_note_id": story["credit"]["id"], "reason": "service_ended"}
    path = f"/v1/einvoices/{story['blue']}/red-letters"
    found: Json = await made.staff.post(path, body)
    return found


def test_a_red_letter_is_applied_for_confirmed_and_leads_to_a_red_invoice(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            office = Office(tmp_path)
            story = await a_credit(made, office)
            red = await apply(made, story)
            assert red["state"] == "drafted"
            # The days of January are taken back whole; those that remain are charged anew.
            assert red["net_amount"] == -story["invoice"]["net_amount"]
            assert red["vat_amount"] == -story["invoice"]["vat_amount"]
            assert await send(made, office) == 1
            request = office.requests()[-1]
            assert request["action"] == "apply_red_letter"
            assert request["original_number"] == "26410000000000000001"
            assert request["reason_code"] == "03"
            assert minor(request["total"]) == -story["invoice"]["total_amount"]
            assert (await made.staff.get(f"/v1/red-letters/{red['id']}"))["state"] == "applied"
            confirmed = {"serial": red["serial"], "result": "confirmed", "number": "CONFIRM-1"}
            office.answer(confirmed)
            assert await read(made, office) == (1, 0)
            one = await made.staff.get(f"/v1/red-letters/{red['id']}")
            assert (one["state"], one["confirmation_number"]) == ("confirmed", "CONFIRM-1")
            assert await send(made, office) == 1
            request = office.requests()[-1]
            assert request["action"] == "issue_red"
            assert request["confirmation_number"] == "CONFIRM-1"
            assert request["type_code"] == "81"
            assert request["serial"] != red["serial"]
            office.answer(issued(request["serial"], 2))
            assert await read(made, office) == (1, 0)
            one = await made.staff.get(f"/v1/red-letters/{red['id']}")
            assert one["state"] == "issued"
            assert one["closed_at"] is not None
            found = await the_one(made, "/v1/einvoices", invoice_id=story["credit"]["id"])
            assert (found["state"], found["red_letter_id"]) == ("issued", red["id"])
            assert found["net_amount"] == red["net_amount"]
            own = await made.login(Role.CUSTOMER, story["customer"]["id"])
            assert len((await own.get("/v1/red-letters"))["items"]) == 1
            assert len((await own.get("/v1/einvoices"))["items"]) == 2
            other = await made.login(Role.CUSTOMER, (await build.customer(made, "X"))["id"])
            assert (await other.get("/v1/red-letters"))["items"] == []
            assert (await other.get("/v1/einvoices"))["items"] == []
            await other.refused("GET", f"/v1/einvoices/{story['blue']}", 404)
            await other.refused("GET", f"/v1/red-letters/{red['id']}", 404)

    database(scenario)


@pytest.mark.parametrize("result", ["refused", "lapsed", "revoked"])
def test_a_red_letter_that_came_to_nothing_can_be_applied_for_again(database, tmp_path, result):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            office = Office(tmp_path)
            story = await a_credit(made, office)
            red = await apply(made, story)
            body = {"credit_note_id": story["credit"]["id"], "reason": "wrong"}
            path = f"/v1/einvoices/{story['blue']}/red-letters"
            refused = await made.staff.refused("POST", path, 409, body)
            assert refused["code"] in ("red_lettered_already", "not_for_red_letter")
            await send(made, office)
            office.answer({"serial": red["serial"], "result": result, "message": "否认"})
            assert await read(made, office) == (1, 0)
            one = await made.staff.get(f"/v1/red-letters/{red['id']}")
            assert (one["state"], one["message"]) == (result, "否认")
            assert one["closed_at"] is not None
            again = await apply(made, story)
            assert again["serial"] != red["serial"]
            # It is at its end, whatever comes after.
            office.answer({"serial": red["serial"], "result": "confirmed", "number": "1"})
            assert await read(made, office) == (0, 1)

    database(scenario)


def test_an_application_is_revoked_until_it_is_sent(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            office = Office(tmp_path)
            story = await a_credit(made, office)
            red = await apply(made, story)
            path = f"/v1/red-letters/{red['id']}/revocation"
            assert (await made.staff.post(path))["state"] == "revoked"
            assert await send(made, office) == 0
            refused = await made.staff.refused("POST", path, 409)
            assert refused["code"] == "einvoice_state"
            sent = await apply(made, story)
            assert await send(made, office) == 1
            path = f"/v1/red-letters/{sent['id']}/revocation"
            assert (await made.staff.refused("POST", path, 409))["code"] == "einvoice_state"

    database(scenario)


def test_only_what_was_issued_is_taken_back_and_only_by_what_takes_it_back(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            office = Office(tmp_path)
            story = await a_credit(made, office)
            path = f"/v1/einvoices/{story['blue']}/red-letters"
            itself = {"credit_note_id": story["invoice"]["id"], "reason": "wrong"}
            refused = await made.staff.refused("POST", path, 409, itself)
            assert refused["code"] == "not_for_red_letter"
            nothing = f"/v1/einvoices/{story['customer']['id']}/red-letters"
            await made.staff.refused("POST", nothing, 404, itself)
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE einvoice SET state = 'submitted', number = NULL, issued_at = NULL"
                )
            body = {"credit_note_id": story["credit"]["id"], "reason": "wrong"}
            refused = await made.staff.refused("POST", path, 409, body)
            assert "issued" in refused["detail"]

    database(scenario)


# --- The job and the commands -----------------------------------------------------------------


def test_the_job_reads_and_sends_where_a_folder_is_set(database, tmp_path, dsn):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await prepared(made)
            bill = await billed(made)
            await drafted(made, bill["invoice"])
            await run_job(made, "einvoices", date(2026, 2, 2))
            assert (await the_one(made, "/v1/einvoices"))["state"] == "drafted"
            made.db.settings = replace(db.settings, einvoices=tmp_path)
            await run_job(made, "einvoices", date(2026, 2, 3))
            assert (await the_one(made, "/v1/einvoices"))["state"] == "submitted"
            office = Office(tmp_path)
            (request,) = office.requests()
            office.answer(issued(request["serial"]))
            await run_job(made, "einvoices", date(2026, 2, 4))
            assert (await the_one(made, "/v1/einvoices"))["state"] == "issued"

    database(scenario)


def test_the_commands_draft_a_month_send_it_and_read_the_answers(dsn, own_schema, tmp_path):
    from click.testing import CliRunner

    from jobs.cli import main

    async def story() -> None:
        async with await connect(dsn, own_schema) as db, world(db, JANUARY) as made:
            await prepared(made)
            await billed(made)

    asyncio.run(story())
    environment = {"LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema}

    def command(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["einvoice", *arguments], env=environment)

    first = command("export", str(tmp_path), "--month", "2026-02")
    assert first.exit_code == 0, first.output
    assert "drafted 1, refused 0, sent 1" in first.output
    again = command("export", str(tmp_path), "--month", "2026-02")
    assert "drafted 0, refused 0, sent 0" in again.output
    office = Office(tmp_path)
    (request,) = office.requests()
    office.answer(issued(request["serial"]))
    office.answer(issued("9" * 20, 3))
    second = command("read", str(tmp_path))
    assert "1 answers entered, 1 files unreadable" in second.output
    assert second.exit_code == 1


def test_a_tax_class_is_a_name_in_stars_and_nineteen_digits(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            assert await put(made, "/v1/einvoice-items/rent", ITEM) == {"component": "rent", **ITEM}
            await put(made, "/v1/einvoice-items/rent", {**ITEM, "name": "*租赁*电池"})
            assert await made.staff.get("/v1/einvoice-items") == [
                {"component": "rent", "name": "*租赁*电池", "tax_code": ITEM["tax_code"]}
            ]
            for wrong in ({**ITEM, "name": "电池"}, {**ITEM, "tax_code": "304"}):
                answer = await made.staff.ask("PUT", "/v1/einvoice-items/rent", json=wrong)
                assert answer.status_code == 400

    database(scenario)
