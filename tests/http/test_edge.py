"""Answers that are held back until the transaction has ended: what they cost while they wait, and
that nothing of them changes."""

import asyncio
from typing import Any

import pytest
from litestar.types import Message

from leasing.db.pool import Database
from leasing.http import edge
from leasing.http.edge import SENT_AT_ONCE, Answer
from tests import build


def start(status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": []}


def body(content: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def sent(*messages: Message) -> tuple[Answer, bytes, list[Any]]:
    """The answer, what of it would be saved, and what was sent."""
    answer, found = Answer(), []

    async def keep(message: Message) -> None:
        found.append(message)

    for message in messages:
        await answer.hold(message)
    body = answer.body
    await answer.send(keep)
    return answer, body, found


@pytest.mark.parametrize("size", [0, 1, edge.HELD_IN_MEMORY, edge.HELD_IN_MEMORY + 1, 3_000_001])
def test_an_answer_is_sent_as_it_was_held_and_a_large_one_in_pieces(size):
    content = bytes(index % 251 for index in range(size))
    answer, saved, found = asyncio.run(sent(start(201), body(content)))
    assert found[0] == start(201)
    assert b"".join(message["body"] for message in found[1:]) == content == saved
    assert [message["more_body"] for message in found[1:]] == [True] * (len(found) - 2) + [False]
    if size > edge.HELD_IN_MEMORY:
        # Nothing of it is in memory, and nothing that goes to the server at once is large.
        (held,) = answer.bodies
        assert not isinstance(held, bytes)
        assert held.closed
        assert max(len(message["body"]) for message in found[1:]) == SENT_AT_ONCE
    else:
        # One message, as before.
        assert len(found) == 2


def test_several_pieces_are_sent_in_their_order():
    parts = [body(b"a", True), body(b"b" * 2_000_000, True), body(b"", True), body(b"c")]
    _, saved, found = asyncio.run(sent(start(), *parts))
    content = b"a" + b"b" * 2_000_000 + b"c"
    assert b"".join(message["body"] for message in found[1:]) == content == saved
    assert [message["more_body"] for message in found[1:]].count(False) == 1


def test_what_is_held_on_disk_is_answered_saved_and_answered_again_as_ever(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for _ in range(3):
                await build.customer(world)
            path = "/v1/parties"
            before = await world.staff.ask("GET", path)
            monkeypatch.setattr(edge, "HELD_IN_MEMORY", 10)
            monkeypatch.setattr(edge, "SENT_AT_ONCE", 7)
            after = await world.staff.ask("GET", path)
            assert after.content == before.content
            assert after.headers["content-length"] == str(len(after.content))
            data, key = {"kind": "customer", "name": "Once"}, {"idempotency-key": "one"}
            made = await world.staff.ask("POST", path, json=data, headers=key)
            again = await world.staff.ask("POST", path, json=data, headers=key)
            assert (made.status_code, again.status_code) == (201, 201)
            assert again.content == made.content
            assert again.headers["idempotent-replay"] == "true"
            wrong = await world.staff.refused("POST", path, 400, {"kind": "customer"})
            assert wrong["errors"]

    database(scenario)
