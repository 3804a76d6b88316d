"""The nightly health check: evaluate what was reported, compare it with the contract, and open
the duty that follows."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.contracts import duties
from leasing.contracts import lines as leases
from leasing.contracts.model import Line
from leasing.contracts.rules import guaranteed_capacity_mah
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.health import conclusions, following, rules, slow_alarms, store
from leasing.health.conclusions import Night
from leasing.health.model import Health, Session
from leasing.health.store import Finding, PackToCheck
from leasing.kit.time import midnight
from schemas.health import DutyKind, Verdict

CHECK_DISCHARGE_DAYS = 30
"""An inconclusive check orders a check discharge within this time; no money moves meanwhile."""
CLEAR = {rules.ANCHORED, conclusions.TESTED}


async def check_all(
    tx: Connection,
    packs: Sequence[PackToCheck],
    sessions: Mapping[UUID, Sequence[Session]],
    *,
    as_of: date,
    by: str,
    now: datetime,
) -> None:
    """Check packs on everything they reported before the day `as_of`, and store the results with
    their evidence. A pack that is not on lease is measured and judged against nothing."""
    line_ids = [pack.line_id for pack in packs if pack.line_id is not None]
    lines = await leases.lock(tx, dict.fromkeys(line_ids, as_of))
    nights = await following.follow(tx, packs, sessions, as_of=as_of)
    findings = [
        find(night, lines.get(night.pack.line_id) if night.pack.line_id else None)
        for night in nights
    ]
    ids = await store.insert(tx, findings, as_of)
    checked = [finding for finding in findings if finding.pack.pack_id in ids]
    await store.mark_evaluated(tx, [one.pack.pack_id for one in checked], midnight(as_of))
    happened = []
    for finding in checked:
        happened.append(told(finding, as_of))
        owed = await open_duty(tx, finding, ids[finding.pack.pack_id], as_of)
        happened += [] if owed is None else [owed]
    # A clear answer from a test, or a whole charge or discharge, is what a check discharge was
    # ordered for; one that leans on the state of charge that the pack itself reports is not.
    clear = [
        one.pack.pack_id
        for one in checked
        if one.verdict in (Verdict.BREACH, Verdict.PASS) and one.health.method in CLEAR
    ]
    days = dict.fromkeys(clear, as_of)
    await duties.close(tx, days, "done", [DutyKind.CHECK_DISCHARGE])
    await events.append(tx, happened, actor=by, now=now)
    await slow_alarms.watch(tx, checked, as_of=as_of, now=now)


def find(night: Night, line: Line | None) -> Finding:
    health = conclusions.conclude(night)
    guarantee_mah = None if line is None else guaranteed_capacity_mah(line)
    return Finding(night.pack, line, health, guarantee_mah, verdict_of(health, guarantee_mah))


def told(finding: Finding, as_of: date) -> Event:
    facts: dict[str, object] = {
        "on": as_of,
        "verdict": finding.verdict,
        "capacity_mah": finding.health.capacity_mah,
        "guarantee_mah": finding.guarantee_mah,
    }
    return Event("pack", finding.pack.pack_id, "pack.health_checked", facts)


async def open_duty(tx: Connection, finding: Finding, check_id: UUID, as_of: date) -> Event | None:
    """Open the duty that follows from a verdict, if one does and it is not open already."""
    line, pack_id = finding.line, finding.pack.pack_id
    if line is None or finding.verdict not in (Verdict.BREACH, Verdict.INCONCLUSIVE):
        return None
    breach = finding.verdict is Verdict.BREACH
    days = line.replacement_days if breach else CHECK_DISCHARGE_DAYS
    kind = DutyKind.REPLACEMENT if breach else DutyKind.CHECK_DISCHARGE
    due_on = as_of + timedelta(days=days)
    opened = await duties.open_duty(
        tx,
        line_id=line.id,
        pack_id=pack_id,
        kind=kind,
        health_check_id=check_id,
        opened_on=as_of,
        due_on=due_on,
    )
    facts: dict[str, object] = {
        "on": as_of,
        "kind": kind,
        "pack_id": pack_id,
        "due_on": due_on,
    }
    return None if opened is None else Event("line", line.id, "duty.opened", facts)


def verdict_of(health: Health, guarantee_mah: int | None) -> Verdict:
    """The verdict on an estimate. Without a lease there is no guarantee to breach."""
    if health.lower_mah is None or health.upper_mah is None:
        return Verdict.ABSTAINED
    return rules.judge(health.lower_mah, health.upper_mah, guarantee_mah or 0)
