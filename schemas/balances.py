"""Mass balances: what became of retired packs."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class Fate(StrEnum):
    REUSED = "reused"
    """On lease, or sold for further use."""
    RECYCLED = "recycled"
    STORED = "stored"
    """With the lessor, or at an outlet."""
    IN_TRANSIT = "in_transit"
    """Left for a recycler, and not there yet."""
    LOST = "lost"
    """Missing or stolen."""


class Quantity(Outgoing, frozen=True):
    packs: int
    kg: int
    kwh: float
    """By the rating."""


class BalanceDay(Outgoing, frozen=True):
    """One day of a scope. Yesterday's sum, and what came in, less what went out, is today's."""

    on: date
    came_in: Quantity
    went_out: Quantity
    there: Quantity
    by_fate: dict[str, Quantity]
    differing: int
    """Packs of which the records say otherwise than the table of custody."""


class Mismatch(StrEnum):
    CUSTODY = "custody"
    """The records say another state, party or outlet than the table of custody."""
    NOT_ACQUIRED = "not_acquired"
    """It has a history that does not begin with its acquisition."""
    PRESENT_STATE = "present_state"
    """The pack is now in another state than its records say."""
    MASS = "mass"
    """It was handed over with another mass than it has."""
    BATCH_MASS = "batch_mass"
    """A batch came into treatment with another mass than its packs have, by more than weighing
    tolerates; told of the first of its packs."""
    OUTLET_STOCK = "outlet_stock"
    """What is counted at the outlet is not what is there by the records, in kilograms."""


class DifferenceView(Outgoing, frozen=True):
    kind: Mismatch
    pack_id: UUID | None
    code: str | None
    from_on: date | None
    to_on: date | None
    """The first day after it; none while it lasts."""
    by_records: str
    by_table: str


class MassBalance(Outgoing, frozen=True):
    """retired = reused + recycled + stored + in transit + lost, over a scope and a period."""

    party_id: UUID | None
    outlet_id: UUID | None
    adcode: str | None
    from_on: date
    to_on: date
    """The first day after the period."""
    opening: Quantity
    """In the scope before the period, and not recycled before it."""
    came_in: Quantity
    """Of packs that were not in the scope when the period began."""
    retired: Quantity
    """Opening and came in."""
    by_fate: dict[str, Quantity]
    """What they are on the last day of the period, wherever they are then."""
    unaccounted: Quantity
    """Retired less all fates: packs of which no table says what became of them."""
    balances: bool
    """Nothing unaccounted, and no difference."""
    days: list[BalanceDay]
    """The first day, and every day on which something changed."""
    differences: list[DifferenceView]
    more_differences: int
    """Differences beyond those listed."""
