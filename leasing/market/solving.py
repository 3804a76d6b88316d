"""The relaxed problem, needs served in parts, as a linear programme with prices of the bins.

Columns are generated: the programme is solved over some pairs of a need and a window, its prices
are held against all pairs, and those that pay more than their need has are added, until none does,
or the bound of the prices is near enough to the value. Prices are learned on a sample of the needs
with as large a share of the stock first. Bins whose needs cannot meet (other voltages, say) make
problems of their own.

HiGHS may only be loaded in a process that never loads OR-Tools; callers run this in a worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from leasing.market.model import Floats, Ints, Market
from leasing.market.windows import Columns, Pricer, joined

if TYPE_CHECKING:
    from highspy import Highs, HighsLp

MOST_ROUNDS = 12
LADDER = ((64, 1e-2), (8, 2e-3), (1, 1e-4))
"""One need in so many, with as large a share of the stock, and the share of the bound that its
value may lack: the first two only teach prices to the last."""
FEWEST = 50
"""A sample of fewer needs teaches nothing."""
MANY_FIRST = 16
MANY_MORE = 10
TOO_DEAR = 0.15
"""Columns that pay less than their need has, by more than this share of their value, leave."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Relaxed:
    """`prices` of the bins in fen a pack; `share` of each column, 0 to 1; `value` in fen, and
    `bound`, which no plan is worth more than."""

    prices: Ints
    columns: Columns
    share: Floats
    value: int
    bound: int
    rounds: int
    finished: bool
    """Whether it ended by itself, and not by the clock."""


def solver(model: "HighsLp") -> "Highs":
    """HiGHS without a word on standard output, which belongs to what commands answer."""
    import highspy

    class Quiet(highspy.Highs):
        """HiGHS greets when callbacks are enabled, which its constructor does."""

        def enableCallbacks(self) -> None:  # noqa: N802
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    highs = Quiet()  # type: ignore[no-untyped-call]
    highs.passModel(model)
    return highs


def relaxed(market: Market, pricer: Pricer, until: float, clock: Clock = monotonic) -> Relaxed:
    """The relaxed problem, as far as there is time; `until` is an instant of `clock`."""
    n = len(market.needs.rent)
    prices = np.zeros(len(market.bins.packs), dtype=np.int64)
    for sample, near in LADDER[:-1]:
        if n >= FEWEST * sample:
            needs = np.arange(0, n, sample)
            prices = generated(market, pricer, needs, prices, near, until, clock).prices
    return generated(market, pricer, np.arange(n), prices, LADDER[-1][1], until, clock)


def generated(
    market: Market,
    pricer: Pricer,
    needs: Ints,
    prices: Ints,
    near: float,
    until: float,
    clock: Clock,
) -> Relaxed:
    many = len(market.needs.rent)
    stock: Floats = (market.bins.packs * (len(needs) / max(1, many))).astype(np.float64)
    columns = pricer.best(prices, MANY_FIRST, rows=needs)
    best = Relaxed(prices, columns, np.zeros(len(columns)), 0, 2**62, 0, True)
    for rounds in range(1, MOST_ROUNDS + 1):
        share, value, prices = linear(market, pricer, columns, stock)
        gains = gain(pricer, columns, prices, many)
        more = pricer.best(prices, MANY_MORE, above=gains, rows=needs)
        bound = upper(pricer, columns, more, prices, stock, many)
        lower = min(bound, best.bound)
        kept = prices if bound <= best.bound else best.prices
        done = not len(more) or lower - value <= near * lower
        late = not done and clock() > until
        best = Relaxed(kept, columns, share, value, lower, rounds, not late)
        if done or late:
            break
        worth = net(pricer, columns, prices) + TOO_DEAR * np.abs(columns.value)
        columns = joined([columns.some((share > 1e-4) | (worth >= gains[columns.need])), more])
    return best


def linear(
    market: Market, pricer: Pricer, columns: Columns, stock: Floats
) -> tuple[Floats, int, Ints]:
    """Shares of the columns, their value in fen, and prices of the bins in whole fen."""
    lp = programme(pricer, columns, stock)
    highs = solver(lp)
    highs.setOptionValue("solver", "ipm")
    highs.setOptionValue("run_crossover", "off")
    highs.setOptionValue("parallel", "off")
    highs.setOptionValue("ipm_optimality_tolerance", 1e-6)
    highs.run()
    solution = highs.getSolution()
    bins = len(market.bins.packs)
    dual = np.array(solution.row_dual)[-bins:] if bins else np.zeros(0)
    # What the solver minimises is the negative; its prices come with the other sign.
    prices = np.maximum(0, np.rint(-100 * dual)).astype(np.int64)
    share = np.clip(np.array(solution.col_value)[: len(columns)], 0, 1)
    return share, int(np.floor(share @ columns.value)), prices


def programme(pricer: Pricer, columns: Columns, stock: Floats) -> "HighsLp":
    """Rows: each need once, each window's packs drawn from its bins, each bin's packs. Values in
    CNY, so that numbers are of a size that solvers like. Draws come after the columns."""
    import highspy

    needs, need_row = np.unique(columns.need, return_inverse=True)
    windows, window_row = np.unique(columns.window, return_inverse=True)
    d, w, bins, many = len(needs), len(windows), len(stock), len(columns)
    both = pricer.upper[windows] != windows
    drawn_window = np.concatenate([np.arange(w), np.flatnonzero(both)])
    drawn_bin = np.concatenate([windows, pricer.upper[windows][both]])
    draws = len(drawn_bin)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = many + draws, d + w + bins
    lp.col_cost_ = np.concatenate([-columns.value / 100, np.zeros(draws)])
    lp.col_lower_ = np.zeros(many + draws)
    lp.col_upper_ = np.concatenate([np.ones(many), np.full(draws, highspy.kHighsInf)])
    lp.row_lower_ = np.full(d + w + bins, -highspy.kHighsInf)
    lp.row_upper_ = np.concatenate([np.ones(d), np.zeros(w), stock])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = 2 * np.arange(many + draws + 1)
    of_columns = np.stack([need_row, d + window_row], axis=1).ravel()
    of_draws = np.stack([d + drawn_window, d + w + drawn_bin], axis=1).ravel()
    lp.a_matrix_.index_ = np.concatenate([of_columns, of_draws])
    one = np.stack([np.ones(many), columns.packs.astype(np.float64)], axis=1).ravel()
    lp.a_matrix_.value_ = np.concatenate([one, np.tile([-1.0, 1.0], draws)])
    return lp


def gain(pricer: Pricer, columns: Columns, prices: Ints, needs: int) -> Ints:
    """What each need has of its best column at these prices, fen."""
    found = np.zeros(needs, dtype=np.int64)
    np.maximum.at(found, columns.need, net(pricer, columns, prices))
    return found


def net(pricer: Pricer, columns: Columns, prices: Ints) -> Ints:
    cheapest = np.minimum(prices, prices[pricer.upper])
    left: Ints = columns.value - columns.packs * cheapest[columns.window]
    return left


def upper(
    pricer: Pricer, columns: Columns, more: Columns, prices: Ints, stock: Floats, needs: int
) -> int:
    """The bound of the prices, from the best columns known and those that beat them."""
    best = gain(pricer, columns, prices, needs)
    np.maximum.at(best, more.need, net(pricer, more, prices))
    return int(np.ceil(prices @ stock)) + int(best.sum())
