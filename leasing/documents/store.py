"""An invoice with everything that is printed on it, in a bounded number of statements; the archive
of documents, and the PDFs that were made of them.

What an invoice has in its columns is named here and nowhere else in this context.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record

from leasing.billing.model import NoSuchInvoice
from leasing.db.pool import Connection, as_lessor
from leasing.documents import rules
from leasing.documents.model import (
    Firm,
    InvoiceDocument,
    Line,
    Named,
    NotIssued,
    Place,
    Sums,
    Vat,
)
from leasing.documents.numerals import capital
from leasing.documents.rules import Placed, plain
from leasing.pricing.currencies import minor_units
from schemas.billing import Component, InvoiceKind, InvoiceState
from schemas.contracts import VatMode
from schemas.documents import DocumentKind

ONE_DAY = timedelta(days=1)

# Row-level security decides who sees the invoice. Whoever does sees all that is printed on it, also
# the code of a pack that has left since and the sites of a company that another one pays for.
STATE = """
SELECT state
  FROM invoice
 WHERE id = $1
"""

ARCHIVED = """
SELECT content
  FROM invoice_document
 WHERE invoice_id = $1
"""

HEAD = """
SELECT invoice.kind,
       invoice.number,
       invoice.issued_on,
       invoice.due_on,
       lower(invoice.period) AS from_on,
       upper(invoice.period) AS to_on,
       invoice.currency,
       invoice.net_amount,
       invoice.vat_amount,
       invoice.total_amount,
       seller.name AS seller_name,
       seller.name_en AS seller_name_en,
       seller.credit_code AS seller_credit_code,
       seller.registered_address AS seller_address,
       buyer.name AS buyer_name,
       buyer.name_en AS buyer_name_en,
       buyer.credit_code AS buyer_credit_code,
       buyer.registered_address AS buyer_address
  FROM invoice
  JOIN party AS buyer ON buyer.id = invoice.buyer_id
  -- A contract that names no lessor is the one's whose service this is.
  LEFT JOIN party AS seller
    ON seller.id = coalesce(invoice.seller_id, (
         SELECT id FROM party WHERE kind = 'lessor' ORDER BY id LIMIT 1))
 WHERE invoice.id = $1
"""

VAT = """
SELECT vat_percent AS percent, net_amount, vat_amount
  FROM invoice_vat
 WHERE invoice_id = $1
 ORDER BY vat_percent
"""

LINES = """
SELECT operator.name AS operator,
       operator.name_en AS operator_en,
       prefecture.province_adcode,
       prefecture.province_zh,
       prefecture.province_en,
       prefecture.adcode,
       prefecture.name_zh AS city_zh,
       prefecture.name_en AS city_en,
       site.code AS site_code,
       site.name AS site_name,
       (SELECT slot
          FROM line_revision
         WHERE line_revision.line_id = charge.line_id
           AND line_revision.site_id = charge.site_id
         ORDER BY line_revision.during && charge.during DESC, line_revision.number
         LIMIT 1) AS slot,
       contract.number AS contract,
       charge.kind AS component,
       lower(charge.during) AS from_on,
       upper(charge.during) AS to_on,
       charge.period_days,
       charge.price_amount,
       pack_code.code AS pack_code,
       charge.quantity,
       charge.unit_price,
       charge.amount,
       charge.vat_mode,
       charge.vat_percent,
       original.number AS takes_back
  FROM charge
  JOIN contract ON contract.id = charge.contract_id
  LEFT JOIN site ON site.id = charge.site_id
  LEFT JOIN party AS operator ON operator.id = site.party_id
  LEFT JOIN prefecture ON prefecture.adcode = site.adcode
  LEFT JOIN pack_code ON pack_code.pack_id = charge.pack_id AND pack_code.is_printed
  LEFT JOIN charge AS reversed ON reversed.id = charge.reverses_id
  LEFT JOIN invoice AS original ON original.id = reversed.invoice_id
 WHERE charge.invoice_id = $1
"""


async def load(tx: Connection, invoice_id: UUID) -> Named:
    """The document of an invoice: from the archive, or made of what the tables say. Raises
    `NoSuchInvoice` when there is none that the caller may see, and `NotIssued` for a draft."""
    state = await tx.fetchval(STATE, invoice_id)
    if state is None:
        raise NoSuchInvoice
    if state != InvoiceState.FINAL:
        raise NotIssued
    async with as_lessor(tx):
        content = await tx.fetchval(ARCHIVED, invoice_id)
        return await (asyncio.to_thread(rules.read, content) if content else make(tx, invoice_id))


async def make(tx: Connection, invoice_id: UUID) -> Named:
    """The document of a final invoice, made of what the tables say now. Twenty thousand lines take
    two seconds, in which other requests are answered."""
    head = await tx.fetchrow(HEAD, invoice_id)
    assert head is not None
    booked = [Vat(*row) for row in await tx.fetch(VAT, invoice_id)]
    rows = await tx.fetch(LINES, invoice_id)
    return await asyncio.to_thread(put_together, head, booked, rows)


def put_together(head: Record, booked: list[Vat], rows: list[Record]) -> Named:
    buyer = firm(head, "buyer")
    placed = [(place_of(row, buyer), line_of(row)) for row in rows]
    document = document_of(head, buyer, booked, rules.ordered(rules.with_vat(placed, booked)))
    rules.refuse_untied(document)
    return rules.named(document)


def document_of(
    head: Record, buyer: Firm, booked: list[Vat], lines: list[Placed]
) -> InvoiceDocument:
    total = head["total_amount"]
    is_credit = head["kind"] == InvoiceKind.CREDIT_NOTE
    return InvoiceDocument(
        kind=DocumentKind.CREDIT_NOTE if is_credit else DocumentKind.INVOICE,
        number=head["number"],
        credits=the_one([line.takes_back for _, line in lines]) if is_credit else None,
        issued_on=head["issued_on"],
        due_on=None if is_credit else head["due_on"],
        first_on=head["from_on"],
        last_on=head["to_on"] - ONE_DAY,
        currency=head["currency"],
        digits=minor_units(head["currency"]),
        seller=firm(head, "seller"),
        buyer=buyer,
        operators=rules.annex(lines),
        line_count=len(lines),
        vat=booked,
        sums=Sums(head["net_amount"], head["vat_amount"], total),
        total_in_words=capital(total) if head["currency"] == "CNY" else None,
    )


def the_one(numbers: Sequence[str | None]) -> str | None:
    """The invoice that all of a credit note takes back from, if it is one."""
    found = {number for number in numbers if number is not None}
    return found.pop() if len(found) == 1 else None


def firm(head: Record, role: str) -> Firm:
    return Firm(
        head[f"{role}_name"] or "—",
        head[f"{role}_name_en"],
        head[f"{role}_credit_code"],
        head[f"{role}_address"],
    )


def place_of(row: Record, buyer: Firm) -> Place:
    """What belongs to no site belongs to the buyer as a whole."""
    return Place(
        row["operator"] or buyer.name,
        row["operator_en"] if row["operator"] else buyer.name_en,
        row["province_adcode"],
        row["province_zh"],
        row["province_en"],
        row["adcode"],
        row["city_zh"],
        row["city_en"],
        row["site_code"],
        row["site_name"],
    )


def line_of(row: Record) -> Line:
    return Line(
        slot=row["slot"],
        contract=row["contract"],
        component=Component(row["component"]),
        first_on=row["from_on"],
        last_on=row["to_on"] - ONE_DAY,
        days=(row["to_on"] - row["from_on"]).days,
        period_days=row["period_days"],
        price_amount=row["price_amount"],
        pack_code=row["pack_code"],
        quantity=plain(row["quantity"]),
        unit_price=plain(row["unit_price"]),
        amount=row["amount"],
        vat_mode=VatMode(row["vat_mode"]),
        vat_percent=row["vat_percent"],
        net_amount=0,
        vat_amount=0,
        takes_back=row["takes_back"],
    )


# --- The archive --------------------------------------------------------------------------------

UNARCHIVED = """
SELECT id
  FROM invoice
 WHERE state = 'final'
   AND NOT EXISTS (SELECT FROM invoice_document WHERE invoice_id = invoice.id)
 ORDER BY id
 LIMIT $1
"""


async def unarchived(tx: Connection, limit: int) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(UNARCHIVED, limit)]


ARCHIVE = """
INSERT INTO invoice_document (invoice_id, sha256, content, archived_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (invoice_id) DO NOTHING
"""


async def archive(tx: Connection, invoice_id: UUID, named: Named, now: datetime) -> bool:
    """Keep a document as it is; False when it is kept already. What was archived stays."""
    done = await tx.execute(ARCHIVE, invoice_id, bytes.fromhex(named.sha256), named.content, now)
    return done == "INSERT 0 1"


# --- PDFs ---------------------------------------------------------------------------------------

PDF = """
SELECT content
  FROM rendered_pdf
 WHERE sha256 = $1
   AND language = $2
   AND template = $3
"""


async def pdf(tx: Connection, sha256: str, language: str, template: str) -> bytes | None:
    """The PDF that was made of a document that the caller has."""
    async with as_lessor(tx):
        content: bytes | None = await tx.fetchval(PDF, bytes.fromhex(sha256), language, template)
    return content


KEEP_PDF = """
INSERT INTO rendered_pdf (sha256, language, template, content, created_at)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (sha256, language, template) DO NOTHING
"""


async def keep_pdf(
    tx: Connection, sha256: str, language: str, template: str, content: bytes, now: datetime
) -> None:
    await tx.execute(KEEP_PDF, bytes.fromhex(sha256), language, template, content, now)


FORGET_PDFS = """
DELETE FROM rendered_pdf
 WHERE created_at < $1
"""


async def forget_pdfs(tx: Connection, before: datetime) -> int:
    """Drop PDFs that were made before an instant; they are made again when somebody asks."""
    return int((await tx.execute(FORGET_PDFS, before)).rpartition(" ")[2])
