"""Forms, inspections, treatments, bands and decisions in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.returns.model import Band, Found, Offer
from schemas.outlets import Hazard
from schemas.returns import (
    BandCreate,
    BandView,
    DispositionCreate,
    DispositionOptions,
    FormToFill,
    InspectionCreate,
    InspectionFormCreate,
    InspectionFormView,
    InspectionView,
    TreatmentCreate,
)

# Forms

FORM_COLUMNS = """id, maker, model, version, lower(valid) AS valid_from, upper(valid) AS valid_to,
       name, source, checks, transport_checks"""

INSERT_FORM = f"""
INSERT INTO inspection_form (maker, model, version, valid, name, source, checks, transport_checks,
                             entered_by, entered_at)
SELECT $1, $2, coalesce(max(version), 1) + 1, daterange($3, $4), $5, $6, $7, $8, $9, $10
  FROM inspection_form
 WHERE maker = $1
   AND model = $2
RETURNING {FORM_COLUMNS}
"""


async def insert_form(
    tx: Connection, data: InspectionFormCreate, by: str, now: datetime
) -> InspectionFormView:
    """The next version of a model's form; the first is 2, as the default of the code is 1."""
    row = await tx.fetchrow(
        INSERT_FORM,
        data.maker,
        data.model,
        data.valid_from,
        data.valid_to,
        data.name,
        data.source,
        data.checks,
        data.transport_checks,
        by,
        now,
    )
    return convert(row or {}, InspectionFormView)


# The form of the model, or else the one for all packs. Both parts of a model are in its code.
FORM_OF = """
SELECT id AS form_id, version, name, source, checks, transport_checks
  FROM inspection_form
 WHERE valid @> $2::date
   AND (maker = ''
        OR EXISTS (
             SELECT FROM pack_code
              WHERE pack_id = $1
                AND is_current
                AND scheme LIKE 'gbt34014%'
                AND substr(code, 1, 3) = maker
                AND substr(code, 6, 2) = model))
 ORDER BY maker = ''
 LIMIT 1
"""


async def form_of(tx: Connection, pack_id: UUID, on: date) -> FormToFill | None:
    row = await tx.fetchrow(FORM_OF, pack_id, on)
    return convert(row, FormToFill) if row else None


FORMS = f"""
SELECT {FORM_COLUMNS}
  FROM inspection_form
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def forms_after(tx: Connection, form_id: UUID, limit: int) -> list[InspectionFormView]:
    return convert_all(await tx.fetch(FORMS, form_id, limit), InspectionFormView)


# Inspections

# The lease it came back from is the newest of the pack by that day.
INSERT_INSPECTION = """
INSERT INTO inspection (pack_id, line_id, lessee_id, inspected_on, grade, hazard, hazard_found,
                        tested_capacity_mah, remarks, lessor_signatory, lessee_signatory,
                        photo_sha256, form_id, form_version, answers, transport_answers,
                        transport_passed)
SELECT $1, came.line_id, came.lessee_id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
       $15
  FROM (SELECT 1) AS one
  LEFT JOIN LATERAL (
         SELECT lease_line.id AS line_id, lease_line.lessee_id
           FROM pack_return
           JOIN lease_line ON lease_line.id = pack_return.line_id
          WHERE pack_return.pack_id = $1
            AND returned_on <= $2
          ORDER BY returned_on DESC, pack_return.id DESC
          LIMIT 1) AS came ON true
RETURNING id
"""


async def insert_inspection(
    tx: Connection,
    pack_id: UUID,
    data: InspectionCreate,
    hazard: Hazard,
    form_version: int | None,
    passed: bool | None,
) -> UUID:
    sheet = data.sheet
    made: UUID = await tx.fetchval(
        INSERT_INSPECTION,
        pack_id,
        data.inspected_on,
        data.grade,
        hazard,
        data.hazard,
        data.tested_capacity_mah,
        data.remarks,
        data.lessor_signatory,
        data.lessee_signatory,
        data.photo_sha256,
        sheet.form_id if sheet else None,
        form_version,
        sheet.checks if sheet else [],
        sheet.transport_checks if sheet else [],
        passed,
    )
    return made


INSPECTION_VIEW = """
SELECT inspection.id, inspection.pack_id, line_id, lessee_id, inspected_on, grade, hazard,
       hazard_found, tested_capacity_mah, remarks, lessor_signatory, lessee_signatory,
       photo_sha256, form_id, form_version, answers, transport_answers, transport_passed,
       CASE WHEN treated_on IS NOT NULL THEN jsonb_build_object(
         'treated_on', treated_on,
         'measures', measures,
         'document_sha256', document_sha256,
         'shipper_signatory', shipper_signatory,
         'consignee_signatory', consignee_signatory) END AS treatment
  FROM inspection
  LEFT JOIN transport_treatment ON inspection_id = inspection.id
"""

GET_INSPECTION = f"""{INSPECTION_VIEW}
 WHERE inspection.id = $1
"""

LIST_INSPECTIONS = f"""{INSPECTION_VIEW}
 WHERE inspection.id > $1
   AND ($2::uuid IS NULL OR inspection.pack_id = $2)
 ORDER BY inspection.id
 LIMIT $3
"""


async def get_inspection(tx: Connection, inspection_id: UUID) -> InspectionView | None:
    row = await tx.fetchrow(GET_INSPECTION, inspection_id)
    return convert(row, InspectionView) if row else None


async def inspections_after(
    tx: Connection, inspection_id: UUID, pack_id: UUID | None, limit: int
) -> list[InspectionView]:
    rows = await tx.fetch(LIST_INSPECTIONS, inspection_id, pack_id, limit)
    return convert_all(rows, InspectionView)


# The newest inspection since the pack came back last: an older one was of another lease. What it
# did not measure, the joint test on return did.
FOUND = """
SELECT inspection.id AS inspection_id,
       pack.state,
       inspection.hazard,
       inspection.grade,
       pack.chemistry,
       pack.mass_kg,
       pack.rated_capacity_mah,
       pack.rated_voltage_mv,
       coalesce(inspection.tested_capacity_mah, came.tested_capacity_mah) AS tested_capacity_mah,
       EXISTS (
         SELECT FROM quarantine
          WHERE quarantine.pack_id = pack.id
            AND released_at IS NULL) AS quarantined
  FROM pack
  JOIN LATERAL (
         SELECT returned_on, tested_capacity_mah
           FROM pack_return
          WHERE pack_id = pack.id
          ORDER BY returned_on DESC, pack_return.id DESC
          LIMIT 1) AS came ON true
  JOIN inspection
    ON inspection.pack_id = pack.id
   AND inspected_on >= came.returned_on
 WHERE pack.id = $1
 ORDER BY inspected_on DESC
 LIMIT 1
"""


async def found(tx: Connection, pack_id: UUID) -> Found | None:
    row = await tx.fetchrow(FOUND, pack_id)
    return convert(row, Found) if row else None


IS_BURNT = """
SELECT reason = 'burnt'
  FROM pack_return
 WHERE pack_id = $1
 ORDER BY returned_on DESC, id DESC
 LIMIT 1
"""


async def is_burnt(tx: Connection, pack_id: UUID) -> bool:
    """Whether a pack is what is left of one that burnt."""
    return bool(await tx.fetchval(IS_BURNT, pack_id))


INSERT_TREATMENT = """
INSERT INTO transport_treatment (inspection_id, pack_id, treated_on, measures, document_sha256,
                                 shipper_signatory, consignee_signatory, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def insert_treatment(
    tx: Connection,
    inspection_id: UUID,
    pack_id: UUID,
    data: TreatmentCreate,
    by: str,
    now: datetime,
) -> None:
    await tx.execute(
        INSERT_TREATMENT,
        inspection_id,
        pack_id,
        data.treated_on,
        data.measures,
        data.document_sha256,
        data.shipper_signatory,
        data.consignee_signatory,
        by,
        now,
    )


# Bands and offers

BAND_COLUMNS = """id, permitted_use, lower(valid) AS valid_from, upper(valid) AS valid_to,
       release_from_percent, repair_from_percent, source"""

INSERT_BAND = f"""
INSERT INTO disposition_band (permitted_use, valid, release_from_percent, repair_from_percent,
                              source, entered_by, entered_at)
VALUES ($1, daterange($2, $3), $4, $5, $6, $7, $8)
RETURNING {BAND_COLUMNS}
"""


async def insert_band(tx: Connection, data: BandCreate, by: str, now: datetime) -> BandView:
    row = await tx.fetchrow(
        INSERT_BAND,
        data.permitted_use,
        data.valid_from,
        data.valid_to,
        Decimal(data.release_from_percent),
        Decimal(data.repair_from_percent),
        data.source,
        by,
        now,
    )
    return convert(row or {}, BandView)


BANDS = f"""
SELECT {BAND_COLUMNS}
  FROM disposition_band
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def bands_after(tx: Connection, band_id: UUID, limit: int) -> list[BandView]:
    return convert_all(await tx.fetch(BANDS, band_id, limit), BandView)


BAND_ON = """
SELECT release_from_percent, repair_from_percent, source
  FROM disposition_band
 WHERE permitted_use = $1
   AND valid @> $2::date
"""


async def band_on(tx: Connection, use: str, on: date) -> Band | None:
    row = await tx.fetchrow(BAND_ON, use, on)
    return convert(row, Band) if row else None


# The best of each kind; of equals the recycler that was entered first.
OFFERS = """
SELECT DISTINCT ON (disposition)
       disposition, party.name AS recycler, cny_per_kg, upper(valid) AS valid_to, source
  FROM scrap_offer
  JOIN party ON party.id = recycler_id
 WHERE chemistry = $1
   AND valid @> $2::date
 ORDER BY disposition, cny_per_kg DESC, recycler_id
"""


async def offers(tx: Connection, chemistry: str, on: date) -> list[Offer]:
    """The best offers for a chemistry on a day, one for each disposition that has any."""
    return convert_all(await tx.fetch(OFFERS, chemistry, on), Offer)


# Decisions

DISPOSITION_COLUMNS = """id, pack_id, inspection_id, decision, decided_on, reason, proposed,
       options, repaired_on"""

INSERT_DISPOSITION = f"""
INSERT INTO disposition (pack_id, inspection_id, decision, decided_on, reason, proposed, options)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING {DISPOSITION_COLUMNS}
"""


async def insert_disposition(
    tx: Connection, pack_id: UUID, data: DispositionCreate, shown: DispositionOptions
) -> Record:
    row = await tx.fetchrow(
        INSERT_DISPOSITION,
        pack_id,
        shown.inspection_id,
        data.decision,
        data.decided_on,
        data.reason,
        shown.proposed,
        shown,
    )
    assert row is not None
    return row


DISPOSITIONS = f"""
SELECT {DISPOSITION_COLUMNS}
  FROM disposition
 WHERE id > $1
   AND ($2::uuid IS NULL OR pack_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def dispositions_after(
    tx: Connection, disposition_id: UUID, pack_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(DISPOSITIONS, disposition_id, pack_id, limit)


# The last word about the pack since it came back.
REPAIRED = f"""
UPDATE disposition
   SET repaired_on = $3
 WHERE inspection_id = $2
   AND pack_id = $1
   AND decision = 'repair'
   AND repaired_on IS NULL
RETURNING {DISPOSITION_COLUMNS}
"""


async def repaired(tx: Connection, pack_id: UUID, inspection_id: UUID, on: date) -> Record | None:
    return await tx.fetchrow(REPAIRED, pack_id, inspection_id, on)


# Items of an open order that wait for this sheet.
LINK_ITEMS = """
UPDATE return_order_item AS item
   SET inspection_id = $2
  FROM return_order
 WHERE return_order.id = item.order_id
   AND return_order.state IN ('collected', 'arrived')
   AND item.pack_id = $1
   AND item.result IN ('returned', 'burnt')
   AND item.inspection_id IS NULL
RETURNING item.order_id
"""


async def link_items(tx: Connection, pack_id: UUID, inspection_id: UUID) -> Sequence[UUID]:
    """Let orders know the inspection of a pack. Returns their ids."""
    rows = await tx.fetch(LINK_ITEMS, pack_id, inspection_id)
    return [row["order_id"] for row in rows]
