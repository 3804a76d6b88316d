"""Columns as they come over the wire: lists of numbers, or the bytes of such lists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leasing.kit.errors import FieldError, Invalid
from leasing.telemetry.columns import MAX_CELLS, NO_CELL, QUANTITIES, Cells, Floats, Readings, Whole
from schemas.telemetry import MAX_IN_COLUMNS, PackColumns

MILLISECOND_US = 1000
MAX_MS = 2**43
"""In the year 2248. More would not fit once it is counted in microseconds."""


class ColumnsRefused(Invalid):
    code = "columns_refused"
    title = "Columns do not fit together; nothing of the batch was stored"


def read(packs: Sequence[PackColumns]) -> Readings:
    """The columns of packs, one pack after the other. Raises `ColumnsRefused`."""
    faults: list[FieldError] = []
    times = [_times(one, f"/packs/{n}/at_ms", faults) for n, one in enumerate(packs)]
    lengths = [len(at) for at in times]
    if sum(lengths) > MAX_IN_COLUMNS:
        message = f"{sum(lengths):,} readings; {MAX_IN_COLUMNS:,} are taken at once"
        faults.append(FieldError("/packs", "wrong_length", message))
    if faults:
        raise ColumnsRefused(faults[0].message, fields=faults)
    scalars = {
        name: _column(name, packs, lengths, faults)
        for name in QUANTITIES
        if any(getattr(one, name) is not None for one in packs)
    }
    cells = _cells(packs, lengths, faults)
    if faults:
        raise ColumnsRefused(f"{faults[0].pointer}: {faults[0].message}", fields=faults)
    return Readings(
        np.repeat(np.arange(len(packs), dtype=np.int32), lengths),
        np.concatenate(times) * MILLISECOND_US,
        scalars,
        cells,
    )


def _times(pack: PackColumns, pointer: str, faults: list[FieldError]) -> Whole:
    try:
        found = _numbers(pack.at_ms, "<i8", np.int64)
    except (ValueError, OverflowError) as error:
        faults.append(FieldError(pointer, "wrong_length", str(error)))
        return np.zeros(0, np.int64)
    if bool(np.any((found < 0) | (found > MAX_MS))):
        faults.append(FieldError(pointer, "out_of_range", "milliseconds since 1970 are expected"))
    return found


def _numbers(given: Sequence[Any] | bytes, packed: str, kind: Any) -> NDArray[Any]:
    if isinstance(given, bytes):
        return np.frombuffer(given, packed).astype(kind, copy=False)
    return np.array(given, kind)


def _column(
    name: str, packs: Sequence[PackColumns], lengths: Sequence[int], faults: list[FieldError]
) -> Floats:
    parts = []
    for n, (pack, length) in enumerate(zip(packs, lengths, strict=True)):
        given = getattr(pack, name)
        part = np.full(length, np.nan, np.float32)
        if given is not None:
            try:
                part = _numbers(given, "<f4", np.float32)
                if len(part) != length:
                    raise ValueError(f"{len(part)} values for {length} readings")
            except (ValueError, OverflowError) as error:
                faults.append(FieldError(f"/packs/{n}/{name}", "wrong_length", str(error)))
        parts.append(part)
    made = np.concatenate(parts)
    # Infinity is no value and nothing that was left out either.
    if bool(np.isinf(made).any()):
        pack_of = np.repeat(np.arange(len(packs)), [len(part) for part in parts])
        n = int(pack_of[np.flatnonzero(np.isinf(made))[0]])
        message = "infinity is not a number we can hold"
        faults.append(FieldError(f"/packs/{n}/{name}", "out_of_range", message))
    return made


def _cells(
    packs: Sequence[PackColumns], lengths: Sequence[int], faults: list[FieldError]
) -> Cells | None:
    tables: list[tuple[int, Cells]] = []
    at = 0
    for n, (pack, length) in enumerate(zip(packs, lengths, strict=True)):
        if pack.cells_mv:
            width, rest = divmod(len(pack.cells_mv), 2 * length)
            if rest or width > MAX_CELLS:
                message = f"{len(pack.cells_mv)} bytes are not two for each cell of a reading"
                faults.append(FieldError(f"/packs/{n}/cells_mv", "wrong_length", message))
            else:
                table = np.frombuffer(pack.cells_mv, "<i2").reshape(length, width)
                tables.append((at, table.astype(np.int16, copy=False)))
        at += length
    if not tables:
        return None
    widest = max(table.shape[1] for _, table in tables)
    made = np.full((sum(lengths), widest), NO_CELL, np.int16)
    for first, table in tables:
        made[first : first + len(table), : table.shape[1]] = table
    return made
