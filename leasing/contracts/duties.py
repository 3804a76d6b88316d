"""What the lessor owes under a line: a replacement, a check discharge; with a due day."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.health import DutyKind

# One open duty of a kind per pack: a second bad check does not start the clock again.
OPEN = """
INSERT INTO duty (line_id, pack_id, kind, health_check_id, opened_on, due_on)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (pack_id, kind) WHERE closed_on IS NULL DO NOTHING
RETURNING id
"""


async def open_duty(
    tx: Connection,
    *,
    line_id: UUID,
    pack_id: UUID,
    kind: DutyKind,
    health_check_id: UUID,
    opened_on: date,
    due_on: date,
) -> UUID | None:
    """Open a duty. None when the same one is open already."""
    opened: UUID | None = await tx.fetchval(
        OPEN, line_id, pack_id, kind, health_check_id, opened_on, due_on
    )
    return opened


CLOSE = """
UPDATE duty
   SET closed_on = greatest(given.closed_on, opened_on),
       outcome = $3
  FROM unnest($1::uuid[], $2::date[]) AS given (pack_id, closed_on)
 WHERE duty.pack_id = given.pack_id
   AND duty.kind = ANY ($4::text[])
   AND duty.closed_on IS NULL
RETURNING duty.pack_id, duty.id
"""


async def close(
    tx: Connection,
    days: Mapping[UUID, date],
    outcome: str,
    kinds: Sequence[DutyKind] = tuple(DutyKind),
) -> dict[UUID, list[UUID]]:
    """Close open duties of packs, each pack on its own day. Returns them by pack."""
    closed: dict[UUID, list[UUID]] = {pack_id: [] for pack_id in days}
    for row in await tx.fetch(CLOSE, list(days), list(days.values()), outcome, kinds):
        closed[row["pack_id"]].append(row["id"])
    return closed


LIST = """
SELECT id, line_id, pack_id, kind, health_check_id, opened_on, due_on, closed_on, outcome
  FROM duty
 WHERE id > $1
   AND ($2::bool IS NULL OR (closed_on IS NULL) = $2)
   AND ($3::uuid IS NULL OR line_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def after(
    tx: Connection, duty_id: UUID, is_open: bool | None, line_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, duty_id, is_open, line_id, limit)
