"""VAT in late interest and fees (价外费用).

Chinese VAT counts what a seller asks beside its price as price: it bears the rates of the invoice
on whose account it is owed, and the tax is in it (implementing rules of the provisional
regulations, Art. 12, recalled; a person checks it against the VAT law of 2026). So it is unless
something else was said from a day on: laws change, and elsewhere late interest is damages and bears
none.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record

from leasing.billing.rules import vat_of
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.money import allocate
from leasing.kit.rows import convert
from schemas.contracts import VatMode
from schemas.receivables import AncillaryVatCreate, AncillaryVatView


class Gross(NamedTuple):
    """What an invoice comes to at one rate, with VAT."""

    vat_percent: Decimal
    amount: int


def contained(amount: int, parts: Sequence[Gross]) -> int:
    """The VAT in an amount that is owed on account of an invoice: split over its rates by what
    they come to (C9), and at each what is in its part. What was given back at a rate counts for
    nothing. A correction mirrors what it takes back.

    Worked example: interest of 1,000 on an invoice of 11,300 at 13 % and 10,600 at 6 %.
    516 × 13 ÷ 113 = 59, 484 × 6 ÷ 106 = 27.

    >>> contained(1_000, [Gross(Decimal(13), 11_300), Gross(Decimal(6), 10_600)])
    86
    >>> contained(1_000, [])
    0
    """
    counted = [part for part in parts if part.amount > 0]
    if not counted:
        return 0
    shares = allocate(amount, [part.amount for part in counted])
    return sum(
        vat_of(share, VatMode.INCLUSIVE, part.vat_percent)
        for share, part in zip(shares, counted, strict=True)
    )


class Taxation(NamedTuple):
    """Since when what is charged beside invoices is taxed or not, the latest first, and what the
    invoices in question come to."""

    policies: Sequence[tuple[date, bool]]
    parts: Mapping[UUID, Sequence[Gross]]

    def vat(self, invoice_id: UUID, amount: int, on: date) -> int:
        taxed = next((taxed for from_on, taxed in self.policies if from_on <= on), True)
        return contained(amount, self.parts.get(invoice_id, ())) if taxed else 0


POLICIES = """
SELECT from_on, taxed
  FROM ancillary_vat
 ORDER BY from_on DESC
"""

PARTS = """
SELECT invoice_id, vat_percent, net_amount + vat_amount AS amount
  FROM invoice_vat
 WHERE invoice_id = ANY ($1::uuid[])
 ORDER BY invoice_id, vat_percent
"""


async def taxation(tx: Connection, invoice_ids: Sequence[UUID]) -> Taxation:
    """How what is charged on account of invoices is taxed."""
    parts: dict[UUID, list[Gross]] = {}
    for row in await tx.fetch(PARTS, invoice_ids):
        parts.setdefault(row["invoice_id"], []).append(Gross(row["vat_percent"], row["amount"]))
    policies = [(row["from_on"], row["taxed"]) for row in await tx.fetch(POLICIES)]
    return Taxation(policies, parts)


def entry(amount: int, vat_amount: int, account: str) -> dict[str, int]:
    """What is posted when such an amount is owed."""
    amounts = {"receivable": amount, account: vat_amount - amount, "vat_output": -vat_amount}
    return {name: part for name, part in amounts.items() if part}


# --- Whether it is taxed ----------------------------------------------------------------------

INSERT = """
INSERT INTO ancillary_vat (from_on, taxed, reason, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id
"""

VIEW = """
SELECT id, from_on, taxed, reason, entered_by, entered_at
  FROM ancillary_vat
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def decide(
    tx: Connection, data: AncillaryVatCreate, *, by: str, now: datetime
) -> AncillaryVatView:
    """Say whether what is charged from a day on bears VAT. What was charged stays as it was."""
    policy_id: UUID = await tx.fetchval(INSERT, data.from_on, data.taxed, data.reason, by, now)
    facts: dict[str, object] = {"from_on": data.from_on, "taxed": data.taxed, "reason": data.reason}
    decided = Event("ancillary_vat", policy_id, "ancillary_vat.decided", facts)
    await events.append(tx, [decided], actor=by, now=now)
    return convert(await tx.fetchrow(GET, policy_id) or {}, AncillaryVatView)


async def after(tx: Connection, policy_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, policy_id, limit)
