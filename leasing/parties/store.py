"""Parties and their qualifications in the database."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.parties import PartyCreate, QualificationCreate

INSERT = """
INSERT INTO party (kind, name, credit_code, home_adcode, created_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, kind, name, credit_code, home_adcode, generated, created_at
"""


async def create(tx: Connection, data: PartyCreate, now: datetime) -> Record:
    row = await tx.fetchrow(INSERT, data.kind, data.name, data.credit_code, data.home_adcode, now)
    assert row is not None
    return row


GET = """
SELECT id, kind, name, credit_code, home_adcode, generated, created_at
  FROM party
 WHERE id = $1
"""


async def get(tx: Connection, party_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, party_id)


# Not FOR UPDATE: what refers to the party need not wait.
LOCK = """
SELECT true
  FROM party
 WHERE id = $1
   FOR NO KEY UPDATE
"""


async def lock(tx: Connection, party_id: UUID) -> bool:
    return await tx.fetchval(LOCK, party_id) is True


LIST = """
SELECT id, kind, name, credit_code, home_adcode, generated, created_at
  FROM party
 WHERE id > $1
   AND ($2::text IS NULL OR kind = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, party_id: UUID, kind: str | None, limit: int) -> list[Record]:
    return await tx.fetch(LIST, party_id, kind, limit)


ADD_QUALIFICATION = """
INSERT INTO qualification (party_id, kind, valid, document)
VALUES ($1, $2, daterange($3, $4), $5)
RETURNING id
"""


async def qualify(tx: Connection, party_id: UUID, data: QualificationCreate) -> UUID:
    created: UUID = await tx.fetchval(
        ADD_QUALIFICATION, party_id, data.kind, data.valid_from, data.valid_to, data.document
    )
    return created


# A withdrawal ends the validity; what was valid before that day stays on record.
WITHDRAW = """
UPDATE qualification
   SET valid = daterange(lower(valid), $3),
       withdrawn_on = $3,
       withdrawal_document = $4
 WHERE party_id = $1
   AND kind = $2
   AND valid @> $3::date
   AND lower(valid) < $3::date
RETURNING id
"""


async def withdraw(
    tx: Connection, party_id: UUID, kind: str, on: date, document: str
) -> UUID | None:
    withdrawn: UUID | None = await tx.fetchval(WITHDRAW, party_id, kind, on, document)
    return withdrawn


QUALIFICATIONS = """
SELECT id,
       party_id,
       kind,
       lower(valid) AS valid_from,
       upper(valid) AS valid_to,
       document,
       withdrawn_on,
       withdrawal_document
  FROM qualification
 WHERE party_id = $1
 ORDER BY kind, valid
"""


async def qualifications(tx: Connection, party_id: UUID) -> list[Record]:
    return await tx.fetch(QUALIFICATIONS, party_id)
