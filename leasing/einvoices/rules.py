"""From a document to what the tax administration is sent, and from its answers to states."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from leasing.documents.model import Firm, InvoiceDocument, Line
from leasing.documents.rules import alike, lines_of, spread
from leasing.einvoices.model import (
    MAX_LINES,
    NEXT_RED_STATES,
    NEXT_STATES,
    REASON_CODES,
    TYPE_CODES,
    CannotBecome,
    Item,
    NotForEInvoice,
    NotForRedLetter,
    TaxLine,
)
from leasing.pricing.currencies import to_major
from schemas.billing import Component
from schemas.documents import DocumentKind
from schemas.einvoices import EInvoiceKind, EInvoiceState, RedLetterReason, RedLetterState

FORMAT = "leasing-einvoice/1"
CURRENCY = "CNY"

Items = Mapping[Component, Item]


def next_state(now: EInvoiceState, then: EInvoiceState) -> EInvoiceState:
    if then not in NEXT_STATES[now]:
        raise CannotBecome(f"an e-invoice that is {now} cannot become {then}")
    return then


def next_red_state(now: RedLetterState, then: RedLetterState) -> RedLetterState:
    if then not in NEXT_RED_STATES[now]:
        raise CannotBecome(f"a red letter that is {now} cannot become {then}")
    return then


def serial_number(day: str, counted: int) -> str:
    """A request's serial number: the day and a number that is counted up for ever.

    >>> serial_number("20260201", 42)
    '20260201000000000042'
    """
    return f"{day}{counted:012}"


# --- An e-invoice -------------------------------------------------------------------------------


def refuse_unfit(document: InvoiceDocument, kind: EInvoiceKind) -> None:
    """Raise `NotForEInvoice` for a document that cannot be one."""
    reasons = {
        "only renminbi is invoiced": document.currency != CURRENCY,
        "a credit note is a red letter to the e-invoice that it credits": (
            document.kind is DocumentKind.CREDIT_NOTE
        ),
        "it comes to nothing": document.sums.total_amount <= 0,
        "the seller has no credit code": document.seller.credit_code is None,
        "the buyer of a special invoice needs a credit code": (
            kind is EInvoiceKind.SPECIAL and document.buyer.credit_code is None
        ),
    }
    refuse([reason for reason, holds in reasons.items() if holds], document.number)


def refuse(reasons: Sequence[str], number: str) -> None:
    if reasons:
        raise NotForEInvoice(f"{number}: {'; '.join(reasons)}", reasons=list(reasons))


def tax_lines(document: InvoiceDocument, items: Items) -> tuple[list[TaxLine], bool]:
    """The lines of an e-invoice, and whether they are sums of lines that are on a list.

    VAT is spread so that the lines' VAT adds up to the document's, rate by rate. The tax
    administration compares a line's VAT with its rate and takes a difference of 0.06, and of 1.27
    in all (to be checked): a line's is off by less than 0.01. A line below zero is no line of a
    blue invoice, so a document that takes something back is summed up as well (to be checked)."""
    lines = [line for *_, line in lines_of(document)]
    missing = sorted({line.component for line in lines} - set(items))
    refuse([f"no tax class was entered for {one}" for one in missing], document.number)
    if len(lines) <= MAX_LINES and all(line.net_amount > 0 for line in lines):
        return [tax_line(line, items) for line in lines], False
    summed = summed_up(lines, booked_vat(lines), items)
    below = [one.item.name for one in summed if one.net_amount <= 0]
    refuse([f"{name} comes to nothing or less" for name in below], document.number)
    return summed, True


def tax_line(line: Line, items: Items) -> TaxLine:
    remark = f"{line.first_on} 至 {line.last_on}"
    if line.pack_code:
        remark += f" {line.pack_code}"
    return TaxLine(
        items[line.component], str(line.vat_percent), line.net_amount, line.vat_amount, remark
    )


def booked_vat(lines: Sequence[Line]) -> dict[Decimal, int]:
    found: dict[Decimal, int] = {}
    for line in lines:
        found[line.vat_percent] = found.get(line.vat_percent, 0) + line.vat_amount
    return found


def summed_up(lines: Sequence[Line], booked: dict[Decimal, int], items: Items) -> list[TaxLine]:
    """One line for each rate and item. Their VAT is spread anew: the sums of what was spread over
    thousands of lines could be off by more than is taken."""
    made: list[TaxLine] = []
    for percent, group in alike(lines, lambda line: line.vat_percent):
        parts = [
            ((name, code), sum(line.net_amount for line in of_item))
            for (name, code), of_item in alike(
                group, lambda line: (items[line.component].name, items[line.component].tax_code)
            )
        ]
        rate = Fraction(percent) / 100
        shares = spread(booked[percent], [net * rate for _, net in parts])
        made += [
            TaxLine(Item(*item), str(percent), net, vat, None)
            for (item, net), vat in zip(parts, shares, strict=True)
        ]
    return made


def request(
    document: InvoiceDocument,
    kind: EInvoiceKind,
    serial: str,
    lines: Sequence[TaxLine],
    list_file: str | None,
) -> dict[str, Any]:
    """What is sent for a blue e-invoice. Amounts are in yuan, as text."""
    return {
        "format": FORMAT,
        "action": "issue",
        "serial": serial,
        "type_code": TYPE_CODES[kind],
        "seller": firm(document.seller),
        "buyer": firm(document.buyer),
        **totals(lines),
        "lines": numbered(lines),
        "list_file": list_file,
        "remark": f"{document.number} {document.first_on} 至 {document.last_on}",
    }


def firm(one: Firm) -> dict[str, str | None]:
    return {"name": one.name, "tax_number": one.credit_code, "address": one.address}


def totals(lines: Sequence[TaxLine]) -> dict[str, str]:
    net = sum(line.net_amount for line in lines)
    vat = sum(line.vat_amount for line in lines)
    return {"net": yuan(net), "vat": yuan(vat), "total": yuan(net + vat)}


def numbered(lines: Sequence[TaxLine]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "name": line.item.name,
            "tax_code": line.item.tax_code,
            "vat_rate": str(Decimal(line.vat_percent).scaleb(-2).normalize()),
            "net": yuan(line.net_amount),
            "vat": yuan(line.vat_amount),
            "remark": line.remark,
        }
        for number, line in enumerate(lines, start=1)
    ]


def yuan(fen: int) -> str:
    return str(to_major(fen, 2))


def list_name(serial: str) -> str:
    return f"{serial}.csv"


# --- A red letter -------------------------------------------------------------------------------


def red_lines(credit: InvoiceDocument, blue_number: str, items: Items) -> list[TaxLine]:
    """What a document takes back of an invoice, by rate and item, below zero."""
    lines = [line for *_, line in lines_of(credit) if line.takes_back == blue_number]
    if not lines:
        raise NotForRedLetter(f"{credit.number} takes nothing back from {blue_number}")
    missing = sorted({line.component for line in lines} - set(items))
    refuse([f"no tax class was entered for {one}" for one in missing], credit.number)
    return summed_up(lines, booked_vat(lines), items)


def red_request(
    credit: InvoiceDocument,
    blue_number: str,
    serial: str,
    reason: RedLetterReason,
    lines: Sequence[TaxLine],
) -> dict[str, Any]:
    """What is sent to apply for a red-letter confirmation (红字确认单)."""
    return {
        "format": FORMAT,
        "action": "apply_red_letter",
        "serial": serial,
        "original_number": blue_number,
        "reason_code": REASON_CODES[reason],
        "seller": firm(credit.seller),
        "buyer": firm(credit.buyer),
        **totals(lines),
        "lines": numbered(lines),
        "remark": credit.number,
    }


def red_issue(
    applied: Mapping[str, Any], kind: EInvoiceKind, serial: str, confirmation_number: str
) -> dict[str, Any]:
    """What is sent for the red e-invoice once its red letter is confirmed."""
    return {
        **applied,
        "action": "issue_red",
        "serial": serial,
        "type_code": TYPE_CODES[kind],
        "confirmation_number": confirmation_number,
    }
