"""An invoice as a document: through the API, in every form, for those who may see it."""

import hashlib
import io
import re
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from python_calamine import CalamineWorkbook

from leasing.access.model import Role
from leasing.db import clock
from leasing.db.pool import Actor, Database, DbRole
from leasing.documents import rules, service, store
from leasing.documents.numerals import capital
from leasing.kit.time import midnight
from schemas.documents import DocumentFormat, DocumentLanguage
from tests import build, fleet
from tests.api.stories import run_job
from tests.billing import steps
from tests.billing.steps import FEBRUARY, JANUARY, MARCH
from tests.build import World, world
from tests.documents.asking import SELLER, a_bill, csv_rows, document, load, minor


def test_an_invoice_is_printed_with_both_firms_its_days_and_its_total_in_words(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            found = (await document(made.staff, bill["invoice"])).json()
            assert found["number"] == "INV-2026-000001"
            assert found["kind"] == "invoice"
            # The last day is printed, not the one after it.
            assert (found["first_on"], found["last_on"]) == ("2026-01-01", "2026-01-31")
            assert found["seller"]["name"] == SELLER["name"]
            assert found["seller"]["name_en"] == SELLER["name_en"]
            assert found["buyer"]["name"] == "Tower operator"
            assert found["vat"] == [{"percent": "13.00", "net_amount": 21_000, "vat_amount": 2730}]
            assert found["sums"]["total_amount"] == 23_730
            assert found["total_in_words"] == "贰佰叁拾柒圆叁角整"
            (operator,) = found["operators"]
            (province,) = operator["provinces"]
            (city,) = province["cities"]
            (site,) = city["sites"]
            (line,) = site["lines"]
            assert [province["name"], city["name"]] == ["河南省", "郑州市"]
            assert [province["name_en"], city["name_en"]] == ["Henan", "Zhengzhou"]
            assert site["code"] == bill["site"]["code"]
            assert line["pack_code"] == bill["pack"]["code"]
            assert (line["first_on"], line["last_on"]) == ("2026-01-11", "2026-01-31")
            assert (line["days"], line["period_days"], line["price_amount"]) == (21, 31, 31_000)

    database(scenario)


def test_two_histories_that_say_the_same_make_the_same_document(database):
    async def scenario(db: Database) -> list[bytes]:
        await steps.lease_out(db, [7, 5])
        await steps.bill(db)
        async with db.transaction(read_only=True) as tx:
            ids = await tx.fetch("SELECT id FROM invoice ORDER BY number")
        named = [await load(db, row["id"]) for row in ids]
        assert [one.document.line_count for one in named] == [7, 5]
        for one in named:
            assert one.sha256 == hashlib.sha256(one.content).hexdigest()
            # Neither ids nor instants.
            assert not re.search(rb"[0-9a-f]{8}-[0-9a-f]{4}-|T\d\d:\d\d", one.content)
        return [one.content for one in named]

    first = database(scenario)
    assert first == database(scenario)
    assert first[0] != first[1]


def parts_of(book: bytes, *names: str) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        return [parts.read(f"xl/worksheets/{name}.xml").decode() for name in names]


def added_up(formula: str, annex: list[list[Any]]) -> int:
    """What a spreadsheet would find for SUM(U2:U8), on this sheet or from the other."""
    found = re.fullmatch(r"SUM\((?:'.*'!)?([A-Z])(\d+):([A-Z])(\d+)\)", formula)
    assert found is not None
    assert found[1] == found[3]
    column = ord(found[1]) - ord("A")
    return sum(minor(row[column]) for row in annex[int(found[2]) - 1 : int(found[4])])


async def totals(made: World, invoice: Any, language: str) -> dict[str, tuple[int, int, int]]:
    """Net, VAT and total as the lines of each form say."""
    found = (await document(made.staff, invoice)).json()
    lines = every_line(found)
    net, vat = (sum(line[name] for line in lines) for name in ("net_amount", "vat_amount"))
    answers = {"invoice": (invoice["net_amount"], invoice["vat_amount"], invoice["total_amount"])}
    answers["json"] = (net, vat, net + vat)
    labels = {"en": ("Net", "VAT", "Total"), "zh": ("不含税金额", "税额", "价税合计")}[language]
    sheet = await document(made.staff, invoice, format="csv", language=language)
    rows = csv_rows(sheet.content)
    answers["csv"] = tuple(sum(minor(row[label]) for row in rows) for label in labels)
    book = await document(made.staff, invoice, format="xlsx", language=language)
    pages = CalamineWorkbook.from_filelike(io.BytesIO(book.content))
    annex = pages.get_sheet_by_index(1).to_python()
    places = [annex[0].index(label) for label in labels]
    body = annex[1:-1]
    answers["xlsx"] = tuple(sum(minor(row[at]) for row in body) for at in places)
    formulas = re.findall(r"<f>(.*?)</f>", "".join(parts_of(book.content, "sheet1", "sheet2")))
    assert len(formulas) == 6
    answers["xlsx summary's formulas"] = tuple(added_up(one, annex) for one in formulas[:3])
    answers["xlsx annex's formulas"] = tuple(added_up(one, annex) for one in formulas[3:])
    answers["xlsx total"] = tuple(minor(annex[-1][at]) for at in places)
    summary = pages.get_sheet_by_index(0).to_python()
    (total_row,) = [row for row in summary if row[0] in ("Total", "合计")]
    answers["xlsx summary"] = tuple(minor(cell) for cell in total_row[2:5])
    page = (await document(made.staff, invoice, format="html", language=language)).text
    (foot,) = re.findall(r"<tfoot>(.*?)</tfoot>", page, re.DOTALL)
    numbers = re.findall(r'class="n">([-0-9,.]+)<', foot)
    answers["html"] = tuple(minor(number.replace(",", "")) for number in numbers)
    return answers


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("mode", ["exclusive", "inclusive"])
def test_all_forms_of_an_invoice_agree_on_its_totals(database, mode, language):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await made.staff.post("/v1/parties", SELLER)
            lessee = await build.customer(made, "中国示例铁塔有限公司")
            places = [
                await build.site(made, lessee["id"], adcode=adcode, name=name)
                for adcode, name in (("410100", "=一号站"), ("410200", "二号站"), ("110000", "@"))
            ]
            terms = [
                build.line_terms(places[number % 3]["id"], slot=number + 1, rent_amount=33_333)
                for number in range(7)
            ]
            await made.set_clock(date(2026, 1, 20))
            _, lines = await build.active_contract(made, lessee["id"], terms, vat_mode=mode)
            for number, line in enumerate(lines):
                pack = await build.pack(made)
                await steps.hand_over(made, line, pack, date(2026, 1, 3 + number))
            await run_job(made, "billing", FEBRUARY)
            (invoice,) = await steps.invoices_of(made, lessee)
            answers = await totals(made, invoice, language)
            assert len(answers) == 9
            assert set(answers.values()) == {answers["invoice"]}, answers

    database(scenario)


def test_what_is_taken_back_names_the_invoice_it_was_on(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            # It went back in January already, which is entered in February.
            back = build.returned("2026-01-15")
            await made.staff.post(f"/v1/lines/{bill['line']['id']}/returns", back)
            await run_job(made, "billing", MARCH)
            _, credit = await steps.invoices_of(made, bill["customer"])
            found = (await document(made.staff, credit)).json()
            assert found["kind"] == "credit_note"
            assert found["due_on"] is None
            assert found["credits"] == bill["invoice"]["number"]
            assert found["sums"]["total_amount"] < 0
            assert found["total_in_words"] == capital(found["sums"]["total_amount"])
            assert found["total_in_words"].startswith("负")
            rows = csv_rows((await document(made.staff, credit, format="csv")).content)
            assert {(row["Takes back"], row["Net"]) for row in rows} == {
                (bill["invoice"]["number"], "-210.00"),
                ("", "40.00"),
            }
            page = (await document(made.staff, credit, format="html", language="zh")).text
            assert "付款到期日" not in page
            assert "贷项通知单" in page
            assert f"冲减 {bill['invoice']['number']}" in page

    database(scenario)


async def three_cities(made: World, mode: str) -> Any:
    """The invoice of seven lines in three cities, each of another number of days."""
    await made.staff.post("/v1/parties", SELLER)
    lessee = await build.customer(made, "中国示例铁塔有限公司")
    places = [
        await build.site(made, lessee["id"], adcode=adcode)
        for adcode in ("410100", "410200", "110000")
    ]
    terms = [
        build.line_terms(places[number % 3]["id"], slot=number + 1, rent_amount=33_333)
        for number in range(7)
    ]
    await made.set_clock(date(2026, 1, 20))
    _, lines = await build.active_contract(made, lessee["id"], terms, vat_mode=mode)
    for number, line in enumerate(lines):
        await steps.hand_over(made, line, await build.pack(made), date(2026, 1, 3 + number))
    await run_job(made, "billing", FEBRUARY)
    (invoice,) = await steps.invoices_of(made, lessee)
    return invoice


def mirrored(value: Any) -> Any:
    """A document with every amount the other way round."""
    if isinstance(value, list):
        return [mirrored(one) for one in value]
    if isinstance(value, dict):
        return {
            name: -one if name in ("amount", "net_amount", "vat_amount", "total_amount")
            else mirrored(one)
            for name, one in value.items()
        }  # fmt: skip
    return value


@pytest.mark.parametrize("mode", ["exclusive", "inclusive"])
def test_the_document_of_a_credit_note_mirrors_that_of_its_invoice_line_by_line(database, mode):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            invoice = await three_cities(made, mode)
            why = {"reason": "made out to the wrong company"}
            note = await made.staff.post(f"/v1/invoices/{invoice['id']}/credit-notes", why)
            one, other = [(await document(made.staff, of)).json() for of in (invoice, note)]
            for placed in every_line(other):
                assert placed.pop("takes_back") == invoice["number"]
            for placed in every_line(one):
                assert placed.pop("takes_back") is None
            assert other["credits"] == invoice["number"]
            for part in ("operators", "vat", "sums"):
                assert other[part] == mirrored(one[part]), part
            assert other["total_in_words"] == "负" + one["total_in_words"]

    database(scenario)


def every_line(found: Any) -> list[Any]:
    return [
        line
        for operator in found["operators"]
        for province in operator["provinces"]
        for city in province["cities"]
        for site in city["sites"]
        for line in site["lines"]
    ]


def test_every_city_of_the_summary_leads_to_its_lines(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            invoice = await three_cities(made, "exclusive")
            page = (await document(made.staff, invoice, format="html", language="zh")).text
            links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', page)
            assert [city for _, city in links] == ["北京市", "郑州市", "开封市"]
            for place, city in links:
                (section,) = re.findall(f'id="{place}">(.*?)</section>', page, re.DOTALL)
                assert f"· {city}</h3>" in section
                lines = {"北京市": 2, "郑州市": 3, "开封市": 2}[city]
                assert section.count("2026-01-31") == lines

    database(scenario)


FORMS = ("json", "html", "csv", "xlsx")


def test_a_customer_gets_its_own_documents_as_staff_does_and_no_others(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            own = await made.login(Role.CUSTOMER, bill["customer"]["id"])
            other = await made.login(
                Role.CUSTOMER, (await build.customer(made, "Somebody else"))["id"]
            )
            # The pack has left: row-level security hides it now, and yet it is on the invoice.
            await made.staff.post(
                f"/v1/lines/{bill['line']['id']}/returns", build.returned("2026-02-01")
            )
            path = f"/v1/invoices/{bill['invoice']['id']}/document"
            for form in FORMS:
                mine = await document(own, bill["invoice"], format=form)
                theirs = await document(made.staff, bill["invoice"], format=form)
                assert mine.headers["etag"] == theirs.headers["etag"]
                if form != "xlsx":  # which has the instant of its making in it
                    assert mine.content == theirs.content
                refused = await other.refused("GET", f"{path}?format={form}", 404)
                assert refused["code"] == "invoice_not_found"
            # And nothing else became visible by it.
            assert (await own.get("/v1/packs"))["items"] == []

    database(scenario)


def test_reading_a_document_leaves_the_transaction_in_the_role_it_was_in(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            actor = Actor(DbRole.CUSTOMER, UUID(bill["customer"]["id"]))
            async with db.transaction(actor, read_only=True) as tx:
                await store.load(tx, UUID(bill["invoice"]["id"]))
                assert await tx.fetchval("SELECT current_user") == "leasing_customer"
            async with db.transaction(read_only=True) as tx:
                lessor = await tx.fetchval("SELECT current_user")
                await store.load(tx, UUID(bill["invoice"]["id"]))
                assert await tx.fetchval("SELECT current_user") == lessor

    database(scenario)


def test_a_draft_is_no_document(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            async with db.transaction() as tx:
                run_id = await tx.fetchval("SELECT id FROM billing_run")
                draft = await tx.fetchval(
                    "INSERT INTO invoice (run_id, buyer_id, currency, period)"
                    " VALUES ($1, $2, 'EUR', '[2026-01-01,2026-02-01)') RETURNING id",
                    run_id,
                    bill["customer"]["id"],
                )
            refused = await made.staff.refused("GET", f"/v1/invoices/{draft}/document", 409)
            assert refused["code"] == "invoice_not_issued"
            own = await made.login(Role.CUSTOMER, bill["customer"]["id"])
            await own.refused("GET", f"/v1/invoices/{draft}/document", 404)

    database(scenario)


def test_what_was_archived_is_printed_whatever_is_called_otherwise_since(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            before = await document(made.staff, bill["invoice"])
            await run_job(made, "documents", date(2026, 2, 2))
            await made.staff.ask(
                "PATCH",
                f"/v1/parties/{bill['customer']['id']}",
                json={"name": "改名后的公司"},
                headers={"if-match": '"v1"'},
            )
            after = await document(made.staff, bill["invoice"])
            assert after.content == before.content
            async with db.transaction() as tx:
                assert await tx.fetchval("SELECT count(*) FROM invoice_document") == 1
                events = "SELECT count(*) FROM domain_event WHERE kind = 'invoice.archived'"
                assert await tx.fetchval(events) == 1
            # Again is the same as once.
            await run_job(made, "documents", date(2026, 2, 3))
            async with db.transaction() as tx:
                assert await tx.fetchval(events) == 1

    database(scenario)


def test_a_name_is_no_formula_and_no_markup(database):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            await made.staff.post("/v1/parties", SELLER)
            lessee = await build.customer(made, '=1+1<script>alert("x")</script>')
            place = await build.site(made, lessee["id"], name="+2&<b>")
            _, (line,) = await build.active_contract(
                made, lessee["id"], [build.line_terms(place["id"])]
            )
            await steps.hand_over(made, line, await build.pack(made), JANUARY)
            await run_job(made, "billing", FEBRUARY)
            (invoice,) = await steps.invoices_of(made, lessee)
            answer = await document(made.staff, invoice, format="html")
            assert "<script" not in answer.text
            assert "&lt;script&gt;" in answer.text
            assert "script-src" not in answer.headers["content-security-policy"]
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            # No address of anything that a browser would fetch.
            assert not re.search(r"src=|href=\"[^#]|url\(|@import", answer.text)
            (row,) = csv_rows((await document(made.staff, invoice, format="csv")).content)
            assert row["Operator"].startswith("'=")
            assert row["Site"].startswith("'+")

    database(scenario)


FORGET_PEAK = Path("/proc/self/clear_refs")


@pytest.mark.slow
@pytest.mark.skipif(not FORGET_PEAK.exists(), reason="only Linux tells a process's own peak")
def test_twenty_thousand_lines_are_one_document_within_bounded_memory(database):
    async def scenario(db: Database) -> None:
        await lease_out_many(db)
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        assert named.document.line_count == 20_000
        assert sum(1 for _ in rules.lines_of(named.document)) == 20_000
        # Beside what was there before, the file among it: a workbook is spilt to disk row by row.
        bounds = {"csv": 60, "xlsx": 60, "html": 120, "ubl": 120}
        for form, bound in bounds.items():
            forget_peak()
            before = memory_mb("VmRSS")
            content = await service.render(named, DocumentFormat(form), DocumentLanguage.ZH)
            assert memory_mb("VmHWM") - before < bound, form
            assert len(content) > 500_000

    database(scenario)


async def lease_out_many(db: Database) -> None:
    """A customer with 20,000 packs, a lessor, and as much time to enter them as it takes."""
    at = midnight(JANUARY) + build.NOON
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        await clock.make_sandbox(tx, at)
        await fleet.lease_out(tx, [20_000], JANUARY, entered_at=at)
        await tx.execute(
            "INSERT INTO party (kind, name, credit_code, created_at)"
            " VALUES ('lessor', '出租方', '91410100MA9EXABE85', $1)",
            at,
        )
        await clock.move(tx, midnight(FEBRUARY) + build.NOON)


def forget_peak() -> None:
    FORGET_PEAK.write_text("5")


def memory_mb(name: str) -> float:
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    ]
    return int(line.split()[1]) / 1024


def test_a_document_is_read_back_as_it_was_written(database):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [3])
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        assert rules.read(named.content) == named
        assert msgspec.json.encode(rules.read(named.content).document) == named.content
        assert named.document.vat[0].percent == Decimal("13.00")

    database(scenario)
