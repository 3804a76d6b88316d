"""One pack for each empty line of a contract, no string mixed: a greedy proposal.

Strings that packs stand in choose first, since their kind is settled; then those with most lines
to fill, since packs that are alike are scarcer than packs.
Within a string the line that is guaranteed most goes first, and each takes the first pack in the
order of the rules that may stand beside those already there. A string that is empty can begin
with any kind and age; beginnings are tried from the closest capacity upward until one fills the
string, and the one that fills most is kept. Not the best of all plans: that would be a search
without end, and the next return changes the stock.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from heapq import merge
from itertools import islice
from uuid import UUID

import msgspec

from leasing.matching import rules
from leasing.matching.model import Candidate, Limits, Need, Suggestion
from leasing.sites.strings import Kind, Member, made_within

MAX_BEGINNINGS = 50
"""How many beginnings are tried for one string."""

TAKEN = "taken_by_this_plan"

StringKey = tuple[UUID, int | None, UUID | None]


class Gap(msgspec.Struct, frozen=True):
    """An empty line, and the packs of its string that stand there before the plan."""

    need: Need
    mates: list[Member]

    @property
    def string(self) -> StringKey:
        """A slot outside any string is a string of its own."""
        need = self.need
        own = need.line_id if need.string_number is None else None
        return need.site_id, need.string_number, own


class Plan(msgspec.Struct, frozen=True):
    assigned: list[tuple[Need, Suggestion]]
    unfilled: list[tuple[Need, dict[str, int]]]


def month_of(on: date) -> int:
    return on.year * 12 + on.month


class Shelf:
    """All packs of one kind: those that can be taken by month of make and in the order of the
    rules, and what is needed to count the others."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.packs = 0
        self.held = 0
        self.never_tested = 0
        self.taken = 0
        self.usable: list[int] = []
        self.made: list[date] = []
        self.free: list[Candidate] = []
        self.months: dict[int, list[Candidate]] = defaultdict(list)

    def add(self, candidate: Candidate) -> None:
        self.packs += 1
        self.held += candidate.held
        self.made.append(candidate.made_on)
        if candidate.usable_mah is None:
            self.never_tested += 1
            return
        self.usable.append(candidate.usable_mah)
        if not candidate.held:
            self.free.append(candidate)
            self.months[month_of(candidate.made_on)].append(candidate)

    def close(self) -> None:
        self.made.sort()
        self.usable.sort()
        for packs in (self.free, *self.months.values()):
            packs.sort(key=order)

    def strong_enough(self, month: int, least_mah: int) -> Iterator[Candidate]:
        packs = self.months.get(month, [])
        for at in range(bisect_left(packs, least_mah, key=usable), len(packs)):
            yield packs[at]

    def how_many(self, least_mah: int) -> int:
        return len(self.free) - bisect_left(self.free, least_mah, key=usable)

    def heads(self, least_mah: int) -> Iterator[Candidate]:
        """The first strong enough pack of each month of make, in the order of the rules."""
        months = set()
        for at in range(bisect_left(self.free, least_mah, key=usable), len(self.free)):
            month = month_of(self.free[at].made_on)
            if month not in months:
                months.add(month)
                yield self.free[at]

    def take(self, candidate: Candidate) -> None:
        for packs in (self.free, self.months[month_of(candidate.made_on)]):
            del packs[bisect_left(packs, order(candidate), key=order)]
        self.taken += 1

    def refused_by_number(self, need: Need, mates: Sequence[Member]) -> dict[str, int]:
        """How many packs of the kind each number refuses, and how many went to other lines."""
        least_mah = -(-(rules.least_uwh(need) or 0) // self.kind.rated_voltage_mv)
        return {
            "held": self.held,
            "never_tested": self.never_tested,
            "capacity_short": bisect_left(self.usable, need.guaranteed_mah),
            "autonomy_short": bisect_left(self.usable, least_mah),
            "mixed_age": self.too_far(mates, need.limits.made_within_months),
            TAKEN: self.taken,
        }

    def too_far(self, mates: Sequence[Member], months: int) -> int:
        if not mates:
            return 0
        newest = max(mate.made_on for mate in mates)
        oldest = min(mate.made_on for mate in mates)
        first = bisect_left(
            self.made, True, key=lambda on: on >= newest or made_within(on, newest, months)
        )
        end = bisect_left(
            self.made, True, key=lambda on: on > oldest and not made_within(on, oldest, months)
        )
        return len(self.made) - max(0, end - first)


def usable(candidate: Candidate) -> int:
    return candidate.usable_mah or 0


def order(candidate: Candidate) -> tuple[int, date, UUID]:
    return usable(candidate), candidate.acquired_on, candidate.pack_id


class Site:
    """What the plan has brought to a site so far."""

    def __init__(self) -> None:
        self.uwh = 0
        self.weight = 0

    def now(self, need: Need) -> Need:
        """The need as it is with that."""
        return msgspec.structs.replace(
            need,
            standing_uwh=need.standing_uwh + self.uwh,
            empty_weight=need.empty_weight - self.weight,
        )

    def bring(self, need: Need, suggestion: Suggestion, sign: int = 1) -> None:
        self.uwh += sign * rules.energy_uwh(suggestion.candidate, suggestion.usable_mah)
        self.weight += sign * need.weight


Filled = list[tuple[Need, Suggestion]]


def plan(gaps: Sequence[Gap], stock: Iterable[Candidate]) -> Plan:
    """Distinct packs for as many lines as the greedy finds, and of the other lines why not."""
    shelves = shelve(stock)
    sites: dict[UUID, Site] = defaultdict(Site)
    strings: dict[StringKey, list[Gap]] = defaultdict(list)
    for gap in gaps:
        strings[gap.string].append(gap)
    assigned: Filled = []
    empty: list[tuple[Need, list[Member]]] = []
    for lines in sorted(strings.values(), key=urgency):
        site = sites[lines[0].need.site_id]
        filled = fill_string(lines, shelves, site)
        for need, suggestion in filled:
            shelves[suggestion.candidate.kind].take(suggestion.candidate)
            site.bring(need, suggestion)
        assigned += filled
        done = {need.line_id for need, _ in filled}
        mates = [*lines[0].mates, *(suggestion.candidate for _, suggestion in filled)]
        empty += [(gap.need, mates) for gap in lines if gap.need.line_id not in done]
    unfilled = [
        (now, count_refusals(now, mates, shelves.values()))
        for now, mates in ((sites[need.site_id].now(need), mates) for need, mates in empty)
    ]
    return Plan(assigned, unfilled)


def shelve(stock: Iterable[Candidate]) -> Mapping[Kind, Shelf]:
    shelves: dict[Kind, Shelf] = {}
    for candidate in stock:
        kind = candidate.kind
        if kind not in shelves:
            shelves[kind] = Shelf(kind)
        shelves[kind].add(candidate)
    for shelf in shelves.values():
        shelf.close()
    return shelves


def urgency(lines: Sequence[Gap]) -> tuple[bool, int, UUID, int]:
    """Strings in the order in which they choose; `False` comes first."""
    site_id = lines[0].need.site_id
    return not lines[0].mates, -len(lines), site_id, min(gap.need.slot for gap in lines)


def fill_string(
    lines: Sequence[Gap], shelves: Mapping[Kind, Shelf], site: Site
) -> list[tuple[Need, Suggestion]]:
    """The best of the beginnings tried: the first that fills all lines, else the fullest."""
    neediest_first = sorted(
        (gap.need for gap in lines), key=lambda need: (-need.guaranteed_mah, need.slot)
    )
    mates = lines[0].mates
    easiest = site.now(neediest_first[-1])
    best: Filled = []
    for shelf, month in islice(beginnings(easiest, mates, shelves), MAX_BEGINNINGS):
        if shelf.how_many(easiest.guaranteed_mah) <= len(best):
            continue
        filled = fill(neediest_first, mates, shelf, month, site)
        if len(filled) > len(best):
            best = filled
        if len(best) == len(lines):
            break
    return best


def beginnings(
    easiest: Need, mates: Sequence[Member], shelves: Mapping[Kind, Shelf]
) -> Iterator[tuple[Shelf, int | None]]:
    """Kinds that may stand in a string and, where it is empty, months of make to begin with, in
    the order of the first pack that each has to offer its easiest line."""
    fitting = [one for one in shelves.values() if not rules.kind_reasons(easiest, mates, one.kind)]
    if mates:
        yield from ((shelf, None) for shelf in fitting)
        return
    heads = merge(*(shelf.heads(easiest.guaranteed_mah) for shelf in fitting), key=order)
    for head in heads:
        yield shelves[head.kind], month_of(head.made_on)


def fill(
    needs: Sequence[Need], mates: Sequence[Member], shelf: Shelf, month: int | None, site: Site
) -> Filled:
    """Fill lines from one kind, each with the first pack that may stand beside the others."""
    standing = list(mates)
    filled: Filled = []
    for need in needs:
        now = site.now(need)
        chosen = first_fitting(now, standing, shelf, month)
        if chosen is not None:
            filled.append((now, chosen))
            standing.append(chosen.candidate)
            site.bring(need, chosen)
    # It was a trial; what is kept is brought by the plan.
    for need, chosen in filled:
        site.bring(need, chosen, sign=-1)
    return filled


def first_fitting(
    need: Need, mates: Sequence[Member], shelf: Shelf, month: int | None
) -> Suggestion | None:
    least = rules.least_mah(need, shelf.kind)
    heads = []
    for one in months_beside(mates, need.limits, month):
        for candidate in shelf.strong_enough(one, least):
            judged = rules.judge(need, mates, candidate)
            # A pack that this string has taken already stands among its mates.
            taken = any(mate.pack_id == candidate.pack_id for mate in mates)
            if isinstance(judged, Suggestion) and not taken:
                heads.append(judged)
                break
    return min(heads, key=rules.rank, default=None)


def months_beside(mates: Sequence[Member], limits: Limits, beginning: int | None) -> Iterable[int]:
    """The months in which a pack may have been made to stand beside others."""
    if not mates:
        return [] if beginning is None else [beginning]
    made = [month_of(mate.made_on) for mate in mates]
    within = limits.made_within_months
    return range(max(made) - within, min(made) + within + 1)


def count_refusals(need: Need, mates: Sequence[Member], shelves: Iterable[Shelf]) -> dict[str, int]:
    """Of the whole stock, how many packs each reason refuses; one may count several times."""
    counts: Counter[str] = Counter()
    for shelf in shelves:
        for reason in rules.kind_reasons(need, mates, shelf.kind):
            counts[reason.code] += shelf.packs
        counts.update(shelf.refused_by_number(need, mates))
    return {code: packs for code, packs in sorted(counts.items()) if packs}
