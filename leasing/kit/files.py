"""Files that are handed to somebody else."""

import os
from pathlib import Path


def put(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, also after a power cut."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
