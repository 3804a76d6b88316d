"""Moving whole packs about: nothing is lost, nothing is overfilled, and each way finds its own."""

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.routing import mending
from leasing.routing.mending import HELD, Bench
from leasing.routing.pricing import Pairs
from tests.routing.instances import ints


def bench(
    mass: list[int],
    free: list[int],
    value: dict[tuple[int, int], int],
    packs: dict[tuple[int, int], int],
    hold: int = 0,
) -> Bench:
    """Packs of a class at an outlet; `free` before they are there."""
    choices: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (i, j), worth in sorted(value.items(), key=lambda one: (one[0][0], -one[1], one[0][1])):
        choices[i].append((j, worth))
    made = Bench(mass, hold, list(free), choices, dict(value))
    for (i, j), many in packs.items():
        made.put(i, j, many)
    return made


def pairs(one: Bench) -> Pairs:
    rows = np.array([(i, j, v) for (i, j), v in sorted(one.value.items())], dtype=np.int64)
    row, column, value = rows.reshape(-1, 3).T.copy()
    return Pairs(row, column, value)


def worth(one: Bench) -> int:
    return sum(n * one.mass[i] * one.worth(i, j) for (i, j), n in one.counts.items())


@st.composite
def benches(draw: st.DrawFn) -> tuple[Bench, list[int]]:
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    mass = draw(st.lists(st.sampled_from([2, 3, 3, 7]), min_size=n, max_size=n))
    free = draw(st.lists(st.integers(0, 20), min_size=m, max_size=m))
    value = {
        (i, j): 10_000 * draw(st.integers(-3, 12))
        for i in range(n)
        for j in range(m)
        if draw(st.integers(0, 4))
    }
    made = bench(mass, free, value, {})
    for i in range(n):
        for _ in range(draw(st.integers(0, 3))):
            there = [j for j, _ in made.choices[i] if made.free[j] >= mass[i]]
            made.put(i, draw(st.sampled_from([HELD, *there])), 1)
    prices = draw(st.lists(st.integers(0, 9), min_size=m, max_size=m))
    return made, [10_000 * price for price in prices]


@given(benches(), st.sampled_from(["climb", "exchange", "refill", "mend"]))
@settings(deadline=None, max_examples=300)
def test_no_way_to_mend_loses_a_pack_or_money_or_overfills_an_outlet(given_, way: str):
    one, prices = given_
    before, room, packs = worth(one), filled(one), of_classes(one)
    if one.value or way in ("climb", "refill"):
        {
            "climb": lambda: mending.climb(one),
            "exchange": lambda: mending.exchange(one, pairs(one)),
            "refill": lambda: mending.refill(one, ints(*prices)),
            "mend": lambda: mending.mend(one, pairs(one), ints(*prices)),
        }[way]()
    assert worth(one) >= before
    assert min(one.free) >= 0
    assert filled(one) == room
    assert of_classes(one) == packs
    assert min(one.counts.values(), default=1) > 0
    assert {(i, j) for i, there in one.places.items() for j in there} == set(one.counts)
    assert {(i, j) for j, there in one.inside.items() for i in there} == {
        pair for pair in one.counts if pair[1] != HELD
    }


def filled(one: Bench) -> list[int]:
    """The room of each outlet, with what is in it."""
    room = list(one.free)
    for (i, j), n in one.counts.items():
        if j != HELD:
            room[j] += n * one.mass[i]
    return room


def of_classes(one: Bench) -> list[int]:
    return [sum(n for (i, _), n in one.counts.items() if i == k) for k in range(len(one.mass))]


def test_equal_packs_change_places_in_a_circle_of_three():
    value = {(i, j): 9 if j == (i + 1) % 3 else 5 for i in range(3) for j in range(3)}
    one = bench([4, 4, 4], [4, 4, 4], value, {(0, 0): 1, (1, 1): 1, (2, 2): 1})
    mending.climb(one)
    assert one.counts == {(0, 0): 1, (1, 1): 1, (2, 2): 1}
    mending.exchange(one, pairs(one))
    assert one.counts == {(0, 1): 1, (1, 2): 1, (2, 0): 1}


def test_a_heavy_pack_gives_way_to_two_that_fill_the_outlet():
    # 10 kg of room: one of 7 kg, or two of 5 kg that must go elsewhere for less.
    value = {(0, 0): 100_000, (0, 1): 99_000, (1, 0): 100_000, (1, 1): 60_000}
    one = bench([7, 5], [10, 30], value, {(0, 0): 1, (1, 1): 2})
    mending.climb(one)
    mending.exchange(one, pairs(one))
    assert one.counts == {(0, 0): 1, (1, 1): 2}
    mending.refill(one, ints(30_000, 0))
    assert one.counts == {(0, 1): 1, (1, 0): 2}


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=7),
    st.integers(0, 25),
)
@settings(deadline=None)
def test_the_best_set_is_the_best_of_all_sets(packs: list[tuple[int, int]], room: int):
    found = mending.best_set(
        [(gain, place, 0) for place, (gain, _) in enumerate(packs)],
        [mass for _, mass in packs],
        room,
        1,
    )
    places = [place for place, _ in found]
    assert len(set(places)) == len(places)
    assert sum(packs[place][1] for place in places) <= room
    best = 0
    for chosen in range(1 << len(packs)):
        some = [one for place, one in enumerate(packs) if chosen >> place & 1]
        if sum(mass for _, mass in some) <= room:
            best = max(best, sum(gain * mass for gain, mass in some))
    assert sum(packs[place][0] * packs[place][1] for place in places) == best


def test_an_outlet_is_left_as_it_was_when_what_drops_out_finds_no_room_together():
    # The two that would give way both count on the room for one in outlet 1.
    value = {(0, 0): 50_000, (0, 1): 45_000, (1, 0): 30_000, (1, 2): 20_000}
    one = bench([5, 20], [20, 5, 20], value, {(0, 0): 2, (1, 2): 1})
    mending.refill(one, ints(40_000, 0, 0))
    assert one.counts == {(0, 0): 2, (1, 2): 1}


def test_a_large_outlet_is_filled_to_the_last_kilogram():
    # 38 packs of 70 kg leave 30 kg; 37 and two of 50 kg leave none.
    one = bench([70, 50], [2_690], {}, {(0, HELD): 38, (1, HELD): 20})
    wanted = [(1_000, 0, HELD), (999, 1, HELD)]
    assert mending.packed(one, wanted, 2_690, 10) == {(0, HELD): 37, (1, HELD): 2}
