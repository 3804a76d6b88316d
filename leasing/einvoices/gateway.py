"""The way to the tax administration, and the simplest one: files in a folder.

Whoever runs a gateway to the interface (乐企), its own or a provider's, picks up what lies in
`out/` and puts answers into `in/`. A provider's HTTP interface would be another class with these
three methods.
"""

import asyncio
from pathlib import Path
from typing import Protocol

from leasing.einvoices.model import AnswerFile, Dispatch
from leasing.kit.files import put


class Gateway(Protocol):
    """What sends requests and brings answers. Every method may be called again after a crash."""

    async def send(self, dispatch: Dispatch) -> None:
        """Hand a batch over. The other side knows a request that comes again by its serial."""

    async def answers(self) -> list[AnswerFile]:
        """What was answered and not put away yet, oldest name first."""

    async def put_away(self, name: str, *, readable: bool) -> None:
        """Have done with an answer."""


class FileDrop:
    """Batches as `out/<name>.json` with their lists beside, answers as `in/*.json`, which are moved
    to `done/`, or to `unreadable/`. A file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, dispatch: Dispatch) -> None:
        await asyncio.to_thread(self.write, dispatch)

    def write(self, dispatch: Dispatch) -> None:
        out = self.folder / "out"
        out.mkdir(parents=True, exist_ok=True)
        # The batch comes last: whoever sees it finds its lists.
        for name, content in dispatch.lists.items():
            put(out / name, content)
        put(out / f"{dispatch.name}.json", dispatch.content)

    async def answers(self) -> list[AnswerFile]:
        return await asyncio.to_thread(self.read)

    def read(self) -> list[AnswerFile]:
        found = sorted((self.folder / "in").glob("*.json"))
        return [AnswerFile(path.name, path.read_bytes()) for path in found]

    async def put_away(self, name: str, *, readable: bool) -> None:
        await asyncio.to_thread(self.move, name, "done" if readable else "unreadable")

    def move(self, name: str, to: str) -> None:
        (self.folder / to).mkdir(parents=True, exist_ok=True)
        (self.folder / "in" / name).replace(self.folder / to / name)
