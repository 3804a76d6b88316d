"""Packs: acquiring them, and moving them from state to state."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from leasing.batteries import codes, store
from leasing.batteries.codes import BatteryCode, BatteryCodeError, Form
from leasing.batteries.model import BadPackCode, NoSuchPack, PackCodeTaken, refuse_unless_next
from leasing.batteries.store import NewPack, Pack
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import CodeScheme, PackCreate, PackState, PackView

CONSTRAINTS = {"pack_code_once": PackCodeTaken}

SCHEMES = {Form.NEW: CodeScheme.GBT34014, Form.CASCADE: CodeScheme.GBT34014_CASCADE}


async def acquire(
    tx: Connection, packs: Sequence[PackCreate], *, by: str, now: datetime
) -> list[UUID]:
    """Take packs into stock. Raises `BadPackCode` with every fault of every code at once."""
    decoded = [read_code(pack, civil_date(now)) for pack in packs]
    ids = await store.insert(
        tx, [new_pack(pack, code) for pack, code in zip(packs, decoded, strict=True)], now
    )
    rows = [
        (pack_id, scheme, text, is_current)
        for pack_id, pack, code in zip(ids, packs, decoded, strict=True)
        for scheme, text, is_current in all_codes(pack, code)
    ]
    await store.insert_codes(tx, rows)
    steps = [
        Step(
            pack_id,
            "pack.acquired",
            pack.acquired_on,
            {"code": code.text, "from": pack.acquired_from, "originals": pack.original_codes},
        )
        for pack_id, pack, code in zip(ids, packs, decoded, strict=True)
    ]
    await traceability.record(tx, steps, by=by, now=now)
    facts = [Event("pack", step.pack_id, "pack.acquired", step.data) for step in steps]
    await events.append(tx, facts, actor=by, now=now)
    return ids


def read_code(pack: PackCreate, today: date) -> BatteryCode:
    """The pack's own code, decoded. Raises `BadPackCode` naming positions, and for a code that
    is well formed but dated in the future."""
    try:
        code = codes.decode(pack.code)
    except BatteryCodeError as error:
        faults = [FieldError("/code", error.code, str(fault)) for fault in error.faults]
        raise BadPackCode(str(error), fields=faults, suggestions=error.suggestions) from error
    doubts = codes.doubts(code, today)
    if doubts:
        faults = [FieldError("/code", doubt.code, doubt.reason) for doubt in doubts]
        raise BadPackCode(doubts[0].reason, fields=faults)
    return code


def new_pack(pack: PackCreate, code: BatteryCode) -> NewPack:
    return NewPack(
        chemistry=code.chemistry,
        made_on=code.made_on,
        cells_in_series=pack.cells_in_series,
        rated_voltage_mv=pack.rated_voltage_mv,
        rated_capacity_mah=pack.rated_capacity_mah,
        full_cell_mv=pack.full_cell_mv,
        mass_kg=pack.mass_kg,
        acquired_on=pack.acquired_on,
    )


def all_codes(pack: PackCreate, code: BatteryCode) -> list[tuple[str, str, bool]]:
    """`(scheme, code, is it current)` for the pack's own code and those it had before. An old
    code that nobody can read is kept as it stands: refusing it would lose the battery's past."""
    found: list[tuple[str, str, bool]] = [(SCHEMES[code.form], code.text, True)]
    for original in dict.fromkeys(map(codes.normalise, pack.original_codes)):
        try:
            scheme = SCHEMES[codes.decode(original).form]
        except BatteryCodeError:
            scheme = CodeScheme.UNRECOGNISED
        if original != code.text:
            found.append((scheme, original, False))
    return found


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
