"""GB/T 32960.3 frames for tests: our own, and the reference frames beside the checkout."""

import json
from functools import lru_cache
from typing import Any

import pytest

from leasing.telemetry.decoders.gbt32960 import Frame, encode
from tests.conftest import SHARED

REFERENCE = SHARED / "data" / "telemetry" / "gbt32960_frames.json"
TIME = bytes.fromhex("1a060f0c1e05")
"""2026-06-15 12:30:05 in Beijing."""
VIN = "LTEST000000000001"


@lru_cache
def reference() -> list[dict[str, Any]]:
    if not REFERENCE.exists():
        return []
    return list(json.loads(REFERENCE.read_text())["frames"])


def reference_or_skip() -> list[dict[str, Any]]:
    if not reference():
        pytest.skip(f"the reference frames are not at {REFERENCE}")
    return reference()


def frame(command: int, unit: bytes | str, edition: int = 2016, **fields: Any) -> Frame:
    given = bytes.fromhex(unit) if isinstance(unit, str) else unit
    values = {"ack": 0xFE, "vin": VIN, "encryption": 1} | fields
    return Frame(edition=edition, command=command, unit=given, **values)


def realtime(blocks: str, edition: int = 2016, time: bytes = TIME, **fields: Any) -> Frame:
    return frame(fields.pop("command", 2), time + bytes.fromhex(blocks), edition, **fields)


def cells(no: int, total: int, start: int, *millivolts: int) -> str:
    """A subsystem's page of the 2016 edition, at 60.2 V and -5.1 A."""
    page = f"{no:02x}025a26dd{total:04x}{start:04x}{len(millivolts):02x}"
    return page + "".join(f"{one:04x}" for one in millivolts)


SEALED = frame(2, b"\x17" * 32, encryption=3)

OWN = [
    encode(frame(7, "")),
    encode(frame(8, "", 2025)),
    encode(
        frame(5, TIME + b"\0\1" + b"platform".ljust(12, b"\0") + b"secret".ljust(20, b"\0") + b"\1")
    ),
    encode(frame(6, TIME + b"\0\1")),
    encode(frame(9, TIME + b"C" * 16 + b"\0\2\xab\xcd" + VIN.encode() + b"\1\0\1\7\0\1\x09", 2025)),
    encode(frame(10, "0102", 2025)),
    encode(frame(11, b"\5\0\4abcd" + TIME + TIME, 2025)),
    encode(
        frame(1, TIME + b"\0\1" + b"8" * 20 + b"\2\1\2" + b"9ZZPB51000000G1A00000017" * 3, 2025)
    ),
    encode(realtime("0801" + cells(1, 4, 1, 3276, 3280) + "0801" + cells(1, 4, 3, 3265, 0xFFFF))),
    encode(realtime("03" + "ffff000a0064" + "00022832" + "01f4010064020078" + "0301")),
    encode(
        realtime("0703ffffffff" + "0100000001" + "0000" + "010000007d" + "810003123456" + "820000")
    ),
    encode(SEALED),
]
