"""Following the capacity of packs from measurement to measurement (health.md 3.3).

What is known of a pack is a mean and a covariance of four numbers: its capacity, how fast that
changes, and two errors that its sessions have in common and that averaging does not take away:
that of the current sensor and its conditions, and that of the count of charge a battery keeps
itself. Each is in units of its own sigma, so that a session says by how much it reaches: a pack
that was tested at commissioning shows what its sensor is off by, and later sessions are relative
to that test; one that never was stays as uncertain as its errors are.

A ternary cell's own count errs alike from session to session and is learned. One that counts on
the flat part of an LFP curve divides by the capacity it believes in, and hands that belief back:
such sessions are used where less is known than they tell, and never add up.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from math import sqrt
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.health.estimators import kalman
from leasing.health.estimators.kalman import Belief
from leasing.health.estimators.model import Array
from leasing.health.model import VOLTAGE_KINDS, Estimate
from leasing.health.rules import ANCHORED
from leasing.health.states import CHEMISTRIES

Flags = NDArray[np.bool_]

WEEK_S = 7 * 86_400
FADE_PER_WEEK = (-0.0005, 0.0005)
"""Mean and sigma, as a share: storage systems lost 2 to 3 % a year over eight years (Figgener et
al. 2024), and one pack may lose twice that or nothing."""
COUNT_WANDERS = 0.05
"""Of its sigma in a root week: what a battery's count is off by changes when it learns anew."""
DOUBT_SIGMAS = 2.0
"""A test, or a whole charge or discharge, that is further off than this makes the belief doubtful:
of 20 that agree one is, which costs a wider interval and nothing else. Cells that age faster than
any stored battery (health.md 2, lfp102) are otherwise followed too late."""
COUNTED_POINTS = 5.0
"""A count that is off by so much is a belief, and is not learned."""


class Source(StrEnum):
    """What a measurement is, in the order in which those of one instant are taken."""

    JOINT_TEST = "joint_test"
    OTHER_TEST = "other_test"
    STANDARD_TEST = "standard_test"
    COUNT = "count"
    WINDOW = "window"
    WHOLE = "whole"


RANK = {source: place for place, source in enumerate(Source)}
TEST_PERCENT = {
    Source.JOINT_TEST: 3.0,
    Source.OTHER_TEST: 3.0,
    Source.STANDARD_TEST: 1.0,
}
"""One sigma. Repeated tests of one cell differ by 0.5 to 2 % (health.md 0); a joint test says
neither rate nor temperature."""


class Measurement(msgspec.Struct, frozen=True):
    """One capacity of a pack. `ref` is the id of a test, or when a session began. The errors are
    one sigma in percent: its own, those in common with other sessions, and that of the count."""

    at: datetime
    source: Source
    ref: str
    capacity_mah: float
    own_percent: float
    sensor_percent: float = 0.0
    count_percent: float = 0.0

    @property
    def order(self) -> tuple[datetime, int, str]:
        return self.at, RANK[self.source], self.ref

    @property
    def percent(self) -> float:
        return sqrt(self.own_percent**2 + self.sensor_percent**2 + self.count_percent**2)


class Known(msgspec.Struct, frozen=True):
    """What is known of a pack at an instant: four means and their covariance, row by row."""

    at: datetime
    mean: list[float]
    covariance: list[float]

    @property
    def capacity_mah(self) -> float:
        return self.mean[0]

    @property
    def interval_mah(self) -> tuple[float, float]:
        lower, upper = kalman.interval(np.array(self.mean[0]), np.array(self.covariance[0]))
        return float(lower), float(upper)


class Step(msgspec.Struct, frozen=True):
    """What one measurement changed. `factor` is what its variance was multiplied by; null when it
    was not used, for it says less than is known. `doubted` is what was added to the sigma of the
    belief, in mAh, because a better source contradicted it."""

    measurement: Measurement
    prior_mah: float | None
    prior_sigma_mah: float | None
    innovation_mah: float | None
    innovation_sigma_mah: float | None
    factor: float | None
    doubted_mah: float
    known: Known


class Track(msgspec.Struct, frozen=True):
    """A pack: what is known of it, and what was measured since, in order."""

    known: Known | None
    measurements: Sequence[Measurement]


def measured(estimate: Estimate, chemistry: str) -> Measurement:
    """An estimate from one session, with its errors by what they have in common."""
    evidence: dict[str, Any] = estimate.evidence
    terms = evidence["error_percent"]
    own = [terms["sampling"]]
    count: list[float] = []
    for end in ("start", "end"):
        is_seen = evidence[end]["known_by"] in VOLTAGE_KINDS
        (own if is_seen else count).append(terms[f"{end}_state"])
    if estimate.method == ANCHORED:
        source = Source.WHOLE
    elif CHEMISTRIES[chemistry].soc_points >= COUNTED_POINTS:
        source = Source.COUNT
    else:
        source = Source.WINDOW
    shared = [terms[name] for name in ("gain", "offset", "temperature", "rate")]
    return Measurement(
        at=estimate.measured_at,
        source=source,
        ref=evidence["session"]["started_at"],
        capacity_mah=float(estimate.capacity_mah),
        own_percent=quadrature(own),
        sensor_percent=quadrature(shared),
        count_percent=quadrature(count),
    )


def quadrature(terms: Sequence[float]) -> float:
    return sqrt(sum(term**2 for term in terms))


def follow(tracks: Sequence[Track]) -> list[list[Step]]:
    """Every measurement of every pack, one after the other; all packs at once."""
    found: list[list[Step]] = [[] for _ in tracks]
    known = [track.known for track in tracks]
    for turn in range(max((len(track.measurements) for track in tracks), default=0)):
        places = [n for n, track in enumerate(tracks) if turn < len(track.measurements)]
        taken = [tracks[n].measurements[turn] for n in places]
        steps = correct([known[n] for n in places], taken)
        for n, step in zip(places, steps, strict=True):
            found[n].append(step)
            known[n] = step.known
    return found


def correct(known: Sequence[Known | None], taken: Sequence[Measurement]) -> list[Step]:
    """One measurement of each of several packs."""
    value = np.array([one.capacity_mah for one in taken])
    own = np.array([one.own_percent for one in taken]) / 100
    sensor = np.array([one.sensor_percent for one in taken]) / 100
    count = np.array([one.count_percent for one in taken]) / 100
    is_count = np.array([one.source is Source.COUNT for one in taken])
    is_window = np.array([one.source is Source.WINDOW for one in taken])
    is_standard = np.array([one.source is Source.STANDARD_TEST for one in taken])

    belief = aged(known, taken)
    prior = np.sqrt(belief.covariance[:, 0, 0])
    size = belief.mean[:, 0]
    is_first = np.array([one is None for one in known])
    seen_by = np.stack([np.ones_like(size), 0 * size, size * sensor, size * count], axis=1)
    innovation = value - size - (seen_by[:, 2:] * belief.mean[:, 2:]).sum(axis=1)
    gate = np.array([gate_of(one.source) for one in taken])
    is_far = far(belief, seen_by, innovation, (own * size) ** 2, gate) & ~is_first
    # Of what a battery counts itself on a flat curve, and of what is not believed, nothing is
    # learned: all its error is its own.
    alone = is_count | (is_window & is_far)
    seen_by[alone, 2:] = 0.0
    own = np.where(alone, np.sqrt(own**2 + sensor**2 + count**2), own)
    variance = (own * size) ** 2
    is_used = ~is_count | is_first | (prior**2 > variance)

    # A test, or a whole charge or discharge, is measured from end to end: if it contradicts what
    # was believed, the belief is likelier to be wrong. A standard test asks nobody.
    doubted = np.where(is_far & ~is_count & ~is_window, np.abs(innovation), 0.0)
    doubted = np.where(is_standard & ~is_first, size, doubted)
    belief.covariance[:, 0, 0] += doubted**2
    step = kalman.step(belief, seen_by, np.where(is_used, value, np.nan), variance)
    after = step.belief.covariance
    # Counts that agree err alike.
    after[:, 0, 0] = np.where(
        is_count & is_used,
        np.maximum(after[:, 0, 0], np.minimum(prior**2, variance)),
        after[:, 0, 0],
    )
    sigma = np.sqrt(step.uncertain - doubted**2 + variance)
    return [
        Step(
            one,
            None if is_first[n] else float(step.expected[n]),
            None if is_first[n] else float(prior[n]),
            None if is_first[n] else float(value[n] - step.expected[n]),
            None if is_first[n] else float(sigma[n]),
            float(step.factor[n]) if is_used[n] else None,
            float(doubted[n]),
            Known(one.at, step.belief.mean[n].tolist(), after[n].ravel().tolist()),
        )
        for n, one in enumerate(taken)
    ]


def aged(known: Sequence[Known | None], taken: Sequence[Measurement]) -> Belief:
    """What is known when a measurement comes; of a pack of which nothing is, what is taken for
    granted: that it holds what is measured, to within all of it, and fades as others do."""
    packs = len(taken)
    mean, covariance = np.zeros((packs, 4)), np.zeros((packs, 4, 4))
    weeks = np.zeros(packs)
    for n, (one, measurement) in enumerate(zip(known, taken, strict=True)):
        if one is None:
            size = measurement.capacity_mah
            mean[n, :2] = size, FADE_PER_WEEK[0] * size
            covariance[n] = np.diag([size**2, (FADE_PER_WEEK[1] * size) ** 2, 1.0, 1.0])
        else:
            mean[n], covariance[n] = one.mean, np.reshape(one.covariance, (4, 4))
            weeks[n] = (measurement.at - one.at).total_seconds() / WEEK_S
    transition = np.broadcast_to(np.eye(4), (packs, 4, 4)).copy()
    transition[:, 0, 1] = weeks
    noise = np.zeros((packs, 4, 4))
    noise[:, 0, 0] = (kalman.NOISE_PER_ROOT_WEEK * mean[:, 0]) ** 2 * weeks
    noise[:, 3, 3] = COUNT_WANDERS**2 * weeks
    return kalman.predict(Belief(mean, covariance), transition, noise)


def gate_of(source: Source) -> float:
    """How many sigmas a measurement may be off before that means something."""
    return kalman.GATE if source in (Source.WINDOW, Source.COUNT) else DOUBT_SIGMAS


def far(belief: Belief, seen_by: Array, innovation: Array, variance: Array, gate: Array) -> Flags:
    """Whether measurements are further off than their gates."""
    reach = np.einsum("nij,nj->ni", belief.covariance, seen_by)
    sigma = np.sqrt((seen_by * reach).sum(axis=1) + variance)
    found: Flags = np.abs(innovation) > gate * sigma
    return found
