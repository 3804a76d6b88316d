"""The machinery behind the examples: stand-ins, and payloads that are no JSON."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from msgspec import UNSET

from leasing.http import examples, pages
from leasing.http.examples import Example
from leasing.http.openapi import CONTENT_TAG, VERSION, illustrate
from tests.build import Json
from tests.docs.teller import StandIns, Told, shown

BEGAN_AT = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
FIRST, SECOND = "019b9a1e-71c2-7d0e-9d4f-2f0f6a3b1c55", "019b9a1e-71c3-7aa1-8a6d-6b1f5d2c9e10"
STAND_IN = "0198c0de-0000-7000-8000-{:012}"


def replaced(*answers: Any, **known: str) -> list[Any]:
    stand_ins = StandIns(known, BEGAN_AT, BEGAN_AT + timedelta(minutes=1))
    told = [
        Told("GET /x", date(2026, 1, 5), Example(title="t", status=200, answer=answer))
        for answer in answers
    ]
    return [one.example.answer for one in stand_ins.replace(told)]


def test_an_id_has_one_stand_in_wherever_it_appears() -> None:
    assert replaced([SECOND, {FIRST: f"/v1/packs/{SECOND}/life"}], FIRST) == [
        [STAND_IN.format(1), {STAND_IN.format(2): f"/v1/packs/{STAND_IN.format(1)}/life"}],
        STAND_IN.format(2),
    ]


def test_only_the_machine_s_own_time_is_replaced() -> None:
    business, system = "2026-01-05T04:00:00Z", "2031-05-06T07:08:30.123456Z"
    later = "2031-05-06T07:08:31Z"
    assert replaced([business, system, later, system], "2031-05-06") == [
        [business, "2026-01-05T04:00:00Z", "2026-01-05T04:00:01Z", "2026-01-05T04:00:00Z"],
        "2031-05-06",
    ]


def test_a_cursor_is_the_same_place_with_stand_ins() -> None:
    (page,) = replaced({"items": [FIRST], "next_cursor": pages.encode("77140", FIRST)})
    assert pages.decode(page["next_cursor"], tuple[str, UUID]) == ("1001", UUID(page["items"][0]))
    assert replaced({"next_cursor": None}) == [{"next_cursor": None}]


def test_what_is_known_to_differ_is_replaced_as_a_whole() -> None:
    assert replaced(["host/12", "host/123"], **{"host/12": "worker"}) == [["worker", "host/123"]]


@pytest.mark.parametrize(
    ("media_type", "content", "wanted"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json", b"{}", {}),
        ("text/csv; charset=utf-8", "编码,名称\n".encode(), "编码,名称\n"),
        ("image/png", b"\x89PNG", UNSET),
        ("application/json", b"", UNSET),
    ],
)
def test_json_and_text_are_shown_and_other_content_is_not(media_type, content, wanted) -> None:
    assert shown(content, httpx.Headers({"content-type": media_type})) == wanted


PHOTO = Example(
    title="a photo",
    role="staff",
    path={"pack_id": FIRST},
    query={"filename": "铭牌.png", "tag": ["a b", "c"], "visible": True},
    body_type="image/png",
    file="铭牌.png",
    status=200,
    answer_headers={"ETag": '"2cf2"'},
    answer_type="image/png",
)


def operation() -> Json:
    content: Json = {"image/png": {"schema": {}}, "application/json": {"schema": {}}}
    return {"requestBody": {"content": content}, "responses": {"200": {"content": dict(content)}}}


def test_a_file_is_named_in_the_command_and_not_in_the_document() -> None:
    command = examples.curl("POST /v1/packs/{pack_id}/attachments", PHOTO)
    assert "-H 'Content-Type: image/png'" in command
    assert "--data-binary @'铭牌.png'" in command
    assert "tag=a+b&tag=c&visible=true" in command
    about = operation()
    illustrate(about, PHOTO)
    assert about["requestBody"] == operation()["requestBody"]
    assert about["responses"]["200"]["headers"] == {"ETag": CONTENT_TAG}
    assert about["responses"]["200"]["content"] == operation()["responses"]["200"]["content"]


def test_text_is_shown_below_its_own_media_type() -> None:
    sheet = Example(
        title="a sheet", body="a,b\n", body_type="text/csv", status=200, answer={"rows": 1},
        answer_headers={"ETag": '"v2"'},
    )  # fmt: skip
    about = operation()
    about["requestBody"]["content"]["text/csv"] = {"schema": {}}
    illustrate(about, sheet)
    taken = about["requestBody"]["content"]
    assert taken["text/csv"]["examples"] == {"a sheet": {"value": "a,b\n"}}
    answered = about["responses"]["200"]["content"]["application/json"]
    assert answered["examples"] == {"a sheet": {"value": {"rows": 1}}}
    assert about["responses"]["200"]["headers"] == {"ETag": VERSION}
    assert "--data-binary 'a,b\n'" in examples.curl("POST /v1/sheets", sheet)


def test_a_refused_request_shows_its_answer_and_not_its_payload() -> None:
    refused = msgspec.structs.replace(PHOTO, file=None, body={"a": 1}, body_type="application/json",
                                      status=400, answer={"code": "x"},
                                      answer_type="application/problem+json")  # fmt: skip
    about = operation()
    about["responses"]["400"] = {"content": {"application/problem+json": {"schema": {}}}}
    illustrate(about, refused)
    assert about["requestBody"] == operation()["requestBody"]
    problem = about["responses"]["400"]["content"]["application/problem+json"]
    assert problem["examples"] == {"a photo": {"value": {"code": "x"}}}
