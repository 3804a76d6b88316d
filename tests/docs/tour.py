"""`docs/tour.md`: prose of `tour.template.md`, calls and answers of the story."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leasing.http.examples import Example, readable, target
from tests.docs.teller import Told

TEMPLATE = Path(__file__).with_name("tour.template.md")
FILE = Path(__file__).parents[2] / "docs" / "tour.md"

TEMPLATES = Environment(
    loader=FileSystemLoader(TEMPLATE.parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # the page is text
)


def page(told: list[Told]) -> str:
    found = {(one.operation, one.example.title): one.example for one in told}
    order = list(found)
    shown: list[int] = []

    def answer(operation: str, title: str) -> Any:
        return found[operation, title].answer

    def call(operation: str, title: str) -> str:
        shown.append(order.index((operation, title)))
        assert shown == sorted(shown), f"{operation} was not asked after what stands above it"
        return as_http(operation, found[operation, title])

    return TEMPLATES.get_template(TEMPLATE.name).render(call=call, answer=answer)


def as_http(operation: str, example: Example) -> str:
    """A request and its answer, each as a block of its own."""
    method, route = operation.split(" ")
    asked = [f"{method} {target(route, example)}"]
    asked += [f"{name}: {value}" for name, value in example.headers.items()]
    if example.has_body:
        asked += ["", example.file or readable(example.body, example.body_type)]
    answered = [f"{example.status} {HTTPStatus(example.status).phrase}"]
    answered += [f"{name}: {value}" for name, value in example.answer_headers.items()]
    answered += ["", readable(example.answer, example.answer_type) or example.answer_type]
    return "\n".join(["```http", *asked, "```", "", "```http", *answered, "```"])
