"""Notes and tags on packs, sites and contracts, and who sees what."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from schemas.annotations import SubjectKind
from tests import build
from tests.annotations import files
from tests.annotations.asking import (
    attach,
    attached,
    defined,
    events_of,
    path_of,
    refused_by,
    rows,
    set_values,
    site_path,
)
from tests.build import Client, Json

KINDS = pytest.mark.parametrize("kind", SubjectKind)


# --- Notes ------------------------------------------------------------------------------------


@KINDS
def test_a_note_is_written_and_struck_out_but_never_lost(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            path = path_of(lease, kind)
            text = "门锁已换。\n\n**Key** at the depot"
            note = await world.staff.post(f"{path}/notes", {"text": text})
            assert note["text"] == text
            assert note["author"].startswith("staff:")
            assert note["visible_to_customer"] is False
            assert note["struck_at"] is None
            assert (await world.staff.get(f"{path}/notes"))["items"] == [note]
            strike = f"/v1/notes/{note['id']}/strike"
            struck = await world.staff.post(strike, {"reason": "wrong site"})
            assert struck["strike_reason"] == "wrong site"
            assert struck["struck_by"] == note["author"]
            unstruck = {"struck_at": None, "struck_by": None, "strike_reason": None}
            assert {**struck, **unstruck} == note
            problem = await world.staff.refused("POST", strike, 409, {"reason": "again"})
            assert problem["code"] == "note_struck"
            assert (await world.staff.get(f"{path}/notes"))["items"] == [struck]
            told = await events_of(world, "note")
            assert [event["kind"] for event in told] == ["note.added", "note.struck"]
            for event in told:
                assert (event["aggregate"], event["aggregate_id"]) == (kind, lease[kind]["id"])
                assert event["data"]["note_id"] == note["id"]

    database(scenario)


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000", "a\0b", "a\x07", "x" * 5001, None, 1])
def test_a_note_says_something_in_printable_text(database, text):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/notes"
            problem = await world.staff.refused("POST", path, 400, {"text": text})
            assert [error["pointer"] for error in problem["errors"]] == ["/text"]
            await world.staff.post(path, {"text": "中" * 5000})

    database(scenario)


@KINDS
def test_nothing_is_written_on_what_does_not_exist(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            # Nor on a thing of another kind.
            site = (await site_path(world)).rpartition("/")[2]
            for unknown in (str(uuid4()), *([site] if kind is not SubjectKind.SITE else [])):
                path = f"/v1/{kind}s/{unknown}"
                code = f"{kind}_not_found"
                for method, below, body in (
                    ("GET", "notes", None),
                    ("POST", "notes", {"text": "a"}),
                    ("GET", "attachments", None),
                    ("GET", "tags", None),
                    ("POST", "tags", {"add": ["a"]}),
                    ("GET", "custom-fields", None),
                ):
                    problem = await world.staff.refused(method, f"{path}/{below}", 404, body)
                    assert problem["code"] == code, (method, below)
                answer = await attach(world.staff, path)
                assert (answer.status_code, answer.json()["code"]) == (404, code)
                answer = await set_values(world.staff, path, {})
                assert (answer.status_code, answer.json()["code"]) == (404, code)
            assert await rows(db, "subject") == 0
            assert await rows(db, "attachment_content") == 0

    database(scenario)


def test_the_database_refuses_what_is_written_on_nothing_and_what_is_rewritten(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            site = UUID(path.rpartition("/")[2])
            enter = "INSERT INTO subject (id, kind) VALUES ($1, $2)"
            for kind in SubjectKind:
                assert await refused_by(db, enter, uuid4(), kind) == f"subject_{kind}"
            assert await refused_by(db, enter, site, "pack") == "subject_pack"
            assert await refused_by(db, enter, site, "party") == "subject_kind"
            write = """
                INSERT INTO note (subject_id, text, visible_to_customer, author, written_at)
                VALUES ($1, $2, false, 'x', now())"""
            assert await refused_by(db, write, uuid4(), "a") == "note_subject"
            note = await world.staff.post(f"{path}/notes", {"text": "a"})
            assert await refused_by(db, write, site, " \n ") == "note_text"
            assert await refused_by(db, write, site, "x" * 5001) == "note_text"
            assert await refused_by(db, "UPDATE note SET text = 'b'") == "note_append_only"
            assert await refused_by(db, "DELETE FROM note") == "note_append_only"
            show = "UPDATE note SET visible_to_customer = true"
            assert await refused_by(db, show) == "note_append_only"
            half = "UPDATE note SET struck_at = now()"
            assert await refused_by(db, half) == "note_struck"
            await world.staff.post(f"/v1/notes/{note['id']}/strike", {"reason": "wrong"})
            unstrike = "UPDATE note SET struck_at = NULL, struck_by = NULL, strike_reason = NULL"
            assert await refused_by(db, unstrike) == "note_append_only"
            again = "UPDATE note SET strike_reason = 'other'"
            assert await refused_by(db, again) == "note_append_only"

    database(scenario)


def test_notes_come_page_by_page(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/notes"
            made = [(await world.staff.post(path, {"text": str(n)}))["id"] for n in range(3)]
            first = await world.staff.get(path, limit=2)
            second = await world.staff.get(path, limit=2, cursor=first["next_cursor"])
            assert [one["id"] for one in first["items"] + second["items"]] == made
            assert second["next_cursor"] is None

    database(scenario)


def test_two_who_write_on_one_thing_at_once_both_succeed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            answers = await asyncio.gather(
                *[world.staff.ask("POST", f"{path}/notes", json={"text": "a"}) for _ in range(6)]
            )
            assert {answer.status_code for answer in answers} == {201}
            told = await events_of(world, "note")
            assert [event["sequence"] for event in told] == list(range(2, 8))

    database(scenario)


# --- Who sees what ----------------------------------------------------------------------------


async def everything_on(client: Client, path: str) -> tuple[list[Json], list[Json], list[Json]]:
    notes = (await client.get(f"{path}/notes"))["items"]
    attachments = (await client.get(f"{path}/attachments"))["items"]
    fields = (await client.get(f"{path}/custom-fields"))["fields"]
    return notes, attachments, fields


@KINDS
def test_a_customer_sees_what_is_marked_for_it_on_what_is_its_own(database, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            own, other = [await build.leased_pack(world) for _ in range(2)]
            staff = world.staff
            shown_field, _ = [
                await defined(world, kind, key, visible_to_customer=visible)
                for key, visible in (("shown", True), ("hidden", False))
            ]
            made = {}
            for lease in (own, other):
                path = path_of(lease, kind)
                for visible in (True, False):
                    note = {"text": "a", "visible_to_customer": visible}
                    made[path, visible] = (
                        await staff.post(f"{path}/notes", note),
                        await attached(
                            staff,
                            path,
                            files.PDF if visible else files.PNG,
                            "application/pdf" if visible else "image/png",
                            visible_to_customer=visible,
                        ),
                    )
                await staff.post(f"{path}/tags", {"add": ["internal"]})
                build.expect(await set_values(staff, path, {"shown": "s", "hidden": "h"}), 200)

            client = await world.login(Role.CUSTOMER, own["customer"]["id"])
            mine, theirs = path_of(own, kind), path_of(other, kind)
            notes, attachments, fields = await everything_on(client, mine)
            assert (notes, attachments) == ([made[mine, True][0]], [made[mine, True][1]])
            assert [(one["field"]["key"], one["value"]) for one in fields] == [("shown", "s")]
            staff_sees = [len(part) for part in await everything_on(staff, mine)]
            assert staff_sees == [2, 2, 2]

            for below in ("notes", "attachments", "custom-fields"):
                problem = await client.refused("GET", f"{theirs}/{below}", 404)
                assert problem["code"] == f"{kind}_not_found"
            for place, visible, status in (
                (mine, True, 200),
                (mine, False, 404),
                (theirs, True, 404),
                (theirs, False, 404),
            ):
                content = f"/v1/attachments/{made[place, visible][1]['id']}/content"
                assert (await client.ask("GET", content)).status_code == status
            await client.refused("GET", f"{mine}/tags", 403)
            await client.refused("GET", "/v1/tags", 403)
            await client.refused("GET", "/v1/tagged", 403)
            listed = (await client.get("/v1/custom-fields"))["items"]
            assert [one["key"] for one in listed] == ["shown"]
            found = await client.get(f"/v1/custom-fields/{shown_field['id']}/subjects", value="s")
            assert [one["id"] for one in found["items"]] == [own[kind]["id"]]
            await client.refused("POST", f"{mine}/notes", 403, {"text": "a"})
            assert (await attach(client, mine)).status_code == 403

            # The database says the same when it is asked directly.
            actor = Actor(DbRole.CUSTOMER, UUID(own["customer"]["id"]))
            async with db.transaction(actor, read_only=True) as tx:
                for table, expected in (
                    ("subject", 1),
                    ("note", 1),
                    ("attachment", 1),
                    ("attachment_content", 1),
                    ("custom_field", 1),
                    ("custom_value", 1),
                ):
                    assert await tx.fetchval(f"SELECT count(*) FROM {table}") == expected, table

    database(scenario)


def test_content_that_a_stranger_shares_is_not_seen_through_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            own, other = [await build.leased_pack(world) for _ in range(2)]
            hidden = await attached(world.staff, path_of(own, SubjectKind.SITE))
            await attached(world.staff, path_of(other, SubjectKind.SITE), visible_to_customer=True)
            client = await world.login(Role.CUSTOMER, own["customer"]["id"])
            await client.refused("GET", f"/v1/attachments/{hidden['id']}/content", 404)
            actor = Actor(DbRole.CUSTOMER, UUID(own["customer"]["id"]))
            async with db.transaction(actor, read_only=True) as tx:
                assert await tx.fetchval("SELECT count(*) FROM attachment_content") == 0

    database(scenario)


def test_a_recycler_sees_nothing_of_it_and_an_auditor_all_but_writes_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            path = path_of(lease, SubjectKind.PACK)
            await defined(world, SubjectKind.PACK, "shown", visible_to_customer=True)
            await world.staff.post(f"{path}/notes", {"text": "a", "visible_to_customer": True})
            made = await attached(world.staff, path, visible_to_customer=True)
            await world.staff.post(f"{path}/tags", {"add": ["a"]})
            firm = await build.recycler(world)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            auditor = await world.login(Role.AUDITOR)
            reads = [f"{path}/{below}" for below in ("notes", "attachments", "tags")]
            reads += [f"{path}/custom-fields", "/v1/tags", "/v1/tagged", "/v1/custom-fields"]
            for read in reads:
                await recycler.refused("GET", read, 403)
                assert await auditor.get(read) == await world.staff.get(read)
            content = f"/v1/attachments/{made['id']}/content"
            await recycler.refused("GET", content, 403)
            assert (await auditor.ask("GET", content)).content == files.PDF
            for client in (recycler, auditor):
                await client.refused("POST", f"{path}/notes", 403, {"text": "a"})
                await client.refused("POST", f"{path}/tags", 403, {"add": ["b"]})
                assert (await attach(client, path)).status_code == 403
                assert (await set_values(client, path, {"shown": "x"})).status_code == 403
            for table in ("subject", "note", "attachment", "attachment_content", "subject_tag",
                          "custom_field", "custom_choice", "custom_value"):  # fmt: skip
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with db.transaction(Actor(DbRole.RECYCLER, UUID(firm["id"]))) as tx:
                        await tx.fetch(f"SELECT * FROM {table}")

    database(scenario)


# --- Tags -------------------------------------------------------------------------------------


def test_tags_are_added_and_taken_away_in_one_form(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/tags"
            added = await world.staff.post(path, {"add": ["Urgent", "待检修", "URGENT"]})
            assert added == {"tags": ["urgent", "待检修"]}
            assert await world.staff.get(path) == added
            # Twice is the same as once, and leaves no second event.
            assert await world.staff.post(path, {"add": ["urgent"]}) == added
            left = await world.staff.post(path, {"add": ["new"], "remove": ["uRGENT", "absent"]})
            assert left == {"tags": ["new", "待检修"]}
            both = await world.staff.post(path, {"add": ["x", "new"], "remove": ["x", "NEW"]})
            assert both == {"tags": ["待检修"]}
            assert [event["data"] for event in await events_of(world, "tags")] == [
                {"added": ["urgent", "待检修"], "removed": []},
                {"added": ["new"], "removed": ["urgent"]},
                {"added": [], "removed": ["new"]},
            ]

    database(scenario)


def test_of_two_who_change_tags_at_once_neither_loses_any(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/tags"
            await world.staff.post(path, {"add": ["old"]})
            changes = [{"add": [f"t{n}"]} for n in range(6)] + [{"remove": ["old"]}]
            answers = await asyncio.gather(
                *[world.staff.ask("POST", path, json=change) for change in changes]
            )
            assert {answer.status_code for answer in answers} == {200}
            assert await world.staff.get(path) == {"tags": [f"t{n}" for n in range(6)]}

    database(scenario)


def test_every_text_that_is_no_tag_is_told(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/tags"
            change = {"add": ["ok", "two words", "a/b"], "remove": ["-x"]}
            problem = await world.staff.refused("POST", path, 400, change)
            assert problem["code"] == "bad_tag"
            pointers = [error["pointer"] for error in problem["errors"]]
            assert pointers == ["/add/1", "/add/2", "/remove/0"]
            await world.staff.refused("POST", path, 400, {"add": ["x" * 41]})
            for batch in range(2):
                tags = [f"t{batch}-{n}" for n in range(50)]
                await world.staff.post(path, {"add": tags})
            problem = await world.staff.refused("POST", path, 409, {"add": ["last"]})
            assert problem["code"] == "too_many_tags"
            await world.staff.post(path, {"add": ["last"], "remove": ["t0-0"]})
            answer = await world.staff.ask("GET", "/v1/tagged", params={"tag": "a b"})
            assert [error["pointer"] for error in answer.json()["errors"]] == ["?tag"]

    database(scenario)


def test_tags_are_counted_and_find_what_carries_all_of_them(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            ids = {kind: lease[kind]["id"] for kind in SubjectKind}
            for kind, tags in (
                (SubjectKind.PACK, ["red", "old"]),
                (SubjectKind.SITE, ["red"]),
                (SubjectKind.CONTRACT, ["old", "red"]),
            ):
                await world.staff.post(f"{path_of(lease, kind)}/tags", {"add": tags})
            untagged = await site_path(world)
            await world.staff.post(f"{untagged}/notes", {"text": "a"})
            counts = await world.staff.get("/v1/tags")
            assert counts["items"] == [
                {"tag": "old", "packs": 1, "sites": 0, "contracts": 1},
                {"tag": "red", "packs": 1, "sites": 1, "contracts": 1},
            ]
            first = await world.staff.get("/v1/tags", limit=1)
            second = await world.staff.get("/v1/tags", limit=1, cursor=first["next_cursor"])
            assert first["items"] + second["items"] == counts["items"]
            assert second["next_cursor"] is None

            async def found(**query: Any) -> set[str]:
                page = await world.staff.get("/v1/tagged", **query)
                return {one["kind"] for one in page["items"] if one["id"] == ids[one["kind"]]}

            assert await found() == {"pack", "site", "contract"}
            assert await found(tag="RED") == {"pack", "site", "contract"}
            assert await found(tag=["red", "old"]) == {"pack", "contract"}
            assert await found(tag=["red", "old"], kind="contract") == {"contract"}
            assert await found(tag=["red", "absent"]) == set()
            page = await world.staff.get("/v1/tagged", tag="red", limit=2)
            rest = await world.staff.get(
                "/v1/tagged", tag="red", limit=2, cursor=page["next_cursor"]
            )
            listed = [one["id"] for one in page["items"] + rest["items"]]
            assert listed == sorted(ids.values())

    database(scenario)
