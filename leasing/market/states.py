"""What may follow what in the market, and what is refused."""

from leasing.contracts.model import ForbiddenUse
from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.market import NeedState, ProposalState

NEED_STATES: dict[NeedState, set[NeedState]] = {
    NeedState.OPEN: {NeedState.MATCHED, NeedState.WITHDRAWN},
    NeedState.MATCHED: {NeedState.OPEN},
    NeedState.WITHDRAWN: {NeedState.OPEN},
}

PROPOSAL_STATES: dict[ProposalState, set[ProposalState]] = {
    ProposalState.PROPOSED: {
        ProposalState.ACCEPTED,
        ProposalState.DECLINED,
        ProposalState.EXPIRED,
        ProposalState.SUPERSEDED,
    },
    ProposalState.ACCEPTED: {ProposalState.FALLEN_THROUGH},
    ProposalState.DECLINED: set(),
    ProposalState.EXPIRED: set(),
    ProposalState.SUPERSEDED: set(),
    ProposalState.FALLEN_THROUGH: set(),
}


class NoSuchNeed(NotFound):
    code = "market_need_not_found"
    title = "There is no such need"


class NoSuchOffer(NotFound):
    code = "market_offer_not_found"
    title = "There is no such offer"


class NoSuchRun(NotFound):
    code = "market_run_not_found"
    title = "There is no such plan"


class NoSuchProposal(NotFound):
    code = "market_proposal_not_found"
    title = "There is no such proposal"


class BadNeed(Invalid):
    code = "bad_market_need"
    title = "The need contradicts itself"


class BadAcceptance(Invalid):
    code = "bad_market_acceptance"
    title = "A proposal is accepted into one contract"


class NeedNotOpen(Conflict):
    code = "market_need_not_open"
    title = "The need is not open"


class WeightIsTheLessors(Invalid):
    code = "market_weight"
    title = "Priorities are the lessor's to set"


class PackOffered(Conflict):
    code = "pack_offered"
    title = "The pack is on offer already"


class OfferWithdrawn(Conflict):
    code = "market_offer_withdrawn"
    title = "The offer was withdrawn before"


class ProposalDecided(Conflict):
    code = "market_proposal_decided"
    title = "The proposal is not open any more"


class ProposalExpired(Conflict):
    code = "market_proposal_expired"
    title = "The proposal has expired"


class ProposalStale(Conflict):
    code = "market_proposal_stale"
    title = "A pack of the proposal is not to be had any more"


class PackReserved(Conflict):
    code = "pack_reserved"
    title = "The pack is reserved for another line"


class OtherLessee(Conflict):
    code = "market_other_lessee"
    title = "The contract is another lessee's"


CONSTRAINTS = {
    "market_need_permitted_use": ForbiddenUse,
    "market_offer_one_open": PackOffered,
    "market_need_accepted_once": NeedNotOpen,
    "market_pack_reserved_once": PackReserved,
    "market_pack_reserved": PackReserved,
}
