"""How the plan of a run is made: each contract is joined with the one who pays for it, however many
contracts and payers there are."""

from collections.abc import Iterator
from typing import Any

from leasing.billing import planning, runs
from leasing.billing.running import MAX_INVOICES
from leasing.db.pool import Connection, Database
from leasing.kit.time import midnight
from tests.billing.steps import FEBRUARY, lease_out, one

CUSTOMERS = 200


class Explaining:
    """A connection that tells how the plan was carried out."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx
        self.carried_out: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tx, name)

    async def execute(self, sql: str, *arguments: Any) -> str:
        if sql != planning.PLAN:
            return await self.tx.execute(sql, *arguments)
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
        (told,) = await self.tx.fetchval(explain, *arguments)
        self.carried_out = told["Plan"]
        return f"INSERT 0 {self.carried_out['Tuples Inserted']}"


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from nodes(below)


def test_a_plan_compares_no_contract_with_all_who_pay(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1] * CUSTOMERS)
        async with db.transaction() as tx:
            run_id = await runs.open_run(tx, FEBRUARY, None, MAX_INVOICES, midnight(FEBRUARY))
            watched: Any = Explaining(tx)
            assert await planning.plan(watched, await runs.get_run(tx, run_id)) == CUSTOMERS
            assert await tx.fetchval("SHOW enable_nestloop") == "on"
        thrown_away = sum(
            node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
            for node in nodes(watched.carried_out)
        )
        assert thrown_away <= CUSTOMERS
        assert await one(db, "SELECT count(*) FROM billing_item") == CUSTOMERS

    database(scenario)
