"""The API's documentation as a page of our own, made from the OpenAPI document.

The usual viewers load their scripts from elsewhere; a backend in a machine room has no elsewhere.
This page needs no script at all, prints, and can be searched with the browser. Every operation
comes with examples, folded away: a command to send it, and what was answered.
"""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

from leasing.http import examples

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

Json = dict[str, Any]


class DocsPage(OpenAPIRenderPlugin):
    """Every operation and every structure on one page, at `/schema`."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: "Request[Any, Any, Any]", openapi_schema: Json) -> bytes:
        return (
            PAGES.get_template("docs.html")
            .render(
                title=openapi_schema["info"]["title"],
                groups=grouped(openapi_schema["paths"]),
                structures=sorted(openapi_schema["components"]["schemas"].items()),
                examples=examples.load(),
                curl=examples.curl,
                readable=examples.readable,
                words=words,
                short=short,
            )
            .encode()
        )


def grouped(paths: Json) -> list[tuple[str, list[Json]]]:
    """Operations by the first noun of their path, in order of path and method."""
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in sorted(paths.items())
        for method, operation in sorted(methods.items())
        if isinstance(operation, dict) and "responses" in operation
    ]
    return [
        (name, list(found))
        for name, found in groupby(operations, key=lambda one: noun(one["path"]))
    ]


def noun(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != "v1"]
    return parts[0].replace("-", " ") if parts else "status"


def words(schema: Json) -> list[tuple[str, str | None]]:
    """A type in words, as `(text, structure to link to)` pieces."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [(short(name), name)]
    if "anyOf" in schema:
        pieces: list[tuple[str, str | None]] = []
        for i, option in enumerate(schema["anyOf"]):
            pieces += [(" or ", None)] if i else []
            pieces += words(option)
        return pieces
    if schema.get("type") == "array":
        return [("list of ", None), *words(schema.get("items", {}))]
    if "enum" in schema:
        return [(" | ".join(map(str, schema["enum"])), None)]
    kind = schema.get("format") or schema.get("type") or "any"
    return [(kind if isinstance(kind, str) else " or ".join(kind), None), (limits(schema), None)]


def short(name: str) -> str:
    """`Page_schemas.sites.SiteView_` is a page of `SiteView`."""
    return re.sub(r"^Page_schemas\.\w+\.(\w+)_$", r"page of \1", name)


LIMITS = {
    "minimum": "≥ {:g}",
    "maximum": "≤ {:g}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "like {}",
}


def limits(schema: Json) -> str:
    told = [text.format(schema[key]) for key, text in LIMITS.items() if key in schema]
    return f" ({', '.join(told)})" if told else ""
