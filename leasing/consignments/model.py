"""Consignments: their states, and what is refused on the way."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from schemas.consignments import ConsignmentState
from schemas.outlets import Hazard

NEXT_STATES: dict[ConsignmentState, set[ConsignmentState]] = {
    ConsignmentState.PACKED: {ConsignmentState.DISPATCHED, ConsignmentState.CANCELLED},
    ConsignmentState.DISPATCHED: {ConsignmentState.WEIGHED_IN, ConsignmentState.REFUSED},
    ConsignmentState.WEIGHED_IN: {ConsignmentState.RECEIVED, ConsignmentState.REFUSED},
    ConsignmentState.RECEIVED: set(),
    ConsignmentState.REFUSED: set(),
    ConsignmentState.CANCELLED: set(),
}


class Candidate(msgspec.Struct, frozen=True):
    """A pack with a routing, as seen when a lot is put together or sent off."""

    routing_id: UUID
    pack_id: UUID
    outlet_id: UUID
    recycler_id: UUID
    state: str
    mass_kg: int
    adcode: str | None
    """Where it waits."""
    chemistry: str
    hazard: Hazard | None
    """Found by the newest inspection since it came back; None if there was none."""
    is_quarantined: bool
    soc_percent: float | None
    soc_at: datetime | None


class Lot(msgspec.Struct, frozen=True):
    """A consignment, locked."""

    id: UUID
    number: str
    state: ConsignmentState
    outlet_id: UUID
    recycler_id: UUID
    purpose: str
    hazard: Hazard
    un_number: str
    expected_kg: int
    packed_on: date
    dispatched_on: date | None
    weighed_on: date | None
    weighed_kg: Decimal | None
    is_discrepant: bool | None
    discrepancy_explanation: str | None
    carrier_id: UUID | None
    mode: str | None
    vehicle: str | None
    packing: dict[str, Any]


class Hindrance(msgspec.Struct, frozen=True):
    """One reason why a lot may not leave."""

    code: str
    message: str
    pack_ids: list[UUID] = []


class NoSuchConsignment(NotFound):
    code = "consignment_not_found"
    title = "There is no such consignment"


class ConsignmentInState(Conflict):
    code = "consignment_state"
    title = "The consignment is in another state"


class ConsignmentNumberTaken(Conflict):
    code = "consignment_number_taken"
    title = "There is another consignment with this number"


class InAnotherLot(Conflict):
    code = "in_another_consignment"
    title = "A pack is in one consignment at a time"


class MixedHazards(Conflict):
    code = "mixed_hazards"
    title = "Packs of different hazard classes do not travel in one lot"


class SeveralOutlets(Conflict):
    code = "several_outlets"
    title = "A consignment goes to one outlet"


class NotInspected(Conflict):
    code = "not_inspected_for_transport"
    title = "A pack is inspected by both sides before it is packed"


class NoPackingRule(Conflict):
    code = "no_packing_rule"
    title = "No rule says how this is packed on that day"


class MayNotLeave(Conflict):
    code = "may_not_leave"
    title = "The consignment may not leave"


class DamagedByAir(Conflict):
    code = "damaged_by_air"
    title = "Damaged batteries do not fly"


class Unexplained(Conflict):
    code = "discrepancy_unexplained"
    title = "The lot does not weigh what it should, and nobody said why"


class NotDiscrepant(Conflict):
    code = "not_discrepant"
    title = "There is nothing to explain"


class WrongOrder(Conflict):
    code = "consignment_order"
    title = "A consignment is packed, sent, weighed and received in this order"


class BadWeights(Invalid):
    code = "bad_weights"
    title = "These are not the weights of this lot"

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(message, fields=[FieldError(pointer, code, message)])


class NotACarrier(Conflict):
    code = "not_a_carrier"
    title = "The party is no carrier on that day"


class NoSuchPermit(NotFound):
    code = "carrier_permit_not_found"
    title = "There is no such permit of this carrier"


class PermitOverlaps(Conflict):
    code = "carrier_permit_overlaps"
    title = "The carrier has a permit of this mode in that time"


class PermitEnded(Conflict):
    code = "carrier_permit_ended"
    title = "The permit was withdrawn, or begins or ends by itself before that day"


class BadPermit(Invalid):
    code = "bad_carrier_permit"
    title = "The permit is valid on no day"


CONSTRAINTS: dict[str, Any] = {
    "consignment_number_once": ConsignmentNumberTaken,
    "consignment_pack_in_one_lot": InAnotherLot,
    "consignment_pack_of_its_hazard": MixedHazards,
    "consignment_pack_to_its_outlet": SeveralOutlets,
    "consignment_damaged_not_by_air": DamagedByAir,
    "consignment_discrepancy_explained": Unexplained,
    "consignment_in_order": WrongOrder,
    "carrier_permit_one_at_a_time": PermitOverlaps,
}
