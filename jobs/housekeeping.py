"""Weekly: forget answers to old requests, and make room for the readings of coming months."""

from datetime import timedelta

from jobs.runner import Work
from leasing.http import edge
from leasing.kit.time import month_of, system_now
from leasing.telemetry import store as telemetry

KEEP_ANSWERS = timedelta(days=7)
"""An Idempotency-Key that comes again after this long is a new request."""


async def run(work: Work) -> None:
    async with work.db.transaction() as tx:
        forgotten = await edge.forget_answers(tx, before=system_now() - KEEP_ANSWERS)
    first, following = month_of(work.as_of_date)
    async with work.db.transaction() as tx:
        for table in telemetry.PARTITIONED:
            days = {first, following, month_of(following)[1]}
            await telemetry.ensure_partitions(tx, table, days)
    await work.step(forgotten)
