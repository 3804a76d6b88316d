"""The market in the database: needs, offers, what may be matched, plans, proposals."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.market.rules import Chosen, Demand, Stall, Supply
from leasing.matching.store import HOLDS
from leasing.sites.cabinets import MEMBER
from schemas.market import (
    BinView,
    ExplanationView,
    NeedCreate,
    NeedView,
    OfferCreate,
    ProposalState,
    UnservedView,
)

# --- Needs ------------------------------------------------------------------------------------

NEED_COLUMNS = """id, lessee_id, site_id, first_slot, slots, system_voltage_mv, energy_wh,
       lowest_celsius, starts_on, months, rent_amount, permitted_use, weight_percent, state,
       version, entered_at"""

INSERT_NEED = f"""
INSERT INTO market_need (lessee_id, site_id, first_slot, slots, system_voltage_mv, energy_wh,
                         lowest_celsius, starts_on, months, rent_amount, permitted_use,
                         weight_percent, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING {NEED_COLUMNS}
"""


async def insert_need(
    tx: Connection, lessee_id: UUID, data: NeedCreate, by: str, now: datetime
) -> NeedView:
    row = await tx.fetchrow(
        INSERT_NEED,
        lessee_id,
        data.site_id,
        data.first_slot,
        data.slots,
        data.system_voltage_mv,
        data.energy_wh,
        data.lowest_celsius,
        data.starts_on,
        data.months,
        data.rent_amount,
        data.permitted_use,
        data.weight_percent,
        by,
        now,
    )
    assert row is not None
    return convert(row, NeedView)


GET_NEED = f"""
SELECT {NEED_COLUMNS}
  FROM market_need
 WHERE id = $1
"""

LOCK_NEED = f"""{GET_NEED}   FOR UPDATE
"""


async def get_need(tx: Connection, need_id: UUID) -> NeedView | None:
    row = await tx.fetchrow(GET_NEED, need_id)
    return convert(row, NeedView) if row else None


async def lock_need(tx: Connection, need_id: UUID) -> NeedView | None:
    row = await tx.fetchrow(LOCK_NEED, need_id)
    return convert(row, NeedView) if row else None


CHANGE_NEED = f"""
UPDATE market_need
   SET slots = $2,
       energy_wh = $3,
       lowest_celsius = $4,
       starts_on = $5,
       months = $6,
       rent_amount = $7,
       weight_percent = $8,
       state = $9,
       version = version + 1
 WHERE id = $1
RETURNING {NEED_COLUMNS}
"""


async def change_need(tx: Connection, need: NeedView) -> NeedView:
    row = await tx.fetchrow(
        CHANGE_NEED,
        need.id,
        need.slots,
        need.energy_wh,
        need.lowest_celsius,
        need.starts_on,
        need.months,
        need.rent_amount,
        need.weight_percent,
        need.state,
    )
    assert row is not None
    return convert(row, NeedView)


LIST_NEEDS = f"""
SELECT {NEED_COLUMNS}
  FROM market_need
 WHERE id > $1
   AND ($2::text IS NULL OR state = $2)
   AND ($3::uuid IS NULL OR site_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def needs_after(
    tx: Connection, need_id: UUID, state: str | None, site_id: UUID | None, limit: int
) -> list[NeedView]:
    return convert_all(await tx.fetch(LIST_NEEDS, need_id, state, site_id, limit), NeedView)


# --- Offers -----------------------------------------------------------------------------------

OFFER_COLUMNS = """id, pack_id, from_on, adcode, residual_amount, reason, entered_by, entered_at,
       withdrawn_at"""

INSERT_OFFER = f"""
INSERT INTO market_offer (pack_id, from_on, adcode, residual_amount, reason, entered_by,
                          entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING {OFFER_COLUMNS}
"""


async def insert_offer(tx: Connection, data: OfferCreate, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(
        INSERT_OFFER,
        data.pack_id,
        data.from_on,
        data.adcode,
        data.residual_amount,
        data.reason,
        by,
        now,
    )
    assert row is not None
    return row


LOCK_OFFER = """
SELECT id, pack_id, withdrawn_at
  FROM market_offer
 WHERE id = $1
   FOR UPDATE
"""


async def lock_offer(tx: Connection, offer_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_OFFER, offer_id)


WITHDRAW_OFFER = f"""
UPDATE market_offer
   SET withdrawn_at = $2,
       withdrawn_by = $3
 WHERE id = $1
RETURNING {OFFER_COLUMNS}
"""


async def withdraw_offer(tx: Connection, offer_id: UUID, now: datetime, by: str) -> Record:
    row = await tx.fetchrow(WITHDRAW_OFFER, offer_id, now, by)
    assert row is not None
    return row


LIST_OFFERS = f"""
SELECT {OFFER_COLUMNS}
  FROM market_offer
 WHERE id > $1
   AND ($2::uuid IS NULL OR pack_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def offers_after(
    tx: Connection, offer_id: UUID, pack_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_OFFERS, offer_id, pack_id, limit)


# --- What may be matched ----------------------------------------------------------------------

# A pack that nobody may have now: quarantined, held with others of its batch, or promised.
BARRED = """(EXISTS (SELECT FROM quarantine
                       WHERE quarantine.pack_id = pack.id AND released_at IS NULL)
             OR EXISTS (SELECT FROM safety_hold
                         WHERE safety_hold.pack_id = pack.id AND released_at IS NULL)
             OR EXISTS (SELECT FROM market_proposal_pack
                         WHERE market_proposal_pack.pack_id = pack.id AND reserved)
             OR EXISTS (SELECT FROM lease_line
                          JOIN contract ON contract.id = lease_line.contract_id
                         WHERE lease_line.named_pack_id = pack.id
                           AND lease_line.started_on IS NULL
                           AND lease_line.ended_on IS NULL
                           AND contract.state NOT IN ('ended', 'cancelled')))"""

# When a pack that is out comes back: its line's last day, or its contract's, unless that renews
# itself.
BACK = """
  LEFT JOIN LATERAL (
       SELECT coalesce(upper(placement.during), lease_line.ended_on, contract.ending_on,
                       CASE WHEN terms.renewal = 'none' THEN term.ends_on END) AS back_on,
              site.adcode
         FROM placement
         JOIN lease_line ON lease_line.id = placement.line_id
         JOIN contract ON contract.id = lease_line.contract_id
         JOIN site ON site.id = placement.site_id
         JOIN LATERAL (
              SELECT max(upper(during)) AS ends_on
                FROM contract_term
               WHERE contract_term.contract_id = contract.id) AS term ON true
         JOIN LATERAL (
              SELECT renewal
                FROM contract_revision
               WHERE contract_revision.contract_id = contract.id
                 AND lower(contract_revision.during) <= $1
               ORDER BY lower(contract_revision.during) DESC
               LIMIT 1) AS terms ON true
        WHERE placement.pack_id = pack.id
          AND placement.during && daterange($1, NULL)
        ORDER BY lower(placement.during) DESC
        LIMIT 1) AS lease ON pack.state = 'leased'
"""

# $1 today, $2 the last day on which packs are counted on, $3 the warehouse. A pack whose code
# nobody can read is like nothing else.
SUPPLY = f"""
SELECT {MEMBER},
       pack_code.code,
       pack.mass_kg,
       coalesce(estimate.lower_mah, test.tested_capacity_mah) AS usable_mah,
       greatest($1, offer.from_on, lease.back_on) AS free_on,
       coalesce(offer.adcode, lease.adcode, $3) AS adcode,
       offer.residual_amount
  FROM pack
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current
  LEFT JOIN market_offer AS offer ON offer.pack_id = pack.id AND offer.withdrawn_at IS NULL
{HOLDS}
{BACK}
 WHERE pack.state IN ('in_stock', 'returned', 'leased')
   AND (pack.state <> 'returned' OR offer.id IS NOT NULL)
   AND (pack.state <> 'leased' OR lease.back_on <= $2)
   AND coalesce(offer.from_on, $1) <= $2
   AND coalesce(estimate.lower_mah, test.tested_capacity_mah) IS NOT NULL
   AND pack_code.scheme LIKE 'gbt34014%'
   AND NOT {BARRED}
   AND ($4::uuid[] IS NULL OR pack.id = ANY ($4::uuid[]))
 ORDER BY pack.id
 LIMIT $5
"""

MOST_PACKS = 100_000
MOST_NEEDS = 20_000


async def supply(
    tx: Connection,
    today: date,
    until: date,
    warehouse_adcode: str,
    pack_ids: Sequence[UUID] | None = None,
) -> list[Supply]:
    """Packs that may be matched, of all or of these."""
    rows = await tx.fetch(SUPPLY, today, until, warehouse_adcode, pack_ids, MOST_PACKS)
    return convert_all(rows, Supply)


DEMAND = """
SELECT market_need.id, lessee_id, site_id, longitude, latitude, first_slot, slots,
       system_voltage_mv, energy_wh, lowest_celsius, starts_on, months, rent_amount,
       weight_percent
  FROM market_need
  JOIN site ON site.id = site_id
 WHERE state = 'open'
   AND starts_on >= $1
 ORDER BY market_need.id
 LIMIT $2
"""


async def demand(tx: Connection, today: date) -> list[Demand]:
    """Open needs whose first day is not over."""
    return convert_all(await tx.fetch(DEMAND, today, MOST_NEEDS), Demand)


# --- Plans ------------------------------------------------------------------------------------

# One plan after another: of two at once, the second waits and sees what the first proposed.
QUEUE_UP = """
SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.market_run'))
"""

INSERT_RUN = """
INSERT INTO market_run (as_of, terms, method, plan_id, proof, needs, packs, served, packs_taken,
                        value_amount, bound_amount, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING id
"""


async def queue_up(tx: Connection) -> None:
    await tx.execute(QUEUE_UP)


async def insert_run(tx: Connection, *values: object) -> UUID:
    run_id: UUID = await tx.fetchval(INSERT_RUN, *values)
    return run_id


RUN_VIEW = """
SELECT id, as_of, terms, method, plan_id, needs, packs, served, packs_taken, value_amount,
       bound_amount,
       ((bound_amount - value_amount) * 1000000.0 / greatest(1, bound_amount))::int AS gap_ppm,
       created_by, created_at
  FROM market_run
"""

GET_RUN = f"""{RUN_VIEW} WHERE id = $1
"""


async def get_run(tx: Connection, run_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_RUN, run_id)


LIST_RUNS = f"""{RUN_VIEW} WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def runs_after(tx: Connection, run_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_RUNS, run_id, limit)


LAST_RUN = f"""{RUN_VIEW} ORDER BY id DESC
 LIMIT 1
"""


async def last_run(tx: Connection) -> Record | None:
    return await tx.fetchrow(LAST_RUN)


UNTOUCHED = """
SELECT NOT EXISTS (SELECT FROM market_proposal WHERE run_id = $1 AND state <> 'proposed')
"""


async def untouched(tx: Connection, run_id: UUID) -> bool:
    """Whether nobody decided a proposal of a plan, and none ended."""
    found: bool = await tx.fetchval(UNTOUCHED, run_id)
    return found


PROOF = """
SELECT proof
  FROM market_run
 WHERE id = $1
"""


async def proof(tx: Connection, run_id: UUID) -> bytes | None:
    held: bytes | None = await tx.fetchval(PROOF, run_id)
    return held


INSERT_BINS = """
INSERT INTO market_bin (run_id, position, adcode, maker, specification, chemistry,
                        rated_voltage_mv, rated_capacity_mah, made_in, free_on, soh_permille, packs,
                        packs_taken, price_amount)
SELECT $1, *
  FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[],
              $9::int[], $10::date[], $11::int[], $12::int[], $13::int[], $14::bigint[])
"""


async def insert_bins(tx: Connection, run_id: UUID, bins: Sequence[BinView]) -> None:
    columns = zip(*map(msgspec.structs.astuple, bins), strict=True)
    if bins:
        await tx.execute(INSERT_BINS, run_id, *map(list, columns))


# The dearest first: where one more pack is worth most.
LIST_BINS = """
SELECT position, adcode, maker, specification, chemistry, rated_voltage_mv, rated_capacity_mah,
       made_in, free_on, soh_permille, packs, packs_taken, price_amount
  FROM market_bin
 WHERE run_id = $1
   AND ($2::bigint IS NULL OR (price_amount, -position) < ($2, -$3::int))
 ORDER BY price_amount DESC, position
 LIMIT $4
"""


async def bins_after(
    tx: Connection, run_id: UUID, after: tuple[int, int] | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_BINS, run_id, *(after or (None, None)), limit)


INSERT_UNSERVED = """
INSERT INTO market_unserved (run_id, need_id, reason, short_amount, detail, detail_zh)
SELECT $1, *
  FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[])
"""


async def insert_unserved(tx: Connection, run_id: UUID, rows: Sequence[UnservedView]) -> None:
    columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
    if rows:
        await tx.execute(INSERT_UNSERVED, run_id, *map(list, columns))


LIST_UNSERVED = """
SELECT need_id, reason, short_amount, detail, detail_zh
  FROM market_unserved
 WHERE run_id = $1
   AND need_id > $2
 ORDER BY need_id
 LIMIT $3
"""


async def unserved_after(tx: Connection, run_id: UUID, need_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_UNSERVED, run_id, need_id, limit)


# --- Proposals --------------------------------------------------------------------------------

INSERT_PROPOSALS = """
INSERT INTO market_proposal (run_id, need_id, packs, energy_wh, expires_at, created_at)
SELECT $1, need_id, packs, energy_wh, $5, $6
  FROM unnest($2::uuid[], $3::int[], $4::int[]) WITH ORDINALITY
       AS given (need_id, packs, energy_wh, position)
 ORDER BY position
RETURNING id
"""

INSERT_PACKS = """
INSERT INTO market_proposal_pack (proposal_id, pack_id, soh_permille, energy_wh)
SELECT *
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[])
"""


async def insert_proposals(
    tx: Connection,
    run_id: UUID,
    stall: Stall,
    chosen: Sequence[Chosen],
    expires_at: datetime,
    now: datetime,
) -> list[UUID]:
    """Their ids are in the same order."""
    if not chosen:
        return []
    rows = await tx.fetch(
        INSERT_PROPOSALS,
        run_id,
        [stall.demands[one.need].id for one in chosen],
        [len(one.packs) for one in chosen],
        [one.energy_wh for one in chosen],
        expires_at,
        now,
    )
    ids = [row["id"] for row in rows]
    packs = [
        (proposal_id, pack.pack_id, pack.soh, milli // 1000)
        for proposal_id, one in zip(ids, chosen, strict=True)
        for pack, milli in one.packs
    ]
    await tx.execute(INSERT_PACKS, *map(list, zip(*packs, strict=True)))
    return ids


INSERT_EXPLANATIONS = """
INSERT INTO market_explanation (proposal_id, data)
SELECT *
  FROM unnest($1::uuid[], $2::jsonb[])
"""


async def insert_explanations(tx: Connection, rows: Sequence[ExplanationView]) -> None:
    ids = [one.proposal_id for one in rows]
    await tx.execute(INSERT_EXPLANATIONS, ids, [msgspec.to_builtins(one) for one in rows])


GET_EXPLANATION = """
SELECT data
  FROM market_explanation
 WHERE proposal_id = $1
"""


async def explanation(tx: Connection, proposal_id: UUID) -> ExplanationView | None:
    row = await tx.fetchrow(GET_EXPLANATION, proposal_id)
    return msgspec.convert(row["data"], ExplanationView) if row else None


PROPOSAL_VIEW = """
SELECT id, run_id, need_id, state,
       (SELECT jsonb_agg(jsonb_build_object('pack_id', pack_id, 'soh_permille', soh_permille,
                                            'energy_wh', held.energy_wh, 'reserved', reserved,
                                            'line_id', line_id)
                         ORDER BY soh_permille, pack_id)
          FROM market_proposal_pack AS held
         WHERE proposal_id = market_proposal.id) AS packs,
       energy_wh, expires_at, contract_id, decline_reason, decided_at
  FROM market_proposal
"""

GET_PROPOSAL = f"""{PROPOSAL_VIEW} WHERE id = $1
"""


async def get_proposal(tx: Connection, proposal_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_PROPOSAL, proposal_id)


LIST_PROPOSALS = f"""{PROPOSAL_VIEW} WHERE id > $1
   AND ($2::uuid IS NULL OR run_id = $2)
   AND ($3::uuid IS NULL OR need_id = $3)
   AND ($4::text IS NULL OR state = $4)
 ORDER BY id
 LIMIT $5
"""


async def proposals_after(
    tx: Connection,
    proposal_id: UUID,
    run_id: UUID | None,
    need_id: UUID | None,
    state: str | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST_PROPOSALS, proposal_id, run_id, need_id, state, limit)


LOCK_PROPOSAL = """
SELECT id, need_id, state, expires_at, contract_id
  FROM market_proposal
 WHERE id = $1
   FOR UPDATE
"""


async def lock_proposal(tx: Connection, proposal_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_PROPOSAL, proposal_id)


PACKS_OF = """
SELECT held.pack_id, soh_permille, pack.rated_capacity_mah
  FROM market_proposal_pack AS held
  JOIN pack ON pack.id = held.pack_id
 WHERE proposal_id = $1
 ORDER BY soh_permille, held.pack_id
"""


async def packs_of(tx: Connection, proposal_id: UUID) -> list[Record]:
    """The packs of a proposal, the weakest first."""
    return await tx.fetch(PACKS_OF, proposal_id)


TERMS_OF = """
SELECT market_run.terms
  FROM market_proposal
  JOIN market_run ON market_run.id = run_id
 WHERE market_proposal.id = $1
"""


async def terms_of(tx: Connection, proposal_id: UUID) -> Record:
    row = await tx.fetchrow(TERMS_OF, proposal_id)
    assert row is not None
    return row


RESERVE = """
UPDATE market_proposal_pack AS held
   SET reserved = true,
       line_id = given.line_id
  FROM unnest($2::uuid[], $3::uuid[]) AS given (pack_id, line_id)
 WHERE held.proposal_id = $1
   AND held.pack_id = given.pack_id
"""


async def reserve(
    tx: Connection, proposal_id: UUID, pack_ids: Sequence[UUID], line_ids: Sequence[UUID]
) -> None:
    await tx.execute(RESERVE, proposal_id, pack_ids, line_ids)


DECIDE = """
UPDATE market_proposal
   SET state = $2,
       contract_id = $3,
       decline_reason = $4,
       decided_by = $5,
       decided_at = $6
 WHERE id = $1
"""


async def decide(
    tx: Connection,
    proposal_id: UUID,
    state: ProposalState,
    by: str,
    now: datetime,
    *,
    contract_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    await tx.execute(DECIDE, proposal_id, state, contract_id, reason, by, now)


# Open proposals that end by themselves: those that are over by $1, or, with null, all.
CLOSE = """
UPDATE market_proposal
   SET state = $2,
       decided_by = $3,
       decided_at = $4
 WHERE state = 'proposed'
   AND ($1::timestamptz IS NULL OR expires_at <= $1)
RETURNING id, need_id
"""


async def close(
    tx: Connection, until: datetime | None, state: ProposalState, by: str, now: datetime
) -> list[Record]:
    return await tx.fetch(CLOSE, until, state, by, now)


SUPERSEDE_OF = """
UPDATE market_proposal
   SET state = 'superseded',
       decided_by = $2,
       decided_at = $3
 WHERE need_id = $1
   AND state = 'proposed'
"""


async def supersede_of(tx: Connection, need_id: UUID, by: str, now: datetime) -> None:
    """Open proposals for a need that changed end."""
    await tx.execute(SUPERSEDE_OF, need_id, by, now)


# Accepted ones whose lines are gone before their packs stood there.
FALLEN = """
UPDATE market_proposal
   SET state = 'fallen_through',
       decided_by = $1,
       decided_at = $2
 WHERE state = 'accepted'
   AND EXISTS (
         SELECT FROM market_proposal_pack AS held
           LEFT JOIN lease_line ON lease_line.id = held.line_id
           LEFT JOIN contract ON contract.id = lease_line.contract_id
          WHERE held.proposal_id = market_proposal.id
            AND held.reserved
            AND (lease_line.id IS NULL
                 OR lease_line.ended_on IS NOT NULL
                 OR contract.state IN ('ended', 'cancelled')))
RETURNING id, need_id
"""

RELEASE = """
UPDATE market_proposal_pack
   SET reserved = false
 WHERE proposal_id = ANY ($1::uuid[])
   AND reserved
"""

REOPEN = """
UPDATE market_need
   SET state = 'open',
       version = version + 1
 WHERE id = ANY ($1::uuid[])
   AND state = 'matched'
"""


async def fall_through(tx: Connection, by: str, now: datetime) -> list[Record]:
    """Reservations without a line are given up; the needs are open again."""
    rows = await tx.fetch(FALLEN, by, now)
    await tx.execute(RELEASE, [row["id"] for row in rows])
    await tx.execute(REOPEN, [row["need_id"] for row in rows])
    return rows
