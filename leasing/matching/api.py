"""Matching over HTTP."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.params import FromPath, QueryParameter

from leasing.http.edge import Now, Tx
from leasing.http.pages import Cursor, Limit, decode, encode
from leasing.http.problems import when_reading
from leasing.kit.time import civil_date
from leasing.matching import rules, service
from leasing.matching.model import Limits, Need, Refusal, Suggestion
from schemas.matching import (
    AssignmentView,
    CandidatesView,
    LimitsView,
    NeedView,
    PlanView,
    ReasonView,
    RefusalCountView,
    RefusedView,
    SuggestionView,
    UnfilledView,
)

MARGIN_PERCENT = Limits().margin_percent

Margin = Annotated[
    int,
    QueryParameter(
        name="margin_percent", ge=0, le=100, description="Added to the site's load, in per cent."
    ),
]
Refused = Annotated[
    int, QueryParameter(name="refused", ge=0, le=200, description="How many refused packs to show.")
]


def need_view(need: Need) -> NeedView:
    least = rules.least_uwh(need)
    return NeedView(
        line_id=need.line_id,
        site_id=need.site_id,
        slot=need.slot,
        string_number=need.string_number,
        system_voltage_mv=need.system_voltage_mv,
        guaranteed_capacity_mah=need.guaranteed_mah,
        load_w=need.load_w,
        required_autonomy_minutes=need.required_minutes,
        standing_energy_wh=need.standing_uwh // rules.UWH,
        least_energy_wh=None if least is None else -(-least // rules.UWH),
    )


def limits_view(limits: Limits) -> LimitsView:
    return LimitsView(
        margin_percent=limits.margin_percent,
        depth_percent=limits.depth_percent,
        efficiency_percent=limits.efficiency_percent,
        made_within_months=limits.made_within_months,
    )


def suggestion_view(suggestion: Suggestion) -> SuggestionView:
    pack = suggestion.candidate
    # What is suggested was measured: a pack never tested is refused.
    assert pack.capacity_source is not None
    assert pack.measured_on is not None
    return SuggestionView(
        pack_id=pack.pack_id,
        code=pack.code,
        rated_capacity_mah=pack.rated_capacity_mah,
        usable_capacity_mah=suggestion.usable_mah,
        capacity_source=pack.capacity_source,
        measured_on=pack.measured_on,
        made_on=pack.made_on,
        acquired_on=pack.acquired_on,
        site_autonomy_minutes=suggestion.autonomy_minutes,
    )


def refused_view(refusal: Refusal) -> RefusedView:
    reasons = [
        ReasonView(code=one.code, detail=one.detail, detail_zh=one.detail_zh)
        for one in refusal.reasons
    ]
    pack = refusal.candidate
    return RefusedView(pack_id=pack.pack_id, code=pack.code, reasons=reasons)


def counts(refusals: Mapping[str, int]) -> list[RefusalCountView]:
    """Most frequent first."""
    return [
        RefusalCountView(code=code, packs=packs)
        for code, packs in sorted(refusals.items(), key=lambda one: (-one[1], one[0]))
    ]


@get("/lines/{line_id:uuid}/candidates", responses=when_reading(404, 409))
async def list_candidates(
    tx: Tx,
    now: Now,
    line_id: FromPath[UUID],
    margin_percent: Margin = MARGIN_PERCENT,
    refused: Refused = 10,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> CandidatesView:
    """Packs in stock that may go into a line, the best first: the closest usable capacity above
    what is guaranteed, then the pack that was acquired first. Of the others some, each with all
    its reasons, and how many there are per reason."""
    limits = Limits(margin_percent=margin_percent)
    after = None if cursor is None else decode(cursor, tuple[int, date, UUID])
    found = await service.candidates(
        tx,
        line_id,
        limits=limits,
        after=after,
        limit=limit + 1,
        refused=refused,
        today=civil_date(now),
    )
    shown = found.suggestions[:limit]
    more = len(found.suggestions) > limit
    return CandidatesView(
        need=need_view(found.need),
        limits=limits_view(limits),
        packs_in_stock=found.packs_in_stock,
        packs_admissible=found.packs_admissible,
        items=[suggestion_view(one) for one in shown],
        next_cursor=encode(*rules.rank(shown[-1])) if more else None,
        refused=[refused_view(one) for one in found.refused],
        refusals=counts(found.refusals),
    )


@get("/contracts/{contract_id:uuid}/candidates", responses=when_reading(404, 409))
async def plan_contract(
    tx: Tx,
    now: Now,
    contract_id: FromPath[UUID],
    margin_percent: Margin = MARGIN_PERCENT,
) -> PlanView:
    """A pack for each empty line of a contract, none twice and no string mixed; the lines that
    got none, and why. A proposal: nothing is reserved."""
    limits = Limits(margin_percent=margin_percent)
    plan, packs_in_stock, left_out = await service.plan(
        tx, contract_id, limits=limits, today=civil_date(now)
    )
    return PlanView(
        contract_id=contract_id,
        limits=limits_view(limits),
        packs_in_stock=packs_in_stock,
        assigned=[
            AssignmentView(need=need_view(need), pack=suggestion_view(one))
            for need, one in plan.assigned
        ],
        unfilled=[
            UnfilledView(need=need_view(need), refusals=counts(refusals))
            for need, refusals in plan.unfilled
        ],
        lines_left_out=left_out,
    )


HANDLERS = [list_candidates, plan_contract]
