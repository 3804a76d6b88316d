"""Pooled connections are not reset, so nothing of ours may change a session.

`LeanConnection` counts on it. What must outlive a transaction has a connection of its own; the
few such places are named here.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORBIDDEN = {
    "a session setting": r"(?:\A|;)\s*SET\s+(?!LOCAL\b|CONSTRAINTS\b)",
    "a reset": r"(?:\A|;)\s*(RESET|DISCARD)\b",
    "a session setting by function": r"\bset_config\s*\((?![^)]*,\s*true\s*\))",
    "a session-level lock": r"\bpg_(try_)?advisory_lock(_shared)?\s*\(",
    "a listener": r"(?:\A|;)\s*(LISTEN|UNLISTEN)\s",
    "a cursor beyond its transaction": r"\bWITH\s+HOLD\b",
    "a temporary table beyond its transaction": (
        r"\bCREATE\s+(LOCAL\s+)?TEMP(ORARY)?\b(?!.*ON\s+COMMIT\s+DROP)"
    ),
    "a prepared statement or transaction": r"(?:\A|;)\s*PREPARE\s",
}

# Connections that never see the pool.
ALONE = {
    ("leasing/db/migrate.py", "a session setting"),
    ("jobs/runner.py", "a session-level lock"),
    ("jobs/demo/stage.py", "a session-level lock"),
}

CALLS = {"add_listener", "add_termination_listener", "set_type_codec", "set_builtin_type_codec"}
CALLS_ALONE = {
    ("leasing/db/pool.py", "set_type_codec"),  # of every connection, when it is made
    ("leasing/end_of_life/snapshot.py", "add_listener"),  # on a connection of its own
}


def sources() -> list[Path]:
    return sorted(path for name in ("leasing", "jobs") for path in (ROOT / name).rglob("*.py"))


def texts(tree: ast.Module) -> list[str]:
    """Every string in a module that is no docstring; an f-string as one, its gaps as blanks."""
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    loose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else " " for part in node.values)
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and id(node) not in inside | loose:
            found.append(str(node.value))
    return found


def offences(source: str) -> set[str]:
    return {
        offence
        for text in texts(ast.parse(source))
        for offence, pattern in FORBIDDEN.items()
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL)
    }


def test_nothing_changes_the_session_of_a_pooled_connection():
    found = {
        (str(path.relative_to(ROOT)), offence)
        for path in sources()
        for offence in offences(path.read_text("utf-8"))
    }
    assert found == ALONE


def test_nothing_listens_or_sets_codecs_on_a_pooled_connection():
    found = {
        (str(path.relative_to(ROOT)), node.func.attr)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CALLS
    }
    assert found == CALLS_ALONE


@pytest.mark.parametrize(
    "line",
    [
        'tx.execute("SET ROLE leasing_customer")',
        'tx.execute(f"SET search_path = {name}")',
        'tx.execute("BEGIN; SET statement_timeout = 0")',
        "tx.fetchval(\"SELECT set_config('leasing.party', $1, false)\")",
        'tx.execute("SELECT pg_advisory_lock(1)")',
        'tx.execute("SELECT pg_try_advisory_lock(1)")',
        'tx.execute("LISTEN events")',
        'tx.execute("CREATE TEMP TABLE stage (id int)")',
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert offences(line)


@pytest.mark.parametrize(
    "line",
    [
        'tx.execute("SET LOCAL ROLE NONE")',
        'tx.execute("UPDATE party\\n   SET name = $1")',
        'tx.execute("SELECT pg_advisory_xact_lock(1)")',
        'tx.execute("CREATE TEMPORARY TABLE stage (LIKE reading) ON COMMIT DROP")',
        "tx.fetchval(\"SELECT set_config('leasing.party', $1, true)\")",
    ],
)
def test_the_search_leaves_alone_what_ends_with_the_transaction(line):
    assert not offences(line)
