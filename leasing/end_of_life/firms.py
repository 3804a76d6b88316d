"""Which utilisation firms stand behind outlets, and what their plants treat."""

from datetime import datetime
from uuid import UUID

from leasing.db.pool import Connection
from leasing.end_of_life import firms_store as store
from leasing.end_of_life.model import FirmEndsOtherwise, NoSuchOutletFirm
from leasing.end_of_life.terms import EmptyDays
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from schemas.firms import (
    OutletFirmCreate,
    OutletFirmEnd,
    OutletFirmView,
    TreatmentCapacityCreate,
    TreatmentCapacityView,
)


def refuse_no_day(data: OutletFirmCreate | TreatmentCapacityCreate) -> None:
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise EmptyDays(fields=[fault])


async def stand_behind(
    tx: Connection, data: OutletFirmCreate, *, by: str, now: datetime
) -> OutletFirmView:
    """A firm stands behind an outlet from a day on. Raises `EmptyDays`; the database refuses what
    is no outlet, no recycler, or there already."""
    refuse_no_day(data)
    made = convert(await store.insert_firm(tx, data, by, now), OutletFirmView)
    facts: dict[str, object] = {
        "recycler_id": made.recycler_id,
        "from": made.valid_from,
        "to": made.valid_to,
        "document": made.document,
    }
    told = Event("outlet", made.outlet_id, "outlet.firm_entered", facts)
    await events.append(tx, [told], actor=by, now=now)
    return made


async def end(
    tx: Connection, link_id: UUID, data: OutletFirmEnd, *, by: str, now: datetime
) -> OutletFirmView:
    """A firm stands behind an outlet no longer. What is reserved for it stays."""
    if not await store.is_outlet_firm(tx, link_id):
        raise NoSuchOutletFirm
    row = await store.end_firm(tx, link_id, data.ended_on)
    if row is None:
        raise FirmEndsOtherwise
    ended = convert(row, OutletFirmView)
    facts: dict[str, object] = {"recycler_id": ended.recycler_id, "on": data.ended_on}
    told = Event("outlet", ended.outlet_id, "outlet.firm_ended", facts)
    await events.append(tx, [told], actor=by, now=now)
    return ended


async def enter_capacity(
    tx: Connection, data: TreatmentCapacityCreate, *, by: str, now: datetime
) -> TreatmentCapacityView:
    """What a plant treats in some days. Of several that name a chemistry, a pack meets all."""
    refuse_no_day(data)
    made = convert(await store.insert_capacity(tx, data, by, now), TreatmentCapacityView)
    facts: dict[str, object] = {
        "capacity_id": made.id,
        "chemistries": made.chemistries,
        "from": made.valid_from,
        "to": made.valid_to,
        "capacity_kg": made.capacity_kg,
        "document": made.document,
    }
    told = Event("party", made.recycler_id, "capacity.entered", facts)
    await events.append(tx, [told], actor=by, now=now)
    return made
