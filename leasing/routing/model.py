"""What is to be routed, as arrays: classes of equal packs, outlets, offers, freight.

Two forms of one problem. A `Table` names the value of each class at each outlet; a `Network`
says where both lie and what outlets offer, and values follow from it:

    value = best offer of an allowed disposition − freight − packing          0.0001 CNY/kg
    freight = round(rate · circuity · distance)       distance in whole 100 m of a great circle

Distances are rounded to 100 m before they are multiplied, and everything after is whole numbers:
two ways to compute an arc differ by far less than that, so both find the same values.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from leasing.kit.errors import Invalid

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

FORBIDDEN = -(2**31)
"""The value of a pair that is not permitted."""

PRICE_OF_NO_ROOM = 2**31
"""The price of space, 0.0001 CNY/kg, where there is none to be had: above every value."""


class Against(IntEnum):
    """Why an outlet cannot take a pack, or does not get it. The first that applies is given."""

    NOTHING = 0
    QUAL_NONE = 1
    QUAL_EXPIRED = 2
    QUAL_SUSPENDED = 3
    STOCK_LIMIT_5T = 4
    STORE_DAYS = 5
    PROVINCE_RULE = 6
    CHEM = 7
    HAZARD = 8
    SINGLE_LOAD = 9
    SPACE = 10
    VALUE = 11
    HELD = 12
    NO_OFFER = 13
    CLOSED = 14
    TRANSPORT_CHECK = 15
    FIRM_FULL = 16


class BadInstance(Invalid):
    code = "routing_instance"
    title = "This is not a routing problem"


@dataclass(frozen=True)
class Packs:
    """Classes of equal packs: each `packs[i]` packs of `mass_kg[i]`."""

    mass_kg: Ints
    packs: Ints

    @property
    def supply_kg(self) -> Ints:
        return self.mass_kg * self.packs


@dataclass(frozen=True)
class Table:
    """Values of each class (row) at each outlet (column), FORBIDDEN where not permitted; `hold`
    is the value of not sending a kilogram now."""

    classes: Packs
    free_kg: Ints
    value: NDArray[np.int32]
    hold: int

    def __post_init__(self) -> None:
        check(self.classes, self.free_kg)
        if self.value.shape != (len(self.classes.packs), len(self.free_kg)):
            raise BadInstance("value needs a row for each class and a column for each outlet")


@dataclass(frozen=True)
class Places:
    """Points in whole 0.00001 degrees."""

    longitude: Ints
    latitude: Ints


@dataclass(frozen=True)
class Stage:
    """Utilisation firms behind outlets: the second stage of a way.

    Way k leads from outlet `outlet[k]` to firm `firm[k]`; each pair is there once. Firm f gives
    `price[d, c, f]` for disposition d and chemistry c, 0.0001 CNY/kg, FORBIDDEN for nothing. Where
    `leg[k]` is 1 a kilogram is carried on to the firm's place at `freight`, 0.0000001 CNY/(kg·km)
    of road, and packed anew for `packing`, 0.0001 CNY/kg; where it is 0 the price holds at the
    outlet. Limit l: firm `limit_firm[l]` treats `limit_kg[l]` kg at most of the chemistries in
    `limit_chemistries[l]` (bits) together; what no limit names is taken at any amount.
    """

    firms: Places
    price: Ints
    outlet: Ints
    firm: Ints
    leg: Ints
    freight: int
    packing: int
    limit_firm: Ints
    limit_chemistries: Ints
    limit_kg: Ints

    def __post_init__(self) -> None:
        firms = len(self.firms.longitude)
        if len(self.firms.latitude) != firms or self.price.ndim != 3:
            raise BadInstance("each firm has a place, and a price by disposition and chemistry")
        if self.price.shape[2] != firms:
            raise BadInstance("price needs dispositions × chemistries × firms")
        if not len(self.outlet) == len(self.firm) == len(self.leg):
            raise BadInstance("each way has an outlet, a firm, and a second leg or none")
        if not len(self.limit_firm) == len(self.limit_chemistries) == len(self.limit_kg):
            raise BadInstance("each limit has a firm, chemistries and kilograms")
        for named in (self.firm, self.limit_firm):
            if len(named) and (named.min() < 0 or named.max() >= firms):
                raise BadInstance("a way or a limit is of a firm that is not there")
        if len(self.limit_kg) and self.limit_kg.min() < 0:
            raise BadInstance("no firm has less than no room")
        if len(np.unique(np.stack([self.outlet, self.firm]), axis=1).T) != len(self.outlet):
            raise BadInstance("each way from an outlet to a firm is there once")


@dataclass(frozen=True)
class Network:
    """Classes and outlets on the map.

    `chemistry` and `hazard` are numbers from 0; `dispositions`, `takes_chemistries` and
    `takes_hazards` are sets as bits. `offer[d, c, j]` is what outlet j gives for disposition d and
    chemistry c, 0.0001 CNY/kg, FORBIDDEN for nothing. `closed[j]` is the code of Against why j
    takes nothing at all, 0 when it does. By hazard: `freight` in 0.0000001 CNY/(kg·km) of road,
    `packing` in 0.0001 CNY/kg. Road is `circuity_percent` of the great circle.

    With a `stage`, `offer` is what the best firm behind each outlet gives less the way to it, as
    long as firms have room (`stages.folded`).
    """

    classes: Packs
    at: Places
    chemistry: Ints
    hazard: Ints
    dispositions: Ints
    outlets: Places
    free_kg: Ints
    closed: Ints
    takes_chemistries: Ints
    takes_hazards: Ints
    single_load_kg: Ints
    offer: Ints
    freight: Ints
    packing: Ints
    circuity_percent: int
    hold: int
    stage: Stage | None = None

    def __post_init__(self) -> None:
        check(self.classes, self.free_kg)
        n, m = len(self.classes.packs), len(self.free_kg)
        of_classes = [
            *(self.at.longitude, self.at.latitude),
            *(self.chemistry, self.hazard, self.dispositions),
        ]
        of_outlets = [
            *(self.outlets.longitude, self.outlets.latitude, self.closed),
            *(self.takes_chemistries, self.takes_hazards, self.single_load_kg),
        ]
        if any(len(a) != n for a in of_classes) or any(len(a) != m for a in of_outlets):
            raise BadInstance("all arrays of classes are of one length, and all of outlets")
        if self.offer.ndim != 3 or self.offer.shape[2] != m:
            raise BadInstance("offer needs dispositions × chemistries × outlets")
        if self.stage is not None:
            ways = self.stage.outlet
            if len(ways) and (ways.min() < 0 or ways.max() >= m):
                raise BadInstance("a way begins at an outlet that is not there")
            if self.stage.price.shape[:2] != self.offer.shape[:2]:
                raise BadInstance(
                    "outlets and firms speak of the same dispositions and chemistries"
                )


Instance: TypeAlias = Table | Network


def check(classes: Packs, free_kg: Ints) -> None:
    if len(classes.mass_kg) != len(classes.packs):
        raise BadInstance("each class has a mass and a number of packs")
    if len(classes.packs) and (classes.mass_kg.min() < 1 or classes.packs.min() < 0):
        raise BadInstance("a pack weighs at least 1 kg, and no class has fewer than no packs")
    if len(free_kg) and free_kg.min() < 0:
        raise BadInstance("no outlet has less than no room")


def with_free(instance: Instance, free_kg: Ints) -> Instance:
    """The same problem with other room."""
    return replace(instance, free_kg=free_kg)


def digest(*parts: Ints | int | str) -> str:
    """SHA-256 over whole numbers and other digests, the same on every machine."""
    total = sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode())
            continue
        array = np.ascontiguousarray(np.asarray(part, dtype="<i8"))
        total.update(f"{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def instance_digest(instance: Instance) -> str:
    """SHA-256 of all that makes a problem."""
    one = instance
    packs = (one.classes.mass_kg, one.classes.packs, one.free_kg, one.hold)
    if isinstance(one, Table):
        return digest(*packs, one.value.astype(np.int64))
    mapped = digest(
        *packs,
        one.at.longitude,
        one.at.latitude,
        one.chemistry,
        one.hazard,
        one.dispositions,
        one.outlets.longitude,
        one.outlets.latitude,
        one.closed,
        one.takes_chemistries,
        one.takes_hazards,
        one.single_load_kg,
        one.offer,
        one.freight,
        one.packing,
        one.circuity_percent,
    )
    if one.stage is None:
        return mapped
    ways = one.stage
    return digest(
        mapped,
        ways.firms.longitude,
        ways.firms.latitude,
        ways.price,
        ways.outlet,
        ways.firm,
        ways.leg,
        ways.freight,
        ways.packing,
        ways.limit_firm,
        ways.limit_chemistries,
        ways.limit_kg,
    )
