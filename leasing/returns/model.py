"""Returns: states of an order, what is known of a pack that came back, and what is refused."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.outlets import Hazard
from schemas.packs import PackState
from schemas.returns import Decision, Grade, OrderState

NEXT_STATES: dict[OrderState, set[OrderState]] = {
    OrderState.ORDERED: {OrderState.SCHEDULED, OrderState.CANCELLED},
    OrderState.SCHEDULED: {OrderState.COLLECTED, OrderState.ARRIVED, OrderState.CANCELLED},
    OrderState.COLLECTED: {OrderState.ARRIVED},
    OrderState.ARRIVED: {OrderState.INSPECTED},
    OrderState.INSPECTED: {OrderState.SETTLED},
    OrderState.SETTLED: set(),
    OrderState.CANCELLED: set(),
}


class Found(msgspec.Struct, frozen=True):
    """A pack as its newest inspection since it came back left it."""

    inspection_id: UUID
    state: PackState
    hazard: Hazard
    grade: Grade
    chemistry: str
    mass_kg: int
    rated_capacity_mah: int
    rated_voltage_mv: int
    tested_capacity_mah: int | None
    quarantined: bool


class Band(msgspec.Struct, frozen=True):
    """From which health on, in per cent of rated capacity."""

    release_from_percent: Decimal
    repair_from_percent: Decimal
    source: str


class Offer(msgspec.Struct, frozen=True):
    """The best that recyclers give for a kilogram on a day, for one disposition."""

    disposition: Decision
    recycler: str
    cny_per_kg: Decimal
    valid_to: date | None
    source: str


class NoInspection(Conflict):
    code = "not_inspected"
    title = "A returned pack is inspected before it is decided on"


class HazardForbidsRelease(Conflict):
    code = "hazard_forbids_release"
    title = "A damaged pack is not leased again"


class Inadmissible(Conflict):
    code = "disposition_inadmissible"
    title = "The rules of that day forbid this for the pack"


class InspectedAlready(Conflict):
    code = "inspected_already"
    title = "The pack was inspected on that day"


class DecidedAlready(Conflict):
    code = "decided_already"
    title = "This inspection was decided on"


class BadSheet(Invalid):
    code = "bad_sheet"
    title = "The sheet does not answer its form"


class BurntIsNotIntact(Invalid):
    code = "burnt_is_not_intact"
    title = "What is left of a burnt pack is not intact"


class FormVersionTaken(Conflict):
    code = "form_version_taken"
    title = "Another form of this model is valid on some of these days"


class BandTaken(Conflict):
    code = "band_taken"
    title = "Another band of this use is valid on some of these days"


class BadBand(Invalid):
    code = "bad_band"
    title = "A pack is repaired at the health at which it is leased again, or below"


class BadDays(Invalid):
    code = "ends_before_it_begins"
    title = "The last day comes before the first"


class NoSuchInspection(NotFound):
    code = "inspection_not_found"
    title = "There is no such inspection"


class NothingToTreat(Conflict):
    code = "nothing_to_treat"
    title = "The transport check of this inspection did not fail"


class TreatedAlready(Conflict):
    code = "treated_already"
    title = "A treatment of this pack was recorded and accepted already"


class TransportCheckFailed(Conflict):
    code = "transport_check_failed"
    title = "The pack failed its transport check: it is treated and accepted by both sides first"


class NotAwaited(Conflict):
    code = "waste_not_awaited"
    title = "What comes into the lessor's store was declared waste before, and has not left since"


class NotToRepair(Conflict):
    code = "not_to_repair"
    title = "No repair of this pack is open"


class NoSuchOrder(NotFound):
    code = "return_order_not_found"
    title = "There is no such return order"


class OrderStateWrong(Conflict):
    code = "return_order_state"
    title = "The return order is in another state"


class BadOrder(Invalid):
    code = "bad_return_order"
    title = "These lines cannot come back by one order"


class LineOrdered(Conflict):
    code = "line_on_another_order"
    title = "The line comes back by another order"


class BadOutcomes(Invalid):
    code = "bad_outcomes"
    title = "The outcomes do not say of each pack what became of it"


class BadSettlement(Invalid):
    code = "bad_settlement"
    title = "This cannot be settled"


class SettledAlready(Conflict):
    code = "settled_already"
    title = "The return order was settled"


class RentNotKnown(Conflict):
    code = "rent_not_known"
    title = "The last rent rests on something that nobody entered"


class RecordsContradict(Conflict):
    code = "records_contradict"
    title = "The records of a pack contradict its stay in a line, so that its rent is not settled"


class NotSettled(NotFound):
    code = "settlement_not_found"
    title = "The return order was not settled yet"


CONSTRAINTS = {
    "inspection_once": InspectedAlready,
    "disposition_once_per_inspection": DecidedAlready,
    "inspection_form_one_at_a_time": FormVersionTaken,
    "inspection_form_version_once": FormVersionTaken,
    "disposition_band_one_at_a_time": BandTaken,
    "transport_treatment_pkey": TreatedAlready,
    "transport_check_failed": TransportCheckFailed,
    "disposition_repaired_afterwards": NotToRepair,
    "return_order_item_line_once": LineOrdered,
    "return_settlement_once": SettledAlready,
    "return_settlement_order_once": SettledAlready,
}


def refuse_unless_next(current: OrderState, wanted: OrderState) -> None:
    """Raise `OrderStateWrong` unless an order may go from one state to the other."""
    if wanted not in NEXT_STATES[current]:
        raise OrderStateWrong(
            f"an order that is {current} cannot become {wanted}", state=current, wanted=wanted
        )
