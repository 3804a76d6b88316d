"""Consignments and carriers' permits in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from asyncpg import Range, Record

from leasing.consignments.model import Candidate, Lot
from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from schemas.consignments import (
    CarrierPermitCreate,
    CarrierPermitView,
    ConsignedPackView,
    ConsignmentCreate,
    ConsignmentDispatch,
    ConsignmentState,
    ConsignmentView,
)

# Carriers

IS_CARRIER = """
SELECT EXISTS (
  SELECT FROM party_role
   WHERE party_id = $1
     AND role = 'carrier'
     AND valid @> $2::date)
"""


async def is_carrier(tx: Connection, party_id: UUID, on: date) -> bool:
    found: bool = await tx.fetchval(IS_CARRIER, party_id, on)
    return found


PERMIT_COLUMNS = """id, carrier_id, mode, goods_class, document, lower(valid) AS valid_from,
       upper(valid) AS valid_to, withdrawn_on, withdrawal_document"""

INSERT_PERMIT = f"""
INSERT INTO carrier_permit (carrier_id, mode, valid, document, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING {PERMIT_COLUMNS}
"""


async def insert_permit(
    tx: Connection, carrier_id: UUID, data: CarrierPermitCreate, by: str, now: datetime
) -> CarrierPermitView:
    valid = Range(data.valid_from, data.valid_to)
    row = await tx.fetchrow(INSERT_PERMIT, carrier_id, data.mode, valid, data.document, by, now)
    assert row is not None
    return convert(row, CarrierPermitView)


LIST_PERMITS = f"""
SELECT {PERMIT_COLUMNS}
  FROM carrier_permit
 WHERE id > $1
   AND ($2::uuid IS NULL OR carrier_id = $2)
   AND ($3::date IS NULL OR valid @> $3)
 ORDER BY id
 LIMIT $4
"""


async def permits_after(
    tx: Connection, permit_id: UUID, carrier_id: UUID | None, on: date | None, limit: int
) -> list[CarrierPermitView]:
    rows = await tx.fetch(LIST_PERMITS, permit_id, carrier_id, on, limit)
    return convert_all(rows, CarrierPermitView)


# From the day it was withdrawn on it is not valid; one that would end by itself before stays.
WITHDRAW_PERMIT = f"""
UPDATE carrier_permit
   SET valid = daterange(lower(valid), $2),
       withdrawn_on = $2,
       withdrawal_document = $3
 WHERE id = $1
   AND withdrawn_on IS NULL
   AND valid @> $2::date
   AND lower(valid) < $2
RETURNING {PERMIT_COLUMNS}
"""

PERMIT_EXISTS = """
SELECT EXISTS (SELECT FROM carrier_permit WHERE id = $1)
"""


async def permit_exists(tx: Connection, permit_id: UUID) -> bool:
    found: bool = await tx.fetchval(PERMIT_EXISTS, permit_id)
    return found


async def withdraw_permit(
    tx: Connection, permit_id: UUID, on: date, document: str
) -> CarrierPermitView | None:
    row = await tx.fetchrow(WITHDRAW_PERMIT, permit_id, on, document)
    return convert(row, CarrierPermitView) if row else None


PERMIT_ON = """
SELECT id
  FROM carrier_permit
 WHERE carrier_id = $1
   AND mode = $2
   AND goods_class = '9'
   AND valid @> $3::date
"""


async def permit_on(tx: Connection, carrier_id: UUID, mode: str, on: date) -> UUID | None:
    found: UUID | None = await tx.fetchval(PERMIT_ON, carrier_id, mode, on)
    return found


# Packs of a lot

# The class is that of the joint inspection since the pack came back. Whether it passed the check
# that shipper and consignee make together (GB/T 38698.1, appendix A) the database asks by itself,
# when a pack is put into a lot and when the lot leaves.
CANDIDATES = """
SELECT routing.id AS routing_id,
       routing.pack_id,
       routing.outlet_id,
       routing.recycler_id,
       routing.state,
       routing.mass_kg,
       (SELECT adcode
          FROM trace_record
         WHERE trace_record.pack_id = routing.pack_id
           AND kind = 'route.chosen'
         ORDER BY sequence DESC
         LIMIT 1) AS adcode,
       pack.chemistry,
       newest.hazard,
       EXISTS (
         SELECT FROM quarantine
          WHERE quarantine.pack_id = routing.pack_id
            AND released_at IS NULL) AS is_quarantined,
       pack_telemetry.soc_percent,
       pack_telemetry.soc_percent_at AS soc_at
  FROM routing
  JOIN pack ON pack.id = routing.pack_id
  LEFT JOIN pack_telemetry ON pack_telemetry.pack_id = routing.pack_id
  LEFT JOIN LATERAL (
         SELECT hazard
           FROM inspection
          WHERE inspection.pack_id = routing.pack_id
            AND inspected_on >= (
                  SELECT max(returned_on)
                    FROM pack_return
                   WHERE pack_return.pack_id = routing.pack_id)
          ORDER BY inspected_on DESC, inspection.id DESC
          LIMIT 1) AS newest ON true
 WHERE routing.id = ANY ($1::uuid[])
 ORDER BY routing.id
   FOR UPDATE OF routing
"""


async def candidates(tx: Connection, routing_ids: Sequence[UUID]) -> list[Candidate]:
    """Packs with their routings, which are locked in the order of their ids."""
    return convert_all(await tx.fetch(CANDIDATES, routing_ids), Candidate)


INSERT = """
INSERT INTO consignment (number, outlet_id, recycler_id, purpose, hazard, un_number, packing,
                         expected_kg, packed_on, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING id
"""

INSERT_PACKS = """
INSERT INTO consignment_pack (consignment_id, routing_id, outlet_id, pack_id, hazard, chemistry,
                              mass_kg)
SELECT $1, routing_id, outlet_id, pack_id, hazard, chemistry, mass_kg
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::int[])
       AS given (routing_id, outlet_id, pack_id, hazard, chemistry, mass_kg)
"""


async def insert(
    tx: Connection,
    data: ConsignmentCreate,
    packs: Sequence[Candidate],
    *,
    hazard: str,
    un_number: str,
    packing: dict[str, Any],
    now: datetime,
) -> UUID:
    first = packs[0]
    created: UUID = await tx.fetchval(
        INSERT,
        data.number,
        first.outlet_id,
        first.recycler_id,
        data.purpose,
        hazard,
        un_number,
        packing,
        sum(one.mass_kg for one in packs),
        data.packed_on,
        now,
    )
    await tx.execute(
        INSERT_PACKS,
        created,
        [one.routing_id for one in packs],
        [one.outlet_id for one in packs],
        [one.pack_id for one in packs],
        [one.hazard for one in packs],
        [one.chemistry for one in packs],
        [one.mass_kg for one in packs],
    )
    return created


LOCK = """
SELECT id, number, state, outlet_id, recycler_id, purpose, hazard, un_number, expected_kg,
       packed_on, dispatched_on, weighed_on, weighed_kg, is_discrepant, discrepancy_explanation,
       carrier_id, mode, vehicle, packing
  FROM consignment
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, consignment_id: UUID) -> Lot | None:
    row = await tx.fetchrow(LOCK, consignment_id)
    return convert(row, Lot) if row else None


PACKS = """
SELECT consignment_pack.routing_id,
       consignment_pack.pack_id,
       coalesce(printed.code, '') AS code,
       consignment_pack.chemistry,
       consignment_pack.mass_kg,
       consignment_pack.weighed_kg,
       consignment_pack.soc_percent,
       consignment_pack.soc_at
  FROM consignment_pack
  LEFT JOIN LATERAL (
         SELECT code
           FROM pack_code
          WHERE pack_code.pack_id = consignment_pack.pack_id
            AND is_current
          LIMIT 1) AS printed ON true
 WHERE consignment_id = $1
 ORDER BY routing_id
"""


async def packs(tx: Connection, consignment_id: UUID) -> list[ConsignedPackView]:
    return convert_all(await tx.fetch(PACKS, consignment_id), ConsignedPackView)


# What befalls a lot

DISPATCH = """
UPDATE consignment
   SET state = 'dispatched',
       dispatched_on = $2,
       mode = $3,
       carrier_id = $4,
       permit_id = $5,
       vehicle = $6,
       driver = $7,
       approval = $8
 WHERE id = $1
"""

KEEP_READINGS = """
UPDATE consignment_pack
   SET soc_percent = given.soc_percent,
       soc_at = given.soc_at
  FROM unnest($2::uuid[], $3::real[], $4::timestamptz[])
       AS given (routing_id, soc_percent, soc_at)
 WHERE consignment_id = $1
   AND consignment_pack.routing_id = given.routing_id
"""


async def dispatch(
    tx: Connection,
    consignment_id: UUID,
    data: ConsignmentDispatch,
    permit_id: UUID,
    found: Sequence[Candidate],
) -> None:
    await tx.execute(
        DISPATCH,
        consignment_id,
        data.dispatched_on,
        data.mode,
        data.carrier_id,
        permit_id,
        data.vehicle,
        data.driver,
        data.approval,
    )
    await tx.execute(
        KEEP_READINGS,
        consignment_id,
        [one.routing_id for one in found],
        [one.soc_percent for one in found],
        [one.soc_at for one in found],
    )


WEIGH = """
UPDATE consignment
   SET state = 'weighed_in',
       weighed_on = $2,
       weighed_kg = $3,
       tolerance_kg = $4,
       is_discrepant = $5
 WHERE id = $1
"""

WEIGH_PACKS = """
UPDATE consignment_pack
   SET weighed_kg = given.weighed_kg
  FROM unnest($2::uuid[], $3::numeric[]) AS given (routing_id, weighed_kg)
 WHERE consignment_id = $1
   AND consignment_pack.routing_id = given.routing_id
"""


async def weigh(
    tx: Connection,
    consignment_id: UUID,
    on: date,
    weighed_kg: Decimal,
    weights: dict[UUID, Decimal],
    tolerance_kg: Decimal,
    is_discrepant: bool,
) -> None:
    await tx.execute(WEIGH, consignment_id, on, weighed_kg, tolerance_kg, is_discrepant)
    await tx.execute(WEIGH_PACKS, consignment_id, list(weights), list(weights.values()))


EXPLAIN = """
UPDATE consignment
   SET discrepancy_explanation = $2
 WHERE id = $1
"""

RECEIVE = """
UPDATE consignment
   SET state = 'received',
       received_on = $2
 WHERE id = $1
"""

REFUSE = """
UPDATE consignment
   SET state = 'refused',
       refused_on = $2,
       refusal_reason = $3
 WHERE id = $1
"""

CANCEL = """
UPDATE consignment
   SET state = 'cancelled',
       cancelled_on = $2,
       cancel_reason = $3
 WHERE id = $1
"""

LET_GO = """
UPDATE consignment_pack
   SET is_let_go = true
 WHERE consignment_id = $1
"""


async def explain(tx: Connection, consignment_id: UUID, explanation: str) -> None:
    await tx.execute(EXPLAIN, consignment_id, explanation)


async def receive(tx: Connection, consignment_id: UUID, on: date) -> None:
    await tx.execute(RECEIVE, consignment_id, on)


async def refuse(tx: Connection, consignment_id: UUID, on: date, reason: str) -> None:
    await tx.execute(REFUSE, consignment_id, on, reason)
    await tx.execute(LET_GO, consignment_id)


async def cancel(tx: Connection, consignment_id: UUID, on: date, reason: str) -> None:
    await tx.execute(CANCEL, consignment_id, on, reason)
    await tx.execute(LET_GO, consignment_id)


# Reading

VIEW = """
SELECT consignment.id, number, outlet_id, outlet.code AS outlet_code, consignment.recycler_id,
       purpose, hazard, un_number, packing, state,
       (SELECT count(*)
          FROM consignment_pack
         WHERE consignment_id = consignment.id) AS pack_count,
       expected_kg, packed_on, dispatched_on, mode, carrier_id, permit_id, vehicle, driver,
       approval, weighed_on, weighed_kg, weighed_kg - expected_kg AS discrepancy_kg, tolerance_kg,
       is_discrepant, discrepancy_explanation, received_on, refused_on, refusal_reason,
       cancelled_on, cancel_reason, consignment.created_at
  FROM consignment
  JOIN outlet ON outlet.id = outlet_id
"""

GET = f"""{VIEW}
 WHERE consignment.id = $1
"""

LIST = f"""{VIEW}
 WHERE consignment.id > $1
   AND ($2::uuid IS NULL OR outlet_id = $2)
   AND ($3::uuid IS NULL OR consignment.recycler_id = $3)
   AND ($4::text IS NULL OR state = $4)
 ORDER BY consignment.id
 LIMIT $5
"""


# On the road, and not to be handed over on a day.
STRANDED = f"""{VIEW}
 WHERE consignment.id > $1
   AND ($2::uuid IS NULL OR outlet_id = $2)
   AND ($3::uuid IS NULL OR consignment.recycler_id = $3)
   AND ($4::text IS NULL OR state = $4)
   AND state IN ('dispatched', 'weighed_in')
   AND (outlet.closed_from <= $6::date OR EXISTS (
         SELECT
           FROM unnest($7::text[]) AS needed (kind)
          WHERE NOT EXISTS (
            SELECT FROM qualification
             WHERE qualification.party_id = consignment.recycler_id
               AND qualification.kind = needed.kind
               AND qualification.valid @> $6::date)))
 ORDER BY consignment.id
 LIMIT $5
"""


async def get(tx: Connection, consignment_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, consignment_id)


async def after(
    tx: Connection,
    consignment_id: UUID,
    outlet_id: UUID | None,
    recycler_id: UUID | None,
    state: ConsignmentState | None,
    limit: int,
) -> list[ConsignmentView]:
    rows = await tx.fetch(LIST, consignment_id, outlet_id, recycler_id, state, limit)
    return convert_all(rows, ConsignmentView)


async def stranded_after(
    tx: Connection,
    consignment_id: UUID,
    outlet_id: UUID | None,
    recycler_id: UUID | None,
    state: ConsignmentState | None,
    limit: int,
    on: date,
    required: list[str],
) -> list[ConsignmentView]:
    rows = await tx.fetch(
        STRANDED, consignment_id, outlet_id, recycler_id, state, limit, on, required
    )
    return convert_all(rows, ConsignmentView)


PARTIES = """
SELECT consignor.name AS consignor,
       consignor.credit_code AS consignor_code,
       consignor.registered_address AS consignor_address,
       consignee.name AS consignee,
       consignee.credit_code AS consignee_code,
       outlet.code AS outlet_code,
       outlet.name_zh AS outlet_name,
       outlet.name_en AS outlet_name_en,
       carrier.name AS carrier,
       carrier.credit_code AS carrier_code,
       carrier_permit.document AS permit
  FROM consignment
  JOIN outlet ON outlet.id = outlet_id
  JOIN party AS consignee ON consignee.id = consignment.recycler_id
  LEFT JOIN party AS consignor ON consignor.kind = 'lessor'
  LEFT JOIN party AS carrier ON carrier.id = consignment.carrier_id
  LEFT JOIN carrier_permit ON carrier_permit.id = permit_id
 WHERE consignment.id = $1
"""


async def parties(tx: Connection, consignment_id: UUID) -> Record:
    row = await tx.fetchrow(PARTIES, consignment_id)
    assert row is not None
    return row
