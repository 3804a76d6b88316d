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
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Report = Callable[[int, int | None], None]

LINE_EVERY_S = 5.0


class RateColumn(ProgressColumn):
    """How many a second, lately."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


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
        RateColumn(),
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
    began = last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= LINE_EVERY_S:
            last = now
            print(f"{label}: {told(done, total, now - began)}", file=sys.stderr, flush=True)  # noqa: T201

    return report


def told(done: int, total: int | None, seconds: float) -> str:
    """How far it is, how fast, and how long the rest takes at that rate.

    >>> told(500, 2000, 10.0)
    '500 of 2,000, 50/s, 30 s left'
    """
    rate = done / seconds if seconds > 0 else 0.0
    text = f"{done:,}" + (f" of {total:,}" if total is not None else "")
    if rate == 0.0:
        return text
    text += f", {rate:,.0f}/s"
    return (
        text if total is None or done >= total else f"{text}, {(total - done) / rate:,.0f} s left"
    )
