"""Where returned packs may go, and what is refused on the way."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.outlets import Hazard, OutletKind


class Candidate(msgspec.Struct, frozen=True):
    """An outlet as seen from a pack on its planned hand-over day."""

    id: UUID
    code: str
    kind: OutletKind
    longitude: float
    latitude: float
    recycler_id: UUID
    chemistries: list[str]
    hazards: list[Hazard]
    free_kg: int
    missing: list[str]
    """Kinds of evidence that the recycler does not hold on that day."""


class Ranked(msgspec.Struct, frozen=True):
    """A candidate with its distance and every reason against it."""

    outlet: Candidate
    distance_m: int
    reasons: list[str]


class Load(msgspec.Struct, frozen=True):
    """What is to be taken: one pack."""

    pack_id: UUID
    chemistry: str
    hazard: Hazard
    mass_kg: int
    longitude: float
    latitude: float


class NotDecided(Conflict):
    code = "not_condemned"
    title = "Only a pack that was condemned is routed to a recycler"


class NoFeasibleOutlet(Conflict):
    code = "no_feasible_outlet"
    title = "No outlet may and can take the pack"


class NoSuchRouting(NotFound):
    code = "routing_not_found"
    title = "There is no such routing"


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


CONSTRAINTS = {
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
