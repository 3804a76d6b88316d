"""Rows as arrays, a plan as named packs, and reasons: pure, without a database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import msgspec
import numpy as np

from leasing.market.bound import freights, one_need
from leasing.market.model import (
    COLD_BANDS,
    LEAST_SOH,
    STEP,
    Bins,
    Ints,
    Market,
    Models,
    Needs,
    Plan,
)
from leasing.regions.model import prefecture
from leasing.sites.strings import VOLTAGE_TOLERANCE_PERCENT, Kind
from schemas.market import ExplanationView, MarketTerms, UnservedReason, UnservedView, WindowView

COLD_SHARE = {"B": (1000, 880, 750, 0), "E": (1000, 920, 850, 0)}
"""Share of its energy that a pack gives down to 0, −10 and −20 °C and below, thousandths, by
chemistry. Assumptions of common size: LFP loses more than ternary, and none of them is relied on
below −20 °C without a heater."""
OTHER_COLD_SHARE = (1000, 880, 750, 0)
HEAT_PERCENT = 100
MOST_GRADE = 1000 // STEP - 1
"""A pack that holds more than it was rated counts as one that holds all of it."""
ALTERNATIVES = 3


class Supply(Kind, frozen=True):
    """A pack that may be matched: in stock, on offer, or expected back on a day."""

    pack_id: UUID
    code: str
    made_on: date
    mass_kg: int
    usable_mah: int
    free_on: date
    adcode: str
    residual_amount: int | None

    @property
    def kind(self) -> Kind:
        return Kind(
            self.chemistry,
            self.cells_in_series,
            self.rated_voltage_mv,
            self.rated_capacity_mah,
            self.maker,
            self.specification,
        )

    @property
    def soh(self) -> int:
        """Thousandths, of what it surely still holds."""
        return min(self.usable_mah * 1000 // self.rated_capacity_mah, 1000)

    @property
    def grade(self) -> int:
        return min(self.soh // STEP, MOST_GRADE)


class Demand(msgspec.Struct, frozen=True):
    """An open need with the point of its site."""

    id: UUID
    lessee_id: UUID
    site_id: UUID
    longitude: float
    latitude: float
    first_slot: int
    slots: int
    system_voltage_mv: int
    energy_wh: int
    lowest_celsius: int
    starts_on: date
    months: int
    rent_amount: int
    weight_percent: int


BinKey = tuple[str, int, int, int, int]
"""Prefecture, model, year of make, days until free, grade."""


@dataclass(frozen=True)
class Stall:
    """A market with the rows it was made of: `shelf[b]` are the packs of bin b, weakest first."""

    market: Market
    demands: list[Demand]
    kinds: list[Kind]
    adcodes: list[str]
    shelf: list[list[Supply]]
    as_of: date


def band_of(celsius: int) -> int:
    """Which band of temperature a site's coldest day is in.

    >>> [band_of(one) for one in (5, 0, -1, -10, -20, -21)]
    [0, 0, 1, 1, 2, 3]
    """
    return sum(celsius < least for least in COLD_BANDS)


def residual(supply: Supply, terms: MarketTerms) -> int:
    """What a pack is worth in its next use otherwise, fen."""
    if supply.residual_amount is not None:
        return supply.residual_amount
    held = supply.usable_mah * supply.rated_voltage_mv
    return held * terms.residual_per_kwh // 10**9


def stall(
    supplies: Iterable[Supply], demands: Sequence[Demand], terms: MarketTerms, as_of: date
) -> Stall:
    """Packs in bins, needs as rows; the same rows in any order make the same market."""
    packs = sorted(supplies, key=lambda one: one.pack_id)
    wanted = sorted(demands, key=lambda one: one.id)
    kinds = sorted({one.kind for one in packs}, key=msgspec.structs.astuple)
    adcodes = sorted({one.adcode for one in packs})
    number = {kind: at for at, kind in enumerate(kinds)}
    shelves: dict[tuple[int, ...], list[Supply]] = {}
    for one in packs:
        key = (
            adcodes.index(one.adcode),
            number[one.kind],
            one.made_on.year,
            max(0, (one.free_on - as_of).days),
            one.grade,
        )
        shelves.setdefault(key, []).append(one)
    keys = sorted(shelves)
    shelf = [sorted(shelves[key], key=lambda one: (one.soh, one.pack_id)) for key in keys]
    columns = np.array(keys, dtype=np.int64).reshape(-1, 5).T.copy()
    mean = [sum(residual(one, terms) for one in some) // len(some) for some in shelf]
    points = [prefecture(adcode) for adcode in adcodes]
    market = Market(
        longitude=whole([round(1e5 * point.longitude) for point in points]),
        latitude=whole([round(1e5 * point.latitude) for point in points]),
        models=models_of(kinds, packs, terms),
        bins=Bins(
            place=columns[0],
            model=columns[1],
            made=columns[2],
            free_day=columns[3],
            grade=columns[4],
            packs=whole([len(some) for some in shelf]),
            residual=whole(mean),
        ),
        needs=needs_of(wanted, as_of),
        freight=terms.freight_per_tonne_km * 10,
        circuity_percent=terms.circuity_percent,
        voltage_tolerance_percent=VOLTAGE_TOLERANCE_PERCENT,
    )
    return Stall(market, wanted, kinds, adcodes, shelf, as_of)


def models_of(kinds: Sequence[Kind], packs: Sequence[Supply], terms: MarketTerms) -> Models:
    heaviest: dict[Kind, int] = {}
    for one in packs:
        heaviest[one.kind] = max(heaviest.get(one.kind, 0), one.mass_kg)
    shares = [COLD_SHARE.get(kind.chemistry, OTHER_COLD_SHARE) for kind in kinds]
    return Models(
        voltage_mv=whole([kind.rated_voltage_mv for kind in kinds]),
        energy_wh=whole(
            [max(1, kind.rated_voltage_mv * kind.rated_capacity_mah // 10**6) for kind in kinds]
        ),
        mass_kg=whole([heaviest[kind] for kind in kinds]),
        fade=whole([terms.fade_permille] * len(kinds)),
        cold_share=np.array(shares, dtype=np.int64).reshape(-1, len(COLD_BANDS) + 1),
    )


def needs_of(wanted: Sequence[Demand], as_of: date) -> Needs:
    return Needs(
        longitude=whole([round(1e5 * one.longitude) for one in wanted]),
        latitude=whole([round(1e5 * one.latitude) for one in wanted]),
        voltage_mv=whole([one.system_voltage_mv for one in wanted]),
        energy_wh=whole([one.energy_wh for one in wanted]),
        band=whole([band_of(one.lowest_celsius) for one in wanted]),
        slots=whole([one.slots for one in wanted]),
        months=whole([one.months for one in wanted]),
        heat_percent=whole([HEAT_PERCENT] * len(wanted)),
        start_day=whole([(one.starts_on - as_of).days for one in wanted]),
        rent=whole([one.rent_amount * one.months for one in wanted]),
        weight=whole([one.weight_percent for one in wanted]),
    )


def whole(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


# Packs by name


@dataclass(frozen=True)
class Chosen:
    """A need, the window it is served from, and its packs with what each surely gives at the end
    of the term, mWh."""

    need: int
    window: int
    packs: list[tuple[Supply, int]]

    @property
    def energy_wh(self) -> int:
        return sum(milli for _, milli in self.packs) // 1000


class NotEnough(ValueError):
    """The plan takes packs that are not there, or that do not hold what the need wants."""


def choose(stall: Stall, plan: Plan) -> list[Chosen]:
    """Packs for the needs of a plan: of each window in order, runs of packs that follow one
    another by state of health, so that those of a string are as close as can be.

    Windows go from the lowest up, and each first takes what the one below left of its lower bin;
    so packs suffice whenever they suffice at all. The packs' own energy is added up, not the
    lower edge's: raises NotEnough when it should be short.
    """
    left = [list(packs) for packs in stall.shelf]
    upper = stall.market.upper.tolist()
    chosen = []
    order = np.lexsort((plan.need, plan.window)).tolist()
    for d, w, k in ((int(plan.need[i]), int(plan.window[i]), int(plan.packs[i])) for i in order):
        run = left[w][:k]
        left[w] = left[w][k:]
        missing = k - len(run)
        if missing and upper[w] != w:
            run += left[upper[w]][:missing]
            left[upper[w]] = left[upper[w]][missing:]
        one = Chosen(d, w, [(pack, energy_at_end(stall, d, pack)) for pack in run])
        if len(run) < k or one.energy_wh < stall.demands[d].energy_wh:
            raise NotEnough(f"window {w} does not hold {k} packs for need {d}")
        chosen.append(one)
    return sorted(chosen, key=lambda one: one.need)


def energy_at_end(stall: Stall, d: int, one: Supply) -> int:
    """What a pack surely gives at the end of a need's term on its coldest day, mWh: never less
    than the lower edge of its window gives."""
    models, needs = stall.market.models, stall.market.needs
    m = stall.kinds.index(one.kind)
    lost = -(-int(needs.months[d]) * int(needs.heat_percent[d]) * int(models.fade[m]) // 1200)
    share = int(models.cold_share[m, needs.band[d]])
    return int(models.energy_wh[m]) * max(0, one.soh - lost) * share // 1000


# Reasons


def window_view(stall: Stall, prices: Ints, d: int, w: int) -> WindowView:
    """A window as a need sees it; the parts add up to the value to the fen."""
    market, b = stall.market, stall.market.bins
    wanted, value = one_need(market, d)
    k = int(wanted[w])
    upper = int(market.upper[w])
    kind = stall.kinds[int(b.model[w])]
    rent, weight = int(market.needs.rent[d]), int(market.needs.weight[d])
    residual = k * int(b.residual[w])
    freight = carriage(stall, d, w) * k
    price = k * min(int(prices[w]), int(prices[upper]))
    return WindowView(
        adcode=stall.adcodes[int(b.place[w])],
        maker=kind.maker,
        specification=kind.specification,
        chemistry=kind.chemistry,
        made_in=int(b.made[w]),
        free_on=stall.as_of + timedelta(days=int(b.free_day[w])),
        soh_permille=STEP * int(b.grade[w]),
        soh_to_permille=STEP * (int(b.grade[upper]) + 1),
        packs=k,
        rent_amount=rent,
        freight_amount=freight,
        residual_amount=residual,
        weight_percent=weight,
        value_amount=int(value[w]),
        price_amount=price,
        above_amount=int(value[w]) - price,
    )


def carriage(stall: Stall, d: int, w: int) -> int:
    """Fen for one pack of a window."""
    heavy = int(stall.market.models.mass_kg[stall.market.bins.model[w]])
    return (int(freights(stall.market, d)[stall.market.bins.place[w]]) * heavy + 5_000_000) // 10**7


def explain(stall: Stall, prices: Ints, proposal_id: UUID, chosen: Chosen) -> ExplanationView:
    """Why these packs: what they bring, what others would have brought, what packs cost."""
    d, w = chosen.need, chosen.window
    wanted, value = one_need(stall.market, d)
    cheaper = np.minimum(prices, prices[stall.market.upper])
    above = np.where(wanted > 0, value - wanted * cheaper, -(2**62))
    order = [at for at in np.argsort(-above, kind="stable").tolist() if wanted[at] and at != w]
    mine = window_view(stall, prices, d, w)
    others = [window_view(stall, prices, d, at) for at in order[:ALTERNATIVES]]
    least = others[0] if others else None
    energy = f"{len(chosen.packs)} packs give {chosen.energy_wh} Wh at the end of the term"
    energy_zh = f"{len(chosen.packs)} 组电池在租期末可用 {chosen.energy_wh} Wh"
    if least is None:
        reason, zh = "no other packs would do", "没有其他可用电池组"
    else:
        apart = mine.value_amount - least.value_amount
        price = least.price_amount
        reason = (
            f"worth {apart / 100:+.2f} CNY against the next choice, whose packs are worth "
            f"{price / 100:.2f} CNY to others"
        )
        zh = (
            f"价值与次优方案相差 {apart / 100:+.2f} 元；"
            f"次优方案的电池对其他需求值 {price / 100:.2f} 元"
        )
    return ExplanationView(
        proposal_id=proposal_id,
        chosen=mine,
        needed_wh=stall.demands[d].energy_wh,
        energy_wh=chosen.energy_wh,
        alternatives=others,
        reason=f"{energy}; {reason}",
        reason_zh=f"{energy_zh}；{zh}",
    )


def explanations(
    stall: Stall, prices: Ints, ids: Sequence[UUID], chosen: Sequence[Chosen]
) -> list[ExplanationView]:
    """An explanation for each proposal, by its id."""
    return [
        explain(stall, prices, proposal_id, one)
        for proposal_id, one in zip(ids, chosen, strict=True)
    ]


TOLD: Mapping[UnservedReason, tuple[str, str]] = {
    UnservedReason.NO_VOLTAGE: ("no pack has its voltage", "没有该系统电压的电池组"),
    UnservedReason.TOO_COLD: (
        "no pack of its voltage works that cold",
        "该电压的电池组不能在此低温下工作",
    ),
    UnservedReason.TOO_LATE: (
        "packs of its voltage come after its first day only",
        "该电压的电池组在起租日之后才可用",
    ),
    UnservedReason.TOO_WORN: (
        "all packs of its voltage would fall below 50 % within the term",
        "该电压的电池组在租期内健康度将低于 50 %",
    ),
    UnservedReason.TOO_FEW: (
        "no packs that may stand in one string hold its energy in its slots",
        "没有可同串的电池组能在其槽位内满足所需电量",
    ),
}


def unserved(stall: Stall, prices: Ints, plan: Plan) -> list[UnservedView]:
    """Why each need that gets nothing gets nothing; the first reason that applies."""
    served = set(plan.need.tolist())
    return [why_not(stall, prices, d) for d in range(len(stall.demands)) if d not in served]


def why_not(stall: Stall, prices: Ints, d: int) -> UnservedView:
    wanted, value = one_need(stall.market, d)
    demand = stall.demands[d]
    if not wanted.any():
        reason = forbidden_by(stall, d)
        return UnservedView(
            need_id=demand.id,
            reason=reason,
            short_amount=None,
            detail=TOLD[reason][0],
            detail_zh=TOLD[reason][1],
        )
    there = wanted > 0
    cheaper = np.minimum(prices, prices[stall.market.upper])
    best = int(value[there].max())
    lacks = max(0, -int((value[there] - wanted[there] * cheaper[there]).max()))
    reason = UnservedReason.NOT_WORTH_IT if best <= 0 else UnservedReason.OUTBID
    # Value counts by weight, rent is whole months; a weight of nothing has no rent that helps.
    weight = demand.weight_percent
    short = -(-(max(lacks, -best) * 100 + 1) // (weight * demand.months)) if weight else 0
    if reason is UnservedReason.NOT_WORTH_IT:
        detail = f"freight and residual value are above the rent by {-best / 100:.2f} CNY"
        detail_zh = f"运费与残值高出租金 {-best / 100:.2f} 元"
    else:
        detail = f"others pay {short / 100:.2f} CNY a month more for the packs it could have"
        detail_zh = f"其他需求对可用电池组每月多付 {short / 100:.2f} 元"
    return UnservedView(
        need_id=demand.id, reason=reason, short_amount=short, detail=detail, detail_zh=detail_zh
    )


def forbidden_by(stall: Stall, d: int) -> UnservedReason:
    """The first rule that leaves no pack for a need."""
    m = stall.market
    b, n = m.bins, m.needs
    apart = np.abs(m.models.voltage_mv - n.voltage_mv[d])
    fits = 100 * apart <= m.voltage_tolerance_percent * n.voltage_mv[d]
    at = fits[b.model]
    if not at.any():
        return UnservedReason.NO_VOLTAGE
    at &= m.models.cold_share[b.model, n.band[d]] > 0
    if not at.any():
        return UnservedReason.TOO_COLD
    at &= b.free_day <= n.start_day[d]
    if not at.any():
        return UnservedReason.TOO_LATE
    lost = -(-n.months[d] * n.heat_percent[d] * m.models.fade[b.model] // 1200)
    at &= STEP * b.grade - lost >= LEAST_SOH
    return UnservedReason.TOO_FEW if at.any() else UnservedReason.TOO_WORN
