"""A stretch of one pack's readings as bytes: column after column.

    byte 0        form: 0 plain, 1 planes, 2 planes compressed (zlib)
    bytes 1-2     which quantities, a bit each, in the order of `QUANTITIES`
    bytes 3-4     cells in a row of cell voltages, 0 without
    bytes 5-6     probes in a row of temperatures, 0 without
    bytes 7-10    how many readings
    the rest      microseconds since the reading before (64 bits; the first 0), the quantities
                  (float32), cell voltages (int16, millivolts), temperatures (float32)

Numbers are big-endian. In the plain form each column lies as it is, which PostgreSQL can write by
itself (migration 0027 does). In planes the first bytes of all numbers come first, then all second
bytes: neighbours are alike there, and zlib makes a quarter less of measured charges than of the
plain columns (docs/telemetry.md). Cell voltages are kept as steps from the reading before.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leasing.telemetry.columns import (
    NO_CELL,
    QUANTITIES,
    Readings,
    bounds,
    concatenate,
)

HEAD = struct.Struct(">BHHHI")
PLAIN, PLANES, COMPRESSED = 0, 1, 2
LEVEL = 1
"""Of zlib. Level 6 takes twice the time for 5 % less."""

Bytes = NDArray[np.uint8]


class NotAChunk(ValueError):
    """The bytes are not what this module writes."""


def encode(readings: Readings, ranges: Sequence[tuple[int, int]], *, compress: bool) -> list[bytes]:
    """The bytes of ranges of ordered readings, each of one pack."""
    rows, mask = _rows(readings, [first for first, _ in ranges])
    found = []
    for first, last in ranges:
        cells = _cells(readings, first, last)
        probes = _probes(readings, first, last)
        body = rows[first:last].T.tobytes()
        if cells is not None:
            body += _planes(np.diff(cells, axis=0, prepend=np.int16(0)), ">i2")
        if probes is not None:
            body += _planes(probes, ">f4")
        head = HEAD.pack(
            COMPRESSED if compress else PLANES,
            mask,
            0 if cells is None else cells.shape[1],
            0 if probes is None else probes.shape[1],
            last - first,
        )
        found.append(head + (zlib.compress(body, LEVEL) if compress else body))
    return found


def _rows(readings: Readings, firsts: Sequence[int]) -> tuple[Bytes, int]:
    """A row of bytes for each reading, and which quantities are in it."""
    steps = np.diff(readings.at, prepend=readings.at[:1])
    steps[list(firsts)] = 0
    names = [name for name in QUANTITIES if name in readings.scalars]
    parts = [steps.astype(">i8").view(np.uint8).reshape(-1, 8)]
    for name in names:
        parts.append(readings.scalars[name].astype(">f4").view(np.uint8).reshape(-1, 4))
    return np.concatenate(parts, axis=1), sum(1 << QUANTITIES.index(name) for name in names)


def _cells(readings: Readings, first: int, last: int) -> NDArray[np.int16] | None:
    if readings.cells_mv is None:
        return None
    table = readings.cells_mv[first:last]
    width = _width(np.logical_or.reduce(table != NO_CELL, axis=0))
    return table[:, :width] if width else None


def _probes(readings: Readings, first: int, last: int) -> NDArray[np.float32] | None:
    if readings.temperatures_c is None:
        return None
    table = readings.temperatures_c[first:last]
    width = _width(np.logical_or.reduce(np.isfinite(table), axis=0))
    return table[:, :width] if width else None


def _width(is_used: NDArray[np.bool_]) -> int:
    used = np.flatnonzero(is_used)
    return int(used[-1]) + 1 if len(used) else 0


def _planes(table: NDArray[np.int16] | NDArray[np.float32], kind: str) -> bytes:
    """Byte by byte, within a byte column by column: what one cell showed lies together."""
    raw = np.ascontiguousarray(table.T.astype(kind)).view(np.uint8)
    return raw.reshape(table.shape[1], table.shape[0], -1).transpose(2, 0, 1).tobytes()


def is_compressed(body: bytes) -> bool:
    return body[0] == COMPRESSED


def decode(pack: int, first_us: int, body: bytes) -> Readings:
    """The readings of a chunk. Raises `NotAChunk`."""
    return decode_all([(pack, first_us, body)])


def decode_all(chunks: Sequence[tuple[int, int, bytes]]) -> Readings:
    """The readings of chunks, given each with the place of its pack and its first instant, one
    chunk after the other. Chunks of one make are decoded together. Raises `NotAChunk`."""
    try:
        heads = [HEAD.unpack_from(body) for _, _, body in chunks]
    except struct.error as error:
        raise NotAChunk(str(error)) from error
    parts = []
    makes = np.array([head[:4] for head in heads], np.int64).reshape(-1, 4)
    makes[:, 0] = np.minimum(makes[:, 0], PLANES)  # compressed ones become planes
    for first, last in bounds(*makes.T):
        parts.append(_decode_alike(chunks[first:last], heads[first:last]))
    return concatenate(parts)


def _decode_alike(
    chunks: Sequence[tuple[int, int, bytes]], heads: Sequence[tuple[int, ...]]
) -> Readings:
    _, mask, cells, probes, _ = heads[0]
    names = [name for place, name in enumerate(QUANTITIES) if mask >> place & 1]
    counts = [head[4] for head in heads]
    width = 8 + 4 * len(names)
    size = width + 2 * cells + 4 * probes
    total = sum(counts)
    rows = np.empty((width, total), np.uint8)
    cell_rows = np.empty((total, cells), np.int16)
    probe_rows = np.empty((total, probes), np.float32)
    at = 0
    for (_, _, body), head in zip(chunks, heads, strict=True):
        form, n = head[0], head[4]
        raw = _payload(body, form, size * n)
        scalars, rest = raw[: width * n], raw[width * n :]
        rows[:, at : at + n] = _as_planes(scalars, n) if form == PLAIN else scalars.reshape(-1, n)
        if cells:
            steps = _table(rest[: 2 * cells * n], cells, ">i2")
            cell_rows[at : at + n] = np.cumsum(steps, axis=0, dtype=np.int16)
        if probes:
            probe_rows[at : at + n] = _table(rest[2 * cells * n :], probes, ">f4")
        at += n
    columns = np.ascontiguousarray(rows.T)
    return Readings(
        np.repeat(np.array([place for place, _, _ in chunks], np.int32), counts),
        _instants(columns[:, :8], counts, [first for _, first, _ in chunks]),
        {
            name: np.ascontiguousarray(columns[:, 8 + 4 * k : 12 + 4 * k])
            .view(">f4")
            .ravel()
            .astype(np.float32)
            for k, name in enumerate(names)
        },
        cell_rows if cells else None,
        probe_rows if probes else None,
    )


def _payload(body: bytes, form: int, size: int) -> Bytes:
    rest = memoryview(body)[HEAD.size :]
    if form == COMPRESSED:
        inflate = zlib.decompressobj()
        try:
            rest = memoryview(inflate.decompress(rest, size + 1))
        except zlib.error as error:
            raise NotAChunk(str(error)) from error
        if not inflate.eof and len(rest) <= size:
            raise NotAChunk("the compressed bytes end in the middle")
    if form not in (PLAIN, PLANES, COMPRESSED) or len(rest) != size:
        raise NotAChunk(f"form {form} with {len(rest)} bytes where {size} belong")
    return np.frombuffer(rest, np.uint8)


def _as_planes(scalars: Bytes, n: int) -> Bytes:
    """Plain columns as the planes they would be."""
    parts = [scalars[: 8 * n].reshape(n, 8).T]
    parts += [column.reshape(n, 4).T for column in scalars[8 * n :].reshape(-1, 4 * n)]
    return np.concatenate(parts, axis=0)


def _table(raw: Bytes, width: int, kind: str) -> NDArray[np.int16] | NDArray[np.float32]:
    size = np.dtype(kind).itemsize
    planes = raw.reshape(size, width, -1).transpose(2, 1, 0)
    return np.ascontiguousarray(planes).view(kind)[:, :, 0]


def _instants(raw: Bytes, counts: Sequence[int], firsts: Sequence[int]) -> NDArray[np.int64]:
    steps = np.ascontiguousarray(raw).view(">i8").ravel().astype(np.int64)
    begins = np.cumsum(counts) - counts
    total = np.cumsum(steps)
    # What was counted up in the chunks before does not belong to this one.
    found: NDArray[np.int64] = total - np.repeat(total[begins] - np.array(firsts, np.int64), counts)
    return found
