"""Weekly: forget answers to old requests and messages that nobody could read, make room for the
readings of coming months, and drop the months that are past their age."""

from datetime import timedelta

from jobs.runner import Work
from leasing.gateways import store as gateways
from leasing.http import edge
from leasing.kit.time import month_of, system_now
from leasing.telemetry import store as telemetry

KEEP_ANSWERS = timedelta(days=7)
"""An Idempotency-Key that comes again after this long is a new request."""


async def run(work: Work) -> None:
    async with work.db.transaction() as tx:
        forgotten = await edge.forget_answers(tx, before=system_now() - KEEP_ANSWERS)
    kept = timedelta(days=work.db.settings.keep_unread_days)
    async with work.db.transaction() as tx:
        forgotten += await gateways.forget(tx, before=system_now() - kept)
    first, following = month_of(work.as_of_date)
    async with work.db.transaction() as tx:
        for table in telemetry.PARTITIONED:
            days = {first, following, month_of(following)[1]}
            await telemetry.ensure_partitions(tx, table, days)
    settings = work.db.settings
    for table, kept_days in (
        (telemetry.CHUNKS, settings.keep_readings_days),
        (telemetry.HOURS, settings.keep_hours_days),
        (telemetry.SESSIONS, settings.keep_hours_days),
    ):
        async with work.db.transaction() as tx:
            before = work.as_of_date - timedelta(days=kept_days)
            await telemetry.drop_partitions(tx, table, before)
    await work.step(forgotten)
