"""Parties over HTTP: what is known of them, their groups, roles, contacts, and who sees it."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from leasing.parties.credit_code import check_character, organisation_check_character
from tests import build
from tests.api import stories
from tests.build import Client, Json, World

TODAY = str(build.TODAY)


def credit_code(number: int) -> str:
    own = f"MA{number:06}"
    first17 = f"91410100{own}{organisation_check_character(own)}"
    return first17 + check_character(first17)


async def enter(world: World, name: str, **facts: Any) -> Json:
    made: Json = await world.staff.post("/v1/parties", {"kind": "customer", "name": name, **facts})
    return made


async def change(client: Client, party_id: str, json: Json, status: int = 200) -> Json:
    """PATCH what is there now, whatever its version."""
    path = f"/v1/parties/{party_id}"
    version = (await client.ask("GET", path)).headers["etag"]
    answer = await client.ask("PATCH", path, json=json, headers={"if-match": version})
    assert answer.status_code == status, answer.text
    changed: Json = answer.json()
    return changed


async def group(world: World) -> tuple[Json, Json, Json]:
    """An operator, its company of a province, and that of a city below it."""
    operator = await enter(world, "Operator")
    province = await enter(world, "Province", parent_id=operator["id"])
    return operator, province, await enter(world, "City", parent_id=province["id"])


async def add_role(world: World, party_id: str, role: str, valid_from: str, **more: Any) -> Json:
    facts = {"role": role, "valid_from": valid_from, **more}
    made: Json = await world.staff.post(f"/v1/parties/{party_id}/roles", facts)
    return made


def named(page: Json) -> list[str]:
    return [one["name"] for one in page["items"]]


async def billing_party(world: World, party: Json) -> str:
    found: str = (await world.staff.get(f"/v1/parties/{party['id']}"))["billing_party_id"]
    return found


# --- What is known of a party -----------------------------------------------------------------


def test_a_party_is_entered_with_what_is_known_and_changed_later(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            facts = {
                "name": "示例铁塔河南有限公司",
                "name_en": "Example Towers Henan",
                "short_name": "河南铁塔",
                "credit_code": credit_code(1),
                "home_adcode": "410100",
                "registered_address": "河南省郑州市金水区 1 号",
            }
            made = await world.staff.post("/v1/parties", {"kind": "customer", **facts})
            assert facts.items() <= made.items()
            assert (made["version"], made["parent_id"]) == (1, None)
            assert (made["billing_party_id"], made["chosen_billing_party_id"]) == (made["id"], None)
            bare = await enter(world, "Bare")
            assert {bare[name] for name in facts if name != "name"} == {None}
            changes = {"name": "新名称", "short_name": None, "credit_code": credit_code(2)}
            changed = await change(world.staff, made["id"], changes)
            assert changed == {**made, **changes, "version": 2}
            assert await world.staff.get(f"/v1/parties/{made['id']}") == changed
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            (told,) = [event for event in events if event["kind"] == "party.changed"]
            assert (told["aggregate_id"], told["data"]) == (made["id"], changes)

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "status", "code", "pointer"),
    [
        ({"kind": "recycler"}, 400, "invalid_payload", "/kind"),
        ({"name": None}, 400, "invalid_payload", "/name"),
        ({"name_en": " "}, 400, "invalid_payload", "/name_en"),
        ({"registered_address": "x" * 201}, 400, "invalid_payload", "/registered_address"),
        ({"credit_code": credit_code(1)}, 409, "credit_code_taken", None),
        ({"credit_code": "91350100M000100YX3"}, 400, "bad_credit_code", "/credit_code"),
        ({"parent_id": str(uuid4())}, 409, "bad_parent", None),
        ({"billing_party_id": str(uuid4())}, 409, "bad_billing_party", None),
    ],
)
def test_a_change_that_cannot_be_is_refused(database, changes, status, code, pointer):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await enter(world, "Other", credit_code=credit_code(1))
            party = await enter(world, "Party")
            problem = await change(world.staff, party["id"], changes, status)
            assert problem["code"] == code
            assert [error["pointer"] for error in problem["errors"]] == (
                [pointer] if pointer else []
            )
            entered = {"kind": "customer", "name": "New", **changes}
            if "kind" not in changes:
                problem = await world.staff.refused("POST", "/v1/parties", status, entered)
                assert problem["code"] == code
            assert await world.staff.get(f"/v1/parties/{party['id']}") == party

    database(scenario)


def test_a_wrong_credit_code_is_refused_by_position(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            right = credit_code(1)
            for wrong, told in (
                (right[:8] + "I" + right[9:], "position 9: 'I'"),
                (right[:4] + "A" + right[5:], "position 5: 'A' is not a digit"),
                (right[:-1], "17 characters, expected 18"),
            ):
                body = {"kind": "partner", "name": "Maker", "credit_code": wrong}
                problem = await world.staff.refused("POST", "/v1/parties", 400, body)
                (fault,) = problem["errors"]
                assert fault["pointer"] == "/credit_code"
                assert fault["message"].startswith(told)

    database(scenario)


def test_parties_are_found_by_kind_parent_code_and_part_of_a_name(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator = await enter(world, "示例铁塔集团", name_en="Example Towers")
            below = {"parent_id": operator["id"]}
            await enter(
                world, "示例铁塔河南公司", short_name="豫塔", credit_code=credit_code(1), **below
            )
            await enter(world, "示例铁塔河北公司", name_en="ÉCLAIR 100%_Hebei", **below)
            await world.staff.post("/v1/parties", {"kind": "recycler", "name": "河南再生"})

            async def found(**query: Any) -> list[str]:
                return named(await world.staff.get("/v1/parties", **query))

            assert await found(**below) == ["示例铁塔河南公司", "示例铁塔河北公司"]
            assert await found(name="河南") == ["示例铁塔河南公司", "河南再生"]
            assert await found(name="河南", kind="recycler") == ["河南再生"]
            assert await found(name="河", **below) == ["示例铁塔河南公司", "示例铁塔河北公司"]
            assert await found(name="豫塔") == ["示例铁塔河南公司"]
            assert await found(name="TOWERS") == ["示例铁塔集团"]
            assert await found(name="éclair") == ["示例铁塔河北公司"]
            assert await found(name="0%_h") == ["示例铁塔河北公司"]
            assert await found(name="%") == ["示例铁塔河北公司"]
            assert await found(name="铁河") == []
            assert await found(name="铁塔河南公") == ["示例铁塔河南公司"]
            # Every two neighbours of the second are in the name, and yet it is not.
            await enter(world, "塔河塔江")
            assert await found(name="塔河塔") == ["塔河塔江"]
            assert await found(name="河塔河") == []
            # Two names of one party are not one name.
            assert await found(name="公司豫塔") == []
            assert await found(credit_code=credit_code(1)) == ["示例铁塔河南公司"]
            assert await found(credit_code=credit_code(1), name="河北") == []
            assert await found(credit_code=credit_code(2)) == []
            page = await world.staff.get("/v1/parties", name="示例", limit=2)
            assert named(page) == ["示例铁塔集团", "示例铁塔河南公司"]
            assert await found(name="示例", limit=2, cursor=page["next_cursor"]) == [
                "示例铁塔河北公司"
            ]
            await world.staff.refused("GET", "/v1/parties?name=", 400)
            await world.staff.refused("GET", "/v1/parties?name=a%00", 400)

    database(scenario)


# --- Groups of companies ----------------------------------------------------------------------


def test_a_party_s_tree_is_the_way_up_and_all_below(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            other = await enter(world, "Other province", parent_id=operator["id"])
            await enter(world, "Stranger")
            await change(world.staff, province["id"], {"billing_party_id": province["id"]})

            async def tree(party: Json) -> tuple[list[str], str, list[str]]:
                found = await world.staff.get(f"/v1/parties/{party['id']}/tree")
                assert found["is_complete"] is True
                assert found["party"]["id"] == party["id"]
                names = [[one["name"] for one in found[at]] for at in ("ancestors", "descendants")]
                return names[0], found["party"]["name"], names[1]

            assert await tree(operator) == ([], "Operator", ["Province", "Other province", "City"])
            assert await tree(province) == (["Operator"], "Province", ["City"])
            assert await tree(city) == (["Operator", "Province"], "City", [])
            whole = await world.staff.get(f"/v1/parties/{operator['id']}/tree")
            nodes = [whole["party"], *whole["descendants"]]
            assert [node["level"] for node in nodes] == [0, 1, 1, 2]
            assert [node["billing_party_id"] for node in nodes] == [
                operator["id"], province["id"], other["id"], province["id"],
            ]  # fmt: skip
            await world.staff.refused("GET", f"/v1/parties/{uuid4()}/tree", 404)

            moved = await change(world.staff, province["id"], {"parent_id": other["id"]})
            assert moved["parent_id"] == other["id"]
            assert await tree(city) == (["Operator", "Other province", "Province"], "City", [])
            await change(world.staff, province["id"], {"parent_id": None})
            assert await tree(city) == (["Province"], "City", [])

    database(scenario)


def test_a_circle_and_a_group_too_deep_are_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            for below in (operator, province, city):
                wanted = {"parent_id": below["id"]}
                problem = await change(world.staff, operator["id"], wanted, 409)
                assert problem["code"] == "bad_parent"
                assert [error["pointer"] for error in problem["errors"]] == ["/parent_id"]
            lowest = city
            for number in range(3, 8):
                lowest = await enter(world, f"Level {number}", parent_id=lowest["id"])
            too_deep = {"kind": "customer", "name": "Level 8", "parent_id": lowest["id"]}
            problem = await world.staff.refused("POST", "/v1/parties", 409, too_deep)
            assert problem["code"] == "tree_too_deep"
            holding = await enter(world, "Holding")
            problem = await change(world.staff, operator["id"], {"parent_id": holding["id"]}, 409)
            assert problem["code"] == "tree_too_deep"
            found = await world.staff.get(f"/v1/parties/{lowest['id']}/tree")
            assert len(found["ancestors"]) == 7
            assert found["ancestors"][0]["id"] == operator["id"]

    database(scenario)


def test_only_customers_form_groups(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator = await enter(world, "Operator")
            for kind in ("lessor", "recycler", "partner"):
                made = await world.staff.post("/v1/parties", {"kind": kind, "name": kind})
                assert made["billing_party_id"] == made["id"]
                for field in ("parent_id", "billing_party_id"):
                    wanted = {field: operator["id"]}
                    problem = await change(world.staff, made["id"], wanted, 409)
                    assert problem["code"] in ("not_in_a_group", "bad_parent")
                problem = await change(world.staff, operator["id"], {"parent_id": made["id"]}, 409)
                assert problem["code"] == "bad_parent"

    database(scenario)


# --- Who gets the invoices --------------------------------------------------------------------


def test_invoices_go_to_the_nearest_choice_above(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            assert await billing_party(world, city) == city["id"]
            changed = await change(
                world.staff, operator["id"], {"billing_party_id": operator["id"]}
            )
            assert changed["chosen_billing_party_id"] == operator["id"]
            shown = await world.staff.get(f"/v1/parties/{city['id']}")
            assert shown["billing_party_id"] == operator["id"]
            assert shown["chosen_billing_party_id"] is None
            listed = await world.staff.get("/v1/parties", parent_id=province["id"])
            assert listed["items"] == [shown]
            await change(world.staff, province["id"], {"billing_party_id": province["id"]})
            assert await billing_party(world, city) == province["id"]
            await change(world.staff, city["id"], {"billing_party_id": operator["id"]})
            assert await billing_party(world, city) == operator["id"]

    database(scenario)


def test_invoices_go_to_nobody_outside_the_line_who_is_no_payer(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            sister = await enter(world, "Sister", parent_id=province["id"])
            partner = await world.staff.post("/v1/parties", {"kind": "partner", "name": "Bank"})
            for stranger in (sister, partner):
                wanted = {"billing_party_id": stranger["id"]}
                problem = await change(world.staff, city["id"], wanted, 409)
                assert problem["code"] == "bad_billing_party"
                assert [error["pointer"] for error in problem["errors"]] == ["/billing_party_id"]
                entered = {"kind": "customer", "name": "New", **wanted}
                problem = await world.staff.refused("POST", "/v1/parties", 409, entered)
                assert problem["code"] == "bad_billing_party"
            # Nor to one below: it is the group that pays for its parts.
            wanted = {"billing_party_id": city["id"]}
            assert (await change(world.staff, province["id"], wanted, 409))["code"] == (
                "bad_billing_party"
            )
            wanted = {"billing_party_id": partner["id"]}
            for valid_from, valid_to in (
                ("2027-01-01", "2028-01-01"),  # not yet
                ("2025-01-01", "2026-01-01"),  # no more
                ("2026-06-01", "2026-07-01"),  # not for long
            ):
                await add_role(world, partner["id"], "payer", valid_from, valid_to=valid_to)
                await change(world.staff, city["id"], wanted, 409)
            await add_role(world, partner["id"], "maintainer", "2026-01-01")
            await change(world.staff, city["id"], wanted, 409)
            await add_role(world, sister["id"], "payer", TODAY)
            changed = await change(world.staff, city["id"], {"billing_party_id": sister["id"]})
            assert changed["billing_party_id"] == sister["id"]
            later = await enter(world, "Later")
            await add_role(world, later["id"], "payer", "2026-06-16")
            await change(world.staff, city["id"], {"billing_party_id": later["id"]}, 409)
            assert await billing_party(world, operator) == operator["id"]

    database(scenario)


def test_a_move_that_would_leave_invoices_with_a_stranger_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            await change(world.staff, city["id"], {"billing_party_id": operator["id"]})
            problem = await change(world.staff, province["id"], {"parent_id": None}, 409)
            assert problem["code"] == "bad_billing_party"
            assert problem["extra"] == {"party_id": city["id"]}
            assert "City" in problem["detail"]
            problem = await change(world.staff, city["id"], {"parent_id": None}, 409)
            assert problem["code"] == "bad_billing_party"
            both = {"parent_id": None, "billing_party_id": None}
            moved = await change(world.staff, city["id"], both)
            assert moved["billing_party_id"] == city["id"]
            moved = await change(world.staff, province["id"], {"parent_id": None})
            assert moved["parent_id"] is None

    database(scenario)


def test_a_payer_stays_one_while_others_count_on_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, _, city = await group(world)
            bank = await world.staff.post("/v1/parties", {"kind": "partner", "name": "Bank"})
            roles = {
                one["id"]: await add_role(world, one["id"], "payer", "2026-01-01")
                for one in (operator, bank)
            }

            def end(party: Json) -> str:
                return f"/v1/parties/{party['id']}/roles/{roles[party['id']]['id']}/end"

            await change(world.staff, city["id"], {"billing_party_id": bank["id"]})
            problem = await world.staff.refused("POST", end(bank), 409, {"ended_on": "2026-07-01"})
            assert problem["code"] == "payer_still_chosen"
            assert "City" in problem["detail"]
            # The operator is above the city, and needs no role for it.
            await change(world.staff, city["id"], {"billing_party_id": operator["id"]})
            for one in (operator, bank):
                await world.staff.post(end(one), {"ended_on": "2026-07-01"})
            await change(world.staff, city["id"], {"billing_party_id": bank["id"]}, 409)

    database(scenario)


def test_an_invoice_that_is_final_stays_with_whom_it_was_made_out_to(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, on="2026-01-11")
            lessee = lease["customer"]["id"]
            await stories.run_job(world, "billing", date(2026, 7, 1))
            (invoice,) = (await world.staff.get("/v1/invoices", buyer_id=lessee))["items"]
            assert invoice["number"]
            before = await world.staff.get(f"/v1/invoices/{invoice['id']}")
            holding = await enter(world, "Holding")
            chosen = {"parent_id": holding["id"], "billing_party_id": holding["id"]}
            changed = await change(world.staff, lessee, chosen)
            assert changed["billing_party_id"] == holding["id"]
            assert await world.staff.get(f"/v1/invoices/{invoice['id']}") == before
            assert (await world.staff.get("/v1/invoices", buyer_id=holding["id"]))["items"] == []

    database(scenario)


# --- Roles ------------------------------------------------------------------------------------


def test_a_role_is_played_for_a_time_and_never_twice_at_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            path = f"/v1/parties/{party}/roles"
            first = await add_role(world, party, "maintainer", "2026-01-01", valid_to="2026-03-01")
            assert (first["role"], first["valid_from"], first["valid_to"]) == (
                "maintainer", "2026-01-01", "2026-03-01",
            )  # fmt: skip
            for start, stop in (
                ("2025-12-01", None),
                ("2026-02-28", None),
                ("2025-01-01", "2026-01-02"),
            ):
                body = {"role": "maintainer", "valid_from": start, "valid_to": stop}
                problem = await world.staff.refused("POST", path, 409, body)
                assert problem["code"] == "role_overlaps"
            second = await add_role(world, party, "maintainer", "2026-03-01")
            carrier = await add_role(world, party, "carrier", "2026-02-01")
            assert (await world.staff.get(path))["items"] == [first, second, carrier]

            async def played(on: str) -> list[str]:
                return [one["id"] for one in (await world.staff.get(path, as_of=on))["items"]]

            assert await played("2025-12-31") == []
            assert await played("2026-01-01") == [first["id"]]
            assert await played("2026-02-28") == [first["id"], carrier["id"]]
            assert await played("2026-03-01") == [second["id"], carrier["id"]]

    database(scenario)


def test_a_role_ends_once_and_inside_its_time(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            role = await add_role(world, party, "carrier", "2026-01-01")
            path = f"/v1/parties/{party}/roles/{role['id']}/end"
            problem = await world.staff.refused("POST", path, 409, {"ended_on": "2026-01-01"})
            assert problem["code"] == "role_ends_otherwise"
            ended = await world.staff.post(path, {"ended_on": "2026-09-01"})
            assert ended == {**role, "valid_to": "2026-09-01"}
            await world.staff.refused("POST", path, 409, {"ended_on": "2026-09-02"})
            assert await world.staff.post(path, {"ended_on": "2026-09-01"}) == ended
            other = (await enter(world, "Other"))["id"]
            for nowhere in (
                f"/v1/parties/{other}/roles/{role['id']}/end",
                f"/v1/parties/{uuid4()}/roles/{role['id']}/end",
                f"/v1/parties/{party}/roles/{uuid4()}/end",
            ):
                await world.staff.refused("POST", nowhere, 404, {"ended_on": "2026-08-01"})
            assert (await world.staff.get(f"/v1/parties/{party}/roles"))["items"] == [ended]
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            told = [event["kind"] for event in events if event["kind"].startswith("party.role")]
            assert told == ["party.role_taken", "party.role_ended", "party.role_ended"]

    database(scenario)


@pytest.mark.parametrize(
    ("kind", "role", "status", "code"),
    [
        ("recycler", "lessee", 409, "role_of_another_kind"),
        ("lessor", "payer", 409, "role_of_another_kind"),
        ("customer", "recycler", 400, "invalid_payload"),
        ("customer", "lessee", 201, None),
        ("recycler", "dismantler", 201, None),
        ("partner", "payer", 201, None),
        ("lessor", "maintainer", 201, None),
    ],
)
def test_some_roles_are_not_for_every_kind(database, kind, role, status, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = await world.staff.post("/v1/parties", {"kind": kind, "name": "Party"})
            body = {"role": role, "valid_from": "2026-01-01"}
            path = f"/v1/parties/{party['id']}/roles"
            answer = await world.staff.ask("POST", path, json=body)
            assert (answer.status_code, answer.json().get("code")) == (status, code)

    database(scenario)


def test_a_role_lasts_a_day_at_least_and_is_of_a_party_that_is_there(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            body = {"role": "carrier", "valid_from": "2026-01-02", "valid_to": "2026-01-02"}
            problem = await world.staff.refused("POST", f"/v1/parties/{party}/roles", 400, body)
            assert problem["errors"][0]["pointer"] == "/valid_to"
            body["valid_to"] = "2026-01-03"
            await world.staff.refused("POST", f"/v1/parties/{uuid4()}/roles", 404, body)
            await world.staff.refused("GET", f"/v1/parties/{uuid4()}/roles", 404)

    database(scenario)


# --- Contacts ---------------------------------------------------------------------------------


async def add_contact(world: World, party_id: str, **facts: Any) -> Json:
    caller = {"name": "王工", "purpose": "operations", "phone": "139-0000-1234", **facts}
    made: Json = await world.staff.post(f"/v1/parties/{party_id}/contacts", caller)
    return made


def test_contacts_are_added_changed_and_taken_off_the_list_but_not_forgotten(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            path = f"/v1/parties/{party}/contacts"
            one = await add_contact(world, party, note="夜间\n值班")
            assert (one["phone"], one["email"], one["note"]) == (
                "+8613900001234",
                None,
                "夜间\n值班",
            )
            two = await add_contact(
                world, party, purpose="billing", phone=None, email="a@b.example"
            )
            three = await add_contact(world, party, purpose="emergency", phone="（0371）6585 1234")
            assert three["phone"] == "+8637165851234"
            assert (await world.staff.get(path))["items"] == [one, two, three]
            assert (await world.staff.get(path, purpose="billing"))["items"] == [two]

            contact = f"/v1/contacts/{two['id']}"
            newer = {"phone": "0086 10 8522 1234", "email": None, "purpose": "legal"}
            answer = await world.staff.ask(
                "PATCH", contact, json=newer, headers={"if-match": '"v1"'}
            )
            changed = {**two, **newer, "phone": "+861085221234", "version": 2}
            assert answer.json() == changed
            assert await world.staff.get(contact) == changed

            gone = await world.staff.post(f"{contact}/removal")
            assert gone == {**changed, "version": 3, "removed_at": gone["removed_at"]}
            assert gone["removed_at"].startswith(TODAY)
            assert (await world.staff.get(path))["items"] == [one, three]
            assert (await world.staff.get(path, removed=True))["items"] == [one, gone, three]
            assert await world.staff.get(contact) == gone
            problem = await world.staff.refused("POST", f"{contact}/removal", 409)
            assert problem["code"] == "contact_removed"
            answer = await world.staff.ask(
                "PATCH", contact, json={"note": "x"}, headers={"if-match": '"v3"'}
            )
            assert (answer.status_code, answer.json()["code"]) == (409, "contact_removed")

    database(scenario)


@pytest.mark.parametrize(
    ("facts", "code", "pointer"),
    [
        ({"phone": "10086"}, "bad_phone", "/phone"),
        ({"phone": "010-85221234-801"}, "bad_phone", "/phone"),
        ({"phone": None}, "contact_unreachable", None),
        ({"email": "nobody"}, "invalid_payload", "/email"),
        ({"email": "a@b"}, "invalid_payload", "/email"),
        ({"email": "a b@c.example"}, "invalid_payload", "/email"),
        ({"email": "a@b.example\n"}, "invalid_payload", "/email"),
        ({"email": "a@-b.example"}, "invalid_payload", "/email"),
        ({"name": " "}, "invalid_payload", "/name"),
        ({"purpose": "sales"}, "invalid_payload", "/purpose"),
    ],
)
def test_a_contact_that_nobody_can_reach_is_refused(database, facts, code, pointer):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            path = f"/v1/parties/{party}/contacts"
            caller = {"name": "王工", "purpose": "operations", "phone": "13900001234", **facts}
            problem = await world.staff.refused("POST", path, 400, caller)
            assert problem["code"] == code
            assert [error["pointer"] for error in problem["errors"]] == (
                [pointer] if pointer else []
            )
            kept = await add_contact(world, party)
            answer = await world.staff.ask(
                "PATCH", f"/v1/contacts/{kept['id']}", json=facts, headers={"if-match": '"v1"'}
            )
            assert (answer.status_code, answer.json()["code"]) == (400, code)
            assert (await world.staff.get(path))["items"] == [kept]
            await world.staff.refused("POST", f"/v1/parties/{uuid4()}/contacts", 404, {
                "name": "王工", "purpose": "legal", "phone": "13900001234",
            })  # fmt: skip

    database(scenario)


def test_events_say_what_was_done_to_a_contact_and_nothing_about_the_person(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = (await enter(world, "Party"))["id"]
            made = await add_contact(world, party, email="wang@example.com", note="secret")
            path = f"/v1/contacts/{made['id']}"
            newer = {"phone": "13900009999", "name": "李工"}
            await world.staff.ask("PATCH", path, json=newer, headers={"if-match": '"v1"'})
            await world.staff.post(f"{path}/removal")
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            told = [event for event in events if event["aggregate"] == "contact"]
            assert [(event["kind"], event["data"]) for event in told] == [
                ("contact.added", {"party_id": party, "purpose": "operations"}),
                ("contact.changed", {"party_id": party, "fields": ["name", "phone"]}),
                ("contact.removed", {"party_id": party}),
            ]
            assert {event["aggregate_id"] for event in told} == {made["id"]}

    database(scenario)


# --- Who sees what ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.RECYCLER])
def test_an_outsider_sees_its_own_party_and_nothing_of_others(database, role):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made = build.customer if role is Role.CUSTOMER else build.recycler
            own, other = [await made(world) for _ in range(2)]
            facts = {}
            for party in (own, other):
                party_id = party["id"]
                contact = await add_contact(world, party_id)
                facts[party_id] = contact, await add_role(world, party_id, "carrier", TODAY)
            client = await world.login(role, own["id"])
            path = f"/v1/parties/{own['id']}"
            assert await client.get(path) == await world.staff.get(path)
            contact, played = facts[own["id"]]
            assert (await client.get(f"{path}/contacts"))["items"] == [contact]
            assert (await client.get(f"{path}/roles"))["items"] == [played]
            assert await client.get(f"/v1/contacts/{contact['id']}") == contact
            assert [one["id"] for one in (await client.get("/v1/parties"))["items"]] == [own["id"]]
            for query in ({"name": other["name"]}, {"kind": str(role)}):
                ids = [one["id"] for one in (await client.get("/v1/parties", **query))["items"]]
                assert other["id"] not in ids
            theirs = f"/v1/parties/{other['id']}"
            for hidden in (
                theirs,
                f"{theirs}/contacts",
                f"{theirs}/roles",
                f"/v1/contacts/{facts[other['id']][0]['id']}",
            ):
                assert (await client.refused("GET", hidden, 404))["code"].endswith("_not_found")
            await client.refused("GET", f"{path}/tree", 403)
            # The database itself: row-level security, not our routes.
            async with db.transaction(Actor(DbRole(f"leasing_{role}"), UUID(own["id"]))) as tx:
                for table in ("party", "contact", "party_role"):
                    column = "id" if table == "party" else "party_id"
                    rows = await tx.fetch(f"SELECT {column} FROM {table}")
                    assert [str(row[column]) for row in rows] == [own["id"]], table
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with db.transaction(Actor(DbRole(f"leasing_{role}"), UUID(own["id"]))) as tx:
                    await tx.execute("UPDATE party SET name = 'mine'")

    database(scenario)


def test_a_customer_in_a_group_sees_nothing_of_those_above_and_below_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            operator, province, city = await group(world)
            for party in (operator, city):
                await add_contact(world, party["id"])
            client = await world.login(Role.CUSTOMER, province["id"])
            page = await client.get("/v1/parties")
            assert named(page) == ["Province"]
            assert (await client.get("/v1/parties", parent_id=province["id"]))["items"] == []
            for other in (operator, city):
                await client.refused("GET", f"/v1/parties/{other['id']}", 404)
                await client.refused("GET", f"/v1/parties/{other['id']}/contacts", 404)
            # Whoever is above may decide on its invoices, which it cannot see: it is told
            # neither a party of theirs nor a wrong one.
            shown = page["items"][0]
            assert (shown["parent_id"], shown["billing_party_id"]) == (operator["id"], None)
            await change(world.staff, operator["id"], {"billing_party_id": operator["id"]})
            assert (await client.get(f"/v1/parties/{province['id']}"))["billing_party_id"] is None
            await change(world.staff, province["id"], {"billing_party_id": province["id"]})
            shown = await client.get(f"/v1/parties/{province['id']}")
            assert shown["billing_party_id"] == province["id"]

    database(scenario)


def test_an_auditor_sees_all_contacts_roles_and_trees(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            _, province, city = await group(world)
            contact = await add_contact(world, city["id"])
            await add_role(world, city["id"], "lessee", TODAY)
            auditor = await world.login(Role.AUDITOR)
            for path in (
                f"/v1/parties/{city['id']}",
                f"/v1/parties/{city['id']}/contacts",
                f"/v1/parties/{city['id']}/roles",
                f"/v1/parties/{province['id']}/tree",
                f"/v1/contacts/{contact['id']}",
            ):
                assert await auditor.get(path) == await world.staff.get(path)

    database(scenario)
