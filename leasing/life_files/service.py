"""A pack's life put together, signed, and registers of outlets."""

from contextlib import nullcontext
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.balances import store as balances
from leasing.balances.model import Pack
from leasing.batteries import codes
from leasing.db.pool import Connection, as_lessor
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.life_files import pages, rules, store
from leasing.life_files.model import (
    NoPassphrase,
    NoSigningKey,
    NoSuchCode,
    NoSuchOutlet,
    NoSuchSigningKey,
    RegisterTooLong,
)
from leasing.life_files.rules import ALGORITHM
from leasing.traceability import head_store
from leasing.traceability.model import Written
from schemas.documents import DocumentLanguage
from schemas.life_files import (
    EvidenceView,
    LifeFile,
    LifeFileCode,
    LifeFileRecord,
    LifeFileRelative,
    LifeFileStay,
    RegisterEntry,
    RegisterView,
    SigningKeys,
    SigningKeyView,
)

KEPT_YEARS = 3
"""How long a register is kept at the least (outlets' guide of 2019)."""
MAX_ROWS = 50_000
"""Of one register; more days than that holds are asked for in parts."""


async def pack_of(tx: Connection, code: str) -> UUID:
    """The pack that carries a code, or carried it once. Raises `NoSuchCode`."""
    found = await store.by_code(tx, codes.normalise(code))
    if found is None:
        raise NoSuchCode
    return found


async def written(tx: Connection, pack_id: UUID) -> list[Written]:
    return [one async for some in head_store.written(tx, [pack_id]) for one in some]


async def life(tx: Connection, code: str, *, now: datetime) -> tuple[LifeFile, list[Written]]:
    """The whole life of the pack behind a code, and its records as they were hashed."""
    pack_id = await pack_of(tx, code)
    pack = await store.pack(tx, pack_id)
    records = await written(tx, pack_id)
    parties = await store.parties(tx, pack_id)
    evidence = convert_all(await store.evidence(tx, pack_id), EvidenceView)
    known = convert_all(await store.codes(tx, pack_id), LifeFileCode)
    made_from = convert_all(await store.made_from(tx, pack_id), LifeFileRelative)
    shape = Pack(pack_id, pack["code"], pack["mass_kg"], 0, pack["state"], None)
    ((_, steps, stays, _),) = await balances.joined(tx, [shape], None)
    placed = [(one["from_on"], one["to_on"]) for one in await store.placed(tx, pack_id)]
    gaps = rules.gaps(
        records,
        steps,
        stays,
        placed,
        {one["on"]: one["is_tested"] for one in await store.returned(tx, pack_id)},
        evidence,
        is_traced=bool(pack["vin"] or made_from or len(known) > 1),
        until=civil_date(now) + timedelta(days=1),
    )
    made = LifeFile(
        **pack,
        made_at=now,
        asked_for=code,
        codes=known,
        made_from=made_from,
        made_into=convert_all(await store.made_into(tx, pack_id), LifeFileRelative),
        records=[shown(one, parties) for one in records],
        custody=convert_all(await store.custody(tx, pack_id), LifeFileStay),
        evidence=evidence,
        gaps=gaps,
        head_sha256=records[-1].hash.hex() if records else None,
    )
    return msgspec.convert(msgspec.to_builtins(made), LifeFile), records


def shown(record: Written, parties: dict[UUID, str]) -> LifeFileRecord:
    return LifeFileRecord(
        id=record.id,
        sequence=record.sequence,
        kind=record.kind,
        happened_on=record.happened_on,
        adcode=record.adcode,
        party_id=record.party_id,
        party=parties.get(record.party_id) if record.party_id else None,
        corrects_id=record.corrects_id,
        data=msgspec.json.decode(record.data),
        actor=record.actor,
        recorded_at=record.recorded_at,
        previous_sha256=record.previous_hash.hex() if record.previous_hash else None,
        sha256=record.hash.hex(),
    )


async def signed_archive(
    tx: Connection, code: str, passphrase: str | None, *, now: datetime
) -> tuple[str, bytes]:
    """A life as a signed zip, and the code it is named by. Raises `NoSuchCode`, `NoSigningKey`,
    `NoPassphrase`."""
    made, records = await life(tx, code, now=now)
    async with as_lessor(tx):
        key = await store.newest_key(tx)
    if key is None or key["private_pem"] is None:
        raise NoSigningKey
    private = rules.opened(key["private_pem"], known(passphrase))
    written_pages = {
        f"life.{language}.html": pages.write(made, language) for language in DocumentLanguage
    }
    files = rules.files_of(made, records, written_pages, key_id=str(key["id"]))
    return made.code, rules.archive(files, private, key["public_pem"], now)


def known(passphrase: str | None) -> str:
    if not passphrase:
        raise NoPassphrase
    return passphrase


# --- Keys -------------------------------------------------------------------------------------


async def make_key(
    tx: Connection, passphrase: str | None, *, by: str, now: datetime
) -> SigningKeyView:
    """A new key, which signs from now on. Raises `NoPassphrase`."""
    private_pem, public_pem = rules.new_key(known(passphrase))
    row = await store.insert_key(tx, private_pem, public_pem, by, now)
    facts: dict[str, object] = {"algorithm": ALGORITHM, "public_pem": public_pem}
    await events.append(
        tx, [Event("signing_key", row["id"], "signing_key.made", facts)], actor=by, now=now
    )
    return convert({**row, "algorithm": ALGORITHM}, SigningKeyView)


async def keys(tx: Connection) -> SigningKeys:
    rows = await store.public_keys(tx)
    return SigningKeys(
        keys=[convert({**row, "algorithm": ALGORITHM}, SigningKeyView) for row in rows]
    )


async def public_key(tx: Connection, key_id: UUID) -> str:
    for key in (await keys(tx)).keys:
        if key.id == key_id:
            return key.public_pem
    raise NoSuchSigningKey


# --- Registers --------------------------------------------------------------------------------


async def register(
    tx: Connection, outlet_id: UUID, from_on: date, to_on: date, *, of_its_own: bool
) -> RegisterView:
    """What came into an outlet and what went out of it in [from_on, to_on). An outlet that asks for
    `its own` learns the prefecture where packs came from: it has no business with the lessor's
    customers. Raises `NoSuchOutlet`, `RegisterTooLong`."""
    outlet = await store.outlet(tx, outlet_id)
    if outlet is None:
        raise NoSuchOutlet
    async with as_lessor(tx) if of_its_own else nullcontext():
        rows = await store.register(tx, outlet_id, from_on, to_on, MAX_ROWS + 1)
    if len(rows) > MAX_ROWS:
        raise RegisterTooLong(f"these days have more than {MAX_ROWS} rows")
    entries = [entry(row, outlet["code"], of_its_own=of_its_own) for row in rows]
    came = [one for one in entries if one.direction == "in"]
    went = [one for one in entries if one.direction == "out"]
    return RegisterView(
        outlet_id=outlet_id,
        outlet_code=outlet["code"],
        outlet_name_zh=outlet["name_zh"],
        outlet_name_en=outlet["name_en"],
        adcode=outlet["adcode"],
        operator=outlet["operator"],
        from_on=from_on,
        to_on=to_on,
        packs_in=len(came),
        kg_in=sum(one.mass_kg for one in came),
        packs_out=len(went),
        kg_out=sum(one.mass_kg for one in went),
        entries=entries,
    )


def entry(row: Record, outlet_code: str, *, of_its_own: bool) -> RegisterEntry:
    came_in = row["direction"] == "in"
    came_from = None if of_its_own else row["source"]
    more = {
        "source": came_from or row["from_adcode"] or "" if came_in else outlet_code,
        "quantity": 1,
        "destination": outlet_code if came_in else row["recycler"],
        "keep_until": years_after(row["on"], KEPT_YEARS),
    }
    return convert({**row, **more}, RegisterEntry)


def years_after(on: date, years: int) -> date:
    """The same day some years later; of February 29th the day after."""
    try:
        return on.replace(year=on.year + years)
    except ValueError:
        return date(on.year + years, 3, 1)
