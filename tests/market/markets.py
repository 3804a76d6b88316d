"""Small markets, for tests."""

from itertools import product

import numpy as np
from hypothesis import strategies as st

from leasing.market.bound import Wrong, one_need, refuse_twice_taken
from leasing.market.model import Bins, Market, Models, Needs

MODELS = Models(
    voltage_mv=np.array([51_200, 51_200, 345_600]),
    energy_wh=np.array([5_120, 2_560, 34_560]),
    mass_kg=np.array([46, 26, 320]),
    fade=np.array([20, 15, 25]),
    cold_share=np.array([[1000, 880, 750, 0], [1000, 880, 750, 0], [1000, 920, 850, 0]]),
)


def whole(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def market(
    bins: list[tuple[int, int, int, int, int, int, int]],
    needs: list[tuple[int, int, int, int, int, int, int, int]],
) -> Market:
    """Bins: place, model, make, day, grade, packs, residual. Needs: voltage, Wh, band, slots,
    months, start day, rent of the whole term, weight; all at one place."""
    bins = sorted(bins)
    of_bins = np.array(bins, dtype=np.int64).reshape(-1, 7).T.copy()
    of_needs = np.array(needs, dtype=np.int64).reshape(-1, 8).T.copy()
    many = len(needs)
    return Market(
        longitude=whole([11_356_000, 12_147_000]),
        latitude=whole([3_481_000, 3_123_000]),
        models=MODELS,
        bins=Bins(*of_bins),
        needs=Needs(
            longitude=whole([11_400_000] * many),
            latitude=whole([3_400_000] * many),
            voltage_mv=of_needs[0],
            energy_wh=of_needs[1],
            band=of_needs[2],
            slots=of_needs[3],
            months=of_needs[4],
            heat_percent=whole([100] * many),
            start_day=of_needs[5],
            rent=of_needs[6],
            weight=of_needs[7],
        ),
        freight=1_400,
        circuity_percent=130,
        voltage_tolerance_percent=2,
    )


BINS = st.dictionaries(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 2),
        st.just(2020),
        st.sampled_from([0, 30]),
        st.integers(30, 34),
    ),
    st.tuples(st.integers(1, 6), st.integers(0, 40_000)),
    min_size=1,
    max_size=6,
)
NEEDS = st.lists(
    st.tuples(
        st.sampled_from([51_200, 51_200, 336_000]),
        st.integers(2_000, 16_000),
        st.integers(0, 3),
        st.integers(1, 6),
        st.sampled_from([12, 36]),
        st.sampled_from([0, 40]),
        st.integers(0, 900_000),
        st.sampled_from([100, 100, 250, 0]),
    ),
    min_size=1,
    max_size=5,
)
MARKETS = st.builds(
    lambda bins, needs: market([(*key, *rest) for key, rest in bins.items()], needs), BINS, NEEDS
)


def best_of_all(one: Market) -> int:
    """The value of the best plan, by trying every plan there is."""
    choices = []
    for d in range(len(one.needs.rent)):
        wanted, value = one_need(one, d)
        there = np.flatnonzero(wanted).tolist()
        choices.append([(-1, 0, 0)] + [(w, int(wanted[w]), int(value[w])) for w in there])
    best = 0
    for plan in product(*choices):
        drawn: dict[int, int] = {}
        for w, k, _ in plan:
            if w >= 0:
                drawn[w] = drawn.get(w, 0) + k
        try:
            refuse_twice_taken(one, drawn)
        except Wrong:
            continue
        best = max(best, sum(value for _, _, value in plan))
    return best
