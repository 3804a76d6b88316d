"""A route that is read without a transaction sends one statement, and only for the lessor."""

from uuid import uuid4

import asyncpg
from litestar import Litestar

from leasing.access.model import Role
from leasing.db.pool import Database
from tests.build import Json, World, leased_pack, world


def routes(app: Litestar) -> list[str]:
    return sorted(
        route.path_format
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if handler.opt.get("one_statement")
    )


async def sent_by(made: World, client_role: Role, path: str) -> list[str]:
    """The statements behind a GET by a key that is remembered already."""
    client = await made.login(client_role)
    made.app.app.alive["gate"].remember_seconds = 60.0
    await client.ask("GET", path)
    statements: list[str] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        statements.append(query.query.strip())

    # Requests that come one after the other get the connection that was given back last.
    async with made.db.pool.acquire() as connection:
        connection.add_query_logger(note)
    await client.ask("GET", path)
    async with made.db.pool.acquire() as connection:
        connection.remove_query_logger(note)
    return statements


def ids(story: Json) -> dict[str, str]:
    return {
        "site_id": story["site"]["id"],
        "contract_id": story["contract"]["id"],
        "pack_id": story["pack"]["id"],
        "party_id": story["customer"]["id"],
        "invoice_id": str(uuid4()),
    }


def test_a_route_of_one_statement_sends_no_other(database):
    async def scenario(db: Database) -> None:
        async with world(db) as made:
            known = ids(await leased_pack(made))
            paths = [path.format(**known) for path in routes(made.app.app.app)]
            assert len(paths) == 4
            for path in paths:
                statements = await sent_by(made, Role.STAFF, path)
                assert len(statements) == 1, statements
                assert statements[0].startswith("SELECT"), statements

    database(scenario)


def test_whoever_steps_down_to_a_role_gets_a_transaction_all_the_same(database):
    async def scenario(db: Database) -> None:
        async with world(db) as made:
            known = ids(await leased_pack(made))
            for path in routes(made.app.app.app):
                begin, _, commit = await sent_by(made, Role.AUDITOR, path.format(**known))
                assert "READ ONLY; SET LOCAL ROLE leasing_auditor" in begin
                assert commit in ("COMMIT", "ROLLBACK")

    database(scenario)
