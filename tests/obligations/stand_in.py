"""The other side of HTTP: a small server that remembers what came and answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Reply = tuple[int, Json | None]


def accepted(batch: Json) -> Reply:
    """Takes every report, with a receipt each."""
    return 200, {
        "submission": batch["submission"],
        "results": [
            {
                "obligation": report["obligation"],
                "result": "accepted",
                "receipt": f"R-{report['obligation'][-6:]}",
            }
            for report in batch["reports"]
        ],
    }


class Platform:
    """`came` has the id and body of each PUT, `answers` what was answered to each id for good: one
    that comes again is answered as before. `behaves` says what to do with a new one."""

    def __init__(self) -> None:
        self.came: list[tuple[str, Json]] = []
        self.answers: dict[str, Reply] = {}
        self.behaves: Callable[[Json], Reply] = accepted
        self.arrived = threading.Event()
        self.holds: threading.Event | None = None
        """The answer waits until this is set; what came is remembered at once."""
        self.keys: list[str | None] = []

    def put(self, one: str, batch: Json) -> Reply:
        self.came.append((one, batch))
        if one not in self.answers:
            reply = self.behaves(batch)
            if reply[0] >= 500:
                return reply
            self.answers[one] = reply
        return self.answers[one]

    @property
    def ids(self) -> list[str]:
        return [one for one, _ in self.came]


@contextmanager
def platform() -> Iterator[tuple[Platform, str]]:
    """A platform and its address."""
    there = Platform()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            there.keys.append(self.headers["authorization"])
            reply = there.put(self.path.rpartition("/")[2], body)
            there.arrived.set()
            if there.holds is not None:
                there.holds.wait(30)
            self.answer(*reply)

        def do_GET(self) -> None:
            status, body = there.answers.get(self.path.rpartition("/")[2], (404, None))
            self.answer(status, body)

        def answer(self, status: int, body: Json | None) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # whoever asked has gone

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield there, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        if there.holds is not None:
            there.holds.set()
        server.shutdown()
        server.server_close()
        thread.join()
