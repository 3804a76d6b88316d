"""Frames of 48 V packs that somebody else asked for, as JSON brings them."""

from collections.abc import Sequence

from leasing.kit.errors import FieldError, Invalid
from leasing.telemetry.decoders import bms48
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Report, Source
from schemas.messages import Bms48Frame

MAX_TOLD = 200


class FramesRefused(Invalid):
    code = "frames_refused"
    title = "Frames cannot be read; nothing of them was stored"


def read(source: Source, frames: Sequence[Bms48Frame]) -> tuple[list[Report], list[Report]]:
    """Reports of telemetry, and reports whose alarms are the flags that are up. Raises
    `FramesRefused` naming every frame that cannot be read."""
    telemetry: list[Report] = []
    flags: list[Report] = []
    faults: list[FieldError] = []
    for place, said in enumerate(frames):
        try:
            told = answer(said)
        except FrameError as error:
            faults.append(FieldError(f"/frames/{place}/frame", error.code, error.detail))
            continue
        if isinstance(told, bms48.Telemetry):
            telemetry.append(bms48.report(told, source, said.at))
        else:
            flags.append(bms48.alarm_report(told, source, said.at))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        first = f"{faults[0].pointer}: {faults[0].message}{more}"
        raise FramesRefused(first, fields=faults[:MAX_TOLD])
    return telemetry, flags


def answer(said: Bms48Frame) -> bms48.Telemetry | bms48.Alarms:
    text = said.frame.removesuffix("\r").encode("ascii", "replace") + b"\r"
    frame = bms48.read_frame(text)
    if said.answers == "telemetry":
        return bms48.read_telemetry(frame)
    return bms48.read_alarms(frame)
