"""Packs for lines: what a line needs, which packs in stock meet it, and a plan for a contract."""

from asyncio import to_thread
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from leasing.contracts.model import IllegalTransition, LineEnded, NoSuchContract, NoSuchLine
from leasing.db.pool import Connection
from leasing.kit.rows import convert_all
from leasing.matching import planning, rules, store
from leasing.matching.model import Candidate, Limits, Need, Refusal, Suggestion
from leasing.matching.planning import Gap, Plan
from leasing.matching.store import LineFact, Position, Tally
from leasing.sites import cabinets, strings
from leasing.sites.strings import Kind, Member, Standing
from schemas.contracts import ContractState
from schemas.sites import SiteKind, StringView

MAX_LINES = 1_000
"""How many empty lines one call plans."""


class Surroundings:
    """The sites of some lines on a day: their strings, the packs that stand there, the lines."""

    def __init__(
        self,
        lines: Sequence[LineFact],
        strings_of: Mapping[UUID, Sequence[StringView]],
        standing: Mapping[UUID, Sequence[Standing]],
        usable: Mapping[UUID, int],
    ) -> None:
        self.lines = lines
        self.strings_of = strings_of
        self.standing = standing
        self.usable = usable
        self.occupied = {one.line_id for packs in standing.values() for one in packs}
        self.empty_weight: dict[UUID, int] = dict.fromkeys(strings_of, 0)
        for line in lines:
            if line.line_id not in self.occupied and line.ended_on is None:
                self.empty_weight[line.site_id] += line.rated_capacity_mah

    def others(self, line: LineFact) -> list[Standing]:
        """The packs at the line's site, without the one in the line itself: it would make room."""
        present = self.standing.get(line.site_id, [])
        return [one for one in present if one.line_id != line.line_id]

    def gap(self, line: LineFact, limits: Limits) -> Gap:
        """What a line needs, and its mates."""
        string = strings.string_of(self.strings_of[line.site_id], line.slot)
        others = self.others(line)
        own = line.rated_capacity_mah if line.line_id in self.occupied else 0
        need = Need(
            line_id=line.line_id,
            site_id=line.site_id,
            slot=line.slot,
            string_number=None if string is None else string.number,
            system_voltage_mv=system_voltage_mv(string, line.site_kind),
            site_kind=line.site_kind,
            guaranteed_mah=rules.guaranteed_mah(line.rated_capacity_mah, line.guarantee_percent),
            load_w=line.load_w,
            required_minutes=line.required_autonomy_minutes,
            standing_uwh=sum(
                rules.energy_uwh(one.pack, self.usable[one.pack.pack_id]) for one in others
            ),
            weight=line.rated_capacity_mah,
            empty_weight=self.empty_weight[line.site_id] + own,
            limits=limits,
        )
        mates = [] if string is None else [one.pack for one in strings.members(string, others)]
        return Gap(need, mates)


def system_voltage_mv(string: StringView | None, kind: SiteKind) -> int | None:
    if string is not None:
        return string.system_voltage_mv
    return rules.TOWER_VOLTAGE_MV if kind is SiteKind.TOWER else None


async def surroundings(tx: Connection, line_or_contract_id: UUID, today: date) -> Surroundings:
    lines = await store.lines(tx, line_or_contract_id, today)
    site_ids = sorted({line.site_id for line in lines})
    strings_of = await cabinets.of_sites(tx, site_ids)
    standing = await cabinets.standing(tx, site_ids, today, today + timedelta(days=1))
    pack_ids = [one.pack.pack_id for packs in standing.values() for one in packs]
    return Surroundings(lines, strings_of, standing, await store.usable(tx, pack_ids))


class Found:
    """Candidates for a line."""

    def __init__(self, need: Need, mates: list[Member], tallies: Sequence[Tally]) -> None:
        self.need = need
        self.mates = mates
        self.packs_in_stock = sum(one.packs for one in tallies)
        self.packs_admissible = 0
        self.refusals: dict[str, int] = {}
        self.fitting: list[Kind] = []
        self.first: list[UUID] = []
        for one in tallies:
            reasons = rules.kind_reasons(need, mates, one.kind)
            counted = {
                **{reason.code: one.packs for reason in reasons},
                "held": one.held,
                "never_tested": one.never_tested,
                "capacity_short": one.capacity_short,
                "autonomy_short": one.autonomy_short,
                "mixed_age": one.mixed_age,
            }
            for code, packs in counted.items():
                if packs:
                    self.refusals[code] = self.refusals.get(code, 0) + packs
            if not reasons:
                self.fitting.append(one.kind)
                self.packs_admissible += one.admissible
                self.first += one.best or []
        self.suggestions: list[Suggestion] = []
        self.refused: list[Refusal] = []


async def candidates(
    tx: Connection,
    line_id: UUID,
    *,
    limits: Limits,
    after: Position | None,
    limit: int,
    refused: int,
    today: date,
) -> Found:
    """Packs in stock for a line, the best first; for a line with a pack in it, packs to swap it
    for. The database counts and picks by numbers, the rules have the last word on each pack."""
    around = await surroundings(tx, line_id, today)
    line = next((one for one in around.lines if one.line_id == line_id), None)
    if line is None:
        raise NoSuchLine
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    refuse_ended(line)
    gap = around.gap(line, limits)
    bounds = store.bounds(gap.need, gap.mates, rules.least_uwh(gap.need))
    tallies = await store.tally(tx, today, line_id, bounds, after, limit)
    found = Found(gap.need, gap.mates, tallies)
    packs = await store.packs(tx, today, line_id, found.first)
    others = (
        await store.others(tx, today, line_id, bounds, found.fitting, refused) if refused else []
    )
    suggestions, _ = rules.ranked(gap.need, gap.mates, packs)
    found.suggestions = suggestions[:limit]
    _, found.refused = rules.ranked(gap.need, gap.mates, others)
    return found


def refuse_ended(line: LineFact) -> None:
    if line.contract_state is ContractState.ENDED:
        raise IllegalTransition("the contract has ended: nothing is placed under it any more")


async def plan(
    tx: Connection, contract_id: UUID, *, limits: Limits, today: date
) -> tuple[Plan, int, int]:
    """Distinct packs for the empty lines of a contract; the packs looked at, and how many lines
    were left out because a call plans a thousand at most."""
    around = await surroundings(tx, contract_id, today)
    own = [line for line in around.lines if line.contract_id == contract_id]
    if not own:
        raise NoSuchContract
    refuse_ended(own[0])
    empty = [line for line in own if line.line_id not in around.occupied and line.ended_on is None]
    gaps = [around.gap(line, limits) for line in empty[:MAX_LINES]]
    stock = await store.everything(tx, today) if gaps else []
    # Seconds of work on a large stock: in a thread, so that other requests are answered.
    made = await to_thread(lambda: planning.plan(gaps, convert_all(stock, Candidate)))
    return made, len(stock), len(empty) - len(gaps)
