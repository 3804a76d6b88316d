"""The reference cases beside the checkout: inputs and numbers restated from the published tests of
other billing systems. A test that is parametrized with them says so when they are not there."""

import json
from datetime import date
from typing import Any

import pytest

from tests.conftest import SHARED

PATH = SHARED / "data" / "billing" / "reference_cases.json"

Case = dict[str, Any]


def cases_of(kind: str) -> list[Any]:
    """The cases of a kind as parameters of a test, or one that is skipped."""
    if not PATH.is_file():
        reason = "the reference cases of billing are not beside the checkout"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    cases = json.loads(PATH.read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["id"]) for case in cases if case["kind"] == kind]


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def days(*texts: str) -> list[date]:
    return [date.fromisoformat(text) for text in texts]
