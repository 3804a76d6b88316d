"""How large the demo is, and which packs there are in it."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.batteries.codes import Chemistry
from leasing.kit.time import month_of


class Scale(msgspec.Struct, frozen=True):
    """What is played. The same values give the same numbers."""

    sites: int = 500
    """Towers, with two packs each."""
    fleet_packs: int = 200
    months: int = 24
    starts_on: date = date(2024, 7, 1)
    """The first day of a month."""
    failing_share: float = 0.05
    """Packs in which a group of cells fails at some time."""
    seed: int = 20240701

    @property
    def ends_on(self) -> date:
        return after_months(self.starts_on, self.months)


def after_months(first: date, months: int) -> date:
    """The first of a later month."""
    for _ in range(months):
        first = month_of(first)[1]
    return first


class Product(msgspec.Struct, frozen=True):
    """A type of pack, and what it costs a month."""

    specification: str
    chemistry: Chemistry
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    mass_kg: int
    rent_amount: int
    full_cell_mv: int | None = None


# Second-life packs for 48 V supplies, and traction packs of light trucks. Masses and rents are
# round numbers of the right size, not offers.
TOWER_PRODUCTS = (
    Product("05", Chemistry.LFP, 16, 51_200, 50_000, 26, 4_500),
    Product("10", Chemistry.LFP, 16, 51_200, 100_000, 46, 8_600),
    Product("15", Chemistry.LFP, 16, 51_200, 150_000, 66, 12_400),
    Product("20", Chemistry.LFP, 16, 51_200, 200_000, 88, 16_000),
)
FLEET_PRODUCTS = (
    Product("3E", Chemistry.TERNARY, 96, 355_200, 150_000, 380, 98_000, full_cell_mv=4_200),
    Product("3B", Chemistry.LFP, 100, 320_000, 228_000, 560, 128_000),
)


class Pack(msgspec.Struct, frozen=True):
    """A pack, and what only nature knows of it."""

    id: UUID
    number: int
    """Counts from 1; it orders packs, where ids would differ from one run to the next."""
    product: Product
    bought_on: date
    first_share: float
    """Share of the rated capacity it holds when bought."""
    fade_per_year: float
    fails_on: date | None
    failure_share: float
    """What it loses at once on that day."""
    sensor_gain: float


class Line(msgspec.Struct, frozen=True):
    """A position in a contract, and what is wanted there."""

    id: UUID
    product: Product


class Lease(msgspec.Struct, frozen=True):
    """A contract with its lines in order of site and slot."""

    id: UUID
    ends_on: date
    lines: list[Line]


class Cast(msgspec.Struct, frozen=True):
    """Who and what is there when the story begins."""

    operator_id: UUID
    fleet_id: UUID
    leases: list[Lease]
    packs: list[Pack]
