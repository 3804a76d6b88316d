"""A server killed with kill -9 while readings come in: what it answered with 2xx is there."""

import asyncio
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import numpy as np
import pytest

from leasing.access import store as access
from leasing.access.model import Role
from leasing.db.pool import Database, connect
from leasing.health import summaries
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.telemetry import storage
from leasing.telemetry.columns import us
from tests import fleet

ROOT = Path(__file__).parents[2]
KILLS, SENDERS, PACKS = 6, 4, 8
READINGS = 60
START = datetime(2026, 6, 14, tzinfo=UTC)
MSGPACK = {"Content-Type": "application/vnd.msgpack"}

Batch = list[tuple[UUID, int]]
"""Packs, and the minute at which an hour of each begins."""


def serve(dsn: str, settings: Settings, port: int) -> subprocess.Popen[bytes]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    ours = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": settings.schema,
        "LEASING_PORT": str(port),
        "LEASING_LOG_LEVEL": "error",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", "serve"],
        cwd=ROOT,
        env=own | ours,
        stdout=subprocess.DEVNULL,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def minutes(first: int) -> np.ndarray:
    return us(START) // 1000 + (first + np.arange(READINGS)) * 60_000


def body(batch: Batch) -> bytes:
    return msgspec.msgpack.encode(
        {
            "packs": [
                {
                    "pack_id": str(pack),
                    "at_ms": minutes(first).astype("<i8").tobytes(),
                    "voltage_v": np.full(READINGS, 51.2, "<f4").tobytes(),
                    "current_a": np.full(READINGS, 20.0, "<f4").tobytes(),
                }
                for pack, first in batch
            ]
        }
    )


async def prepare(db: Database) -> tuple[list[UUID], str]:
    now = system_now()
    async with db.transaction() as tx:
        await fleet.lease_out(tx, [PACKS], date(2026, 1, 1), entered_at=now)
        packs = [row["id"] for row in await tx.fetch("SELECT id FROM pack ORDER BY id")]
        key = await access.create(
            tx,
            role=Role.STAFF,
            party_id=None,
            name="sender",
            now=now,
            expires_at=now + timedelta(days=1),
        )
    return packs, key


@pytest.mark.slow
def test_what_was_answered_is_there_however_often_the_server_is_killed(dsn, own_schema):
    asyncio.run(kill_again_and_again(dsn, own_schema))


class Sending:
    """What was asked of servers, and what they answered, over all their lives."""

    def __init__(self, packs: list[UUID]) -> None:
        self.packs = packs
        self.asked: list[Batch] = []
        self.answered: list[Batch] = []

    async def go_on(self, http: httpx.AsyncClient) -> None:
        while True:
            batch = [(pack, len(self.asked) * READINGS) for pack in self.packs]
            random.shuffle(batch)
            self.asked.append(batch)
            answer = await http.post("/readings:columns", content=body(batch))
            assert answer.status_code == 201, answer.text
            self.answered.append(batch)

    async def until_killed(
        self, http: httpx.AsyncClient, process: subprocess.Popen[bytes]
    ) -> list[object]:
        """Send over several connections, and kill the server some time after it answered."""
        senders = [asyncio.create_task(self.go_on(http)) for _ in range(SENDERS)]
        before = len(self.answered)
        async with asyncio.timeout(60):
            while len(self.answered) < before + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(random.uniform(0, 0.1))
        process.kill()
        process.wait()
        return await asyncio.gather(*senders, return_exceptions=True)


async def kill_again_and_again(dsn: str, settings: Settings) -> None:
    async with await connect(dsn, settings) as db:
        packs, key = await prepare(db)
        headers = {"Authorization": f"Bearer {key}"} | MSGPACK
        sending = Sending(packs)
        for _ in range(KILLS):
            port = free_port()
            process = serve(dsn, settings, port)
            try:
                base = f"http://127.0.0.1:{port}/v1"
                async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as http:
                    await until_it_answers(http)
                    ends = await sending.until_killed(http, process)
            finally:
                process.kill()
                process.wait()
            # Only the kill ended them.
            assert all(isinstance(end, httpx.TransportError) for end in ends), ends
            await refuse_loss(db, packs, sending.answered, sending.asked)
        async with db.transaction() as tx:
            await summaries.seal_next(tx, UUID(int=0), 100)
        await refuse_loss(db, packs, sending.answered, sending.asked)
        assert len(sending.answered) >= 3 * KILLS


async def until_it_answers(http: httpx.AsyncClient) -> None:
    answer = None
    for _ in range(1200):
        with suppress(httpx.TransportError):
            if (answer := await http.get("/me")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the server does not answer: {answer}")


async def refuse_loss(
    db: Database, packs: list[UUID], answered: list[Batch], asked: list[Batch]
) -> None:
    """All of an answered batch is stored once, and of one that was not answered all or nothing."""
    async with db.transaction() as tx:
        # Whoever was killed may still be writing: its rows are waited for.
        await tx.execute("SELECT FROM pack_telemetry ORDER BY pack_id FOR UPDATE")
    async with db.transaction() as tx:
        far = START + timedelta(days=3000)
        found = await storage.read(tx, packs, [START] * len(packs), [far] * len(packs))
        stored = await tx.fetchval("SELECT sum(readings) FROM reading_chunk")
    held = set(zip(found.pack.tolist(), (found.at // 1000).tolist(), strict=True))
    assert len(held) == len(found) == stored
    places = {pack: place for place, pack in enumerate(packs)}
    for batch in asked:
        mine = {(places[pack], at) for pack, first in batch for at in minutes(first).tolist()}
        there = len(mine & held)
        assert there == len(mine) or (batch not in answered and there == 0)
