"""Who may take a pack, and what a certificate is held against.

A pack goes only to a firm whose project filing, environmental impact assessment and discharge
permit are all valid on the day of hand-over (Order No. 73, Art. 18 and 19). The listing
(有进有出) is advisory and never asked for here. Damaged packs never go to a collecting outlet.
"""

from decimal import Decimal

from schemas.parties import QualificationKind

REQUIRED = (
    QualificationKind.FILING,
    QualificationKind.EIA,
    QualificationKind.DISCHARGE_PERMIT,
)

LITHIUM_FLOOR_PERCENT = Decimal(90)
NICKEL_COBALT_MANGANESE_FLOOR_PERCENT = Decimal(98)
"""Floors of recovery under the 2024 industry conditions (MIIT 2024 No. 42)."""


def below_floor(lithium_percent: Decimal, ncm_percent: Decimal | None) -> bool:
    """Whether a recycler reports less recovered than the conditions ask for."""
    return lithium_percent < LITHIUM_FLOOR_PERCENT or (
        ncm_percent is not None and ncm_percent < NICKEL_COBALT_MANGANESE_FLOOR_PERCENT
    )
