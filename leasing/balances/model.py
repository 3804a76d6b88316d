"""Stays of packs, by their records and by the table of custody."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from leasing.kit.errors import Invalid


class Step(msgspec.Struct, frozen=True):
    """What a record says of where its pack is."""

    kind: str
    happened_on: date
    party_id: UUID | None = None
    outlet_id: UUID | None = None
    adcode: str | None = None


class Stay(msgspec.Struct, frozen=True):
    """Days of a pack in one state, [from_on, to_on)."""

    from_on: date
    to_on: date | None
    state: str
    party_id: UUID | None = None
    outlet_id: UUID | None = None
    adcode: str | None = None
    in_transit: bool = False


class Batch(msgspec.Struct, frozen=True):
    """Packs that came into treatment together."""

    id: UUID
    number: str
    received_on: date
    packs: int
    expected_kg: int
    mass_in_kg: Decimal


class Pack(msgspec.Struct, frozen=True):
    id: UUID
    code: str
    mass_kg: int
    rated_energy_wh: int
    state: str
    handed_over_kg: int | None
    """The mass it was handed over with, where that is another."""


class Scope(msgspec.Struct, frozen=True):
    """Whose and where; everything when nothing is said. A prefecture ends in two zeros, a province
    in four."""

    party_id: UUID | None = None
    is_lessor: bool = False
    outlet_id: UUID | None = None
    adcode: str | None = None


class BadPeriod(Invalid):
    code = "bad_period"
    title = "The period is not one"
