"""Tables of measurements in files, and predictions into one."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from leasing.health.estimators.model import Prediction, Table

HEADER = ("dataset", "unit", "index", "pred", "lower", "upper", "protocol")


class BadFile(ValueError):
    """A file that cannot be read as a table; the message is for its owner."""


def read(path: Path) -> Table:
    """The columns of a Parquet or CSV file, numbers as numbers and text as text."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    if path.suffix.lower() == ".csv":
        return _csv(path)
    raise BadFile(f"{path.name}: a table is a .parquet or a .csv file")


def _parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise BadFile("Parquet needs pyarrow: pip install 'battery-leasing[parquet]'") from error
    try:
        found = parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise BadFile(f"{path.name} is not a Parquet file: {error}") from error
    table: Table = {}
    for name in found.schema.names:
        values = found[name].to_numpy(zero_copy_only=False)
        table[name] = values.astype(np.str_) if values.dtype == object else values
    return table


def _csv(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError as error:
        raise BadFile(f"{path.name} is not text in UTF-8") from error
    if not rows:
        raise BadFile(f"{path.name} is empty")
    header, body = rows[0], [row for row in rows[1:] if row]
    for number, row in enumerate(rows[1:], start=2):
        if row and len(row) != len(header):
            raise BadFile(
                f"{path.name}, line {number}: {len(row)} values under {len(header)} columns"
            )
    return {name: _values([row[k] for row in body]) for k, name in enumerate(header)}


def _values(texts: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.generic]]":
    try:
        numbers = np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError:
        return np.array(texts, dtype=np.str_)
    whole = np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all()
    return numbers.astype(np.int64) if whole and len(numbers) else numbers


def capacities(path: Path) -> dict[tuple[str, int], float]:
    """Measured capacities in Ah by unit and cycle, of a file like labels.csv."""
    table = read(path)
    missing = [name for name in ("unit", "cycle", "capacity_ah") if name not in table]
    if missing:
        raise BadFile(f"{path.name} lacks the columns {', '.join(missing)}")
    columns = (table[name].tolist() for name in ("unit", "cycle", "capacity_ah"))
    return {(str(unit), int(cycle)): float(ah) for unit, cycle, ah in zip(*columns, strict=True)}


def write(path: Path | None, dataset: str, predictions: Iterable[Prediction]) -> None:
    """Predictions as CSV, to a file or to standard output; six digits, the same on every run."""
    if path is None:
        _write(sys.stdout, dataset, predictions)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        _write(file, dataset, predictions)


def _write(file: "object", dataset: str, predictions: Iterable[Prediction]) -> None:
    writer = csv.writer(file, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerow(HEADER)
    for one in predictions:
        numbers = (f"{value:.6g}" for value in (one.pred, one.lower, one.upper))
        writer.writerow([dataset, one.unit, one.index, *numbers, one.protocol])
