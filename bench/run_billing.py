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
from leasing.billing import runs
from leasing.db.pool import Database, connect
from leasing.kit import logs

PAUSE_S, LOOKS = 0.05, 12_000


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
        await billing.help_with(db, await begun(db, as_of), "job:billing")


async def begun(db: Database, as_of: date) -> UUID:
    """The run of a day for all, once somebody has begun it."""
    for _ in range(LOOKS):
        async with db.transaction(read_only=True) as tx:
            run_id = await runs.find(tx, as_of, None)
        if run_id is not None:
            return run_id
        await asyncio.sleep(PAUSE_S)
    raise TimeoutError(f"nobody began the run as of {as_of}")


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
