"""Which outlet may and can take a pack, and why the nearer ones cannot.

A pack goes only to a firm whose project filing, environmental impact assessment and discharge
permit are all valid on the day of hand-over (Order No. 73, Art. 18 and 19). The listing
(有进有出) is advisory and never asked for here. Damaged packs never go to a collecting outlet.
"""

from collections import Counter
from collections.abc import Iterable

from leasing.end_of_life.model import Candidate, Load, Ranked
from leasing.regions.model import distance_km
from schemas.outlets import Hazard, OutletKind
from schemas.parties import QualificationKind

REQUIRED = (
    QualificationKind.FILING,
    QualificationKind.EIA,
    QualificationKind.DISCHARGE_PERMIT,
)


def reasons_against(load: Load, outlet: Candidate) -> list[str]:
    """Every reason why an outlet cannot take a load, as fixed codes; empty when it can."""
    reasons = []
    if load.chemistry not in outlet.chemistries:
        reasons.append("CHEM")
    refused = load.hazard is not Hazard.INTACT and outlet.kind is OutletKind.COLLECTING
    if load.hazard not in outlet.hazards or refused:
        reasons.append("HAZARD")
    if outlet.missing:
        reasons.append("QUAL_NONE")
    if load.mass_kg > outlet.free_kg:
        reasons.append("SPACE")
    return reasons


def rank(load: Load, outlets: Iterable[Candidate]) -> list[Ranked]:
    """All outlets by distance, nearest first; ties by code, so that the answer is always the
    same. Great-circle distance, in metres."""
    ranked = [
        Ranked(
            outlet,
            round(
                1000 * distance_km(load.longitude, load.latitude, outlet.longitude, outlet.latitude)
            ),
            reasons_against(load, outlet),
        )
        for outlet in outlets
    ]
    return sorted(ranked, key=lambda candidate: (candidate.distance_m, candidate.outlet.code))


def explain(ranked: list[Ranked], chosen: int) -> dict[str, object]:
    """Why this outlet: what stood in the way of every nearer one, and who comes next."""
    following = next((other for other in ranked[chosen + 1 :] if not other.reasons), None)
    return {
        "rule": "nearest outlet that may and can take the pack",
        "distance_m": ranked[chosen].distance_m,
        "nearer_excluded": [
            {
                "outlet": other.outlet.code,
                "distance_m": other.distance_m,
                "reasons": other.reasons,
                "missing": other.outlet.missing,
            }
            for other in ranked[: min(chosen, 5)]
        ],
        "nearer_excluded_count": chosen,
        "nearer_excluded_by_reason": dict(
            sorted(Counter(code for other in ranked[:chosen] for code in other.reasons).items())
        ),
        "runner_up": following
        and {"outlet": following.outlet.code, "distance_m": following.distance_m},
    }
