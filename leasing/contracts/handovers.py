"""Packs into lines and out of them: hand-over, swap, return; one, or a thousand at once.

There is one way for one row and for many. Rows that share neither line nor pack are done together,
by the same number of statements however many they are: what they need is locked in one order and
read, the rules judge each row, and what is left is written. A row that is refused leaves nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.batteries import model as batteries
from leasing.batteries import store as packs
from leasing.batteries.model import NoSuchPack
from leasing.batteries.store import Pack
from leasing.contracts import duties, lines, rules, stays
from leasing.contracts.model import (
    CONSTRAINTS,
    BeforePlacement,
    LaterChange,
    Line,
    LineEmpty,
    LineEnded,
    LineRevision,
    NoSuchLine,
    OutsideLine,
    PackAlreadyLeased,
    RentWithoutClass,
    ShippedAfterTest,
)
from leasing.contracts.stays import Departure, Stay
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, in_waves
from leasing.kit.dates import refuse_future
from leasing.kit.errors import DomainError, FieldError
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.sites import cabinets
from leasing.sites.cabinets import Arrival
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.contracts import AcceptanceCreate, PlacementView, ReturnCreate, SwapCreate
from schemas.packs import PackState

T = TypeVar("T")

HandOver = tuple[UUID, AcceptanceCreate]
Swap = tuple[UUID, SwapCreate]
Return = tuple[UUID, ReturnCreate]
"""What is to be done with a line."""


class Held(msgspec.Struct, frozen=True):
    """What rows are about, locked until the transaction ends: lines as they are on the day of
    their row, the packs that stand in them, and packs."""

    lines: dict[UUID, Line]
    stays: dict[UUID, Stay]
    packs: dict[UUID, Pack]
    histories: dict[UUID, list[LineRevision]]
    in_stock_from: dict[UUID, date]
    """When packs that come last came back to the lessor."""

    def line(self, line_id: UUID) -> Line:
        """Raises `NoSuchLine`."""
        if line_id not in self.lines:
            raise NoSuchLine
        return self.lines[line_id]

    def pack(self, pack_id: UUID) -> Pack:
        """Raises `NoSuchPack`."""
        if pack_id not in self.packs:
            raise NoSuchPack
        return self.packs[pack_id]


async def hold(
    tx: Connection, days: dict[UUID, date], pack_ids: Iterable[UUID], *, leaving: bool = False
) -> Held:
    """Lock lines, then packs, then sites, each in order of id: two that want the same ones queue
    up instead of locking each other out."""
    held_lines = await lines.lock(tx, days)
    standing = await stays.standing(tx, list(held_lines)) if leaving else {}
    coming = set(pack_ids)
    held_packs = await packs.lock_many(tx, coming | {stay.pack_id for stay in standing.values()})
    if coming:
        await cabinets.hold(tx, {line.site_id for line in held_lines.values()})
    histories = await lines.revisions(tx, list(held_lines))
    in_stock_from = await traceability.came_back_on(tx, list(coming)) if coming else {}
    return Held(held_lines, standing, held_packs, histories, in_stock_from)


def judged(rows: Sequence[T], judge: Callable[[T], object]) -> tuple[list[Any], list[int]]:
    """What the rules make of each row, and the places of those they do not refuse."""
    found: list[object] = []
    for row in rows:
        try:
            found.append(judge(row))
        except DomainError as error:
            found.append(error)
    return found, [at for at, one in enumerate(found) if not isinstance(one, DomainError)]


# In


async def accept_all(
    tx: Connection, rows: Sequence[HandOver], *, by: str, now: datetime
) -> list[PlacementView | DomainError]:
    """Hand packs over into lines. The first hand-over of a line starts its rent."""

    async def together(wave: Sequence[HandOver]) -> list[PlacementView | DomainError]:
        held = await hold_arrivals(tx, wave)
        return await each(
            tx, wave, CONSTRAINTS, lambda part: accept_set(tx, held, part, by=by, now=now)
        )

    return await in_waves(rows, line_and_pack, together)


async def accept(
    tx: Connection, line_id: UUID, data: AcceptanceCreate, *, by: str, now: datetime
) -> PlacementView:
    """Hand one pack over. Raises why it cannot be."""
    rows = [(line_id, data)]
    held = await hold_arrivals(tx, rows)
    return only(await accept_set(tx, held, rows, by=by, now=now))


def line_and_pack(row: tuple[UUID, AcceptanceCreate]) -> tuple[UUID, UUID]:
    return row[0], row[1].pack_id


def only(outcomes: Sequence[T | DomainError]) -> T:
    (outcome,) = outcomes
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


async def hold_arrivals(
    tx: Connection, rows: Sequence[tuple[UUID, AcceptanceCreate]], *, leaving: bool = False
) -> Held:
    days = {line_id: data.accepted_on for line_id, data in rows}
    return await hold(tx, days, (data.pack_id for _, data in rows), leaving=leaving)


async def accept_set(
    tx: Connection, held: Held, rows: Sequence[HandOver], *, by: str, now: datetime
) -> list[PlacementView | DomainError]:
    """Hand over packs of rows that share nothing."""
    today = civil_date(now)

    def judge(row: HandOver) -> tuple[Line, AcceptanceCreate]:
        line = held.line(row[0])
        refuse_arrival(line, held, row[1], today)
        return line, row[1]

    found, good = judged(rows, judge)
    good = await without_mixed(tx, found, good, {})
    given: list[Any] = [found[at] for at in good]
    placed = await place(tx, given)
    days = [data.accepted_on for _, data in given]
    acceptances = [one.acceptance_id for one in placed]
    await lines.start(tx, [line.id for line, _ in given], days, acceptances)
    steps = [arrival(line, data, "pack.commissioned", {}) for line, data in given]
    await traceability.record(tx, await shipments(tx, given), by=by, now=now)
    await record(tx, given, steps, "line.accepted", by=by, now=now)
    return merged(found, good, placed)


def refuse_arrival(line: Line, held: Held, data: AcceptanceCreate, today: date) -> None:
    """Raise when contract, day, test or pack forbid a hand-over."""
    refuse_future(data.accepted_on, today, "accepted_on")
    rules.refuse_acceptance(line, data.accepted_on, data.pack_id, data.tested_capacity_mah)
    rules.refuse_moved_later(held.histories[line.id], data.accepted_on)
    pack = held.pack(data.pack_id)
    if pack.state is PackState.LEASED:
        raise PackAlreadyLeased
    batteries.refuse_unless_next(pack.state, PackState.LEASED)
    came_on, left_on = held.in_stock_from.get(pack.id), shipped_on(data)
    if left_on > data.accepted_on:
        raise ShippedAfterTest(data.accepted_on)
    if came_on is not None and left_on < came_on:
        raise LaterChange(f"the pack is in stock from {came_on} on", from_on=came_on)


async def without_mixed(
    tx: Connection, found: list[Any], good: Sequence[int], leaving: dict[UUID, UUID]
) -> list[int]:
    """The places of rows whose packs may stand in their strings; for the others the reason is
    put into `found`. `leaving` are the packs that make room, by line."""
    arrivals = [
        Arrival(
            line_id=line.id,
            site_id=line.site_id,
            slot=line.slot,
            pack_id=data.pack_id,
            from_on=data.accepted_on,
            instead_of=leaving.get(line.id),
        )
        for line, data, *_ in (found[at] for at in good)
    ]
    refused = await cabinets.mixed(tx, arrivals) if arrivals else []
    for at, reason in zip(good, refused, strict=True):
        found[at] = reason or found[at]
    return [at for at, reason in zip(good, refused, strict=True) if reason is None]


async def place(
    tx: Connection, given: Sequence[tuple[Line, AcceptanceCreate]]
) -> list[PlacementView]:
    """Record joint tests and place their packs."""
    if not given:
        return []
    await packs.set_states(tx, [data.pack_id for _, data in given], PackState.LEASED)
    acceptances = await stays.insert_acceptances(tx, given)
    begun = [
        Stay(one, line.id, data.pack_id, line.site_id, line.slot, data.accepted_on)
        for one, (line, data) in zip(acceptances, given, strict=True)
    ]
    return convert_all(await stays.place(tx, begun), PlacementView)


def shipped_on(data: AcceptanceCreate) -> date:
    return data.shipped_on or data.accepted_on


async def shipments(tx: Connection, given: Sequence[tuple[Line, AcceptanceCreate]]) -> list[Step]:
    """That packs left the warehouse, of those that are cascade products: it is to be reported."""
    wanted = {data.pack_id: (line, data) for line, data in given}
    steps = []
    for row in await stays.shipped(tx, given):
        line, data = wanted[row["pack_id"]]
        facts: dict[str, object] = {
            "code": row["code"],
            "contract_id": line.contract_id,
            "site_id": line.site_id,
            "longitude": row["longitude"],
            "latitude": row["latitude"],
        }
        steps.append(
            Step(
                data.pack_id,
                "cascade.shipped",
                shipped_on(data),
                facts,
                line.adcode,
                line.lessee_id,
            )
        )
    return steps


def arrival(line: Line, data: AcceptanceCreate, kind: str, more: dict[str, object]) -> Step:
    facts: dict[str, object] = {
        "line_id": line.id,
        "site_id": line.site_id,
        "pack_id": data.pack_id,
        "tested_capacity_mah": data.tested_capacity_mah,
        **more,
    }
    return Step(data.pack_id, kind, data.accepted_on, facts, line.adcode, line.lessee_id)


async def record(
    tx: Connection,
    given: Sequence[tuple[Line, Any]],
    steps: Sequence[Step],
    kind: str,
    *,
    by: str,
    now: datetime,
) -> None:
    """The steps of packs, and the same as a fact of each line."""
    await traceability.record(tx, steps, by=by, now=now)
    told = [
        Event("line", line.id, kind, {**step.data, "on": step.happened_on})
        for (line, _), step in zip(given, steps, strict=True)
    ]
    await events.append(tx, told, actor=by, now=now)


def merged(found: Sequence[Any], good: Sequence[int], made: Sequence[T]) -> list[T | DomainError]:
    """What rows made, in place of what the rules made of them."""
    outcomes = list(found)
    for at, one in zip(good, made, strict=True):
        outcomes[at] = one
    return outcomes


# One for another


class Exchange(msgspec.Struct, frozen=True):
    """What a swap comes to beside the hand-over: the pack that leaves, and the revisions that
    give the line another class."""

    departure: Departure
    revised: Sequence[LineRevision]
    facts: dict[str, object]


async def swap_all(
    tx: Connection, rows: Sequence[Swap], *, by: str, now: datetime
) -> list[PlacementView | DomainError]:
    """One pack out of each line and another in."""

    async def together(wave: Sequence[Swap]) -> list[PlacementView | DomainError]:
        held = await hold_arrivals(tx, wave, leaving=True)
        return await each(
            tx, wave, CONSTRAINTS, lambda part: swap_set(tx, held, part, by=by, now=now)
        )

    return await in_waves(rows, line_and_pack, together)


async def swap(
    tx: Connection, line_id: UUID, data: SwapCreate, *, by: str, now: datetime
) -> PlacementView:
    """One pack out and another in on the same day, in one transaction. The line goes on; its
    rent changes only with its capacity class."""
    rows = [(line_id, data)]
    held = await hold_arrivals(tx, rows, leaving=True)
    return only(await swap_set(tx, held, rows, by=by, now=now))


async def swap_set(
    tx: Connection, held: Held, rows: Sequence[Swap], *, by: str, now: datetime
) -> list[PlacementView | DomainError]:
    today = civil_date(now)

    def judge(row: Swap) -> tuple[Line, SwapCreate, Exchange]:
        line, data = held.line(row[0]), row[1]
        refuse_future(data.accepted_on, today, "accepted_on")
        leaves = Departure(line, leaving(held, line, data.accepted_on), data.accepted_on)
        if leaves.pack_id == data.pack_id:
            batteries.refuse_unless_next(PackState.RETURNED, PackState.LEASED)
        after, revised, facts = other_class(line, data, held.histories[line.id], by, now)
        refuse_arrival(after, held, data, today)
        return after, data, Exchange(leaves, revised, facts)

    found, good = judged(rows, judge)
    out = {line_id: stay.pack_id for line_id, stay in held.stays.items()}
    good = await without_mixed(tx, found, good, out)
    swaps: list[Any] = [found[at] for at in good]
    given = [(line, data) for line, data, _ in swaps]
    departures = [one.departure for _, _, one in swaps]
    await depart(tx, departures, "swapped_out", by=by, now=now)
    days = {one.pack_id: one.on for one in departures}
    closed = await duties.close(tx, days, "done")
    await lines.write_revisions(tx, [revision for _, _, one in swaps for revision in one.revised])
    placed = await place(tx, given)
    steps = [arrival(line, data, "pack.swapped", swapped(one, closed)) for line, data, one in swaps]
    await traceability.record(tx, await shipments(tx, given), by=by, now=now)
    await record(tx, given, steps, "line.swapped", by=by, now=now)
    return merged(found, good, placed)


def swapped(exchange: Exchange, closed: dict[UUID, list[UUID]]) -> dict[str, object]:
    out = exchange.departure.pack_id
    return {"pack_out": out, "duties_done": closed[out], **exchange.facts}


def changes_class(data: SwapCreate) -> bool:
    return data.rated_capacity_mah is not None or data.rent_amount is not None


def other_class(
    line: Line, data: SwapCreate, history: Sequence[LineRevision], by: str, now: datetime
) -> tuple[Line, Sequence[LineRevision], dict[str, object]]:
    """The line with another capacity class, and a rent if it is another. Raises
    `RentWithoutClass`."""
    if not changes_class(data):
        return line, [], {}
    if data.rated_capacity_mah is None or data.rated_capacity_mah == line.rated_capacity_mah:
        message = "goes with another rated_capacity_mah than the line has"
        fault = FieldError("/rent_amount", "rent_without_class", message)
        raise RentWithoutClass(f"rent_amount {message}", fields=[fault])
    changes: dict[str, Any] = {"rated_capacity_mah": data.rated_capacity_mah}
    if data.rent_amount is not None and data.rent_amount != line.rent_amount:
        changes |= {
            "base_rent_amount": data.rent_amount,
            "base_from_on": data.accepted_on,
            "rent_amount": data.rent_amount,
        }
    cause = "capacity_changed"
    revised = rules.revise(history, data.accepted_on, changes, cause=cause, by=by, now=now)
    rent_amount = changes.get("rent_amount", line.rent_amount)
    after = replace(line, rated_capacity_mah=data.rated_capacity_mah, rent_amount=rent_amount)
    facts: dict[str, object] = {
        "rated_capacity_mah": [line.rated_capacity_mah, data.rated_capacity_mah],
        "rent_amount": [line.rent_amount, rent_amount],
    }
    return after, revised, facts


# Out


async def return_all(
    tx: Connection, rows: Sequence[Return], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """End lines whose packs go back by a joint test. Returns the packs."""

    async def together(wave: Sequence[Return]) -> list[UUID | DomainError]:
        held = await hold_departures(tx, wave)
        return await each(
            tx, wave, CONSTRAINTS, lambda part: return_set(tx, held, part, by=by, now=now)
        )

    return await in_waves(rows, lambda row: [row[0]], together)


async def return_pack(
    tx: Connection, line_id: UUID, data: ReturnCreate, *, by: str, now: datetime
) -> UUID:
    """End a line: its pack goes back by a joint test and rent stops on that day. Returns the
    pack."""
    rows = [(line_id, data)]
    held = await hold_departures(tx, rows)
    return only(await return_set(tx, held, rows, by=by, now=now))


async def hold_departures(tx: Connection, rows: Sequence[Return]) -> Held:
    days = {line_id: data.returned_on for line_id, data in rows}
    return await hold(tx, days, (), leaving=True)


async def return_set(
    tx: Connection, held: Held, rows: Sequence[Return], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    today = civil_date(now)

    def judge(row: Return) -> tuple[Departure, LineRevision]:
        line, data = held.line(row[0]), row[1]
        on = data.returned_on
        refuse_future(on, today, "returned_on")
        leaves = Departure(line, leaving(held, line, on), on, data)
        return leaves, last_revision(line, held.histories[line.id], on)

    found, good = judged(rows, judge)
    left: list[Any] = [found[at] for at in good]
    departures = [one for one, _ in left]
    await depart(tx, departures, "end_of_lease", by=by, now=now)
    await lines.write_revisions(tx, [revision for _, revision in left])
    await lines.end(tx, {one.line.id: one.on for one in departures}, "returned")
    await duties.close(tx, {one.pack_id: one.on for one in departures}, "lease_ended")
    told = [Event("line", one.line.id, "line.ended", returned(one)) for one in departures]
    await events.append(tx, told, actor=by, now=now)
    return merged(found, good, [one.pack_id for one in departures])


def returned(departure: Departure) -> dict[str, object]:
    assert departure.test is not None
    return {
        "pack_id": departure.pack_id,
        "on": departure.on,
        "tested_capacity_mah": departure.test.tested_capacity_mah,
    }


def leaving(held: Held, line: Line, on: date) -> UUID:
    """The pack that leaves a line on a day. Raises `LineEmpty`, `BeforePlacement`."""
    stay = held.stays.get(line.id)
    if stay is None:
        raise LineEmpty
    if stay.from_on >= on:
        raise BeforePlacement(f"the pack came on {stay.from_on}")
    batteries.refuse_unless_next(held.packs[stay.pack_id].state, PackState.RETURNED)
    return stay.pack_id


def last_revision(line: Line, history: Sequence[LineRevision], on: date) -> LineRevision:
    """The last revision of a line that has no position any more from a day on. Raises
    `LaterChange` when something was entered for that day or later, `LineEnded`, `OutsideLine`."""
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    if on <= line.from_on:
        raise OutsideLine(f"the line begins on {line.from_on}")
    return rules.close(history, on)


async def depart(
    tx: Connection, departures: Sequence[Departure], reason: str, *, by: str, now: datetime
) -> None:
    """Close the stays of packs and record their returns."""
    if not departures:
        return
    await stays.close(tx, {one.line.id: one.on for one in departures})
    await packs.set_states(tx, [one.pack_id for one in departures], PackState.RETURNED)
    await stays.insert_returns(tx, departures, reason)
    steps = [
        Step(
            one.pack_id,
            "pack.returned",
            one.on,
            {"line_id": one.line.id, "site_id": one.line.site_id, "reason": reason},
            one.line.adcode,
            one.line.lessee_id,
        )
        for one in departures
    ]
    await traceability.record(tx, steps, by=by, now=now)
