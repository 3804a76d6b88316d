"""How good and how quick plans for returned packs are, beside what is done without a plan.

Each size is planned in a process of its own, so that its memory is its own. The problem is made
up (`leasing.routing.generator`), and so are the ratios to the greedy plans: they depend on how far
offers differ. What does not depend on it is the gap to the bound.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from leasing.routing import certificate, generator, greedy, planning, worker
from leasing.routing.certificate import Plan
from leasing.routing.model import Against, Network
from leasing.routing.one import Atlas, question
from leasing.routing.rerouting import rerouted
from leasing.routing.whole import WholePlan

SECONDS = 600.0
ASKED = 500


@dataclass(frozen=True)
class Seen:
    seconds: float
    cpu_seconds: float
    megabytes: float
    checking_seconds: float
    flow_gap: int
    gap_percent: float
    nearest_percent: float
    best_first_percent: float
    one_p50_ms: float
    one_p99_ms: float
    rerouting_seconds: float
    hit: int
    rerouting_percent: float
    fill: float


def measure(say: Callable[[str], None], sizes: tuple[int, ...], fill: float | None) -> None:
    for size in sizes:
        seen = worker.within(SECONDS, planned, size, fill)
        say(
            f"routing {size:,} packs, fill {seen.fill:.3f}: {seen.seconds:.1f} s "
            f"({seen.cpu_seconds:.1f} s CPU), {seen.megabytes:.0f} MB, gap of the flow "
            f"{seen.flow_gap} (checked over all pairs in {seen.checking_seconds:.1f} s), whole "
            f"packs {seen.gap_percent:.4f} % below the bound"
        )
        say(
            f"  nearest with room {seen.nearest_percent:+.2f} %, best value first "
            f"{seen.best_first_percent:+.2f} % (generated offers); one pack "
            f"{seen.one_p50_ms:.2f} ms p50, {seen.one_p99_ms:.2f} ms p99; 10 % of outlets "
            f"withdrawn: {seen.hit:,} packs re-routed in {seen.rerouting_seconds:.2f} s, "
            f"{seen.rerouting_percent:+.3f} % against a new plan"
        )


def planned(packs: int, fill: float | None) -> Seen:
    network = generator.national(packs, fill=fill).network
    start, cpu = time.perf_counter(), time.process_time()
    found = planning.plan(network)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    flow, whole = planning.judged(network, found)
    checking = time.perf_counter() - start
    assert flow is not None
    nearest = worth(network, greedy.nearest_with_room(network))
    best_first = worth(network, greedy.best_value_first(network))
    p50, p99 = one_pack(network, found.prices)
    hit, again, lost = withdrawal(network, found)
    return Seen(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        megabytes=megabytes,
        checking_seconds=checking,
        flow_gap=flow.gap,
        gap_percent=whole.gap_ppm / 1e4,
        nearest_percent=100 * (nearest / whole.value - 1),
        best_first_percent=100 * (best_first / whole.value - 1),
        one_p50_ms=p50,
        one_p99_ms=p99,
        rerouting_seconds=again,
        hit=hit,
        rerouting_percent=lost,
        fill=float(network.classes.supply_kg.sum() / network.free_kg[network.closed == 0].sum()),
    )


def worth(network: Network, plan: WholePlan) -> int:
    parts = Plan(plan.row, plan.column, plan.kg(network))
    certificate.whole(network, parts)
    return certificate.judge(network, np.zeros_like(network.free_kg), parts).value


def one_pack(network: Network, prices: np.ndarray) -> tuple[float, float]:
    atlas = Atlas(network, np.minimum(prices, 2**30))
    rows = np.linspace(0, len(network.classes.packs) - 1, ASKED).astype(int)
    times = []
    for row in rows:
        asked = question(network, int(row))
        start = time.perf_counter()
        atlas.answer(asked)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def withdrawal(network: Network, found: planning.Planned) -> tuple[int, float, float]:
    """Every tenth outlet takes nothing more: packs hit, seconds, and what is lost against planning
    all packs again."""
    withdrawn = np.arange(0, len(network.free_kg), 10)
    closed = network.closed.copy()
    closed[withdrawn] = Against.QUAL_SUSPENDED
    anew = worth(network, planning.plan(replace(network, closed=closed)).packs)
    start = time.perf_counter()
    after, _ = rerouted(network, found.packs, withdrawn, found.prices)
    seconds = time.perf_counter() - start
    hit = int(found.packs.packs[np.isin(found.packs.column, withdrawn)].sum())
    return hit, seconds, 100 * (worth(network, after) / anew - 1)
