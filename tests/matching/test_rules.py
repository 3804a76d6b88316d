"""Rules of matching: what is refused and why, and the order of the rest."""

from datetime import date
from decimal import Decimal
from random import Random
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.contracts.model import Line
from leasing.contracts.rules import guaranteed_capacity_mah
from leasing.matching import rules
from leasing.matching.model import Candidate, Limits, Need, Refusal, Suggestion
from leasing.sites.strings import Member
from schemas.contracts import ContractState
from schemas.matching import CapacitySource
from schemas.packs import PackState
from schemas.sites import SiteKind

NEED = Need(
    line_id=UUID(int=1),
    site_id=UUID(int=2),
    slot=1,
    string_number=1,
    system_voltage_mv=51_200,
    site_kind=SiteKind.TOWER,
    guaranteed_mah=80_000,
    load_w=None,
    required_minutes=None,
    standing_uwh=0,
    weight=100_000,
    empty_weight=100_000,
    limits=Limits(),
)
PACK = Candidate(
    "B", 16, 51_200, 100_000, "9ZZ", "51", UUID(int=3), date(2021, 12, 4),
    code="code", state=PackState.IN_STOCK, held=False, acquired_on=date(2025, 1, 2),
    usable_mah=90_000, capacity_source=CapacitySource.ESTIMATE, measured_on=date(2026, 6, 1),
)  # fmt: skip


def need(**changes: object) -> Need:
    return msgspec.structs.replace(NEED, **changes)


def pack(**changes: object) -> Candidate:
    return msgspec.structs.replace(PACK, **changes)


def codes(judged: Suggestion | Refusal) -> list[str]:
    return [one.code for one in judged.reasons] if isinstance(judged, Refusal) else []


capacities = st.none() | st.integers(0, 200_000)
candidates = st.builds(
    Candidate,
    st.sampled_from("BEZ"),
    st.sampled_from([14, 15, 16]),
    st.sampled_from([48_000, 51_200]),
    st.sampled_from([50_000, 100_000, 150_000]),
    st.sampled_from(["9ZZ", "001", ""]),
    st.sampled_from(["51", "52"]),
    st.uuids(),
    st.dates(date(2019, 1, 1), date(2023, 12, 31)),
    code=st.just("code"),
    state=st.sampled_from([PackState.IN_STOCK, PackState.IN_STOCK, PackState.RETURNED]),
    held=st.sampled_from([False, False, True]),
    acquired_on=st.dates(date(2025, 1, 1), date(2025, 1, 5)),
    usable_mah=capacities,
    capacity_source=st.just(CapacitySource.ESTIMATE),
    measured_on=st.just(date(2026, 6, 1)),
)
likely = st.builds(
    lambda usable_mah, day, pack_id: pack(
        usable_mah=usable_mah, acquired_on=date(2025, 1, day), pack_id=pack_id
    ),
    st.integers(70_000, 110_000),
    st.integers(1, 3),
    st.uuids(),
)
mates = st.lists(candidates | likely, max_size=2)
needs = st.builds(
    lambda kind, mv, guaranteed, load, minutes, standing, others, margin: need(
        site_kind=kind,
        system_voltage_mv=mv,
        guaranteed_mah=guaranteed,
        load_w=load,
        required_minutes=minutes,
        standing_uwh=standing,
        empty_weight=100_000 + others,
        limits=Limits(margin_percent=margin),
    ),
    st.sampled_from(SiteKind),
    st.sampled_from([None, 48_000, 51_200, 51_200]),
    st.integers(0, 120_000),
    st.none() | st.integers(1, 5_000),
    st.none() | st.integers(1, 600),
    st.integers(0, 10_000 * rules.UWH),
    st.integers(0, 400_000),
    st.integers(0, 100),
)


def test_a_pack_that_meets_the_need_is_suggested() -> None:
    judged = rules.judge(NEED, [pack(pack_id=UUID(int=4))], PACK)
    assert judged == Suggestion(PACK, 90_000, None)


@pytest.mark.parametrize(
    ("changes", "expected", "told"),
    [
        ({"state": PackState.RETURNED}, "not_in_stock", "returned"),
        ({"held": True}, "held", "another line"),
        ({"usable_mah": None}, "never_tested", "never tested"),
        ({"usable_mah": 79_999}, "capacity_short", "79999 mAh usable, 80000 mAh guaranteed"),
        ({"rated_voltage_mv": 53_000}, "voltage_mismatch", "rated 53 V, the string is 51.2 V"),
        ({"cells_in_series": 14}, "voltage_contradicts_cells", "14 cells of chemistry B"),
    ],
)
def test_each_refusal_has_its_code_and_a_sentence_with_the_numbers(
    changes: dict[str, object], expected: str, told: str
) -> None:
    judged = rules.judge(NEED, [], pack(**changes))
    assert isinstance(judged, Refusal)
    assert codes(judged) == [expected]
    assert told in judged.reasons[0].detail
    assert any("\u4e00" <= letter <= "\u9fff" for letter in judged.reasons[0].detail_zh)


def test_where_nothing_says_the_voltage_nothing_is_suggested() -> None:
    assert codes(rules.judge(need(system_voltage_mv=None), [], PACK)) == ["voltage_unknown"]


def test_a_small_vehicle_gets_no_retired_pack_and_a_large_one_does() -> None:
    small = need(site_kind=SiteKind.VEHICLE)
    assert codes(rules.judge(small, [], PACK)) == ["prohibited_use"]
    large = need(site_kind=SiteKind.VEHICLE, system_voltage_mv=320_000)
    judged = rules.judge(large, [], pack(cells_in_series=100, rated_voltage_mv=320_000))
    assert isinstance(judged, Suggestion)


def test_the_autonomy_is_the_energy_over_the_load_with_the_margin() -> None:
    # 4,608 Wh usable, 80 % deep at 95 %: 3,502.08 Wh; 1,000 W with 10 % margin: 191.02 min.
    alone = need(load_w=1_000, required_minutes=191)
    assert rules.judge(alone, [], PACK) == Suggestion(PACK, 90_000, 191)
    judged = rules.judge(need(load_w=1_000, required_minutes=192), [], PACK)
    assert isinstance(judged, Refusal)
    assert codes(judged) == ["autonomy_short"]
    for told in ("brings 4608 Wh", "4632 Wh", "lasts 191 of 192 min at 1000 W and 10 %"):
        assert told in judged.reasons[0].detail


def test_packs_that_stand_count_and_empty_lines_take_their_share_of_what_is_missing() -> None:
    wanted = {"load_w": 1_000, "required_minutes": 382}
    assert codes(rules.judge(need(**wanted), [], PACK)) == ["autonomy_short"]
    two_empty = need(**wanted, empty_weight=200_000)
    assert rules.judge(two_empty, [], PACK) == Suggestion(PACK, 90_000, 191)
    one_stands = need(**wanted, standing_uwh=4_608 * rules.UWH)
    assert rules.judge(one_stands, [], PACK) == Suggestion(PACK, 90_000, 382)


def test_a_mixed_string_is_refused_with_every_reason() -> None:
    mate = pack(
        maker="001", specification="52", rated_capacity_mah=150_000, made_on=date(2019, 1, 1)
    )
    assert codes(rules.judge(NEED, [mate], PACK)) == [
        "mixed_capacity", "mixed_maker", "mixed_specification", "mixed_age",
    ]  # fmt: skip


@given(st.integers(1, 2_000_000_000), st.decimals(0, 100, places=2))
def test_the_guarantee_is_what_contracts_say_it_is(rated_mah: int, percent: Decimal) -> None:
    line = Line(
        id=UUID(int=1),
        contract_id=UUID(int=1),
        lessee_id=UUID(int=1),
        contract_state=ContractState.ACTIVE,
        site_id=UUID(int=1),
        adcode="410100",
        slot=1,
        rated_capacity_mah=rated_mah,
        rent_amount=31_000,
        suspended=False,
        guarantee_percent=percent,
        replacement_days=7,
        named_pack_id=None,
        from_on=date(2026, 1, 1),
        started_on=None,
        ended_on=None,
    )
    assert rules.guaranteed_mah(rated_mah, percent) == guaranteed_capacity_mah(line)


@given(needs, mates, st.lists(candidates | likely, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_the_stock_does_not_matter(
    wanted: Need, others: list[Member], stock: list[Candidate], chance: Random
) -> None:
    expected = rules.ranked(wanted, others, stock)
    chance.shuffle(stock)
    chance.shuffle(others)
    assert rules.ranked(wanted, others, stock) == expected


@given(needs, mates, st.lists(candidates | likely, max_size=8))
def test_every_pack_is_suggested_or_refused_with_a_reason(
    wanted: Need, others: list[Member], stock: list[Candidate]
) -> None:
    suggestions, refusals = rules.ranked(wanted, others, stock)
    assert len(suggestions) + len(refusals) == len(stock)
    assert all(one.reasons for one in refusals)
    for one in suggestions:
        chosen = one.candidate
        assert chosen.state is PackState.IN_STOCK
        assert not chosen.held
        assert one.usable_mah >= wanted.guaranteed_mah
        assert chosen.rated_voltage_mv == wanted.system_voltage_mv
        assert all(chosen.kind == getattr(mate, "kind", None) for mate in others)
    keys = [(one.usable_mah, one.candidate.acquired_on) for one in suggestions]
    assert keys == sorted(keys)


@given(needs, mates, candidates | likely, st.integers(1, 100))
def test_a_larger_margin_never_admits_more(
    wanted: Need, others: list[Member], candidate: Candidate, more: int
) -> None:
    margin = wanted.limits.margin_percent
    wider = need_with_margin(wanted, margin + more)
    refused = codes(rules.judge(wanted, others, candidate))
    assert set(refused) <= set(codes(rules.judge(wider, others, candidate)))


def need_with_margin(wanted: Need, margin_percent: int) -> Need:
    return msgspec.structs.replace(wanted, limits=Limits(margin_percent=margin_percent))


@given(needs, st.integers(0, 20_000 * rules.UWH))
def test_a_site_lasts_as_long_as_it_must_just_when_it_has_the_energy(
    wanted: Need, whole_uwh: int
) -> None:
    required = rules.required_uwh(wanted)
    if required is not None:
        minutes = rules.autonomy_minutes(wanted, whole_uwh)
        assert minutes is not None
        assert (minutes >= wanted.required_minutes) == (whole_uwh >= required)


@given(needs, st.lists(st.integers(1, 300_000), min_size=1, max_size=5), st.data())
def test_lines_filled_one_after_the_other_carry_the_site_together(
    wanted: Need, weights: list[int], data: st.DataObject
) -> None:
    standing, empty = wanted.standing_uwh, sum(weights)
    for weight in weights:
        now = msgspec.structs.replace(
            wanted, standing_uwh=standing, weight=weight, empty_weight=empty
        )
        least = rules.least_uwh(now) or 0
        standing += least + data.draw(st.integers(0, 100 * rules.UWH))
        empty -= weight
    assert standing >= (rules.required_uwh(wanted) or 0)


@given(needs, candidates, st.booleans())
def test_the_least_capacity_of_a_kind_is_where_its_refusals_for_capacity_end(
    wanted: Need, candidate: Candidate, enough: bool
) -> None:
    least = rules.least_mah(wanted, candidate)
    if enough or least > 0:
        usable_mah = least if enough else least - 1
        tested = msgspec.structs.replace(candidate, usable_mah=usable_mah)
        assert (rules.capacity_reasons(wanted, tested) == []) is enough
