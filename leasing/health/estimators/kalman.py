"""Following a capacity over time (health.md 3.3).

One session errs by a per cent or by ten. What is known of a pack from all its sessions is a
state, a mean and a covariance, that every session corrects by as much as it is worth (Kalman
1960). Arrays carry packs first, so that a fleet is one call.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COVER = 1.645
GATE = 3.0
"""A session further off than this many sigmas is believed less, the further the less."""
NOISE_PER_ROOT_WEEK = 0.001
"""What a capacity wanders by itself, as a share of it."""
FLOOR = 0.008
"""No published interval is narrower: what repeated tests of one pack differ by, as a share."""


class Belief(NamedTuple):
    """Means (packs, states) and covariances (packs, states, states)."""

    mean: Array
    covariance: Array


def predict(belief: Belief, transition: Array, noise: Array) -> Belief:
    """The belief after time has passed: x = F x, P = F P Fᵀ + Q. `transition` and `noise` are
    (states, states), or carry packs first."""
    mean = np.einsum("...ij,...j->...i", transition, belief.mean)
    spread = transition @ belief.covariance @ np.swapaxes(transition, -1, -2)
    return Belief(mean, spread + noise)


class Step(NamedTuple):
    """One correction of every pack: what was expected and how uncertain that was, by how much the
    measurement differed, and by what its variance was multiplied (1: it was believed)."""

    belief: Belief
    expected: Array
    uncertain: Array
    innovation: Array
    factor: Array


def step(belief: Belief, seen_by: Array, value: Array, variance: Array) -> Step:
    """The belief after one measurement a pack: value (packs) = seen_by·state + noise.

    `seen_by` is (states) or (packs, states). A measurement that is not finite changes nothing. If
    the innovation ν passes 3√S its variance is taken as 4(ν/3√S)² times what was said.
    """
    mean, covariance = belief
    reach = np.einsum("...ij,...j->...i", covariance, np.broadcast_to(seen_by, mean.shape))
    expected = (seen_by * mean).sum(axis=-1)
    uncertain = (seen_by * reach).sum(axis=-1)
    known = np.isfinite(value) & np.isfinite(variance)
    innovation = np.where(known, value - expected, 0.0)
    variance = np.where(known, variance, 1.0)
    off = np.abs(innovation) / (GATE * np.sqrt(uncertain + variance))
    factor = np.where(off > 1, 4 * off**2, 1.0)
    gain = reach / (uncertain + variance * factor)[..., None]
    gain = np.where(known[..., None], gain, 0.0)
    corrected = Belief(
        mean + gain * innovation[..., None],
        covariance - gain[..., :, None] * reach[..., None, :],
    )
    return Step(corrected, expected, uncertain, innovation, factor)


def update(belief: Belief, seen_by: Array, value: Array, variance: Array) -> Belief:
    """The belief alone after a `step`."""
    return step(belief, seen_by, value, variance).belief


def interval(capacity: Array, variance: Array) -> tuple[Array, Array]:
    """The 90 % interval that is published: never narrower than the floor.

    >>> [round(float(v), 2) for v in interval(np.array(100.0), np.array(1.0))]
    [97.89, 102.11]
    """
    half = COVER * np.sqrt(variance + (FLOOR * capacity) ** 2)
    return capacity - half, capacity + half


def smooth(
    weeks: Array, capacity_ah: Array, sigma_ah: Array, fade_per_week: tuple[float, float]
) -> tuple[Array, Array]:
    """Capacity and its variance after every session, (packs, sessions) each.

    The state is the capacity and its rate of change. `weeks` are the sessions' times, rising;
    `fade_per_week` is mean and sigma of the rate as a share of the capacity, before anything was
    seen. Where a pack has no session its value is nan and its state only ages; a pack without any
    session stays nan.
    """
    packs, sessions = capacity_ah.shape
    first = np.argmax(np.isfinite(capacity_ah), axis=1)
    start = capacity_ah[np.arange(packs), first]
    mean = np.stack([start, fade_per_week[0] * start], axis=1)
    covariance = np.zeros((packs, 2, 2))
    covariance[:, 0, 0] = start**2
    covariance[:, 1, 1] = (fade_per_week[1] * start) ** 2
    belief = Belief(mean, covariance)
    found = np.empty((2, packs, sessions))
    for k in range(sessions):
        passed = weeks[:, k] - weeks[:, max(k - 1, 0)]
        transition = np.broadcast_to(np.eye(2), (packs, 2, 2)).copy()
        transition[:, 0, 1] = passed
        noise = np.zeros((packs, 2, 2))
        noise[:, 0, 0] = (NOISE_PER_ROOT_WEEK * start) ** 2 * passed
        belief = update(
            predict(belief, transition, noise),
            np.array([1.0, 0.0]),
            capacity_ah[:, k],
            sigma_ah[:, k] ** 2,
        )
        found[:, :, k] = belief.mean[:, 0], belief.covariance[:, 0, 0]
    return found[0], found[1]
