"""Outlets: entered, changed, limited by date, closed; whose they are, and how far they reach."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, convert_all, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.outlets import rules, store
from leasing.outlets.model import (
    NoSuchOutlet,
    NoSuchOutletDuty,
    OutletClosedAlready,
    OutletDutyEndsOtherwise,
    OutletOfNoRecycler,
    RoleNotPlayed,
)
from leasing.parties import service as parties
from leasing.parties.model import EmptyValidity, NoSuchParty
from schemas.outlets import (
    ClosureView,
    CoverageView,
    LimitAnswer,
    LimitCreate,
    LimitView,
    NetworkCount,
    OutletClose,
    OutletCreate,
    OutletDutyCreate,
    OutletDutyEnd,
    OutletDutyView,
    OutletKind,
    OutletPatch,
    OutletView,
    ProvinceCoverage,
)
from schemas.parties import PartyKind

CHUNK = 500


async def create(
    tx: Connection, outlets: Sequence[OutletCreate], *, by: str, now: datetime
) -> list[UUID]:
    """Enter outlets. One that names no limit gets the number of the guide for its kind. Raises
    `LimitAgainstRule`."""
    today = civil_date(now)
    limits = [rules.first_limit_kg(one.kind, one.store_limit_kg, today) for one in outlets]
    ids = await store.insert(tx, outlets, limits)
    entered = [
        Event(
            "outlet",
            ids[one.code],
            "outlet.entered",
            {"code": one.code, "recycler_id": one.recycler_id, "store_limit_kg": limit_kg},
        )
        for one, limit_kg in zip(outlets, limits, strict=True)
    ]
    await events.append(tx, entered, actor=by, now=now)
    return [ids[one.code] for one in outlets]


async def enter(tx: Connection, data: OutletCreate, *, by: str, now: datetime) -> OutletView:
    """Enter one outlet. Raises `OutletOfNoRecycler` when the party it names is none."""
    await refuse_other_kind(tx, data.recycler_id)
    (outlet_id,) = await create(tx, [data], by=by, now=now)
    return await get(tx, outlet_id, civil_date(now))


async def refuse_other_kind(tx: Connection, recycler_id: UUID) -> None:
    try:
        party = await parties.get(tx, recycler_id)
    except NoSuchParty:
        message = "there is no such party"
    else:
        if party.kind is PartyKind.RECYCLER:
            return
        message = f"{party.name} is a {party.kind}"
    fault = FieldError("/recycler_id", "not_a_recycler", message)
    raise OutletOfNoRecycler(message, fields=[fault])


async def get(tx: Connection, outlet_id: UUID, today: date) -> OutletView:
    row = await store.get(tx, outlet_id, today)
    if row is None:
        raise NoSuchOutlet
    return convert(row, OutletView)


async def lock(tx: Connection, outlet_id: UUID) -> Record:
    row = await store.lock(tx, outlet_id)
    if row is None:
        raise NoSuchOutlet
    return row


async def change(
    tx: Connection, outlet_id: UUID, data: OutletPatch, expected: int, *, by: str, now: datetime
) -> OutletView:
    """Change what was given. Raises `VersionChanged` when another editor was first."""
    changes = given(data)
    row = await lock(tx, outlet_id)
    refuse_unless_current(row["version"], expected, row, changes)
    await store.update(tx, outlet_id, {**row, **changes})
    # Of the person to call, events keep that it changed, and not who it is.
    facts: dict[str, object] = {"fields": sorted(changes)}
    changed = Event("outlet", outlet_id, "outlet.changed", facts)
    await events.append(tx, [changed], actor=by, now=now)
    return await get(tx, outlet_id, civil_date(now))


# --- Limits -----------------------------------------------------------------------------------


async def limit(
    tx: Connection, outlet_id: UUID, data: LimitCreate, *, by: str, now: datetime
) -> LimitAnswer:
    """Have another limit hold from a day on. Below what is there it may be, and leaves no room
    then. Raises `LimitAgainstRule` by the rule of its first day."""
    row = await lock(tx, outlet_id)
    kind = OutletKind(row["kind"])
    rules.refuse_against_rule(kind, data.limit_kg, data.valid_from, "limit_kg")
    limit_id = await store.add_limit(tx, outlet_id, data, by, now)
    facts: dict[str, object] = {
        "from": data.valid_from,
        "limit_kg": data.limit_kg,
        "store_days": data.store_days,
        "document": data.document,
    }
    entered = Event("outlet", outlet_id, "outlet.limit_entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    today = civil_date(now)
    await carry_over(tx, today, outlet_id, by=by, now=now)
    outlet = await get(tx, outlet_id, today)
    (entry,) = await store.limits(tx, outlet_id, today, UUID(int=limit_id.int - 1), 1)
    return LimitAnswer(limit=convert(entry, LimitView), outlet=outlet, note=over_limit(outlet))


def over_limit(outlet: OutletView) -> str | None:
    if outlet.over_limit_kg == 0:
        return None
    there = outlet.stock_kg + outlet.reserved_kg + outlet.in_transit_kg
    return (
        f"{there:,} kg are there, reserved or on the road, {outlet.over_limit_kg:,} kg above the "
        f"limit of {outlet.store_limit_kg:,} kg: nothing more is taken until that has gone"
    )


async def carry_over(
    tx: Connection, today: date, outlet_id: UUID | None = None, *, by: str, now: datetime
) -> int:
    """Give outlets the limits that hold today, up to `CHUNK` of them; returns how many got another
    one than they had."""
    rows = await store.carry_over(tx, today, outlet_id, CHUNK)
    carried = [
        Event(
            "outlet",
            row["id"],
            "outlet.limit_in_force",
            {
                "on": today,
                "limit_kg": row["store_limit_kg"],
                "over_limit_kg": row["over_limit_kg"],
            },
        )
        for row in rows
    ]
    await events.append(tx, carried, actor=by, now=now)
    return len(rows)


# --- Closing ----------------------------------------------------------------------------------


async def close(
    tx: Connection, outlet_id: UUID, data: OutletClose, *, by: str, now: datetime
) -> ClosureView:
    """Close an outlet from a day on. What is reserved until then stays; what was to be handed over
    later is counted in the answer. A closing to come may be moved, one that came stays."""
    row = await lock(tx, outlet_id)
    today = civil_date(now)
    if row["closed_from"] is not None and row["closed_from"] <= today:
        raise OutletClosedAlready(f"it is closed since {row['closed_from']}")
    await store.close(tx, outlet_id, data.closed_from, data.reason)
    facts: dict[str, object] = {"from": data.closed_from, "reason": data.reason}
    closed = Event("outlet", outlet_id, "outlet.closed", facts)
    await events.append(tx, [closed], actor=by, now=now)
    hit = await store.open_routings(tx, outlet_id, data.closed_from)
    return ClosureView(
        outlet=await get(tx, outlet_id, today),
        open_routings=hit["open_routings"],
        open_kg=hit["open_kg"],
    )


# --- Duties -----------------------------------------------------------------------------------


async def add_duty(
    tx: Connection, outlet_id: UUID, data: OutletDutyCreate, *, by: str, now: datetime
) -> OutletDutyView:
    """Record whose outlet it is. Raises `RoleNotPlayed` when the party is no such maker then."""
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise EmptyValidity(fields=[fault])
    await lock(tx, outlet_id)
    if not await store.plays(tx, data.party_id, data.role, data.valid_from):
        reason = f"it is no {data.role} on {data.valid_from}"
        fault = FieldError("/party_id", "role_not_played", reason)
        raise RoleNotPlayed(reason, fields=[fault])
    duty_id = await store.add_duty(tx, outlet_id, data)
    facts: dict[str, object] = {
        "party_id": data.party_id,
        "role": data.role,
        "from": data.valid_from,
        "to": data.valid_to,
    }
    taken = Event("outlet", outlet_id, "outlet.duty_taken", facts)
    await events.append(tx, [taken], actor=by, now=now)
    return await duty(tx, duty_id, outlet_id)


async def duty(tx: Connection, duty_id: UUID, outlet_id: UUID) -> OutletDutyView:
    row = await store.duty(tx, duty_id, outlet_id)
    if row is None:
        raise NoSuchOutletDuty
    return convert(row, OutletDutyView)


async def end_duty(
    tx: Connection, outlet_id: UUID, duty_id: UUID, data: OutletDutyEnd, *, by: str, now: datetime
) -> OutletDutyView:
    await lock(tx, outlet_id)
    before = await duty(tx, duty_id, outlet_id)
    if not await store.end_duty(tx, duty_id, data.ended_on):
        raise OutletDutyEndsOtherwise(
            f"it holds from {before.valid_from} to {before.valid_to or 'no end'}"
        )
    facts: dict[str, object] = {
        "party_id": before.party_id,
        "role": before.role,
        "on": data.ended_on,
    }
    ended = Event("outlet", outlet_id, "outlet.duty_ended", facts)
    await events.append(tx, [ended], actor=by, now=now)
    return await duty(tx, duty_id, outlet_id)


# --- Coverage ---------------------------------------------------------------------------------


async def coverage(tx: Connection, today: date) -> CoverageView:
    """How far the network reaches on a day, generated and real outlets counted apart."""
    counts = await store.coverage(tx, today)
    provinces = convert_all(await store.by_province(tx, today), ProvinceCoverage)
    generated = NetworkCount(
        outlets=counts["generated"],
        prefectures=counts.pop("generated_prefectures"),
        provinces=counts.pop("generated_provinces"),
    )
    real = NetworkCount(
        outlets=counts.pop("real"),
        prefectures=counts.pop("real_prefectures"),
        provinces=counts.pop("real_provinces"),
    )
    announced = NetworkCount(**rules.ANNOUNCED)
    return CoverageView(
        **counts,
        announced=announced,
        generated_network=generated,
        real_network=real,
        reconciles=generated == announced,
        note=rules.note(counts),
        by_province=provinces,
    )
