"""Utilisation firms behind outlets on the wire."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Latitude, Longitude, Name, Outgoing
from schemas.outlets import ChemistryLetter


class OutletFirmCreate(Incoming, frozen=True, kw_only=True):
    """A utilisation firm stands behind an outlet on days in [valid_from, valid_to), by contract or
    by ownership. The outlet's own recycler does so in any case."""

    outlet_id: UUID
    recycler_id: UUID
    valid_from: date
    valid_to: date | None = None
    document: Name


class OutletFirmEnd(Incoming, frozen=True, kw_only=True):
    ended_on: date
    """First day on which the firm no longer stands behind the outlet."""


class OutletFirmView(Outgoing, frozen=True):
    id: UUID
    outlet_id: UUID
    recycler_id: UUID
    valid_from: date
    valid_to: date | None
    document: str
    entered_by: str
    entered_at: datetime


class TreatmentCapacityCreate(Incoming, frozen=True, kw_only=True):
    """What a plant treats on days in [valid_from, valid_to), say a month: so many kilograms of some
    chemistries together; without `capacity_kg` any amount. What it treats on a day is what its
    capacities of that day name, and packs are carried on to it from the outlet."""

    recycler_id: UUID
    chemistries: Annotated[list[ChemistryLetter], Meta(min_length=1, max_length=26)]
    valid_from: date
    valid_to: date
    longitude: Longitude
    latitude: Latitude
    capacity_kg: Annotated[int, Meta(ge=0, le=10_000_000_000)] | None = None
    document: Name


class TreatmentCapacityView(Outgoing, frozen=True):
    id: UUID
    recycler_id: UUID
    chemistries: list[str]
    valid_from: date
    valid_to: date
    longitude: float
    latitude: float
    capacity_kg: int | None
    reserved_kg: int
    """Of packs that are reserved, or were handed over, for these days."""
    document: str
    entered_by: str
    entered_at: datetime
