"""Nightly: check every chain of records, and take the head of the day before."""

from datetime import timedelta
from uuid import UUID

from jobs.runner import Work
from leasing.db import clock
from leasing.kit.errors import Conflict
from leasing.kit.time import civil_date
from leasing.traceability import checking
from leasing.traceability.model import Finding

OF_NO_PACK = UUID(int=0)

MOST_PACKS = 1000
MOST_OF_A_PACK = 5
"""Findings that are kept; there is no end to them when a whole table was changed."""


class BrokenChain(Conflict):
    code = "broken_chain"
    title = "The records of a pack are not as they were written"


async def run(work: Work) -> None:
    """Chains are checked beside the newest head before another is taken, which would agree with
    whatever was changed; by the last run only. Days that were missed get their heads."""
    async with work.db.transaction() as tx:
        now = await clock.now(tx)
    if work.as_of_date == civil_date(now):
        await check(work)
    day = work.as_of_date - timedelta(days=1)
    async with work.item("head", OF_NO_PACK), work.db.transaction() as tx:
        await checking.close_day(tx, day, by=work.by, now=now)


async def check(work: Work) -> None:
    found: dict[UUID, list[str]] = {}

    def note(finding: Finding) -> None:
        subject_id = finding.pack_id or OF_NO_PACK
        if subject_id in found or len(found) < MOST_PACKS:
            told = found.setdefault(subject_id, [])
            if len(told) < MOST_OF_A_PACK:
                told.append(sentence(finding))

    async with work.db.transaction(read_only=True) as tx:
        checked = await checking.verify(tx, note)
    await work.step(checked.records)
    for subject_id, told in found.items():
        async with work.item("records", subject_id):
            raise BrokenChain("; ".join(told))


def sentence(finding: Finding) -> str:
    number = "" if finding.sequence is None else f"record {finding.sequence} "
    return f"{number}{finding.fault}: {finding.detail}"
