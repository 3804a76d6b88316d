"""Whether a pack may go into a line, and which of those that may goes first.

Energy is counted in mAh times mV, millionths of a watt-hour, in whole numbers, so that the same
question has the same answer everywhere. A site's packs hang in parallel on its bus, so their
energies add up:

    minutes = 60 · Σ usable · depth · efficiency / (load · (1 + margin))

Usable is what a pack surely still holds, never what it was rated.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil

from leasing.matching.model import Candidate, Need, Refusal, Suggestion
from leasing.sites.strings import (
    Kind,
    Member,
    Reason,
    age_differences,
    kind_differences,
    voltage_misfit,
)
from schemas.packs import PackState
from schemas.sites import SiteKind

TOWER_VOLTAGE_MV = 51_200
"""What towers buy: 51.2 V in 50, 100, 150 and 200 Ah (tender specifications, domain notes 3.1).
It holds for a tower whose strings nobody has entered."""

NOMINAL_CELL_MV = {"B": 3_200, "E": 3_650}
"""Nominal voltage of a cell by chemistry. LFP: 51.2 V over 16 cells. Ternary: nameplates say
3.6 to 3.7 V [recalled]. Of the other letters nothing is known here, and nothing is refused."""
CELL_TOLERANCE_PERCENT = 5

SMALL_VEHICLE_MV = 60_000
"""Retired traction batteries may not go into e-bikes (Order 73, Art. 22), whose packs are those
of 60 V at most (GB 43854). A vehicle that asks for such a pack may be one: assumption, on the
safe side, since no register tells e-bikes from other small vehicles."""

UWH = 1_000_000


def guaranteed_mah(rated_mah: int, guarantee_percent: Decimal) -> int:
    """The capacity a line is guaranteed, rounded up as contracts do."""
    return ceil(Fraction(guarantee_percent) * rated_mah / 100)


# Energy


def energy_uwh(pack: Kind, usable_mah: int) -> int:
    return usable_mah * pack.rated_voltage_mv


def autonomy_minutes(need: Need, whole_uwh: int) -> int | None:
    """How long packs with so much usable energy carry the site, in whole minutes."""
    if need.load_w is None:
        return None
    limits = need.limits
    delivered = whole_uwh * limits.depth_percent * limits.efficiency_percent * 60
    drawn = need.load_w * (100 + limits.margin_percent) * 100 * UWH
    return delivered // drawn


def required_uwh(need: Need) -> int | None:
    """The usable energy at which the site lasts as long as it must; None when it does not say."""
    if need.load_w is None or need.required_minutes is None:
        return None
    limits = need.limits
    drawn = need.load_w * (100 + limits.margin_percent) * 100 * UWH * need.required_minutes
    return -(-drawn // (limits.depth_percent * limits.efficiency_percent * 60))


def least_uwh(need: Need) -> int | None:
    """What a pack in this line must bring: its line's share of what the site still lacks.

    The first pack of an empty site cannot carry it alone, so what is missing is shared out over
    the empty lines by their rated capacities. A pack that fills the last one faces all of it:
    with every line filled by these rules the site lasts as long as it must.
    """
    required = required_uwh(need)
    if required is None:
        return None
    missing = max(0, required - need.standing_uwh)
    return -(-missing * need.weight // need.empty_weight)


def least_mah(need: Need, pack: Kind) -> int:
    """The usable capacity below which a pack of a kind is refused."""
    return max(need.guaranteed_mah, -(-(least_uwh(need) or 0) // pack.rated_voltage_mv))


# The judgement


def judge(need: Need, mates: Sequence[Member], candidate: Candidate) -> Suggestion | Refusal:
    """Whether a pack may go into a line beside the packs of its string."""
    reasons = [
        *availability_reasons(candidate),
        *kind_reasons(need, mates, candidate),
        *age_differences(candidate, mates, need.limits.made_within_months),
        *capacity_reasons(need, candidate),
    ]
    if reasons or candidate.usable_mah is None:
        return Refusal(candidate, reasons)
    whole = need.standing_uwh + energy_uwh(candidate, candidate.usable_mah)
    return Suggestion(candidate, candidate.usable_mah, autonomy_minutes(need, whole))


def availability_reasons(candidate: Candidate) -> list[Reason]:
    reasons = []
    if candidate.state is not PackState.IN_STOCK:
        state = candidate.state.value
        english = f"the pack is {state}, not in stock"
        reasons.append(Reason("not_in_stock", english, f"电池组状态为 {state}，不在库"))
    if candidate.held:
        english = "the pack is placed in another line, or promised to one"
        reasons.append(
            Reason("held", english, "电池组已安装在其他租赁明细，或已预留、提议给其他明细")
        )
    return reasons


def kind_reasons(need: Need, mates: Sequence[Kind], pack: Kind) -> list[Reason]:
    """What speaks against every pack of a kind alike."""
    return [
        *voltage_reasons(need, pack),
        *use_reasons(need, pack),
        *kind_differences(pack, mates),
    ]


def voltage_reasons(need: Need, pack: Kind) -> list[Reason]:
    if need.system_voltage_mv is None:
        english = f"nothing says which voltage slot {need.slot} has: enter the site's strings"
        chinese = f"{need.slot} 号槽位的系统电压未知：请先录入站址的组串"
        reasons = [Reason("voltage_unknown", english, chinese)]
    else:
        reasons = voltage_misfit(pack, need.system_voltage_mv)
    cell_mv = NOMINAL_CELL_MV.get(pack.chemistry)
    if cell_mv is not None:
        expected = pack.cells_in_series * cell_mv
        if 100 * abs(pack.rated_voltage_mv - expected) > CELL_TOLERANCE_PERCENT * expected:
            cells, rated, nominal = (
                pack.cells_in_series,
                pack.rated_voltage_mv / 1000,
                expected / 1000,
            )
            english = (
                f"rated {rated:g} V, but {cells} cells of chemistry {pack.chemistry} in series "
                f"make {nominal:g} V"
            )
            chinese = (
                f"额定电压 {rated:g} V，与 {cells} 串 {pack.chemistry} 类电芯的 {nominal:g} V 不符"
            )
            reasons.append(Reason("voltage_contradicts_cells", english, chinese))
    return reasons


def use_reasons(need: Need, pack: Kind) -> list[Reason]:
    if need.site_kind is not SiteKind.VEHICLE or pack.rated_voltage_mv > SMALL_VEHICLE_MV:
        return []
    rated, limit = pack.rated_voltage_mv / 1000, SMALL_VEHICLE_MV // 1000
    english = (
        f"rated {rated:g} V; retired traction batteries of {limit} V at most are kept out of "
        "vehicles, which may be e-bikes (Order 73, Art. 22)"
    )
    chinese = (
        f"额定电压 {rated:g} V；{limit} V 及以下的退役动力电池不得用于电动自行车等禁止领域"
        "（六部门令第73号第二十二条）"
    )
    return [Reason("prohibited_use", english, chinese)]


def capacity_reasons(need: Need, candidate: Candidate) -> list[Reason]:
    usable = candidate.usable_mah
    if usable is None:
        english = "never tested: no health estimate and no joint test says what it still holds"
        return [Reason("never_tested", english, "从未检测：既无健康估计也无交接验收容量")]
    reasons = []
    if usable < need.guaranteed_mah:
        english = f"{usable} mAh usable, {need.guaranteed_mah} mAh guaranteed"
        chinese = f"可用容量 {usable} mAh，低于合同保证的 {need.guaranteed_mah} mAh"
        reasons.append(Reason("capacity_short", english, chinese))
    least, brings = least_uwh(need), energy_uwh(candidate, usable)
    if least is not None and brings < least:
        minutes = autonomy_minutes(need, need.standing_uwh + brings)
        english = (
            f"brings {brings // UWH} Wh, {-(-least // UWH)} Wh are this line's share; with it the "
            f"site lasts {minutes} of {need.required_minutes} min at {need.load_w} W and "
            f"{need.limits.margin_percent} % margin"
        )
        chinese = (
            f"提供 {brings // UWH} Wh，本明细应分担 {-(-least // UWH)} Wh；"
            f"装入后站址备电 {minutes} 分钟，要求 {need.required_minutes} 分钟"
            f"（负载 {need.load_w} W，余量 {need.limits.margin_percent} %）"
        )
        reasons.append(Reason("autonomy_short", english, chinese))
    return reasons


# The order


def rank(suggestion: Suggestion) -> tuple[object, ...]:
    """The closest capacity above the need first, so that strong packs are kept for needs that
    want them; of equals the one we have had longest; then by id, so that two calls agree."""
    pack = suggestion.candidate
    return suggestion.usable_mah, pack.acquired_on, pack.pack_id


def ranked(
    need: Need, mates: Sequence[Member], candidates: Sequence[Candidate]
) -> tuple[list[Suggestion], list[Refusal]]:
    """Candidates judged: those that may go into the line in their order, the others by id."""
    judged = [judge(need, mates, candidate) for candidate in candidates]
    suggestions = [one for one in judged if isinstance(one, Suggestion)]
    refusals = [one for one in judged if isinstance(one, Refusal)]
    return (
        sorted(suggestions, key=rank),
        sorted(refusals, key=lambda one: one.candidate.pack_id),
    )
