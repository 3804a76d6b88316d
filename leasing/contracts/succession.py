"""The same positions and stays under another contract, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from leasing.contracts import stays
from leasing.db.pool import Connection

# The rent of the day is the rent that the new lessee agrees to: escalation starts from it.
COPY_REVISIONS = """
INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount,
                           suspended, cause, entered_by, entered_at, price_plan_version_id,
                           plan_currency)
SELECT pair.new_id, 1, daterange($5, NULL), $3, $4, twin.id, slot, rated_capacity_mah,
       rent_amount, $5, rent_amount, suspended, 'transferred', $6, $7,
       price_plan_version_id, plan_currency
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
  JOIN line_revision ON line_revision.line_id = pair.old_id AND during @> $5::date
  JOIN site ON site.id = line_revision.site_id
  JOIN site AS twin ON twin.party_id = $4 AND twin.code = site.code
"""

COPY_ACCEPTANCES = """
INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory, photo_sha256, remarks)
SELECT pair.new_id, $3, placement.pack_id, $4, tested_capacity_mah, $5, $6, photo_sha256,
       'taken over with the test of ' || accepted_on
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
  JOIN placement ON placement.line_id = pair.old_id AND upper_inf(during)
  JOIN acceptance ON acceptance.id = placement.acceptance_id
"""

COPY_PLACEMENTS = """
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance.id, acceptance.line_id, acceptance.pack_id, position.site_id, position.slot,
       daterange($2, NULL)
  FROM acceptance
  JOIN line_revision AS position ON position.line_id = acceptance.line_id
 WHERE acceptance.line_id = ANY ($1::uuid[])
"""

MOVE_DUTIES = """
UPDATE duty
   SET line_id = pair.new_id
  FROM unnest($1::uuid[], $2::uuid[]) AS pair (old_id, new_id)
 WHERE line_id = pair.old_id
   AND closed_on IS NULL
"""

START_COPIES = """
UPDATE lease_line
   SET started_on = accepted_on,
       first_acceptance_id = acceptance.id
  FROM acceptance
 WHERE acceptance.line_id = lease_line.id
   AND lease_line.id = ANY ($1::uuid[])
"""


async def copy(
    tx: Connection,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    contract_id: UUID,
    lessee_id: UUID,
    on: date,
    lessor_signatory: str,
    lessee_signatory: str,
    by: str,
    now: datetime,
) -> list[tuple[UUID, UUID]]:
    """Make the second line of each pair, `(old, new)`, the first one's successor; a pack that
    stands in one stays where it is. The new lessee has a site of the same code for each. Returns
    `(old line, pack)` for the packs."""
    old, new = [one for one, _ in pairs], [other for _, other in pairs]
    await tx.execute(COPY_REVISIONS, old, new, contract_id, lessee_id, on, by, now)
    await tx.execute(
        COPY_ACCEPTANCES, old, new, contract_id, on, lessor_signatory, lessee_signatory
    )
    moved = await stays.close(tx, dict.fromkeys(old, on))
    await tx.execute(COPY_PLACEMENTS, new, on)
    await tx.execute(START_COPIES, new)
    await tx.execute(MOVE_DUTIES, old, new)
    return moved
