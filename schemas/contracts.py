"""Lease contracts (以租代售), their lines, and what happens in them."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import (
    Amount,
    Code,
    Currency,
    Incoming,
    Milliamperehours,
    Name,
    Outgoing,
    Percent,
    Sha256,
)


class ContractState(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    ENDED = "ended"


class LineCreate(Incoming, frozen=True, kw_only=True):
    site_id: UUID
    slot: Annotated[int, Meta(ge=1, le=1000)]
    rated_capacity_mah: Milliamperehours
    rent_amount: Amount
    """Rent of one whole month."""


PaymentDays = Annotated[int, Meta(ge=0, le=365)]
ReplacementDays = Annotated[int, Meta(ge=1, le=365)]


class ContractCreate(Incoming, frozen=True, kw_only=True):
    number: Code
    lessee_id: UUID
    starts_on: date
    ends_on: date
    """First day after the term."""
    currency: Currency = "CNY"
    vat_percent: Percent
    payment_days: PaymentDays
    """Days from the invoice date to the due date."""
    guarantee_percent: Percent
    """Capacity that the lessor guarantees, in per cent of the line's rated capacity."""
    replacement_days: ReplacementDays
    """Days within which a pack below its guarantee is replaced."""
    lines: Annotated[list[LineCreate], Meta(min_length=1, max_length=1000)]


class ContractPatch(Incoming, frozen=True):
    """A change to a draft."""

    starts_on: date | UnsetType = UNSET
    ends_on: date | UnsetType = UNSET
    vat_percent: Percent | UnsetType = UNSET
    payment_days: PaymentDays | UnsetType = UNSET
    guarantee_percent: Percent | UnsetType = UNSET
    replacement_days: ReplacementDays | UnsetType = UNSET


class ContractView(Outgoing, frozen=True):
    id: UUID
    number: str
    lessee_id: UUID
    starts_on: date
    ends_on: date
    currency: str
    vat_percent: Decimal
    payment_days: int
    guarantee_percent: Decimal
    replacement_days: int
    state: ContractState
    activated_at: datetime | None
    ended_at: datetime | None
    line_count: int
    version: int


class LineView(Outgoing, frozen=True):
    id: UUID
    contract_id: UUID
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    rent_amount: int
    started_on: date | None
    ended_on: date | None
    pack_id: UUID | None
    """The pack that stands there now."""


class AcceptanceCreate(Incoming, frozen=True, kw_only=True):
    """The joint test at hand-over, signed by both sides."""

    pack_id: UUID
    accepted_on: date
    tested_capacity_mah: Milliamperehours
    lessor_signatory: Name
    lessee_signatory: Name
    photo_sha256: Annotated[list[Sha256], Meta(max_length=50)] = []


class ReturnCreate(Incoming, frozen=True, kw_only=True):
    returned_on: date
    """The day the joint return test passed: rent stops on it, the day itself is free."""


class ContractEnd(Incoming, frozen=True):
    ended_on: date


class PlacementView(Outgoing, frozen=True):
    id: UUID
    line_id: UUID
    pack_id: UUID
    acceptance_id: UUID
    from_on: date
    to_on: date | None
