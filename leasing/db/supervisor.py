"""Bringing the embedded server back when it dies under a process that runs for long.

A postmaster may be killed: by the system when memory is short, by hand, by mistake. What was
committed is safe; somebody has to start it again. Each long-lived process watches for itself, so
it does not matter which of them are there, and `EmbeddedServer.revive` keeps them from fighting.
Connections die with the server; a pool opens new ones as they are asked for.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from leasing.db.cluster import Patience
from leasing.db.embedded import PATIENCE_S, EmbeddedServer

PAUSE_MAX_S = 30.0


async def keep_alive(
    server: EmbeddedServer, report: Callable[[str], None], every_s: float = 1.0
) -> None:
    """Look every so often whether the server lives, and revive it if not, until cancelled.

    What goes wrong is reported and tried again, twice as late each time up to `PAUSE_MAX_S`.
    `report` may be called from another thread, never after the cancelled task has ended. Cancel
    before `server.stop()`. A server stopped by other hands (`pg_ctl stop`) is revived as well.
    """

    def say(line: str) -> None:
        with suppress(Exception):  # a log that is full must not cost us the database
            report(line)

    pause_s = every_s
    while True:
        await asyncio.sleep(pause_s)
        try:
            if not server.is_alive():
                say("PostgreSQL died; bringing it back")
                ours = await revive(server, say)
                say(f"PostgreSQL is back{'' if ours else ', started by another process'}")
            pause_s = every_s
        except Exception as error:
            pause_s = max(every_s, min(2 * pause_s, PAUSE_MAX_S))
            reason = str(error) or type(error).__name__
            say(f"PostgreSQL is not back yet, next look in {pause_s:.3g} s: {reason}")


async def revive(server: EmbeddedServer, say: Callable[[str], None]) -> bool:
    """Revive in a thread. When cancelled, have it give up and wait for it: a matter of moments."""
    patience = Patience(PATIENCE_S, say)
    # A future, not a task: whoever cancels all tasks at the end must not part us from the thread.
    work = asyncio.get_running_loop().run_in_executor(None, server.revive, patience)
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        patience.end()
        await asyncio.wait([work])
        work.exception()  # looked at, so that nobody complains that it was not
        raise
    return work.result()
