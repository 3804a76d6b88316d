"""Commands on obligations to report (报送义务), and on the calendar of their deadlines."""

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.shell import database, run, say

if TYPE_CHECKING:
    from leasing.db.pool import Database
    from leasing.obligations.gateway import Gateway
    from schemas.obligations import Recipient

BY = "cli:obligations"
MOST = 200
DAY = click.DateTime(["%Y-%m-%d"])


def shown(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*["–" if one is None else str(one) for one in row])
    Console().print(table)


@click.group()
def obligations() -> None:
    """What has to be reported, to whom and by when (报送义务)."""


@obligations.command("due")
@click.option("--overdue", is_flag=True, help="Only what is over.")
@click.option("--own", is_flag=True, help="Only the lessor's own.")
@click.option("--party", type=click.UUID, help="Only of one party.")
def due(overdue: bool, own: bool, party: Any) -> None:
    """What is still to be reported, the 200 most urgent."""
    from leasing.db import clock
    from leasing.http.pages import FIRST
    from leasing.kit.time import civil_date
    from leasing.obligations import store
    from leasing.obligations.api import EVER

    async def work() -> list[Any]:
        async with database() as db, db.transaction(read_only=True) as tx:
            to_on = civil_date(await clock.now(tx)) if overdue else EVER[1]
            days, after = (EVER[0], to_on), (EVER[0], FIRST)
            return await store.open_after(tx, days, after, MOST, party_id=party, own=own, role=None)

    names = ("due_on", "state", "level", "event_kind", "event_on", "role", "article", "pack_id")
    shown(names, ([row[name] for name in names] for row in run(work())))


@obligations.command("open-missing")
@click.option("--from", "from_on", type=DAY, required=True, help="First day of recording.")
@click.option("--to", "to_on", type=DAY, required=True, help="First day after.")
def open_missing(from_on: datetime, to_on: datetime) -> None:
    """Open what follows, by the rules of today, from records that were written in some days and
    opened nothing: before there were obligations, or before a rule was switched on. Run again it
    changes nothing."""
    from jobs import obligations
    from jobs.progress import progress
    from leasing.kit.time import midnight

    async def work() -> None:
        done = 0

        def told(more: int) -> None:
            nonlocal done
            done += more
            report(done, None)

        async with database() as db:
            from_at, to_at = midnight(from_on.date()), midnight(to_on.date())
            await obligations.open_missing(db, from_at, to_at, by=BY, done=told)

    with progress("packs and instants") as report:
        run(work())


def reached(db: "Database", folder: Path | None, url: str | None) -> "dict[Recipient, Gateway]":
    """The gateways of the settings, or those that the command names."""
    from msgspec.structs import replace

    from jobs.obligations import gateways

    settings = db.settings
    if folder is not None:
        settings = replace(settings, obligations=folder, obligations_url=None)
    if url is not None:
        settings = replace(settings, obligations_url=url)
    found = gateways(settings)
    if not found:
        raise click.ClickException("name a folder or an address, or set LEASING_OBLIGATIONS")
    return found


FOLDER = click.option("--folder", type=click.Path(file_okay=False, path_type=Path))
URL = click.option("--url", help="Where reports to the platform go over HTTP.")


@obligations.command("send")
@FOLDER
@URL
def send(folder: Path | None, url: str | None) -> None:
    """Write and send the lessor's own reports, a hundred at a time. Run again it goes on."""
    from jobs import obligations

    async def work() -> dict[str, int]:
        async with database() as db:
            ways = reached(db, folder, url)
            await obligations.prepare(db, by=BY)
            return {
                recipient: await obligations.send_all(db, recipient, gateway, by=BY)
                for recipient, gateway in ways.items()
            }

    for recipient, sent in run(work()).items():
        say(f"{sent} reports to the {recipient}")
    failures()


@obligations.command("read")
@FOLDER
@URL
def read(folder: Path | None, url: str | None) -> None:
    """Read what was answered."""
    from jobs import obligations

    async def work() -> tuple[int, int]:
        changed = unreadable = 0
        async with database() as db:
            for recipient, gateway in reached(db, folder, url).items():
                some, bad = await obligations.read_all(db, recipient, gateway, by=BY)
                changed, unreadable = changed + some, unreadable + bad
        return changed, unreadable

    changed, unreadable = run(work())
    say(f"{changed} reports answered, {unreadable} answers unreadable")
    if unreadable:
        sys.exit(1)


def failures() -> None:
    """Show what is parked, and end with 1 if anything is."""
    from leasing.http.pages import FIRST
    from leasing.obligations import store

    async def work() -> list[Any]:
        async with database() as db, db.transaction(read_only=True) as tx:
            return await store.submissions_after(tx, FIRST, "parked", MOST)

    parked = run(work())
    if parked:
        names = ("id", "recipient", "reports", "attempts", "failure")
        shown(names, ([row[name] for name in names] for row in parked))
        sys.exit(1)


@obligations.command("parked")
def parked() -> None:
    """Submissions that failed too often or were refused as a whole."""
    failures()


@obligations.command("retry")
@click.argument("submission", type=click.UUID)
def retry(submission: Any) -> None:
    """Have a parked submission sent again, under its own id."""
    from leasing.db import clock
    from leasing.obligations import service

    async def work() -> None:
        async with database() as db, db.transaction() as tx:
            await service.retry(tx, submission, by=BY, now=await clock.now(tx))

    run(work())
    say(f"{submission} goes out with the next sending")


@click.group("calendar")
def calendar() -> None:
    """Working days (工作日), by which deadlines are counted."""


@calendar.command("import")
def import_calendar() -> None:
    """Enter what both calendar packages know, and count provisional deadlines anew."""
    from jobs import obligations
    from leasing.db import clock
    from leasing.obligations import calendars, service
    from leasing.obligations.calendars import FIRST_YEAR, LAST_YEAR

    async def work() -> int:
        years = range(FIRST_YEAR, LAST_YEAR + 1)
        found = [one for year in years for one in calendars.from_packages(year)]
        async with database() as db:
            async with db.transaction() as tx:
                await service.enter_years(tx, found, by=BY, now=await clock.now(tx))
            return await obligations.recount(db, by=BY)

    say(f"{run(work())} deadlines moved, or are final now")


@calendar.command("notice")
@click.argument("year", type=click.IntRange(2018, 2100))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="The notice's number.")
def notice(year: int, file: Path, source: str) -> None:
    """Enter a year from the State Council's notice before a package has it: FILE has lines
    `day,yes` for weekends that are worked and `day,no` for days off."""
    from jobs import obligations
    from leasing.db import clock
    from leasing.obligations import calendars, service

    text = file.read_text("utf-8")

    async def work() -> int:
        one = calendars.of_notice(year, text, source)
        async with database() as db:
            async with db.transaction() as tx:
                await service.enter_years(tx, [one], by=BY, now=await clock.now(tx))
            return await obligations.recount(db, by=BY)

    say(f"{run(work())} deadlines moved, or are final now")


@calendar.command("compare")
def compare() -> None:
    """What both packages say of each year, and the published days on which they disagree; ends
    with 1 if there are any."""
    from leasing.obligations import calendar_store

    async def work() -> tuple[list[Any], list[Any], Any]:
        async with database() as db, db.transaction(read_only=True) as tx:
            seen = await calendar_store.agreement(tx)
            differences = await calendar_store.differences(tx)
            return seen, differences, await calendar_store.horizon(tx)

    seen, differences, horizon = run(work())
    shown(
        ("year", "chinesecalendar", "holidays", "notice", "published"),
        (
            (
                row["year"],
                row["chinesecalendar"] or None,
                row["holidays"] or None,
                row["notice"] or None,
                "both" if row["one_published"] and row["other_published"] else
                "one" if row["one_published"] or row["other_published"] or row["notice"] else "no",
            )
            for row in seen
        ),
    )  # fmt: skip
    for row in differences:
        works = {True: "works", False: "does not work"}
        say(f"{row['day']}: chinesecalendar {works[row['chinesecalendar']]}, "
            f"holidays {works[row['holidays']]}")  # fmt: skip
    say(f"{len(differences)} published days differ; published until {horizon}")
    if differences:
        sys.exit(1)
