"""What a pack is made of (modules, cells) and what it was made from (cascade, original)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.batteries import codes, part_store, rules, service, store
from leasing.batteries.model import (
    BadOrigins,
    BadParts,
    NoSuchPart,
    OriginCircle,
    PartsElsewhere,
    RemovedBeforeInstalled,
    TooManyParts,
)
from leasing.batteries.part_store import NewStay, Part
from leasing.batteries.rules import Reading
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import (
    CodeScheme,
    OriginsCreate,
    OriginView,
    PackOrigins,
    PackParts,
    PartCreate,
    PartKind,
    PartsCreate,
    PartView,
)

MOST_PARTS = 20_000
MOST_DEPTH = 10
MOST_ORIGINS_SHOWN = 2_000

Key = tuple[str, str, str]


class Row(msgspec.Struct, frozen=True):
    """A part as it was asked for, read. `position` is its place in the request."""

    position: int
    asked: PartCreate
    reading: Reading

    @property
    def key(self) -> Key:
        return key(self.reading.scheme, self.reading.value, self.reading.assigned_by)

    def fault(self, field: str, code: str, reason: str) -> FieldError:
        return FieldError(f"/parts/{self.position}/{field}", code, reason)


class Above(msgspec.Struct, frozen=True):
    """What a part is to be in: another row, or a module of the pack."""

    row: int | None = None
    part: PartView | None = None


def key(scheme: str, value: str, assigned_by: str | None) -> Key:
    """Two texts with one key name one part."""
    return scheme, value, (assigned_by or "").lower() if scheme == CodeScheme.MAKER_SERIAL else ""


# --- Installing -------------------------------------------------------------------------------


async def install(
    tx: Connection, pack_id: UUID, data: PartsCreate, *, by: str, now: datetime
) -> PackParts:
    """Put parts into a pack, all or none. What is inside a module that was loose comes with it.
    Raises `BadParts` or `PartsElsewhere` with what is wrong with each."""
    await service.lock(tx, pack_id)
    today = civil_date(now)
    pack = await service.get(tx, pack_id)
    on = data.installed_on or min(pack.made_on, today)
    rows = read_rows(data.parts, today)
    present = await in_pack(tx, pack_id, None)
    above, faults = places(rows, present)
    faults = [*row_faults(rows), *faults]
    if on > today:
        faults.append(FieldError("/installed_on", "future_date", f"{on} is still to come"))
    if faults:
        raise BadParts(f"{len(faults)} faults in {len(rows)} parts", fields=faults)
    known = await lock_known(tx, rows)
    if conflicts := list(elsewhere(rows, above, known, on)):
        raise PartsElsewhere(f"{len(conflicts)} of {len(rows)} parts", fields=conflicts)
    ids = await identities(tx, rows, known, now)
    moved = await part_store.with_contents(tx, [part.id for part in known.values()])
    stays = new_stays(rows, above, ids, moved)
    if await part_store.count(tx, pack_id) + len(stays) > MOST_PARTS:
        raise TooManyParts(f"a pack has {MOST_PARTS} parts at most")
    await part_store.end_stays(tx, list({row["part_id"] for row in moved}), on)
    await part_store.insert_stays(tx, stays, pack_id, on)
    found = [row.reading.value for row in rows]
    said: dict[str, object] = {"on": on, "codes": found}
    step = Step(pack_id, "pack.assembled", on, {"code": pack.code, "parts": found})
    await traceability.record(tx, [step], by=by, now=now)
    await events.append(tx, [Event("pack", pack_id, "pack.assembled", said)], actor=by, now=now)
    return await of_pack(tx, pack_id, None)


def read_rows(parts: Sequence[PartCreate], today: date) -> list[Row]:
    return [
        Row(position, part, rules.read(part.code, part.scheme, part.assigned_by, today))
        for position, part in enumerate(parts)
    ]


def row_faults(rows: Sequence[Row]) -> Iterator[FieldError]:
    """What is wrong with each row by itself, and rows that name one part twice."""
    first: dict[Key, int] = {}
    for row in rows:
        for fault in row.reading.faults:
            field = "code" if fault.pointer == "value" else fault.pointer
            yield row.fault(field, fault.code, fault.message)
        if reason := rules.not_this_kind(row.asked.kind, row.reading):
            yield row.fault("kind", "other_kind", reason)
        if row.reading.scheme is not CodeScheme.UNRECOGNISED:
            earlier = first.setdefault(row.key, row.position)
            if earlier != row.position:
                yield row.fault("code", "named_twice", f"the same part as /parts/{earlier}")


def places(
    rows: Sequence[Row], present: Sequence[PartView]
) -> tuple[dict[int, Above], list[FieldError]]:
    """What each row is to be in, and why some of that cannot be."""
    by_value: dict[str, list[Above]] = {}
    for row in rows:
        by_value.setdefault(row.reading.value, []).append(Above(row=row.position))
    for part in present:
        by_value.setdefault(part.code, []).append(Above(part=part))
    above, faults = {}, []
    for row in rows:
        if row.asked.within is None:
            above[row.position] = Above()
            continue
        wanted = codes.normalise(row.asked.within)
        found = by_value.get(wanted, [])
        if len(found) != 1:
            some = "more than one part has" if found else "neither the request nor the pack has"
            faults.append(row.fault("within", "no_such_module", f"{some} the code {wanted}"))
        elif holder(rows, found[0]) is not PartKind.MODULE:
            faults.append(row.fault("within", "not_a_module", "a cell holds nothing"))
        else:
            above[row.position] = found[0]
    if not faults:
        faults = [
            row.fault("within", "too_deep", f"inside itself, or deeper than {MOST_DEPTH} levels")
            for row in rows
            if depth_of(row.position, above) is None
        ]
    return above, faults


def holder(rows: Sequence[Row], place: Above) -> PartKind:
    if place.part is not None:
        return place.part.kind
    assert place.row is not None
    return rows[place.row].asked.kind


def depth_of(position: int, above: Mapping[int, Above]) -> int | None:
    """How deep a row will be in the pack; None for one that is inside itself, or too deep."""
    depth, place = 1, above[position]
    while place.row is not None:
        depth, place = depth + 1, above[place.row]
        if depth > MOST_DEPTH:
            return None
    depth += place.part.depth if place.part is not None else 0
    return depth if depth <= MOST_DEPTH else None


async def lock_known(tx: Connection, rows: Sequence[Row]) -> dict[int, Part]:
    """The parts that are known already, by row; nobody else moves them until we are done."""
    values = [row.reading.value for row in rows]
    await part_store.lock_parts(tx, [part.id for part in await part_store.known(tx, values)])
    by_key = {
        key(part.scheme, part.code, part.assigned_by): part
        for part in await part_store.known(tx, values)
    }
    return {row.position: by_key[row.key] for row in rows if row.key in by_key}


def elsewhere(
    rows: Sequence[Row], above: Mapping[int, Above], known: Mapping[int, Part], on: date
) -> Iterator[FieldError]:
    """Why parts cannot be where they are wanted on that day."""
    for row in rows:
        place, part = above[row.position].part, known.get(row.position)
        if place is not None and place.installed_on > on:
            reason = f"the module is in the pack from {place.installed_on} on only"
            yield row.fault("within", "not_yet_there", reason)
        if part is None:
            continue
        if part.kind != row.asked.kind:
            yield row.fault("kind", "other_kind", f"it is known as a {part.kind}")
        if part.pack_id is not None:
            reason = f"it is in pack {part.pack_id} since {part.since}"
            yield row.fault("code", "in_a_pack", reason)
        elif part.since > on:
            reason = f"it was in another pack until {part.since}"
            yield row.fault("code", "in_a_pack", reason)


async def identities(
    tx: Connection, rows: Sequence[Row], known: Mapping[int, Part], now: datetime
) -> list[UUID]:
    """The id of each row's part; a part that nobody knew is entered."""
    fresh = [row for row in rows if row.position not in known]
    made = await part_store.insert_parts(
        tx,
        [
            (row.asked.kind, row.reading.scheme, row.reading.value, row.reading.assigned_by)
            for row in fresh
        ],
        now,
    )
    ids = {row.position: part_id for row, part_id in zip(fresh, made, strict=True)}
    ids |= {position: part.id for position, part in known.items()}
    return [ids[row.position] for row in rows]


def new_stays(
    rows: Sequence[Row],
    above: Mapping[int, Above],
    ids: Sequence[UUID],
    moved: Sequence[Record],
) -> list[NewStay]:
    """Where every part will be: those asked for, and what is inside them. Raises
    `PartsElsewhere` for a module that would be inside itself or too deep by what it holds."""
    within: dict[UUID, UUID | None] = {row["part_id"]: row["within_id"] for row in moved}
    fixed: dict[UUID, int] = {}
    for row in rows:
        place = above[row.position]
        if place.part is not None:
            within[ids[row.position]], fixed[place.part.id] = place.part.id, place.part.depth
        else:
            within[ids[row.position]] = None if place.row is None else ids[place.row]
    stays = []
    for part_id, within_id in within.items():
        depth, up = 1, within_id
        while up is not None and up not in fixed and depth <= MOST_DEPTH:
            depth, up = depth + 1, within[up]
        depth += fixed[up] if up is not None and up in fixed else 0
        if depth > MOST_DEPTH:
            raise PartsElsewhere(f"inside itself, or deeper than {MOST_DEPTH} levels")
        stays.append(NewStay(part_id, within_id, depth))
    return stays


# --- Reading and removing ---------------------------------------------------------------------


async def in_pack(tx: Connection, pack_id: UUID, on: date | None) -> list[PartView]:
    return convert_all(await part_store.in_pack(tx, pack_id, on), PartView)


async def of_pack(tx: Connection, pack_id: UUID, on: date | None) -> PackParts:
    """What is in a pack on a day, or now, each part behind what it is in. Raises `NoSuchPack`."""
    await service.get(tx, pack_id)
    return PackParts(pack_id=pack_id, parts=in_order(await in_pack(tx, pack_id, on)))


def in_order(parts: Sequence[PartView]) -> list[PartView]:
    """Each part directly behind what it is in and what else that holds."""
    inside: dict[UUID | None, list[PartView]] = {}
    for part in parts:
        inside.setdefault(part.within_id, []).append(part)
    ordered: list[PartView] = []
    waiting = list(reversed(inside.get(None, [])))
    while waiting:
        part = waiting.pop()
        ordered.append(part)
        waiting += reversed(inside.get(part.id, []))
    return ordered


async def remove(
    tx: Connection, pack_id: UUID, part_id: UUID, on: date, *, by: str, now: datetime
) -> PackParts:
    """Take a part out of a pack, with all that is in it; it is loose from that day on."""
    await service.lock(tx, pack_id)
    today = civil_date(now)
    if on > today:
        fault = FieldError("/removed_on", "future_date", f"{on} is still to come")
        raise BadParts(fault.message, fields=[fault])
    await part_store.lock_parts(tx, [part_id])
    part = next((one for one in await in_pack(tx, pack_id, None) if one.id == part_id), None)
    if part is None:
        raise NoSuchPart
    contents = await part_store.with_contents(tx, [part_id])
    if late := [row for row in contents if row["since"] >= on]:
        raise RemovedBeforeInstalled(f"installed on {late[0]['since']}")
    stays = [
        NewStay(
            row["part_id"],
            None if row["part_id"] == part_id else row["within_id"],
            row["depth"] - part.depth + 1,
        )
        for row in contents
    ]
    await part_store.end_stays(tx, [row["part_id"] for row in contents], on)
    await part_store.insert_stays(tx, stays, None, on)
    said = {"part_id": part_id, "code": part.code, "on": on, "parts": len(stays)}
    whole = await service.get(tx, pack_id)
    facts: dict[str, object] = {"code": whole.code, "part": part.code, "with": len(stays) - 1}
    step = Step(pack_id, "pack.decomposed", on, facts)
    await traceability.record(tx, [step], by=by, now=now)
    await events.append(tx, [Event("pack", pack_id, "pack.decomposed", said)], actor=by, now=now)
    return await of_pack(tx, pack_id, None)


# --- Origins ----------------------------------------------------------------------------------


async def add_origins(
    tx: Connection, pack_id: UUID, data: OriginsCreate, *, by: str, now: datetime
) -> PackOrigins:
    """Say what a pack was made from. Raises `BadOrigins` with what is wrong with each."""
    await service.lock(tx, pack_id)
    today = civil_date(now)
    readings = [
        rules.read(origin.code, None, None, today) if origin.code is not None else None
        for origin in data.origins
    ]
    ours = await part_store.packs_by_code(tx, [one.value for one in readings if one is not None])
    given = [origin.pack_id for origin in data.origins if origin.pack_id is not None]
    known = await part_store.known_packs(tx, given)
    faults: list[FieldError] = []
    rows: list[tuple[UUID | None, str | None, str | None]] = []
    for position, (origin, reading) in enumerate(zip(data.origins, readings, strict=True)):
        pointer = f"/origins/{position}"
        if (origin.pack_id is None) == (reading is None):
            faults.append(FieldError(pointer, "bad_origin", "a pack_id or a code, one of the two"))
        elif reading is not None and reading.faults:
            fault = reading.faults[0]
            faults.append(FieldError(f"{pointer}/code", fault.code, fault.message))
        elif origin.pack_id is not None and origin.pack_id not in known:
            faults.append(FieldError(f"{pointer}/pack_id", "no_such_pack", "there is none"))
        elif reading is not None and reading.value not in ours:
            rows.append((None, reading.scheme, reading.value))
        else:
            origin_id = origin.pack_id if reading is None else ours[reading.value]
            rows.append((origin_id, None, None))
    if faults:
        raise BadOrigins(f"{len(faults)} of {len(data.origins)} origins", fields=faults)
    if any(origin_id == pack_id for origin_id, _, _ in rows):
        raise OriginCircle
    await part_store.insert_origins(tx, pack_id, rows)
    said: dict[str, object] = {"origins": [origin_id or code for origin_id, _, code in rows]}
    packs = await store.get_many(tx, [pack_id, *(one for one, _, _ in rows if one is not None)])
    known_as = {row["id"]: row["code"] for row in packs}
    made_from = [known_as[origin_id] if origin_id else code for origin_id, _, code in rows]
    facts = {"code": known_as[pack_id], "made_from": made_from}
    step = Step(pack_id, "pack.assembled", today, facts)
    await traceability.record(tx, [step], by=by, now=now)
    await events.append(tx, [Event("pack", pack_id, "pack.made_from", said)], actor=by, now=now)
    return await origins(tx, pack_id)


async def origins(tx: Connection, pack_id: UUID) -> PackOrigins:
    """What a pack was made from, and what that was made from, as far back as is known."""
    await service.get(tx, pack_id)
    rows = await part_store.ancestors(tx, pack_id, MOST_ORIGINS_SHOWN)
    return PackOrigins(pack_id=pack_id, origins=convert_all(rows, OriginView))
