"""What gateways keep and ask."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.gateways.model import Unread

# The same message sent again, because its acknowledgement was lost, is one message.
KEEP = """
INSERT INTO unread_message (source, reason, received_at, sha256, content)
SELECT source, reason, received_at, sha256(content), content
  FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bytea[])
       AS given (source, reason, received_at, content)
 ORDER BY source, sha256
    ON CONFLICT (source, sha256) DO NOTHING
"""


async def keep(tx: Connection, messages: Sequence[Unread]) -> None:
    """Keep what could not be read."""
    await tx.execute(
        KEEP,
        [one.source for one in messages],
        [one.reason for one in messages],
        [one.received_at for one in messages],
        [one.content for one in messages],
    )


KNOWS_VEHICLE = """
SELECT EXISTS (SELECT FROM site WHERE vin = $1)
"""


async def knows_vehicle(tx: Connection, vin: str) -> bool:
    known: bool = await tx.fetchval(KNOWS_VEHICLE, vin)
    return known


LIST = """
SELECT id, source, reason, received_at, octet_length(content) AS bytes,
       encode(content, 'hex') AS content_hex
  FROM unread_message
 WHERE id > $1
   AND ($2::text IS NULL OR source = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, message_id: object, source: str | None, limit: int) -> list[Record]:
    return await tx.fetch(LIST, message_id, source, limit)


FORGET = """
DELETE FROM unread_message
 WHERE received_at < $1
"""


async def forget(tx: Connection, before: datetime) -> int:
    """Drop what nobody read in time; returns how many."""
    done = await tx.execute(FORGET, before)
    return int(done.rpartition(" ")[2])
