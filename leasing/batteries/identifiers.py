"""What a pack is known by: giving it another identifier, ending one, and finding packs by any."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.batteries import codes, identifier_store, rules, service, store
from leasing.batteries.guesses import Guess, guesses
from leasing.batteries.model import (
    BadIdentifier,
    BadPackCode,
    BadSearch,
    IdentifierEnded,
    NoSuchIdentifier,
    NoSuchPack,
    PrintedCodeStays,
    TooManyIdentifiers,
)
from leasing.batteries.rules import Reading
from leasing.batteries.store import NewCode
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import (
    CodeScheme,
    FoundBy,
    IdentifierCreate,
    IdentifierView,
    PackIdentifiers,
    PackMatch,
    PackSearch,
    PackView,
    Suggestion,
)

MOST_IDENTIFIERS = 200
MOST_MATCHES = 20
LEAST_PREFIX = 4


async def add(
    tx: Connection, pack_id: UUID, data: IdentifierCreate, *, by: str, now: datetime
) -> IdentifierView:
    """Give a pack another identifier, or a new printed code in place of its present one."""
    await service.lock(tx, pack_id)
    today = civil_date(now)
    reading = readable(data, today)
    refuse_bad_dates(data, today)
    present = await identifier_store.of_pack(tx, pack_id)
    if len(present) >= MOST_IDENTIFIERS:
        raise TooManyIdentifiers(f"a pack has {MOST_IDENTIFIERS} identifiers at most")
    valid_from = data.valid_from
    if data.replaces is not None:
        valid_from = valid_from or today
        await take_its_place(tx, pack_id, present, data.replaces, reading, valid_from)
    code = NewCode(
        pack_id,
        reading.scheme,
        reading.value,
        reading.assigned_by,
        data.replaces is not None,
        valid_from,
        data.valid_to,
    )
    (identifier_id,) = await store.insert_codes(tx, [code])
    said: dict[str, object] = {
        "scheme": reading.scheme,
        "value": reading.value,
        "replaces": data.replaces,
    }
    if data.replaces is not None and reading.is_second_life:
        pack = await service.get(tx, pack_id)
        facts = {
            **said,
            "originals": sorted(one["value"] for one in present),
            "rated_voltage_mv": pack.rated_voltage_mv,
            "rated_capacity_mah": pack.rated_capacity_mah,
        }
        step = Step(pack_id, "cascade.coded", valid_from or today, facts)
        await traceability.record(tx, [step], by=by, now=now)
    fact = Event("pack", pack_id, "pack.identified", {**said, "on": valid_from or today})
    await events.append(tx, [fact], actor=by, now=now)
    rows = await identifier_store.of_pack(tx, pack_id)
    return convert(one_of(rows, identifier_id), IdentifierView)


def readable(data: IdentifierCreate, today: date) -> Reading:
    """Raises `BadPackCode` for a code that its own scheme cannot read."""
    reading = rules.read(data.value, data.scheme, data.assigned_by, today)
    if reading.faults:
        faults = [
            FieldError(f"/{fault.pointer}", fault.code, fault.message) for fault in reading.faults
        ]
        told = "; ".join(fault.message for fault in faults)
        raise BadPackCode(told, fields=faults, suggestions=reading.suggestions)
    return reading


def refuse_bad_dates(data: IdentifierCreate, today: date) -> None:
    """Raises `BadIdentifier`."""
    faults = []
    if data.valid_from is not None and data.valid_from > today:
        faults.append(FieldError("/valid_from", "future_date", "this day is still to come"))
    if data.valid_to is not None and data.replaces is not None:
        reason = "the printed code has no end until another replaces it"
        faults.append(FieldError("/valid_to", "bad_identifier", reason))
    if data.valid_to is not None and data.valid_to <= (data.valid_from or date.min):
        faults.append(FieldError("/valid_to", "bad_date", "it is valid for one day at least"))
    if faults:
        raise BadIdentifier("; ".join(fault.message for fault in faults), fields=faults)


async def take_its_place(
    tx: Connection,
    pack_id: UUID,
    present: Sequence[Record],
    replaced_id: UUID,
    reading: Reading,
    on: date,
) -> None:
    """End the printed code, which another takes the place of. Raises `NoSuchIdentifier` unless
    it is the one that is printed now."""
    replaced = one_of(present, replaced_id)
    if not replaced["is_current"]:
        raise IdentifierEnded("it is not the code that is printed on the pack now")
    refuse_before(replaced, on)
    if reading.level not in (None, "pack"):
        raise BadIdentifier(
            f"the code is that of a {reading.level}, not of a pack",
            fields=[FieldError("/value", "bad_identifier", f"a {reading.level}'s code")],
        )
    await identifier_store.end(tx, pack_id, replaced_id, on)
    await identifier_store.set_maker(tx, pack_id, rules.maker(reading.scheme, reading.value))


def one_of(rows: Sequence[Record], identifier_id: UUID) -> Record:
    for row in rows:
        if row["id"] == identifier_id:
            return row
    raise NoSuchIdentifier


def refuse_before(identifier: Record, on: date) -> None:
    """Raises `IdentifierEnded` unless an identifier can end on a day."""
    begins, ends = identifier["valid_from"], identifier["valid_to"]
    if ends is not None or (begins is not None and begins >= on):
        raise IdentifierEnded(f"it is valid from {begins} to {ends or 'now'}")


async def end(
    tx: Connection, pack_id: UUID, identifier_id: UUID, on: date, *, by: str, now: datetime
) -> IdentifierView:
    """End an identifier that is not the printed one."""
    await service.lock(tx, pack_id)
    identifier = one_of(await identifier_store.of_pack(tx, pack_id), identifier_id)
    if identifier["is_current"]:
        raise PrintedCodeStays
    refuse_before(identifier, on)
    if on > civil_date(now):
        fault = FieldError("/ended_on", "future_date", "this day is still to come")
        raise BadIdentifier(fault.message, fields=[fault])
    await identifier_store.end(tx, pack_id, identifier_id, on)
    said = {"scheme": identifier["scheme"], "value": identifier["value"], "on": on}
    fact = Event("pack", pack_id, "pack.identifier_ended", said)
    await events.append(tx, [fact], actor=by, now=now)
    rows = await identifier_store.of_pack(tx, pack_id)
    return convert(one_of(rows, identifier_id), IdentifierView)


async def of_pack(tx: Connection, pack_id: UUID) -> PackIdentifiers:
    rows = await identifier_store.of_pack(tx, pack_id)
    if not rows:
        raise NoSuchPack
    return PackIdentifiers(pack_id=pack_id, identifiers=convert_all(rows, IdentifierView))


# --- Search -----------------------------------------------------------------------------------


async def search(tx: Connection, question: str) -> PackSearch:
    """Packs by any identifier, also of a part or an original: exact ones first, then those that
    begin with it. When there is none, what may have been meant."""
    sought = codes.normalise(question)
    if not sought:
        fault = FieldError("?q", "bad_search", "nothing but blanks")
        raise BadSearch(fault.message, fields=[fault])
    found = await identifier_store.by_code(tx, [sought], MOST_MATCHES + 1)
    if len(found) <= MOST_MATCHES and len(sought) >= LEAST_PREFIX:
        found += await identifier_store.by_prefix(tx, sought, MOST_MATCHES + 1)
    ways = {way(row): row for row in reversed(found)}
    ordered = sorted(ways.values(), key=lambda row: rank(row, sought))
    return PackSearch(
        sought=sought,
        matches=await matches(tx, ordered[:MOST_MATCHES], sought),
        more=len(ordered) > MOST_MATCHES,
        suggestions=[] if ordered else await suggestions(tx, question),
    )


def way(row: Record) -> tuple[object, ...]:
    return row["pack_id"], row["found_by"], row["scheme"], row["value"], row["until"]


def rank(row: Record, sought: str) -> tuple[object, ...]:
    by = list(FoundBy).index(FoundBy(row["found_by"]))
    return row["value"] != sought, row["until"] is not None, by, row["value"], row["pack_id"]


async def matches(tx: Connection, found: Sequence[Record], sought: str) -> list[PackMatch]:
    rows = await store.get_many(tx, {row["pack_id"] for row in found})
    packs = {row["id"]: convert(row, PackView) for row in rows}
    return [
        PackMatch(
            pack=packs[row["pack_id"]],
            found_by=FoundBy(row["found_by"]),
            scheme=CodeScheme(row["scheme"]),
            value=row["value"],
            is_exact=row["value"] == sought,
            until=row["until"],
        )
        for row in found
        if row["pack_id"] in packs
    ]


async def suggestions(tx: Connection, question: str) -> list[Suggestion]:
    """Guesses that exist, and those that are codes of themselves."""
    tried = guesses(question)
    found = await identifier_store.by_code(
        tx, [guess.value for guess in tried], len(tried) + MOST_MATCHES
    )
    known = {row["value"]: row["pack_id"] for row in found}
    worth = [guess for guess in tried if guess.value in known or guess.is_code]
    return [suggestion(guess, known.get(guess.value)) for guess in worth[:MOST_MATCHES]]


def suggestion(guess: Guess, pack_id: UUID | None) -> Suggestion:
    return Suggestion(value=guess.value, reason=guess.reason, pack_id=pack_id)
