"""One pack: the best of all outlets, and reasons that hold."""

from dataclasses import replace

import numpy as np
import pytest

from leasing.routing import certificate
from leasing.routing.model import FORBIDDEN, Against
from leasing.routing.one import Atlas, fen, question
from tests.routing.instances import small_network

SEEDS = range(8)


def worth(network, row: int):
    """Value of each outlet for a class by the checker, FORBIDDEN where there is no room either."""
    m = len(network.free_kg)
    value = certificate.pair_values(network, np.full(m, row), np.arange(m))
    return np.where(network.free_kg >= network.classes.mass_kg[row], value, FORBIDDEN)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_choice_is_the_best_of_all_outlets(seed: int):
    network = small_network(seed)
    prices = np.random.default_rng(seed).integers(0, 8_000, len(network.free_kg))
    atlas = Atlas(network, prices)
    for row in range(len(network.classes.packs)):
        value = worth(network, row)
        reduced = np.where(value > FORBIDDEN, value - prices, -(2**40))
        answer = atlas.answer(question(network, row))
        order = np.argsort(-reduced, kind="stable")
        if reduced[order[0]] <= network.hold:
            assert answer.chosen is None
            assert answer.nearest is not None
            continue
        assert answer.chosen.outlet == order[0]
        assert answer.chosen.value == value[order[0]]
        if answer.runner_up is None:
            assert value[order[1]] == FORBIDDEN
        else:
            assert answer.runner_up.outlet == order[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_add_up_to_the_fen_and_to_the_value(seed: int):
    network = small_network(seed)
    atlas = Atlas(network)
    seen = 0
    for row in range(len(network.classes.packs)):
        asked = question(network, row)
        answer = atlas.answer(asked)
        for parts in (answer.chosen, answer.runner_up, answer.own_best):
            if parts is not None:
                seen += 1
                assert parts.net == parts.offer + parts.freight + parts.packing
                assert parts.offer > 0 > parts.freight
                assert abs(100 * parts.net - parts.value * asked.mass_kg) <= 150
                assert network.offer[parts.disposition, asked.chemistry, parts.outlet] > FORBIDDEN
                assert asked.dispositions >> parts.disposition & 1
    assert seen > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_it_holds_down_to_the_offer_that_is_told_and_no_lower(seed: int):
    network = replace(small_network(seed), dispositions=np.full(20, 2))
    changed = 0
    for row in range(len(network.classes.packs)):
        asked = question(network, row)
        answer = Atlas(network).answer(asked)
        if answer.chosen is None:
            continue
        place = (1, asked.chemistry, answer.chosen.outlet)
        offer = network.offer.copy()
        offer[place] = answer.holds_from + 1
        assert chosen(Atlas(replace(network, offer=offer)), asked) == answer.chosen.outlet
        offer[place] = answer.holds_from - 1
        assert chosen(Atlas(replace(network, offer=offer)), asked) != answer.chosen.outlet
        changed += 1
    assert changed


def chosen(atlas: Atlas, asked) -> int | None:
    answer = atlas.answer(asked)
    return None if answer.chosen is None else answer.chosen.outlet


@pytest.mark.parametrize("seed", SEEDS)
def test_what_excludes_the_nearest_is_true(seed: int):
    network = small_network(seed)
    atlas = Atlas(network)
    for row in range(len(network.classes.packs)):
        asked = question(network, row)
        answer = atlas.answer(asked)
        nearest = answer.nearest
        if nearest is None:
            continue
        j, i = nearest.outlet, row
        reasons = set(nearest.reasons)
        assert (Against.QUAL_EXPIRED in reasons) == (network.closed[j] != 0)
        assert (Against.HAZARD in reasons) == (not network.takes_hazards[j] >> asked.hazard & 1)
        assert (Against.SINGLE_LOAD in reasons) == (network.single_load_kg[j] < asked.mass_kg)
        assert (Against.SPACE in reasons) == (network.free_kg[j] < asked.mass_kg)
        value = worth(network, i)
        assert (value[j] == FORBIDDEN) == (not reasons & {Against.VALUE, Against.HELD})
        if Against.VALUE in reasons:
            assert value[j] <= answer.chosen.value
        h = certificate.haversine(network, np.full(30, i), np.arange(30))
        assert h[j] == pytest.approx(h.min(), rel=1e-3)


def test_dear_space_turns_a_pack_away_from_its_own_best():
    network = small_network(3)
    row = next(
        r for r in range(20) if Atlas(network).answer(question(network, r)).runner_up is not None
    )
    first = Atlas(network).answer(question(network, row))
    prices = np.zeros(len(network.free_kg), dtype=np.int64)
    prices[first.chosen.outlet] = 1 + first.chosen.value - first.runner_up.value
    second = Atlas(network, prices).answer(question(network, row))
    assert second.chosen.outlet == first.runner_up.outlet
    assert second.own_best.outlet == first.own_best.outlet


def test_fen_are_rounded_half_up():
    assert [fen(amount) for amount in (0, 49, 50, 149, 150)] == [0, 0, 1, 1, 2]
