"""Work that may take too long is done in a process of its own, which can be ended.

The solver holds the interpreter while it runs, and nothing else stops it.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from leasing.kit.errors import Conflict

T = TypeVar("T")


class TookTooLong(Conflict):
    code = "routing_took_too_long"
    title = "The time for the plan is over"


class Failed(RuntimeError):
    """The work ended without an answer; the text is what it raised."""


def within(seconds: float, work: Callable[..., T], *given: Any) -> T:
    """What `work(*given)` returns, or TookTooLong. Both must be importable and picklable."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(theirs, work, given), daemon=True)
    process.start()
    theirs.close()
    try:
        if not mine.poll(seconds):
            raise TookTooLong(f"there is no answer after {seconds:g} s")
        done, found = mine.recv()
    except EOFError:
        raise Failed("the process ended without an answer") from None
    finally:
        process.kill()
        process.join()
        mine.close()
    if not done:
        raise Failed(found)
    result: T = found
    return result


def answer(to: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    try:
        to.send((True, work(*given)))
    except Exception as error:
        to.send((False, repr(error)))
