"""Leases as a plain book of days, written down without looking at how the service does it.

Every line is a dict of its days, every pack is a dict of its days. A day is a number, counted from
`START`; what has no end lasts until `HORIZON`. Each event first asks everything that must be true,
and raises `Refused` before it writes anything.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

START = date(2026, 1, 1)
HORIZON = 500
FOREVER = HORIZON - 1
"""A day after everything: what holds on it holds without an end."""

IN_FORCE = ("active", "suspended", "ending")


class Refused(Exception):
    """The event cannot be; the message says why not."""


def must(truth: object, why_not: str) -> None:
    if not truth:
        raise Refused(why_not)


def on(day: int) -> date:
    return START + timedelta(days=day)


def months_later(day: int, months: int) -> int:
    first = on(day)
    month = first.month - 1 + months
    year, month = first.year + month // 12, month % 12 + 1
    return (date(year, month, min(first.day, monthrange(year, month)[1])) - START).days


def months_between(day: int, later: int) -> int:
    """Whole ones; none when the second day is before the first."""
    count = 0
    while months_later(day, count + 1) <= later:
        count += 1
    return count


def rounded(amount: Fraction) -> int:
    """To the nearest whole number; a half goes up. Amounts here are never below nothing."""
    return int(amount + Fraction(1, 2))


class Position(NamedTuple):
    """A line on a day. A site is `(customer, code)`."""

    site: tuple[str, str]
    slot: int
    capacity: int
    rent: int
    suspended: bool
    agreed_rent: int
    agreed_for: int
    """The day for which that rent was agreed; escalation counts from there."""


@dataclass
class Contract:
    name: str
    lessee: str
    state: str
    starts: int
    ends: int | None
    terms: dict[int, dict[str, Any]]
    entered: set[int]
    """Days for which something was agreed."""
    ending: int | None = None
    reason: str | None = None
    ended: int | None = None
    first_end: int | None = None
    """End of the first term, once it was renewed."""
    held_from: int = 0
    """Since when it holds over, if it has no end."""


@dataclass
class Line:
    name: str
    contract: Contract
    begins: int
    days: dict[int, Position]
    entered: set[int]
    packs: dict[int, str] = field(default_factory=dict)
    since: int | None = None
    """Since when the pack that stands there now stands exactly there."""
    started: int | None = None
    ended: int | None = None
    reason: str | None = None

    @property
    def held(self) -> str | None:
        return self.packs.get(FOREVER)

    @property
    def emptied(self) -> int:
        """The first day after the last pack; the day it begins if there was none."""
        return max(self.packs, default=self.begins - 1) + 1

    def seen_on(self, day: int) -> Position:
        """As it will be before it begins, as it was last after its end."""
        return self.days[min(max(day, self.begins), max(self.days))]

    def same_until_the_end(self, day: int, *names: str) -> bool:
        """Whether nothing of that name changes after a day."""
        now = self.days[day]
        return all(
            getattr(self.days[later], name) == getattr(now, name)
            for later in after(day, self.days)
            for name in names
        )

    def change(self, day: int, **values: Any) -> None:
        for later in after(day, self.days):
            self.days[later] = self.days[later]._replace(**values)
        self.entered.add(day)

    def close(self, day: int, reason: str) -> None:
        for later in list(after(day, self.days)):
            del self.days[later]
        self.ended, self.reason = day, reason


@dataclass
class Incident:
    name: str
    line: Line
    pack: str
    kind: str
    happened: int
    found: int | None = None


def after(day: int, days: Iterable[int]) -> Iterator[int]:
    """A day and those after it."""
    return (one for one in days if one >= day)


class Book:
    """Everything that was agreed and that happened."""

    def __init__(self, today: int, packs: dict[str, int]) -> None:
        """`packs` are in stock from a day on."""
        self.today = today
        self.contracts: dict[str, Contract] = {}
        self.lines: dict[str, Line] = {}
        self.incidents: dict[str, Incident] = {}
        self.fees: list[tuple[str, str, int, int]] = []
        """`(line, component, day, amount)`."""
        self.place = {
            name: dict.fromkeys(range(since, HORIZON), "stock") for name, since in packs.items()
        }

    # Looking things up

    def lines_of(self, contract: Contract) -> list[Line]:
        return [line for line in self.lines.values() if line.contract is contract]

    def open_lines(self, contract: Contract) -> list[Line]:
        return [line for line in self.lines_of(contract) if line.ended is None]

    def state_of(self, pack: str) -> str:
        place = self.place[pack][FOREVER]
        return {"stock": "in_stock"}.get(place, "leased" if place in self.lines else place)

    def slot_is_agreed(
        self, contract: Contract, site: tuple[str, str], slot: int, day: int, but: Line | None
    ) -> bool:
        """Whether another line of the contract has the slot on a day or later."""
        return any(
            line.days[later][:2] == (site, slot)
            for line in self.lines_of(contract)
            if line is not but
            for later in after(day, line.days)
        )

    def slot_is_taken(self, site: tuple[str, str], slot: int, day: int, but: Line) -> bool:
        """Whether another line's pack stands in the slot on a day or later."""
        return any(
            line.days[later][:2] == (site, slot)
            for line in self.lines.values()
            if line is not but
            for later in after(day, line.packs)
        )

    def put(self, pack: str, day: int, place: str) -> None:
        for later in range(day, HORIZON):
            self.place[pack][later] = place

    def owe(self, line: Line, component: str, day: int, amount: int) -> None:
        if amount:
            self.fees.append((line.name, component, day, amount))

    def must_not_owe_twice(self, line: Line, component: str, day: int, amount: int) -> None:
        twice = any(fee[:3] == (line.name, component, day) for fee in self.fees)
        must(not (amount and twice), "that is owed for this day already")

    # Until it is in force

    def draft(
        self,
        name: str,
        lessee: str,
        starts: int,
        ends: int,
        terms: dict[str, Any],
        lines: list[tuple[str, tuple[str, str], int, int, int]],
    ) -> Contract:
        must(starts < ends, "it ends before it starts")
        contract = Contract(
            name,
            lessee,
            "draft",
            starts,
            ends,
            dict.fromkeys(range(starts, HORIZON), terms),
            {starts},
        )
        self.must_fit(contract, starts, lines)
        self.contracts[name] = contract
        self.write(contract, starts, lines)
        return contract

    def must_fit(self, contract: Contract, day: int, lines: list[Any]) -> None:
        places = [(site, slot) for _, site, slot, _, _ in lines]
        must(len(places) == len(set(places)), "one slot twice")
        for site, slot in places:
            must(site[0] == contract.lessee, "the site is somebody else's")
            must(not self.slot_is_agreed(contract, site, slot, day, None), "the slot is agreed")

    def write(self, contract: Contract, day: int, lines: list[Any]) -> list[Line]:
        for name, site, slot, capacity, rent in lines:
            position = Position(site, slot, capacity, rent, False, rent, day)
            days = dict.fromkeys(range(day, HORIZON), position)
            self.lines[name] = Line(name, contract, day, days, {day})
        return [self.lines[name] for name, *_ in lines]

    def redate(self, contract: Contract, starts: int, ends: int) -> None:
        """Other days for a draft; all its lines begin with it."""
        must(contract.state == "draft", "it is not a draft")
        must(starts < ends, "it ends before it starts")
        (terms,) = {id(terms): terms for terms in contract.terms.values()}.values()
        if (starts, ends) != (contract.starts, contract.ends):
            for line in self.lines_of(contract):
                position = line.days[line.begins]._replace(agreed_for=starts)
                line.days = dict.fromkeys(range(starts, HORIZON), position)
                line.begins, line.entered = starts, {starts}
        contract.starts, contract.ends, contract.entered = starts, ends, {starts}
        contract.terms = dict.fromkeys(range(starts, HORIZON), terms)

    def add_lines(self, contract: Contract, day: int, lines: list[Any]) -> list[Line]:
        must(contract.state in ("draft", *IN_FORCE), "it is neither a draft nor in force")
        must(self.in_term(contract, day), "outside the term")
        self.must_fit(contract, day, lines)
        return self.write(contract, day, lines)

    def in_term(self, contract: Contract, day: int) -> bool:
        return contract.starts <= day < (HORIZON if contract.ends is None else contract.ends)

    def remove(self, line: Line, day: int) -> None:
        """A draft loses a position; in force it is there until that day."""
        must(line.started is None, "it has had a pack")
        must(line.contract.state in ("draft", *IN_FORCE), "it is not changed now")
        if line.contract.state == "draft":
            del self.lines[line.name]
            return
        must(line.ended is None, "it has ended")
        must(day > max(line.entered), "something is agreed for later")
        line.close(day, "removed")

    def step(self, contract: Contract, was: tuple[str, ...], to: str) -> None:
        must(contract.state in was, f"it is {contract.state}")
        contract.state = to

    def offer(self, contract: Contract) -> None:
        must(self.open_lines(contract), "it has no lines")
        self.step(contract, ("draft",), "offered")

    def withdraw_offer(self, contract: Contract) -> None:
        self.step(contract, ("offered",), "draft")

    def sign(self, contract: Contract) -> None:
        self.step(contract, ("offered",), "signed")

    def activate(self, contract: Contract) -> None:
        self.step(contract, ("signed",), "active")

    def cancel(self, contract: Contract) -> None:
        self.step(contract, ("draft", "offered", "signed"), "cancelled")

    # Packs in and out

    def must_take(self, line: Line, pack: str, day: int, tested: int, capacity: int) -> None:
        """That a pack may come into a line on a day."""
        must(day <= self.today, "it has not happened yet")
        must(line.contract.state in IN_FORCE, "the contract is not in force")
        must(line.ended is None, "the line has ended")
        must(day in line.days, "the line begins later")
        must(not line.days[day].suspended, "the line is suspended")
        percent = line.contract.terms[day]["guarantee_percent"]
        must(100 * tested >= percent * capacity, "below the guarantee")
        must(
            all(self.place[pack].get(later) == "stock" for later in range(day, HORIZON)),
            "the pack is not in stock from then on",
        )
        must(self.in_term(line.contract, day), "outside the term")
        must(line.same_until_the_end(day, "site", "slot"), "the position moves later")
        position = line.days[day]
        taken = self.slot_is_taken(position.site, position.slot, day, line)
        must(not taken, "another pack stands in the slot")

    def bring(self, line: Line, pack: str, day: int) -> None:
        for later in range(day, HORIZON):
            line.packs[later] = pack
        line.since = day
        self.put(pack, day, line.name)

    def take(self, line: Line, day: int, place: str) -> str:
        pack = line.held
        assert pack is not None
        for later in list(after(day, line.packs)):
            del line.packs[later]
        line.since = None
        self.put(pack, day, place)
        return pack

    def must_let_go(self, line: Line, day: int) -> None:
        """That the pack in a line may leave it on a day."""
        must(day <= self.today, "it has not happened yet")
        must(line.held, "no pack stands there")
        assert line.since is not None
        must(day > line.since, "the pack came there on that day or later")

    def must_end(self, line: Line, day: int) -> None:
        must(line.ended is None, "the line has ended")
        must(day > max(line.entered), "something was entered for that day or later")

    def accept(self, line: Line, pack: str, day: int, tested: int) -> None:
        capacity = line.days[day].capacity if day in line.days else 0
        self.must_take(line, pack, day, tested, capacity)
        must(not any(after(day, line.packs)), "a pack stands there on that day or later")
        self.bring(line, pack, day)
        if line.started is None:
            line.started = day

    def swap(
        self,
        line: Line,
        pack: str,
        day: int,
        tested: int,
        capacity: int | None = None,
        rent: int | None = None,
    ) -> None:
        self.must_let_go(line, day)
        must(day in line.days, "the line is not there")
        there = line.days[day]
        self.must_take(line, pack, day, tested, capacity or there.capacity)
        changes: dict[str, int] = {}
        if capacity is not None or rent is not None:
            must(capacity not in (None, there.capacity), "the capacity class stays")
            changes["capacity"] = capacity or 0
            if rent not in (None, there.rent):
                changes |= {"rent": rent or 0, "agreed_rent": rent or 0, "agreed_for": day}
            must(line.same_until_the_end(day, *changes), "it was changed for later")
        self.take(line, day, "returned")
        self.bring(line, pack, day)
        if changes:
            line.change(day, **changes)

    def relocate(self, line: Line, site: tuple[str, str], slot: int, day: int) -> None:
        must(day <= self.today, "it has not happened yet")
        must(line.contract.state in IN_FORCE, "the contract is not in force")
        must(line.ended is None, "the line has ended")
        must(day in line.days, "the line begins later")
        must(line.same_until_the_end(day, "site", "slot"), "it moves later")
        must(line.days[day][:2] != (site, slot), "it is there already")
        must(site[0] == line.contract.lessee, "the site is somebody else's")
        agreed = self.slot_is_agreed(line.contract, site, slot, day, line)
        must(not agreed, "another line has the slot")
        if line.held:
            assert line.since is not None
            must(line.since <= day, "its pack came later")
            must(not self.slot_is_taken(site, slot, day, line), "another pack stands in the slot")
            line.since = day
        else:
            must(line.emptied <= day, "a pack stood there then")
        line.change(day, site=site, slot=slot)

    def pause(self, line: Line, day: int, suspended: bool) -> None:
        """Suspend a line, or resume it."""
        must(line.contract.state in IN_FORCE, "the contract is not in force")
        must(line.ended is None, "the line has ended")
        must(day in line.days, "the line begins later")
        must(line.same_until_the_end(day, "suspended"), "it was changed for later")
        must(line.days[day].suspended != suspended, "it is like this already")
        line.change(day, suspended=suspended)

    def report(self, name: str, line: Line, kind: str, day: int, amount: int, liable: str) -> None:
        must(not amount or liable == "lessee", "only a liable lessee owes anything")
        must(day <= self.today, "it has not happened yet")
        pack = line.held
        must(pack, "no pack stands there")
        assert line.since is not None
        must(line.since <= day, "the pack came later")
        component = "damage" if kind == "damaged" else "loss"
        self.must_not_owe_twice(line, component, day, amount)
        if kind != "damaged":
            self.must_let_go(line, day)
            self.take(line, day, "lost")
        assert pack is not None
        self.incidents[name] = Incident(name, line, pack, kind, day)
        self.owe(line, component, day, amount)

    def find(self, incident: Incident, day: int) -> None:
        must(day <= self.today, "it has not happened yet")
        must(incident.kind != "damaged", "it was never lost")
        must(incident.found is None, "it was found")
        must(day >= incident.happened, "it was lost later")
        incident.found = day
        self.put(incident.pack, day, "returned")

    def buy_out(self, line: Line, day: int) -> None:
        self.must_let_go(line, day)
        must(line.contract.state in IN_FORCE, "the contract is not in force")
        self.must_end(line, day)
        rule = line.contract.terms[day]["buy_out"]
        must(rule["kind"] != "none", "it is not for sale")
        since = min(one for one, pack in line.packs.items() if pack == line.held)
        price = rule["amount"]
        if rule["kind"] == "declining":
            share = 1 - months_between(since, day) * Fraction(rule["monthly_percent"]) / 100
            price = max(rounded(max(price * share, Fraction(0))), rule["floor_amount"])
        self.take(line, day, "sold")
        line.close(day, "bought_out")
        self.owe(line, "buy_out", day, price)

    def give_back(self, line: Line, day: int) -> None:
        self.must_let_go(line, day)
        self.must_end(line, day)
        self.take(line, day, "returned")
        line.close(day, "returned")

    def give_up(self, line: Line, day: int) -> None:
        """End a line whose pack is gone."""
        must(line.started is not None, "it never had a pack")
        must(not line.held, "a pack stands there")
        self.must_end(line, day)
        must(day >= line.emptied, "a pack stood there then")
        line.close(day, "lost")

    def reinstate(self, pack: str, day: int) -> None:
        must(day <= self.today, "it has not happened yet")
        must(self.state_of(pack) == "returned", "it did not come back")
        self.put(pack, day, "stock")

    # All lines at once

    def pause_all(self, contract: Contract, day: int, suspended: bool) -> None:
        must(contract.state == ("active" if suspended else "suspended"), "another state")
        found = [(line, max(day, line.begins)) for line in self.open_lines(contract)]
        for line, first in found:
            must(line.same_until_the_end(first, "suspended"), "a line was changed for later")
        for line, first in found:
            if line.days[first].suspended != suspended:
                line.change(first, suspended=suspended)
        contract.state = "suspended" if suspended else "active"

    def amend(
        self, contract: Contract, day: int, terms: dict[str, Any], rents: dict[str, int]
    ) -> None:
        must(contract.state in IN_FORCE, "it is not in force")
        fresh = False
        if terms:
            must(day >= contract.starts, "before it starts")
            now = contract.terms[day]
            constant = all(
                contract.terms[later][name] == now[name]
                for later in after(day, contract.terms)
                for name in terms
            )
            must(constant, "terms were changed for later")
            fresh = any(now[name] != value for name, value in terms.items())
        prices = [
            (self.lines[name], rent)
            for name, rent in rents.items()
            if self.lines[name].seen_on(day).rent != rent
        ]
        for name in rents:
            must(self.lines[name].contract is contract, "a line of another contract")
        for line, _ in prices:
            must(day in line.days, "the line is not there on that day")
            constant = line.same_until_the_end(day, "rent", "agreed_rent", "agreed_for")
            must(constant, "the rent was changed for later")
        must(fresh or prices, "nothing would change")
        if fresh:
            for later in after(day, contract.terms):
                contract.terms[later] = {**contract.terms[later], **terms}
            contract.entered.add(day)
        for line, rent in prices:
            line.change(day, rent=rent, agreed_rent=rent, agreed_for=day)

    def escalate(self, contract: Contract, day: int) -> None:
        must(contract.state in IN_FORCE, "it is not in force")
        rule = contract.terms[max(day, contract.starts)]["escalator"]
        rents = []
        for line in self.open_lines(contract):
            if line.begins > day:
                continue
            there = line.days[day]
            factor = level(rule, contract.starts, day) / level(
                rule, contract.starts, there.agreed_for
            )
            rent = rounded(there.agreed_rent * factor)
            if rent != there.rent:
                must(line.same_until_the_end(day, "rent"), "the rent was changed for later")
                rents.append((line, rent))
        for line, rent in rents:
            line.change(day, rent=rent)

    def transfer(
        self, contract: Contract, lessee: str, day: int, successor: str, lines: dict[str, str]
    ) -> None:
        """`lines` names the successor of each open line."""
        must(contract.state in IN_FORCE, "it is not in force")
        must(day <= self.today, "it has not happened yet")
        must(lessee != contract.lessee, "it is the same lessee")
        must(self.in_term(contract, day), "outside the term")
        must(day > max(contract.entered), "something is agreed for later")
        found = self.open_lines(contract)
        for line in self.lines_of(contract):
            must(line.ended is None or line.ended <= day, "a line ended later")
        for line in found:
            must(day > max(line.entered), "something was entered for later")
            if line.held:
                assert line.since is not None
                must(day > line.since, "a pack came later")
                there = line.days[day]
                taken = self.slot_is_taken((lessee, there.site[1]), there.slot, day, line)
                must(not taken, "another pack stands in the slot")
            else:
                must(line.emptied <= day, "a pack stood there then")
        made = Contract(
            successor,
            lessee,
            "active",
            day,
            contract.ends,
            dict.fromkeys(range(day, HORIZON), contract.terms[day]),
            {day},
            held_from=day,
        )
        self.contracts[successor] = made
        if contract.ends is None:
            contract.ends = max(contract.held_from, day)
        for line in found:
            there = line.days[day]
            position = there._replace(
                site=(lessee, there.site[1]), agreed_rent=there.rent, agreed_for=day
            )
            twin = Line(
                lines[line.name],
                made,
                day,
                dict.fromkeys(range(day, HORIZON), position),
                {day},
            )
            self.lines[twin.name] = twin
            if line.held:
                self.bring(twin, self.take(line, day, "moving"), day)
                twin.started = day
            line.close(day, "transferred")
        contract.state = "ended"
        contract.ending = contract.ended = day
        contract.reason = "transfer"
        cut(contract, day)

    # How it ends

    def give_notice(self, contract: Contract, given: int, ending: int) -> None:
        must(contract.state in ("active", "suspended"), "another state")
        must(given <= self.today, "it has not happened yet")
        terms = contract.terms[max(given, contract.starts)]
        must(ending - given >= terms["notice_days"], "the notice period is longer")
        minimum = months_later(contract.starts, terms["minimum_months"])
        must(ending >= minimum, "before the minimum term is over")
        must(contract.ends is None or ending >= contract.ends, "before the term is over")
        contract.state, contract.ending, contract.reason = "ending", ending, "notice"

    def withdraw_notice(self, contract: Contract) -> None:
        must(contract.state == "ending", "no notice was given")
        must(contract.reason != "early_termination", "its price is owed")
        contract.state, contract.ending, contract.reason = "active", None, None

    def terminate(self, contract: Contract, day: int) -> None:
        must(contract.state in ("active", "suspended"), "another state")
        must(self.in_term(contract, day), "outside the term")
        terms = contract.terms[day]
        minimum = months_later(contract.starts, terms["minimum_months"])
        must(day >= minimum, "before the minimum term is over")
        rule = terms["early_termination"]
        must(rule["kind"] != "not_allowed", "not provided for")
        owed = []
        for line in self.open_lines(contract):
            if line.started is None:
                continue
            rent = line.seen_on(day).rent
            left = Fraction(0)
            if contract.ends is not None:
                months = months_between(day, contract.ends)
                days = min(30, contract.ends - months_later(day, months))
                left = rent * (months + Fraction(days, 30))
            if rule["kind"] == "months_of_rent":
                amount = min(rule["months"] * rent, rounded(left))
            else:
                amount = rounded(left * Fraction(rule["percent"]) / 100)
            self.must_not_owe_twice(line, "early_termination", day, amount)
            owed.append((line, amount))
        for line, amount in owed:
            self.owe(line, "early_termination", day, amount)
        contract.state, contract.ending, contract.reason = "ending", day, "early_termination"

    def end(self, contract: Contract) -> None:
        """On the day the last thing in it ended; today if that is still to come, or if something
        was agreed for that day or later."""
        must(contract.state in IN_FORCE, "it is not in force")
        lines = self.open_lines(contract)
        must(not any(line.held for line in lines), "packs are out")
        ended = [line.ended for line in self.lines_of(contract) if line.ended is not None]
        ended += [line.emptied for line in lines if line.packs]
        if contract.state == "ending":
            ended += [contract.ending or 0]
        elif contract.ends is not None and contract.ends <= self.today:
            ended += [contract.ends]
        last = max(ended, default=contract.starts)
        begun = [line for line in lines if line.begins < last]
        busy = max(contract.entered.union(*[line.entered for line in begun]))
        day = last if busy < last <= self.today else self.today
        must(day > max(contract.entered), "something is agreed for later")
        for line in self.lines_of(contract):
            must(line.ended is None or line.ended <= day, "a line ends later")
        for line in lines:
            if line.begins < day:
                must(day > max(line.entered), "something was entered for later")
        for line in lines:
            if line.begins < day:
                line.close(day, "removed")
            else:
                del self.lines[line.name]
        if contract.ends is None:
            contract.ends = max(contract.held_from, day)
        if contract.state != "ending":
            over = day >= contract.ends
            contract.ending, contract.reason = day, "expiry" if over else "agreement"
        contract.state, contract.ended = "ended", day
        cut(contract, day)

    def renew(self, contract: Contract, months: int) -> None:
        must(contract.state in IN_FORCE, "it is not in force")
        must(contract.ends is not None, "it holds over")
        must(contract.reason != "early_termination", "its price is owed")
        assert contract.ends is not None
        first = contract.first_end or contract.ends
        contract.first_end = first
        contract.ends = months_later(first, months_between(first, contract.ends) + months)
        if contract.state == "ending":
            contract.state, contract.ending, contract.reason = "active", None, None

    def expire(self, contract: Contract) -> None:
        """What becomes of a contract whose term ran out by today, or which was to end by today."""
        ends, ending = contract.ends, contract.ending
        over = ends is not None and ends <= self.today
        leaving = ending is not None and ending <= self.today
        if contract.state not in IN_FORCE or not (over or leaving):
            return
        out = any(line.held for line in self.open_lines(contract))
        terms = contract.terms[ends if over and ends is not None else self.today]
        if contract.state != "ending" and terms["renewal"] == "automatic":
            self.renew(contract, terms["renewal_months"])
        elif not out:
            self.end(contract)
        elif over:
            assert ends is not None
            contract.ends, contract.held_from = None, ends


def cut(contract: Contract, day: int) -> None:
    for later in list(after(day, contract.terms)):
        del contract.terms[later]


def level(rule: dict[str, Any], starts: int, day: int) -> Fraction:
    """What a rent agreed at the start is multiplied by on a day."""
    if rule["kind"] == "fixed":
        steps = months_between(starts, day) // rule["every_months"]
        return (1 + Fraction(rule["percent"]) / 100) ** steps
    percent = Fraction(100)
    if rule["kind"] == "table":
        for step in rule["steps"]:
            if date.fromisoformat(step["from_on"]) <= on(day):
                percent = Fraction(step["percent_of_base"])
    return percent / 100
