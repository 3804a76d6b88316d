"""Messages of protocols that come over HTTP, and those that nobody could read."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from schemas.common import Code, Incoming, Outgoing

Instant = Annotated[datetime, Meta(tz=True)]
MAX_FRAMES = 1_000


class Bms48Source(Incoming, frozen=True, kw_only=True):
    """Whose frames they are: the protocol itself names nobody."""

    kind: Literal["pack", "pack_code", "device"]
    """A pack by its id, by a code on it, or what stands in the slot that a site's device speaks
    of."""
    value: Code
    part: Annotated[int, Meta(ge=1, le=250)] = 1
    """Which battery of several behind one device."""


class Bms48Frame(Incoming, frozen=True, kw_only=True):
    at: Instant
    """When the pack answered, by the clock of whoever asked it."""
    frame: Annotated[str, Meta(min_length=1, max_length=5_000)]
    """From `~` to the checksum; the carriage return may be left out."""
    answers: Literal["telemetry", "alarms"]
    """What was asked, 42H or 44H. A frame does not tell, and an answer to the one may well read as
    an answer to the other."""


class Bms48Batch(Incoming, frozen=True, kw_only=True):
    source: Bms48Source
    frames: Annotated[list[Bms48Frame], Meta(min_length=1, max_length=MAX_FRAMES)]


class MessageReceipt(Outgoing, frozen=True):
    """What became of readings. One that was there already counts as repeated."""

    stored: int
    repeated: int
    unmatched: int
    """Of a source that nobody here knows: counted in `/v1/unmatched-sources` and not kept."""
    refused: int
    """At no possible time, or without any value."""


class UnreadMessageView(Outgoing, frozen=True):
    """What came and could not be read. It is kept as it came, for some weeks."""

    id: UUID
    source: str
    """Who sent it, as far as it can be told: a vehicle identification number, a topic."""
    reason: str
    received_at: datetime
    size_bytes: int
    sha256: str
