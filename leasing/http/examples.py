"""What the routes were asked and what they answered.

`examples.json` is recorded by a test that tells one story through the API (`make examples`), and
is part of the package: the OpenAPI document and the documentation page show it. The same test
runs the story again and compares, so an example is never older than the code.
"""

import json
import shlex
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET, UnsetType

JSON = "application/json"

FILE = Path(__file__).with_name("examples.json")

LINE = 76


class Example(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and its answer. Ids, keys and whatever else differs from run to run are
    replaced by stand-ins, the same one for the same value everywhere."""

    title: str
    role: str | None = None
    """Whose key was sent; none for a route that is open to all."""
    path: dict[str, str] = {}
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    body: Any = UNSET
    body_type: str = JSON
    file: str | None = None
    """Name of a file that was sent as the body; its content is not shown."""
    status: int
    answer_headers: dict[str, str] = {}
    answer: Any = UNSET
    """None is shown of an answer that people cannot read."""
    answer_type: str = JSON

    @property
    def accepted(self) -> bool:
        return self.status < 300

    @property
    def has_body(self) -> bool:
        return self.body is not UNSET or self.file is not None


Examples = dict[str, list[Example]]
"""By operation, as `POST /v1/sites`, in the order in which they were told."""


@cache
def load() -> Examples:
    return msgspec.json.decode(FILE.read_bytes(), type=Examples)


def target(route: str, example: Example) -> str:
    """The path and the query that were asked for."""
    path = route.format_map({name: quote(value) for name, value in example.path.items()})
    query = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in example.query.items()
    }
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def readable(value: Any, media_type: str) -> str:
    """A payload or an answer as text; "" for what is not shown."""
    if isinstance(value, UnsetType):
        return ""
    return pretty(value) if media_type.endswith("json") else str(value)


def pretty(value: Any, indent: str = "") -> str:
    """JSON for people: what fits stays on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= LINE or not isinstance(value, dict | list):
        return flat
    deeper = indent + "  "
    if isinstance(value, list):
        parts, (first, last) = [pretty(part, deeper) for part in value], "[]"
    else:
        named = [(json.dumps(name, ensure_ascii=False), part) for name, part in value.items()]
        parts, (first, last) = [f"{name}: {pretty(part, deeper)}" for name, part in named], "{}"
    body = ",\n".join(f"{deeper}{part}" for part in parts)
    return f"{first}\n{body}\n{indent}{last}"


def curl(operation: str, example: Example) -> str:
    """The request as a command, for a shell in which `API` and `KEY` are set."""
    method, route = operation.split(" ")
    parts = ["curl"] if method == "GET" else [f"curl -X {method}"]
    parts[0] += f' "$API"{shlex.quote(target(route, example))}'
    if example.role is not None:
        parts.append('-H "Authorization: Bearer $KEY"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in example.headers.items()]
    if example.has_body:
        parts.append(f"-H {shlex.quote(f'Content-Type: {example.body_type}')}")
    if example.file is not None:
        parts.append(f"--data-binary @{shlex.quote(example.file)}")
    elif example.has_body:
        body = readable(example.body, example.body_type)
        if example.body_type == JSON:  # its texts hold no line breaks, so indenting is safe
            body = body.replace("\n", "\n  ")
        parts.append(f"--data-binary {shlex.quote(body)}")
    return " \\\n  ".join(parts)
