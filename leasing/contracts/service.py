"""Contracts: from draft to end, and the packs that come and go in their lines."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from leasing.batteries import service as batteries
from leasing.contracts import duties, rules, store
from leasing.contracts.model import (
    EndsBeforeStart,
    IllegalTransition,
    Line,
    LineEmpty,
    LinesOpen,
    NoSuchContract,
    NoSuchLine,
    PackAlreadyLeased,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.contracts import (
    AcceptanceCreate,
    ContractCreate,
    ContractPatch,
    ContractState,
    ContractView,
    PlacementView,
)
from schemas.health import DutyKind
from schemas.packs import PackState


async def create(tx: Connection, data: ContractCreate, *, by: str, now: datetime) -> ContractView:
    """Write a draft."""
    refuse_backwards_term(data.starts_on, data.ends_on)
    contract_id = await store.insert(tx, data, now)
    await store.insert_lines(tx, contract_id, data.lessee_id, data.lines)
    facts: dict[str, object] = {"number": data.number, "lines": len(data.lines)}
    drafted = Event("contract", contract_id, "contract.drafted", facts)
    await events.append(tx, [drafted], actor=by, now=now)
    return await get(tx, contract_id)


def refuse_backwards_term(starts_on: date, ends_on: date) -> None:
    if ends_on <= starts_on:
        fault = FieldError("/ends_on", "ends_before_start", f"must be after {starts_on}")
        raise EndsBeforeStart(f"{ends_on} is not after {starts_on}", fields=[fault])


async def get(tx: Connection, contract_id: UUID) -> ContractView:
    row = await store.get(tx, contract_id)
    if row is None:
        raise NoSuchContract
    return convert(row, ContractView)


async def change_draft(
    tx: Connection, contract_id: UUID, data: ContractPatch, expected: int, *, by: str, now: datetime
) -> ContractView:
    """Change a draft. Raises `VersionChanged` when another editor was first."""
    row = await store.lock(tx, contract_id)
    if row is None:
        raise NoSuchContract
    refuse_unless_current(row["version"], expected)
    if row["state"] != ContractState.DRAFT:
        raise IllegalTransition(f"terms are changed in a draft, this contract is {row['state']}")
    changes = given(data)
    terms = {name: changes.get(name, row[name]) for name in data.__struct_fields__}
    refuse_backwards_term(terms["starts_on"], terms["ends_on"])
    for percent in ("vat_percent", "guarantee_percent"):
        terms[percent] = Decimal(terms[percent])
    await store.update_draft(tx, contract_id, **terms)
    changed = Event("contract", contract_id, "contract.changed", changes)
    await events.append(tx, [changed], actor=by, now=now)
    return await get(tx, contract_id)


async def activate(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """Put a draft into force: from now on packs may be handed over under it."""
    return await move(tx, contract_id, ContractState.ACTIVE, by=by, now=now)


async def end(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> ContractView:
    """End a contract. Raises `LinesOpen` while packs are out."""
    await lock(tx, contract_id)
    still_open = await store.open_lines(tx, contract_id)
    if still_open:
        raise LinesOpen(f"{still_open} lines still have a pack", lines=still_open)
    return await move(tx, contract_id, ContractState.ENDED, by=by, now=now)


async def lock(tx: Connection, contract_id: UUID) -> ContractState:
    row = await store.lock(tx, contract_id)
    if row is None:
        raise NoSuchContract
    return ContractState(row["state"])


async def move(
    tx: Connection, contract_id: UUID, to: ContractState, *, by: str, now: datetime
) -> ContractView:
    rules.refuse_unless_next(await lock(tx, contract_id), to)
    await store.set_state(tx, contract_id, to, now)
    moved = Event("contract", contract_id, f"contract.{to}", {})
    await events.append(tx, [moved], actor=by, now=now)
    return await get(tx, contract_id)


async def lock_line(tx: Connection, line_id: UUID) -> Line:
    line = await store.lock_line(tx, line_id)
    if line is None:
        raise NoSuchLine
    return line


async def accept(
    tx: Connection, line_id: UUID, data: AcceptanceCreate, *, by: str, now: datetime
) -> PlacementView:
    """Hand a pack over into a line. The first hand-over starts the line's rent."""
    line = await lock_line(tx, line_id)
    placed = await hand_over(tx, line, data, by=by, now=now)
    await store.start_line(tx, line_id, data.accepted_on)
    step = arrival(line, data, "pack.commissioned", {})
    await traceability.record(tx, [step], by=by, now=now)
    accepted = Event("line", line_id, "line.accepted", step.data)
    await events.append(tx, [accepted], actor=by, now=now)
    return placed


async def hand_over(
    tx: Connection, line: Line, data: AcceptanceCreate, *, by: str, now: datetime
) -> PlacementView:
    """Record the joint test and place the pack. Raises when contract, day, test or pack
    forbid it."""
    refuse_future(data.accepted_on, civil_date(now), "accepted_on")
    rules.refuse_acceptance(line, data.accepted_on, data.tested_capacity_mah)
    pack = await batteries.lock(tx, data.pack_id)
    if pack.state is PackState.LEASED:
        raise PackAlreadyLeased
    await batteries.move(tx, pack, PackState.LEASED)
    acceptance_id = await store.insert_acceptance(tx, line.id, data)
    row = await store.place(tx, acceptance_id, line.id, data.pack_id, data.accepted_on)
    return convert(row, PlacementView)


async def swap(
    tx: Connection, line_id: UUID, data: AcceptanceCreate, *, by: str, now: datetime
) -> PlacementView:
    """One pack out and another in on the same day, in one transaction. The line, and with it
    the rent, goes on."""
    line = await lock_line(tx, line_id)
    out = await take_out(tx, line, data.accepted_on, "swapped_out", by=by, now=now)
    closed = await duties.close(tx, out, list(DutyKind), data.accepted_on, "done")
    placed = await hand_over(tx, line, data, by=by, now=now)
    step = arrival(line, data, "pack.swapped", {"pack_out": out, "duties_done": closed})
    await traceability.record(tx, [step], by=by, now=now)
    swapped = Event("line", line_id, "line.swapped", step.data)
    await events.append(tx, [swapped], actor=by, now=now)
    return placed


async def return_pack(tx: Connection, line_id: UUID, on: date, *, by: str, now: datetime) -> UUID:
    """End a line: its pack goes back and rent stops on that day. Returns the pack."""
    refuse_future(on, civil_date(now), "returned_on")
    line = await lock_line(tx, line_id)
    pack_id = await take_out(tx, line, on, "end_of_lease", by=by, now=now)
    await store.end_line(tx, line_id, on)
    await duties.close(tx, pack_id, list(DutyKind), on, "lease_ended")
    ended = Event("line", line_id, "line.ended", {"pack_id": pack_id, "on": on})
    await events.append(tx, [ended], actor=by, now=now)
    return pack_id


async def take_out(
    tx: Connection, line: Line, on: date, reason: str, *, by: str, now: datetime
) -> UUID:
    """Close the stay of the pack in a line and record its return. Raises `LineEmpty`."""
    placement = await store.close_placement(tx, line.id, on)
    if placement is None:
        raise LineEmpty
    pack_id: UUID = placement["pack_id"]
    pack = await batteries.lock(tx, pack_id)
    await batteries.move(tx, pack, PackState.RETURNED)
    await store.insert_return(tx, line.id, pack_id, on, reason)
    facts: dict[str, object] = {"line_id": line.id, "site_id": line.site_id, "reason": reason}
    step = Step(pack_id, "pack.returned", on, facts, line.adcode, line.lessee_id)
    await traceability.record(tx, [step], by=by, now=now)
    return pack_id


def arrival(line: Line, data: AcceptanceCreate, kind: str, more: dict[str, object]) -> Step:
    facts: dict[str, object] = {
        "line_id": line.id,
        "site_id": line.site_id,
        "pack_id": data.pack_id,
        "tested_capacity_mah": data.tested_capacity_mah,
        **more,
    }
    return Step(data.pack_id, kind, data.accepted_on, facts, line.adcode, line.lessee_id)
