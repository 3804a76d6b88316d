"""Following a capacity: what averaging takes away and what it does not, and who is believed."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from leasing.health.smoothing import Known, Measurement, Source, Step, Track, follow

START = datetime(2026, 1, 1, tzinfo=UTC)


def one(
    day: float, source: Source, capacity: float, own: float, sensor: float = 0, count: float = 0
) -> Measurement:
    """A capacity in Ah on a day."""
    at = START + timedelta(days=day)
    return Measurement(at, source, at.isoformat(), capacity * 1000, own, sensor, count)


def after(*measurements: Measurement, known: Known | None = None) -> list[Step]:
    (steps,) = follow([Track(known, measurements)])
    return steps


def half_ah(step: Step) -> float:
    lower, upper = step.known.interval_mah
    return (upper - lower) / 2000


def test_the_first_measurement_is_what_is_known():
    (step,) = after(one(0, Source.JOINT_TEST, 95, 3))
    assert step.known.capacity_mah == pytest.approx(95_000)
    # 3 % of the test and a floor of 0.8 %.
    assert half_ah(step) == pytest.approx(1.645 * 95 * (0.03**2 + 0.008**2) ** 0.5, rel=0.001)
    assert (step.prior_mah, step.innovation_mah) == (None, None)


def test_errors_of_their_own_average_out_and_those_in_common_do_not():
    alone = after(*(one(day, Source.WINDOW, 90, 4) for day in range(60)))
    common = after(*(one(day, Source.WINDOW, 90, 0, 0, 4) for day in range(60)))
    assert half_ah(alone[-1]) < 0.45 * half_ah(alone[0])
    assert half_ah(common[-1]) > 0.9 * half_ah(common[0])


def test_counts_on_a_flat_curve_never_add_up():
    steps = after(*(one(7 * week, Source.COUNT, 90, 1, 1.5, 20) for week in range(300)))
    assert sum(step.factor is not None for step in steps) > 10
    assert half_ah(steps[-1]) > 0.98 * half_ah(steps[0])


def test_counts_do_not_draw_a_tested_pack_to_what_its_battery_believes():
    counts = [one(7 * week, Source.COUNT, 80, 1, 1.5, 20) for week in range(1, 30)]
    steps = after(one(0, Source.STANDARD_TEST, 95, 1), *counts)
    assert all(step.factor is None for step in steps[1:])
    assert steps[-1].known.capacity_mah > 93_000
    assert half_ah(steps[-1]) > half_ah(steps[0])


def test_after_a_test_sessions_are_relative_to_it():
    """A sensor that reads 4 % too much, of a pack that loses 3 Ah in a year."""
    sessions = [
        one(7 * week, Source.WINDOW, 1.04 * (100 - 3 * week / 52), 1, 3, 3) for week in range(52)
    ]
    tested = after(one(-1, Source.STANDARD_TEST, 100, 1), *sessions)
    untested = after(*sessions)
    assert tested[-1].known.capacity_mah == pytest.approx(97_000, abs=1_000)
    assert untested[-1].known.capacity_mah > 99_500
    assert half_ah(tested[-1]) < 0.6 * half_ah(untested[-1])


def test_a_session_far_off_is_believed_less():
    steady = [one(day, Source.WINDOW, 90, 1) for day in range(20)]
    (*_, last) = after(*steady, one(20, Source.WINDOW, 60, 1))
    assert last.factor > 10
    assert last.known.capacity_mah > 88_500
    (*_, near) = after(*steady, one(20, Source.WINDOW, 91, 1))
    assert near.factor == 1


def test_a_whole_discharge_that_contradicts_is_believed_more_than_what_was_known():
    (_, step) = after(one(0, Source.JOINT_TEST, 95, 3), one(10, Source.WHOLE, 70, 2, 1.5))
    assert step.doubted_mah == pytest.approx(25_000, rel=0.01)
    assert step.known.capacity_mah == pytest.approx(70_000, abs=500)
    lower, upper = step.known.interval_mah
    assert lower < 70_000 < upper < 80_000


def test_a_standard_test_stands_above_all_before_it():
    sessions = [one(day, Source.WHOLE, 92, 1, 1) for day in range(10)]
    (*_, step) = after(*sessions, one(11, Source.STANDARD_TEST, 90, 1))
    assert step.known.capacity_mah == pytest.approx(90_000, abs=50)
    assert half_ah(step) == pytest.approx(1.645 * 90 * (0.01**2 + 0.008**2) ** 0.5, rel=0.02)


def test_going_on_from_a_state_is_the_same_as_following_from_the_beginning():
    draw = Random(7)
    source = [Source.WINDOW, Source.WHOLE, Source.COUNT, Source.JOINT_TEST]
    taken = [
        one(day, draw.choice(source), draw.gauss(90, 3), 2, 1, 2 * draw.random())
        for day in range(40)
    ]
    whole = after(*taken)
    assert after(*taken[17:], known=whole[16].known) == whole[17:]


def test_packs_beside_each_other_do_not_touch():
    first = [one(day, Source.WINDOW, 90, 2, 1, 1) for day in range(9)]
    second = [one(day * 2, Source.COUNT, 50, 2, 1, 9) for day in range(4)]
    both = follow([Track(None, first), Track(None, []), Track(None, second)])
    for steps, alone in zip(both, (after(*first), [], after(*second)), strict=True):
        found = [step.known.interval_mah for step in steps]
        assert len(found) == len(alone)
        for ours, theirs in zip(found, alone, strict=True):
            assert ours == pytest.approx(theirs.known.interval_mah)


def test_nine_in_ten_intervals_hold_the_capacity():
    """Packs with errors drawn as they are said to be."""
    draw = Random(3)
    held, packs = 0, 300
    tracks, truths = [], []
    for _ in range(packs):
        start, fade = draw.gauss(100, 5), draw.gauss(0.0005, 0.0005)
        sensor, count = draw.gauss(0, 2), draw.gauss(0, 3)
        truth = [start * (1 - fade * week) for week in range(40)]
        tracks.append(
            Track(
                None,
                [one(0, Source.JOINT_TEST, start * (1 + draw.gauss(0, 3) / 100), 3)]
                + [
                    one(
                        7 * week,
                        Source.WINDOW,
                        truth[week] * (1 + (sensor + count + draw.gauss(0, 1)) / 100),
                        1,
                        2,
                        3,
                    )
                    for week in range(1, 40)
                ],
            )
        )
        truths.append(truth[-1] * 1000)
    for steps, true in zip(follow(tracks), truths, strict=True):
        lower, upper = steps[-1].known.interval_mah
        held += lower <= true <= upper
    assert 0.86 * packs <= held <= 0.99 * packs
