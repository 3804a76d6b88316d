"""Documents as PDF, set by typst with the templates beside this file; what an invoice's says.

One compiler in one thread of its own: a second gains nothing, and requests for other things are
answered meanwhile. What it costs to begin with, looking through fonts, is paid once. Whoever asks
while too many wait is told to come back, since each of them holds a database connection.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from leasing.documents.model import (
    City,
    Firm,
    Line,
    Named,
    NoChineseFont,
    NoTypst,
    Operator,
    PrinterBusy,
    Province,
    Site,
    Sums,
)
from leasing.documents.words import LABELS, Words, words_of
from schemas.documents import DocumentLanguage

if TYPE_CHECKING:
    import typst

TEMPLATES = Path(__file__).parent / "templates"

MAX_LINES = 1_000
"""Lines that a PDF shows; of a longer annex it shows the sums by city, and says where the lines
are. Twenty thousand lines are some 290 pages, which nobody reads, and take 3.8 GB to set."""

MAX_WAITING = 3

ANNEX = (
    "slot",
    "pack",
    "component",
    "contract",
    "period",
    "days",
    "price",
    "vat_percent",
    "net",
    "vat",
    "gross",
)
ANNEX_SIZE = 6.6
ANNEX_INSET = 2.5

FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
)
"""Fonts with the Chinese characters of the mainland, the best first."""

BOLD = 600
"""Weight from which on a face is a bold one."""

HOW_TO_GET_ONE = (
    "no font with Chinese characters was found: install one, for instance the Debian package "
    "fonts-noto-cjk or fonts-wqy-microhei, or put font files into a folder and name it in "
    f"LEASING_FONTS; looked for {', '.join(FAMILIES)}"
)


class Face(msgspec.Struct, frozen=True):
    """The font that is printed with."""

    family: str
    has_bold: bool


class Layout(NamedTuple):
    """A kind of document as it is printed: its template, and what that is given."""

    template: str
    data: Callable[[Any, DocumentLanguage, Face], dict[str, Any]]


class Printer:
    """A compiler for each template and the fonts of all, made when the first PDF is asked for."""

    def __init__(self, fonts: Path | None = None) -> None:
        self.folder = fonts
        self.fonts: typst.Fonts | None = None
        self.face: Face | None = None
        self.compilers: dict[str, typst.Compiler] = {}
        self.waiting = 0
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pdf")

    async def print(
        self, named: object, language: DocumentLanguage, layout: Layout | None = None
    ) -> bytes:
        """A document, with its name, as PDF; an invoice without a layout. Raises `NoTypst`,
        `NoChineseFont` and `PrinterBusy`."""
        if self.waiting > MAX_WAITING:
            raise PrinterBusy
        self.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            layout = layout or INVOICE
            return await loop.run_in_executor(self.thread, self.set, named, language, layout)
        finally:
            self.waiting -= 1

    async def version(self) -> str:
        """Of templates and font. Raises `NoTypst` and `NoChineseFont`."""
        loop = asyncio.get_running_loop()
        face = await loop.run_in_executor(self.thread, self.ready)
        return version_of(face)

    def set(self, named: object, language: DocumentLanguage, layout: Layout) -> bytes:
        """Set a document, in the printer's own thread."""
        face = self.ready()
        given = layout.data(named, language, face)
        made = self.compiler(layout.template).compile(
            sys_inputs={"data": msgspec.json.encode(given).decode()},
            format="pdf",
            # The same document makes the same bytes.
            timestamp=0,
        )
        assert isinstance(made, bytes)
        return made

    def ready(self) -> Face:
        """The font to print with, looked for once."""
        if self.face is None:
            try:
                import typst
            except ImportError as error:
                raise NoTypst("install battery-leasing[pdf]") from error
            paths = [self.folder] if self.folder else []
            self.fonts = typst.Fonts(font_paths=paths)
            self.face = chosen(self.fonts.fonts())
        return self.face

    def compiler(self, template: str) -> "typst.Compiler":
        if template not in self.compilers:
            import typst

            assert self.fonts is not None
            made = typst.Compiler(TEMPLATES / template, font_paths=self.fonts, root=TEMPLATES)
            self.compilers[template] = made
        return self.compilers[template]


def chosen(fonts: "Sequence[typst.FontInfo]") -> Face:
    """The best of the fonts that are there. Raises `NoChineseFont`."""
    for family in FAMILIES:
        weights = [font.weight for font in fonts if font.family == family]
        if weights:
            return Face(family, max(weights) >= BOLD)
    raise NoChineseFont(HOW_TO_GET_ONE)


def version_of(face: Face) -> str:
    """Tells whether a PDF would be the same today: what it depends on beside its document."""
    templates = b"".join(path.read_bytes() for path in sorted(TEMPLATES.glob("*.typ")))
    return hashlib.sha256(templates + msgspec.json.encode([face, LABELS])).hexdigest()[:16]


# --- What the template is given -----------------------------------------------------------------


def data(named: Named, language: DocumentLanguage, face: Face) -> dict[str, Any]:
    """Everything that is printed, as it is printed."""
    document, words = named.document, words_of(named.document, language)
    is_long = document.line_count > MAX_LINES
    gross = [
        [str(one.percent), *amounts(words, one.net_amount, one.vat_amount)] for one in document.vat
    ]
    cities = [] if is_long else annex(words, document.operators)
    labels = [words.of(label) for label in ANNEX]
    return {
        **sheet(words, face, document.number, named.sha256),
        "facts": [list(fact) for fact in facts(named, words)],
        "seller": firm(words, document.seller),
        "buyer": firm(words, document.buyer),
        "currency": document.currency,
        "vat": gross,
        "total": [words.of("total"), *sums(words, document.sums)],
        "in_words": document.total_in_words,
        "summary": summary(words, document.operators),
        "annex": None if is_long else cities,
        "annex_labels": labels,
        "annex_size": ANNEX_SIZE,
        "annex_inset": ANNEX_INSET,
        "widths": widths(labels, cities),
        "line_count": document.line_count,
        "left_off": words.of("left_off") if is_long else None,
    }


INVOICE = Layout("document.typ", data)


def sheet(words: Words, face: Face, number: str, sha256: str) -> dict[str, Any]:
    """What every template is given."""
    return {
        "title": words.title,
        "number": number,
        "language": words.language.value,
        "region": "cn" if words.language is DocumentLanguage.ZH else "gb",
        "fonts": [face.family],
        "has_bold": face.has_bold,
        "labels": {key: words.of(key) for key in LABELS},
        "sha256": sha256,
    }


def facts(named: Named, words: Words) -> list[tuple[str, str]]:
    document = named.document
    found = [("credits", document.credits)] if document.credits else []
    found += [
        ("period", f"{document.first_on} {words.of('through')} {document.last_on}"),
        ("issued_on", str(document.issued_on)),
    ]
    found += [("due_on", str(document.due_on))] if document.due_on else []
    return [(words.of(label), value) for label, value in found]


def firm(words: Words, one: Firm) -> dict[str, Any]:
    lines = [
        one.name_en,
        one.credit_code and f"{words.of('credit_code')} {one.credit_code}",
        one.address and f"{words.of('address')} {one.address}",
    ]
    return {"name": one.name, "lines": [line for line in lines if line]}


def amounts(words: Words, net: int, vat: int) -> list[str]:
    return [words.money(net), words.money(vat), words.money(net + vat)]


def sums(words: Words, of: Sums) -> list[str]:
    return amounts(words, of.net_amount, of.vat_amount)


def summary(words: Words, operators: Sequence[Operator]) -> list[dict[str, Any]]:
    """Rows of operators, and below each of its cities."""
    rows = []
    for operator in operators:
        cities = [(one, city) for one in operator.provinces for city in one.cities]
        count = sum(lines_in(city) for _, city in cities)
        name = words.name(operator.name, operator.name_en)
        rows.append({"strong": True, "cells": [name, str(count), *sums(words, operator.sums)]})
        rows += [
            {
                "strong": False,
                "cells": [where(words, one, city), str(lines_in(city)), *sums(words, city.sums)],
            }
            for one, city in cities
        ]
    return rows


def lines_in(city: City) -> int:
    return sum(len(site.lines) for site in city.sites)


def where(words: Words, province: Province, city: City) -> str:
    above = words.name(province.name, province.name_en)
    below = words.name(city.name, city.name_en)
    return below if above == below else f"{above} · {below}"


def annex(words: Words, operators: Sequence[Operator]) -> list[dict[str, Any]]:
    """The lines by city and site."""
    return [
        {
            "title": f"{words.name(operator.name, operator.name_en)} · {where(words, one, city)}",
            "total": f"{words.name(city.name, city.name_en)} {words.of('total')}",
            "sums": sums(words, city.sums),
            "sites": [
                {
                    "title": site_title(words, site),
                    "sums": sums(words, site.sums),
                    "lines": [line_of(words, line) for line in site.lines],
                }
                for site in city.sites
            ],
        }
        for operator in operators
        for one in operator.provinces
        for city in one.cities
    ]


def widths(labels: list[str], cities: list[dict[str, Any]]) -> list[float | None]:
    """Widths of the columns of the annex in points, so that all its tables have the same; what is
    left belongs to the one that says what for."""
    rows = [
        *(line for city in cities for site in city["sites"] for line in site["lines"]),
        *([""] * (len(ANNEX) - 3) + one["sums"] for one in cities),
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(ANNEX)
    found = [
        max([0.88 * ems(label), *map(ems, column)])
        for label, column in zip(labels, columns, strict=True)
    ]
    return [
        None if label == "component" else round(one * ANNEX_SIZE + 2 * ANNEX_INSET, 2)
        for label, one in zip(ANNEX, found, strict=True)
    ]


def ems(text: str) -> float:
    """About how wide a text is; a Chinese character is one wide."""
    return sum(0.57 if character < "\u2e80" else 1.0 for character in text) + 0.2


def site_title(words: Words, site: Site) -> str:
    if site.code is None:
        return words.of("no_place")
    return f"{site.code} {site.name or ''}"


def line_of(words: Words, line: Line) -> list[str]:
    """The cells of one line."""
    what = words.of(line.component)
    if line.quantity is not None and line.unit_price is not None:
        what += f" {line.quantity} × {words.unit_price(line.unit_price)}"
    if line.takes_back:
        what += f" ({words.of('takes_back')} {line.takes_back})"
    return [
        "" if line.slot is None else str(line.slot),
        line.pack_code or "",
        what,
        line.contract,
        f"{line.first_on} – {line.last_on}",
        f"{line.days}/{line.period_days}" if line.period_days else str(line.days),
        words.money(line.price_amount),
        str(line.vat_percent),
        *amounts(words, line.net_amount, line.vat_amount),
    ]
