"""How packs are packed, carried and weighed, by the rules of a day."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.consignments import rules
from leasing.consignments.model import Candidate, NoPackingRule
from schemas.consignments import TransportMode, TransportPurpose
from schemas.outlets import Hazard

ON = date(2026, 6, 15)
AT = datetime(2026, 6, 15, 4, tzinfo=UTC)


def pack(
    number: int = 1,
    hazard: Hazard | None = Hazard.INTACT,
    soc_percent: float | None = 20,
    hours_ago: float = 1,
    is_quarantined: bool = False,
) -> Candidate:
    return Candidate(
        routing_id=UUID(int=number),
        pack_id=UUID(int=number),
        outlet_id=UUID(int=7),
        recycler_id=UUID(int=8),
        state="reserved",
        mass_kg=46,
        adcode="410100",
        chemistry="B",
        hazard=hazard,
        is_quarantined=is_quarantined,
        soc_percent=soc_percent,
        soc_at=AT - timedelta(hours=hours_ago),
    )


def against(
    *packs: Candidate,
    hazard: Hazard = Hazard.INTACT,
    purpose: TransportPurpose = TransportPurpose.REUSE,
    mode: TransportMode = TransportMode.ROAD,
    approval: str | None = None,
    on: date = ON,
) -> dict[str, list[int]]:
    found = rules.hindrances(packs, hazard, purpose, mode, approval, AT, on)
    return {one.code: [each.int for each in one.pack_ids] for one in found}


@pytest.mark.parametrize(
    ("hazard", "purpose", "instructions", "provision"),
    [
        ("intact", "recycling", ["P909"], "SP 377"),
        ("intact", "reuse", ["P903", "LP903"], "SP 230"),
        ("damaged", "recycling", ["P908", "LP904"], "SP 376"),
        ("damaged", "reuse", ["P908", "LP904"], "SP 376"),
        ("critical", "recycling", ["P911", "LP906"], "SP 376"),
        ("critical", "reuse", ["P911", "LP906"], "SP 376"),
    ],
)
def test_packing_follows_hazard_and_purpose(hazard, purpose, instructions, provision):
    rule = rules.packing_for(Hazard(hazard), TransportPurpose(purpose), ON)
    assert rule.packing_instructions == instructions
    assert rule.special_provision == provision
    assert rule.source


def test_a_day_before_the_rules_has_none():
    with pytest.raises(NoPackingRule):
        rules.packing_for(Hazard.INTACT, TransportPurpose.RECYCLING, date(2018, 12, 31))
    assert "no_mode_rule" in against(pack(), on=date(2018, 12, 31))


@pytest.mark.parametrize("on", [date(2019, 1, 1), ON, date(2040, 1, 1)])
def test_on_every_day_one_rule_holds_for_each_case(on):
    for hazard in Hazard:
        for purpose in TransportPurpose:
            fitting = [
                rule
                for rule in rules.on_day(rules.PACKING, on)
                if rule.hazard is hazard and rule.purpose in (None, purpose)
            ]
            assert len(fitting) == 1
    assert sorted(rule.mode for rule in rules.on_day(rules.MODES, on)) == sorted(TransportMode)
    assert len(rules.on_day(rules.WEIGHING, on)) == 1


def test_lithium_ion_batteries_have_one_number_and_others_none_here():
    assert rules.un_number(["B", "E", "B"]) == "UN 3480"
    with pytest.raises(NoPackingRule):
        rules.un_number(["B", "A"])


def test_a_pack_found_worse_or_in_quarantine_holds_its_lot_back():
    assert against(pack(1), pack(2)) == {}
    assert against(pack(1), pack(2, hazard=Hazard.CRITICAL)) == {"hazard_changed": [2]}
    assert against(pack(1, hazard=None)) == {"hazard_changed": [1]}
    assert against(pack(1), pack(2, is_quarantined=True)) == {"quarantined": [2]}


@pytest.mark.parametrize("hazard", [Hazard.DAMAGED, Hazard.CRITICAL])
def test_what_is_damaged_goes_by_every_mode_but_air(hazard):
    found = {
        mode: against(pack(hazard=hazard), hazard=hazard, mode=mode, approval="A")
        for mode in TransportMode
    }
    assert found == {
        TransportMode.ROAD: {},
        TransportMode.RAIL: {},
        TransportMode.SEA: {},
        TransportMode.AIR: {"hazard_forbidden": []},
    }


def test_waste_flies_with_an_approval_alone():
    air = {"mode": TransportMode.AIR, "purpose": TransportPurpose.RECYCLING}
    assert against(pack(), **air) == {"approval_missing": []}
    assert against(pack(), **air, approval="A183") == {}
    assert against(pack(), mode=TransportMode.AIR) == {}


@pytest.mark.parametrize(
    ("soc_percent", "hours_ago", "code"),
    [
        (30, 1, None),
        (30.1, 1, "soc_too_high"),
        (20, 24, None),
        (20, 24.01, "soc_unknown"),
        (20, -0.01, "soc_unknown"),
        (None, 1, "soc_unknown"),
        (90, 25, "soc_unknown"),
    ],
)
def test_what_flies_was_read_within_a_day_at_30_percent_at_most(soc_percent, hours_ago, code):
    found = against(pack(soc_percent=soc_percent, hours_ago=hours_ago), mode=TransportMode.AIR)
    assert found == ({code: [1]} if code else {})
    assert against(pack(soc_percent=soc_percent, hours_ago=hours_ago)) == {}


masses = st.lists(st.integers(1, 2000), min_size=1, max_size=20)


@given(masses, st.decimals(-2000, 2000, places=2))
def test_a_lot_is_odd_beyond_its_tolerance_and_not_within(packs, off):
    expected = sum(packs)
    tolerance = rules.tolerance_kg(expected, len(packs), ON)
    weighed = expected + off
    found = rules.is_discrepant(expected, weighed, [(mass, None) for mass in packs], ON)
    assert found == (abs(off) > tolerance)
    assert tolerance >= Decimal("0.5") * len(packs)


@given(masses)
def test_a_heavy_pack_does_not_make_up_for_a_light_one(packs):
    first = packs[0]
    off = rules.tolerance_kg(first, 1, ON) + Decimal("0.01")
    if off > first:
        return
    packs = [*packs, 2000]
    weights = [Decimal(mass) for mass in packs]
    weights[0] -= off
    weights[-1] += off
    each = list(zip(packs, weights, strict=True))
    assert sum(weights) == sum(packs)
    assert rules.is_discrepant(sum(packs), sum(weights), each, ON)
