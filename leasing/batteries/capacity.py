"""Reports of capacity tests (GB/T 34015)."""

from datetime import datetime
from uuid import UUID

from leasing.batteries import capacity_store, rules, service
from leasing.batteries.model import ImpossibleTest
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from schemas.packs import CapacityTestCreate, CapacityTestView


async def report(
    tx: Connection, pack_id: UUID, data: CapacityTestCreate, *, by: str, now: datetime
) -> CapacityTestView:
    """Enter a report. Raises `ImpossibleTest` with every reason why it cannot be right."""
    await service.lock(tx, pack_id)
    pack = await service.get(tx, pack_id)
    faults = list(
        rules.capacity_faults(
            data,
            rated_capacity_mah=pack.rated_capacity_mah,
            rated_voltage_mv=pack.rated_voltage_mv,
            made_on=pack.made_on,
            today=civil_date(now),
        )
    )
    if faults:
        raise ImpossibleTest("; ".join(fault.message for fault in faults), fields=faults)
    test = convert(await capacity_store.insert(tx, pack_id, data, now), CapacityTestView)
    said = {"test_id": test.id, "on": test.tested_on, "extent": test.extent}
    if test.capacity_mah is not None:
        said["capacity_mah"] = test.capacity_mah
    fact = Event("pack", pack_id, "pack.capacity_tested", said)
    await events.append(tx, [fact], actor=by, now=now)
    return test
