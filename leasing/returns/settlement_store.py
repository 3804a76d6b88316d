"""Settlements of return orders in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert_all
from schemas.returns import ReturnStatement, SettledRow, TaxedSide


class Capacity(msgspec.Struct, frozen=True):
    """What a pack that came back has left; rated is the capacity class of its line."""

    item_id: UUID
    line_id: UUID
    pack_id: UUID
    rated_capacity_mah: int
    tested_capacity_mah: int | None


# The inspection's test, or else the joint test on return. What is gone has none.
CAPACITIES = """
SELECT item.id AS item_id,
       item.line_id,
       item.pack_id,
       position.rated_capacity_mah,
       coalesce(inspection.tested_capacity_mah, pack_return.tested_capacity_mah)
         AS tested_capacity_mah
  FROM return_order_item AS item
  JOIN LATERAL (
         SELECT rated_capacity_mah
           FROM line_revision
          WHERE line_revision.line_id = item.line_id
          ORDER BY lower(during) DESC
          LIMIT 1) AS position ON true
  LEFT JOIN pack_return ON pack_return.id = item.return_id
  LEFT JOIN inspection
    ON inspection.id = item.inspection_id
   AND item.result = 'returned'
 WHERE item.order_id = ANY ($1::uuid[])
   AND (item.result IS NULL OR item.result = 'returned')
 ORDER BY item.id
"""


async def capacities(tx: Connection, order_ids: Sequence[UUID]) -> list[Capacity]:
    return convert_all(await tx.fetch(CAPACITIES, order_ids), Capacity)


# A stay says that a pack stood in a line; custody says who had it. A run holds such a line back.
CONTRADICTED = """
SELECT placement.line_id
  FROM placement
 WHERE placement.line_id = ANY ($1::uuid[])
   AND NOT coalesce(placement.during <@ (
         SELECT range_agg(custody.during)
           FROM custody
          WHERE custody.line_id = placement.line_id
            AND custody.pack_id = placement.pack_id
            AND custody.state = 'leased'), false)
 ORDER BY placement.line_id
"""


async def contradicted(tx: Connection, line_ids: Sequence[UUID]) -> list[UUID]:
    """Lines on which a pack stood on days of which its records say otherwise."""
    return [row["line_id"] for row in await tx.fetch(CONTRADICTED, line_ids)]


INSERT_INVOICE = """
INSERT INTO invoice (seller_id, buyer_id, currency, period)
SELECT lessor_id, billing_party_of(lessee_id), currency, daterange($2, $3)
  FROM contract
 WHERE id = $1
RETURNING id
"""


async def insert_invoice(tx: Connection, contract_id: UUID, from_on: date, to_on: date) -> UUID:
    made: UUID = await tx.fetchval(INSERT_INVOICE, contract_id, from_on, to_on)
    return made


PAYER = """
SELECT billing_party_of(lessee_id)
  FROM contract
 WHERE id = $1
"""


async def payer(tx: Connection, contract_id: UUID) -> UUID:
    """Who gets the lessee's invoices."""
    found: UUID = await tx.fetchval(PAYER, contract_id)
    return found


TAXED = """
SELECT vat_percent, net_amount, vat_amount, net_amount + vat_amount AS gross_amount
  FROM invoice_vat
 WHERE invoice_id = $1
 ORDER BY vat_percent
"""


async def taxed(tx: Connection, invoice_id: UUID) -> list[TaxedSide]:
    return convert_all(await tx.fetch(TAXED, invoice_id), TaxedSide)


ROWS = """
SELECT component, line_id, pack_id, lower(during) AS from_on, upper(during) AS to_on, amount,
       vat_mode, vat_percent
  FROM charge
 WHERE invoice_id = $1
 ORDER BY line_id, lower(during), component, amount
"""


async def rows(tx: Connection, invoice_id: UUID) -> list[SettledRow]:
    return convert_all(await tx.fetch(ROWS, invoice_id), SettledRow)


OPEN = """
SELECT open_amount
  FROM receivable
 WHERE id = $1
"""


async def open_amount(tx: Connection, invoice_id: UUID | None) -> int:
    """What is open of an invoice; nothing of a credit note or of none."""
    found = await tx.fetchval(OPEN, invoice_id)
    return max(found or 0, 0)


INSERT = """
INSERT INTO return_settlement (order_id, contract_id, lessee_id, settled_on, currency, owed_amount,
                               counter_claim_amount, deposit_used_amount, balance_amount, statement,
                               invoice_id, payment_id, posted_by, posted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING id
"""

INSERT_ORDERS = """
INSERT INTO return_settlement_order (order_id, settlement_id, contract_id, lessee_id)
SELECT order_id, $2, $3, $4
  FROM unnest($1::uuid[]) AS order_id
"""


async def insert(
    tx: Connection,
    lessee_id: UUID,
    order_ids: Sequence[UUID],
    statement: ReturnStatement,
    invoice_id: UUID | None,
    payment_id: UUID | None,
    by: str,
    now: datetime,
) -> None:
    settlement_id = await tx.fetchval(
        INSERT,
        statement.order_id,
        statement.contract_id,
        lessee_id,
        statement.settled_on,
        statement.currency,
        statement.owed_amount,
        statement.counter_claim_amount,
        statement.deposit_used_amount,
        statement.balance_amount,
        statement,
        invoice_id,
        payment_id,
        by,
        now,
    )
    await tx.execute(INSERT_ORDERS, order_ids, settlement_id, statement.contract_id, lessee_id)


SETTLEMENT_VIEW = """
SELECT id, order_id,
       (SELECT array_agg(settled.order_id ORDER BY settled.order_id)
          FROM return_settlement_order AS settled
         WHERE settled.settlement_id = return_settlement.id) AS order_ids,
       contract_id, lessee_id, settled_on, currency, owed_amount,
       counter_claim_amount, deposit_used_amount, balance_amount, statement, invoice_id, payment_id,
       posted_by, posted_at
  FROM return_settlement
"""

OF_ORDER = f"""{SETTLEMENT_VIEW}
 WHERE id = (SELECT settlement_id FROM return_settlement_order WHERE order_id = $1)
"""

LIST = f"""{SETTLEMENT_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR contract_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def of_order(tx: Connection, order_id: UUID) -> Record | None:
    return await tx.fetchrow(OF_ORDER, order_id)


async def after(
    tx: Connection, settlement_id: UUID, contract_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, settlement_id, contract_id, limit)
