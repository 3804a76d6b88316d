"""The OpenAPI document: what Litestar reads off the routes, and what it cannot know.

Litestar sees handlers and their types. That the edge takes an `Idempotency-Key` with every POST,
that a change must name its version, that a payload may hold no unknown field, and what real
requests and answers look like is added here, when the document is made, which is once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import OpenAPI
from msgspec import UNSET

from leasing.http import etag, examples
from leasing.http.edge import KEY_FORMAT, REPEATABLE
from leasing.http.examples import Example, Examples

Json = dict[str, Any]

IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of your own for this request. The same key brings the same answer "
    "back and does nothing twice, so a request whose answer was lost can be sent again.",
    "schema": {"type": "string", "pattern": f"^{KEY_FORMAT.pattern}$"},
    "example": "hand-over-2026-01-11-ZZ-0412-1",
}
IDEMPOTENT_REPLAY: Json = {
    "description": "`true` when this is the saved answer of an earlier request.",
    "schema": {"const": "true"},
}
VERSION: Json = {
    "description": "The version. A change sends it back as `If-Match`.",
    "schema": {"type": "string", "pattern": f"^{etag.FORMAT.pattern}$"},
}
CONTENT_TAG: Json = {
    "description": "Names the content: other bytes have another.",
    "schema": {"type": "string"},
}


class DocumentConfig(OpenAPIConfig):
    """Litestar's configuration, with our document in place of its own."""

    def to_openapi_schema(self) -> OpenAPI:
        made = super().to_openapi_schema()
        return Document(**{field.name: getattr(made, field.name) for field in fields(made)})


@dataclass
class Document(OpenAPI):
    def to_schema(self) -> Json:
        return completed(super().to_schema(), examples.load())


def completed(document: Json, told: Examples) -> Json:
    """The document, changed in place."""
    open_unions(document)
    close_payloads(document)
    for name, operation in operations(document):
        method, _ = name.split(" ")
        # What asks for a key stands behind the edge.
        if method in REPEATABLE and "security" in operation:
            repeatable(operation)
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "If-Match":
                parameter |= {"required": True, "schema": VERSION["schema"]}
        for example in told.get(name, []):
            illustrate(operation, example)
    return document


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Every operation by its name, as `POST /v1/sites`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def open_unions(part: Any) -> None:
    """Say that a value is of any type of a union. Litestar says that it is of exactly one, and so
    forbids 1 where both an integer and a number are welcome."""
    if isinstance(part, dict):
        if "oneOf" in part:
            part["anyOf"] = part.pop("oneOf")
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            open_unions(inner)


def close_payloads(document: Json) -> None:
    """Say that a structure sent to us may have no other fields. Every structure that can be
    reached from a request's body is one of `Incoming`, which refuses them."""
    schemas = document["components"]["schemas"]
    waiting = [operation.get("requestBody", {}) for _, operation in operations(document)]
    closed = set()
    while waiting:
        for name in references(waiting.pop()):
            if name not in closed:
                closed.add(name)
                waiting.append(schemas[name])
                if "properties" in schemas[name]:
                    schemas[name]["additionalProperties"] = False


def references(schema: Any) -> Iterator[str]:
    """The names of the structures that a part of the document refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from references(part)


def repeatable(operation: Json) -> None:
    operation.setdefault("parameters", []).append(dict(IDEMPOTENCY_KEY))
    for status, response in operation["responses"].items():
        if status < "300":
            response.setdefault("headers", {})["Idempotent-Replay"] = IDEMPOTENT_REPLAY


def illustrate(operation: Json, example: Example) -> None:
    """Add one example to an operation: to its parameters, its payload, its answer."""
    response = operation["responses"].get(str(example.status))
    if response is None:  # of an older document: a test tells, and the recording can be renewed
        return
    # An answer carries a tag or it does not; the recording knows.
    if "ETag" in example.answer_headers:
        is_version = etag.FORMAT.fullmatch(example.answer_headers["ETag"])
        response.setdefault("headers", {})["ETag"] = VERSION if is_version else CONTENT_TAG
    add(response.get("content", {}).get(example.answer_type), example.title, example.answer)
    if not example.accepted:
        return  # what was wrong with its request would be shown as if it were right
    given = {**example.path, **example.query, **example.headers}
    for parameter in operation.get("parameters", []):
        if parameter["name"] in given:
            parameter.pop("example", None)  # beside `examples` it is not allowed
            add(parameter, example.title, given[parameter["name"]])
    payload = operation.get("requestBody", {}).get("content", {})
    add(payload.get(example.body_type), example.title, example.body)


def add(part: Json | None, title: str, value: Any) -> None:
    if part is not None and value is not UNSET:
        part.setdefault("examples", {})[title] = {"value": value}
