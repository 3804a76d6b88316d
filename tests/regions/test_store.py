"""The divisions of the country in the database."""

from leasing.db.pool import Database
from leasing.regions import store
from leasing.regions.model import prefectures


def test_a_table_that_was_not_filled_is_noticed_and_filled(database) -> None:
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            assert await store.is_complete(tx)
            await tx.execute("DELETE FROM prefecture WHERE adcode = '410100'")
            assert not await store.is_complete(tx)
            assert await store.load(tx) == len(prefectures())
            assert await store.is_complete(tx)

    database(scenario)
