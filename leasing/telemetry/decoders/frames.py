"""What all decoders share: the one error they raise, and reading bytes in order."""

from typing import NoReturn

from leasing.kit.errors import Invalid
from leasing.telemetry.model import Missing


class FrameError(Invalid):
    """What was sent cannot be read. `position` counts bytes (characters, of a text) from 0."""

    code = "frame_unreadable"
    title = "The frame cannot be read"

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"at {position}: {reason}", position=position, reason=reason)


class Reader:
    """Big-endian numbers, one after another.

    A number whose bits are all ones is not valid, one below that is abnormal; it is read as None
    and its name is noted in `missing`.
    """

    __slots__ = ("base", "data", "missing", "position")

    def __init__(self, data: bytes, base: int = 0) -> None:
        self.data = data
        self.base = base
        """Where `data` begins in what errors count from."""
        self.position = 0
        self.missing: list[tuple[str, Missing]] = []

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def refuse(self, reason: str, back: int = 0) -> NoReturn:
        raise FrameError(self.base + self.position - back, reason)

    def take(self, length: int, what: str) -> bytes:
        end = self.position + length
        if end > len(self.data):
            self.refuse(f"truncated: {what} needs {length} bytes, {self.left} are left")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def u8(self, what: str) -> int:
        return self.take(1, what)[0]

    def unsigned(self, width: int, what: str) -> int:
        return int.from_bytes(self.take(width, what), "big")

    def raw(self, width: int, what: str) -> int | None:
        value = self.unsigned(width, what)
        top = (1 << 8 * width) - 1
        if value < top - 1:
            return value
        self.missing.append((what, Missing.INVALID if value == top else Missing.ABNORMAL))
        return None

    def whole(self, width: int, what: str, offset: int = 0) -> int | None:
        value = self.raw(width, what)
        return None if value is None else value - offset

    def scaled(self, width: int, what: str, per: int, offset: int = 0) -> float | None:
        """`(raw - offset) / per`: divided, so that 3276 / 1000 is the double nearest 3.276."""
        value = self.raw(width, what)
        return None if value is None else (value - offset) / per

    def count(self, width: int, what: str) -> int:
        """How many follow. When that is not valid or abnormal, none do."""
        return self.raw(width, what) or 0

    def noted(self) -> tuple[tuple[str, Missing], ...]:
        """What has been missing since this was last asked."""
        missing = tuple(self.missing)
        self.missing.clear()
        return missing


def printable(data: bytes, position: int, what: str) -> str:
    """ASCII with NULs at its end, as fields of fixed length have it."""
    text = data.rstrip(b"\0")
    if text.isascii() and (decoded := text.decode("ascii")).isprintable():
        return decoded
    at = next(at for at, byte in enumerate(text) if not 0x20 <= byte < 0x7F)
    raise FrameError(
        position + at, f"{what} holds byte 0x{text[at]:02X}, which is no printable character"
    )
