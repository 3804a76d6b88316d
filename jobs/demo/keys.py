"""API keys to look around with: new ones at each start, for a key is shown only once."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from leasing.access import store as access
from leasing.access.model import Role
from leasing.db.pool import Connection

NAME = "demo"
VALID_DAYS = 30


class Key(msgspec.Struct, frozen=True):
    whose: str
    key: str


# The two customers, and the recycler with most packs.
HOLDERS = """
(SELECT kind, id, name
   FROM party
  WHERE kind = 'customer'
  ORDER BY id)
UNION ALL
(SELECT kind, id, name
   FROM party
  WHERE kind = 'recycler'
  ORDER BY (SELECT count(*) FROM routing WHERE routing.recycler_id = party.id) DESC, credit_code
  LIMIT 1)
"""


async def renew(tx: Connection, now: datetime) -> list[Key]:
    """Revoke the keys of the last start, and make new ones."""
    for row in await access.every(tx):
        if row["name"] == NAME and row["revoked_at"] is None:
            await access.revoke(tx, row["prefix"], now)

    async def make(whose: str, role: Role, party_id: UUID | None = None) -> Key:
        expires_at = now + timedelta(days=VALID_DAYS)
        key = await access.create(
            tx, role=role, party_id=party_id, name=NAME, now=now, expires_at=expires_at
        )
        return Key(whose, key)

    keys = [await make("staff", Role.STAFF)]
    for holder in await tx.fetch(HOLDERS):
        keys.append(await make(holder["name"], Role(holder["kind"]), holder["id"]))
    return [*keys, await make("auditor", Role.AUDITOR)]
