"""A GB/T 32960.3 frame as JSON, for people and for comparing decoders."""

from datetime import datetime
from typing import Any

import msgspec

from leasing.telemetry.decoders import gbt32960_blocks as blocks
from leasing.telemetry.decoders.gbt32960 import Command, Frame, Payload, Sealed, decode

Json = dict[str, Any]


def decoded(frame: Frame) -> Json:
    """A frame with all it says. Values sent as invalid or abnormal are null; bytes are in
    hexadecimal. A frame whose length or check byte is wrong never comes this far, so `length_ok`
    and `bcc_ok` are true."""
    payload = decode(frame)
    return {
        "edition": frame.edition,
        "command": f"0x{frame.command:02X}",
        "command_name": Command(frame.command).name.lower(),
        "ack": f"0x{frame.ack:02X}",
        "vin": frame.vin,
        "encryption": frame.encryption,
        "data_unit_length": len(frame.unit),
        "length_ok": True,
        "bcc": f"0x{frame.bcc:02X}",
        "bcc_ok": True,
        "payload": plain(payload),
    }


def plain(payload: Payload) -> Json:
    if isinstance(payload, Sealed):
        return {"sealed": True, "algorithm": payload.algorithm, "content": payload.content.hex()}
    return {name: jsonable(value) for name, value in msgspec.structs.asdict(payload).items()}


def jsonable(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case bytes():
            return value.hex()
        case blocks.Info():
            return info(value)
        case blocks.Signature():
            return {
                "algorithm": value.algorithm,
                "algorithm_code": value.algorithm_code,
                "r_len": len(value.r),
                "s_len": len(value.s),
            }
        case blocks.Cells():
            return cells(value)
        case tuple():
            return [jsonable(one) for one in value]
        case msgspec.Struct():
            return {
                name: jsonable(one)
                for name, one in msgspec.structs.asdict(value).items()
                if name != "missing"
            }
    return value


def info(one: blocks.Info) -> Json:
    block = one.block
    data: Any = jsonable(block)
    if set(data) == {"data"}:
        data = data["data"]
    if isinstance(block, blocks.Supercapacitor):
        data["cell_voltages_v"] = volts(data.pop("cells_mv"))
    name = type(block).__struct_config__.tag
    return {"type": f"0x{one.id:02X}", "name": name, "data": data}


def cells(of: blocks.Cells) -> Json:
    shown = msgspec.structs.asdict(of)
    known = volts([cell for cell in of.cells_mv if cell is not None])
    shown["cell_voltages_v"] = volts(shown.pop("cells_mv"))
    return shown | {
        "cells_in_frame": len(of.cells_mv),
        "min_cell_v": min(known, default=None),
        "max_cell_v": max(known, default=None),
        "invalid_cells": len(of.cells_mv) - len(known),
    }


def volts(cells_mv: Any) -> list[Any]:
    return [None if cell is None else cell / 1000 for cell in cells_mv]
