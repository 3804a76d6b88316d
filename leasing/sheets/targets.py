"""What sheets are made of and written to: sites and vehicles, and packs.

A target says which record a row speaks of, what a row claims for itself, and hands what is new
and what is changed to the service of its context.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from asyncpg import Record as Row

from leasing.batteries import service as batteries
from leasing.db.pool import Connection
from leasing.sheets import store
from leasing.sheets.model import OWNER, PACKS, SITES, VEHICLES, Sheet, capitals, words
from leasing.sheets.rules import Draft, Key, Record, fault_of
from leasing.sites import service as sites
from schemas.packs import PackState
from schemas.parties import PartyKind
from schemas.sheets import SheetKind
from schemas.sites import SiteKind


class Target(Protocol):
    sheet: Sheet

    async def match(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        """Give each draft the record it speaks of, or a fault."""

    def claims(self, draft: Draft) -> list[Key]:
        """What no other row of the file may claim."""

    def key(self, draft: Draft) -> str:
        """What people call the thing in this row."""

    def check(self, values: dict[str, Any], today: date) -> None:
        """What the API asks of something new beyond its struct. Raises `Invalid`."""

    def check_whole(self, values: dict[str, Any], today: date) -> None:
        """What cannot be true of a thing as the row leaves it. Raises `Invalid`."""

    async def create(
        self, tx: Connection, new: Sequence[Any], *, by: str, now: datetime
    ) -> None: ...

    async def change(
        self, tx: Connection, drafts: Sequence[Draft], *, by: str, now: datetime
    ) -> None: ...

    async def export(
        self, tx: Connection, party_id: UUID | None, state: PackState | None, limit: int
    ) -> list[dict[str, Any]]: ...


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def ids_of(drafts: Sequence[Draft]) -> list[UUID]:
    found = (as_uuid(draft.texts.get("id", "")) for draft in drafts)
    return [one for one in found if one is not None]


def match_by_id(draft: Draft, noun: str, by_id: dict[UUID, Record]) -> bool:
    """Whether the row names its record by id; if so, that record or a fault is in the draft."""
    if "id" in draft.spoilt:
        fault_of(draft, "id", draft.spoilt["id"].code, str(draft.spoilt["id"]))
        return True
    text = draft.texts.get("id", "")
    if not text:
        return False
    found = as_uuid(text)
    draft.record = by_id.get(found) if found else None
    if found is None:
        fault_of(draft, "id", "invalid_uuid", f"'{text[:60]}' is not a UUID")
    elif draft.record is None:
        message = f"there is no {noun} with this id; leave it empty to enter a new one"
        fault_of(draft, "id", "not_found", message)
    return True


class Sites:
    """Sites, or the vehicles among them."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.vehicles = sheet is VEHICLES

    async def match(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        vins = [vin for draft in drafts if (vin := draft.texts.get("vin"))]
        found = [site_record(row) for row in await store.find_sites(tx, ids_of(drafts), vins)]
        by_id = {record.id: record for record in found}
        by_vin = {record.values["vin"]: record for record in found if record.values["vin"]}
        left = []
        for draft in drafts:
            if match_by_id(draft, self.sheet.noun, by_id):
                continue
            draft.record = by_vin.get(draft.texts.get("vin", ""))
            if draft.record is None:
                left.append(draft)
        await self.match_by_code(tx, left)
        for draft in drafts:
            self.refuse_other_kind(draft)

    async def match_by_code(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        await resolve_owners(tx, drafts)
        keys = [key for draft in drafts if (key := owner_and_code(draft))]
        found = [site_record(row) for row in await store.find_sites(tx, owners_and_codes=keys)]
        by_key = {(one.values["party_id"], one.values["code"]): one for one in found}
        for draft in drafts:
            key = owner_and_code(draft)
            draft.record = by_key.get(key) if key else None

    def refuse_other_kind(self, draft: Draft) -> None:
        if draft.record is not None:
            kind = draft.record.values["kind"]
        else:
            kind = self.sheet.given.get("kind") or draft.texts.get("kind")
        if (kind == SiteKind.VEHICLE) != self.vehicles:
            other = SheetKind.SITES if self.vehicles else SheetKind.VEHICLES
            fault_of(draft, "kind", "other_sheet", f"this is a {kind}: it belongs to {other}")

    def claims(self, draft: Draft) -> list[Key]:
        if draft.record is not None:
            return [("record", draft.record.id)]
        vin, place = draft.texts.get("vin"), owner_and_code(draft)
        return [("vin", vin)] * bool(vin) + [("place", place)] * bool(place)

    def key(self, draft: Draft) -> str:
        names = ("vin", "code") if self.vehicles else ("code",)
        return next((text for name in names if (text := draft.texts.get(name))), "")

    def check(self, values: dict[str, Any], today: date) -> None:
        kind = SiteKind.VEHICLE if self.vehicles else SiteKind.TOWER
        sites.checked_vin(kind, values.get("vin"))

    def check_whole(self, values: dict[str, Any], today: date) -> None:
        """Fields of a site do not bear on each other."""

    async def create(self, tx: Connection, new: Sequence[Any], *, by: str, now: datetime) -> None:
        await sites.create(tx, new, by=by, now=now)

    async def change(
        self, tx: Connection, drafts: Sequence[Draft], *, by: str, now: datetime
    ) -> None:
        patches = {
            draft.record.id: (draft.patch, draft.record.version or 0)
            for draft in drafts
            if draft.record is not None
        }
        await sites.change_all(tx, patches, by=by, now=now)

    async def export(
        self, tx: Connection, party_id: UUID | None, state: PackState | None, limit: int
    ) -> list[dict[str, Any]]:
        rows = await store.export_sites(tx, self.vehicles, party_id, limit)
        return [{**row, OWNER.field: shown_owner(row)} for row in rows]


def owner_and_code(draft: Draft) -> tuple[UUID, str] | None:
    code = draft.texts.get("code")
    return (draft.party_id, code) if draft.party_id and code else None


def site_record(row: Row) -> Record:
    values = {**row, OWNER.field: row["owner_name"]}
    said = {capitals(str(row["party_id"])), row["owner_credit_code"], words(row["owner_name"])}
    names = said - {None}
    return Record(row["id"], row["version"], values, {OWNER.field: frozenset(names)})


def shown_owner(row: Row) -> str:
    """By name where that is enough, else by what no other party has."""
    name: str = row["owner_name"]
    return name if row["owner_is_single"] else row["owner_credit_code"] or str(row["party_id"])


async def resolve_owners(tx: Connection, drafts: Sequence[Draft]) -> None:
    """Find the customers whom rows name by id, credit code or exact name."""
    texts = {text for draft in drafts if (text := draft.texts.get(OWNER.field))}
    ids = [found for text in texts if (found := as_uuid(text))]
    meant: dict[str, list[Row]] = {}
    for row in await store.owners(tx, ids, [capitals(text) for text in texts], list(texts)):
        meant.setdefault(row["said"], []).append(row)
    for draft in drafts:
        text = draft.texts.get(OWNER.field)
        if text:
            found = as_uuid(text)
            said = {text, capitals(text), str(found or "")}
            owner = only_customer([row for one in said for row in meant.get(one, ())])
            if isinstance(owner, UUID):
                draft.party_id = owner
            else:
                fault_of(draft, OWNER.field, *owner)


def only_customer(rows: Sequence[Row]) -> UUID | tuple[str, str]:
    """The one customer among the parties that a text may mean, or why there is none."""
    customers = [row for row in rows if row["kind"] == PartyKind.CUSTOMER]
    if not rows:
        return "unknown_owner", "no customer has this name, credit code or id"
    if not customers:
        return "not_a_customer", f"this is a {rows[0]['kind']}: only a customer has sites"
    best = min(row["preference"] for row in customers)
    chosen = {row["id"] for row in customers if row["preference"] == best}
    if len(chosen) > 1:
        told = ", ".join(sorted(map(str, chosen))[:5])
        return "ambiguous_owner", (
            f"{len(chosen)} customers have this name: give the credit code or the id ({told})"
        )
    found: UUID = chosen.pop()
    return found


class Packs:
    sheet = PACKS

    async def match(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        rows = await store.find_packs(
            tx, ids_of(drafts), [code for draft in drafts for code in codes_in(draft)]
        )
        found = [pack_record(row) for row in rows]
        by_id = {record.id: record for record in found}
        by_code = {code: one for one in found for code in one.aliases["code"]}
        for draft in drafts:
            if match_by_id(draft, self.sheet.noun, by_id):
                continue
            draft.record = by_code.get(draft.texts.get("code", ""))
            if draft.record is None:
                for code in set(codes_in(draft)) & by_code.keys():
                    message = f"{code} is a code of another pack, {by_code[code].values['code']}"
                    fault_of(draft, "original_codes", "pack_code_taken", message)

    def claims(self, draft: Draft) -> list[Key]:
        if draft.record is not None:
            return [("record", draft.record.id)]
        return [("code", code) for code in codes_in(draft)]

    def key(self, draft: Draft) -> str:
        return draft.texts.get("code", "")

    def check(self, values: dict[str, Any], today: date) -> None:
        if "code" in values:
            batteries.read_code(values["code"], today)

    def check_whole(self, values: dict[str, Any], today: date) -> None:
        batteries.checked(values, today)

    async def create(self, tx: Connection, new: Sequence[Any], *, by: str, now: datetime) -> None:
        await batteries.acquire(tx, new, by=by, now=now)

    async def change(
        self, tx: Connection, drafts: Sequence[Draft], *, by: str, now: datetime
    ) -> None:
        for draft in drafts:
            if draft.record is not None:
                version = draft.record.version or 0
                await batteries.change(tx, draft.record.id, draft.patch, version, by=by, now=now)

    async def export(
        self, tx: Connection, party_id: UUID | None, state: PackState | None, limit: int
    ) -> list[dict[str, Any]]:
        return [dict(row) for row in await store.export_packs(tx, state, limit)]


def codes_in(draft: Draft) -> list[str]:
    texts = (draft.texts.get("code", ""), draft.texts.get("original_codes", ""))
    return [code for text in texts for code in text.split()]


def pack_record(row: Row) -> Record:
    values = dict(row)
    return Record(
        row["id"],
        values.get("version"),
        values,
        {"code": frozenset({row["code"], *row["original_codes"]})},
    )


OF_LEASES: dict[SheetKind, Target] = {
    SheetKind.SITES: Sites(SITES),
    SheetKind.VEHICLES: Sites(VEHICLES),
    SheetKind.PACKS: Packs(),
}
