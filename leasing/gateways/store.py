"""What gateways keep and ask."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

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


MAX_BYTES = 1_048_576
MAX_REASON = 1_000


async def keep(tx: Connection, messages: Sequence[Unread]) -> None:
    """Keep what could not be read; of what is longer than a megabyte, its beginning."""
    await tx.execute(
        KEEP,
        [storable(one.source) for one in messages],
        [storable(reason_of(one)) for one in messages],
        [one.received_at for one in messages],
        [one.content[:MAX_BYTES] for one in messages],
    )


def reason_of(message: Unread) -> str:
    cut = len(message.content) > MAX_BYTES
    whole = f" (cut: {len(message.content):,} bytes came)" if cut else ""
    return (message.reason[:MAX_REASON].strip() or "no reason") + whole


def storable(text: str) -> str:
    """A reason may quote what came: a NUL, or half of a surrogate, is nothing a text can hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


KNOWS_VEHICLE = """
SELECT EXISTS (SELECT FROM site WHERE vin = $1)
"""


async def knows_vehicle(tx: Connection, vin: str) -> bool:
    known: bool = await tx.fetchval(KNOWS_VEHICLE, vin)
    return known


CODES_ELSEWHERE = """
SELECT DISTINCT told.code
  FROM unnest($2::text[]) AS told (code)
 WHERE NOT EXISTS (
       SELECT FROM site
         JOIN line_revision ON line_revision.site_id = site.id
         JOIN placement ON placement.line_id = line_revision.line_id
         JOIN pack_code ON pack_code.pack_id = placement.pack_id
        WHERE site.vin = $1
          AND line_revision.during @> $3::date
          AND placement.during @> $3::date
          AND pack_code.code = told.code)
 ORDER BY told.code
"""


async def codes_elsewhere(tx: Connection, vin: str, codes: Sequence[str], on: date) -> list[str]:
    """Those of the codes that are on no pack in a vehicle on a day."""
    return [row["code"] for row in await tx.fetch(CODES_ELSEWHERE, vin, list(codes), on)]


LIST = """
SELECT id, source, reason, received_at, octet_length(content) AS size_bytes,
       encode(sha256, 'hex') AS sha256
  FROM unread_message
 WHERE id > $1
   AND ($2::text IS NULL OR source = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, message_id: UUID, source: str | None, limit: int) -> list[Record]:
    return await tx.fetch(LIST, message_id, source, limit)


CONTENT = """
SELECT content
  FROM unread_message
 WHERE id = $1
"""


async def content(tx: Connection, message_id: UUID) -> bytes | None:
    found: bytes | None = await tx.fetchval(CONTENT, message_id)
    return found


FORGET = """
DELETE FROM unread_message
 WHERE received_at < $1
"""


async def forget(tx: Connection, before: datetime) -> int:
    """Drop what nobody read in time; returns how many."""
    done = await tx.execute(FORGET, before)
    return int(done.rpartition(" ")[2])
