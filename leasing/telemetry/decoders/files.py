"""Files of readings, CSV or Parquet, as columns.

Columns are known by the names of the Battery Data Format (preferred label or machine-readable name;
github.com/battery-data-alliance/battery-data-format) and by ours; a unit is converted only where
the name tells it. All other columns are listed as unknown. Current is positive while charging.

A row that cannot be read is left out and named by its line, counted from 1 with the header's; of a
Parquet file, by its row. A file that cannot be read is a `FrameError` at that line.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leasing.telemetry.decoders.frames import FrameError

Floats = NDArray[np.float64]

TIME, ELAPSED, PACK = "unix_s", "elapsed_s", "pack"
BATCH = 50_000
MAX_TOLD = 1_000
"""Bad rows named in one batch; more are counted."""
MAX_COLUMNS = 2_000
MAX_LINE = 1_000_000
FIRST_S, LAST_S = 946_684_800.0, 4_102_444_800.0
"""2000-01-01 and 2100-01-01, in UTC."""

BOUNDS: dict[str, tuple[float, float]] = {
    TIME: (FIRST_S, LAST_S),
    ELAPSED: (0.0, LAST_S),
    "voltage_v": (0.0, 2000.0),
    "current_a": (-5000.0, 5000.0),
    "soc_percent": (0.0, 100.0),
    "temperature_c": (-60.0, 200.0),
    "ambient_c": (-60.0, 200.0),
}
"""What a value can be, by field. Times in seconds: since 1970 in UTC, or since the test began."""


@dataclass(frozen=True)
class Quantity:
    field: str
    per: float = 1.0
    """By what a value is divided: 1000 of millivolts."""


def spellings(label: str, machine: str, own: str, of: Quantity) -> dict[str, Quantity]:
    return dict.fromkeys((folded(label), machine, own), of)


def folded(name: str) -> str:
    """Without regard to case, or to blanks around words and the slash."""
    return re.sub(r"\s*/\s*", "/", " ".join(name.lower().split()))


KNOWN: dict[str, Quantity] = {
    **spellings("Unix Time / s", "unix_time_second", "unix_s", Quantity(TIME)),
    **spellings("Unix Time / ms", "unix_time_millisecond", "unix_ms", Quantity(TIME, 1000)),
    **spellings("Test Time / s", "test_time_second", "elapsed_s", Quantity(ELAPSED)),
    **spellings("Test Time / ms", "test_time_millisecond", "elapsed_ms", Quantity(ELAPSED, 1000)),
    **spellings("Voltage / V", "voltage_volt", "voltage_v", Quantity("voltage_v")),
    **spellings("Voltage / mV", "voltage_millivolt", "voltage_mv", Quantity("voltage_v", 1000)),
    **spellings("Current / A", "current_ampere", "current_a", Quantity("current_a")),
    **spellings("Current / mA", "current_milliampere", "current_ma", Quantity("current_a", 1000)),
    **spellings(
        "Surface Temperature T1 / degC",
        "temperature_t1_celsius",
        "temperature_c",
        Quantity("temperature_c"),
    ),
    **spellings(
        "Ambient Temperature / degC",
        "ambient_temperature_celsius",
        "ambient_c",
        Quantity("ambient_c"),
    ),
    "soc_percent": Quantity("soc_percent"),
    "at": Quantity("at"),
    "pack": Quantity(PACK),
    "pack_code": Quantity(PACK),
}
"""By folded name. `at` is an instant of ISO 8601 with its offset, `pack` a code as it stands."""


@dataclass(frozen=True)
class Header:
    """Which column holds what."""

    columns: dict[int, Quantity]
    unknown: tuple[str, ...]
    width: int


@dataclass(frozen=True)
class BadRow:
    line: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """Rows as columns of one length. A value that is not there is not a number (NaN)."""

    lines: NDArray[np.int64]
    values: dict[str, Floats]
    """By field: `unix_s`, `elapsed_s`, `voltage_v`, `current_a` …"""
    packs: NDArray[np.str_] | None = None
    bad: tuple[BadRow, ...] = ()
    bad_count: int = 0
    unknown: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)


def read_header(names: Sequence[str]) -> Header:
    """Refused when no time or nothing measured is known, or one quantity stands in two columns."""
    columns: dict[int, Quantity] = {}
    unknown = []
    if len(names) > MAX_COLUMNS:
        raise FrameError(1, f"{len(names)} columns, at most {MAX_COLUMNS} are read")
    for at, name in enumerate(names):
        quantity = KNOWN.get(folded(name))
        if quantity is None:
            unknown.append(name)
            continue
        taken = [TIME if one.field == "at" else one.field for one in columns.values()]
        if (TIME if quantity.field == "at" else quantity.field) in taken:
            raise FrameError(1, f"column {name!r} tells what another column tells already")
        columns[at] = quantity
    fields = {quantity.field for quantity in columns.values()}
    if not fields & {TIME, ELAPSED, "at"}:
        raise FrameError(1, "no column of time: 'Unix Time / s', 'Test Time / s' or 'at'")
    if not fields & {"voltage_v", "current_a"}:
        raise FrameError(1, "no column of voltage or current")
    return Header(columns, tuple(unknown), len(names))


@dataclass
class Rows:
    """What is read of a batch until it is whole."""

    good: NDArray[np.bool_]
    lines: Sequence[int]
    bad: list[BadRow] = field(default_factory=list)
    bad_count: int = 0

    def refuse(self, row: int, reason: str) -> None:
        """A row is refused once, for what is found first."""
        if self.good[row]:
            self.good[row] = False
            self.note(self.lines[row], reason)

    def note(self, line: int, reason: str) -> None:
        self.bad_count += 1
        if len(self.bad) < MAX_TOLD:
            self.bad.append(BadRow(line, reason))


def read_csv(lines: Iterable[str], size: int = BATCH) -> Iterator[Batch]:
    """Batches of a CSV file that comes in lines, so that its size does not matter."""
    rows = numbered(csv.reader(bounded(lines), strict=True))
    first = next(rows, None)
    if first is None:
        raise FrameError(1, "the file is empty")
    header = read_header([name.removeprefix("\ufeff") for name in first[1]])
    while taken := list(islice(rows, size)):
        yield batch_of(header, taken)


def bounded(lines: Iterable[str]) -> Iterator[str]:
    for line, text in enumerate(lines, 1):
        if len(text) > MAX_LINE:
            raise FrameError(line, f"a line has more than {MAX_LINE} characters")
        yield text


def numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each ends; empty lines are passed over."""
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise FrameError(reader.line_num, f"no CSV: {error}") from None


def batch_of(header: Header, taken: list[tuple[int, list[str]]]) -> Batch:
    whole = [(line, row) for line, row in taken if len(row) == header.width]
    rows = Rows(np.ones(len(whole), dtype=bool), [line for line, _ in whole])
    for line, row in taken:
        if len(row) != header.width:
            rows.note(line, f"{len(row)} fields, the header has {header.width}")
    columns: list[Sequence[str]] = list(zip(*(row for _, row in whole), strict=True))
    return finished(
        header,
        rows,
        {at: columns[at] if columns else () for at in header.columns},
    )


def finished(header: Header, rows: Rows, columns: dict[int, Any]) -> Batch:
    """Values of all columns, without the rows that were refused. A time is demanded, and a voltage
    or a current."""
    values: dict[str, Floats] = {}
    packs: list[str] | None = None
    for at, quantity in header.columns.items():
        column = columns[at]
        if quantity.field == PACK:
            packs = pack_codes(column, rows)
        elif quantity.field == "at":
            values[TIME] = checked(TIME, instants(column, rows), rows)
        else:
            found = numbers(column, quantity.field, rows) / quantity.per
            values[quantity.field] = checked(quantity.field, found, rows)
    demand(values, rows)
    good = rows.good
    return Batch(
        lines=np.asarray(rows.lines, dtype=np.int64)[good],
        values={name: column[good] for name, column in values.items()},
        packs=None if packs is None else np.asarray(packs, dtype=np.str_)[good],
        bad=tuple(sorted(rows.bad, key=lambda one: one.line)),
        bad_count=rows.bad_count,
        unknown=header.unknown,
    )


DIGITS = set("0123456789+-.eE")


def numbers(column: Any, name: str, rows: Rows) -> Floats:
    """Numbers of a column, of text or of numbers already. Empty text is a missing value."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    if not column:
        return np.empty(0)
    texts = [text.strip() for text in column]
    if set("".join(texts)) <= DIGITS:
        try:
            return np.array([float(text or "nan") for text in texts])
        except ValueError:
            pass
    found = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        number = as_number(text)
        if number is None:
            rows.refuse(row, f"{name} is {text[:40]!r}, no number")
        else:
            found[row] = number
    return found


def as_number(text: str) -> float | None:
    """Of plain digits: what else `float` takes (nan, 1_000, digits of other scripts) is none."""
    if not text:
        return np.nan
    if not set(text) <= DIGITS:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def checked(name: str, found: Floats, rows: Rows) -> Floats:
    low, high = BOUNDS[name]
    for row in np.flatnonzero((found < low) | (found > high)):
        rows.refuse(int(row), f"{name} is {found[row]:g}, not between {low:g} and {high:g}")
    return found


def demand(values: dict[str, Floats], rows: Rows) -> None:
    times = [values[name] for name in (TIME, ELAPSED) if name in values]
    measured = [values[name] for name in ("voltage_v", "current_a") if name in values]
    for row in np.flatnonzero(np.isnan(times).all(axis=0)):
        rows.refuse(int(row), "has no time")
    for row in np.flatnonzero(np.isnan(measured).all(axis=0)):
        rows.refuse(int(row), "has neither voltage nor current")


def instants(column: Any, rows: Rows) -> Floats:
    """Seconds since 1970 of instants, as text or as what they are."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    found = np.full(len(column), np.nan)
    for row, text in enumerate(column):
        if not text.strip():
            continue
        try:
            at = datetime.fromisoformat(text.strip())
            if at.tzinfo is None:
                rows.refuse(row, f"at is {text[:40]!r}, without an offset: add Z or +08:00")
            else:
                found[row] = (at.astimezone(UTC) - EPOCH).total_seconds()
        except (ValueError, OverflowError):
            rows.refuse(row, f"at is {text[:40]!r}, no instant")
    return found


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CODE = 100


def pack_codes(column: Any, rows: Rows) -> list[str]:
    found = [("" if code is None else str(code)).strip() for code in column]
    for row, code in enumerate(found):
        if not code or len(code) > MAX_CODE:
            rows.refuse(row, "has no code of a pack" if not code else "has too long a code")
            found[row] = ""
    return found


def read_parquet(source: Any, size: int = BATCH) -> Iterator[Batch]:
    """Batches of a Parquet file: its bytes, or an open file. Needs the extra `parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = pa.BufferReader(source) if isinstance(source, bytes) else source
    faults = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
    row = 0
    try:
        file = pq.ParquetFile(opened, page_checksum_verification=True)
        names = file.schema_arrow.names
        header = read_header(names)
        wanted = [names[at] for at in header.columns]
        if len(set(names)) != len(names):
            raise FrameError(1, "two columns have the same name")
        for batch in file.iter_batches(batch_size=size, columns=wanted):
            yield of_arrow(header, names, batch, row)
            row += batch.num_rows
    except FrameError:
        raise
    except faults as error:
        raise FrameError(row + 1, f"no Parquet: {str(error)[:200]}") from None


def of_arrow(header: Header, names: Sequence[str], batch: Any, before: int) -> Batch:
    rows = Rows(np.ones(batch.num_rows, dtype=bool), range(before + 1, before + 1 + batch.num_rows))
    columns = {
        at: arrow_column(batch.column(batch.schema.get_field_index(names[at])), names[at], quantity)
        for at, quantity in header.columns.items()
    }
    return finished(header, rows, columns)


def arrow_column(column: Any, name: str, quantity: Quantity) -> Any:
    """A column as numbers, or as text where it is text; what is null is missing."""
    import pyarrow as pa

    kind = column.type
    if quantity.field == PACK:
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise FrameError(1, f"column {name!r} is {kind}, not text")
        return column.to_pylist()
    if quantity.field == "at" and pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise FrameError(1, f"column {name!r} has no time zone")
        return as_floats(column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())) / 1e6
    if quantity.field == "at" and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [text or "" for text in column.to_pylist()]
    if quantity.field == "at" or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise FrameError(1, f"column {name!r} is {kind}, which is not read")
    return as_floats(column)


def as_floats(column: Any) -> Floats:
    import pyarrow as pa

    found: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def joined(batches: Iterable[Batch]) -> Batch:
    """All of a file at once, for one that is known to be small."""
    found = iter(batches)
    first = next(found, None)
    if first is None:
        return Batch(np.empty(0, dtype=np.int64), {})
    every = list(chain([first], found))
    packs = [one.packs for one in every if one.packs is not None]
    return Batch(
        lines=np.concatenate([one.lines for one in every]),
        values={name: np.concatenate([one.values[name] for one in every]) for name in first.values},
        packs=np.concatenate(packs) if packs else None,
        bad=tuple(chain.from_iterable(one.bad for one in every))[:MAX_TOLD],
        bad_count=sum(one.bad_count for one in every),
        unknown=first.unknown,
    )
