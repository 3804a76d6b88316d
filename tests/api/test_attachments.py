"""Files attached to packs, sites and contracts."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from leasing.access.model import Role
from leasing.app import create
from leasing.db.pool import Database
from schemas.annotations import MediaType, SubjectKind
from tests import build
from tests.annotations import files
from tests.annotations.asking import (
    attach,
    attached,
    events_of,
    path_of,
    refused_by,
    rows,
    site_path,
)
from tests.build import Client

PDF_HASH = hashlib.sha256(files.PDF).hexdigest()


@pytest.mark.parametrize("media_type", MediaType)
def test_a_file_comes_back_as_it_was(database, media_type):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            content = files.OF_TYPE[media_type]
            digest = hashlib.sha256(content).hexdigest()
            query = {"filename": "../交接 单", "sha256": digest}
            made = await attached(world.staff, path, content, media_type, **query)
            assert made["filename"] == "../交接 单"
            assert made["media_type"] == media_type
            assert (made["size_bytes"], made["sha256"]) == (len(content), digest)
            assert (await world.staff.get(f"{path}/attachments"))["items"] == [made]
            answer = await world.staff.ask("GET", f"/v1/attachments/{made['id']}/content")
            assert answer.status_code == 200
            assert answer.content == content
            # Text is UTF-8, or it would not have been taken.
            charset = "; charset=utf-8" if media_type.startswith("text/") else ""
            assert answer.headers["content-type"] == media_type + charset
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["etag"] == f'"{digest}"'
            assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
            disposition = answer.headers["content-disposition"]
            assert disposition.startswith('attachment; filename="___ _.')
            assert "filename*=UTF-8''_%E4%BA%A4%E6%8E%A5%20%E5%8D%95." in disposition
            (told,) = await events_of(world, "attachment")
            assert (told["kind"], told["aggregate"]) == ("attachment.added", "site")
            assert told["data"]["sha256"] == digest

    database(scenario)


@pytest.mark.parametrize(
    ("content", "declared", "detected"),
    [
        (files.PNG, "application/pdf", ["image/png"]),
        (files.PDF, "image/png", ["application/pdf"]),
        (files.archive("a.txt"), str(MediaType.XLSX), []),
        (files.DOCX, str(MediaType.XLSX), [str(MediaType.DOCX)]),
        (files.XLSX, "application/zip", [str(MediaType.XLSX)]),
        (b"<html><script>1</script>", "text/plain", []),
        (b"<html><script>1</script>", "text/html", []),
        (b"<svg/>", "image/svg+xml", []),
        (files.TEXT, "text/html", ["text/csv", "text/plain"]),
        (files.TEXT, "", ["text/csv", "text/plain"]),
        (files.PNG, "application/octet-stream", ["image/png"]),
        (files.PNG, "image/*", ["image/png"]),
    ],
)
def test_content_that_is_not_what_it_is_said_to_be_is_refused(
    database, content, declared, detected
):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            answer = await attach(world.staff, path, content, declared, filename="a.pdf")
            assert answer.status_code == 415, answer.text
            problem = answer.json()
            assert problem["code"] == "attachment_type_refused"
            assert problem["extra"]["declared"] == declared
            assert problem["extra"]["detected"] == detected
            assert (declared or "nothing") in problem["detail"]
            assert all(one in problem["detail"] for one in detected)
            assert await rows(db, "attachment_content") == 0

    database(scenario)


def test_parameters_of_a_declaration_do_not_matter_and_its_case_neither(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            made = await attached(world.staff, path, files.TEXT, "Text/Plain; charset=UTF-8")
            assert made["media_type"] == "text/plain"

    database(scenario)


def test_a_file_has_a_name_a_content_and_the_hash_it_was_said_to_have(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            for query, place in (
                ({"filename": ""}, "?filename"),
                ({"filename": "a\nb"}, "?filename"),
                ({"filename": "x" * 201}, "?filename"),
                ({"sha256": "00" * 31}, "?sha256"),
                ({"sha256": "00" * 32}, "?sha256"),
                ({"visible_to_customer": "perhaps"}, "?visible_to_customer"),
            ):
                answer = await attach(world.staff, path, **query)
                assert answer.status_code == 400, query
                assert [error["pointer"] for error in answer.json()["errors"]] == [place]
            assert (await attach(world.staff, path, sha256="00" * 32)).json()[
                "code"
            ] == "hash_differs"
            answer = await attach(world.staff, path, b"")
            assert (answer.status_code, answer.json()["code"]) == (400, "nothing_attached")
            assert await rows(db, "attachment") == 0
            await attached(world.staff, path, sha256=PDF_HASH)

    database(scenario)


def test_a_file_beyond_the_limit_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            tight = msgspec.structs.replace(db.settings, max_body_bytes=1000)
            app = create(Database(db.pool, db.dsn, tight))
            client = Client(build.connect(app, await world.key(Role.STAFF)), world.openapi)
            await attached(client, path, b"a" * 1000, "text/plain")
            answer = await attach(client, path, b"a" * 1001, "text/plain")
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
            assert await rows(db, "attachment") == 1

    database(scenario)


def test_a_file_of_the_usual_limit_goes_through_and_comes_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = await site_path(world)
            content = files.PDF + b"\xe2" * (10_000_000 - len(files.PDF))
            made = await attached(world.staff, path, content)
            answer = await world.staff.ask("GET", f"/v1/attachments/{made['id']}/content")
            assert answer.content == content

    database(scenario)


def test_the_same_content_is_kept_once_and_as_long_as_something_holds_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            made = [await attached(world.staff, path_of(lease, kind)) for kind in SubjectKind]
            assert await rows(db, "attachment_content") == 1
            twice = await attach(world.staff, path_of(lease, SubjectKind.PACK))
            assert (twice.status_code, twice.json()["code"]) == (409, "attached_already")
            reason = {"reason": "wrong file"}
            for left, one in ((1, made[0]), (1, made[1]), (0, made[2])):
                gone = await world.staff.post(f"/v1/attachments/{one['id']}/removal", reason)
                assert await rows(db, "attachment_content") == left
                assert gone["removal_reason"] == "wrong file"
                assert (gone["sha256"], gone["filename"]) == (PDF_HASH, one["filename"])
                content = f"/v1/attachments/{one['id']}/content"
                problem = await world.staff.refused("GET", content, 404)
                assert problem["code"] == "attachment_content_gone"
            removal = f"/v1/attachments/{made[0]['id']}/removal"
            problem = await world.staff.refused("POST", removal, 409, reason)
            assert problem["code"] == "attachment_removed"
            told = await events_of(world, "attachment")
            assert [event["kind"] for event in told] == ["attachment.added"] * 3 + [
                "attachment.removed"
            ] * 3
            # What was removed can be attached again.
            again = await attached(world.staff, path_of(lease, SubjectKind.PACK))
            listed = await world.staff.get(f"{path_of(lease, SubjectKind.PACK)}/attachments")
            assert [one["id"] for one in listed["items"]] == [made[0]["id"], again["id"]]
            assert again["removed_at"] is None

    database(scenario)


def test_whoever_attaches_while_the_last_holder_lets_go_keeps_the_content(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first, second = await site_path(world), await site_path(world)
            for _ in range(8):
                one = await attached(world.staff, first)
                removal = f"/v1/attachments/{one['id']}/removal"
                gone, made = await asyncio.gather(
                    world.staff.ask("POST", removal, json={"reason": "x"}),
                    attach(world.staff, second),
                )
                assert (gone.status_code, made.status_code) == (200, 201), made.text
                content = f"/v1/attachments/{made.json()['id']}/content"
                assert (await world.staff.ask("GET", content)).content == files.PDF
                removal = f"/v1/attachments/{made.json()['id']}/removal"
                await world.staff.post(removal, {"reason": "x"})
                assert await rows(db, "attachment_content") == 0

    database(scenario)


def test_the_database_keeps_hash_and_content_together(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await attached(world.staff, await site_path(world))
            forged = "INSERT INTO attachment_content (sha256, bytes) VALUES (sha256('a'), 'b')"
            assert await refused_by(db, forged) == "attachment_content_is_what_was_hashed"
            forged = "UPDATE attachment_content SET bytes = 'b'"
            assert await refused_by(db, forged) == "attachment_content_is_what_was_hashed"
            lost = "DELETE FROM attachment_content"
            assert await refused_by(db, lost) == "attachment_content_is_kept"
            for change in ("media_type = 'text/csv'", "filename = 'b'", "size_bytes = 1"):
                changed = f"UPDATE attachment SET {change}"
                assert await refused_by(db, changed) == "attachment_append_only"

    database(scenario)


def test_a_file_sent_again_under_its_key_is_attached_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"{await site_path(world)}/attachments"
            arguments: Any = {
                "params": {"filename": "a.pdf"},
                "headers": {"content-type": "application/pdf", "idempotency-key": "k"},
            }
            first = await world.staff.ask("POST", path, content=files.PDF, **arguments)
            again = await world.staff.ask("POST", path, content=files.PDF, **arguments)
            assert (first.status_code, again.status_code) == (201, 201)
            assert again.json() == first.json()
            other = await world.staff.ask("POST", path, content=files.PDF + b"\n", **arguments)
            assert other.json()["code"] == "idempotency_key_reused"
            assert await rows(db, "attachment") == 1

    database(scenario)
