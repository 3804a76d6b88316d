"""The consignment note (托运单) that goes with a lot: as a page of HTML, or printed as PDF.

Like other documents it has neither ids nor instants, and its name is the SHA-256 of its canonical
JSON.
"""

import hashlib
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from leasing.consignments import rules, service, store
from leasing.db.pool import Connection, as_lessor
from leasing.documents import pages, pdf
from leasing.documents.model import Firm
from leasing.documents.pdf import Face, Layout
from leasing.documents.words import Words
from schemas.consignments import ConsignmentDetail, PackingView
from schemas.documents import DocumentLanguage

GOODS_CLASS = "9"


class NotedPack(msgspec.Struct, frozen=True):
    code: str
    chemistry: str
    mass_kg: int
    weighed_kg: Decimal | None


class Note(msgspec.Struct, frozen=True):
    number: str
    state: str
    packed_on: date
    dispatched_on: date | None
    consignor: Firm
    consignee: Firm
    outlet: str
    outlet_name: str
    outlet_name_en: str
    carrier: Firm | None
    permit: str | None
    mode: str | None
    vehicle: str | None
    driver: str | None
    approval: str | None
    un_number: str
    shipping_name: str
    goods_class: str
    hazard: str
    purpose: str
    packing: PackingView
    packs: list[NotedPack]
    expected_kg: int
    weighed_kg: Decimal | None


class NamedNote(NamedTuple):
    document: Note
    content: bytes
    sha256: str


async def load(tx: Connection, consignment_id: UUID) -> NamedNote:
    """The note of a consignment that whoever asks may see. Raises `NoSuchConsignment`."""
    lot = await service.get(tx, consignment_id)
    # Consignor and carrier are named on it, also to a recycler that may read neither.
    async with as_lessor(tx):
        firms = await store.parties(tx, consignment_id)
    carrier = None
    if firms["carrier"] is not None:
        carrier = Firm(firms["carrier"], None, firms["carrier_code"], None)
    address = firms["consignor_address"]
    document = Note(
        number=lot.number,
        state=lot.state,
        packed_on=lot.packed_on,
        dispatched_on=lot.dispatched_on,
        consignor=Firm(firms["consignor"] or "", None, firms["consignor_code"], address),
        consignee=Firm(firms["consignee"], None, firms["consignee_code"], None),
        outlet=lot.outlet_code,
        outlet_name=firms["outlet_name"],
        outlet_name_en=firms["outlet_name_en"],
        carrier=carrier,
        permit=firms["permit"],
        mode=lot.mode,
        vehicle=lot.vehicle,
        driver=lot.driver,
        approval=lot.approval,
        un_number=lot.un_number,
        shipping_name=rules.PROPER_SHIPPING_NAME[lot.un_number],
        goods_class=GOODS_CLASS,
        hazard=lot.hazard,
        purpose=lot.purpose,
        packing=lot.packing,
        packs=noted(lot),
        expected_kg=lot.expected_kg,
        weighed_kg=lot.weighed_kg,
    )
    content = msgspec.json.encode(document)
    return NamedNote(document, content, hashlib.sha256(content).hexdigest())


def noted(lot: ConsignmentDetail) -> list[NotedPack]:
    packs = [NotedPack(one.code, one.chemistry, one.mass_kg, one.weighed_kg) for one in lot.packs]
    return sorted(packs, key=lambda one: one.code)


# --- In one language ------------------------------------------------------------------------------


def words_of(language: DocumentLanguage) -> Words:
    return Words("consignment_note", 0, language)


def facts(note: Note, words: Words) -> list[tuple[str, str]]:
    """What is said of the goods and of their way, as printed."""
    packing = note.packing
    outlet = f"{note.outlet} {words.name(note.outlet_name, note.outlet_name_en)}"
    goods = f"{note.un_number}, {note.shipping_name}, {note.goods_class}"
    said = [
        ("goods", goods),
        ("hazard_class", words.of(f"hazard_{note.hazard}")),
        ("purpose", words.of(f"purpose_{note.purpose}")),
        ("packing_instruction", " / ".join(packing.packing_instructions)),
        ("special_provision", packing.special_provision),
        ("marks", "; ".join([*packing.marks, note.un_number])),
        ("danger_labels", ", ".join(packing.labels)),
        ("rule_source", packing.source),
        ("outlet", outlet),
        ("packed_on", str(note.packed_on)),
        ("dispatched_on", str(note.dispatched_on or "")),
        ("mode", words.of(f"mode_{note.mode}") if note.mode else ""),
        ("vehicle", note.vehicle or ""),
        ("driver", note.driver or ""),
        ("permit", note.permit or ""),
        ("approval", note.approval or ""),
    ]
    return [(words.of(label), value) for label, value in said if value]


def html(named: NamedNote, language: DocumentLanguage) -> bytes:
    words = words_of(language)
    return pages.page(
        "consignment.html", named.document, named.sha256, words, facts=facts(named.document, words)
    )


HEADS = ("pack", "chemistry", "mass", "weighed")


def data(named: NamedNote, language: DocumentLanguage, face: Face) -> dict[str, Any]:
    """Everything that is printed, as it is printed."""
    note, words = named.document, words_of(language)
    firms = [("consignor", note.consignor), ("consignee", note.consignee)]
    if note.carrier is not None:
        firms.append(("carrier_firm", note.carrier))
    return {
        **pdf.sheet(words, face, note.number, named.sha256),
        "facts": [[words.of("packed_on"), str(note.packed_on)]],
        "seller": pdf.firm(words, note.consignor),
        "firms": [{"label": words.of(label), **pdf.firm(words, one)} for label, one in firms],
        "goods": [list(fact) for fact in facts(note, words)],
        "heads": [words.of(head) for head in HEADS],
        "packs": [
            [one.code, one.chemistry, str(one.mass_kg), str(one.weighed_kg or "")]
            for one in note.packs
        ],
        "total": [str(len(note.packs)), str(note.expected_kg), str(note.weighed_kg or "")],
    }


LAYOUT = Layout("consignment.typ", data)
