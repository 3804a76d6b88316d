"""Battery passports: what is declared, issuing one, and showing it to whom."""

from datetime import datetime
from uuid import UUID

from leasing.batteries import codes
from leasing.batteries import service as batteries
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError, Gone
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.passports import rules, store
from leasing.passports.model import (
    BadDeclaration,
    Facts,
    Incomplete,
    Issued,
    IssuedAlready,
    Json,
    NoSuchPassportPack,
    NotIssued,
    OutOfScope,
    PackIsRecycled,
)
from schemas.passports import (
    Access,
    AttributeView,
    BatteryPassport,
    CoverageView,
    DeclarationCreate,
    DeclarationScope,
    DeclarationView,
    PassportCreate,
    PassportView,
)


class PassportEnded(Gone):
    code = "passport_ended"
    title = "The battery was recycled, and its passport has ended"


async def known(tx: Connection, pack_id: UUID) -> Facts:
    pack = await store.facts(tx, pack_id)
    if pack is None:
        raise NoSuchPassportPack
    return pack


def refuse_out_of_scope(pack: Facts) -> None:
    if not rules.in_scope(pack.rated_voltage_mv, pack.rated_capacity_mah):
        energy = pack.rated_voltage_mv * pack.rated_capacity_mah / 1_000_000_000
        raise OutOfScope(
            f"it holds {energy:g} kWh by its rating; passports begin above 2 kWh",
            rated_energy_kwh=energy,
        )


# --- Declared ---------------------------------------------------------------------------------


async def declare(
    tx: Connection, data: DeclarationCreate, *, by: str, now: datetime
) -> DeclarationView:
    """Write down a part of passports that somebody stands for. Raises `BadDeclaration` with
    everything wrong with it at once."""
    refuse_future(data.declared_on, civil_date(now), "declared_on")
    faults = rules.refusals(data.scope, data.data)
    if (data.pack_id is None) != (data.scope is DeclarationScope.OPERATOR):
        message = "a model is named by one of its packs, an operator by none"
        faults.append(FieldError("/pack_id", "bad_declaration", message))
    if faults:
        raise BadDeclaration(faults)
    if data.pack_id is not None:
        await batteries.lock(tx, data.pack_id)
    if data.scope is DeclarationScope.PACK and data.pack_id is not None:
        refuse_recycled(await known(tx, data.pack_id))
    made = convert(await store.insert_declaration(tx, data, by, now), DeclarationView)
    facts: dict[str, object] = {
        "scope": data.scope,
        "pack_id": data.pack_id,
        "declared_by": data.declared_by,
        "document": data.document,
    }
    fact = Event("passport_declaration", made.id, "passport.declared", facts)
    await events.append(tx, [fact], actor=by, now=now)
    return made


def refuse_recycled(pack: Facts) -> None:
    if pack.recycled_on is not None:
        raise PackIsRecycled(f"it was recycled on {pack.recycled_on}", ended_on=pack.recycled_on)


# --- Issued -----------------------------------------------------------------------------------


async def issue(
    tx: Connection, pack_id: UUID, data: PassportCreate, *, by: str, now: datetime
) -> PassportView:
    """Issue the passport of a pack. Raises `Incomplete` with every value that is missing."""
    await batteries.lock(tx, pack_id)
    pack = await known(tx, pack_id)
    refuse_out_of_scope(pack)
    refuse_recycled(pack)
    if await store.issued(tx, pack_id):
        raise IssuedAlready
    predecessor = data.predecessor_id or await store.predecessor(tx, pack_id)
    made = await store.insert(tx, pack_id, civil_date(now), predecessor, by, now)
    await complete(tx, pack, made)
    facts: dict[str, object] = {"passport_id": made.id, "predecessor_id": predecessor}
    fact = Event("pack", pack_id, "pack.passport_issued", facts | {"on": made.issued_on})
    await events.append(tx, [fact], actor=by, now=now)
    return convert(as_row(made), PassportView)


def as_row(made: Issued) -> dict[str, object]:
    return {
        "id": made.id,
        "pack_id": made.pack_id,
        "issued_on": made.issued_on,
        "predecessor_id": made.predecessor_id,
    }


async def document(tx: Connection, pack: Facts, issued: Issued) -> Json:
    return rules.document(pack, issued, await store.declared(tx, pack.id, pack.ended_by))


async def complete(tx: Connection, pack: Facts, issued: Issued) -> Json:
    """The whole document. Raises `Incomplete` unless the schema has nothing against it."""
    made = await document(tx, pack, issued)
    missing, faults = rules.missing(made), rules.faults(made)
    if missing or faults:
        told = f"{len(missing)} values are missing" if missing else faults[0]
        raise Incomplete(told, missing=missing, faults=[] if missing else faults)
    return made


# --- Shown ------------------------------------------------------------------------------------


async def show(tx: Connection, pack_id: UUID, view: Access) -> BatteryPassport:
    """The passport of a pack as a group of readers sees it. After recycling there is none but the
    copy that authorities read: raises `PassportEnded`, `OutOfScope`, `NotIssued`."""
    pack = await known(tx, pack_id)
    refuse_out_of_scope(pack)
    issued = await store.issued(tx, pack_id)
    if issued is None:
        raise NotIssued
    if pack.recycled_on is not None and view is not Access.AUTHORITY:
        raise PassportEnded(
            f"it ended on {pack.recycled_on}", ended_on=pack.recycled_on, passport_id=issued.id
        )
    whole = await complete(tx, pack, issued)
    shown = rules.shown(whole, view)
    return BatteryPassport(
        view=view,
        withheld=sorted(".".join(path) for path in rules.withheld(view)),
        not_held=rules.not_held(shown),
        passport=shown,
    )


async def show_code(tx: Connection, code: str) -> BatteryPassport:
    """What the public sees of the passport behind a code."""
    pack_id = await store.by_code(tx, codes.normalise(code))
    if pack_id is None:
        raise NoSuchPassportPack
    return await show(tx, pack_id, Access.PUBLIC)


async def coverage(tx: Connection, pack_id: UUID | None) -> CoverageView:
    """How each of the 93 attributes comes into a passport, and for one pack whether it is there."""
    made = None
    if pack_id is not None:
        pack = await known(tx, pack_id)
        issued = await store.issued(tx, pack_id)
        made = await document(tx, pack, issued or not_yet(pack))
    found = [
        AttributeView(
            number=one.attribute.number,
            name=one.attribute.name,
            need=one.attribute.need,
            access=one.attribute.access,
            is_dynamic=one.attribute.is_dynamic,
            level=one.attribute.level,
            coverage=one.coverage,
            declared_for=one.declared_for,
            paths=one.paths,
            is_given=None if made is None else rules.is_given(made, one),
        )
        for one in rules.coverage()
    ]
    counts: dict[str, int] = {}
    for one in found:
        counts[one.coverage] = counts.get(one.coverage, 0) + 1
    return CoverageView(
        schema=rules.SPECIFICATION,
        counts=counts,
        missing=[] if made is None else rules.missing(made),
        attributes=found,
    )


def not_yet(pack: Facts) -> Issued:
    """A passport that is not issued, to see what it would lack."""
    return Issued(rules.NO_PREDECESSOR, pack.id, pack.made_on, None)
