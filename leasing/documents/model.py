"""An invoice as a document: what is printed, in the order in which it is printed.

It has neither ids nor instants, so that two histories that say the same make the same document,
byte for byte; its name is the SHA-256 of its canonical JSON. Days are printed as first and last,
both included, while everywhere else a period ends on the first day that is not in it.
"""

from datetime import date
from decimal import Decimal

import msgspec

from leasing.kit.errors import Conflict, Unavailable
from schemas.billing import Component
from schemas.contracts import VatMode
from schemas.documents import DocumentKind


class Firm(msgspec.Struct, frozen=True):
    """Seller or buyer, as it was called when the document was issued."""

    name: str
    name_en: str | None
    credit_code: str | None
    """Unified social credit code (GB 32100)."""
    address: str | None


class Line(msgspec.Struct, frozen=True, order=True):
    """What is charged for days of a position, or taken back. Amounts are in whole minor units."""

    slot: int | None
    contract: str
    component: Component
    first_on: date
    last_on: date
    days: int
    period_days: int | None
    """Days of the whole period that the price is for; none for what is owed once."""
    price_amount: int | None
    """Of the whole period."""
    pack_code: str | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: int
    """As agreed: with VAT in it when `vat_mode` is inclusive."""
    vat_mode: VatMode
    vat_percent: Decimal
    net_amount: int
    vat_amount: int
    takes_back: str | None
    """Number of the invoice on which this was charged that is taken back."""


class Sums(msgspec.Struct, frozen=True):
    net_amount: int
    vat_amount: int
    total_amount: int


class Site(msgspec.Struct, frozen=True):
    code: str | None
    name: str | None
    sums: Sums
    lines: list[Line]


class City(msgspec.Struct, frozen=True):
    adcode: str | None
    name: str | None
    name_en: str | None
    sums: Sums
    sites: list[Site]


class Province(msgspec.Struct, frozen=True):
    adcode: str | None
    name: str | None
    name_en: str | None
    sums: Sums
    cities: list[City]


class Operator(msgspec.Struct, frozen=True):
    """The company whose sites they are; on a group's invoice there are several."""

    name: str
    name_en: str | None
    sums: Sums
    provinces: list[Province]


class Vat(msgspec.Struct, frozen=True):
    """VAT is worked out once per rate on the sum of the lines (EN 16931 BR-CO-17)."""

    percent: Decimal
    net_amount: int
    vat_amount: int


class InvoiceDocument(msgspec.Struct, frozen=True):
    kind: DocumentKind
    number: str
    credits: str | None
    """Number of the invoice that a credit note mirrors, when it is one."""
    issued_on: date
    due_on: date | None
    """Nobody has to pay a credit note by a day."""
    first_on: date
    last_on: date
    currency: str
    digits: int
    """Decimals of the currency: what a minor unit is a part of."""
    seller: Firm
    buyer: Firm
    operators: list[Operator]
    line_count: int
    vat: list[Vat]
    sums: Sums
    total_in_words: str | None
    """The total in Chinese capital numerals (大写); of renminbi only."""


class Named(msgspec.Struct, frozen=True):
    """A document and the SHA-256 of its canonical JSON."""

    document: InvoiceDocument
    content: bytes
    sha256: str


class Place(msgspec.Struct, frozen=True):
    """Where a line belongs in the annex."""

    operator: str
    operator_en: str | None
    province_adcode: str | None
    province: str | None
    province_en: str | None
    adcode: str | None
    city: str | None
    city_en: str | None
    site_code: str | None
    site_name: str | None


class NotIssued(Conflict):
    code = "invoice_not_issued"
    title = "A draft is not a document yet"


class NotForUbl(Conflict):
    code = "not_for_ubl"
    title = "EN 16931 has no place for this document"


class DocumentDoesNotTie(Exception):
    """Lines, VAT and totals of an invoice contradict each other: a bug, never shown as a bill."""


class NoTypst(Unavailable):
    code = "pdf_not_installed"
    title = "This deployment makes no PDFs"


class NoChineseFont(Unavailable):
    code = "chinese_font_missing"
    title = "There is no font with Chinese characters to print with"


class PrinterBusy(Unavailable):
    code = "printer_busy"
    title = "Too many PDFs are asked for at once"
    retry_after_s = 5
