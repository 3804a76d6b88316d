"""A file of measurements, batch by batch, with a bar."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import asyncpg
import click
import numpy as np
from numpy.typing import NDArray

from jobs.progress import bars
from jobs.shell import say
from leasing.db import clock
from leasing.db.pool import Database
from leasing.http.problems import database_error
from leasing.telemetry import service, store
from leasing.telemetry.columns import Flags, Readings
from leasing.telemetry.decoders import files
from leasing.telemetry.decoders.files import Batch
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Source, SourceKind

ROWS = 10_000
"""In a transaction. What is committed stays, whatever stops the rest."""
SECOND_US = 1e6
STORED = ("voltage_v", "current_a", "soc_percent", "temperature_c")
"""Of what files may hold; a pack has no surroundings."""


class Undone(Exception):
    """Takes back what a dry run has written."""


@dataclass
class Count:
    """What became of a file's rows so far."""

    stored: int = 0
    repeated: int = 0
    unmatched: int = 0
    refused: int = 0
    bad: int = 0
    strangers: Counter[str] = field(default_factory=Counter)
    """Rows by code that is on no pack."""

    def add(self, taken: service.Taken) -> None:
        self.stored += taken.stored
        self.repeated += taken.repeated
        self.unmatched += taken.unmatched
        self.refused += taken.refused

    def summary(self, *, dry_run: bool) -> str:
        kept = "; nothing was written" if dry_run else ""
        return (
            f"{self.stored:,} readings stored, {self.repeated:,} there already, "
            f"{self.unmatched:,} of unknown packs, {self.refused:,} at impossible times, "
            f"{self.bad:,} rows could not be read{kept}"
        )

    def unmatched_lines(self) -> list[str]:
        return [
            f"no pack has the code {code}: {rows:,} rows"
            for code, rows in self.strangers.most_common()
        ]


class Step(NamedTuple):
    """A batch, and how far it brings us."""

    batch: Batch
    done: int
    total: int


async def run(
    db: Database, file: Path, count: Count, *, pack: str | None, dry_run: bool = False
) -> None:
    """Store what a file holds. What is there already is left as it is, so that a run that was
    stopped is made up for by another."""
    with bars() as start:
        report = start(file.name, 1)
        try:
            for step in steps(file):
                await take(db, step.batch, count, pack, dry_run)
                report(step.done, step.total)
        except FrameError as error:
            so_far = count.summary(dry_run=dry_run)
            raise click.ClickException(
                f"{file.name}, line {error.position}: {error.reason}. {so_far}"
            ) from error
        except UnicodeDecodeError as error:
            raise click.ClickException(f"{file.name} is no UTF-8: {error}") from error
        except asyncpg.PostgresError as error:
            known = database_error(error)
            if known is None:
                raise
            so_far = count.summary(dry_run=dry_run)
            raise click.ClickException(f"{known.title}. {so_far}; run it again to go on") from error


def steps(file: Path) -> Iterator[Step]:
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise click.ClickException(f"{file.name} ends in neither .csv nor .parquet")
    return parquet_steps(file) if suffix == ".parquet" else csv_steps(file)


def csv_steps(file: Path) -> Iterator[Step]:
    total = file.stat().st_size
    with file.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8", newline="") as lines:
        for batch in files.read_csv(lines, ROWS):
            yield Step(batch, min(raw.tell(), total), total)


def parquet_steps(file: Path) -> Iterator[Step]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise click.ClickException("Parquet needs the extra: pip install '.[parquet]'") from error
    done = 0
    with file.open("rb") as source:
        for batch in files.read_parquet(source, ROWS):
            done += len(batch) + batch.bad_count
            yield Step(batch, done, pq.read_metadata(file).num_rows)


async def take(db: Database, batch: Batch, count: Count, pack: str | None, dry_run: bool) -> None:
    """Store a batch in a transaction of its own."""
    tell_bad(batch, count)
    dated = with_instants(batch, count)
    codes, places = whose(batch, pack)
    readings, places = as_readings(batch, places).take(dated), places[dated]
    if len(readings) == 0:
        return
    try:
        async with db.transaction() as tx:
            known = await store.packs_by_code(tx, codes)
            sources = [Source(SourceKind.PACK_CODE, code) for code in codes]
            taken = await service.ingest_table(tx, sources, readings, now=await clock.now(tx))
            if dry_run:
                raise Undone
    except Undone:
        pass
    count.add(taken)
    rows = np.bincount(places, minlength=len(codes)).tolist()
    for code, number in zip(codes, rows, strict=True):
        if code not in known:
            count.strangers[code] += number


def tell_bad(batch: Batch, count: Count) -> None:
    for row in batch.bad:
        say(f"line {row.line}: {row.reason}")
    if batch.bad_count > len(batch.bad):
        say(f"… and {batch.bad_count - len(batch.bad):,} more up to here")
    count.bad += batch.bad_count


def with_instants(batch: Batch, count: Count) -> Flags:
    """Which rows have one; a row may have the time since the beginning of a test only."""
    if files.TIME not in batch.values:
        raise FrameError(1, "no column of instants: 'Unix Time / s' or 'at'")
    dated = np.isfinite(batch.values[files.TIME])
    for line in batch.lines[~dated].tolist():
        say(f"line {line}: has no instant")
    count.bad += int((~dated).sum())
    return dated


def whose(batch: Batch, pack: str | None) -> tuple[list[str], NDArray[np.int32]]:
    """Codes, and for each row the place of its own among them."""
    if batch.packs is None:
        if pack is None:
            raise click.UsageError("the file names no pack: say which with --pack")
        return [pack], np.zeros(len(batch), np.int32)
    if pack is not None:
        raise click.UsageError("the file names its packs itself; --pack is for one that does not")
    codes, places = np.unique(batch.packs, return_inverse=True)
    return [str(code) for code in codes], places.astype(np.int32)


def as_readings(batch: Batch, places: NDArray[np.int32]) -> Readings:
    at = np.nan_to_num(batch.values[files.TIME])
    columns = {
        name: batch.values[name].astype(np.float32) for name in STORED if name in batch.values
    }
    return Readings(places, np.round(at * SECOND_US).astype(np.int64), columns, None, None)
