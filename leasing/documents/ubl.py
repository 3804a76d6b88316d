"""An invoice as UBL 2.1 after EN 16931, the European standard for electronic invoices.

What counts is said in its business terms (BT) and rules (BR). Its amounts are without VAT, so a
line with VAT in it is shown by its net amount. A credit note has its own type, 381, in which what
is given back is positive. Code lists: UNTDID 1001 for the type, UNTDID 5305 for VAT categories,
UN/ECE recommendation 20 for units, ISO 4217 and ISO 3166-1.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from xml.sax.saxutils import XMLGenerator

from leasing.documents.model import (
    Firm,
    InvoiceDocument,
    Line,
    Named,
    NotForUbl,
    Site,
    Sums,
    Vat,
)
from leasing.documents.rules import lines_of
from leasing.documents.words import LABELS
from leasing.kit.money import half_up, percent_of
from leasing.pricing.currencies import line_amount, to_major
from schemas.contracts import VatMode
from schemas.documents import DocumentKind

GUIDELINE = "urn:cen.eu:en16931:2017"
COUNTRY = "CN"
"""Lessor and customers are companies with a credit code of the mainland."""

ROOTS = {
    DocumentKind.INVOICE: ("Invoice", "380"),
    DocumentKind.CREDIT_NOTE: ("CreditNote", "381"),
}
NAMESPACE = "urn:oasis:names:specification:ubl:schema:xsd:"

DAY, ONE, KILOWATT_HOUR, KILOMETRE = "DAY", "C62", "KWH", "KMT"
UNITS = {
    "throughput": KILOWATT_HOUR,
    "capacity": KILOWATT_HOUR,
    "distance": KILOMETRE,
    "cycles": ONE,
}

MAX_DECIMALS = 2
"""Of an amount (BR-DEC)."""
NEAR = 2
"""Minor units by which quantity times price may miss a line's amount: a line whose amount was split
from a larger one, or has its VAT taken out, is rounded otherwise. PEPPOL allows as much."""


# --- Rules ----------------------------------------------------------------------------------------


def faults(document: InvoiceDocument) -> list[str]:
    """The arithmetic rules of EN 16931 that a document breaks, by their names.

    BR-CO-17 asks that the VAT of a rate is its net amount times the rate, rounded. Where VAT is in
    the agreed amounts it is taken out of their sum, and comes to one minor unit more or less for
    some sums that are no whole unit without it; the validators' rule allows for that too."""
    sums = document.sums
    lines = [line for *_, line in lines_of(document)]
    has_vat_in_it = {line.vat_percent for line in lines if line.vat_mode is VatMode.INCLUSIVE}
    rules = {
        # Sum of the lines' net amounts; there are no allowances or charges beside lines.
        "BR-CO-10": sum(line.net_amount for line in lines) == sums.net_amount,
        "BR-CO-13": sum(rate.net_amount for rate in document.vat) == sums.net_amount,
        "BR-CO-14": sum(rate.vat_amount for rate in document.vat) == sums.vat_amount,
        "BR-CO-15": sums.net_amount + sums.vat_amount == sums.total_amount,
        "BR-CO-17": all(
            abs(percent_of(rate.net_amount, rate.percent) - rate.vat_amount)
            <= (rate.percent in has_vat_in_it)
            for rate in document.vat
        ),
        "BR-S-08": all(
            sum(line.net_amount for line in lines if line.vat_percent == rate.percent)
            == rate.net_amount
            for rate in document.vat
        ),
    }
    return [name for name, holds in rules.items() if not holds]


class Priced(NamedTuple):
    """What a line says of its amount: quantity × price ÷ base quantity."""

    quantity: Decimal
    unit: str
    price: Decimal
    """In whole units of the currency, without VAT, never negative (BR-27)."""
    base: int


def priced(line: Line, net: int, digits: int) -> Priced:
    """How a line's net amount came about, or one at that amount where that would not show.

    >>> from datetime import date
    >>> from schemas.billing import Component
    >>> rent = Line(1, "C-1", Component.RENT, date(2026, 1, 11), date(2026, 1, 31), 21, 31, 31_000,
    ...     None, None, None, 21_000, VatMode.EXCLUSIVE, Decimal(13), 21_000, 2730, None)
    >>> priced(rent, 21_000, 2)
    Priced(quantity=Decimal('21'), unit='DAY', price=Decimal('310.00'), base=31)
    """
    sign = -1 if net < 0 else 1
    for quantity, unit, price, base in ways(line):
        if price < 0:
            continue
        shown = without_vat(line, price)
        if abs(line_amount(quantity, shown, base) - abs(net)) <= NEAR:
            return Priced(sign * quantity, unit, shown.scaleb(-digits), base)
    return Priced(Decimal(sign), ONE, to_major(abs(net), digits), 1)


def ways(line: Line) -> Iterator[tuple[Decimal, str, Decimal, int]]:
    """By quantity, or by days of a period."""
    if line.quantity is not None and line.unit_price is not None:
        yield abs(line.quantity), UNITS.get(line.component, ONE), line.unit_price, 1
    elif line.price_amount is not None and line.period_days:
        yield Decimal(line.days), DAY, Decimal(line.price_amount), line.period_days


def without_vat(line: Line, price: Decimal) -> Decimal:
    """A price, in minor units, with its VAT taken out if it has any; to a ten-thousandth of one."""
    if line.vat_mode is VatMode.EXCLUSIVE:
        return price
    return Decimal(half_up(price * 10_000 * 100 / (100 + line.vat_percent))).scaleb(-4)


# --- Writing --------------------------------------------------------------------------------------


class Xml:
    """Elements one after the other, so that no tree of twenty thousand lines is held."""

    def __init__(self, out: io.BytesIO) -> None:
        self.generator = XMLGenerator(out, "UTF-8", short_empty_elements=True)
        self.generator.startDocument()

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        self.generator.startElement(name, attributes or {})  # type: ignore[arg-type]
        yield
        self.generator.endElement(name)

    def leaf(self, name: str, value: object, **attributes: str) -> None:
        self.generator.startElement(f"cbc:{name}", attributes)  # type: ignore[arg-type]
        self.generator.characters(str(value))
        self.generator.endElement(f"cbc:{name}")


def write(named: Named) -> bytes:
    """The document as UBL. Raises `NotForUbl` when the standard has no place for it."""
    document = named.document
    refuse_what_has_no_place(document)
    out = io.BytesIO()
    Ubl(Xml(out), document).write()
    return out.getvalue()


def refuse_what_has_no_place(document: InvoiceDocument) -> None:
    if document.digits > MAX_DECIMALS:
        raise NotForUbl(f"EN 16931 has two decimals, {document.currency} has {document.digits}")
    if document.seller.credit_code is None:
        raise NotForUbl("the seller has no credit code, by which it is known (BR-CO-26, BR-S-02)")
    broken = faults(document)
    if broken:
        raise NotForUbl(f"the document breaks {', '.join(broken)}", rules=broken)


class Ubl:
    def __init__(self, xml: Xml, document: InvoiceDocument) -> None:
        self.xml = xml
        self.document = document
        self.root, self.type = ROOTS[document.kind]
        # What is given back is positive on a credit note.
        self.sign = -1 if document.kind is DocumentKind.CREDIT_NOTE else 1

    def amount(self, name: str, amount: int) -> None:
        value = to_major(self.sign * amount, self.document.digits)
        self.xml.leaf(name, value, currencyID=self.document.currency)

    def write(self) -> None:
        xml, document = self.xml, self.document
        spaces = {
            "xmlns": f"{NAMESPACE}{self.root}-2",
            "xmlns:cac": f"{NAMESPACE}CommonAggregateComponents-2",
            "xmlns:cbc": f"{NAMESPACE}CommonBasicComponents-2",
        }
        with xml.element(self.root, spaces):
            xml.leaf("CustomizationID", GUIDELINE)
            xml.leaf("ID", document.number)
            xml.leaf("IssueDate", document.issued_on)
            if document.due_on:
                xml.leaf("DueDate", document.due_on)
            xml.leaf(f"{self.root}TypeCode", self.type)
            if document.total_in_words:
                xml.leaf("Note", f"大写 {document.total_in_words}")
            xml.leaf("DocumentCurrencyCode", document.currency)
            self.period(document.first_on, document.last_on)
            for corrected in preceding(document):
                with (
                    xml.element("cac:BillingReference"),
                    xml.element("cac:InvoiceDocumentReference"),
                ):
                    xml.leaf("ID", corrected)
            self.party("AccountingSupplierParty", document.seller)
            self.party("AccountingCustomerParty", document.buyer)
            with xml.element("cac:PaymentTerms"):
                xml.leaf("Note", terms(document.due_on))
            self.taxes(document.vat, document.sums)
            self.totals(document.sums)
            for number, (*_, site, line) in enumerate(lines_of(document), start=1):
                self.line(number, site, line)

    def period(self, first_on: object, last_on: object) -> None:
        with self.xml.element("cac:InvoicePeriod"):
            self.xml.leaf("StartDate", first_on)
            self.xml.leaf("EndDate", last_on)

    def party(self, role: str, firm: Firm) -> None:
        xml = self.xml
        with xml.element(f"cac:{role}"), xml.element("cac:Party"):
            with xml.element("cac:PostalAddress"):
                if firm.address:
                    xml.leaf("StreetName", firm.address)
                with xml.element("cac:Country"):
                    xml.leaf("IdentificationCode", COUNTRY)
            if firm.credit_code and role == "AccountingSupplierParty":
                # BT-32, the local tax registration: BT-31 is for VAT numbers with a prefix.
                with xml.element("cac:PartyTaxScheme"):
                    xml.leaf("CompanyID", firm.credit_code)
                    with xml.element("cac:TaxScheme"):
                        xml.leaf("ID", "TAX")
            with xml.element("cac:PartyLegalEntity"):
                xml.leaf("RegistrationName", firm.name)
                if firm.credit_code:
                    xml.leaf("CompanyID", firm.credit_code)

    def taxes(self, rates: list[Vat], sums: Sums) -> None:
        with self.xml.element("cac:TaxTotal"):
            self.amount("TaxAmount", sums.vat_amount)
            for rate in rates:
                with self.xml.element("cac:TaxSubtotal"):
                    self.amount("TaxableAmount", rate.net_amount)
                    self.amount("TaxAmount", rate.vat_amount)
                    self.category("TaxCategory", rate.percent)

    def category(self, name: str, percent: Decimal) -> None:
        """Standard rate, or zero rated."""
        with self.xml.element(f"cac:{name}"):
            self.xml.leaf("ID", "S" if percent else "Z")
            self.xml.leaf("Percent", percent)
            with self.xml.element("cac:TaxScheme"):
                self.xml.leaf("ID", "VAT")

    def totals(self, sums: Sums) -> None:
        with self.xml.element("cac:LegalMonetaryTotal"):
            self.amount("LineExtensionAmount", sums.net_amount)
            self.amount("TaxExclusiveAmount", sums.net_amount)
            self.amount("TaxInclusiveAmount", sums.total_amount)
            self.amount("PayableAmount", sums.total_amount)

    def line(self, number: int, site: Site, line: Line) -> None:
        xml, document = self.xml, self.document
        how = priced(line, self.sign * line.net_amount, document.digits)
        quantity = "Invoiced" if document.kind is DocumentKind.INVOICE else "Credited"
        with xml.element(f"cac:{self.root}Line"):
            xml.leaf("ID", number)
            if line.takes_back:
                xml.leaf("Note", f"{LABELS['takes_back'][0]} {line.takes_back}")
            xml.leaf(f"{quantity}Quantity", how.quantity, unitCode=how.unit)
            self.amount("LineExtensionAmount", line.net_amount)
            self.period(line.first_on, line.last_on)
            with xml.element("cac:Item"):
                xml.leaf("Name", LABELS.get(line.component, (line.component,))[0])
                self.category("ClassifiedTaxCategory", line.vat_percent)
                for name, value in properties(site, line):
                    with xml.element("cac:AdditionalItemProperty"):
                        xml.leaf("Name", name)
                        xml.leaf("Value", value)
            with xml.element("cac:Price"):
                xml.leaf("PriceAmount", how.price, currencyID=document.currency)
                xml.leaf("BaseQuantity", how.base, unitCode=how.unit)


def terms(due_on: date | None) -> str:
    """Terms of payment (BT-20). They, or a day, are asked for even where money is given back
    (BR-CO-25)."""
    return LABELS["set_off"][0] if due_on is None else f"{LABELS['due_on'][0]} {due_on}"


def preceding(document: InvoiceDocument) -> list[str]:
    """Invoices that the document corrects (BG-3), in order."""
    found = {line.takes_back for *_, line in lines_of(document)} | {document.credits}
    return sorted(number for number in found if number)


def properties(site: Site, line: Line) -> list[tuple[str, object]]:
    """What a line is of (BG-32)."""
    found = [
        ("site", f"{site.code} {site.name or ''}".strip() if site.code else None),
        ("slot", line.slot),
        ("contract", line.contract),
        ("pack", line.pack_code),
    ]
    return [(LABELS[name][0], value) for name, value in found if value is not None]
