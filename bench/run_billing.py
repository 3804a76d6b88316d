"""One billing run in a process of its own, so that its memory and CPU are its own.

python -m bench.run_billing DSN YYYY-MM-DD
"""

import resource
import sys
import time
from datetime import date
from pathlib import Path

import msgspec
import uvloop

from bench.place import SETTINGS
from jobs import billing, runner
from leasing.db.pool import connect
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
    spent = uvloop.run(run(sys.argv[1], date.fromisoformat(sys.argv[2])))
    print(msgspec.json.encode(spent).decode())
