"""Plans: distinct packs, strings that are not mixed, and reasons for the lines left over."""

from datetime import date
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.matching import planning, rules
from leasing.matching.model import Candidate, Need, Suggestion
from leasing.matching.planning import Gap, Plan
from leasing.sites.strings import Member, differences
from schemas.packs import PackState
from tests.matching.test_rules import candidates, likely, need, pack


def gap(slot: int, string: int | None = 1, site: int = 1, **changes: object) -> Gap:
    wanted = need(
        line_id=UUID(int=100 * site + slot),
        site_id=UUID(int=site),
        slot=slot,
        string_number=string,
        empty_weight=10**9,
        **changes,
    )
    return Gap(wanted, [])


def packs(count: int, first: int = 1, **changes: object) -> list[Candidate]:
    return [pack(pack_id=UUID(int=first + at), **changes) for at in range(count)]


def slots(plan: Plan) -> dict[int, int]:
    return {wanted.slot: one.candidate.pack_id.int for wanted, one in plan.assigned}


def test_a_string_takes_the_kind_that_fills_it_and_not_the_best_single_pack() -> None:
    lonely = packs(1, usable_mah=80_000, maker="001")
    many = packs(3, first=10, usable_mah=95_000)
    plan = planning.plan([gap(1), gap(2), gap(3)], lonely + many)
    assert slots(plan) == {1: 10, 2: 11, 3: 12}
    assert plan.unfilled == []


def test_a_string_does_not_begin_with_a_pack_too_old_for_the_others() -> None:
    old = packs(1, usable_mah=80_000, made_on=date(2018, 1, 1))
    young = packs(2, first=10, usable_mah=95_000)
    assert slots(planning.plan([gap(1), gap(2)], old + young)) == {1: 10, 2: 11}


def test_strong_packs_are_kept_for_the_lines_that_want_them() -> None:
    stock = packs(1, usable_mah=120_000) + packs(1, first=2, usable_mah=85_000)
    lines = [gap(1), gap(2, guaranteed_mah=110_000)]
    assert slots(planning.plan(lines, stock)) == {1: 2, 2: 1}


def test_a_line_left_over_says_how_many_packs_each_reason_refuses() -> None:
    stock = [
        *packs(2),
        *packs(3, first=10, usable_mah=70_000),
        *packs(1, first=20, usable_mah=None),
        *packs(4, first=30, maker="001", usable_mah=79_000),
        *packs(1, first=40, held=True),
        *packs(1, first=50, made_on=date(2010, 1, 1)),
    ]
    plan = planning.plan([gap(slot) for slot in (1, 2, 3)], stock)
    assert slots(plan) == {1: 1, 2: 2}
    ((left, refusals),) = plan.unfilled
    assert left.slot == 3
    assert refusals == {
        "capacity_short": 7,
        "held": 1,
        "mixed_age": 1,
        "mixed_maker": 4,
        "never_tested": 1,
        "taken_by_this_plan": 2,
    }


def test_what_the_plan_brings_to_a_site_counts_for_its_next_line() -> None:
    # 191 min a pack: two must carry 300, of which the first owes the half.
    wanted = {"load_w": 1_000, "required_minutes": 300}
    lines = [
        Gap(msgspec.structs.replace(gap(slot, None, **wanted).need, empty_weight=200_000), [])
        for slot in (1, 2)
    ]
    plan = planning.plan(lines, packs(2))
    assert [one.autonomy_minutes for _, one in plan.assigned] == [191, 382]


gaps = st.builds(
    gap,
    st.integers(1, 8),
    st.sampled_from([1, 1, 2, None]),
    st.integers(1, 2),
    guaranteed_mah=st.sampled_from([70_000, 85_000, 100_000]),
    load_w=st.sampled_from([None, 1_000]),
    required_minutes=st.sampled_from([None, 200, 2_000]),
)
mates = st.dictionaries(st.sampled_from([1, 2]), likely, max_size=2)


@settings(max_examples=200)
@given(
    st.lists(gaps, max_size=8, unique_by=lambda one: one.need.line_id),
    st.lists(candidates | likely, max_size=20, unique_by=lambda one: one.pack_id),
    st.dictionaries(st.sampled_from([1, 2]), likely, max_size=2),
)
def test_a_plan_gives_distinct_packs_that_the_rules_admit_and_mixes_no_string(
    lines: list[Gap], stock: list[Candidate], present: dict[int, Member]
) -> None:
    held = {mate.pack_id for mate in present.values()}
    stock = [one for one in stock if one.pack_id not in held and one.state is PackState.IN_STOCK]
    lines = [
        Gap(one.need, [present[one.need.string_number]])
        if one.need.string_number in present
        else one
        for one in lines
    ]
    plan = planning.plan(lines, stock)
    given_packs = [one.candidate.pack_id for _, one in plan.assigned]
    assert len(set(given_packs)) == len(given_packs)
    done = [wanted.line_id for wanted, _ in plan.assigned]
    left = [wanted.line_id for wanted, _ in plan.unfilled]
    assert sorted(done + left) == sorted(one.need.line_id for one in lines)
    beside: dict[object, list[Member]] = {one.string: list(one.mates) for one in lines}
    strings = {one.need.line_id: one.string for one in lines}
    for wanted, one in plan.assigned:
        others = beside[strings[wanted.line_id]]
        assert isinstance(rules.judge(wanted, others, one.candidate), Suggestion)
        assert not differences(one.candidate, others)
        others.append(one.candidate)
    for wanted, refusals in plan.unfilled:
        assert refusals or not stock
        refuse_free_and_admissible(wanted, beside, strings, stock, given_packs)
    backwards = planning.plan(lines[::-1], stock[::-1])
    assert {wanted.line_id: one for wanted, one in backwards.assigned} == {
        wanted.line_id: one for wanted, one in plan.assigned
    }


def refuse_free_and_admissible(
    wanted: Need,
    beside: dict[object, list[Member]],
    strings: dict[UUID, object],
    stock: list[Candidate],
    given_packs: list[UUID],
) -> None:
    """No line stays empty while a free pack in stock might have gone into it."""
    others = beside[strings[wanted.line_id]]
    for one in stock:
        if one.pack_id not in given_packs and one.state == "in_stock":
            assert not isinstance(rules.judge(wanted, others, one), Suggestion)


def test_a_string_whose_kind_is_settled_chooses_before_one_that_is_free() -> None:
    stock = packs(1) + packs(2, first=10, maker="001")
    beside = pack(pack_id=UUID(int=99))
    settled = Gap(gap(8).need, [beside])
    plan = planning.plan([gap(1, None), gap(2, None), settled], stock)
    assert slots(plan) == {1: 10, 2: 11, 8: 1}


@pytest.mark.parametrize(
    ("made_on", "fits"),
    [
        (date(2020, 6, 14), False),
        (date(2020, 6, 15), True),
        (date(2022, 6, 15), True),
        (date(2022, 6, 16), False),
    ],
)
def test_a_pack_a_year_older_or_younger_than_its_mates_is_found(made_on: date, fits: bool) -> None:
    beside = pack(pack_id=UUID(int=99), made_on=date(2021, 6, 15))
    plan = planning.plan([Gap(gap(1).need, [beside])], packs(1, made_on=made_on))
    assert slots(plan) == ({1: 1} if fits else {})
