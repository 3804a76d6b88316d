"""A pack that came back: inspected by both sides, treated where unfit to travel, decided on."""

from datetime import date, datetime
from uuid import UUID

from leasing.batteries import service as batteries
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.returns import forms, orders_store, rules, store
from leasing.returns.model import (
    BadBand,
    BadDays,
    BurntIsNotIntact,
    HazardForbidsRelease,
    Inadmissible,
    NoInspection,
    NoSuchInspection,
    NotAwaited,
    NothingToTreat,
    NotToRepair,
)
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.outlets import Hazard
from schemas.packs import PackState, PackView
from schemas.returns import (
    Assumptions,
    BandCreate,
    BandView,
    Decision,
    DispositionCreate,
    DispositionOptions,
    DispositionView,
    FormToFill,
    HazardFound,
    InspectionCreate,
    InspectionFormCreate,
    InspectionFormView,
    InspectionView,
    RepairCreate,
    TreatmentCreate,
    WasteReceiptCreate,
)

UNDECIDED = (PackState.RETURNED, PackState.BURNT)
"""States in which it is not said yet what becomes of a pack, or of what is left of it."""
WITH_LESSOR = (*UNDECIDED, PackState.CONDEMNED, PackState.ROUTED)
"""States in which a pack may be looked at: on its return, and again before it is packed."""

# Forms and bands


def refuse_backwards(valid_from: date, valid_to: date | None) -> None:
    if valid_to is not None and valid_to <= valid_from:
        message = f"must be after {valid_from}"
        raise BadDays(message, fields=[FieldError("/valid_to", "ends_before_it_begins", message)])


async def enter_form(
    tx: Connection, data: InspectionFormCreate, *, by: str, now: datetime
) -> InspectionFormView:
    """A form, from a day on. Raises `FormVersionTaken` when another is valid then."""
    refuse_backwards(data.valid_from, data.valid_to)
    if (data.maker == "") != (data.model == ""):
        message = "a form is of a maker's model, or of all packs"
        raise BadDays(message, fields=[FieldError("/model", "half_a_model", message)])
    made = await store.insert_form(tx, data, by, now)
    facts: dict[str, object] = {"maker": data.maker, "model": data.model, "version": made.version}
    entered = Event("inspection_form", made.id, "inspection_form.entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    return made


async def form_of(tx: Connection, pack_id: UUID, on: date) -> FormToFill:
    """The sheet to fill in for a pack on a day: its model's, the one for all, or the default."""
    await batteries.get(tx, pack_id)
    entered = await store.form_of(tx, pack_id, on)
    return entered or FormToFill(
        form_id=None,
        version=forms.VERSION,
        name=forms.NAME,
        source=forms.SOURCE,
        checks=forms.CHECKS,
        transport_checks=forms.TRANSPORT_CHECKS,
    )


async def enter_band(tx: Connection, data: BandCreate, *, by: str, now: datetime) -> BandView:
    """The health from which on packs are leased again. Raises `BandTaken`."""
    refuse_backwards(data.valid_from, data.valid_to)
    if float(data.repair_from_percent) > float(data.release_from_percent):
        message = f"must not be above {data.release_from_percent}"
        raise BadBand(message, fields=[FieldError("/repair_from_percent", "above", message)])
    made = await store.insert_band(tx, data, by, now)
    facts: dict[str, object] = {
        "permitted_use": data.permitted_use,
        "valid_from": data.valid_from,
        "release_from_percent": data.release_from_percent,
        "repair_from_percent": data.repair_from_percent,
        "source": data.source,
    }
    entered = Event("disposition_band", made.id, "disposition_band.entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    return made


# Inspections


async def inspect(
    tx: Connection, pack_id: UUID, data: InspectionCreate, *, by: str, now: datetime
) -> InspectionView:
    """Record the joint inspection of a pack that came back, or of what is left of it; of one that
    waits for its way it is the check before it is packed. The orders it came back by learn of it.
    Raises `BadSheet`, `BurntIsNotIntact`, `NoInspection`."""
    refuse_future(data.inspected_on, civil_date(now), "inspected_on")
    pack = await batteries.lock(tx, pack_id)
    if pack.state not in WITH_LESSOR:
        raise NoInspection(f"a pack that is {pack.state} is not inspected", state=pack.state)
    if data.hazard is HazardFound.INTACT and await store.is_burnt(tx, pack_id):
        message = "what has burnt is damaged at least"
        raise BurntIsNotIntact(message, fields=[FieldError("/hazard", "burnt", message)])
    version, passed = await read_sheet(tx, pack_id, data)
    hazard = rules.travels_as(data.hazard)
    inspection_id = await store.insert_inspection(tx, pack_id, data, hazard, version, passed)
    facts: dict[str, object] = {"grade": data.grade, "hazard": hazard}
    if passed is not None:
        facts["transport_passed"] = passed
    step = Step(pack_id, "pack.inspected", data.inspected_on, facts)
    await traceability.record(tx, [step], by=by, now=now)
    inspected = Event("pack", pack_id, "pack.inspected", {**facts, "on": data.inspected_on})
    await events.append(tx, [inspected], actor=by, now=now)
    for order_id in await store.link_items(tx, pack_id, inspection_id):
        await orders_store.note_inspected(tx, order_id)
    return await get_inspection(tx, inspection_id)


async def read_sheet(
    tx: Connection, pack_id: UUID, data: InspectionCreate
) -> tuple[int | None, bool | None]:
    """The version of the form that was filled in, and whether the pack may be packed."""
    if data.sheet is None:
        return None, None
    form = await form_of(tx, pack_id, data.inspected_on)
    rules.refuse_bad_sheet(form, data.sheet)
    return form.version, rules.transport_passed(data.sheet)


async def get_inspection(tx: Connection, inspection_id: UUID) -> InspectionView:
    made = await store.get_inspection(tx, inspection_id)
    if made is None:
        raise NoSuchInspection
    return made


async def treat(
    tx: Connection, inspection_id: UUID, data: TreatmentCreate, *, by: str, now: datetime
) -> InspectionView:
    """Record what was done about a failed transport check; both sides accept it, and the pack may
    travel. Raises `NothingToTreat`, `TreatedAlready`."""
    refuse_future(data.treated_on, civil_date(now), "treated_on")
    inspection = await get_inspection(tx, inspection_id)
    await batteries.lock(tx, inspection.pack_id)
    if inspection.transport_passed is not False:
        raise NothingToTreat
    if data.treated_on < inspection.inspected_on:
        message = f"the check was made on {inspection.inspected_on}"
        fault = FieldError("/treated_on", "before_the_check", message)
        raise NothingToTreat(message, fields=[fault])
    await store.insert_treatment(tx, inspection_id, inspection.pack_id, data, by, now)
    facts: dict[str, object] = {"inspection_id": inspection_id, "on": data.treated_on}
    treated = Event("pack", inspection.pack_id, "pack.treated_for_transport", facts)
    await events.append(tx, [treated], actor=by, now=now)
    return await get_inspection(tx, inspection_id)


# Decisions


async def options(
    tx: Connection, pack_id: UUID, given: Assumptions, on: date
) -> DispositionOptions:
    """What may become of an inspected pack by the rules of a day, what each way is worth, and what
    is proposed. Raises `NoInspection`."""
    await batteries.get(tx, pack_id)
    pack = await store.found(tx, pack_id)
    if pack is None:
        raise NoInspection
    band = await store.band_on(tx, given.permitted_use, on)
    band = band or rules.DEFAULT_BANDS[given.permitted_use]
    found = rules.options(pack, band, await store.offers(tx, pack.chemistry, on), given, on)
    proposed, because = rules.proposal(found)
    return DispositionOptions(
        pack_id=pack_id,
        inspection_id=pack.inspection_id,
        on=on,
        law=rules.law_on(on).name,
        hazard=pack.hazard,
        grade=pack.grade,
        health_percent=rules.health_percent(pack),
        usable_wh=rules.usable_wh(pack),
        options=found,
        proposed=proposed,
        proposed_because=because,
    )


BECOMES = {
    Decision.RELEASE: ("pack.reinstated", PackState.IN_STOCK),
    Decision.DISMANTLE: ("waste.declared", PackState.CONDEMNED),
    Decision.RECYCLE: ("waste.declared", PackState.CONDEMNED),
}
"""The step of a pack's life that a decision is, and its state after it. A pack to be repaired stays
where it is until that is done."""


async def decide(
    tx: Connection, pack_id: UUID, data: DispositionCreate, *, by: str, now: datetime
) -> DispositionView:
    """Decide what becomes of an inspected pack. The options that were shown are kept with it.
    Raises `HazardForbidsRelease` for a damaged pack that should be leased again, `Inadmissible`
    for what the rules of the day forbid otherwise."""
    refuse_future(data.decided_on, civil_date(now), "decided_on")
    pack = await batteries.lock(tx, pack_id)
    if pack.state not in UNDECIDED:
        raise NoInspection(f"a pack that is {pack.state} is not decided on", state=pack.state)
    shown = await options(tx, pack_id, data.assumptions, data.decided_on)
    refuse_inadmissible(shown, data.decision)
    row = await store.insert_disposition(tx, pack_id, data, shown)
    facts: dict[str, object] = {
        "reason": data.reason,
        "decision": data.decision,
        "proposed": shown.proposed,
        "hazard": shown.hazard,
        "health_percent": shown.health_percent,
    }
    kind = "pack.repair_decided"
    if data.decision in BECOMES:
        kind, state = BECOMES[data.decision]
        await batteries.move(tx, pack, state)
        step = Step(pack_id, kind, data.decided_on, facts)
        await traceability.record(tx, [step], by=by, now=now)
    decided = Event("pack", pack_id, kind, {**facts, "on": data.decided_on})
    await events.append(tx, [decided], actor=by, now=now)
    return convert(row, DispositionView)


def refuse_inadmissible(shown: DispositionOptions, wanted: Decision) -> None:
    chosen = next(one for one in shown.options if one.decision is wanted)
    if chosen.admissible:
        return
    if wanted is Decision.RELEASE and shown.hazard is not Hazard.INTACT:
        raise HazardForbidsRelease(f"the pack was found {shown.hazard}")
    because = "; ".join(f"{reason.en} ({reason.rule})" for reason in chosen.reasons)
    raise Inadmissible(because, reasons=[reason.code for reason in chosen.reasons])


async def finish_repair(
    tx: Connection, pack_id: UUID, data: RepairCreate, *, by: str, now: datetime
) -> DispositionView:
    """A repair is done and the pack is in stock. Raises `NotToRepair` when none was decided on
    since the pack came back."""
    refuse_future(data.repaired_on, civil_date(now), "repaired_on")
    pack = await batteries.lock(tx, pack_id)
    seen = await store.found(tx, pack_id)
    row = None
    if seen is not None and pack.state is PackState.RETURNED:
        row = await store.repaired(tx, pack_id, seen.inspection_id, data.repaired_on)
    if row is None:
        raise NotToRepair(f"a pack that is {pack.state}", state=pack.state)
    await batteries.move(tx, pack, PackState.IN_STOCK)
    facts: dict[str, object] = {
        "tested_capacity_mah": data.tested_capacity_mah,
        "report": data.report,
    }
    step = Step(pack_id, "pack.repaired", data.repaired_on, facts)
    await traceability.record(tx, [step], by=by, now=now)
    done = Event("pack", pack_id, "pack.repaired", {**facts, "on": data.repaired_on})
    await events.append(tx, [done], actor=by, now=now)
    return convert(row, DispositionView)


async def store_waste(
    tx: Connection, pack_id: UUID, data: WasteReceiptCreate, *, by: str, now: datetime
) -> PackView:
    """A pack that was declared waste comes into the lessor's own store. Raises `NotAwaited` when it
    was not declared waste, has arrived there before, or has left."""
    refuse_future(data.received_on, civil_date(now), "received_on")
    pack = await batteries.lock(tx, pack_id)
    last = await traceability.last_of_waste(tx, pack_id)
    if last is None or last["kind"] != "waste.declared":
        raise NotAwaited(f"a pack that is {pack.state}", state=pack.state)
    if data.received_on < last["happened_on"]:
        message = f"it was declared waste on {last['happened_on']}"
        raise NotAwaited(message, fields=[FieldError("/received_on", "before", message)])
    inspected = await store.found(tx, pack_id)
    facts: dict[str, object] = {
        "mass_kg": pack.mass_kg,
        "inspection_id": inspected.inspection_id if inspected else None,
    }
    step = Step(pack_id, "waste.inbound", data.received_on, facts, data.adcode)
    await traceability.record(tx, [step], by=by, now=now)
    stored = Event("pack", pack_id, "pack.waste_stored", {**facts, "on": data.received_on})
    await events.append(tx, [stored], actor=by, now=now)
    return await batteries.get(tx, pack_id)
