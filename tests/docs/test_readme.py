"""What the documents print is run as printed."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from leasing.access import store as access
from leasing.access.model import Role
from leasing.db import clock
from leasing.db.pool import connect
from leasing.kit.settings import Settings
from leasing.kit.time import midnight, system_now
from leasing.outlets import store as outlets
from leasing.outlets.generator import generate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TODAY = date(2026, 5, 20)


@pytest.mark.slow
def test_the_tour_in_the_readme_works_as_printed(dsn: str, own_schema: Settings) -> None:
    key = asyncio.run(sandbox(dsn, own_schema))
    port = free_port()
    environment = {
        **os.environ,
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": own_schema.schema,
        "LEASING_LOG_LEVEL": "warning",
        "KEY": key,
    }
    script = "\n".join(["set -euo pipefail", *re.findall(r"```bash\n(.*?)```", README, re.S)])
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    with running("serve", "--port", str(port), env=environment):
        wait_until_ready(port)
        with running("worker", "--every", "0.5", env=environment):
            tour = subprocess.run(
                ["bash", "-c", script],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
    assert tour.returncode == 0, tour.stdout[-3000:] + tour.stderr[-3000:]
    for told in (
        '"role":"staff"',
        "missing",
        "unknown field 'mass'",
        '"number":"INV-2026-000001"',
        '"balanced":true',
        '"kind":"recycle.completed"',
    ):
        assert told in tour.stdout
    assert '"state":"reserved"' in tour.stderr
    assert '"parts":' in tour.stderr


async def sandbox(dsn: str, settings: Settings) -> str:
    """The generated network on a test clock, and a staff key."""
    async with await connect(dsn, settings) as db, db.transaction() as tx:
        at = midnight(TODAY) + timedelta(hours=10)
        await clock.make_sandbox(tx, at)
        await outlets.insert_network(tx, generate(TODAY), at)
        now = system_now()
        return await access.create(
            tx,
            role=Role.STAFF,
            party_id=None,
            name="tour",
            now=now,
            expires_at=now + timedelta(hours=1),
        )


@contextmanager
def running(*command: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "jobs", *command], env=env, cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server did not become ready")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def test_the_readme_names_every_setting_and_every_command() -> None:
    from jobs.cli import main

    for field in Settings.__struct_fields__:
        assert f"LEASING_{field.upper()}" in README
    for name in main.commands:
        assert f"leasing {name}" in README


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
