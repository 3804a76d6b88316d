"""What may become of a pack: the law of a day, bands, hazards, money, and what is proposed."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.returns import rules
from leasing.returns.model import Band, Found, Offer
from schemas.contracts import PermittedUse
from schemas.outlets import Hazard
from schemas.packs import PackState
from schemas.returns import Assumptions, Decision, DispositionOption, Grade, HazardFound

TODAY = date(2026, 6, 15)
BAND = rules.DEFAULT_BANDS[PermittedUse.TELECOM_BACKUP]
OFFER = Offer(Decision.RECYCLE, "Firm", Decimal("3.1250"), None, "quote 7")
RATED = Assumptions(rent_per_kwh_month_amount=600, rent_months=24)
RATED_WITH_DEAR_REPAIR = Assumptions(
    rent_per_kwh_month_amount=600, rent_months=24, repair_cost_amount=200_000
)


def pack(**changes: Any) -> Found:
    known: dict[str, Any] = {
        "inspection_id": UUID(int=1),
        "state": PackState.RETURNED,
        "hazard": Hazard.INTACT,
        "grade": Grade.B,
        "chemistry": "B",
        "mass_kg": 46,
        "rated_capacity_mah": 100_000,
        "rated_voltage_mv": 51_200,
        "tested_capacity_mah": 75_000,
        "quarantined": False,
    }
    return Found(**(known | changes))


def shown(
    found: Found,
    assumed: Assumptions = RATED,
    on: date = TODAY,
    band: Band = BAND,
    offers: tuple[Offer, ...] = (OFFER,),
) -> dict[Decision, DispositionOption]:
    return {one.decision: one for one in rules.options(found, band, list(offers), assumed, on)}


def codes(option: DispositionOption) -> list[str]:
    return [reason.code for reason in option.reasons]


@pytest.mark.parametrize(
    ("on", "rule"),
    [
        (date(2024, 10, 31), None),
        (date(2024, 11, 1), "GB 43854-2024"),
        (date(2026, 3, 31), "GB 43854-2024"),
        (date(2026, 4, 1), "Order No. 73, Art. 22"),
    ],
)
def test_e_bikes_are_refused_by_the_rule_of_the_day(on, rule):
    assumed = Assumptions(permitted_use=PermittedUse.E_BIKE)
    option = shown(pack(tested_capacity_mah=95_000), assumed, on)[Decision.RELEASE]
    assert [reason.rule for reason in option.reasons] == ([rule] if rule else [])
    assert option.admissible is (rule is None)


def test_each_day_has_one_law():
    for before, after in zip(rules.LAWS, rules.LAWS[1:], strict=False):
        assert before.to_on == after.from_on
    assert rules.law_on(date(2026, 3, 31)).name.startswith("工信部联节〔2018〕43号 and")
    assert rules.law_on(date(2026, 4, 1)).name.startswith("Order No. 73")
    assert rules.law_on(date(2000, 1, 1)) is rules.LAWS[0]


@pytest.mark.parametrize(
    ("tested", "release", "repair"),
    [
        (60_000, [], []),
        (59_999, ["HEALTH_BELOW_BAND"], []),
        (40_000, ["HEALTH_BELOW_BAND"], []),
        (39_999, ["HEALTH_BELOW_BAND"], ["HEALTH_BELOW_BAND"]),
        (None, ["HEALTH_UNKNOWN"], ["HEALTH_UNKNOWN"]),
    ],
)
def test_a_band_includes_its_edge_and_no_pack_is_rounded_into_it(tested, release, repair):
    found = shown(pack(tested_capacity_mah=tested))
    assert codes(found[Decision.RELEASE]) == release
    assert codes(found[Decision.REPAIR]) == repair
    assert found[Decision.RECYCLE].admissible


def test_unknown_health_names_the_article_that_asks_for_it():
    found = pack(tested_capacity_mah=None)
    before = shown(found, on=date(2026, 3, 31))[Decision.RELEASE].reasons[0].rule
    since = shown(found, on=date(2026, 4, 1))[Decision.RELEASE].reasons[0].rule
    assert (before, since) == ("No. 114 of 2021, cascade use measures", "Order No. 73, Art. 22")


@pytest.mark.parametrize(
    ("hazard", "release", "repair"),
    [
        (Hazard.INTACT, [], []),
        (Hazard.DAMAGED, ["HAZARD"], []),
        (Hazard.CRITICAL, ["HAZARD"], ["HAZARD"]),
    ],
)
def test_what_is_dangerous_is_neither_leased_nor_repaired(hazard, release, repair):
    found = shown(pack(hazard=hazard))
    assert codes(found[Decision.RELEASE]) == release
    assert codes(found[Decision.REPAIR]) == repair


def test_what_is_in_quarantine_is_not_leased():
    found = shown(pack(quarantined=True))
    assert codes(found[Decision.RELEASE]) == ["QUARANTINED"]
    assert found[Decision.RECYCLE].admissible


def test_what_has_burnt_is_waste():
    found = shown(pack(state=PackState.BURNT, hazard=Hazard.DAMAGED))
    assert [one for one in found if found[one].admissible] == [
        Decision.DISMANTLE,
        Decision.RECYCLE,
    ]
    assert "BURNT" in codes(found[Decision.REPAIR])


def test_money_of_each_way_worked_out_by_hand():
    """75 Ah × 51.2 V is 3,840 Wh; at 6 CNY a kWh and month over two years 55,296 fen. 3.125 CNY a
    kilogram for 46 kg is 143.75 CNY."""
    assumed = Assumptions(rent_per_kwh_month_amount=600, rent_months=24, repair_cost_amount=20_000)
    found = shown(pack(), assumed)
    assert {one: option.amount for one, option in found.items()} == {
        Decision.RELEASE: 55_296,
        Decision.REPAIR: 35_296,
        Decision.DISMANTLE: None,
        Decision.RECYCLE: 14_375,
    }
    assert "nobody offers" in (found[Decision.DISMANTLE].no_amount_because or "")


@given(
    tested=st.none() | st.integers(0, 120_000),
    hazard=st.sampled_from(Hazard),
    state=st.sampled_from([PackState.RETURNED, PackState.BURNT]),
    rate=st.none() | st.integers(0, 5_000),
    months=st.none() | st.integers(1, 240),
    cost=st.none() | st.integers(0, 10**7),
    offers=st.lists(
        st.builds(
            Offer,
            st.sampled_from([Decision.DISMANTLE, Decision.RECYCLE, Decision.REPAIR]),
            st.just("Firm"),
            st.decimals(-10, 60, places=4),
            st.none(),
            st.just("quote"),
        ),
        max_size=3,
        unique_by=lambda offer: offer.disposition,
    ),
)
def test_parts_add_up_and_what_is_proposed_is_admissible_and_never_worth_less(
    tested, hazard, state, rate, months, cost, offers
):
    found = shown(
        pack(tested_capacity_mah=tested, hazard=hazard, state=state),
        Assumptions(rent_per_kwh_month_amount=rate, rent_months=months, repair_cost_amount=cost),
        offers=tuple(offers),
    )
    for option in found.values():
        assert option.admissible is (not option.reasons)
        assert (option.amount is None) is (option.no_amount_because is not None)
        if option.amount is not None:
            assert option.amount == sum(part.amount for part in option.parts)
    proposed, _ = rules.proposal(list(found.values()))
    assert found[proposed].admissible
    release = found[Decision.RELEASE]
    if release.admissible and release.amount is None:
        assert proposed is Decision.RELEASE
        return
    worth = {
        kind: one.amount or 0
        for kind, one in found.items()
        if one.admissible and not (kind is Decision.REPAIR and one.amount is None)
    }
    assert worth[proposed] == max(worth.values())


def test_without_a_price_use_comes_before_recycling():
    assert rules.proposal(list(shown(pack(), Assumptions()).values()))[0] is Decision.RELEASE
    low = shown(pack(tested_capacity_mah=30_000), Assumptions())
    assert rules.proposal(list(low.values()))[0] is Decision.RECYCLE
    repaired = Assumptions(rent_per_kwh_month_amount=600, rent_months=24, repair_cost_amount=20_000)
    weak = shown(pack(tested_capacity_mah=50_000), repaired, offers=())
    assert rules.proposal(list(weak.values()))[0] is Decision.REPAIR
    costly = shown(pack(tested_capacity_mah=50_000), RATED_WITH_DEAR_REPAIR, offers=())
    assert rules.proposal(list(costly.values()))[0] is Decision.RECYCLE
    dear = Offer(Decision.RECYCLE, "Firm", Decimal(20), None, "quote")
    rich = shown(pack(), RATED, offers=(dear,))
    assert rules.proposal(list(rich.values()))[0] is Decision.RECYCLE


@pytest.mark.parametrize("found", HazardFound)
def test_only_the_unknown_travels_as_something_else(found):
    assert rules.travels_as(found) == ("critical" if found == "unknown" else found)
