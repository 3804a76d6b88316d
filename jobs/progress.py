"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Report = Callable[[int, int | None], None]

LINE_EVERY_S = 5.0


@contextmanager
def progress(label: str) -> Iterator[Report]:
    """A function to call with `(done so far, total or None)`."""
    with bars() as start:
        yield start(label, None)


@contextmanager
def bars() -> Iterator[Callable[[str, int | None], Report]]:
    """Several kinds of work, one after the other or side by side."""
    if not sys.stderr.isatty():
        yield plain
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def start(label: str, total: int | None) -> Report:
            task = shown.add_task(label, total=total)

            def report(done: int, total: int | None) -> None:
                shown.update(task, completed=done, total=total)

            return report

        yield start


def plain(label: str, total: int | None) -> Report:
    """One line every few seconds, and one when the work is complete."""
    last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            of = f" of {total:,}" if total is not None else ""
            print(f"{label}: {done:,}{of}", file=sys.stderr, flush=True)  # noqa: T201

    return report
