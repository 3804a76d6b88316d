"""The market: needs and offers entered, plans made, proposals decided."""

from asyncio import to_thread
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from io import BytesIO
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import replace

from leasing.batteries import store as packs
from leasing.batteries.model import NoSuchPack
from leasing.contracts import service as contracts
from leasing.contracts.model import ForbiddenUse
from leasing.contracts.rules import FORBIDDEN_USES
from leasing.db.pool import Connection, as_lessor
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.money import allocate
from leasing.kit.rows import convert, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.market import bound, files, planning, rules, store
from leasing.market.model import STEP
from leasing.market.planning import Planned
from leasing.market.rules import Stall
from leasing.market.states import (
    NEED_STATES,
    PROPOSAL_STATES,
    BadAcceptance,
    BadNeed,
    NeedNotOpen,
    NoSuchNeed,
    NoSuchOffer,
    NoSuchProposal,
    NoSuchRun,
    OfferWithdrawn,
    OtherLessee,
    ProposalDecided,
    ProposalExpired,
    ProposalStale,
    WeightIsTheLessors,
)
from leasing.matching.rules import SMALL_VEHICLE_MV
from leasing.regions.model import UnknownPrefectureError, prefecture
from leasing.sites import store as sites
from leasing.sites.service import NoSuchSite
from schemas.contracts import ContractCreate, ContractTerms, LineCreate, LinesCreate, PermittedUse
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
    ProposalState,
    ProposalView,
    RunView,
    VerdictView,
)
from schemas.sites import SiteKind

SMALL_VEHICLE = (
    f"retired traction batteries of {SMALL_VEHICLE_MV // 1000} V at most are kept out of vehicles, "
    "which may be e-bikes (Order No. 73, Art. 22)"
)
JOB_SECONDS = planning.SECONDS


class UnknownPrefecture(Invalid):
    code = "unknown_prefecture"
    title = "There is no such prefecture"


# Needs


async def enter_need(
    tx: Connection, data: NeedCreate, *, is_lessor: bool, by: str, now: datetime
) -> NeedView:
    """Enter what a site needs; a customer for its own sites. Raises `NoSuchSite`, `ForbiddenUse`,
    `BadNeed`, `WeightIsTheLessors`."""
    site = await sites.get(tx, data.site_id)
    if site is None:
        raise NoSuchSite
    refuse_forbidden(data.permitted_use, SiteKind(site["kind"]), data.system_voltage_mv)
    if data.first_slot + data.slots > 1001:
        message = "the last slot of a site is 1000"
        raise BadNeed(message, fields=[FieldError("/slots", "beyond_last_slot", message)])
    refuse_weight(is_lessor, data.weight_percent, 100)
    async with as_lessor(tx):
        need = await store.insert_need(tx, site["party_id"], data, by, now)
        facts: dict[str, object] = {"site_id": data.site_id, "energy_wh": data.energy_wh}
        await tell(tx, "market_need", need.id, "market.need_entered", facts, by, now)
    return need


def refuse_forbidden(use: PermittedUse, kind: SiteKind, voltage_mv: int) -> None:
    """Raise `ForbiddenUse` with the article for a use that the law forbids."""
    reason = FORBIDDEN_USES.get(use)
    if reason is not None:
        raise ForbiddenUse(reason, fields=[FieldError("/permitted_use", "forbidden_use", reason)])
    if kind is SiteKind.VEHICLE and voltage_mv <= SMALL_VEHICLE_MV:
        fault = FieldError("/system_voltage_mv", "forbidden_use", SMALL_VEHICLE)
        raise ForbiddenUse(SMALL_VEHICLE, fields=[fault])


def refuse_weight(is_lessor: bool, wanted: int, present: int) -> None:
    if not is_lessor and wanted != present:
        message = f"it stays {present}"
        raise WeightIsTheLessors(message, fields=[FieldError("/weight_percent", "lessor", message)])


async def change_need(
    tx: Connection,
    need_id: UUID,
    data: NeedPatch,
    expected: int,
    *,
    is_lessor: bool,
    by: str,
    now: datetime,
) -> NeedView:
    """Change or withdraw an open need. Its open proposals, made for what it was, end. Raises
    `NeedNotOpen`, `VersionChanged`."""
    if await store.get_need(tx, need_id) is None:
        raise NoSuchNeed
    async with as_lessor(tx):
        need = await store.lock_need(tx, need_id)
        assert need is not None
        changes = given(data)
        refuse_unless_current(need.version, expected, msgspec.structs.asdict(need), changes)
        if need.state is NeedState.MATCHED:
            raise NeedNotOpen("a proposal was accepted for it")
        withdrawn = changes.pop("withdrawn", need.state is NeedState.WITHDRAWN)
        refuse_weight(
            is_lessor, changes.get("weight_percent", need.weight_percent), need.weight_percent
        )
        after = replace(need, state=NeedState.WITHDRAWN if withdrawn else NeedState.OPEN, **changes)
        if after.first_slot + after.slots > 1001:
            message = "the last slot of a site is 1000"
            raise BadNeed(message, fields=[FieldError("/slots", "beyond_last_slot", message)])
        if after.state is not need.state and after.state not in NEED_STATES[need.state]:
            raise NeedNotOpen(f"a need that is {need.state} does not become {after.state}")
        changed = await store.change_need(tx, after)
        await store.supersede_of(tx, need_id, by, now)
        facts: dict[str, object] = {"fields": sorted(given(data))}
        await tell(tx, "market_need", need_id, "market.need_changed", facts, by, now)
    return changed


# Offers


async def enter_offer(tx: Connection, data: OfferCreate, *, by: str, now: datetime) -> OfferView:
    """Put a pack on offer beside what the stock tells. Raises `NoSuchPack`, `PackOffered`."""
    refuse_unknown(data.adcode, "/adcode")
    if await packs.lock(tx, data.pack_id) is None:
        raise NoSuchPack
    made = convert(await store.insert_offer(tx, data, by, now), OfferView)
    facts: dict[str, object] = {"from_on": data.from_on, "adcode": data.adcode}
    await tell(tx, "pack", data.pack_id, "market.pack_offered", facts, by, now)
    return made


async def withdraw_offer(tx: Connection, offer_id: UUID, *, by: str, now: datetime) -> OfferView:
    row = await store.lock_offer(tx, offer_id)
    if row is None:
        raise NoSuchOffer
    if row["withdrawn_at"] is not None:
        raise OfferWithdrawn(f"at {row['withdrawn_at']}")
    made = convert(await store.withdraw_offer(tx, offer_id, now, by), OfferView)
    await tell(tx, "pack", row["pack_id"], "market.offer_withdrawn", {}, by, now)
    return made


def refuse_unknown(adcode: str, pointer: str) -> None:
    try:
        prefecture(adcode)
    except UnknownPrefectureError as error:
        fault = FieldError(pointer, "unknown_prefecture", str(error))
        raise UnknownPrefecture(str(error), fields=[fault]) from error


# Plans


async def look(tx: Connection, terms: MarketTerms, today: date) -> Stall:
    """The market as it is: what may be matched, and open needs."""
    refuse_unknown(terms.warehouse_adcode, "/warehouse_adcode")
    until = today + timedelta(days=terms.expected_within_days)
    supplies = await store.supply(tx, today, until, terms.warehouse_adcode)
    demands = await store.demand(tx, today)
    return await to_thread(rules.stall, supplies, demands, terms, today)


async def run(tx: Connection, terms: MarketTerms, *, by: str, now: datetime) -> RunView:
    """Plan and propose, in one transaction."""
    await store.queue_up(tx)
    stall = await look(tx, terms, civil_date(now))
    planned = await to_thread(planning.solve_within, stall.market, float(terms.seconds))
    return await propose(tx, stall, planned, terms, by=by, now=now)


async def propose(
    tx: Connection,
    stall: Stall,
    planned: Planned,
    terms: MarketTerms,
    *,
    by: str,
    now: datetime,
) -> RunView:
    """Keep a plan with its prices and bound, and propose its packs; earlier proposals that nobody
    decided end. The plan is checked by the bound's own code before it is kept."""
    verdict = await to_thread(planning.judged, stall.market, planned)
    chosen = await to_thread(rules.choose, stall, planned.plan)
    held = files.arrays_of(stall.market)
    held |= files.arrays_of_plan(stall.market, planned.plan, planned.prices)
    run_id = await store.insert_run(
        tx,
        stall.as_of,
        msgspec.to_builtins(terms),
        planned.method,
        planned.plan_id,
        files.written(held),
        len(stall.demands),
        int(stall.market.bins.packs.sum()),
        verdict.served,
        verdict.packs,
        verdict.value,
        verdict.bound,
        by,
        now,
    )
    taken = {pack.pack_id for one in chosen for pack, _ in one.packs}
    await store.insert_bins(tx, run_id, bins_of(stall, planned, taken))
    unserved = await to_thread(rules.unserved, stall, planned.prices, planned.plan)
    await store.insert_unserved(tx, run_id, unserved)
    gone = await store.close(tx, None, ProposalState.SUPERSEDED, by, now)
    expires_at = now + timedelta(hours=terms.valid_hours)
    ids = await store.insert_proposals(tx, run_id, stall, chosen, expires_at, now)
    reasons = await to_thread(rules.explanations, stall, planned.prices, ids, chosen)
    await store.insert_explanations(tx, reasons)
    facts: dict[str, object] = {"served": verdict.served, "needs": len(stall.demands)}
    facts |= {"superseded": len(gone)}
    await tell(tx, "market_run", run_id, "market.planned", facts, by, now)
    return await get_run(tx, run_id)


def bins_of(stall: Stall, planned: Planned, taken: set[UUID]) -> list[BinView]:
    bins = stall.market.bins
    return [
        BinView(
            position=at,
            adcode=shelf[0].adcode,
            maker=shelf[0].maker,
            specification=shelf[0].specification,
            chemistry=shelf[0].chemistry,
            rated_voltage_mv=shelf[0].rated_voltage_mv,
            rated_capacity_mah=shelf[0].rated_capacity_mah,
            made_in=int(bins.made[at]),
            free_on=stall.as_of + timedelta(days=int(bins.free_day[at])),
            soh_permille=STEP * int(bins.grade[at]),
            packs=len(shelf),
            packs_taken=sum(one.pack_id in taken for one in shelf),
            price_amount=int(planned.prices[at]),
        )
        for at, shelf in enumerate(stall.shelf)
    ]


async def get_run(tx: Connection, run_id: UUID) -> RunView:
    row = await store.get_run(tx, run_id)
    if row is None:
        raise NoSuchRun
    return convert(row, RunView)


async def verify(tx: Connection, run_id: UUID) -> VerdictView:
    """Prove a plan's bound anew from the arrays that were kept, by code the solver has no part
    in."""
    view = await get_run(tx, run_id)
    proof = await store.proof(tx, run_id)
    assert proof is not None
    held = files.read(BytesIO(proof))
    market = files.market_of(held)
    plan, prices = files.plan_of(held, market)
    verdict = await to_thread(bound.judge, market, prices, plan)
    found = (verdict.value, verdict.bound, verdict.served, verdict.packs)
    said = (view.value_amount, view.bound_amount, view.served, view.packs_taken)
    return VerdictView(
        run_id=run_id,
        holds=found == said,
        value_amount=verdict.value,
        bound_amount=verdict.bound,
        served=verdict.served,
        packs_taken=verdict.packs,
    )


# Proposals


async def get_proposal(tx: Connection, proposal_id: UUID) -> ProposalView:
    row = await store.get_proposal(tx, proposal_id)
    if row is None:
        raise NoSuchProposal
    return convert(row, ProposalView)


async def explain(tx: Connection, proposal_id: UUID) -> ExplanationView:
    found = await store.explanation(tx, proposal_id)
    if found is None:
        raise NoSuchProposal
    return found


async def open_proposal(tx: Connection, proposal_id: UUID, to: ProposalState) -> Record:
    """Lock a proposal that may go into a state. Raises `ProposalDecided`."""
    row = await store.lock_proposal(tx, proposal_id)
    if row is None:
        raise NoSuchProposal
    if to not in PROPOSAL_STATES[ProposalState(row["state"])]:
        raise ProposalDecided(f"it is {row['state']}", state=row["state"])
    return row


async def accept(
    tx: Connection, proposal_id: UUID, data: ProposalAcceptance, *, by: str, now: datetime
) -> AcceptedView:
    """Make lines of a proposal, its packs reserved for them, in a contract that is there or in a
    draft. Raises `ProposalDecided`, `ProposalExpired`, `ProposalStale` when a pack is gone."""
    if (data.contract_id is None) == (data.draft is None):
        message = "name a contract, or the terms of a draft, and not both"
        raise BadAcceptance(message, fields=[FieldError("/contract_id", "one_of", message)])
    if data.contract_id is not None:
        # Before packs, as hand-overs lock them.
        await contracts.lock(tx, data.contract_id)
    row = await open_proposal(tx, proposal_id, ProposalState.ACCEPTED)
    if now >= row["expires_at"]:
        raise ProposalExpired(f"it was open until {row['expires_at']}", at=row["expires_at"])
    need = await store.lock_need(tx, row["need_id"])
    assert need is not None
    if need.state is not NeedState.OPEN:
        raise NeedNotOpen(f"the need is {need.state}")
    held = await still_there(tx, proposal_id, need, now)
    contract_id, line_ids = await make_lines(tx, need, held, data, by=by, now=now)
    pack_ids = [one["pack_id"] for one in held]
    await store.reserve(tx, proposal_id, pack_ids, line_ids)
    await store.decide(tx, proposal_id, ProposalState.ACCEPTED, by, now, contract_id=contract_id)
    await store.change_need(tx, replace(need, state=NeedState.MATCHED))
    facts: dict[str, object] = {"proposal_id": proposal_id, "contract_id": contract_id}
    facts |= {"packs": len(pack_ids)}
    await tell(tx, "market_need", need.id, "market.matched", facts, by, now)
    made = await get_proposal(tx, proposal_id)
    return AcceptedView(proposal=made, contract_id=contract_id, line_ids=line_ids)


async def still_there(
    tx: Connection, proposal_id: UUID, need: NeedView, now: datetime
) -> Sequence[Record]:
    """The packs of a proposal, locked. Raises `ProposalStale` naming those that are quarantined,
    held, leased, reserved, gone, or weaker than they were."""
    held = await store.packs_of(tx, proposal_id)
    ids = [one["pack_id"] for one in held]
    await packs.lock_many(tx, ids)
    terms = convert(await store.terms_of(tx, proposal_id), Kept).terms
    today = civil_date(now)
    there = await store.supply(tx, today, need.starts_on, terms.warehouse_adcode, ids)
    strong = {one.pack_id: one.soh for one in there}
    gone = [one["pack_id"] for one in held if strong.get(one["pack_id"], -1) < one["soh_permille"]]
    if gone:
        raise ProposalStale(
            f"{len(gone)} of {len(ids)} packs are leased, held or weaker since", pack_ids=gone
        )
    return held


class Kept(msgspec.Struct, frozen=True):
    terms: MarketTerms


async def make_lines(
    tx: Connection,
    need: NeedView,
    held: Sequence[Record],
    data: ProposalAcceptance,
    *,
    by: str,
    now: datetime,
) -> tuple[UUID, list[UUID]]:
    """A line for each pack, the rent shared out to the fen. Raises `OtherLessee`."""
    rents = allocate(need.rent_amount, [1] * len(held))
    wanted = [
        LineCreate(
            site_id=need.site_id,
            slot=need.first_slot + at,
            pack_id=one["pack_id"],
            rated_capacity_mah=one["rated_capacity_mah"],
            rent_amount=rent,
        )
        for at, (one, rent) in enumerate(zip(held, rents, strict=True))
    ]
    if data.contract_id is not None:
        contract = await contracts.get(tx, data.contract_id, civil_date(now))
        if contract.lessee_id != need.lessee_id:
            raise OtherLessee
        if contract.currency != "CNY":
            raise BadAcceptance("rents of needs are in CNY, the contract is not")
        added = LinesCreate(from_on=data.from_on or need.starts_on, lines=wanted)
        ids = await contracts.add_lines(tx, data.contract_id, added, by=by, now=now)
        return data.contract_id, ids
    assert data.draft is not None
    if data.draft.currency != "CNY":
        raise BadAcceptance("rents of needs are in CNY, the draft is not")
    agreed = {name: getattr(data.draft, name) for name in ContractTerms.__struct_fields__}
    draft = ContractCreate(
        number=data.draft.number,
        lessor_id=data.draft.lessor_id,
        lessee_id=need.lessee_id,
        lines=[],
        **agreed,
    )
    made = await contracts.create(tx, draft, by=by, now=now)
    added = LinesCreate(from_on=data.draft.starts_on, lines=wanted)
    return made.id, await contracts.add_lines(tx, made.id, added, by=by, now=now)


async def decline(
    tx: Connection, proposal_id: UUID, reason: str, *, by: str, now: datetime
) -> ProposalView:
    row = await open_proposal(tx, proposal_id, ProposalState.DECLINED)
    await store.decide(tx, proposal_id, ProposalState.DECLINED, by, now, reason=reason)
    facts: dict[str, object] = {"proposal_id": proposal_id, "reason": reason}
    await tell(tx, "market_need", row["need_id"], "market.declined", facts, by, now)
    return await get_proposal(tx, proposal_id)


async def tidy(tx: Connection, *, by: str, now: datetime) -> int:
    """Proposals whose time is over expire; reservations whose lines are gone are given up, and
    their needs are open again. Twice is the same as once."""
    expired = await store.close(tx, now, ProposalState.EXPIRED, by, now)
    fallen = await store.fall_through(tx, by, now)
    told = [
        Event("market_need", row["need_id"], kind, {"proposal_id": row["id"]})
        for rows, kind in ((expired, "market.expired"), (fallen, "market.fell_through"))
        for row in rows
    ]
    await events.append(tx, told, actor=by, now=now)
    return len(told)


async def last_run(tx: Connection) -> RunView | None:
    """The plan before."""
    row = await store.last_run(tx)
    return convert(row, RunView) if row else None


async def untouched(tx: Connection, run_id: UUID) -> bool:
    """Whether all proposals of a plan are still open."""
    return await store.untouched(tx, run_id)


async def queue_up(tx: Connection) -> None:
    await store.queue_up(tx)


async def tell(
    tx: Connection,
    aggregate: str,
    aggregate_id: UUID,
    kind: str,
    facts: dict[str, object],
    by: str,
    now: datetime,
) -> None:
    await events.append(tx, [Event(aggregate, aggregate_id, kind, facts)], actor=by, now=now)
