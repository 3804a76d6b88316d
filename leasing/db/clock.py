"""Business time: the machine's clock, or in a sandbox a stored one that is moved by hand.

A deployment becomes a sandbox once, before it holds any contract, and stays one. Its clock
never goes back; the database refuses.
"""

from datetime import datetime

import msgspec

from leasing.db.pool import Connection
from leasing.kit.errors import Conflict
from leasing.kit.time import system_now


class Clock(msgspec.Struct, frozen=True):
    sandbox: bool
    now_at: datetime | None
    target_at: datetime | None


class NotASandbox(Conflict):
    code = "not_a_sandbox"
    title = "This deployment runs on the system clock"


class SandboxTooLate(Conflict):
    code = "sandbox_too_late"
    title = "A deployment that holds contracts cannot become a sandbox"


class ClockGoesBack(Conflict):
    code = "clock_goes_back"
    title = "The sandbox clock only moves forward"


CONSTRAINTS = {
    "clock_never_goes_back": ClockGoesBack,
    "clock_target_not_behind": ClockGoesBack,
}

READ = """
SELECT sandbox, now_at, target_at
  FROM clock
"""


async def read(tx: Connection) -> Clock:
    row = await tx.fetchrow(READ)
    return msgspec.convert(dict(row or {}), Clock)


async def now(tx: Connection) -> datetime:
    """The present instant of this deployment."""
    return (await read(tx)).now_at or system_now()


MAKE_SANDBOX = """
UPDATE clock
   SET sandbox = true,
       now_at = $1
 WHERE NOT sandbox
   AND NOT EXISTS (SELECT FROM contract)
"""


async def make_sandbox(tx: Connection, at: datetime) -> None:
    """Start a test clock. Raises `SandboxTooLate` when there are contracts on the system clock."""
    if await tx.execute(MAKE_SANDBOX, at) == "UPDATE 0":
        raise SandboxTooLate("make a sandbox of an empty database")


MOVE = """
UPDATE clock
   SET now_at = $1,
       target_at = CASE WHEN target_at > $1 THEN target_at END
 WHERE sandbox
"""


async def move(tx: Connection, to: datetime) -> None:
    """Set the sandbox clock. Jobs are not run; that is `jobs.runner.advance`."""
    if await tx.execute(MOVE, to) == "UPDATE 0":
        raise NotASandbox("only a sandbox clock can be moved")


ASK = """
UPDATE clock
   SET target_at = $1
 WHERE sandbox
"""


async def ask(tx: Connection, target: datetime) -> None:
    """Ask the worker to advance the sandbox clock, running every job that falls due."""
    if await tx.execute(ASK, target) == "UPDATE 0":
        raise NotASandbox("only a sandbox clock can be moved")
