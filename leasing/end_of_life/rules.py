"""Who may take a pack.

A pack goes only to a firm whose project filing, environmental impact assessment and discharge
permit are all valid on the day of hand-over (Order No. 73, Art. 18 and 19). The listing
(有进有出) is advisory and never asked for here. Damaged packs never go to a collecting outlet.
"""

from schemas.parties import QualificationKind

REQUIRED = (
    QualificationKind.FILING,
    QualificationKind.EIA,
    QualificationKind.DISCHARGE_PERMIT,
)
