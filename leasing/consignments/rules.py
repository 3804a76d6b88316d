"""How packs are packed, marked and carried, by hazard class, purpose and day.

Packing instructions and special provisions are those of the UN Model Regulations, which ADR (road),
RID (rail) and the IMDG Code (sea) share; China's road rules JT/T 617 follow ADR, and GB/T
38698.1-2020 adds the check that shipper and consignee make together before packing. Every rule has
days and a source; a lot keeps what it was told when it was packed.

What is `critical` here is liable to react dangerously: SP 376 asks for P911 or LP906, or what an
authority sets instead. What is damaged otherwise goes by P908 or LP904. Intact packs for recycling
go by SP 377 and P909. None of the damaged flies, nor does waste without the approval of the
authorities; what flies is charged to 30 % at most.

All of this is for lithium-ion batteries (UN 3480). Nickel-metal hydride, capacitors and others have
numbers and instructions of their own, which are not here: such packs are refused a lot.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from leasing.consignments.model import Candidate, Hindrance, NoPackingRule
from schemas.consignments import (
    ModeRuleView,
    PackingRuleView,
    TransportMode,
    TransportPurpose,
    WeighingRuleView,
)
from schemas.outlets import Hazard

# The lithium battery label alone since 2019-01-01; P911 and LP906 came with ADR 2019.
FROM_2019 = date(2019, 1, 1)

DAMAGED_MARK = "DAMAGED/DEFECTIVE LITHIUM ION BATTERIES"

PACKING: tuple[PackingRuleView, ...] = (
    PackingRuleView(
        hazard=Hazard.INTACT,
        purpose=TransportPurpose.RECYCLING,
        packing_instructions=["P909"],
        special_provision="SP 377",
        marks=["LITHIUM BATTERIES FOR RECYCLING"],
        labels=["9A"],
        valid_from=FROM_2019,
        valid_to=None,
        source="ADR 3.3.1 SP 377, 4.1.4.1 P909; GB/T 38698.1-2020; JT/T 617",
    ),
    PackingRuleView(
        hazard=Hazard.INTACT,
        purpose=TransportPurpose.REUSE,
        packing_instructions=["P903", "LP903"],
        special_provision="SP 230",
        marks=[],
        labels=["9A"],
        valid_from=FROM_2019,
        valid_to=None,
        source="ADR 3.3.1 SP 230, 4.1.4.1 P903, 4.1.4.3 LP903 (from memory); JT/T 617",
    ),
    PackingRuleView(
        hazard=Hazard.DAMAGED,
        purpose=None,
        packing_instructions=["P908", "LP904"],
        special_provision="SP 376",
        marks=[DAMAGED_MARK],
        labels=["9A"],
        valid_from=FROM_2019,
        valid_to=None,
        source="ADR 3.3.1 SP 376, 4.1.4.1 P908, 4.1.4.3 LP904",
    ),
    PackingRuleView(
        hazard=Hazard.CRITICAL,
        purpose=None,
        packing_instructions=["P911", "LP906"],
        special_provision="SP 376",
        marks=[DAMAGED_MARK],
        labels=["9A"],
        valid_from=FROM_2019,
        valid_to=None,
        source="ADR 3.3.1 SP 376, 4.1.4.1 P911, 4.1.4.3 LP906",
    ),
)

UN_NUMBERS = dict.fromkeys("BCDEG", "UN 3480")
"""Lithium-ion batteries by chemistry (fifth character of the battery code)."""

PROPER_SHIPPING_NAME = {"UN 3480": "LITHIUM ION BATTERIES"}

READING_HOURS = 24
"""How old a reading of the state of charge may be. No rule says: it is ours."""

MODES: tuple[ModeRuleView, ...] = (
    *(
        ModeRuleView(
            mode=mode,
            hazards=[Hazard.INTACT, Hazard.DAMAGED, Hazard.CRITICAL],
            max_soc_percent=None,
            reading_hours=None,
            waste_needs_approval=False,
            valid_from=FROM_2019,
            valid_to=None,
            source=source,
        )
        for mode, source in (
            (TransportMode.ROAD, "JT/T 617; ADR"),
            (TransportMode.RAIL, "RID"),
            (TransportMode.SEA, "IMDG Code"),
        )
    ),
    ModeRuleView(
        mode=TransportMode.AIR,
        hazards=[Hazard.INTACT],
        max_soc_percent=Decimal(30),
        reading_hours=READING_HOURS,
        waste_needs_approval=True,
        valid_from=FROM_2019,
        valid_to=None,
        source="IATA DGR PI 965 (30 %); SP 376; special provision A183 for waste (from memory)",
    ),
)

WEIGHING: tuple[WeighingRuleView, ...] = (
    WeighingRuleView(
        percent=Decimal(1),
        kg_per_pack=Decimal("0.5"),
        valid_from=FROM_2019,
        valid_to=None,
        source="assumption: masses of packs are whole kilograms, and a weighbridge is good to 1 %",
    ),
)

Rule = TypeVar("Rule", PackingRuleView, ModeRuleView, WeighingRuleView)


def on_day(rules: Iterable[Rule], on: date) -> list[Rule]:
    """The rules that hold on a day."""
    return [
        rule
        for rule in rules
        if rule.valid_from <= on and (rule.valid_to is None or on < rule.valid_to)
    ]


def packing_for(hazard: Hazard, purpose: TransportPurpose, on: date) -> PackingRuleView:
    """How packs of a class are packed on a day. Raises `NoPackingRule`."""
    for rule in on_day(PACKING, on):
        if rule.hazard is hazard and rule.purpose in (None, purpose):
            return rule
    raise NoPackingRule(f"{hazard} packs for {purpose} on {on}")


def un_number(chemistries: Iterable[str]) -> str:
    """The number of all packs of a lot. Raises `NoPackingRule` for what is no lithium-ion
    battery."""
    others = sorted(set(chemistries) - set(UN_NUMBERS))
    if others:
        raise NoPackingRule(
            f"chemistry {', '.join(others)} is no lithium-ion battery", chemistries=others
        )
    return "UN 3480"


# Weighing


def tolerance_kg(expected_kg: int, packs: int, on: date) -> Decimal:
    """By how much a lot may weigh more or less than its packs' data say, in kilograms.

    >>> tolerance_kg(460, 10, date(2026, 1, 1)), tolerance_kg(46, 1, date(2026, 1, 1))
    (Decimal('5.00'), Decimal('0.50'))
    """
    (rule,) = on_day(WEIGHING, on)
    share = rule.percent * expected_kg / 100
    return max(share, rule.kg_per_pack * packs).quantize(Decimal("0.01"), ROUND_HALF_UP)


def is_discrepant(
    expected_kg: int,
    weighed_kg: Decimal,
    packs: Sequence[tuple[int, Decimal | None]],
    on: date,
) -> bool:
    """Whether a lot, or one of its packs (expected, weighed), weighs too little or too much: a
    heavy pack does not make up for a light one."""
    if abs(weighed_kg - expected_kg) > tolerance_kg(expected_kg, len(packs), on):
        return True
    return any(
        weighed is not None and abs(weighed - expected) > tolerance_kg(expected, 1, on)
        for expected, weighed in packs
    )


# Leaving


def hindrances(
    packs: Sequence[Candidate],
    hazard: Hazard,
    purpose: TransportPurpose,
    mode: TransportMode,
    approval: str | None,
    at: datetime,
    on: date,
) -> list[Hindrance]:
    """Every reason why packs of a lot may not leave by a mode, at an instant of a day; empty when
    they may."""
    found = [*changed(packs, hazard)]
    rules = [rule for rule in on_day(MODES, on) if rule.mode is mode]
    if not rules:
        return [*found, Hindrance("no_mode_rule", f"no rule says what goes by {mode} on {on}")]
    (rule,) = rules
    if hazard not in rule.hazards:
        found.append(Hindrance("hazard_forbidden", f"{hazard} packs do not go by {mode}"))
    if rule.waste_needs_approval and purpose is TransportPurpose.RECYCLING and approval is None:
        message = f"waste goes by {mode} with the approval of the authorities alone"
        found.append(Hindrance("approval_missing", message))
    if rule.max_soc_percent is not None and rule.reading_hours is not None:
        limit = timedelta(hours=rule.reading_hours)
        found += charged(packs, float(rule.max_soc_percent), limit, at)
    return found


def changed(packs: Sequence[Candidate], hazard: Hazard) -> list[Hindrance]:
    """What became of packs since they were packed."""
    other = [one.pack_id for one in packs if one.hazard is not hazard]
    quarantined = [one.pack_id for one in packs if one.is_quarantined]
    found = []
    if other:
        message = f"not found {hazard} by their newest inspection: pack them in another lot"
        found.append(Hindrance("hazard_changed", message, other))
    if quarantined:
        found.append(Hindrance("quarantined", "in quarantine", quarantined))
    return found


def charged(
    packs: Sequence[Candidate], max_soc_percent: float, limit: timedelta, at: datetime
) -> list[Hindrance]:
    """Packs that are charged too far, or of which nobody knows."""
    stale = [
        one.pack_id
        for one in packs
        if one.soc_percent is None
        or one.soc_at is None
        or not timedelta(0) <= at - one.soc_at <= limit
    ]
    full = [
        one.pack_id
        for one in packs
        if one.pack_id not in stale
        and one.soc_percent is not None
        and one.soc_percent > max_soc_percent
    ]
    found = []
    if stale:
        hours = limit // timedelta(hours=1)
        message = f"no state of charge was read in the {hours} hours before"
        found.append(Hindrance("soc_unknown", message, stale))
    if full:
        found.append(Hindrance("soc_too_high", f"charged above {max_soc_percent:g} %", full))
    return found
