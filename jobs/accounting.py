"""Monthly, after billing: the income of leases for the month that is over.

A contract is posted in one transaction, so a run killed anywhere goes on with the next contract.
A month that was posted is not posted again; one that was missed is in the next that is posted.
"""

from uuid import UUID

from jobs.runner import Work
from leasing.accounting import service, store
from leasing.db import clock
from leasing.kit.time import month_of

CHUNK_CONTRACTS = 500


async def run(work: Work) -> None:
    to_on, _ = month_of(work.as_of_date)
    after = UUID(int=0)
    while True:
        async with work.db.transaction() as tx:
            found = await store.due(tx, to_on, after, CHUNK_CONTRACTS)
        if not found:
            return
        for contract_id in found:
            async with work.item("contract", contract_id), work.db.transaction() as tx:
                now = await clock.now(tx)
                await service.post_month(tx, contract_id, to_on, by=work.by, now=now)
            await work.step(1)
        after = found[-1]
