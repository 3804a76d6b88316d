"""Matching a piece of a charge with stored charges of the same cell type.

On the plateau of an LFP cell the voltage says little, its shape as charge goes in says more: where
the stages of the graphite follow each other. A piece is slid over reference curves of known
capacity; those it fits vote for theirs. It holds for the current and the temperature of the
references and for no other (health.md 3.4), so whoever calls compares these first.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEP_AH = 0.5
"""Pieces and references are compared at points of charge this far apart."""
SIGMA_V = 0.003
"""One sigma of a reading against the right reference."""
OFFSET_V = 0.010
"""One sigma of a voltage offset of the whole piece: sensor, contact, resistance."""
EFFECTIVE = 6.0
"""Neighbouring points err together: so many count as one."""
MISFIT = -4.0
"""A best score below this fits nothing that is stored."""


class Match(NamedTuple):
    """What the references say of a piece: capacity in Ah, its sigma, the best score."""

    capacity_ah: float
    sigma_ah: float
    score: float

    @property
    def misfits(self) -> bool:
        return self.score < MISFIT


def resample(charge_ah: Array, voltage_v: Array, *, from_end: bool) -> Array:
    """Voltages at every `STEP_AH` of charge, counted from the first reading or, backwards, from the
    last. Charge must not fall.

    >>> resample(np.array([0.0, 1.0]), np.array([3.0, 3.2]), from_end=True)
    array([3.2, 3.1, 3. ])
    """
    moved = charge_ah[-1] - charge_ah[0]
    at = np.arange(0.0, moved + 1e-9, STEP_AH)
    x = charge_ah - charge_ah[0]
    return np.interp(moved - at if from_end else at, x, voltage_v)


def score(residuals_v: Array) -> Array:
    """Log-likelihoods of residuals (…, points), the offset taken out at its best value.

    L = -n_eff/2·rms²/σ² - ½(δV/30 mV)², after health.md 3.4.
    """
    points = residuals_v.shape[-1]
    effective = points / EFFECTIVE
    mean = residuals_v.mean(axis=-1)
    spread = (residuals_v**2).mean(axis=-1) - mean**2
    shrunk = mean * effective / (effective + (SIGMA_V / OFFSET_V) ** 2)
    left = spread + (mean - shrunk) ** 2
    best: Array = -0.5 * effective * left / SIGMA_V**2 - 0.5 * (shrunk / OFFSET_V) ** 2
    return best


def match(
    piece_v: Array,
    references_v: Array,
    lengths: NDArray[np.intp],
    capacities_ah: Array,
    *,
    to_full: bool,
) -> Match | None:
    """The capacity of the cell a piece was taken from; None where the piece fits in nowhere.

    `piece_v` (points) and `references_v` (curves, points) are voltages every `STEP_AH`. A piece
    that ended full is read from its end and so are the references; any other is slid along.
    `lengths` is how many points of each reference are real.
    """
    points = len(piece_v)
    if points < 2 or points > references_v.shape[1]:
        return None
    if to_full:
        fits = np.flatnonzero(lengths >= points)
        if not len(fits):
            return None
        scores = score(references_v[fits, :points] - piece_v)
        return _posterior(scores, capacities_ah[fits])
    windows = np.lib.stride_tricks.sliding_window_view(references_v, points, axis=1)
    scores = score(windows - piece_v)
    inside = np.arange(windows.shape[1])[None, :] + points <= lengths[:, None]
    if not inside.any():
        return None
    scores = np.where(inside, scores, -np.inf)
    return _posterior(scores.ravel(), np.broadcast_to(capacities_ah[:, None], scores.shape).ravel())


def _posterior(scores: Array, capacities_ah: Array) -> Match:
    best = float(scores.max())
    weights = np.exp(scores - best)
    weights /= weights.sum()
    mean = float(weights @ capacities_ah)
    sigma = float(np.sqrt(weights @ (capacities_ah - mean) ** 2))
    return Match(mean, sigma, best)
