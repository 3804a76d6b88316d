"""Where returned packs may go, and what is refused on the way."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.end_of_life import terms
from leasing.kit.errors import Conflict, Invalid, NotFound


class NotDecided(Conflict):
    code = "not_condemned"
    title = "Only a pack that was condemned is routed to a recycler"


class NotOnePlace(Conflict):
    code = "lot_not_of_one_place"
    title = "The packs of a lot wait at one place"


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


class BadBatch(Invalid):
    code = "bad_batch"
    title = "These packs are no batch"


class BadRecovery(Invalid):
    code = "bad_recovery"
    title = "The figures of the certificate contradict each other"


class NoSuchBatch(NotFound):
    code = "recovery_batch_not_found"
    title = "There is no such batch"


class BatchInState(Conflict):
    code = "recovery_batch_state"
    title = "The batch is in another state"


class BatchNumberTaken(Conflict):
    code = "recovery_batch_number_taken"
    title = "The recycler has another batch with this number"


class InAnotherBatch(Conflict):
    code = "in_another_batch"
    title = "A pack is treated in one batch"


class CertificateFinal(Conflict):
    code = "certificate_final"
    title = "A certificate is not changed"


class Consigned(Conflict):
    code = "routing_consigned"
    title = "The pack is in a consignment, and goes with it"


class NoSuchOutletFirm(NotFound):
    code = "outlet_firm_not_found"
    title = "There is no such firm behind an outlet"


class FirmEndsOtherwise(Conflict):
    code = "outlet_firm_ends_otherwise"
    title = "A firm stands behind an outlet for a day at least, and not beyond an end it has"


class BehindItAlready(Conflict):
    code = "outlet_firm_overlaps"
    title = "The firm stands behind the outlet on some of these days already"


class NotAnOutlet(NotFound):
    code = "outlet_not_found"
    title = "There is no such outlet"


class NotAFirm(NotFound):
    code = "recycler_not_found"
    title = "There is no such recycler"


class FirmFull(Conflict):
    code = "firm_full"
    title = "The utilisation firm treats no more in these days"


CONSTRAINTS = {
    **terms.CONSTRAINTS,
    "outlet_firm_one_at_a_time": BehindItAlready,
    "outlet_firm_outlet": NotAnOutlet,
    "outlet_firm_of_a_recycler": NotAFirm,
    "treatment_capacity_of_a_recycler": NotAFirm,
    "treatment_capacity_not_exceeded": FirmFull,
    "outlet_store_limit": OutletFull,
    "recovery_certificate_number_once": CertificateNumberTaken,
    "recovery_batch_number_once": BatchNumberTaken,
    "recovery_batch_pack_once": InAnotherBatch,
    "recovery_certificate_is_final": CertificateFinal,
    "routing_consigned": Consigned,
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
    capacity_ids: list[UUID]
