"""Every route is shown as it really answers: the examples are recorded, complete, and true."""

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest
import uvloop
from msgspec import UNSET

from leasing.db.pool import Database
from leasing.http import examples
from leasing.http.examples import JSON, Example
from leasing.http.openapi import operations
from tests import build
from tests.build import Json, World
from tests.docs import story, tour
from tests.docs.teller import Told, examples_of, shown
from tests.house.test_openapi import OPENAPI

RENEW = "run `make examples`, and read what changed"

OPERATIONS = dict(operations(OPENAPI))
SHOWN = [(operation, one) for operation, told in examples.load().items() for one in told]
EVERY = pytest.mark.parametrize(
    ("operation", "example"),
    [pytest.param(*one, id=f"{one[0]}, {one[1].title}") for one in SHOWN],
)


@pytest.fixture(scope="module")
def told(dsn: str) -> list[Told]:
    return uvloop.run(story.play(dsn))


def test_the_story_told_again_is_what_the_package_shows(told) -> None:
    again = examples_of(told)
    for operation, before in examples.load().items():
        assert again.get(operation) == before, RENEW
    assert story.written(again) == examples.FILE.read_bytes(), RENEW


def test_the_tour_is_what_the_story_told(told) -> None:
    assert tour.page(told) == tour.FILE.read_text("utf-8"), RENEW


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    accepted = {operation for operation, example in SHOWN if example.accepted}
    assert sorted(OPERATIONS.keys() - accepted) == [], (
        f"ask these in tests/docs/story.py and {RENEW}"
    )
    assert sorted(accepted - OPERATIONS.keys()) == []


DOCUMENT = jsonschema_rs.Registry([("urn:openapi", OPENAPI)])
"""Read once: a schema of its own refers into it, and need not carry it along."""


def violations(schema: Json, value: Any) -> list[str]:
    """What an independent reader of the document finds wrong with a value."""
    referring = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
    validator = jsonschema_rs.Draft202012Validator(
        referring, validate_formats=True, registry=DOCUMENT
    )
    return [str(error) for error in validator.iter_errors(value)]


@EVERY
def test_an_example_is_what_the_document_promises(operation: str, example: Example) -> None:
    about = OPERATIONS[operation]
    response = about["responses"][str(example.status)]
    content = response["content"][example.answer_type]
    if example.answer is not UNSET:
        assert violations(content["schema"], example.answer) == []
        assert content["examples"][example.title] == {"value": example.answer}
    for name, value in example.answer_headers.items():
        assert violations(response["headers"][name]["schema"], value) == []
    known = {parameter["name"]: parameter for parameter in about.get("parameters", [])}
    for name, value in {**example.path, **example.query, **example.headers}.items():
        assert violations(known[name]["schema"], value) == []
    if not example.accepted:
        return
    for name, value in {**example.path, **example.query, **example.headers}.items():
        assert known[name]["examples"][example.title] == {"value": value}
    required = {name for name, parameter in known.items() if parameter.get("required")}
    assert required <= {*example.path, *example.query, *example.headers}
    assert example.has_body == ("requestBody" in about)
    if example.has_body:
        content = about["requestBody"]["content"][example.body_type]
    if example.body is not UNSET:
        assert violations(content["schema"], example.body) == []
        assert content["examples"][example.title] == {"value": example.body}


@EVERY
def test_a_version_is_documented_where_one_is_sent(operation: str, example: Example) -> None:
    documented = OPERATIONS[operation]["responses"][str(example.status)].get("headers", {})
    assert ("ETag" in documented) == ("ETag" in example.answer_headers)


@EVERY
def test_an_example_as_a_command_asks_the_same(operation: str, example: Example) -> None:
    method, route = operation.split(" ")
    sent = as_curl_reads_it(examples.curl(operation, example))
    assert method == sent.X
    assert build.matches(route, sent.url.path)
    asked = {name: sent.url.params.get_list(name) for name in sent.url.params}
    assert asked == {name: texts(value) for name, value in example.query.items()}
    headers = dict(header.split(": ", 1) for header in sent.H)
    key = headers.pop("Authorization", None)
    assert key == (None if example.role is None else "Bearer bl_key")
    media_type = headers.pop("Content-Type", None)
    assert media_type == (example.body_type if example.has_body else None)
    assert headers == example.headers
    if example.file is not None:
        assert sent.data_binary == f"@{example.file}"
    elif example.has_body:
        assert shown(sent.data_binary.encode(), httpx.Headers({"content-type": media_type})) == (
            example.body
        )
    else:
        assert sent.data_binary is None


def test_quotes_and_dollars_in_a_payload_reach_the_service_as_they_are() -> None:
    body = {"name": """it's "quoted", costs $KEY and `date`"""}
    example = Example(title="odd", body=body, headers={"X": "o'clock"}, status=200)
    sent = as_curl_reads_it(examples.curl("POST /v1/odd", example))
    assert msgspec.json.decode(sent.data_binary) == body
    assert "X: o'clock" in sent.H


ARGUMENTS = argparse.ArgumentParser("curl", exit_on_error=False)
ARGUMENTS.add_argument("url", type=httpx.URL)
ARGUMENTS.add_argument("-X", default="GET")
ARGUMENTS.add_argument("-H", action="append", default=[])
ARGUMENTS.add_argument("--data-binary")


def as_curl_reads_it(command: str) -> argparse.Namespace:
    script = f"API=http://api KEY=bl_key; curl() {{ printf '%s\\0' \"$@\"; }}; {command}"
    told = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    return ARGUMENTS.parse_args(told.stdout.split("\0")[:-1])


def texts(value: Any) -> list[str]:
    """What a value of a query, or several, look like in an address."""
    values = value if isinstance(value, list) else [value]
    return [one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in values]


# --- What the document says of requests, and what the server does with them ---------------------


def with_a_field_more(body: Any) -> Iterator[tuple[str, Any]]:
    """The body again and again, each time with an unknown field in another of its objects."""

    def walk(value: Any, pointer: str, put: Callable[[Any], Any]) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            yield f"{pointer}/surplus", put({**value, "surplus": 1})
            for name, part in value.items():
                rest = {key: kept for key, kept in value.items() if key != name}
                yield from walk(
                    part, f"{pointer}/{name}", lambda new, n=name, r=rest: put({**r, n: new})
                )
        if isinstance(value, list) and value:
            yield from walk(value[0], f"{pointer}/0", lambda new: put([new, *value[1:]]))

    yield from walk(body, "", lambda new: new)


async def send(world: World, operation: str, example: Example, **changes: Any) -> tuple[int, Any]:
    """A request once more, with other headers or another body; what was answered, if it is JSON."""
    method, route = operation.split(" ")
    body = example.body if example.body_type == JSON and example.body is not UNSET else None
    given = {"headers": example.headers, "json": body, **changes}
    answer = await world.staff.ask(method, examples.target(route, example), **given)
    return answer.status_code, shown(answer.content, answer.headers)


def test_a_field_more_is_refused_where_the_document_closes_a_structure(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for operation, example in SHOWN:
                if example.body is UNSET or example.body_type != JSON or not example.accepted:
                    continue
                if operation.endswith(":batch"):  # answers row by row: tests/api/test_batches.py
                    continue
                content = OPERATIONS[operation]["requestBody"]["content"][JSON]
                for pointer, body in with_a_field_more(example.body):
                    _, answer = await send(world, operation, example, json=body)
                    refused = [one["pointer"] for one in answer.get("errors", [])
                               if one["code"] == "unknown_field"]  # fmt: skip
                    closed = violations(content["schema"], body) != []
                    assert refused == ([pointer] if closed else []), operation

    database(scenario)


def test_an_idempotency_key_is_documented_exactly_where_one_is_read(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            read = set()
            for operation, example in SHOWN:
                headers = {**example.headers, "Idempotency-Key": "no blank in it"}
                _, answer = await send(world, operation, example, headers=headers)
                if isinstance(answer, dict) and answer.get("code") == "bad_idempotency_key":
                    read.add(operation)
            assert read == documented("Idempotency-Key")
            assert read

    database(scenario)


def test_a_version_is_documented_as_required_exactly_where_one_is_asked_for(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            asked = set()
            for operation, example in SHOWN:
                status, _ = await send(world, operation, example, headers={})
                if status == 428:
                    asked.add(operation)
            assert asked == documented("If-Match")
            assert asked
            for operation in asked:
                parameters = OPERATIONS[operation]["parameters"]
                (version,) = [one for one in parameters if one["name"] == "If-Match"]
                assert version["required"]

    database(scenario)


def documented(header: str) -> set[str]:
    return {
        operation
        for operation, about in OPERATIONS.items()
        if any(parameter["name"] == header for parameter in about.get("parameters", []))
    }
