"""Parties, their groups, roles, contacts and qualifications in the database."""

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.parties import (
    ContactCreate,
    ContactPurpose,
    PartyCreate,
    PartyKind,
    QualificationCreate,
    RoleCreate,
)

COLUMNS = """id, kind, name, name_en, short_name, credit_code, home_adcode, registered_address,
       parent_id, billing_party_of(id) AS billing_party_id,
       billing_party_id AS chosen_billing_party_id, generated, version, created_at"""

INSERT = """
INSERT INTO party (kind, name, name_en, short_name, credit_code, home_adcode, registered_address,
                   parent_id, parent_level, billing_party_id, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7,
        $8, (SELECT level FROM party WHERE id = $8), $9, $10)
RETURNING id
"""


async def create(tx: Connection, data: PartyCreate, now: datetime) -> UUID:
    created: UUID = await tx.fetchval(
        INSERT,
        data.kind,
        data.name,
        data.name_en,
        data.short_name,
        data.credit_code,
        data.home_adcode,
        data.registered_address,
        data.parent_id,
        data.billing_party_id,
        now,
    )
    return created


GET = f"""
SELECT {COLUMNS}
  FROM party
 WHERE id = $1
"""


async def get(tx: Connection, party_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, party_id)


# Not FOR UPDATE: what refers to the party need not wait.
LOCK = """
SELECT kind, name, name_en, short_name, credit_code, home_adcode, registered_address, parent_id,
       billing_party_id, version
  FROM party
 WHERE id = $1
   FOR NO KEY UPDATE
"""


async def lock(tx: Connection, party_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, party_id)


UPDATE = """
UPDATE party
   SET name = $2,
       name_en = $3,
       short_name = $4,
       credit_code = $5,
       home_adcode = $6,
       registered_address = $7,
       parent_id = $8,
       parent_level = (SELECT above.level FROM party AS above WHERE above.id = $8),
       billing_party_id = $9,
       version = version + 1
 WHERE id = $1
"""

EDITABLE = (
    "name",
    "name_en",
    "short_name",
    "credit_code",
    "home_adcode",
    "registered_address",
    "parent_id",
    "billing_party_id",
)


async def update(tx: Connection, party_id: UUID, values: Mapping[str, object]) -> None:
    """Set every editable field of a party."""
    await tx.execute(UPDATE, party_id, *[values[field] for field in EDITABLE])


# The pieces find candidates through the index; which of them it is, the position tells, and
# first, because in a plan without the index it is the cheaper by far.
LIST = f"""
SELECT {COLUMNS}
  FROM party
 WHERE id > $1
   AND ($2::text IS NULL OR kind = $2)
   AND ($3::uuid IS NULL OR parent_id = $3)
   AND ($4::text IS NULL OR credit_code = $4)
   AND ($5::text IS NULL
        OR strpos(names, lower($5 COLLATE "pg_c_utf8")) > 0
       AND pieces(names) @> pieces(lower($5 COLLATE "pg_c_utf8")))
 ORDER BY id
 LIMIT $6
"""


async def after(
    tx: Connection,
    party_id: UUID,
    kind: PartyKind | None,
    parent_id: UUID | None,
    credit_code: str | None,
    name: str | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, party_id, kind, parent_id, credit_code, name, limit)


# --- Groups of companies ----------------------------------------------------------------------

LOCK_TREE = """
SELECT pg_advisory_xact_lock(hashtextextended('leasing.party_tree ' || current_schema(), 0))
"""


async def lock_tree(tx: Connection) -> None:
    """Whatever moves a party, or depends on who is above whom, happens in sequence."""
    await tx.execute(LOCK_TREE)


IS_WITHIN = """
WITH RECURSIVE way AS (
  SELECT id, parent_id
    FROM party
   WHERE id = $1
   UNION ALL
  SELECT above.id, above.parent_id
    FROM way
    JOIN party AS above ON above.id = way.parent_id
)
SELECT EXISTS (SELECT FROM way WHERE id = $2)
"""


async def is_within(tx: Connection, party_id: UUID, group_id: UUID) -> bool:
    """Whether a party is another one or anywhere below it."""
    return await tx.fetchval(IS_WITHIN, party_id, group_id) is True


TREE = """
WITH RECURSIVE upward AS (
  SELECT id, parent_id, level, name, short_name
    FROM party
   WHERE id = $1
   UNION ALL
  SELECT above.id, above.parent_id, above.level, above.name, above.short_name
    FROM upward
    JOIN party AS above ON above.id = upward.parent_id
), downward AS (
  SELECT id, parent_id, level, name, short_name
    FROM party
   WHERE parent_id = $1
   UNION ALL
  SELECT below.id, below.parent_id, below.level, below.name, below.short_name
    FROM downward
    JOIN party AS below ON below.parent_id = downward.id
), node AS (
  SELECT * FROM upward
   UNION ALL
  SELECT * FROM downward
   ORDER BY level, id
   LIMIT $2
)
SELECT id, parent_id, level, name, short_name, billing_party_of(id) AS billing_party_id
  FROM node
 ORDER BY level, id
"""


async def tree(tx: Connection, party_id: UUID, limit: int) -> list[Record]:
    """The way down to a party, itself, and what is below it, from the top."""
    return await tx.fetch(TREE, party_id, limit)


BILLING_PARTY = """
SELECT billing_party_of(id)
  FROM party
 WHERE id = $1
"""


async def billing_party(tx: Connection, party_id: UUID) -> UUID | None:
    found: UUID | None = await tx.fetchval(BILLING_PARTY, party_id)
    return found


# `line` is a party and all above it.
STRAY = """
WITH RECURSIVE way AS (
  SELECT id, parent_id
    FROM party
   WHERE id = $1
   UNION ALL
  SELECT above.id, above.parent_id
    FROM way
    JOIN party AS above ON above.id = way.parent_id
), affected AS (
  SELECT id, name, billing_party_id, array(SELECT way.id FROM way) AS line
    FROM party
   WHERE id = $1
   UNION ALL
  SELECT below.id, below.name, below.billing_party_id, affected.line || below.id
    FROM affected
    JOIN party AS below ON below.parent_id = affected.id
)
SELECT id, name
  FROM affected
 WHERE billing_party_id <> ALL (line)
   AND NOT EXISTS (
     SELECT
       FROM party_role
      WHERE party_id = affected.billing_party_id
        AND role = 'payer'
        AND upper_inf(valid)
        AND lower(valid) <= $2)
 ORDER BY id
 LIMIT 1
"""


async def stray(tx: Connection, party_id: UUID, today: date) -> Record | None:
    """The first party in a group whose chosen billing party is neither in the line above it
    nor a payer."""
    return await tx.fetchrow(STRAY, party_id, today)


RELIES_ON_PAYER = """
WITH RECURSIVE downward AS (
  SELECT id
    FROM party
   WHERE id = $1
   UNION ALL
  SELECT below.id
    FROM downward
    JOIN party AS below ON below.parent_id = downward.id
)
SELECT name
  FROM party
 WHERE billing_party_id = $1
   AND NOT EXISTS (SELECT FROM downward WHERE downward.id = party.id)
 ORDER BY id
 LIMIT 1
"""


async def relies_on_payer(tx: Connection, party_id: UUID) -> str | None:
    """The name of a party that may choose this one only because it is a payer."""
    found: str | None = await tx.fetchval(RELIES_ON_PAYER, party_id)
    return found


# --- Roles ------------------------------------------------------------------------------------

ROLE_COLUMNS = """id, party_id, role, lower(valid) AS valid_from, upper(valid) AS valid_to,
       created_at"""

ADD_ROLE = f"""
INSERT INTO party_role (party_id, party_kind, role, valid, created_at)
VALUES ($1, (SELECT kind FROM party WHERE id = $1), $2, daterange($3, $4), $5)
RETURNING {ROLE_COLUMNS}
"""


async def add_role(tx: Connection, party_id: UUID, data: RoleCreate, now: datetime) -> Record:
    row = await tx.fetchrow(ADD_ROLE, party_id, data.role, data.valid_from, data.valid_to, now)
    assert row is not None
    return row


ROLE = f"""
SELECT {ROLE_COLUMNS}
  FROM party_role
 WHERE id = $1
   AND party_id = $2
"""


async def role(tx: Connection, role_id: UUID, party_id: UUID) -> Record | None:
    return await tx.fetchrow(ROLE, role_id, party_id)


END_ROLE = f"""
UPDATE party_role
   SET valid = daterange(lower(valid), $2)
 WHERE id = $1
   AND lower(valid) < $2::date
   AND (upper_inf(valid) OR upper(valid) >= $2::date)
RETURNING {ROLE_COLUMNS}
"""


async def end_role(tx: Connection, role_id: UUID, on: date) -> Record | None:
    return await tx.fetchrow(END_ROLE, role_id, on)


ROLES = f"""
SELECT {ROLE_COLUMNS}
  FROM party_role
 WHERE party_id = $1
   AND id > $2
   AND ($3::date IS NULL OR valid @> $3)
 ORDER BY id
 LIMIT $4
"""


async def roles(
    tx: Connection, party_id: UUID, after: UUID, as_of: date | None, limit: int
) -> list[Record]:
    return await tx.fetch(ROLES, party_id, after, as_of, limit)


# --- Contacts ---------------------------------------------------------------------------------

CONTACT_COLUMNS = """id, party_id, name, purpose, phone, email, note, version, created_at,
       removed_at"""

ADD_CONTACT = f"""
INSERT INTO contact (party_id, name, purpose, phone, email, note, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING {CONTACT_COLUMNS}
"""


async def add_contact(tx: Connection, party_id: UUID, data: ContactCreate, now: datetime) -> Record:
    row = await tx.fetchrow(
        ADD_CONTACT, party_id, data.name, data.purpose, data.phone, data.email, data.note, now
    )
    assert row is not None
    return row


CONTACT = f"""
SELECT {CONTACT_COLUMNS}
  FROM contact
 WHERE id = $1
"""


async def contact(tx: Connection, contact_id: UUID) -> Record | None:
    return await tx.fetchrow(CONTACT, contact_id)


LOCK_CONTACT = f"""
SELECT {CONTACT_COLUMNS}
  FROM contact
 WHERE id = $1
   FOR UPDATE
"""


async def lock_contact(tx: Connection, contact_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_CONTACT, contact_id)


UPDATE_CONTACT = f"""
UPDATE contact
   SET name = $2,
       purpose = $3,
       phone = $4,
       email = $5,
       note = $6,
       removed_at = $7,
       version = version + 1
 WHERE id = $1
RETURNING {CONTACT_COLUMNS}
"""

CONTACT_EDITABLE = ("name", "purpose", "phone", "email", "note", "removed_at")


async def update_contact(tx: Connection, contact_id: UUID, values: Mapping[str, object]) -> Record:
    """Set every editable field of a contact."""
    given = [values[field] for field in CONTACT_EDITABLE]
    row = await tx.fetchrow(UPDATE_CONTACT, contact_id, *given)
    assert row is not None
    return row


CONTACTS = f"""
SELECT {CONTACT_COLUMNS}
  FROM contact
 WHERE party_id = $1
   AND id > $2
   AND ($3::text IS NULL OR purpose = $3)
   AND ($4 OR removed_at IS NULL)
 ORDER BY id
 LIMIT $5
"""


async def contacts(
    tx: Connection,
    party_id: UUID,
    after: UUID,
    purpose: ContactPurpose | None,
    removed: bool,
    limit: int,
) -> list[Record]:
    return await tx.fetch(CONTACTS, party_id, after, purpose, removed, limit)


# --- Qualifications ---------------------------------------------------------------------------

ADD_QUALIFICATION = """
INSERT INTO qualification (party_id, kind, valid, document, document_sha256)
VALUES ($1, $2, daterange($3, $4), $5, $6)
RETURNING id
"""


async def qualify(tx: Connection, party_id: UUID, data: QualificationCreate) -> UUID:
    created: UUID = await tx.fetchval(
        ADD_QUALIFICATION,
        party_id,
        data.kind,
        data.valid_from,
        data.valid_to,
        data.document,
        data.document_sha256,
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
       document_sha256,
       withdrawn_on,
       withdrawal_document
  FROM qualification
 WHERE party_id = $1
 ORDER BY kind, valid
"""


async def qualifications(tx: Connection, party_id: UUID) -> list[Record]:
    return await tx.fetch(QUALIFICATIONS, party_id)
