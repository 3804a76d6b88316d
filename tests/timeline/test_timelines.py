"""Timelines through the API: order, effective and recorded days, and who may read what."""

import json
from datetime import date
from uuid import uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from tests import build
from tests.api import stories
from tests.build import World
from tests.timeline import lives
from tests.timeline.lives import BEGINS_ON, days, told

CONTRACT = [
    ("2026-01-05", "contract.drafted"),
    ("2026-01-05", "contract.offered"),
    ("2026-01-05", "contract.signed"),
    ("2026-01-05", "contract.active"),
    ("2026-01-11", "line.accepted"),
    ("2026-02-03", "line.suspended"),
    ("2026-02-10", "line.resumed"),
    ("2026-03-01", "line.swapped"),
    ("2026-04-01", "line.relocated"),
    ("2026-05-02", "line.damaged"),
    ("2026-05-06", "line.amended"),
    ("2026-05-06", "contract.amended"),
    ("2026-05-09", "line.stolen"),
    ("2026-05-18", "line.pack_found"),
    ("2026-05-20", "line.accepted"),
    ("2026-06-01", "line.ended"),
]


def test_a_contract_s_timeline_tells_its_whole_life_by_the_day_it_was_effective(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            entries = await told(world.staff, "contract", life["contract"])
            assert days(entries) == CONTRACT
            assert await told(world.staff, "contract", life["contract"], until="2030-01-01") == (
                entries
            )
            by_kind = {entry["kind"]: entry for entry in entries}
            accepted = next(one for one in entries if one["kind"] == "line.accepted")
            assert accepted["summary_en"] == "A pack was handed over, tested at 96.5 Ah."
            assert accepted["summary_zh"] == "电池组交付验收,实测容量 96.5 Ah。"
            assert accepted["recorded_at"] == "2026-01-12T04:00:00Z"
            assert accepted["actor"].startswith("staff:")
            assert accepted["facts"]["pack_id"] == life["packs"][0]
            assert by_kind["line.suspended"]["summary_en"] == "The rent was suspended: flood."
            assert by_kind["line.stolen"]["summary_zh"] == "电池组被盗,原因:door forced。"
            assert by_kind["contract.amended"]["summary_en"].endswith(": new price.")
            assert by_kind["line.amended"]["summary_en"].endswith(": new price.")

    database(scenario)


def test_entries_lead_both_ways_between_contract_site_pack_and_line(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            entries = await told(world.staff, "contract", life["contract"])
            swapped = next(one for one in entries if one["kind"] == "line.swapped")
            named = {(one["kind"], one["id"]) for one in swapped["subjects"]}
            assert named == {
                ("line", life["line"]),
                ("contract", life["contract"]),
                ("site", life["sites"][0]),
                ("pack", life["packs"][0]),
                ("pack", life["packs"][1]),
            }
            for kind, subject_id in named - {("line", life["line"])}:
                there = await told(world.staff, kind, subject_id)
                assert swapped["id"] in {one["id"] for one in there}, kind
            stolen = next(one for one in entries if one["kind"] == "line.stolen")
            assert {"kind": "incident", "id": life["incident"]} in stolen["subjects"]

    database(scenario)


def test_a_site_s_timeline_begins_and_ends_with_what_stood_there(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            first, second = [await told(world.staff, "site", one) for one in life["sites"]]
            lines = [one for one in CONTRACT if one[1].startswith("line.")]
            moved = lines.index(("2026-04-01", "line.relocated"))
            entered = [("2026-01-05", "site.created")]
            assert days(first) == entered + lines[: moved + 1]
            assert days(second) == entered + lines[moved:]

    database(scenario)


def test_a_pack_s_timeline_tells_its_leases_and_no_other_pack_s(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            await stories.inspect(world, life["packs"][1], "2026-06-01")
            await stories.decide(world, life["packs"][1], "recycle", "2026-06-01")
            first, second, third = [await told(world.staff, "pack", one) for one in life["packs"]]
            assert days(first) == [
                ("2025-01-02", "pack.acquired"),
                ("2026-01-11", "line.accepted"),
                ("2026-02-03", "line.suspended"),
                ("2026-02-10", "line.resumed"),
                ("2026-03-01", "line.swapped"),
            ]
            assert days(second)[1:] == [
                ("2026-03-01", "line.swapped"),
                ("2026-04-01", "line.relocated"),
                ("2026-05-02", "line.damaged"),
                ("2026-05-06", "line.amended"),
                ("2026-05-09", "line.stolen"),
                ("2026-05-18", "line.pack_found"),
                ("2026-06-01", "pack.inspected"),
                ("2026-06-01", "waste.declared"),
            ]
            assert second[-1]["summary_en"] == "The pack was declared waste: as inspected."
            assert days(third)[1:] == [
                ("2026-05-20", "line.accepted"),
                ("2026-06-01", "line.ended"),
            ]

    database(scenario)


def test_what_was_recorded_late_stands_on_its_day_and_is_not_known_before(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            contract = life["contract"]
            # Damaged on May 2nd, recorded on May 8th; amended for May 6th, recorded on April 15th.
            damaged = ("2026-05-02", "line.damaged")
            known = await told(world.staff, "contract", contract, as_of="2026-05-07")
            assert damaged not in days(known)
            later = CONTRACT.index(("2026-05-09", "line.stolen"))
            assert days(known) == [one for one in CONTRACT[:later] if one != damaged]
            known = await told(world.staff, "contract", contract, as_of="2026-05-08")
            assert days(known) == CONTRACT[:later]
            late = next(one for one in known if one["kind"] == "line.damaged")
            assert late["recorded_at"] == "2026-05-08T04:00:00Z"
            # As known today, it had happened by May 2nd; until the day before, not.
            there = await told(world.staff, "contract", contract, until="2026-05-02")
            assert days(there) == CONTRACT[: CONTRACT.index(damaged) + 1]
            there = await told(world.staff, "contract", contract, until="2026-05-01")
            assert days(there) == CONTRACT[: CONTRACT.index(damaged)]
            # An amendment is known before it is effective.
            amended = ("2026-05-06", "contract.amended")
            known = await told(world.staff, "contract", contract, as_of="2026-04-15")
            assert amended in days(known)
            both = {"as_of": "2026-04-15", "until": "2026-04-15"}
            assert amended not in days(await told(world.staff, "contract", contract, **both))

    database(scenario)


def test_an_evening_in_shanghai_ends_the_day_of_recording(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await build.leased_pack(world, on="2026-01-05")
            note = {"text": "late", "visible_to_customer": True}
            async with db.transaction() as tx:
                await tx.execute("UPDATE clock SET now_at = '2026-01-07 16:00:00Z'")
            await world.staff.post(f"/v1/contracts/{life['contract']['id']}/notes", note)
            contract = life["contract"]["id"]
            entries = await told(world.staff, "contract", contract)
            assert days(entries)[-1] == ("2026-01-08", "note.added")
            known = await told(world.staff, "contract", contract, as_of="2026-01-07")
            assert known == entries[:-1]
            assert await told(world.staff, "contract", contract, as_of="2026-01-08") == entries

    database(scenario)


def test_an_invoice_is_on_the_timeline_of_its_contract(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            both = await stories.neighbours(world)
            entries = await told(world.staff, "contract", both["a"]["contract"])
            (issued,) = [one for one in entries if one["kind"] == "invoice.finalised"]
            assert issued["on"] == "2026-02-01"
            assert {"kind": "invoice", "id": both["a"]["invoice"]} in issued["subjects"]
            assert [one["kind"] for one in entries].count("duty.opened") == 1

    database(scenario)


def test_a_field_of_the_lessor_s_own_moves_no_entry_and_names_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            life = await build.leased_pack(world)
            other = await build.pack(world)
            site = f"/v1/sites/{life['site']['id']}"
            for key in ("on", "pack_id", "reason"):
                field = {
                    "subject_kind": "site",
                    "key": key,
                    "label_zh": key,
                    "label_en": key,
                    "type": "text",
                    "visible_to_customer": True,
                }
                await world.staff.post("/v1/custom-fields", field)
            values = {"on": "not a day", "pack_id": other["id"]}
            answer = await world.staff.ask(
                "PATCH", f"{site}/custom-fields", json=values, headers={"If-Match": '"v1"'}
            )
            assert answer.status_code == 200, answer.text
            entries = await told(world.staff, "site", life["site"]["id"])
            assert days(entries)[-1] == (str(build.TODAY), "custom_fields.changed")
            assert days(await told(world.staff, "pack", other["id"])) == [
                ("2025-01-02", "pack.acquired")
            ]
            customer = await world.login(Role.CUSTOMER, life["customer"]["id"])
            seen = await told(customer, "site", life["site"]["id"])
            assert days(seen) == days(entries)[:-1]

    database(scenario)


# --- Outside the lessor -----------------------------------------------------------------------


def test_a_customer_reads_its_own_timelines_without_the_names_of_staff(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            customer = await world.login(Role.CUSTOMER, life["customer"])
            for kind, subject_id in (
                ("contract", life["contract"]),
                ("site", life["sites"][0]),
                ("site", life["sites"][1]),
            ):
                own = await told(customer, kind, subject_id)
                entries = await told(world.staff, kind, subject_id)
                assert days(own) == days(entries)
                assert {one["actor"] for one in own} == {"staff"}
                assert [one["facts"] for one in own] == [one["facts"] for one in entries]

    database(scenario)


def test_another_customer_s_timelines_are_not_there(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            life = await lives.full_life(world)
            other = await build.leased_pack(world, on="2026-06-01")
            client = await world.login(Role.CUSTOMER, other["customer"]["id"])
            for path in (
                f"/v1/contracts/{life['contract']}/timeline",
                f"/v1/sites/{life['sites'][0]}/timeline",
                f"/v1/sites/{life['sites'][1]}/packs",
                f"/v1/packs/{life['packs'][1]}/timeline",
                f"/v1/packs/{life['packs'][1]}/custody",
            ):
                await client.refused("GET", path, 404)
                unknown = path.split("/")
                unknown[3] = str(uuid4())
                await world.staff.refused("GET", "/".join(unknown), 404)

    database(scenario)


def test_two_lessees_of_one_pack_see_each_their_own_time_with_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            await one_pack_two_lessees(world)

    database(scenario)


async def one_pack_two_lessees(world: World) -> None:
    """The first gives the pack back on March 1st; it is inspected, released and handed to the
    second on that same day."""
    staff = world.staff
    await world.set_clock(date(2026, 2, 1))
    first = await build.leased_pack(world, on="2026-02-01")
    second = await build.leased_pack(world, on="2026-02-01")
    pack = first["pack"]["id"]
    path = f"/v1/packs/{pack}"
    await world.set_clock(date(2026, 2, 10))
    serial = {"value": "SN-1", "scheme": "maker_serial", "assigned_by": "EVE"}
    await staff.post(f"{path}/identifiers", {**serial, "valid_from": "2026-02-10"})
    for text, shown in (("for you", True), ("for us", False)):
        await staff.post(f"{path}/notes", {"text": text, "visible_to_customer": shown})
    await world.set_clock(date(2026, 3, 1))
    await stories.give_back(world, first["line"]["id"], "2026-03-01")
    await stories.inspect(world, pack, "2026-03-01")
    await stories.decide(world, pack, "release", "2026-03-01")
    swap = build.acceptance(pack, "2026-03-01")
    await staff.post(f"/v1/lines/{second['line']['id']}/swaps", swap)
    await world.set_clock(date(2026, 3, 5))
    await staff.post(f"{path}/identifiers", {**serial, "value": "SN-2"})
    seen = {}
    for name, lease in (("first", first), ("second", second)):
        client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
        seen[name] = await told(client, "pack", pack)
        other = second if name == "first" else first
        for thing in ("customer", "site", "line", "contract"):
            assert other[thing]["id"] not in json.dumps(seen[name]), (name, thing)
        assert {entry["actor"] for entry in seen[name]} == {"staff"}
    assert days(seen["first"]) == [
        ("2026-02-01", "line.accepted"),
        ("2026-02-10", "pack.identified"),
        ("2026-02-10", "note.added"),
        ("2026-03-01", "line.ended"),
    ]
    assert days(seen["second"]) == [
        ("2026-03-01", "line.swapped"),
        ("2026-03-05", "pack.identified"),
    ]
    everything = await told(staff, "pack", pack)
    assert len(everything) == 1 + 5 + 2 + 2


def test_when_a_contract_changes_hands_each_side_keeps_its_part(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            lease = await build.leased_pack(world, on="2026-01-05")
            taker = await build.customer(world, "Second operator")
            await world.set_clock(date(2026, 3, 1))
            old = lease["contract"]["id"]
            handed = {
                "number": "TAKEN-1",
                "lessee_id": taker["id"],
                "from_on": "2026-03-01",
                "lessor_signatory": "赵总",
                "lessee_signatory": "钱总",
                "new_lessee_signatory": "孙总",
            }
            new = (await world.staff.post(f"/v1/contracts/{old}/transfers", handed))["id"]
            giver = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            given = await told(giver, "contract", old)
            assert days(given)[-2:] == [
                ("2026-03-01", "line.transferred"),
                ("2026-03-01", "contract.transferred"),
            ]
            assert "孙总" not in json.dumps(given, ensure_ascii=False)
            await giver.refused("GET", f"/v1/contracts/{new}/timeline", 404)
            receiver = await world.login(Role.CUSTOMER, taker["id"])
            taken = await told(receiver, "contract", new)
            assert [one["kind"] for one in taken] == ["line.transferred", "contract.transferred"]
            assert "钱总" not in json.dumps(taken, ensure_ascii=False)
            pack = lease["pack"]["id"]
            assert days(await told(giver, "pack", pack)) == [
                ("2026-01-05", "line.accepted"),
                ("2026-03-01", "line.transferred"),
            ]
            assert days(await told(receiver, "pack", pack)) == [("2026-03-01", "line.transferred")]
            for client, whose, until in (
                (giver, lease["customer"]["id"], "2026-03-01"),
                (receiver, taker["id"], None),
            ):
                (period,) = (await client.get(f"/v1/packs/{pack}/custody"))["history"]
                assert (period["party_id"], period["to_on"]) == (whose, until)

    database(scenario)


def test_a_recycler_sees_of_a_pack_its_way_there_and_nothing_before(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            both = await stories.neighbours(world)
            own, other = both["a"], both["b"]
            recycler = await world.login(Role.RECYCLER, own["recycler"])
            entries = await told(recycler, "pack", own["worn"])
            assert days(entries) == [
                ("2026-02-01", "routing.chosen"),
                ("2026-02-01", "routing.handed_over"),
            ]
            assert {"kind": "routing", "id": own["routing"]} in entries[0]["subjects"]
            custody = await recycler.get(f"/v1/packs/{own['worn']}/custody", on="2026-02-01")
            assert [one["state"] for one in custody["history"]] == ["handed_over"]
            assert custody["held"]["outlet_id"] == own["outlet"]
            for path in ("timeline", "custody"):
                await recycler.refused("GET", f"/v1/packs/{other['worn']}/{path}", 404)
                await recycler.refused("GET", f"/v1/packs/{own['fresh']}/{path}", 404)
            await recycler.refused("GET", f"/v1/contracts/{own['contract']}/timeline", 403)
            await recycler.refused("GET", f"/v1/sites/{own['site']}/timeline", 403)

    database(scenario)


@pytest.mark.parametrize("role", [DbRole.CUSTOMER, DbRole.RECYCLER])
def test_below_the_code_an_outsider_reads_no_name_of_staff_and_no_foreign_event(database, role):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=BEGINS_ON) as world:
            both = await stories.neighbours(world)
            party = both["a"]["customer" if role is DbRole.CUSTOMER else "recycler"]
            actor = Actor(role, party)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with db.transaction(actor) as tx:
                    await tx.fetch("SELECT actor FROM domain_event")
            async with db.transaction(actor) as tx:
                rows = await tx.fetch("SELECT aggregate_id, kind, data FROM domain_event")
            assert len(rows) >= 2
            text = json.dumps([[str(row[0]), row[1], row[2]] for row in rows])
            for name, value in both["b"].items():
                assert value not in text, name
            kinds = {row["kind"] for row in rows}
            assert not kinds & {"pack.acquired", "pack.inspected", "waste.declared"}
            assert not {kind for kind in kinds if kind.startswith(("party", "qualification"))}

    database(scenario)
