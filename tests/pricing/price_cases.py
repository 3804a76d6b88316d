"""Reference cases of one kind, when the folder with measured data is beside the checkout."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any


def cases(shared: Path, kind: str) -> list[dict[str, Any]]:
    path = shared / "data" / "billing" / "reference_cases.json"
    found = [case for case in json.loads(path.read_text())["cases"] if case["kind"] == kind]
    assert found, f"the file has no case of {kind}"
    return found


def number(given: dict[str, Any], name: str, default: str | None = None) -> Decimal | None:
    value = given.get(name)
    if value is None:
        return None if default is None else Decimal(default)
    return Decimal(value)
