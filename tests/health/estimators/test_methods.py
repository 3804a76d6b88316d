"""The methods that the estimators are made of, on cases small enough to be seen through."""

import doctest
import importlib

import numpy as np
import pytest

from leasing.health.estimators import conformal, depth, kalman, library, resistance, standby

MODULES = (
    "conformal",
    "depth",
    "discharge",
    "fade",
    "kalman",
    "library",
    "pulse",
    "resistance",
    "standby",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_worked_examples_are_true(name: str) -> None:
    module = importlib.import_module(f"leasing.health.estimators.{name}")
    assert doctest.testmod(module).failed == 0


# Intervals


def test_a_unit_with_many_rows_weighs_no_more_than_one_with_few() -> None:
    """Ten cells: nine have one row with score 1, the tenth a thousand rows with score 9."""
    units = np.array([*(f"c{k}" for k in range(9)), *["c9"] * 1000])
    scores = np.array([1.0] * 9 + [9.0] * 1000)
    assert conformal.quantile(scores, units, coverage=0.5) == pytest.approx(conformal.widening(10))


def test_nine_units_are_the_fewest_that_show_a_quantile() -> None:
    scores = np.ones(8)
    with pytest.raises(ValueError, match="9 are needed"):
        conformal.quantile(scores, np.array([f"c{k}" for k in range(8)]))
    # Of nine, the tenth unit may be worse than all: the level is 0.9·10/9, not 0.9.
    twenty = np.array([f"c{k:02}" for k in range(20)])
    assert conformal.quantile(np.arange(20.0), twenty) == 18
    assert conformal.quantile(np.arange(21.0), np.array([*twenty, "d"])) == 19
    nine = conformal.quantile(np.arange(9.0), np.array([f"c{k}" for k in range(9)]))
    assert nine == pytest.approx(8 * (1 + 2 / 3) ** 0.5)


def test_the_interval_covers_the_next_cell_as_often_as_it_says() -> None:
    """Thirty cells of twenty rows, each cell with a shift of its own; then two thousand others."""
    random = np.random.default_rng(1)

    def cells(count: int) -> tuple[np.ndarray, np.ndarray]:
        errors = random.normal(size=(count, 1)) + 0.5 * random.normal(size=(count, 20))
        return np.abs(errors).ravel(), np.repeat([f"c{k}" for k in range(count)], 20)

    shares = []
    for _ in range(60):
        half = conformal.quantile(*cells(30))
        shares.append((cells(200)[0] <= half).mean())
    assert 0.88 <= np.mean(shares) <= 0.94


def test_two_units_give_a_wide_interval_and_one_gives_none() -> None:
    errors = [np.array([0.02, 0.02]), np.array([-0.02, -0.02])]
    assert conformal.between_units(errors) == pytest.approx(6.314 * 0.02 * 1.5**0.5)
    with pytest.raises(ValueError, match="one unit"):
        conformal.between_units(errors[:1])


def test_folds_leave_out_whole_units_and_every_unit_once() -> None:
    units = np.repeat(np.array([f"c{k}" for k in range(7)]), 3)
    out = np.array(list(conformal.folds(units, 3)))
    assert (out.sum(axis=0) == 1).all()
    for one in out:
        assert not set(units[one]) & set(units[~one])


# Following a capacity


def test_smoothing_follows_a_fading_pack_closer_than_its_sessions() -> None:
    random = np.random.default_rng(2)
    weeks = np.tile(np.arange(0.0, 200.0, 2.0), (50, 1))
    true = 100 - 0.1 * weeks
    seen = true + random.normal(scale=3.0, size=true.shape)
    value, variance = kalman.smooth(weeks, seen, np.full_like(seen, 3.0), (-0.001, 0.001))
    late = slice(50, None)
    errors = (value - true)[:, late]
    assert np.sqrt((errors**2).mean()) < 1.2
    lower, upper = kalman.interval(value, variance)
    assert ((true >= lower) & (true <= upper))[:, late].mean() > 0.9


def test_a_pack_without_a_session_ages_and_one_wild_session_moves_little() -> None:
    weeks = np.tile(np.arange(20.0), (2, 1))
    seen = np.full((2, 20), 100.0)
    seen[0, 15:] = np.nan
    seen[1, 15] = 50.0
    value, variance = kalman.smooth(weeks, seen, np.full_like(seen, 1.0), (0.0, 0.001))
    assert (np.diff(variance[0, 14:]) > 0).all()
    assert value[1, 15] > 97
    seen[0] = np.nan
    value, _ = kalman.smooth(weeks, seen, np.full_like(seen, 1.0), (0.0, 0.001))
    assert np.isnan(value[0]).all()
    assert value[1, 10] == pytest.approx(100)
    plain = kalman.Belief(np.array([[100.0]]), np.array([[[1.0]]]))
    halved = kalman.update(plain, np.array([1.0]), np.array([102.0]), np.array([1.0]))
    assert halved.mean[0, 0] == pytest.approx(101)
    assert halved.covariance[0, 0, 0] == pytest.approx(0.5)


def test_the_published_interval_is_never_narrower_than_the_floor() -> None:
    lower, upper = kalman.interval(np.array(100.0), np.array(0.0))
    assert float(upper - lower) == pytest.approx(2 * 1.645 * 0.8)


# Matching


def stored(capacities: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curves whose step lies at a third of the capacity, read from full backwards."""
    curves = []
    for capacity in capacities:
        charge = np.arange(0.0, capacity + 0.01, 0.25)
        volts = 3.3 + 0.03 * np.tanh((charge - capacity / 3) / 2) + 0.0005 * charge
        curves.append(library.resample(charge, volts, from_end=True))
    lengths = np.array([len(curve) for curve in curves])
    padded = np.full((len(curves), lengths.max()), 9.0)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    return padded, lengths, np.array(capacities)


def test_a_charge_to_full_finds_the_capacity_it_came_from_whatever_the_offset() -> None:
    references = stored([70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 100.0])
    piece = references[0][2][:130] + 0.004
    found = library.match(piece, *references, to_full=True)
    assert found is not None
    assert not found.misfits
    assert found.capacity_ah == pytest.approx(80, abs=0.5)


def test_a_piece_like_nothing_stored_misfits_and_one_too_long_fits_nowhere() -> None:
    references = stored([80.0, 90.0, 100.0])
    strange = 3.3 + 0.05 * np.sin(np.arange(120) / 5)
    found = library.match(strange, *references, to_full=False)
    assert found is not None
    assert found.misfits
    assert library.match(np.full(500, 3.3), *references, to_full=False) is None


def test_a_piece_without_a_feature_tells_no_more_than_the_references_do() -> None:
    references = stored([70.0, 80.0, 90.0, 100.0])
    found = library.match(references[0][3][4:24], *references, to_full=False)
    assert found is not None
    assert found.sigma_ah > 5


# Rest, steps, depth


def test_a_battery_that_sinks_is_told_from_one_that_does_not() -> None:
    random = np.random.default_rng(3)
    days = np.arange(0.0, 90.0, 1 / 24)
    noise = random.normal(scale=0.003, size=len(days))
    relaxing = 0.05 * np.exp(-days / 4)
    still = standby.drift(days, 13.3 + relaxing + noise)
    sinking = standby.drift(days, 13.3 - 0.002 * days + relaxing + noise)
    assert still is not None
    assert sinking is not None
    assert still.lower <= 0 <= still.upper
    assert sinking.lower <= -2 <= sinking.upper
    assert standby.drift(days[days < 55], sinking.mv_per_day * days[days < 55]) is None


def test_resistance_is_read_off_steps_and_not_off_noise_or_gaps() -> None:
    random = np.random.default_rng(4)
    t_s = np.arange(0.0, 400.0, 2.0)
    amperes = np.where((t_s // 40) % 2 == 0, 0.0, -50.0)
    volts = 52 + 0.02 * amperes + random.normal(scale=0.005, size=len(t_s))
    found = resistance.resistance(t_s, volts, amperes, 100.0)
    assert found is not None
    assert found.steps == 9
    assert found.lower <= 20 <= found.upper
    assert resistance.resistance(t_s * 10, volts, amperes, 100.0) is None
    worse = resistance.resistance(t_s, 52 + 1.5 * (volts - 52), amperes, 100.0)
    assert worse is not None
    assert resistance.orders_test(worse, found)
    assert not resistance.orders_test(found, found)


def test_a_shallow_check_discharge_bounds_and_a_whole_one_decides() -> None:
    shallow = depth.bounds(82.0, 0.35, 35.0, 100.0)
    assert not depth.decides(shallow, 80.0)
    assert depth.decides(depth.bounds(82.0, 1.0, 82.0, 100.0), 80.0)
    assert depth.bounds(30.0, 0.35, 35.0, 100.0).lower == 35.0
    halves = [depth.sigma_points(share) for share in (0.2, 0.3, 0.5, 0.7, 1.0)]
    assert halves == sorted(halves, reverse=True)
    with pytest.raises(ValueError, match="part of the rated capacity"):
        depth.sigma_points(0.0)
