"""What a record's hash is taken over (docs/traceability.md), reckoned anew."""

import hashlib
from datetime import date, datetime
from uuid import UUID

import msgspec

from leasing.kit.time import UTC


class Written(msgspec.Struct, frozen=True):
    """A record as it stands in the table; `data` is its text, letter for letter."""

    id: UUID
    pack_id: UUID
    sequence: int
    kind: str
    happened_on: date
    adcode: str | None
    party_id: UUID | None
    corrects_id: UUID | None
    actor: str
    recorded_at: datetime
    data: str
    previous_hash: bytes | None
    hash: bytes


def canonical(record: Written) -> str:
    """The text that is hashed: a line for each field that has a value, in this order."""
    at = record.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = (
        ("previous", record.previous_hash.hex() if record.previous_hash is not None else None),
        ("id", record.id),
        ("pack", record.pack_id),
        ("sequence", record.sequence),
        ("kind", record.kind),
        ("happened_on", record.happened_on),
        ("adcode", record.adcode),
        ("party", record.party_id),
        ("corrects", record.corrects_id),
        ("actor", record.actor),
        ("recorded_at", at),
        ("data", record.data),
    )
    return "".join(f"{name} {value}\n" for name, value in fields if value is not None)


def digest(record: Written) -> bytes:
    return hashlib.sha256(canonical(record).encode()).digest()
