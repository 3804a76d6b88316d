"""Reports on their way: a side that is slow, refuses, answers twice; a sender that is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from lxml import etree

from jobs import obligations
from leasing.db.pool import Database, connect
from leasing.obligations import forms
from leasing.obligations.gateway import FileDrop, Http
from leasing.obligations.model import MAX_ATTEMPTS, Dispatch
from schemas.obligations import Recipient
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.conftest import opened
from tests.obligations import stand_in

PLATFORM = Recipient.PLATFORM
BY = "test"


async def some_due(world: World, packs: int = 1) -> list[Json]:
    """Packs that were acquired, each with an obligation of the lessor's own that is written."""
    for _ in range(packs):
        await build.pack(world, acquired_on="2026-06-10")
    assert await obligations.prepare(world.db, by=BY) == packs
    return (await world.staff.get("/v1/obligations", limit=200))["items"]


async def one(world: World, obligation: Json) -> Json:
    found: Json = await world.staff.get(f"/v1/obligations/{obligation['id']}")
    return found


async def states(world: World, due: list[Json]) -> Counter[str]:
    return Counter([(await one(world, each))["obligation"]["state"] for each in due])


async def send(world: World, url: str, timeout_s: float = 5.0) -> int:
    gateway = Http(url, "secret", timeout_s)
    return await obligations.send_all(world.db, PLATFORM, gateway, by=BY)


async def read(world: World, url: str) -> tuple[int, int]:
    return await obligations.read_all(world.db, PLATFORM, Http(url), by=BY)


async def submissions(world: World) -> list[Json]:
    return (await world.staff.get("/v1/submissions"))["items"]


def test_what_is_taken_at_once_is_accepted_with_its_receipt(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (due,) = await some_due(world)
            assert due["state"] == "prepared"
            with stand_in.platform() as (there, url):
                assert await send(world, url) == 1
                assert await send(world, url) == 0
            detail = await one(world, due)
            found = detail["obligation"]
            assert (found["state"], found["submitted_on"]) == ("accepted", "2026-06-15")
            assert found["receipt"] == f"R-{due['id'][-6:]}"
            (batch,) = [body for _, body in there.came]
            assert batch["reports"] == [detail["report"]]
            assert there.keys == ["Bearer secret"]
            (sent,) = await submissions(world)
            assert (sent["state"], sent["reports"], sent["attempts"]) == ("answered", 1, 1)
            assert (await world.staff.get("/v1/obligations"))["items"] == []

    database(scenario)


def test_a_side_that_does_not_answer_is_sent_the_very_same_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world, 3)
            with stand_in.platform() as (there, url):
                there.holds = threading.Event()
                # It took them, and its answer never came.
                assert await send(world, url, timeout_s=0.5) == 0
                assert await states(world, due) == {"prepared": 3}
                (made,) = await submissions(world)
                assert (made["state"], made["attempts"]) == ("made", 1)
                assert "Timeout" in made["failure"]
                there.holds.set()
                assert await send(world, url) == 3
                assert there.ids == [made["id"]] * 2
                assert there.came[0] == there.came[1]
            assert await states(world, due) == {"accepted": 3}

    database(scenario)


@pytest.mark.parametrize("status", [500, 503, 429, 401])
def test_what_fails_too_often_is_parked_and_goes_out_again_under_its_own_id(database, status):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world)
            with stand_in.platform() as (there, url):
                there.behaves = lambda batch: (status, {"reason": "no"})
                if status < 500:
                    there.put = lambda key, batch: there.came.append((key, batch)) or (status, None)
                for attempt in range(1, MAX_ATTEMPTS + 3):
                    assert await send(world, url) == 0
                    (made,) = await submissions(world)
                    assert made["attempts"] == min(attempt, MAX_ATTEMPTS)
                assert made["state"] == "parked"
                assert str(status) in made["failure"]
                assert there.ids == [made["id"]] * MAX_ATTEMPTS
                # What is parked is still to be done, and is not sent by another one.
                assert await states(world, due) == {"prepared": 1}
                assert len((await world.staff.get("/v1/obligations"))["items"]) == 1
                path = f"/v1/submissions/{made['id']}/retry"
                assert (await world.staff.post(path))["state"] == "made"
                await world.staff.refused("POST", path, 409)
                there.__dict__.pop("put", None)
                there.behaves = stand_in.accepted
                assert await send(world, url) == 1
                assert there.ids[-1] == made["id"]
            assert await states(world, due) == {"accepted": 1}

    database(scenario)


def test_one_that_is_refused_as_a_whole_is_parked_at_once_and_the_others_go_on(
    database, monkeypatch
):
    monkeypatch.setattr("leasing.obligations.service.MAX_BATCH", 1)

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world, 2)

            def behaves(batch: Json) -> stand_in.Reply:
                if len(there.came) == 1:
                    return 422, {"reason": "malformed"}
                return stand_in.accepted(batch)

            with stand_in.platform() as (there, url):
                there.behaves = behaves
                assert await send(world, url) == 1
                assert await send(world, url) == 0
                assert len(there.came) == 2
            assert [made["state"] for made in await submissions(world)] == ["parked", "answered"]
            assert await states(world, due) == {"prepared": 1, "accepted": 1}

    database(scenario)


def rejecting(field: str) -> Any:
    def behaves(batch: Json) -> stand_in.Reply:
        faults = [{"field": field, "code": "implausible", "message": "46 kg were declared before"}]
        return 200, {
            "submission": batch["submission"],
            "results": [
                {"obligation": report["obligation"], "result": "rejected", "faults": faults}
                for report in batch["reports"]
            ],
        }

    return behaves


def test_a_field_that_was_rejected_is_put_right_and_sent_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (due,) = await some_due(world)
            path = f"/v1/obligations/{due['id']}/correction"
            await world.staff.refused("POST", path, 409, {"values": {"/mass_kg": 45}})
            with stand_in.platform() as (there, url):
                there.behaves = rejecting("/mass_kg")
                assert await send(world, url) == 1
                found = await one(world, due)
                assert found["obligation"]["state"] == "rejected"
                assert [fault["field"] for fault in found["faults"]] == ["/mass_kg"]
                # It is to be done again, and nothing goes out before.
                assert await send(world, url) == 0
                problem = await world.staff.refused(
                    "POST", path, 409, {"values": {"/data/note": "x"}}
                )
                assert problem["code"] == "faults_remain"
                assert "/mass_kg" in problem["detail"]
                for wrong in ({"/mass_kg": "heavy"}, {"/event": "x"}, {"/weight": 3}, {"mass": 3}):
                    values = {"/mass_kg": 45, **wrong}
                    problem = await world.staff.refused("POST", path, 409, {"values": values})
                    assert problem["code"] == "no_such_field"
                await world.staff.post(path, {"values": {"/mass_kg": 45}})
                found = await one(world, due)
                assert found["obligation"]["state"] == "corrected"
                (fault,) = found["faults"]
                assert (fault["was_value"], fault["fixed_value"]) == (46, 45)
                assert fault["fixed_by"].startswith("staff")
                there.behaves = stand_in.accepted
                assert await send(world, url) == 1
                first, second = there.came
            assert first[0] != second[0]
            assert (first[1]["reports"][0]["mass_kg"], second[1]["reports"][0]["mass_kg"]) == (
                46,
                45,
            )
            found = (await one(world, due))["obligation"]
            assert (found["state"], found["submitted_on"]) == ("accepted", "2026-06-15")

    database(scenario)


def test_a_second_answer_changes_nothing_and_a_contradicting_one_is_put_aside(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world, 2)
            gateway = FileDrop(tmp_path)
            assert await obligations.send_all(world.db, PLATFORM, gateway, by=BY) == 2
            (out,) = (tmp_path / "out").glob("*.json")
            batch = json.loads(out.read_bytes())
            _, answer = stand_in.accepted(batch)
            _, refusal = rejecting("/mass_kg")(batch)
            answers = tmp_path / "in"
            answers.mkdir()
            half = {**answer, "results": answer["results"][:1]}
            stranger = {**answer, "submission": due[0]["id"]}
            for number, content in enumerate(
                [half, answer, answer, refusal, stranger, "no answer", {"submission": 1}]
            ):
                (answers / f"{number}.json").write_text(json.dumps(content))
            read = await obligations.read_all(world.db, PLATFORM, gateway, by=BY)
            assert read == (2, 4)
            assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
                "0.json", "1.json", "2.json"]  # fmt: skip
            assert await states(world, due) == {"accepted": 2}
            assert [made["state"] for made in await submissions(world)] == ["answered"]
            events = await stories.told(world)
            told = Counter(event["kind"] for event in events if event["aggregate"] == "obligation")
            assert told == {
                "obligation.prepared": 2, "obligation.submitted": 2, "obligation.accepted": 2
            }  # fmt: skip

    database(scenario)


def test_an_answer_that_comes_later_is_asked_for(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world)
            with stand_in.platform() as (there, url):
                there.behaves = lambda batch: (202, None)
                assert await send(world, url) == 1
                assert await states(world, due) == {"submitted": 1}
                there.answers.clear()
                assert await read(world, url) == (0, 0)
                _, batch = there.came[0]
                there.answers[batch["submission"]] = stand_in.accepted(batch)
                assert await read(world, url) == (1, 0)
                assert await read(world, url) == (0, 0)
            assert await states(world, due) == {"accepted": 1}

    database(scenario)


def test_files_are_valid_by_both_schemas(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, on="2026-06-12")
            assert lease["pack"]
            await obligations.prepare(world.db, by=BY)
            gateway = FileDrop(tmp_path)
            assert await obligations.send_all(world.db, PLATFORM, gateway, by=BY) >= 1

    database(scenario)
    schema = json.loads((forms.FOLDER / "submission.schema.json").read_text("utf-8"))
    xsd = etree.XMLSchema(etree.parse(forms.FOLDER / "submission.xsd"))
    (out,) = (tmp_path / "out").glob("*.json")
    content = json.loads(out.read_bytes())
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(content)
    document = etree.parse(out.with_suffix(".xml"))
    xsd.assertValid(document)
    name = f"{{{forms.NAMESPACE}}}"
    assert [one.get("obligation") for one in document.iter(f"{name}report")] == [
        report["obligation"] for report in content["reports"]
    ]
    # Neither schema takes everything.
    content["reports"][0]["mass_kg"] = -1
    assert not jsonschema_rs.is_valid(schema, content)
    next(document.iter(f"{name}mass_kg")).text = "-1"
    assert not xsd.validate(document)


def test_text_that_xml_forbids_is_written_all_the_same():
    report = {
        "obligation": "00000000-0000-0000-0000-000000000001",
        "rule": {"code": "a.b", "article": "14"},
        "role": "repurposer",
        "reports": "r",
        "event": "pack.acquired",
        "event_on": "2026-01-01",
        "due_on": "2026-02-01",
        "code": None,
        "chemistry": "B",
        "mass_kg": 46,
        "adcode": None,
        "counterparty": {"name": "<&>", "credit_code": None},
        "data": {"note": "a\x0bb\ufffe", "nested": {"a": [1]}},
    }
    dispatch = msgspec.convert(
        {"id": report["obligation"], "recipient": "platform", "made_at": "2026-01-01T00:00:00Z",
         "reports": [report]}, Dispatch)  # fmt: skip
    xsd = etree.XMLSchema(etree.parse(forms.FOLDER / "submission.xsd"))
    document = etree.fromstring(forms.as_xml(dispatch))
    xsd.assertValid(document)
    values = [json.loads(one.text) for one in document.iter(f"{{{forms.NAMESPACE}}}value")]
    assert values == [{"a": [1]}, "a\x0bb\ufffe"]


def test_two_that_send_at_once_send_each_report_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            due = await some_due(world, 4)
            with stand_in.platform() as (there, url):
                ways = [send(world, url) for _ in range(4)]
                sent = await asyncio.gather(*ways)
                assert sum(sent) == 4
                told = [
                    report["obligation"] for _, body in there.came for report in body["reports"]
                ]
            assert sorted(told) == sorted(one["id"] for one in due)

    database(scenario)


def test_a_sender_that_is_killed_between_sending_and_the_answer_repeats_with_the_same_id(
    dsn, own_schema, tmp_path: Path
):
    async def begin() -> list[Json]:
        async with opened(dsn, own_schema) as db, build.world(db) as world:
            return await some_due(world, 2)

    async def end(due: list[Json]) -> tuple[Counter[str], list[Json]]:
        async with await connect(dsn, own_schema) as db, build.world(db, on=None) as world:
            return await states(world, due), await submissions(world)

    due = asyncio.run(begin())
    environment = {
        **os.environ, "LEASING_DSN": dsn, "LEASING_SCHEMA": own_schema.schema,
        "LEASING_DATA": str(tmp_path),
    }  # fmt: skip
    with stand_in.platform() as (there, url):
        command = [sys.executable, "-m", "jobs", "obligations", "send", "--url", url]
        there.holds = threading.Event()
        sender = subprocess.Popen(command, env=environment)
        assert there.arrived.wait(60)
        sender.send_signal(signal.SIGKILL)
        assert sender.wait(30) == -signal.SIGKILL
        there.holds.set()
        assert asyncio.run(end(due))[0] == {"prepared": 2}
        again = subprocess.run(
            command, check=False, env=environment, capture_output=True, timeout=60
        )
        assert again.returncode == 0, again.stderr
        assert there.ids == [there.ids[0]] * 2
        assert there.came[0] == there.came[1]
    found, made = asyncio.run(end(due))
    assert found == {"accepted": 2}
    assert [one["state"] for one in made] == ["answered"]
