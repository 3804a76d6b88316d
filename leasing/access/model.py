"""Who is calling."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from leasing.db.pool import LESSOR, Actor, DbRole
from leasing.kit.errors import Unauthorized


class Role(StrEnum):
    STAFF = "staff"
    CUSTOMER = "customer"
    RECYCLER = "recycler"
    AUDITOR = "auditor"
    REGULATOR = "regulator"
    """Reads what becomes of packs, and no price: the database role has no table with one."""


DB_ROLES = {
    Role.CUSTOMER: DbRole.CUSTOMER,
    Role.RECYCLER: DbRole.RECYCLER,
    Role.AUDITOR: DbRole.AUDITOR,
    Role.REGULATOR: DbRole.REGULATOR,
}


class Caller(msgspec.Struct, frozen=True):
    """A verified API key and what it stands for."""

    key_id: UUID
    name: str
    role: Role
    party_id: UUID | None
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """What transactions on the caller's behalf are stepped down to."""
        db_role = DB_ROLES.get(self.role)
        return Actor(db_role, self.party_id) if db_role else LESSOR

    def __str__(self) -> str:
        """How the caller is named in records."""
        return f"{self.role}:{self.name}"


class KeyRefused(Unauthorized):
    code = "key_refused"
    title = "The API key was refused"
