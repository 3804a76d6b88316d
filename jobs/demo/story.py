"""What happens in the months of the demo, day by day.

Jobs run at their own instants while the clock is taken to noon of a day; at noon people act:
they read what the night found and do what was planned for the day. A day is one transaction.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import TypeVar
from uuid import UUID

from asyncpg import Record

from jobs import runner
from jobs.demo import battery, cast
from jobs.demo.cast import GUARANTEE_PERCENT
from jobs.demo.model import Cast, Lease, Line, Pack, Product, Scale
from jobs.demo.stage import ACTOR
from jobs.registry import JOBS
from leasing.contracts import duties, ending, handovers
from leasing.db.pool import Connection, Database
from leasing.end_of_life import service as end_of_life
from leasing.end_of_life import snapshot
from leasing.end_of_life import store as routings
from leasing.end_of_life.model import NoFeasibleOutlet
from leasing.kit.time import midnight
from leasing.parties import service as parties
from leasing.returns import service as returns
from leasing.telemetry import service as telemetry
from schemas.contracts import AcceptanceCreate, ReturnCreate, SwapCreate
from schemas.end_of_life import CertificateCreate, RoutingCreate, RoutingState
from schemas.health import DutyKind
from schemas.outlets import Hazard
from schemas.parties import QualificationKind, QualificationWithdraw
from schemas.returns import Decision, DispositionCreate, Grade, HazardFound, InspectionCreate

NOON = timedelta(hours=12)

ROLL_OUT_DAYS = 30
TAKE_BACK_DAYS = 5
QUARTER_DAYS = 91
CHECK_DISCHARGE_AFTER_DAYS = 10
PATIENCE_DAYS = 25
"""A pack of which no check says whether it keeps its guarantee is replaced after this long."""
INSPECT_AFTER_DAYS = 3
ROUTING_DAYS = (12, 27)
"""Days of a month on which condemned packs are given a way out, all that wait at once."""
HAND_OVER_AFTER_DAYS = 7
RECYCLE_AFTER_DAYS = 30
WITHDRAWAL_AFTER = 2 / 3
"""The share of the story after which a recycler loses its permit between choice and hand-over."""

RELEASE_FROM_SHARE = 0.78
DAMAGED, CRITICAL = 0.10, 0.02
MAX_DUTIES = 1_000
STAFF, CUSTOMER = "王工", "李工"

Test = TypeVar("Test", AcceptanceCreate, SwapCreate)
Task = Callable[[Connection], Awaitable[None]]


class Story:
    def __init__(self, db: Database, scale: Scale, opening: Cast) -> None:
        self.db = db
        self.scale = scale
        self.random = Random(f"{scale.seed} story")
        self.on = scale.starts_on
        self.agenda: dict[date, list[Task]] = defaultdict(list)
        self.lines: dict[UUID, Line] = {}
        self.standing: dict[UUID, Pack] = {}
        """The pack that stands in a line."""
        self.leaving: dict[UUID, date] = {}
        """The day on which a line ends."""
        self.shelf: dict[Product, list[Pack]] = defaultdict(list)
        self.bought = 0
        self.condemned: list[Pack] = []
        self.latest_duty = UUID(int=0)
        self.withdrawn = False
        self.open(opening)

    @property
    def now(self) -> datetime:
        return midnight(self.on) + NOON

    def plan(self, in_days: int, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Put something on the agenda; today's is still done today."""
        self.agenda[self.on + timedelta(days=in_days)].append(partial(task, *arguments))

    def open(self, opening: Cast) -> None:
        """Plan the hand-overs of the first month and the end of every lease."""
        self.stock(opening.packs)
        for lease in opening.leases:
            self.lines |= {line.id: line for line in lease.lines}
            days = (lease.ends_on - self.on).days
            self.plan(days + 1, self.end_lease, lease)
            for i, line in enumerate(lease.lines):
                self.plan(1 + i % ROLL_OUT_DAYS, self.hand_over_first, line)
                self.plan(days - i % TAKE_BACK_DAYS, self.take_back, line)
                self.leaving[line.id] = lease.ends_on - timedelta(days=i % TAKE_BACK_DAYS)

    def stock(self, packs: list[Pack]) -> None:
        self.bought += len(packs)
        for pack in packs:
            self.shelf[pack.product].append(pack)

    async def tell(self, report: Callable[[int, int | None], None]) -> None:
        """Play every day of the story, and stop at noon after the last one."""
        days = (self.scale.ends_on - self.scale.starts_on).days
        async with runner.lock_session(self.db) as session:
            for number in range(1, days + 1):
                self.on = self.scale.starts_on + timedelta(days=number)
                await runner.advance_in(session, self.db, JOBS, self.now)
                async with self.db.transaction() as tx:
                    await self.act(tx)
                report(number, days)

    async def act(self, tx: Connection) -> None:
        await self.read_duties(tx)
        for task in self.agenda.pop(self.on, []):
            await task(tx)
        if self.on.day in ROUTING_DAYS and self.condemned:
            await self.route(tx)
        await self.report_readings(tx)

    # Readings and duties

    async def report_readings(self, tx: Connection) -> None:
        """Every pack on lease reports one charge a quarter, each on a day of its own."""
        day = (self.on - self.scale.starts_on).days
        packs = [p for p in self.standing.values() if (day + 37 * p.number) % QUARTER_DAYS == 0]
        await self.charge(tx, *packs)

    async def charge(self, tx: Connection, *packs: Pack) -> None:
        readings = [
            reading
            for pack in sorted(packs, key=lambda pack: pack.number)
            for reading in battery.quarterly_charge(pack, self.on, self.random)
        ]
        if readings:
            await telemetry.ingest(tx, readings, now=self.now)

    async def read_duties(self, tx: Connection) -> None:
        """What the night's checks put upon us, planned."""
        opened = await duties.after(tx, self.latest_duty, True, None, MAX_DUTIES)
        if not opened:
            return
        self.latest_duty = opened[-1]["id"]
        for pack, duty in sorted(self.standing_for(opened), key=lambda pair: pair[0].number):
            if duty["kind"] == DutyKind.REPLACEMENT:
                self.plan(2 + self.drawn(4), self.swap, duty["line_id"], pack)
            else:
                self.plan(CHECK_DISCHARGE_AFTER_DAYS, self.check, duty["line_id"], pack)
                self.plan(PATIENCE_DAYS, self.swap_unless_clear, duty["line_id"], pack)

    def standing_for(self, opened: list[Record]) -> list[tuple[Pack, Record]]:
        return [(self.standing[duty["line_id"]], duty) for duty in opened]

    async def check(self, line_id: UUID, pack: Pack, tx: Connection) -> None:
        """The check discharge that was ordered, and the charge after it."""
        if self.standing.get(line_id) is pack:
            await self.charge(tx, pack)

    async def swap_unless_clear(self, line_id: UUID, pack: Pack, tx: Connection) -> None:
        still_open = await duties.after(tx, UUID(int=0), True, line_id, MAX_DUTIES)
        if any(duty["kind"] == DutyKind.CHECK_DISCHARGE for duty in still_open):
            await self.swap(line_id, pack, tx)

    # Packs come and go

    async def hand_over_first(self, line: Line, tx: Connection) -> None:
        pack = await self.take_from_shelf(tx, line)
        await handovers.accept(
            tx, line.id, self.joint_test(pack, AcceptanceCreate), by=ACTOR, now=self.now
        )
        self.standing[line.id] = pack

    async def swap(self, line_id: UUID, pack: Pack, tx: Connection) -> None:
        if self.standing.get(line_id) is not pack or self.on == self.leaving[line_id]:
            return
        fresh = await self.take_from_shelf(tx, self.lines[line_id])
        await handovers.swap(
            tx, line_id, self.joint_test(fresh, SwapCreate), by=ACTOR, now=self.now
        )
        self.standing[line_id] = fresh
        self.plan(INSPECT_AFTER_DAYS, self.inspect, pack)

    async def take_back(self, line: Line, tx: Connection) -> None:
        pack = self.standing.pop(line.id)
        test = ReturnCreate(
            returned_on=self.on,
            tested_capacity_mah=battery.capacity_mah(pack, self.on),
            lessor_signatory=STAFF,
            lessee_signatory=CUSTOMER,
        )
        await handovers.return_pack(tx, line.id, test, by=ACTOR, now=self.now)
        self.plan(INSPECT_AFTER_DAYS, self.inspect, pack)

    async def end_lease(self, lease: Lease, tx: Connection) -> None:
        await ending.end(tx, lease.id, by=ACTOR, now=self.now)

    async def take_from_shelf(self, tx: Connection, line: Line) -> Pack:
        """The pack that waited longest and holds what is guaranteed; a new one if there is none."""
        shelf = self.shelf[line.product]
        needed_mah = line.product.rated_capacity_mah * GUARANTEE_PERCENT // 100
        for pack in shelf:
            if battery.capacity_mah(pack, self.on) > needed_mah:
                shelf.remove(pack)
                return pack
        (pack,) = await cast.buy(
            tx, self.scale, [line.product], self.bought + 1, self.random, self.now
        )
        self.bought += 1
        return pack

    def joint_test(self, pack: Pack, kind: type[Test]) -> Test:
        return kind(
            pack_id=pack.id,
            accepted_on=self.on,
            tested_capacity_mah=battery.capacity_mah(pack, self.on),
            lessor_signatory=STAFF,
            lessee_signatory=CUSTOMER,
        )

    # End of life

    async def inspect(self, pack: Pack, tx: Connection) -> None:
        """The joint inspection, and what follows from it."""
        capacity_mah = battery.capacity_mah(pack, self.on)
        share = capacity_mah / pack.product.rated_capacity_mah
        hazard = self.draw_hazard()
        release = hazard is Hazard.INTACT and share >= RELEASE_FROM_SHARE
        inspection = InspectionCreate(
            inspected_on=self.on,
            grade=grade(share),
            hazard=HazardFound(hazard),
            tested_capacity_mah=capacity_mah,
            lessor_signatory=STAFF,
            lessee_signatory=CUSTOMER,
        )
        disposition = DispositionCreate(
            decision=Decision.RELEASE if release else Decision.RECYCLE,
            decided_on=self.on,
            reason=f"{hazard}, {share:.0%} of its rated capacity",
        )
        await returns.inspect(tx, pack.id, inspection, by=ACTOR, now=self.now)
        await returns.decide(tx, pack.id, disposition, by=ACTOR, now=self.now)
        if release:
            self.shelf[pack.product].append(pack)
        else:
            self.condemned.append(pack)

    async def route(self, tx: Connection) -> None:
        """A way out for every pack that waits; those that find none wait on."""
        planned = RoutingCreate(hand_over_on=self.on + timedelta(days=HAND_OVER_AFTER_DAYS))
        known = await snapshot.load(tx)
        waiting, self.condemned = self.condemned, []
        for pack in waiting:
            try:
                routing = await end_of_life.route(
                    tx, pack.id, planned, by=ACTOR, now=self.now, known=known
                )
            except NoFeasibleOutlet:
                self.condemned.append(pack)
                continue
            self.plan(HAND_OVER_AFTER_DAYS, self.hand_over, pack)
            if not self.withdrawn and self.past_withdrawal:
                self.withdrawn = True
                self.plan(HAND_OVER_AFTER_DAYS - 2, self.withdraw, routing.recycler_id)

    @property
    def past_withdrawal(self) -> bool:
        days = self.scale.ends_on - self.scale.starts_on
        return self.on >= self.scale.starts_on + WITHDRAWAL_AFTER * days

    async def withdraw(self, recycler_id: UUID, tx: Connection) -> None:
        """An authority withdraws a recycler's permit, with packs on their way to it."""
        permit = QualificationWithdraw(
            kind=QualificationKind.DISCHARGE_PERMIT,
            withdrawn_on=self.on,
            document="GENERATED withdrawal",
        )
        await parties.withdraw(tx, recycler_id, permit, by=ACTOR, now=self.now)

    async def hand_over(self, pack: Pack, tx: Connection) -> None:
        """Hand a pack over where it is expected by now: what was reserved with a recycler that may
        not take it any more was routed anew at night, or waits again."""
        expected = await routings.routings_after(tx, UUID(int=0), pack.id, RoutingState.RESERVED, 1)
        if not expected:
            self.condemned.append(pack)
            return
        routing_id = expected[0]["id"]
        await end_of_life.hand_over(tx, routing_id, self.on, by=ACTOR, now=self.now)
        self.plan(RECYCLE_AFTER_DAYS, self.certify, pack, routing_id)

    async def certify(self, pack: Pack, routing_id: UUID, tx: Connection) -> None:
        """The certificate of recycling; one in ten or so recovers less lithium than it should."""
        ternary = pack.product.full_cell_mv is not None
        certificate = CertificateCreate(
            number=f"R-{self.scale.starts_on.year}-{pack.number:05}",
            recycled_on=self.on,
            lithium_percent=f"{self.random.uniform(89.5, 94):.2f}",
            nickel_cobalt_manganese_percent=(
                f"{self.random.uniform(97.9, 99.2):.2f}" if ternary else None
            ),
        )
        await end_of_life.certify(tx, routing_id, certificate, by=ACTOR, now=self.now)

    # Chance

    def drawn(self, below: int) -> int:
        return int(self.random.random() * below)

    def draw_hazard(self) -> Hazard:
        roll = self.random.random()
        if roll < CRITICAL:
            return Hazard.CRITICAL
        return Hazard.DAMAGED if roll < CRITICAL + DAMAGED else Hazard.INTACT


def grade(share: float) -> Grade:
    """How a pack is graded by what it still holds."""
    if share >= 0.85:
        return Grade.A
    if share >= RELEASE_FROM_SHARE:
        return Grade.B
    return Grade.C if share >= 0.6 else Grade.D
