"""Roll-out: a contract's positions, and the packs for them, from a file.

Each row is a position, with a pack if one is handed over. What is there already and says the same
is left alone, so that a file can be run again after whatever stopped it: it goes on where it was.
What is there and says something else is refused.
"""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from leasing.contracts import handovers, service
from leasing.contracts import rules as contract_rules
from leasing.contracts import store as contracts
from leasing.contracts.model import (
    IN_FORCE,
    Contract,
    ContractRevision,
    IllegalTransition,
    NoSuchContract,
)
from leasing.db.pool import Connection
from leasing.kit.dates import refuse_future
from leasing.kit.errors import DomainError, FieldError, Invalid
from leasing.kit.time import civil_date
from leasing.sheets import files, rollout_store, rules
from leasing.sheets.model import Column, Sheet, Table, capitals, words
from leasing.sheets.rollout_store import Accepted, Position
from leasing.sheets.rules import Draft, Heading, Judge, Key, fault_of
from schemas.contracts import AcceptanceCreate, ContractState, LineCreate
from schemas.packs import PackState
from schemas.sheets import RollOutRow, RowOutcome, RowResult, SheetFormat

POSITIONS = Sheet(
    kind="positions",
    noun="position",
    create=RollOutRow,
    patch=None,
    columns=(
        Column("site", "站址编码"),
        Column("slot", "槽位"),
        Column("rated_capacity_mah", "额定容量(mAh)"),
        Column("rent_amount", "月租金(分)"),
        Column("from_on", "起始日期"),
        Column("pack", "电池编码", form=capitals),
        Column("accepted_on", "交接日期"),
        Column("tested_capacity_mah", "检测容量(mAh)"),
        Column("lessor_signatory", "出租方签字人", form=words),
        Column("lessee_signatory", "承租方签字人", form=words),
    ),
)

HAND_OVER = ("pack", "accepted_on", "tested_capacity_mah", "lessor_signatory", "lessee_signatory")
"""What goes together in a row, or is left empty together."""

CHUNK = 1_000
"""Rows of one transaction: what is lost at most when it is stopped."""


class Task(StrEnum):
    FILL = "fill"
    """Positions into a draft. Packs are left for later: they may not be here yet."""
    ACTIVATE = "activate"
    """A signed contract into force, and its packs into the positions."""


class IncompleteHandOver(Invalid):
    code = "incomplete_hand_over"
    title = "A hand-over needs a pack, a day, a test and two signatories"


class RollOut(msgspec.Struct, frozen=True):
    """A file that was read."""

    task: Task
    table: Table
    columns: Sequence[Heading]
    drafts: Sequence[Draft]

    def chunks(self) -> list[Sequence[Draft]]:
        """The rows by the thousand. Chunks begin at the same rows each time the file is run, so
        that one that was stopped leaves the same behind as one that was not."""
        return [self.drafts[at : at + CHUNK] for at in range(0, len(self.drafts), CHUNK)]


class Found(msgspec.Struct, frozen=True):
    """What exists of that which rows speak of."""

    sites: dict[str, UUID]
    packs: dict[str, list[tuple[UUID, PackState]]]
    positions: dict[tuple[UUID, int], Position]
    accepted: dict[UUID, list[Accepted]]


class Plan(msgspec.Struct, frozen=True):
    """What is to be done for a row. Without a line there is a position to add."""

    site_id: UUID
    from_on: date
    line_id: UUID | None
    pack_id: UUID | None
    """The pack to hand over, if there is one to."""

    @property
    def is_done(self) -> bool:
        return self.line_id is not None and self.pack_id is None


class Count(msgspec.Struct):
    """What a run did so far, and how many rows were as they should be."""

    activated: int = 0
    positions: int = 0
    packs: int = 0
    unchanged: int = 0
    refused: int = 0


# --- Reading ----------------------------------------------------------------------------------


def read(body: bytes, format_: SheetFormat, name: str | None, task: Task) -> RollOut:
    """A file, each of its rows judged by itself. Raises `BadSheet`, `TooManyRows`."""
    table = files.read(body, format_, POSITIONS, name)
    columns, drafts = rules.drafts(table, POSITIONS)
    judge = Judge(POSITIONS, columns, refuse_incomplete)
    for draft in drafts:
        judge.decide(draft)
    rules.refuse_repeated([(draft, claims(draft)) for draft in drafts])
    for draft in drafts:
        if draft.faults:
            draft.result = RowResult.REFUSED
    return RollOut(task, table, columns, drafts)


def refuse_incomplete(values: dict[str, Any]) -> None:
    given = [name for name in HAND_OVER if name in values]
    if given and len(given) < len(HAND_OVER):
        faults = [
            FieldError(f"/{name}", "missing", f"'{name}' goes with {given[0]}")
            for name in HAND_OVER
            if name not in values
        ]
        raise IncompleteHandOver(fields=faults)


def claims(draft: Draft) -> list[Key]:
    row: RollOutRow | None = draft.new
    if row is None:
        return []
    place: Key = ("place", row.site, row.slot)
    return [place, ("pack", row.pack)] if row.pack else [place]


# --- Judging ----------------------------------------------------------------------------------


async def judge_all(
    tx: Connection, number: str, out: RollOut, *, now: datetime
) -> tuple[UUID, Count]:
    """Judge every row against what exists, before anything is written. Returns the contract, and
    how many rows are done already. Raises when the contract is in no state for it."""
    contract_id = await contracts.id_of(tx, number)
    if contract_id is None:
        raise NoSuchContract(f"no contract has the number {number}")
    contract = await service.lock(tx, contract_id)
    refuse_state(contract, out.task)
    plans = await plan(tx, contract, out, out.drafts, now=now)
    done = [draft for draft in out.drafts if draft.row in plans and plans[draft.row].is_done]
    for draft in done:
        draft.result = RowResult.UNCHANGED
    refused = sum(bool(draft.faults) for draft in out.drafts)
    return contract_id, Count(unchanged=len(done), refused=refused)


def refuse_state(contract: Contract, task: Task) -> None:
    if task is Task.FILL and contract.state is not ContractState.DRAFT:
        raise IllegalTransition(f"a draft is filled, this contract is {contract.state}")
    if task is Task.ACTIVATE and contract.state not in IN_FORCE | {ContractState.SIGNED}:
        raise IllegalTransition(f"a contract that is {contract.state} was not signed")


async def plan(
    tx: Connection, contract: Contract, out: RollOut, drafts: Sequence[Draft], *, now: datetime
) -> dict[int, Plan]:
    """What is to be done, by row; the others get a fault."""
    good = [draft for draft in drafts if not draft.faults]
    found = await find(tx, contract, [draft.new for draft in good])
    history = await contracts.revisions(tx, contract.id)
    today = civil_date(now)
    plans = {}
    for draft in good:
        planned = plan_row(draft, contract, found, history, out.task, today)
        if planned is None or draft.faults:
            draft.result = RowResult.REFUSED
        else:
            plans[draft.row] = planned
    return plans


async def find(tx: Connection, contract: Contract, rows: Sequence[RollOutRow]) -> Found:
    sites = await rollout_store.sites(tx, contract.lessee_id, {row.site for row in rows})
    packs: dict[str, list[tuple[UUID, PackState]]] = {}
    for pack in await rollout_store.packs(tx, {row.pack for row in rows if row.pack}):
        packs.setdefault(pack["code"], []).append((pack["id"], PackState(pack["state"])))
    there = await rollout_store.positions(tx, contract.id, list(sites.values()))
    # Of several lines that followed each other in a slot the last one counts.
    positions = {(one.site_id, one.slot): one for one in there}
    accepted = await rollout_store.acceptances(tx, [one.line_id for one in there])
    return Found(sites, packs, positions, accepted)


def plan_row(
    draft: Draft,
    contract: Contract,
    found: Found,
    history: Sequence[ContractRevision],
    task: Task,
    today: date,
) -> Plan | None:
    """What is to be done for a row. What speaks against it is put into the draft."""
    row: RollOutRow = draft.new
    site_id = found.sites.get(row.site)
    if site_id is None:
        fault_of(draft, "site", "unknown_site", f"the lessee has no site with the code {row.site}")
        return None
    there = found.positions.get((site_id, row.slot))
    if there is not None:
        compare(draft, row, there)
    from_on = there.from_on if there else row.from_on or contract.starts_on
    if there is None:
        against(draft, "from_on", service.refuse_outside_term, contract, from_on)
    pack_id = None
    if row.pack is not None and task is Task.ACTIVATE:
        handed_over = found.accepted.get(there.line_id, []) if there else []
        pack_id = plan_pack(draft, row, found.packs.get(row.pack, []), handed_over)
        judge_test(draft, row, from_on, history, today)
    line_id = there.line_id if there else None
    return Plan(site_id, from_on, line_id, pack_id)


def compare(draft: Draft, row: RollOutRow, there: Position) -> None:
    """A position that exists is as the file says, or the row is refused."""
    if there.ended_on is not None:
        fault_of(draft, "", "line_ended", f"the position ended on {there.ended_on}")
    differences = (
        ("rated_capacity_mah", there.rated_capacity_mah, row.rated_capacity_mah),
        ("rent_amount", there.base_rent_amount, row.rent_amount),
        ("from_on", there.from_on, row.from_on or there.from_on),
    )
    for name, before, after in differences:
        if before != after:
            differs(draft, name, before, after)


def differs(draft: Draft, field: str, before: object, after: object) -> None:
    message = f"there is such a position already: it has {before}, the file has {after}"
    fault_of(draft, field, "differs", message)


def plan_pack(
    draft: Draft,
    row: RollOutRow,
    meant: Sequence[tuple[UUID, PackState]],
    handed_over: Sequence[Accepted],
) -> UUID | None:
    """The pack to hand over; None when that was done, or cannot be."""
    if len(meant) != 1:
        message = f"no pack has this code: {row.pack}"
        if meant:
            message = f"{len(meant)} packs carried this code: give the one printed on it"
        fault_of(draft, "pack", "ambiguous_pack" if meant else "unknown_pack", message)
        return None
    ((pack_id, state),) = meant
    same = [
        one for one in handed_over if (one.pack_id, one.accepted_on) == (pack_id, row.accepted_on)
    ]
    if same:
        for name in HAND_OVER[2:]:
            before, after = getattr(same[0], name), getattr(row, name)
            if before != after:
                differs(draft, name, before, after)
        return None
    if handed_over:
        first = handed_over[0].accepted_on
        message = f"another pack, or this one on another day, was handed over on {first}"
        fault_of(draft, "pack", "line_occupied", message)
    elif state is not PackState.IN_STOCK:
        fault_of(draft, "pack", "pack_state", f"the pack is {state}, not in stock")
    return pack_id


def judge_test(
    draft: Draft, row: RollOutRow, from_on: date, history: Sequence[ContractRevision], today: date
) -> None:
    """The day and the test, before the database is asked."""
    assert row.accepted_on is not None
    assert row.tested_capacity_mah is not None
    against(draft, "accepted_on", refuse_future, row.accepted_on, today, "accepted_on")
    if row.accepted_on < from_on:
        message = f"the position is agreed from {from_on} on"
        fault_of(draft, "accepted_on", "outside_line", message)
    on = row.accepted_on
    terms = next((one.terms for one in reversed(history) if one.from_on <= on), history[0].terms)
    least = contract_rules.guaranteed_mah(terms.guarantee_percent, row.rated_capacity_mah)
    if row.tested_capacity_mah < least:
        message = f"{row.tested_capacity_mah} mAh tested, {least} mAh guaranteed"
        fault_of(draft, "tested_capacity_mah", "below_guarantee", message)


def against(draft: Draft, field: str, rule: Any, *arguments: object) -> None:
    """Note what a rule that raises has against a row."""
    try:
        rule(*arguments)
    except DomainError as error:
        fault_of(draft, field, error.code, error.detail)


# --- Writing ----------------------------------------------------------------------------------


async def bring_into_force(tx: Connection, contract_id: UUID, *, by: str, now: datetime) -> bool:
    """Activate a signed contract; one in force is left as it is. Returns whether it was signed."""
    contract = await service.lock(tx, contract_id)
    signed = contract.state is ContractState.SIGNED
    if signed:
        await service.activate(tx, contract_id, by=by, now=now)
    return signed


async def write(
    tx: Connection,
    contract_id: UUID,
    out: RollOut,
    chunk: Sequence[Draft],
    *,
    by: str,
    now: datetime,
) -> Count:
    """Add what positions of a chunk are missing and hand over its packs. What exists is read again
    with the contract locked, so that two runs at once share the work. A row that the database
    refuses gets its fault; a position that was added for it stays."""
    contract = await service.lock(tx, contract_id)
    todo = [draft for draft in chunk if draft.result is RowResult.CREATED]
    plans = await plan(tx, contract, out, todo, now=now)
    count = Count(refused=sum(bool(draft.faults) for draft in todo))
    good = [draft for draft in todo if draft.row in plans]
    lines = await add_positions(tx, contract_id, plans, good, by=by, now=now)
    count.positions = sum(plans[row].line_id is None for row in lines)
    count.packs = await hand_over(tx, plans, good, lines, by=by, now=now)
    for draft in good:
        if plans[draft.row].is_done:
            draft.result = RowResult.UNCHANGED
            count.unchanged += 1
        elif draft.faults:
            draft.result = RowResult.REFUSED
            count.refused += 1
    return count


async def add_positions(
    tx: Connection,
    contract_id: UUID,
    plans: dict[int, Plan],
    drafts: Sequence[Draft],
    *,
    by: str,
    now: datetime,
) -> dict[int, UUID]:
    """The line of each row, added if there was none."""
    missing = [draft for draft in drafts if plans[draft.row].line_id is None]
    wanted = [
        (
            plans[draft.row].from_on,
            LineCreate(
                site_id=plans[draft.row].site_id,
                slot=draft.new.slot,
                rated_capacity_mah=draft.new.rated_capacity_mah,
                rent_amount=draft.new.rent_amount,
            ),
        )
        for draft in missing
    ]
    added = await service.add_each_line(tx, contract_id, wanted, by=by, now=now) if wanted else []
    lines = {row: one.line_id for row, one in plans.items() if one.line_id is not None}
    for draft, made in zip(missing, added, strict=True):
        if isinstance(made, DomainError):
            refuse(draft, made)
        else:
            lines[draft.row] = made
    return lines


async def hand_over(
    tx: Connection,
    plans: dict[int, Plan],
    drafts: Sequence[Draft],
    lines: dict[int, UUID],
    *,
    by: str,
    now: datetime,
) -> int:
    """Hand the packs over into their lines; returns how many."""
    coming = [
        (draft, pack_id)
        for draft in drafts
        if draft.row in lines and (pack_id := plans[draft.row].pack_id) is not None
    ]
    rows = [
        (
            lines[draft.row],
            AcceptanceCreate(
                pack_id=pack_id,
                accepted_on=draft.new.accepted_on,
                tested_capacity_mah=draft.new.tested_capacity_mah,
                lessor_signatory=draft.new.lessor_signatory,
                lessee_signatory=draft.new.lessee_signatory,
            ),
        )
        for draft, pack_id in coming
    ]
    outcomes = await handovers.accept_all(tx, rows, by=by, now=now)
    for (draft, _), made in zip(coming, outcomes, strict=True):
        if isinstance(made, DomainError):
            refuse(draft, made)
    return sum(not isinstance(made, DomainError) for made in outcomes)


def refuse(draft: Draft, error: DomainError) -> None:
    fault_of(draft, "", error.code, f"{error.title}: {error.detail}")


def outcomes(out: RollOut) -> list[RowOutcome]:
    """What is told of the refused rows."""
    headers = {one.column.field: one.shown for one in out.columns}
    return [
        rules.outcome(draft, draft.texts.get("site", ""), headers)
        for draft in out.drafts
        if draft.faults
    ]
