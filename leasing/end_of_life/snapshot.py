"""All outlets in memory: where they are, what they take, who may, what is offered, the room left.

The database holds the truth. What is kept here is a copy that every process loads once: facts that
change seldom are loaded anew when a notification says so (channel `outlets_` and the schema's
name), the room is read anew after `ROOM_AGE_S`. Nothing here decides: the reservation does
(`reserving`), by what the database holds then. Without a connection that hears notifications all
is loaded anew after `DEAF_AGE_S`.
"""

import asyncio
import io
from collections.abc import Iterable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Protocol
from uuid import UUID

import asyncpg
import msgspec
import numpy as np
import structlog

from leasing.batteries.codes import Chemistry
from leasing.db import clock
from leasing.db.pool import GONE, LESSOR, Connection, Database, LoneConnection, begin
from leasing.end_of_life import chain as chains
from leasing.end_of_life import terms as routing_terms
from leasing.end_of_life.chain import Behind, Chain, Firms, Plant
from leasing.end_of_life.rules import REQUIRED
from leasing.end_of_life.terms import HAZARDS, Terms
from leasing.kit.time import civil_date
from leasing.routing.model import (
    FORBIDDEN,
    PRICE_OF_NO_ROOM,
    Against,
    Flags,
    Ints,
    Network,
    Packs,
    Places,
    digest,
)
from leasing.routing.one import Atlas, Question
from schemas.outlets import Hazard, OutletKind

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CHEMISTRIES = tuple(Chemistry)
DISPOSITIONS = ("repair", "dismantle", "recycle")
RECYCLE = 1 << DISPOSITIONS.index("recycle")
DISMANTLE = 1 << DISPOSITIONS.index("dismantle")
ALLOWED = {"recycle": RECYCLE, "dismantle": DISMANTLE | RECYCLE}
"""What may be offered for a pack by what was decided: what is to be dismantled may be recycled."""

NEVER_HELD = -(2**30)
"""What waiting is worth when a pack is to go in any case, 0.0001 CNY/kg."""
UNPRICED_HOLD = -10_000_000
"""The same in plans of a time without any prices: 1,000 CNY/kg, more than any way costs."""
MOST_RULES = 20
"""Provinces that may keep their packs at one time; a set of hazards has 63 bits."""
PRICES_LAST = timedelta(days=3)
"""Prices of space of a plan that is older say nothing any more."""
FORGOTTEN = timedelta(days=366)
"""What plants treated so long ago is not asked for any more."""
DAYS_KEPT = 16

ROOM_AGE_S = 1.0
DEAF_AGE_S = 5.0
HEARD_AGE_S = 60.0
RELOAD_EVERY_S = 1.0
"""However many notifications come, facts are loaded anew no more often."""


class Waits(Protocol):
    """A pack and where it waits."""

    @property
    def longitude(self) -> float: ...
    @property
    def latitude(self) -> float: ...
    @property
    def adcode(self) -> str: ...
    @property
    def chemistry(self) -> str: ...
    @property
    def hazard(self) -> str: ...
    @property
    def mass_kg(self) -> int: ...
    @property
    def decision(self) -> str: ...


class Paper(msgspec.Struct, frozen=True):
    """A piece of evidence, for days in [from_on, to_on)."""

    kind: str
    from_on: date | None
    to_on: date | None
    withdrawn_on: date | None

    def holds(self, day: date) -> bool:
        begun = self.from_on is None or self.from_on <= day
        return begun and (self.to_on is None or day < self.to_on)


class Offer(msgspec.Struct, frozen=True):
    recycler_id: UUID
    chemistry: str
    disposition: str
    from_on: date
    to_on: date | None
    price: int


class Rule(msgspec.Struct, frozen=True):
    province: int
    from_on: date
    to_on: date | None


@dataclass
class Known:
    """Outlets in order of their codes; arrays are by outlet. `free_kg` is brought up to date in
    place, all else stays as it was loaded."""

    version: str
    ids: list[UUID]
    codes: list[str]
    adcodes: list[str]
    kinds: list[str]
    recycler_ids: list[UUID]
    recycler: Ints
    """Place in `recycler_ids`."""
    at: Places
    takes_chemistries: Ints
    takes_hazards: Ints
    free_kg: Ints
    closed_from: list[date | None]
    """The first day on which an outlet takes nothing more."""
    five_tonnes: Flags
    """Collecting outlets whose limit is the 5 t of the law, and not less of their own."""
    overdue_from: dict[int, date]
    """By outlet, the first day on which something has lain there beyond its days of storage."""
    papers: dict[UUID, list[Paper]]
    offers: list[Offer]
    terms: list[Terms]
    rules: list[Rule]
    prices: dict[UUID, int]
    """Of space, 0.0001 CNY/kg, by the newest plan; outlets whose space is free are left out."""
    priced_by: UUID | None
    """That plan."""
    stale: bool = False
    """Somebody saw that the database says otherwise."""
    behind: list[Behind] = field(default_factory=list)
    plants: list[Plant] = field(default_factory=list)
    place: dict[UUID, int] = field(init=False)
    provinces: Ints = field(init=False)
    days: dict[date, "Day"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place = {outlet_id: place for place, outlet_id in enumerate(self.ids)}
        self.provinces = np.array([int(code[:2]) for code in self.adcodes], dtype=np.int64)

    def on(self, day: date) -> "Day":
        """The same for packs that are handed over on a day."""
        if day not in self.days:
            if len(self.days) >= DAYS_KEPT:
                self.days.clear()
            self.days[day] = Day(self, day)
        return self.days[day]


class Day:
    """Outlets as they are for a day of hand-over."""

    def __init__(self, known: Known, day: date) -> None:
        self.known = known
        self.day = day
        self.terms = routing_terms.on(day, known.terms)
        self.missing = {
            recycler_id: lacking(known.papers.get(recycler_id, []), day)
            for recycler_id in known.recycler_ids
        }
        self.ruled = ruled(known.rules, day)
        self.offers = [one for one in known.offers if in_days(one.from_on, one.to_on, day)]
        self.network = network(self)
        self.chain = chain(self)
        if self.chain is not None:
            self.network = self.chain.network
        prices = np.array([known.prices.get(one, 0) for one in known.ids], dtype=np.int64)
        self.prices = prices
        self.atlas = Atlas(self.network, prices)

    def without(self, full: set[int], chemistry: int) -> "Day":
        """The day for packs of a chemistry for which some firms have no room."""
        assert self.chain is not None
        other = copy(self)
        other.chain = self.chain.without(full, chemistry)
        other.network = other.chain.network
        other.atlas = Atlas(other.network, self.prices)
        return other

    @property
    def is_priced(self) -> bool:
        """Whether anybody offers anything on that day. Else the way alone counts."""
        return bool(self.offers)

    def hazard(self, hazard: Hazard | str, adcode: str) -> int:
        """A hazard as the network counts it: packs of a province that keeps them are apart."""
        base = HAZARDS.index(Hazard(hazard))
        province = int(adcode[:2])
        if province in self.ruled:
            return base + len(HAZARDS) * (1 + self.ruled.index(province))
        return base

    def question(
        self,
        *,
        longitude: float,
        latitude: float,
        adcode: str,
        chemistry: str,
        hazard: Hazard | str,
        dispositions: int,
        mass_kg: int,
    ) -> Question:
        return Question(
            round(1e5 * longitude),
            round(1e5 * latitude),
            CHEMISTRIES.index(Chemistry(chemistry)),
            self.hazard(hazard, adcode),
            dispositions,
            mass_kg,
        )

    def question_of(self, load: "Waits") -> Question:
        """The question for a pack that was condemned."""
        return self.question(
            longitude=load.longitude,
            latitude=load.latitude,
            adcode=load.adcode,
            chemistry=load.chemistry,
            hazard=load.hazard,
            dispositions=ALLOWED[load.decision],
            mass_kg=load.mass_kg,
        )

    def firm(self, outlet: int, asked: Question) -> int | None:
        """The firm behind an outlet where a pack brings most; None where there is no chain."""
        if self.chain is None:
            return None
        return self.chain.best(outlet, asked.chemistry, asked.dispositions)

    def recycler_of(self, outlet: int, firm: int | None) -> UUID:
        """Who ends the way: the outlet's recycler where there is no chain."""
        if self.chain is None or firm is None:
            return self.known.recycler_ids[int(self.known.recycler[outlet])]
        return self.known.recycler_ids[int(self.chain.recycler[firm])]

    def valid_to(self, outlet: int, firm: int | None) -> date | None:
        """The last day but one on which the recycler's evidence holds, as far as it is known."""
        papers = self.known.papers.get(self.recycler_of(outlet, firm), [])
        ends = [paper.to_on for paper in papers if paper.holds(self.day) and paper.to_on]
        return min(ends, default=None)


def in_days(from_on: date | None, to_on: date | None, day: date) -> bool:
    return (from_on is None or from_on <= day) and (to_on is None or day < to_on)


def ruled(rules: Iterable[Rule], day: date) -> tuple[int, ...]:
    found = sorted({rule.province for rule in rules if in_days(rule.from_on, rule.to_on, day)})
    return tuple(found[:MOST_RULES])


def lacking(papers: list[Paper], day: date) -> dict[str, Against]:
    """The evidence that is missing on a day, each kind with the reason."""
    found = {}
    for kind in REQUIRED:
        ours = [paper for paper in papers if paper.kind == kind]
        if any(paper.holds(day) for paper in ours):
            continue
        past = [paper for paper in ours if paper.to_on is not None and paper.to_on <= day]
        last = max(past, key=lambda paper: paper.to_on or date.min, default=None)
        if last is None:
            found[str(kind)] = Against.QUAL_NONE
        elif last.withdrawn_on is not None:
            found[str(kind)] = Against.QUAL_SUSPENDED
        else:
            found[str(kind)] = Against.QUAL_EXPIRED
    return found


def network(day: Day) -> Network:
    """Outlets without packs, as the solver wants them."""
    known, terms = day.known, day.terms
    nothing = np.zeros(0, dtype=np.int64)
    unfit = [min(day.missing[one].values(), default=0) for one in known.recycler_ids]
    hazards = known.takes_hazards.copy()
    for number, province in enumerate(day.ruled):
        inside = np.where(known.provinces == province, known.takes_hazards, 0)
        hazards |= inside << (len(HAZARDS) * (1 + number))
    times = 1 + len(day.ruled)
    load = [terms.single_load_kg[kind] for kind in known.kinds]
    return Network(
        classes=Packs(nothing, nothing),
        at=Places(nothing, nothing),
        chemistry=nothing,
        hazard=nothing,
        dispositions=nothing,
        outlets=known.at,
        free_kg=known.free_kg,
        closed=closed(day, unfit) if unfit else nothing,
        takes_chemistries=known.takes_chemistries,
        takes_hazards=hazards,
        single_load_kg=np.array(load, dtype=np.int64),
        offer=offers(day)[:, :, known.recycler],
        freight=np.tile(np.array(terms.freight, dtype=np.int64), times),
        packing=np.tile(np.array(terms.packing, dtype=np.int64), times),
        circuity_percent=terms.circuity_percent,
        hold=NEVER_HELD,
    )


def closed(day: Day, unfit: list[int]) -> Ints:
    """Why each outlet takes nothing at all on the day, 0 when it does; `unfit` is by recycler."""
    known = day.known
    found = whole(unfit)[known.recycler]
    overdue = [place for place, since in known.overdue_from.items() if since <= day.day]
    late = np.zeros(len(found), dtype=np.bool_)
    late[overdue] = True
    found = np.where((found == 0) & late, Against.STORE_DAYS, found)
    shut = np.array([one is not None and one <= day.day for one in known.closed_from], dtype=bool)
    return np.where(shut, Against.CLOSED, found)


def offers(day: Day) -> Ints:
    """What each recycler gives. On a day without any offers each gives nothing, and takes
    everything."""
    known = day.known
    shape = (len(DISPOSITIONS), len(CHEMISTRIES), len(known.recycler_ids))
    if not day.is_priced:
        return np.zeros(shape, dtype=np.int64)
    by_recycler = np.full(shape, FORBIDDEN, dtype=np.int64)
    place = {recycler_id: number for number, recycler_id in enumerate(known.recycler_ids)}
    for one in day.offers:
        if one.recycler_id in place and one.chemistry in CHEMISTRIES:
            disposition = DISPOSITIONS.index(one.disposition)
            chemistry = CHEMISTRIES.index(Chemistry(one.chemistry))
            by_recycler[disposition, chemistry, place[one.recycler_id]] = one.price
    return by_recycler


def chain(day: Day) -> Chain | None:
    """The firms behind outlets; None when every outlet has its recycler alone, without a plant."""
    known = day.known
    place = {recycler_id: number for number, recycler_id in enumerate(known.recycler_ids)}
    behind = [
        (known.place[one.outlet_id], place[one.recycler_id])
        for one in known.behind
        if in_days(one.from_on, one.to_on, day.day)
    ]
    plants = [
        (place[one.recycler_id], one)
        for one in known.plants
        if in_days(one.from_on, one.to_on, day.day) and one.recycler_id in place
    ]
    if not (behind or plants):
        return None
    firms = Firms(
        owner=known.recycler,
        behind=behind,
        plants=plants,
        lawful=np.array([not day.missing[one] for one in known.recycler_ids], dtype=np.bool_),
        price=offers(day),
        letters=CHEMISTRIES,
    )
    # An outlet packs what it sends on, and sends it in loads: the rates of intact packs.
    return chains.chain(day.network, firms, day.terms.freight[0], day.terms.packing[0])


# --- Out of the database ----------------------------------------------------------------------

OUTLETS = """
SELECT id, code, kind, adcode, longitude, latitude, recycler_id,
       array_to_string(chemistries, '') AS chemistries,
       array_to_string(hazards, ' ') AS hazards,
       store_limit_kg - stock_kg - reserved_kg - in_transit_kg AS free_kg,
       closed_from, kind = 'collecting' AND store_limit_kg = 5000 AS has_five_tonnes
  FROM outlet
 ORDER BY code
"""

# The day of arrival is the first of its days of storage.
OVERDUE = """
SELECT outlet.id, min(routing.handed_over_on) + outlet.store_days AS overdue_from
  FROM outlet
  JOIN routing ON routing.outlet_id = outlet.id
 WHERE outlet.store_days IS NOT NULL
   AND routing.state = 'handed_over'
 GROUP BY outlet.id
"""

PAPERS = """
SELECT party_id, kind, lower(valid) AS from_on, upper(valid) AS to_on, withdrawn_on
  FROM qualification
 WHERE kind = ANY ($1::text[])
 ORDER BY party_id, kind, valid
"""

OFFERS = """
SELECT recycler_id, chemistry, disposition, lower(valid) AS from_on, upper(valid) AS to_on,
       (cny_per_kg * 10000)::bigint AS price
  FROM scrap_offer
 ORDER BY recycler_id, chemistry, disposition, valid
"""

BEHIND = """
SELECT outlet_id, recycler_id, lower(valid) AS from_on, upper(valid) AS to_on
  FROM outlet_firm
 ORDER BY outlet_id, recycler_id, valid
"""

PLANTS = """
SELECT id, recycler_id, array_to_string(chemistries, '') AS chemistries, lower(valid) AS from_on,
       upper(valid) AS to_on, longitude, latitude, capacity_kg - reserved_kg AS free_kg
  FROM treatment_capacity
 WHERE upper(valid) > $1
 ORDER BY recycler_id, valid, id
"""

TERMS = """
SELECT from_on, circuity_percent, freight_cny_per_kg_km, packing_cny_per_kg, hold_cny_per_kg,
       collecting_load_kg, concentrated_load_kg, reservation_days
  FROM routing_terms
 ORDER BY from_on
"""

RULES = """
SELECT left(province_adcode, 2)::integer AS province, lower(valid) AS from_on,
       upper(valid) AS to_on
  FROM province_rule
 ORDER BY province_adcode, valid
"""

PRICES = """
SELECT id, solution
  FROM routing_plan
 WHERE state IN ('proposed', 'applied')
   AND as_of >= $1
   AND ($2::date IS NULL OR as_of < $2)
 ORDER BY as_of DESC, id DESC
 LIMIT 1
"""


async def load(tx: Connection, prices_before: date | None = None) -> Known:
    """Everything, as the transaction sees it; prices of space by the newest plan, or the newest of
    those made for days before one."""
    today = civil_date(await clock.now(tx))
    rows = await tx.fetch(OUTLETS)
    behind = [msgspec.convert(dict(row), Behind) for row in await tx.fetch(BEHIND)]
    plants = [
        msgspec.convert(dict(row), Plant) for row in await tx.fetch(PLANTS, today - FORGOTTEN)
    ]
    recycler_ids = sorted({row["recycler_id"] for row in rows} | {b.recycler_id for b in behind})
    place = {recycler_id: number for number, recycler_id in enumerate(recycler_ids)}
    papers: dict[UUID, list[Paper]] = {}
    for row in await tx.fetch(PAPERS, [str(kind) for kind in REQUIRED]):
        paper = Paper(row["kind"], row["from_on"], row["to_on"], row["withdrawn_on"])
        papers.setdefault(row["party_id"], []).append(paper)
    found = Known(
        version="",
        ids=[row["id"] for row in rows],
        codes=[row["code"] for row in rows],
        adcodes=[row["adcode"] for row in rows],
        kinds=[row["kind"] for row in rows],
        recycler_ids=recycler_ids,
        recycler=whole(place[row["recycler_id"]] for row in rows),
        at=Places(
            whole(round(1e5 * row["longitude"]) for row in rows),
            whole(round(1e5 * row["latitude"]) for row in rows),
        ),
        takes_chemistries=whole(chemistry_bits(row["chemistries"]) for row in rows),
        takes_hazards=whole(hazard_bits(row["kind"], row["hazards"]) for row in rows),
        free_kg=whole(max(0, row["free_kg"]) for row in rows),
        closed_from=[row["closed_from"] for row in rows],
        five_tonnes=np.array([row["has_five_tonnes"] for row in rows], dtype=np.bool_),
        overdue_from={},
        papers=papers,
        offers=[msgspec.convert(dict(row), Offer) for row in await tx.fetch(OFFERS)],
        terms=[entered(row) for row in await tx.fetch(TERMS)],
        rules=[msgspec.convert(dict(row), Rule) for row in await tx.fetch(RULES)],
        prices={},
        priced_by=None,
        behind=behind,
        plants=plants,
    )
    overdue = {found.place[row["id"]]: row["overdue_from"] for row in await tx.fetch(OVERDUE)}
    found.overdue_from = dict(sorted(overdue.items()))
    since = (prices_before or today) - PRICES_LAST
    plan = await tx.fetchrow(PRICES, since, prices_before)
    if plan is not None:
        found.prices = prices_of(plan["solution"])
        found.priced_by = plan["id"]
    found.version = version(found)
    return found


def whole(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)


def chemistry_bits(letters: str) -> int:
    return sum(1 << place for place, letter in enumerate(CHEMISTRIES) if letter in letters)


def hazard_bits(kind: str, hazards: str) -> int:
    """What an outlet takes. A collecting one takes nothing but intact packs, whatever it says."""
    taken = hazards.split(" ")
    if kind == OutletKind.COLLECTING:
        taken = [hazard for hazard in taken if hazard == Hazard.INTACT]
    return sum(1 << place for place, hazard in enumerate(HAZARDS) if hazard in taken)


def entered(row: asyncpg.Record) -> Terms:
    def each(name: str, scale: int) -> tuple[int, ...]:
        return tuple(int((Decimal(value) * scale).to_integral_value()) for value in row[name])

    return Terms(
        from_on=row["from_on"],
        circuity_percent=row["circuity_percent"],
        freight=each("freight_cny_per_kg_km", 10_000_000),
        packing=each("packing_cny_per_kg", 10_000),
        hold=routing_terms.ten_thousandths(row["hold_cny_per_kg"]),
        single_load_kg={
            OutletKind.COLLECTING: row["collecting_load_kg"],
            OutletKind.CONCENTRATED: row["concentrated_load_kg"],
        },
        reservation_days=row["reservation_days"],
    )


def prices_of(solution: bytes) -> dict[UUID, int]:
    """Prices of space in a stored plan, by outlet."""
    with np.load(io.BytesIO(solution), allow_pickle=False) as held:
        ids, prices = held["outlet_ids"], held["price"]
    dear = (prices > 0) & (prices < PRICE_OF_NO_ROOM)
    return {
        UUID(bytes=one.tobytes()): int(price)
        for one, price in zip(ids[dear], prices[dear], strict=True)
    }


def version(known: Known) -> str:
    """SHA-256 of everything but the room. Outlets and recyclers count by their order and not by
    their ids, so that the same facts in another database have the same version."""
    numbers = digest(
        known.recycler,
        known.at.longitude,
        known.at.latitude,
        known.takes_chemistries,
        known.takes_hazards,
        np.array([known.prices.get(one, 0) for one in known.ids], dtype=np.int64),
    )
    place = {recycler_id: number for number, recycler_id in enumerate(known.recycler_ids)}
    firms = [
        (known.place[one.outlet_id], place[one.recycler_id], one.from_on, one.to_on)
        for one in known.behind
    ]
    treated = [
        (
            place[one.recycler_id],
            one.chemistries,
            (one.from_on, one.to_on),
            (one.longitude, one.latitude),
            one.free_kg is None,
        )
        for one in known.plants
        if one.recycler_id in place
    ]
    told = msgspec.json.encode(
        (
            numbers,
            known.codes,
            known.adcodes,
            known.kinds,
            [*known.closed_from, *known.overdue_from.items()],
            [known.papers.get(recycler_id, []) for recycler_id in known.recycler_ids],
            [
                (
                    place[one.recycler_id],
                    one.chemistry,
                    one.disposition,
                    one.from_on,
                    one.to_on,
                    one.price,
                )
                for one in known.offers
                if one.recycler_id in place
            ],
            [
                (
                    one.from_on,
                    one.circuity_percent,
                    one.freight,
                    one.packing,
                    one.hold,
                    one.single_load_kg,
                    one.reservation_days,
                )
                for one in known.terms
            ],
            known.rules,
            *([firms, treated] if firms or treated else []),
        )
    )
    return sha256(told).hexdigest()


ROOM = """
SELECT array_agg(greatest(0, store_limit_kg - stock_kg - reserved_kg - in_transit_kg)
                 ORDER BY code) AS free_kg,
       count(*) AS outlets
  FROM outlet
"""

ROOM_OF = """
SELECT id, greatest(0, store_limit_kg - stock_kg - reserved_kg - in_transit_kg) AS free_kg
  FROM outlet
 WHERE id = ANY ($1::uuid[])
"""


async def read_room(tx: Connection, known: Known) -> None:
    """The room of all outlets as it is now."""
    row = await tx.fetchrow(ROOM)
    assert row is not None
    if row["outlets"] != len(known.ids):
        known.stale = True
    elif known.ids:
        known.free_kg[:] = row["free_kg"]


async def read_room_of(tx: Connection, known: Known, outlets: Ints) -> None:
    """The room of some outlets as it is now."""
    for row in await tx.fetch(ROOM_OF, [known.ids[outlet] for outlet in outlets]):
        known.free_kg[known.place[row["id"]]] = row["free_kg"]


# --- Kept up to date --------------------------------------------------------------------------

CHANNEL = "SELECT 'outlets_' || current_schema()"


class Outlets:
    """What one process knows of all outlets, for as long as its database is open."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.kept: Known | None = None
        self.loaded_at = 0.0
        self.room_at = 0.0
        self.told = False
        self.listener: LoneConnection | None = None
        self.loading = asyncio.Lock()
        self.refreshing: asyncio.Task[None] | None = None
        db.before_closing.append(self.close)

    async def known(self) -> Known:
        """What is known now. Facts are RELOAD_EVERY_S old at most after a notification, DEAF_AGE_S
        when none can be heard. Room is ROOM_AGE_S old while questions keep coming; after a
        pause the first one waits for it."""
        now = asyncio.get_running_loop().time()
        kept = self.kept
        if kept is None or self.is_old(now) or now - self.room_at > 2 * ROOM_AGE_S:
            await self.refresh()
        elif now - self.room_at > ROOM_AGE_S and self.refreshing is None:
            self.refreshing = asyncio.create_task(self.refresh_quietly())
        assert self.kept is not None
        return self.kept

    def is_old(self, now: float) -> bool:
        kept = self.kept
        if kept is None:
            return True
        age = now - self.loaded_at
        hears = self.listener is not None and not self.listener.is_closed()
        longest = HEARD_AGE_S if hears else DEAF_AGE_S
        return age > longest or ((self.told or kept.stale) and age > RELOAD_EVERY_S)

    async def refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except GONE as error:
            log.warning("outlets.not_refreshed", reason=repr(error))
        finally:
            self.refreshing = None

    async def refresh(self) -> None:
        """Load what is old, over a connection beside the pool: requests that hold all of the pool's
        may wait for this."""
        async with self.loading:
            loop = asyncio.get_running_loop()
            connection = await self.connected()
            if self.is_old(loop.time()):
                # What is told from now on may not be in what is loaded.
                self.told = False
                await connection.execute(begin(LESSOR, read_only=True))
                try:
                    self.kept = await load(connection)
                finally:
                    await connection.execute("ROLLBACK")
                self.loaded_at = self.room_at = loop.time()
            elif self.kept is not None and loop.time() - self.room_at > ROOM_AGE_S:
                await read_room(connection, self.kept)
                self.room_at = loop.time()

    async def connected(self) -> LoneConnection:
        """The connection that hears what changes. What was told before it was there is not known,
        so all is old then."""
        if self.listener is None or self.listener.is_closed():
            listener = await self.db.connect_alone()
            channel = await listener.fetchval(CHANNEL)
            await listener.add_listener(channel, self.tell)
            self.listener, self.told = listener, True
        return self.listener

    def tell(self, *_: object) -> None:
        self.told = True

    async def close(self) -> None:
        if self.refreshing is not None:
            self.refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self.refreshing
        if self.listener is not None and not self.listener.is_closed():
            with suppress(*GONE):
                await self.listener.close()
