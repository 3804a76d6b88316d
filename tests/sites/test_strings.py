"""Rules of cabinet strings."""

from datetime import date
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.sites import strings
from leasing.sites.strings import (
    BadStrings,
    Member,
    MixedString,
    Standing,
    StringsInUse,
    differences,
    made_within,
    refuse_contradictions,
    refuse_mixed,
    refuse_unless_packs_allow,
)
from schemas.sites import StringPut, StringView

PACK = Member("B", 16, 51_200, 100_000, "9ZZ", "51", UUID(int=1), date(2021, 12, 4))
OTHER_TRAITS = {
    "mixed_chemistry": {"chemistry": "E"},
    "mixed_cells": {"cells_in_series": 15},
    "mixed_voltage": {"rated_voltage_mv": 51_000},
    "mixed_capacity": {"rated_capacity_mah": 150_000},
    "mixed_maker": {"maker": "001"},
    "mixed_specification": {"specification": "52"},
    "mixed_age": {"made_on": date(2022, 12, 5)},
}

days = st.dates(date(2015, 1, 1), date(2030, 12, 31))
members = st.builds(
    Member,
    st.sampled_from("BE"),
    st.sampled_from([15, 16]),
    st.sampled_from([48_000, 51_200]),
    st.sampled_from([50_000, 100_000]),
    st.sampled_from(["9ZZ", "001", ""]),
    st.sampled_from(["51", "52", ""]),
    st.uuids(),
    days,
)


def other(**changes: object) -> Member:
    return msgspec.structs.replace(PACK, pack_id=UUID(int=2), **changes)


def test_packs_that_are_alike_may_stand_together() -> None:
    refuse_mixed(PACK, [other(), other(made_on=date(2022, 12, 4))], 51_200)
    refuse_mixed(PACK, [])


@pytest.mark.parametrize("code", OTHER_TRAITS)
def test_each_trait_that_differs_is_a_reason_of_its_own(code: str) -> None:
    mate = other(**OTHER_TRAITS[code])
    with pytest.raises(MixedString) as refused:
        refuse_mixed(PACK, [other(), mate])
    assert [reason.code for reason in refused.value.extra["reasons"]] == [code]


def test_all_that_differs_is_said_at_once() -> None:
    changes = {name: value for one in OTHER_TRAITS.values() for name, value in one.items()}
    with pytest.raises(MixedString) as refused:
        refuse_mixed(PACK, [other(**changes)], 48_000)
    codes = [reason.code for reason in refused.value.extra["reasons"]]
    assert codes == ["voltage_mismatch", *OTHER_TRAITS]
    for told in ("51.2 V", "48 V", "maker 9ZZ", "001", "150000", "2022-12-05", "12 months"):
        assert told in refused.value.detail


def test_makers_nobody_can_read_are_not_taken_for_the_same() -> None:
    unread = other(maker="", specification="")
    codes = [reason.code for reason in differences(unread, [unread])]
    assert codes == ["mixed_maker", "mixed_specification"]


@pytest.mark.parametrize(("rated_mv", "fits"), [(50_176, True), (50_175, False), (52_225, False)])
def test_a_nameplate_may_round_but_not_by_a_cell(rated_mv: int, fits: bool) -> None:
    assert (strings.voltage_misfit(other(rated_voltage_mv=rated_mv), 51_200) == []) is fits


@given(days, days, st.integers(0, 40))
def test_months_apart_do_not_depend_on_the_order_and_grow_with_the_limit(
    one: date, two: date, months: int
) -> None:
    within = made_within(one, two, months)
    assert within == made_within(two, one, months)
    assert not within or made_within(one, two, months + 1)
    assert abs((one - two).days) > months * 28 or within
    assert abs((one - two).days) <= months * 31 or not within


@given(members, members)
def test_two_packs_are_refused_to_each_other_for_the_same_reasons(a: Member, b: Member) -> None:
    assert {one.code for one in differences(a, [b])} == {one.code for one in differences(b, [a])}


@given(members, st.lists(members, max_size=4))
def test_a_pack_fits_a_string_just_when_it_fits_each_pack_in_it(
    pack: Member, mates: list[Member]
) -> None:
    together = {one.code for one in differences(pack, mates)}
    assert together == {one.code for mate in mates for one in differences(pack, [mate])}


@given(st.lists(members, max_size=5))
def test_a_string_is_found_mixed_just_when_two_of_its_packs_differ(packs: list[Member]) -> None:
    string = StringView(number=1, system_voltage_mv=51_200, first_slot=1, last_slot=9)
    standing = [Standing(pack.pack_id, slot, pack) for slot, pack in enumerate(packs, start=1)]
    found = {reason.code for _, reason in strings.misfits(string, standing)}
    pairs = {
        reason.code
        for at, one in enumerate(packs)
        for mate in packs[:at]
        for reason in differences(one, [mate])
    }
    assert {code for code in found if code.startswith("mixed_")} == pairs
    odd = any(pack.rated_voltage_mv != 51_200 for pack in packs)
    assert ("voltage_mismatch" in found) == odd


def put(number: int, first: int, last: int) -> StringPut:
    return StringPut(number=number, system_voltage_mv=51_200, first_slot=first, last_slot=last)


def test_strings_that_contradict_each_other_are_all_named() -> None:
    with pytest.raises(BadStrings) as refused:
        refuse_contradictions([put(1, 1, 4), put(1, 4, 8), put(2, 9, 8), put(3, 2, 3)])
    assert [(one.pointer, one.code) for one in refused.value.fields] == [
        ("/strings/1/number", "number_twice"),
        ("/strings/1/first_slot", "slots_shared"),
        ("/strings/2/last_slot", "last_before_first"),
        ("/strings/3/first_slot", "slots_shared"),
    ]


@given(
    st.lists(st.builds(put, st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)), max_size=4)
)
def test_strings_are_accepted_just_when_each_slot_and_number_is_there_once(
    given_strings: list[StringPut],
) -> None:
    slots = [slot for one in given_strings for slot in range(one.first_slot, one.last_slot + 1)]
    sound = (
        len(slots) == len(set(slots))
        and len({one.number for one in given_strings}) == len(given_strings)
        and all(one.first_slot <= one.last_slot for one in given_strings)
    )
    try:
        refuse_contradictions(given_strings)
    except BadStrings:
        assert not sound
    else:
        assert sound


def test_slots_in_use_do_not_vanish_and_free_ones_may() -> None:
    view = StringView(number=1, system_voltage_mv=51_200, first_slot=1, last_slot=4)
    shorter = msgspec.structs.replace(view, last_slot=2)
    stands = [Standing(UUID(int=9), 2, PACK)]
    refuse_unless_packs_allow([view], [shorter], stands)
    refuse_unless_packs_allow([], [], stands)
    with pytest.raises(StringsInUse) as refused:
        refuse_unless_packs_allow([view], [], stands)
    assert [one.code for one in refused.value.fields] == ["slot_in_use"]
