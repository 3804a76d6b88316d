"""A real broker for tests, on loopback, that stops by itself."""

import shutil
import socket
import subprocess
import time
from getpass import getuser
from pathlib import Path

import pytest

CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
max_inflight_messages 1000
max_queued_messages 0
user {user}
"""


def find() -> str:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip("no MQTT broker is installed: apt-get install mosquitto")
    return found


class Mosquitto:
    """Started and stopped as often as wanted, on one port; it remembers sessions over that."""

    def __init__(self, folder: Path) -> None:
        self.program = find()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        # As root it would step down to a user of its own, who may not write here.
        self.config.write_text(CONFIG.format(port=self.port, folder=folder, user=getuser()))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("the broker did not start")

    def stop(self) -> None:
        """An orderly stop, by which it saves what it holds."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None
