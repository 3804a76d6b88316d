"""Invoices as files: a PDF of twenty lines against a bare table of the same cells, a workbook of
twenty thousand against the bare writer.

Documents are made up here; how long the tables take to read is not in it.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
import xlsxwriter

from bench.result import Result, shown
from leasing.documents import pages, rules, sheets, ubl
from leasing.documents.model import Firm, InvoiceDocument, Line, Named, Place, Sums, Vat
from leasing.documents.numerals import capital
from leasing.documents.pdf import INVOICE, MAX_LINES, Face, Printer, data
from leasing.documents.words import words_of
from leasing.kit.money import percent_of
from schemas.billing import Component
from schemas.contracts import VatMode
from schemas.documents import DocumentKind, DocumentLanguage

PROMISED_MS = 30.0
MOST_TIMES_TABLE = 2.5
MOST_TIMES_BARE = 2.0

LANGUAGE = DocumentLanguage.ZH
CITIES = (
    ("410000", "河南省", "Henan", "410100", "郑州市", "Zhengzhou"),
    ("410000", "河南省", "Henan", "410200", "开封市", "Kaifeng"),
    ("440000", "广东省", "Guangdong", "440300", "深圳市", "Shenzhen"),
)


def made_up(lines: int, number: int = 1) -> Named:
    """An invoice of so many packs at sites of ten."""
    rent = Decimal("13.00")
    placed = [
        (
            Place(
                "示例铁塔有限公司",
                "Example Tower",
                *CITIES[nth // 10 % 3],
                f"S-{nth // 10:05}",
                "高新区站",
            ),
            Line(
                slot=nth % 10 + 1,
                contract="C-2026-001",
                component=Component.RENT,
                first_on=date(2026, 1, 1 + nth % 28),
                last_on=date(2026, 1, 31),
                days=31 - nth % 28,
                period_days=31,
                price_amount=31_000,
                pack_code=f"0EYPB51EXAMPLEBC{number:03}{nth:05}",
                quantity=None,
                unit_price=None,
                amount=(31 - nth % 28) * 1000,
                vat_mode=VatMode.EXCLUSIVE,
                vat_percent=rent,
                net_amount=0,
                vat_amount=0,
                takes_back=None,
            ),
        )
        for nth in range(lines)
    ]
    net = sum(line.amount for _, line in placed)
    vat = [Vat(rent, net, percent_of(net, rent))]
    total = net + vat[0].vat_amount
    return rules.named(
        InvoiceDocument(
            kind=DocumentKind.INVOICE,
            number=f"INV-2026-{number:06}",
            credits=None,
            issued_on=date(2026, 2, 1),
            due_on=date(2026, 3, 3),
            first_on=date(2026, 1, 1),
            last_on=date(2026, 1, 31),
            currency="CNY",
            digits=2,
            seller=Firm(
                "示例梯次电池租赁有限公司", None, "91410100MA9EXABC1D", "郑州市科学大道1号"
            ),
            buyer=Firm("示例铁塔有限公司", "Example Tower Co., Ltd.", "91410100MA9EXABDX5", None),
            operators=rules.annex(rules.ordered(rules.with_vat(placed, vat))),
            line_count=lines,
            vat=vat,
            sums=Sums(net, vat[0].vat_amount, total),
            total_in_words=capital(total),
        )
    )


async def measure(runs: int, say: Callable[[str], None]) -> list[Result]:
    return [await asyncio.to_thread(measure_pdf, runs, say), measure_workbook(runs, say)]


def measure_pdf(runs: int, say: Callable[[str], None]) -> Result:
    """PDFs of invoices that differ, by a printer that has printed before, in turns with a table of
    the same cells and nothing around it. CPU time: what else the machine does is not in it."""
    printer = Printer()
    began = time.perf_counter()
    printer.set(made_up(20, 0), LANGUAGE, INVOICE)
    say(f"first PDF, fonts looked for: {time.perf_counter() - began:.2f} s")
    face = printer.ready()
    floor = Bare(face)
    ours, bare = [], []
    for number in range(1, 6 * runs + 1):
        named = made_up(20, number)
        began = time.process_time()
        printer.set(named, LANGUAGE, INVOICE)
        ours.append((time.process_time() - began) * 1000)
        bare.append(floor.set(named))
    say(f"PDF of 20 lines, ms of CPU: {shown(sorted(ours), 1)}; bare: {shown(sorted(bare), 1)}")
    say(f"{PROMISED_MS:.0f} ms are promised, {median(ours):.1f} were needed")
    began = time.perf_counter()
    content = printer.set(made_up(MAX_LINES), LANGUAGE, INVOICE)
    seconds, megabytes = time.perf_counter() - began, len(content) / 1e6
    say(f"PDF of {MAX_LINES:,} lines: {seconds:.2f} s, {megabytes:.1f} MB")
    return Result(
        "PDF of 20 lines, warm, against a bare table",
        "PDFs/s",
        1000 / median(ours),
        1000 / median(bare),
        median(one / other for one, other in zip(ours, bare, strict=True)),
        at_most=MOST_TIMES_TABLE,
    )


class Bare:
    """The cells of the annex in a table of typst's own, without any style."""

    TEMPLATE = (
        "#set text(font: sys.inputs.font)\n"
        "#let cells = json(bytes(sys.inputs.data))\n"
        "#table(columns: 11, ..cells)"
    )

    def __init__(self, face: Face) -> None:
        import typst

        self.face = face
        self.folder = tempfile.TemporaryDirectory(prefix="leasing-bench-")
        main = Path(self.folder.name) / "main.typ"
        main.write_text(self.TEMPLATE, "utf-8")
        self.compiler = typst.Compiler(str(main), font_paths=typst.Fonts())

    def set(self, named: Named) -> float:
        """Milliseconds of CPU."""
        given = data(named, LANGUAGE, self.face)
        cells = [
            cell
            for city in given["annex"]
            for site in city["sites"]
            for line in site["lines"]
            for cell in line
        ]
        inputs = {"font": self.face.family, "data": msgspec.json.encode(cells).decode()}
        began = time.process_time()
        self.compiler.compile(sys_inputs=inputs, format="pdf", timestamp=0)
        return (time.process_time() - began) * 1000


def measure_workbook(runs: int, say: Callable[[str], None]) -> Result:
    """The whole workbook, in turns with xlsxwriter alone writing the cells of the annex."""
    named = made_up(20_000)
    cells = list(sheets.rows(named.document, words_of(named.document, LANGUAGE)))
    ours, bare = [], []
    for _ in range(max(2, runs // 2)):
        began = time.perf_counter()
        sheets.write_xlsx(named, LANGUAGE)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        write_bare(cells)
        bare.append(time.perf_counter() - began)
    say(f"XLSX of 20,000 lines, s: {shown(ours)}; bare: {shown(bare)}")
    for name, write in (
        ("CSV", partial(sheets.write_csv, named, LANGUAGE)),
        ("UBL", partial(ubl.write, named)),
        ("HTML", partial(pages.write, named, LANGUAGE)),
    ):
        began = time.perf_counter()
        content = write()
        seconds, megabytes = time.perf_counter() - began, len(content) / 1e6
        say(f"{name} of 20,000 lines: {seconds:.2f} s, {megabytes:.1f} MB")
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return Result(
        "XLSX of 20,000 lines, against the bare writer",
        "lines/s",
        20_000 / median(ours),
        20_000 / median(bare),
        median(ratios),
        at_most=MOST_TIMES_BARE,
    )


def write_bare(rows: list[list[sheets.Cell]]) -> bytes:
    """The same cells by xlsxwriter, with nothing decided about any."""
    with tempfile.TemporaryFile() as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True})
        page = book.add_worksheet()
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                page.write(number, column, cell, day if isinstance(cell, date) else None)
        book.close()
        file.seek(0)
        return file.read()
