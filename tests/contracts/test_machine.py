"""All events of a lease in any order, on the real database and in a plain book beside it.

Each step is asked of both. They agree on whether it can be, and afterwards on every day of every
contract, line and pack; what must be true of the database whatever happened is checked as well.
Steps of one play share a transaction that is rolled back, each in a savepoint of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from leasing.app import CONSTRAINTS
from leasing.batteries import service as batteries
from leasing.contracts import amending, ending, handovers, lines, moves, service, store, transfers
from leasing.db.pool import Connection, Database, connect, savepoint
from leasing.kit.errors import DomainError
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.parties import service as parties
from leasing.returns import service as returns
from leasing.sites import service as sites
from schemas import contracts as wire
from schemas.packs import PackCreate
from schemas.parties import PartyCreate, PartyKind
from schemas.returns import Decision, DispositionCreate, Grade, HazardFound, InspectionCreate
from schemas.sites import Datum, SiteCreate, SiteKind
from tests import build
from tests.contracts import seen
from tests.contracts.model import HORIZON, IN_FORCE, Book, Contract, Line, Refused, on

T = TypeVar("T")
Event = Callable[[Connection], Awaitable[Any]]

PLAYS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NOON = timedelta(hours=12)
FIRST_DAY = 20
LAST_DAY = 330
CUSTOMERS = {"north": ("s1", "s2"), "south": ("s1", "s3")}
PACKS = {**{f"p{number}": -100 for number in range(1, 7)}, "p7": FIRST_DAY + 15}
"""The day on which each was acquired; one comes later."""

EARLY = [
    {"kind": "not_allowed"},
    {"kind": "months_of_rent", "months": 2},
    {"kind": "share_of_remaining_rent", "percent": "12.5"},
]
BUY_OUT = [
    {"kind": "none"},
    {"kind": "fixed", "amount": 200_000},
    {"kind": "declining", "amount": 300_001, "monthly_percent": "12.5", "floor_amount": 200_000},
]
ESCALATORS = [
    {"kind": "none"},
    {"kind": "fixed", "percent": "3.3", "every_months": 1},
    {
        "kind": "table",
        "steps": [
            {"from_on": str(on(45)), "percent_of_base": "150"},
            {"from_on": str(on(90)), "percent_of_base": "83.3"},
        ],
    },
]
TERMS = st.fixed_dictionaries(
    {
        "payment_days": st.just(30),
        "guarantee_percent": st.just(80),
        "notice_days": st.sampled_from([0, 10]),
        "renewal": st.sampled_from(["none", "automatic"]),
        "renewal_months": st.just(1),
        "minimum_months": st.sampled_from([0, 1]),
        "early_termination": st.sampled_from(EARLY),
        "buy_out": st.sampled_from(BUY_OUT),
        "escalator": st.sampled_from(ESCALATORS),
    }
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "payment_days": st.sampled_from([30, 45, 60]),
        "guarantee_percent": st.sampled_from([70, 80, 90]),
        "notice_days": st.sampled_from([0, 20]),
        "early_termination": st.sampled_from(EARLY),
        "buy_out": st.sampled_from(BUY_OUT),
        "escalator": st.sampled_from(ESCALATORS),
    },
)
RENTS = st.sampled_from([31_000, 20_001])
SLOTS = (1, 2, 3)


class Stage:
    """Customers, sites and packs that are there before each play, and one connection."""

    def __init__(self, runner: asyncio.Runner, db: Database, ids: dict[str, UUID]) -> None:
        self.runner = runner
        self.db = db
        self.ids = ids
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def begin(self) -> None:
        self.tx = await self.db.pool.acquire()
        await self.tx.execute("BEGIN")

    async def roll_back(self) -> None:
        await self.tx.execute("ROLLBACK")
        await self.db.pool.release(self.tx)

    async def attempt(self, ask: Event) -> tuple[Any, Exception | None]:
        """What an event answered, or why the service or the database refused it. An error that
        the API has no name for is a fault."""
        try:
            async with savepoint(self.tx):
                answer = await ask(self.tx)
                await self.tx.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except DomainError as error:
            return None, error
        except asyncpg.PostgresError as error:
            if error.constraint_name not in CONSTRAINTS:
                raise
            return None, error
        await self.tx.execute("SET CONSTRAINTS ALL DEFERRED")
        return answer, None


async def prepare(db: Database) -> dict[str, UUID]:
    ids: dict[str, UUID] = {}
    who: dict[str, Any] = {"by": "test", "now": midnight(on(LAST_DAY))}
    async with db.transaction() as tx:
        for name, codes in CUSTOMERS.items():
            party = PartyCreate(kind=PartyKind.CUSTOMER, name=name)
            ids[name] = (await parties.create(tx, party, **who)).id
            places = [
                SiteCreate(
                    party_id=ids[name],
                    code=code,
                    name=code,
                    kind=SiteKind.TOWER,
                    adcode="410100",
                    longitude=113.5,
                    latitude=34.8,
                    datum=Datum.WGS84,
                )
                for code in codes
            ]
            made = await sites.create(tx, places, **who)
            ids |= {f"{name} {code}": one for code, one in zip(codes, made, strict=True)}
        packs = [
            PackCreate(
                code=build.battery_code(),
                cells_in_series=16,
                rated_voltage_mv=51_200,
                rated_capacity_mah=100_000,
                mass_kg=46,
                acquired_on=on(day),
                acquired_from="Dismantler",
            )
            for day in PACKS.values()
        ]
        made = await batteries.acquire(tx, packs, **who)
        return ids | dict(zip(PACKS, made, strict=True))


def as_wire(what: dict[str, Any], kind: type[T]) -> T:
    return msgspec.convert(what, kind)


def is_open(line: Line) -> bool:
    return line.ended is None and line.contract.state in IN_FORCE


def is_vacant(line: Line) -> bool:
    return is_open(line) and not line.held


def is_emptied(line: Line) -> bool:
    return is_vacant(line) and bool(line.packs)


class Leases(RuleBasedStateMachine):
    """One play. Every rule is one event; most are drawn so that they can be, some so that they
    cannot."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.ids = dict(stage.ids)
        self.numbers = count(1)
        self.book = Book(FIRST_DAY, PACKS)
        stage.run(stage.begin())
        self.seen = stage.run(seen.tables(stage.tx))

    def teardown(self) -> None:
        self.stage.run(self.stage.roll_back())

    # How an event is played

    def play(
        self,
        name: str,
        in_the_book: Callable[[], Any],
        in_the_database: Event,
        bind: Callable[[Any], Iterable[tuple[str, UUID]]] = lambda _: (),
    ) -> None:
        """Ask both for an event. `bind` names what it made, from the service's answer."""
        why_not = None
        try:
            in_the_book()
        except Refused as error:
            why_not = error
        answer, refusal = self.stage.run(self.stage.attempt(in_the_database))
        assert (why_not is None) == (refusal is None), (
            f"{name}: the book says {why_not or 'yes'!s}, the service {refusal or 'yes'!r}"
        )
        (self.stage.done if refusal is None else self.stage.refused)[name] += 1
        if refusal is None:
            self.book.today = min(self.book.today + 1, LAST_DAY)
        before, self.seen = self.seen, self.stage.run(seen.tables(self.stage.tx))
        if refusal is not None:
            assert self.seen == before
            return
        self.ids |= dict(bind(answer))
        told = self.seen.pop("told")
        assert self.seen == {k: v for k, v in before.items() if k != "told"} or (
            told != before["told"]
        ), "something changed and nobody was told"
        self.seen["told"] = told
        seen.refuse_disorder(self.seen)
        names = {str(one): name for name, one in self.ids.items()}
        seen.refuse_difference(self.book, self.seen, names)

    @property
    def who(self) -> dict[str, Any]:
        return {"by": "test", "now": midnight(on(self.book.today)) + NOON}

    # How one is drawn

    def any_line(self, fits: Callable[[Line], object]) -> bool:
        return any(fits(line) for line in self.book.lines.values())

    def in_state(self, *states: str) -> bool:
        return any(contract.state in states for contract in self.book.contracts.values())

    def pick(self, data: st.DataObject, good: Iterable[T], every: Iterable[T], label: str) -> T:
        """One that fits; now and then any."""
        fitting, other = list(good), list(every)
        if fitting and data.draw(st.integers(0, 7), label="fits") > 0:
            other = fitting
        return data.draw(st.sampled_from(other), label=label)

    def line(self, data: st.DataObject, fits: Callable[[Line], object]) -> Line:
        every = self.book.lines
        name = self.pick(data, [k for k, one in every.items() if fits(one)], every, "line")
        return every[name]

    def contract(self, data: st.DataObject, *states: str) -> Contract:
        every = self.book.contracts
        fitting = [name for name, one in every.items() if one.state in states]
        return every[self.pick(data, fitting, every, "contract")]

    def day(
        self,
        data: st.DataObject,
        marks: Iterable[int | None] = (),
        low: int = -1,
        high: int | None = None,
    ) -> int:
        """Today, or near it, or near a day on which something else is; from a day to a day,
        where it may be."""
        today = self.book.today
        near = [today, today, today, today - 1, today - 4, today + 1, today + 9]
        near += [mark + by for mark in marks if mark is not None for by in (0, 1, -1, 2)]
        last = HORIZON - 1 if high is None else high
        fitting = [day for day in [*near, low, low, low + 1] if low <= day <= last]
        return self.pick(data, fitting, near, "day")

    def day_of(self, data: st.DataObject, line: Line, low: int = -1) -> int:
        """A day for what happens to the pack in a line."""
        emptied = line.begins if line.held else line.emptied
        return self.day(
            data, sorted({*line.entered, line.since or 0, emptied}), low, self.book.today
        )

    def way_out(self, line: Line) -> int:
        """From when on a pack may leave a line, and the line end."""
        return max(line.since or 0, *line.entered) + 1

    def pack(self, data: st.DataObject, state: str) -> str:
        fitting = [name for name in PACKS if self.book.state_of(name) == state]
        return self.pick(data, fitting, PACKS, "pack")

    def site_id(self, site: tuple[str, str]) -> UUID:
        return self.ids[f"{site[0]} {site[1]}"]

    def place(
        self,
        data: st.DataObject,
        lessee: str,
        contract: Contract | None,
        taken: Iterable[tuple[tuple[str, str], int]] = (),
    ) -> tuple[tuple[str, str], int]:
        """A site and a slot; free where it may be."""
        every = [
            ((name, code), slot)
            for name, codes in CUSTOMERS.items()
            for code in codes
            for slot in SLOTS
        ]
        free = [
            (site, slot)
            for site, slot in every
            if site[0] == lessee
            and (site, slot) not in taken
            and not (contract and self.book.slot_is_agreed(contract, site, slot, 0, None))
        ]
        return self.pick(data, free, every, "place")

    def positions(
        self, data: st.DataObject, lessee: str, contract: Contract | None = None
    ) -> list[Any]:
        """One or two new lines: name, site, slot, capacity and rent of each."""
        found: list[Any] = []
        for _ in range(data.draw(st.integers(1, 2), label="lines")):
            taken = [(site, slot) for _, site, slot, _, _ in found]
            site, slot = self.place(data, lessee, contract, taken)
            capacity = data.draw(st.sampled_from([100_000, 100_000, 50_000]), label="capacity")
            rent = data.draw(RENTS, label="rent")
            found.append((f"line {next(self.numbers)}", site, slot, capacity, rent))
        return found

    def line_creates(self, positions: list[Any]) -> list[wire.LineCreate]:
        return [
            wire.LineCreate(
                site_id=self.site_id(site), slot=slot, rated_capacity_mah=mah, rent_amount=rent
            )
            for _, site, slot, mah, rent in positions
        ]

    # Until a contract is in force

    def draft_one(
        self, lessee: str, starts: int, ends: int, terms: dict[str, Any], positions: list[Any]
    ) -> str:
        name = f"contract-{next(self.numbers)}"
        data = as_wire(
            {
                "number": name,
                "lessee_id": str(self.ids[lessee]),
                "starts_on": str(on(starts)),
                "ends_on": str(on(ends)),
                "vat_percent": "13",
                "replacement_days": 7,
                "lines": [],
                **terms,
                "guarantee_percent": str(terms["guarantee_percent"]),
            },
            wire.ContractCreate,
        )
        data = msgspec.structs.replace(data, lines=self.line_creates(positions))

        async def create(tx: Connection) -> list[tuple[str, UUID]]:
            made = await service.create(tx, data, **self.who)
            ids = await lines.lock_open(tx, made.id)
            return [(name, made.id), *zip([one for one, *_ in positions], ids, strict=True)]

        self.play(
            "draft",
            lambda: self.book.draft(name, lessee, starts, ends, terms, positions),
            create,
            lambda made: made,
        )
        return name

    def advance(self, name: str, contract: Contract) -> None:
        contract_id = self.ids[contract.name]
        signed = wire.Signature(lessor_signatory="Zhao", lessee_signatory="Qian")
        events: dict[str, tuple[Callable[[Contract], None], Event]] = {
            "offer": (self.book.offer, lambda tx: service.offer(tx, contract_id, **self.who)),
            "withdraw offer": (
                self.book.withdraw_offer,
                lambda tx: service.withdraw_offer(tx, contract_id, **self.who),
            ),
            "sign": (self.book.sign, lambda tx: service.sign(tx, contract_id, signed, **self.who)),
            "activate": (
                self.book.activate,
                lambda tx: service.activate(tx, contract_id, **self.who),
            ),
            "cancel": (self.book.cancel, lambda tx: service.cancel(tx, contract_id, **self.who)),
        }
        in_the_book, in_the_database = events[name]
        self.play(name, lambda: in_the_book(contract), in_the_database)

    @initialize(terms=TERMS, packs=st.sampled_from([2, 2, 1, 0]), to=st.sampled_from([40, 60, 100]))
    def begin(self, terms: dict[str, Any], packs: int, to: int) -> None:
        """A contract of two lines, often with packs in them, so that there is something to do."""
        positions = [
            ("first line", ("north", "s1"), 1, 100_000, 31_000),
            ("second line", ("north", "s1"), 2, 100_000, 20_001),
        ]
        contract = self.book.contracts[self.draft_one("north", 5, to, terms, positions)]
        for name in ("offer", "sign", "activate"):
            self.advance(name, contract)
        for name, pack in list(zip(self.book.lines, PACKS, strict=False))[:packs]:
            self.hand_over(self.book.lines[name], pack, 10, 90_000)

    @rule(days=st.sampled_from([1, 2, 5, 12, 31, 45]))
    def time_passes(self, days: int) -> None:
        self.book.today = min(self.book.today + days, LAST_DAY)

    @precondition(lambda self: len(self.book.contracts) < 4)
    @rule(data=st.data(), lessee=st.sampled_from(sorted(CUSTOMERS)), terms=TERMS)
    def draft(self, data: st.DataObject, lessee: str, terms: dict[str, Any]) -> None:
        starts = self.day(data)
        ends = starts + data.draw(st.sampled_from([40, 70, 1, 0]), label="length")
        self.draft_one(lessee, starts, ends, terms, self.positions(data, lessee))

    @precondition(lambda self: self.in_state("draft"))
    @rule(data=st.data())
    def redate(self, data: st.DataObject) -> None:
        contract = self.contract(data, "draft")
        starts = self.day(data, [contract.starts])
        ends = starts + data.draw(st.sampled_from([50, 60, 0]), label="length")
        patch = wire.ContractPatch(starts_on=on(starts), ends_on=on(ends))
        contract_id = self.ids[contract.name]

        async def change(tx: Connection) -> None:
            version = (await service.get(tx, contract_id, on(0))).version
            await service.change_draft(tx, contract_id, patch, version, **self.who)

        self.play("redate", lambda: self.book.redate(contract, starts, ends), change)

    @precondition(lambda self: self.in_state("draft", "offered", "signed"))
    @rule(data=st.data())
    def next_state(self, data: st.DataObject) -> None:
        usual = {"draft": "offer", "offered": "sign", "signed": "activate"}
        contract = self.contract(data, *usual)
        every = ["offer", "sign", "activate", "withdraw offer", "cancel"]
        fitting = [usual[contract.state]] if contract.state in usual else []
        self.advance(self.pick(data, fitting, every, "event"), contract)

    @precondition(lambda self: self.in_state("draft"))
    @rule(data=st.data())
    def strike(self, data: st.DataObject) -> None:
        """From a draft into force at once."""
        contract = self.contract(data, "draft")
        for name in ("offer", "sign", "activate"):
            self.advance(name, contract)

    @precondition(lambda self: self.in_state("draft", *IN_FORCE) and len(self.book.lines) < 9)
    @rule(data=st.data())
    def add_lines(self, data: st.DataObject) -> None:
        contract = self.contract(data, "draft", "active", "ending", "suspended")
        last = HORIZON - 2 if contract.ends is None else contract.ends - 1
        day = self.day(data, [contract.starts, contract.ends], contract.starts, last)
        wanted = self.positions(data, contract.lessee, contract)
        create = wire.LinesCreate(from_on=on(day), lines=self.line_creates(wanted))
        contract_id = self.ids[contract.name]
        self.play(
            "add lines",
            lambda: self.book.add_lines(contract, day, wanted),
            lambda tx: service.add_lines(tx, contract_id, create, **self.who),
            lambda ids: zip([one for one, *_ in wanted], ids, strict=True),
        )

    # Lines

    def on_line(self, name: str, line: Line, in_the_book: Callable[[], Any], ask: Any) -> None:
        """`ask` takes a transaction and the line's id."""
        line_id = self.ids[line.name]
        self.play(name, in_the_book, lambda tx: ask(tx, line_id))

    @precondition(lambda self: self.any_line(lambda line: line.started is None))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        line = self.line(data, lambda one: one.started is None)
        day = self.day_of(data, line, self.way_out(line))
        self.on_line(
            "remove",
            line,
            lambda: self.book.remove(line, day),
            lambda tx, one: service.remove_line(tx, one, on(day), **self.who),
        )

    def joint_test(self, pack: str, day: int, tested: int) -> dict[str, Any]:
        return {
            "pack_id": self.ids[pack],
            "accepted_on": on(day),
            "tested_capacity_mah": tested,
            "lessor_signatory": "Wang",
            "lessee_signatory": "Li",
        }

    def hand_over(self, line: Line, pack: str, day: int, tested: int) -> None:
        create = wire.AcceptanceCreate(**self.joint_test(pack, day, tested))
        self.on_line(
            "accept",
            line,
            lambda: self.book.accept(line, pack, day, tested),
            lambda tx, one: handovers.accept(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.any_line(is_vacant))
    @rule(data=st.data(), tested=st.sampled_from([95_000, 95_000, 80_000, 79_999]))
    def accept(self, data: st.DataObject, tested: int) -> None:
        line = self.line(data, is_vacant)
        pack = self.pack(data, "in_stock")
        low = max(line.emptied, self.stocked(pack)) if not line.held else 0
        self.hand_over(line, pack, self.day_of(data, line, low), tested)

    def stocked(self, pack: str) -> int:
        """Since when it is in stock."""
        held = [day for day, place in self.book.place[pack].items() if place != "stock"]
        return max(held, default=PACKS[pack] - 1) + 1

    @precondition(lambda self: self.any_line(lambda line: line.held))
    @rule(
        data=st.data(),
        tested=st.sampled_from([95_000, 95_000, 80_000, 79_999]),
        capacity=st.sampled_from([None, None, None, 50_000, 100_000]),
    )
    def swap(self, data: st.DataObject, tested: int, capacity: int | None) -> None:
        line, pack = self.line(data, lambda one: one.held), self.pack(data, "in_stock")
        day = self.day_of(data, line, max((line.since or 0) + 1, self.stocked(pack)))
        changed = capacity is not None or data.draw(st.integers(0, 9), label="rent alone") == 0
        rent = data.draw(st.none() | RENTS, label="rent") if changed else None
        create = wire.SwapCreate(
            **self.joint_test(pack, day, tested), rated_capacity_mah=capacity, rent_amount=rent
        )
        self.on_line(
            "swap",
            line,
            lambda: self.book.swap(line, pack, day, tested, capacity, rent),
            lambda tx, one: handovers.swap(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.any_line(is_open))
    @rule(data=st.data())
    def relocate(self, data: st.DataObject) -> None:
        line = self.line(data, is_open)
        site, slot = self.place(data, line.contract.lessee, line.contract)
        low = line.emptied if line.since is None else line.since
        day = self.day_of(data, line, low)
        create = wire.RelocationCreate(
            site_id=self.site_id(site), slot=slot, moved_on=on(day), reason="moved"
        )
        self.on_line(
            "relocate",
            line,
            lambda: self.book.relocate(line, site, slot, day),
            lambda tx, one: moves.relocate(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.any_line(is_open))
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        line = self.line(data, is_open)
        suspended = line.days[max(line.days)].suspended
        suspended = self.pick(data, [not suspended], [suspended], "suspended")
        day = self.day_of(data, line, max(line.entered))
        self.on_line(
            "suspend line" if suspended else "resume line",
            line,
            lambda: self.book.pause(line, day, suspended),
            lambda tx, one: (
                moves.suspend(tx, one, on(day), "works", **self.who)
                if suspended
                else moves.resume(tx, one, on(day), **self.who)
            ),
        )

    @precondition(lambda self: self.any_line(lambda line: line.held))
    @rule(
        data=st.data(),
        kind=st.sampled_from(["missing", "stolen", "damaged"]),
        amount=st.sampled_from([0, 0, 5_000]),
        liable=st.sampled_from(["lessee", "lessee", "lessee", "open"]),
    )
    def report(self, data: st.DataObject, kind: str, amount: int, liable: str) -> None:
        line = self.line(data, lambda one: one.held)
        day = self.day_of(data, line, (line.since or 0) + 1)
        name = f"incident {next(self.numbers)}"
        create = wire.IncidentCreate(
            kind=wire.IncidentKind(kind),
            happened_on=on(day),
            description="what happened",
            liable=wire.Liability(liable),
            compensation_amount=amount or None,
        )
        line_id = self.ids[line.name]
        self.play(
            kind,
            lambda: self.book.report(name, line, kind, day, amount, liable),
            lambda tx: moves.report(tx, line_id, create, **self.who),
            lambda made: [(name, made.id)],
        )

    @precondition(lambda self: self.book.incidents)
    @rule(data=st.data())
    def find(self, data: st.DataObject) -> None:
        every = self.book.incidents
        lost = [name for name, one in every.items() if one.kind != "damaged" and not one.found]
        incident = every[self.pick(data, lost, every, "incident")]
        day = self.day(data, [incident.happened], incident.happened, self.book.today)
        incident_id = self.ids[incident.name]
        self.play(
            "find",
            lambda: self.book.find(incident, day),
            lambda tx: moves.find(tx, incident_id, on(day), **self.who),
        )

    @precondition(lambda self: self.any_line(lambda line: line.held))
    @rule(data=st.data())
    def buy_out(self, data: st.DataObject) -> None:
        line = self.line(data, lambda one: one.held)
        day = self.day_of(data, line, self.way_out(line))
        create = wire.BuyOutCreate(bought_on=on(day))
        self.on_line(
            "buy out",
            line,
            lambda: self.book.buy_out(line, day),
            lambda tx, one: moves.buy_out(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.any_line(lambda line: line.held))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        line = self.line(data, lambda one: one.held)
        day = self.day_of(data, line, self.way_out(line))
        create = wire.ReturnCreate(
            returned_on=on(day),
            tested_capacity_mah=70_000,
            lessor_signatory="Wang",
            lessee_signatory="Li",
        )
        self.on_line(
            "return",
            line,
            lambda: self.book.give_back(line, day),
            lambda tx, one: handovers.return_pack(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.any_line(is_vacant))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        line = self.line(data, is_emptied)
        day = self.day_of(data, line, max(self.way_out(line), 0 if line.held else line.emptied))
        self.on_line(
            "end lost line",
            line,
            lambda: self.book.give_up(line, day),
            lambda tx, one: moves.end_lost_line(tx, one, on(day), **self.who),
        )

    @precondition(lambda self: any(self.book.state_of(pack) == "returned" for pack in PACKS))
    @rule(data=st.data())
    def reinstate(self, data: st.DataObject) -> None:
        """Inspected and back in stock, not before it came back."""
        returned = [name for name in PACKS if self.book.state_of(name) == "returned"]
        pack = data.draw(st.sampled_from(returned), label="pack")
        back = max(day for day, place in self.book.place[pack].items() if place != "returned") + 1
        day = max(back, self.day(data, [back], back, self.book.today))
        inspected = InspectionCreate(
            inspected_on=on(day),
            grade=Grade.B,
            hazard=HazardFound.INTACT,
            tested_capacity_mah=90_000,
            lessor_signatory="Wang",
            lessee_signatory="Li",
        )
        decided = DispositionCreate(decision=Decision.RELEASE, decided_on=on(day), reason="good")
        pack_id = self.ids[pack]

        async def decide(tx: Connection) -> None:
            await returns.inspect(tx, pack_id, inspected, **self.who)
            await returns.decide(tx, pack_id, decided, **self.who)

        self.play("reinstate", lambda: self.book.reinstate(pack, day), decide)

    # Contracts in force

    def on_contract(
        self, name: str, contract: Contract, in_the_book: Callable[[], Any], ask: Any
    ) -> None:
        """`ask` takes a transaction and the contract's id."""
        contract_id = self.ids[contract.name]
        self.play(name, in_the_book, lambda tx: ask(tx, contract_id))

    def day_in(self, data: st.DataObject, contract: Contract) -> int:
        marks = {day for line in self.book.lines_of(contract) for day in line.entered}
        marks |= contract.entered | {contract.starts}
        return self.day(data, [*sorted(marks), contract.ends])

    @precondition(lambda self: self.in_state("active"))
    @rule(data=st.data())
    def suspend_all(self, data: st.DataObject) -> None:
        self.pause_all(data, self.contract(data, "active"), suspended=True)

    @precondition(lambda self: self.in_state("suspended"))
    @rule(data=st.data())
    def resume_all(self, data: st.DataObject) -> None:
        self.pause_all(data, self.contract(data, "suspended"), suspended=False)

    def pause_all(self, data: st.DataObject, contract: Contract, *, suspended: bool) -> None:
        entered = [max(line.entered) for line in self.book.open_lines(contract)]
        low = max(entered, default=0)
        day = self.day(data, [low], low)
        self.on_contract(
            "suspend" if suspended else "resume",
            contract,
            lambda: self.book.pause_all(contract, day, suspended),
            lambda tx, one: (
                service.suspend(tx, one, on(day), "works", **self.who)
                if suspended
                else service.resume(tx, one, on(day), **self.who)
            ),
        )

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data(), terms=CHANGES)
    def amend_terms(self, data: st.DataObject, terms: dict[str, Any]) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        self.amend(contract, self.day_in(data, contract), terms, {})

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data(), terms=st.just({}) | CHANGES, rent=RENTS)
    def amend_rent(self, data: st.DataObject, terms: dict[str, Any], rent: int) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        mine = [line.name for line in self.book.lines_of(contract)]
        line = self.book.lines[self.pick(data, mine, self.book.lines, "line")]
        self.amend(contract, self.day_of(data, line), terms, {line.name: rent})

    def amend(
        self, contract: Contract, day: int, terms: dict[str, Any], rents: dict[str, int]
    ) -> None:
        named = {
            name: str(value) if name == "guarantee_percent" else value
            for name, value in terms.items()
        }
        create = wire.AmendmentCreate(
            from_on=on(day),
            reason="agreed anew",
            terms=as_wire(named, wire.TermsPatch),
            rents=[
                wire.LinePrice(line_id=self.ids[name], rent_amount=rent)
                for name, rent in rents.items()
            ],
        )
        self.on_contract(
            "amend rent" if rents else "amend terms",
            contract,
            lambda: self.book.amend(contract, day, terms, rents),
            lambda tx, one: self.amend_as_read(tx, one, create),
        )

    async def amend_as_read(
        self, tx: Connection, contract_id: UUID, create: wire.AmendmentCreate
    ) -> Any:
        found = await store.read(tx, contract_id)
        version = found.version if found else 1
        return await amending.amend(tx, contract_id, create, version, **self.who)

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data())
    def escalate(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        day = self.day_in(data, contract)
        self.on_contract(
            "escalate",
            contract,
            lambda: self.book.escalate(contract, day),
            lambda tx, one: amending.escalate(tx, one, on(day), **self.who),
        )

    @precondition(lambda self: self.in_state("active", "suspended"))
    @rule(data=st.data())
    def give_notice(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended")
        given = self.day(data)
        low = given + contract.terms.get(given, {}).get("notice_days", 0)
        leaving = self.day(data, [low, contract.ends], max(low, contract.ends or 0))
        create = wire.NoticeCreate(given_on=on(given), ending_on=on(leaving), reason="moving")
        self.on_contract(
            "give notice",
            contract,
            lambda: self.book.give_notice(contract, given, leaving),
            lambda tx, one: ending.give_notice(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.in_state("ending"))
    @rule(data=st.data())
    def withdraw_notice(self, data: st.DataObject) -> None:
        contract = self.contract(data, "ending")
        self.on_contract(
            "withdraw notice",
            contract,
            lambda: self.book.withdraw_notice(contract),
            lambda tx, one: ending.withdraw_notice(tx, one, **self.who),
        )

    @precondition(lambda self: self.in_state("active", "suspended"))
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended")
        last = HORIZON - 1 if contract.ends is None else contract.ends - 1
        day = self.day(data, [contract.ends], contract.starts + 31, last)
        create = wire.TerminationCreate(on=on(day), reason="closed")
        self.on_contract(
            "terminate",
            contract,
            lambda: self.book.terminate(contract, day),
            lambda tx, one: ending.terminate(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data(), months=st.integers(1, 2))
    def renew(self, data: st.DataObject, months: int) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        create = wire.RenewalCreate(months=months)
        self.on_contract(
            "renew",
            contract,
            lambda: self.book.renew(contract, months),
            lambda tx, one: ending.renew(tx, one, create, **self.who),
        )

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data())
    def transfer(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        others = [name for name in CUSTOMERS if name != contract.lessee]
        lessee = self.pick(data, others, CUSTOMERS, "lessee")
        ways_out = [self.way_out(line) for line in self.book.open_lines(contract)]
        low = max([*ways_out, *contract.entered]) + 1
        day = self.day(data, [low - 1, contract.ends], low, self.book.today)
        successor = f"contract-{next(self.numbers)}"
        found = [line.name for line in self.book.open_lines(contract)]
        twins = {name: f"line {next(self.numbers)}" for name in found}
        create = wire.TransferCreate(
            number=successor,
            lessee_id=self.ids[lessee],
            from_on=on(day),
            lessor_signatory="Zhao",
            lessee_signatory="Qian",
            new_lessee_signatory="Sun",
        )
        contract_id = self.ids[contract.name]

        async def hand_on(tx: Connection) -> list[tuple[str, UUID]]:
            made = await transfers.transfer(tx, contract_id, create, **self.who)
            # They follow the order of those that they succeed.
            old = sorted(twins, key=lambda name: self.ids[name])
            new = await lines.lock_open(tx, made.id)
            return [(successor, made.id), *zip([twins[name] for name in old], new, strict=True)]

        self.play(
            "transfer",
            lambda: self.book.transfer(contract, lessee, day, successor, twins),
            hand_on,
            lambda made: made,
        )

    # The end

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        self.on_contract(
            "end",
            contract,
            lambda: self.book.end(contract),
            lambda tx, one: ending.end(tx, one, **self.who),
        )

    @precondition(lambda self: self.in_state(*IN_FORCE))
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        contract = self.contract(data, "active", "suspended", "ending")
        today = on(self.book.today)
        self.on_contract(
            "expire",
            contract,
            lambda: self.book.expire(contract),
            lambda tx, one: ending.expire(tx, one, today, **self.who),
        )


@pytest.mark.slow
def test_whatever_happens_to_leases_the_database_and_a_plain_book_agree(
    database, dsn: str, migrated: Settings
) -> None:
    ids = database(prepare)
    with asyncio.Runner() as runner:
        db = runner.run(connect(dsn, migrated))
        stage = Stage(runner, db, ids)
        try:
            run_state_machine_as_test(lambda: Leases(stage), settings=PLAYS)
        finally:
            runner.run(db.pool.close())
    # A play in which next to nothing happens would prove nothing.
    assert len(stage.done) > 20, stage.done
    assert len(stage.refused) > 20, stage.refused
