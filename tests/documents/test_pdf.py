"""Invoices as PDF: printed once, kept, and refused with a reason where nothing can print them."""

import asyncio
import builtins
from typing import Any

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.documents import pdf, rules
from leasing.documents.model import NoChineseFont, NoTypst, PrinterBusy
from leasing.documents.service import Press
from leasing.kit.time import system_now
from schemas.documents import DocumentLanguage
from tests import build
from tests.api.stories import run_job
from tests.billing import steps
from tests.billing.steps import FEBRUARY, JANUARY
from tests.build import World, world
from tests.documents.asking import a_bill, document, load

ZH, EN = DocumentLanguage.ZH, DocumentLanguage.EN


@pytest.fixture(scope="module")
def printer() -> pdf.Printer:
    """One for all tests of this module, as it is one for all requests. A machine without a Chinese
    font fails here; the README says which package to install."""
    made = pdf.Printer()
    made.ready()
    return made


def press_of(made: World) -> Press:
    press: Press = made.app.app.alive["press"]
    return press


def test_an_invoice_is_printed_in_both_languages_and_kept(database, printer):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            press = press_of(made)
            press.printer = printer
            own = await made.login(Role.CUSTOMER, bill["customer"]["id"])
            first = {}
            for language in ("zh", "en"):
                answer = await document(own, bill["invoice"], format="pdf", language=language)
                assert answer.headers["content-type"] == "application/pdf"
                assert answer.content.startswith(b"%PDF-")
                assert 'filename="INV-2026-000001.pdf"' in answer.headers["content-disposition"]
                first[language] = answer.content
            assert first["zh"] != first["en"]
            await asyncio.gather(*press.keeping)
            assert await steps.one(db, "SELECT count(*) FROM rendered_pdf") == 2
            # From now on nothing is printed: another press without any font gives the same bytes.
            printed = press.printer.print
            press.printer.print = refuse  # type: ignore[method-assign]
            try:
                for language, content in first.items():
                    again = await document(
                        made.staff, bill["invoice"], format="pdf", language=language
                    )
                    assert again.content == content
            finally:
                press.printer.print = printed  # type: ignore[method-assign]
            other = await made.login(Role.CUSTOMER, (await build.customer(made, "X"))["id"])
            path = f"/v1/invoices/{bill['invoice']['id']}/document?format=pdf"
            await other.refused("GET", path, 404)

    database(scenario)


async def refuse(*_: object) -> bytes:
    raise AssertionError("it was printed before")


def test_the_same_document_makes_the_same_bytes_and_another_one_others(database, printer):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [20, 30])
        await steps.bill(db)
        ids = [row["id"] for row in await every_invoice(db)]
        twenty, thirty = [await load(db, one) for one in ids]
        assert twenty.document.line_count == 20
        content = printer.set(twenty, ZH, pdf.INVOICE)
        assert printer.set(thirty, ZH, pdf.INVOICE) != content
        assert printer.set(twenty, ZH, pdf.INVOICE) == content

    database(scenario)


async def every_invoice(db: Database) -> list[Any]:
    async with db.transaction(read_only=True) as tx:
        return await tx.fetch("SELECT id FROM invoice ORDER BY number")


def test_everything_that_is_printed_is_said_in_the_language_that_was_asked_for(database, printer):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [3])
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        face = printer.ready()
        english, chinese = (pdf.data(named, one, face) for one in (EN, ZH))
        assert english["title"] == "Invoice"
        assert chinese["title"] == "账单"
        assert [city["title"] for city in english["annex"]] == ["Customer 1 · Henan · Zhengzhou"]
        assert [city["title"] for city in chinese["annex"]] == ["Customer 1 · 河南省 · 郑州市"]
        sums = named.document.sums
        wanted = [f"{amount / 100:,.2f}" for amount in (sums.net_amount, sums.vat_amount)]
        for one in (english, chinese):
            assert one["total"][1:3] == wanted
            assert one["in_words"] == named.document.total_in_words
            (city,) = one["annex"]
            lines = [line for site in city["sites"] for line in site["lines"]]
            assert len(lines) == 3
            assert {len(line) for line in lines} == {len(pdf.ANNEX)}

    database(scenario)


def test_an_annex_too_long_to_print_is_left_to_the_sheets_and_said_so(
    database, printer, monkeypatch
):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [40])
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        face = printer.ready()
        whole = printer.set(named, EN, pdf.INVOICE)
        monkeypatch.setattr(pdf, "MAX_LINES", 39)
        given = pdf.data(named, EN, face)
        assert given["annex"] is None
        assert "XLSX" in given["left_off"]
        assert given["summary"][0]["cells"][1] == "40"
        assert len(printer.set(named, EN, pdf.INVOICE)) < len(whole)

    database(scenario)


class Font:
    def __init__(self, family: str, weight: int) -> None:
        self.family = family
        self.weight = weight


def test_the_best_chinese_font_is_chosen_and_without_one_the_package_is_named():
    latin = [Font("DejaVu Sans", 400), Font("Libertinus Serif", 700)]
    wenquanyi = Font("WenQuanYi Micro Hei", 400)
    noto = [Font("Noto Sans CJK SC", 400), Font("Noto Sans CJK SC", 700)]
    assert pdf.chosen([*latin, wenquanyi]) == pdf.Face("WenQuanYi Micro Hei", has_bold=False)  # type: ignore[list-item]
    assert pdf.chosen([wenquanyi, *noto]) == pdf.Face("Noto Sans CJK SC", has_bold=True)  # type: ignore[list-item]
    with pytest.raises(NoChineseFont, match=r"fonts-noto-cjk.*LEASING_FONTS"):
        pdf.chosen(latin)  # type: ignore[arg-type]


def test_without_a_font_or_a_compiler_the_answer_says_what_to_install(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            path = f"/v1/invoices/{bill['invoice']['id']}/document?format=pdf"
            monkeypatch.setattr(pdf, "FAMILIES", ("No Such Font",))
            refused = await made.staff.refused("GET", path, 503)
            assert refused["code"] == "chinese_font_missing"
            assert "fonts-wqy-microhei" in refused["detail"]
            found = builtins.__import__

            def without(name: str, *arguments: Any, **named: Any) -> Any:
                if name == "typst":
                    raise ImportError(name)
                return found(name, *arguments, **named)

            monkeypatch.setattr(builtins, "__import__", without)
            refused = await made.staff.refused("GET", path, 503)
            assert refused["code"] == "pdf_not_installed"
            assert "battery-leasing[pdf]" in refused["detail"]
            with pytest.raises(NoTypst):
                pdf.Printer().ready()
            # The other forms need neither.
            await document(made.staff, bill["invoice"], format="html")

    database(scenario)


def test_who_comes_while_too_many_wait_is_told_to_come_back(database, printer):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [2])
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        asked = [printer.print(named, EN) for _ in range(pdf.MAX_WAITING + 3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in answers if isinstance(one, PrinterBusy)]
        assert len(refused) == 2
        assert refused[0].retry_after_s == 5
        assert printer.waiting == 0
        assert len({one for one in answers if isinstance(one, bytes)}) == 1

    database(scenario)


def test_other_requests_are_answered_while_a_long_pdf_is_printed(database, printer):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [600])
        await steps.bill(db)
        named = await load(db, await steps.one(db, "SELECT id FROM invoice"))
        loop = asyncio.get_running_loop()
        printing = asyncio.create_task(printer.print(named, ZH))
        began, longest, turns = loop.time(), 0.0, 0
        while not printing.done():
            before = loop.time()
            await asyncio.sleep(0.002)
            longest, turns = max(longest, loop.time() - before), turns + 1
        whole = loop.time() - began
        assert (await printing).startswith(b"%PDF-")
        # The loop went round all the time, and never stood still for most of it.
        assert turns > 10
        assert longest < whole / 2

    database(scenario)


def test_old_pdfs_are_dropped_and_documents_are_not(database, printer):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            press_of(made).printer = printer
            await document(made.staff, bill["invoice"], format="pdf")
            await asyncio.gather(*press_of(made).keeping)
            await run_job(made, "documents", FEBRUARY)
            assert await steps.one(db, "SELECT count(*) FROM rendered_pdf") == 1
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE rendered_pdf SET created_at = $1::timestamptz - interval '31 days'",
                    system_now(),
                )
            await run_job(made, "documents", FEBRUARY)
            assert await steps.one(db, "SELECT count(*) FROM rendered_pdf") == 0
            assert await steps.one(db, "SELECT count(*) FROM invoice_document") == 1
            # Made of what was archived, the same again.
            named = await load(db, bill["invoice"]["id"])
            assert rules.named(named.document) == named

    database(scenario)
