"""Counts for the status page. Each is one cheap query on an index or a small table."""

from asyncpg import Record

from leasing.db.pool import Connection

COUNTS = """
SELECT (SELECT count(*) FROM contract WHERE state = 'active') AS active_contracts,
       (SELECT count(*) FROM placement WHERE upper_inf(during)) AS packs_on_lease,
       (SELECT count(*) FROM site) AS sites,
       (SELECT count(*) FROM outlet) AS outlets,
       (SELECT count(*) FROM invoice WHERE state = 'final') AS invoices,
       (SELECT count(*) FROM duty WHERE closed_on IS NULL) AS open_duties,
       (SELECT count(*) FROM routing WHERE state = 'reserved') AS routings_under_way
"""

NEWEST_RUNS = """
SELECT DISTINCT ON (job) job, as_of, state, attempts, done, parked, finished_at
  FROM job_run
 ORDER BY job, as_of DESC
"""

PACKS_BY_STATE = """
SELECT state, count(*) AS packs
  FROM pack
 GROUP BY state
 ORDER BY state
"""


async def counts(tx: Connection) -> Record:
    row = await tx.fetchrow(COUNTS)
    assert row is not None
    return row


async def newest_runs(tx: Connection) -> list[Record]:
    """The newest run of each job."""
    return await tx.fetch(NEWEST_RUNS)


async def packs_by_state(tx: Connection) -> list[Record]:
    return await tx.fetch(PACKS_BY_STATE)
