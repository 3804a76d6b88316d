"""A hundred firms lose what they had on one day."""

from datetime import date
from typing import Any

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.outlets import generator
from leasing.outlets import store as outlets
from leasing.parties.credit_code import check_character, organisation_check_character
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.recyclers.steps import listed, run_job, states

DAY = "2026-07-30"
GATE = ["filing", "eia", "discharge_permit"]


def withdrawal(firms: list[str], kinds: list[str], **changes: Any) -> Json:
    return {
        "announcement_no": "2026 年第 20 号",
        "document": "工业和信息化部公告",
        "withdrawn_on": DAY,
        "kinds": kinds,
        "firms": firms,
        **changes,
    }


def credit_code(number: int) -> str:
    organisation = f"EXAM{number:04d}"
    first17 = f"91410100{organisation}{organisation_check_character(organisation)}"
    return first17 + check_character(first17)


MANY = """
INSERT INTO party (kind, name, credit_code, created_at)
SELECT 'recycler', 'Firm ' || code, code, $2
  FROM unnest($1::text[]) AS code
"""

PAPERS = """
INSERT INTO qualification (party_id, kind, valid, document)
SELECT party.id, paper, '[2025-01-01,2030-01-01)', paper || ' of ' || credit_code
  FROM party, unnest('{filing,eia,discharge_permit,listing}'::text[]) AS paper
 WHERE party.credit_code = ANY ($1::text[])
"""

STEPS = """
INSERT INTO listing_step (recycler_id, sequence, state, from_on, reason, document, listed_on,
                          entered_by, entered_at)
SELECT id, 1, 'listed', '2025-01-01', 'announced', 'x', '2025-01-01', 'test', $2
  FROM party
 WHERE credit_code = ANY ($1::text[])
"""


async def many(world: World, count: int) -> list[str]:
    """So many listed firms with all their papers; returns their credit codes."""
    codes = [credit_code(number) for number in range(count)]
    async with world.db.transaction() as tx:
        now = midnight(date(2025, 1, 1))
        await tx.execute(MANY, codes, now)
        await tx.execute(PAPERS, codes)
        await tx.execute(STEPS, codes, now)
    return codes


def test_a_hundred_firms_are_withdrawn_on_one_day_and_the_hit_routings_are_counted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            codes = await many(world, 120)
            firms = (await world.staff.get("/v1/parties", kind="recycler", limit=200))["items"]
            by_code = {firm["credit_code"]: firm["id"] for firm in firms}
            gone, spared = codes[:100], codes[100:]
            near = await build.outlet(world, by_code[gone[0]], longitude=113.57)
            packs = await stories.condemned_packs(world, 4)
            for pack, on in zip(packs, ("07-29", "07-30", "09-01"), strict=False):
                path = f"/v1/packs/{pack['id']}/routings"
                await world.staff.post(path, {"hand_over_on": f"2026-{on}"})
            far = await build.outlet(world, by_code[spared[0]], longitude=114.5)
            body = withdrawal(gone, [*GATE, "listing"])
            answer = await world.staff.post("/v1/withdrawals", body)
            assert len(answer["firms"]) == 100
            assert all(firm["lost"] == sorted([*GATE, "listing"]) for firm in answer["firms"])
            assert all(firm["gate_lost"] for firm in answer["firms"])
            # Handed over the day before, the pack still goes to a firm that is qualified.
            assert (answer["open_routings"], answer["open_kg"], answer["to_reroute"]) == (2, 92, 2)
            assert [one["id"] for one in answer["outlets"]] == [near]
            first = next(one for one in answer["firms"] if one["id"] == by_code[gone[0]])
            assert (first["outlets"], first["open_routings"]) == (1, 2)
            # Nobody is chosen any more whose papers end before the hand-over.
            path = f"/v1/packs/{packs[3]['id']}/routings"
            other = await world.staff.post(path, {"hand_over_on": DAY})
            assert other["outlet_id"] == far
            listing = await states(world, by_code[gone[7]])
            # The reports of 2025 are missing: that came first, by itself.
            assert listing == [
                ("listed", "2025-01-01", "announced"),
                ("rectifying", "2026-04-01", "no_annual_report"),
                ("withdrawn", DAY, "announced_withdrawal"),
            ]
            assert len(await states(world, by_code[spared[0]])) == 1
            # What is moved is no longer hit.
            routings = await world.staff.get("/v1/routings", state="reserved")
            moved = [one for one in routings["items"] if one["hand_over_on"] == "2026-09-01"]
            release = f"/v1/routings/{moved[0]['id']}/release"
            await world.staff.post(release, {"released_on": "2026-06-15", "reason": "withdrawn"})
            again = await world.staff.get(f"/v1/withdrawals/{answer['id']}")
            assert again["open_routings"] == 1
            (row,) = (await world.staff.get("/v1/withdrawals"))["items"]
            assert (row["firms"], row["announcement_no"]) == (100, "2026 年第 20 号")

    database(scenario)


def test_the_list_alone_is_advisory_and_nothing_must_be_moved(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-01")
            await build.outlet(world, firm["id"])
            (pack,) = await stories.condemned_packs(world, 1)
            await world.staff.post(f"/v1/packs/{pack['id']}/routings", {"hand_over_on": DAY})
            answer = await world.staff.post(
                "/v1/withdrawals", withdrawal([firm["id"]], ["listing"])
            )
            assert (answer["open_routings"], answer["to_reroute"]) == (1, 0)
            assert answer["firms"][0]["gate_lost"] is False
            page = await world.staff.get(f"/v1/recyclers/{firm['id']}", as_of=DAY)
            assert (page["listing_state"], page["missing"]) == ("withdrawn", [])
            before = await world.staff.get(f"/v1/recyclers/{firm['id']}", as_of="2026-07-29")
            assert before["listing_state"] == "listed"
            await run_job(world, date(2028, 7, 30))
            assert (await states(world, firm["id"]))[-1] == ("eligible", "2028-07-30", "bar_over")

    database(scenario)


def test_a_firm_that_is_not_known_or_named_twice_is_told_by_its_place_and_nothing_is_written(
    database,
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (code,) = await many(world, 1)
            (firm,) = (await world.staff.get("/v1/parties", kind="recycler"))["items"]
            customer = await build.customer(world)
            unknown = "00000000-0000-0000-0000-000000000007"
            names = [code, customer["id"], firm["id"], unknown, "9141"]
            problem = await world.staff.refused(
                "POST", "/v1/withdrawals", 400, withdrawal(names, ["filing"])
            )
            assert problem["code"] == "unknown_firms"
            assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [
                ("/firms/1", "unknown_recycler"),
                ("/firms/2", "named_twice"),
                ("/firms/3", "unknown_recycler"),
                ("/firms/4", "unknown_recycler"),
            ]
            assert (await world.staff.get("/v1/withdrawals"))["items"] == []
            papers = await world.staff.get(f"/v1/parties/{firm['id']}/qualifications")
            assert all(one["withdrawn_on"] is None for one in papers)

    database(scenario)


def test_evidence_that_begins_on_the_day_or_later_is_not_passed_over_in_silence(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world, valid_to=date(2026, 9, 1))
            renewed = {"kind": "filing", "valid_from": "2026-09-01", "document": "续"}
            await world.staff.post(f"/v1/parties/{firm['id']}/qualifications", renewed)
            answer = await world.staff.post("/v1/withdrawals", withdrawal([firm["id"]], GATE))
            (told,) = answer["firms"]
            assert (told["lost"], told["still_valid"]) == (sorted(GATE), ["filing"])

    database(scenario)


def test_who_was_moved_on_the_list_after_that_day_stops_the_whole(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            early, late = await listed(world, "2026-06-01"), await listed(world, "2026-06-12")
            body = withdrawal([early["id"], late["id"]], ["listing"], withdrawn_on="2026-06-10")
            problem = await world.staff.refused("POST", "/v1/withdrawals", 409, body)
            assert [one["pointer"] for one in problem["errors"]] == ["/firms/1"]
            assert len(await states(world, early["id"])) == 1

    database(scenario)


def test_a_recycler_does_not_read_withdrawals_of_others(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await listed(world, "2026-06-01")
            await world.staff.post("/v1/withdrawals", withdrawal([firm["id"]], ["listing"]))
            theirs = await world.login(Role.RECYCLER, firm["id"])
            await theirs.refused("GET", "/v1/withdrawals", 403)
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get("/v1/withdrawals"))["items"]) == 1

    database(scenario)


def test_the_generated_network_loses_a_tenth_of_its_recyclers_at_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            network = generator.generate(date(2026, 6, 15))
            async with world.db.transaction() as tx:
                ids = await outlets.insert_network(tx, network, midnight(date(2026, 6, 15)))
            firms = [str(recycler_id) for recycler_id in ids[:5]]
            answer = await world.staff.post("/v1/withdrawals", withdrawal(firms, GATE))
            counted = sum(1 for outlet in network.outlets if outlet.recycler < 5)
            assert sum(firm["outlets"] for firm in answer["firms"]) == counted > 500

    database(scenario)
