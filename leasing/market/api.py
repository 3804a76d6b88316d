"""The market over HTTP: needs, offers, plans, proposals."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.access.model import Role
from leasing.http.edge import CUSTOMERS, WITH_CUSTOMERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, decode, page_by, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.market import service, store
from leasing.market.states import NoSuchNeed
from schemas.market import (
    AcceptedView,
    BinView,
    ExplanationView,
    MarketTerms,
    NeedCreate,
    NeedPatch,
    NeedState,
    NeedView,
    OfferCreate,
    OfferView,
    ProposalAcceptance,
    ProposalRefusal,
    ProposalState,
    ProposalView,
    RunView,
    UnservedView,
    VerdictView,
)


def versioned(need: NeedView, status: int = 200) -> Response[NeedView]:
    return Response(need, status_code=status, headers={"etag": etag(need.version)})


@post("/market-needs", opt={"access": WITH_CUSTOMERS}, responses=when_posting(404))
async def enter_need(
    tx: Tx, caller: By, now: Now, data: JSONBody[NeedCreate]
) -> Response[NeedView]:
    """Say what a site needs: voltage, energy at the end of the term, coldest day, slots, term and
    rent. A customer for its own sites. What the law forbids is refused with the article."""
    is_lessor = caller.role is Role.STAFF
    need = await service.enter_need(tx, data, is_lessor=is_lessor, by=str(caller), now=now)
    return versioned(need, 201)


@get("/market-needs", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_needs(
    tx: Tx,
    in_state: Annotated[NeedState | None, QueryParameter(name="state")] = None,
    site_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[NeedView]:
    """Needs in the order they were entered."""
    rows = await store.needs_after(tx, after_id(cursor), in_state, site_id, limit + 1)
    return page_by_id(rows, limit)


@get("/market-needs/{need_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_need(tx: Tx, need_id: FromPath[UUID]) -> Response[NeedView]:
    """One need, and its version as ETag."""
    need = await store.get_need(tx, need_id)
    if need is None:
        raise NoSuchNeed
    return versioned(need)


@patch(
    "/market-needs/{need_id:uuid}",
    opt={"access": WITH_CUSTOMERS},
    responses=when_editing(404, 409),
)
async def change_need(
    tx: Tx,
    caller: By,
    now: Now,
    need_id: FromPath[UUID],
    data: JSONBody[NeedPatch],
    if_match: IfMatch = None,
) -> Response[NeedView]:
    """Change or withdraw a need; its open proposals end."""
    expected = expected_version(if_match)
    is_lessor = caller.role is Role.STAFF
    return versioned(
        await service.change_need(
            tx, need_id, data, expected, is_lessor=is_lessor, by=str(caller), now=now
        )
    )


@post("/market-offers", responses=when_posting(404))
async def enter_offer(tx: Tx, caller: By, now: Now, data: JSONBody[OfferCreate]) -> OfferView:
    """Put a pack on offer that the stock does not tell of rightly. Packs in stock, and packs that
    come back on a known day, are on offer by themselves."""
    return await service.enter_offer(tx, data, by=str(caller), now=now)


@get("/market-offers", responses=when_reading())
async def list_offers(
    tx: Tx, pack_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[OfferView]:
    """Offers in the order they were entered, withdrawn ones too."""
    rows = await store.offers_after(tx, after_id(cursor), pack_id, limit + 1)
    return page_by_id(convert_all(rows, OfferView), limit)


@post("/market-offers/{offer_id:uuid}/withdrawal", status_code=200, responses=when_posting(404))
async def withdraw_offer(tx: Tx, caller: By, now: Now, offer_id: FromPath[UUID]) -> OfferView:
    """Take an offer back."""
    return await service.withdraw_offer(tx, offer_id, by=str(caller), now=now)


@post("/market-runs", responses=when_posting())
async def plan_market(tx: Tx, caller: By, now: Now, data: JSONBody[MarketTerms]) -> RunView:
    """Match open needs with packs and propose them; earlier open proposals end. Answers within
    the seconds given, and says how far from the best the plan can be at most. Large markets are
    for the nightly job, which has more time."""
    return await service.run(tx, data, by=str(caller), now=now)


@get("/market-runs", responses=when_reading())
async def list_runs(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[RunView]:
    """Plans in the order they were made."""
    rows = await store.runs_after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, RunView), limit)


@get("/market-runs/{run_id:uuid}", responses=when_reading(404))
async def get_run(tx: Tx, run_id: FromPath[UUID]) -> RunView:
    """One plan: what it is worth, and the bound that no plan is above."""
    return await service.get_run(tx, run_id)


@get("/market-runs/{run_id:uuid}/verdict", responses=when_reading(404))
async def verify_run(tx: Tx, run_id: FromPath[UUID]) -> VerdictView:
    """Check a plan against what it was made from, and prove its bound anew by its prices."""
    return await service.verify(tx, run_id)


@get("/market-runs/{run_id:uuid}/bins", responses=when_reading(404))
async def list_bins(
    tx: Tx, run_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[BinView]:
    """Packs that are alike, the scarcest first: what one more is worth."""
    await service.get_run(tx, run_id)
    after = None if cursor is None else decode(cursor, tuple[int, int])
    rows = await store.bins_after(tx, run_id, after, limit + 1)
    return page_by(convert_all(rows, BinView), limit, lambda one: (one.price_amount, one.position))


@get("/market-runs/{run_id:uuid}/unserved", responses=when_reading(404))
async def list_unserved(
    tx: Tx, run_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[UnservedView]:
    """Needs that the plan gives nothing, and why: forbidden by a rule, or outbid by how much."""
    await service.get_run(tx, run_id)
    rows = await store.unserved_after(tx, run_id, after_id(cursor), limit + 1)
    return page_by(convert_all(rows, UnservedView), limit, lambda one: one.need_id)


@get("/market-proposals", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_proposals(
    tx: Tx,
    run_id: FromQuery[UUID | None] = None,
    need_id: FromQuery[UUID | None] = None,
    in_state: Annotated[ProposalState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ProposalView]:
    """Proposals in the order they were made, with their packs."""
    rows = await store.proposals_after(tx, after_id(cursor), run_id, need_id, in_state, limit + 1)
    return page_by_id(convert_all(rows, ProposalView), limit)


@get("/market-proposals/{proposal_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_proposal(tx: Tx, proposal_id: FromPath[UUID]) -> ProposalView:
    """One proposal: a need, and packs by name."""
    return await service.get_proposal(tx, proposal_id)


@get("/market-proposals/{proposal_id:uuid}/explanation", responses=when_reading(404))
async def explain_proposal(tx: Tx, proposal_id: FromPath[UUID]) -> ExplanationView:
    """Why these packs: the parts of their value, what the next choices are worth, what packs
    cost."""
    return await service.explain(tx, proposal_id)


@post(
    "/market-proposals/{proposal_id:uuid}/acceptance", status_code=200, responses=when_posting(404)
)
async def accept_proposal(
    tx: Tx, caller: By, now: Now, proposal_id: FromPath[UUID], data: JSONBody[ProposalAcceptance]
) -> AcceptedView:
    """Make contract lines of a proposal; its packs are reserved for them."""
    return await service.accept(tx, proposal_id, data, by=str(caller), now=now)


@post("/market-proposals/{proposal_id:uuid}/refusal", status_code=200, responses=when_posting(404))
async def decline_proposal(
    tx: Tx, caller: By, now: Now, proposal_id: FromPath[UUID], data: JSONBody[ProposalRefusal]
) -> ProposalView:
    """Decline a proposal; its need stays open."""
    return await service.decline(tx, proposal_id, data.reason, by=str(caller), now=now)


HANDLERS = [
    enter_need,
    list_needs,
    get_need,
    change_need,
    enter_offer,
    list_offers,
    withdraw_offer,
    plan_market,
    list_runs,
    get_run,
    verify_run,
    list_bins,
    list_unserved,
    list_proposals,
    get_proposal,
    explain_proposal,
    accept_proposal,
    decline_proposal,
]
