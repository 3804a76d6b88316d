"""What must be reported follows from what is recorded, by the rule of the event's own day."""

from leasing.db.pool import Database
from tests import build


def test_an_acquired_pack_opens_an_obligation_of_the_lessor(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world, acquired_on="2026-01-30")
            (found,) = (await world.staff.get("/v1/obligations"))["items"]
            assert (found["pack_id"], found["rule_code"]) == (
                pack["id"],
                "repurposer.pack.acquired",
            )
            assert (found["due_on"], found["is_provisional"]) == ("2026-02-27", False)
            assert (found["party_id"], found["state"]) == (None, "due")

    database(scenario)
