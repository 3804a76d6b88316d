"""The parameters that ship with the package: JSON made by `make health-fit`."""

import json
from functools import cache
from importlib.resources import files

from leasing.health.estimators.model import Parameters

FOLDER = "parameters"


@cache
def parameters(name: str) -> Parameters:
    """Raises FileNotFoundError if the package was built without them."""
    text = files("leasing.health.estimators").joinpath(FOLDER, f"{name}.json").read_text("utf-8")
    found: Parameters = json.loads(text)
    return found


def encode(values: Parameters) -> str:
    """One line per key: a change shows where it is."""
    lines = (
        f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for key, value in values.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"
