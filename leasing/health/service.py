"""The nightly health check: evaluate what was reported, compare it with the contract, and open
the duty that follows."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from asyncpg import Record

from leasing.contracts import duties
from leasing.contracts import store as contracts
from leasing.contracts.rules import guaranteed_capacity_mah
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.health import rules, store
from leasing.health.rules import Health, PackType, Sample
from leasing.health.store import PackToCheck
from leasing.kit.time import midnight
from schemas.health import DutyKind, Verdict

LOOK_BACK = timedelta(days=2)
"""A session may have begun before the first reading that is new."""
CHECK_DISCHARGE_DAYS = 30
"""An inconclusive check orders a check discharge within this time; no money moves meanwhile."""
MAX_AGE = timedelta(days=30)
"""Readings that arrive later than this are kept, but no verdict rests on them."""


async def check(
    tx: Connection,
    pack: PackToCheck,
    samples: Iterable[Record],
    *,
    as_of: date,
    by: str,
    now: datetime,
) -> Verdict:
    """Check one pack on everything it reported before the day `as_of`, and store the result
    with its evidence. A pack that is not on lease is measured and judged against nothing."""
    health = evaluate(pack, samples)
    line = None if pack.line_id is None else await contracts.lock_line(tx, pack.line_id)
    guarantee_mah = None if line is None else guaranteed_capacity_mah(line)
    verdict = verdict_of(health, guarantee_mah)
    check_id = await store.insert(tx, pack, as_of, health, guarantee_mah, verdict)
    if check_id is None:
        # Checked before as of this day; what came in late waits for the next night.
        return verdict
    await store.mark_evaluated(tx, pack.pack_id, midnight(as_of))
    facts: dict[str, object] = {
        "verdict": verdict,
        "capacity_mah": health.capacity_mah,
        "guarantee_mah": guarantee_mah,
    }
    happened = [Event("pack", pack.pack_id, "pack.health_checked", facts)]
    if line is not None and verdict in (Verdict.BREACH, Verdict.INCONCLUSIVE):
        breach = verdict is Verdict.BREACH
        days = line.replacement_days if breach else CHECK_DISCHARGE_DAYS
        kind = DutyKind.REPLACEMENT if breach else DutyKind.CHECK_DISCHARGE
        due_on = as_of + timedelta(days=days)
        opened = await duties.open_duty(
            tx,
            line_id=line.id,
            pack_id=pack.pack_id,
            kind=kind,
            health_check_id=check_id,
            opened_on=as_of,
            due_on=due_on,
        )
        if opened is not None:
            owed: dict[str, object] = {"kind": kind, "pack_id": pack.pack_id, "due_on": due_on}
            happened.append(Event("line", line.id, "duty.opened", owed))
    if verdict in (Verdict.BREACH, Verdict.PASS) and health.method == rules.ANCHORED:
        # A clear answer from a whole discharge or charge is what the check was ordered for. One
        # that leans on the state of charge the pack itself reports is not.
        await duties.close(tx, pack.pack_id, [DutyKind.CHECK_DISCHARGE], as_of, "done")
    await events.append(tx, happened, actor=by, now=now)
    return verdict


def evaluate(pack: PackToCheck, samples: Iterable[Record]) -> Health:
    pack_type = PackType(
        chemistry=pack.chemistry,
        cells_in_series=pack.cells_in_series,
        rated_capacity_mah=pack.rated_capacity_mah,
        full_cell_v=None if pack.full_cell_mv is None else pack.full_cell_mv / 1000,
    )
    found = rules.sessions(
        [
            Sample(
                at=row["at"],
                voltage_v=row["voltage_v"],
                current_a=row["current_a"],
                soc_percent=row["soc_percent"],
                temperature_c=row["temperature_c"],
            )
            for row in samples
        ],
        pack_type,
    )
    return rules.conclude([rules.estimate(session, pack_type) for session in found])


def verdict_of(health: Health, guarantee_mah: int | None) -> Verdict:
    """The verdict on an estimate. Without a lease there is no guarantee to breach."""
    if health.lower_mah is None or health.upper_mah is None:
        return Verdict.ABSTAINED
    return rules.judge(health.lower_mah, health.upper_mah, guarantee_mah or 0)
