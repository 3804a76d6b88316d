"""The shapes in which readings come over HTTP: JSON, MessagePack, columns, compressed; and what
is said of those that are refused."""

import gzip
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest

from leasing.db.pool import Database
from leasing.telemetry import storage
from leasing.telemetry.api import FIRST, LAST, views
from tests import build
from tests.build import Json, World

AT = "2026-06-14T15:00:00Z"
AT_MS = int(datetime(2026, 6, 14, 15, tzinfo=UTC).timestamp() * 1000)
MSGPACK = "application/vnd.msgpack"


def played(database: Any, story: Any) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await story(world, await build.pack(world))

    database(scenario)


async def send(
    world: World, path: str, body: bytes, media: str = "application/json", **headers: str
) -> tuple[int, Json]:
    answer = await world.staff.ask(
        "POST",
        path,
        content=body,
        headers={"Content-Type": media}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    return answer.status_code, answer.json()


async def held(world: World, pack: Json) -> list[Any]:
    async with world.db.transaction() as tx:
        return views(await storage.page(tx, UUID(pack["id"]), FIRST, LAST, 1000))


def row(pack: Json, **changes: Any) -> Json:
    return {"pack_id": pack["id"], "at": AT, "voltage_v": 52.25, "current_a": 10.0} | changes


def test_messagepack_says_what_json_says(database):
    async def story(world: World, pack: Json) -> None:
        batch = {"readings": [row(pack, cells_mv=[3200, None, 3201], temperatures_c=[20.5])]}
        body = msgspec.msgpack.encode(batch)
        for media, stored in ((MSGPACK, 1), ("application/msgpack", 0)):
            status, receipt = await send(world, "/v1/readings", body, media)
            assert (status, receipt["stored"], receipt["repeated"]) == (201, stored, 1 - stored)
        (one,) = await held(world, pack)
        assert (one.voltage_v, one.cells_mv, one.temperatures_c) == (
            52.25,
            [3200, None, 3201],
            [20.5],
        )

    played(database, story)


def test_messagepack_is_refused_with_the_field_at_fault(database):
    async def story(world: World, pack: Json) -> None:
        body = msgspec.msgpack.encode({"readings": [row(pack), row(pack, voltage_v="high")]})
        status, problem = await send(world, "/v1/readings", body, MSGPACK)
        assert (status, problem["code"]) == (400, "invalid_payload")
        assert [one["pointer"] for one in problem["errors"]] == ["/readings/1/voltage_v"]
        for broken, code in ((body[:-3], "malformed_msgpack"), (b"", "body_required")):
            status, problem = await send(world, "/v1/readings", broken, MSGPACK)
            assert (status, problem["code"]) == (400, code)
        assert await held(world, pack) == []

    played(database, story)


def test_only_routes_that_say_so_take_messagepack(database):
    async def story(world: World, pack: Json) -> None:
        body = msgspec.msgpack.encode({"kind": "customer", "name": "Somebody"})
        assert (await send(world, "/v1/parties", body, MSGPACK))[0] == 415

    played(database, story)


def test_a_compressed_body_is_read_and_bounded_by_what_it_becomes(database):
    async def story(world: World, pack: Json) -> None:
        body = msgspec.json.encode({"readings": [row(pack)]})
        sent = {"Content_Encoding": "gzip"}
        status, receipt = await send(world, "/v1/readings", gzip.compress(body), **sent)
        assert (status, receipt["stored"]) == (201, 1)
        for broken, status, code in (
            (body, 400, "not_gzip"),
            (gzip.compress(body)[:-5], 400, "not_gzip"),
            (gzip.compress(body) + b"more", 400, "not_gzip"),
            (gzip.compress(b" " * 10_000_001), 413, "inflated_too_large"),
        ):
            found, problem = await send(world, "/v1/readings", broken, **sent)
            assert (found, problem["code"]) == (status, code)
        found, problem = await send(world, "/v1/readings", body, Content_Encoding="br")
        assert (found, problem["code"]) == (415, "unknown_encoding")

    played(database, story)


def test_a_batch_that_is_not_all_or_nothing_stores_the_rest_and_names_what_it_refused(database):
    async def story(world: World, pack: Json) -> None:
        batch = {
            "all_or_nothing": False,
            "readings": [
                row(pack, voltage_v=9999),
                row(pack),
                row(pack, pack_id="00000000-0000-0000-0000-000000000007"),
                row(pack, at="2026-06-14T15:01:00Z"),
                {"pack_id": pack["id"], "at": AT},
                row(pack, pack_code="WHO-IS-THIS"),
                row(pack, at="2031-01-01T00:00:00Z"),
                {"pack_code": "WHO-IS-THIS", "at": AT, "voltage_v": 1},
            ],
        }
        for body, media in (
            (msgspec.json.encode(batch), "application/json"),
            (msgspec.msgpack.encode(batch), MSGPACK),
        ):
            status, receipt = await send(world, "/v1/readings", body, media)
            assert status == 201
            assert [(one["pointer"], one["code"]) for one in receipt["refused"]] == [
                ("/readings/0/voltage_v", "out_of_range"),
                ("/readings/2/pack_id", "pack_not_found"),
                ("/readings/4/voltage_v", "no_value"),
                ("/readings/5/pack_id", "one_of_two"),
                ("/readings/6/at", "impossible_time"),
                ("/readings/7/pack_code", "pack_not_found"),
            ]
        assert (receipt["stored"], receipt["repeated"]) == (0, 2)
        assert len(await held(world, pack)) == 2
        unknown = (await world.staff.get("/v1/unmatched-sources"))["items"]
        assert [(one["kind"], one["value"], one["readings"]) for one in unknown] == [
            ("pack", "00000000-0000-0000-0000-000000000007", 2),
            ("pack_code", "WHO-IS-THIS", 2),
        ]

    played(database, story)


def test_a_pack_may_be_named_by_a_code_on_it(database):
    async def story(world: World, pack: Json) -> None:
        named = {"pack_code": pack["code"], "at": AT, "voltage_v": 51.0}
        await world.staff.post("/v1/readings", {"readings": [named]})
        columns = {"pack_code": pack["code"], "at_ms": [AT_MS + 1000], "voltage_v": [51.5]}
        await world.staff.post("/v1/readings:columns", {"packs": [columns]})
        assert [one.voltage_v for one in await held(world, pack)] == [51.0, 51.5]

    played(database, story)


def columns(pack: Json, **changes: Any) -> Json:
    at = np.array([AT_MS, AT_MS + 60_000, AT_MS + 120_000], "<i8")
    return {
        "pack_id": pack["id"],
        "at_ms": at.tobytes(),
        "voltage_v": np.array([51, np.nan, 52], "<f4").tobytes(),
        "current_a": [1.5, 2.5, None],
        "cells_mv": np.array([[3200, 3201], [3202, -32768], [3204, 3205]], "<i2").tobytes(),
    } | changes


def test_columns_hold_what_rows_would(database):
    async def story(world: World, pack: Json) -> None:
        body = msgspec.msgpack.encode({"packs": [columns(pack)]})
        status, receipt = await send(world, "/v1/readings:columns", body, MSGPACK)
        assert (status, receipt) == (201, {"stored": 3, "repeated": 0, "refused": []})
        found = await held(world, pack)
        assert [one.voltage_v for one in found] == [51.0, None, 52.0]
        assert [one.current_a for one in found] == [1.5, 2.5, None]
        assert [one.cells_mv for one in found] == [[3200, 3201], [3202], [3204, 3205]]
        rows = [row(pack, at=f"2026-06-14T15:0{n}:00Z") for n in range(3)]
        receipt = await world.staff.post("/v1/readings", {"readings": rows})
        assert (receipt["stored"], receipt["repeated"]) == (0, 3)

    played(database, story)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"voltage_v": [51.0]}, "/packs/0/voltage_v", "wrong_length"),
        ({"voltage_v": b"\x00" * 5}, "/packs/0/voltage_v", "wrong_length"),
        ({"voltage_v": [51.0, 52.0, float("inf")]}, "/packs/0/voltage_v", "out_of_range"),
        ({"cells_mv": b"\x00" * 7}, "/packs/0/cells_mv", "wrong_length"),
        ({"at_ms": [-1, 0, 1]}, "/packs/0/at_ms", "out_of_range"),
        ({"at_ms": b"\x00" * 9}, "/packs/0/at_ms", "wrong_length"),
        ({"current_a": [0.0, 9999.0, 1.0]}, "/packs/0/current_a/1", "out_of_range"),
        ({"at_ms": [AT_MS, AT_MS + 10**11, AT_MS + 2]}, "/packs/0/at_ms/1", "impossible_time"),
        ({"pack_code": "BOTH"}, "/packs/0/pack_id", "one_of_two"),
    ],
)
def test_columns_that_cannot_be_are_refused_with_their_place(database, changes, pointer, code):
    async def story(world: World, pack: Json) -> None:
        body = msgspec.msgpack.encode({"packs": [columns(pack, **changes)]})
        status, problem = await send(world, "/v1/readings:columns", body, MSGPACK)
        assert status == 400
        first = problem["errors"][0]
        assert (first["pointer"], first["code"]) == (pointer, code)
        assert await held(world, pack) == []

    played(database, story)
