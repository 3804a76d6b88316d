"""How good and how quick plans of supply and demand are, beside what is done without a plan.

Each size is planned in a process of its own, so that its memory is its own. The market is made up
(`leasing.market.generator`), and so are the ratios to the greedy plans. What does not depend on it
is the gap to the bound, which is checked by code that the solver does not share.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from leasing.market import bound, generator, greedy, planning
from leasing.routing import worker

SECONDS = 900.0
"""To wait for one size: on a machine that is busy the plan is given as long as it takes."""


@dataclass(frozen=True)
class Seen:
    bins: int
    method: str
    seconds: float
    cpu_seconds: float
    megabytes: float
    checking_seconds: float
    value: int
    gap_percent: float
    served: int
    first_come_percent: float
    first_come_served: int
    highest_percent: float
    highest_served: int


def measure(say: Callable[[str], None], sizes: tuple[tuple[int, int], ...], limit: float) -> None:
    for needs, packs in sizes:
        seen = worker.within(SECONDS + limit, planned, needs, packs, limit)
        say(
            f"market {needs:,} needs × {packs:,} packs ({seen.bins:,} bins): {seen.method} in "
            f"{seen.seconds:.1f} s ({seen.cpu_seconds:.1f} s CPU), {seen.megabytes:.0f} MB, "
            f"{seen.gap_percent:.3f} % below the bound (checked over all pairs in "
            f"{seen.checking_seconds:.1f} s), value {seen.value / 100:,.0f} CNY, "
            f"{seen.served:,} served"
        )
        say(
            f"  first come, first served {seen.first_come_percent:+.2f} % "
            f"({seen.first_come_served:,} served), highest value a pack first "
            f"{seen.highest_percent:+.2f} % ({seen.highest_served:,} served) (generated rents)"
        )


def planned(needs: int, packs: int, limit: float) -> Seen:
    market = generator.national(needs, packs)
    start, cpu = time.perf_counter(), time.process_time()
    found = planning.solve(market, limit)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    verdict = planning.judged(market, found)
    checking = time.perf_counter() - start
    first, highest = greedy.first_come(market), greedy.highest_value_a_pack(market)
    return Seen(
        bins=len(market.bins.packs),
        method=found.method,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        megabytes=megabytes,
        checking_seconds=checking,
        value=verdict.value,
        gap_percent=verdict.gap_percent,
        served=verdict.served,
        first_come_percent=100 * (bound.worth(market, first) / verdict.value - 1),
        first_come_served=len(first.need),
        highest_percent=100 * (bound.worth(market, highest) / verdict.value - 1),
        highest_served=len(highest.need),
    )
