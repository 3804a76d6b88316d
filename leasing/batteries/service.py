"""Packs: acquiring them, correcting them, and moving them from state to state."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from uuid import UUID

import msgspec

from leasing.batteries import codes, rules, store
from leasing.batteries.codes import BatteryCode, BatteryCodeError
from leasing.batteries.model import (
    CONSTRAINTS,
    BadPack,
    BadPackCode,
    NoSuchPack,
    refuse_unless_next,
)
from leasing.batteries.store import NewCode, NewPack, Pack
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, refusal
from leasing.kit import vin
from leasing.kit.errors import DomainError, FieldError
from leasing.kit.rows import convert, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import CodeScheme, PackCreate, PackPatch, PackState, PackView


async def acquire(
    tx: Connection, packs: Sequence[PackCreate], *, by: str, now: datetime
) -> list[UUID]:
    """Take packs into stock. Raises `BadPackCode` with every fault of a code at once, and
    `BadPack` with everything else that cannot be true."""
    today = civil_date(now)
    decoded = [read_code(pack.code, today) for pack in packs]
    made = [new_pack(pack, code, today) for pack, code in zip(packs, decoded, strict=True)]
    ids = await store.insert(tx, made, now)
    rows = [
        row
        for pack_id, pack, code in zip(ids, packs, decoded, strict=True)
        for row in all_codes(pack_id, pack, code)
    ]
    await store.insert_codes(tx, rows)
    steps = [
        Step(
            pack_id,
            "pack.acquired",
            pack.acquired_on,
            acquisition(pack, code),
            None,
            pack.acquired_from_id,
        )
        for pack_id, pack, code in zip(ids, packs, decoded, strict=True)
    ]
    await traceability.record(tx, steps, by=by, now=now)
    facts = [
        Event("pack", step.pack_id, "pack.acquired", {**step.data, "on": step.happened_on})
        for step in steps
    ]
    await events.append(tx, facts, actor=by, now=now)
    return ids


def acquisition(pack: PackCreate, code: BatteryCode) -> dict[str, object]:
    """What the first record of a pack says."""
    said: dict[str, object] = {
        "code": code.text,
        "chemistry": code.chemistry,
        "mass_kg": pack.mass_kg,
        "from": pack.acquired_from,
        "originals": pack.original_codes,
    }
    return said if pack.vin is None else {**said, "vin": pack.vin.upper()}


async def acquire_each(
    tx: Connection, wanted: Sequence[PackCreate], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """Take packs into stock. Returns for each its id, or why it is refused."""
    today = civil_date(now)

    async def together(part: Sequence[PackCreate]) -> list[UUID | DomainError]:
        refused = [refusal(partial(read, pack, today)) for pack in part]
        good = [pack for pack, no in zip(part, refused, strict=True) if no is None]
        ids = iter(await acquire(tx, good, by=by, now=now) if good else [])
        return [no or next(ids) for no in refused]

    return await each(tx, wanted, CONSTRAINTS, together)


def read(pack: PackCreate, today: date) -> NewPack:
    """What is entered for a pack. Raises `BadPackCode`, `BadPack`."""
    return new_pack(pack, read_code(pack.code, today), today)


def read_code(text: str, today: date) -> BatteryCode:
    """A pack's own code, decoded. Raises `BadPackCode` naming positions, and for a code that
    is well formed but dated in the future."""
    try:
        code = codes.decode(text)
    except BatteryCodeError as error:
        faults = [FieldError("/code", error.code, str(fault)) for fault in error.faults]
        raise BadPackCode(str(error), fields=faults, suggestions=error.suggestions) from error
    doubts = codes.doubts(code, today)
    if doubts:
        faults = [FieldError("/code", doubt.code, doubt.reason) for doubt in doubts]
        raise BadPackCode(doubts[0].reason, fields=faults)
    return code


def new_pack(pack: PackCreate, code: BatteryCode, today: date) -> NewPack:
    """Raises `BadPack`."""
    made = NewPack(
        chemistry=code.chemistry,
        maker=code.manufacturer,
        made_on=code.made_on,
        cells_in_series=pack.cells_in_series,
        rated_voltage_mv=pack.rated_voltage_mv,
        rated_capacity_mah=pack.rated_capacity_mah,
        maker_energy_wh=pack.maker_energy_wh,
        max_voltage_mv=pack.max_voltage_mv,
        min_voltage_mv=pack.min_voltage_mv,
        full_cell_mv=pack.full_cell_mv,
        mass_kg=pack.mass_kg,
        acquired_on=pack.acquired_on,
        vin=pack.vin,
        carmaker=pack.carmaker,
        vehicle_model=pack.vehicle_model,
        removed_on=pack.removed_on,
    )
    return msgspec.structs.replace(made, vin=checked(msgspec.structs.asdict(made), today))


def checked(pack: dict[str, object], today: date) -> str | None:
    """The VIN of a pack in capitals. Raises `BadPack` with all that cannot be true of it."""
    faults = list(rules.pack_faults(pack, today))
    number = None
    try:
        number = vin.validate(str(pack["vin"])) if pack["vin"] is not None else None
    except vin.VinError as error:
        faults.append(FieldError("/vin", "bad_vin", str(error)))
    if faults:
        raise BadPack("; ".join(fault.message for fault in faults), fields=faults)
    return number


def all_codes(pack_id: UUID, pack: PackCreate, code: BatteryCode) -> list[NewCode]:
    """The pack's own code and those it had before. An old code that nobody can read is kept as
    it stands: refusing it would lose the battery's past."""
    own = NewCode(
        pack_id, rules.SCHEMES[code.form], code.text, code.manufacturer, True, code.made_on
    )
    found = [own]
    for original in dict.fromkeys(map(codes.normalise, pack.original_codes)):
        try:
            read = codes.decode(original)
            scheme, assigned_by = rules.SCHEMES[read.form], read.manufacturer
        except BatteryCodeError:
            scheme, assigned_by = CodeScheme.UNRECOGNISED, None
        if original != code.text:
            found.append(NewCode(pack_id, scheme, original, assigned_by, False))
    return found


async def change(
    tx: Connection, pack_id: UUID, data: PackPatch, expected: int, *, by: str, now: datetime
) -> PackView:
    """Correct what was given. Raises `VersionChanged` when another editor was first."""
    row = await store.lock_whole(tx, pack_id)
    if row is None:
        raise NoSuchPack
    changes = given(data)
    refuse_unless_current(row["version"], expected, row, changes)
    values = {**row, **changes}
    values["vin"] = checked(values, civil_date(now))
    if "vin" in changes:
        changes["vin"] = values["vin"]
    await store.update(tx, pack_id, values)
    await events.append(tx, [Event("pack", pack_id, "pack.changed", changes)], actor=by, now=now)
    return await get(tx, pack_id)


async def lock(tx: Connection, pack_id: UUID) -> Pack:
    """Lock a pack's row for the rest of the transaction. Raises `NoSuchPack`."""
    pack = await store.lock(tx, pack_id)
    if pack is None:
        raise NoSuchPack
    return pack


async def move(
    tx: Connection, pack: Pack, to: PackState, *, recycled_on: date | None = None
) -> None:
    """Take a locked pack to its next state. Raises `IllegalPackTransition`."""
    refuse_unless_next(pack.state, to)
    await store.set_state(tx, pack.id, to, recycled_on)


async def get(tx: Connection, pack_id: UUID) -> PackView:
    row = await store.get(tx, pack_id)
    if row is None:
        raise NoSuchPack
    return convert(row, PackView)
