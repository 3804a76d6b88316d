"""Where one pack should go, over all outlets, in words a person can check.

Amounts are fen of CNY; offer, freight and packing are rounded one by one and add up to the net.
Outlets are compared by value − price of the space (`leasing.routing.one`).
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import numpy as np

from leasing.end_of_life.chain import Chain
from leasing.end_of_life.snapshot import DISPOSITIONS, NEVER_HELD, Day
from leasing.end_of_life.terms import HAZARDS
from leasing.routing.model import FORBIDDEN, Against, Flags, Ints
from leasing.routing.one import NOWHERE, Answer, Parts, Question, fen
from schemas.end_of_life import (
    AgainstView,
    CountView,
    HoldsWhileView,
    NearestView,
    RouteOptionsView,
    RouteOptionView,
)

FULL = {Against.SPACE, Against.STOCK_LIMIT_5T}
"""Speaks against an outlet only until room is given back."""
SHOWN = 5
"""Nearer outlets told one by one."""

AGAINST: dict[Against, tuple[str, str]] = {
    Against.QUAL_NONE: ("never held the evidence that is needed", "从未具备所需资质"),
    Against.QUAL_EXPIRED: ("its evidence has run out by the hand-over", "资质在交付日前已到期"),
    Against.QUAL_SUSPENDED: ("its evidence was withdrawn", "资质已被撤销"),
    Against.STOCK_LIMIT_5T: ("its store would hold more than 5 t", "超出 5 吨暂存限额"),
    Against.STORE_DAYS: ("what it holds stays too long", "超出暂存期限"),
    Against.PROVINCE_RULE: (
        "waste batteries may not leave the province",
        "该省废旧电池不得出省",
    ),
    Against.CHEM: ("does not take this chemistry", "不接收该化学体系"),
    Against.HAZARD: ("does not take packs in this condition", "不接收该危险状态的电池"),
    Against.SINGLE_LOAD: ("cannot handle a pack of this mass", "超出单件重量上限"),
    Against.SPACE: ("has no room left", "剩余库容不足"),
    Against.VALUE: ("may take it, and brings less", "可接收,但净收益较低"),
    Against.HELD: ("may take it, and waiting is worth more", "可接收,但暂存更有利"),
    Against.NO_OFFER: ("offers nothing for it", "未报价"),
    Against.TRANSPORT_CHECK: (
        "the pack failed its transport check, and was not treated",
        "电池未通过运输前检查且未处理",
    ),
    Against.FIRM_FULL: (
        "the firms behind it treat no more of this in these days",
        "其后端综合利用企业当期处理能力已满",
    ),
    Against.CLOSED: ("is closed by the hand-over", "网点在交付日前已关闭"),
}
"""Every code in English and Chinese."""

SHUT = (
    Against.CLOSED,
    Against.QUAL_NONE,
    Against.QUAL_EXPIRED,
    Against.QUAL_SUSPENDED,
    Against.STORE_DAYS,
)
"""Why an outlet takes nothing at all."""


def against_view(code: Against) -> AgainstView:
    english, chinese = AGAINST[code]
    return AgainstView(code=code.name, text_en=english, text_zh=chinese)


@dataclass(frozen=True)
class Judged:
    """A question put to all outlets of a day. `masks` says of each reason against which outlets
    it speaks; `far` is in hundreds of metres, straight."""

    day: Day
    asked: Question
    answer: Answer
    far: Ints
    masks: dict[Against, Flags]

    @property
    def refused(self) -> Flags:
        found: Flags = np.logical_or.reduce(list(self.masks.values()))
        return found

    def reasons(self, outlet: int) -> list[Against]:
        """All that speaks against an outlet; that another brings more if it is nothing else."""
        found = [code for code, mask in self.masks.items() if mask[outlet]]
        return found or [Against.VALUE]

    def distance_m(self, outlet: int) -> int:
        return 100 * int(self.far[outlet])


def judge(day: Day, asked: Question) -> Judged:
    answer = day.atlas.answer(asked)
    return Judged(day, asked, answer, day.atlas.hundreds_of_metres(asked), masks(day, asked))


ALL = np.s_[:]


def masks(day: Day, asked: Question, some: Ints | slice = ALL) -> dict[Against, Flags]:
    """Which outlets, of all or of some, each reason speaks against."""
    one, known = day.network, day.known
    base, home = asked.hazard % len(HAZARDS), asked.hazard // len(HAZARDS)
    found: dict[Against, Flags] = {}
    for code in SHUT:
        found[code] = one.closed[some] == code
    if home:
        found[Against.PROVINCE_RULE] = known.provinces[some] != day.ruled[home - 1]
    takes = one.takes_chemistries[some] >> asked.chemistry & 1 == 1
    found[Against.CHEM] = ~takes
    found[Against.NO_OFFER] = takes & (day.atlas.best_offer(asked)[1][some] == FORBIDDEN)
    if day.chain is not None:
        full = found[Against.NO_OFFER] & would_offer(day.chain, asked)[some]
        found[Against.FIRM_FULL] = full
        found[Against.NO_OFFER] &= ~full
    found[Against.HAZARD] = known.takes_hazards[some] >> base & 1 == 0
    found[Against.SINGLE_LOAD] = one.single_load_kg[some] < asked.mass_kg
    found |= without_room(day, asked.mass_kg, some)
    return found


def without_room(day: Day, mass_kg: int, some: Ints | slice = ALL) -> dict[Against, Flags]:
    """Outlets that are too full: those that reach the 5 t of the law, and others."""
    full = day.network.free_kg[some] < mass_kg
    by_law = day.known.five_tonnes[some]
    return {Against.STOCK_LIMIT_5T: full & by_law, Against.SPACE: full & ~by_law}


def would_offer(chain: Chain, asked: Question) -> Flags:
    """Outlets whose firms would take such a pack if they had room."""
    allowed = [d for d in range(len(DISPOSITIONS)) if asked.dispositions >> d & 1]
    offered: Flags = chain.without_room[allowed, asked.chemistry].max(axis=0) > FORBIDDEN
    return offered


def against(day: Day, asked: Question, outlet: int) -> list[Against]:
    """All that speaks against one outlet."""
    found = masks(day, asked, np.array([outlet]))
    return [code for code, mask in found.items() if mask[0]]


def leaders(day: Day, asked: Question, many: int) -> Ints:
    """The outlets that would be best if all of them had room."""
    far = day.atlas.hundreds_of_metres(asked)
    value = day.atlas.values(asked, far)
    reduced = np.where(value > FORBIDDEN, value - day.prices, NOWHERE)
    many = min(many, len(reduced))
    best = np.argpartition(-reduced, many - 1)[:many] if many else np.zeros(0, dtype=np.int64)
    found: Ints = best[reduced[best] > NOWHERE]
    return found


def counted(judged: Judged, among: Flags | None = None) -> dict[str, int]:
    """How many outlets each reason speaks against; one may have several."""
    inside = np.ones(len(judged.far), dtype=np.bool_) if among is None else among
    counts = {code.name: int((mask & inside).sum()) for code, mask in judged.masks.items()}
    outbid = int((inside & ~judged.refused).sum())
    if among is not None:
        counts[Against.VALUE.name] = outbid
    return {code: count for code, count in sorted(counts.items()) if count}


def explanation(judged: Judged) -> dict[str, object]:
    """Why the chosen outlet, as it is kept with the routing."""
    chosen = judged.answer.chosen
    assert chosen is not None
    distance = judged.far
    nearer = distance < distance[chosen.outlet]
    order = np.flatnonzero(nearer)
    order = order[np.argsort(distance[order], kind="stable")][:SHOWN]
    known, day = judged.day.known, judged.day
    runner_up = judged.answer.runner_up
    return {
        "rule": (
            "the best value of all outlets that may and can take the pack"
            if day.is_priced
            else "no prices are entered: the least freight of all that may and can take the pack"
        ),
        "valued_by": "offers" if day.is_priced else "freight",
        "distance_m": judged.distance_m(chosen.outlet),
        "parts": parts(judged, chosen),
        "nearer_excluded": [
            {
                "outlet": known.codes[outlet],
                "distance_m": judged.distance_m(outlet),
                "reasons": [code.name for code in judged.reasons(outlet)],
                "missing": sorted(day.missing[known.recycler_ids[known.recycler[outlet]]]),
            }
            for outlet in order.tolist()
        ],
        "nearer_excluded_count": int(nearer.sum()),
        "nearer_excluded_by_reason": counted(judged, nearer),
        "runner_up": runner_up
        and {
            "outlet": known.codes[runner_up.outlet],
            "distance_m": judged.distance_m(runner_up.outlet),
            "net_amount": runner_up.net,
            "behind_amount": chosen.net - runner_up.net,
        },
        "holds_while": told(holds_while(judged)),
        "outlets_version": known.version,
        "prices_of_plan": known.priced_by and str(known.priced_by),
    }


def told(view: HoldsWhileView | None) -> dict[str, object] | None:
    if view is None:
        return None
    until = view.evidence_until
    return {
        "offer_cny_per_kg": view.offer_cny_per_kg,
        "evidence_until": until and str(until),
    }


def parts(judged: Judged, one: Parts) -> dict[str, object]:
    """What a pack brings, in fen: the first four add up to the fifth."""
    offer, onward = stages_of(judged, one)
    return {
        "disposition": DISPOSITIONS[one.disposition],
        "offer_amount": offer,
        "onward_amount": onward,
        "freight_amount": one.freight,
        "packing_amount": one.packing,
        "net_amount": one.net,
        "road_m": one.road_m,
        "space_cny_per_kg": per_kg(one.price),
    }


def stages_of(judged: Judged, one: Parts) -> tuple[int, int]:
    """What the firm behind an outlet gives, and the second leg, which is below 0; in fen, and
    together what is given at the outlet."""
    chain, asked = judged.day.chain, judged.asked
    if chain is None:
        return one.offer, 0
    firm = chain.best(one.outlet, asked.chemistry, asked.dispositions)
    _, price, _ = chain.end(one.outlet, firm, asked.chemistry, asked.dispositions)
    offer = fen(price * asked.mass_kg)
    return offer, one.offer - offer


def per_kg(value: int) -> str:
    """0.0001 CNY as CNY with four decimals."""
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // 10_000}.{abs(value) % 10_000:04}"


def holds_while(judged: Judged) -> HoldsWhileView | None:
    """The choice holds while the offer is no lower, and the evidence valid."""
    chosen, answer = judged.answer.chosen, judged.answer
    if chosen is None or answer.holds_from is None:
        return None
    alone = answer.runner_up is None or not judged.day.is_priced
    return HoldsWhileView(
        offer_cny_per_kg=None if alone else per_kg(answer.holds_from),
        evidence_until=judged.day.valid_to(
            chosen.outlet, judged.day.firm(chosen.outlet, judged.asked)
        ),
    )


@dataclass(frozen=True)
class LotJudged:
    """Several packs from one place that go to one outlet together. `value` is what all of them
    bring at each outlet less the price of the space, 0.0001 CNY."""

    day: Day
    asked: list[Question]
    far: Ints
    masks: dict[Against, Flags]
    value: Ints
    order: list[int]
    """The best outlet, and the next."""

    @property
    def mass_kg(self) -> int:
        return sum(question.mass_kg for question in self.asked)


def judge_lot(day: Day, asked: list[Question]) -> LotJudged:
    """Exactly the best of all outlets for all packs together: each may take every one of them, and
    has room for the whole."""
    mass = sum(question.mass_kg for question in asked)
    far = day.atlas.hundreds_of_metres(asked[0])
    value = np.zeros(len(far), dtype=np.int64)
    found: dict[Against, Flags] = {}
    for question in asked:
        reduced = day.atlas.values(question, far) - day.prices
        value += reduced * question.mass_kg
        for code, mask in masks(day, question).items():
            found[code] = found[code] | mask if code in found else mask
    found |= without_room(day, mass)
    refused = np.logical_or.reduce(list(found.values()))
    value = np.where(refused, NOWHERE, value)
    # Of equal ones the first, as for one pack.
    order = np.argsort(-value, kind="stable")[:2]
    return LotJudged(
        day, asked, far, found, value, [int(one) for one in order if value[one] > NOWHERE]
    )


def options(judged: Judged, pack_ids: list[UUID], hand_over_on: date) -> RouteOptionsView:
    """Everything a person wants to know before the choice."""
    day, answer = judged.day, judged.answer
    hold = day.terms.hold if day.is_priced else NEVER_HELD
    chosen = answer.chosen
    waiting = fen(hold * judged.asked.mass_kg) if day.is_priced else None
    return RouteOptionsView(
        pack_ids=pack_ids,
        hand_over_on=hand_over_on,
        mass_kg=judged.asked.mass_kg,
        outlets=len(judged.far),
        outlets_version=day.known.version,
        valued_by="offers" if day.is_priced else "freight",
        prices_of_plan=day.known.priced_by,
        chosen=option(judged, chosen),
        runner_up=option(judged, answer.runner_up),
        own_best=option(judged, answer.own_best),
        nearest=nearest(judged),
        holds_while=holds_while(judged),
        hold_amount=waiting,
        better_held=chosen is not None and day.is_priced and chosen.after_space <= hold,
        excluded=[
            CountView(
                code=code,
                outlets=count,
                text_en=AGAINST[Against[code]][0],
                text_zh=AGAINST[Against[code]][1],
            )
            for code, count in counted(judged).items()
        ],
    )


def option(judged: Judged, one: Parts | None) -> RouteOptionView | None:
    if one is None:
        return None
    known = judged.day.known
    chosen = judged.answer.chosen
    refused = [code for code, mask in judged.masks.items() if mask[one.outlet]]
    offer, onward = stages_of(judged, one)
    return RouteOptionView(
        outlet_id=known.ids[one.outlet],
        outlet_code=known.codes[one.outlet],
        recycler_id=judged.day.recycler_of(one.outlet, judged.day.firm(one.outlet, judged.asked)),
        disposition=DISPOSITIONS[one.disposition],
        distance_m=judged.distance_m(one.outlet),
        road_m=one.road_m,
        offer_amount=offer,
        onward_amount=onward,
        freight_amount=one.freight,
        packing_amount=one.packing,
        net_amount=one.net,
        behind_amount=0 if chosen is None else chosen.net - one.net,
        space_cny_per_kg=per_kg(one.price),
        against=[against_view(code) for code in refused],
    )


def nearest(judged: Judged) -> NearestView | None:
    """The nearest outlet of all and what excluded it; nothing when it is the chosen one."""
    if not len(judged.far):
        return None
    outlet = int(np.argmin(judged.far))
    chosen = judged.answer.chosen
    if chosen is not None and chosen.outlet == outlet:
        return None
    return NearestView(
        outlet_id=judged.day.known.ids[outlet],
        outlet_code=judged.day.known.codes[outlet],
        distance_m=judged.distance_m(outlet),
        against=[against_view(code) for code in judged.reasons(outlet)],
    )
