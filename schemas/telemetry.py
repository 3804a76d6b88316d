"""Readings of packs."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Outgoing

Instant = Annotated[datetime, Meta(tz=True)]


class Reading(Incoming, frozen=True):
    pack_id: UUID
    at: Instant
    voltage_v: Annotated[float, Meta(ge=0, le=2000)]
    current_a: Annotated[float, Meta(ge=-5000, le=5000)]
    """Positive while charging."""
    soc_percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    """State of charge as the battery management system shows it."""
    temperature_c: Annotated[float, Meta(ge=-60, le=200)] | None = None


class ReadingBatch(Incoming, frozen=True):
    readings: Annotated[list[Reading], Meta(min_length=1, max_length=10_000)]


class ReadingReceipt(Outgoing, frozen=True):
    """What became of a batch. A reading that was there already counts as repeated."""

    stored: int
    repeated: int


class ReadingView(Outgoing, frozen=True):
    at: datetime
    voltage_v: float
    current_a: float
    soc_percent: float | None
    temperature_c: float | None
