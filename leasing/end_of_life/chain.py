"""Utilisation firms behind all outlets on one day: what each way brings, and whose room it takes.

A firm whose plants are entered for the day treats what they name, and packs are carried on to them;
a firm without pays its price at the outlet. What lacks evidence on the day is no end of any way.
"""

from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

import msgspec
import numpy as np

from leasing.routing import stages
from leasing.routing.model import FORBIDDEN, Against, Flags, Ints, Network, Places, Stage


class Behind(msgspec.Struct, frozen=True):
    """A firm beside an outlet's own recycler, for days in [from_on, to_on)."""

    outlet_id: UUID
    recycler_id: UUID
    from_on: date
    to_on: date | None


class Plant(msgspec.Struct, frozen=True):
    """What a plant treats for days in [from_on, to_on); `free_kg` is None for any amount."""

    id: UUID
    recycler_id: UUID
    chemistries: str
    from_on: date
    to_on: date
    longitude: float
    latitude: float
    free_kg: int | None


@dataclass(frozen=True)
class Firms:
    """What a day's chain is made of. Recyclers are places in one list, as `owner` of each outlet
    and `behind` (outlet, recycler) have them; `price` is by disposition, chemistry and recycler."""

    owner: Ints
    behind: list[tuple[int, int]]
    plants: list[tuple[int, Plant]]
    lawful: Flags
    price: Ints
    letters: tuple[str, ...]


@dataclass(frozen=True)
class Chain:
    """`network` has the stage. Firms of the stage are plants: `recycler` says whose."""

    network: Network
    recycler: Ints
    limit_ids: list[UUID]
    without_room: Ints
    """What outlets would give if all firms had room, by disposition, chemistry and outlet."""
    given: Ints
    first: Ints
    """Where the ways of an outlet begin; and where the last one's end."""

    @property
    def stage(self) -> Stage:
        return stages.stage_of(self.network)

    def ways(self, outlet: int) -> slice:
        return slice(int(self.first[outlet]), int(self.first[outlet + 1]))

    def best(self, outlet: int, chemistry: int, dispositions: int) -> int:
        """The firm behind an outlet at which a kilogram brings most, of equal ones the first."""
        allowed = [d for d in range(len(self.given)) if dispositions >> d & 1]
        ways = self.ways(outlet)
        worth = self.given[allowed, chemistry, ways].max(axis=0)
        return int(self.stage.firm[ways][worth.argmax()])

    def end(
        self, outlet: int, firm: int, chemistry: int, dispositions: int
    ) -> tuple[int, int, int]:
        """The best disposition at the end of a way, the firm's price, and what the second leg
        costs, 0.0001 CNY/kg."""
        ways = self.ways(outlet)
        way = ways.start + int(np.flatnonzero(self.stage.firm[ways] == firm)[0])
        allowed = [d for d in range(len(self.given)) if dispositions >> d & 1]
        place = allowed[int(self.given[allowed, chemistry, way].argmax())]
        price = int(self.stage.price[place, chemistry, firm])
        return place, price, price - int(self.given[place, chemistry, way])

    def limits(self, firm: int, chemistry: int) -> list[int]:
        """The limits that a pack meets at a firm."""
        stage = self.stage
        met = (stage.limit_firm == firm) & (stage.limit_chemistries >> chemistry & 1 == 1)
        return np.flatnonzero(met).tolist()

    def limit_ids_of(self, firm: int, chemistry: int) -> list[UUID]:
        return sorted(self.limit_ids[one] for one in self.limits(firm, chemistry))

    def without(self, full: set[int], chemistry: int) -> "Chain":
        """The chain for packs of a chemistry when some firms have no room for them."""
        stage, given = self.stage, self.given.copy()
        given[:, chemistry, np.isin(stage.firm, sorted(full))] = FORBIDDEN
        offer = self.network.offer.copy()
        offer[:, chemistry] = FORBIDDEN
        for each, ways in zip(offer[:, chemistry], given[:, chemistry], strict=True):
            np.maximum.at(each, stage.outlet, ways)
        return replace(self, network=replace(self.network, offer=offer), given=given)

    def leads(self, outlet: int, firm: int) -> bool:
        return bool((self.stage.firm[self.ways(outlet)] == firm).any())


def chain(network: Network, firms: Firms, freight: int, packing: int) -> Chain:
    """The chain behind a network's outlets. What an outlet gives is what its best firm gives that
    has room; an outlet without a lawful firm keeps what closes it."""
    nodes, places, chemistries, limits = laid_out(firms)
    bits = np.array(chemistries, dtype=np.int64)
    treats = bits[None, :] >> np.arange(len(firms.letters))[:, None] & 1 == 1
    recycler = np.array([one for one, _ in nodes], dtype=np.int64)
    price = np.where(treats[None], firms.price[:, :, recycler], FORBIDDEN)
    of_recycler: dict[int, list[int]] = {}
    for node, (one, _) in enumerate(nodes):
        of_recycler.setdefault(one, []).append(node)
    pairs = {(outlet, one) for outlet, one in enumerate(firms.owner.tolist())} | set(firms.behind)
    ways = sorted((outlet, node) for outlet, one in pairs for node in of_recycler.get(one, ()))
    outlet, end = np.array(ways, dtype=np.int64).reshape(-1, 2).T.copy()
    far = np.array([place is not None for _, place in nodes], dtype=np.int64)
    numbers = np.array(
        [(node, kinds, kg) for node, kinds, kg, _ in limits], dtype=np.int64
    ).reshape(-1, 3)
    stage = Stage(
        firms=places,
        price=price,
        outlet=outlet,
        firm=end,
        leg=far[end],
        freight=freight,
        packing=packing,
        limit_firm=numbers[:, 0].copy(),
        limit_chemistries=numbers[:, 1].copy(),
        limit_kg=numbers[:, 2].copy(),
    )
    ends = np.zeros(len(network.free_kg), dtype=np.bool_)
    ends[outlet] = True
    opened = np.where(ends & (network.closed != Against.CLOSED), 0, network.closed)
    whole = stages.folded(replace(network, closed=opened, stage=stage))
    for firm, kinds, kg, _ in limits:
        if kg <= 0:
            price[:, [c for c in range(len(firms.letters)) if kinds >> c & 1], firm] = FORBIDDEN
    fitting = stages.folded(whole)
    return Chain(
        fitting,
        recycler,
        [limit_id for *_, limit_id in limits],
        whole.offer,
        stages.given(fitting),
        np.searchsorted(outlet, np.arange(len(network.free_kg) + 1)),
    )


Node = tuple[int, tuple[float, float] | None]


def laid_out(
    firms: Firms,
) -> tuple[list[Node], Places, list[int], list[tuple[int, int, int, UUID]]]:
    """Plants of lawful recyclers (with their places; None for a price at the outlet), the places as
    arrays, the chemistries of each as bits, and limits: plant, chemistries, kilograms, id."""
    ours: dict[int, list[Plant]] = {}
    for one, plant in firms.plants:
        ours.setdefault(one, []).append(plant)
    nodes: list[Node] = []
    chemistries: list[int] = []
    limits: list[tuple[int, int, int, UUID]] = []
    asked = set(firms.owner.tolist()) | {one for _, one in firms.behind}
    for one in sorted(asked):
        if not firms.lawful[one]:
            continue
        if one not in ours:
            nodes.append((one, None))
            chemistries.append((1 << len(firms.letters)) - 1)
            continue
        for place in sorted({(plant.longitude, plant.latitude) for plant in ours[one]}):
            here = [each for each in ours[one] if (each.longitude, each.latitude) == place]
            kinds = [letters(firms.letters, each.chemistries) for each in here]
            limits += [
                (len(nodes), kind, max(0, each.free_kg), each.id)
                for each, kind in zip(here, kinds, strict=True)
                if each.free_kg is not None
            ]
            nodes.append((one, place))
            chemistries.append(int(np.bitwise_or.reduce(kinds)))
    at = [place or (0.0, 0.0) for _, place in nodes]
    points = np.rint(1e5 * np.array(at).reshape(-1, 2)).astype(np.int64)
    return nodes, Places(points[:, 0].copy(), points[:, 1].copy()), chemistries, limits


def letters(known: tuple[str, ...], named: str) -> int:
    return sum(1 << place for place, letter in enumerate(known) if letter in named)
