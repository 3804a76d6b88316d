"""Contracts, lines and placements in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.contracts.model import Line
from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from schemas.contracts import AcceptanceCreate, ContractCreate, ContractState, LineCreate

INSERT = """
INSERT INTO contract (number, lessee_id, term, currency, vat_percent, payment_days,
                      guarantee_percent, replacement_days, created_at)
VALUES ($1, $2, daterange($3, $4), $5, $6, $7, $8, $9, $10)
RETURNING id
"""


async def insert(tx: Connection, data: ContractCreate, now: datetime) -> UUID:
    created: UUID = await tx.fetchval(
        INSERT,
        data.number,
        data.lessee_id,
        data.starts_on,
        data.ends_on,
        data.currency,
        Decimal(data.vat_percent),
        data.payment_days,
        Decimal(data.guarantee_percent),
        data.replacement_days,
        now,
    )
    return created


INSERT_LINES = """
INSERT INTO lease_line (contract_id, lessee_id, site_id, slot, rated_capacity_mah, rent_amount)
SELECT $1, $2, site_id, slot, rated_capacity_mah, rent_amount
  FROM unnest($3::uuid[], $4::int[], $5::int[], $6::bigint[])
       AS given (site_id, slot, rated_capacity_mah, rent_amount)
"""


async def insert_lines(
    tx: Connection, contract_id: UUID, lessee_id: UUID, lines: Sequence[LineCreate]
) -> None:
    await tx.execute(
        INSERT_LINES,
        contract_id,
        lessee_id,
        [line.site_id for line in lines],
        [line.slot for line in lines],
        [line.rated_capacity_mah for line in lines],
        [line.rent_amount for line in lines],
    )


VIEW = """
SELECT contract.id,
       number,
       lessee_id,
       lower(term) AS starts_on,
       upper(term) AS ends_on,
       currency,
       vat_percent,
       payment_days,
       guarantee_percent,
       replacement_days,
       state,
       activated_at,
       ended_at,
       (SELECT count(*) FROM lease_line WHERE contract_id = contract.id) AS line_count,
       version
  FROM contract
"""

GET = f"""{VIEW}
 WHERE contract.id = $1
"""


async def get(tx: Connection, contract_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, contract_id)


LIST = f"""{VIEW}
 WHERE contract.id > $1
   AND ($2::uuid IS NULL OR lessee_id = $2)
 ORDER BY contract.id
 LIMIT $3
"""


async def after(
    tx: Connection, contract_id: UUID, lessee_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, contract_id, lessee_id, limit)


LOCK = """
SELECT id, lessee_id, number, state, version, lower(term) AS starts_on, upper(term) AS ends_on,
       vat_percent, payment_days, guarantee_percent, replacement_days
  FROM contract
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, contract_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, contract_id)


UPDATE_DRAFT = """
UPDATE contract
   SET term = daterange($2, $3),
       vat_percent = $4,
       payment_days = $5,
       guarantee_percent = $6,
       replacement_days = $7,
       version = version + 1
 WHERE id = $1
"""


async def update_draft(
    tx: Connection,
    contract_id: UUID,
    *,
    starts_on: date,
    ends_on: date,
    vat_percent: Decimal,
    payment_days: int,
    guarantee_percent: Decimal,
    replacement_days: int,
) -> None:
    await tx.execute(
        UPDATE_DRAFT,
        contract_id,
        starts_on,
        ends_on,
        vat_percent,
        payment_days,
        guarantee_percent,
        replacement_days,
    )


SET_STATE = """
UPDATE contract
   SET state = $2::text,
       activated_at = CASE WHEN $2::text = 'active' THEN $3 ELSE activated_at END,
       ended_at = CASE WHEN $2::text = 'ended' THEN $3 END,
       version = version + 1
 WHERE id = $1
"""


async def set_state(tx: Connection, contract_id: UUID, state: ContractState, now: datetime) -> None:
    await tx.execute(SET_STATE, contract_id, state, now)


OPEN_LINES = """
SELECT count(*)
  FROM lease_line
 WHERE contract_id = $1
   AND started_on IS NOT NULL
   AND ended_on IS NULL
"""


async def open_lines(tx: Connection, contract_id: UUID) -> int:
    count: int = await tx.fetchval(OPEN_LINES, contract_id)
    return count


LINE_VIEW = """
SELECT lease_line.id,
       contract_id,
       site_id,
       slot,
       rated_capacity_mah,
       rent_amount,
       started_on,
       ended_on,
       placement.pack_id
  FROM lease_line
  LEFT JOIN placement ON placement.line_id = lease_line.id AND upper_inf(placement.during)
"""

GET_LINE = f"""{LINE_VIEW}
 WHERE lease_line.id = $1
"""


async def get_line(tx: Connection, line_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_LINE, line_id)


LINES = f"""{LINE_VIEW}
 WHERE lease_line.id > $1
   AND ($2::uuid IS NULL OR contract_id = $2)
   AND ($3::uuid IS NULL OR site_id = $3)
 ORDER BY lease_line.id
 LIMIT $4
"""


async def lines_after(
    tx: Connection, line_id: UUID, contract_id: UUID | None, site_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LINES, line_id, contract_id, site_id, limit)


LINE_TO_LOCK = """
SELECT lease_line.id,
       lease_line.contract_id,
       lease_line.lessee_id,
       lease_line.site_id,
       site.adcode,
       contract.state AS contract_state,
       lower(contract.term) AS term_from,
       upper(contract.term) AS term_to,
       lease_line.rated_capacity_mah,
       contract.guarantee_percent,
       contract.replacement_days,
       lease_line.started_on,
       lease_line.ended_on
  FROM lease_line
  JOIN contract ON contract.id = lease_line.contract_id
  JOIN site ON site.id = lease_line.site_id
"""

LOCK_LINE = f"""{LINE_TO_LOCK}
 WHERE lease_line.id = $1
   FOR UPDATE OF lease_line
   FOR SHARE OF contract
"""


async def lock_line(tx: Connection, line_id: UUID) -> Line | None:
    """A line for changing; its contract cannot end meanwhile."""
    row = await tx.fetchrow(LOCK_LINE, line_id)
    return convert(row, Line) if row else None


# In order of id, so that two that lock the same lines queue up instead of locking each other out.
LOCK_LINES = f"""{LINE_TO_LOCK}
 WHERE lease_line.id = ANY ($1::uuid[])
 ORDER BY lease_line.id
   FOR UPDATE OF lease_line
   FOR SHARE OF contract
"""


async def lock_lines(tx: Connection, line_ids: Sequence[UUID]) -> list[Line]:
    """The same for many lines."""
    return convert_all(await tx.fetch(LOCK_LINES, line_ids), Line)


LINE_OF_PACK = """
SELECT line_id
  FROM placement
 WHERE pack_id = $1
   AND during @> $2::date
"""


async def line_of_pack(tx: Connection, pack_id: UUID, on: date) -> UUID | None:
    line_id: UUID | None = await tx.fetchval(LINE_OF_PACK, pack_id, on)
    return line_id


INSERT_ACCEPTANCE = """
INSERT INTO acceptance (line_id, pack_id, accepted_on, tested_capacity_mah, lessor_signatory,
                        lessee_signatory, photo_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
"""


async def insert_acceptance(tx: Connection, line_id: UUID, data: AcceptanceCreate) -> UUID:
    created: UUID = await tx.fetchval(
        INSERT_ACCEPTANCE,
        line_id,
        data.pack_id,
        data.accepted_on,
        data.tested_capacity_mah,
        data.lessor_signatory,
        data.lessee_signatory,
        data.photo_sha256,
    )
    return created


PLACE = """
INSERT INTO placement (acceptance_id, line_id, pack_id, during)
VALUES ($1, $2, $3, daterange($4, NULL))
RETURNING id, line_id, pack_id, acceptance_id, lower(during) AS from_on, upper(during) AS to_on
"""


async def place(
    tx: Connection, acceptance_id: UUID, line_id: UUID, pack_id: UUID, on: date
) -> Record:
    row = await tx.fetchrow(PLACE, acceptance_id, line_id, pack_id, on)
    assert row is not None
    return row


START_LINE = """
UPDATE lease_line
   SET started_on = $2
 WHERE id = $1
   AND started_on IS NULL
"""


async def start_line(tx: Connection, line_id: UUID, on: date) -> None:
    """The first acceptance starts a line; later ones leave its start alone."""
    await tx.execute(START_LINE, line_id, on)


END_LINE = """
UPDATE lease_line
   SET ended_on = $2
 WHERE id = $1
"""


async def end_line(tx: Connection, line_id: UUID, on: date) -> None:
    await tx.execute(END_LINE, line_id, on)


# greatest() keeps a day before the placement from being a range error: the range becomes
# empty, and the constraint says by name what is wrong.
CLOSE_PLACEMENT = """
UPDATE placement
   SET during = daterange(lower(during), greatest(lower(during), $2))
 WHERE line_id = $1
   AND upper_inf(during)
RETURNING id, line_id, pack_id, acceptance_id, lower(during) AS from_on, upper(during) AS to_on
"""


async def close_placement(tx: Connection, line_id: UUID, on: date) -> Record | None:
    """End the stay of the pack that stands in a line now."""
    return await tx.fetchrow(CLOSE_PLACEMENT, line_id, on)


INSERT_RETURN = """
INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
VALUES ($1, $2, $3, $4)
"""


async def insert_return(
    tx: Connection, line_id: UUID, pack_id: UUID, on: date, reason: str
) -> None:
    await tx.execute(INSERT_RETURN, line_id, pack_id, on, reason)
