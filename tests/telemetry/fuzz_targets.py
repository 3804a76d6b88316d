"""What each decoder is fuzzed with, and what it must never say."""

import io
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np

from leasing.telemetry.decoders import (
    binterface,
    bms48,
    files,
    gbt32960,
    gbt32960_reports,
    sparkplug,
)
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.decoders.gbt32960_json import decoded
from leasing.telemetry.model import Report, Source, SourceKind
from tests.telemetry import frames, test_binterface, test_bms48, test_files, test_sparkplug
from tests.telemetry.fuzz import Target

NOW = datetime(2026, 6, 15, 4, 30, tzinfo=UTC)


def check(report: Report) -> None:
    """Nobody may be told a value that cannot be, or an instant without a zone."""
    assert report.at.tzinfo is not None
    numbers = (
        report.voltage_v,
        report.current_a,
        report.temperature_c,
        report.temperature_min_c,
        report.insulation_kohm,
        report.odometer_km,
        *report.temperatures_c,
    )
    assert all(one is None or math.isfinite(one) for one in numbers)
    for percent in (report.soc_percent, report.soh_percent):
        assert percent is None or 0 <= percent <= 200
    assert all(one is None or 0 <= one <= 65_533 for one in report.cells_mv)
    assert report.source.value is not None
    assert report.source.part >= 0


def of_gbt32960() -> Target:
    corpus = [*frames.OWN, *(bytes.fromhex(one["hex"]) for one in frames.reference())]
    pages = gbt32960_reports.CellPages(max_sets=100)
    framer = gbt32960.Framer(max_unit=4096)

    def read(data: bytes) -> None:
        before = framer.position + framer.pending
        for found in framer.feed(data):
            if isinstance(found, gbt32960.Frame):
                assert found.position < before + len(data)
        assert framer.position + framer.pending == before + len(data)
        assert framer.pending < 4096 + 25
        whole = gbt32960.read_frames(data)
        assert b"".join(map(gbt32960.encode, whole)) == data
        for frame in whole:
            gbt32960.acknowledge(frame, gbt32960.Ack.OK, now=NOW)
            payload = gbt32960.decode(frame)
            decoded(frame)
            for report in gbt32960_reports.reports(frame, payload, pages):
                check(report)

    return Target(corpus, read, mended_gbt32960)


def mended_gbt32960(data: bytes) -> bytes:
    if len(data) < 25:
        return data
    found = bytearray(data)
    if found[:2] not in (b"##", b"$$"):
        found[:2] = b"##"
    found[22:24] = min(len(found) - 25, gbt32960.MAX_UNIT).to_bytes(2, "big")
    found[-1] = gbt32960.check_byte(bytes(found[2:-1]))
    return bytes(found)


def of_bms48() -> Target:
    source = Source(SourceKind.DEVICE, "1")

    def read(data: bytes) -> None:
        frame = bms48.read_frame(data)
        assert bms48.encode(frame) == data
        # An answer does not tell what it answers: each must be read or refused as either.
        with suppress(FrameError):
            check(bms48.report(bms48.read_telemetry(frame), source, NOW))
        check(bms48.alarm_report(bms48.read_alarms(frame), source, NOW))

    return Target(test_bms48.CORPUS, read, mended_bms48)


def mended_bms48(data: bytes) -> bytes:
    """The text of INFO with its length and checks made right, and mostly with a good head."""
    info = bytes(byte for byte in data[13:-5] if byte in b"0123456789ABCDEF")
    digits = min(len(info) // 2 * 2, bms48.MAX_DIGITS - 1)
    length = b"%04X" % (bms48.length_check(digits) << 12 | digits)
    text = (data[1:9] if len(data) % 4 == 0 else b"20004600") + length + info[:digits]
    return b"~%b%04X\r" % (text, bms48.checksum(text))


def of_binterface() -> Target:
    def read(data: bytes) -> None:
        told = binterface.read(data)
        for report in binterface.reports(told, NOW):
            check(report)
        if isinstance(told, binterface.Data):
            for device in told.devices:
                for signal in device.signals:
                    assert (signal.value is None) == (signal.missing is not None)
                    assert signal.value is None or math.isfinite(signal.value)

    def mend(data: bytes) -> bytes:
        """Text that is XML more often: what is no ASCII becomes a letter."""
        return bytes(byte if byte < 0x80 else 0x41 + byte % 26 for byte in data)

    return Target(test_binterface.CORPUS, read, mend)


def of_sparkplug() -> Target:
    nodes = sparkplug.Nodes(max_nodes=10)
    kinds = list(sparkplug.MessageType)

    def read(data: bytes) -> None:
        kind = kinds[sum(data) % len(kinds)]
        device = "pack1" if kind in sparkplug.OF_DEVICE else None
        topic = sparkplug.Topic("tower", kind, f"site{len(data) % 12}", device)
        assert sparkplug.read_topic(str(topic)) == topic
        payload = sparkplug.read(data)
        heard = nodes.hear(topic, payload, NOW)
        assert len(nodes.nodes) <= 10
        assert all(one.name for one in heard.metrics)
        for report in sparkplug.reports(topic, heard.metrics, payload.at, NOW):
            check(report)

    return Target(test_sparkplug.CORPUS, read)


def of_files() -> Target:
    def read(data: bytes) -> None:
        for batch in files.read_csv(io.StringIO(data.decode("utf-8", "replace")), 3):
            check_batch(batch)

    return Target(test_files.CORPUS, read)


def of_parquet() -> Target:
    columns = {"elapsed_s": [0.0, 1.0], "voltage_mv": [3300, None], "pack": ["P1", "P2"]}
    corpus = [
        test_files.parquet(columns),
        test_files.parquet(columns, compression="none", use_dictionary=False),
        test_files.parquet(columns, compression="zstd", version="1.0"),
    ]

    def read(data: bytes) -> None:
        for batch in files.read_parquet(data, 3):
            check_batch(batch)

    return Target(corpus, read)


def check_batch(batch: files.Batch) -> None:
    for name, column in batch.values.items():
        low, high = files.BOUNDS[name]
        known = column[~np.isnan(column)]
        assert ((low <= known) & (known <= high)).all()
        assert len(column) == len(batch)


TARGETS: dict[str, Callable[[], Target]] = {
    "gbt32960": of_gbt32960,
    "bms48": of_bms48,
    "binterface": of_binterface,
    "sparkplug": of_sparkplug,
    "files": of_files,
    "parquet": of_parquet,
}
