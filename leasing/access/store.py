"""API keys in the database."""

from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.access import rules
from leasing.access.model import Caller, KeyRefused, Role
from leasing.db.pool import Connection

INSERT = """
INSERT INTO api_key (prefix, digest, role, party_id, name, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def create(
    tx: Connection,
    *,
    role: Role,
    party_id: UUID | None,
    name: str,
    now: datetime,
    expires_at: datetime,
) -> str:
    """Make a key and return it; it cannot be had again."""
    key = rules.make()
    await tx.execute(
        INSERT, rules.prefix_of(key), rules.digest(key), role, party_id, name, now, expires_at
    )
    return key


FIND = """
SELECT id, digest, role, party_id, name, expires_at, revoked_at
  FROM api_key
 WHERE prefix = $1
"""


async def verify(tx: Connection, key: str, now: datetime) -> Caller:
    """The caller behind a key. Raises `KeyRefused` for one that is malformed, unknown, revoked
    or expired."""
    row = await tx.fetchrow(FIND, rules.prefix_of(key))
    if row is None:
        raise KeyRefused("no such key")
    rules.refuse_unless_valid(
        row["digest"], rules.digest(key), row["expires_at"], row["revoked_at"], now
    )
    return Caller(row["id"], row["name"], Role(row["role"]), row["party_id"], row["expires_at"])


TOUCH = """
UPDATE api_key
   SET last_used_at = $2
 WHERE id = $1
   AND (last_used_at IS NULL OR last_used_at < $3)
"""


async def touch(tx: Connection, key_id: UUID, now: datetime, *, not_since: datetime) -> None:
    """Note that a key was used, unless that was noted lately: reads should not write."""
    await tx.execute(TOUCH, key_id, now, not_since)


REVOKE = """
UPDATE api_key
   SET revoked_at = $2
 WHERE prefix = $1
   AND revoked_at IS NULL
"""


async def revoke(tx: Connection, prefix: str, now: datetime) -> bool:
    """Refuse a key from now on. False when there is no such key or it was revoked before."""
    return await tx.execute(REVOKE, prefix, now) == "UPDATE 1"


LIST = """
SELECT api_key.prefix,
       api_key.role,
       api_key.name,
       party.name AS party,
       api_key.expires_at,
       api_key.revoked_at,
       api_key.last_used_at
  FROM api_key
  LEFT JOIN party ON party.id = api_key.party_id
 ORDER BY api_key.id
"""


async def every(tx: Connection) -> list[Record]:
    return await tx.fetch(LIST)
