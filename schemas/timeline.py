"""Timelines, and who had which pack on a day."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing
from schemas.packs import PackState


class SubjectRefView(Outgoing, frozen=True):
    """Something that an entry is about: ask for it by its id."""

    kind: str
    id: UUID


class TimelineEntryView(Outgoing, frozen=True):
    """One thing that happened."""

    id: UUID
    """The event's own id, as in the list of events."""
    on: date
    """The day it was effective; it may have been recorded later, or ahead."""
    recorded_at: datetime
    actor: str
    """Who recorded it; outside the lessor only in which role."""
    kind: str
    summary_en: str
    summary_zh: str
    subjects: list[SubjectRefView]
    facts: dict[str, object]
    """As recorded."""


class Holder(StrEnum):
    LESSOR = "lessor"
    LESSEE = "lessee"
    RECYCLER = "recycler"
    NOBODY = "nobody"
    """The pack is lost."""


class CustodyView(Outgoing, frozen=True):
    """Who had a pack from a day to before another."""

    from_on: date
    to_on: date | None
    """First day with the next holder; none while it lasts."""
    held_by: Holder
    state: PackState
    """What the pack was then: a routed one still waits at the lessor."""
    party_id: UUID | None
    """The lessee, or the recycler it goes to."""
    line_id: UUID | None
    site_id: UUID | None
    slot: int | None
    routing_id: UUID | None
    outlet_id: UUID | None
    recorded_at: datetime


class PackCustodyView(Outgoing, frozen=True):
    pack_id: UUID
    on: date
    held: CustodyView | None
    """Where the pack was on that day; none before it was acquired."""
    history: list[CustodyView]
    """In order of time, without gap."""


class SitePackView(Outgoing, frozen=True):
    """A pack that stands in a slot of a site."""

    slot: int
    pack_id: UUID
    line_id: UUID
    contract_id: UUID
    from_on: date
    to_on: date | None
