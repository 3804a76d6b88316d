"""Two who change a lease at once: one of them is first, and nothing is half-done."""

import asyncio

from leasing.db.pool import Database
from tests import build
from tests.build import Json, World


async def standing(world: World, lease: Json) -> list[tuple[str, str | None]]:
    """`(pack, until)` of the stays in a line."""
    stays = await world.staff.get(f"/v1/lines/{lease['line']['id']}/placements")
    return [(stay["pack_id"], stay["to_on"]) for stay in stays]


def test_of_two_swaps_that_bring_in_one_pack_at_once_the_other_changes_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for _ in range(5):
                leases = [await build.leased_pack(world) for _ in range(2)]
                wanted = (await build.pack(world))["id"]
                swap = build.acceptance(wanted, "2026-06-01")
                answers = await asyncio.gather(
                    *[
                        world.staff.ask("POST", f"/v1/lines/{one['line']['id']}/swaps", json=swap)
                        for one in leases
                    ]
                )
                by_status = {
                    answer.status_code: (answer, lease)
                    for answer, lease in zip(answers, leases, strict=True)
                }
                assert sorted(by_status) == [201, 409]
                (_, winner), (refusal, other) = by_status[201], by_status[409]
                assert refusal.json()["code"] == "pack_already_leased"
                old = winner["pack"]["id"]
                assert await standing(world, winner) == [(old, "2026-06-01"), (wanted, None)]
                kept = other["pack"]["id"]
                assert await standing(world, other) == [(kept, None)]
                states = [
                    (await world.staff.get(f"/v1/packs/{one}"))["state"]
                    for one in (old, wanted, kept)
                ]
                assert states == ["returned", "leased", "leased"]
                life = await world.staff.get(f"/v1/packs/{kept}/life")
                assert "pack.returned" not in str(life)

    database(scenario)


def test_an_amendment_and_a_swap_into_another_class_at_once_follow_one_another(database):
    """Both change the rent from the same day on. Whoever is second changes what the first left,
    and each day has one rent."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for _ in range(5):
                lease = await build.leased_pack(world)
                line = f"/v1/lines/{lease['line']['id']}"
                wanted = (await build.pack(world))["id"]
                swap = {
                    **build.acceptance(wanted, "2026-06-01"),
                    "rated_capacity_mah": 50_000,
                    "rent_amount": 20_000,
                }
                amendment = {
                    "from_on": "2026-06-01",
                    "reason": "cheaper",
                    "rents": [{"line_id": lease["line"]["id"], "rent_amount": 25_000}],
                    "terms": {"payment_days": 60},
                }
                path = f"/v1/contracts/{lease['contract']['id']}"
                headers = {"If-Match": f'"v{(await world.staff.get(path))["version"]}"'}
                answers = await asyncio.gather(
                    world.staff.ask("POST", f"{line}/swaps", json=swap),
                    world.staff.ask("POST", f"{path}/amendments", json=amendment, headers=headers),
                )
                assert [answer.status_code for answer in answers] == [201, 201], answers[1].text
                before, after = await world.staff.get(f"{line}/revisions")
                assert (before["to_on"], after["from_on"]) == ("2026-06-01", "2026-06-01")
                assert before["rent_amount"] == 31_000
                (change,) = [one for one in answers[1].json()["changes"] if one["line_id"]]
                swapped_first = change["before"] == 20_000
                assert change["before"] in (20_000, 31_000)
                assert after["rent_amount"] == (25_000 if swapped_first else 20_000)
                assert after["rated_capacity_mah"] == 50_000
                assert await standing(world, lease) == [
                    (lease["pack"]["id"], "2026-06-01"),
                    (wanted, None),
                ]
                contract = await world.staff.get(path)
                assert contract["payment_days"] == 60

    database(scenario)
