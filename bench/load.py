"""A small HTTP/1.1 client: kept-alive connections, one request at a time on each."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast


class Caller(asyncio.Protocol):
    """One connection. It knows just enough HTTP for answers that give their length."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0 or self.answer is None:
            return
        head = bytes(self.received[:head_end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body_end = head_end + 4 + length
        if len(self.received) < body_end:
            return
        body = bytes(self.received[head_end + 4 : body_end])
        self.received.clear()
        status = head[9:12]
        if status.startswith(b"2"):
            self.answer.set_result(body)
        else:
            self.answer.set_exception(RuntimeError(f"{status.decode()} {body.decode()}"))

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer. Raises for anything but 2xx."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


def request(
    method: str, path: str, key: str, body: bytes = b"", media: str = "application/json"
) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {key}"]
    if body:
        head += [f"content-type: {media}", f"content-length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body


@asynccontextmanager
async def callers(port: int, number: int) -> AsyncIterator[list[Caller]]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(Caller, "127.0.0.1", port) for _ in range(number)]
    try:
        yield [caller for _, caller in made]
    finally:
        for transport, _ in made:
            transport.close()


async def hammer(port: int, asked: bytes, connections: int, seconds: float) -> list[float]:
    """Ask the same thing on every connection, again and again; returns how long each answer
    took, in seconds."""
    took: list[float] = []

    async def again(caller: Caller, until: float) -> None:
        now = time.perf_counter()
        while now < until:
            await caller.ask(asked)
            took.append(time.perf_counter() - now)
            now = time.perf_counter()

    async with callers(port, connections) as made:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(again(caller, until) for caller in made))
    return took
