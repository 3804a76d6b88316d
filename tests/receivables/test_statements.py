"""A statement of account as a document: in every form the same, for those who may see it."""

import asyncio
import io
import random
import re
import zipfile
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.documents import pdf, statements
from leasing.documents.model import Firm
from leasing.documents.service import Press
from leasing.documents.statements import Ageing, Entry, StatementDocument
from schemas.documents import DocumentLanguage
from tests import build
from tests.billing import steps as billing
from tests.build import Client, World
from tests.documents.asking import SELLER, csv_rows, minor
from tests.receivables.steps import invoice, pay
from tests.receivables.test_accounts import Hand

ZH, EN = DocumentLanguage.ZH, DocumentLanguage.EN
QUARTER = {"from_on": "2026-02-01", "to_on": "2026-04-30"}


async def an_account(world: World, name: str = "Tower operator") -> str:
    """A customer that owes from before, was billed and credited, paid some, and paid too much."""
    await world.staff.post("/v1/parties", SELLER)
    party = await world.staff.post(
        "/v1/parties", {"kind": "customer", "name": name, "name_en": "Tower operator (EN)"}
    )
    payer: str = party["id"]
    first = await invoice(world, payer, 100_000, date(2026, 2, 9), issued_on=date(2026, 1, 10))
    await invoice(world, payer, -20_000, date(2026, 2, 20), issued_on=date(2026, 2, 20))
    await invoice(world, payer, 70_000, date(2026, 4, 1), issued_on=date(2026, 3, 2))
    await invoice(world, payer, 30_000, date(2026, 5, 5), issued_on=date(2026, 4, 5))
    await invoice(world, payer, 5_000, date(2026, 3, 1), currency="USD")
    named = [{"receivable_id": first, "amount": 60_000}]
    await pay(world, payer, 65_000, "2026-03-05", allocations=named, automatic=False)
    return payer


async def document(client: Client, party_id: str, **query: str) -> httpx.Response:
    path = f"/v1/parties/{party_id}/statement/document"
    answer = await client.ask("GET", path, params={**QUARTER, **query})
    assert answer.status_code == 200, answer.text
    return answer


def test_a_statement_is_a_document_that_says_what_is_open_and_how_late_it_is(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = await an_account(world)
            told = (await document(world.staff, payer)).json()
            assert (told["opening_balance"], told["closing_balance"]) == (100_000, 115_000)
            assert told["sums"] == [
                {"kind": "credit_note", "entries": 1, "amount": -20_000},
                {"kind": "invoice", "entries": 2, "amount": 100_000},
                {"kind": "payment", "entries": 1, "amount": -65_000},
            ]
            assert told["ageing"] == {
                "not_due": 30_000,
                "days_1_30": 70_000,
                "days_31_60": 0,
                "days_61_90": 40_000,
                "days_over_90": 0,
                "unused_credit": -20_000,
                "unused_money": -5_000,
            }
            assert [one["due_on"] for one in told["entries"]] == [
                "2026-02-20", "2026-04-01", None, "2026-05-05",
            ]  # fmt: skip
            assert told["seller"]["name"] == SELLER["name"]
            assert told["customer"]["name"] == "Tower operator"
            # Neither ids nor instants, so that two histories that say the same make the same.
            answer = await document(world.staff, payer)
            assert not re.search(rb"[0-9a-f]{8}-[0-9a-f]{4}-|T\d\d:\d\d", answer.content)
            dollars = (await document(world.staff, payer, currency="USD")).json()
            assert dollars["closing_balance"] == dollars["ageing"]["days_31_60"] == 5_000
            path = f"/v1/parties/{payer}/statement/document?from_on=2026-02-01&to_on=2026-01-01"
            assert (await world.staff.refused("GET", path, 400))["code"] == "bad_days"
            path = f"/v1/parties/{payer}/statement/document?from_on=2026-02-01&to_on=2026-03-01"
            unknown = await world.staff.refused("GET", f"{path}&currency=QQQ", 400)
            assert unknown["code"] == "bad_currency"

    database(scenario)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_forms_of_a_statement_agree_on_its_entries_and_balances(database, language):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = await an_account(world)
            tag = (await document(world.staff, payer)).headers["etag"]
            found: dict[str, Any] = {}
            forms = ("csv", "xlsx", "html")
            answers = [
                await document(world.staff, payer, format=form, language=language) for form in forms
            ]
            assert {answer.headers["etag"] for answer in answers} == {tag}
            sheet, book, page = answers
            labels = {"en": ("Charged", "Settled", "Balance"), "zh": ("应收", "已结", "余额")}
            found["csv"] = [
                tuple(minor(row[label]) if row[label] else 0 for label in labels[language])
                for row in csv_rows(sheet.content)
            ]
            pages = CalamineWorkbook.from_filelike(io.BytesIO(book.content))
            summary, rows = (pages.get_sheet_by_index(at).to_python() for at in (0, 1))
            found["xlsx"] = [tuple(minor(cell or 0) for cell in row[4:]) for row in rows[2:-1]]
            assert (
                found["csv"]
                == found["xlsx"]
                == [
                    (0, 20_000, 80_000),
                    (70_000, 0, 150_000),
                    (0, 65_000, 85_000),
                    (30_000, 0, 115_000),
                ]
            )
            assert [minor(cell) for cell in rows[-1][4:]] == [100_000, 85_000, 115_000]
            closing = {"en": "Closing balance", "zh": "期末余额"}[language]
            (row,) = [row for row in summary if row[0] == closing]
            assert minor(row[2]) == 115_000
            ages = summary[-7:]
            assert [minor(row[2]) for row in ages] == [
                30_000, 70_000, 0, 40_000, 0, -20_000, -5_000,
            ]  # fmt: skip
            assert closing in page.text
            balances = re.findall(r'class="n">([-0-9,.]+)</td></tr>', page.text)
            assert [one.replace(",", "") for one in balances[-6:]] == [
                "1000.00", "800.00", "1500.00", "850.00", "1150.00", "1150.00",
            ]  # fmt: skip
            assert {"en": "Tower operator (EN)"}.get(language, "客户") in page.text

    database(scenario)


def test_formulas_of_a_statement_come_to_its_closing_balance(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = await an_account(world)
            for query in (QUARTER, {"from_on": "2020-01-01", "to_on": "2020-01-31"}):
                book = await document(world.staff, payer, format="xlsx", **query)
                told = (await document(world.staff, payer, **query)).json()
                assert computed(book.content) == told["closing_balance"]

    database(scenario)


def computed(content: bytes) -> int:
    """The closing balance as a spreadsheet finds it, from the formulas of the entries."""
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        text = parts.read("xl/worksheets/sheet2.xml").decode()
    formulas = dict(re.findall(r'<c r="([A-Z]\d+)"[^>]*><f>(.*?)</f>', text))
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(1).to_python()

    def value(cell: str) -> int:
        if cell in formulas:
            return result(formulas[cell])
        column, row = re.fullmatch(r"([A-Z])(\d+)", cell).groups()  # type: ignore[union-attr]
        return minor(rows[int(row) - 1][ord(column) - ord("A")] or 0)

    def result(formula: str) -> int:
        span = re.fullmatch(r"SUM\(([A-Z])(\d+):[A-Z](\d+)\)", formula)
        if span is not None:
            return sum(value(f"{span[1]}{row}") for row in range(int(span[2]), int(span[3]) + 1))
        if formula == "0":
            return 0
        opening, plus, minus = re.fullmatch(r"(\w+)\+(\w+)-(\w+)", formula).groups()  # type: ignore[union-attr]
        return value(opening) + value(plus) - value(minus)

    return result(formulas[max(formulas, key=lambda cell: cell[0])])


def test_a_customer_gets_its_own_statement_in_every_form_and_no_others(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = await an_account(world)
            own = await world.login(Role.CUSTOMER, payer)
            other = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            auditor = await world.login(Role.AUDITOR)
            recycler = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            path = f"/v1/parties/{payer}/statement/document"
            days = "&".join(f"{name}={day}" for name, day in QUARTER.items())
            for form in ("json", "html", "csv", "xlsx", "pdf"):
                theirs = await document(world.staff, payer, format=form)
                for client in (own, auditor):
                    mine = await document(client, payer, format=form)
                    assert mine.headers["etag"] == theirs.headers["etag"]
                    if form != "xlsx":  # which has the instant of its making in it
                        assert mine.content == theirs.content
                await other.refused("GET", f"{path}?{days}&format={form}", 404)
                await recycler.refused("GET", f"{path}?{days}&format={form}", 403)

    database(scenario)


def test_a_statement_is_printed_in_both_languages_and_kept_by_its_content(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = await an_account(world)
            press: Press = world.app.app.alive["press"]
            made = {
                language: (await document(world.staff, payer, format="pdf", language=language))
                for language in ("en", "zh")
            }
            assert all(answer.content.startswith(b"%PDF-") for answer in made.values())
            assert made["en"].content != made["zh"].content
            name = made["en"].headers["content-disposition"]
            assert 'filename="statement-CNY-2026-02-01-2026-04-30.pdf"' in name
            await asyncio.gather(*press.keeping)
            kept = "SELECT count(*) FROM rendered_pdf"
            assert await billing.one(db, kept) == 2
            again = await document(world.staff, payer, format="pdf", language="zh")
            assert again.content == made["zh"].content
            # What comes to be known later of these days makes another document.
            await invoice(world, payer, 100, date(2026, 4, 1), issued_on=date(2026, 3, 1))
            later = await document(world.staff, payer, format="pdf", language="zh")
            assert later.content != made["zh"].content
            await asyncio.gather(*press.keeping)
            assert await billing.one(db, kept) == 3

    database(scenario)


def long_statement(count: int) -> statements.NamedStatement:
    """So many invoices of one yuan, a day apart, all of them open."""
    firm = Firm("一家公司", "A firm", None, None)
    entries = [
        Entry(date(2020, 1, 1) + timedelta(days=at), "invoice", f"INV-{at}", None, 100, 100 * at)
        for at in range(1, count + 1)
    ]
    return statements.named(
        StatementDocument(
            "CNY", 2, date(2020, 1, 2), entries[-1].posted_on, firm, firm, 0,
            statements.sums_of(entries), 100 * count,
            Ageing(100 * count, 0, 0, 0, 0, 0, 0), entries,
        )
    )  # fmt: skip


def test_a_statement_too_long_to_print_shows_its_months_and_says_where_the_rest_is(monkeypatch):
    printer = pdf.Printer()
    face = printer.ready()
    long = long_statement(400)
    whole = printer.set(long, ZH, statements.LAYOUT)
    given = statements.data(long, EN, face)
    assert (len(given["entries"]), given["left_off"]) == (400, None)
    monkeypatch.setattr(pdf, "MAX_LINES", 399)
    given = statements.data(long, EN, face)
    assert given["entries"][0] == ["2020-01", "", "", "", "30.00", "0.00", "30.00"]
    assert given["entries"][-1] == ["2021-02", "", "", "", "4.00", "0.00", "400.00"]
    assert len(given["entries"]) == 14
    assert "XLSX" in given["left_off"]
    assert len(printer.set(long, ZH, statements.LAYOUT)) < len(whole)


@pytest.mark.parametrize(
    "field", ["opening_balance", "closing_balance", "sums", "ageing", "entries"]
)
def test_a_statement_that_contradicts_itself_is_not_shown(field):
    one, more = long_statement(3).document, long_statement(4).document
    values = {name: getattr(one, name) for name in one.__struct_fields__}
    values[field] = 1 if field == "opening_balance" else getattr(more, field)
    with pytest.raises(statements.StatementDoesNotTie):
        statements.named(StatementDocument(**values))


def test_a_payment_that_bounced_the_same_day_is_told_before_it_bounced(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            gone = await pay(world, payer, 300, "2026-03-02")
            reason = {"reason": "no funds", "bounced_on": "2026-03-02"}
            await world.staff.post(f"/v1/payments/{gone['id']}/bounce", reason)
            told = (await document(world.staff, payer)).json()
            assert [(one["kind"], one["balance"]) for one in told["entries"]] == [
                ("payment", -300),
                ("bounced_payment", 0),
            ]

    database(scenario)


def test_a_name_is_no_markup_and_no_formula(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world, '=1<script>alert("x")</script>'))["id"]
            await pay(world, payer, 5, "2026-03-05", reference="@SUM(1)")
            page = await document(world.staff, payer, format="html", language="zh")
            assert "<script" not in page.text
            assert "default-src 'none'" in page.headers["content-security-policy"]
            # Nothing that a browser would fetch, and no style beside the one that is named there.
            assert not re.search(r"(src|href)=|url\(|@import| style=", page.text)
            (row,) = csv_rows((await document(world.staff, payer, format="csv")).content)
            assert row["Number"] == "'@SUM(1)"

    database(scenario)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_was_done_a_statement_of_any_days_adds_up(database, seed):
    """`named` refuses one that does not."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            place = await build.site(world, payer)
            contract, _ = await build.active_contract(world, payer, [build.line_terms(place["id"])])
            chance = random.Random(seed)
            hand = Hand(world, chance, payer, contract["id"])
            for _ in range(40):
                await hand.step()
            shown = 0
            for back in range(0, 160, 20):
                to_on = build.TODAY - timedelta(days=back)
                days = {"from_on": str(to_on - timedelta(days=60)), "to_on": str(to_on)}
                told = (await document(world.staff, payer, **days)).json()
                # Nothing is open the wrong way round.
                ageing = told["ageing"]
                late = [ageing[age] for age in statements.LATE]
                assert min(late) >= 0
                assert max(ageing["unused_credit"], ageing["unused_money"]) <= 0
                shown += len(told["entries"])
            assert shown >= 10

    database(scenario)
