"""Gateways on a database."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from leasing.db import clock
from leasing.db.pool import Database
from leasing.gateways import store
from leasing.gateways.model import Delivery
from leasing.telemetry import service as telemetry


def commit_to(db: Database) -> Callable[[Sequence[Delivery]], Awaitable[None]]:
    return partial(commit, db)


async def commit(db: Database, deliveries: Sequence[Delivery]) -> None:
    """Store deliveries in one transaction. Returns when they are durable."""
    reports = [report for one in deliveries for report in one.reports]
    unread = [message for one in deliveries for message in one.unread]
    async with db.transaction() as tx:
        if reports:
            await telemetry.ingest_reports(tx, reports, now=await clock.now(tx))
        if unread:
            await store.keep(tx, unread)


async def knows_vehicle(db: Database, vin: str) -> bool:
    async with db.transaction(read_only=True) as tx:
        return await store.knows_vehicle(tx, vin)
