"""Commands that check the records of packs' lives, and take the head of a day."""

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from jobs import trace as trace_job
from jobs.shell import database, run, say

if TYPE_CHECKING:
    from leasing.db.pool import Connection
    from leasing.traceability.checking import Checked
    from leasing.traceability.model import Finding, Head

DAY = click.DateTime(["%Y-%m-%d"])
SHOWN = 100
"""Findings shown one by one; more are counted."""


@click.group()
def trace() -> None:
    """Records of packs' lives (溯源): are they as they were written?"""


@trace.command()
@click.option("--pack", "code", metavar="CODE", help="Only the pack that ever carried this code.")
@click.option("--since", type=DAY, help="Only packs of which something was recorded since a day.")
@click.option(
    "--head",
    "head_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A head that was published, as `leasing trace head --out` wrote it.",
)
@click.option("--json", "as_json", is_flag=True, help="Each finding as a line of JSON, then a sum.")
def verify(code: str | None, since: datetime | None, head_file: Path | None, as_json: bool) -> None:
    """Find records that were changed, left out, put in, moved, cut off or written anew.

    Ends with 1 when there is one. A chain that was cut short at its end, or written anew as a
    whole, can be told only beside a head: the newest one stored is looked at by itself, and
    `--head` also says which packs.
    """
    import msgspec

    from jobs.progress import progress
    from leasing.kit.time import midnight
    from leasing.traceability import checking, rules

    if code is not None and since is not None:
        raise click.UsageError("--pack and --since do not go together")
    told = 0

    def found(finding: "Finding") -> None:
        nonlocal told
        told += 1
        if as_json:
            click.echo(msgspec.json.encode(finding))
        elif told <= SHOWN:
            click.echo(sentence(finding))

    async def work() -> "Checked":
        with ExitStack() as files:
            head = None
            if head_file is not None:
                head = rules.read_head(files.enter_context(head_file.open(encoding="utf-8")))
            report = files.enter_context(progress("records"))
            async with database() as db, db.transaction(read_only=True) as tx:
                return await checking.verify(
                    tx,
                    found,
                    pack_ids=None if code is None else await packs(tx, code),
                    since=None if since is None else midnight(since.date()),
                    head=head,
                    report=report,
                )

    checked = run(work())
    if as_json:
        click.echo(msgspec.json.encode(checked))
    else:
        if told > SHOWN:
            click.echo(f"… and {told - SHOWN:,} more")
        click.echo(
            f"{checked.records:,} records of {checked.packs:,} packs: "
            f"{checked.findings or 'nothing'} found"
        )
    sys.exit(1 if checked.findings else 0)


def sentence(finding: "Finding") -> str:
    place = "" if finding.pack_id is None else f"pack {finding.pack_id} "
    return place + trace_job.sentence(finding)


async def packs(tx: "Connection", code: str) -> list[UUID]:
    """The packs that ever carried a code. A code that nobody knows ends the command."""
    from leasing.batteries.codes import normalise
    from leasing.traceability import head_store

    found = await head_store.packs_of_code(tx, normalise(code))
    if not found:
        raise click.ClickException(f"no pack carries the code {code}, nor ever did")
    return found


@trace.command()
@click.option("--as-of", "as_of", required=True, type=DAY, help="A day that is over.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the head's text: a line for each pack. Its SHA-256 is the head.",
)
def head(as_of: datetime, out: Path | None) -> None:
    """Take the head of a day: one hash over the newest record of every pack at the day's end.

    It is stored, and when it was stored before, compared.
    """
    from leasing.db import clock
    from leasing.traceability import checking

    async def work() -> "Head":
        with ExitStack() as files:
            writing: dict[str, Any] = {}
            if out is not None:
                writing["write"] = files.enter_context(
                    out.open("w", encoding="utf-8", newline="\n")
                ).write
            async with database() as db, db.transaction() as tx:
                now = await clock.now(tx)
                return await checking.close_day(tx, as_of.date(), by="cli", now=now, **writing)

    taken = run(work())
    say(f"{taken.records:,} records of {taken.packs:,} packs")
    click.echo(taken.hash.hex())
