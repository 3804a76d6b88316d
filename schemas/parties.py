"""Legal persons: the lessor, its customers, recyclers and partners."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import Adcode, Code, Incoming, Name, Outgoing, Remark, Sha256


class PartyKind(StrEnum):
    LESSOR = "lessor"
    CUSTOMER = "customer"
    RECYCLER = "recycler"
    PARTNER = "partner"
    """None of the others: a maker, a carrier, a maintainer. It has no API key."""


class PartyCreate(Incoming, frozen=True):
    kind: PartyKind
    name: Name
    credit_code: Code | None = None
    """Unified social credit code (GB 32100), 18 characters with a check character."""
    home_adcode: Adcode | None = None
    name_en: Name | None = None
    short_name: Name | None = None
    registered_address: Name | None = None
    parent_id: UUID | None = None
    """The customer above this one in its group of companies."""
    billing_party_id: UUID | None = None
    """Who gets its invoices and those of the parties below it that choose nobody: itself, a
    party above it, or a payer. Without it the nearest party above that chose decides."""


class PartyPatch(Incoming, frozen=True):
    name: Name | UnsetType = UNSET
    credit_code: Code | UnsetType | None = UNSET
    home_adcode: Adcode | UnsetType | None = UNSET
    name_en: Name | UnsetType | None = UNSET
    short_name: Name | UnsetType | None = UNSET
    registered_address: Name | UnsetType | None = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    billing_party_id: UUID | UnsetType | None = UNSET
    """The party's own choice; null lets the parties above it decide."""


class PartyView(Outgoing, frozen=True):
    id: UUID
    kind: PartyKind
    name: str
    name_en: str | None
    short_name: str | None
    credit_code: str | None
    home_adcode: str | None
    registered_address: str | None
    parent_id: UUID | None
    billing_party_id: UUID | None
    """Who gets its invoices. Null to a reader who may not see the party above that decides."""
    chosen_billing_party_id: UUID | None
    """Its own choice, if it made one."""
    generated: bool
    version: int
    created_at: datetime


class TreeNode(Outgoing, frozen=True):
    id: UUID
    parent_id: UUID | None
    level: int
    """0 at the top of the group."""
    name: str
    short_name: str | None
    billing_party_id: UUID


class PartyTreeView(Outgoing, frozen=True):
    """A party's place in its group of companies."""

    ancestors: list[TreeNode]
    """From the top of the group down to the parent."""
    party: TreeNode
    descendants: list[TreeNode]
    """Level by level, each in the order they were entered; 1,000 at most."""
    is_complete: bool
    """Whether these are all descendants. More are found with `GET /v1/parties?parent_id=`."""


class PartyRole(StrEnum):
    """What a party does beside what it is to the lessor."""

    LESSEE = "lessee"
    PAYER = "payer"
    MAINTAINER = "maintainer"
    CARRIER = "carrier"
    DISMANTLER = "dismantler"
    REPURPOSER = "repurposer"
    BATTERY_MAKER = "battery_maker"
    CARMAKER = "carmaker"
    OUTLET = "outlet"
    COOPERATING_LESSOR = "cooperating_lessor"
    """The lessor, while it reports through a carmaker."""
    INDEPENDENT_LESSOR = "independent_lessor"
    """The lessor, while it reports by an account of its own."""


class RoleCreate(Incoming, frozen=True):
    role: PartyRole
    valid_from: date
    valid_to: date | None = None
    """First day on which the party no longer plays it."""


class RoleEnd(Incoming, frozen=True):
    ended_on: date
    """First day on which the party no longer plays it."""


class RoleView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID
    role: PartyRole
    valid_from: date
    valid_to: date | None
    created_at: datetime


class ContactPurpose(StrEnum):
    BILLING = "billing"
    OPERATIONS = "operations"
    EMERGENCY = "emergency"
    LEGAL = "legal"


Phone = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        description="A Chinese number with its area code, or + and the country code.",
    ),
]
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
        r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$(?!\n)",
        description="local@domain, as browsers check it.",
    ),
]


class ContactCreate(Incoming, frozen=True):
    """Somebody to call or write to; a phone number, an email address or both."""

    name: Name
    purpose: ContactPurpose
    phone: Phone | None = None
    email: Email | None = None
    note: Remark | None = None


class ContactPatch(Incoming, frozen=True):
    name: Name | UnsetType = UNSET
    purpose: ContactPurpose | UnsetType = UNSET
    phone: Phone | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    note: Remark | UnsetType | None = UNSET


class ContactView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID
    name: str
    purpose: ContactPurpose
    phone: str | None
    email: str | None
    note: str | None
    version: int
    created_at: datetime
    removed_at: datetime | None


class QualificationKind(StrEnum):
    """The evidence asked of a utilisation firm: investment filing, environmental impact
    assessment, discharge permit (Order No. 73, Art. 18), and the advisory listing."""

    FILING = "filing"
    EIA = "eia"
    DISCHARGE_PERMIT = "discharge_permit"
    LISTING = "listing"


class QualificationCreate(Incoming, frozen=True, kw_only=True):
    kind: QualificationKind
    valid_from: date
    valid_to: date | None = None
    """First day on which it is no longer valid; none for evidence without an end of its own."""
    document: Name
    document_sha256: Sha256 | None = None


class QualificationWithdraw(Incoming, frozen=True):
    kind: QualificationKind
    withdrawn_on: date
    document: Name


class QualificationView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID
    kind: QualificationKind
    valid_from: date
    valid_to: date | None
    document: str
    document_sha256: str | None
    withdrawn_on: date | None
    withdrawal_document: str | None
