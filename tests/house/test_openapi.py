"""The OpenAPI document, read as a caller's generator would read it."""

import asyncio
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import schemas
from leasing.app import create
from leasing.db.pool import Database
from leasing.kit.settings import Settings
from schemas.common import Incoming
from tests import build

PROBLEM = {"$ref": "#/components/schemas/Problem"}
ID_IN_PATH = re.compile(r"\{\w+_id\}")


def read() -> Any:
    # The document is made from the routes; no statement reaches a database for it.
    nowhere: Any = None

    async def ask() -> Any:
        http = build.connect(create(Database(nowhere, "", Settings())), "")
        return (await http.get("/schema/openapi.json")).json()

    return asyncio.run(ask())


OPENAPI = read()
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, item in OPENAPI["paths"].items()
    for method, operation in item.items()
]
EVERY = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)


def test_operations_have_names_of_their_own():
    names = Counter(operation.values[2]["operationId"] for operation in OPERATIONS)
    assert len(names) > 40
    assert [name for name, count in names.items() if count > 1] == []


@EVERY
def test_an_operation_says_what_it_does(path, method, operation):
    assert operation["summary"].strip()
    assert operation["description"].strip()


@EVERY
def test_problems_and_only_problems_are_documented_for_errors(path, method, operation):
    assert any(int(status) < 300 for status in operation["responses"])
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if int(status) < 400:
            assert "application/problem+json" not in content, status
        else:
            assert {name: part["schema"] for name, part in content.items()} == {
                "application/problem+json": PROBLEM
            }, status


@EVERY
def test_litestar_s_own_shape_of_an_error_is_nowhere_documented(path, method, operation):
    assert '"status_code"' not in json.dumps(operation)


def test_litestar_s_own_shape_of_an_error_is_no_component():
    for name, schema in OPENAPI["components"]["schemas"].items():
        assert not {"status_code", "detail", "extra"} <= set(schema.get("properties", {})), name


@EVERY
def test_what_every_request_behind_the_edge_may_lead_to_is_documented(path, method, operation):
    if not path.startswith("/v1/"):
        return
    wanted = {"400", "401", "403", "500", "503"}
    if method == "post":
        wanted |= {"409", "413", "415", "422"}
    if method == "patch":
        wanted |= {"404", "409", "412", "413", "415", "428"}
    if ID_IN_PATH.search(path):
        wanted |= {"404"}
    assert wanted <= set(operation["responses"])
    assert operation.get("security", OPENAPI.get("security")) == [{"api_key": []}]


@EVERY
def test_a_limit_is_documented_with_its_maximum(path, method, operation):
    limits = [one for one in operation.get("parameters", []) if one["name"] == "limit"]
    for limit in limits:
        assert limit["schema"]["maximum"] == 200
        assert any(one["name"] == "cursor" for one in operation["parameters"])


def test_answers_always_have_all_of_their_fields():
    schemas = OPENAPI["components"]["schemas"]
    views = [name for name in schemas if name.endswith("View")]
    assert len(views) > 15
    for name in views:
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name


def below(struct: type) -> Iterator[type]:
    for one in struct.__subclasses__():
        yield one
        yield from below(one)


def test_payloads_and_only_payloads_may_have_no_other_fields():
    for module in pkgutil.iter_modules(schemas.__path__, "schemas."):
        import_module(module.name)
    incoming = {struct.__name__ for struct in below(Incoming)}
    for name, schema in OPENAPI["components"]["schemas"].items():
        if "properties" in schema:
            assert (schema.get("additionalProperties") is False) == (name in incoming), name
    assert incoming & OPENAPI["components"]["schemas"].keys()
