"""Quotes in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from schemas.quotes import QuotedTerms

INSERT = """
INSERT INTO quote (lessee_id, valid_to, alternatives, created_by, created_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id
"""


async def insert(
    tx: Connection,
    lessee_id: UUID | None,
    valid_to: date,
    alternatives: Sequence[QuotedTerms],
    by: str,
    now: datetime,
) -> UUID:
    created: UUID = await tx.fetchval(INSERT, lessee_id, valid_to, alternatives, by, now)
    return created


GET = """
SELECT id, lessee_id, valid_to, alternatives, accepted_alternative, contract_id, accepted_at,
       created_by, created_at
  FROM quote
 WHERE id = $1
"""

LOCK = f"""{GET}
   FOR UPDATE
"""


async def get(tx: Connection, quote_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, quote_id)


async def lock(tx: Connection, quote_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, quote_id)


LIST = """
SELECT id,
       lessee_id,
       valid_to,
       CASE WHEN accepted_at IS NOT NULL THEN 'accepted'
            WHEN valid_to < $4 THEN 'expired'
            ELSE 'open' END AS state,
       (SELECT array_agg(one ->> 'label' ORDER BY position)
          FROM jsonb_array_elements(alternatives) WITH ORDINALITY AS each (one, position)
       ) AS labels,
       contract_id,
       created_by,
       created_at
  FROM quote
 WHERE id > $1
   AND ($2::uuid IS NULL OR lessee_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(
    tx: Connection, quote_id: UUID, lessee_id: UUID | None, limit: int, today: date
) -> list[Record]:
    return await tx.fetch(LIST, quote_id, lessee_id, limit, today)


ACCEPT = """
UPDATE quote
   SET lessee_id = $2,
       accepted_alternative = $3,
       contract_id = $4,
       accepted_at = $5
 WHERE id = $1
"""


async def accept(
    tx: Connection,
    quote_id: UUID,
    lessee_id: UUID,
    alternative: int,
    contract_id: UUID,
    now: datetime,
) -> None:
    await tx.execute(ACCEPT, quote_id, lessee_id, alternative, contract_id, now)


def alternatives_of(row: Record) -> list[QuotedTerms]:
    return msgspec.convert(row["alternatives"], list[QuotedTerms])
