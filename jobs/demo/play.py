"""From a DSN to a demo that can be looked at: found as it was left, or played anew."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.cells import set_cell_size
from rich.console import Console

from jobs.demo import cast, keys, stage, summary
from jobs.demo.model import Scale
from jobs.demo.stage import Progress
from jobs.demo.story import NOON, Story
from jobs.progress import bars
from leasing.db.migrate import migrate
from leasing.db.pool import Database, connect
from leasing.kit.settings import Settings
from leasing.kit.time import midnight, system_now
from leasing.obligations import calendar_store
from leasing.regions import store as regions

DEFAULT_SCALE = Scale()
console = Console()


class Phases:
    """How long each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start


@asynccontextmanager
async def ready(
    dsn: str,
    settings: Settings,
    *,
    scale: Scale = DEFAULT_SCALE,
    fresh: bool = False,
    say: Callable[[str], None] = lambda line: None,
    phases: Phases | None = None,
) -> AsyncIterator[Database]:
    """The completed demo, open: reused when it is there, played when it is not, or when `fresh`
    asks for it. Raises `NotOurs` and `InUse`."""
    phases = phases or Phases()
    async with stage.kept(dsn, settings.schema) as connection:
        progress = await stage.progress(connection, settings.schema)
        if progress is Progress.BEGUN:
            say("the demo was interrupted; it is played again")
        if fresh or progress is Progress.BEGUN:
            await stage.drop(connection, settings.schema)
            progress = Progress.NOTHING
        with phases.phase("migrations"):
            await migrate(dsn, settings, say)
        if progress is not Progress.COMPLETED:
            async with await connect(unhurried(dsn), settings) as db:
                await play(db, scale, phases)
        async with await connect(dsn, settings) as db:
            yield db


def unhurried(dsn: str) -> str:
    """The same database, where a commit does not wait for the disk: a demo cut short by a power
    failure is played again."""
    return dsn + ("&" if "?" in dsn else "?") + "synchronous_commit=off"


async def play(db: Database, scale: Scale, phases: Phases) -> None:
    """Play the whole story in an empty schema."""
    begins_at = midnight(scale.starts_on) + NOON
    with bars() as start:
        with phases.phase("network"):
            report = start("outlet network", None)
            async with db.transaction() as tx:
                await regions.load(tx)
                await calendar_store.load(tx, by="packages", now=system_now())
                await stage.begin(tx, scale, begins_at)
                outlets = await cast.enter_network(tx, scale, begins_at)
            report(outlets, outlets)
        with phases.phase("cast"):
            report = start("sites, packs, contracts", None)
            async with db.transaction() as tx:
                opening = await cast.enter_cast(tx, scale, begins_at)
            report(len(opening.packs), len(opening.packs))
        with phases.phase("story"):
            await Story(db, scale, opening).tell(start(f"{scale.months} months, by day", None))
    async with db.transaction() as tx:
        await stage.complete(tx, midnight(scale.ends_on) + NOON)


async def show(db: Database, phases: Phases) -> None:
    """Print what came out, and how long it took."""
    async with db.transaction(read_only=True) as tx:
        console.print(await summary.table(tx))
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in phases.seconds.items())
    console.print(
        f"{took}; together {sum(phases.seconds.values()):.1f} s", highlight=False, soft_wrap=True
    )


async def show_keys(db: Database, address: str) -> None:
    """Print where to look, and new keys to look with."""
    async with db.transaction() as tx:
        made = await keys.renew(tx, system_now())
    console.print("\nAPI keys (Authorization: Bearer …), good for this start:", highlight=False)
    for one in made:
        whose = set_cell_size(one.whose, 30)
        console.print(f"  {whose} {one.key}", highlight=False, soft_wrap=True)
    for path, what in (("/", "status page"), ("/schema", "API documentation"), ("/v1", "API")):
        console.print(f"  {address}{path:<8} {what}", highlight=False)
    console.print(
        f"Other commands find this data with LEASING_SCHEMA={db.settings.schema} before them.",
        highlight=False,
        soft_wrap=True,
    )
    console.print("The sandbox clock stands still until POST /v1/clock/advance. Ctrl-C stops.")
