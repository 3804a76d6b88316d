"""E-invoices, red letters, batches, quotas and tax classes in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.einvoices.model import Item
from schemas.billing import Component
from schemas.einvoices import EInvoiceState, ItemPut, RedLetterState

# --- Tax classes --------------------------------------------------------------------------------

PUT_ITEM = """
INSERT INTO einvoice_item (component, name, tax_code)
VALUES ($1, $2, $3)
    ON CONFLICT (component) DO UPDATE
   SET name = excluded.name,
       tax_code = excluded.tax_code
RETURNING id
"""


async def put_item(tx: Connection, component: Component, data: ItemPut) -> UUID:
    item_id: UUID = await tx.fetchval(PUT_ITEM, component, data.name, data.tax_code)
    return item_id


ITEMS = """
SELECT component, name, tax_code
  FROM einvoice_item
 ORDER BY component
"""


async def items(tx: Connection) -> dict[Component, Item]:
    return {
        Component(row["component"]): Item(row["name"], row["tax_code"])
        for row in await tx.fetch(ITEMS)
    }


# --- Quota --------------------------------------------------------------------------------------

PUT_QUOTA = """
INSERT INTO einvoice_quota (month, amount, set_by, set_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (month) DO UPDATE
   SET amount = excluded.amount,
       set_by = excluded.set_by,
       set_at = excluded.set_at
RETURNING id
"""


async def put_quota(tx: Connection, month: date, amount: int, by: str, now: datetime) -> UUID:
    quota_id: UUID = await tx.fetchval(PUT_QUOTA, month, amount, by, now)
    return quota_id


LOCK_QUOTA = """
SELECT amount
  FROM einvoice_quota
 WHERE month = $1
   FOR UPDATE
"""


async def lock_quota(tx: Connection, month: date) -> int | None:
    """The month's quota. Whoever drafts holds it, so that two who draft count each other."""
    amount: int | None = await tx.fetchval(LOCK_QUOTA, month)
    return amount


USED = """
SELECT coalesce(sum(net_amount), 0)::bigint
  FROM einvoice
 WHERE created_at >= $1
   AND created_at < $2
   AND red_letter_id IS NULL
   AND state <> 'rejected'
"""


async def used(tx: Connection, from_at: datetime, to_at: datetime) -> int:
    amount: int = await tx.fetchval(USED, from_at, to_at)
    return amount


QUOTA = """
SELECT month, amount, set_by, set_at
  FROM einvoice_quota
 WHERE month = $1
"""


async def quota(tx: Connection, month: date) -> Record | None:
    return await tx.fetchrow(QUOTA, month)


# --- E-invoices ---------------------------------------------------------------------------------

NEXT_SERIAL = "SELECT nextval('einvoice_serial')"


async def next_serial(tx: Connection) -> int:
    """A number that was never given before; one whose transaction fails is never given again."""
    counted: int = await tx.fetchval(NEXT_SERIAL)
    return counted


INSERT = """
INSERT INTO einvoice (invoice_id, red_letter_id, kind, serial, net_amount, vat_amount, request,
                      has_list, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id
"""


async def insert(
    tx: Connection,
    *,
    invoice_id: UUID,
    red_letter_id: UUID | None,
    kind: str,
    serial: str,
    net_amount: int,
    vat_amount: int,
    request: dict[str, Any],
    has_list: bool,
    now: datetime,
) -> UUID:
    made: UUID = await tx.fetchval(
        INSERT,
        invoice_id,
        red_letter_id,
        kind,
        serial,
        net_amount,
        vat_amount,
        request,
        has_list,
        now,
    )
    return made


VIEW = """
SELECT id, invoice_id, red_letter_id, kind, serial, state, net_amount, vat_amount, has_list, number,
       issued_at, rejected_code, rejected_message, created_at, submitted_at
  FROM einvoice
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR invoice_id = $2)
   AND ($3::text IS NULL OR state = $3)
 ORDER BY id
 LIMIT $4
"""


async def get(tx: Connection, einvoice_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, einvoice_id)


async def after(
    tx: Connection,
    einvoice_id: UUID,
    invoice_id: UUID | None,
    state: EInvoiceState | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, einvoice_id, invoice_id, state, limit)


OPEN_INVOICES = """
SELECT id
  FROM invoice
 WHERE state = 'final'
   AND total_amount > 0
   AND currency = 'CNY'
   AND issued_on >= $1
   AND issued_on < $2
   AND id > $3
   AND NOT EXISTS (
         SELECT FROM einvoice
          WHERE einvoice.invoice_id = invoice.id
            AND red_letter_id IS NULL
            AND state <> 'rejected')
 ORDER BY id
 LIMIT $4
"""


async def open_invoices(
    tx: Connection, from_on: date, to_on: date, after_id: UUID, limit: int
) -> list[UUID]:
    """Invoices of some days that are no e-invoices yet."""
    rows = await tx.fetch(OPEN_INVOICES, from_on, to_on, after_id, limit)
    return [row["id"] for row in rows]


# --- Red letters --------------------------------------------------------------------------------

LOCK_EINVOICE = """
SELECT einvoice.id, einvoice.state, einvoice.red_letter_id, einvoice.kind, einvoice.number,
       einvoice.net_amount, einvoice.invoice_id, invoice.number AS invoice_number
  FROM einvoice
  JOIN invoice ON invoice.id = einvoice.invoice_id
 WHERE einvoice.id = $1
   FOR UPDATE OF einvoice
"""


async def lock(tx: Connection, einvoice_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_EINVOICE, einvoice_id)


TAKEN_BACK = """
SELECT coalesce(sum(net_amount), 0)::bigint
  FROM red_letter
 WHERE einvoice_id = $1
   AND state NOT IN ('refused', 'lapsed', 'revoked')
"""


async def taken_back(tx: Connection, einvoice_id: UUID) -> int:
    """What red letters take back of an e-invoice; nothing or less."""
    amount: int = await tx.fetchval(TAKEN_BACK, einvoice_id)
    return amount


INSERT_RED = """
INSERT INTO red_letter (einvoice_id, credit_note_id, reason, serial, net_amount, vat_amount,
                        request, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id
"""


async def insert_red(
    tx: Connection,
    *,
    einvoice_id: UUID,
    credit_note_id: UUID,
    reason: str,
    serial: str,
    net_amount: int,
    vat_amount: int,
    request: dict[str, Any],
    now: datetime,
) -> UUID:
    made: UUID = await tx.fetchval(
        INSERT_RED,
        einvoice_id,
        credit_note_id,
        reason,
        serial,
        net_amount,
        vat_amount,
        request,
        now,
    )
    return made


RED_VIEW = """
SELECT id, einvoice_id, credit_note_id, reason, serial, state, net_amount, vat_amount,
       confirmation_number, message, created_at, closed_at
  FROM red_letter
"""

GET_RED = f"""{RED_VIEW}
 WHERE id = $1
"""

LIST_RED = f"""{RED_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR einvoice_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def get_red(tx: Connection, red_letter_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_RED, red_letter_id)


async def red_after(
    tx: Connection, red_letter_id: UUID, einvoice_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_RED, red_letter_id, einvoice_id, limit)


LOCK_RED = """
SELECT id, state, batch_id
  FROM red_letter
 WHERE id = $1
   FOR UPDATE
"""


async def lock_red(tx: Connection, red_letter_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_RED, red_letter_id)


# --- Batches ------------------------------------------------------------------------------------

UNSENT = """
SELECT id, name
  FROM einvoice_batch
 WHERE sent_at IS NULL
 ORDER BY id
 LIMIT 1
   FOR UPDATE SKIP LOCKED
"""


async def unsent(tx: Connection) -> Record | None:
    """A batch that was made and not sent, or not known to be."""
    return await tx.fetchrow(UNSENT)


# Red letters and e-invoices wait in the order in which they were drafted.
WAITING = """
SELECT id, 'einvoice' AS subject
  FROM einvoice
 WHERE state = 'drafted'
   AND batch_id IS NULL
 UNION ALL
SELECT id, 'red_letter'
  FROM red_letter
 WHERE state = 'drafted'
   AND batch_id IS NULL
 ORDER BY id
 LIMIT $1
"""

# One who makes a batch at a time.
LOCK_BATCHES = "SELECT pg_advisory_xact_lock(hashtextextended('einvoice batches', 0))"

MAKE_BATCH = """
INSERT INTO einvoice_batch (name, made_at)
VALUES ($1, $2)
RETURNING id, name
"""

TAKE_EINVOICES = """
UPDATE einvoice
   SET batch_id = $1
 WHERE id = ANY ($2::uuid[])
   AND state = 'drafted'
"""

TAKE_RED = """
UPDATE red_letter
   SET batch_id = $1
 WHERE id = ANY ($2::uuid[])
   AND state = 'drafted'
"""


async def make_batch(tx: Connection, name: str, limit: int, now: datetime) -> Record | None:
    """Put what waits longest into a new batch; None when nothing waits."""
    await tx.execute(LOCK_BATCHES)
    waiting = await tx.fetch(WAITING, limit)
    if not waiting:
        return None
    made = await tx.fetchrow(MAKE_BATCH, name, now)
    assert made is not None
    for subject, statement in (("einvoice", TAKE_EINVOICES), ("red_letter", TAKE_RED)):
        ids = [row["id"] for row in waiting if row["subject"] == subject]
        await tx.execute(statement, made["id"], ids)
    return made


BATCH_NAME = """
SELECT name
  FROM einvoice_batch
 WHERE id = $1
"""


async def batch_name(tx: Connection, batch_id: UUID) -> str:
    name: str = await tx.fetchval(BATCH_NAME, batch_id)
    return name


REQUESTS = """
SELECT serial, request, CASE WHEN has_list THEN invoice_id END AS list_of
  FROM einvoice
 WHERE batch_id = $1
 UNION ALL
SELECT serial, request, NULL
  FROM red_letter
 WHERE batch_id = $1
 ORDER BY serial
"""


async def requests(tx: Connection, batch_id: UUID) -> list[Record]:
    return await tx.fetch(REQUESTS, batch_id)


SENT = """
UPDATE einvoice_batch
   SET sent_at = $2
 WHERE id = $1
   AND sent_at IS NULL
"""

SUBMITTED = """
UPDATE einvoice
   SET state = 'submitted',
       submitted_at = $2
 WHERE batch_id = $1
   AND state = 'drafted'
RETURNING id, serial
"""

APPLIED = """
UPDATE red_letter
   SET state = 'applied'
 WHERE batch_id = $1
   AND state = 'drafted'
RETURNING id, serial
"""


async def sent(
    tx: Connection, batch_id: UUID, now: datetime
) -> tuple[Sequence[Record], Sequence[Record]]:
    """Note that a batch was sent; returns the e-invoices and the red letters that were."""
    await tx.execute(SENT, batch_id, now)
    submitted = await tx.fetch(SUBMITTED, batch_id, now)
    return submitted, await tx.fetch(APPLIED, batch_id)


# --- Answers ------------------------------------------------------------------------------------

NOTE_FILE = """
INSERT INTO einvoice_answer_file (sha256, name, read_at)
VALUES ($1, $2, $3)
    ON CONFLICT (sha256) DO NOTHING
"""


async def note_file(tx: Connection, sha256: bytes, name: str, now: datetime) -> bool:
    """Whether this content is new."""
    return await tx.execute(NOTE_FILE, sha256, name, now) == "INSERT 0 1"


ASKED = """
SELECT id, 'einvoice' AS subject, state, red_letter_id, number, kind, batch_id, request
  FROM einvoice
 WHERE serial = $1
 UNION ALL
SELECT id, 'red_letter', state, NULL, confirmation_number, NULL, batch_id, request
  FROM red_letter
 WHERE serial = $1
"""

HOLD_EINVOICE = "SELECT id FROM einvoice WHERE serial = $1 FOR UPDATE"
HOLD_RED = "SELECT id FROM red_letter WHERE serial = $1 FOR UPDATE"


async def asked(tx: Connection, serial: str) -> Record | None:
    """What a serial number was given to, held until the transaction ends."""
    await tx.execute(HOLD_EINVOICE, serial)
    await tx.execute(HOLD_RED, serial)
    return await tx.fetchrow(ASKED, serial)


ISSUED = """
UPDATE einvoice
   SET state = 'issued',
       submitted_at = coalesce(submitted_at, $4),
       number = $2,
       issued_at = $3
 WHERE id = $1
"""


async def issued(
    tx: Connection, einvoice_id: UUID, number: str, issued_at: datetime, now: datetime
) -> None:
    await tx.execute(ISSUED, einvoice_id, number, issued_at, now)


REJECTED = """
UPDATE einvoice
   SET state = 'rejected',
       submitted_at = coalesce(submitted_at, $4),
       rejected_code = $2,
       rejected_message = $3
 WHERE id = $1
"""


async def rejected(
    tx: Connection, einvoice_id: UUID, code: str, message: str | None, now: datetime
) -> None:
    await tx.execute(REJECTED, einvoice_id, code, message, now)


SET_RED = """
UPDATE red_letter
   SET state = $2,
       confirmation_number = coalesce($3, confirmation_number),
       message = coalesce($4, message),
       closed_at = $5
 WHERE id = $1
"""


async def set_red(
    tx: Connection,
    red_letter_id: UUID,
    state: RedLetterState,
    *,
    number: str | None = None,
    message: str | None = None,
    closed_at: datetime | None = None,
) -> None:
    await tx.execute(SET_RED, red_letter_id, state, number, message, closed_at)


RED_TO_ISSUE = """
SELECT red_letter.credit_note_id, red_letter.request, red_letter.net_amount, red_letter.vat_amount,
       blue.kind
  FROM red_letter
  JOIN einvoice AS blue ON blue.id = red_letter.einvoice_id
 WHERE red_letter.id = $1
"""


async def red_to_issue(tx: Connection, red_letter_id: UUID) -> Record | None:
    return await tx.fetchrow(RED_TO_ISSUE, red_letter_id)
