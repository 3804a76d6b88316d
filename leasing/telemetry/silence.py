"""Packs in lines that fell silent, and those that speak again."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from leasing.alarms import service as alarms
from leasing.alarms.model import Change
from leasing.alarms.service import Raised
from leasing.db.pool import Connection
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.telemetry.rules import SILENT_AFTER, heard_at
from schemas.alarms import AlarmKind, AlarmSeverity

WATCHED = ("voltage_v", "current_a", "soc_percent", "temperature_c")
"""What a pack is leased to be watched by. One that never sent a quantity does not fall silent."""


class Heard(msgspec.Struct, frozen=True):
    """A pack with the instants from which its newest values are, and the silence that is open.

    One that never spoke though a device of its site speaks for its slot counts as last heard at
    the end of the day on which it came there.
    """

    pack_id: UUID
    is_placed: bool
    latest_at: datetime
    received_at: datetime
    voltage_v_at: datetime | None
    current_a_at: datetime | None
    soc_percent_at: datetime | None
    temperature_c_at: datetime | None
    open_severity: AlarmSeverity | None


# Those that stand in a line, and those of which a silence is open. A pack without a device in its
# slot may never be heard of.
NEXT = """
WITH heard AS (
  SELECT pack_id, latest_at, received_at, voltage_v_at, current_a_at, soc_percent_at,
         temperature_c_at
    FROM pack_telemetry
   UNION ALL
  SELECT placement.pack_id, came.over_at, came.over_at, NULL, NULL, NULL, NULL
    FROM site_device
    JOIN placement ON placement.site_id = site_device.site_id
                  AND placement.slot = site_device.slot
                  AND during @> $3::date
    CROSS JOIN LATERAL (
           SELECT (lower(during) + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' AS over_at) AS came
   WHERE NOT EXISTS (SELECT FROM pack_telemetry WHERE pack_telemetry.pack_id = placement.pack_id)
)
SELECT heard.pack_id,
       placement.pack_id IS NOT NULL AS is_placed,
       latest_at, received_at, voltage_v_at, current_a_at, soc_percent_at, temperature_c_at,
       alarm.severity AS open_severity
  FROM heard
  LEFT JOIN placement ON placement.pack_id = heard.pack_id AND during @> $3::date
  LEFT JOIN alarm ON alarm.pack_id = heard.pack_id
                 AND alarm.kind = 'silence'
                 AND alarm.state <> 'closed'
 WHERE heard.pack_id > $1
   AND (placement.pack_id IS NOT NULL OR alarm.id IS NOT NULL)
   AND (alarm.id IS NOT NULL
     OR least(latest_at, received_at, voltage_v_at, current_a_at, soc_percent_at,
              temperature_c_at) < $4)
 ORDER BY heard.pack_id
 LIMIT $2
"""


async def following(
    tx: Connection, after: UUID, limit: int, on: date, before: datetime
) -> list[Heard]:
    """The next packs in a line of which something is from before an instant, and those with an
    open alarm, in order of id."""
    return convert_all(await tx.fetch(NEXT, after, limit, on, before), Heard)


async def watch_next(
    tx: Connection, after: UUID, limit: int, *, now: datetime
) -> tuple[int, UUID | None]:
    """Raise and end silences of the next packs; how many were looked at, and the last of them."""
    packs = await following(tx, after, limit, civil_date(now), now - SILENT_AFTER)
    await alarms.raise_all(tx, changes(packs, now), now)
    return len(packs), packs[-1].pack_id if packs else None


def changes(packs: Sequence[Heard], now: datetime) -> list[Raised]:
    found = []
    for pack in packs:
        change = judge(pack, now)
        if change is not None:
            rows = [{"silent_since": silent(pack, now)}]
            used = {"silent_after_s": SILENT_AFTER.total_seconds()}
            found.append(Raised(pack.pack_id, change, used, rows))
    return found


def judge(pack: Heard, now: datetime) -> Change | None:
    """What is to be told: a pack that fell silent, or a quantity of one that goes on, or that it
    is over. A silence that is open is told by its repeats."""
    limit_s = SILENT_AFTER.total_seconds()
    found = silent(pack, now) if pack.is_placed else {}
    if not found:
        if pack.open_severity is None:
            return None
        return Change(now.timestamp(), AlarmKind.SILENCE, None, None, 0.0, limit_s)
    severity = AlarmSeverity.WARN if "pack" in found else AlarmSeverity.INFO
    if pack.open_severity in (severity, AlarmSeverity.WARN):
        return None
    since = min(datetime.fromisoformat(at) for at in found.values())
    passed_s = (now - since).total_seconds()
    return Change(since.timestamp(), AlarmKind.SILENCE, severity, None, passed_s, limit_s)


def silent(pack: Heard, now: datetime) -> dict[str, str]:
    """Since when nothing newer came, by quantity; of the whole pack as `pack` alone."""
    whole = heard_at(pack.latest_at, pack.received_at)
    if now - whole > SILENT_AFTER:
        return {"pack": whole.isoformat()}
    found = {}
    for name in WATCHED:
        at: datetime | None = getattr(pack, f"{name}_at")
        if at is not None and now - heard_at(at, pack.received_at) > SILENT_AFTER:
            found[name] = at.isoformat()
    return found
