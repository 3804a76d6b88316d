"""How fast one core decodes, protocol by protocol: frames in memory to reports, nothing stored.

In seconds of CPU time, so that what else the machine does matters less. Figures without bounds:
what servers and the database add is measured elsewhere.
"""

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median

from leasing.telemetry.decoders import binterface, bms48, files, gbt32960, sparkplug
from leasing.telemetry.decoders.gbt32960_reports import CellPages, reports
from leasing.telemetry.decoders.sparkplug import DataType, MessageType, Metric, Payload, Topic
from leasing.telemetry.model import Source, SourceKind

NOW = datetime(2026, 6, 15, 4, 30, tzinfo=UTC)
SECONDS = 0.5


def vehicle_frame() -> bytes:
    """108 cells, 12 probes: what a car sends every half minute, 300 bytes."""
    cells = "0801" + "01025a26dd006c00016c" + "0fbf" * 108
    vehicle = "01010301" + "0064000f423f13882775" + "5a010f1770" + "0a00"
    blocks = vehicle + cells + "090101000c" + "3e" * 12 + "0700" + "00000000" * 2
    unit = bytes.fromhex("1a060f0c1e05" + blocks)
    return gbt32960.encode(gbt32960.Frame(2016, 2, 0xFE, "LTEST000000000001", 1, unit))


def vehicles() -> Callable[[], int]:
    stream, framer, pages = vehicle_frame() * 100, gbt32960.Framer(), CellPages()

    def once() -> int:
        found = framer.feed(stream)
        for frame in found:
            assert isinstance(frame, gbt32960.Frame)
            (report,) = reports(frame, gbt32960.decode(frame), pages)
            assert len(report.cells_mv) == 108
        return len(found)

    return once


def packs() -> Callable[[], int]:
    info = "000110" + "0CCC" * 16 + "06" + "0BA5" * 6 + "FB2E14832134" + "0A" + "2710" * 10
    frame = bms48.encode(bms48.Frame(0x20, 0, 0x46, 0, bytes.fromhex(info)))
    source = Source(SourceKind.DEVICE, "1")

    def once() -> int:
        for _ in range(100):
            bms48.report(bms48.read_telemetry(bms48.read_frame(frame)), source, NOW)
        return 100

    return once


def sites() -> Callable[[], int]:
    signals = "".join(
        f'<TSemaphore Type="3" Id="04071020{n:02}" MeasuredVal="53.9" SetupVal="0" Status="0"/>'
        for n in range(1, 21)
    )
    devices = f'<DeviceList><Device Id="1" Code="51051240700002">{signals}</Device></DeviceList>'
    text = binterface.message("GET_DATA_ACK", f"<FsuId>1</FsuId><Values>{devices}</Values>")
    data = binterface.in_soap(text, is_answer=True)

    def once() -> int:
        for _ in range(20):
            assert len(binterface.reports(binterface.read(data), NOW)) == 20
        return 20

    return once


def nodes() -> Callable[[], int]:
    metrics = tuple(
        Metric(f"battery/{name}", 50.0, DataType.DOUBLE, alias)
        for alias, name in enumerate(("voltage_v", "current_a", "soc_percent", "temperature_c"))
    )
    topic = Topic("g", MessageType.NDATA, "n")
    sent = [sparkplug.encode(Payload(metrics, NOW, seq)) for seq in range(256)]
    host = sparkplug.Nodes()
    host.hear(Topic("g", MessageType.NBIRTH, "n"), Payload(metrics, NOW, 255), NOW)

    def once() -> int:
        for data in sent:
            payload = sparkplug.read(data)
            heard = host.hear(topic, payload, NOW)
            assert heard.rebirth is None
            sparkplug.reports(topic, heard.metrics, payload.at, NOW)
        return len(sent)

    return once


def rows() -> Callable[[], int]:
    head = "Unix Time / s,Voltage / V,Current / A,Surface Temperature T1 / degC\n"
    text = head + "".join(f"{1781497800 + n},3.3,-1.5,25.1\n" for n in range(20_000))

    def once() -> int:
        return sum(len(batch) for batch in files.read_csv(io.StringIO(text)))

    return once


PROTOCOLS: dict[str, tuple[str, Callable[[], Callable[[], int]]]] = {
    "GB/T 32960.3, 108 cells": ("frames/s", vehicles),
    "48 V pack, 16 cells": ("frames/s", packs),
    "B-interface, 20 signals": ("messages/s", sites),
    "Sparkplug B, 4 metrics": ("messages/s", nodes),
    "CSV, 4 columns": ("rows/s", rows),
}


def measure(say: Callable[[str], None], turns: int = 3) -> None:
    for what, (unit, make) in PROTOCOLS.items():
        once = make()
        once()
        rates = [rate(once) for _ in range(turns)]
        say(f"{what}: {median(rates):,.0f} {unit}")


def rate(once: Callable[[], int]) -> float:
    start, done = time.process_time(), 0
    while (spent := time.process_time() - start) < SECONDS:
        done += once()
    return done / spent
