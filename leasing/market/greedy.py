"""What is done without a plan: need after need, or the highest value a pack first.

For comparison, and to fall back on when a plan takes too long.
"""

import numpy as np

from leasing.market.model import Ints, Market, Plan
from leasing.market.windows import Columns, Pricer


class Stock:
    """What is left in the bins while windows draw from them: the lower bin first."""

    def __init__(self, market: Market, upper: Ints) -> None:
        self.left: list[int] = market.bins.packs.tolist()
        self.upper: list[int] = upper.tolist()

    def holds(self, window: int) -> int:
        over = self.upper[window]
        return self.left[window] + (self.left[over] if over != window else 0)

    def take(self, window: int, packs: int) -> bool:
        """Take them if they are there."""
        if self.holds(window) < packs:
            return False
        low = min(packs, self.left[window])
        self.left[window] -= low
        self.left[self.upper[window]] -= packs - low
        return True


def first_come(market: Market, many: int = 256) -> Plan:
    """Need after need, each from the best of its `many` windows that still holds enough."""
    pricer = Pricer(market)
    columns = pricer.best(np.zeros(len(market.bins.packs), dtype=np.int64), many)
    order = np.lexsort((columns.window, -columns.value, columns.need))
    return taken(market, pricer.upper, columns.some(order))


def highest_value_a_pack(market: Market, many: int = 256) -> Plan:
    """The pair that brings most a pack first."""
    pricer = Pricer(market)
    columns = pricer.best(np.zeros(len(market.bins.packs), dtype=np.int64), many)
    each = columns.value / columns.packs
    order = np.lexsort((columns.window, columns.need, -each))
    return taken(market, pricer.upper, columns.some(order))


def taken(market: Market, upper: Ints, columns: Columns) -> Plan:
    """The columns in their order, each if its need is not served and its packs are there."""
    stock = Stock(market, upper)
    served: set[int] = set()
    chosen: list[tuple[int, int, int]] = []
    for d, w, k in zip(
        columns.need.tolist(), columns.window.tolist(), columns.packs.tolist(), strict=True
    ):
        if d not in served and stock.take(w, k):
            served.add(d)
            chosen.append((d, w, k))
    return planned(chosen)


def planned(chosen: list[tuple[int, int, int]]) -> Plan:
    rows = np.array(sorted(chosen), dtype=np.int64).reshape(-1, 3)
    return Plan(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())
