"""What else sheets are written to: outlets, and what recyclers pay."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record as Row

from leasing.db.pool import Connection
from leasing.kit.errors import FieldError, Invalid
from leasing.outlets import rules as outlet_rules
from leasing.outlets import service as outlets
from leasing.recyclers import offers
from leasing.sheets import recycling_store, store
from leasing.sheets.model import OFFERS, OUTLETS, RECYCLER, capitals, words
from leasing.sheets.rules import Draft, Key, Record, fault_of
from leasing.sheets.targets import OF_LEASES, Target, as_uuid, ids_of, match_by_id
from schemas.outlets import OutletCreate, OutletKind
from schemas.packs import PackState
from schemas.parties import PartyKind
from schemas.recyclers import OfferCreate, OfferDisposition
from schemas.sheets import OfferRow, OutletRow, SheetKind


class BadOfferRow(Invalid):
    code = "bad_offer_row"
    title = "This is no price that can hold"


# --- Whom a text means ----------------------------------------------------------------------------


async def resolve_recyclers(tx: Connection, drafts: Sequence[Draft]) -> None:
    """Find the recyclers whom rows name by id, credit code or exact name."""
    texts = {text for draft in drafts if (text := draft.texts.get(RECYCLER.field))}
    ids = [found for text in texts if (found := as_uuid(text))]
    meant: dict[str, list[Row]] = {}
    for row in await store.owners(tx, ids, [capitals(text) for text in texts], list(texts)):
        meant.setdefault(row["said"], []).append(row)
    for draft in drafts:
        name = draft.texts.get(RECYCLER.field)
        if name:
            said = {name, capitals(name), str(as_uuid(name) or "")}
            firm = only_recycler([row for one in said for row in meant.get(one, ())])
            if isinstance(firm, UUID):
                draft.party_id = firm
            else:
                fault_of(draft, RECYCLER.field, *firm)


def only_recycler(rows: Sequence[Row]) -> UUID | tuple[str, str]:
    """The one recycler among the parties that a text may mean, or why there is none."""
    recyclers = [row for row in rows if row["kind"] == PartyKind.RECYCLER]
    if not rows:
        return "unknown_recycler", "no recycler has this name, credit code or id"
    if not recyclers:
        return "not_a_recycler", f"this is a {rows[0]['kind']}: only a recycler has outlets"
    best = min(row["preference"] for row in recyclers)
    chosen: set[UUID] = {row["id"] for row in recyclers if row["preference"] == best}
    if len(chosen) > 1:
        told = ", ".join(sorted(map(str, chosen))[:5])
        return "ambiguous_recycler", (
            f"{len(chosen)} recyclers have this name: give the credit code or the id ({told})"
        )
    return chosen.pop()


def named(row: Row) -> frozenset[str]:
    """The texts that mean a row's recycler."""
    said = {
        str(row["recycler_id"]),
        capitals(str(row["recycler_id"])),
        row["credit_code"],
        words(row["recycler_name"]),
    }
    return frozenset(said - {None})


def shown(row: Row) -> str:
    return row["credit_code"] or str(row["recycler_id"])


# --- Outlets --------------------------------------------------------------------------------------


class Outlets:
    sheet = OUTLETS

    async def match(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        codes = [code for draft in drafts if (code := draft.texts.get("code"))]
        rows = await recycling_store.find_outlets(tx, ids_of(drafts), codes)
        found = [outlet_record(row) for row in rows]
        by_id = {record.id: record for record in found}
        by_code = {record.values["code"]: record for record in found}
        new = []
        for draft in drafts:
            if match_by_id(draft, self.sheet.noun, by_id):
                continue
            draft.record = by_code.get(draft.texts.get("code", ""))
            if draft.record is None:
                new.append(draft)
        await resolve_recyclers(tx, new)

    def claims(self, draft: Draft) -> list[Key]:
        if draft.record is not None:
            return [("record", draft.record.id)]
        code = draft.texts.get("code")
        return [("code", code)] if code else []

    def key(self, draft: Draft) -> str:
        return draft.texts.get("code", "")

    def check(self, values: dict[str, Any], today: date) -> None:
        kind, limit_kg = values.get("kind"), values.get("store_limit_kg")
        if kind in set(OutletKind) and isinstance(limit_kg, int):
            outlet_rules.refuse_against_rule(OutletKind(kind), limit_kg, today, "store_limit_kg")

    def check_whole(self, values: dict[str, Any], today: date) -> None:
        """Fields of an outlet do not bear on each other."""

    async def create(
        self, tx: Connection, new: Sequence[OutletRow], *, by: str, now: datetime
    ) -> None:
        entered = []
        for row in new:
            assert row.party_id is not None, "a row without a recycler is refused"
            values = msgspec.structs.asdict(row)
            del values["recycler"], values["party_id"]
            entered.append(OutletCreate(recycler_id=row.party_id, **values))
        await outlets.create(tx, entered, by=by, now=now)

    async def change(
        self, tx: Connection, drafts: Sequence[Draft], *, by: str, now: datetime
    ) -> None:
        for draft in drafts:
            if draft.record is not None:
                version = draft.record.version or 0
                await outlets.change(tx, draft.record.id, draft.patch, version, by=by, now=now)

    async def export(
        self, tx: Connection, party_id: UUID | None, state: PackState | None, limit: int
    ) -> list[dict[str, Any]]:
        rows = await recycling_store.export_outlets(tx, party_id, limit)
        return [{**row, RECYCLER.field: shown(row)} for row in rows]


def outlet_record(row: Row) -> Record:
    values = {**row, RECYCLER.field: shown(row)}
    # A row that names no limit asks for none: the first time it got that of the guide.
    silent = dict.fromkeys(("store_limit_kg", "store_days"), frozenset({""}))
    return Record(row["id"], row["version"], values, {RECYCLER.field: named(row), **silent})


# --- Prices ---------------------------------------------------------------------------------------

FOR_EVER = date.max

Use = tuple[UUID, str, str]
"""Recycler, chemistry and disposition: what has one price on a day."""


class Offers:
    """Prices. What holds is not changed by a file: its window is ended, and another entered."""

    sheet = OFFERS

    async def match(self, tx: Connection, drafts: Sequence[Draft]) -> None:
        await resolve_recyclers(tx, drafts)
        firms = {draft.party_id for draft in drafts if draft.party_id}
        taken: dict[Use, list[tuple[date, date, str]]] = {}
        records: dict[tuple[Use, date], Record] = {}
        for row in await recycling_store.find_offers(tx, sorted(firms)):
            use = (row["recycler_id"], row["chemistry"], row["disposition"])
            records[(use, row["valid_from"])] = offer_record(row)
            days = (row["valid_from"], row["valid_to"] or FOR_EVER)
            taken.setdefault(use, []).append((*days, f"{row['cny_per_kg']} CNY/kg"))
        for draft in drafts:
            window = window_of(draft)
            if window is None:
                continue
            use, first, end = window
            draft.record = records.get((use, first))
            if draft.record is None:
                self.refuse_overlap(draft, taken.setdefault(use, []), first, end)

    def refuse_overlap(
        self, draft: Draft, taken: list[tuple[date, date, str]], first: date, end: date
    ) -> None:
        for other_first, other_end, what in taken:
            if first < other_end and other_first < end:
                until = "no end" if other_end == FOR_EVER else other_end
                message = f"{what} holds from {other_first} to {until}: end that first"
                fault_of(draft, "valid_from", "overlaps", message)
                return
        taken.append((first, end, f"row {draft.row}"))

    def claims(self, draft: Draft) -> list[Key]:
        return [("record", draft.record.id)] if draft.record is not None else []

    def key(self, draft: Draft) -> str:
        names = (RECYCLER.field, "chemistry", "valid_from")
        return " ".join(text for name in names if (text := draft.texts.get(name)))

    def check(self, values: dict[str, Any], today: date) -> None:
        faults = [
            FieldError(f"/{name}", "too_many_decimals", f"{value} has more than four decimals")
            for name in ("cny_per_kg", "material_cny_per_kg")
            if isinstance(value := values.get(name), float) and text(value) is None
        ]
        if faults:
            raise BadOfferRow(fields=faults)

    def check_whole(self, values: dict[str, Any], today: date) -> None:
        end = values["valid_to"]
        if end is not None and end <= values["valid_from"]:
            fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
            raise BadOfferRow(fields=[fault])

    async def create(
        self, tx: Connection, new: Sequence[OfferRow], *, by: str, now: datetime
    ) -> None:
        for row in new:
            assert row.party_id is not None, "a row without a recycler is refused"
            offer = OfferCreate(
                recycler_id=row.party_id,
                chemistry=row.chemistry,
                disposition=row.disposition,
                valid_from=row.valid_from,
                valid_to=row.valid_to,
                cny_per_kg=text(row.cny_per_kg) or "",
                material_cny_per_kg=text(row.material_cny_per_kg) or "",
                source=row.source,
            )
            await offers.enter(tx, offer, by=by, now=now)

    async def change(
        self, tx: Connection, drafts: Sequence[Draft], *, by: str, now: datetime
    ) -> None:
        """Nothing of a price can be changed, so no row asks for it."""

    async def export(
        self, tx: Connection, party_id: UUID | None, state: PackState | None, limit: int
    ) -> list[dict[str, Any]]:
        rows = await recycling_store.export_offers(tx, party_id, limit)
        return [
            {
                **offer_record(row).values,
                "valid_from": row["valid_from"],
                "valid_to": row["valid_to"],
            }
            for row in rows
        ]


def window_of(draft: Draft) -> tuple[Use, date, date] | None:
    """What a row prices, and for which days; None when it does not say."""
    chemistry = draft.texts.get("chemistry")
    disposition = draft.texts.get("disposition") or OfferDisposition.RECYCLE
    try:
        first = date.fromisoformat(draft.texts.get("valid_from", ""))
        end = draft.texts.get("valid_to")
        last = date.fromisoformat(end) if end else FOR_EVER
    except ValueError:
        return None
    if draft.party_id is None or not chemistry:
        return None
    return (draft.party_id, chemistry, disposition), first, last


def text(value: float) -> str | None:
    """A price as the API takes it; None when it has more than four decimals."""
    exact = Decimal(repr(value))
    if exact != round(exact, 4):
        return None
    return f"{exact.normalize():f}"


def offer_record(row: Row) -> Record:
    values = {
        **row,
        RECYCLER.field: shown(row),
        "cny_per_kg": float(row["cny_per_kg"]),
        "material_cny_per_kg": float(row["material_cny_per_kg"]),
    }
    # What a row leaves empty is the same as what is taken for it.
    empty = frozenset({""})
    aliases = {
        RECYCLER.field: named(row),
        "disposition": empty if row["disposition"] == OfferDisposition.RECYCLE else frozenset(),
        "material_cny_per_kg": empty if row["material_cny_per_kg"] == 0 else frozenset(),
    }
    return Record(row["id"], None, values, aliases)


TARGETS: dict[SheetKind, Target] = {
    **OF_LEASES,
    SheetKind.OUTLETS: Outlets(),
    SheetKind.OFFERS: Offers(),
}
