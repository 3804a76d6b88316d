"""Every pair of a need and a window: how many packs it takes, and what it is worth."""

from dataclasses import dataclass

import numpy as np

from leasing.market.model import IMPOSSIBLE, LEAST_SOH, STEP, Floats, Ints, Market

EARTH_RADIUS_KM = 6371.0088

AT_ONCE = 1_000_000
"""Pairs held in memory in one go."""


@dataclass(frozen=True)
class Columns:
    """Pairs that may be: `need` takes `packs` of `window`, for `value` fen."""

    need: Ints
    window: Ints
    packs: Ints
    value: Ints

    def __len__(self) -> int:
        return len(self.need)

    def some(self, keep: np.ndarray) -> "Columns":
        return Columns(self.need[keep], self.window[keep], self.packs[keep], self.value[keep])


def vectors(longitude: Ints, latitude: Ints) -> Floats:
    east, north = np.radians(longitude / 1e5), np.radians(latitude / 1e5)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], 1)


class Pricer:
    """Values of pairs, row by row; a row is a need, a column a window, named by its lower bin."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.upper = market.upper
        counted, alone = market.bins.packs, self.upper == np.arange(len(self.upper))
        self.held = counted + np.where(alone, 0, counted[self.upper])
        self.places = vectors(market.longitude, market.latitude)
        self.sites = vectors(market.needs.longitude, market.needs.latitude)
        self.step = max(1, AT_ONCE // max(1, len(market.bins.packs)))

    def rows(self, needs: Ints) -> tuple[Ints, Ints]:
        """`packs` and `value` of these needs (rows) from every window (columns)."""
        m = self.market
        n, bins, models = m.needs, m.bins, m.models
        model = bins.model
        soh = (bins.grade * STEP)[None, :] - self.faded(needs)[:, model]
        share = models.cold_share[model].T[n.band[needs]]
        usable = models.energy_wh[model] * soh * share // 1000
        off = np.abs(models.voltage_mv[None, :] - n.voltage_mv[needs, None])
        fits = 100 * off <= m.voltage_tolerance_percent * n.voltage_mv[needs, None]
        may = fits[:, model] & (soh >= LEAST_SOH) & (usable > 0)
        may &= bins.free_day <= n.start_day[needs, None]
        packs = -(-1000 * n.energy_wh[needs, None] // np.where(may, usable, 1))
        may &= packs <= np.minimum(n.slots[needs, None], self.held)
        cost = self.carried(needs) + bins.residual
        value = (n.rent[needs, None] - packs * cost) * n.weight[needs, None] // 100
        return packs, np.where(may, value, IMPOSSIBLE)

    def faded(self, needs: Ints) -> Ints:
        """Thousandths lost within the term, rounded up, by model."""
        n = self.market.needs
        lost = n.months[needs] * n.heat_percent[needs]
        return -(-lost[:, None] * self.market.models.fade // 1200)

    def carried(self, needs: Ints) -> Ints:
        """Fen a pack, by window; distances are rounded to 100 m."""
        m = self.market
        chord = np.sqrt(np.maximum(0.0, 2 - 2 * np.clip(self.sites[needs] @ self.places.T, -1, 1)))
        hundreds = np.round(20 * EARTH_RADIUS_KM * np.arcsin(chord / 2)).astype(np.int64)
        heavy = m.models.mass_kg[m.bins.model] * m.freight * m.circuity_percent
        return (hundreds[:, m.bins.place] * heavy + 5_000_000) // 10_000_000

    def best(
        self, prices: Ints, many: int, above: Ints | None = None, rows: Ints | None = None
    ) -> Columns:
        """For each need the `many` columns of highest net value, value − packs · price of the
        window, that is above 0, or above what `above` says of the need."""
        cheapest = np.minimum(prices, prices[self.upper])
        found: list[Columns] = []
        asked = np.arange(len(self.market.needs.rent)) if rows is None else rows
        for first in range(0, len(asked), self.step):
            needs = asked[first : first + self.step]
            packs, value = self.rows(needs)
            net = np.where(value > IMPOSSIBLE, value - packs * cheapest, IMPOSSIBLE)
            least = np.zeros(len(needs), dtype=np.int64) if above is None else above[needs]
            most = min(many, net.shape[1])
            if most == 0:
                continue
            top = np.argpartition(-net, most - 1, axis=1)[:, :most]
            row = np.repeat(np.arange(len(needs)), most)
            column = top.ravel()
            keep = net[row, column] > least[row]
            row, column = row[keep], column[keep]
            found.append(Columns(needs[row], column, packs[row, column], value[row, column]))
        return joined(found)


def joined(parts: list[Columns]) -> Columns:
    """All of them once, by need and window."""
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Columns(nothing, nothing, nothing, nothing)
    need = np.concatenate([one.need for one in parts])
    window = np.concatenate([one.window for one in parts])
    packs = np.concatenate([one.packs for one in parts])
    value = np.concatenate([one.value for one in parts])
    key = need * (2**32) + window
    _, first = np.unique(key, return_index=True)
    return Columns(need[first], window[first], packs[first], value[first])
