"""What the commands of the command line share: how one is run, and its database."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leasing.kit.settings import Settings
from leasing.kit.settings import read as read_settings

if TYPE_CHECKING:
    from leasing.db.pool import Database

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command. What its user can do something about is told in a sentence, without a
    traceback."""
    import uvloop
    from asyncpg import InvalidAuthorizationSpecificationError, InvalidCatalogNameError

    from leasing.db.cluster import EmbeddedServerError
    from leasing.kit.errors import DomainError

    try:
        return uvloop.run(work)
    except DomainError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    except EmbeddedServerError as error:
        raise click.ClickException(str(error)) from error
    except (
        ConnectionError,
        FileNotFoundError,
        InvalidAuthorizationSpecificationError,
        InvalidCatalogNameError,
    ) as error:
        raise click.ClickException(
            f"the database cannot be reached: {error}. Is LEASING_DSN right?"
        ) from error


def say(line: str) -> None:
    click.echo(line, err=True)


@asynccontextmanager
async def database(settings: Settings | None = None) -> AsyncIterator["Database"]:
    """An open, migrated database."""
    from leasing.db.migrate import MigrationError, migrate
    from leasing.db.pool import connect
    from leasing.kit.time import system_now
    from leasing.obligations import calendar_store
    from leasing.regions import store as regions

    settings = settings or read_settings()
    async with server(settings) as dsn:
        try:
            applied = await migrate(dsn, settings, say)
        except MigrationError as error:
            raise click.ClickException(str(error)) from error
        async with await connect(dsn, settings) as db:
            async with db.transaction() as tx:
                if applied or not await regions.is_complete(tx):
                    await regions.load(tx)
                if not await calendar_store.is_current(tx):
                    await calendar_store.load(tx, by="packages", now=system_now())
            yield db


@asynccontextmanager
async def server(settings: Settings) -> AsyncIterator[str]:
    """A server to connect to: the one LEASING_DSN names, or the embedded one, which is started
    when it is not running and kept alive while we use it."""
    from leasing.db.embedded import EmbeddedServer
    from leasing.db.supervisor import keep_alive

    if settings.dsn is not None:
        yield settings.dsn
        return
    async with AsyncExitStack() as stack:
        embedded = await asyncio.to_thread(EmbeddedServer.start, settings.data, say)
        stack.callback(embedded.stop)
        watch = asyncio.create_task(keep_alive(embedded, say))
        stack.push_async_callback(cancelled, watch)
        yield embedded.dsn


async def cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
