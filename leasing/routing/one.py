"""Where one pack should go, over all outlets, and why.

Money of one pack is whole fen of CNY. Each part (offer, freight, packing) is rounded by itself and
the net is their sum, so that what is shown adds up. Outlets are compared before that, in
0.0001 CNY/kg, by value − price of the space: a price above 0 says that other packs need the space
more.
"""

from dataclasses import dataclass, replace

import numpy as np

from leasing.routing.model import FORBIDDEN, Against, Flags, Ints, Network, Packs, Places
from leasing.routing.pricing import arc_km, vectors

DISPOSITIONS_SHOWN = 8
"""Bits of a set of dispositions that are looked at."""
NOWHERE = -(2**62)


@dataclass(frozen=True)
class Question:
    """One pack. Chemistry, hazard and dispositions as in `Network`."""

    longitude: int
    latitude: int
    chemistry: int
    hazard: int
    dispositions: int
    mass_kg: int


@dataclass(frozen=True)
class Parts:
    """What a pack brings at an outlet, whole fen; freight and packing are below 0."""

    outlet: int
    disposition: int
    offer: int
    freight: int
    packing: int
    road_m: int
    value: int
    """0.0001 CNY/kg, which outlets are compared by."""
    price: int
    """Of a kilogram of its space, 0.0001 CNY."""

    @property
    def net(self) -> int:
        return self.offer + self.freight + self.packing

    @property
    def after_space(self) -> int:
        return self.value - self.price


@dataclass(frozen=True)
class Excluded:
    """An outlet that was not chosen: first what forbids it, or that it is outbid."""

    outlet: int
    road_m: int
    reasons: tuple[Against, ...]


@dataclass(frozen=True)
class Answer:
    """`chosen` is None when holding is better or nothing is permitted.

    `own_best` is where the pack itself would bring most, its space left out of account. The choice
    holds while the chosen offer is at least `holds_from`, 0.0001 CNY/kg, all else as it is.
    """

    chosen: Parts | None
    runner_up: Parts | None
    nearest: Excluded | None
    own_best: Parts | None
    holds_from: int | None


class Atlas:
    """A network's outlets, ready for questions. Packs of the network play no part."""

    def __init__(self, network: Network, prices: Ints | None = None) -> None:
        self.network = network
        self.points = vectors(network.outlets)
        self.prices = np.zeros(len(network.free_kg), dtype=np.int64) if prices is None else prices
        self.offers: dict[tuple[int, int], tuple[Ints, Ints]] = {}
        self.refused: dict[tuple[int, int], Flags] = {}
        self.last: tuple[tuple[int, int], Ints] | None = None

    def hundreds_of_metres(self, asked: Question) -> Ints:
        """To every outlet. Those of the last place are kept: one asks several things about it."""
        key = asked.longitude, asked.latitude
        if self.last is None or self.last[0] != key:
            self.last = key, self.measured(asked)
        return self.last[1]

    def measured(self, asked: Question) -> Ints:
        place = Places(np.array([asked.longitude]), np.array([asked.latitude]))
        apart = self.points - vectors(place)
        chord = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        return np.rint(10 * arc_km(chord)).astype(np.int64)

    def answer(self, asked: Question) -> Answer:
        """The best over all outlets, exactly; of equal ones the first."""
        far = self.hundreds_of_metres(asked)
        value = self.values(asked, far)
        permitted = value > FORBIDDEN
        fits = permitted & (self.network.free_kg >= asked.mass_kg)
        reduced = np.where(fits, value - self.prices, NOWHERE)
        first, second = two_best(reduced)
        hold = self.network.hold
        if first is None or value[first] - self.prices[first] <= hold:
            return Answer(None, None, self.nearest(asked, far, None), None, None)
        chosen = self.parts(asked, first, far, value)
        runner_up = None if second is None else self.parts(asked, second, far, value)
        rival = hold if runner_up is None else max(hold, runner_up.after_space)
        own = int(np.argmax(np.where(permitted, value, NOWHERE)))
        offer = self.best_offer(asked)[1][first]
        return Answer(
            chosen,
            runner_up,
            self.nearest(asked, far, first),
            self.parts(asked, own, far, value),
            int(offer) - (chosen.after_space - rival),
        )

    def best_offer(self, asked: Question) -> tuple[Ints, Ints]:
        """The best allowed disposition at each outlet and what is offered for it."""
        key = asked.chemistry, asked.dispositions
        if key not in self.offers:
            self.offers[key] = self.folded(asked)
        return self.offers[key]

    def folded(self, asked: Question) -> tuple[Ints, Ints]:
        bits = range(min(DISPOSITIONS_SHOWN, self.network.offer.shape[0]))
        allowed = [d for d in bits if asked.dispositions >> d & 1]
        if not allowed:
            none = np.full(len(self.points), FORBIDDEN, dtype=np.int64)
            return np.zeros_like(none), none
        offers = self.network.offer[allowed, asked.chemistry]
        place = offers.argmax(axis=0)
        return np.array(allowed)[place], np.take_along_axis(offers, place[None], axis=0)[0]

    def values(self, asked: Question, far: Ints) -> Ints:
        _, offer = self.best_offer(asked)
        carried = self.freight(asked, far) + int(self.network.packing[asked.hazard])
        return np.where(self.against(asked) | (offer == FORBIDDEN), FORBIDDEN, offer - carried)

    def freight(self, asked: Question, far: Ints) -> Ints:
        """0.0001 CNY/kg."""
        rate = int(self.network.freight[asked.hazard]) * self.network.circuity_percent
        carried: Ints = (rate * far + 500_000) // 1_000_000
        return carried

    def against(self, asked: Question) -> Flags:
        one, key = self.network, (asked.chemistry, asked.hazard)
        if key not in self.refused:
            self.refused[key] = (
                (one.closed != 0)
                | (one.takes_chemistries >> asked.chemistry & 1 == 0)
                | (one.takes_hazards >> asked.hazard & 1 == 0)
            )
        refused: Flags = self.refused[key] | (one.single_load_kg < asked.mass_kg)
        return refused

    def reasons(self, asked: Question, outlet: int) -> tuple[Against, ...]:
        """Everything that forbids this outlet, or leaves no room there; empty when it may."""
        one, found = self.network, []
        if one.closed[outlet]:
            found.append(Against(int(one.closed[outlet])))
        offer = self.best_offer(asked)[1][outlet]
        if not one.takes_chemistries[outlet] >> asked.chemistry & 1 or offer == FORBIDDEN:
            found.append(Against.CHEM)
        if not one.takes_hazards[outlet] >> asked.hazard & 1:
            found.append(Against.HAZARD)
        if one.single_load_kg[outlet] < asked.mass_kg:
            found.append(Against.SINGLE_LOAD)
        if one.free_kg[outlet] < asked.mass_kg:
            found.append(Against.SPACE)
        return tuple(found)

    def nearest(self, asked: Question, far: Ints, chosen: int | None) -> Excluded | None:
        """The nearest outlet and what excluded it; None when it is the chosen one."""
        if not len(far):
            return None
        outlet = int(np.argmin(far))
        if outlet == chosen:
            return None
        last = Against.HELD if chosen is None else Against.VALUE
        reasons = self.reasons(asked, outlet) or (last,)
        return Excluded(outlet, self.road_m(int(far[outlet])), reasons)

    def road_m(self, hundreds: int) -> int:
        return hundreds * self.network.circuity_percent

    def parts(self, asked: Question, outlet: int, far: Ints, value: Ints) -> Parts:
        dispositions, offers = self.best_offer(asked)
        mass = asked.mass_kg
        return Parts(
            outlet=outlet,
            disposition=int(dispositions[outlet]),
            offer=fen(int(offers[outlet]) * mass),
            freight=-fen(int(self.freight(asked, far[outlet : outlet + 1])[0]) * mass),
            packing=-fen(int(self.network.packing[asked.hazard]) * mass),
            road_m=self.road_m(int(far[outlet])),
            value=int(value[outlet]),
            price=int(self.prices[outlet]),
        )


def two_best(reduced: Ints) -> tuple[int | None, int | None]:
    """The places of the highest two, of equal ones the first; None where nothing is permitted.
    Changes the first's value."""
    found: list[int | None] = []
    for _ in range(min(2, len(reduced))):
        place = int(np.argmax(reduced))
        found.append(place if reduced[place] > NOWHERE else None)
        reduced[place] = NOWHERE
    found += [None, None]
    return found[0], found[1]


def fen(amount: int) -> int:
    """Whole fen of 0.0001 CNY, halves up."""
    return (amount + 50) // 100


def question(network: Network, row: int) -> Question:
    """A pack of one of a network's classes."""
    return Question(
        int(network.at.longitude[row]),
        int(network.at.latitude[row]),
        int(network.chemistry[row]),
        int(network.hazard[row]),
        int(network.dispositions[row]),
        int(network.classes.mass_kg[row]),
    )


def some_classes(network: Network, rows: Ints, packs: Ints) -> Network:
    """The network with these of its classes alone, and so many packs of each."""
    return replace(
        network,
        classes=Packs(network.classes.mass_kg[rows], packs),
        at=Places(network.at.longitude[rows], network.at.latitude[rows]),
        chemistry=network.chemistry[rows],
        hazard=network.hazard[rows],
        dispositions=network.dispositions[rows],
    )
