"""Requests that cannot be right: each is refused with one problem that says all."""

import json
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from leasing.access.model import Role
from leasing.app import create
from leasing.db.pool import Database
from tests import build
from tests.build import Json, World

LONG = "9" * 400


async def send(world: World, path: str, body: bytes, status: int, **headers: str) -> Json:
    """Send bytes as they are and return the problem they lead to."""
    given = {"content-type": "application/json", **headers}
    answer = await world.staff.ask("POST", path, content=body, headers=given)
    return problem_of(answer, status)


def problem_of(answer: httpx.Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert set(problem) == {
        "type", "title", "status", "detail", "code", "request_id", "instance", "errors", "extra",
    }  # fmt: skip
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["instance"] == answer.request.url.path
    assert all(set(error) == {"pointer", "code", "message"} for error in problem["errors"])
    return problem


def found(problem: Json) -> dict[str, str]:
    return {error["pointer"]: error["code"] for error in problem["errors"]}


def test_all_that_is_wrong_with_a_payload_is_said_at_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payload = build.contract_terms(
                "no uuid",
                [
                    build.line_terms(str(uuid4()), slot=0),
                    {**build.line_terms(str(uuid4())), "rent_amount": "31000", "colour": "red"},
                ],
                starts_on="2026-02-30",
                vat_percent="13.456",
                curency="CNY",
            )
            del payload["payment_days"]
            problem = await world.staff.refused("POST", "/v1/contracts", 400, payload)
            assert found(problem) == {
                "/lessee_id": "invalid_uuid",
                "/starts_on": "invalid_date",
                "/vat_percent": "wrong_pattern",
                "/payment_days": "missing",
                "/lines/0/slot": "out_of_range",
                "/lines/1/rent_amount": "wrong_type",
                "/lines/1/colour": "unknown_field",
                "/curency": "unknown_field",
            }
            (hint,) = [one for one in problem["errors"] if one["pointer"] == "/curency"]
            assert "did you mean 'currency'?" in hint["message"]
            assert problem["code"] == "invalid_payload"
            assert (await world.staff.get("/v1/contracts"))["items"] == []

    database(scenario)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "body_required", None),
        (b"   ", "body_required", None),
        (b"{", "malformed_json", None),
        (b'{"kind": "customer", "name": "A"} trailing', "malformed_json", None),
        (b"{'kind': 'customer'}", "malformed_json", None),
        (b'{"kind": "customer", "name": "\xff\xfe"}', "malformed_json", None),
        (b'{"kind": "customer", "name": "\\ud800"}', None, None),
        (b"null", "invalid_payload", ""),
        (b"[]", "invalid_payload", ""),
        (b'"text"', "invalid_payload", ""),
        (b"[" * 100_000, None, None),
        (b'{"a":' * 50_000, None, None),
        (b'{"kind": "customer", "name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", None, None),
        (b'{"kind": "customer", "name": NaN}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": 1e400}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": "a\\u0000b"}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": "\\u0000"}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": "a\\nb"}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": "   "}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": ""}', "invalid_payload", "/name"),
        (b'{"kind": "customer", "name": "A", "name": 1}', "invalid_payload", "/name"),
    ],
)
def test_a_body_that_is_no_payload_is_refused(database, body, code, pointer):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            problem = await send(world, "/v1/parties", body, 400)
            if code is not None:
                assert problem["code"] == code
            if pointer is not None:
                assert pointer in found(problem)

    database(scenario)


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "1e400", "1.5", "-1", "1e15", "true", '"1"', LONG,
               str(2**63), str(10**15 + 1)]
)  # fmt: skip
def test_an_amount_that_is_no_amount_of_money_is_refused(database, amount):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            line = build.line_terms(str(uuid4()))
            terms = build.contract_terms(str(uuid4()), [{**line, "rent_amount": "HERE"}])
            body = json.dumps(terms).replace('"HERE"', amount).encode()
            problem = await send(world, "/v1/contracts", body, 400)
            assert "/lines/0/rent_amount" in found(problem)

    # 1e15 is a whole number in another spelling, and as large as an amount may be.
    if amount != "1e15":
        database(scenario)


@pytest.mark.parametrize(
    "day", ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "0000-01-01", "26-01-01",
            "2026-01-01T00:00:00Z", "today", "", 20260101, None]
)  # fmt: skip
def test_a_day_that_does_not_exist_is_refused(database, day):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path = f"/v1/lines/{uuid4()}/returns"
            problem = await world.staff.refused("POST", path, 400, build.returned(day))
            assert set(found(problem)) == {"/returned_on"}

    database(scenario)


def test_days_at_the_ends_of_the_calendar_do_no_harm(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            line = f"/v1/lines/{lease['line']['id']}"
            for day in ("0001-01-01", "9999-12-31"):
                returned = build.returned(day)
                answer = await world.staff.ask("POST", f"{line}/returns", json=returned)
                assert answer.status_code in (400, 409), answer.text
                swap = build.acceptance(lease["pack"]["id"], day)
                answer = await world.staff.ask("POST", f"{line}/swaps", json=swap)
                assert answer.status_code in (400, 409), answer.text
            for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
                answer = await world.staff.ask("POST", "/v1/clock/advance", json={"to_at": at})
                assert answer.status_code in (202, 400, 409), answer.text
                query = {"from_at": at, "to_at": at}
                path = f"/v1/packs/{lease['pack']['id']}/readings"
                answer = await world.staff.ask("GET", path, params=query)
                assert answer.status_code in (200, 400), answer.text
                reading = {"pack_id": lease["pack"]["id"], "at": at, "voltage_v": 1, "current_a": 1}
                batch = {"readings": [reading]}
                problem = await world.staff.refused("POST", "/v1/readings", 400, batch)
                assert "/readings/0/at" in found(problem)

    database(scenario)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/merge-patch+json", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/octet-stream", 415),
        ("", 415),
    ],
)
def test_a_body_must_say_it_is_json(database, media_type, status):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            body = b'{"kind": "customer", "name": "A"}'
            answer = await world.staff.ask(
                "POST", "/v1/parties", content=body, headers={"content-type": media_type}
            )
            assert answer.status_code == status, answer.text
            if status == 415:
                assert problem_of(answer, 415)["code"] == "unsupported_media_type"

    database(scenario)


def test_a_body_beyond_the_limit_is_refused_told_or_not(database):
    async def scenario(db: Database) -> None:
        settings = msgspec.structs.replace(db.settings, max_body_bytes=1000)
        async with build.world(db) as world:
            small = Database(db.pool, db.dsn, settings)
            key = await world.key(Role.STAFF)
            client = build.Client(build.connect(create(small), key), world.openapi)

            async def chunks() -> AsyncIterator[bytes]:
                yield b'{"kind": "customer", "name": "'
                for _ in range(20):
                    yield b"A" * 100
                yield b'"}'

            whole = b'{"kind": "customer", "name": "' + b"A" * 2000 + b'"}'
            for content in (whole, chunks()):
                for headers in ({}, {"idempotency-key": str(uuid4())}):
                    answer = await client.ask(
                        "POST",
                        "/v1/parties",
                        content=content,
                        headers={"content-type": "application/json", **headers},
                    )
                    assert problem_of(answer, 413)["code"] == "too_large"
                    if content is not whole:
                        break
            assert (await client.get("/v1/parties"))["items"] == []

    database(scenario)


def test_what_is_not_there_or_not_allowed_here_is_a_problem_too(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for path in ("/v1/nothing", "/nothing", "/v1/sites/not-a-uuid", "/v1/sites/%00"):
                answer = await world.staff.ask("GET", path)
                assert problem_of(answer, 404)["code"] == "no_such_path"
            answer = await world.staff.ask("DELETE", "/v1/sites")
            assert problem_of(answer, 405)["code"] == "method_not_allowed"
            assert set(answer.headers["allow"].split(", ")) >= {"GET", "POST"}

    database(scenario)


def test_a_request_id_is_taken_over_unless_it_could_forge_a_log_line(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for given, kept in (("mine-1", True), ("a b", False), ("x" * 65, False)):
                answer = await world.staff.ask(
                    "GET", f"/v1/sites/{uuid4()}", headers={"x-request-id": given}
                )
                assert (problem_of(answer, 404)["request_id"] == given) is kept

    database(scenario)


@pytest.mark.parametrize(
    ("path", "query", "places"),
    [
        ("/v1/sites", {"limit": "0"}, {"?limit"}),
        ("/v1/sites", {"limit": "201"}, {"?limit"}),
        ("/v1/sites", {"limit": "many", "party_id": "x"}, {"?limit", "?party_id"}),
        ("/v1/packs", {"state": "gone"}, {"?state"}),
        ("/v1/packs", {"code": "\0"}, {"?code"}),
        ("/v1/job-runs", {"job": "\0"}, {"?job"}),
        ("/v1/job-runs", {"state": "\0"}, {"?state"}),
        ("/v1/outlets", {"adcode": "\0", "kind": "big"}, {"?adcode", "?kind"}),
        ("/v1/duties", {"open": "perhaps"}, {"?open"}),
        (
            f"/v1/packs/{UUID(int=1)}/readings",
            {"from_at": "2026-06-15T12:00:00", "to_at": "2026-06-16T00:00:00"},
            {"?from_at", "?to_at"},
        ),
    ],
)
def test_all_that_is_wrong_with_the_parameters_is_said_at_once(database, path, query, places):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            answer = await world.staff.ask("GET", path, params=query)
            problem = problem_of(answer, 400)
            assert problem["code"] == "invalid_parameters"
            assert set(found(problem)) == places

    database(scenario)


# --- Codes of packs ---------------------------------------------------------------------------


def with_character(code: str, position: int, character: str) -> str:
    return code[: position - 1] + character + code[position:]


def test_a_code_with_wrong_characters_is_refused_naming_each_position(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            code = with_character(with_character(build.battery_code(), 4, "O"), 20, "I")
            payload = {"code": code, **pack_terms()}
            problem = await world.staff.refused("POST", "/v1/packs", 400, payload)
            assert problem["code"] == "bad_pack_code"
            assert [error["pointer"] for error in problem["errors"]] == ["/code", "/code"]
            for position, error in zip(
                ("position 4:", "position 20:"), problem["errors"], strict=True
            ):
                assert position in error["message"]

    database(scenario)


@pytest.mark.parametrize("code", ["short", "x" * 80, "中" * 24, "\n" * 24, "a\0b", "0" * 24])
def test_what_is_no_battery_code_is_refused(database, code):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            problem = await world.staff.refused(
                "POST", "/v1/packs", 400, {"code": code, **pack_terms()}
            )
            assert set(found(problem)) == {"/code"}

    database(scenario)


def test_an_old_code_may_be_unreadable_but_not_unprintable(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            terms = {"code": build.battery_code(), **pack_terms()}
            for bad in ("a\0b", "\x07"):
                payload = {**terms, "original_codes": [bad]}
                problem = await world.staff.refused("POST", "/v1/packs", 400, payload)
                assert set(found(problem)) == {"/original_codes/0"}
            await world.staff.post("/v1/packs", {**terms, "original_codes": ["half 中 readable?"]})

    database(scenario)


def pack_terms() -> Json:
    return {
        "cells_in_series": 16,
        "rated_voltage_mv": 51_200,
        "rated_capacity_mah": 100_000,
        "mass_kg": 46,
        "acquired_on": str(date(2025, 1, 2)),
        "acquired_from": "Dismantler",
    }


@pytest.mark.parametrize("tail", ["\n", "\r\n", "\0"])
def test_a_line_break_after_a_value_is_not_overlooked(database, tail):
    """`$` in a pattern also matches before a last line break."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            payload: dict[str, Any] = {
                "party_id": lessee["id"],
                "code": "ZZ-1" + tail,
                "name": "Tower" + tail,
                "kind": "tower",
                "adcode": "410100" + tail,
                "longitude": 113.56,
                "latitude": 34.81,
                "datum": "wgs84",
            }
            problem = await world.staff.refused("POST", "/v1/sites", 400, payload)
            assert set(found(problem)) == {"/code", "/name", "/adcode"}

    database(scenario)
