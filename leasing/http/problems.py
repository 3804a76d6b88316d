"""Every error answer of ours is an RFC 9457 problem: `application/problem+json`.

A body error points into the body with a JSON pointer ("/lines/3/monthly_rent"). Errors
elsewhere point with the sign their place is known by: "?limit" in the query, "{pack_id}" in
the path, "If-Match:" in the headers, "session=" in the cookies.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.enums import ParamType
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute

from leasing.http.fields import BodyRequired, refusal, summary
from leasing.http.request_id import request_id
from leasing.kit import errors
from leasing.kit.errors import DomainError, FieldError, Invalid, Unavailable

log: structlog.stdlib.BoundLogger = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]
Handler = Callable[[AnyRequest, Any], Response[bytes]]

PROBLEM_JSON = "application/problem+json"

STATUS: dict[type[DomainError], int] = {
    errors.Invalid: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedType: 415,
    errors.Unprocessable: 422,
    errors.PreconditionRequired: 428,
    errors.Unavailable: 503,
}


class Problem(msgspec.Struct, frozen=True):
    """What a caller is told when a request is not done."""

    type: str
    """"/problems/" and the code: a URI reference that names the kind of problem and never
    changes. It is relative, so that it holds on every host, and leads to the docs."""
    title: str
    """The kind of problem in words; the same each time."""
    status: int
    detail: str
    """This very case, for people. Programs read `code`, `errors` and `extra`."""
    code: str
    request_id: str
    """Tell it to us: the log lines of this request carry it."""
    instance: str
    """The path that was asked for."""
    errors: list[FieldError]
    """Everything wrong with the payload or the parameters; empty for other problems."""
    extra: dict[str, Any]
    """Values a program may want, by code; often empty."""


class InvalidParameters(Invalid):
    code = "invalid_parameters"
    title = "The parameters are not valid"


class Unstorable(Invalid):
    code = "unstorable_value"
    title = "A value is beyond what the database can hold"


class TryAgain(Unavailable):
    code = "try_again"
    title = "Two requests got in each other's way; send this one again"
    retry_after_s = 1


class TimedOut(Unavailable):
    code = "timed_out"
    title = "This took too long and was given up"


class Busy(Unavailable):
    code = "busy"
    title = "Something else is working on this"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database cannot be reached"


def problem_response(
    request: AnyRequest,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    problem = Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id(request.scope),
        instance=request.scope["path"],
        errors=list(errors),
        extra=dict(extra or {}),
    )
    # Encoded here and with a net under it: an odd value in `extra` must not become a 500.
    return Response(
        msgspec.json.encode(problem, enc_hook=str),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers=dict(headers or {}),
    )


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """Entries for a route's `responses=`, so that OpenAPI tells its problems truthfully.

    400 is always among them: Litestar would document one of a shape we never send on every
    route with a body or a parameter.
    """
    return {
        status: ResponseSpec(
            data_container=Problem,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=PROBLEM_JSON,
        )
        for status in sorted({400, *statuses})
    }


def when_reading(*more: int) -> dict[int, ResponseSpec]:
    """What a GET behind the edge may answer instead."""
    return documented(401, 403, 500, 503, *more)


def when_posting(*more: int) -> dict[int, ResponseSpec]:
    """What a POST behind the edge may answer instead: 409 and 422 are also the two ways in
    which an Idempotency-Key is refused."""
    return documented(401, 403, 409, 413, 415, 422, 500, 503, *more)


def when_editing(*more: int) -> dict[int, ResponseSpec]:
    """What a PATCH behind the edge may answer instead."""
    return documented(401, 403, 412, 413, 415, 428, 500, 503, *more)


def when_putting(*more: int) -> dict[int, ResponseSpec]:
    """What a PUT behind the edge may answer instead. It says what shall be, whatever was, so it
    needs no version and no Idempotency-Key."""
    return documented(401, 403, 413, 415, 500, 503, *more)


def exception_handlers(
    constraints: Mapping[str, Callable[..., DomainError]],
) -> dict[type[Exception] | int, Handler]:
    """Handlers for the Litestar app, given the errors all contexts have for constraint names.

    Litestar(exception_handlers=exception_handlers(contracts.CONSTRAINTS | billing.CONSTRAINTS))
    """

    def database(request: AnyRequest, error: Exception) -> Response[bytes]:
        known: DomainError | None = database_error(error)
        if known:
            log.warning("database.gave_up", code=known.code, reason=repr(error))
        elif isinstance(error, asyncpg.PostgresError):
            known = constraint_error(error, constraints) or unstorable(error)
        return _domain(request, known) if known else _unexpected(request, error)

    return {
        DomainError: _domain,
        asyncpg.PostgresError: database,
        asyncpg.InterfaceError: database,
        asyncpg.InternalClientError: database,
        ConnectionError: database,
        TimeoutError: database,
        ValidationException: _validation,
        HTTPException: _http,
        Exception: _unexpected,
    }


# --- From the database ------------------------------------------------------------------------

# SQLSTATE, or its class of two letters.
STATES: dict[str, type[Unavailable]] = {
    "40001": TryAgain,  # serialization failure
    "40P01": TryAgain,  # deadlock
    "55P03": Busy,  # lock timeout
    "57014": TimedOut,  # statement timeout
    "25P03": TimedOut,  # idle in transaction
    "25P04": TimedOut,  # transaction timeout
    "08": DatabaseUnavailable,  # connection lost
    "57P01": DatabaseUnavailable,  # shut down
    "57P02": DatabaseUnavailable,  # crashed
    "57P03": DatabaseUnavailable,  # starting
    "53300": DatabaseUnavailable,  # too many connections
}


def database_error(error: Exception) -> Unavailable | None:
    """What the database's trouble means to the caller; None when it is a bug of ours."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        found = STATES.get(state) or STATES.get(state[:2])
        return found() if found else None
    if isinstance(error, TimeoutError):  # from asyncpg: of a pool, a command, a connection
        return TimedOut()
    if isinstance(error, ConnectionError | asyncpg.InternalClientError):
        return DatabaseUnavailable()
    # asyncpg says these with the class it has for misuse: a pool takes a connection that was
    # lost back at once, also while somebody uses it.
    said = str(error)
    if any(sign in said for sign in ("is closed", "is closing", "released back to the pool")):
        return DatabaseUnavailable()
    return None


def unstorable(error: asyncpg.PostgresError) -> Unstorable | None:
    """A net under the checks of payloads: a NUL in a text, an instant before the year 1 in UTC."""
    if error.sqlstate in ("22021", "22003", "22008") or isinstance(error.__cause__, OverflowError):
        return Unstorable(str(error).partition("\n")[0])
    return None


def constraint_error(
    exc: asyncpg.PostgresError, names: Mapping[str, Callable[..., DomainError]]
) -> DomainError | None:
    """The error a context has for a violated constraint, by the constraint's name.

    A distributed PostgreSQL names a shard's constraint with the shard's number:
    placement_pack_once_102010.
    """
    name = exc.constraint_name
    if not name:
        return None
    found = names.get(name) or names.get(re.sub(r"_\d{4,}$", "", name))
    # A trigger of ours may say as a hint which thing is in the way; PostgreSQL itself gives none.
    return found(exc.hint or "") if found else None


# --- From the domain, from Litestar, from nowhere ---------------------------------------------


def _domain(request: AnyRequest, error: DomainError) -> Response[bytes]:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:  # raised without a kind
        return _unexpected(request, error)
    headers = {}
    if isinstance(error, Unavailable) and error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"  # a 401 must name a way in
    return problem_response(
        request, status, error.code, error.title, error.detail, error.fields, error.extra, headers
    )


def _http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    if error.status_code >= 500 and error.status_code != 503:
        return _unexpected(request, error)
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    headers = error.headers or {}
    detail = error.detail
    match error.status_code:
        case 404 if "route_handler" not in request.scope:
            code, phrase, detail = "no_such_path", "No such path", "nothing answers at this path"
        case 405:
            detail = f"{request.method} is not allowed here, but {headers.get('allow')}"
        case 413:
            code, phrase, detail = "too_large", "Too much at once", "the body is too large"
    return problem_response(request, error.status_code, code, phrase, detail, headers=headers)


def _unexpected(request: AnyRequest, error: Exception) -> Response[bytes]:
    id_ = request_id(request.scope)
    log.error("http.internal_error", request_id=id_, exc_info=error)
    detail = f"the error is on our side and logged under request id {id_}"
    return problem_response(request, 500, "internal_error", "Internal error", detail)


# --- Parameters -------------------------------------------------------------------------------

PLACES = {
    ParamType.QUERY: "?{}",
    ParamType.PATH: "{{{}}}",
    ParamType.HEADER: "{}:",
    ParamType.COOKIE: "{}=",
}


def _validation(request: AnyRequest, error: ValidationException) -> Response[bytes]:
    """Litestar refused the parameters, or found no body where one is required.

    A body that is there never comes here: `JsonRequest` has refused it before.
    """
    found = list(parameter_errors(request))
    told: list[Any] = error.extra if isinstance(error.extra, list) else []
    if any(one.get("source") == "body" for one in told):
        if not found:
            return _domain(request, BodyRequired())
        found.append(FieldError("", "missing", "a body is required"))
    if not found:
        return _http(request, error)
    return _domain(request, InvalidParameters(summary(found), fields=found))


def parameter_errors(request: AnyRequest) -> Iterator[FieldError]:
    """Litestar stops at the first missing parameter; here all are judged again, as it would."""
    template = request.scope.get("path_template")
    routes = (route for route in request.app.routes if isinstance(route, HTTPRoute))
    route = next((route for route in routes if route.path_format == template), None)
    if route is None:
        return
    handler, model = route.route_handler_map[request.method]
    types: dict[str, Any] = {}
    for batch in model.dependency_batches:
        for dependency in batch:
            types |= dependency.provide.signature_model.__annotations__
    types |= handler.signature_model.__annotations__
    sources: dict[ParamType, Mapping[str, Any]] = {
        ParamType.QUERY: request.query_params.dict(),
        ParamType.PATH: request.path_params,
        ParamType.HEADER: request.headers,
        ParamType.COOKIE: request.cookies,
    }
    expected = (
        *model.expected_path_params,
        *model.expected_query_params,
        *model.expected_header_params,
        *model.expected_cookie_params,
    )
    for parameter in sorted(expected, key=lambda one: (one.param_type, one.field_alias)):
        source = sources[parameter.param_type]
        place = PLACES[parameter.param_type].format(parameter.field_alias)
        if parameter.field_alias not in source:
            if parameter.is_required:
                yield FieldError(place, "missing", f"'{parameter.field_alias}' is required")
            continue
        raw = source[parameter.field_alias]
        if parameter.param_type is ParamType.QUERY and not parameter.is_sequence:
            raw = raw[-1]
        type_ = types.get(parameter.field_name, Any)
        try:
            msgspec.convert(raw, type_, strict=False, dec_hook=handler.default_deserializer)
        except msgspec.ValidationError as error:
            yield refusal(type_, raw, place, error)
