"""Contracts in the database: the contract itself, its terms by day, and its terms of time."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.model import Contract, ContractRevision, Terms
from leasing.db.pool import Connection
from leasing.kit.rows import convert
from schemas.contracts import ContractState, ContractTerms, EndingReason, Signature

INSERT = """
INSERT INTO contract (number, lessor_id, lessee_id, currency, time_zone, transferred_from,
                      created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
"""


async def insert(
    tx: Connection,
    *,
    number: str,
    lessor_id: UUID | None,
    lessee_id: UUID,
    currency: str,
    time_zone: str,
    transferred_from: UUID | None = None,
    now: datetime,
) -> UUID:
    created: UUID = await tx.fetchval(
        INSERT, number, lessor_id, lessee_id, currency, time_zone, transferred_from, now
    )
    return created


# Terms by day

TERM_COLUMNS = ", ".join(Terms.__struct_fields__)

REVISIONS = f"""
SELECT number, lower(during) AS from_on, upper(during) AS to_on, {TERM_COLUMNS}, cause, entered_by,
       entered_at
  FROM contract_revision
 WHERE contract_id = $1
 ORDER BY lower(during)
"""


async def revisions(tx: Connection, contract_id: UUID) -> list[ContractRevision]:
    """What was agreed, in order of time."""
    return [
        ContractRevision(
            number=row["number"],
            from_on=row["from_on"],
            to_on=row["to_on"],
            terms=convert(row, Terms),
            cause=row["cause"],
            entered_by=row["entered_by"],
            entered_at=row["entered_at"],
        )
        for row in await revision_rows(tx, contract_id)
    ]


async def revision_rows(tx: Connection, contract_id: UUID) -> list[Record]:
    return await tx.fetch(REVISIONS, contract_id)


# A revision that is there is cut short or changed, before the one that follows it is added.
WRITE_REVISION = f"""
INSERT INTO contract_revision (contract_id, number, during, cause, entered_by, entered_at,
                               {TERM_COLUMNS})
VALUES ($1, $2, daterange($3, $4), $5, $6, $7,
        {", ".join(f"${position}" for position in range(8, 8 + len(Terms.__struct_fields__)))})
    ON CONFLICT (contract_id, number) DO UPDATE
   SET during = excluded.during,
       cause = excluded.cause,
       entered_by = excluded.entered_by,
       entered_at = excluded.entered_at,
       {", ".join(f"{name} = excluded.{name}" for name in Terms.__struct_fields__)}
"""


async def write_revisions(
    tx: Connection, contract_id: UUID, revisions: Sequence[ContractRevision]
) -> None:
    """Write revisions in order of number, so that room is made before it is taken."""
    for revision in sorted(revisions, key=lambda one: one.number):
        await tx.execute(
            WRITE_REVISION,
            contract_id,
            revision.number,
            revision.from_on,
            revision.to_on,
            revision.cause,
            revision.entered_by,
            revision.entered_at,
            *[getattr(revision.terms, name) for name in Terms.__struct_fields__],
        )


# Terms of time

ADD_TERM = """
INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)
VALUES ($1, daterange($2, $3), $4, $5, $6)
"""


async def add_term(
    tx: Connection,
    contract_id: UUID,
    from_on: date,
    to_on: date | None,
    kind: str,
    *,
    by: str,
    now: datetime,
) -> None:
    await tx.execute(ADD_TERM, contract_id, from_on, to_on, kind, by, now)


DROP_HOLDOVER = """
DELETE FROM contract_term
 WHERE contract_id = $1
   AND kind = 'holdover'
   AND lower(during) >= $2
"""

END_HOLDOVER = """
UPDATE contract_term
   SET during = daterange(lower(during), $2)
 WHERE contract_id = $1
   AND upper_inf(during)
"""


async def end_holdover(tx: Connection, contract_id: UUID, on: date) -> None:
    """Let a contract that holds over do so until a day; not at all, if its packs were back when
    the term was over and it was only entered late."""
    await tx.execute(DROP_HOLDOVER, contract_id, on)
    await tx.execute(END_HOLDOVER, contract_id, on)


SET_TERM = """
UPDATE contract_term
   SET during = daterange($2, $3)
 WHERE contract_id = $1
"""


async def set_draft_term(tx: Connection, contract_id: UUID, starts_on: date, ends_on: date) -> None:
    await tx.execute(SET_TERM, contract_id, starts_on, ends_on)


# The contract as it is

VIEW = """
SELECT contract.id,
       contract.number,
       lessor_id,
       lessee_id,
       term.starts_on,
       term.ends_on,
       currency,
       time_zone,
       vat_mode,
       vat_percent,
       payment_days,
       billing_frequency,
       billing_alignment,
       billing_timing,
       billing_day,
       billing_anchor_on,
       billing_end_of_month,
       proration,
       first_stub,
       last_stub,
       return_day,
       catch_up,
       guarantee_percent,
       replacement_days,
       autonomy_minutes,
       availability_percent,
       notice_days,
       renewal,
       renewal_months,
       minimum_months,
       deposit_amount,
       permitted_use,
       early_termination,
       buy_out,
       escalator,
       terms.number AS revision,
       state,
       offered_at,
       signed_at,
       activated_at,
       suspended_at,
       ending_on,
       ending_reason,
       ended_on,
       ended_at,
       cancelled_at,
       transferred_from,
       (SELECT count(*) FROM lease_line WHERE contract_id = contract.id) AS line_count,
       version
  FROM contract
  JOIN LATERAL (
         SELECT min(lower(during)) AS starts_on,
                nullif(max(coalesce(upper(during), 'infinity')), 'infinity') AS ends_on
           FROM contract_term
          WHERE contract_term.contract_id = contract.id) AS term ON true
  JOIN LATERAL (
         SELECT contract_revision.*
           FROM contract_revision
          WHERE contract_revision.contract_id = contract.id
            AND lower(during) <= greatest($1::date, term.starts_on)
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
"""

GET = f"""{VIEW}
 WHERE contract.id = $2
"""


async def get(tx: Connection, contract_id: UUID, on: date) -> Record | None:
    """A contract with the terms of a day: before it begins, its first; after its end, its
    last."""
    return await tx.fetchrow(GET, on, contract_id)


LIST = f"""{VIEW}
 WHERE contract.id > $2
   AND ($3::uuid IS NULL OR lessee_id = $3)
   AND ($4::text IS NULL OR state = $4)
   AND ($5::text IS NULL OR contract.number = $5)
 ORDER BY contract.id
 LIMIT $6
"""


async def after(
    tx: Connection,
    contract_id: UUID,
    on: date,
    *,
    lessee_id: UUID | None,
    state: str | None,
    number: str | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, on, contract_id, lessee_id, state, number, limit)


READ = """
SELECT id,
       number,
       lessor_id,
       lessee_id,
       currency,
       time_zone,
       state,
       (SELECT min(lower(during)) FROM contract_term WHERE contract_id = contract.id) AS starts_on,
       (SELECT nullif(max(coalesce(upper(during), 'infinity')), 'infinity')
          FROM contract_term
         WHERE contract_id = contract.id) AS ends_on,
       (SELECT upper(during)
          FROM contract_term
         WHERE contract_id = contract.id
           AND kind = 'agreed') AS agreed_to,
       ending_on,
       ending_reason,
       version
  FROM contract
 WHERE id = $1
"""

LOCK = f"""{READ}
   FOR UPDATE
"""


async def read(tx: Connection, contract_id: UUID) -> Contract | None:
    row = await tx.fetchrow(READ, contract_id)
    return convert(row, Contract) if row else None


async def lock(tx: Connection, contract_id: UUID) -> Contract | None:
    row = await tx.fetchrow(LOCK, contract_id)
    return convert(row, Contract) if row else None


ID_OF = """
SELECT id
  FROM contract
 WHERE number = $1
"""


async def id_of(tx: Connection, number: str) -> UUID | None:
    found: UUID | None = await tx.fetchval(ID_OF, number)
    return found


TOUCH = """
UPDATE contract
   SET version = version + 1
 WHERE id = $1
"""


async def touch(tx: Connection, contract_id: UUID) -> None:
    """Count a change, so that an editor who did not see it learns of it."""
    await tx.execute(TOUCH, contract_id)


SET_STATE = """
UPDATE contract
   SET state = $2::text,
       offered_at = CASE WHEN $2::text = 'offered' THEN $3 ELSE offered_at END,
       signed_at = CASE WHEN $2::text = 'signed' THEN $3 ELSE signed_at END,
       lessor_signatory = coalesce($4, lessor_signatory),
       lessee_signatory = coalesce($5, lessee_signatory),
       activated_at = CASE WHEN $2::text = 'active' THEN coalesce(activated_at, $3)
                           ELSE activated_at END,
       suspended_at = CASE WHEN $2::text = 'suspended' THEN $3 ELSE suspended_at END,
       ending_at = CASE WHEN $2::text = 'ending' THEN $3
                        WHEN $2::text = 'ended' THEN ending_at END,
       ending_on = CASE WHEN $2::text IN ('ending', 'ended') THEN coalesce($6, ending_on) END,
       ending_reason = CASE WHEN $2::text IN ('ending', 'ended')
                            THEN coalesce($7, ending_reason) END,
       ended_at = CASE WHEN $2::text = 'ended' THEN $3 END,
       ended_on = CASE WHEN $2::text = 'ended' THEN $8::date END,
       cancelled_at = CASE WHEN $2::text = 'cancelled' THEN $3 END,
       version = version + 1
 WHERE id = $1
"""


async def set_state(
    tx: Connection,
    contract_id: UUID,
    state: ContractState,
    now: datetime,
    *,
    signed: Signature | None = None,
    ending_on: date | None = None,
    ending_reason: EndingReason | None = None,
    ended_on: date | None = None,
) -> None:
    await tx.execute(
        SET_STATE,
        contract_id,
        state,
        now,
        signed.lessor_signatory if signed else None,
        signed.lessee_signatory if signed else None,
        ending_on,
        ending_reason,
        ended_on,
    )


# Contracts whose time is over: what becomes of them is for the service to say.
EXPIRED = """
SELECT contract.id
  FROM contract
 WHERE state IN ('active', 'suspended', 'ending')
   AND id > $2
   AND (ending_on <= $1
        OR NOT EXISTS (
             SELECT FROM contract_term
              WHERE contract_id = contract.id
                AND (upper_inf(during) OR upper(during) > $1)))
 ORDER BY id
 LIMIT $3
"""


async def expired(tx: Connection, on: date, after: UUID, limit: int) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(EXPIRED, on, after, limit)]


ESCALATING = """
SELECT contract.id
  FROM contract
  JOIN contract_revision ON contract_id = contract.id AND during @> $1::date
 WHERE state IN ('active', 'suspended', 'ending')
   AND contract.id > $2
   AND escalator ->> 'kind' <> 'none'
 ORDER BY contract.id
 LIMIT $3
"""


async def escalating(tx: Connection, on: date, after: UUID, limit: int) -> list[UUID]:
    """Contracts in force whose rents change by themselves."""
    return [row["id"] for row in await tx.fetch(ESCALATING, on, after, limit)]


def terms_of(data: ContractTerms) -> Terms:
    """The terms within a draft or a quote."""
    return msgspec.convert(
        {name: getattr(data, name) for name in Terms.__struct_fields__},
        Terms,
        strict=False,
        from_attributes=True,
    )
