"""Where returned packs may go, and what is refused on the way."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.end_of_life import terms
from leasing.kit.errors import Conflict, NotFound


class NoInspection(Conflict):
    code = "not_inspected"
    title = "A returned pack is inspected before it is decided on"


class HazardForbidsRelease(Conflict):
    code = "hazard_forbids_release"
    title = "A damaged pack is not leased again"


class NotDecided(Conflict):
    code = "not_condemned"
    title = "Only a pack that was condemned is routed to a recycler"


class NotOnePlace(Conflict):
    code = "lot_not_of_one_place"
    title = "The packs of a lot wait at one place"


class InspectedAlready(Conflict):
    code = "inspected_already"
    title = "The pack was inspected on that day"


class DecidedAlready(Conflict):
    code = "decided_already"
    title = "This inspection was decided on"


class NoFeasibleOutlet(Conflict):
    code = "no_feasible_outlet"
    title = "No outlet may and can take the pack"


class NoSuchRouting(NotFound):
    code = "routing_not_found"
    title = "There is no such routing"


class NoSuchPlan(NotFound):
    code = "routing_plan_not_found"
    title = "There is no such plan"


class PlanIsClosed(Conflict):
    code = "routing_plan_closed"
    title = "The plan does not wait to be applied"


class NothingToReroute(Conflict):
    code = "nothing_to_reroute"
    title = "Every open routing leads to a recycler that may take the pack on its day"


class RoutingState(Conflict):
    code = "routing_state"
    title = "The routing is in another state"


class OutletNotQualified(Conflict):
    code = "outlet_not_qualified"
    title = "The outlet's recycler is not qualified on that day"


class OutletFull(Conflict):
    code = "outlet_full"
    title = "The outlet has no room for this mass"


class CertificateNumberTaken(Conflict):
    code = "certificate_number_taken"
    title = "The recycler issued another certificate with this number"


class RecycledBeforeHandOver(Conflict):
    code = "recycled_before_hand_over"
    title = "A pack is recycled after it was handed over"


CONSTRAINTS = {
    **terms.CONSTRAINTS,
    "inspection_once": InspectedAlready,
    "disposition_once_per_inspection": DecidedAlready,
    "outlet_store_limit": OutletFull,
    "recycling_certificate_number_once": CertificateNumberTaken,
    "routing_recycled_after_hand_over": RecycledBeforeHandOver,
}


class Routing(msgspec.Struct, frozen=True):
    id: UUID
    pack_id: UUID
    outlet_id: UUID
    recycler_id: UUID
    state: str
    mass_kg: int
    hand_over_on: date
    adcode: str
