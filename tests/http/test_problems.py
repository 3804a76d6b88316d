"""Whatever goes wrong, the answer is one problem document with a request id."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
import structlog
from litestar import Litestar, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import (
    InternalServerException,
    NotAuthorizedException,
    TooManyRequestsException,
)
from litestar.params import (
    FromPath,
    FromQuery,
    HeaderParameter,
    JSONBody,
    PathParameter,
    QueryParameter,
)
from structlog.testing import capture_logs

from leasing.http.fields import JsonRequest
from leasing.http.problems import (
    PROBLEM_JSON,
    STATUS,
    Problem,
    constraint_error,
    documented,
    exception_handlers,
)
from leasing.http.request_id import RequestId
from leasing.kit import errors
from leasing.kit.errors import Conflict, DomainError, FieldError, Invalid, all_error_codes


class Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pack: str
    months: int


class ContractCreate(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    number: str
    lines: list[Line]


class PackAlreadyLeased(Conflict):
    code = "test_pack_already_leased"  # the product has one of its own
    title = "The pack is already leased"


class KindlessError(DomainError):
    code = "kindless"


CONSTRAINTS = {"placement_pack_once": PackAlreadyLeased}
Batch = Annotated[list[Line], msgspec.Meta(max_length=2)]


@post("/contracts", responses=documented(409, 413))
async def create(data: JSONBody[ContractCreate]) -> int:
    assert type(data) is ContractCreate
    return sum(line.months for line in data.lines)


@post("/batches", responses=documented(400))
async def create_all(data: JSONBody[Batch]) -> int:
    assert {type(line) for line in data} <= {Line}
    return len(data)


@post("/small", request_max_body_size=10)
async def small(data: JSONBody[dict[str, int] | None] = None) -> int:
    return len(data or {})


@post("/echo")
async def echo(request: Request[Any, Any, Any]) -> Any:
    return await request.json()


def since(days: FromQuery[int]) -> int:
    return days


@get(
    "/packs/{pack_id:uuid}/readings/{channel:str}",
    dependencies={"since": Provide(since, sync_to_thread=False)},
)
async def readings(
    pack_id: FromPath[UUID],
    channel: Annotated[str, PathParameter(max_length=4)],
    since: NamedDependency[int],
    limit: Annotated[int, QueryParameter(ge=1, le=100)],
    cell: FromQuery[list[int]],
    if_match: Annotated[int, HeaderParameter(name="If-Match")],
    order: FromQuery[str] = "asc",
) -> str:
    return f"{channel} {since} {limit} {cell} {if_match} {order}"


def raised_by_name(name: str) -> Exception:
    unique = asyncpg.UniqueViolationError("duplicate key")
    unique.constraint_name = "placement_pack_once_102010"
    unknown = asyncpg.CheckViolationError("new row violates")
    unknown.constraint_name = "secret_check"
    raised: Mapping[str, Exception] = {
        "conflict": PackAlreadyLeased("pack 7 is out", until="2026-12-01", rent=Decimal("1.50")),
        "fields": Invalid(fields=[FieldError("/a", "b", "c")]),
        "odd_extra": Conflict(what=object),
        "unauthorized": errors.Unauthorized(),
        "kindless": KindlessError("secret"),
        "bug": RuntimeError("secret"),
        "unique": unique,
        "check": unknown,
        "serialization": asyncpg.SerializationError("x"),
        "deadlock": asyncpg.DeadlockDetectedError("x"),
        "statement": asyncpg.QueryCanceledError("x"),
        "lock": asyncpg.LockNotAvailableError("x"),
        "lost": asyncpg.ConnectionDoesNotExistError("x"),
        "stopping": asyncpg.AdminShutdownError("x"),
        "closed": asyncpg.InterfaceError("connection is closed"),
        "misuse": asyncpg.InterfaceError("secret: the server expects 1 argument"),
        "syntax": asyncpg.PostgresSyntaxError("secret"),
        "refused": ConnectionRefusedError("secret"),
        "pool": TimeoutError(),
        "throttled": TooManyRequestsException(headers={"Retry-After": "7"}),
        "litestar_bug": InternalServerException("secret"),
        "litestar": NotAuthorizedException("who are you?"),
    }
    return raised[name]


@get("/raise/{name:str}")
async def fail(name: FromPath[str]) -> None:
    raise raised_by_name(name)


@get("/id")
async def tell_id(request: Request[Any, Any, Any]) -> str:
    structlog.get_logger().info("inside")
    return str(request.scope["state"]["request_id"])


app = Litestar(
    [create, create_all, small, echo, readings, fail, tell_id],
    request_class=JsonRequest,
    exception_handlers=exception_handlers(CONSTRAINTS),
    logging_config=None,
)


def ask(method: str, path: str, **options: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(RequestId(app))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(once())


def problem(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == PROBLEM_JSON
    told = msgspec.json.decode(response.content, type=Problem, strict=True)
    assert told.status == response.status_code
    assert told.type == f"/problems/{told.code}"
    assert told.request_id == response.headers["x-request-id"] != ""
    assert told.instance == response.url.path
    assert "secret" not in response.text
    return told


def pointers(told: Problem) -> list[str]:
    return [error.pointer for error in told.errors]


@contextmanager
def logged() -> Iterator[list[Any]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


# --- The domain's errors ----------------------------------------------------------------------


def test_a_domain_error_is_answered_with_all_it_carries() -> None:
    told = problem(ask("GET", "/raise/conflict"))
    assert (told.status, told.code, told.title, told.detail) == (
        409,
        "test_pack_already_leased",
        "The pack is already leased",
        "pack 7 is out",
    )
    assert told.extra == {"until": "2026-12-01", "rent": "1.50"}
    assert told.errors == []


def test_the_fields_of_a_domain_error_are_told() -> None:
    told = problem(ask("GET", "/raise/fields"))
    assert told.errors == [FieldError("/a", "b", "c")]
    assert told.detail == told.title


def test_an_odd_value_in_extra_does_not_spoil_the_answer() -> None:
    assert problem(ask("GET", "/raise/odd_extra")).extra == {"what": "<class 'object'>"}


def test_a_401_names_the_way_in() -> None:
    response = ask("GET", "/raise/unauthorized")
    assert problem(response).code == "unauthorized"
    assert response.headers["www-authenticate"] == "Bearer"


def test_every_kind_of_error_has_a_status() -> None:
    assert set(DomainError.__subclasses__()) - {KindlessError} == set(STATUS)


def test_all_codes_can_be_listed() -> None:
    codes = all_error_codes()
    assert codes["test_pack_already_leased"] is PackAlreadyLeased
    assert codes["conflict"] is Conflict
    assert list(codes) == sorted(codes)


@pytest.mark.parametrize("name", ["bug", "kindless", "misuse", "syntax", "check", "litestar_bug"])
def test_a_bug_is_logged_under_the_request_id_and_says_nothing_outside(name: str) -> None:
    with logged() as lines:
        told = problem(ask("GET", f"/raise/{name}"))
    assert (told.status, told.code) == (500, "internal_error")
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["request_id"] == told.request_id
    assert isinstance(line["exc_info"], type(raised_by_name(name)))


# --- The database's ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("serialization", "try_again"),
        ("deadlock", "try_again"),
        ("statement", "timed_out"),
        ("pool", "timed_out"),
        ("lock", "busy"),
        ("lost", "database_unavailable"),
        ("stopping", "database_unavailable"),
        ("closed", "database_unavailable"),
        ("refused", "database_unavailable"),
    ],
)
def test_trouble_in_the_database_is_a_503_that_says_what_kind(name: str, code: str) -> None:
    with logged() as lines:
        response = ask("GET", f"/raise/{name}")
    told = problem(response)
    assert (told.status, told.code) == (503, code)
    assert [line["code"] for line in lines if line["event"] == "database.gave_up"] == [code]
    assert response.headers.get("retry-after") == ("1" if code == "try_again" else None)


def test_a_violated_constraint_is_the_domain_error_of_its_name_even_from_a_shard() -> None:
    assert problem(ask("GET", "/raise/unique")).code == "test_pack_already_leased"


def test_only_a_long_number_at_the_end_of_a_constraints_name_is_a_shard() -> None:
    def found(name: str | None) -> DomainError | None:
        error = asyncpg.UniqueViolationError("x")
        error.constraint_name = name
        return constraint_error(error, {"once": PackAlreadyLeased, "in_2026": Conflict})

    assert isinstance(found("once"), PackAlreadyLeased)
    assert isinstance(found("once_102010"), PackAlreadyLeased)
    assert isinstance(found("in_2026"), Conflict)
    assert isinstance(found("in_2026_102010"), Conflict)
    assert found("once_1") is None
    assert found(None) is None


# --- The body ---------------------------------------------------------------------------------


def test_a_good_body_arrives_decoded() -> None:
    body = {"number": "a", "lines": [{"pack": "p", "months": 3}, {"pack": "q", "months": 4}]}
    response = ask("POST", "/contracts", json=body)
    assert (response.status_code, response.text) == (201, "7")
    assert ask("POST", "/batches", json=body["lines"]).text == "2"


def test_every_mistake_in_a_body_is_told() -> None:
    body = {"numbr": "a", "lines": [{"pack": 1, "months": "3"}]}
    told = problem(ask("POST", "/contracts", json=body))
    assert (told.status, told.code) == (400, "invalid_payload")
    assert pointers(told) == ["/number", "/lines/0/pack", "/lines/0/months", "/numbr"]
    assert told.detail == "/number: 'number' is required (and 3 more)"


def test_the_limits_of_an_annotated_body_hold() -> None:
    told = problem(ask("POST", "/batches", json=[{}] * 3))
    assert [error.code for error in told.errors] == ["wrong_length"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body_required"),
        (b"{", "malformed_json"),
        (b'"\xff"', "malformed_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"number": NaN}', "invalid_payload"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400(body: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    told = problem(ask("POST", "/contracts", content=body, headers=headers))
    assert (told.status, told.code) == (400, code)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_does_not_say_it_is_json_is_a_415(media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    response = ask("POST", "/contracts", content=b"{}", headers=headers)
    told = problem(response)
    assert (told.status, told.code) == (415, "unsupported_media_type")
    assert response.headers["accept"] == "application/json"


def test_any_json_media_type_will_do() -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    assert ask("POST", "/small", content=b'{"a": 1}', headers=headers).text == "1"


def test_a_route_without_data_may_still_read_json_itself() -> None:
    assert ask("POST", "/echo", json={"a": [1.5]}).json() == {"a": [1.5]}


def test_a_body_may_be_optional() -> None:
    assert ask("POST", "/small").text == "0"


def test_a_body_too_large_is_a_413() -> None:
    told = problem(ask("POST", "/small", json={"a": 1, "b": 2}))
    assert (told.status, told.code) == (413, "too_large")


# --- The path and the parameters --------------------------------------------------------------

PACK = "/packs/0198c0de-0000-7000-8000-000000000000/readings"


def test_good_parameters_arrive() -> None:
    query = "?days=1&limit=9&limit=2&cell=1&cell=2"
    response = ask("GET", f"{PACK}/volt{query}", headers={"If-Match": "3"})
    assert response.text == "volt 1 2 [1, 2] 3 asc"


def test_every_missing_and_every_wrong_parameter_is_told_at_once() -> None:
    told = problem(ask("GET", f"{PACK}/voltage?limit=9&limit=0&cell=1&cell=x"))
    assert (told.status, told.code) == (400, "invalid_parameters")
    assert {error.pointer: error.message for error in told.errors} == {
        "{channel}": 'expected a string of length <= 4, got "voltage"',
        "?limit": 'expected a whole number >= 1, got "0"',
        "?cell": "expected a whole number, got an array of 2",
        "?days": "'days' is required",
        "If-Match:": "'If-Match' is required",
    }


def test_a_parameter_of_a_dependency_is_judged_too() -> None:
    query = "?days=x&limit=0&limit=9&cell=1"
    told = problem(ask("GET", f"{PACK}/volt{query}", headers={"If-Match": "3"}))
    assert pointers(told) == ["?days"]


def test_a_path_nobody_answers_is_a_404() -> None:
    assert problem(ask("GET", "/nowhere")).code == "no_such_path"
    assert problem(ask("GET", "/packs/not-a-uuid/readings/volt")).code == "no_such_path"


def test_a_method_not_allowed_keeps_the_allow_header() -> None:
    response = ask("PUT", "/contracts")
    assert problem(response).code == "method_not_allowed"
    assert set(response.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


def test_litestars_own_errors_keep_their_words_and_headers() -> None:
    response = ask("GET", "/raise/throttled")
    assert problem(response).code == "too_many_requests"
    assert response.headers["retry-after"] == "7"
    assert problem(ask("GET", "/raise/litestar")).detail == "who are you?"


# --- The request id ---------------------------------------------------------------------------


def test_a_given_request_id_is_kept() -> None:
    response = ask("GET", "/id", headers={"X-Request-Id": "trace-1.a_B"})
    assert response.text == response.headers["x-request-id"] == "trace-1.a_B"


@pytest.mark.parametrize("given", ["", "a b", "a" * 65, "a\tb", "名".encode(), 'a"b'])
def test_a_request_id_that_could_harm_is_replaced(given: str | bytes) -> None:
    made = ask("GET", "/id", headers=[(b"X-Request-Id", given)]).headers["x-request-id"]
    assert UUID(made).hex == made


def test_a_request_is_one_log_line_without_its_values() -> None:
    with logged() as lines:
        ask("GET", f"{PACK}/volt?limit=77", headers={"Authorization": "Bearer s3cret"})
    [line] = lines
    assert line.pop("duration_ms") >= 0
    assert UUID(line.pop("request_id"))
    assert line == {
        "event": "http.request",
        "log_level": "info",
        "method": "GET",
        "route": "/packs/{pack_id}/readings/{channel}",
        "status": 400,
    }


def test_every_line_logged_inside_carries_the_id_and_none_afterwards() -> None:
    with logged() as lines:
        ask("GET", "/id", headers={"X-Request-Id": "mine"})
        structlog.get_logger().info("outside")
    assert [(line["event"], line.get("request_id")) for line in lines] == [
        ("inside", "mine"),
        ("http.request", "mine"),
        ("outside", None),
    ]


def test_what_is_not_a_request_passes_untouched() -> None:
    seen: list[Any] = []

    async def inner(*arguments: Any) -> None:
        seen.extend(arguments)

    scope: Any = {"type": "lifespan"}
    asyncio.run(RequestId(inner)(scope, None, None))  # type: ignore[arg-type]
    assert seen == [scope, None, None]


# --- OpenAPI ----------------------------------------------------------------------------------


def test_openapi_tells_the_problems_and_the_body_truthfully() -> None:
    schema = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    operation = schema["paths"]["/contracts"]["post"]
    assert set(operation["responses"]) == {"201", "400", "409", "413"}
    for status in ("400", "409", "413"):
        [(media_type, content)] = operation["responses"][status]["content"].items()
        assert media_type == PROBLEM_JSON
        assert content["schema"]["$ref"].endswith("/Problem")
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].endswith("/ContractCreate")
    [known] = [one for name, one in schema["components"]["schemas"].items() if name == "Problem"]
    assert set(known["required"]) == set(Problem.__struct_fields__)
    assert "status_code" not in str(operation)
