"""Nightly: take the head of the day before, and check every chain of records."""

from datetime import timedelta
from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.kit.errors import Conflict
from leasing.kit.time import civil_date
from leasing.traceability import checking
from leasing.traceability.model import Finding

MOST_PACKS = 1000
MOST_OF_A_PACK = 5
"""Findings that are kept; there is no end to them when a whole table was changed."""


class BrokenChain(Conflict):
    code = "broken_chain"
    title = "The records of a pack are not as they were written"


async def run(work: Work) -> None:
    """Days that were missed get their heads; the chains are checked by the last run only."""
    day = work.as_of_date - timedelta(days=1)
    async with work.item("head", UUID(int=0)), work.db.transaction() as tx:
        now = await clock.now(tx)
        await checking.close_day(tx, day, by=work.by, now=now)
    async with work.db.transaction() as tx:
        if work.as_of_date != civil_date(await clock.now(tx)):
            return
    found: dict[UUID | None, list[str]] = {}

    def note(finding: Finding) -> None:
        if finding.pack_id in found or len(found) < MOST_PACKS:
            told = found.setdefault(finding.pack_id, [])
            if len(told) < MOST_OF_A_PACK:
                told.append(sentence(finding))

    async with work.db.transaction(read_only=True) as tx:
        checked = await checking.verify(tx, note)
    await work.step(checked.records)
    for pack_id, told in found.items():
        subject = "head" if pack_id is None else "pack"
        async with work.item(subject, pack_id or UUID(int=0)):
            raise BrokenChain("; ".join(told))


def sentence(finding: Finding) -> str:
    number = "" if finding.sequence is None else f"record {finding.sequence} "
    return f"{number}{finding.fault}: {finding.detail}"
