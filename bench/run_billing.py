"""One billing run in a process of its own, so that its memory and CPU are its own.

python -m bench.run_billing DSN YYYY-MM-DD
python -m bench.run_billing DSN YYYY-MM-DD help

The second waits for such a run to begin and works on it until it is over.
"""

import asyncio
import resource
import sys
import time
from datetime import date
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from bench.place import SETTINGS
from jobs import billing, runner
from leasing.db.pool import Database, connect
from leasing.kit import logs


class Spent(msgspec.Struct, frozen=True):
    """What a run took. `peak_kb` is of the whole process, `seconds` and `cpu_s` of the run."""

    state: str
    seconds: float
    cpu_s: float
    peak_kb: int


async def run(dsn: str, as_of: date) -> Spent:
    async with await connect(dsn, SETTINGS) as db:
        start, start_cpu = time.perf_counter(), time.process_time()
        state = await runner.run_once(db, "billing", billing.run, as_of, lambda done, total: None)
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    return Spent(state, seconds, cpu_s, peak_kb())


async def help_with(dsn: str, as_of: date) -> None:
    async with await connect(dsn, SETTINGS) as db:
        async with asyncio.timeout(600):
            while (run_id := await begun(db, as_of)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await billing.help_with(db, run_id, "job:billing")


async def begun(db: Database, as_of: date) -> UUID | None:
    async with db.transaction(read_only=True) as tx:
        run_id: UUID | None = await tx.fetchval(
            "SELECT id FROM billing_run WHERE as_of = $1", as_of
        )
        return run_id


def peak_kb() -> int:
    """The most memory this process ever held. Not `ru_maxrss` on Linux: a child inherits that
    from the process it was forked from."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # macOS counts bytes here.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    logs.configure("warning")
    dsn, as_of = sys.argv[1], date.fromisoformat(sys.argv[2])
    if sys.argv[3:] == ["help"]:
        uvloop.run(help_with(dsn, as_of))
    else:
        print(msgspec.json.encode(uvloop.run(run(dsn, as_of))).decode())
