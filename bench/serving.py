"""Servers in processes of their own: the product as `leasing serve` starts it, or a bare route."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Server:
    port: int
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def product(dsn: str, schema: str, log: Path) -> AbstractAsyncContextManager[Server]:
    """`leasing serve` with its settings as they come, and its log in a file."""
    env = {"LEASING_DSN": dsn, "LEASING_SCHEMA": schema}
    return started(["-c", "from jobs.cli import main; main()", "serve", "--port"], env, log)


def bare(dsn: str, log: Path) -> AbstractAsyncContextManager[Server]:
    return started(["-m", "bench.bare", dsn], {}, log)


@asynccontextmanager
async def started(
    arguments: Sequence[str], env: Mapping[str, str], log: Path
) -> AsyncIterator[Server]:
    """Run Python with these arguments and a port, until the block ends."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, str(port), env=clean | dict(env), stderr=file
        )
    try:
        await until_it_listens(process, port, log)
        yield Server(port, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:]


async def until_it_listens(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if process.returncode is not None:
                    raise RuntimeError(f"no server: {end_of(log)}") from None
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
