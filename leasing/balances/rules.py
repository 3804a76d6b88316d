"""What became of retired packs, added up twice.

Each pack is on every day in one state. Its records say so, step by step; and a table of custody,
which the database keeps by itself as records come in. Both are reckoned here, apart from each
other, and compared day by day: what one says otherwise than the other is a difference, and is told
with its pack.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from leasing.balances.model import Batch, Pack, Scope, Stay, Step
from leasing.consignments.rules import WEIGHING, tolerance_kg
from schemas.balances import (
    BalanceDay,
    DifferenceView,
    Fate,
    MassBalance,
    Mismatch,
    Quantity,
)

STATE_AFTER = {
    "pack.acquired": "in_stock",
    "pack.commissioned": "leased",
    "pack.swapped": "leased",
    "pack.relocated": "leased",
    "lease.transferred": "leased",
    "pack.lost": "lost",
    "pack.burnt": "burnt",
    "pack.found": "returned",
    "pack.returned": "returned",
    "pack.sold": "sold",
    "pack.reinstated": "in_stock",
    "pack.repaired": "in_stock",
    "waste.declared": "condemned",
    "route.chosen": "routed",
    "route.released": "condemned",
    "waste.inbound": "handed_over",
    "recycle.completed": "recycled",
}
"""The state a pack is in from the day of a record on; other records leave it where it is."""

FATES = {
    "leased": Fate.REUSED,
    "sold": Fate.REUSED,
    "recycled": Fate.RECYCLED,
    "in_stock": Fate.STORED,
    "returned": Fate.STORED,
    "condemned": Fate.STORED,
    "routed": Fate.STORED,
    "handed_over": Fate.STORED,
    "lost": Fate.LOST,
    "burnt": Fate.STORED,  # what is left of it is with the lessor
}

HELD_BY_ANOTHER = {"leased", "lost", "sold", "routed", "handed_over", "recycled"}
"""States in which a party beside the lessor is concerned."""

AT_OUTLET = {"handed_over", "recycled"}
DAY = timedelta(days=1)


# --- One pack ---------------------------------------------------------------------------------


def replay(steps: Iterable[Step]) -> list[Stay]:
    """The stays of a pack by its records, in the order they were recorded: each says where the pack
    is from its day on, whatever was said about those days before."""
    stays: list[Stay] = []
    for step in steps:
        if step.kind == "waste.outbound":
            stays = on_its_way(stays, step.happened_on, True)
        elif step.kind == "waste.inbound" and step.party_id is None:
            stays = on_its_way(stays, step.happened_on, False)
        elif state := STATE_AFTER.get(step.kind):
            concerned = state in HELD_BY_ANOTHER
            taken = Stay(
                step.happened_on,
                None,
                state,
                step.party_id if concerned else None,
                step.outlet_id if state in AT_OUTLET | {"routed"} else None,
                step.adcode,
            )
            stays = [*cut(stays, step.happened_on), taken]
    return stays


def on_its_way(stays: Sequence[Stay], on: date, in_transit: bool) -> list[Stay]:
    """The pack left on a day, or came into the lessor's own store: for what is left of its stay it
    remains what it was, on the road or there."""
    held = at(stays, on)
    if held is None:
        return list(stays)
    left = replace(held, from_on=on, in_transit=in_transit)
    return sorted(
        [*(one for one in stays if one is not held), *cut([held], on), left],
        key=lambda one: one.from_on,
    )


def cut(stays: Iterable[Stay], on: date) -> list[Stay]:
    """Stays before a day."""
    return [
        replace(one, to_on=on if one.to_on is None else min(one.to_on, on))
        for one in stays
        if one.from_on < on
    ]


def at(stays: Iterable[Stay], on: date) -> Stay | None:
    for one in stays:
        if one.from_on <= on and (one.to_on is None or on < one.to_on):
            return one
    return None


def fate(stay: Stay) -> Fate:
    return Fate.IN_TRANSIT if stay.in_transit else FATES[stay.state]


def with_transit(held: Sequence[Stay], by_records: Sequence[Stay]) -> list[Stay]:
    """The stays of the table of custody, which knows nothing of the road, split where the records
    say that the pack is on it."""
    found = []
    for one in split(held, edges_of(by_records)):
        told = at(by_records, one.from_on)
        moves = told is not None and told.in_transit and told.state == one.state
        found.append(replace(one, in_transit=moves))
    return found


def split(stays: Iterable[Stay], edges: Iterable[date]) -> Iterator[Stay]:
    """The same stays, parted on some days."""
    ordered = sorted(edges)
    for one in stays:
        inside = [edge for edge in ordered if one.from_on < edge < (one.to_on or date.max)]
        for begins, ends in zip([one.from_on, *inside], [*inside, one.to_on], strict=True):
            yield replace(one, from_on=begins, to_on=ends)


def edges_of(stays: Iterable[Stay]) -> set[date]:
    """Days on which a stay begins or is over."""
    days = {day for one in stays for day in (one.from_on, one.to_on)}
    return {day for day in days if day is not None}


def differences(
    by_records: Sequence[Stay], by_table: Sequence[Stay], until: date
) -> Iterator[tuple[date, date | None, Stay | None, Stay | None]]:
    """Stretches before a day on which records and table say otherwise: from, to, and what each
    says."""
    ordered = sorted(edges_of((*by_records, *by_table)))
    last: tuple[date, date | None, Stay | None, Stay | None] | None = None
    for begins, ends in zip(ordered, [*ordered[1:], None], strict=True):
        told, held = at(by_records, begins), at(by_table, begins)
        if begins >= until or said(told) == said(held):
            continue
        now = said(told), said(held)
        if last is not None and last[1] == begins and (said(last[2]), said(last[3])) == now:
            last = (last[0], ends, told, held)
            continue
        if last is not None:
            yield last
        last = (begins, ends, told, held)
    if last is not None:
        yield last


def said(stay: Stay | None) -> str:
    """What is compared, as text."""
    if stay is None:
        return "nothing"
    parts = [stay.state]
    if stay.party_id is not None:
        parts.append(f"party {stay.party_id}")
    if stay.outlet_id is not None:
        parts.append(f"outlet {stay.outlet_id}")
    return ", ".join(parts)


# --- A scope ----------------------------------------------------------------------------------


def within(scope: Scope, stay: Stay) -> bool:
    if scope.party_id is not None:
        mine = stay.party_id is None if scope.is_lessor else stay.party_id == scope.party_id
        if not mine:
            return False
    if scope.outlet_id is not None and (
        stay.outlet_id != scope.outlet_id or stay.state not in AT_OUTLET
    ):
        return False
    return scope.adcode is None or (stay.adcode or "").startswith(prefix(scope.adcode))


def prefix(adcode: str) -> str:
    """
    >>> prefix("410000"), prefix("410100")
    ('41', '4101')
    """
    return adcode[:2] if adcode.endswith("0000") else adcode[:4]


class Sum:
    """Packs, kilograms and watt-hours, added up."""

    def __init__(self) -> None:
        self.packs = self.kg = self.wh = 0

    def add(self, pack: Pack, times: int = 1) -> None:
        self.packs += times
        self.kg += times * pack.mass_kg
        self.wh += times * pack.rated_energy_wh

    def take(self, other: "Sum", times: int = 1) -> None:
        self.packs += times * other.packs
        self.kg += times * other.kg
        self.wh += times * other.wh

    @property
    def quantity(self) -> Quantity:
        return Quantity(packs=self.packs, kg=self.kg, kwh=self.wh / 1000)


class Change(NamedTuple):
    """What a day brings."""

    came_in: Sum
    went_out: Sum
    by_fate: dict[Fate, Sum]


def changes() -> Change:
    return Change(Sum(), Sum(), {one: Sum() for one in Fate})


class Balance:
    """A balance, pack after pack. `retired` comes from the records, fates from the table."""

    def __init__(self, scope: Scope, from_on: date, to_on: date, *, listed: int) -> None:
        self.scope = scope
        self.from_on = from_on
        self.to_on = to_on
        self.listed = listed
        self.opening, self.came_in = Sum(), Sum()
        self.by_fate = {one: Sum() for one in Fate}
        self.days: dict[date, Change] = defaultdict(changes)
        self.differing: dict[date, int] = defaultdict(int)
        self.differences: list[DifferenceView] = []
        self.more = 0
        self.batches: set[UUID] = set()

    def take(
        self,
        pack: Pack,
        steps: Sequence[Step],
        table: Sequence[Stay],
        batch: Batch | None = None,
        *,
        is_now: bool,
    ) -> None:
        """Add a pack. `is_now` when the period reaches today, so that the pack's own state can be
        compared too."""
        told = replay(steps)
        held = with_transit(table, told)
        mine_told = [one for one in told if self.concerns(one)]
        mine_held = [one for one in held if self.concerns(one)]
        if not mine_told and not mine_held:
            return
        if mine_told:
            (self.opening if self.was_there(told) else self.came_in).add(pack)
            last = at(held, self.to_on - DAY)
            if last is not None:
                self.by_fate[fate(last)].add(pack)
        self.day_by_day(pack, mine_held, was_there=self.was_there(held))
        self.compare(pack, steps, told, held, is_now=is_now)
        if batch is not None and self.from_on <= batch.received_on < self.to_on:
            self.compare_batch(pack, batch)

    def concerns(self, stay: Stay) -> bool:
        """Whether a stay is of this scope and period. What was recycled before it is no more."""
        if stay.from_on >= self.to_on or (stay.to_on is not None and stay.to_on <= self.from_on):
            return False
        if stay.state == "recycled" and stay.from_on < self.from_on:
            return False
        return within(self.scope, stay)

    def was_there(self, stays: Iterable[Stay]) -> bool:
        """Whether a pack was in the scope on the eve of the period, and not recycled."""
        eve = at(stays, self.from_on - DAY)
        return eve is not None and eve.state != "recycled" and within(self.scope, eve)

    def day_by_day(self, pack: Pack, mine: Sequence[Stay], *, was_there: bool) -> None:
        previous = self.from_on if was_there else None
        for one in mine:
            begins = max(one.from_on, self.from_on)
            ends = self.to_on if one.to_on is None else min(one.to_on, self.to_on)
            self.days[begins].by_fate[fate(one)].add(pack)
            if ends < self.to_on:
                self.days[ends].by_fate[fate(one)].add(pack, -1)
            if previous != begins:
                if previous is not None:
                    self.days[previous].went_out.add(pack)
                self.days[begins].came_in.add(pack)
            previous = ends
        if previous is not None and previous < self.to_on:
            self.days[previous].went_out.add(pack)

    def compare(
        self,
        pack: Pack,
        steps: Sequence[Step],
        told: Sequence[Stay],
        held: Sequence[Stay],
        *,
        is_now: bool,
    ) -> None:
        for from_on, to_on, one, other in differences(told, held, self.to_on):
            if to_on is not None and to_on <= self.from_on:
                continue
            self.tell(Mismatch.CUSTODY, pack, from_on, to_on, said(one), said(other))
            self.differing[max(from_on, self.from_on)] += 1
            if to_on is not None and to_on < self.to_on:
                self.differing[to_on] -= 1
        if steps and steps[0].kind != "pack.acquired":
            first = steps[0]
            self.tell(
                Mismatch.NOT_ACQUIRED, pack, first.happened_on, None, first.kind, "pack.acquired"
            )
        if is_now and told and told[-1].state != pack.state:
            last = told[-1]
            self.tell(Mismatch.PRESENT_STATE, pack, last.from_on, None, last.state, pack.state)
        if pack.handed_over_kg is not None:
            handed = f"{pack.handed_over_kg} kg"
            self.tell(Mismatch.MASS, pack, None, None, handed, f"{pack.mass_kg} kg")

    def compare_batch(self, pack: Pack, batch: Batch) -> None:
        """A batch is compared once, with the first of its packs."""
        if batch.id in self.batches:
            return
        self.batches.add(batch.id)
        on = max(batch.received_on, WEIGHING[0].valid_from)
        tolerated = tolerance_kg(batch.expected_kg, batch.packs, on)
        if abs(batch.mass_in_kg - batch.expected_kg) > tolerated:
            weighed = f"{batch.mass_in_kg} kg in batch {batch.number}"
            expected = f"{batch.expected_kg} kg"
            self.tell(Mismatch.BATCH_MASS, pack, batch.received_on, None, expected, weighed)

    def tell(
        self,
        kind: Mismatch,
        pack: Pack | None,
        from_on: date | None,
        to_on: date | None,
        by_records: str,
        by_table: str,
    ) -> None:
        if len(self.differences) >= self.listed:
            self.more += 1
            return
        self.differences.append(
            DifferenceView(
                kind=kind,
                pack_id=None if pack is None else pack.id,
                code=None if pack is None else pack.code,
                from_on=from_on,
                to_on=to_on,
                by_records=by_records,
                by_table=by_table,
            )
        )

    def stock_differs(self, counted_kg: int) -> None:
        """Compare what is there at the outlet on the last day with what it counts."""
        there = Sum()
        for day in self.days.values():
            there.take(day.by_fate[Fate.STORED])
        if there.kg != counted_kg:
            self.tell(Mismatch.OUTLET_STOCK, None, None, None, f"{there.kg} kg", f"{counted_kg} kg")

    def result(self) -> MassBalance:
        retired, left = Sum(), Sum()
        for part in (self.opening, self.came_in):
            retired.take(part)
        left.take(retired)
        for part in self.by_fate.values():
            left.take(part, -1)
        return MassBalance(
            party_id=self.scope.party_id,
            outlet_id=self.scope.outlet_id,
            adcode=self.scope.adcode,
            from_on=self.from_on,
            to_on=self.to_on,
            opening=self.opening.quantity,
            came_in=self.came_in.quantity,
            retired=retired.quantity,
            by_fate={one: part.quantity for one, part in self.by_fate.items()},
            unaccounted=left.quantity,
            balances=left.packs == 0 and not self.differences,
            days=list(self.daily()),
            differences=self.differences,
            more_differences=self.more,
        )

    def daily(self) -> Iterator[BalanceDay]:
        """The days on which something happened, and the first."""
        there = {one: Sum() for one in Fate}
        differing = 0
        for on in sorted({self.from_on, *self.days, *self.differing}):
            change = self.days.get(on) or changes()
            differing += self.differing.get(on, 0)
            everything = Sum()
            for one, part in there.items():
                part.take(change.by_fate[one])
                everything.take(part)
            yield BalanceDay(
                on=on,
                came_in=change.came_in.quantity,
                went_out=change.went_out.quantity,
                there=everything.quantity,
                by_fate={one: part.quantity for one, part in there.items()},
                differing=differing,
            )
